--
-- Servers that keep topics in a bucket: what their options may be, and who may
-- set them.  Nothing here reaches a bucket.
--
CREATE SCHEMA servers_test;
SET search_path = servers_test, public;
\pset format unaligned
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

-- options
SELECT refused('CREATE SERVER s FOREIGN DATA WRAPPER streamhouse OPTIONS (' || o || ')') FROM unnest(ARRAY[
    $$url 's3://bucket'$$, $$url 's3://bucket/'$$, $$url 's3://bucket/a/b/'$$, $$url 'database:'$$,
    $$url 's3://bucket', endpoint 'https://store.example:9000', region 'eu-west-1', path_style 'true', sse 'aws:kms', kms_key_id 'k', ca_file '/f', credentials_file '/f',
      create_once 'false', multi_delete 'false', checksum 'false', use_environment 'true', allow_link_local 'true', connect_timeout '1s', request_timeout '1min', retry_timeout '100ms'$$]) o;
SELECT refused('CREATE SERVER s FOREIGN DATA WRAPPER streamhouse OPTIONS (' || o || ')') FROM unnest(ARRAY[
    $$url 'http://bucket'$$, $$url 's3://ab'$$, $$url 's3://'$$, $$url 's3://bucket name/x'$$, $$url 's3://bucket/a?b'$$, $$url ''$$,
    $$endpoint 'http://h'$$, $$url 'database:', region 'r'$$, $$url 's3://bucket', endpoint 'store.example'$$, $$url 's3://bucket', endpoint 'http://h/path'$$,
    $$url 's3://bucket', endpoint 'http://user@h'$$, $$url 's3://bucket', endpoint 'http://h:0'$$, $$url 's3://bucket', endpoint 'http://h:65536'$$, $$url 's3://bucket', region 'Europe'$$, $$url 's3://bucket', region ''$$, $$url 's3://bucket', sse 'yes'$$, $$url 's3://bucket', kms_key_id 'k'$$,
    $$url 's3://bucket', path_style 'perhaps'$$, $$url 's3://bucket', connect_timeout '0'$$, $$url 's3://bucket', connect_timeout '2h'$$,
    $$url 's3://bucket', connect_timeout 'soon'$$, $$url 's3://bucket', endpoynt 'http://h'$$, $$url 's3://bucket', access_key_id 'k'$$]) o;

-- user mappings
CREATE SERVER lake FOREIGN DATA WRAPPER streamhouse OPTIONS (url 's3://bucket/prefix', endpoint 'http://127.0.0.1:1');
SELECT refused('CREATE USER MAPPING FOR PUBLIC SERVER lake OPTIONS (' || o || ')') FROM unnest(ARRAY[
    $$access_key_id 'k', secret_access_key 's'$$, $$access_key_id 'k', secret_access_key 's', session_token 't'$$,
    $$access_key 'k'$$, $$password 'k'$$, E'access_key_id ''a\nb'', secret_access_key ''s''']) o;

-- who may
CREATE ROLE servers_owner;
GRANT USAGE ON FOREIGN DATA WRAPPER streamhouse TO servers_owner;
GRANT ALL ON SCHEMA servers_test TO servers_owner;
SET ROLE servers_owner;
SELECT refused('CREATE SERVER s FOREIGN DATA WRAPPER streamhouse OPTIONS (url $$s3://bucket$$' || o || ')') FROM unnest(ARRAY[
    '', $$, ca_file '/f'$$, $$, credentials_file '/f'$$, $$, use_environment 'true'$$, $$, allow_link_local 'true'$$]) o;
SELECT refused('SELECT * FROM streamhouse.check_server(''lake'')');
SELECT refused('SELECT streamhouse.take_over(''lake'')');
SELECT refused('CREATE FOREIGN TABLE t (v text) SERVER lake');
RESET ROLE;
-- what a superuser has trusted a server with goes nowhere else
CREATE SERVER trusted FOREIGN DATA WRAPPER streamhouse OPTIONS (url 's3://bucket', use_environment 'true');
ALTER SERVER trusted OWNER TO servers_owner;
SET ROLE servers_owner;
SELECT refused('ALTER SERVER trusted OPTIONS (ADD endpoint ''http://elsewhere'')');
RESET ROLE;

-- servers in the database
SELECT * FROM streamhouse.check_server('streamhouse');
SELECT refused('SELECT streamhouse.take_over(''streamhouse'')');
SELECT refused('SELECT * FROM streamhouse.check_server(''nowhere'')');
CREATE SERVER here FOREIGN DATA WRAPPER streamhouse OPTIONS (url 'database:');
SELECT streamhouse.create_topic('t', server => 'here');
SELECT streamhouse.produce('t', '{"a": 1}');
SELECT streamhouse.flush('t');
SELECT value FROM t;
SELECT DISTINCT server, state, key IS NULL AS here FROM streamhouse.objects WHERE server = 'here';
-- its topics stay where they are
SELECT refused('ALTER SERVER here OPTIONS (SET url ''s3://bucket'')');
SELECT refused('ALTER SERVER lake OPTIONS (SET url ''s3://bucket/other'')');

-- a bucket that cannot be reached
SELECT step, ok FROM streamhouse.check_server('lake');
CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS (access_key_id 'k', secret_access_key 's');
SELECT step, ok FROM streamhouse.check_server('lake');

DROP FOREIGN TABLE t;
DROP SERVER lake, trusted, here CASCADE;
REVOKE ALL ON FOREIGN DATA WRAPPER streamhouse FROM servers_owner;
REVOKE ALL ON SCHEMA servers_test FROM servers_owner;
DROP ROLE servers_owner;
DROP FUNCTION refused;
DROP SCHEMA servers_test;
