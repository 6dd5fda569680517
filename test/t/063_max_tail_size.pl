# What waits in the tail is limited: before it is too much it is flushed though
# not due; while flushing fails, producers are slowed, then refused with the
# reason; when it works again they go on by themselves.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;

my $node = new_server('main', 'autovacuum = off', q{streamhouse.max_tail_size = '4MB'},
	q{streamhouse.flush_interval = '1h'}, q{streamhouse.segment_size = '1GB'});

sub sql { return answer($node, @_); }

# About 700 kB in the tail.
sub produce
{
	my ($topic, $dbname) = @_;

	return sql("INSERT INTO $topic (n, s) SELECT i, md5(i::text) || md5((i * 7)::text) FROM generate_series(1, 10000) i", $dbname);
}

# Produces until that is refused; returns how often it was not.
sub fill
{
	my ($topic) = @_;
	my $n = 0;

	$n++ while $n < 20 && produce($topic) eq '';
	return $n;
}

sub set_failpoint
{
	my ($failpoint) = @_;
	my $worker = worker_of($node, 'postgres');

	sql('ALTER DATABASE postgres ' . ($failpoint ? "SET streamhouse.failpoint = '$failpoint'" : 'RESET streamhouse.failpoint'));
	sql("SELECT pg_terminate_backend($worker)");
	return worker_of($node, 'postgres', $worker);
}

my $waiting = q{SELECT sum(tail_bytes) FROM streamhouse.logs};
my $too_much = 'cannot produce to topic "t" because too much waits to be written to segments';
my $one = 'INSERT INTO t (n) VALUES (1)';

sql(q{SELECT streamhouse.create_topic('t', 2, 'n int, s text', NULL)});

# nothing is due, but there is no room for all
is(fill('t'), 20, 'while segments can be written, producing goes on');
cmp_ok(sql('SELECT count(*) FROM streamhouse.segments'), '>=', 3, 'they are written before they are due');
is(sql('SELECT count(*) FROM t'), 200000, 'every row is there');
cmp_ok(sql($waiting), '<', 4 * 1024 * 1024, 'and what waits is below the limit');

# a transaction that would not fit
fails_with($node, 'INSERT INTO t (n, s) SELECT i, md5(i::text) || md5((i * 7)::text) FROM generate_series(1, 200000) i', '53100', $too_much,
	'a transaction larger than that is refused', hint => '.*a transaction is too large');
is(sql($one), '', 'others are not');
my $large = 'BEGIN; INSERT INTO t (n, s) SELECT i, md5(i::text) FROM generate_series(1, 20000) i; ROLLBACK;';
is(sql($large x 20), '', 'what is rolled back takes no room');

SKIP:
{
	skip 'the build has no failpoints', 1
	  unless sql(q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});

	# the flusher fails
	set_failpoint('flush-encoded:error');
	cmp_ok(fill('t'), '<', 7, 'while segments cannot be written, producing ends');
	my $rows = sql('SELECT count(*) FROM t');
	my $error = error_of($node, 'INSERT INTO t (n, s) SELECT i, md5(i::text) || md5((i * 7)::text) FROM generate_series(1, 10000) i');
	like($error, qr/ERROR:  53100: $too_much/, 'with an error');
	like($error, qr/DETAIL:  Of the topics of server "streamhouse" \d+ kB wait in the tail, this transaction has \d+ (kB|bytes), and streamhouse.max_tail_size is 4096 kB. The last failure: failpoint "flush-encoded"\n/, 'that tells sizes and the cause');
	like($error, qr/HINT:  Segments cannot be written: see to the cause, or raise streamhouse.max_tail_size/, 'and what to do');
	is(sql('SELECT count(*) FROM t'), $rows, 'what was refused is not there');

	# by any way in
	my $much = q{(n, s) SELECT i, md5(i::text) || md5((i * 7)::text) FROM generate_series(1, 20000) i};
	fails_with($node, "INSERT INTO t $much", '53100', $too_much, 'INSERT');
	fails_with($node, q{SELECT streamhouse.produce_batch('t', (SELECT array_agg(json_build_object('n', i, 's', md5(i::text) || md5((i * 7)::text))::text) FROM generate_series(1, 20000) i))}, '53100', $too_much, 'produce_batch()');
	sql('CREATE TABLE plain (n int, s text)');
	sql("INSERT INTO plain $much");
	sql(q{COPY plain TO '} . $node->basedir . q{/plain'});
	fails_with($node, q{COPY t (n, s) FROM '} . $node->basedir . q{/plain'}, '53100', $too_much, 'COPY');
	is(sql(q{SELECT streamhouse.create_group('g', 't'); SELECT count(*) FROM streamhouse.poll('g', NULL::t)}), "\n500", 'consumers are not concerned');

	# slowed before; can be seen, and cancelled
	my $slow = $node->background_psql('postgres', on_error_stop => 0);
	$slow->query_until(qr/begun/, "\\echo begun\nDO \$\$ BEGIN FOR i IN 1 .. 10000 LOOP INSERT INTO t (n) VALUES (1); END LOOP; END \$\$;\n");
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active' AND wait_event IN ('Extension', 'StreamhouseProduceSlow')}), 'producers wait');
	is(sql(q{SELECT count(*) FROM streamhouse.in_flight}), 0, 'and have taken no offsets');
	is(sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'}), 't', 'they can be cancelled');
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'}), 'and end');
	$slow->quit;

	# whose history is elsewhere
	sql(q{CREATE SERVER other FOREIGN DATA WRAPPER streamhouse; CREATE FOREIGN TABLE elsewhere (n int, s text) SERVER other});
	is(produce('elsewhere'), '', 'topics of another server have their own limit');
	$node->safe_psql('postgres', 'CREATE DATABASE beside');
	sql(q{CREATE EXTENSION streamhouse; CREATE FOREIGN TABLE t (n int, s text) SERVER streamhouse}, 'beside');
	is(produce('t', 'beside'), '', 'and those of another database');

	# it is known again after a restart, if it is long as an estimate
	my $size = q{SELECT sum(tail_bytes) FROM streamhouse.logs WHERE topic = 't'::regclass};
	# of each partition that has any rows there
	my $known = q{SELECT count(*) = 0 FROM streamhouse.logs l WHERE topic = 't'::regclass AND tail_bytes IS NULL
		AND next_offset > greatest(start_offset, (SELECT coalesce(max(end_offset), 0) FROM streamhouse.segments s WHERE s.topic = l.topic AND s.partition = l.partition))};
	my $bytes = sql($size);
	$node->restart;
	ok($node->poll_query_until('postgres', $known), 'after a restart the worker measures what is there');
	is(sql($size), $bytes, 'and finds it');
	fails_with($node, "INSERT INTO t $much", '53100', $too_much, 'producing is refused as before');
	sql(q{ALTER SYSTEM SET streamhouse.segment_size = '64kB'});
	$node->restart;
	$node->poll_query_until('postgres', $known);
	cmp_ok(abs(sql($size) - $bytes), '<', $bytes / 5, 'also by a part of it');
	sql(q{ALTER SYSTEM RESET streamhouse.segment_size; SELECT pg_reload_conf()});
	fails_with($node, q{SELECT streamhouse.flush('t')}, '55000', 'could not write a segment', 'flush() fails');

	# room that others make
	sql('BEGIN; TRUNCATE t; ROLLBACK');
	fails_with($node, "INSERT INTO t $much", '53100', $too_much, 'TRUNCATE that is rolled back makes no room');
	sql('TRUNCATE t');
	is(produce('t'), '', 'TRUNCATE makes some');
	sql(q{CREATE FOREIGN TABLE u (n int, s text) SERVER streamhouse});
	fill('u');
	fails_with($node, "INSERT INTO t $much", '53100', $too_much, 'topics of a server share it');
	sql('DROP FOREIGN TABLE u');
	is(produce('t'), '', 'and a DROP gives it back');
	sql('ALTER SYSTEM SET streamhouse.max_tail_size = \'1MB\'');
	$node->reload;
	ok($node->poll_query_until('postgres', q{SELECT setting = '1024' FROM pg_settings WHERE name = 'streamhouse.max_tail_size'}), 'the setting can be changed');
	fails_with($node, $one, '53100', $too_much, 'and counts at once');
	sql('ALTER SYSTEM SET streamhouse.max_tail_size = \'4MB\'; SELECT pg_reload_conf()');
	fill('t');

	# nobody has to ask for it to go on
	my $before = sql('SELECT count(*), sum(n) FROM t');
	set_failpoint('');
	ok($node->poll_query_until('postgres', q{SELECT sum(tail_bytes) < 2200000 FROM streamhouse.logs WHERE topic = 't'::regclass}), 'when segments can be written again, they are');
	is(sql('SELECT count(*), sum(n) FROM t'), $before, 'no row is lost');
	cmp_ok(fill('t'), '>', 0, 'and producing goes on');
}

# no worker may run
sql('ALTER SYSTEM SET streamhouse.max_workers = 0');
$node->reload;
no_worker($node, 'postgres');
fill('t');
fails_with($node, 'INSERT INTO t (n, s) SELECT i, md5(i::text) || md5((i * 7)::text) FROM generate_series(1, 10000) i', '53100', $too_much,
	'without workers the hint says so', hint => 'No background worker may run');
sql('ALTER SYSTEM RESET streamhouse.max_workers');
$node->reload;
ok($node->poll_query_until('postgres', q{SELECT sum(tail_bytes) < 2200000 FROM streamhouse.logs WHERE topic = 't'::regclass}), 'with workers there is room again');

# a new extension begins at zero
sql('DROP EXTENSION streamhouse CASCADE; CREATE EXTENSION streamhouse');
sql(q{SELECT streamhouse.create_topic('t', 2, 'n int, s text', NULL)});
is(sql($one), '', 'a new extension begins at zero');
cmp_ok(sql($waiting), '<', 1000, 'as is counted');
is(sql(q{SELECT * FROM streamhouse.verify()}), '', 'verify() finds nothing');
$node->stop;
done_testing();
