# What is counted, and where the counters go: with a drop, the extension, the
# database and a restart; when there is no room; a commit that is held up.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = new_server('main', { allows_streaming => 1 }, 'autovacuum = off', 'streamhouse.max_logs = 64');

sub sql { return answer($node, @_); }

my $make = q{SELECT streamhouse.create_topic('t', 1, 'n int', NULL); SELECT FROM streamhouse.create_group('g', 't')};
my $use = q{INSERT INTO t (n) VALUES (1), (2); SELECT sum(n) FROM streamhouse.poll('g', NULL::t)};
my $counted = q{SELECT rows_produced, transactions, rows_polled, polls, stat_topics.stats_reset IS NULL
	FROM streamhouse.stat_topics JOIN streamhouse.stat_groups USING (topic) WHERE topic = 't'::regclass AND consumer_group = 'g'};

sql($make);
is(sql("$use; $counted"), "3\n2|1|2|1|t", 'what is done is counted');

# a COMMIT that waits for a standby, which is not there
$node->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = 'absent'; SELECT pg_reload_conf()});
my $producer = $node->background_psql('postgres');
my $pid = $producer->query_safe('SELECT pg_backend_pid()');
$producer->query_until(qr/started/, "\\echo started\nINSERT INTO t (n) VALUES (3);\n\\echo committed\n");
ok($node->poll_query_until('postgres', q{SELECT wait_event = 'SyncRep' AND duration > '100 ms' FROM streamhouse.in_flight}), 'a commit that waits for a standby is in flight');
is(sql(q{SELECT pid, topic, partition, first_offset FROM streamhouse.in_flight}), "$pid|t|0|2", 'with where it holds readers up');
is(sql($counted), '2|1|2|1|t', 'it is not counted yet');
$node->safe_psql('postgres', q{ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()});
$producer->query_until(qr/committed/, '');
is(sql('SELECT count(*) FROM streamhouse.in_flight'), 0, 'committed, it is not');
is(sql("$counted; SELECT commit_p99_ms > 100 FROM streamhouse.stat_topics"), "3|2|2|1|t\nt", 'but counted, with how long it took');
$producer->quit;

# waits, of poll() and wait()
my $session = $node->background_psql('postgres');
$pid = $session->query_safe('SELECT pg_backend_pid()');
sql(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t)});
my $waits = q{SELECT waits, (SELECT sum(h) FROM unnest(wait_histogram) h), wait_time_ms > 100 * waits, wait_p50_ms > 100, wait_p99_ms < 600000 FROM streamhouse.stat_groups};
my $done = 0;
for my $command (q{SELECT n FROM streamhouse.poll('g', NULL::t, timeout => '10 min')}, q{CALL streamhouse.wait('g', 't', '10 min')})
{
	is(sql('SELECT waits FROM streamhouse.stat_groups'), $done++, 'a wait that goes on is not counted');
	$session->query_until(qr/started/, "\\echo started\n$command;\n\\echo over $done\n");
	$node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' AND clock_timestamp() - query_start > '200 ms' FROM pg_stat_activity WHERE pid = $pid");
	sql('INSERT INTO t (n) VALUES (4)');
	$session->query_until(qr/over $done/, '');
	is(sql($waits), "$done|$done|t|t|t", 'one that is over is, with how long it was');
}

# wait() of a group that is dropped meanwhile
sql(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t)});
$session->query_until(qr/started/, "\\echo started\nCALL streamhouse.wait('g', 't', '10 min');\n\\echo over\n");
$node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid");
sql(q{SELECT streamhouse.drop_group('g', 't'), streamhouse.create_group('g', 't', 'latest')});
sql('INSERT INTO t (n) VALUES (5)');
$session->query_until(qr/over/, '');
is(sql(q{SELECT waits, polls FROM streamhouse.stat_groups}), '1|0', 'counts for the one that it found when it woke');
$session->quit;

# a new extension and another database have the same numbers
is(sql("DROP EXTENSION streamhouse CASCADE; CREATE EXTENSION streamhouse; $make; $counted"), "t\n0|0|0|0|t", 'a new extension begins at zero');
is(sql("BEGIN; $use; DROP EXTENSION streamhouse CASCADE; CREATE EXTENSION streamhouse; $make; INSERT INTO t (n) VALUES (7); COMMIT; $counted"),
	"\nt\n1|1|0|0|t", 'also within a transaction');
is(sql("BEGIN; DROP EXTENSION streamhouse CASCADE; ROLLBACK; $use; $counted"), "10\n3|2|3|1|t", 'one that stays goes on');
$node->safe_psql('postgres', 'CREATE DATABASE beside');
is(sql("CREATE EXTENSION streamhouse; $make; $counted; $use; $counted", 'beside'), "t\n0|0|0|0|t\n3\n2|1|2|1|t", 'another database has its own');
$node->safe_psql('beside', 'SELECT streamhouse.stat_reset()');
is(sql($counted) . "\n" . sql($counted, 'beside'), "3|2|3|1|t\n0|0|0|0|f", 'to reset as well');

# lost at a restart
$node->restart;
is(sql("$counted; INSERT INTO t (n) VALUES (1); $counted"), "0|0|0|0|t\n1|1|0|0|t", 'a restart begins at zero');
crash($node);
is(sql($counted), '0|0|0|0|t', 'so does a crash');

# room for 256 topics and groups, which drops give back
my $groups = q{DO $$ BEGIN FOR i IN 1 .. %d LOOP
	PERFORM streamhouse.create_group('g' || i, 't'); PERFORM count(*) FROM streamhouse.poll('g' || i, NULL::t); %s END LOOP; END $$};
my $there = q{SELECT count(*), count(polls), sum(polls) FROM streamhouse.stat_groups WHERE consumer_group ~ '^g\d'};
my $g = q{SELECT polls, stats_reset IS NULL FROM streamhouse.stat_groups WHERE consumer_group = 'g'};
is(sql(sprintf($groups, 300, q{COMMIT; PERFORM streamhouse.drop_group('g' || i, 't'); COMMIT;}) . ";$there; $g"), "0|0|\n0|t",
	'drops give room back');
is(sql(sprintf($groups, 300, 'ROLLBACK;') . ";$there; $g"), "0|0|\n0|t", 'groups that never were take none');
is(sql(sprintf($groups, 300, 'COMMIT;') . ";$there"), '300|255|255', 'what has no place is not counted, and shows NULL');
is(sql("$use; $g"), "4\n|t", 'also what would be zero');
is(sql('SELECT rows_produced, transactions FROM streamhouse.stat_topics'), '2|1', 'what has one goes on');
is(sql(q{SELECT streamhouse.drop_group('g1', 't'), count(*) FROM streamhouse.poll('g', NULL::t)} . "; $g"), "|0\n1|f",
	'a place that is free is taken, and tells since when');

# so do the extension and the database
sub leave_room
{
	my ($how, $drop) = @_;

	$node->safe_psql($_, 'DROP EXTENSION IF EXISTS streamhouse CASCADE; CREATE EXTENSION streamhouse') for 'postgres', 'beside';
	$drop->() for 1 .. 3;
	is(sql("$make;" . sprintf($groups, 200, '') . ";$there"), "t\n200|200|200", "$how gives room back");
	return;
}
my $many = "$make; " . sprintf($groups, 200, '') . ';';
my $again = 'DROP EXTENSION streamhouse CASCADE; CREATE EXTENSION streamhouse';
leave_room('DROP EXTENSION', sub { $node->safe_psql('postgres', "$many $again") });
leave_room('in the transaction that has counted too, it', sub { $node->safe_psql('postgres', "BEGIN; $many $again; COMMIT") });
leave_room('DROP DATABASE', sub { $node->safe_psql('beside', $many); $node->safe_psql('postgres', 'DROP DATABASE beside');
	$node->safe_psql('postgres', 'CREATE DATABASE beside'); $node->safe_psql('beside', 'CREATE EXTENSION streamhouse') });

$node->stop;
done_testing();
