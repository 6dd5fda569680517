--
-- What is counted of flushes: stat_flush
--
CREATE SCHEMA stat_flush_test;
SET search_path = stat_flush_test, public;
\pset format unaligned
\pset null '<null>'

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_sth_reader, regress_sth_nobody;
RESET client_min_messages;
CREATE ROLE regress_sth_reader;
CREATE ROLE regress_sth_nobody;
GRANT USAGE ON SCHEMA stat_flush_test TO PUBLIC;

SELECT streamhouse.create_topic('t', 3, 'n int, s text', NULL);
SELECT streamhouse.create_topic('u', 1, 'n int', NULL);
CREATE VIEW flushes AS
SELECT topic, server, flushes, segments, rows, bytes > 0 AS bytes, stored_bytes > 0 AS stored, (SELECT sum(h) FROM unnest(time_histogram) h) AS times, (SELECT sum(h) FROM unnest(size_histogram) h) AS sizes,
    time_p50_ms > 0 AS p50, time_p99_ms >= time_p50_ms AS p99, failures, last_error, last_error_at, oldest_unflushed IS NOT NULL AS waits, tail_bytes > 0 AS tail, stats_reset IS NULL AS since_start
FROM streamhouse.stat_flush;

SELECT * FROM flushes WHERE topic IN ('t'::regclass, 'u'::regclass) ORDER BY topic::text;
INSERT INTO t (_partition, n, s) SELECT i % 2, i, 'abc' FROM generate_series(1, 100) i;
SELECT * FROM flushes WHERE topic = 't'::regclass;
SELECT streamhouse.flush('t');
SELECT * FROM flushes WHERE topic IN ('t'::regclass, 'u'::regclass) ORDER BY topic::text;
-- a flush that has nothing to do is none
SELECT streamhouse.flush('t');
SELECT * FROM flushes WHERE topic = 't'::regclass;
-- sizes: what the rows had, and what the segments take
INSERT INTO t (_partition, n, s) SELECT 2, i, repeat('x', 90) FROM generate_series(1, 10000) i;
SELECT bytes AS bytes_before, stored_bytes AS stored_before FROM streamhouse.stat_flush WHERE topic = 't'::regclass \gset
SELECT streamhouse.flush('t');
SELECT * FROM flushes WHERE topic = 't'::regclass;
SELECT bytes - :bytes_before BETWEEN 950000 AND 1150000 AS bytes, stored_bytes - :stored_before = (SELECT byte_length FROM streamhouse.segments s WHERE s.topic = f.topic AND partition = 2) AS stored,
    size_histogram[11] + size_histogram[12] AS about_1_mb, size_histogram[1] + size_histogram[2] AS small
FROM streamhouse.stat_flush f WHERE topic = 't'::regclass;

-- who may see it
GRANT SELECT (n) ON t TO regress_sth_reader;
SELECT topic_id AS t_id FROM streamhouse.topics WHERE topic = 't'::regclass \gset
SET ROLE regress_sth_reader;
SELECT topic, rows FROM streamhouse.stat_flush;
SET ROLE regress_sth_nobody;
SELECT topic, rows FROM streamhouse.stat_flush;
SELECT streamhouse.flush_counters(:t_id);
RESET ROLE;

-- reset, dropped
SELECT streamhouse.stat_reset('t');
SELECT * FROM flushes WHERE topic = 't'::regclass;
INSERT INTO t (_partition, n) VALUES (0, 1);
INSERT INTO u (n) VALUES (1);
SELECT streamhouse.flush();
SELECT topic, flushes, segments, rows FROM flushes WHERE topic IN ('t'::regclass, 'u'::regclass) ORDER BY topic::text;
DROP FOREIGN TABLE t;
SELECT streamhouse.flush_counters(:t_id);
SELECT topic, flushes, segments, rows FROM flushes WHERE topic = 'u'::regclass;

SET client_min_messages = warning;
DROP SCHEMA stat_flush_test CASCADE;
DROP ROLE regress_sth_reader, regress_sth_nobody;
