--
-- Rows in segments are the rows that were in the tail
--
CREATE SCHEMA segments_test;
SET search_path = segments_test, public;
\pset format unaligned
\set VERBOSITY terse

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);

-- values of all forms, NULLs, rows larger than a page and a block; the same
-- rows in a table, and compared byte by byte
CREATE PROCEDURE round_trip(compression text) LANGUAGE plpgsql AS $$
DECLARE
    columns text = 'id int, b bool, i2 int2, i4 int4, i8 int8, f float8, n numeric, t text, v varchar(5), c char(3), y bytea, j jsonb, u uuid, d date, ts timestamptz, iv interval, ip inet, bits bit varying, p point, r int4range, a text[], m mood, k positive, e text, never text';
    place text;
    differ bigint;
BEGIN
    EXECUTE format('CREATE TABLE twin (%s)', columns);
    EXECUTE format('CREATE FOREIGN TABLE topic (_partition int, _offset bigint, _timestamp timestamptz, %s) SERVER streamhouse OPTIONS (compression %L)', columns, compression);
    INSERT INTO twin SELECT i, i % 2 = 0, -i, i * 700001, i::int8 << 33, i / 7.0, CASE WHEN i % 5 = 0 THEN 'NaN' ELSE (i::numeric ^ (i % 20)) / 7 END,
        repeat(chr(65 + i % 26), i % 300), left(md5(i::text), i % 6), left(i::text, 3), decode(md5(i::text), 'hex'),
        jsonb_build_object('i', i, 'a', ARRAY[i, NULL]), md5(i::text)::uuid, date '2020-01-01' + i, timestamptz '2020-01-01 00:00+00' + i * interval '1 s',
        i * interval '1 day 2 s', ('10.0.0.' || i % 256)::inet, i::bit(20)::varbit, point(i, -i), int4range(i, i + 5), ARRAY[i::text, NULL, 'x'], (ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::mood, i,
        CASE WHEN i % 7 > 0 THEN format('{"at":%s,"id":"%s","seq":"%s","on":"%s"}', 1790000000 + i * 3, left(md5(i::text), i % 40), to_char(i, 'FM00000'), repeat('x', i % 200)) END
    FROM generate_series(1, 3000) i;
    INSERT INTO twin SELECT i, NULL FROM generate_series(3001, 3100) i;
    INSERT INTO twin (id, t, y) SELECT i, string_agg(md5((i * g)::text), ''), decode(repeat('00', 300000), 'hex')
    FROM generate_series(3101, 3103) i, generate_series(1, 20000) g GROUP BY i;
    INSERT INTO topic SELECT 0, NULL, now(), twin.* FROM twin ORDER BY id;
    COMMIT;
    FOREACH place IN ARRAY ARRAY['tail', 'segments'] LOOP
        IF place = 'segments' THEN PERFORM streamhouse.flush('topic'); END IF;
        SELECT count(*) INTO differ
        FROM twin FULL JOIN (SELECT id AS tid, record_send(ROW(b, i2, i4, i8, f, n, t, v, c, y, j, u, d, ts, iv, ip, bits, p, r, a, m, k, e, never)) AS sent, pg_column_size(t) AS size, _offset FROM topic) s ON tid = id
        WHERE sent IS DISTINCT FROM record_send(ROW(b, i2, i4, i8, f, n, t, v, c, y, j, u, d, ts, iv, ip, bits, p, r, a, m, k, e, never)) OR _offset IS DISTINCT FROM id - 1;
        RAISE NOTICE '% in %: % differ, problems: %', compression, place, differ, (SELECT count(*) FROM streamhouse.verify('topic'));
    END LOOP;
    RAISE NOTICE 'left in the tail: %', (SELECT count(*) FROM streamhouse.tail JOIN streamhouse.logs USING (log_id) WHERE topic = 'topic'::regclass);
    DROP FOREIGN TABLE topic;
    DROP TABLE twin;
END $$;
SET client_min_messages = notice;
CALL round_trip('none');
CALL round_trip('lz4');
CALL round_trip('zstd');

-- a row of a segment only, of both, of the tail only; by every way of reading
SELECT streamhouse.create_topic('t', 2, 'n int, s text', NULL, options => '{"segment_size": "64kB"}');
SELECT streamhouse.create_group('g', 't');
CREATE VIEW mine AS SELECT partition, base_offset, end_offset, records, blocks FROM streamhouse.segments WHERE topic = 't'::regclass;
CREATE VIEW in_tail AS SELECT count(*) FROM streamhouse.tail JOIN streamhouse.logs USING (log_id) WHERE topic = 't'::regclass;
INSERT INTO t (_partition, n, s) SELECT i % 2, i, md5(i::text) FROM generate_series(1, 5000) i;
SELECT streamhouse.flush('t');
SELECT partition, count(*) > 1 AS several, min(base_offset), max(end_offset), sum(records) FROM mine GROUP BY 1 ORDER BY 1;
SELECT segments > 1 AS several, segment_bytes > 0 AS bytes, oldest_unflushed, next_offset, stable_offset FROM streamhouse.logs WHERE topic = 't'::regclass;
INSERT INTO t (_partition, n, s) SELECT i % 2, i, md5(i::text) FROM generate_series(5001, 5020) i;
SELECT oldest_unflushed BETWEEN now() - interval '1 min' AND clock_timestamp() AS waits FROM streamhouse.logs WHERE topic = 't'::regclass;
SELECT _partition, count(*), count(DISTINCT _offset), min(_offset), max(_offset), sum(n), bool_and(s = md5(n::text)) FROM t GROUP BY 1 ORDER BY 1;
SELECT count(*), min(_offset), max(_offset), sum(n) FROM streamhouse.read(NULL::t, 1, 2495, 10);
SELECT count(*), min(_offset), max(_offset), sum(n) FROM streamhouse.read(NULL::t, 1, 700, 1000);
SELECT count(*) AS one FROM streamhouse.read(NULL::t, 1, 700, max_bytes => 1);
SELECT count(*) FROM streamhouse.read(NULL::t, 1, 700, max_bytes => 3700);
DO $$
DECLARE
    n bigint;
    total bigint = 0;
BEGIN
    LOOP
        SELECT count(*) INTO n FROM streamhouse.poll('g', NULL::t, 777);
        EXIT WHEN n = 0;
        total = total + n;
    END LOOP;
    RAISE NOTICE 'polled %', total;
END $$;
SELECT partition, position, lag FROM streamhouse.consumer_lag WHERE topic = 't'::regclass ORDER BY 1;
-- what a query has to read; a block of which only the number is asked for is not
CREATE FUNCTION explained(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
        RETURN NEXT regexp_replace(regexp_replace(line, '[1-9]\d* B', 'some B'), '(rows=\d+)\.\d+', '\1');
    END LOOP;
END $$;
SELECT explained('SELECT count(*) FROM t');
SELECT explained('SELECT sum(n) FROM t');
SELECT streamhouse.flush();
SELECT * FROM in_tail;
SELECT streamhouse.flush('t');      -- nothing to do
SELECT count(*), sum(n) FROM t;
SELECT object_id > 0 AS id, server, size > 0 AS size, state, written_at > now() - interval '1 hour' AS written FROM streamhouse.objects WHERE state = 'live' LIMIT 1;
SELECT * FROM streamhouse.verify('t');

-- columns that come, go and change their names between flushes
ALTER FOREIGN TABLE t ADD COLUMN added int;
INSERT INTO t (_partition, n, s, added) VALUES (0, -1, 'with', 1);
SELECT streamhouse.flush('t');
ALTER FOREIGN TABLE t RENAME COLUMN added TO renamed;
INSERT INTO t (_partition, n, s, renamed) VALUES (0, -2, 'with', 2);
ALTER FOREIGN TABLE t DROP COLUMN s;
INSERT INTO t (_partition, n, renamed) VALUES (0, -3, 3);
SELECT streamhouse.flush('t');
ALTER FOREIGN TABLE t ADD COLUMN s bytea;
INSERT INTO t (_partition, n, renamed, s) VALUES (0, -4, 4, '\x00');
SELECT _offset, n, renamed, s FROM t WHERE n < 0 ORDER BY 1;
SELECT count(*), sum(n), count(renamed), count(s) FROM t;
SELECT streamhouse.flush('t');
SELECT _offset, n, renamed, s FROM streamhouse.read(NULL::t, 0, 2509);
SELECT * FROM streamhouse.verify('t');

-- staged rows, flushed in parts
SET streamhouse.batch_memory = '64kB';
INSERT INTO t (_partition, n, s) SELECT 1, i, decode(repeat(md5(i::text), 3), 'hex') FROM generate_series(1, 20000) i;
RESET streamhouse.batch_memory;
SELECT count(*), sum(n), min(_offset), max(_offset) FROM t WHERE _partition = 1 AND s IS NOT NULL;
SELECT streamhouse.flush('t');
SELECT count(*), sum(n), min(_offset), max(_offset) FROM t WHERE _partition = 1 AND s IS NOT NULL;
SELECT count(*) > 10 AS many, bool_and(base_offset = lag) AS follow FROM (SELECT base_offset, lag(end_offset, 1, 0::bigint) OVER (ORDER BY end_offset) FROM mine WHERE partition = 1) s;
SELECT * FROM in_tail;
SELECT * FROM streamhouse.verify('t');

-- the start within staged rows, before they are flushed and after
SELECT streamhouse.create_topic('staged', 1, 'n int, s text', NULL, options => '{"segment_size": "1GB"}');
SET streamhouse.batch_memory = '64kB';
INSERT INTO staged (n, s) SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
RESET streamhouse.batch_memory;
SELECT streamhouse.delete_records('staged', 0, 7777);
SELECT count(*), min(n), min(_offset) FROM staged;
SELECT * FROM streamhouse.verify('staged');
ALTER FOREIGN TABLE staged OPTIONS (SET segment_size '64kB');
SELECT streamhouse.flush('staged');
SELECT count(*), min(n), min(_offset) FROM staged;
SELECT min(base_offset), max(end_offset), sum(records) FROM streamhouse.segments WHERE topic = 'staged'::regclass;
SELECT * FROM streamhouse.verify('staged');
SELECT count(*) FROM streamhouse.tail JOIN streamhouse.logs USING (log_id) WHERE topic = 'staged'::regclass;

-- deleting
SELECT streamhouse.delete_records('t', 1, 2000);
SELECT count(*), min(_offset), sum(n) FROM t WHERE _partition = 1;
SELECT min(base_offset) <= 2000 AND min(end_offset) > 2000 AS reaches_over, min(base_offset) > 0 AS older_gone FROM mine WHERE partition = 1;
SELECT min(_offset) FROM streamhouse.read(NULL::t, 1, 2000, 1);
SELECT count(*) FROM streamhouse.read(NULL::t, 1, 1999);
SELECT streamhouse.delete_records('t', 1, 10);
INSERT INTO t (_partition, n) SELECT 1, i FROM generate_series(1, 10) i;
SELECT streamhouse.delete_records('t', 1, next_offset - 3) = next_offset - 3 AS moved FROM streamhouse.logs WHERE topic = 't'::regclass AND partition = 1;
SELECT n FROM t WHERE _partition = 1 ORDER BY _offset;
SELECT * FROM streamhouse.verify('t');
SELECT streamhouse.flush('t');
SELECT n FROM t WHERE _partition = 1 ORDER BY _offset;
SELECT * FROM mine WHERE partition = 1;
SELECT * FROM streamhouse.verify('t');
SELECT streamhouse.delete_records('t', 1, 100000);
SELECT streamhouse.delete_records('t', 2, 0);
SELECT streamhouse.delete_records('t', NULL, 0);
INSERT INTO t (_partition, n) VALUES (0, 1), (1, 2);
BEGIN;
TRUNCATE t;
SELECT count(*) FROM t;
ROLLBACK;
SELECT count(*) > 1500 AS there FROM t;
BEGIN;
TRUNCATE t;
INSERT INTO t (_partition, n) VALUES (0, 1), (1, 2);
TRUNCATE t;
ROLLBACK;
SELECT count(*) > 1500 AS there FROM t;
-- what the transaction has produced before goes too, and comes back with a savepoint
SELECT streamhouse.create_topic('cut', 2, 'n int', NULL);
INSERT INTO cut (_partition, n) VALUES (0, 0);
BEGIN;
INSERT INTO cut (_partition, n) VALUES (0, 1), (1, 2);
TRUNCATE cut;
INSERT INTO cut (_partition, n) VALUES (0, 3);
SAVEPOINT a;
INSERT INTO cut (_partition, n) VALUES (0, 4);
TRUNCATE cut;
INSERT INTO cut (_partition, n) VALUES (1, 5);
SAVEPOINT b;
TRUNCATE cut;
INSERT INTO cut (_partition, n) VALUES (1, 6);
RELEASE b;
ROLLBACK TO a;
INSERT INTO cut (_partition, n) VALUES (0, 7);
COMMIT;
SELECT _partition, _offset, n FROM cut ORDER BY 1, 2;
BEGIN;
INSERT INTO cut (_partition, n) VALUES (0, 8);
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO cut (_partition, n) VALUES (0, 9);
TRUNCATE cut;
INSERT INTO cut (_partition, n) VALUES (0, 10);
RELEASE b;
INSERT INTO cut (_partition, n) VALUES (0, 11);
RELEASE a;
INSERT INTO cut (_partition, n) VALUES (0, 12);
COMMIT;
SELECT _partition, _offset, n FROM cut ORDER BY 1, 2;
SELECT partition, first_offset, last_offset FROM streamhouse.last_produced();
BEGIN;      -- nothing is left to produce
INSERT INTO cut (_partition, n) VALUES (0, 13);
TRUNCATE cut;
COMMIT;
SELECT partition, start_offset, next_offset FROM streamhouse.logs WHERE topic = 'cut'::regclass ORDER BY 1;
-- columns that were added while rows were set aside, and again when they were back
BEGIN;
INSERT INTO cut (_partition, n) VALUES (0, 14);
SAVEPOINT a;
TRUNCATE cut;
ALTER FOREIGN TABLE cut ADD COLUMN m int;
INSERT INTO cut (_partition, n, m) VALUES (0, 15, 15);
ROLLBACK TO a;
ALTER FOREIGN TABLE cut ADD COLUMN m int;
INSERT INTO cut (_partition, n, m) VALUES (0, 16, 16);
COMMIT;
SELECT _offset, n, m FROM cut ORDER BY 1;
-- staged rows
SET streamhouse.batch_memory = '64kB';
BEGIN;
INSERT INTO cut (_partition, n) SELECT i % 2, i FROM generate_series(1, 100000) i;
SAVEPOINT a;
TRUNCATE cut;
INSERT INTO cut (_partition, n) SELECT i % 2, i FROM generate_series(1, 50000) i;
ROLLBACK TO a;
INSERT INTO cut (_partition, n) SELECT i % 2, i FROM generate_series(100001, 150000) i;
COMMIT;
SELECT count(*), sum(n), max(_offset) FROM cut WHERE n > 16 OR _partition = 1 OR _offset > 5;
BEGIN;
INSERT INTO cut (_partition, n) SELECT i % 2, i FROM generate_series(1, 100000) i;
TRUNCATE cut;
INSERT INTO cut (_partition, n) SELECT i % 2, i FROM generate_series(1, 60000) i;
COMMIT;
RESET streamhouse.batch_memory;
SELECT count(*), sum(n) FROM cut;
SELECT * FROM streamhouse.verify('cut');
SELECT (SELECT count(DISTINCT stage) FROM streamhouse.tail t WHERE t.log_id = l.log_id AND stage > 0) AS stages FROM streamhouse.logs l WHERE topic = 'cut'::regclass;
DROP FOREIGN TABLE cut;
BEGIN;
TRUNCATE t;
INSERT INTO t (_partition, n) VALUES (0, 7);
COMMIT;
SELECT count(*), min(n), (SELECT start_offset = min(_offset) FROM streamhouse.logs WHERE topic = 't'::regclass AND partition = 0) FROM t;
SELECT count(*) FROM mine;
SELECT n FROM streamhouse.poll('g', NULL::t);
SELECT partition, lag FROM streamhouse.consumer_lag WHERE topic = 't'::regclass ORDER BY 1;
SELECT streamhouse.flush('t');
SELECT * FROM in_tail;
SELECT n FROM t;
SELECT * FROM streamhouse.verify('t');

-- objects go with their last segment
CREATE TEMP TABLE object_ids AS SELECT DISTINCT object_id FROM streamhouse.segments WHERE topic = 't'::regclass;
SELECT streamhouse.create_topic('u', 1, 'n int', NULL);
INSERT INTO u (n) VALUES (1);
SELECT streamhouse.flush('u');
INSERT INTO object_ids SELECT object_id FROM streamhouse.segments WHERE topic = 'u'::regclass;
SELECT count(*) > 0 AS objects FROM streamhouse.object JOIN object_ids USING (object_id) LEFT JOIN streamhouse.object_data USING (object_id)
WHERE key IS NOT NULL OR data IS NOT NULL;
DROP FOREIGN TABLE u;
TRUNCATE t;
SELECT count(*) AS objects FROM streamhouse.object JOIN object_ids USING (object_id) WHERE key IS NULL OR state <> 'garbage';
SELECT count(*) AS data FROM streamhouse.object_data JOIN object_ids USING (object_id);

-- what a session keeps of blocks is bounded, whatever a reader ended with
CREATE FOREIGN TABLE wide (n int, value text) SERVER streamhouse;
INSERT INTO wide SELECT n, repeat(chr(64 + n), n * 100000) FROM generate_series(1, 5) n;
INSERT INTO wide VALUES (60, repeat('wide', 1500000));
SELECT streamhouse.flush('wide');
SELECT n, length(value), md5(value) = md5(repeat(chr(64 + n), n * 100000)) AS same FROM wide WHERE n < 60;
SELECT sum(length(value) / (n - 3)) FROM wide;
SELECT a.n, a.value = b.value AS same FROM wide a JOIN wide b USING (n) ORDER BY n;
SELECT (SELECT length(value) FROM wide LIMIT 1), count(*) FROM streamhouse.read(NULL::wide, 0, 1);
SELECT coalesce(sum(total_bytes), 0) <= 9000000 AS bounded
FROM pg_backend_memory_contexts WHERE name = 'streamhouse block';
DROP FOREIGN TABLE wide;

-- what may be asked for
\set VERBOSITY default
ALTER FOREIGN TABLE t OPTIONS (SET segment_size '63kB');
ALTER FOREIGN TABLE t OPTIONS (SET segment_size '2GB');
ALTER FOREIGN TABLE t OPTIONS (SET segment_size 'large');
ALTER FOREIGN TABLE t OPTIONS (SET segment_size '1 s');
ALTER FOREIGN TABLE t OPTIONS (ADD flush_interval '0');
ALTER FOREIGN TABLE t OPTIONS (ADD flush_interval '8d');
ALTER FOREIGN TABLE t OPTIONS (ADD flush_interval '1GB');
ALTER FOREIGN TABLE t OPTIONS (ADD compression 'gzip');
ALTER FOREIGN TABLE t OPTIONS (SET segment_size '1GB', ADD flush_interval '1h', ADD compression 'zstd');
SET streamhouse.segment_size = '1MB';
SELECT streamhouse.flush('mine');
BEGIN;
ALTER FOREIGN TABLE t ADD COLUMN x int;
SELECT streamhouse.flush('t');
ROLLBACK;
CREATE ROLE segments_other;
GRANT USAGE ON SCHEMA segments_test TO segments_other;
SET ROLE segments_other;
SELECT streamhouse.flush('t');
SELECT streamhouse.delete_records('t', 0, 0);
SELECT streamhouse.flush();
SELECT count(*) FROM streamhouse.segments;
SELECT count(*) FROM streamhouse.objects;
RESET ROLE;
INSERT INTO t (_partition, n) VALUES (0, 8);
SELECT streamhouse.flush('t');
GRANT INSERT ON t TO segments_other;
SET ROLE segments_other;
SELECT count(*) FROM streamhouse.segments;
SELECT count(*) FROM streamhouse.objects;
SELECT streamhouse.flush('t');
RESET ROLE;
REVOKE USAGE ON SCHEMA segments_test FROM segments_other;
REVOKE INSERT ON t FROM segments_other;
DROP ROLE segments_other;

SET client_min_messages = warning;
DROP SCHEMA segments_test CASCADE;
