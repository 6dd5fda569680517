# Consumers that write results in the transactions that poll have every row
# once, in order within its partition, whatever fails in between.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = new_server('main', 'autovacuum_naptime = 1s', 'checkpoint_timeout = 1h');

sub sql { return answer($node, @_); }

sql(<<~'SQL');
	SELECT streamhouse.create_topic('t', 5, 'id text', 'id');
	SELECT streamhouse.create_group('g', 't');
	CREATE TABLE produced (id text);
	CREATE TABLE results (nr bigserial, p int, o bigint, id text);
	SQL

my $dir = $node->basedir;
append_to_file("$dir/produce.sql", <<'SQL');
\set n random(1, 20)
\set fate random(1, 5)
BEGIN;
INSERT INTO produced SELECT :client_id || '-' || i || '-' || clock_timestamp() FROM generate_series(1, :n) i;
WITH mine AS (SELECT * FROM produced WHERE xmin = pg_current_xact_id()::xid)
INSERT INTO t (id) SELECT id FROM mine;
\if :fate = 1
ROLLBACK;
\else
COMMIT;
\endif
SQL
append_to_file("$dir/consume.sql", <<'SQL');
\set n random(1, 40)
\set fate random(1, 8)
\set level random(1, 5)
\if :level = 1
BEGIN ISOLATION LEVEL REPEATABLE READ;
\elif :level = 2
BEGIN ISOLATION LEVEL SERIALIZABLE;
\else
BEGIN;
\endif
\if :fate = 1
SAVEPOINT s;
INSERT INTO results (p, o, id) SELECT x._partition, x._offset, x.id FROM streamhouse.poll('g', NULL::t, :n) x;
ROLLBACK TO s;
\endif
INSERT INTO results (p, o, id) SELECT x._partition, x._offset, x.id FROM streamhouse.poll('g', NULL::t, :n) x;
\if :fate = 2
ROLLBACK;
\else
INSERT INTO results (p, o, id) SELECT x._partition, x._offset, x.id FROM streamhouse.poll('g', NULL::t, 2) x;
COMMIT;
\endif
SQL

sub bench
{
	my ($script, @options) = @_;

	return IPC::Run::start(
		[ 'pgbench', '-n', @options, '-h', $node->host, '-p', $node->port, '-f', "$dir/$script.sql", 'postgres' ],
		'>', "$dir/$script.out", '2>', "$dir/$script.err");
}

# What is wrong with the results: ids twice; not as produced; rows that have
# been skipped or come in another order; rows that are not the topic's.
sub results_hold
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(sql(<<~'SQL'), '0|0|0|0', $name);
		WITH c AS (SELECT id, p, o, row_number() OVER (PARTITION BY p ORDER BY nr) AS nth,
		                  row_number() OVER (PARTITION BY p ORDER BY o) AS oth FROM results),
		     s AS (SELECT id, _partition AS p, _offset AS o, row_number() OVER (PARTITION BY _partition ORDER BY _offset) AS oth FROM t)
		SELECT (SELECT count(*) - count(DISTINCT id) FROM c),
		       (SELECT count(*) FROM c WHERE nth <> oth),
		       (SELECT count(*) FROM c LEFT JOIN s USING (id, p, o, oth) WHERE s.id IS NULL),
		       (SELECT count(*) FROM produced FULL JOIN s USING (id) WHERE produced.id IS NULL OR s.id IS NULL)
		SQL
}

# several producers and consumers, none of which fails otherwise
my @jobs = (
	bench('produce', '-c', 3, '-t', 150),
	bench('consume', '-c', 4, '-t', 400, '-M', 'prepared'));
$_->finish for @jobs;
is(slurp_file("$dir/$_.err") =~ /aborted|ERROR/ ? slurp_file("$dir/$_.err") : '', '', "$_ had no error but of serialization")
  for qw(produce consume);
results_hold('what has been consumed was produced, once and in order');
cmp_ok(sql('SELECT count(*) FROM results'), '>', 100, 'and something was');

# the power fails in the middle
for my $round (1 .. ($ENV{STH_TEST_LONG} ? 20 : 3))
{
	my $size = sql('SELECT count(*) FROM results');

	@jobs = (bench('produce', '-c', 3, '-T', 600), bench('consume', '-c', 4, '-T', 600));
	$node->poll_query_until('postgres', "SELECT count(*) > $size + 1000 FROM results");
	crash($node);
	$_->finish for @jobs;
	results_hold("round $round: also after a crash");
}

# what is left
is(sql(q{SELECT count(*) FROM (SELECT DISTINCT l.partition FROM streamhouse.consumer_lag l WHERE l.position < l.next_offset
	AND NOT EXISTS (SELECT FROM t WHERE _partition = l.partition AND _offset >= l.position)) x}), 0,
	'no partition lags without rows that are left');
is(sql(q{INSERT INTO results (p, o, id) SELECT x._partition, x._offset, x.id FROM streamhouse.poll('g', NULL::t, 1000000) x;
	SELECT count(*) = (SELECT count(*) FROM produced) FROM results}), 't', 'results and what is left are what was produced');
results_hold('once and in order');
is(sql(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t)}), 0, 'nothing is left');
is(sql('SELECT max(n) FROM (SELECT count(*) AS n FROM streamhouse.position GROUP BY group_id, log_id) x'), 1,
	'a group has one position in a partition');

$node->stop;
done_testing();
