--
-- What is counted: stat_topics, stat_groups, stat_reset()
--
CREATE SCHEMA stats_test;
SET search_path = stats_test, public;
\pset format unaligned
\pset null '<null>'

-- runs a command and tells how it was refused; nothing that it did stays
CREATE FUNCTION refused(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE command;
    RAISE EXCEPTION 'accepted: %', command;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', sqlstate || ' ' || sqlerrm, '  hint: ' || nullif(hint, ''));
END $$;

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_sth_owner, regress_sth_reader, regress_sth_nobody;
RESET client_min_messages;
CREATE ROLE regress_sth_owner;
CREATE ROLE regress_sth_reader;
CREATE ROLE regress_sth_nobody;
GRANT USAGE ON SCHEMA stats_test TO PUBLIC;

SELECT streamhouse.create_topic('t', 2, 'n int, v text', NULL);
SELECT streamhouse.create_topic('u', 1, 'n int', NULL);
SELECT streamhouse.create_group('g', 't');

CREATE VIEW topics AS SELECT topic, rows_produced AS produced, bytes_produced AS bytes, transactions, rows_polled AS polled, bytes_polled AS bytes2, batches_polled AS batches,
    (SELECT sum(h) FROM unnest(commit_histogram) h) AS commits, stats_reset IS NULL AS since_start
FROM streamhouse.stat_topics;
CREATE VIEW groups AS SELECT consumer_group, topic, polls, empty_polls AS empty, rows, bytes, waits, (SELECT sum(h) FROM unnest(wait_histogram) h) AS slept, stats_reset IS NULL AS since_start
FROM streamhouse.stat_groups;
CREATE FUNCTION polled(name text, max_records int DEFAULT 500) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM streamhouse.poll(name, NULL::t, max_records) $$;

--
-- Producing
--
SELECT * FROM topics WHERE topic IN ('t'::regclass, 'u'::regclass) ORDER BY topic::text;
INSERT INTO t (_partition, n) VALUES (0, 1), (0, 2), (0, 3);
SELECT * FROM topics WHERE topic = 't'::regclass;
-- one transaction, both partitions, two topics; a text takes a byte more than it has
BEGIN;
INSERT INTO t (_partition, n, v) VALUES (0, 4, 'abc'), (1, 5, NULL);
INSERT INTO u (n) VALUES (6);
SELECT streamhouse.produce('u', '{"n": 7}'::json);
INSERT INTO t (_partition, n) VALUES (0, 8);
SELECT * FROM topics WHERE topic IN ('t'::regclass, 'u'::regclass) ORDER BY topic::text;    -- nothing yet
COMMIT;
SELECT * FROM topics WHERE topic IN ('t'::regclass, 'u'::regclass) ORDER BY topic::text;
-- bytes are those before compression, of any number of frames
INSERT INTO u (n) SELECT generate_series(1, 10000);
SELECT * FROM topics WHERE topic = 'u'::regclass;
INSERT INTO t (_partition, n, v) VALUES (1, 9, repeat('x', 100000));
SELECT * FROM topics WHERE topic = 't'::regclass;
-- what is rolled back is not counted, all or part of it
BEGIN;
INSERT INTO u (n) VALUES (1);
ROLLBACK;
BEGIN;
INSERT INTO u (n) VALUES (1);
SAVEPOINT a;
INSERT INTO u (n) SELECT generate_series(1, 5000);
SAVEPOINT b;
INSERT INTO u (n) VALUES (1);
RELEASE b;
ROLLBACK TO a;
INSERT INTO u (n) VALUES (1);
COMMIT;
SELECT * FROM topics WHERE topic = 'u'::regclass;
-- nor what fails after it has taken offsets
SET streamhouse.failpoint = 'inserted:error';
INSERT INTO u (n) VALUES (1);
RESET streamhouse.failpoint;
INSERT INTO u (n) SELECT 1 WHERE false;
SELECT * FROM topics WHERE topic = 'u'::regclass;

--
-- Polling
--
SELECT * FROM groups WHERE topic = 't'::regclass;
SELECT polled('g', 4);
SELECT * FROM groups WHERE topic = 't'::regclass;
BEGIN;
SELECT polled('g');
ROLLBACK;
SELECT * FROM groups WHERE topic = 't'::regclass;
BEGIN;
SELECT polled('g', 1);
SAVEPOINT a;
SELECT polled('g', 1);
SAVEPOINT b;
SELECT polled('g', 1);
RELEASE b;
RELEASE a;
SAVEPOINT c;
SELECT polled('g');
ROLLBACK TO c;
SELECT * FROM groups WHERE topic = 't'::regclass;    -- nothing yet
COMMIT;
SELECT * FROM groups WHERE topic = 't'::regclass;
SELECT * FROM topics WHERE topic = 't'::regclass;
-- exception blocks
DO $$
BEGIN
    FOR i IN 1 .. 3 LOOP
        BEGIN
            PERFORM polled('g');
            IF i < 3 THEN RAISE division_by_zero; END IF;
        EXCEPTION WHEN division_by_zero THEN
        END;
    END LOOP;
    FOR i IN 1 .. 10 LOOP
        BEGIN
            PERFORM polled('g');
        EXCEPTION WHEN division_by_zero THEN
        END;
    END LOOP;
END $$;
SELECT * FROM groups WHERE topic = 't'::regclass;
SELECT rows_produced = rows_polled AND bytes_produced = bytes_polled AS all_was_polled FROM streamhouse.stat_topics WHERE topic = 't'::regclass;
-- a group of its own
SELECT streamhouse.create_group('h', 't');
SELECT polled('h');
SELECT * FROM groups WHERE topic = 't'::regclass ORDER BY 1;
SELECT * FROM topics WHERE topic = 't'::regclass;

-- waiting; what slept, not what returned at once
SELECT count(*) FROM streamhouse.poll('g', NULL::t, timeout => '2 ms');
CALL streamhouse.wait('g', 't', '2 ms');
CALL streamhouse.wait('g', 't', '-2 ms');
BEGIN;
SELECT count(*) FROM streamhouse.poll('g', NULL::t, timeout => '2 ms');
ROLLBACK;
INSERT INTO t (n) VALUES (10);
CALL streamhouse.wait('g', 't', '10 min');
SELECT count(*) FROM streamhouse.poll('g', NULL::t, timeout => '10 min');
SELECT * FROM groups WHERE topic = 't'::regclass ORDER BY 1;
-- they slept 2 ms, so a bucket that ends at 2 ms or below has none
SELECT wait_time_ms >= 4 AS time, wait_p50_ms > 2 AS p50, wait_p99_ms >= wait_p50_ms AS p99, (SELECT sum(h) FROM unnest(wait_histogram[1:11]) h) AS short
FROM streamhouse.stat_groups WHERE topic = 't'::regclass AND consumer_group = 'g';
SELECT wait_time_ms * 1000 BETWEEN sum(h * 2 ^ (i - 2)) AND sum(h * 2 ^ (i - 1)) AS within_bounds
FROM streamhouse.stat_groups, unnest(wait_histogram) WITH ORDINALITY AS x (h, i) WHERE topic = 't'::regclass AND consumer_group = 'g' GROUP BY wait_time_ms;
SELECT wait_time_ms, wait_p50_ms, wait_p99_ms FROM streamhouse.stat_groups WHERE topic = 't'::regclass AND consumer_group = 'h';
SELECT commit_p50_ms > 0 AS p50, commit_p99_ms >= commit_p50_ms AS p99 FROM streamhouse.stat_topics WHERE topic = 't'::regclass;

--
-- Histograms
--
SELECT n, streamhouse.histogram_percentile(array_fill(0, ARRAY[n - 1]) || ARRAY[1] || array_fill(0, ARRAY[32 - n]), 0.5) AS ms FROM unnest(ARRAY[1, 2, 3, 11, 21, 31, 32]) n;
SELECT f, streamhouse.histogram_percentile(ARRAY[50, 0, 40, 9, 1] || array_fill(0, ARRAY[27]), f) AS ms FROM unnest(ARRAY[0, 0.5, 0.51, 0.9, 0.91, 0.99, 0.991, 1]) f;
SELECT streamhouse.histogram_percentile(array_fill(0, ARRAY[32]), 0.5), streamhouse.histogram_percentile(NULL, 0.5), streamhouse.histogram_percentile(array_fill(1, ARRAY[32]), NULL);
SELECT refused(format('SELECT streamhouse.histogram_percentile(%s)', args)) FROM unnest(ARRAY[
    $$'{}', 0.5$$, 'array_fill(1, ARRAY[31]), 0.5', 'array_fill(1, ARRAY[4, 8]), 0.5', 'array_fill(1, ARRAY[31]) || NULL::bigint, 0.5', 'array_fill(1, ARRAY[31]) || -1::bigint, 0.5',
    'array_fill(1, ARRAY[32]), 1.01', 'array_fill(1, ARRAY[32]), -0.1', 'array_fill(1, ARRAY[32]), ''nan''']) AS args;

--
-- stat_reset()
--
SELECT clock_timestamp() AS before \gset
SELECT streamhouse.stat_reset('u');
SELECT * FROM topics WHERE topic IN ('t'::regclass, 'u'::regclass) ORDER BY topic::text;
SELECT commit_p50_ms, commit_p99_ms, stats_reset BETWEEN :'before' AND clock_timestamp() AS just_now FROM streamhouse.stat_topics WHERE topic = 'u'::regclass;
INSERT INTO u (n) VALUES (1);
SELECT * FROM topics WHERE topic = 'u'::regclass;
-- its groups too
SELECT streamhouse.stat_reset('t');
SELECT * FROM groups WHERE topic = 't'::regclass ORDER BY 1;
INSERT INTO t (n) VALUES (1);
SELECT polled('g');
SELECT streamhouse.stat_reset();
SELECT * FROM topics WHERE topic IN ('t'::regclass, 'u'::regclass) ORDER BY topic::text;
SELECT * FROM groups WHERE topic = 't'::regclass ORDER BY 1;
SELECT refused(format('SELECT streamhouse.stat_reset(%s)', args)) FROM unnest(ARRAY['''pg_class''', '''absent''', '0']) AS args;

--
-- What is dropped leaves nothing
--
INSERT INTO t (n) VALUES (1);
SELECT polled('g'), polled('h');
BEGIN;
SELECT streamhouse.drop_group('g', 't');
ROLLBACK;
SELECT polls FROM groups WHERE topic = 't'::regclass AND consumer_group = 'g';
SELECT group_id AS g FROM streamhouse.consumer_group JOIN streamhouse.topics USING (topic_id) WHERE topic = 't'::regclass AND consumer_group.name = 'g' \gset
BEGIN;
SELECT polled('g');
SELECT streamhouse.drop_group('g', 't');
COMMIT;
SELECT streamhouse.group_counters(:g);
SELECT streamhouse.create_group('g', 't');
SELECT * FROM groups WHERE topic = 't'::regclass ORDER BY 1;
SELECT polled('g', 1);
SELECT * FROM groups WHERE topic = 't'::regclass ORDER BY 1;
-- undone, it goes on
BEGIN;
SAVEPOINT a;
SELECT streamhouse.drop_group('g', 't');
ROLLBACK TO a;
SELECT polled('g', 1);
COMMIT;
SELECT * FROM groups WHERE topic = 't'::regclass AND consumer_group = 'g';
-- prepared, it goes at once: nothing of ours runs at COMMIT PREPARED
BEGIN;
SELECT streamhouse.drop_group('g', 't');
PREPARE TRANSACTION 'regress_sth';
ROLLBACK PREPARED 'regress_sth';
SELECT * FROM groups WHERE topic = 't'::regclass AND consumer_group = 'g';
-- and what is prepared is not counted
BEGIN;
SELECT count(*) FROM streamhouse.poll('h', NULL::t);
PREPARE TRANSACTION 'regress_sth';
COMMIT PREPARED 'regress_sth';
SELECT * FROM groups WHERE topic = 't'::regclass AND consumer_group = 'h';
BEGIN;
INSERT INTO t (n) VALUES (1);
DROP FOREIGN TABLE t;
ROLLBACK;
SELECT produced FROM topics WHERE topic = 't'::regclass;
BEGIN;
INSERT INTO t (n) VALUES (1);
SELECT polled('h');
DROP FOREIGN TABLE t;
SELECT streamhouse.create_topic('t', 2, 'n int, v text', NULL);
INSERT INTO t (n) VALUES (1);
SELECT streamhouse.create_group('h', 't');
COMMIT;
SELECT * FROM topics WHERE topic = 't'::regclass;
SELECT * FROM groups WHERE topic = 't'::regclass;

--
-- Privileges
--
SELECT streamhouse.create_group('mine', 'u');
SELECT count(*) FROM streamhouse.poll('mine', NULL::u, 10);
SELECT topic_id AS u_id FROM streamhouse.topics WHERE topic = 'u'::regclass \gset
SELECT group_id AS mine_id FROM streamhouse.consumer_group WHERE name = 'mine' \gset
ALTER FOREIGN TABLE u OWNER TO regress_sth_owner;
GRANT SELECT (n) ON u TO regress_sth_reader;
SET ROLE regress_sth_nobody;
SELECT count(*) FROM streamhouse.stat_topics;
SELECT streamhouse.topic_counters(:u_id), streamhouse.group_counters(:mine_id);
SELECT refused(format('SELECT streamhouse.stat_reset(%s)', args)) FROM unnest(ARRAY['''u''', '', '''pg_class''']) AS args;
SET ROLE regress_sth_reader;
SELECT topic, rows_polled FROM streamhouse.stat_topics;
SELECT count(*) FROM streamhouse.stat_groups;
SELECT (streamhouse.topic_counters(:u_id)).counters[4], streamhouse.group_counters(:mine_id);
SELECT refused($$SELECT streamhouse.stat_reset('u')$$);
SET ROLE regress_sth_owner;
SELECT topic, rows_polled FROM streamhouse.stat_topics;
SELECT count(*) FROM streamhouse.stat_groups;
SELECT refused('SELECT streamhouse.stat_reset()');
SELECT streamhouse.stat_reset('u');
SELECT topic, rows_polled FROM streamhouse.stat_topics;
RESET ROLE;
SELECT consumer_group, polls FROM streamhouse.stat_groups WHERE topic = 'u'::regclass;

-- nothing is in flight
SELECT count(*) FROM streamhouse.in_flight;

SET client_min_messages = warning;
DROP SCHEMA stats_test CASCADE;
DROP ROLE regress_sth_owner, regress_sth_reader, regress_sth_nobody;
RESET search_path;
SELECT streamhouse.topic_counters(:u_id), streamhouse.group_counters(:mine_id);
