--
-- SELECT and read()
--
CREATE SCHEMA read_test;
SET search_path = read_test, public;
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

CREATE FOREIGN TABLE t (_partition int, _offset bigint, _timestamp timestamptz, k text, n int, note text, doc jsonb)
    SERVER streamhouse OPTIONS (partitions '3', key 'k');
INSERT INTO t (_partition, _timestamp, k, n, note, doc)
SELECT i % 3, '2020-01-01 00:00+00'::timestamptz + i * interval '1 minute', 'k' || i % 7, i, CASE WHEN i % 5 = 0 THEN NULL ELSE 'note ' || i END, jsonb_build_object('i', i)
FROM generate_series(0, 2999) i;
CREATE TABLE twin AS SELECT * FROM t;
CREATE TABLE small AS SELECT i AS n, 'small ' || i AS name FROM generate_series(0, 20, 10) i;
ANALYZE twin;
ANALYZE small;

-- each column alone, and in WHERE
SELECT (SELECT count(*) FROM t), (SELECT count(DISTINCT _partition) FROM t), (SELECT sum(_offset) FROM t), (SELECT count(DISTINCT _timestamp) FROM t), (SELECT count(k) FROM t), (SELECT sum(n) FROM t), (SELECT count(note) FROM t), (SELECT sum((doc->>'i')::int) FROM t);
SELECT n FROM t WHERE _partition = 2 AND _offset BETWEEN 10 AND 12;
SELECT n FROM t WHERE _offset = 999 ORDER BY n;
SELECT _partition, _offset FROM t WHERE _timestamp = '2020-01-01 01:00+00';
SELECT count(*) FROM t WHERE _timestamp < '2020-01-02 00:00+00' AND note IS NULL;
SELECT _partition, count(*), min(_offset), max(_offset) FROM t WHERE k = 'k3' GROUP BY 1 ORDER BY 1;
SELECT _partition, _offset, n, note, doc FROM t WHERE n IN (0, 1, 2999) ORDER BY n;
SELECT n FROM t WHERE doc @> '{"i": 77}';
SELECT count(*) FROM t WHERE note LIKE 'note 1%' AND n > 1000 AND _partition <> 0;
SELECT count(*) FROM t WHERE false;
SELECT count(*) FROM t WHERE _offset = 1000 OR _partition = 3;
SELECT 1 AS one FROM t LIMIT 2;
SELECT tableoid::regclass FROM t LIMIT 1;

-- whole rows
SELECT count(*) FROM t JOIN twin USING (n) WHERE t::text = twin::text;
SELECT (t).n, (t).note, to_jsonb(t) - '_timestamp' AS json FROM t WHERE n = 4;
SELECT count(*) FROM (SELECT t.* FROM t EXCEPT ALL TABLE twin) AS x;
SELECT count(*) FROM (TABLE twin EXCEPT ALL SELECT t.* FROM t) AS x;
SELECT count(*) FROM t WHERE t IS NOT NULL;
SELECT count(t), count(t.*), count(*) FROM t;

-- joins, subqueries, rescans
SELECT s.name, t.k, t._offset FROM small s JOIN t USING (n) ORDER BY s.n;
SELECT count(*) FROM t JOIN twin USING (_partition, _offset) WHERE t.note IS NOT DISTINCT FROM twin.note AND t.doc = twin.doc;
SELECT count(*) FROM t a JOIN t b ON a.n = b.n + 1500;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
EXPLAIN (COSTS OFF) SELECT s.name, t.k FROM small s LEFT JOIN t ON t.n = s.n;
SELECT s.name, t.k, t.note, t._partition FROM small s LEFT JOIN t ON t.n = s.n AND t.n > 0 ORDER BY s.n;
SELECT name, (SELECT count(*) FROM t WHERE t.n < small.n), (SELECT max(note) FROM t WHERE t.n = small.n + 1) FROM small ORDER BY n;
SELECT name, x.* FROM small, LATERAL (SELECT n, _offset FROM t WHERE t.n > small.n ORDER BY n LIMIT 2) AS x ORDER BY name, x.n;
SELECT name FROM small WHERE EXISTS (SELECT FROM t WHERE t.n = small.n AND note IS NOT NULL);
SELECT name FROM small WHERE n IN (SELECT n FROM t) AND n NOT IN (SELECT n FROM t WHERE k = 'k3');
SELECT name, (SELECT n FROM t WHERE _partition = 1 OFFSET small.n LIMIT 1) FROM small ORDER BY n;    -- scans begun and not finished
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
WITH RECURSIVE chain AS (SELECT 0 AS n UNION ALL SELECT t.n FROM chain JOIN t ON t.n = chain.n * 2 + 1) SELECT array_agg(n) FROM chain;
SELECT count(*) FROM (SELECT k, row_number() OVER (PARTITION BY k ORDER BY n) AS r, n FROM t) AS w WHERE r * 7 - 7 + substr(k, 2)::int <> n;
SELECT count(*) FROM (SELECT n FROM t UNION SELECT n FROM twin) AS u;
SELECT k FROM t GROUP BY GROUPING SETS ((k), ()) HAVING count(*) > 428 ORDER BY k;

-- cursors
BEGIN;
DECLARE c CURSOR FOR SELECT _offset, n FROM t WHERE _partition = 0;
FETCH 2 FROM c;
MOVE 995 FROM c;
FETCH 5 FROM c;
FETCH 1 FROM c;
CLOSE c;
DECLARE c SCROLL CURSOR FOR SELECT _offset, n FROM t WHERE _partition = 1 AND n < 20;
FETCH LAST FROM c;
FETCH BACKWARD 2 FROM c;
FETCH FIRST FROM c;
FETCH ABSOLUTE 3 FROM c;
CLOSE c;
DECLARE c NO SCROLL CURSOR FOR SELECT n FROM t;
FETCH 1 FROM c;
FETCH BACKWARD 1 FROM c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT n FROM t WHERE n < 3 ORDER BY n;
COMMIT;
INSERT INTO t (n) VALUES (-1);
FETCH ALL FROM c;
CLOSE c;

-- prepared, with custom and generic plans; a prepared plan sees new rows, columns and partitions
PREPARE q (int, bigint) AS SELECT n FROM t WHERE _partition = $1 AND _offset >= $2 ORDER BY _offset LIMIT 2;
SET plan_cache_mode = force_generic_plan;
EXECUTE q (0, 10);
EXPLAIN (COSTS OFF) EXECUTE q (1, 20);
SET plan_cache_mode = force_custom_plan;
EXECUTE q (1, 20);
RESET plan_cache_mode;
PREPARE all_rows AS SELECT * FROM t WHERE n = -2;
PREPARE amount AS SELECT count(*) FROM t WHERE n < 0;
EXECUTE amount;
INSERT INTO t (n) VALUES (-2);
EXECUTE amount;
ALTER FOREIGN TABLE t OPTIONS (SET partitions '4');
INSERT INTO t (_partition, n) VALUES (3, -3);
EXECUTE amount;
EXECUTE q (3, 0);
ALTER FOREIGN TABLE t ADD COLUMN extra int;
EXECUTE all_rows;
ALTER FOREIGN TABLE t DROP COLUMN extra;
SELECT count(*) FROM t WHERE n < 0;
CREATE VIEW v AS SELECT k AS customer, n, note FROM t WHERE n BETWEEN 100 AND 102;
SELECT * FROM v ORDER BY n;
INSERT INTO v (customer, n) VALUES ('through the view', 101);
SELECT * FROM v WHERE customer LIKE 'through%';
CREATE MATERIALIZED VIEW m AS SELECT k, count(*) FROM t GROUP BY k;
SELECT count(*) FROM m;

-- EXPLAIN
EXPLAIN (COSTS OFF) SELECT k FROM t WHERE n > 5 AND _partition = 1;
EXPLAIN (VERBOSE, COSTS OFF) SELECT _offset, note FROM t WHERE n = 5;
EXPLAIN (COSTS OFF) INSERT INTO t (n) VALUES (1);
-- frames are as full as compression makes them: only whether they are read and decoded is shown
CREATE FUNCTION explain(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
        CONTINUE WHEN line ~ 'Storage';     -- later versions
        RETURN NEXT regexp_replace(regexp_replace(line, '(Frames .*|Frame Bytes): [1-9][0-9]*', '\1: some'), '(rows=\d+)\.\d+', '\1');
    END LOOP;
END $$;
SELECT explain('SELECT n FROM t WHERE n < 2');
SELECT explain('SELECT FROM t');        -- counting decodes nothing
SELECT explain('SELECT _partition, _offset FROM t LIMIT 5');
SELECT explain('SELECT _timestamp FROM t WHERE n < 0');
SELECT explain('INSERT INTO t (n) SELECT -4 FROM generate_series(1, 3)');
SELECT count(*) FROM t WHERE n = -4;

-- what topics cannot do
SELECT refused(c) FROM unnest(ARRAY['UPDATE t SET n = 0', 'UPDATE t SET n = 0 FROM small WHERE small.n = t.n', 'DELETE FROM t', 'DELETE FROM t WHERE false',
    'INSERT INTO t (n) VALUES (1) ON CONFLICT DO NOTHING', 'INSERT INTO t (n) VALUES (1) ON CONFLICT (n) DO UPDATE SET n = 2',
    'MERGE INTO t USING small s ON s.n = t.n WHEN NOT MATCHED THEN INSERT (n) VALUES (1)', 'UPDATE v SET note = $$x$$', 'DELETE FROM v',
    'LOCK TABLE t IN SHARE MODE', 'CREATE INDEX ON t (n)', 'ALTER TABLE t ADD PRIMARY KEY (n)', 'ALTER TABLE t ENABLE ROW LEVEL SECURITY',
    'CLUSTER t', 'SELECT n FROM t TABLESAMPLE SYSTEM (1)', 'CREATE PUBLICATION regress_sth FOR TABLE t', 'CREATE TABLE f (n int REFERENCES t)']) AS c;

-- rows of a topic cannot be locked; those of tables beside it can, and change
SELECT refused(c) FROM unnest(ARRAY['SELECT n FROM t WHERE n = 1 FOR UPDATE', 'SELECT n FROM t FOR SHARE SKIP LOCKED', 'SELECT n FROM t FOR KEY SHARE NOWAIT',
    'SELECT s.n FROM small s JOIN t USING (n) FOR UPDATE', 'SELECT s.n FROM small s JOIN t USING (n) FOR UPDATE OF s, t', 'SELECT * FROM (SELECT n FROM t) AS x FOR UPDATE', 'SELECT * FROM v FOR UPDATE']) AS c;
SELECT s.n, t.k FROM small s JOIN t USING (n) ORDER BY s.n FOR UPDATE OF s;
SELECT n FROM small WHERE n IN (SELECT n FROM t) ORDER BY n FOR SHARE;
UPDATE small SET name = t.note FROM t WHERE t.n = small.n + 1;
DELETE FROM small USING t WHERE small.n = t.n AND t.k = 'k3';
MERGE INTO small USING (SELECT n, note FROM t WHERE n IN (0, 1)) AS x ON small.n = x.n WHEN MATCHED THEN UPDATE SET name = 'matched' WHEN NOT MATCHED THEN INSERT VALUES (n, note);
INSERT INTO small SELECT n, note FROM t WHERE n = 2;
SELECT * FROM small ORDER BY n;
ANALYZE t;
VACUUM t;
SELECT count(*) FROM t WHERE n >= 0;

SET client_min_messages = warning;
DROP SCHEMA read_test CASCADE;
RESET search_path;
