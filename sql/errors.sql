--
-- Bad input: what it gets, and that nothing is written
--
CREATE SCHEMA errors_test;
SET search_path = errors_test, public;
\pset format unaligned

-- runs a command and tells how it was refused; nothing that it did stays
CREATE FUNCTION refused(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE command;
    RAISE EXCEPTION 'accepted: %', command;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', sqlstate || ' ' || sqlerrm,
                     '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(hint, ''));
END $$;

SELECT streamhouse.create_topic('t', 3, 'k text, n int, v text', 'k');
CREATE TABLE copies (n int);
CREATE VIEW state AS
SELECT (SELECT count(*) FROM t) AS rows, (SELECT sum(next_offset) FROM streamhouse.logs WHERE topic = 't'::regclass) AS offsets,
       (SELECT count(*) FROM streamhouse.tail JOIN streamhouse.log USING (log_id) JOIN streamhouse.topic USING (topic_id) WHERE relid = 't'::regclass) AS frames;
TABLE state;

-- offsets are not given by hand
SELECT refused('INSERT INTO t (_offset, n) VALUES (0, 1)');
SELECT refused('INSERT INTO t (_offset, n) SELECT i, i FROM generate_series(1, 3) i');
SELECT refused($$SELECT streamhouse.produce('t', '{"_offset": 5}')$$);
INSERT INTO t (_offset, _partition, _timestamp, n) VALUES (NULL, NULL, NULL, 1), (DEFAULT, DEFAULT, DEFAULT, 2);   -- NULL is none
COPY t (_offset, n) FROM STDIN;
5	1
\.
TABLE state;

-- partitions that there are not
SELECT refused(format('INSERT INTO t (_partition, n) VALUES (%s, 1)', p)) FROM unnest(ARRAY['-1', '3', '2147483647', '''x''', '2147483648']) p;
SELECT refused(format($$SELECT streamhouse.produce('t', '{"n": 1}', partition => %s)$$, p)) FROM unnest(ARRAY['-1', '3', '2147483648']) p;
SELECT refused($$SELECT streamhouse.produce_batch('t', ARRAY['{"n": 1}'], partition => 3)$$);
COPY t (_partition, n) FROM STDIN;
0	1
3	1
\.

-- rows that are too large
SET streamhouse.max_record_size = '16kB';
INSERT INTO t (n, v) VALUES (3, repeat('x', 16000));
SELECT refused($$INSERT INTO t (n, v) VALUES (1, repeat('x', 17000))$$);
SELECT refused($$INSERT INTO t (k, v) VALUES (repeat('x', 9000), repeat('x', 9000))$$);
SELECT refused($$INSERT INTO t (n, v) SELECT i, repeat('x', i * 5000) FROM generate_series(1, 4) i$$);
SELECT refused($$SELECT streamhouse.produce('t', json_build_object('v', repeat('x', 17000)))$$);
SELECT refused($$SELECT streamhouse.produce_batch('t', ARRAY['{"n": 1}', json_build_object('v', repeat('x', 17000))::text])$$);
BEGIN;
INSERT INTO t (n) VALUES (4);
SAVEPOINT s;
INSERT INTO t (n, v) VALUES (5, 'small'), (6, repeat('x', 17000));
ROLLBACK TO s;
INSERT INTO t (n) VALUES (7);
COMMIT;
SELECT n FROM t ORDER BY n;
RESET streamhouse.max_record_size;
SELECT left(refused(format('SET streamhouse.max_record_size = %L', size)), 5) FROM unnest(ARRAY['0', '-1', '300MB', 'much']) AS size;
SET streamhouse.max_records_size = 1;   -- there is no such setting
SET streamhouse.max_logs = 100;

-- transactions that cannot produce
TABLE state \gset before_
BEGIN READ ONLY;
INSERT INTO t (n) VALUES (1);
ROLLBACK;
SET default_transaction_read_only = on;
SELECT refused('INSERT INTO t (n) VALUES (1)');
SELECT refused($$SELECT streamhouse.produce('t', '{"n": 1}')$$);
SELECT refused($$SELECT streamhouse.produce_batch('t', ARRAY['{"n": 1}'])$$);
SELECT refused($$SELECT streamhouse.create_topic('u')$$);
SELECT refused('DROP FOREIGN TABLE t');
SELECT refused('TRUNCATE t');
SELECT refused($$SELECT streamhouse.delete_records('t', 0, 1)$$);
SELECT refused($$SELECT streamhouse.create_group('g', 't')$$);
SELECT refused($$SELECT streamhouse.drop_group('g', 't')$$);
SELECT refused($$SELECT * FROM streamhouse.poll('g', NULL::t)$$);
\copy t (n) FROM /dev/null
SELECT count(*) FROM t;
SET default_transaction_read_only = off;
-- a prepared transaction gets no offsets
BEGIN;
INSERT INTO t (n) VALUES (8);
INSERT INTO copies VALUES (8);
PREPARE TRANSACTION 'regress_sth_1';
\echo :SQLSTATE
BEGIN;
SELECT streamhouse.produce('t', '{"n": 8}', partition => 0);
SAVEPOINT s;
INSERT INTO t (n) VALUES (9);
RELEASE s;
PREPARE TRANSACTION 'regress_sth_2';
BEGIN;      -- what was rolled back does not count
SAVEPOINT s;
INSERT INTO t (n) VALUES (8);
ROLLBACK TO s;
INSERT INTO copies VALUES (9);
PREPARE TRANSACTION 'regress_sth_3';
COMMIT PREPARED 'regress_sth_3';
BEGIN;      -- and reading is free
SELECT count(*) FROM t WHERE n = 8;
INSERT INTO copies VALUES (10);
PREPARE TRANSACTION 'regress_sth_4';
ROLLBACK PREPARED 'regress_sth_4';
SELECT gid FROM pg_prepared_xacts WHERE gid LIKE 'regress_sth%';
SELECT n FROM copies;
-- what is created, altered or dropped
BEGIN;
SELECT streamhouse.create_topic('prepared');
PREPARE TRANSACTION 'regress_sth_5';
ROLLBACK PREPARED 'regress_sth_5';
SELECT refused($$SELECT streamhouse.produce('prepared', '1')$$);
BEGIN;
SELECT streamhouse.create_topic('prepared', 2);
PREPARE TRANSACTION 'regress_sth_6';
COMMIT PREPARED 'regress_sth_6';
SELECT streamhouse.produce('prepared', '1', partition => 1);
BEGIN;
DROP FOREIGN TABLE prepared;
PREPARE TRANSACTION 'regress_sth_7';
SELECT streamhouse.produce('prepared', '2', partition => 1);
SELECT _offset, value FROM prepared;
BEGIN;
ALTER FOREIGN TABLE prepared OPTIONS (SET partitions '4');
PREPARE TRANSACTION 'regress_sth_8';
COMMIT PREPARED 'regress_sth_8';
SELECT streamhouse.produce('prepared', '3', partition => 3);
BEGIN;
ALTER FOREIGN TABLE prepared OPTIONS (SET partitions '5');
PREPARE TRANSACTION 'regress_sth_9';
ROLLBACK PREPARED 'regress_sth_9';
SELECT partition, next_offset FROM streamhouse.logs WHERE topic = 'prepared'::regclass ORDER BY 1;
-- records deleted, which after a restart would be there until it commits
BEGIN;
SELECT streamhouse.delete_records('prepared', 1, 1);
PREPARE TRANSACTION 'regress_sth_10';
\echo :SQLSTATE
BEGIN;
TRUNCATE prepared;
PREPARE TRANSACTION 'regress_sth_11';
BEGIN;
SAVEPOINT s;
SAVEPOINT ss;
TRUNCATE prepared;
RELEASE ss;
RELEASE s;
SAVEPOINT s;
SELECT 1 / 0;
ROLLBACK TO s;
PREPARE TRANSACTION 'regress_sth_12';
BEGIN;      -- not if that was rolled back, nor if nothing was to be deleted
SAVEPOINT s;
TRUNCATE prepared;
SAVEPOINT ss;
SELECT streamhouse.delete_records('prepared', 1, 1);
RELEASE ss;
ROLLBACK TO s;
SELECT streamhouse.delete_records('prepared', 1, 0);
PREPARE TRANSACTION 'regress_sth_13';
COMMIT PREPARED 'regress_sth_13';
SELECT _partition, _offset, value FROM prepared ORDER BY 1, 2;
SELECT partition, start_offset, next_offset FROM streamhouse.logs WHERE topic = 'prepared'::regclass ORDER BY 1;
-- produce functions do not run in parallel, however they are called
SELECT proname, provolatile, proparallel FROM pg_proc WHERE pronamespace = 'streamhouse'::regnamespace AND proname LIKE 'produce%' AND (provolatile <> 'v' OR proparallel <> 'u');
CREATE FUNCTION mislabeled(int) RETURNS int LANGUAGE sql PARALLEL SAFE AS $$ SELECT streamhouse.produce('t', jsonb_build_object('n', $1)) $$;
CREATE FUNCTION stable(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN INSERT INTO t (n) VALUES ($1); RETURN 1; END $$;
SELECT refused('SELECT stable(1)');
INSERT INTO copies SELECT generate_series(1, 20000);
ALTER TABLE copies SET (parallel_workers = 2);
ANALYZE copies;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT refused('SELECT count(mislabeled(n)) FROM copies WHERE n > 19990');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- errors in the middle of a statement
SELECT refused('INSERT INTO t (n) SELECT 10 / (3 - i) FROM generate_series(1, 5) i');
SELECT refused('INSERT INTO t (n) VALUES (''x'')');
SELECT refused('INSERT INTO t (m) VALUES (1)');
SELECT refused('INSERT INTO nothing (n) VALUES (1)');
SELECT refused($$SELECT streamhouse.produce('nothing', '1')$$);
SELECT refused($$SELECT streamhouse.produce('t')$$);
SELECT refused($$SELECT streamhouse.produce('t', 1)$$);
SELECT refused($$SELECT streamhouse.partition_for('nothing', 'x')$$);
SELECT refused($$SELECT streamhouse.read(NULL::nothing, 0, 0)$$);
SET statement_timeout = '200ms';
INSERT INTO t (n) SELECT 1 FROM generate_series(1, 3) i, LATERAL pg_sleep(i);
\echo :SQLSTATE
RESET statement_timeout;
BEGIN;
INSERT INTO t (n) SELECT generate_series(1, 1000);
SELECT 1 / 0;
COMMIT;

-- more partitions than there is room for; dropping a topic makes room
SELECT streamhouse.create_topic('many', 10000, 'n int', NULL);
SELECT streamhouse.create_topic('too_many', 10000, 'n int', NULL);
INSERT INTO many (_partition, n) SELECT i, i FROM generate_series(0, 9999) i;
SELECT refused('INSERT INTO too_many (_partition, n) SELECT i, i FROM generate_series(0, 9999) i');
INSERT INTO many (_partition, n) SELECT i % 10000, i FROM generate_series(0, 19999) i;
SELECT count(*), min(_offset), max(_offset) FROM many;
SELECT count(*) FROM too_many;
DROP FOREIGN TABLE many;
INSERT INTO too_many (_partition, n) SELECT i, i FROM generate_series(0, 9999) i;
SELECT count(*), max(_offset) FROM too_many;
DROP FOREIGN TABLE too_many;

-- nothing of all this was written, and what is right still is
SELECT rows - :before_rows AS rows, offsets - :before_offsets AS offsets, frames - :before_frames AS frames FROM state;
INSERT INTO t (k, n) VALUES ('last', 100);
SELECT rows - :before_rows AS rows, offsets - :before_offsets AS offsets, frames - :before_frames AS frames FROM state;
SELECT n FROM t WHERE k = 'last';

SET client_min_messages = warning;
DROP SCHEMA errors_test CASCADE;
RESET search_path;
