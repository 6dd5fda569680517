--
-- poll() and read() in FROM: a scan of their own, where PostgreSQL's function
-- scan would be.  The same functions with a SET clause are not taken for ours,
-- and show what PostgreSQL's does.
--
CREATE SCHEMA function_scan_test;
SET search_path = function_scan_test, streamhouse, public;
\pset format unaligned
\pset tuples_only on

CREATE SCHEMA theirs;
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.* FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'streamhouse' AND proname IN ('poll', 'read') LOOP
        EXECUTE format('CREATE FUNCTION theirs.%I(%s) RETURNS SETOF anyelement LANGUAGE c VOLATILE ROWS 500 AS %L, %L SET extra_float_digits = 1',
                       f.proname, pg_get_function_arguments(f.oid), f.probin, f.prosrc);
    END LOOP;
END $$;

SELECT create_topic('t', 1, 'n int, v text, f float8, b bytea', NULL);
ALTER TABLE t ADD COLUMN gone int, ADD COLUMN late numeric;
INSERT INTO t (_timestamp, n, v, f, b, gone) SELECT '2026-01-02 03:04 UTC'::timestamptz + make_interval(mins => i), i, nullif(repeat('v', i % 5), ''), i / 2.0, CASE WHEN i % 3 > 0 THEN decode(md5(i::text), 'hex') END, i FROM generate_series(0, 19) i;
ALTER TABLE t DROP COLUMN gone;
INSERT INTO t (n, v, late) VALUES (20, repeat('long', 40000), 20.5), (21, NULL, NULL), (22, repeat('also', 50000), 22);
SELECT create_group('g', 't');
CREATE TABLE small (id int, kind text);
INSERT INTO small VALUES (1, 'one'), (2, 'two'), (2, 'again'), (22, 'last');
ANALYZE small;

-- what a statement returns, and where it leaves the group; it is undone
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r record;
    result text = '';
BEGIN
    BEGIN
        FOR r IN EXECUTE statement LOOP
            result = result || r::text || ' ';
        END LOOP;
        RAISE EXCEPTION 'undo' USING DETAIL = result || (SELECT string_agg('group at ' || position, '') FROM consumer_lag WHERE consumer_group = 'g' AND topic = 't'::regclass);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
        IF SQLERRM <> 'undo' THEN
            result = SQLERRM;
        END IF;
    END;
    RETURN result;
END $$;
-- the scans that are planned, with our functions and with PostgreSQL's scan, and
-- what comes of either
CREATE FUNCTION scans(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    result text = '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
        IF line ~ 'Custom Scan|Function Scan|ProjectSet|Function Name|Alias' THEN
            result = concat_ws(', ', nullif(result, ''), regexp_replace(line, '^[ >-]+', ''));
        END IF;
    END LOOP;
    RETURN result;
END $$;
CREATE FUNCTION compared(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    ours text = regexp_replace(statement, '\m(poll|read)\(', 'streamhouse.\1(', 'g');
    theirs text = regexp_replace(statement, '\m(poll|read)\(', 'theirs.\1(', 'g');
    result text = outcome(ours);
BEGIN
    RETURN NEXT scans(ours);
    IF scans(theirs) ~ 'Custom Scan' THEN
        RETURN NEXT 'NOT POSTGRESQL''S: ' || scans(theirs);
    END IF;
    RETURN NEXT CASE WHEN result = outcome(theirs) THEN 'the same: ' ELSE 'DIFFERENT: ' END || left(result, 50) || '...' || right(result, 20);
END $$;

--
-- Columns
--
SELECT compared($$SELECT v, n FROM poll('g', NULL::t, 5)$$);
SELECT compared($$SELECT v, n FROM read(NULL::t, 0, 3, 5)$$);
SELECT compared($$SELECT * FROM poll('g', NULL::t)$$);
SELECT compared($$SELECT * FROM read(NULL::t, 0, 0)$$);
SELECT compared($$SELECT count(*) FROM poll('g', NULL::t, 7)$$);
SELECT compared($$SELECT n, n, upper(v), n + f FROM poll('g', NULL::t, 7) AS x WHERE b IS NOT NULL AND n % 2 = 0$$);
SELECT compared($$SELECT x.e, x.a, late FROM read(NULL::t, 0, 18) AS x (a, c, d, e)$$);
SELECT compared($$SELECT length(v), late FROM poll('g', NULL::t) WHERE late IS NOT NULL$$);
SELECT compared($$SELECT 1 FROM poll('g', NULL::t, 3)$$);
SELECT compared($$SELECT n FROM poll('g', NULL::t, 3) WHERE false$$);
SELECT compared($$SELECT n FROM poll('g', NULL::t, 3) WHERE now() IS NULL$$);
SELECT compared($$SELECT x FROM poll('g', NULL::t, 3) x$$);
SELECT compared($$SELECT n FROM read(NULL::t, 0, 0, 3) x WHERE x IS NOT NULL$$);
EXPLAIN (VERBOSE, COSTS OFF) SELECT v, x.n FROM poll('g', NULL::t, 3) x WHERE f > 1;

--
-- How much is polled, and when
--
SELECT compared($$SELECT n FROM poll('g', NULL::t, 9) LIMIT 2$$);
SELECT compared($$SELECT n FROM poll('g', NULL::t, 9) LIMIT 0$$);
SELECT compared($$SELECT n FROM poll('g', NULL::t, 9) OFFSET 5$$);
SELECT compared($$SELECT n FROM poll('g', NULL::t, 9) ORDER BY n DESC$$);
SELECT compared($$SELECT n FROM poll('g', NULL::t, 500, 50)$$);
SELECT compared($$SELECT a.n, b.n FROM poll('g', NULL::t, 2) a, poll('g', NULL::t, 2) b$$);
SELECT compared($$SELECT n FROM poll('g', NULL::t, 2) UNION ALL SELECT n FROM poll('g', NULL::t, 2)$$);
SELECT compared($$SELECT n FROM poll('nobody', NULL::t, 2)$$);
SELECT compared($$SELECT n FROM poll('g', NULL::t, 0)$$);
SELECT compared($$SELECT n FROM read(NULL::t, 0, 100)$$);

--
-- Joins, arguments from other relations, rescans
--
SELECT compared($$SELECT kind, n FROM poll('g', NULL::t) JOIN small ON id = n$$);
SELECT compared($$SELECT kind, n, late FROM small LEFT JOIN read(NULL::t, 0, 0) ON id = n$$);
SELECT compared($$SELECT kind, x.n FROM small, LATERAL read(NULL::t, 0, id, 2) x$$);
SELECT compared($$SELECT kind, x.n FROM small, LATERAL poll('g', NULL::t, id) x$$);
SELECT compared($$SELECT kind, x.n FROM small LEFT JOIN LATERAL read(NULL::t, 0, id - 1, id) x ON x.n > id AND id < 22$$);
SELECT compared($$SELECT kind, m FROM small LEFT JOIN LATERAL (SELECT n + id AS m FROM read(NULL::t, 0, id, 1)) x ON id < 22$$);
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SET enable_memoize = off;
SELECT compared($$SELECT kind, n FROM small LEFT JOIN poll('g', NULL::t, 4) ON id = n$$);
SELECT compared($$SELECT kind, x.n, y.n FROM small, LATERAL (SELECT n FROM read(NULL::t, 0, id - id, 3) OFFSET 0) x LEFT JOIN poll('g', NULL::t, 3) y ON x.n = y.n ORDER BY 1, 2$$);
SELECT compared($$SELECT id, (SELECT string_agg(n::text, ',') FROM poll('g', NULL::t, 3) WHERE n <> id) FROM small$$);
SELECT compared($$SELECT id, (SELECT string_agg(n::text, ',') FROM poll('g', NULL::t, id - id + 3) WHERE n <> id) FROM small WHERE id < 3$$);
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
RESET enable_memoize;
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT compared($$SELECT a.id, b.n FROM small a JOIN poll('g', NULL::t, 9) b ON a.id = b.n$$);
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT compared($$SELECT n FROM read(NULL::t, 0, (SELECT min(id) FROM small), 2)$$);
SELECT compared($$SELECT kind, n FROM small, LATERAL read(NULL::t, 0, (SELECT count(*) FROM generate_series(1, id)), 1)$$);

--
-- Where PostgreSQL's stays
--
SELECT compared($$SELECT n, ordinality FROM poll('g', NULL::t, 3) WITH ORDINALITY$$);
SELECT compared($$SELECT n, g FROM ROWS FROM (poll('g', NULL::t, 2), generate_series(1, 3)) AS x (a, c, d, n, e, h, i, j, g)$$);
SELECT compared($$SELECT n FROM ROWS FROM (read(NULL::t, 0, 4, 2))$$);
SELECT compared($$SELECT (read(NULL::t, 0, 4, 2)).n$$);
SELECT compared($$SELECT n FROM small JOIN poll('g', NULL::t, 9) ON id = n FOR UPDATE OF small$$);
SELECT compared($$UPDATE small SET kind = v FROM poll('g', NULL::t, 9) WHERE id = n RETURNING small.*$$);
SELECT compared($$UPDATE small SET kind = v FROM (SELECT n, v FROM poll('g', NULL::t, 2) UNION ALL SELECT n, v FROM poll('g', NULL::t, 7)) x WHERE id = n RETURNING small.*$$);
SELECT compared($$DELETE FROM small USING poll('g', NULL::t, 9) WHERE id = n RETURNING small.*$$);
SELECT scans($$MERGE INTO small USING poll('g', NULL::t, 9) p ON id = p.n WHEN MATCHED THEN UPDATE SET kind = p.v WHEN NOT MATCHED THEN DO NOTHING$$);
SELECT outcome($$SELECT * FROM poll('g', NULL::t) AS x (a int)$$);

--
-- Through other things
--
SELECT compared($$INSERT INTO small SELECT n, v FROM poll('g', NULL::t, 3) RETURNING *$$);
SELECT compared($$WITH p AS MATERIALIZED (SELECT n, v FROM poll('g', NULL::t, 3)), i AS (INSERT INTO small SELECT n, v FROM p RETURNING id) SELECT * FROM i$$);
SELECT compared($$SELECT max(n), f > 2 FROM (SELECT * FROM poll('g', NULL::t, 12)) x GROUP BY 2 ORDER BY 2$$);
SELECT compared($$SELECT n, row_number() OVER (ORDER BY n DESC) FROM poll('g', NULL::t, 3)$$);
CREATE VIEW next_rows AS SELECT n, v FROM streamhouse.poll('g', NULL::t, 3);
CREATE FUNCTION next_n(max int) RETURNS SETOF int LANGUAGE sql AS $$ SELECT n FROM streamhouse.poll('g', NULL::t, max) $$;
CREATE FUNCTION next_t(max int) RETURNS SETOF t LANGUAGE sql STABLE AS $$ SELECT * FROM streamhouse.read(NULL::t, 0, 0, max) $$;
CREATE FUNCTION looped(max int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r record;
    result text = '';
BEGIN
    FOR r IN SELECT n, v FROM streamhouse.poll('g', NULL::t, max) LOOP
        result = result || r.n || coalesce(r.v, '-') || ' ';
    END LOOP;
    RETURN result;
END $$;
SELECT scans($$SELECT v FROM next_rows$$);
SELECT outcome($$SELECT v FROM next_rows$$);
SELECT outcome($$SELECT * FROM next_n(3)$$);
SELECT outcome($$SELECT n FROM next_t(3)$$);
SELECT scans($$SELECT n FROM next_t(3)$$);
SELECT outcome($$SELECT looped(15)$$);

-- prepared, with parameters; another group's position is its own
SELECT create_group('h', 't');
SET plan_cache_mode = force_generic_plan;
PREPARE next AS SELECT n FROM poll($1, NULL::t, $2);
SELECT scans($$EXECUTE next('h', 2)$$);
EXECUTE next('h', 2);
EXECUTE next('h', 1);
SET plan_cache_mode = force_custom_plan;
EXECUTE next('h', 1);
-- planned anew when columns change
SET plan_cache_mode = force_generic_plan;
PREPARE next_f AS SELECT late, f FROM poll('h', NULL::t, 1);
EXECUTE next_f;
ALTER TABLE t ADD COLUMN more int;
EXECUTE next_f;
ALTER TABLE t DROP COLUMN f;
EXECUTE next_f;
DEALLOCATE ALL;
RESET plan_cache_mode;

--
-- Cursors: back and forth, over both ends, beside each other
--
CREATE FUNCTION fetched(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    c CONSTANT text[] = '{NEXT,NEXT,PRIOR,PRIOR,PRIOR,NEXT,LAST,NEXT,NEXT,PRIOR,PRIOR,FIRST,ABSOLUTE 3,RELATIVE -1,ABSOLUTE -1,FORWARD ALL,BACKWARD 2,PRIOR}';
    step text;
    r refcursor;
    n int;
    result text = '';
BEGIN
    OPEN r SCROLL FOR EXECUTE statement;
    FOREACH step IN ARRAY c LOOP
        IF step ~ 'ALL|WARD' THEN
            EXECUTE format('MOVE %s FROM %s', step, quote_ident(r::text));
            CONTINUE;
        END IF;
        n = NULL;
        EXECUTE format('FETCH %s FROM %s', step, quote_ident(r::text)) INTO n;
        result = result || step || ' ' || coalesce(n::text, '-') || ', ';
    END LOOP;
    CLOSE r;
    RETURN NEXT result;
END $$;
BEGIN;
DECLARE c CURSOR FOR SELECT n FROM read(NULL::t, 0, 0, 4);
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
MOVE ALL FROM c;
FETCH BACKWARD ALL FROM c;
FETCH 1 FROM c;
CLOSE c;
DECLARE h CURSOR WITH HOLD FOR SELECT n, left(v, 3) FROM poll('h', NULL::t, 3);
FETCH 1 FROM h;
COMMIT;
FETCH 1 FROM h;
FETCH ALL FROM h;
CLOSE h;

--
-- More than work_mem goes to a tuplestore
--
SELECT create_topic('big', 1, 'n int, v text', NULL);
INSERT INTO big (n, v) SELECT i, repeat(chr(97 + i % 26), i % 200) FROM generate_series(0, 4999) i;
SELECT create_group('g', 'big');
SET work_mem = '64kB';
CREATE TEMP TABLE got AS SELECT _offset, n, v FROM poll('g', NULL::big, 5000);
SELECT count(*), sum((n = _offset AND v = repeat(chr(97 + n % 26), n % 200))::int) FROM got;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT id, count(*), sum(n), md5(string_agg(v, ',' ORDER BY n)) FROM small JOIN read(NULL::big, 0, 0, 5000) ON n % 31 = id GROUP BY 1 ORDER BY 1;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT n, length(v) FROM read(NULL::big, 0, 0, 5000);
FETCH ABSOLUTE 4990 FROM c;
FETCH BACKWARD 2 FROM c;
SELECT sum(total_bytes) < 600000 FROM pg_backend_memory_contexts WHERE name = 'streamhouse rows';
FETCH LAST FROM c;
FETCH NEXT FROM c;
FETCH PRIOR FROM c;
FETCH ABSOLUTE 2 FROM c;
MOVE 4000 FROM c;
FETCH 2 FROM c;
MOVE BACKWARD ALL FROM c;
FETCH 1 FROM c;
COMMIT;
DO $$
DECLARE
    ours text;
    theirs text;
    c SCROLL CURSOR FOR SELECT n, v FROM streamhouse.read(NULL::big, 0, 0, 5000);
    r record;
BEGIN
    OPEN c;
    MOVE LAST FROM c;
    FOR i IN REVERSE 4998 .. 0 LOOP
        FETCH PRIOR FROM c INTO r;
        IF r.n IS DISTINCT FROM i OR r.v IS DISTINCT FROM repeat(chr(97 + i % 26), i % 200) THEN
            RAISE EXCEPTION 'row % is %', i, r;
        END IF;
    END LOOP;
    CLOSE c;
    SELECT fetched('SELECT n FROM streamhouse.read(NULL::big, 0, 0, 5000)') INTO ours;
    SELECT fetched('SELECT n FROM theirs.read(NULL::big, 0, 0, 5000)') INTO theirs;
    RAISE NOTICE '%', CASE WHEN ours = theirs THEN 'the same: ' || ours ELSE 'DIFFERENT: ' || ours || theirs END;
    SELECT fetched('SELECT n FROM streamhouse.read(NULL::t, 0, 0, 4)') INTO ours;
    SELECT fetched('SELECT n FROM theirs.read(NULL::t, 0, 0, 4)') INTO theirs;
    RAISE NOTICE '%', CASE WHEN ours = theirs THEN 'the same: ' || ours ELSE 'DIFFERENT: ' || ours || theirs END;
END $$;
RESET work_mem;

--
-- Who may call, and who has been put in its place
--
CREATE ROLE regress_sth_function_scan;
GRANT USAGE ON SCHEMA function_scan_test TO regress_sth_function_scan;
GRANT SELECT ON t TO regress_sth_function_scan;
BEGIN;
REVOKE EXECUTE ON FUNCTION streamhouse.read FROM PUBLIC;
SET ROLE regress_sth_function_scan;
SELECT n FROM streamhouse.read(NULL::t, 0, 0, 1);
ROLLBACK;
BEGIN;
ALTER FUNCTION streamhouse.read STRICT;
SELECT scans($$SELECT n FROM read(NULL::t, 0, 0, 1)$$);
SELECT n FROM read(NULL::t, 0, 0, 1);
ROLLBACK;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA theirs CASCADE;
DROP SCHEMA function_scan_test CASCADE;
DROP ROLE regress_sth_function_scan;
