--
-- What waits in the tail is counted exactly: logs.tail_bytes is what the rows
-- of the table take that are there
--
CREATE SCHEMA tail_size_test;
SET search_path = tail_size_test, public;
\pset format unaligned

SELECT streamhouse.create_topic('t', 2, 'n int, s text', NULL);
CREATE VIEW sizes AS
SELECT l.partition, l.tail_bytes, (SELECT coalesce(sum((48 + octet_length(frame) + 7) / 8 * 8 + 4 + 24 + 4), 0) FROM streamhouse.tail t WHERE t.log_id = l.log_id) AS there
FROM streamhouse.logs l WHERE topic = 't'::regclass;
-- right, and by how much it is more than before
CREATE TABLE seen (bytes bigint);
CREATE FUNCTION compare(OUT counted boolean, OUT change text) LANGUAGE plpgsql AS $$
DECLARE now bigint; was bigint := (SELECT coalesce(sum(bytes), 0) FROM seen);
BEGIN
    -- the worker's commits are seen a moment before they are counted
    FOR i IN 1 .. 500 LOOP
        SELECT bool_and(coalesce(tail_bytes, 0) = there), sum(coalesce(tail_bytes, 0)) INTO counted, now FROM sizes;
        EXIT WHEN counted;
        PERFORM pg_sleep(0.01);
    END LOOP;
    change := CASE sign(now - was) WHEN 0 THEN 'none' WHEN 1 THEN 'more' ELSE 'less' END || CASE now WHEN 0 THEN ', nothing is left' ELSE '' END;
    DELETE FROM seen;
    INSERT INTO seen VALUES (now);
END $$;

SELECT tail_bytes FROM streamhouse.logs WHERE topic = 't'::regclass;    -- not known
INSERT INTO t (_partition, n) VALUES (0, 1);
SELECT tail_bytes > 0 AS some FROM streamhouse.logs WHERE topic = 't'::regclass ORDER BY partition;
SELECT * FROM compare();
-- several frames, in both partitions; what a page cannot hold
INSERT INTO t (_partition, n, s) SELECT i % 2, i, md5(i::text) FROM generate_series(1, 2000) i;
SELECT * FROM compare();
INSERT INTO t (_partition, n, s) SELECT 0, i, (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 1000) j) FROM generate_series(1, 3) i;
SELECT * FROM compare();
-- what rolls back counts nowhere, in frames or not, staged or not
BEGIN;
INSERT INTO t (n, s) SELECT i, md5(i::text) FROM generate_series(1, 2000) i;
ROLLBACK;
SELECT * FROM compare();
BEGIN;
INSERT INTO t (_partition, n, s) SELECT 0, i, md5(i::text) FROM generate_series(1, 100) i;
SAVEPOINT a;
INSERT INTO t (_partition, n, s) SELECT 0, i, md5(i::text) FROM generate_series(1, 3000) i;
SAVEPOINT b;
INSERT INTO t (_partition, n, s) SELECT 0, i, md5(i::text) FROM generate_series(1, 3000) i;
ROLLBACK TO b;
INSERT INTO t (_partition, n, s) SELECT 1, i, md5(i::text) FROM generate_series(1, 300) i;
ROLLBACK TO a;
INSERT INTO t (_partition, n, s) SELECT 0, i, md5(i::text) FROM generate_series(1, 10) i;
COMMIT;
SELECT * FROM compare();
SET streamhouse.batch_memory = '64kB';
INSERT INTO t (_partition, n, s) SELECT i % 2, i, md5(i::text) FROM generate_series(1, 20000) i;
SELECT * FROM compare();
BEGIN;
INSERT INTO t (_partition, n, s) SELECT 0, i, md5(i::text) FROM generate_series(1, 100) i;
SAVEPOINT a;
INSERT INTO t (_partition, n, s) SELECT 0, i, md5(i::text) FROM generate_series(1, 9000) i;
SAVEPOINT b;
INSERT INTO t (_partition, n, s) SELECT 1, i, md5(i::text) FROM generate_series(1, 9000) i;
RELEASE b;
ROLLBACK TO a;
INSERT INTO t (_partition, n, s) SELECT 0, i, md5(i::text) FROM generate_series(1, 9000) i;
COMMIT;
SELECT * FROM compare();
RESET streamhouse.batch_memory;
-- a void
SET streamhouse.failpoint = 'sequenced:error';
INSERT INTO t (_partition, n) VALUES (0, 1), (1, 1);
RESET streamhouse.failpoint;
DO $$ BEGIN
    WHILE EXISTS (SELECT FROM streamhouse.logs WHERE topic = 't'::regclass AND stable_offset < next_offset)
        OR (SELECT count(*) FROM streamhouse.tail JOIN streamhouse.logs USING (log_id) WHERE topic = 't'::regclass AND stage = 0 AND end_offset = next_offset) < 2
    LOOP COMMIT; PERFORM pg_sleep(0.01); END LOOP;
END $$;
SELECT * FROM compare();
-- deleting, within staged rows too
BEGIN;
SELECT streamhouse.delete_records('t', 0, 500);
ROLLBACK;
SELECT * FROM compare();
SELECT streamhouse.delete_records('t', 0, 500);
SELECT * FROM compare();
SELECT streamhouse.delete_records('t', 0, 9000);
SELECT * FROM compare();
BEGIN;
SAVEPOINT a;
SELECT streamhouse.delete_records('t', 0, 9500);
ROLLBACK TO a;
SELECT streamhouse.delete_records('t', 1, 5000);
COMMIT;
SELECT * FROM compare();
-- to segments
SELECT streamhouse.flush('t');
SELECT * FROM compare();
INSERT INTO t (_partition, n) VALUES (0, 1), (1, 1);
SELECT * FROM compare();
TRUNCATE t;
SELECT * FROM compare();

-- the setting; what it does: test/t/063_max_tail_size.pl
SELECT name, setting, unit, min_val, max_val, context FROM pg_settings WHERE name = 'streamhouse.max_tail_size';

SET client_min_messages = warning;
DROP SCHEMA tail_size_test CASCADE;
