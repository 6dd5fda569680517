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
CREATE TABLE requests (consumer int, client text, n bigint);
SELECT streamhouse.create_group('counter', 'access_log');
BEGIN;
INSERT INTO requests SELECT 0, client, count(*) FROM streamhouse.poll('counter', NULL::access_log, max_records => 6000) GROUP BY client;
ROLLBACK;
\qecho '-- ... rolled back: nothing was taken.  From here on two consumers do this:'
CREATE PROCEDURE consume(consumer int) LANGUAGE plpgsql AS $$
BEGIN
    WHILE EXISTS (SELECT FROM streamhouse.consumer_lag WHERE consumer_group = 'counter' AND lag > 0) LOOP
        INSERT INTO requests SELECT consumer, client, count(*)
        FROM streamhouse.poll('counter', NULL::access_log, max_records => 50) GROUP BY client;
        COMMIT;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
