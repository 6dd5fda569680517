-- What scripts/quickstart runs, with the log as CSV (client, line) on stdin.
\set ON_ERROR_STOP on
\set QUIET on
\pset footer off
\set ECHO queries

\qecho
\qecho '-- The library is preloaded already: shared_preload_libraries = streamhouse.'
CREATE EXTENSION streamhouse;

\qecho
\qecho '-- A topic is a table.  Rows of one client go to the same of its four partitions.'
SELECT streamhouse.create_topic('access_log', partitions => 4, columns => 'client text, line text', key => 'client');

\qecho
\qecho '-- COPY, as into any table; INSERT works as well.'
\copy access_log (client, line) FROM PSTDIN (FORMAT csv)

\qecho
\qecho '-- And it is read like any table: who asked most?'
SELECT client, count(*) FROM access_log GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10;

\qecho
\qecho '-- Offsets rise by one in each partition, in the order of the commits.'
SELECT _partition, min(_offset), max(_offset), count(*) FROM access_log GROUP BY 1 ORDER BY 1;

\qecho
\qecho '-- What there is.'
SELECT * FROM streamhouse.topics;
SELECT * FROM streamhouse.logs;

\qecho
\qecho '-- A consumer takes rows and stores results in one transaction: exactly once.'
CREATE TABLE requests (client text, n bigint);
SELECT streamhouse.create_group('counter', 'access_log');
BEGIN;
INSERT INTO requests SELECT client, count(*) FROM streamhouse.poll('counter', NULL::access_log, max_records => 6000) GROUP BY 1;
ROLLBACK;
\qecho '-- ... rolled back: nothing was taken.  Now for good, in two transactions.'
BEGIN;
INSERT INTO requests SELECT client, count(*) FROM streamhouse.poll('counter', NULL::access_log, max_records => 6000) GROUP BY 1;
COMMIT;
BEGIN;
INSERT INTO requests SELECT client, count(*) FROM streamhouse.poll('counter', NULL::access_log, max_records => 2147483647, max_bytes => 2147483647) GROUP BY 1;
COMMIT;
SELECT sum(n) AS consumed FROM requests;
SELECT * FROM streamhouse.consumer_lag ORDER BY partition;
