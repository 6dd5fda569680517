# Reading from a bucket keeps requests on their way ahead of the rows: one at
# first, up to streamhouse.prefetch, within what fetch_size allows.  Who stops
# early has fetched little, and whatever ends a read leaves no request on its
# way and no memory behind.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use List::Util qw(max sum);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use FaultProxy;
use Gateway;
use Lake;

plan skip_all => 'not installed: ' . Gateway->missing if Gateway->missing;

my $gateway = Gateway->new;
my $proxy = FaultProxy->new(target => $gateway->host);
my $node = new_server('main', 'autovacuum = off', q{streamhouse.fetch_size = '128kB'}, q{streamhouse.block_size = '128kB'});
my $rows = 60_000;

sub sql { return answer($node, @_); }

# Nothing but its own end ends a request.
create_lake($node, $gateway, endpoint => $proxy->endpoint, map { $_ => '1h' } qw(connect_timeout request_timeout retry_timeout));
is(sql(q{CREATE FOREIGN TABLE t (_offset bigint, n int, s text) SERVER lake}), '', 'a topic');
is(sql("INSERT INTO t (n, s) SELECT i, md5(i::text) || md5((i + 1)::text) || md5((i + 2)::text) FROM generate_series(1, $rows) i") . sql(q{SELECT streamhouse.flush('t')}), '', 'its rows in the bucket');
my ($blocks, $bytes) = split /\|/, sql('SELECT sum(blocks), sum(byte_length) FROM streamhouse.segments');
cmp_ok($blocks, '>', 30, 'have many blocks');
my $all = 'SELECT count(*), sum(n), max(s) FROM t';
my $expected = sql($all);
like($expected, qr/^$rows\|/, 'which can be read');

# What SQL, by a session of its own, has the proxy see.
sub seen_of
{
	my ($sql) = @_;

	$proxy->reset;
	my $answer = sql($sql);
	return ($answer, $proxy->seen);
}

# Nothing is on its way, though the session that has read is still there.
sub is_quiet
{
	my ($name) = @_;
	my $end = time + 180;

	while ($proxy->seen->{in_flight} > 0 && time < $end)
	{
		select undef, undef, undef, .02;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($proxy->seen->{in_flight}, 0, "$name: no request is left on its way");
}

# --- how many -----------------------------------------------------------------

$proxy->link(rtt => 30);
for my $prefetch (1, 3, 8)
{
	my ($answer, $seen) = seen_of("SET streamhouse.prefetch = $prefetch; $all");

	is($answer, $expected, "prefetch $prefetch: the rows");
	is($seen->{most_in_flight}, $prefetch, "prefetch $prefetch: as many requests at a time");
	cmp_ok($seen->{most_bytes_in_flight}, '<=', $prefetch * max(128 * 1024, 1.5 * $bytes / $blocks), "prefetch $prefetch: within the bytes that it allows");
	cmp_ok($seen->{down}, '<', $bytes * 1.1, "prefetch $prefetch: nothing is fetched twice");
}
my @requests = sort { $a->{at} <=> $b->{at} } $proxy->requests(kind => 'get');
# each that has been used up lets two more begin
for my $n (1 .. 4)
{
	cmp_ok($requests[ 2 * $n - 1 ]{at}, '>=', $requests[ $n - 1 ]{at} + 29, 'request ' . 2 * $n . " is not sent before request $n has its answer");
}

for my $read (
	[ 'read()', "SELECT count(*), sum(n), max(s) FROM streamhouse.read(NULL::t, 0, 0, 1000000, 1000000000)" ],
	[ 'poll()', "SELECT streamhouse.create_group('g', 't'); SELECT count(*), sum(n), max(s) FROM streamhouse.poll('g', NULL::t, 1000000, 1000000000)" ])
{
	my ($name, $sql) = @$read;
	my ($answer, $seen) = seen_of($sql);

	is($answer =~ s/^\n//r, $expected, "$name: the rows");
	is($seen->{most_in_flight}, 8, "$name: requests are ahead");
	cmp_ok($seen->{down}, '<', $bytes * 1.1, "$name: nothing is fetched twice");
}

# large requests, where they are wanted
my ($answer, $seen) = seen_of("SET streamhouse.fetch_size = '4MB'; $all");
is($answer, $expected, 'with a larger fetch_size: the rows');
cmp_ok($seen->{kinds}{get}, '<', $blocks / 3, 'with a larger fetch_size: few requests');
$proxy->link;

# --- who stops early ------------------------------------------------------------

for my $sql ('SELECT n FROM t LIMIT 1', 'SELECT n FROM streamhouse.read(NULL::t, 0, 0, 1)', q{SELECT n FROM streamhouse.poll('g2', NULL::t, 1)}, 'SELECT n FROM streamhouse.read(NULL::t, 0, 40000, 1)',
	'BEGIN; DECLARE c CURSOR FOR SELECT n FROM t; FETCH 1 FROM c; CLOSE c')
{
	sql(q{SELECT streamhouse.create_group('g2', 't')}) if $sql =~ /poll/;
	my ($answer, $seen) = seen_of($sql);

	like($answer, qr/^(?:1|40001)$/, "$sql: a row");
	cmp_ok($seen->{kinds}{get}, '<=', 1, "$sql: one request");
	cmp_ok($seen->{down}, '<=', 3 * $bytes / $blocks, "$sql: for few bytes");
}

# --- what ends a read ------------------------------------------------------------

# Where a block begins, counted from 0, and how many rows those before it have;
# blocks are alike.
sub block_at { my ($i) = @_; return int($i * $bytes / $blocks); }
sub rows_before { my ($i) = @_; return int($i * $rows / $blocks); }

# By then several requests may be on their way, and the first that is held
# begins behind the block that has the row.
my $some = rows_before(3.5);
my $held_from = block_at(4.5);

my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');

# What the session's statement says, while requests for what comes after the
# rows that it needs are held.
sub held
{
	my ($name, $sql, $says) = @_;

	$proxy->reset;
	my $rule = $proxy->fault(from => $held_from, hold => 'before');
	# what has the row comes late enough for those behind it to be sent
	$proxy->fault(from => block_at(2.5), count => 1, delay => 300);
	$session->{stderr} = '';
	my $answer = $session->query($sql);
	my $error = $session->{stderr};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like("$answer\n$error", $says, $name);
	cmp_ok($proxy->hits($rule), '>', 1, "$name: requests were on their way");
	is_quiet($name);
	$proxy->clear;
	$session->query('ROLLBACK; RESET ALL');
	is($session->query($all), $expected, "$name: then it reads on");
	return;
}

my $canceled = qr/canceling statement due to statement timeout/;
held('statement_timeout in a scan', "SET statement_timeout = '1s'; $all", $canceled);
held('statement_timeout in a cursor', "BEGIN; DECLARE c CURSOR FOR SELECT n FROM t; FETCH 1 FROM c; SET LOCAL statement_timeout = '1s'; FETCH ALL FROM c", $canceled);
held('statement_timeout in read()', "SET statement_timeout = '1s'; SELECT count(n) FROM streamhouse.read(NULL::t, 0, 0, 1000000, 1000000000)", $canceled);
sql(q{SELECT streamhouse.create_group('g3', 't')});
held('statement_timeout in poll()', "SET statement_timeout = '1s'; SELECT count(n) FROM streamhouse.poll('g3', NULL::t, 1000000, 1000000000)", $canceled);
is(sql(q{SELECT count(*), sum(n), max(s) FROM streamhouse.poll('g3', NULL::t, 1000000, 1000000000)}), $expected, 'a poll that was cancelled has moved nothing');
held('an error of the query', "SELECT sum(1 / (n - $some)) FROM t", qr/division by zero/);
held('an error in a subtransaction', qq{DO \$\$ BEGIN BEGIN PERFORM 1 / (n - $some) FROM t; EXCEPTION WHEN division_by_zero THEN RAISE WARNING 'caught'; END; END \$\$}, qr/caught/);
held('a cursor that is closed', "BEGIN; DECLARE c CURSOR FOR SELECT n FROM t; MOVE $some FROM c; CLOSE c; SELECT 7", qr/\b7\b/);
held('a transaction that ends with an open cursor', "BEGIN; DECLARE c CURSOR FOR SELECT n FROM t; MOVE $some FROM c; ROLLBACK; SELECT 7", qr/\b7\b/);
held('LIMIT', "SELECT max(n) FROM (SELECT n FROM t LIMIT $some) x", qr/^$some$/m);
held('a function that has its row', qq{DO \$\$ DECLARE r record; BEGIN FOR r IN SELECT n FROM t LOOP EXIT WHEN r.n = $some; END LOOP; RAISE WARNING 'left'; END \$\$}, qr/left/);

# one of the requests ahead is refused, the others are on their way
$proxy->fault(from => block_at(3.5), count => 1, status => 403, code => 'AccessDenied');
held('a request that is refused', $all, qr/could not read .*HTTP status 403 AccessDenied/s);

# pg_cancel_backend, and a session that is ended
$proxy->reset;
$proxy->fault(kind => 'get', skip => 6, hold => 'before');
$session->query_until(qr/begun/, "\\echo begun\n$all;\n\\echo ended\n");
$proxy->await(8, kind => 'get');
is(sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid"), 'Extension', 'a read that waits for the bucket says so');
sql("SELECT pg_cancel_backend($pid)");
$session->query_until(qr/ended/, '');
is_quiet('pg_cancel_backend()');
$session->query_until(qr/begun/, "\\echo begun\n$all;\n");
$proxy->await(10, kind => 'get');
sql("SELECT pg_terminate_backend($pid)");
is_quiet('pg_terminate_backend()');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'the session ends');
is(sql(q{SELECT in_flight FROM streamhouse.stat_servers WHERE server = 'lake'}), 0, 'and nothing is counted as on its way');
$proxy->clear;
eval { $session->quit };

# --- across polls and partitions --------------------------------------------------

# A consumer that polls a little at a time fetches nothing twice, more and more
# with a request, and nothing between its polls.
my $consumer = $node->background_psql('postgres', on_error_stop => 0);
$consumer->query_safe(q{SELECT streamhouse.create_group('little', 't'); SET streamhouse.fetch_size = '1MB'});
$proxy->reset;
my $polled = 0;
my $left_behind = 0;
for (1 .. 11)
{
	my $n = $consumer->query_safe(q{SELECT count(*) FROM streamhouse.poll('little', NULL::t, 500);} x 11);

	$polled += sum(split /\n/, $n);
	$left_behind++ if $proxy->seen->{in_flight} > 0;
}
is($polled, $rows, 'polls of 500 rows: all of them');
is($left_behind, 0, 'polls of 500 rows: no request is left on its way');
cmp_ok($proxy->seen->{down}, '<', $bytes * 1.1, 'polls of 500 rows: nothing is fetched twice');
cmp_ok($proxy->seen->{kinds}{get}, '<', $blocks / 3, 'polls of 500 rows: few requests');
is($consumer->query_safe(q{SELECT coalesce(sum(total_bytes), 0) <= 4 * 1024 * 1024 FROM pg_backend_memory_contexts WHERE name = 'streamhouse run'}), 't', 'and little memory');
# who begins elsewhere begins with little, and after an error it goes on
$consumer->query_safe(q{SELECT streamhouse.create_group('again', 't')});
$proxy->reset;
is($consumer->query_safe(q{SELECT n FROM streamhouse.read(NULL::t, 0, 40000, 1)}), 40001, 'a row elsewhere in the log');
cmp_ok($proxy->seen->{down}, '<=', 3 * $bytes / $blocks, 'takes few bytes');
is($consumer->query_safe(q{SELECT sum(n) FROM streamhouse.poll('again', NULL::t, 5000)}), 5000 * 5001 / 2, 'a poll of another group');
$consumer->query(q{SELECT sum(1 / (n - 5500)) FROM streamhouse.poll('again', NULL::t, 1000)});
$consumer->{stderr} = '';
is($consumer->query_safe(q{SELECT sum(n) FROM streamhouse.poll('again', NULL::t, 5000)}), 5000 * (5001 + 10000) / 2, 'goes on where it was after an error');
# read(), a page at a time
$proxy->reset;
my $pages = $consumer->query_safe(join '', map { "SELECT count(*) FROM streamhouse.read(NULL::t, 0, $_ * 500, 500) WHERE n = _offset + 1;" } 0 .. $rows / 500 - 1);
is(sum(split /\n/, $pages), $rows, 'read() by pages: all of them');
cmp_ok($proxy->seen->{down}, '<', $bytes * 1.1, 'read() by pages: nothing is fetched twice');
cmp_ok($proxy->seen->{kinds}{get}, '<', $blocks / 3, 'read() by pages: few requests');
$consumer->quit;

# A scan has the next partition on its way before it has all rows of one.
is(sql(q{CREATE FOREIGN TABLE p (_partition int, n int, s text) SERVER lake OPTIONS (partitions '3');
	INSERT INTO p (_partition, n, s) SELECT i / 10000, i, md5(i::text) || md5((i + 1)::text) || md5((i + 2)::text) FROM generate_series(0, 29999) i;
	SELECT streamhouse.flush('p')}), '', 'a topic of three partitions');
my $second = sql(q{SELECT byte_length FROM streamhouse.segments WHERE topic = 'p'::regclass AND partition = 0});
$proxy->reset;
my $rule = $proxy->fault(from => $second, hold => 'before');
is(sql('BEGIN; DECLARE c CURSOR FOR SELECT n FROM p; MOVE 9000 FROM c; FETCH 1 FROM c; ROLLBACK'), 9000, 'a row of the first partition');
cmp_ok($proxy->hits($rule), '>', 1, 'when blocks of the second one are on their way');
is_quiet('and the scan ends');
$proxy->clear;
$proxy->reset;
is(sql('SELECT count(*), sum(n), sum(_partition) FROM p'), join('|', 30000, 29999 * 15000, 30000), 'all partitions are read');
cmp_ok($proxy->seen->{down}, '<', 1.1 * sql(q{SELECT sum(byte_length) FROM streamhouse.segments WHERE topic = 'p'::regclass}), 'nothing is fetched twice');
is(sql(q{SELECT count(*), sum(n) FROM (SELECT 1 FROM generate_series(1, 2)) x, LATERAL (SELECT n FROM p OFFSET 0) y}), join('|', 60000, 29999 * 30000), 'a rescan');

# --- memory -----------------------------------------------------------------------

# Errors in the middle of a scan, again and again: as much memory as after some.
my $memory = $node->background_psql('postgres', on_error_stop => 0);
my $used = 'SELECT sum(used_bytes) FROM pg_backend_memory_contexts';
my %failing = (
	'errors in transactions' => 'SELECT sum(1 / (n - 9000)) FROM t',
	'errors in read()' => 'SELECT sum(1 / (n - 2000)) FROM streamhouse.read(NULL::t, 0, 0, 5000, 100000000)',
	'errors in poll()' => q{SELECT sum(1 / (n - 2000)) FROM streamhouse.poll('g4', NULL::t, 5000, 100000000)},
	'cursors' => 'BEGIN; DECLARE c CURSOR FOR SELECT n FROM t; MOVE 5000 FROM c; ROLLBACK',
	'a scan' => 'SELECT count(s) FROM (SELECT s FROM t LIMIT 9000) x');
sql(q{SELECT streamhouse.create_group('g4', 't')});
for my $name (sort keys %failing)
{
	my ($some, $many) = map { $memory->query(join('', map { "$failing{$name};\n" } 1 .. $_)); scalar $memory->query($used) } 20, 200;

	cmp_ok($many - $some, '<', 64 * 1024, "$name: no memory is left");
}
$memory->query(q{DO $$ BEGIN FOR i IN 1 .. 20 LOOP BEGIN PERFORM 1 / (n - 9000) FROM t; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$});
my $after_some = $memory->query($used);
$memory->query(q{DO $$ BEGIN FOR i IN 1 .. 200 LOOP BEGIN PERFORM 1 / (n - 9000) FROM t; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$});
cmp_ok($memory->query($used) - $after_some, '<', 64 * 1024, 'errors in subtransactions: no memory is left');
is($memory->query(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'streamhouse s3 %' AND name <> 'streamhouse s3 client' OR name = 'streamhouse reader'}), 0, 'nor any request');
is_quiet('after all that');
$memory->quit;

is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');
$node->stop;
done_testing();
