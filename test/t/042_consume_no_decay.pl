# A poll is as cheap as the first one, however many came before, also while an
# old snapshot keeps the rows that they have left.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $limit = 20;
my $polls = $ENV{STH_TEST_LONG} ? 100_000 : 2_000;
my $node = new_server('main', 'autovacuum = off');

sub sql { return answer($node, @_); }

# Blocks of the position table and its index that have been looked at.
sub blocks
{
	return sql(q{SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit
		FROM pg_statio_all_tables WHERE relid = 'streamhouse.position'::regclass});
}

# How many of them a statement looks at, in a session of its own; the first
# statement there learns the catalog.
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

sql(qq{SELECT streamhouse.create_topic('t', 1, 'n int', NULL);
	INSERT INTO t (n) SELECT i FROM generate_series(0, $polls + 99) i;
	SELECT streamhouse.create_group('g', 't'), streamhouse.create_group('h', 't')});
my $poll = q{SELECT n FROM streamhouse.poll('g', NULL::t, 1)};
is_cheap($poll, 0, 'the first poll');

my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
append_to_file($node->basedir . '/poll.sql', "$poll;\n");
$node->command_ok([ 'pgbench', '-n', '-M', 'prepared', '-t', $polls, '-h', $node->host, '-p', $node->port,
	'-f', $node->basedir . '/poll.sql', 'postgres' ], "$polls polls while an old snapshot is held");
is(sql(q{SELECT count(*) FROM streamhouse.position}), 1, 'they have left one position');
cmp_ok(sql(q{SELECT pg_relation_size('streamhouse.position') / 8192}), '>', $polls / 200, 'and many dead ones');

my $next = $polls + 1;
is_cheap($poll, $next, 'a poll after that');
is_cheap($poll, $next + 1, 'the next one');
is_cheap("BEGIN; $poll; SAVEPOINT s; $poll; ROLLBACK TO s; $poll; ROLLBACK", join("\n", $next + 2, $next + 3, $next + 3), 'three polls in a transaction', 3);
is_cheap(q{SELECT count(*) FROM streamhouse.poll('h', NULL::t, 2)}, 2, 'the first poll of another group');
is_cheap(q{CALL streamhouse.wait('g', 't', '1 min')}, '', 'wait()');
is_cheap(q{SELECT position FROM streamhouse.consumer_lag WHERE consumer_group = 'g'}, $next + 2, 'the lag');
is_cheap(q{SELECT streamhouse.drop_group('h', 't')}, '', 'drop_group()');
is_cheap(q{SELECT streamhouse.create_group('h', 't', 'latest')}, '', 'create_group()');
is_cheap(q{SELECT count(*) FROM streamhouse.poll('h', NULL::t, 2)}, 0, 'a poll of the group created anew');

# after a restart, with nothing cached
$old->quit;
$node->restart;
is_cheap($poll, $next + 2, 'the first poll after a restart');
sql('VACUUM streamhouse.position');
is_cheap($poll, $next + 3, 'a poll after VACUUM');

$node->stop;
done_testing();
