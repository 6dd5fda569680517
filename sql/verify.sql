--
-- verify(): what is damaged, and nothing where nothing is
--
CREATE SCHEMA verify_test;
SET search_path = verify_test, public;
\pset format unaligned

SELECT streamhouse.create_topic('t', 2, 'n int, s text', NULL);
INSERT INTO t (_partition, n, s) SELECT i % 2, i, md5(i::text) FROM generate_series(1, 2000) i;
SET streamhouse.batch_memory = '64kB';
INSERT INTO t (_partition, n, s) SELECT i % 2, i, md5(i::text) FROM generate_series(1, 10000) i;
INSERT INTO t (_partition, n, s) SELECT 0, 1, string_agg(md5(i::text), '') FROM generate_series(1, 5000) i;
INSERT INTO t (_partition, n, s) SELECT i % 2, i, md5(i::text) FROM generate_series(1, 20) i;
SELECT count(*) > 1 AS staged FROM streamhouse.tail WHERE stage > 0;
SELECT * FROM streamhouse.verify('t');
SELECT * FROM streamhouse.verify();
SELECT start_offset, stable_offset, next_offset FROM streamhouse.logs WHERE topic = 't'::regclass ORDER BY partition;

-- damage, done by a superuser who means it
CREATE VIEW frames AS
SELECT tail.ctid AS tid, stage, row_number() OVER (PARTITION BY stage ORDER BY end_offset) AS nth, count(*) OVER (PARTITION BY stage) AS n
FROM streamhouse.tail JOIN streamhouse.logs USING (log_id) WHERE topic = 't'::regclass AND partition = 0;
ALTER TABLE streamhouse.tail DISABLE TRIGGER ignore_write;

\set QUIET off
BEGIN;
DELETE FROM streamhouse.tail WHERE ctid IN (SELECT tid FROM frames WHERE stage = 0 AND nth IN (2, 3));
SELECT partition, regexp_replace(problem, '\d+', 'N', 'g') AS problem FROM streamhouse.verify('t');
ROLLBACK;
BEGIN;
INSERT INTO streamhouse.tail SELECT log_id, 0, end_offset, count, frame FROM streamhouse.tail WHERE ctid = (SELECT tid FROM frames WHERE stage = 0 AND nth = 2);
SELECT partition, regexp_replace(problem, '\d+', 'N', 'g') AS problem FROM streamhouse.verify('t');
ROLLBACK;
BEGIN;
UPDATE streamhouse.tail SET frame = substring(frame FOR 1000) WHERE ctid IN (SELECT tid FROM frames WHERE stage = 0 AND nth IN (2, 4));
SELECT partition, regexp_replace(problem, '\d+', 'N', 'g') AS problem FROM streamhouse.verify('t');
SELECT * FROM streamhouse.verify('t', deep => false);
ROLLBACK;
BEGIN;
UPDATE streamhouse.tail SET count = -1 WHERE ctid = (SELECT tid FROM frames WHERE stage = 0 AND nth = 2);
SELECT partition, regexp_replace(problem, '\d+', 'N', 'g') AS problem FROM streamhouse.verify('t', false);
ROLLBACK;
-- of staged rows some, or the last ones
BEGIN;
DELETE FROM streamhouse.tail WHERE ctid IN (SELECT tid FROM frames WHERE stage > 0 AND n > 10 AND nth = 3);
SELECT partition, regexp_replace(problem, '\d+', 'N', 'g') AS problem FROM streamhouse.verify('t', false);
ROLLBACK;
BEGIN;
DELETE FROM streamhouse.tail WHERE ctid IN (SELECT tid FROM frames WHERE stage > 0 AND n > 10 AND nth = n);
SELECT partition, regexp_replace(problem, '\d+', 'N', 'g') AS problem FROM streamhouse.verify('t', false);
\set VERBOSITY terse
SELECT count(*) FROM t;
\set VERBOSITY default
ROLLBACK;
-- a part of a large row
BEGIN;
DELETE FROM streamhouse.tail WHERE ctid = (SELECT tid FROM frames JOIN streamhouse.tail ON tid = tail.ctid WHERE count = 0 AND length(tail.frame) > 100 LIMIT 1);
SELECT partition, regexp_replace(problem, '\d+', 'N', 'g') AS problem FROM streamhouse.verify('t');
ROLLBACK;
\set QUIET on
SELECT * FROM streamhouse.verify('t');
ALTER TABLE streamhouse.tail ENABLE ALWAYS TRIGGER ignore_write;

-- who may
CREATE ROLE verify_nobody;
GRANT USAGE ON SCHEMA verify_test TO verify_nobody;
SET ROLE verify_nobody;
SELECT * FROM streamhouse.verify('t');
SELECT * FROM streamhouse.verify();
RESET ROLE;
SELECT * FROM streamhouse.verify('frames');
DROP OWNED BY verify_nobody;
DROP ROLE verify_nobody;
