--
-- INSERT, COPY and produce(): how rows get into a topic
--
CREATE SCHEMA produce_test;
SET search_path = produce_test, public;
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

-- INSERT
SELECT streamhouse.create_topic('e', 4);
INSERT INTO e (key, value, headers) VALUES ('k1', '{"n": 1}', '{"h": true}');
INSERT INTO e (key, value) VALUES ('k2', '2'), ('k1', 'null'), (NULL, NULL), ('', '""');
INSERT INTO e (key, value) SELECT 'k' || i % 3, to_jsonb(i) FROM generate_series(10, 15) i;
INSERT INTO e DEFAULT VALUES;
PREPARE ins AS INSERT INTO e (key, value) VALUES ($1, $2);
EXECUTE ins ('k1', '20');
EXECUTE ins (NULL, '21');
DEALLOCATE ins;
WITH moved AS (INSERT INTO e (key, value) VALUES ('k3', '30') RETURNING *)
INSERT INTO e (key, value) SELECT key, '31' FROM moved;
SELECT key, value, headers FROM e WHERE key IS NOT NULL ORDER BY key, _offset;
SELECT count(*), count(value), count(DISTINCT (_partition, _offset)) FROM e;
SELECT count(*) FROM e WHERE key IS NOT NULL AND _partition <> streamhouse.partition_for('e', key);
SELECT bool_and(next_offset = coalesce(n, 0)) AS offsets_are_dense
FROM streamhouse.logs LEFT JOIN (SELECT _partition, count(*) AS n, max(_offset) FROM e GROUP BY 1) AS c ON partition = _partition
WHERE topic = 'e'::regclass;

-- RETURNING shows what is known before the commit
INSERT INTO e (key, value) VALUES ('k1', '40') RETURNING _partition = streamhouse.partition_for('e', 'k1') AS routed, _offset, key, value;
INSERT INTO e (_partition, _timestamp, key) VALUES (3, '2001-02-03 04:05:06+00', 'k1') RETURNING _partition, _timestamp = '2001-02-03 04:05:06+00' AS event_time, tableoid::regclass;
SELECT _partition, key FROM e WHERE _timestamp = '2001-02-03 04:05:06+00';
SELECT bool_and(_timestamp BETWEEN now() - interval '1 minute' AND clock_timestamp()) FROM e WHERE _timestamp > '2002-01-01';

-- rows without a key stick to one partition per transaction, and transactions rotate
SELECT streamhouse.create_topic('sticky', 3, 'n int', NULL);
INSERT INTO sticky (n) SELECT 1 FROM generate_series(1, 50);
BEGIN;
INSERT INTO sticky (n) SELECT 2 FROM generate_series(1, 20);
SELECT streamhouse.produce_batch('sticky', array_fill('{"n": 2}'::text, ARRAY[30])) AS rows;
COMMIT;
INSERT INTO sticky (n) SELECT 3 FROM generate_series(1, 50);
INSERT INTO sticky (n) SELECT 4 FROM generate_series(1, 50);
SELECT n, count(DISTINCT _partition), count(*) FROM sticky GROUP BY n ORDER BY n;
SELECT count(DISTINCT _partition) FROM sticky;
SELECT streamhouse.create_topic('sticky_2', 3, 'n int', NULL);
BEGIN; INSERT INTO sticky_2 (n) VALUES (1); INSERT INTO sticky (n) VALUES (1); INSERT INTO e (value) VALUES ('1'); COMMIT;
BEGIN; INSERT INTO sticky_2 (n) VALUES (2); INSERT INTO sticky (n) VALUES (2); INSERT INTO e (value) VALUES ('2'); COMMIT;
BEGIN; INSERT INTO sticky_2 (n) VALUES (3); INSERT INTO sticky (n) VALUES (3); INSERT INTO e (value) VALUES ('3'); COMMIT;
SELECT count(DISTINCT _partition) FROM sticky_2;    -- they rotate in each topic

-- own rows are not visible before the commit
BEGIN;
INSERT INTO sticky (n) VALUES (5);
SELECT count(*) FROM sticky WHERE n = 5;
SELECT count(*) FROM streamhouse.read(NULL::sticky, 0, 0) WHERE n = 5;
SELECT count(*) FROM streamhouse.last_produced() WHERE topic = 'sticky'::regclass;  -- of the transaction before
COMMIT;
SELECT count(*) FROM sticky WHERE n = 5;

-- last_produced
BEGIN;
INSERT INTO e (_partition, value) VALUES (0, '50'), (2, '51'), (2, '52');
INSERT INTO sticky (_partition, n) VALUES (1, 6);
COMMIT;
SELECT l.topic, l.partition, last_offset - first_offset + 1 AS rows, last_offset + 1 = next_offset AS at_the_end
FROM streamhouse.last_produced() l JOIN streamhouse.logs USING (topic, partition) ORDER BY topic::text, partition;
SELECT e.value FROM streamhouse.last_produced() l JOIN e ON e._partition = l.partition AND e._offset BETWEEN first_offset AND last_offset
WHERE l.topic = 'e'::regclass ORDER BY value;
BEGIN;
INSERT INTO e (_partition, value) VALUES (1, '60');
ROLLBACK;
SELECT count(*) FROM streamhouse.last_produced();     -- still those of the last that committed
SELECT count(*) FROM e WHERE value = '60';

-- COPY
SELECT streamhouse.create_topic('c', 2, 'k text, n int DEFAULT 7, b bytea, t text[]', 'k');
COPY c (k, n, b, t) FROM STDIN;
a	1	\\x0102	{x,"y z"}
b	\N	\N	\N
\.
COPY c (k, b) FROM STDIN (FORMAT csv, HEADER);
k,b
"quoted ""k""",\x
c,
\.
COPY c (k, n) FROM STDIN WHERE n > 1;
d	1
d	2
\.
COPY c (k, _partition) FROM STDIN;
by hand	1
\.
SELECT k, n, b, t FROM c ORDER BY k, n;
SELECT k FROM c WHERE _partition = 1 AND k = 'by hand';
SELECT count(*) FROM c WHERE k <> 'by hand' AND _partition <> streamhouse.partition_for('c', k);
COPY c TO STDOUT;
COPY (SELECT k, n FROM c ORDER BY k, n LIMIT 2) TO STDOUT;
-- binary, to and from a file
CREATE TABLE plain (k text, n int, b bytea, t text[]);
INSERT INTO plain SELECT 'bin' || i, i, sha256(i::text::bytea), ARRAY['x' || i, NULL] FROM generate_series(1, 3000) i;
\set file `mktemp`
\copy plain TO :file (FORMAT binary)
\copy c (k, n, b, t) FROM :file (FORMAT binary)
\setenv FILE :file
\! rm -f "$FILE"
SELECT count(*) FROM (SELECT k, n, b, t FROM plain EXCEPT SELECT k, n, b, t FROM c) AS missing;
SELECT count(*), count(DISTINCT (_partition, _offset)) FROM c WHERE k LIKE 'bin%';
-- nothing stays of a COPY that fails
COPY c (k, n) FROM STDIN;
failed	1
failed	x
\.
SELECT count(*) FROM c WHERE k = 'failed';

-- partitions as Kafka's clients choose them: UtilsTest.testMurmur2
SELECT streamhouse.create_topic('kafka', 10000, 'k text', 'k');
SELECT key, (hash & 2147483647) % 10000 AS kafka, streamhouse.partition_for('kafka', key) AS ours FROM (VALUES
    ('21', -973932308), ('foobar', -790332482), ('a-little-bit-long-string', -985981536), ('a-little-bit-longer-string', -1486304829),
    ('lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971), ('abc', 479470107)) AS t (key, hash);
INSERT INTO kafka (k) VALUES ('21'), ('foobar'), ('a-little-bit-long-string'), ('a-little-bit-longer-string'),
    ('lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8'), ('abc'), ('é€😀'), ('');
SELECT count(*) FROM kafka WHERE _partition = streamhouse.partition_for('kafka', k);
DROP FOREIGN TABLE kafka;
SELECT streamhouse.partition_for('e', NULL);
SELECT refused($$SELECT streamhouse.partition_for('plain', 'x')$$);

-- keys that are not text go by their text, bytes by themselves
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE PROCEDURE check_routes() LANGUAGE plpgsql AS $$
DECLARE
    r record;
    n bigint;
BEGIN
    FOR r IN SELECT * FROM (VALUES ('boolean', 'true', 't'), ('smallint', '-7', '-7'), ('int', '42', '42'), ('bigint', '9007199254740993', '9007199254740993'),
        ('numeric', '1.50', '1.50'), ('numeric(10,1)', '1.55', '1.6'), ('varchar(20)', 'vc', 'vc'), ('char(5)', 'ch', 'ch   '), ('uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
        ('inet', '10.0.0.1/8', '10.0.0.1/8'), ('cidr', '10.0.0.0/8', '10.0.0.0/8'), ('macaddr', '08-00-2b-01-02-03', '08:00:2b:01:02:03'),
        ('bytea', '\x616263', 'abc'), ('mood', 'happy', 'happy')) AS t (type, key, as_text)
    LOOP
        EXECUTE format('CREATE FOREIGN TABLE routed (_partition int, k %s) SERVER streamhouse OPTIONS (partitions ''97'', key ''k'')', r.type);
        EXECUTE format('INSERT INTO routed (k) VALUES (%L)', r.key);
        PERFORM streamhouse.produce('routed', jsonb_build_object('k', r.key));
        COMMIT;
        EXECUTE format('SELECT count(*) FROM routed WHERE _partition = streamhouse.partition_for(''routed'', %L)', r.as_text) INTO n;
        RAISE NOTICE '%: % of 2 as expected', r.type, n;
        DROP FOREIGN TABLE routed;
        COMMIT;
    END LOOP;
END $$;
CALL check_routes();

SET client_min_messages = warning;
DROP SCHEMA produce_test CASCADE;
RESET search_path;
