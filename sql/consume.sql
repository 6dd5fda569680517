--
-- Consumer groups and poll()
--
CREATE SCHEMA consume_test;
SET search_path = consume_test, public;
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

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_sth_nobody, regress_sth_reader, regress_sth_writer, regress_sth_columns, regress_sth_billing, regress_sth_clerk;
RESET client_min_messages;
CREATE ROLE regress_sth_nobody;
CREATE ROLE regress_sth_reader;
CREATE ROLE regress_sth_writer;
CREATE ROLE regress_sth_columns;
CREATE ROLE regress_sth_billing;
CREATE ROLE regress_sth_clerk IN ROLE regress_sth_billing;
GRANT USAGE ON SCHEMA consume_test TO PUBLIC;

SELECT streamhouse.create_topic('t', 3, 'n int, v text', NULL);
SELECT streamhouse.create_topic('u', 1, 'n int, v text', NULL);
INSERT INTO t (_partition, n) SELECT i % 3, i FROM generate_series(0, 29) i;
INSERT INTO u (n) SELECT generate_series(0, 9);

-- what a group has been given, per partition; in order, or it says so
CREATE FUNCTION polled(name text, max_records int DEFAULT 500, partitions int[] DEFAULT NULL)
RETURNS TABLE (p int, rows bigint, first bigint, last bigint, in_order boolean) LANGUAGE sql AS $$
    SELECT x._partition, count(*), min(_offset), max(_offset), array_agg(_offset ORDER BY ord) = array_agg(_offset ORDER BY _offset)
    FROM streamhouse.poll(name, NULL::t, max_records, partitions => partitions) WITH ORDINALITY AS x (_partition, _offset, _timestamp, n, v, ord)
    GROUP BY 1 ORDER BY 1 $$;
CREATE FUNCTION n_of(name text, max_records int DEFAULT 500, max_bytes int DEFAULT 1000000) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(x.n::text, ' ' ORDER BY ord)
    FROM streamhouse.poll(name, NULL::u, max_records, max_bytes) WITH ORDINALITY AS x (_partition, _offset, _timestamp, n, v, ord) $$;

--
-- create_group
--
SELECT streamhouse.create_group('all', 't');
SELECT streamhouse.create_group('new', 't', 'latest');
SELECT streamhouse.create_group(topic => 't', consumer_group => 'named', start => 'earliest');
SELECT streamhouse.create_group('all', 'u');    -- names are a topic's own
SELECT streamhouse.create_group('ALL', 't');
SELECT streamhouse.create_group(repeat('x', 255), 't');
SELECT streamhouse.create_group('mit Leerzeichen, "Zeichen" und ' || U&'\0416', 't');
CREATE TABLE plain (n int);
CREATE VIEW view_of_t AS SELECT * FROM t;
CREATE TYPE pair AS (a int, b int);
CREATE FOREIGN DATA WRAPPER regress_sth_dummy;
CREATE SERVER regress_sth_dummy FOREIGN DATA WRAPPER regress_sth_dummy;
CREATE FOREIGN TABLE foreign_plain (n int) SERVER regress_sth_dummy;
SELECT refused(format('SELECT streamhouse.create_group(%s)', args)) FROM unnest(ARRAY[
    '''all'', ''t''', '''new'', ''t'', ''earliest''', ''''', ''t''', 'repeat(''x'', 256), ''t''', 'repeat(U&''\0416'', 128), ''t''',
    '''g'', ''t'', ''Latest''', '''g'', ''t'', ''''', '''g'', ''t'', ''5''', 'NULL, ''t''', '''g'', NULL', '''g'', ''t'', NULL',
    '''g'', ''absent''', '''g'', ''plain''', '''g'', ''view_of_t''', '''g'', ''foreign_plain''', '''g'', 0']) AS args;
BEGIN READ ONLY;
SELECT streamhouse.create_group('g', 't');
ROLLBACK;
BEGIN;
SELECT streamhouse.create_group('gone', 't');
ROLLBACK;
SELECT refused($$SELECT polled('gone')$$);
BEGIN;
SAVEPOINT s;
SELECT streamhouse.create_group('kept', 't');
ROLLBACK TO s;
SELECT streamhouse.create_group('kept', 't');
SELECT rows FROM polled('kept', 2, '{0}');
COMMIT;
SELECT first FROM polled('kept', 2, '{0}');

--
-- poll: in the order of the offsets, and each row once
--
SELECT count(*) FROM polled('new');
SELECT * FROM polled('all', 7, '{1}');
SELECT * FROM polled('all', 7, '{1}');
SELECT * FROM polled('all', 7, '{1}');
SELECT * FROM polled('all');
SELECT * FROM polled('all');
SELECT * FROM polled('named');    -- groups do not know of each other
INSERT INTO t (_partition, n) VALUES (0, 30), (2, 31), (0, 32);
SELECT * FROM polled('all');
SELECT * FROM polled('new');
SELECT pg_typeof(x), _partition, _offset, _timestamp <= now() AS timed, n, v FROM streamhouse.poll('named', NULL::t, partitions => '{2}') x;
SELECT (streamhouse.poll('all', NULL::u, 2)).n;
SELECT n_of('all', 1), n_of('all', 2), n_of('all');

-- max_records, and max_bytes with one row at least
SELECT streamhouse.create_group('limits', 't');
SELECT sum(rows) FROM polled('limits', 1);
SELECT sum(rows) FROM polled('limits', 13);
SELECT sum(rows) FROM polled('limits', 2147483647);
SELECT streamhouse.create_group('bytes', 'u');
INSERT INTO u (n, v) VALUES (10, repeat('x', 100000)), (11, 'x');
INSERT INTO u (n, v) SELECT i, repeat('y', 1000) FROM generate_series(12, 99) i;
SELECT n_of('bytes', max_bytes => 1), n_of('bytes', max_bytes => 1);
SELECT n_of('bytes', 8);
SELECT n_of('bytes', max_bytes => 1000);
SELECT array_length(string_to_array(n_of('bytes', max_bytes => 10000), ' '), 1) BETWEEN 9 AND 11 AS about_ten;
SELECT refused(format('SELECT * FROM streamhouse.poll(%s)', args)) FROM unnest(ARRAY[
    '''all'', NULL::t, 0', '''all'', NULL::t, -1', '''all'', NULL::t, NULL', '''all'', NULL::t, 1, 0', '''all'', NULL::t, 1, -1', '''all'', NULL::t, 1, NULL',
    '''all'', NULL::t, timeout => NULL', 'NULL, NULL::t']) AS args;
SELECT count(*) FROM streamhouse.poll('all', NULL::t, timeout => '-1 hour');
SELECT count(*) FROM streamhouse.poll('all', NULL::t, timeout => '1 ms');

-- partitions
SELECT streamhouse.create_group('parts', 't');
SELECT rows, first, last FROM polled('parts', 2, '{2,0}') WHERE p IN (0, 2);
SELECT rows FROM polled('parts', 500, '{1}');
SELECT count(*) FROM polled('parts', 500, '{}');
SELECT count(*) FROM polled('parts', 500, '{1}');
SELECT p, last, in_order FROM polled('parts', 500, '{2,2,2}');
SELECT p, last, in_order FROM polled('parts', 500, '{0,0}');
SELECT count(*) FROM polled('parts', 500, NULL);
SELECT refused(format('SELECT * FROM streamhouse.poll(''parts'', NULL::t, partitions => %L)', a)) FROM unnest(ARRAY['{3}', '{0,3}', '{-1}', '{2147483647}', '{NULL}', '{0,NULL}', '{a}']) AS a;

-- what is not a topic
SELECT refused(format('SELECT * FROM streamhouse.poll(%s)', args)) FROM unnest(ARRAY[
    '''all'', NULL', '''all'', 1', '''all'', ''t''::regclass', '''all'', NULL::pair', '''all'', NULL::plain', '''all'', NULL::view_of_t', '''all'', NULL::foreign_plain', '''all'', ARRAY[]::t[]', '''all'', ROW(1)']) AS args;
SELECT count(*) FROM streamhouse.poll('all', (SELECT t FROM t LIMIT 1));    -- the argument's type counts

-- unknown groups, with what may have been meant
SELECT refused($$SELECT * FROM streamhouse.poll('alll', NULL::t)$$);
SELECT refused($$SELECT * FROM streamhouse.poll('limit', NULL::t)$$);
SELECT refused($$SELECT * FROM streamhouse.poll('bytes', NULL::t)$$);    -- of another topic
SELECT refused($$SELECT * FROM streamhouse.poll('something else', NULL::t)$$);
SELECT refused($$SELECT * FROM streamhouse.poll('', NULL::t)$$);
SELECT refused($$SELECT streamhouse.drop_group('alll', 't')$$);

--
-- Transactions
--
SELECT streamhouse.create_group('tx', 't');
-- a second poll goes on from the first; ROLLBACK gives it all back
BEGIN;
SELECT * FROM polled('tx', 3, '{0}');
SELECT * FROM polled('tx', 3, '{0}');
SELECT * FROM polled('tx', 500, '{0}');
SELECT count(*) FROM polled('tx', 500, '{0}');
ROLLBACK;
BEGIN;
SELECT * FROM polled('tx', 3, '{0}');
COMMIT;
SELECT * FROM polled('tx', 3, '{0}');

-- savepoints
BEGIN;
SELECT first FROM polled('tx', 1, '{1}');
SAVEPOINT a;
SELECT first FROM polled('tx', 1, '{1}');
SAVEPOINT b;
SELECT first, last FROM polled('tx', 5, '{1}');
ROLLBACK TO b;
SELECT first, last FROM polled('tx', 2, '{1}');
RELEASE b;
ROLLBACK TO a;
SELECT first, last FROM polled('tx', 2, '{1}');
RELEASE a;
COMMIT;
SELECT first FROM polled('tx', 1, '{1}');
BEGIN;
SAVEPOINT a;
SELECT first FROM polled('tx', 1, '{1}');
ROLLBACK TO a;
COMMIT;
SELECT first FROM polled('tx', 1, '{1}');
BEGIN;
SAVEPOINT a;
SELECT first FROM polled('tx', 1, '{1}');
SELECT 1 / 0;
ROLLBACK TO a;
SELECT first FROM polled('tx', 1, '{1}');
COMMIT;
SELECT first FROM polled('tx', 1, '{1}');

-- an error in the statement that polled
SELECT streamhouse.create_group('failing', 'u');
SELECT 1 / (n - 3) FROM streamhouse.poll('failing', NULL::u, 5) WHERE n >= 3;
SELECT n_of('failing', 5);

-- twice in one statement
SELECT streamhouse.create_group('twice', 'u');
SELECT n FROM streamhouse.poll('twice', NULL::u, 2) UNION ALL SELECT n FROM streamhouse.poll('twice', NULL::u, 2);
SELECT array_agg(n ORDER BY n), count(DISTINCT n) FROM (SELECT (streamhouse.poll('twice', NULL::u, 2)).n FROM generate_series(1, 3)) x;
WITH a AS MATERIALIZED (SELECT n FROM streamhouse.poll('twice', NULL::u, 1)), b AS MATERIALIZED (SELECT n FROM streamhouse.poll('twice', NULL::u, 1, 1 + 0 * (SELECT max(n) FROM a)))
SELECT a.n AS a, b.n AS b FROM a, b;
SELECT g, x.n FROM generate_series(1, 2) g, LATERAL streamhouse.poll('twice', NULL::u, g) x ORDER BY 1, 2;
SELECT n_of('twice', 1);

-- with what it writes
CREATE TABLE results (n int PRIMARY KEY, v text);
SELECT streamhouse.create_group('results', 'u');
BEGIN;
INSERT INTO results SELECT n, v FROM streamhouse.poll('results', NULL::u, 4);
ROLLBACK;
INSERT INTO results SELECT n, v FROM streamhouse.poll('results', NULL::u, 4);
INSERT INTO results SELECT n, 'again' FROM streamhouse.poll('results', NULL::u, 4) UNION ALL VALUES (1, 'duplicate');
INSERT INTO results SELECT n, v FROM streamhouse.poll('results', NULL::u, 4) RETURNING n;
UPDATE results r SET v = x.n::text FROM streamhouse.poll('results', NULL::u, 1) x WHERE r.n = 0;
SELECT * FROM results WHERE n = 0;
SELECT count(*), max(n) FROM results;
CREATE TABLE copied AS SELECT n FROM streamhouse.poll('results', NULL::u, 3);
SELECT * FROM copied;
COPY (SELECT n FROM streamhouse.poll('results', NULL::u, 3)) TO STDOUT;

-- cursors
BEGIN;
DECLARE c CURSOR FOR SELECT n FROM streamhouse.poll('results', NULL::u, 5);
FETCH 2 FROM c;
SELECT n_of('results', 2);
FETCH 2 FROM c;
COMMIT;
SELECT n_of('results', 1);

-- in plpgsql
SELECT streamhouse.create_group('plpgsql', 'u');
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT n FROM streamhouse.poll('plpgsql', NULL::u, 4) LOOP
        BEGIN
            IF r.n = 2 THEN RAISE EXCEPTION 'cannot do %', r.n; END IF;
            RAISE NOTICE 'did %', r.n;
        EXCEPTION WHEN raise_exception THEN
            RAISE NOTICE '%', sqlerrm;
        END;
    END LOOP;
    BEGIN
        RAISE NOTICE 'polled %', n_of('plpgsql', 3);
        RAISE EXCEPTION 'given back';
    EXCEPTION WHEN raise_exception THEN
        RAISE NOTICE 'polled % after it was given back', n_of('plpgsql', 2);
    END;
    COMMIT;
    RAISE NOTICE 'polled % and rolled back', n_of('plpgsql', 2);
    ROLLBACK;
    RAISE NOTICE 'polled %', n_of('plpgsql', 2);
END $$;
SELECT n_of('plpgsql', 1);

-- one's own rows come after the commit
SELECT streamhouse.create_group('own', 'u', 'latest');
BEGIN;
INSERT INTO u (n) VALUES (100), (101);
SELECT n_of('own') IS NULL AS not_yet;
COMMIT;
BEGIN;
SELECT n_of('own');
INSERT INTO u (n) VALUES (102);
SELECT n_of('own') IS NULL AS not_yet;
COMMIT;
SELECT n_of('own');
BEGIN;
SELECT streamhouse.create_group('own latest', 'u', 'latest');
INSERT INTO u (n) VALUES (103);
SELECT n_of('own latest') IS NULL AS not_yet;
COMMIT;
SELECT n_of('own latest');
BEGIN;
INSERT INTO u (n) VALUES (104);
SELECT streamhouse.create_group('own before', 'u', 'latest');
COMMIT;
SELECT n_of('own before');
-- consume, transform, produce
BEGIN;
INSERT INTO u (n) SELECT 1000 + n FROM streamhouse.poll('own', NULL::u);
COMMIT;
SELECT n_of('own');

-- read-only transactions
BEGIN READ ONLY;
SELECT * FROM streamhouse.poll('all', NULL::t);
ROLLBACK;
BEGIN READ ONLY;
SELECT streamhouse.drop_group('all', 't');
ROLLBACK;

-- isolation levels, alone
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT n_of('all', 2);
SELECT n_of('all', 2);
SAVEPOINT s;
SELECT n_of('all', 2);
ROLLBACK TO s;
SELECT n_of('all', 2);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT n_of('all', 2);
SELECT n_of('all', 2);
SELECT n_of('own') IS NULL AS nothing;
COMMIT;
SELECT n_of('all', 2);

-- two-phase commit
BEGIN;
SELECT n_of('all', 1);
PREPARE TRANSACTION 'regress_sth';
SELECT n_of('all', 1);
BEGIN;
SELECT streamhouse.drop_group('own latest', 'u');
PREPARE TRANSACTION 'regress_sth';
SET lock_timeout = '1ms';
SELECT count(*) FROM streamhouse.poll('own latest', NULL::u);    -- it is being dropped
RESET lock_timeout;
ROLLBACK PREPARED 'regress_sth';
SELECT n_of('own latest') IS NOT NULL AS there;
BEGIN;
SELECT streamhouse.drop_group('own latest', 'u');
PREPARE TRANSACTION 'regress_sth';
COMMIT PREPARED 'regress_sth';
SELECT refused($$SELECT n_of('own latest')$$);
BEGIN;
SELECT count(*) FROM streamhouse.poll('all', NULL::t);    -- nothing claimed
PREPARE TRANSACTION 'regress_sth';
ROLLBACK PREPARED 'regress_sth';

-- prepared statements
SELECT streamhouse.create_group('prepared', 'u');
PREPARE p (int) AS SELECT n FROM streamhouse.poll('prepared', NULL::u, $1);
EXECUTE p (2);
EXECUTE p (2);
SET plan_cache_mode = force_generic_plan;
EXECUTE p (1);
EXECUTE p (1);
RESET plan_cache_mode;
PREPARE q (text, int) AS INSERT INTO copied SELECT n FROM streamhouse.poll($1, NULL::u, $2) RETURNING n;
EXECUTE q ('prepared', 1);
EXECUTE q ('prepared', 1);
DEALLOCATE q;

-- after DDL those whose result has other columns have to be prepared again
CREATE FOREIGN TABLE bare (n int) SERVER streamhouse;
INSERT INTO bare VALUES (1), (2), (3), (4);
SELECT streamhouse.create_group('g', 'bare');
PREPARE q AS SELECT * FROM streamhouse.poll('g', NULL::bare, 1);
PREPARE r AS INSERT INTO copied SELECT n FROM streamhouse.poll('g', NULL::bare, 1) RETURNING n;
EXECUTE q;
EXECUTE r;
ALTER FOREIGN TABLE bare ADD COLUMN m int;
EXECUTE q;
EXECUTE r;
DEALLOCATE q;
PREPARE q AS SELECT * FROM streamhouse.poll('g', NULL::bare, 1);
EXECUTE q;
DEALLOCATE q;
DEALLOCATE r;
DROP FOREIGN TABLE bare;

-- a gap that a failed producer has left
SELECT streamhouse.create_topic('gaps', columns => 'n int', key => NULL);
SELECT streamhouse.create_group('g', 'gaps');
INSERT INTO gaps (n) VALUES (1);
SET streamhouse.failpoint = 'sequenced:error';
INSERT INTO gaps (n) VALUES (2), (3);
RESET streamhouse.failpoint;
SELECT _offset, n FROM streamhouse.poll('g', NULL::gaps);
SELECT count(*) FROM streamhouse.poll('g', NULL::gaps);
INSERT INTO gaps (n) VALUES (4), (5);
SELECT _offset, n FROM streamhouse.poll('g', NULL::gaps, 1);
SELECT _offset, n FROM streamhouse.poll('g', NULL::gaps);
SET streamhouse.failpoint = 'inserted:error';
INSERT INTO gaps (n) VALUES (6);
INSERT INTO gaps (n) VALUES (7), (8);
RESET streamhouse.failpoint;
SELECT streamhouse.create_group('late', 'gaps', 'latest');
SELECT count(*) FROM streamhouse.poll('g', NULL::gaps);
INSERT INTO gaps (n) VALUES (9);
SELECT _offset, n FROM streamhouse.poll('g', NULL::gaps);
SELECT _offset, n FROM streamhouse.poll('late', NULL::gaps);

--
-- Topics that change
--
SELECT streamhouse.create_topic('changing', 1, 'n int, v text', NULL);
INSERT INTO changing (n) VALUES (0);
SELECT streamhouse.create_group('first', 'changing');
SELECT streamhouse.create_group('latest', 'changing', 'latest');
SELECT n FROM streamhouse.poll('first', NULL::changing);
PREPARE before_change AS SELECT * FROM streamhouse.poll('first', NULL::changing);
EXECUTE before_change;
ALTER FOREIGN TABLE changing OPTIONS (SET partitions '3');
INSERT INTO changing (_partition, n) VALUES (1, 1), (2, 2), (0, 3);
-- a partition added later starts at its beginning, whatever the group's start
SELECT _partition, _offset, n FROM streamhouse.poll('latest', NULL::changing) ORDER BY 1;
SELECT _partition, _offset, n FROM streamhouse.poll('first', NULL::changing) ORDER BY 1;
SELECT _partition, _offset, n FROM streamhouse.poll('first', NULL::changing) ORDER BY 1;
-- columns come and go
ALTER FOREIGN TABLE changing ADD COLUMN w int DEFAULT 7, DROP COLUMN v;
INSERT INTO changing (_partition, n) VALUES (0, 4);
SELECT left(refused('EXECUTE before_change'), 5) AS sqlstate;
DEALLOCATE before_change;
SELECT _partition, _offset, n, w FROM streamhouse.poll('first', NULL::changing);
ALTER FOREIGN TABLE changing RENAME TO changed;
INSERT INTO changed (_partition, n) VALUES (0, 5);
SELECT n FROM streamhouse.poll('first', NULL::changed);
CREATE FOREIGN TABLE bare (a int) SERVER streamhouse;    -- without the columns that the log assigns
INSERT INTO bare VALUES (1), (2);
SELECT streamhouse.create_group('g', 'bare');
SELECT * FROM streamhouse.poll('g', NULL::bare, 1);
SELECT * FROM streamhouse.poll('g', NULL::bare, 1);

--
-- consumer_lag
--
SELECT streamhouse.create_topic('lag', 2, 'n int', NULL);
SELECT streamhouse.create_group('behind', 'lag');
INSERT INTO lag (_partition, n) VALUES (0, 0), (0, 1), (1, 2);
SELECT streamhouse.create_group('ahead', 'lag', 'latest');
SELECT * FROM streamhouse.consumer_lag WHERE topic = 'lag'::regclass ORDER BY 1, 3;
INSERT INTO lag (_partition, n) VALUES (1, 3);
BEGIN;
SELECT _partition, n FROM streamhouse.poll('behind', NULL::lag, 1, partitions => '{0}');
SELECT * FROM streamhouse.consumer_lag WHERE topic = 'lag'::regclass ORDER BY 1, 3;
ROLLBACK;
SELECT * FROM streamhouse.consumer_lag WHERE topic = 'lag'::regclass ORDER BY 1, 3;
SELECT count(*) FROM streamhouse.poll('behind', NULL::lag);
SELECT * FROM streamhouse.consumer_lag WHERE topic = 'lag'::regclass ORDER BY 1, 3;

--
-- drop_group
--
SELECT streamhouse.create_group('again', 'u');
SELECT n_of('again', 5);
BEGIN;
SELECT streamhouse.drop_group('again', 'u');
SELECT refused($$SELECT n_of('again')$$);
ROLLBACK;
SELECT n_of('again', 2);
BEGIN;
SELECT n_of('again', 1);
SELECT streamhouse.drop_group('again', 'u');
SELECT streamhouse.create_group('again', 'u');
SELECT n_of('again', 2);
COMMIT;
SELECT n_of('again', 2);
SELECT streamhouse.drop_group('again', 'u');
SELECT refused($$SELECT n_of('again')$$);
SELECT refused($$SELECT streamhouse.drop_group('again', 'u')$$);
SELECT streamhouse.create_group('again', 'u');
SELECT n_of('again', 2);
SELECT refused(format('SELECT streamhouse.drop_group(%s)', args)) FROM unnest(ARRAY['NULL, ''t''', '''all'', NULL', '''all'', ''plain''', '''all'', ''view_of_t''', '''all'', ''absent''']) AS args;
-- nothing of it stays
SELECT count(*) FROM streamhouse.position p WHERE NOT EXISTS (SELECT FROM streamhouse.consumer_group g WHERE g.group_id = p.group_id);
SELECT bool_and(n = 1) AS one_position_each FROM (SELECT count(*) AS n FROM streamhouse.position GROUP BY group_id, log_id) x;

-- a topic takes its groups with it
SELECT count(*) > 0 AS some FROM streamhouse.consumer_group g JOIN streamhouse.topic t USING (topic_id) WHERE t.relid = 'lag'::regclass;
BEGIN;
DROP FOREIGN TABLE lag;
ROLLBACK;
SELECT streamhouse.create_group('doomed', 'lag');
SELECT count(*) FROM streamhouse.poll('doomed', NULL::lag);
BEGIN;
INSERT INTO lag (n) VALUES (9);
COMMIT;
DROP FOREIGN TABLE lag;
SELECT count(*) FROM streamhouse.consumer_group g WHERE NOT EXISTS (SELECT FROM streamhouse.topic t WHERE t.topic_id = g.topic_id);
SELECT count(*) FROM streamhouse.position p WHERE NOT EXISTS (SELECT FROM streamhouse.consumer_group g WHERE g.group_id = p.group_id);
SELECT count(*) FROM streamhouse.consumer_lag WHERE consumer_group IN ('behind', 'ahead', 'doomed');
SELECT streamhouse.create_topic('lag', 2, 'n int', NULL);
SELECT refused($$SELECT * FROM streamhouse.poll('behind', NULL::lag)$$);
SELECT streamhouse.create_group('behind', 'lag');
INSERT INTO lag (n) VALUES (1);
SELECT n FROM streamhouse.poll('behind', NULL::lag);
-- a topic that is polled in the transaction that drops it
BEGIN;
INSERT INTO lag (n) VALUES (2);
SELECT count(*) FROM streamhouse.poll('behind', NULL::lag);
DROP FOREIGN TABLE lag;
COMMIT;

--
-- Privileges
--
GRANT SELECT ON t TO regress_sth_reader, regress_sth_billing;
GRANT INSERT ON t TO regress_sth_writer;
GRANT SELECT (_partition, _offset, _timestamp, n, v) ON t TO regress_sth_columns;
-- SELECT on the topic makes a group
SET ROLE regress_sth_billing;
SELECT streamhouse.create_group('billing', 't');
SELECT rows FROM polled('billing', 2, '{0}');
SELECT refused(c) FROM unnest(ARRAY[$$SELECT polled('all')$$, $$SELECT streamhouse.drop_group('all', 't')$$, $$SELECT streamhouse.create_group('g', 'u')$$, $$SELECT * FROM streamhouse.poll('all', NULL::u)$$]) AS c;
-- members of the owner role use it
SET ROLE regress_sth_clerk;
SELECT first, rows FROM polled('billing', 2, '{0}');
-- others do not
SET ROLE regress_sth_reader;
SELECT streamhouse.create_group('reader', 't');
SELECT refused(c) FROM unnest(ARRAY[$$SELECT polled('billing')$$, $$SELECT streamhouse.drop_group('billing', 't')$$, $$SELECT streamhouse.create_group('billing', 't')$$, $$SELECT polled('biling')$$]) AS c;
SET ROLE regress_sth_columns;
SELECT streamhouse.create_group('columns', 't');
SELECT rows FROM polled('columns', 2, '{0}');
SET ROLE regress_sth_writer;
SELECT refused(c) FROM unnest(ARRAY[$$SELECT streamhouse.create_group('g', 't')$$, $$SELECT polled('billing')$$]) AS c;
SET ROLE regress_sth_nobody;
SELECT refused(c) FROM unnest(ARRAY[$$SELECT streamhouse.create_group('g', 't')$$, $$SELECT polled('billing')$$, $$SELECT polled('absent')$$, $$SELECT streamhouse.drop_group('billing', 't')$$]) AS c;
-- who sees what of the lag
SET ROLE regress_sth_clerk;
SELECT consumer_group, topic, partition, position > 0 AS moved, next_offset - position = lag AS adds_up FROM streamhouse.consumer_lag ORDER BY 1, 3;
SET ROLE regress_sth_reader;
SELECT DISTINCT consumer_group FROM streamhouse.consumer_lag ORDER BY 1;
SET ROLE regress_sth_nobody;
SELECT count(*) FROM streamhouse.consumer_lag;
RESET ROLE;
SELECT group_id AS billing_id FROM streamhouse.consumer_group WHERE name = 'billing' \gset
SELECT log_id FROM streamhouse.logs WHERE topic = 't'::regclass AND partition = 0 \gset
SELECT streamhouse.group_position(:billing_id, :log_id);
SET ROLE regress_sth_clerk;
SELECT streamhouse.group_position(:billing_id, :log_id);
SET ROLE regress_sth_reader;
SELECT streamhouse.group_position(:billing_id, :log_id);
-- what is taken back holds at once
RESET ROLE;
REVOKE SELECT ON t FROM regress_sth_billing;
REVOKE SELECT (v) ON t FROM regress_sth_columns;
SET ROLE regress_sth_clerk;
SELECT refused($$SELECT polled('billing')$$);
SELECT count(*) FROM streamhouse.consumer_lag;
SELECT refused($$SELECT streamhouse.drop_group('billing', 't')$$);
SET ROLE regress_sth_columns;
SELECT refused($$SELECT polled('columns')$$);
-- a function of the owner's can poll for others
RESET ROLE;
GRANT SELECT ON t TO regress_sth_billing;
GRANT CREATE ON SCHEMA consume_test TO regress_sth_billing;
SET ROLE regress_sth_billing;
SELECT streamhouse.drop_group('billing', 't');
SELECT streamhouse.create_group('billing', 't');
CREATE FUNCTION next_bill() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = consume_test AS $$ SELECT n FROM streamhouse.poll('billing', NULL::t, 1, partitions => '{0}') $$;
SET ROLE regress_sth_nobody;
SELECT next_bill(), next_bill();
-- the internal tables and functions are closed
SELECT refused(c) FROM unnest(ARRAY['SELECT * FROM streamhouse.consumer_group', 'SELECT * FROM streamhouse.position', 'INSERT INTO streamhouse.position VALUES (1, 1, 1, 1)', 'DELETE FROM streamhouse.position',
    'UPDATE streamhouse.consumer_group SET owner = 0', 'TRUNCATE streamhouse.position', 'SELECT nextval(''streamhouse.group_id_seq'')', 'LOCK TABLE streamhouse.consumer_group IN ACCESS SHARE MODE']) AS c;
RESET ROLE;
-- what is inserted there by hand does nothing
INSERT INTO streamhouse.position VALUES (1, 1, 1, 1);
INSERT INTO streamhouse.consumer_group VALUES (1, 1, 1, 'x');

-- the owner of a group is gone: an administrator can look, and drop it
SET ROLE regress_sth_reader;
SELECT rows FROM polled('reader', 2, '{0}');
RESET ROLE;
DROP OWNED BY regress_sth_reader;
DROP ROLE regress_sth_reader;
SELECT consumer_group, partition, position FROM streamhouse.consumer_lag WHERE consumer_group = 'reader' ORDER BY 2;
SET ROLE regress_sth_billing;
SELECT regexp_replace(refused($$SELECT polled('reader')$$), '"\?"|\d{4,}', '<gone>');
RESET ROLE;
SELECT streamhouse.drop_group('reader', 't');

SET client_min_messages = warning;
DROP SCHEMA consume_test CASCADE;
DROP FOREIGN DATA WRAPPER regress_sth_dummy CASCADE;
DROP ROLE regress_sth_nobody, regress_sth_writer, regress_sth_columns, regress_sth_billing, regress_sth_clerk;
RESET search_path;
-- the groups went with the topics
SELECT count(*) FROM streamhouse.consumer_group g WHERE NOT EXISTS (SELECT FROM streamhouse.topic t WHERE t.topic_id = g.topic_id);
SELECT count(*) FROM streamhouse.position p WHERE NOT EXISTS (SELECT FROM streamhouse.consumer_group g WHERE g.group_id = p.group_id);
