--
-- What is wrong with a segment is noticed, and gives an error, never wrong rows
--
CREATE SCHEMA damage_test;
SET search_path = damage_test, public;
\pset format unaligned
\set VERBOSITY terse

CREATE FOREIGN TABLE d (_partition int, _offset bigint, n int, s text, gone text, j jsonb) SERVER streamhouse OPTIONS (segment_size '64kB');
INSERT INTO d (n, s, gone, j) SELECT i, CASE WHEN i % 3 > 0 THEN md5(i::text) END, i::text, jsonb_build_object('i', i) FROM generate_series(1, 60) i;
SELECT streamhouse.flush('d');
ALTER FOREIGN TABLE d DROP COLUMN gone;
INSERT INTO d (n, s, j) SELECT i, repeat('x', i % 300), NULL FROM generate_series(61, 2000) i;
SELECT streamhouse.flush('d');
INSERT INTO d (n, s) VALUES (2001, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 20) i));
SELECT count(*), sum(n) FROM d;
SELECT count(*) > 2 AS several FROM streamhouse.segments WHERE topic = 'd'::regclass;
SELECT * FROM streamhouse.verify('d');
CREATE TABLE good AS SELECT * FROM d;

-- done by a superuser who means it
ALTER TABLE streamhouse.object_data DISABLE TRIGGER ignore_write;
ALTER TABLE streamhouse.object DISABLE TRIGGER ignore_write;
ALTER TABLE streamhouse.segment DISABLE TRIGGER ignore_write;

-- a bit anywhere in the first object: verify() tells, and a query tells or is right
CREATE PROCEDURE flip_bits(step int) LANGUAGE plpgsql AS $$
DECLARE
    id bigint = (SELECT min(object_id) FROM streamhouse.segments WHERE topic = 'd'::regclass);
    size int = (SELECT size FROM streamhouse.object WHERE object_id = id);
    unnoticed int = 0;
    wrong int = 0;
    told int = 0;
    differ bigint;
BEGIN
    FOR at IN 0 .. size - 1 BY step LOOP
        UPDATE streamhouse.object_data SET data = set_bit(data, at * 8 + at % 8, 1 - get_bit(data, at * 8 + at % 8)) WHERE object_id = id AND chunk_no = 0;
        IF NOT EXISTS (SELECT FROM streamhouse.verify('d')) THEN
            unnoticed = unnoticed + 1;
        END IF;
        BEGIN
            SELECT count(*) INTO differ FROM (SELECT d::text FROM d EXCEPT ALL SELECT good::text FROM good) x;
            wrong = wrong + differ;
        EXCEPTION WHEN data_corrupted THEN
            told = told + 1;
        END;
        UPDATE streamhouse.object_data SET data = set_bit(data, at * 8 + at % 8, 1 - get_bit(data, at * 8 + at % 8)) WHERE object_id = id AND chunk_no = 0;
        COMMIT;     -- else old versions of the row pile up
    END LOOP;
    RAISE NOTICE 'unnoticed: %, wrong rows: %, told by queries: %', unnoticed, wrong, told > 0;
END $$;
CALL flip_bits(11);
SELECT * FROM streamhouse.verify('d');

-- who it is about
CREATE FUNCTION problems(deep boolean DEFAULT true) RETURNS SETOF text LANGUAGE sql AS
$$ SELECT regexp_replace(at || ': ' || problem, '\d+', 'N', 'g') FROM streamhouse.verify('d', deep) $$;
CREATE FUNCTION flip(at int) RETURNS void LANGUAGE sql AS
$$ UPDATE streamhouse.object_data SET data = set_byte(data, at, get_byte(data, at) # 1)
   WHERE chunk_no = 0 AND object_id = (SELECT min(object_id) FROM streamhouse.segments WHERE topic = 'd'::regclass) $$;
CREATE FUNCTION told(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE query;
    RETURN 'no error';
EXCEPTION WHEN others THEN
    GET STACKED DIAGNOSTICS detail = pg_exception_detail;
    RETURN sqlstate || ' ' || regexp_replace(sqlerrm || ': ' || detail, '\d+', 'N', 'g');
END $$;
\set QUIET off
BEGIN;
SELECT flip(600);
SELECT problems();
SELECT problems(deep => false);
SELECT told('SELECT * FROM d');
SELECT told('SELECT * FROM streamhouse.read(NULL::d, 0, 0)');
SELECT told('SELECT * FROM streamhouse.read(NULL::d, 0, 60)');
SELECT count(*) FROM d;
ROLLBACK;
BEGIN;
DELETE FROM streamhouse.object_data WHERE object_id = (SELECT min(object_id) FROM streamhouse.segments WHERE topic = 'd'::regclass);
SELECT problems();
SELECT told('SELECT * FROM d');
DELETE FROM streamhouse.object WHERE object_id = (SELECT min(object_id) FROM streamhouse.segments WHERE topic = 'd'::regclass);
SELECT problems(deep => false);
ROLLBACK;
BEGIN;
DELETE FROM streamhouse.segment WHERE base_offset = 60 AND log_id = (SELECT log_id FROM streamhouse.logs WHERE topic = 'd'::regclass);
SELECT problems();
SELECT told('SELECT * FROM d');
SELECT told('SELECT count(*) FROM d');
ROLLBACK;
BEGIN;
UPDATE streamhouse.segment SET base_offset = 50 WHERE base_offset = 60 AND log_id = (SELECT log_id FROM streamhouse.logs WHERE topic = 'd'::regclass);
SELECT problems();
ROLLBACK;
BEGIN;
UPDATE streamhouse.segment SET record_count = 59 WHERE base_offset = 0 AND log_id = (SELECT log_id FROM streamhouse.logs WHERE topic = 'd'::regclass);
SELECT problems();
SELECT told('SELECT count(*) FROM d');
ROLLBACK;
BEGIN;
UPDATE streamhouse.segment SET block_index = substr(block_index, 2) WHERE base_offset = 0 AND log_id = (SELECT log_id FROM streamhouse.logs WHERE topic = 'd'::regclass);
SELECT told('SELECT count(*) FROM d');
ROLLBACK;
-- a row of the tail that is in a segment as well
BEGIN;
ALTER TABLE streamhouse.tail DISABLE TRIGGER ignore_write;
INSERT INTO streamhouse.tail SELECT log_id, stage, 1500, count, frame FROM streamhouse.tail WHERE log_id = (SELECT log_id FROM streamhouse.logs WHERE topic = 'd'::regclass);
SELECT problems();
SELECT count(*), sum(n) FROM d;
ROLLBACK;
\set QUIET on
SELECT * FROM streamhouse.verify('d');

ALTER TABLE streamhouse.object_data ENABLE ALWAYS TRIGGER ignore_write;
ALTER TABLE streamhouse.object ENABLE ALWAYS TRIGGER ignore_write;
ALTER TABLE streamhouse.segment ENABLE ALWAYS TRIGGER ignore_write;
SET client_min_messages = warning;
DROP SCHEMA damage_test CASCADE;
