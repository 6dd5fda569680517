# A server that was started without the extension's library refuses every use
# of a topic and writes nothing; started with it again, it has every row, and
# what was dropped meanwhile does not come back.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');

sub refused
{
	my ($what, $sql, @options) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return fails_with(
		$node, $sql, '55000',
		qr/streamhouse must be loaded when the server starts/,
		"refused: $what",
		hint => qr/Add streamhouse to shared_preload_libraries in postgresql\.conf and restart the server\./,
		@options);
}

sub preload
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$_[0]'\n");
	$node->restart;
	return;
}

sub sql { return answer($node, @_); }

# never loaded
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->start;
refused('CREATE EXTENSION', 'CREATE EXTENSION streamhouse');
refused('LOAD', "LOAD 'streamhouse'");
like(
	error_of($node, 'SELECT 1', connstr => $node->connstr('postgres') . " options='-c session_preload_libraries=streamhouse'"),
	qr/FATAL:  streamhouse must be loaded when the server starts/,
	'refused: session_preload_libraries');
is(sql(q{SELECT (SELECT count(*) FROM pg_extension WHERE extname = 'streamhouse'),
	(SELECT count(*) FROM pg_namespace WHERE nspname = 'streamhouse')}),
	'0|0', 'nothing has been created');

# topics with rows, and then without the library
preload('streamhouse');
sql(<<~'SQL');
	CREATE EXTENSION streamhouse;
	SELECT streamhouse.create_topic('kept', 2);
	SELECT streamhouse.create_topic('dropped');
	SELECT streamhouse.create_topic('replaced');
	SELECT streamhouse.create_topic('changed', columns => 'a int, b text, c int', key => 'b');
	SELECT streamhouse.create_topic('retyped', columns => 'a int, b text', key => 'b');
	CREATE TABLE parent (value jsonb, key text) PARTITION BY LIST (key);
	CREATE FOREIGN TABLE member PARTITION OF parent FOR VALUES IN ('m') SERVER streamhouse;
	INSERT INTO kept (key, value) SELECT i, to_jsonb(i) FROM generate_series(1, 100) i;
	INSERT INTO dropped (key, value) SELECT i, '"old"' FROM generate_series(1, 100) i;
	INSERT INTO replaced (key, value) SELECT i, '"old"' FROM generate_series(1, 100) i;
	INSERT INTO changed (a, b, c) VALUES (1, 'one', 10);
	INSERT INTO retyped (a, b) VALUES (1, 'one');
	INSERT INTO parent VALUES ('1', 'm');
	SQL
my $rows = sql('SELECT * FROM kept ORDER BY _partition, _offset');
my $oid = sql(q{SELECT 'dropped'::regclass::oid});
my $replaced_oid = sql(q{SELECT 'replaced'::regclass::oid});
my $in_tables = q{SELECT (SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM streamhouse.topic t),
	(SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM streamhouse.log t),
	(SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM streamhouse.tail t)};
my $before = sql($in_tables);

preload('');
refused(@$_)
  for (
	[ 'SELECT', 'SELECT * FROM kept' ],
	[ 'SELECT from the parent', 'SELECT * FROM parent' ],
	[ 'EXPLAIN', 'EXPLAIN SELECT * FROM kept' ],
	[ 'INSERT', q{INSERT INTO kept (value) VALUES ('1')} ],
	[ 'INSERT into the parent', q{INSERT INTO parent VALUES ('1', 'm')} ],
	[ 'COPY FROM', "COPY kept (value) FROM STDIN;\n1\n\\.\n" ],
	[ 'COPY TO', 'COPY (SELECT * FROM kept) TO STDOUT' ],
	[ 'UPDATE', q{UPDATE kept SET value = '1'} ],
	[ 'DELETE', 'DELETE FROM kept' ],
	[ 'TRUNCATE', 'TRUNCATE kept' ],
	[ 'ANALYZE', 'ANALYZE kept' ],
	[ 'produce, text', q{SELECT streamhouse.produce('kept', '1'::text)} ],
	[ 'produce, json', q{SELECT streamhouse.produce('kept', '1'::json)} ],
	[ 'produce, jsonb', q{SELECT streamhouse.produce('kept', '1'::jsonb)} ],
	[ 'produce_bytes', q{SELECT streamhouse.produce_bytes('kept', '1')} ],
	[ 'produce_batch', q{SELECT streamhouse.produce_batch('kept', '{1}')} ],
	[ 'produce_batch_bytes', q{SELECT streamhouse.produce_batch_bytes('kept', '{1}')} ],
	[ 'last_produced', 'SELECT * FROM streamhouse.last_produced()' ],
	[ 'partition_for', q{SELECT streamhouse.partition_for('kept', '1')} ],
	[ 'read', 'SELECT * FROM streamhouse.read(NULL::kept, 0, 0)' ],
	[ 'logs', 'SELECT * FROM streamhouse.logs' ],
	[ 'create_topic', q{SELECT streamhouse.create_topic('another')} ],
	[ 'CREATE FOREIGN TABLE', 'CREATE FOREIGN TABLE another (a int) SERVER streamhouse' ],
	[ 'CREATE FOREIGN TABLE … PARTITION OF',
		q{CREATE FOREIGN TABLE another PARTITION OF parent FOR VALUES IN ('n') SERVER streamhouse} ],
	[ 'more partitions', q{ALTER FOREIGN TABLE kept OPTIONS (SET partitions '3')} ],
	[ 'CREATE SERVER', 'CREATE SERVER another FOREIGN DATA WRAPPER streamhouse' ],
	[ 'INSERT into an internal table', 'INSERT INTO streamhouse.log VALUES (99, 99, 0, 0)' ],
  );
# every function and view that there is; a strict one is not called with NULL
my @calls = split /\n/, sql(q{SELECT format('%s streamhouse.%I(%s)', CASE prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT' END, proname,
		(SELECT string_agg(CASE WHEN proisstrict THEN CASE WHEN t::regtype::text ~ ']$' THEN $$'{}'$$ ELSE $$'0'$$ END ELSE 'NULL' END || '::' ||
			CASE t WHEN 'anyelement'::regtype THEN 'kept' ELSE t::regtype::text END, ', ' ORDER BY n) FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n)))
	FROM pg_proc WHERE pronamespace = 'streamhouse'::regnamespace AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'c')
	UNION ALL SELECT 'SELECT * FROM ' || oid::regclass FROM pg_class WHERE relnamespace = 'streamhouse'::regnamespace AND relkind = 'v' AND relname NOT IN ('topics', 'segments', 'objects')
	ORDER BY 1});
cmp_ok(scalar @calls, '>', 30, 'functions and views');
refused($_, $_) for @calls;
is(sql($in_tables), $before, 'nothing has been written');
sql('DROP FOREIGN TABLE dropped, replaced');
sql('ALTER FOREIGN TABLE changed RENAME b TO d; ALTER FOREIGN TABLE changed DROP c, ADD e int');
sql('ALTER FOREIGN TABLE retyped ALTER a TYPE text');
is(sql(q{SELECT to_regclass('dropped') IS NULL}), 't', 'a topic can be dropped');

# The OIDs of dropped tables come round again in the end; here they do now.
sub next_oid
{
	sql('VACUUM pg_class');    # dead rows block an OID as well
	$node->stop;
	command_ok([ 'pg_resetwal', '-o', $_[0], '-D', $node->data_dir ], "the next OID is $_[0]");
	$node->start;
	return;
}
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'streamhouse'\n");
next_oid($oid);
sql(q{SELECT streamhouse.create_topic('dropped', 2)});
is(sql(q{SELECT 'dropped'::regclass::oid}), $oid, 'a new topic has the OID of the dropped one');
is(sql('SELECT count(*) FROM dropped'), 0, 'and none of its rows');
is(sql('SELECT count(*) FROM streamhouse.read(NULL::dropped, 0, 0)'), 0, 'nor by read()');
sql(q{INSERT INTO dropped (key, value) SELECT i, '"new"' FROM generate_series(1, 100) i});
is(sql(q{SELECT count(*) || min(value::text) || max(value::text) FROM dropped}), '100"new""new"', 'only new rows are there');
is(sql(q{SELECT count(*), max(next_offset) <= 100 FROM streamhouse.logs WHERE topic = 'dropped'::regclass}),
	'2|t', 'whose offsets start at 0');

next_oid($replaced_oid);
sql('CREATE TABLE replaced (a int)');
is(sql(q{SELECT 'replaced'::regclass::oid}), $replaced_oid, 'a plain table has the OID of another');
is(sql(q{SELECT string_agg(name, ' ' ORDER BY name) FROM streamhouse.topics}),
	'changed dropped kept member retyped', 'topics does not show it');
is( sql(q{SELECT string_agg(DISTINCT topic::text, ' ' ORDER BY topic::text) FROM streamhouse.logs}),
	'changed dropped kept member retyped', 'logs does not show it');

# all is well again
is(sql('SELECT * FROM kept ORDER BY _partition, _offset'), $rows, 'every row is there');
is(sql(q{INSERT INTO kept (key, value) SELECT i, to_jsonb(i) FROM generate_series(101, 200) i;
	SELECT count(DISTINCT key) FROM kept}), 200, 'producing goes on');
offsets_hold($node, 'kept', 'in order');
is(sql('SELECT * FROM parent'), '1|m', 'the member is there');
is(sql(q{INSERT INTO parent VALUES ('2', 'm'); SELECT count(*) FROM parent}), 2, 'and takes rows');

# columns that changed meanwhile
is(sql('SELECT a, d, e FROM changed'), '1|one|', 'renamed, dropped and added columns are followed');
is(sql(q{INSERT INTO changed (a, d, e) VALUES (2, 'two', 20);
	SELECT streamhouse.produce('changed', '{"a": 3, "e": 30}'::json, key => 'three');
	SELECT a, d, e FROM changed ORDER BY 1}), "0\n1|one|\n2|two|20\n3|three|30", 'when producing too');
like(error_of($node, 'SELECT a FROM retyped'), qr/ERROR:  \w{5}: .*retyped/,
	'a retyped column is an error, not a wrong value');
is(sql('DROP FOREIGN TABLE retyped; SELECT count(*) FROM streamhouse.topics'), 4, 'and the topic can be dropped');

$node->stop;
done_testing();
