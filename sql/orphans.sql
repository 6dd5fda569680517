--
-- verify() tells which objects nothing refers to, and which are missing
--
CREATE SCHEMA orphans_test;
SET search_path = orphans_test, public;
\pset format unaligned
\pset null '<null>'

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_sth_reader;
RESET client_min_messages;
CREATE ROLE regress_sth_reader;
GRANT USAGE ON SCHEMA orphans_test TO PUBLIC;

SELECT streamhouse.create_topic('t', 1, 'n int, s text', NULL);
SELECT streamhouse.create_topic('u', 1, 'n int, s text', NULL);
GRANT SELECT ON t, u TO regress_sth_reader;
INSERT INTO t (n, s) SELECT i, md5(i::text) FROM generate_series(1, 1000) i;
SELECT streamhouse.flush('t');
INSERT INTO t (n, s) SELECT i, md5(i::text) FROM generate_series(1, 1000) i;
SELECT streamhouse.flush('t');
INSERT INTO u (n) VALUES (1);
SELECT streamhouse.flush('u');
SELECT min(object_id) AS first, max(object_id) AS second FROM streamhouse.segments WHERE topic = 't'::regclass \gset
CREATE FUNCTION verified(topic regclass DEFAULT NULL, deep boolean DEFAULT true) RETURNS TABLE (topic regclass, partition int, at bigint, problem text) LANGUAGE sql AS $$
    SELECT v.topic, v.partition, v.at, regexp_replace(v.problem, 'object \d+', 'object N') FROM streamhouse.verify(topic, deep) v ORDER BY v.topic IS NULL, v.at, v.problem $$;
SELECT * FROM verified();

ALTER TABLE streamhouse.object_data DISABLE TRIGGER ignore_write;
ALTER TABLE streamhouse.object DISABLE TRIGGER ignore_write;
ALTER TABLE streamhouse.segment DISABLE TRIGGER ignore_write;

-- a segment gone: its object is in use by none
BEGIN;
DELETE FROM streamhouse.segment WHERE object_id = :second;
SELECT * FROM verified();
SELECT * FROM verified(deep => false);
SELECT * FROM verified('u');
-- one that is not in use yet is no orphan
UPDATE streamhouse.object SET state = 'uploading' WHERE object_id = :second;
SELECT * FROM verified();
ROLLBACK;
-- an object gone: its segment misses it, and its bytes are nobody's
BEGIN;
DELETE FROM streamhouse.object WHERE object_id = :first;
SELECT * FROM verified(deep => false);
SELECT problem ~ ('object ' || :first || '\M') FROM streamhouse.verify(deep => false);
ROLLBACK;
-- its bytes gone
BEGIN;
DELETE FROM streamhouse.object_data WHERE object_id = :first;
SELECT DISTINCT topic, partition, regexp_replace(problem, '\d+', 'N', 'g') AS problem FROM verified('t');
ROLLBACK;
-- others are seen between known ones, at both ends too
BEGIN;
INSERT INTO streamhouse.object_data SELECT o, c, 'x' FROM unnest(ARRAY[-7, :second + 1000000]) o, generate_series(0, 2) c;
SELECT topic, partition, at, replace(problem, (:second + 1000000)::text, 'last') FROM streamhouse.verify();
-- not by who may not read the tables
SET LOCAL ROLE regress_sth_reader;
SELECT * FROM verified();
ROLLBACK;

ALTER TABLE streamhouse.object_data ENABLE ALWAYS TRIGGER ignore_write;
ALTER TABLE streamhouse.object ENABLE ALWAYS TRIGGER ignore_write;
ALTER TABLE streamhouse.segment ENABLE ALWAYS TRIGGER ignore_write;
SELECT * FROM verified();

SET client_min_messages = warning;
DROP SCHEMA orphans_test CASCADE;
DROP ROLE regress_sth_reader;
