# What reads and writes the end of a log costs the same whatever lies before
# it: rows that have gone to segments and that an old snapshot keeps from
# VACUUM, voids.  A log opens as fast at the end of a long tail.
# With STH_TEST_LONG=1 there are a million dead rows, and 10,000 logs.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use Time::HiRes qw(time);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $limit = 20;
my $dead = $ENV{STH_TEST_LONG} ? 1_000_000 : 5_000;
my $logs = $ENV{STH_TEST_LONG} ? 10_000 : 500;
my $node = new_server('main', 'autovacuum = off', "streamhouse.flush_interval = '1d'", 'max_wal_size = 4GB');

sub sql { return answer($node, @_); }

# Blocks of the tables that grow with rows, transactions and polls, and of
# their indexes, that have been looked at.
sub blocks
{
	return sql(q{SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit) FROM pg_statio_all_tables
		WHERE relid IN ('streamhouse.tail'::regclass, 'streamhouse.segment'::regclass, 'streamhouse.position'::regclass)});
}

# How many of them a statement looks at, in a session of its own.
sub is_cheap
{
	my ($statement, $expected, $name, $times) = @_;
	my $before = blocks();
	my $answer = sql("$statement;\nSELECT pg_stat_force_next_flush()");
	my $blocks = blocks() - $before;

	$answer =~ s/\s+\z//;
	is($answer, $expected, $name);
	cmp_ok($blocks, '<=', $limit * ($times // 1), "$name: $blocks blocks");
	cmp_ok($blocks, '>', 0, 'which are counted');
	return;
}

# A transaction a row, so that each has a frame; the old snapshot is from
# before all of it, and a consumer goes along.
sql(q{SELECT streamhouse.create_topic('t', 1, 'n int', NULL); SELECT streamhouse.create_group('g', 't'), streamhouse.create_group('h', 't', 'latest')});
my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
sql("DO \$\$ BEGIN FOR i IN 1 .. $dead LOOP INSERT INTO t (n) VALUES (i); COMMIT;
	IF i % 2 = 0 THEN PERFORM count(*) FROM streamhouse.poll('g', NULL::t, 2); COMMIT; END IF; END LOOP; END \$\$");
is(sql(q{SELECT streamhouse.flush('t'); SELECT count(*) FROM streamhouse.tail}), "\n0", 'all rows are in segments');
cmp_ok(sql(q{SELECT pg_relation_size('streamhouse.tail') / 8192}), '>', $dead / 200, 'and the tail is full of dead ones');
sql('INSERT INTO t (n) VALUES (-1), (-2), (-3), (-4), (-5), (-6)');

my $cheap = sub {
	my ($when, $n) = @_;

	is_cheap('INSERT INTO t (n) VALUES (0)', '', "$when: producing");
	is_cheap(q{SELECT n FROM streamhouse.poll('g', NULL::t, 1)}, -$n, "$when: poll()");
	is_cheap("SELECT n FROM streamhouse.read(NULL::t, 0, $dead, 1)", -1, "$when: read()");
	is_cheap(q{SELECT lag > 0 FROM streamhouse.consumer_lag WHERE consumer_group = 'g'}, 't', "$when: the lag");
	is_cheap(q{SELECT streamhouse.drop_group('h', 't'), streamhouse.create_group('h', 't', 'latest'); INSERT INTO t (n) VALUES (0);
		SELECT n FROM streamhouse.poll('h', NULL::t, 1)}, "|\n0", "$when: a group created anew", 3);
	return;
};
$cheap->('behind dead rows', 1);
crash($node);
eval { $old->quit };
# the first statement finds the end of the log
$cheap->('after a crash', 2);
sql('VACUUM streamhouse.tail');
$cheap->('after VACUUM', 3);

# voids, many of them or a large one
SKIP:
{
	skip 'the build has no failpoints', 8 if sql(q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'}) eq '0';
	my $from = sql('SELECT next_offset FROM streamhouse.logs');

	sql(q{SET streamhouse.failpoint = 'inserted:error'; SET streamhouse.batch_memory = '64kB'; INSERT INTO t (n) SELECT generate_series(1, 1000000)});
	sql('INSERT INTO t (n) VALUES (-7)');
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM streamhouse.tail WHERE get_byte(frame, 0) = 3 AND end_offset = $from + 1000000");
	is_cheap("SELECT n FROM streamhouse.read(NULL::t, 0, $from)", -7, 'read() over a void of a million offsets');
	$from = sql('SELECT next_offset FROM streamhouse.logs');
	my $voids = $ENV{STH_TEST_LONG} ? 10_000 : 200;
	$node->psql('postgres', join('', map { "SET streamhouse.failpoint = 'sequenced:error';\nINSERT INTO t (n) VALUES ($_);\nRESET streamhouse.failpoint;\nINSERT INTO t (n) VALUES (-$_);\n" } 1 .. $voids),
		on_error_stop => 0);
	$node->poll_query_until('postgres', "SELECT count(*) = $voids FROM streamhouse.tail WHERE get_byte(frame, 0) = 3 AND end_offset > $from");
	# a block has 30 rows or more, and none is looked at twice
	is_cheap("SELECT count(*), max(_offset) - $from FROM streamhouse.read(NULL::t, 0, $from, 1000000)", "$voids|" . (2 * $voids - 1), "read() over $voids voids", 1 + int($voids * 2 * 2 / $limit));
	is_cheap('SELECT n FROM streamhouse.read(NULL::t, 0, (SELECT next_offset - 1 FROM streamhouse.logs))', -$voids, 'read() behind them', 2);
}

# many logs and a long tail, after a crash
sql(qq{CREATE FOREIGN TABLE many (_partition int, n int, s text) SERVER streamhouse OPTIONS (partitions '$logs', segment_size '1GB');
	INSERT INTO many SELECT i % $logs, i, repeat(md5(i::text), 20) FROM generate_series(1, 100 * $logs) i});
note('the tail has ', sql(q{SELECT pg_size_pretty(pg_table_size('streamhouse.tail'))}));
# the worker, which looks at all logs, would be counted too
sql('ALTER SYSTEM SET streamhouse.max_workers = 0');
crash($node);
my $start = time;
is_cheap("INSERT INTO many SELECT i, 0, '' FROM generate_series(0, $logs - 1) i", '', "producing to $logs logs that are not open", $logs);
note("$logs logs have been opened and written to in ", time - $start, ' s');
is(sql(qq{SELECT count(*), bool_and(next_offset = 101) FROM streamhouse.logs WHERE topic = 'many'::regclass}), "$logs|t", 'they have gone on where they ended');
is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');

# Single rows after a vacuum keep together, instead of going to what full
# frames have left of their pages.
sql(q{CREATE DATABASE fresh});
$node->safe_psql('fresh', q{CREATE EXTENSION streamhouse;
	SELECT streamhouse.create_topic('t', 1, 's text', NULL);
	INSERT INTO t (s) SELECT md5(i::text) || md5((-i)::text) || i FROM generate_series(1, 30000) i});
$node->safe_psql('fresh', 'VACUUM streamhouse.tail');
$node->safe_psql('fresh', q{DO $$ BEGIN FOR i IN 1 .. 50 LOOP INSERT INTO t (s) VALUES (repeat('x', 50)); COMMIT; END LOOP; END $$});
is($node->safe_psql('fresh', q{SELECT max(pages) FILTER (WHERE part = 'full') > 100, max(pages) FILTER (WHERE part = 'single') <= 5
	FROM (SELECT CASE WHEN count = 1 THEN 'single' WHEN octet_length(frame) > 7500 THEN 'full' END AS part, count(DISTINCT (ctid::text::point)[0]) AS pages
		FROM streamhouse.tail GROUP BY 1) p}), 't|t', 'single rows after a vacuum share pages');

$node->stop;
done_testing();
