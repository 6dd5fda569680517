--
-- Every type that topics take, NULLs, and values and rows of all sizes
--
CREATE SCHEMA types_test;
SET search_path = types_test, public;
\pset format unaligned

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN short AS varchar(3);
CREATE DOMAIN tags AS text[];
CREATE DOMAIN nested AS positive;
CREATE TABLE samples (type text, literals text[]);
INSERT INTO samples VALUES
    ('boolean', '{t,f}'), ('smallint', '{0,-32768,32767}'), ('int', '{0,-2147483648,2147483647}'), ('bigint', '{0,-9223372036854775808,9223372036854775807}'),
    ('real', '{0,-0,1.5,NaN,Infinity,1e-38}'), ('float8', '{0,-0,1.5,NaN,-Infinity,1e300}'),
    ('numeric', '{0,1.50,-1e-100,1e1000,NaN,Infinity,123456789012345678901234567890.123456789}'), ('numeric(10,3)', '{0,1.2345,-9999999.999}'),
    ('text', '{"",a,"é€😀","a\\b\"c\nd"}'), ('varchar', '{"",abc}'), ('varchar(5)', '{"",abcde}'), ('char(5)', '{"",ab,abcde}'), ('char', '{x}'),
    ('bytea', '{"","\\x00","\\x0001feff"}'), ('json', '{null,"{\"a\" : [1,  2]}","\"x\""}'), ('jsonb', '{null,"{\"a\": [1, 2, {\"b\": null}]}","\"x\"",1e20,true,[]}'),
    ('uuid', '{00000000-0000-0000-0000-000000000000,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'),
    ('date', '{2020-02-29,-infinity,infinity,"4713-01-01 BC",5874897-12-31}'), ('time', '{00:00,23:59:59.999999,24:00}'), ('time(0)', '{12:34:56.7}'), ('timetz', '{00:00+15:59,23:59:59.999999-08}'),
    ('timestamp', '{2020-02-29 12:34:56.789,infinity}'), ('timestamptz', '{2020-02-29 12:34:56.789+02,-infinity}'), ('timestamptz(0)', '{2020-02-29 12:34:56.789+02}'),
    ('interval', '{0,1 year 2 mons -3 days 04:05:06.789,-178000000 years}'), ('interval day', '{3 days 04:00}'),
    ('inet', '{10.1.2.3,10.0.0.1/8,::1,2001:db8::/32}'), ('cidr', '{10.0.0.0/8,2001:db8::/32}'), ('macaddr', '{08:00:2b:01:02:03}'), ('macaddr8', '{08:00:2b:01:02:03:04:05}'),
    ('bit', '{0,1}'), ('bit(11)', '{10101010101}'), ('bit varying', '{"",1,1010101010101}'), ('bit varying(3)', '{"",101}'),
    ('point', '{"(1,2)","(-0,NaN)"}'), ('lseg', '{"[(1,2),(3,4)]"}'), ('path', '{"[(1,2),(3,4),(5,6)]","((1,2),(3,4))"}'), ('polygon', '{"((1,2),(3,4),(5,6))"}'), ('line', '{"{1,2,3}"}'), ('circle', '{"<(1,2),3>"}'),
    ('int4range', '{empty,"[1,5)","(,)","[3,)"}'), ('int8range', '{"[1,5)"}'), ('numrange', '{"(1.5,2.5]",empty}'), ('daterange', '{"[2020-01-01,infinity]"}'), ('tsrange', '{"[2020-01-01,)"}'), ('tstzrange', '{"(2020-01-01 00:00+00,2020-01-02 00:00+00)"}'),
    ('int4multirange', '{"{}","{[1,3),[5,8)}"}'), ('int8multirange', '{"{[1,3)}"}'), ('nummultirange', '{"{(1.5,2.5],[9,)}"}'), ('datemultirange', '{"{[2020-01-01,2020-01-05)}"}'), ('tsmultirange', '{"{}"}'), ('tstzmultirange', '{"{[2020-01-01 00:00+00,)}"}'),
    ('int[]', '{"{}","{1,NULL,3}","{{1,2},{3,4}}","[0:1]={5,6}"}'), ('text[]', '{"{}","{a,NULL,\"b c\",\"\"}"}'), ('bool[]', '{"{t,f,NULL}"}'), ('numeric(5,2)[]', '{"{1.005,2}"}'), ('bytea[]', '{"{\"\\\\x00ff\"}"}'),
    ('jsonb[]', '{"{\"{\\\"a\\\": 1}\",null,NULL}"}'), ('timestamptz[]', '{"{2020-02-29 00:00+00,infinity}"}'), ('uuid[]', '{"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"}'), ('point[]', '{"{\"(1,2)\"}"}'), ('int4range[]', '{"{\"[1,2)\",empty}"}'), ('char(3)[]', '{"{a,bcd}"}'),
    ('mood', '{sad,happy}'), ('positive', '{1,2147483647}'), ('short', '{"",abc}'), ('tags', '{"{a,b}","{}"}'), ('nested', '{7}');
INSERT INTO samples VALUES ('box', ARRAY['((3,4),(1,2))']);     -- "," does not separate boxes

-- each in a topic of its own, against a table; compared by text and by what the
-- type's send function gives, since equality takes -0 for 0 and 1.5 for 1.50
CREATE PROCEDURE round_trip(type text, literals text[]) LANGUAGE plpgsql AS $$
DECLARE
    l text;
    compare text = 'SELECT count(*) FROM (SELECT id, v::text, w::text, record_send(ROW(v, w)) FROM %s EXCEPT ALL SELECT id, v::text, w::text, record_send(ROW(v, w)) FROM %s) AS x';
    missing bigint;
    surplus bigint;
    n bigint;
BEGIN
    EXECUTE format('CREATE TABLE twin (id int, v %s, w %1$s)', type);
    EXECUTE format('CREATE FOREIGN TABLE topic (id int, v %s, w %1$s) SERVER streamhouse', type);
    FOREACH l IN ARRAY literals || NULL::text LOOP
        EXECUTE format('INSERT INTO twin VALUES (1, %L, NULL), (2, NULL, %1$L)', l);
        EXECUTE format('INSERT INTO topic VALUES (1, %L, NULL), (2, NULL, %1$L)', l);
        CONTINUE WHEN type IN ('json', 'jsonb', 'jsonb[]');     -- JSON's null and spaces are not kept
        EXECUTE format('INSERT INTO twin VALUES (3, %L)', l);
        PERFORM streamhouse.produce('topic', json_build_object('id', 3, 'v', l));
    END LOOP;
    INSERT INTO topic SELECT id + 10, v, w FROM twin;
    INSERT INTO twin SELECT id + 10, v, w FROM twin;
    COMMIT;
    EXECUTE format(compare, 'twin', 'topic') INTO missing;
    EXECUTE format(compare, 'topic', 'twin') INTO surplus;
    SELECT count(*) INTO n FROM topic;
    RAISE NOTICE '%: % rows, % missing, % surplus', type, n, missing, surplus;
    DROP TABLE twin;
    DROP FOREIGN TABLE topic;
    COMMIT;
END $$;
DO $$
DECLARE
    s record;
BEGIN
    FOR s IN SELECT * FROM samples ORDER BY ctid LOOP
        CALL round_trip(s.type, s.literals);
    END LOOP;
END $$;

-- all of them in one row, some of them, and none
CREATE VIEW numbered AS SELECT row_number() OVER (ORDER BY ctid) AS n, * FROM samples;
DO $$
DECLARE
    columns text = (SELECT string_agg(format('c%s %s', n, type), ', ' ORDER BY n) FROM numbered);
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE wide (%s) SERVER streamhouse', columns);
    EXECUTE format('CREATE TABLE wide_twin (%s)', columns);
    FOR m IN 1 .. 100 LOOP      -- every m-th column has a value
        EXECUTE (SELECT format('INSERT INTO wide_twin VALUES (%s)',
                               string_agg(CASE WHEN n % m = 0 THEN quote_nullable(literals[1 + m % cardinality(literals)]) ELSE 'NULL' END, ', ' ORDER BY n))
                 FROM numbered);
    END LOOP;
END $$;
INSERT INTO wide SELECT * FROM wide_twin;
SELECT count(*) FROM wide;
SELECT count(*) FROM wide WHERE wide::text = rpad('(', 1 + (SELECT count(*) FROM samples)::int - 1, ',') || ')';
SELECT count(*) FROM (SELECT record_send(wide_twin.*) FROM wide_twin EXCEPT ALL SELECT record_send(wide.*) FROM wide) AS missing;
SELECT count(*) FROM (SELECT record_send(wide.*) FROM wide EXCEPT ALL SELECT record_send(wide_twin.*) FROM wide_twin) AS surplus;
SELECT c1, c5, c60 FROM wide WHERE c60 IS NOT NULL;
SELECT count(c2), count(c30), count(*) FROM wide;

-- 1600 columns is the limit of a table, nearly all of them NULL
DO $$
BEGIN
    EXECUTE (SELECT format('CREATE FOREIGN TABLE widest (_offset bigint, %s) SERVER streamhouse',
                           string_agg(format('c%s %s', n, (ARRAY['int', 'text', 'timestamptz', 'boolean'])[1 + n % 4]), ', ' ORDER BY n))
             FROM generate_series(1, 1599) n);
END $$;
INSERT INTO widest (c1, c749) VALUES ('one', 'middle');
INSERT INTO widest (c1500) SELECT n FROM generate_series(1, 500) n;
INSERT INTO widest DEFAULT VALUES;
INSERT INTO widest SELECT NULL FROM generate_series(1, 10000);
SELECT count(*), count(c1), count(c749), count(c1500), sum(c1500), max(_offset) FROM widest;
SELECT _offset, c1, c749, c1500 FROM widest WHERE _offset IN (0, 1, 500, 501);
SELECT count(*) < 30 AS small FROM streamhouse.tail JOIN streamhouse.log USING (log_id) JOIN streamhouse.topic USING (topic_id)
WHERE relid = 'widest'::regclass AND stage = 0;     -- rows of NULLs take next to nothing

-- values out of line, compressed, of pages and of megabytes
CREATE TABLE big (id int, v text, b bytea, j jsonb, plain text, external text);
ALTER TABLE big ALTER COLUMN plain SET STORAGE PLAIN, ALTER COLUMN external SET STORAGE EXTERNAL;
CREATE FUNCTION noise(bytes int) RETURNS text LANGUAGE sql AS $$ SELECT left(string_agg(md5(bytes || ' ' || i), '' ORDER BY i), bytes) FROM generate_series(0, bytes / 32) i $$;
INSERT INTO big SELECT n, noise(n), NULL, NULL, NULL, NULL FROM unnest(ARRAY[0, 1, 125, 126, 127, 128, 2000, 7900, 8000, 8050, 8100, 8120, 8140, 8160, 8192, 9000, 16000, 16384, 24000, 65536, 1000000]) n;
INSERT INTO big SELECT n, repeat('compressible ', n), NULL, NULL, NULL, NULL FROM unnest(ARRAY[1000, 10000, 100000]) n;
INSERT INTO big VALUES (-1, noise(3000), decode(noise(60000), 'hex'), jsonb_build_object('long', noise(30000), 'list', (SELECT jsonb_agg(i) FROM generate_series(1, 3000) i)), noise(1000), noise(20000));
INSERT INTO big VALUES (-2, noise(5000000), decode(noise(6000000), 'hex'), to_jsonb(noise(1000000)), NULL, repeat('x', 2000000));
CREATE FOREIGN TABLE big_topic (_partition int, _offset bigint, id int, v text, b bytea, j jsonb, plain text, external text) SERVER streamhouse;
INSERT INTO big_topic (id, v, b, j, plain, external) SELECT * FROM big;                      -- as stored
INSERT INTO big_topic (id, v) VALUES (-3, 'short');
INSERT INTO big_topic (id, v, b, j, plain, external) SELECT id, v || '', b || '', j || '{}', plain || '', external || '' FROM big WHERE id > 0 ;  -- as computed
SELECT streamhouse.produce('big_topic', jsonb_build_object('id', -4, 'v', v)) FROM big WHERE id = -2;
CREATE VIEW sums AS SELECT id, md5(v) AS v, md5(b) AS b, md5(j::text) AS j, md5(plain) AS plain, md5(external) AS external FROM big;
CREATE VIEW topic_sums AS SELECT _offset, id, md5(v) AS v, md5(b) AS b, md5(j::text) AS j, md5(plain) AS plain, md5(external) AS external FROM big_topic;
SELECT count(*), count(DISTINCT _offset), max(_offset) FROM big_topic;
SELECT count(*) FROM sums s WHERE (SELECT count(*) FROM topic_sums t WHERE (t.id, t.v, t.b, t.j, t.plain, t.external) IS NOT DISTINCT FROM (s.id, s.v, s.b, s.j, s.plain, s.external))
    <> CASE WHEN id > 0 THEN 2 ELSE 1 END;
SELECT id, length(v), md5(v) = md5(noise(5000000)) AS same FROM big_topic WHERE id IN (-2, -4) ORDER BY id;
SELECT id, length(v) FROM streamhouse.read(NULL::big_topic, 0, 22, 5);
SELECT pg_column_size(v) FROM big_topic WHERE id = 100000;      -- not toasted any more
-- and into a table again
CREATE TABLE back AS SELECT * FROM big_topic WHERE id < 0;
SELECT md5(v) = md5(noise(5000000)), md5(external) = md5(repeat('x', 2000000)) FROM back WHERE id = -2;

SET client_min_messages = warning;
DROP SCHEMA types_test CASCADE;
RESET search_path;
