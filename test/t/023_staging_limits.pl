# Large transactions take bounded memory, hold nobody up while they are open,
# and leave nothing behind when they fail.
# With STH_TEST_LONG=1 they are twenty times as large.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $scale = $ENV{STH_TEST_LONG} ? 20 : 1;
my $node = new_server('main', { allows_streaming => 1 }, 'autovacuum = off', 'max_wal_size = 4GB');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

sub sql { return answer($node, @_); }

my $next = q{SELECT next_offset FROM streamhouse.logs WHERE topic = 't'::regclass};

# Rows from one id to another, not all there before the first is inserted.
sub insert { return "INSERT INTO t (id, pad) SELECT i, md5(i::text) FROM (SELECT generate_series($_[0], $_[1]) AS i) s"; }

sql(q{CREATE EXTENSION pgstattuple;
	SELECT streamhouse.create_topic('t', 1, 'id int, pad text', NULL, options => '{"segment_size": "1GB", "flush_interval": "1d"}');
	SELECT streamhouse.create_topic('b', 2, 'id int, pad text', NULL);
	SELECT streamhouse.create_group('g', 't')});

# What the backend's memory grows by until the transaction's end, in MB: twice
# batch_memory at most, since it is got in powers of two, 1 MB or so for what
# puts rows together, and what PostgreSQL's own caches do meanwhile.  All kept in memory they would take 30 bytes each.
sub takes_bounded_memory
{
	my ($batch_memory, $limit, $name, $statement) = @_;
	my $total = 'SELECT sum(total_bytes) FROM pg_backend_memory_contexts';
	my ($before, $after) = sql(<<~SQL) =~ /(\d+)/g;
		BEGIN; SET LOCAL streamhouse.batch_memory = '$batch_memory';
		INSERT INTO b (_partition, id) VALUES (1, 1);
		$total; $statement; $total;
		COMMIT
		SQL

	note("$name: memory grows by ", $after - $before);
	cmp_ok($after - $before, '<', $limit * 1024 * 1024, "$name takes bounded memory");
	return;
}

my $loop = 100_000 * ($scale == 1 ? 1 : 10);
takes_bounded_memory('256kB', 3, "a loop of $loop EXCEPTION blocks", <<~SQL);
	DO \$\$ BEGIN FOR i IN 1 .. $loop LOOP
		BEGIN
			INSERT INTO b (_partition, id, pad) VALUES (0, i, md5(i::text));
			IF i % 10 = 0 THEN RAISE division_by_zero; END IF;
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP; END \$\$
	SQL
is(sql('SELECT count(*), max(_offset) + 1, sum(id) FROM b WHERE _partition = 0'),
	join('|', $loop * .9, $loop * .9, $loop * .45 * $loop), 'its rows are there but those of blocks that failed');
my $million = 1_000_000 * $scale;
takes_bounded_memory('4MB', 12, "INSERT of $million rows", insert(0, $million - 1));
is(sql('SELECT count(*), min(id - _offset), max(id - _offset), min(pad) IS NOT NULL FROM t'), "$million|0|0|t", 'its rows are there');

# who begins to read in the middle of it goes there at once
sub blocks
{
	return sql(q{SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit FROM pg_statio_all_tables
		WHERE relid = 'streamhouse.tail'::regclass});
}
for my $from (0, int($million / 2), $million - 3)
{
	my $before = blocks();
	is(sql("SELECT min(id), count(*) FROM streamhouse.read(NULL::t, 0, $from, 3); SELECT pg_stat_force_next_flush()"),
		"$from|3\n", "read() from offset $from");
	my $blocks = blocks() - $before;
	cmp_ok($blocks, '<=', 20, "looks at $blocks blocks");
	cmp_ok($blocks, '>', 0, 'which are counted');
}

# on a standby
$node->wait_for_catchup($standby);
is(answer($standby, "SELECT count(*), sum(id) FROM b; SELECT min(id), count(*) FROM streamhouse.read(NULL::t, 0, $million / 2, 1000)"),
	sql('SELECT count(*), sum(id) FROM b') . "\n" . $million / 2 . '|1000', 'a standby has staged rows');
$standby->stop;

# Transactions that are open, one with staged rows and one idle, hold up
# neither consumers nor producers, and their rows come when they commit.
sql(q{SELECT streamhouse.drop_group('g', 't'), streamhouse.create_group('g', 't', 'latest')});
my ($large, $idle) = map { $node->background_psql('postgres') } 1 .. 2;
my $before = sql($next);
$large->query_safe("SET streamhouse.batch_memory = '64kB'; BEGIN; " . insert(1, 20_000));
$idle->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO t (id) VALUES (-1)');
is(sql($next), $before, 'an open transaction takes no offsets');
my $rows = 'SELECT string_agg(id::text, chr(32) ORDER BY _offset), min(_offset), max(_offset) FROM';
is(sql("INSERT INTO t (id) VALUES (-2), (-3); $rows t WHERE _offset >= $before"), '-2 -3|' . $before . '|' . ($before + 1), 'others produce');
is(sql("$rows streamhouse.read(NULL::t, 0, $before)"), '-2 -3|' . $before . '|' . ($before + 1), 'their rows are read');
is(sql("$rows streamhouse.poll('g', NULL::t)"), '-2 -3|' . $before . '|' . ($before + 1), 'and polled');
$large->query_safe('COMMIT');
$idle->query_safe('COMMIT');
is(sql("SELECT min(_offset) - $before, max(_offset) - $before, count(*) FROM t WHERE _offset >= $before AND id > 0"), '2|20001|20000', 'the large one comes at its commit');
is(sql("SELECT _offset - $before FROM t WHERE id = -1"), 20002, 'the idle one too');
is(sql(q{SELECT count(*), count(DISTINCT _offset), min(_offset) - } . $before . q{ FROM streamhouse.poll('g', NULL::t, 1000000)}), '20001|20001|2', 'both are polled');

# Whatever ends a transaction that has staged rows, nothing of it is seen,
# VACUUM removes it, and offsets go on.
my $seen = sql('SELECT count(*) FROM t');
sub leaves_nothing
{
	my ($name) = @_;
	my $at = sql($next);

	is(sql('SELECT count(*) FROM t'), $seen, "$name: no row is seen");
	is(sql("INSERT INTO t (id) VALUES (0); SELECT _offset FROM t WHERE _offset >= $at"), $at, 'offsets go on');
	is(sql('SELECT next_offset - ' . ++$seen . q{ FROM streamhouse.logs WHERE topic = 't'::regclass}), 0, 'without a gap');
	is(sql(q{VACUUM streamhouse.tail; SELECT tuple_count - (SELECT count(*) FROM streamhouse.tail), dead_tuple_count FROM pgstattuple('streamhouse.tail')}), '0|0', 'VACUUM removes what it has staged');
	return;
}

# Starts a transaction that goes on staging, and waits until it has.
sub stage_on
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe("SET streamhouse.batch_memory = '64kB'; SELECT pg_backend_pid()");
	my $used = sql('SELECT last_value FROM streamhouse.stage_id_seq');
	my $size = sql(q{SELECT pg_relation_size('streamhouse.tail')});

	$session->query_until(qr/sent/, "\\echo sent\nBEGIN; " . insert(1, 1_000_000_000) . ";\n\\echo ended\n");
	$node->poll_query_until('postgres', qq{SELECT last_value > $used AND pg_relation_size('streamhouse.tail') > $size + 1000000 FROM streamhouse.stage_id_seq});
	return ($session, $pid);
}

my $dead = q{SELECT dead_tuple_count > 50 FROM pgstattuple('streamhouse.tail')};
sql('VACUUM streamhouse.tail');
is(sql("SET streamhouse.batch_memory = '64kB'; BEGIN; " . insert(1, 20_000) . "; ROLLBACK; $dead"), 't', 'a large transaction rolls back');
leaves_nothing('ROLLBACK');

my ($session, $pid) = stage_on();
is(sql("SELECT pg_cancel_backend($pid)"), 't', 'another is cancelled');
$session->query_until(qr/ended/, '');
$session->query('ROLLBACK');
is(sql($dead), 't', 'after it has staged');
leaves_nothing('cancel');
$session->quit;

($session, $pid) = stage_on();
crash($node);
eval { $session->quit };
is(sql($dead), 't', 'and one has staged when the power fails');
leaves_nothing('crash');
offsets_hold($node, 't', 'in order') if $scale == 1;

$node->stop;
done_testing();
