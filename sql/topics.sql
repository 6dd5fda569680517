--
-- Topics: how they are created and dropped, and what is refused
--
CREATE SCHEMA topics_test;
SET search_path = topics_test, public;
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

-- where the extension's tables differ from PostgreSQL's: no row if nowhere
CREATE VIEW out_of_step AS
WITH topic AS (
    SELECT ftrelid, pg_options_to_table.option_value AS partitions, k.option_value AS key
    FROM pg_foreign_table
         JOIN pg_foreign_server s ON s.oid = ftserver
         JOIN pg_foreign_data_wrapper w ON w.oid = srvfdw AND fdwname = 'streamhouse'
         LEFT JOIN LATERAL pg_options_to_table(ftoptions) ON option_name = 'partitions'
         LEFT JOIN LATERAL pg_options_to_table(ftoptions) k ON k.option_name = 'key')
SELECT 'topic ' || coalesce(ftrelid::regclass::text, t.topic_id::text) AS what
FROM topic FULL JOIN streamhouse.topic t ON relid = ftrelid
     LEFT JOIN pg_attribute ON attrelid = ftrelid AND attnum = key_attnum AND NOT attisdropped
WHERE relid IS NULL OR ftrelid IS NULL OR key IS DISTINCT FROM attname
   OR coalesce(partitions::int, 1) <> (SELECT count(*) FROM streamhouse.log l WHERE l.topic_id = t.topic_id)
UNION ALL
SELECT 'log ' || log_id FROM streamhouse.log l
WHERE NOT EXISTS (SELECT FROM streamhouse.topic t WHERE t.topic_id = l.topic_id)
UNION ALL
SELECT 'frame of log ' || log_id FROM streamhouse.tail f
WHERE NOT EXISTS (SELECT FROM streamhouse.log l WHERE l.log_id = f.log_id);

-- create_topic
SELECT streamhouse.create_topic('plain');
\d plain
SELECT streamhouse.create_topic('topics_test.typed', 3,
    'customer text NOT NULL, amount numeric(10,2) DEFAULT 0, CHECK (amount >= 0)', 'customer');
\d typed
SELECT streamhouse.create_topic(name => '"Odd, ""name"""', columns => '"The key" int, v text', key => 'The key', partitions => 2);
SELECT streamhouse.create_topic('unkeyed', key => NULL);
SELECT streamhouse.create_topic('by_options', key => NULL, options => '{"key": "headers_of", "partitions": "1"}', columns => 'headers_of text');
SELECT streamhouse.create_topic('by_options', key => NULL, options => '{"key": "headers_of"}', columns => 'headers_of text');
CREATE FOREIGN TABLE by_hand (v text) SERVER streamhouse;
SELECT schema, name, topic, partitions, key, server, owner = current_user AS mine FROM streamhouse.topics
WHERE schema = 'topics_test' ORDER BY name;
SELECT topic, partition, start_offset, next_offset FROM streamhouse.logs
WHERE topic::text IN ('typed', 'by_hand') ORDER BY topic::text, partition;
SELECT * FROM out_of_step;

-- create_topic goes by the search path and says who is in the way
SELECT refused($$SELECT streamhouse.create_topic('plain')$$);
CREATE TEMP TABLE shadowed (a int);
SELECT streamhouse.create_topic('shadowed')::oid AS shadowed, streamhouse.create_topic('pg_class')::oid AS pg_class \gset
SELECT relnamespace::regnamespace, relname, relkind FROM pg_class WHERE oid IN (:shadowed, :pg_class) ORDER BY relname;
DROP TABLE pg_temp.shadowed;
DROP FOREIGN TABLE shadowed, topics_test.pg_class;
SELECT refused($$SELECT streamhouse.create_topic('nowhere.t')$$);
SELECT refused($$SELECT streamhouse.create_topic('a.b.c.d')$$);
SELECT refused($$SELECT streamhouse.create_topic('')$$);
SELECT refused($$SELECT streamhouse.create_topic('t', server => 'atlantis')$$);

-- its arguments
SELECT refused(format('SELECT streamhouse.create_topic(%s)', args)) FROM (VALUES
    ('NULL'), ($$'t', NULL$$), ($$'t', columns => NULL$$), ($$'t', server => NULL$$), ($$'t', options => NULL$$),
    ($$'t', 0$$), ($$'t', -1$$), ($$'t', 2147483647$$),
    ($$'t', options => '[]'$$), ($$'t', options => '{"compresion": "lz4"}'$$), ($$'t', options => '{"kay": "key"}'$$),
    ($$'t', options => '{"partition": 3}'$$), ($$'t', options => '{"partitions": 3}'$$),
    ($$'t', columns => ''$$), ($$'t', columns => 'key'$$), ($$'t', columns => 'key text value jsonb'$$),
    ($$'t', columns => 'key text, KEY int'$$), ($$'t', columns => 'key text, _offset bigint'$$),
    ($$'t', columns => 'key text) SERVER streamhouse; DROP TABLE victim; SELECT ('$$),
    ($$'t', columns => 'key text); DROP TABLE victim; --'$$),
    ($$'t', columns => 'key text) SERVER streamhouse; --'$$)) AS a (args);

-- options and the key
SELECT refused(format('CREATE FOREIGN TABLE t (customer text, at timestamptz, _offset bigint) SERVER streamhouse OPTIONS (%s)', options))
FROM (VALUES ($$partitons '2'$$), ($$xyz '1'$$), ($$partitions 'many'$$), ($$partitions '0'$$), ($$partitions '1.5'$$), ($$partitions ''$$),
    ($$partitions '99999999999999999999'$$), ($$retention '7d'$$),
    ($$key 'custmer'$$), ($$key 'nothing_alike'$$), ($$key ''$$), ($$key 'at'$$), ($$key '_offset'$$), ($$key 'xmin'$$)) AS o (options);
SELECT refused($$CREATE SERVER s FOREIGN DATA WRAPPER streamhouse OPTIONS (url 'database:')$$);
SELECT refused($$CREATE USER MAPPING FOR CURRENT_USER SERVER streamhouse OPTIONS (access_key_id 'x')$$);
SELECT refused($$CREATE FOREIGN TABLE t (v text OPTIONS (key 'true')) SERVER streamhouse$$);

-- kinds of tables and columns
SELECT refused($$CREATE FOREIGN TABLE pg_temp.t (v text) SERVER streamhouse$$);
SELECT refused($$SELECT streamhouse.create_topic('pg_temp.t')$$);
SELECT refused($$CREATE FOREIGN TABLE t () SERVER streamhouse$$);
SELECT refused($$CREATE FOREIGN TABLE t (_partition int, _offset bigint, _timestamp timestamptz) SERVER streamhouse$$);
SELECT refused(format('CREATE FOREIGN TABLE t (v text, %s) SERVER streamhouse', c)) FROM (VALUES
    ('_partition bigint'), ('_offset int'), ('_timestamp timestamp'), ('_timestamp timestamptz(3)'), ('_offset bigint NOT NULL'),
    ('_partition int GENERATED ALWAYS AS (1) STORED')) AS c (c);
CREATE FOREIGN TABLE fine (v text, _partition int NOT NULL, _timestamp timestamptz NOT NULL) SERVER streamhouse;

-- types
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN a_class AS regclass;
SELECT refused('CREATE FOREIGN TABLE t (v regclass) SERVER streamhouse');
SELECT split_part(refused(format('CREATE FOREIGN TABLE t (v %s) SERVER streamhouse', t)), E'\n', 1) FROM unnest(ARRAY[
    'regproc', 'regtype', 'regrole', 'regnamespace', 'oid', 'oid[]', 'name', '"char"', 'aclitem', 'oidvector',
    'xid', 'cid', 'tid', 'pg_lsn', 'txid_snapshot', 'tsquery', 'tsvector', 'xml', 'money', 'refcursor', 'jsonpath',
    'pair', 'pair[]', 'plain', 'positive[]', 'mood[]', 'a_class']) AS t;
SELECT refused($$CREATE FOREIGN TABLE t (k timestamptz) SERVER streamhouse OPTIONS (key 'k')$$);
SELECT split_part(refused(format('CREATE FOREIGN TABLE t (k %s) SERVER streamhouse OPTIONS (key %L)', t, 'k')), E'\n', 1) FROM unnest(ARRAY[
    'timestamp', 'date', 'interval', 'float8', 'jsonb', 'json', 'text[]', 'int4range', 'point']) AS t;

-- the columns stay checked when the topic is altered
SELECT refused($$ALTER FOREIGN TABLE plain ADD COLUMN c regclass$$);
SELECT refused($$ALTER FOREIGN TABLE plain ALTER COLUMN value TYPE oid USING 1$$);
SELECT refused($$ALTER FOREIGN TABLE unkeyed ALTER COLUMN _offset SET NOT NULL$$);
SELECT refused($$ALTER FOREIGN TABLE plain ALTER COLUMN key TYPE timestamptz$$);
SELECT refused($$ALTER FOREIGN TABLE plain OPTIONS (ADD cleanup_policy 'compact')$$);
SELECT refused($$ALTER FOREIGN TABLE plain OPTIONS (SET key 'kye')$$);

-- nothing is left of what was refused
SELECT relname FROM pg_class WHERE relnamespace = 'topics_test'::regnamespace AND relname = 't';
SELECT * FROM out_of_step;

-- DROP, in every way there is
INSERT INTO plain (key, value) SELECT 'k' || i, to_jsonb(i) FROM generate_series(1, 100) i;
INSERT INTO typed (customer) VALUES ('c');
INSERT INTO by_hand VALUES ('x');
SELECT count(*) > 0 AS has_frames FROM streamhouse.tail;
DROP FOREIGN TABLE plain, typed;
SELECT * FROM out_of_step;
DROP SERVER streamhouse;    -- the extension needs it
CREATE SERVER other FOREIGN DATA WRAPPER streamhouse;
SELECT streamhouse.create_topic('elsewhere', 2, server => 'other');
INSERT INTO elsewhere (value) VALUES ('1');
SELECT name, server FROM streamhouse.topics WHERE server = 'other';
DROP SERVER other;
SET client_min_messages = warning;
DROP SERVER other CASCADE;
SELECT * FROM out_of_step;
CREATE ROLE regress_sth_topics_owner;
GRANT CREATE, USAGE ON SCHEMA topics_test TO regress_sth_topics_owner;
SET ROLE regress_sth_topics_owner;
SELECT streamhouse.create_topic('owned');
INSERT INTO owned (value) VALUES ('1');
RESET ROLE;
SELECT owner FROM streamhouse.topics WHERE name = 'owned';
DROP OWNED BY regress_sth_topics_owner;
DROP ROLE regress_sth_topics_owner;
SELECT * FROM out_of_step;
CREATE SCHEMA topics_test_2;
SELECT streamhouse.create_topic('topics_test_2.a', 5);
INSERT INTO topics_test_2.a (value) SELECT to_jsonb(i) FROM generate_series(1, 1000) i;
DROP SCHEMA topics_test_2 CASCADE;
SELECT * FROM out_of_step;

-- also when triggers are off
SET session_replication_role = replica;
SELECT streamhouse.create_topic('replica', 2);
INSERT INTO replica (key, value) VALUES ('a', '1'), ('b', '2');
SELECT count(*) FROM replica;
SELECT * FROM out_of_step;
ALTER FOREIGN TABLE replica OPTIONS (SET partitions '4');
ALTER FOREIGN TABLE replica RENAME COLUMN key TO id;
SELECT refused($$ALTER FOREIGN TABLE replica ADD COLUMN c regclass$$);
SELECT * FROM out_of_step;
DROP FOREIGN TABLE replica;
SELECT * FROM out_of_step;
RESET session_replication_role;

-- a new topic has nothing of an old one of the same name
SELECT streamhouse.create_topic('again');
INSERT INTO again (value) VALUES ('1');
DROP FOREIGN TABLE again;
SELECT streamhouse.create_topic('again');
SELECT count(*) FROM again;
INSERT INTO again (value) VALUES ('2');
SELECT _offset, value FROM again;

-- the rest goes with the schema
DROP SCHEMA topics_test CASCADE;
RESET search_path;
SELECT count(*) FROM streamhouse.topics WHERE schema LIKE 'topics_test%';
SELECT (SELECT count(*) FROM streamhouse.log l WHERE NOT EXISTS (SELECT FROM streamhouse.topic t WHERE t.topic_id = l.topic_id)) AS logs,
       (SELECT count(*) FROM streamhouse.tail f WHERE NOT EXISTS (SELECT FROM streamhouse.log l WHERE l.log_id = f.log_id)) AS frames;
