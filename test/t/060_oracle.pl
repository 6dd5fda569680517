# The oracle: producers, consumers of two groups, readers and observers on a
# server where sessions are killed, transactions fail in the middle of their
# commit and the power fails, and which in the end is given up for its standby.
# What every client did and saw is compared with what is there in the end.
# STH_SEED=<number> repeats a run as far as the clock allows;
# STH_ORACLE_MINUTES=<number> makes it last that long.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use OracleClients;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RandomRows qw(any int_in);
use StreamhouseTest;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $seed = $ENV{STH_SEED} || (time ^ ($$ << 8)) % 1_000_000;
my $end = time + 60 * ($ENV{STH_ORACLE_MINUTES} || ($ENV{STH_TEST_LONG} ? 20 : 0));
my %clients = (producer => 5, consumer => 4, reader => 2, observer => 1, holder => 1);

# Of this round: the server that is produced to, its standby, which takes its
# place, the one that did before, whether commits wait for the standby, and
# where the logs of clients are.
my ($node, $standby, $former, $synchronous, $dir);
my $promoted;    # when
my $failpoints;

sub sql { return answer($node, @_); }

sub begin_round
{
	my ($round) = @_;
	my @settings = ('restart_after_crash = on', 'max_connections = 60', 'wal_keep_size = 2GB', 'log_statement = none',
		'wal_retrieve_retry_interval = 100ms', 'hot_standby_feedback = on', 'autovacuum_naptime = 1s', 'deadlock_timeout = 10s');

	$dir = PostgreSQL::Test::Utils::tempdir;
	$node = new_server("primary$round", { allows_streaming => 1 }, @settings);
	$failpoints = sql(q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});
	sql(<<~'SQL');
		SELECT streamhouse.create_topic('t', 4, 'producer int, tx int, n int, k text, pad text', 'k');
		SELECT streamhouse.create_topic('u', 2, 'producer int, tx int, n int, k text, pad text', 'k');
		SELECT streamhouse.create_group(g, topic::regclass) FROM unnest('{g0,g1}'::text[]) g, unnest('{t,u}'::text[]) topic;
		CREATE TABLE ledger (producer int, tx int, topic text, rows int);
		CREATE TABLE results (nr bigserial, grp text, topic text, p int, o bigint, producer int, tx int, n int);
		CREATE TABLE counter AS SELECT i AS id, 0 AS n FROM generate_series(1, 4) i;
		SQL
	$node->backup('base');
	$standby = PostgreSQL::Test::Cluster->new("standby$round");
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	$synchronous = int_in(0, 1);
	if ($synchronous)
	{
		$node->append_conf('postgresql.conf', "synchronous_standby_names = '*'\n");
		$node->reload;
	}
	note("STH_SEED=$seed, round $round, ", $synchronous ? 'synchronous' : 'asynchronous', ' standby');
	name_primary();
	return;
}

# All clients go to the server named here.
sub name_primary
{
	append_to_file("$dir/new", $node->connstr('postgres'));
	rename "$dir/new", "$dir/primary" or die $!;
	return;
}

# Waits until some more transactions have committed.
my $committed = q{SELECT count(DISTINCT (producer, tx)) FROM ledger};
sub go_on
{
	my ($transactions) = @_;
	my $count = sql($committed);

	$node->poll_query_until('postgres', "SELECT ($committed) >= $count + $transactions")
	  or die 'transactions do not go on';
	return;
}

# Where voids are written, gaps do not hold up a reader on the standby.
sub standby_reads_on
{
	return if sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'streamhouse%'}) eq '0';
	for my $topic (@TOPICS)
	{
		my $ends = sql("SELECT string_agg(format('(%s, %s)', p, o), ', ') FROM (SELECT _partition AS p, max(_offset) AS o FROM $topic GROUP BY 1) x");
		ok($standby->poll_query_until('postgres', "SELECT bool_and(o <= (SELECT max(_offset) FROM streamhouse.read(NULL::$topic, p, 0, 2000000000, 2000000000)))
			FROM (VALUES $ends) x (p, o)"), "read() on the standby passes all gaps of $topic");
	}
	return;
}

# --- what goes wrong ----------------------------------------------------------

my $victims = q{FROM pg_stat_activity WHERE application_name LIKE 'oracle-%' OR backend_type LIKE 'streamhouse%' ORDER BY random()};

sub restarts
{
	my ($what) = @_;
	my $log = -s $node->logfile;

	$what->();
	wait_until_up($node, $log);
	return;
}

my $crashes = 0;
my %fault = (
	cancel => sub { sql("SELECT pg_cancel_backend(pid) FROM (SELECT pid $victims LIMIT 4) v") for 1 .. 3; },
	terminate => sub { sql("SELECT pg_terminate_backend(pid) FROM (SELECT pid $victims LIMIT 4) v"); },
	kill => sub {
		# whoever it is may just have gone
		restarts(sub { 1 until kill 'KILL', sql("SELECT pid $victims LIMIT 1") =~ /^\d+$/ ? $& : () });
	},
	crash => sub { crash($node); },
	(map { my $place = $_; ("crash $place" => sub { restarts(sub { produce_once($place, 'test', 0, ++$crashes, $dir) }) }) }
		'before-sequencing', 'sequenced', 'inserted'),
	failover => sub {
		standby_reads_on();
		# what has been cancelled while it waited for the standby is there
		$node->wait_for_catchup($standby, 'replay');
		$node->stop($synchronous ? 'immediate' : 'fast');
		$promoted = clock_gettime(CLOCK_MONOTONIC);
		$standby->promote;
		($former, $node) = ($node, $standby);
		name_primary();
	});

# Which of them a round has, and when.
sub faults
{
	my @places = $failpoints ? ('crash sequenced', 'crash inserted', 'crash before-sequencing') : ();
	my @before = sort { rand() <=> .5 } 'cancel', 'terminate', 'kill', 'crash', @places[ 0 .. 1 ];
	my @after = sort { rand() <=> .5 } 'terminate', 'crash', any('kill', 'cancel', @places);

	return grep { defined } @before, 'failover', @after;
}

# --- what has to be true in the end -------------------------------------------

sub load_logs
{
	sql(<<~'SQL');
		CREATE UNLOGGED TABLE attempt (producer int, tx int, sent float8, returned float8, outcome text);
		CREATE UNLOGGED TABLE run (producer int, tx int, topic text, n_from int, n_to int);
		CREATE UNLOGGED TABLE seen (nr bigserial, reader text, at float8, topic text, p int, o bigint, producer int, tx int, n int);
		CREATE UNLOGGED TABLE error (client text, what text);
		SQL
	for my $file (sort glob "$dir/*.tsv")
	{
		my ($table, $client) = $file =~ m{/(\w+)\.([\w-]+)\.tsv$};
		my $columns = $table eq 'seen' ? 'seen (reader, at, topic, p, o, producer, tx, n)' : $table;
		is(sql("COPY $columns FROM '$file'"), '', "the $table log of $client can be read");
	}
	# A COMMIT whose session was lost may have happened; then it has all of it.
	sql(<<~'SQL');
		CREATE UNLOGGED TABLE final AS
			SELECT 't' AS topic, _partition AS p, _offset AS o, producer, tx, n FROM t UNION ALL SELECT 'u', _partition, _offset, producer, tx, n FROM u;
		CREATE UNLOGGED TABLE expected AS
			SELECT topic, producer, tx, generate_series(n_from, n_to) AS n FROM run JOIN attempt a USING (producer, tx)
			WHERE outcome = 'committed' OR (outcome = 'unknown' AND EXISTS (SELECT FROM ledger l WHERE (l.producer, l.tx) = (a.producer, a.tx)));
		ANALYZE final, expected, seen, attempt, run;
		SQL
	return;
}

# Each finds nothing.
my @checks = (
	[ 'no client met an error that it should not', 'TABLE error' ],
	[ 'the table beside has what its clients were told', <<~'SQL' ],
		SELECT DISTINCT producer, tx, outcome FROM attempt LEFT JOIN ledger l USING (producer, tx) LEFT JOIN run USING (producer, tx)
		WHERE (outcome = 'failed' AND l IS NOT NULL) OR (outcome = 'committed' AND l IS NULL AND run IS NOT NULL)
		SQL
	[ 'every row whose transaction committed is there once, no other', <<~'SQL' ],
		SELECT 'missing', * FROM (TABLE expected EXCEPT ALL SELECT topic, producer, tx, n FROM final) x
		UNION ALL SELECT 'surplus', * FROM (SELECT topic, producer, tx, n FROM final EXCEPT ALL TABLE expected) x
		SQL
	[ 'no offset is given twice', 'SELECT topic, p, o FROM final GROUP BY 1, 2, 3 HAVING count(*) > 1' ],
	[ 'rows of a transaction stand together, in the order in which they were produced', <<~'SQL' ],
		SELECT * FROM (SELECT *, o - lag(o) OVER w AS step, n > lag(n) OVER w AS up FROM final
			WINDOW w AS (PARTITION BY topic, p, producer, tx ORDER BY o)) x WHERE step <> 1 OR NOT up
		SQL
	[ 'who began to commit after another had returned, or had been seen, has higher offsets', <<~'SQL' ],
		WITH visible AS (SELECT producer, tx, min(at) AS at FROM
				(SELECT producer, tx, returned AS at FROM attempt UNION ALL SELECT producer, tx, at FROM seen) v GROUP BY 1, 2),
			part AS (SELECT topic, p, producer, tx, min(o) AS low FROM final GROUP BY 1, 2, 3, 4)
		SELECT * FROM (SELECT part.*, sent, min(v.at) OVER (PARTITION BY topic, p ORDER BY low
				ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS later_was_visible
			FROM part JOIN attempt USING (producer, tx) LEFT JOIN visible v USING (producer, tx)) x
		WHERE later_was_visible < sent
		SQL
	[ 'what anybody has seen is there, at its offset', <<~'SQL' ],
		SELECT s.* FROM seen s LEFT JOIN final f USING (topic, p, o, producer, tx, n) WHERE f.topic IS NULL
		SQL
	[ 'who followed by read() has had every row once, in order, none later below', <<~'SQL' ],
		SELECT * FROM (SELECT reader, topic, p, o, 'missed' FROM (SELECT DISTINCT reader FROM seen WHERE reader ~ 'reader') r, final
				EXCEPT ALL SELECT reader, topic, p, o, 'missed' FROM seen) x
		UNION ALL SELECT reader, topic, p, o, 'out of order' FROM
			(SELECT *, lag(o) OVER (PARTITION BY reader, topic, p ORDER BY nr) AS before FROM seen WHERE reader ~ 'reader') x WHERE o <= before
		SQL
	[ 'every group has had every row once, in order', <<~'SQL' ],
		SELECT 'missed', * FROM (SELECT grp, topic, p, o, producer, tx, n FROM final, unnest('{g0,g1}'::text[]) grp
			EXCEPT ALL SELECT grp, topic, p, o, producer, tx, n FROM results) x
		UNION ALL SELECT 'out of order', grp, topic, p, o, producer, tx, n FROM
			(SELECT *, lag(o) OVER (PARTITION BY grp, topic, p ORDER BY nr) AS before FROM results) x WHERE o <= before
		UNION ALL SELECT 'surplus', * FROM (SELECT grp, topic, p, o, producer, tx, n FROM results
			EXCEPT ALL SELECT grp, topic, p, o, producer, tx, n FROM final, unnest('{g0,g1}'::text[]) grp) x
		SQL
);

sub nothing_wrong
{
	my ($round) = @_;

	load_logs();
	for my $check (@checks)
	{
		my ($name, $query) = @$check;
		is(sql("SELECT x::text FROM ($query) x LIMIT 20"), '', $name) or diag("STH_SEED=$seed, round $round");
	}
	offsets_hold($node, $_, "read() and SELECT agree on $_") for @TOPICS;
	is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing') if sql(q{SELECT to_regproc('streamhouse.verify')}) ne '';
	return;
}

# The round has been what was meant.
sub something_happened
{
	my %count = map { split /\|/ } split /\n/, sql(<<~SQL);
		SELECT 'transactions that ' || CASE outcome WHEN 'unknown' THEN 'lost their session in COMMIT' ELSE outcome END, count(*) FROM attempt GROUP BY 1
		UNION ALL SELECT 'transactions that failed in COMMIT', count(*) FROM attempt WHERE outcome = 'failed' AND sent IS NOT NULL
		UNION ALL SELECT 'staged parts of transactions', count(DISTINCT (log_id, stage)) FROM streamhouse.tail WHERE stage > 0
		UNION ALL SELECT 'offsets in gaps', sum(next_offset) - (SELECT count(*) FROM final) FROM streamhouse.logs
		UNION ALL SELECT 'rows', count(*) FROM final
		UNION ALL SELECT 'rows seen', count(*) FROM seen
		UNION ALL SELECT 'rows seen on the standby', count(*) FROM seen WHERE reader = 'reader-9' AND at < $promoted
		SQL
	note("$count{$_} $_") for sort keys %count;
	cmp_ok($count{$_} // 0, '>', 0, "there were $_")
	  for 'transactions that committed', 'transactions that failed', 'transactions that failed in COMMIT',
	  'staged parts of transactions', 'offsets in gaps', 'rows seen', 'rows seen on the standby';
	return;
}

sub run_round
{
	my ($round) = @_;
	my %how = (dir => undef, seed => $seed, failpoints => 0);

	begin_round($round);
	@how{qw(dir failpoints)} = ($dir, $failpoints);
	for my $role (sort keys %clients)
	{
		start_client($role, $_, %how) for 1 .. $clients{$role};
	}
	start_client('reader', 9, %how, server => $standby->connstr('postgres'));
	for my $name (faults())
	{
		go_on(int_in(50, 300));
		note("fault: $name");
		$fault{$name}->();
	}
	go_on(100);
	stop_clients('stop-producers');
	is(join(' ', await_clients($_)), '', "no $_ failed") for 'producer', 'holder';
	stop_clients('stop');
	is(join(' ', await_clients($_)), '', "no $_ failed") for 'consumer', 'reader', 'observer';
	for my $group ('g0', 'g1')
	{
		sql("INSERT INTO results (grp, topic, p, o, producer, tx, n) SELECT '$group', '$_', _partition, _offset, producer, tx, n
			FROM streamhouse.poll('$group', NULL::$_, 100000000, 1000000000)") for @TOPICS;
	}
	nothing_wrong($round);
	something_happened();
	$node->stop;
	return if !Test::More->builder->is_passing;
	$_->clean_node for $node, $former;
	unlink glob "$dir/*";
	return;
}

for (my $round = 1; $round == 1 || (time < $end && Test::More->builder->is_passing); $round++)
{
	srand($seed);
	run_round($round);
	$seed++;
}
done_testing();
