--
-- Topics that are altered; catalog and topic stay in step, whatever is rolled back
--
CREATE SCHEMA alter_test;
SET search_path = alter_test, public;
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

CREATE VIEW here AS
SELECT t.name, t.partitions, t.key, ftoptions AS options,
       (SELECT sum(next_offset) FROM streamhouse.logs l WHERE l.topic = t.topic) AS produced
FROM streamhouse.topics t JOIN pg_foreign_table ON ftrelid = t.topic
WHERE t.schema = 'alter_test';

-- names
SELECT streamhouse.create_topic('a', columns => 'k text, v int', key => 'k', partitions => 2);
INSERT INTO a (k, v) SELECT 'k' || i % 5, i FROM generate_series(1, 10) i;
ALTER FOREIGN TABLE a RENAME TO b;
ALTER FOREIGN TABLE b RENAME COLUMN k TO id;
ALTER FOREIGN TABLE b RENAME COLUMN v TO k;     -- a name that was the key's
SELECT * FROM here;
INSERT INTO b (id, k) VALUES ('k1', 11);
SELECT id, array_agg(k ORDER BY _offset), count(DISTINCT _partition) AS partitions FROM b GROUP BY id ORDER BY id;
ALTER TABLE b RENAME COLUMN id TO "Id, it's";   -- ALTER TABLE does as well
SELECT * FROM here;
SELECT streamhouse.partition_for('b', 'k1') = _partition AS same FROM b WHERE k = 11;
ALTER FOREIGN TABLE b OPTIONS (SET key 'k');    -- another key
SELECT * FROM here;
ALTER FOREIGN TABLE b OPTIONS (DROP key);
ALTER FOREIGN TABLE b OPTIONS (ADD key 'Id, it''s');
SELECT * FROM here;
ALTER FOREIGN TABLE b RENAME COLUMN "Id, it's" TO id;
SELECT refused('ALTER FOREIGN TABLE b DROP COLUMN id');
BEGIN;
ALTER FOREIGN TABLE b DROP COLUMN id, OPTIONS (DROP key);
SELECT * FROM here;
ROLLBACK;
SELECT * FROM here;

-- schema and owner
CREATE SCHEMA alter_test_2;
ALTER FOREIGN TABLE b SET SCHEMA alter_test_2;
SELECT schema, name FROM streamhouse.topics WHERE name = 'b';
SELECT count(*) FROM alter_test_2.b;
ALTER FOREIGN TABLE alter_test_2.b SET SCHEMA alter_test;
DROP SCHEMA alter_test_2;
CREATE ROLE regress_sth_alter_owner;
ALTER FOREIGN TABLE b OWNER TO regress_sth_alter_owner;
SELECT owner FROM streamhouse.topics WHERE topic = 'b'::regclass;
REASSIGN OWNED BY regress_sth_alter_owner TO CURRENT_USER;
SELECT owner = current_user AS mine FROM streamhouse.topics WHERE topic = 'b'::regclass;
DROP ROLE regress_sth_alter_owner;

-- columns: rows from before and after an ALTER side by side
SELECT streamhouse.create_topic('c', columns => 'n int, a text, b numeric, d text DEFAULT $$d$$', key => NULL);
INSERT INTO c (n, a, b) VALUES (1, 'a1', 1.5), (2, NULL, 2.5);
ALTER FOREIGN TABLE c ADD COLUMN e int DEFAULT 7;
INSERT INTO c (n, a, b) VALUES (3, 'a3', 3.5);
ALTER FOREIGN TABLE c DROP COLUMN b;
INSERT INTO c (n, a, e) VALUES (4, 'a4', 44);
ALTER FOREIGN TABLE c ADD COLUMN b text;
ALTER FOREIGN TABLE c RENAME COLUMN a TO f;
INSERT INTO c (n, b) VALUES (5, 'b5');
SELECT * FROM c WHERE _timestamp < '2000-01-01';
SELECT _partition, _offset, n, f, d, e, b FROM c;
SELECT n, b FROM c WHERE e IS NULL;
SELECT _offset, n, f, b FROM streamhouse.read(NULL::c, 0, 1, 3);
ALTER FOREIGN TABLE c DROP COLUMN f, DROP COLUMN d, DROP COLUMN b;
SELECT _offset, n, e FROM c;
SELECT _offset, n, e FROM streamhouse.read(NULL::c, 0, 0);
INSERT INTO c (n, e) SELECT i, i FROM generate_series(6, 5000) i;
ALTER FOREIGN TABLE c DROP COLUMN e;
SELECT count(*), sum(n), count(DISTINCT _offset), max(_offset) FROM c;
ALTER FOREIGN TABLE c ALTER COLUMN n SET DEFAULT -1, ADD CONSTRAINT small CHECK (n < 10000);
INSERT INTO c DEFAULT VALUES;
SELECT n FROM c WHERE _offset = 5000;

-- what rows that are stored do not survive
SELECT refused('ALTER FOREIGN TABLE c ' || change) FROM unnest(ARRAY[
    'ALTER COLUMN n TYPE bigint', 'ALTER COLUMN n TYPE numeric', 'ALTER COLUMN n SET NOT NULL',
    'ADD COLUMN m int NOT NULL', 'ADD COLUMN m int NOT NULL DEFAULT 0',
    'DROP COLUMN _partition', 'DROP COLUMN _offset', 'DROP COLUMN _timestamp',
    'RENAME COLUMN _partition TO p', 'RENAME COLUMN _offset TO o', 'RENAME COLUMN _timestamp TO t',
    'ALTER COLUMN _timestamp TYPE timestamp', 'ALTER COLUMN _partition TYPE bigint', 'ALTER COLUMN _offset SET NOT NULL',
    'DROP COLUMN n']) AS change;
CREATE FOREIGN TABLE named (a int, b int, o bigint) SERVER streamhouse;
INSERT INTO named VALUES (1, 2, 3);
SELECT refused('ALTER FOREIGN TABLE named RENAME COLUMN o TO _offset');
SELECT refused('ALTER FOREIGN TABLE named ADD COLUMN _offset int');
ALTER FOREIGN TABLE named ADD COLUMN _offset bigint, ADD COLUMN _timestamp timestamptz, ADD COLUMN _partition int;
INSERT INTO named VALUES (4, 5, 6);
SELECT a, b, o, _offset, _partition, _timestamp IS NOT NULL AS timed FROM named;

-- a topic without rows can be anything
SELECT streamhouse.create_topic('empty', key => NULL, columns => 'n int, m int');
ALTER FOREIGN TABLE empty ALTER COLUMN n TYPE text, ADD COLUMN e date NOT NULL DEFAULT '2020-02-20', DROP COLUMN _offset, DROP COLUMN m;
ALTER FOREIGN TABLE empty RENAME COLUMN _timestamp TO happened;
INSERT INTO empty (n) VALUES ('x');
SELECT _partition, happened, n, e = '2020-02-20' AS e FROM empty;
SELECT refused('ALTER FOREIGN TABLE empty ALTER COLUMN n TYPE varchar(5)');
ALTER FOREIGN TABLE empty ALTER COLUMN _partition SET NOT NULL;
INSERT INTO empty (n) VALUES ('y');
-- rows of this very transaction count
BEGIN;
SELECT streamhouse.create_topic('fresh', key => NULL, columns => 'n int');
INSERT INTO fresh (n) VALUES (1);
SELECT refused('ALTER FOREIGN TABLE fresh ALTER COLUMN n TYPE text');
ALTER FOREIGN TABLE fresh ADD COLUMN m int DEFAULT 5;
INSERT INTO fresh (n) VALUES (2);
ALTER FOREIGN TABLE fresh DROP COLUMN n;
INSERT INTO fresh DEFAULT VALUES;
COMMIT;
SELECT _offset, m FROM fresh;

-- partitions
SELECT streamhouse.create_topic('p', 2, 'k int', 'k');
INSERT INTO p (k) SELECT generate_series(1, 100);
SELECT _partition, count(*) FROM p GROUP BY 1 ORDER BY 1;
ALTER FOREIGN TABLE p OPTIONS (SET partitions '5');
INSERT INTO p (k) SELECT generate_series(101, 300);
SELECT _partition, count(*), min(_offset), max(_offset) FROM p GROUP BY 1 ORDER BY 1;
SELECT partition, start_offset, next_offset FROM streamhouse.logs WHERE topic = 'p'::regclass ORDER BY 1;
INSERT INTO p (_partition, k) VALUES (4, 0) RETURNING _partition;
SELECT refused(format('ALTER FOREIGN TABLE p OPTIONS (%s)', o)) FROM unnest(ARRAY[
    $$SET partitions '4'$$, $$SET partitions '0'$$, $$SET partitions '10001'$$, $$DROP partitions$$, $$ADD partitions '6'$$]) o;
ALTER FOREIGN TABLE p OPTIONS (SET partitions '5');
SELECT * FROM here WHERE name = 'p';

-- rolled back: all of it
BEGIN;
ALTER FOREIGN TABLE p OPTIONS (SET partitions '8');
INSERT INTO p (_partition, k) VALUES (7, 1), (0, 1);
ALTER FOREIGN TABLE p RENAME COLUMN k TO kk;
ALTER FOREIGN TABLE p ADD COLUMN m int;
INSERT INTO p (kk, m) VALUES (1, 2);
SELECT * FROM here WHERE name = 'p';
ROLLBACK;
SELECT * FROM here WHERE name = 'p';
SELECT refused('INSERT INTO p (_partition, k) VALUES (7, 1)');
-- in part: the rows in between go with their columns and partitions
BEGIN;
INSERT INTO p (_partition, k) VALUES (0, 1001), (1, 1001);
SAVEPOINT s;
ALTER FOREIGN TABLE p OPTIONS (SET partitions '8');
ALTER FOREIGN TABLE p ADD COLUMN m text;
ALTER FOREIGN TABLE p RENAME COLUMN k TO kk;
INSERT INTO p (_partition, kk, m) VALUES (7, 1002, 'm'), (0, 1002, 'm'), (1, 1002, 'm');
ROLLBACK TO s;
SELECT * FROM here WHERE name = 'p';
SELECT refused('INSERT INTO p (_partition, k) VALUES (7, 1)');
ALTER FOREIGN TABLE p ADD COLUMN m numeric;
INSERT INTO p (_partition, k, m) VALUES (0, 1003, 1.5), (2, 1003, 2.5);
SAVEPOINT s2;
ALTER FOREIGN TABLE p DROP COLUMN m;
INSERT INTO p (_partition, k) VALUES (0, 1004);
RELEASE s2;
ALTER FOREIGN TABLE p OPTIONS (SET partitions '7');
INSERT INTO p (_partition, k) VALUES (6, 1005);
COMMIT;
SELECT _partition, _offset, k FROM p WHERE k > 1000 ORDER BY 1, 2;
SELECT * FROM here WHERE name = 'p';
\d p
BEGIN;
SAVEPOINT s;
SELECT streamhouse.create_topic('never');
INSERT INTO never (value) VALUES ('1');
ROLLBACK TO s;
SELECT streamhouse.create_topic('never', 3);
INSERT INTO never (value) VALUES ('2');
SELECT name, partitions FROM here WHERE name = 'never';
SAVEPOINT s;
DROP FOREIGN TABLE never;
SELECT name, partitions FROM here WHERE name = 'never';
ROLLBACK TO s;
ALTER FOREIGN TABLE never RENAME TO ever;
COMMIT;
SELECT name, partitions, produced FROM here WHERE name LIKE '%ever';
SELECT value FROM ever;
BEGIN;
DROP FOREIGN TABLE p;
DROP FOREIGN TABLE ever;
SELECT name FROM here WHERE name IN ('p', 'ever');
ROLLBACK;
SELECT * FROM here WHERE name IN ('p', 'ever');
INSERT INTO ever (value) VALUES ('3');
SELECT count(*) FROM ever;
SELECT count(*), count(DISTINCT (_partition, _offset)) FROM p;

-- dependent types take their columns along, but not a key
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
SELECT streamhouse.create_topic('t', columns => 'm mood, n positive, o int', key => NULL);
SELECT streamhouse.create_topic('tk', columns => 'm mood, o int', key => 'm', partitions => 4);
INSERT INTO t (m, n, o) VALUES ('sad', 1, 1), ('happy', 2, 2);
INSERT INTO tk (m, o) VALUES ('sad', 1), ('happy', 2);
SET client_min_messages = warning;
SELECT refused('DROP TYPE mood CASCADE');
DROP FOREIGN TABLE tk;
DROP TYPE mood CASCADE;
DROP DOMAIN positive CASCADE;
SELECT _offset, o FROM t;

-- what a transaction keeps of a topic as it was goes with the transaction
CREATE FOREIGN TABLE changing (k text) SERVER streamhouse;
DO $$
BEGIN
    FOR i IN 1..300 LOOP
        INSERT INTO changing VALUES ('before');
        EXECUTE format('ALTER FOREIGN TABLE changing OPTIONS (%s flush_interval %L)', CASE i WHEN 1 THEN 'ADD' ELSE 'SET' END, 60 + i);
        INSERT INTO changing VALUES ('after');
        IF i % 2 = 1 THEN
            COMMIT;
        ELSE
            ROLLBACK;
        END IF;
    END LOOP;
END $$;
SELECT count(*) FROM changing;
SELECT sum(used_bytes) < 32 * 1024 AS few_kept FROM pg_backend_memory_contexts WHERE name = 'streamhouse topics';

DROP SCHEMA alter_test CASCADE;
RESET search_path;
