--
-- Savepoints, exception blocks and procedures: exactly the rows that are not rolled back
--
CREATE SCHEMA subtransactions_test;
SET search_path = subtransactions_test, public;
\pset format unaligned

-- a topic, and a table that is told the same
SELECT streamhouse.create_topic('t', 2, 'n int, s text', NULL);
CREATE TABLE twin (id serial, p int, n int, s text);
CREATE PROCEDURE add(p int, first int, last int, width int DEFAULT 10) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO t (_partition, n, s) SELECT p, i, rpad(md5(i::text), width, md5((i * 7)::text)) FROM generate_series(first, last) i;
    INSERT INTO twin (p, n, s) SELECT p, i, rpad(md5(i::text), width, md5((i * 7)::text)) FROM generate_series(first, last) i;
END $$;
-- "same" if the topic has the twin's rows, in the order in which they were added, and no gap
CREATE FUNCTION compare() RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN EXISTS ((SELECT p, row_number() OVER (PARTITION BY p ORDER BY id) - 1, n, s FROM twin
                              EXCEPT ALL SELECT _partition, _offset, n, s FROM t)
                             UNION ALL (SELECT _partition, _offset, n, s FROM t
                              EXCEPT ALL SELECT p, row_number() OVER (PARTITION BY p ORDER BY id) - 1, n, s FROM twin))
           THEN 'different' ELSE 'same: ' || count(*) END FROM t
$$;
CREATE PROCEDURE fresh() LANGUAGE plpgsql AS $$
BEGIN
    DROP FOREIGN TABLE IF EXISTS t;
    PERFORM streamhouse.create_topic('t', 2, 'n int, s text', NULL);
    TRUNCATE twin;
END $$;

-- a few rows
BEGIN;
CALL add(0, 1, 3);
SAVEPOINT a;
CALL add(0, 4, 6); CALL add(1, 4, 6);
ROLLBACK TO a;
CALL add(0, 7, 9);
SAVEPOINT b;
CALL add(1, 10, 12);
RELEASE b;
SAVEPOINT c;
CALL add(0, 13, 15);
SAVEPOINT d;
CALL add(0, 16, 18); CALL add(1, 16, 18);
RELEASE d;
ROLLBACK TO c;
CALL add(1, 19, 19);
COMMIT;
SELECT compare();
SELECT _partition, array_agg(n ORDER BY _offset) FROM t GROUP BY 1 ORDER BY 1;
SELECT partition, first_offset, last_offset FROM streamhouse.last_produced() ORDER BY 1;

-- rolled back to the same savepoint again and again, and beyond it
BEGIN;
CALL add(0, 100, 101);
SAVEPOINT a;
CALL add(0, 102, 102);
ROLLBACK TO a;
CALL add(0, 103, 103);
ROLLBACK TO a;
CALL add(0, 104, 104);
SAVEPOINT b;
CALL add(0, 105, 105);
SAVEPOINT c;
CALL add(1, 106, 106);
ROLLBACK TO a;
SAVEPOINT a;
CALL add(0, 107, 107);
ROLLBACK TO a;
ROLLBACK TO a;
CALL add(0, 108, 108);
COMMIT;
SELECT compare();
-- all rolled back: nothing is left, and no offset is taken
SELECT sum(next_offset) AS next FROM streamhouse.logs WHERE topic = 't'::regclass \gset
BEGIN;
SAVEPOINT a;
CALL add(0, 200, 299); CALL add(1, 200, 299);
ROLLBACK TO a;
COMMIT;
BEGIN;
CALL add(0, 200, 299);
SAVEPOINT a;
CALL add(0, 300, 399);
ROLLBACK;
SELECT sum(next_offset) = :next AS unmoved FROM streamhouse.logs WHERE topic = 't'::regclass;
SELECT compare();

-- many rows, so that frames are cut at savepoints
CALL fresh();
BEGIN;
CALL add(0, 1, 1777);
SAVEPOINT a;
CALL add(0, 2001, 5000); CALL add(1, 2001, 2010);
SAVEPOINT b;
CALL add(0, 5001, 9000); CALL add(1, 5001, 9000);
ROLLBACK TO b;
CALL add(0, 9001, 9005);
RELEASE b;
CALL add(0, 9006, 12000); CALL add(1, 9006, 9006);
SAVEPOINT c;
CALL add(0, 12001, 12001);
SAVEPOINT d;
CALL add(0, 12002, 15000);
ROLLBACK TO c;
CALL add(0, 15001, 15003);
RELEASE a;
CALL add(1, 15004, 15004);
COMMIT;
SELECT compare();
-- rows that fill a page or many, before and after savepoints
CALL fresh();
BEGIN;
CALL add(0, 1, 2); CALL add(0, 3, 3, 20000); CALL add(0, 4, 4);
SAVEPOINT a;
CALL add(0, 5, 6); CALL add(0, 7, 7, 300000); CALL add(0, 8, 8);
SAVEPOINT b;
CALL add(0, 9, 9, 100000);
ROLLBACK TO b;
CALL add(0, 10, 10);
RELEASE a;
SAVEPOINT c;
CALL add(0, 11, 11, 100000);
ROLLBACK TO c;
CALL add(0, 12, 12, 7000); CALL add(0, 13, 13, 8100); CALL add(0, 14, 14, 9000);
COMMIT;
SELECT compare();
-- deep nesting: every fourth level is rolled back
CALL fresh();
CREATE PROCEDURE nest(level int, deepest int) LANGUAGE plpgsql AS $$
BEGIN
    CALL add(level % 2, level * 1000 + 1, level * 1000 + 30);
    IF level < deepest THEN
        CALL nest(level + 1, deepest);
    END IF;
    CALL add(level % 2, level * 1000 + 31, level * 1000 + 60);
    IF level % 4 = 0 THEN
        RAISE 'back';
    END IF;
EXCEPTION WHEN raise_exception THEN
    CALL add(level % 2, level * 1000 + 61, level * 1000 + 61);
END $$;
CALL nest(1, 3);
SELECT compare();
CALL nest(1, 7);
SELECT compare();
CALL nest(5, 50);
SELECT compare();

-- exception blocks in a loop
CALL fresh();
DO $$
BEGIN
    FOR i IN 1 .. 2000 LOOP
        BEGIN
            CALL add(i % 2, i, i);
            IF i % 3 = 0 THEN
                PERFORM 1 / 0;
            END IF;
        EXCEPTION WHEN division_by_zero THEN
            NULL;
        END;
    END LOOP;
END $$;
SELECT compare();
-- at random, with a seed
CALL fresh();
CREATE PROCEDURE wander(depth int) LANGUAGE plpgsql AS $$
DECLARE
    n int;
BEGIN
    FOR step IN 1 .. 4 LOOP
        n = (random() ^ 6 * 700)::int;
        CALL add((random() < 0.3)::int, depth * 10000 + step * 1000, depth * 10000 + step * 1000 + n);
        IF depth < 5 AND random() < 0.7 THEN
            BEGIN
                CALL wander(depth + 1);
                IF random() < 0.4 THEN RAISE 'back'; END IF;
            EXCEPTION WHEN raise_exception THEN
                NULL;
            END;
        END IF;
    END LOOP;
END $$;
SELECT setseed(0.25);
CALL wander(1);
SELECT split_part(compare(), ':', 1);
DO $$ BEGIN CALL wander(1); CALL wander(1); END $$;
SELECT split_part(compare(), ':', 1);

-- procedures that commit and roll back
CALL fresh();
CREATE PROCEDURE batches() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 10 LOOP
        CALL add(0, i * 100, i * 100 + 9);
        PERFORM streamhouse.produce('t', '{"n": 0, "s": "produced"}', partition => 1);
        INSERT INTO twin (p, n, s) VALUES (1, 0, 'produced');
        IF i % 3 = 0 THEN
            ROLLBACK;
        ELSE
            COMMIT;
            RAISE NOTICE 'seen by the next transaction: %', (SELECT count(*) FROM t);
        END IF;
    END LOOP;
END $$;
CALL batches();
SELECT compare();
DO $$
BEGIN
    CALL add(1, 1, 5);
    COMMIT;
    CALL add(1, 6, 9);
    ROLLBACK;
    CALL add(1, 10, 10);
END $$;
SELECT compare();

-- cursors that produce: WITH HOLD runs to its end at the commit
CREATE FUNCTION add_one(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN CALL add(0, i, i); RETURN i; END $$;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT add_one(i) FROM generate_series(5001, 5010) i;
FETCH 2 FROM held;
COMMIT;
FETCH 1 FROM held;
CLOSE held;
SELECT compare();
BEGIN;
DECLARE not_held CURSOR FOR SELECT add_one(i) FROM generate_series(6001, 6010) i;
FETCH 2 FROM not_held;
COMMIT;
SELECT compare();

-- INSERT, then DROP, in one transaction; the drop is rolled back or not
BEGIN;
CALL add(0, 7001, 7003);
SAVEPOINT a;
DROP FOREIGN TABLE t;
ROLLBACK TO a;
CALL add(0, 7004, 7004);
COMMIT;
SELECT compare();
BEGIN;
CALL add(0, 8001, 8003);
DROP FOREIGN TABLE t;
SELECT streamhouse.create_topic('t', 2, 'n int, s text', NULL);
TRUNCATE twin;
CALL add(1, 8004, 8004);
COMMIT;
SELECT compare();
SELECT topic, partition, first_offset, last_offset FROM streamhouse.last_produced();
BEGIN;
CALL add(0, 9001, 9003);
DROP FOREIGN TABLE t;
COMMIT;
SELECT count(*) FROM streamhouse.last_produced() WHERE topic::text LIKE '%t';

SET client_min_messages = warning;
DROP SCHEMA subtransactions_test CASCADE;
RESET search_path;
SELECT (SELECT count(*) FROM streamhouse.log l WHERE NOT EXISTS (SELECT FROM streamhouse.topic t WHERE t.topic_id = l.topic_id)) AS logs,
       (SELECT count(*) FROM streamhouse.tail f WHERE NOT EXISTS (SELECT FROM streamhouse.log l WHERE l.log_id = f.log_id)) AS frames;
