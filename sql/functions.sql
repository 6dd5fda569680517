--
-- produce(), produce_bytes() and produce_batch()
--
CREATE SCHEMA functions_test;
SET search_path = functions_test, public;
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

SELECT streamhouse.create_topic('e', 4);
CREATE VIEW new_rows AS
SELECT e.* FROM streamhouse.last_produced() l JOIN e ON l.topic = 'e'::regclass AND _partition = partition AND _offset BETWEEN first_offset AND last_offset;

-- which overload is called, and what comes of it
SELECT streamhouse.produce('e', '{"literal": 1}') BETWEEN 0 AND 3 AS in_range;
SELECT value FROM new_rows;
SELECT streamhouse.produce('e', '{"key": 2}', 'k1') = streamhouse.partition_for('e', 'k1') AS routed;
SELECT key, value FROM new_rows;
SELECT streamhouse.produce('e', '{"b":1,   "a":2}'::json, 'k1') = streamhouse.partition_for('e', 'k1') AS routed;
SELECT streamhouse.produce('e', jsonb_build_object('j', 'b'), 'k1') = streamhouse.partition_for('e', 'k1') AS routed;
SELECT streamhouse.produce('e', '3'::text) IS NOT NULL;
SELECT streamhouse.produce('e'::regclass, '4'::varchar, key => 'k2', headers => '{"h": 1}', partition => 3, event_time => '2001-02-03 04:05:06+00');
SELECT _partition, _timestamp = '2001-02-03 04:05:06+00' AS event_time, key, value, headers FROM new_rows;
SELECT streamhouse.produce(topic => 'e', partition => 2, value => '5');
SELECT streamhouse.produce('e', NULL, 'tombstone', partition => 1);
SELECT key, value, value IS NULL AS no_value FROM new_rows;
PREPARE p (regclass, jsonb, text) AS SELECT streamhouse.produce($1, $2, $3) IS NOT NULL;
EXECUTE p ('e', '{"prepared": true}', 'p');
DEALLOCATE p;
PREPARE p AS SELECT streamhouse.produce($1, $2, key => $3) IS NOT NULL;   -- untyped parameters
EXECUTE p ('e', '{"prepared": "untyped"}', NULL);
DEALLOCATE p;
SELECT key, value FROM new_rows;
SELECT count(*), count(value), count(DISTINCT (_partition, _offset)) FROM e;

-- many in one statement
SELECT count(*), count(DISTINCT p) FROM (SELECT streamhouse.produce('e', to_jsonb(i), 'b' || i % 10) AS p FROM generate_series(1, 1000) i) AS x;
SELECT count(*), sum(value::int) FROM new_rows;
SELECT count(*) FROM (SELECT lag(value::int) OVER (PARTITION BY _partition ORDER BY _offset) >= value::int AS disorder FROM new_rows) AS x WHERE disorder;

-- produce_bytes: bytes for a topic of bytes, text in the database's encoding for others
SELECT streamhouse.create_topic('raw', 4, 'key bytea, value bytea', 'key');
SELECT streamhouse.produce_bytes('raw', '\x0001ff'::bytea, '\xfe00'::bytea) IS NOT NULL AS produced;
SELECT streamhouse.produce_bytes('raw', '\x', 'abc') = streamhouse.partition_for('raw', 'abc') AS routed;
SELECT streamhouse.produce_bytes('raw', NULL, NULL, partition => 0);
SELECT streamhouse.produce('raw', '\x0203', 'text') = streamhouse.partition_for('raw', 'text') AS routed;
SELECT key, value, length(value) FROM raw ORDER BY key;
SELECT streamhouse.produce_bytes('e', convert_to('{"é": "€"}', 'UTF8'), convert_to('ключ', 'UTF8')) = streamhouse.partition_for('e', 'ключ') AS routed;
SELECT key, value FROM new_rows;
SELECT refused($$SELECT streamhouse.produce_bytes('e', '\xff')$$);
SELECT refused($$SELECT streamhouse.produce_bytes('e', '"x"', '\x61ff')$$);
SELECT refused($$SELECT streamhouse.produce_bytes('e', '\x226100226100')$$);

-- produce_batch
SELECT streamhouse.produce_batch('e', ARRAY['1', '{"n": 2}', NULL, '4'], ARRAY['x', NULL, 'z', 'x']);
SELECT key, value FROM new_rows ORDER BY key, value;
SELECT streamhouse.produce_batch('e', ARRAY['1', '2'], partition => 2);
SELECT _partition, value FROM new_rows;
SELECT streamhouse.produce_batch('e', '{}');
SELECT streamhouse.produce_batch('e', '{}', '{}');
SELECT streamhouse.produce_batch_bytes('raw', ARRAY['\x01', '\x']::bytea[], ARRAY['\x02', NULL]::bytea[], 1);
SELECT key, value FROM raw WHERE _partition = 1 AND (key = '\x02' OR key IS NULL);
SELECT streamhouse.produce_batch('e', array_agg(i::text ORDER BY i), array_agg('k' || i % 7 ORDER BY i)) FROM generate_series(1, 5000) i;
SELECT count(*), sum(value::int), count(DISTINCT key) FROM new_rows;
SELECT refused(format('SELECT streamhouse.%s', call)) FROM (VALUES
    ($$produce_batch('e', ARRAY['1', '2'], ARRAY['k'])$$), ($$produce_batch('e', ARRAY['1'], '{}')$$),
    ($$produce_batch('e', NULL)$$), ($$produce_batch(NULL, '{}')$$), ($$produce_batch('e', '{{1,2},{3,4}}')$$),
    ($$produce_batch('e', ARRAY['1', 'not json'])$$), ($$produce_batch('e', ARRAY['1'], partition => 4)$$),
    ($$produce_batch('raw', ARRAY['\xzz'])$$), ($$produce_batch_bytes('e', ARRAY['\xff'::bytea])$$),
    ($$produce(NULL, '1')$$), ($$produce('nothing', '1')$$), ($$produce('new_rows', '1')$$), ($$produce('pg_class', '1')$$), ($$produce(0, '1')$$), ($$produce(4294967295, '1')$$),
    ($$produce('e', '{"not": json}')$$), ($$produce('e', '1', partition => -1)$$), ($$produce('e', '1', partition => 4)$$),
    ($$produce('raw', '1', headers => '{}')$$)) AS c (call);

-- a typed topic takes an object whose members are columns
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN required AS text NOT NULL;
CREATE DOMAIN defaulted AS text DEFAULT 'of the domain';
CREATE FOREIGN TABLE typed (_partition int, _offset bigint, _timestamp timestamptz,
    id bigint, name text DEFAULT 'nobody', "Mixed Case" boolean, tags text[], m int[][], p positive DEFAULT 1, mood mood, at timestamptz, doc jsonb, j json,
    price numeric(8,2), code varchar(4), d defaulted, r int4range, b bytea, twice bigint GENERATED ALWAYS AS (id * 2) STORED)
    SERVER streamhouse OPTIONS (partitions '3', key 'id');
CREATE VIEW new_typed AS
SELECT t.* FROM streamhouse.last_produced() l JOIN typed t ON l.topic = 'typed'::regclass AND _partition = partition AND _offset BETWEEN first_offset AND last_offset;
SELECT streamhouse.produce('typed', $${"id": 1, "name": "Ann", "Mixed Case": true, "tags": ["a", null, "b c"], "m": [[1,2],[3,4]], "p": 5, "mood": "happy",
    "at": "2020-02-20T20:20:20Z", "doc": {"deep": [1, {"x": null}]}, "j": [1,  2], "price": 1.005, "code": "abcd", "d": "given", "r": "[1,5]", "b": "\\x0102"}$$)
    = streamhouse.partition_for('typed', '1') AS routed;
SELECT id, name, "Mixed Case", tags, m, p, mood, at AT TIME ZONE 'UTC' = '2020-02-20 20:20:20' AS at, doc, j, price, code, d, r, b, twice FROM new_typed;
SELECT streamhouse.produce('typed', '{"id": 2}'::jsonb) = streamhouse.partition_for('typed', '2') AS routed;
SELECT id, name, p, d, twice, num_nulls(tags, mood, at, doc, j, price, code, r, b) AS nulls FROM new_typed;
SELECT streamhouse.produce('typed', '{"name": null, "p": null, "doc": null}'::json, key => '3') = streamhouse.partition_for('typed', '3') AS routed;
SELECT id, name, p, doc, doc IS NULL AS no_doc, twice FROM new_typed;
SELECT streamhouse.produce('typed', '{"id": 4, "_partition": 2, "_timestamp": "2001-01-01 00:00:00+00"}');
SELECT id, _timestamp = '2001-01-01 00:00:00+00' AS event_time FROM new_typed;
SELECT streamhouse.produce_bytes('typed', '{"id": 5, "name": "bytes"}', partition => 1);
SELECT streamhouse.produce_batch('typed', ARRAY['{"id": 6, "p": 6}', '{}', '{"id": 7, "name": null}', '{"id": 8}'], ARRAY[NULL, '60', NULL, NULL]);
SELECT id, name, p FROM new_typed ORDER BY id;
SELECT refused(format('SELECT streamhouse.produce(%L, %L)', 'typed', doc)) FROM unnest(ARRAY[
    '{"id": 1, "nmae": "x"}', '{"id": 1, "something else": "x"}', '{"ID": 1}', '{"id": 1, "twice": 2}', '{"id": 1, "_offset": 2}', '{"id": 1, "_partition": 3}',
    '{"id": "x"}', '{"id": 99999999999999999999}', '{"id": 1, "p": 0}', '{"id": 1, "code": "abcde"}', '{"id": 1, "mood": "angry"}', '{"id": 1, "tags": "a"}',
    '[1, 2]', '"x"', '1', 'null', 'not json', '']) AS doc;
SELECT refused($$SELECT streamhouse.produce('typed', NULL)$$);
SELECT refused($$SELECT streamhouse.produce('typed', '{"id": 1}', key => 'not a number')$$);
SELECT refused($$SELECT streamhouse.produce('typed', '{"id": 1}', headers => '{}')$$);
CREATE FOREIGN TABLE demanding (n int NOT NULL, r required, c int CHECK (c > 0)) SERVER streamhouse;
SELECT refused(format('SELECT streamhouse.produce(%L, %L)', 'demanding', doc)) FROM unnest(ARRAY[
    '{"n": 1}', '{"r": "x"}', '{"n": 1, "r": null}', '{"n": null, "r": "x"}', '{"n": 1, "r": "x", "c": -1}']) AS doc;
SELECT streamhouse.produce('demanding', '{"n": 1, "r": "x", "c": null}');
SELECT refused($$SELECT streamhouse.produce('demanding', '{"n": 1, "r": "x"}', key => 'k')$$);
SELECT * FROM demanding;
SELECT count(*) FROM typed;

-- a value of the column's type, its length and its domain
CREATE FOREIGN TABLE valued (key varchar(3), value positive, headers text) SERVER streamhouse OPTIONS (key 'key', partitions '2');
SELECT streamhouse.produce('valued', '7', 'abc', '{"h": 1}') = streamhouse.partition_for('valued', 'abc') AS routed;
SELECT * FROM valued;
SELECT refused(format('SELECT streamhouse.produce(%L, %s)', 'valued', args)) FROM (VALUES ($$'0'$$), ($$'x'$$), ($$'1', 'abcd'$$)) AS a (args);

-- columns that count by themselves
CREATE FOREIGN TABLE counting (_offset bigint, id int GENERATED ALWAYS AS IDENTITY, s serial, i bigint GENERATED BY DEFAULT AS IDENTITY (START 100), v text) SERVER streamhouse;
INSERT INTO counting (v) VALUES ('a') RETURNING id, s, i;
SELECT streamhouse.produce('counting', '{"v": "b"}');
SELECT streamhouse.produce_batch('counting', ARRAY['{"v": "c"}', '{"v": "d", "i": 7}', '{"v": "e", "s": 8}']);
SELECT left(refused($$SELECT streamhouse.produce('counting', '{"v": "f", "id": 5}')$$), 5);
SELECT id, s, i, v FROM counting ORDER BY _offset;

-- from plpgsql, and from SQL functions
CREATE FUNCTION place_order(customer text, amount numeric) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3 LOOP
        PERFORM streamhouse.produce('e', jsonb_build_object('amount', amount, 'i', i), customer);
    END LOOP;
    INSERT INTO e (key, value) VALUES (customer, '"inserted"');
    RETURN streamhouse.produce('e', '"done"', key => customer);
END $$;
SELECT place_order('ann', 9.99) = streamhouse.partition_for('e', 'ann') AS routed;
SELECT value FROM new_rows ORDER BY _offset;
CREATE FUNCTION note(text) RETURNS int LANGUAGE sql AS $$ SELECT streamhouse.produce('e', to_jsonb($1), key => 'note') $$;
SELECT count(DISTINCT note(x)) FROM unnest(ARRAY['a', 'b']) x;
SELECT value FROM new_rows ORDER BY _offset;

SET client_min_messages = warning;
DROP SCHEMA functions_test CASCADE;
RESET search_path;
