# A flush that fails or dies at any step loses no row and doubles none; it
# stops where a row may still appear; what is due is flushed by itself.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;

my $node = new_server('main', 'restart_after_crash = on', 'autovacuum = off');
my $failpoints = answer($node, q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});

sub sql { return answer($node, @_); }

# A worker that has read the settings of its database anew.
sub new_worker
{
	my $worker = worker_of($node, 'postgres');

	sql("SELECT pg_terminate_backend($worker)");
	worker_of($node, 'postgres', $worker);
	return;
}

my $rows = 'SELECT count(*), count(DISTINCT _offset), sum(n), min(_offset), max(_offset) FROM t';
my $places = q{SELECT (SELECT count(*) FROM streamhouse.tail), (SELECT coalesce(max(end_offset), 0) FROM streamhouse.segments), (SELECT count(*) FROM streamhouse.object), (SELECT count(DISTINCT object_id) FROM streamhouse.object_data)};

sql(q{SELECT streamhouse.create_topic('t', 1, 'n int, s text', NULL)});
sql(q{INSERT INTO t (n, s) SELECT i, repeat('x', i % 100) FROM generate_series(1, 2000) i});
is(sql(q{SELECT streamhouse.flush('t')}), '', 'flushed');
is(sql($rows), '2000|2000|2001000|0|1999', 'the rows are there');

SKIP:
{
	skip 'the build has no failpoints', 1 unless $failpoints;
	for my $place ('flush-encoded', 'flush-stored', 'flush-cataloged')
	{
		# staged ones, large ones and voids too
		sql(q{SET streamhouse.batch_memory = '64kB'; INSERT INTO t (n, s) SELECT i, md5(i::text) FROM generate_series(1, 5000) i});
		sql(q{INSERT INTO t (n, s) SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 1000) i});
		sql(q{SET streamhouse.failpoint = 'sequenced:error'; INSERT INTO t (n) VALUES (1), (2), (3)});
		$node->poll_query_until('postgres', q{SELECT stable_offset = next_offset AND EXISTS (SELECT FROM streamhouse.tail WHERE count = 0 AND length(frame) < 14 AND stage = 0 AND end_offset = next_offset) FROM streamhouse.logs});
		sql(q{INSERT INTO t (n) VALUES (4)});
		my ($before, $where) = (sql($rows), sql($places));

		sql("ALTER DATABASE postgres SET streamhouse.failpoint = '$place:error'");
		new_worker();
		my $log = -s $node->logfile;
		fails_with($node, q{SELECT streamhouse.flush('t')}, '55000', 'could not write a segment of partition 0 of topic "t"', "an error at $place reaches who waits");
		like(slurp_file($node->logfile, $log), qr/WARNING:  could not make segments of 1 partition: failpoint "$place"/, 'the log has the cause');
		is(sql(q{SELECT failures > 0, last_error, now() - last_error_at < '1 hour', tail_bytes > 0 FROM streamhouse.stat_flush}), qq{t|failpoint "$place"|t|t}, 'and so has stat_flush');
		is(sql($places), $where, 'nothing has moved');
		is(sql($rows), $before, 'no row is lost or doubled');
		is(worker_of($node, 'postgres') > 0, 1, 'the worker lives on');

		# killed there; the lock that it waits for goes with the crash
		my ($control, $waiter) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
		$control->query_safe('SELECT pg_advisory_lock(7777)');
		sql("ALTER DATABASE postgres SET streamhouse.failpoint = '$place:wait'");
		new_worker();
		$log = -s $node->logfile;
		$waiter->query_until(qr/asked/, "\\echo asked\nSELECT streamhouse.flush('t');\n");
		$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
		is(sql($rows), $before, "nobody sees what is going on at $place");
		kill 'KILL', sql(q{SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
		wait_until_up($node, $log);
		eval { $_->quit } for $control, $waiter;
		sql('ALTER DATABASE postgres RESET streamhouse.failpoint');
		is(sql($rows), $before, 'killed there, no row is lost or doubled');
		is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');

		new_worker();
		is(sql(q{SELECT streamhouse.flush('t')}), '', 'then it is flushed');
		is(sql($rows), $before, 'the rows are there');
		is(sql('SELECT count(*) FROM streamhouse.tail'), 0, 'and nowhere else');
		is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');
		offsets_hold($node, 't', 'SELECT and read() agree');
	}
	is(sql('SELECT sum(end_offset - base_offset - records) FROM streamhouse.segments'), 9, 'voids are part of the segments');

	# a transaction is about to commit, another above it has
	my ($control, $parked) = map { $node->background_psql('postgres') } 1 .. 2;
	my $next = sql('SELECT next_offset FROM streamhouse.logs');
	$control->query_safe('SELECT pg_advisory_lock(7777)');
	sql('INSERT INTO t (n) VALUES (1), (2)');
	$parked->query_until(qr/set/, "SET streamhouse.failpoint = 'sequenced:wait';\n\\echo set\nINSERT INTO t (n) VALUES (3);\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	sql('INSERT INTO t (n) VALUES (4)');
	fails_with($node, q{SET statement_timeout = '1s'; SELECT streamhouse.flush('t')}, '57014', 'statement timeout', 'a flush waits for a row that is being committed');
	is(sql('SELECT max(end_offset) FROM streamhouse.segments'), $next + 2, 'and has gone up to it');
	is(sql("SELECT n FROM t WHERE _offset >= $next ORDER BY _offset"), "1\n2\n4", 'what is visible is seen');
	is(sql("SELECT n FROM streamhouse.read(NULL::t, 0, $next)"), "1\n2", 'and read() stops there');
	$control->query_safe('SELECT pg_advisory_unlock(7777)');
	is(sql(q{SELECT streamhouse.flush('t')}), '', 'then the rest is flushed');
	is(sql("SELECT n FROM streamhouse.read(NULL::t, 0, $next)"), "1\n2\n3\n4", 'in order');
	eval { $_->quit } for $control, $parked;
}

# what is due
sql(q{CREATE FOREIGN TABLE quick (n int, s text) SERVER streamhouse OPTIONS (flush_interval '1s')});
sql('INSERT INTO quick (n) VALUES (1)');
ok($node->poll_query_until('postgres', q{SELECT segments = 1 AND oldest_unflushed IS NULL FROM streamhouse.logs WHERE topic = 'quick'::regclass}), 'rows are flushed when they are old enough');
sql(q{CREATE FOREIGN TABLE small (n int, s text) SERVER streamhouse OPTIONS (segment_size '64kB', partitions '3')});
sql(q{INSERT INTO small (n, s) SELECT i, repeat(i::text, 100) FROM generate_series(1, 2000) i});
ok($node->poll_query_until('postgres', q{SELECT sum(segments) > 3 FROM streamhouse.logs WHERE topic = 'small'::regclass}), 'and when there are enough');
is(sql('SELECT count(*), sum(n) FROM small'), '2000|2001000', 'they are all there');
sql(q{INSERT INTO t (n) VALUES (1)});
sql(q{ALTER SYSTEM SET streamhouse.flush_interval = '1s'});
$node->reload;
ok($node->poll_query_until('postgres', q{SELECT oldest_unflushed IS NULL FROM streamhouse.logs WHERE topic = 't'::regclass}), 'another setting counts at once');
sql(q{ALTER SYSTEM SET streamhouse.flush_interval = '1h'});
$node->reload;
# options of a topic count at once, the last ones of a transaction
sql(q{CREATE FOREIGN TABLE altered (n int, s text) SERVER streamhouse});
sql(q{INSERT INTO altered (n, s) SELECT i, md5(i::text) FROM generate_series(1, 10000) i});
sql(q{ALTER FOREIGN TABLE altered OPTIONS (ADD segment_size '64kB')});
ok($node->poll_query_until('postgres', q{SELECT segments > 0 FROM streamhouse.logs WHERE topic = 'altered'::regclass}), 'rows that wait are flushed when they are enough by a new segment_size');
sql(q{SELECT streamhouse.flush('altered'); INSERT INTO altered (n) VALUES (1)});
sql(q{BEGIN; ALTER FOREIGN TABLE altered OPTIONS (ADD flush_interval '7d'); SAVEPOINT s; ALTER FOREIGN TABLE altered OPTIONS (SET flush_interval '6d'); ROLLBACK TO s;
	ALTER FOREIGN TABLE altered OPTIONS (SET flush_interval '1s'); SAVEPOINT s; ALTER FOREIGN TABLE altered OPTIONS (SET flush_interval '5d'); ROLLBACK TO s; COMMIT});
ok($node->poll_query_until('postgres', q{SELECT oldest_unflushed IS NULL FROM streamhouse.logs WHERE topic = 'altered'::regclass}), 'and when they are old enough by a new flush_interval');
sql('DROP FOREIGN TABLE altered');

# what was there when the server started
sql('INSERT INTO quick (n) VALUES (2)');
sql(q{CREATE FOREIGN TABLE aged (_timestamp timestamptz, n int) SERVER streamhouse OPTIONS (flush_interval '1h')});
sql(q{CREATE FOREIGN TABLE young (_timestamp timestamptz, n int) SERVER streamhouse OPTIONS (flush_interval '1h')});
sql(q{CREATE FOREIGN TABLE future (_timestamp timestamptz, n int) SERVER streamhouse OPTIONS (flush_interval '1h')});
sql(q{INSERT INTO aged VALUES (now() - interval '2 hours', 1); INSERT INTO young (n) VALUES (1); INSERT INTO future VALUES (now() + interval '2 hours', 1)});
$node->restart;
ok($node->poll_query_until('postgres', q{SELECT segments = 1 FROM streamhouse.logs WHERE topic = 'aged'::regclass}), 'after a restart rows are as old as they are');
ok($node->poll_query_until('postgres', q{SELECT oldest_unflushed < pg_postmaster_start_time() FROM streamhouse.logs WHERE topic = 'young'::regclass}), 'also those that are not due');
ok($node->poll_query_until('postgres', q{SELECT oldest_unflushed BETWEEN pg_postmaster_start_time() AND clock_timestamp() FROM streamhouse.logs WHERE topic = 'future'::regclass}), 'but not younger');
sql('DROP FOREIGN TABLE aged, young, future');
ok($node->poll_query_until('postgres', q{SELECT sum(records) = 2 FROM streamhouse.segments WHERE topic = 'quick'::regclass}), 'also after a restart');

# one object for many logs; one log that cannot be flushed keeps no other back
sql(q{CREATE FOREIGN TABLE bad (n int, s text) SERVER streamhouse});
sql(q{CREATE FOREIGN TABLE good (n int, s text) SERVER streamhouse OPTIONS (partitions '4')});
sql(q{ALTER FOREIGN TABLE good ADD COLUMN _partition int});
sql(q{INSERT INTO good (_partition, n) SELECT i % 4, i FROM generate_series(1, 100) i});
sql(q{INSERT INTO bad (n, s) SELECT i, md5(i::text) FROM generate_series(1, 1000) i});
sql(q{ALTER TABLE streamhouse.tail DISABLE TRIGGER ignore_write; UPDATE streamhouse.tail SET frame = substring(frame FOR 500) WHERE log_id = (SELECT log_id FROM streamhouse.logs WHERE topic = 'bad'::regclass); ALTER TABLE streamhouse.tail ENABLE ALWAYS TRIGGER ignore_write});
fails_with($node, q{SELECT streamhouse.flush('bad')}, '55000', 'could not write a segment of partition 0 of topic "bad"', 'a log that cannot be flushed');
is(sql(q{SELECT streamhouse.flush('good')}), '', 'and others that can');
is(sql(q{SELECT count(*), count(DISTINCT object_id), sum(records) FROM streamhouse.segments WHERE topic = 'good'::regclass}), '4|1|100', 'all partitions in one object');
sql('DROP FOREIGN TABLE bad');

# who holds a topic makes a flush wait, no more
sql(q{INSERT INTO good (n) VALUES (101)});
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; ALTER FOREIGN TABLE quick ADD COLUMN more int');
sql(q{SELECT streamhouse.flush('good')});
is(sql(q{SELECT sum(records) FROM streamhouse.segments WHERE topic = 'good'::regclass}), 101, 'others are not kept');
$holder->query_safe('COMMIT');
$holder->quit;
sql('INSERT INTO quick (n, more) VALUES (3, 3)');
sql('SELECT streamhouse.flush()');
is(sql('SELECT count(*), sum(n), sum(more) FROM quick'), '3|6|3', 'with it the new column');

# flush() holds no lock while it waits: DDL that waited for it would keep the
# worker from the topic
SKIP:
{
	skip 'the build has no failpoints', 1 unless $failpoints;
	my ($control, $flushing) = map { $node->background_psql('postgres') } 1 .. 2;

	$control->query_safe('SELECT pg_advisory_lock(7777)');
	sql("ALTER DATABASE postgres SET streamhouse.failpoint = 'flush-encoded:wait'");
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamhouse worker'});
	sql('INSERT INTO quick (n) VALUES (4)');
	$flushing->query_until(qr/asked/, "\\echo asked\nSELECT streamhouse.flush('quick');\n\\echo flushed\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	is(sql(q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE relation = 'quick'::regclass AND query LIKE '%flush(%' AND backend_type = 'client backend' AND pid <> pg_backend_pid()}),
		0, 'flush() waits without a lock on the topic');
	sql('ALTER DATABASE postgres RESET streamhouse.failpoint');
	$control->query_safe('SELECT pg_advisory_unlock(7777)');
	like($flushing->query_until(qr/flushed/, ''), qr/flushed/, 'and returns when it is done');
	$_->quit for $control, $flushing;
}

# of two that wait the one fails whose flush has failed, the other goes on
SKIP:
{
	skip 'the build has no failpoints', 1 unless $failpoints;
	my ($control, $first, $second) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
	my $at_failpoint = q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted};

	$control->query_safe('SELECT pg_advisory_lock(7777)');
	sql("ALTER DATABASE postgres SET streamhouse.failpoint = 'flush-encoded:wait'");
	new_worker();
	sql('ALTER DATABASE postgres RESET streamhouse.failpoint');
	sql('INSERT INTO quick (n) VALUES (5)');
	$first->query_until(qr/asked/, "\\echo asked\nSELECT streamhouse.flush('quick');\n");
	$node->poll_query_until('postgres', $at_failpoint);
	sql('INSERT INTO quick (n) VALUES (6)');
	$second->query_until(qr/asked/, "\\echo asked\nSELECT 'second', streamhouse.flush('quick');\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE query LIKE '%flush(''quick'')%' AND wait_event IN ('Extension', 'StreamhouseFlushWait') AND pid <> pg_backend_pid()});
	sql(q{SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	$first->query('SELECT 1');
	like($first->{stderr}, qr/could not write a segment of partition 0 of topic "quick"\n.*canceling statement due to user request/, 'who waits for a flush that fails is told why');
	$control->query_safe('SELECT pg_advisory_unlock(7777)');
	$second->query('SELECT 1');
	unlike($second->{stderr}, qr/ERROR/, 'who has asked after it had begun is not');
	is(sql(q{SELECT sum(records) FROM streamhouse.segments WHERE topic = 'quick'::regclass}), sql('SELECT count(*) FROM quick'), 'and gets what he waits for');
	$_->quit for $control, $first, $second;
}

# no worker may run
sql('ALTER SYSTEM SET streamhouse.max_workers = 0');
$node->reload;
no_worker($node, 'postgres');
fails_with($node, q{SELECT streamhouse.flush('t')}, '55000', 'no background worker may run', 'without workers', hint => 'Set streamhouse.max_workers');
sql('ALTER SYSTEM RESET streamhouse.max_workers');
$node->reload;
is(sql(q{SELECT streamhouse.flush()}), '', 'with workers again');

is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');
sql('DROP FOREIGN TABLE t, quick, small, good');
is(sql('SELECT (SELECT count(*) FROM streamhouse.segment), (SELECT count(*) FROM streamhouse.object), (SELECT count(*) FROM streamhouse.object_data), (SELECT count(*) FROM streamhouse.tail)'), '0|0|0|0', 'with the topics all of it goes');

# DROP EXTENSION waits for a flush that has begun, and neither is a deadlock
SKIP:
{
	skip 'the build has no failpoints', 1 unless $failpoints;
	my ($control, $dropping) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;

	$control->query_safe('SELECT pg_advisory_lock(7777)');
	sql("ALTER DATABASE postgres SET streamhouse.failpoint = 'flush-encoded:wait'");
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamhouse worker'});
	sql(q{SELECT streamhouse.create_topic('last', 1, 'n int, s text', NULL, options => '{"segment_size": "64kB"}');
		INSERT INTO last (n, s) SELECT i, md5(i::text) FROM generate_series(1, 5000) i});
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted})
	  or die 'the worker does not come to the failpoint';
	$dropping->query_until(qr/started/, "\\echo started\nDROP EXTENSION streamhouse CASCADE;\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DROP EXTENSION%' AND wait_event_type = 'Lock'});
	sql('ALTER DATABASE postgres RESET streamhouse.failpoint');
	my $log = -s $node->logfile;
	$control->query_safe('SELECT pg_advisory_unlock(7777)');
	$dropping->query('SELECT 1');
	ok($node->poll_query_until('postgres', q{SELECT to_regnamespace('streamhouse') IS NULL}), 'DROP EXTENSION waits for a flush and goes on');
	unlike(slurp_file($node->logfile, $log), qr/deadlock/, 'without a deadlock');
	$_->quit for $control, $dropping;
}

$node->stop;
done_testing();
