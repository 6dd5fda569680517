# A crash at any instant loses no committed row, brings back no aborted one,
# and gives no offset twice.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

# Cluster.pm would leave the server down after the death of a backend
my $node = new_server('main', 'restart_after_crash = on',
	'autovacuum = off', 'checkpoint_timeout = 1h');

sub sql { return answer($node, @_); }

# A session whose server has died may be gone already.
sub quit { for my $session (@_) { eval { $session->quit } } return; }

my $ids = q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM t};
my $ordered = q{SELECT string_agg(id::text, ' ' ORDER BY n) FROM streamhouse.read(NULL::t, 0, 0)
	WITH ORDINALITY AS r(p, o, ts, id, pad, n)};
my $next = q{SELECT next_offset FROM streamhouse.logs WHERE topic = 't'::regclass};

# the power fails
sql(q{SELECT streamhouse.create_topic('t', columns => 'id int, pad text', key => NULL)});
sql('INSERT INTO t (id) SELECT generate_series(1, 5)');
sql('CHECKPOINT');
sql('INSERT INTO t (id) SELECT generate_series(6, 8); BEGIN; INSERT INTO t (id) VALUES (100); ROLLBACK');
my $open = $node->background_psql('postgres');
$open->query_safe(q{BEGIN; INSERT INTO t (id, pad) SELECT i, repeat('x', 1000) FROM generate_series(1000, 2000) i});
crash($node);
quit($open);
is(sql($ids), '1 2 3 4 5 6 7 8', 'committed rows are there after a crash, no others');
is(sql($ordered), '1 2 3 4 5 6 7 8', 'read() has them in order');
is(sql($next), 8, 'offsets go on where the rows end');
is(sql('INSERT INTO t (id) VALUES (9) RETURNING _partition'), 0, 'producing goes on');
is(sql('SELECT _offset FROM t WHERE id = 9'), 8, 'at the next offset');

# a backend dies: in the middle of a transaction, and of a commit
sub survives
{
	my ($what, $kill) = @_;
	my $before = sql($ids);
	my $log = -s $node->logfile;

	$kill->();
	wait_until_up($node, $log);
	is(sql($ids), $before, "nothing is lost, added or brought back: $what");
	is(sql($ordered), $before, "read() has them all: $what");
	sql('INSERT INTO t (id) SELECT max(id) + 1 FROM t');
	offsets_hold($node, 't', "no offset is given twice: $what");
	return;
}

survives('a backend is killed in a transaction', sub {
	my $victim = $node->background_psql('postgres');
	my $pid = $victim->query_safe('BEGIN; INSERT INTO t (id) VALUES (100); SELECT pg_backend_pid()');
	kill 'KILL', $pid;
	quit($victim);
});

SKIP:
{
	skip 'the extension is built without failpoints', 16
	  if sql(q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'}) eq '0';

	for my $place ('before-sequencing', 'sequenced', 'inserted')
	{
		survives("a backend is killed in its commit, $place",
			sub { sql("SET streamhouse.failpoint = '$place:crash'; INSERT INTO t (id) VALUES (100), (101)") });
	}

	# A transaction has taken offsets, another after it commits, the first dies.
	my ($holder, $victim) = map { $node->background_psql('postgres') } 1 .. 2;
	my $end = sql($next);
	my $before = sql($ids);
	my $log = -s $node->logfile;
	$holder->query_safe('SELECT pg_advisory_lock(7777)');
	my $pid = $victim->query_safe(q{SET streamhouse.failpoint = 'sequenced:wait'; SELECT pg_backend_pid()});
	$victim->query_until(qr/started/, "\\echo started\nINSERT INTO t (id) SELECT generate_series(100, 104);\n");
	$node->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	sql('INSERT INTO t (id) VALUES (20), (21)');
	is(sql("SELECT min(_offset), max(_offset) FROM t WHERE id IN (20, 21)"),
		($end + 5) . '|' . ($end + 6), 'the later one has the higher offsets');
	is(sql($ids), "$before 20 21", 'SELECT passes the gap');
	is(sql($ordered), $before, 'read() stops at the gap, which may still be filled');
	kill 'KILL', $pid;
	wait_until_up($node, $log);
	quit($holder, $victim);
	is(sql($ids), "$before 20 21", 'the one that committed is there, the other is not');
	is(sql($ordered), "$before 20 21", 'read() passes the gap after the crash');
	sql('INSERT INTO t (id) VALUES (22)');
	is(sql('SELECT _offset FROM t WHERE id = 22'), $end + 7, 'its offsets are not given again');
	offsets_hold($node, 't', 'nor is any other');
}

# any instant: rows of a topic and of a table, written together, stay together
sql(q{SELECT streamhouse.create_topic('u', 3, columns => 'id text, pad text', key => 'id');
	CREATE TABLE h (id text, pad text)});
append_to_file($node->basedir . '/bench.sql', <<'SQL');
\set n random(1, 100)
\set size random(1, 3000)
BEGIN;
INSERT INTO h SELECT :client_id || '-' || i || '-' || clock_timestamp(), repeat('x', :size) FROM generate_series(1, :n) i;
WITH mine AS (SELECT * FROM h WHERE xmin = pg_current_xact_id()::xid)
INSERT INTO u (id, pad) SELECT id, pad FROM mine;
END;
SQL
for my $round (1 .. ($ENV{STH_TEST_LONG} ? 20 : 3))
{
	my $size = sql('SELECT count(*) FROM h');
	my $bench = IPC::Run::start(
		[ 'pgbench', '-n', '-c', 4, '-T', 600, '-h', $node->host, '-p', $node->port,
			'-f', $node->basedir . '/bench.sql', 'postgres' ],
		'>', '/dev/null', '2>', '/dev/null');
	$node->poll_query_until('postgres', "SELECT count(*) > $size + 1000 FROM h");
	crash($node);
	$bench->finish;
	is(sql(q{SELECT count(*) FROM h FULL JOIN (SELECT id, pad FROM u) u USING (id, pad) WHERE h IS NULL OR u IS NULL}),
		0, "round $round: the topic has the rows that the table has");
	offsets_hold($node, 'u', "round $round: in order");
}
is(sql('SELECT count(*) FROM u'), sql('SELECT count(*) FROM h'), 'none of them twice');

$node->stop;
done_testing();
