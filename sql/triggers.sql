--
-- Triggers, constraints and generated columns of topics, for INSERT, COPY and produce()
--
CREATE SCHEMA triggers_test;
SET search_path = triggers_test, public;
\pset format unaligned
\set VERBOSITY terse

CREATE FOREIGN TABLE t (_partition int, _offset bigint, _timestamp timestamptz, n int NOT NULL, note text, twice int GENERATED ALWAYS AS (n * 2) STORED)
    SERVER streamhouse OPTIONS (partitions '3', key 'note');
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE INFO '% % %: n %, note %, twice %, partition %, offset %, time %', tg_name, tg_when, tg_level,
        NEW.n, NEW.note, NEW.twice, NEW._partition = streamhouse.partition_for('t', NEW.note), NEW._offset, NEW._timestamp > '2020-01-01';
    RETURN NEW;
END $$;
CREATE FUNCTION tell_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE INFO '% % %', tg_name, tg_when, tg_level; RETURN NULL; END $$;
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.n < 0 THEN RETURN NULL; END IF;  -- not this row
    IF NEW.note = 'move' THEN NEW._partition = 2; END IF;
    NEW.n = NEW.n + 100;
    RETURN NEW;
END $$;
CREATE TRIGGER a_change BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION change();
CREATE TRIGGER b_before BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER c_after AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER d_statement BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION tell_statement();
CREATE TRIGGER e_statement AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION tell_statement();

INSERT INTO t (n, note) VALUES (1, 'a'), (-1, 'not this row'), (2, 'b');
INSERT INTO t (n, note) VALUES (3, 'move') RETURNING _partition, n, twice;
COPY t (n, note) FROM STDIN;
4	d
-4	not this row
\.
SELECT streamhouse.produce('t', '{"n": 5}', key => 'e') = streamhouse.partition_for('t', 'e') AS routed;
SELECT streamhouse.produce('t', '{"n": -5}', key => 'e');
SELECT streamhouse.produce_batch('t', ARRAY['{"n": 6}', '{"n": -6}'], ARRAY['f', 'not this row']);
SELECT _partition = 2 AS moved, n, note, twice FROM t ORDER BY n;

-- what a trigger makes of a row is checked, and its error undoes the row
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE NEW.note WHEN 'null' THEN NEW.n = NULL; WHEN 'offset' THEN NEW._offset = 1; WHEN 'range' THEN NEW._partition = 3; WHEN 'big' THEN NEW.n = 1000; ELSE RAISE 'no %', NEW.note; END CASE;
    RETURN NEW;
END $$;
ALTER FOREIGN TABLE t DISABLE TRIGGER b_before;
ALTER FOREIGN TABLE t DISABLE TRIGGER c_after;
ALTER FOREIGN TABLE t DISABLE TRIGGER d_statement;
ALTER FOREIGN TABLE t DISABLE TRIGGER e_statement;
CREATE TRIGGER b_spoil BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION spoil();
ALTER FOREIGN TABLE t ADD CONSTRAINT small CHECK (n < 1000), ADD CONSTRAINT twice_small CHECK (twice < 1500);
SELECT sum(next_offset) AS before FROM streamhouse.logs WHERE topic = 't'::regclass \gset
INSERT INTO t (n, note) VALUES (1, 'null');
INSERT INTO t (n, note) VALUES (1, 'offset');
INSERT INTO t (n, note) VALUES (1, 'range');
INSERT INTO t (n, note) VALUES (1, 'big');
INSERT INTO t (n, note) VALUES (1, 'else');
SELECT streamhouse.produce('t', '{"n": 1}', key => 'null');
SELECT streamhouse.produce('t', '{"n": 1}', key => 'offset');
SELECT streamhouse.produce('t', '{"n": 1}', key => 'big');
SELECT streamhouse.produce('t', '{"n": 1}', key => 'else');
DROP TRIGGER b_spoil ON t;
DROP TRIGGER a_change ON t;
-- NOT NULL, CHECK and generated columns without triggers
INSERT INTO t (note) VALUES ('x');
INSERT INTO t (n) VALUES (999);
INSERT INTO t (n) VALUES (1, 2);
INSERT INTO t (n, twice) VALUES (1, 2);
INSERT INTO t (n, twice) VALUES (1, DEFAULT) RETURNING twice;
INSERT INTO t (n) VALUES (7), (8), (1000);
COPY t (n) FROM STDIN;
10
1001
\.
SELECT streamhouse.produce('t', '{"n": 800}');
SELECT streamhouse.produce_batch('t', ARRAY['{"n": 1}', '{"n": null}']);
SELECT sum(next_offset) - :before AS offsets FROM streamhouse.logs WHERE topic = 't'::regclass;

-- AFTER triggers that produce elsewhere, and triggers of tables that produce
CREATE TABLE orders (id int PRIMARY KEY, amount numeric);
SELECT streamhouse.create_topic('order_events', 2, 'id int, op text, amount numeric, xact boolean', 'id');
CREATE FUNCTION publish() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO order_events (id, op, amount) VALUES (coalesce(NEW.id, OLD.id), tg_op, NEW.amount);
    RETURN NULL;
END $$;
CREATE TRIGGER publish AFTER INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION publish();
INSERT INTO orders VALUES (1, 10), (2, 20);
UPDATE orders SET amount = amount + 1;
DELETE FROM orders WHERE id = 1;
INSERT INTO orders VALUES (2, 0);
SELECT id, op, amount FROM order_events ORDER BY id, _offset;
DROP TRIGGER publish ON orders;

-- deferred: fired by the COMMIT itself
CREATE FUNCTION publish_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM streamhouse.produce('order_events', jsonb_build_object('op', 'late', 'amount', NEW.amount, 'xact', true), key => NEW.id::text);
    IF NEW.amount < 0 THEN RAISE 'negative amount'; END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER publish_late AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION publish_late();
BEGIN;
INSERT INTO orders VALUES (10, 1), (11, 2);
INSERT INTO order_events (id, op) VALUES (10, 'early');
SELECT count(*) FROM order_events WHERE id >= 10;
COMMIT;
SELECT id, op, amount FROM order_events WHERE id >= 10 ORDER BY id, _offset;
BEGIN;
INSERT INTO orders VALUES (12, -1);
INSERT INTO order_events (id, op) VALUES (12, 'early');
COMMIT;
SELECT count(*) FROM order_events WHERE id = 12;
BEGIN;      -- nothing but deferred rows
INSERT INTO orders SELECT i, i FROM generate_series(1000, 1999) i;
COMMIT;
SELECT count(*), sum(amount) FROM order_events WHERE id >= 1000;
BEGIN;
INSERT INTO orders VALUES (13, 13);
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
SELECT count(*) FROM order_events WHERE id = 13;
SELECT bool_and(next_offset = n) AS dense
FROM streamhouse.logs JOIN (SELECT _partition, count(*) AS n FROM order_events GROUP BY 1) AS c ON partition = _partition WHERE topic = 'order_events'::regclass;

-- triggers that a foreign table cannot have
CREATE TRIGGER transition AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tell_statement();
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell();

-- a trigger on the topic that produces to the same topic
CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = 'echo' THEN INSERT INTO t (n, note) VALUES (NEW.n + 1, 'echoed'); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER echo_before BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION echo();
CREATE TRIGGER echo_after AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION echo();
INSERT INTO t (n, note) VALUES (50, 'echo'), (60, 'echo');
SELECT streamhouse.produce_batch('t', ARRAY['{"n": 70, "note": "echo"}', '{"n": 80, "note": "echo"}']);
SELECT n, note FROM t WHERE note LIKE 'echo%' ORDER BY n, note;

SET client_min_messages = warning;
DROP SCHEMA triggers_test CASCADE;
RESET search_path;
