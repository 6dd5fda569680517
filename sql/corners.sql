-- Places where a careless change would break a promise.
SET client_min_messages = warning;
\set VERBOSITY terse
\pset format unaligned
CREATE SCHEMA corners;
SET search_path = corners, public;

-- a partition that a rolled-back subtransaction added is gone again
SELECT streamhouse.create_topic('grown', 1, key => NULL);
BEGIN;
SAVEPOINT s;
ALTER FOREIGN TABLE grown OPTIONS (SET partitions '5000');
INSERT INTO grown (value) VALUES ('1');
ROLLBACK TO s;
INSERT INTO grown (value) VALUES ('2');
ALTER FOREIGN TABLE grown OPTIONS (SET partitions '3');
INSERT INTO grown (_partition, value) VALUES (2, '3');
COMMIT;
SELECT _partition, _offset, value FROM grown ORDER BY 1, 2;

-- a statement within a statement that rolls back does not take the outer
-- one's registration with it
CREATE FUNCTION noisy() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE scratch (a int);
	RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
END $$;
CREATE EVENT TRIGGER noisy ON ddl_command_end WHEN TAG IN ('CREATE FOREIGN TABLE') EXECUTE FUNCTION noisy();
CREATE FOREIGN TABLE noticed (v text) SERVER streamhouse;
DROP EVENT TRIGGER noisy;
INSERT INTO noticed VALUES ('x');
SELECT * FROM noticed;

-- rows without values fill frames too
CREATE FOREIGN TABLE empty (_partition int, _offset bigint, v text) SERVER streamhouse;
INSERT INTO empty (v) SELECT NULL FROM generate_series(1, 20000);
SELECT count(*), min(_offset), max(_offset), count(v) FROM empty;
SELECT max(count) <= 8192 AS bounded, sum(count) FROM streamhouse.tail
WHERE log_id = (SELECT log_id FROM streamhouse.logs WHERE topic = 'empty'::regclass);

-- generated columns see the columns that are assigned
CREATE FOREIGN TABLE generated (_partition int, _timestamp timestamptz, v int,
	day date GENERATED ALWAYS AS ((_timestamp AT TIME ZONE 'UTC')::date) STORED,
	twice int GENERATED ALWAYS AS (v * 2 + _partition) STORED) SERVER streamhouse OPTIONS (partitions '2');
INSERT INTO generated (v, _timestamp, _partition) VALUES (1, '2026-02-03 23:30+00', 1);
INSERT INTO generated (v, _partition) VALUES (2, 0) RETURNING day IS NOT NULL AS day, twice;
SELECT streamhouse.produce('generated', '{"v": 3}', partition => 1);
SELECT v, twice, day = (_timestamp AT TIME ZONE 'UTC')::date AS day FROM generated ORDER BY v;

-- what VALUES does not say, or says is NULL, is not evaluated
CREATE FOREIGN TABLE named (_partition int, _offset bigint, _timestamp timestamptz, gone int, k text, n int, d text DEFAULT 'd',
	CHECK (n IS DISTINCT FROM 13), CHECK (tableoid = 'named'::regclass)) SERVER streamhouse OPTIONS (partitions '2', key 'k');
ALTER FOREIGN TABLE named DROP COLUMN gone;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO named (n, k) VALUES (1, 'a') RETURNING n;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO named VALUES (NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO named (n, k) VALUES (1, 'a') RETURNING tableoid::regclass, _offset, _timestamp IS NULL AS timeless, k, n, d, named IS NULL AS empty;
INSERT INTO named VALUES (1, NULL, '2026-01-01 00:00+00', NULL, 2, NULL) RETURNING _partition, k, n, d;
INSERT INTO named VALUES (NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO named DEFAULT VALUES RETURNING k, n, d;
INSERT INTO named (n) VALUES (13);
INSERT INTO named (n, _offset) VALUES (3, NULL), (4, NULL);
WITH i AS (INSERT INTO named (n, d) VALUES ((SELECT 5), NULL) RETURNING *) SELECT n, d FROM i;
CREATE VIEW small AS SELECT k, n, d FROM named WHERE n < 10 AND d IS NULL WITH CHECK OPTION;
INSERT INTO small (n, d) VALUES (6, NULL);
INSERT INTO small (n) VALUES (7);
-- a plan that was made for a table without trigger or generated column
SET plan_cache_mode = force_generic_plan;
PREPARE add(int, text) AS INSERT INTO named (n, d) VALUES ($1, $2) RETURNING n, d;
EXECUTE add(21, NULL);
CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.d := coalesce(NEW.d, '') || TG_WHEN; RETURN NEW; END $$;
CREATE TRIGGER mark BEFORE INSERT ON named FOR EACH ROW EXECUTE FUNCTION mark();
EXECUTE add(22, 'x');
DROP TRIGGER mark ON named;
EXECUTE add(23, 'x');
ALTER FOREIGN TABLE named ADD COLUMN g int GENERATED ALWAYS AS (n * 2) STORED, ADD COLUMN last text;
EXECUTE add(24, NULL);
ALTER FOREIGN TABLE named DROP COLUMN g;
EXECUTE add(25, 'y');
SELECT n, k, d, last FROM named ORDER BY n, d;
RESET plan_cache_mode;

-- a domain that refuses NULL cannot be added to rows
CREATE DOMAIN required AS text NOT NULL;
ALTER FOREIGN TABLE noticed ADD COLUMN r required;
CREATE FOREIGN TABLE fresh (v text) SERVER streamhouse;
ALTER FOREIGN TABLE fresh ADD COLUMN r required;
INSERT INTO fresh (v) VALUES ('x');

-- what an argument and the object both say is an error
CREATE FOREIGN TABLE typed (_partition int, _timestamp timestamptz, a int) SERVER streamhouse OPTIONS (partitions '2');
SELECT streamhouse.produce('typed', '{"a": 1, "_partition": 1}'::jsonb, partition => 0);
SELECT streamhouse.produce('typed', '{"a": 1, "_timestamp": "2026-01-01"}'::jsonb, event_time => now());
SELECT streamhouse.produce('typed', '{"a": 1, "_partition": 1}'::jsonb);

-- a table that only has a name of ours
CREATE TABLE tail (a int);
BEGIN;
DROP TABLE tail;
PREPARE TRANSACTION 'not ours';
COMMIT PREPARED 'not ours';

-- the views go by their snapshot, and the topic may be gone since
SELECT streamhouse.next_offset(2147483647) IS NULL AS unknown;

DROP SCHEMA corners CASCADE;
