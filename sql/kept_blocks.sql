--
-- poll() through segments: a block that a poll has ended in is kept for the next
--
CREATE SCHEMA kept_blocks_test;
SET search_path = kept_blocks_test, streamhouse, public;
\pset format unaligned
\pset tuples_only on

SELECT create_topic('t', 2, 'n int, v text, gone int', NULL);
INSERT INTO t (_partition, n, v, gone) SELECT i % 2, i, repeat('x', i % 50), -i FROM generate_series(0, 9999) i;
INSERT INTO t (_partition, n) SELECT i % 2, i FROM generate_series(10000, 10099) i;
SELECT flush('t');
INSERT INTO t (_partition, n) SELECT i % 2, i FROM generate_series(10100, 10199) i;
SELECT create_group('a', 't'), create_group('b', 't');

CREATE VIEW blocks AS SELECT count(*) AS blocks FROM pg_backend_memory_contexts WHERE name = 'streamhouse block';
-- polls until there is nothing more, by turns undone first, and tells what is wrong
CREATE FUNCTION drain(consumer_group text, step int, times int DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r record;
    undone text;
    done text;
    rows int;
    wrong int = 0;
    all_rows int = 0;
    most_blocks int = 0;
BEGIN
    FOR i IN 1 .. coalesce(times, 1000000) LOOP
        FOR p IN 0 .. 1 LOOP
            BEGIN
                SELECT string_agg(x::text, ' ') INTO undone FROM poll(consumer_group, NULL::t, step, partitions => ARRAY[p]) x;
                IF i % 3 = 0 THEN
                    PERFORM FROM poll(consumer_group, NULL::t, step, partitions => ARRAY[p]) x;
                END IF;
                RAISE EXCEPTION 'undo';
            EXCEPTION WHEN raise_exception THEN NULL;
            END;
            SELECT string_agg(x::text, ' '), count(*), count(*) FILTER (WHERE n <> 2 * _offset + _partition OR (n < 10000 AND v <> repeat('x', n % 50)) OR (n >= 10000 AND v IS NOT NULL))
            INTO done, rows FROM poll(consumer_group, NULL::t, step, partitions => ARRAY[p]) x;
            IF done IS DISTINCT FROM undone THEN
                wrong = wrong + 1;
            END IF;
            all_rows = all_rows + rows;
            most_blocks = greatest(most_blocks, (SELECT blocks FROM blocks));
        END LOOP;
        EXIT WHEN rows = 0;
    END LOOP;
    RETURN format('%s rows, %s polls wrong, %s blocks at the same time', all_rows, wrong, most_blocks);
END $$;

SELECT segments FROM logs WHERE topic = 't'::regclass ORDER BY partition;
SELECT count(*) AS rows FROM poll('a', NULL::t, 700);
SELECT blocks FROM blocks;
SELECT count(*) AS rows FROM poll('a', NULL::t, 700);
SELECT blocks FROM blocks;
-- two groups on the same blocks
SELECT drain('b', 313, 3);
SELECT drain('a', 900, 1);
SELECT drain('b', 90, 5);
-- with other columns
ALTER TABLE t DROP COLUMN gone, ADD COLUMN late numeric;
SELECT drain('b', 311, 2);
SELECT _partition, _offset, n, length(v), late FROM poll('a', NULL::t, 3, partitions => '{0}');
-- to the end: of what has been read nothing is kept
SELECT drain('a', 450);
SELECT drain('b', 1000);
SELECT blocks FROM blocks;
-- what is asked for is not where the block is
SELECT create_group('c', 't');
SELECT n FROM poll('c', NULL::t, 2, partitions => '{1}');
SELECT blocks FROM blocks;
SELECT delete_records('t', 1, 5000);
SELECT n, v FROM poll('c', NULL::t, 2, partitions => '{1}');
TRUNCATE t;
INSERT INTO t (_partition, n) VALUES (1, 1), (1, 2);
SELECT flush('t');
SELECT n FROM poll('c', NULL::t, 1, partitions => '{1}');
SELECT n FROM poll('c', NULL::t, 1, partitions => '{1}');
SELECT blocks FROM blocks;

SET client_min_messages = warning;
DROP SCHEMA kept_blocks_test CASCADE;
