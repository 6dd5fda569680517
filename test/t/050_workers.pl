# A database with the extension has its worker, whatever ends it; it can be
# seen, is in nobody's way while it sleeps, and comes back more slowly each
# time when it fails.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use Time::HiRes qw(time);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;

my $node = new_server('main', { allows_streaming => 1 }, 'restart_after_crash = on', 'max_prepared_transactions = 2');
my $failpoints = $node->safe_psql('postgres',
	q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});

sub sql { return answer($node, @_); }

# seen
my $launcher = launcher_of($node);
my $worker = worker_of($node, 'postgres');
is(sql(q{SELECT backend_type, datname, application_name, state, query FROM pg_stat_activity WHERE backend_type ~ 'streamhouse' ORDER BY 1}),
	"streamhouse launcher||streamhouse launcher|idle|starting workers of databases\n"
	. 'streamhouse worker|postgres|streamhouse worker|idle|closing gaps that failed transactions left, in all logs',
	'launcher and worker say what they do');
SKIP:
{
	skip 'wait events have no names yet', 1 if $node->pg_version < 17;
	is(sql("SELECT wait_event FROM pg_stat_activity WHERE pid IN ($launcher, $worker) ORDER BY 1"),
		"StreamhouseLauncherMain\nStreamhouseWorkerMain", 'and what they wait for');
}
is(count_workers($node), 1, 'databases without the extension have none');

# in nobody's way
my $at_rest = "SELECT (SELECT count(*) FROM pg_locks WHERE pid IN ($launcher, $worker)),
	bool_and(xact_start IS NULL AND backend_xmin IS NULL AND backend_xid IS NULL) FROM pg_stat_activity WHERE pid IN ($launcher, $worker)";
is(sql($at_rest), '0|t', 'asleep they hold no lock, snapshot or transaction');

# the extension comes and goes
is(recreate($node, 'postgres'), '', 'dropped and created in one transaction');
worker_of($node, 'postgres');
sql('DROP EXTENSION streamhouse');
ok(no_worker($node, 'postgres'), 'without the extension no worker');
is(sql(q{BEGIN; CREATE EXTENSION streamhouse; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'}), '', 'created by a prepared transaction');
$worker = worker_of($node, 'postgres');
pass('with it there is one again');
sql('DROP EXTENSION streamhouse');
ok(no_worker($node, 'postgres'), 'and so on');
sql('CREATE EXTENSION streamhouse');
$worker = worker_of($node, 'postgres');
pass('and on');
is(sql('BEGIN; DROP EXTENSION streamhouse; ROLLBACK'), '', 'DROP EXTENSION meets no lock of it');
is(worker_of($node, 'postgres'), $worker, 'rolled back, it stays');

# ended by hand
my $log = -s $node->logfile;
sql("SELECT pg_terminate_backend($worker)");
my $next = worker_of($node, 'postgres', $worker);
isnt($next, $worker, 'a worker that was terminated is replaced');
sql("SELECT pg_terminate_backend($launcher)");
my $next_launcher = launcher_of($node, $launcher);
isnt($next_launcher, $launcher, 'so is the launcher');
is(worker_of($node, 'postgres'), $next, 'which keeps the worker that is there');
unlike(slurp_file($node->logfile, $log), qr/ERROR:/, 'no error in all that');

# settings
sql('ALTER SYSTEM SET streamhouse.max_workers = 0');
$node->reload;
ok(no_worker($node, 'postgres'), 'max_workers = 0: the worker leaves');
is(recreate($node, 'postgres'), '', 'something to do');
is(count_workers($node), 0, 'for which none starts');
sql('ALTER SYSTEM RESET streamhouse.max_workers');
$node->reload;
$worker = worker_of($node, 'postgres');
pass('until there may be again');

# who has the tail locked puts its turns off; that is no failure
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE streamhouse.tail IN ACCESS EXCLUSIVE MODE');
for my $turn (1 .. 3)
{
	my $state = "SELECT state_change FROM pg_stat_activity WHERE pid = $worker";
	my $before = sql($state);

	$node->reload;
	ok($node->poll_query_until('postgres', "SELECT state_change > '$before' FROM pg_stat_activity WHERE pid = $worker AND state = 'idle'"), "the same worker has turn $turn while the tail is locked");
}
$holder->query_safe('COMMIT');
$holder->quit;
sql(q{SELECT streamhouse.create_topic('late'); INSERT INTO late (key) VALUES ('k')});
is(sql(q{SELECT streamhouse.flush('late'); SELECT segments FROM streamhouse.logs; DROP FOREIGN TABLE late}), "\n1", 'and goes on when it is not');
is(worker_of($node, 'postgres'), $worker, 'as it was');

# an error in each turn
SKIP:
{
	skip 'the build has no failpoints', 4 unless $failpoints;
	$log = -s $node->logfile;
	sql("ALTER DATABASE postgres SET streamhouse.failpoint = 'worker-turn:error'");
	sql("SELECT pg_terminate_backend($worker)");
	$node->wait_for_log(qr/(?:failpoint "worker-turn".*){2}/s, $log);
	my @seconds = map { my ($h, $m, $s) = split /:/; $h * 3600 + $m * 60 + $s }
	  slurp_file($node->logfile, $log) =~ /^\S+ ([\d:.]+) .*(?:FATAL:  terminating background worker|ERROR:  failpoint)/mg;
	cmp_ok(($seconds[1] - $seconds[0]) % 86400, '>=', 1, 'after one failure a second passes');
	cmp_ok(($seconds[2] - $seconds[1]) % 86400, '>=', 2, 'after the next it is two');
	like(slurp_file($node->logfile, $log), qr/CONTEXT:  streamhouse worker of database "postgres"/, 'the log names the database');
	sql("ALTER DATABASE postgres RESET streamhouse.failpoint; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamhouse launcher'");
	$worker = worker_of($node, 'postgres');
	pass('and then it works');
}

# killed
for my $kill ('worker', 'launcher')
{
	my $victim = $kill eq 'worker' ? $worker : launcher_of($node);

	$log = -s $node->logfile;
	kill 'KILL', $victim;
	wait_until_up($node, $log);
	$worker = worker_of($node, 'postgres', $victim);
	isnt(launcher_of($node), $victim, "$kill killed: both are back");
	is(sql('SELECT count(*) FROM streamhouse.topics'), 0, 'and so is everything else');
}

# on a standby
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is(answer($standby, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'streamhouse'}), 0, 'a standby has no such process');
$standby->promote;
worker_of($standby, 'postgres');
pass('promoted, it has');
$standby->stop;

# the server stops and starts
my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 20, 'nobody holds a shutdown up');
$node->start;
worker_of($node, 'postgres');
pass('after a start they are there');
$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing else has crashed');

done_testing();
