--
-- Who may do what: privileges on topics, the views, the internal tables and functions
--
CREATE SCHEMA access_test;
SET search_path = access_test, public;
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

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_sth_nobody, regress_sth_writer, regress_sth_reader, regress_sth_columns, regress_sth_owner, regress_sth_member;
RESET client_min_messages;
CREATE ROLE regress_sth_nobody;
CREATE ROLE regress_sth_writer;
CREATE ROLE regress_sth_reader;
CREATE ROLE regress_sth_columns;
CREATE ROLE regress_sth_owner;
CREATE ROLE regress_sth_member IN ROLE regress_sth_owner;
GRANT USAGE ON SCHEMA access_test TO PUBLIC;
GRANT CREATE ON SCHEMA access_test TO regress_sth_owner;

-- anybody who may create tables there may create topics, on this server
SET ROLE regress_sth_owner;
SELECT streamhouse.create_topic('t', 2);
SELECT streamhouse.create_topic('typed', columns => 'id int, name text, at timestamptz', key => 'id');
SELECT streamhouse.create_topic('other');
INSERT INTO t (_partition, key, value) VALUES (0, 'k', '1'), (1, 'k', '2');
INSERT INTO typed (id, name) VALUES (1, 'one');
GRANT INSERT ON t, typed TO regress_sth_writer;
GRANT SELECT ON t, typed TO regress_sth_reader;
GRANT INSERT (key, value), SELECT (key, _offset) ON t TO regress_sth_columns;
GRANT INSERT (id), SELECT (_partition, _offset, _timestamp, id, name, at) ON typed TO regress_sth_columns;
RESET ROLE;
CREATE SERVER regress_sth_private FOREIGN DATA WRAPPER streamhouse;
SET ROLE regress_sth_owner;
SELECT refused($$SELECT streamhouse.create_topic('p', server => 'regress_sth_private')$$);
SELECT refused($$SELECT streamhouse.create_topic('pg_catalog.p')$$);
SET ROLE regress_sth_nobody;
SELECT refused($$SELECT streamhouse.create_topic('p')$$);

-- nobody
SELECT refused(c) FROM unnest(ARRAY[
    'SELECT * FROM t', 'SELECT count(*) FROM t', 'INSERT INTO t (value) VALUES (''1'')',
    'SELECT streamhouse.produce(''t'', ''1'')', 'SELECT streamhouse.produce_bytes(''t'', ''1'')', 'SELECT streamhouse.produce_batch(''t'', ''{1}'')', 'SELECT streamhouse.produce_batch_bytes(''t'', ''{1}'')',
    'SELECT streamhouse.produce_batch(''t'', ''{}'')',
    'SELECT * FROM streamhouse.read(NULL::t, 0, 0)', 'DROP FOREIGN TABLE t', 'ALTER FOREIGN TABLE t OPTIONS (SET partitions ''3'')', 'ALTER FOREIGN TABLE t ADD COLUMN c int']) AS c;
\copy t (value) FROM /dev/null
SELECT every(streamhouse.next_offset(i) IS NULL) AS hidden FROM generate_series(1, 1000) i;
SELECT count(*) FROM streamhouse.topics WHERE schema = 'access_test';
SELECT count(*) FROM streamhouse.logs WHERE topic::text ~ '(^|\.)(t|typed|other)$';

-- INSERT: produce, and no more
SET ROLE regress_sth_writer;
INSERT INTO t (_partition, key, value) VALUES (0, 'w', '3');
INSERT INTO t (_timestamp, headers) VALUES ('2001-01-01', '{}');
SELECT streamhouse.produce('t', '4', 'w', '{}', 1, now());
SELECT streamhouse.produce_bytes('t', '5', 'w') IS NOT NULL AS produced;
SELECT streamhouse.produce_batch('t', ARRAY['6', '7'], ARRAY['a', 'b'], 0);
SELECT streamhouse.produce('typed', '{"id": 2, "name": "two", "at": "2001-01-01"}');
SELECT streamhouse.partition_for('t', 'w') IS NOT NULL AS answered;
SELECT partition, last_offset - first_offset + 1 AS rows FROM streamhouse.last_produced();
SELECT refused(c) FROM unnest(ARRAY['SELECT * FROM t', 'SELECT * FROM streamhouse.read(NULL::t, 0, 0)', 'INSERT INTO t (value) VALUES (''1'') RETURNING value', 'SELECT streamhouse.produce(''other'', ''1'')']) AS c;
SELECT name FROM streamhouse.topics WHERE schema = 'access_test' ORDER BY name;

-- SELECT: read, and no more
SET ROLE regress_sth_reader;
SELECT count(*) FROM t;
SELECT value FROM streamhouse.read(NULL::t, 0, 0) ORDER BY _offset LIMIT 2;
SELECT refused(c) FROM unnest(ARRAY['INSERT INTO t (value) VALUES (''1'')', 'SELECT streamhouse.produce(''t'', ''1'')', 'SELECT streamhouse.produce_batch(''t'', ''{1}'')', 'SELECT * FROM other', 'SELECT * FROM streamhouse.read(NULL::other, 0, 0)']) AS c;
SELECT topic, sum(next_offset) > 0 AS has_rows FROM streamhouse.logs WHERE topic IN ('t'::regclass, 'typed', 'other') GROUP BY 1 ORDER BY topic::text;

-- some columns
SET ROLE regress_sth_columns;
INSERT INTO t (key, value) VALUES ('c', '8');
SELECT streamhouse.produce('t', '9', 'c') IS NOT NULL AS produced;
SELECT streamhouse.produce('t', '9') IS NOT NULL AS produced;
SELECT streamhouse.produce_batch('t', ARRAY['10'], ARRAY['c']);
SELECT streamhouse.produce('typed', '{"id": 3}');
SELECT streamhouse.produce('typed', '{}', key => '4');
COPY t (key, value) FROM STDIN;
c	11
\.
\copy t (key, headers) FROM /dev/null
SELECT count(*) > 5 AS some FROM (SELECT key, _offset FROM t) AS x;
SELECT id, name FROM streamhouse.read(NULL::typed, 0, 0) ORDER BY _offset;     -- has SELECT on each of its columns
SELECT refused(c) FROM unnest(ARRAY[
    'INSERT INTO t (headers) VALUES (''{}'')', 'INSERT INTO t (_partition, key) VALUES (0, ''c'')', 'INSERT INTO t (_timestamp, key) VALUES (now(), ''c'')',
    'SELECT streamhouse.produce(''t'', ''1'', headers => ''{}'')', 'SELECT streamhouse.produce(''t'', ''1'', partition => 0)', 'SELECT streamhouse.produce(''t'', ''1'', event_time => now())',
    'SELECT streamhouse.produce_batch(''t'', ''{1}'', partition => 0)', 'SELECT streamhouse.produce(''typed'', ''{"id": 1, "name": "x"}'')', 'SELECT streamhouse.produce_batch(''typed'', ARRAY[''{"id": 1}'', ''{"name": "x"}''])',
    'SELECT value FROM t', 'SELECT * FROM t', 'SELECT t FROM t', 'SELECT key FROM t WHERE value IS NULL', 'SELECT * FROM streamhouse.read(NULL::t, 0, 0)']) AS c;
SELECT name FROM streamhouse.topics WHERE schema = 'access_test' ORDER BY name;

-- the owner's role, and its members
SET ROLE regress_sth_member;
SELECT name, owner FROM streamhouse.topics WHERE schema = 'access_test' ORDER BY name;
ALTER FOREIGN TABLE other OPTIONS (SET partitions '2');
SELECT streamhouse.produce('other', '1', partition => 1);
SELECT count(*) FROM streamhouse.read(NULL::other, 1, 0);
REVOKE INSERT ON t FROM regress_sth_writer;
SET ROLE regress_sth_writer;
SELECT refused($$SELECT streamhouse.produce('t', '1')$$);
SELECT name FROM streamhouse.topics WHERE schema = 'access_test';

-- what gives rights: a view's owner, a definer's function
SET ROLE regress_sth_owner;
CREATE VIEW door AS SELECT key, value FROM t;
GRANT SELECT, INSERT ON door TO regress_sth_nobody;
CREATE FUNCTION publish(text) RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = access_test AS $$ SELECT streamhouse.produce('t', to_jsonb($1), partition => 1) $$;
SET ROLE regress_sth_nobody;
INSERT INTO door (key, value) VALUES ('door', '11');
SELECT value FROM door WHERE key = 'door';
SELECT publish('definer');
SELECT refused($$SELECT streamhouse.produce('t', '1')$$);

-- the internal tables, sequences and functions are closed to users
SELECT refused(format(c, r)) FROM unnest(ARRAY['SELECT * FROM streamhouse.%I', 'INSERT INTO streamhouse.%I DEFAULT VALUES', 'DELETE FROM streamhouse.%I', 'TRUNCATE streamhouse.%I']) c, unnest(ARRAY['topic', 'log', 'tail', 'segment', 'object', 'object_data']) r
WHERE r = 'tail' OR c ~ '^SELECT';
SELECT refused(c) FROM unnest(ARRAY['UPDATE streamhouse.log SET start_offset = 5', 'SELECT nextval(''streamhouse.log_id_seq'')', 'SELECT last_value FROM streamhouse.topic_id_seq',
    'SELECT streamhouse.fdw_handler()', 'SELECT streamhouse.fdw_validator(''{}'', 0)', 'SELECT streamhouse.ignore_write()', 'CREATE TABLE streamhouse.mine ()', 'DROP TABLE streamhouse.tail',
    'INSERT INTO streamhouse.topics (name) VALUES (''x'')', 'CREATE SERVER s FOREIGN DATA WRAPPER streamhouse', 'DROP SERVER streamhouse',
    'SET streamhouse.max_record_size = ''1GB''']) AS c;
RESET ROLE;
-- nothing of the schema is granted to PUBLIC that is not listed here
SELECT c.oid::regclass AS relation, privilege_type FROM pg_class c, aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)))
WHERE relnamespace = 'streamhouse'::regnamespace AND relkind IN ('r', 'v', 'S') AND grantee = 0 ORDER BY c.oid::regclass::text;
SELECT count(*) AS public_functions, string_agg(DISTINCT proname, ', ' ORDER BY proname) FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE pronamespace = 'streamhouse'::regnamespace AND grantee = 0;
SELECT proname FROM pg_proc WHERE pronamespace = 'streamhouse'::regnamespace AND (prosecdef OR proleakproof);
SELECT relname FROM pg_class WHERE relnamespace = 'streamhouse'::regnamespace AND relkind = 'v' AND reloptions @> '{security_barrier=true}' ORDER BY relname;

-- the views hide what a cheap function would tell
SET ROLE regress_sth_nobody;
CREATE FUNCTION pg_temp.leak(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'leaked %', $1; RETURN true; END $$;
SELECT name FROM streamhouse.topics WHERE pg_temp.leak(name) AND schema = 'access_test';
SELECT topic FROM streamhouse.logs WHERE pg_temp.leak(topic);
RESET ROLE;

-- what a subscriber or a careless superuser inserts is not there
SELECT count(*) AS frames FROM streamhouse.tail \gset
SELECT count(*) AS topics FROM streamhouse.topic \gset
SELECT count(*) AS logs FROM streamhouse.log \gset
SET session_replication_role = replica;
INSERT INTO streamhouse.tail SELECT * FROM streamhouse.tail LIMIT 5;
INSERT INTO streamhouse.topic SELECT topic_id + 100000, relid, key_attnum, columns FROM streamhouse.topic;
INSERT INTO streamhouse.log SELECT log_id + 100000, topic_id, partition + 100, start_offset FROM streamhouse.log;
RESET session_replication_role;
INSERT INTO streamhouse.tail SELECT * FROM streamhouse.tail LIMIT 5;
COPY streamhouse.tail (log_id) FROM STDIN;
1
\.
SELECT count(*) = :frames AS unchanged FROM streamhouse.tail;
SELECT count(*) = :topics AS unchanged FROM streamhouse.topic;
SELECT count(*) = :logs AS unchanged FROM streamhouse.log;
SELECT refused('SELECT streamhouse.ignore_write()');
INSERT INTO t (value) VALUES ('12');
SELECT count(*) FROM t WHERE value = '12';

SET client_min_messages = warning;
DROP SERVER regress_sth_private;
DROP SCHEMA access_test CASCADE;
DROP OWNED BY regress_sth_nobody;
DROP ROLE regress_sth_nobody, regress_sth_writer, regress_sth_reader, regress_sth_columns, regress_sth_owner, regress_sth_member;
RESET search_path;
