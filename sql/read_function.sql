--
-- read(): rows of one partition in order
--
CREATE SCHEMA read_function_test;
SET search_path = read_function_test, public;
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

SELECT streamhouse.create_topic('t', 2, 'k text, n int, v text', 'k');
INSERT INTO t (_partition, n, v) SELECT 0, i, repeat('x', i) FROM generate_series(0, 99) i;
INSERT INTO t (_partition, n) SELECT 0, i FROM generate_series(100, 2999) i;
INSERT INTO t (_partition, n) VALUES (1, -1);

SELECT _partition, _offset, n, length(v), _timestamp <= now() AS timed FROM streamhouse.read(NULL::t, 0, 5, 3);
SELECT * FROM streamhouse.read(NULL::t, 0, 0, max_records => 1) WHERE _timestamp IS NULL;
SELECT count(*), min(_offset), max(_offset), bool_and(n = _offset) FROM streamhouse.read(NULL::t, 0, 0);
SELECT count(*), min(_offset), max(_offset) FROM streamhouse.read(NULL::t, 0, 0, 10000);
SELECT count(*), min(_offset), max(_offset) FROM streamhouse.read(NULL::t, 0, 2990);
SELECT count(*), min(_offset), max(_offset) FROM streamhouse.read(NULL::t, 0, 1234, 100);
SELECT array_agg(_offset) = array_agg(_offset ORDER BY _offset) AS in_order FROM streamhouse.read(NULL::t, 0, 0, 2147483647);
SELECT count(*) FROM streamhouse.read(NULL::t, 0, 2999);
SELECT count(*) FROM streamhouse.read(NULL::t, 0, 3000);
SELECT n FROM streamhouse.read(NULL::t, 1, 0);
SELECT count(*) FROM streamhouse.read(NULL::t, 1, 1);

-- max_bytes counts the bytes of the values; one row comes in any case
SELECT count(*) FROM streamhouse.read(NULL::t, 0, 0, max_bytes => 1);
SELECT count(*) FROM streamhouse.read(NULL::t, 0, 99, max_bytes => 1);
SELECT count(*) BETWEEN 14 AND 18 AS a_few FROM streamhouse.read(NULL::t, 0, 50, max_bytes => 1000);
SELECT count(*) BETWEEN 240 AND 260 AS a_few_hundred FROM streamhouse.read(NULL::t, 0, 100, max_records => 1000, max_bytes => 1000);
SELECT count(*) FROM streamhouse.read(NULL::t, 0, 3000, max_bytes => 1);
INSERT INTO t (_partition, n, v) SELECT 1, 0, string_agg(md5(i::text), '') FROM generate_series(1, 100000) i;
INSERT INTO t (_partition, n) VALUES (1, 1);
SELECT _offset, length(v) FROM streamhouse.read(NULL::t, 1, 0, max_bytes => 1000);
SELECT _offset, length(v) FROM streamhouse.read(NULL::t, 1, 1, max_bytes => 1000);
SELECT _offset, length(v) FROM streamhouse.read(NULL::t, 1, 0);

-- a consumer that keeps its position itself reads everything once
CREATE TABLE seen (n int, o bigint);
CREATE PROCEDURE consume(step int, bytes int) LANGUAGE plpgsql AS $$
DECLARE
    next bigint = 0;
    rounds int = 0;
    got int;
BEGIN
    LOOP
        INSERT INTO seen SELECT n, _offset FROM streamhouse.read(NULL::t, 0, next, step, bytes);
        GET DIAGNOSTICS got = ROW_COUNT;
        EXIT WHEN got = 0;
        next = next + got;
        rounds = rounds + 1;
    END LOOP;
    RAISE NOTICE '% rows in % rounds: %', next, rounds, (SELECT bool_and(n = o) AND count(*) = count(DISTINCT o) FROM seen);
    TRUNCATE seen;
END $$;
CALL consume(500, 1000000);
CALL consume(7, 1000000);
CALL consume(1, 1);

-- where it may stand
SELECT a.p, r.n FROM (VALUES (0, 10), (1, 0), (0, 20)) AS a (p, o), LATERAL streamhouse.read(NULL::t, a.p, a.o, 1) AS r ORDER BY a.p, a.o;
SELECT (streamhouse.read(NULL::t, 0, 42, 2)).n;
SELECT r::text = t::text AS same FROM streamhouse.read(NULL::t, 0, 42, 1) AS r JOIN t USING (_partition, _offset);
SELECT x.n, y.n FROM streamhouse.read(NULL::t, 0, 1, 3) x JOIN streamhouse.read(NULL::t, 0, 2, 3) y USING (_offset);
SELECT count(*) FROM streamhouse.read((SELECT t FROM t WHERE n = 5), 0, 0, 5);    -- the argument's type counts
PREPARE r (int, bigint, int) AS SELECT n FROM streamhouse.read(NULL::t, $1, $2, $3);
EXECUTE r (0, 7, 2);
EXECUTE r (0, 9, 2);
CREATE FUNCTION read_twice() RETURNS SETOF t LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM streamhouse.read(NULL::t, 0, 1, 1); RETURN QUERY SELECT * FROM streamhouse.read(NULL::t, 0, 3, 1); END $$;
SELECT n FROM read_twice();
BEGIN;
INSERT INTO t (_partition, n) VALUES (0, 3000);
SELECT count(*) FROM streamhouse.read(NULL::t, 0, 3000);    -- not its own before the commit
COMMIT;
SELECT n FROM streamhouse.read(NULL::t, 0, 3000);
BEGIN READ ONLY;
SELECT n FROM streamhouse.read(NULL::t, 0, 3000);
COMMIT;

-- what it does not take
CREATE TABLE plain (n int);
CREATE TYPE pair AS (a int, b int);
CREATE VIEW v AS SELECT * FROM t;
CREATE FOREIGN DATA WRAPPER regress_sth_dummy;
CREATE SERVER regress_sth_dummy FOREIGN DATA WRAPPER regress_sth_dummy;
CREATE FOREIGN TABLE foreign_plain (n int) SERVER regress_sth_dummy;
SELECT refused(format('SELECT streamhouse.read(%s)', args)) FROM unnest(ARRAY[
    'NULL::t, 2, 0', 'NULL::t, -1, 0', 'NULL::t, 2147483647, 0', 'NULL::t, 0, -1', 'NULL::t, 0, 3002', 'NULL::t, 1, 9223372036854775807', 'NULL::t, 0, 0, 0', 'NULL::t, 0, 0, -1', 'NULL::t, 0, 0, 1, 0', 'NULL::t, 0, 0, 1, -5',
    'NULL::t, NULL, 0', 'NULL::t, 0, NULL', 'NULL::t, 0, 0, NULL', 'NULL::t, 0, 0, 1, NULL',
    'NULL, 0, 0', '1, 0, 0', '''t''::regclass, 0, 0', 'NULL::pair, 0, 0', 'NULL::plain, 0, 0', 'NULL::v, 0, 0', 'NULL::pg_class, 0, 0', 'NULL::foreign_plain, 0, 0', 'ARRAY[]::t[], 0, 0', 'ROW(1), 0, 0']) AS args;
SELECT refused($$SELECT streamhouse.produce('foreign_plain', '{}')$$);

-- topics without the columns that the log assigns, and with columns dropped and added
CREATE FOREIGN TABLE bare (a int, b text) SERVER streamhouse OPTIONS (partitions '2');
INSERT INTO bare SELECT i, 'b' || i FROM generate_series(1, 5) i;
ALTER FOREIGN TABLE bare DROP COLUMN a, ADD COLUMN c int DEFAULT 9;
INSERT INTO bare (b) VALUES ('b6');
SELECT r.* FROM generate_series(0, 1) p, streamhouse.read(NULL::bare, p, 0) r ORDER BY b;
SELECT r.* FROM generate_series(0, 1) p, streamhouse.read(NULL::bare, p, 0, max_bytes => 1) r WHERE r.b LIKE 'b1';

SET client_min_messages = warning;
DROP SCHEMA read_function_test CASCADE;
DROP FOREIGN DATA WRAPPER regress_sth_dummy CASCADE;
RESET search_path;
