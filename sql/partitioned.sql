--
-- Topics as members of partitioned and of inherited tables
--
CREATE SCHEMA partitioned_test;
SET search_path = partitioned_test, public;
\pset format unaligned

CREATE TABLE parent (region text NOT NULL, n int, note text) PARTITION BY LIST (region);
CREATE TABLE parent_us PARTITION OF parent FOR VALUES IN ('us');
CREATE FOREIGN TABLE parent_eu PARTITION OF parent FOR VALUES IN ('eu', 'uk') SERVER streamhouse OPTIONS (partitions '3', key 'n');
SELECT streamhouse.create_topic('parent_asia', columns => 'region text NOT NULL, n int, note text', key => 'n');
ALTER TABLE parent ATTACH PARTITION parent_asia FOR VALUES IN ('cn');   -- has columns that the parent lacks
DROP FOREIGN TABLE parent_asia;
CREATE FOREIGN TABLE parent_asia (note text, dropped int, region text NOT NULL, n int) SERVER streamhouse;
ALTER FOREIGN TABLE parent_asia DROP COLUMN dropped;
ALTER TABLE parent ATTACH PARTITION parent_asia FOR VALUES IN ('cn', 'jp');
SELECT topic, partitions, key FROM streamhouse.topics WHERE schema = 'partitioned_test' ORDER BY name;

-- rows find their way through the parent
INSERT INTO parent VALUES ('us', 1, 'a'), ('eu', 2, 'b'), ('cn', 3, 'c'), ('uk', 4, 'd');
INSERT INTO parent SELECT (ARRAY['us', 'eu', 'jp', 'uk'])[1 + i % 4], i, 'x' FROM generate_series(5, 1004) i;
COPY parent FROM STDIN;
eu	2000	copied
cn	2001	copied
us	2002	copied
jp	2003	copied
\.
INSERT INTO parent VALUES ('eu', 3000, 'r') RETURNING *;
SELECT tableoid::regclass, count(*), sum(n) FROM parent GROUP BY 1 ORDER BY tableoid::regclass::text;
SELECT region, count(*) FROM parent GROUP BY 1 ORDER BY 1;
SELECT * FROM parent WHERE n IN (2, 3, 2000, 2001, 2003) ORDER BY n;
SELECT partition, next_offset FROM streamhouse.logs WHERE topic = 'parent_eu'::regclass ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT * FROM parent WHERE region = 'eu';
SELECT count(*) FROM parent p JOIN parent_asia a USING (n);
INSERT INTO parent VALUES ('fr', 1, 'nowhere');

-- a row of the wrong partition is refused where it is inserted directly
\set VERBOSITY terse
INSERT INTO parent_eu (region, n) VALUES ('us', 1);
INSERT INTO parent_asia (region, n) VALUES ('eu', 1);
COPY parent_asia (region, n) FROM STDIN;
cn	4000
us	4001
\.
SELECT streamhouse.produce('parent_asia', '{"region": "us", "n": 1}');
SELECT streamhouse.produce('parent_asia', '{"region": "cn", "n": 4002}');
SELECT n FROM parent WHERE n BETWEEN 4000 AND 4999;
\set VERBOSITY default
-- also if a trigger makes it so
CREATE FUNCTION to_us() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.region = 'us'; RETURN NEW; END $$;
CREATE TRIGGER to_us BEFORE INSERT ON parent_eu FOR EACH ROW WHEN (NEW.n = 5000) EXECUTE FUNCTION to_us();
\set VERBOSITY terse
INSERT INTO parent VALUES ('eu', 5000, 'x');
INSERT INTO parent_eu (region, n) VALUES ('eu', 5000);
\set VERBOSITY default
DROP TRIGGER to_us ON parent_eu;

-- nothing else than INSERT goes through the parent either
UPDATE parent SET n = 0 WHERE region = 'eu';
DELETE FROM parent WHERE region = 'cn';
UPDATE parent SET region = 'eu' WHERE region = 'us' AND n = 1;  -- this moves a row
SELECT tableoid::regclass, * FROM parent WHERE n = 1;
INSERT INTO parent VALUES ('eu', 1) ON CONFLICT DO NOTHING;
CREATE UNIQUE INDEX ON parent (region, n);

-- constraints of the parent hold in the topic
ALTER TABLE parent ADD CONSTRAINT positive CHECK (n > 0);
\set VERBOSITY terse
INSERT INTO parent VALUES ('eu', 0, 'x');
INSERT INTO parent VALUES (NULL, 1, 'x');
INSERT INTO parent_eu (region, n) VALUES (NULL, 1);
\set VERBOSITY default

-- what the parent hands down
ALTER TABLE parent ADD COLUMN extra int DEFAULT 42;
ALTER TABLE parent RENAME COLUMN n TO number;
INSERT INTO parent (region, number, note) VALUES ('eu', 6000, NULL), ('cn', 6001, NULL), ('us', 6002, 'y');
SELECT tableoid::regclass, number, extra FROM parent WHERE number >= 6000 ORDER BY number;
SELECT count(*) FROM parent WHERE extra IS NULL AND region <> 'us';
SELECT topic, key FROM streamhouse.topics WHERE schema = 'partitioned_test' AND key IS NOT NULL;
ALTER TABLE parent ADD COLUMN r regclass;
ALTER TABLE parent ALTER COLUMN number TYPE bigint;
ALTER TABLE parent ALTER COLUMN note SET NOT NULL;
ALTER TABLE parent ADD COLUMN required int NOT NULL DEFAULT 1;
ALTER TABLE parent DROP COLUMN number;
ALTER TABLE parent DROP COLUMN extra;
\d parent_eu
SELECT tableoid::regclass, count(*), sum(number) FROM parent GROUP BY 1 ORDER BY tableoid::regclass::text;

-- DETACH and ATTACH
ALTER TABLE parent DETACH PARTITION parent_eu;
SELECT count(*) FROM parent WHERE region IN ('eu', 'uk');
INSERT INTO parent (region, number) VALUES ('eu', 1);
INSERT INTO parent_eu (region, number) VALUES ('anywhere', 7000);
SELECT count(*) FROM parent_eu WHERE number IN (2, 7000);
ALTER TABLE parent ATTACH PARTITION parent_eu FOR VALUES IN ('eu', 'uk', 'anywhere');
SELECT number FROM parent WHERE region = 'anywhere';
BEGIN;
ALTER TABLE parent DETACH PARTITION parent_asia;
INSERT INTO parent_asia (region, number) VALUES ('us', 7001);
ROLLBACK;
\set VERBOSITY terse
INSERT INTO parent_asia (region, number) VALUES ('us', 7001);
\set VERBOSITY default

-- a child of an inherited table
CREATE TABLE base (a int, b text);
CREATE FOREIGN TABLE base_topic (c int) INHERITS (base) SERVER streamhouse OPTIONS (key 'b');
INSERT INTO base VALUES (1, 'one');
INSERT INTO base_topic VALUES (2, 'two', 3);
ALTER TABLE base ADD COLUMN d text;
ALTER TABLE base RENAME COLUMN b TO key;
INSERT INTO base_topic (a, key, d) VALUES (3, 'three', 'd');
SELECT tableoid::regclass, * FROM base ORDER BY a;
SELECT * FROM base_topic ORDER BY a;
SELECT topic, key FROM streamhouse.topics WHERE topic = 'base_topic'::regclass;
ALTER TABLE base DROP COLUMN key;       -- the topic's key
ALTER TABLE base ADD COLUMN e oid;
ALTER FOREIGN TABLE base_topic NO INHERIT base;
ALTER TABLE base ADD COLUMN e oid;
SELECT count(*) FROM base;

-- drops go down
DROP TABLE base CASCADE;
DROP TABLE parent;
SELECT topic FROM streamhouse.topics WHERE schema = 'partitioned_test';
SET client_min_messages = warning;
DROP SCHEMA partitioned_test CASCADE;
RESET search_path;
SELECT (SELECT count(*) FROM streamhouse.log l WHERE NOT EXISTS (SELECT FROM streamhouse.topic t WHERE t.topic_id = l.topic_id)) AS logs,
       (SELECT count(*) FROM streamhouse.tail f WHERE NOT EXISTS (SELECT FROM streamhouse.log l WHERE l.log_id = f.log_id)) AS frames;
