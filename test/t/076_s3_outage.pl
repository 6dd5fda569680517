# A bucket is out of reach for long.  It holds up nothing but itself: what other
# topics have is flushed, gaps are closed, tables can be changed.  Its own
# producers go on until too much waits, are slowed then, and refused with the
# reason; when the bucket is back all that waits is written while they go on.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;
use FaultProxy;
use Gateway;
use Lake;

plan skip_all => 'not installed: ' . Gateway->missing if Gateway->missing;

my $gateway = Gateway->new;
my $proxy = FaultProxy->new(target => $gateway->host);
my $node = new_server('main', 'autovacuum = off', 'streamhouse.gc_grace = 0', 'streamhouse.orphan_age = 0',
	q{streamhouse.maintenance_interval = '1s'}, q{streamhouse.flush_interval = '1s'});
my $failpoints = answer($node, q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});
my $patient = q{connect_timeout '1h', request_timeout '1h', retry_timeout '1h'};

sub sql { return answer($node, @_); }

# A server in another part of the bucket, not behind the proxy.
sub create_other
{
	my ($dbname) = @_;

	return sql(sprintf(q{SET log_statement = none;
		CREATE SERVER other FOREIGN DATA WRAPPER streamhouse OPTIONS (url 's3://%s/%s', endpoint '%s');
		CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (access_key_id '%s', secret_access_key '%s')},
		$gateway->bucket, $dbname // 'other', $gateway->endpoint, $gateway->access_key, $gateway->secret_key), $dbname);
}

# Every row has its twin in a table, committed with it.
sub create_topic
{
	my ($name, $server, %opt) = @_;
	my $partitions = $opt{partitions} // 1;

	return sql(<<~SQL, $opt{dbname});
		CREATE FOREIGN TABLE $name (n bigint, s text) SERVER $server OPTIONS (partitions '$partitions');
		CREATE TABLE ${name}_twin (n bigint, s text);
		CREATE SEQUENCE ${name}_ids;
		CREATE PROCEDURE add_$name(rows int) LANGUAGE SQL AS \$\$
			WITH r AS (INSERT INTO ${name}_twin SELECT nextval('${name}_ids'), md5(i::text) || md5((i * 7)::text) FROM generate_series(1, rows) i RETURNING *)
			INSERT INTO $name (n, s) TABLE r;
		\$\$;
		SQL
}

sub rows_hold
{
	my ($what, @topics) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for my $topic (@topics)
	{
		is(sql("SELECT count(*) FROM ((SELECT n, s FROM $topic EXCEPT ALL TABLE ${topic}_twin) UNION ALL (TABLE ${topic}_twin EXCEPT ALL SELECT n, s FROM $topic)) x"),
			0, "$what: every row of $topic is there once, as it was");
	}
	is(sql("SELECT v.* FROM unnest('{" . join(',', @topics) . "}'::regclass[]) r, streamhouse.verify(r) v"), '', "$what: verify() finds nothing");
	return;
}

sub is_well
{
	my ($what, @topics) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM streamhouse.tail'), "$what: all is flushed");
	rows_hold($what, @topics);
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM streamhouse.objects WHERE state <> 'live'}), "$what: what was given up is deleted");
	is(join("\n", sort(map { $gateway->client->all_keys("$_/data/") } qw(lake other))),
		sql(q{SELECT string_agg(key, E'\n' ORDER BY key COLLATE "C") FROM streamhouse.object WHERE key IS NOT NULL}), "$what: the bucket has what the ledger has");
	return;
}

create_lake($node, $gateway, endpoint => $proxy->endpoint);
create_other;
is(create_topic('t', 'lake', partitions => 4) . create_topic('o', 'other') . create_topic('e', 'streamhouse'), '', 'topics on two servers and in the database');
is(sql('CALL add_t(1000); CALL add_o(1000); CALL add_e(1000)'), '', 'with rows');
is_well('before', qw(t o e));

# --- a store that does not answer ------------------------------------------------

sql("ALTER SERVER lake OPTIONS (ADD " . join(', ADD ', split /, /, $patient) . ')');
$proxy->fault(hold => 'before');
my $uploading = q{SELECT count(*) FROM streamhouse.objects WHERE state = 'uploading'};
sql('CALL add_t(1000)');
ok($node->poll_query_until('postgres', "SELECT ($uploading) = 1"), 'an object is on its way, for ever');
my $worker = worker_of($node, 'postgres');
sql('CREATE FOREIGN TABLE t2 (n int) SERVER lake; INSERT INTO t2 SELECT generate_series(1, 100)');
ok($node->poll_query_until('postgres', "SELECT ($uploading) = 2"), 'a second one');
create_topic('t3', 'lake');
sql('CALL add_t3(100)');
is(sql('CALL add_t(1000)'), '', 'producers go on');
is(sql('CALL add_o(1000)') . sql(q{SELECT streamhouse.flush('o')}), '', 'a topic of another server is flushed');
is(sql('CALL add_e(1000)') . sql(q{SELECT streamhouse.flush('e')}), '', 'one in the database, too');
is(sql('SELECT count(*), count(DISTINCT n) FROM o UNION ALL SELECT count(*), count(DISTINCT n) FROM e'), "2000|2000\n2000|2000", 'and can be read');
is(sql($uploading), 2, 'the server has not more than two on their way');
SKIP:
{
	skip 'the build has no failpoints', 1 unless $failpoints;
	sql(q{SET streamhouse.failpoint = 'sequenced:error'; CALL add_t3(3)});
	sql('CALL add_t3(1)');
	ok($node->poll_query_until('postgres', q{SELECT stable_offset = next_offset FROM streamhouse.logs WHERE topic = 't3'::regclass}), 'gaps are closed');
}
fails_with($node, q{SET statement_timeout = '300ms'; SELECT streamhouse.flush('t2')}, '57014', 'canceling statement', 'who waits for it can be cancelled');
fails_with($node, q{SET statement_timeout = '300ms'; SELECT count(n) FROM t}, '57014', 'canceling statement', 'and who reads');
is(sql('ALTER FOREIGN TABLE t2 ADD COLUMN m int; TRUNCATE t2; DROP FOREIGN TABLE t2'), '', 'tables can be changed, emptied, dropped');

# other databases
$node->safe_psql('postgres', 'CREATE DATABASE beside');
sql('CREATE EXTENSION streamhouse', 'beside');
create_other('beside');
is(sql(q{CREATE FOREIGN TABLE o (n int) SERVER other; INSERT INTO o SELECT generate_series(1, 100)}, 'beside') . sql(q{SELECT streamhouse.flush('o')}, 'beside'), '', 'another database is served');
is(worker_of($node, 'postgres'), $worker, 'by another worker');

# one worker for all
is(sql(q{ALTER SYSTEM SET streamhouse.max_workers = 1; SELECT pg_reload_conf()}), 't', 'with one worker for all');
is(sql(q{INSERT INTO o SELECT generate_series(1, 100)}, 'beside') . sql(q{SELECT streamhouse.flush('o')}, 'beside'), '', 'they are served in turn');
is(sql(q{CALL add_e(1000)}) . sql(q{SELECT streamhouse.flush('e')}), '', 'all of them');
is(sql(q{ALTER SYSTEM RESET streamhouse.max_workers; SELECT pg_reload_conf()}), 't', 'with more again');

# who is told to go goes
sql('CALL add_t(10)');
ok($node->poll_query_until('postgres', "SELECT ($uploading) >= 1"), 'an object is on its way');
$worker = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'streamhouse worker' AND datname = 'postgres'});
sql("SELECT pg_terminate_backend($worker)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $worker"), 'a worker ends with uploads on their way');
is(sql('DROP DATABASE beside'), '', 'a database is dropped');
$node->restart;
pass('the server restarts');
rows_hold('while it lasts', qw(o e));
$proxy->clear;
is_well('after a store that did not answer', qw(t o e t3));

# --- a store that is away for long -------------------------------------------------

# What waits of its topics is limited.
my $small = '4MB';
sql("ALTER SYSTEM SET streamhouse.max_tail_size = '$small'; ALTER SYSTEM SET streamhouse.segment_size = '1MB'");
sql(q{ALTER SERVER lake OPTIONS (SET connect_timeout '1s', SET request_timeout '1s', SET retry_timeout '1s')});
sql(q{ALTER SERVER other OPTIONS (ADD retry_timeout '300ms')});
$node->reload;
ok($node->poll_query_until('postgres', qq{SELECT current_setting('streamhouse.max_tail_size') = '$small'}), 'little may wait');
my $too_much = 'cannot produce to topic "t" because too much waits to be written to segments';
my $segments = sql(q{SELECT count(*) FROM streamhouse.segments WHERE topic = 't'::regclass});
$proxy->refuse;
my $n = 0;
$n++ while $n < 40 && sql('CALL add_t(5000)') eq '';
cmp_ok($n, '<', 20, 'producers are refused in the end');
cmp_ok($n, '>', 2, 'not before much waits');
my $error = error_of($node, 'CALL add_t(5000)');
like($error, qr/ERROR:  53100: $too_much\n/, 'with an error');
like($error, qr/DETAIL:  Of the topics of server "lake" \d+ kB wait in the tail, this transaction has \d+ (?:kB|bytes), and streamhouse.max_tail_size is 4096 kB\. The last failure: could not write "lake\/data\/[^"]+" in bucket "streamhouse-test" of server "lake": \S/, 'that says how much waits, and why');
like($error, qr/HINT:  Segments cannot be written: see to the cause/, 'and what to do');
is(sql(q{SELECT count(*) FROM streamhouse.segments WHERE topic = 't'::regclass}), $segments, 'nothing was written meanwhile');
my ($rows, $twins) = (sql('SELECT count(*) FROM t_twin'), sql(q{SELECT sum(next_offset) FROM streamhouse.logs WHERE topic = 't'::regclass}));
is($rows, $twins, 'what was refused is not there');

# it is the server's own limit, and its own reason
is(join('', map { sql('CALL add_o(5000)') } 1 .. 10), '', 'topics of another server go on');
is(join('', map { sql('CALL add_e(5000)') } 1 .. 10), '', 'those in the database, too');
my $endpoint = $gateway->endpoint;
sql(q{ALTER SERVER other OPTIONS (SET endpoint 'http://127.0.0.1:1')});
sql('CALL add_o(10)');
fails_with($node, q{SELECT streamhouse.flush('o')}, '55000', qr/could not write a segment of partition 0 of topic "o"\nDETAIL:  could not write "other\/data/, 'another server has its own troubles');
like(error_of($node, 'CALL add_t(5000)'), qr/DETAIL:.* The last failure: could not write "lake\//, 'which are not told as this one\'s');
sql("ALTER SERVER other OPTIONS (SET endpoint '$endpoint')");

# slowed before: seen, cancelled
my $slow = $node->background_psql('postgres', on_error_stop => 0);
$slow->query_until(qr/begun/, "\\echo begun\nDO \$\$ BEGIN FOR i IN 1 .. 10000 LOOP CALL add_t(1); END LOOP; END \$\$;\n");
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active' AND wait_event IN ('Extension', 'StreamhouseProduceSlow')}), 'producers are slowed');
sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'}), 'and can be cancelled');
$slow->quit;

# back: what waits is written while producers go on
my $stop = $node->basedir . '/stop';
my @producers = map {
	my $script = "while [ ! -e $stop ]; do echo 'CALL add_t(200);'; sleep 0.01; done";
	IPC::Run::start([ 'sh', '-c', "($script) | psql -XqAt -d '" . $node->connstr('postgres') . "' -f - 2>&1 | grep -v -e 53100 -e 'too much waits' -e DETAIL -e HINT -e CONTEXT" ],
		'<', '/dev/null', '>', $node->basedir . "/producer$_")
} 1 .. 3;
my $backlog = sql(q{SELECT sum(tail_bytes) FROM streamhouse.logs WHERE topic = 't'::regclass});
$worker = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'streamhouse worker' AND datname = 'postgres'});
$proxy->accept;
ok($node->poll_query_until('postgres', "SELECT sum(tail_bytes) < $backlog / 2 FROM streamhouse.logs WHERE topic = 't'::regclass"), 'when it is back, what waits is written');
$rows = sql('SELECT count(*) FROM t_twin');
ok($node->poll_query_until('postgres', "SELECT count(*) > $rows + 10000 FROM t_twin"), 'and producers go on');
append_to_file($stop, '');
$_->finish for @producers;
is(join('', map { slurp_file($node->basedir . "/producer$_") } 1 .. 3), '', 'no other error has met them');
is(sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'streamhouse worker' AND datname = 'postgres'}), $worker, 'the worker is the same');
is_well('after an outage', qw(t o e t3));
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();
