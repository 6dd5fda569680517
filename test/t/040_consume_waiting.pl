# Who waits for rows wakes at the commit, can be ended while it waits, and
# holds nothing up.  What is waited for is a condition, not a time: the
# timeouts given are far longer than the test may take.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use Time::HiRes qw(time);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = new_server('main', 'autovacuum = off');

sub sql { return answer($node, @_); }

sql(q{SELECT streamhouse.create_topic('t', 2, 'n int', NULL);
	SELECT streamhouse.create_topic('other', 2, 'n int', NULL);
	SELECT streamhouse.create_group('g', 't'), streamhouse.create_group('h', 't')});

my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');

# In the session under test: sent now, its answer is for later.
my $sent = 0;
sub send_now
{
	my ($command) = @_;

	$session->query_until(qr/sent/, "\\echo sent\n$command\n\\echo done " . ++$sent . "\n");
	$node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid")
	  or die 'it does not wait';
	return;
}

# What came of it.
sub received
{
	my $out = $session->query_until(qr/done $sent\n/, '');

	$out =~ s/done $sent\n//;
	chomp $out;
	return $out;
}

sub seconds_of
{
	my $start = time;

	$_[0]->();
	return time - $start;
}

my $wait = q{CALL streamhouse.wait('g', 't', '10 min');};
my $poll = q{SELECT n FROM streamhouse.poll('g', NULL::t, timeout => '10 min');};

# both wake at the commit
my $got;
send_now($poll);
cmp_ok(seconds_of(sub { sql('INSERT INTO t (n) VALUES (1)'); $got = received() }), '<', 60, 'poll() wakes at the commit');
is($got, '1', 'and returns the row');
send_now($wait);
cmp_ok(seconds_of(sub { sql('INSERT INTO t (n) VALUES (2)'); $got = received() }), '<', 60, 'wait() wakes at the commit');
is(sql(q{SELECT n FROM streamhouse.poll('g', NULL::t)}), '2', 'the row is there');

# a row that is there already is not waited for, and a timeout is the end
is($session->query_safe(q{CALL streamhouse.wait('h', 't', '10 min')}), '', 'wait() returns at once if there is a row');
is($session->query_safe(q{SELECT count(*) FROM streamhouse.poll('h', NULL::t, timeout => '10 min')}), 2, 'so does poll()');
is($session->query_safe(q{CALL streamhouse.wait('g', 't', '10 ms')}), '', 'wait() returns when the time is over');
is($session->query_safe(q{CALL streamhouse.wait('g', 't', '-10 ms')}), '', 'at once if it is over already');
is($session->query_safe(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t, timeout => '10 ms')}), 0, 'so does poll()');
is($session->query_safe(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t, timeout => '1 ms', partitions => '{}')}), 0,
	'also without partitions');

# what does not concern it does not end it
sub still_waits { return sql("SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid"); }
for my $waiter ([ 'poll()', $poll, '' ], [ 'wait()', $wait, $poll ])
{
	my ($name, $command, $then) = @$waiter;

	send_now($command);
	sql('INSERT INTO other (n) VALUES (1)');
	sql('BEGIN; INSERT INTO t (n) VALUES (0); ROLLBACK');
	sql('SELECT count(*) FROM streamhouse.poll(\'h\', NULL::t)');
	my $open = $node->background_psql('postgres');
	$open->query_safe('BEGIN; INSERT INTO t (n) VALUES (3)');
	is(still_waits(), 't', "$name waits on: another topic, a rollback, another group, an uncommitted row");
	$open->query_safe('COMMIT');
	$open->quit;
	$got = received();
	$got = $session->query_safe($then) if $then;
	is($got, '3', "$name gets the row when that is committed");
}

# many rows in many transactions: none is slept through
sql(q{SELECT streamhouse.create_group('many', 't', 'latest')});
my $loop = $node->background_psql('postgres');
$loop->query_until(qr/started/, <<~'SQL');
	\echo started
	CREATE TABLE taken (n int);
	CREATE PROCEDURE take(a int, how text) LANGUAGE plpgsql AS $$
	BEGIN
		WHILE (SELECT count(*) FROM taken) < a LOOP
			IF how = 'wait' THEN
				CALL streamhouse.wait('many', 't', '10 min');
				INSERT INTO taken SELECT n FROM streamhouse.poll('many', NULL::t, 3);
			ELSE
				INSERT INTO taken SELECT n FROM streamhouse.poll('many', NULL::t, 3, timeout => '10 min');
			END IF;
			COMMIT;
		END LOOP;
	END $$;
	CALL take(300, 'wait');
	CALL take(600, 'poll');
	\echo finished
	SQL
append_to_file($node->basedir . '/one.sql', "INSERT INTO t (n) VALUES (:client_id);\n");
$node->command_ok([ 'pgbench', '-n', '-c', 3, '-t', 200, '-h', $node->host, '-p', $node->port,
	'-f', $node->basedir . '/one.sql', 'postgres' ], '600 transactions produce');
$loop->query_until(qr/finished/, '');
is(sql('SELECT count(*) FROM taken'), 600, 'a consumer that waits has them all');
$loop->quit;
sql(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t, 10000)});

# a commit that is seen late does not leave it asleep: the waiter looks while
# the producer is between its offsets and its commit
SKIP:
{
	skip 'the extension is built without failpoints', 4
	  if sql(q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'}) eq '0';

	for my $waiter ([ 'poll()', $poll, '' ], [ 'wait()', $wait, $poll ])
	{
		my ($name, $command, $then) = @$waiter;
		my ($holder, $producer) = map { $node->background_psql('postgres') } 1 .. 2;

		send_now($command);
		$holder->query_safe('SELECT pg_advisory_lock(7777)');
		$producer->query_safe(q{SET streamhouse.failpoint = 'sequenced:wait'});
		$producer->query_until(qr/started/, "\\echo started\nINSERT INTO t (_partition, n) VALUES (0, 4);\n");
		$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
		sql('INSERT INTO t (_partition, n) VALUES (0, 5)');    # wakes it for nothing
		is(still_waits(), 't', "$name waits for a producer that is about to commit");
		$holder->query_safe('SELECT pg_advisory_unlock(7777)');
		$got = received();
		$got = $session->query_safe($then) if $then;
		is($got, "4\n5", "$name gets all in order afterwards");
		$_->quit for $holder, $producer;
	}
}

# wait() holds neither snapshot nor transaction nor lock
send_now($wait);
is(sql("SELECT backend_xmin IS NULL, backend_xid IS NULL FROM pg_stat_activity WHERE pid = $pid"), 't|t',
	'wait() holds no snapshot');
is(sql("SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype = 'relation'"), 0, 'and no lock on a table');
is(sql(q{SET lock_timeout = '60s'; ALTER FOREIGN TABLE t OPTIONS (SET partitions '3')}), '', 'so that the topic can be altered');
sql('INSERT INTO t (_partition, n) VALUES (2, 6)');
is(received(), '', 'it wakes for a row in a partition that is new');
is($session->query_safe($poll), 6, 'which is there');

# who waits in poll() has claimed nothing
send_now(q{BEGIN; } . $poll);
is(sql(q{SELECT streamhouse.create_group('x', 't'), streamhouse.drop_group('x', 't')}), '|', 'groups come and go');
is(sql(q{BEGIN; INSERT INTO t (n) VALUES (7); COMMIT;}), '', 'a row comes');
is(received(), 7, 'poll() in a transaction gets it');
is(sql(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t)}), 0, 'another consumer does not');
$session->query_safe('ROLLBACK');
is(sql(q{SELECT n FROM streamhouse.poll('g', NULL::t)}), 7, 'until it is given back');

# rows that are given back wake who waits
my $giver = $node->background_psql('postgres');
sql('INSERT INTO t (n) VALUES (8)');
$giver->query_safe(q{BEGIN; SELECT n FROM streamhouse.poll('g', NULL::t)});
send_now($poll);
$giver->query_safe('ROLLBACK');
is(received(), 8, 'rows that a rollback gives back wake who waits');
$giver->quit;

# rows that another consumer has are not waited out: whoever asks again and
# again for them would keep a processor busy
$giver = $node->background_psql('postgres');
sql('INSERT INTO t (n) VALUES (11)');
$giver->query_safe(q{BEGIN; SELECT n FROM streamhouse.poll('g', NULL::t)});
my $second = $node->background_psql('postgres');
my $second_pid = $second->query_safe('SELECT pg_backend_pid()');
my $second_is = "FROM pg_stat_activity WHERE pid = $second_pid AND query LIKE 'CALL%'";
$second->query_until(qr/sent/, "\\echo sent\n$wait\n");
$node->poll_query_until('postgres', "SELECT state = 'idle' OR wait_event_type = 'Extension' $second_is");
is(sql("SELECT state $second_is"), 'active', 'wait() waits while another consumer has the rows');
$giver->query_safe('ROLLBACK');
ok($node->poll_query_until('postgres', "SELECT state = 'idle' $second_is"), 'and wakes when they are given back');
is(sql(q{SELECT n FROM streamhouse.poll('g', NULL::t)}), 11, 'they are there');
$_->quit for $giver, $second;

# a poll that finds nothing gives a partition back before its transaction ends,
# and wakes who came by meanwhile: there may be a row that it has not seen
SKIP:
{
	skip 'the extension is built without failpoints', 4
	  if sql(q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'}) eq '0';

	for my $waiter ([ 'poll()', $poll, '' ], [ 'wait()', $wait, $poll ])
	{
		my ($name, $command, $then) = @$waiter;
		my ($holder, $old) = map { $node->background_psql('postgres') } 1 .. 2;
		my $old_pid = $old->query_safe('SELECT pg_backend_pid()');

		$old->query_safe(q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t; SET LOCAL streamhouse.failpoint = 'claimed:wait'});
		sql('INSERT INTO t (_partition, n) VALUES (0, 12)');
		$holder->query_safe('SELECT pg_advisory_lock(7777)');
		$old->query_until(qr/polls/, qq{\\echo polls\nSELECT n FROM streamhouse.poll('g', NULL::t, partitions => '{0}');\n});
		$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
		send_now($command);
		$holder->query_safe('SELECT pg_advisory_unlock(7777)');
		$got = received();
		is(sql("SELECT state FROM pg_stat_activity WHERE pid = $old_pid"), 'idle in transaction', "$name wakes while the other's transaction is open");
		$got = $session->query_safe($then) if $then;
		is($got, 12, 'and the row that it did not see is there');
		$_->quit for $holder, $old;
	}
}

# refused
fails_with($node, "BEGIN; $wait", '25001', qr/wait\(\)/, 'wait() in a transaction block');
fails_with($node, "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $wait END \$\$; SELECT f()", '25001', qr/wait\(\)/, 'in a function');
fails_with($node, "DO \$\$ BEGIN BEGIN $wait EXCEPTION WHEN division_by_zero THEN NULL; END; END \$\$",
	'(?:25001|2D000)', qr/./, 'in a subtransaction');
fails_with($node, q{CALL streamhouse.wait('gg', 't', '1 min')}, '42704', qr/"gg"/, 'an unknown group', hint => qr/[^\n]*"g"/);
fails_with($node, q{CALL streamhouse.wait(NULL, 't', '1 min')}, '22004', qr/consumer_group/, 'no group');
fails_with($node, q{CALL streamhouse.wait('g', NULL, '1 min')}, '22004', qr/topic/, 'no topic');
fails_with($node, q{CALL streamhouse.wait('g', 't', NULL)}, '22004', qr/timeout/, 'no timeout');
fails_with($node, q{CREATE TABLE plain (n int); CALL streamhouse.wait('g', 'plain', '1 min')}, '42809', qr/"plain"/, 'not a topic');
fails_with($node, q{CREATE ROLE nobody; SET ROLE nobody; CALL streamhouse.wait('g', 't', '1 min')}, '42501', qr/t$|t\n/, 'without SELECT');
fails_with($node, q{GRANT SELECT ON t TO nobody; SET ROLE nobody; CALL streamhouse.wait('g', 't', '1 min')}, '42501', qr/"g"/, q{a foreign group});
is(sql(q{DO $$ BEGIN CALL streamhouse.wait('g', 't', '1 ms'); END $$}), '', 'a DO block may wait');

# it can be ended
for my $command ($poll, $wait)
{
	my ($name) = $command =~ /(poll|wait)/;

	send_now($command);
	sql("SELECT pg_cancel_backend($pid)");
	$got = received();
	like($session->{stderr}, qr/canceling statement due to user request/, "$name can be cancelled");
	$session->{stderr} = '';
	is($session->query_safe('SELECT 1'), 1, 'and the session goes on');

	$session->query_safe(q{SET statement_timeout = '200ms'});
	$session->query($command);
	like($session->{stderr}, qr/canceling statement due to statement timeout/, "statement_timeout ends $name");
	$session->{stderr} = '';
	$session->query_safe('RESET statement_timeout');
	sql('INSERT INTO t (n) VALUES (9)');
	is($session->query_safe($poll), 9, 'afterwards it polls');

	my $victim = $node->background_psql('postgres');
	my $victim_pid = $victim->query_safe('SELECT pg_backend_pid()');
	$victim->query_until(qr/started/, "\\echo started\n$command\n");
	$node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $victim_pid");
	is(sql("SELECT pg_terminate_backend($victim_pid, 60000)"), 't', "a session in $name can be terminated");
	eval { $victim->quit };
	sql('INSERT INTO t (n) VALUES (10)');
	is(sql($poll), 10, 'and has claimed nothing');
}

# nor does it hold up a shutdown
send_now($wait);
$node->stop('fast');
pass('the server stops while a session waits');
eval { $session->quit };

done_testing();
