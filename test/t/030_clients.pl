# The overloads of the functions resolve for what clients send: literals, typed
# and untyped parameters, in text and in binary, from psql, psycopg,
# node-postgres and pgjdbc.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = new_server('main', q{listen_addresses = '127.0.0.1'});
my $clients = "$FindBin::RealBin/../clients";

sub sql { return answer($node, @_); }

sub create
{
	$node->safe_psql('postgres', <<~'SQL');
		DROP FOREIGN TABLE IF EXISTS t, b, o;
		SELECT streamhouse.create_topic('t', 3);
		SELECT streamhouse.create_topic('b', columns => 'key bytea, value bytea');
		SELECT streamhouse.create_topic('o', columns => 'id bigint, customer text, amount numeric, at timestamptz', key => 'customer');
		SQL
	return;
}

# psql: each form of a parameter, by PREPARE
create();
my $n = 0;
for my $types ('', '(unknown)', '(text)', '(varchar)', '(json)', '(jsonb)')
{
	is(sql(qq{PREPARE p $types AS SELECT streamhouse.produce('t', \$1, 'prepared') >= 0; EXECUTE p ('{"n": $n}'); EXECUTE p (NULL)}), "t\nt", "value $types");
	$n++;
}
for my $types ('', '(regclass, text, text)', '(text, text, text)', '(oid, text, text)', '(unknown, unknown, unknown)', '(varchar, jsonb, varchar)')
{
	my $topic = $types =~ /oid/ ? sql(q{SELECT 't'::regclass::oid}) : 't';
	is(sql(qq{PREPARE p $types AS SELECT streamhouse.produce(\$1, \$2, \$3) >= 0; EXECUTE p ('$topic', '{"n": $n}', 'prepared')}), 't', "all $types");
	$n++;
}
is(sql('SELECT count(*), count(value), count(DISTINCT value) FROM t WHERE key = $$prepared$$'), "18|$n|$n", 'they are there');
for my $arguments (
	q{'t', '1'}, q{'t', '1'::text}, q{'t', '1'::json}, q{'t', '1'::jsonb}, q{'t', NULL}, q{'t'::regclass, '"x"'}, q{topic => 't', value => '1'},
	q{'t', '1', 'k', '{}', 1, now()}, q{'t', '1', NULL, NULL, NULL, NULL}, q{'t', '1', headers => '{"a": 1}', event_time => '2024-01-01'},
	q{'t', jsonb_build_object('a', 1), 'k' || 1}, q{'t', to_json(1), partition => 1::smallint}, q{'t', (SELECT '1')}, q{'public.t', format('%s', 1)})
{
	is(sql("SELECT streamhouse.produce($arguments) >= 0"), 't', "produce($arguments)");
}
for my $arguments (q{'t', '{1,2}'}, q{'t', ARRAY['1', '2']}, q{'t', ARRAY['1', NULL], '{a,NULL}'}, q{'t', '{1,2}', partition => 1}, q{'t', '{1,2}', NULL, 2},
	q{'t', ARRAY['1', '2']::varchar[]}, q{'t', (SELECT array_agg(i::text) FROM generate_series(1, 2) i)})
{
	is(sql("SELECT streamhouse.produce_batch($arguments)"), 2, "produce_batch($arguments)");
}
is(sql(q{PREPARE p AS SELECT streamhouse.produce_batch('t', $1, $2); EXECUTE p ('{1,2}', '{a,b}')}), 2, 'produce_batch(untyped parameters)');
is(sql(q{PREPARE p AS SELECT streamhouse.produce_bytes('b', $1, $2) + streamhouse.produce_batch_bytes('b', $3); EXECUTE p ('\x00', 'k', '{NULL,a}'); SELECT count(*) FROM b}), "2\n3", 'produce_bytes(untyped parameters)');
is(sql(q{PREPARE p AS SELECT count(*) FROM streamhouse.read(NULL::t, $1, $2, $3, $4); EXECUTE p (0, 0, 1, 1)}), 1, 'read(untyped parameters)');
fails_with($node, q{SELECT streamhouse.produce('t', 1)}, '42883', qr/function streamhouse\.produce\(unknown, integer\) does not exist/, 'a number is not JSON');

# the others, all with the same effect
my $printed = <<~'END';
	partition: 2
	batch: 3
	batch without keys: 0
	bytes: 0
	bytes batch: 2
	typed: 0
	error: 22023 partition 99 of topic "t" does not exist
	last_produced: t 11
	read: (2, 0) 1
	cursor: 10
	END
my $written = <<~'END';
	all|6|{"h": "é"}|2024-02-29 12:00:00
	batch|{"n": 11}||
	batch|||
	binary|14||
	copy|10||
	insert|[7]||2024-02-29 12:00:00
	json|{"n": 3}||
	jsonb|{"n": 2}||
	literal|{"n": 4}||
	many|8||
	many|9||
	null|||
	partition|5||
	END
$written .= "pipeline|$_||\n" for 15 .. 24;
$written .= qq{text|{"n": 1}||\n|13||\nb|\\x006b6579|\\x00ff\nb||\\x01\nb||\no|1|é|1.50|2024-02-29 12:00:00};

sub client
{
	my ($name, $available, @command) = @_;

  SKIP:
	{
		if (!$available)
		{
			ok(0, "$name is there"), return if $ENV{STH_TEST_CLIENTS};
			skip "$name is not installed", 2;
		}
		create();
		local %ENV = (%ENV, PGHOST => '127.0.0.1', PGPORT => $node->port, PGUSER => scalar getpwuid($<), PGDATABASE => 'postgres', PYTHONIOENCODING => 'utf-8');
		my ($out, $error);
		IPC::Run::run(\@command, '>', \$out, '2>', \$error);
		is($out . $error, $printed, "$name: answers");
		is(sql(<<~'SQL'), $written, "$name: rows");
			SET timezone = 'UTC';
			SELECT key, value, headers, CASE WHEN _timestamp < '2025-01-01' THEN _timestamp::timestamp END FROM t ORDER BY key, value;
			SELECT 'b', key, value FROM b ORDER BY key, value;
			SELECT 'o', id, customer, amount, at::timestamp FROM o;
			SQL
		offsets_hold($node, 't', "$name: in order");
	}
	return;
}

sub there { my @command = @_; my $ok = eval { IPC::Run::run(\@command, '>', '/dev/null', '2>', '/dev/null') }; return $ok ? 1 : 0; }

client('psycopg', there('/usr/bin/python3', '-c', 'import psycopg'), '/usr/bin/python3', "$clients/produce.py");
client('node-postgres', there('node', '-e', 'require("pg")'), 'node', "$clients/produce.js");

my $jar = '/usr/share/java/postgresql.jar';
my $classes = $node->basedir . '/classes';
my ($compiler) = grep { there($_, '-version') } 'javac', 'ecj';
there($compiler, qw(-proc:none -encoding UTF-8 -source 17 -target 17), '-cp', $jar, '-d', $classes, "$clients/Produce.java") if $compiler && -e $jar;
client('pgjdbc', -e "$classes/Produce.class", 'java', '-cp', "$jar:$classes", 'Produce',
	'jdbc:postgresql://127.0.0.1:' . $node->port . '/postgres?user=' . scalar getpwuid($<));

$node->stop;
done_testing();
