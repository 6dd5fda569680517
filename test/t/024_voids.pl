# Gaps that failed transactions leave are closed by voids: soon, for good, and
# for readers on a standby too.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = new_server('main', { allows_streaming => 1 }, 'restart_after_crash = on', 'autovacuum = off');

sub sql { return answer($node, @_); }

if (sql(q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'}) eq '0')
{
	plan skip_all => 'the extension is built without failpoints';
}

# What the log of partition 0 has: rows as [from,to), voids with a V.
my $tail = q{SELECT string_agg(CASE get_byte(frame, 0) & 7 WHEN 3 THEN 'V' ELSE '' END || end_offset, ' ' ORDER BY end_offset)
	FROM streamhouse.tail WHERE stage = 0};
my $ordered = q{SELECT string_agg(id::text, ' ') FROM streamhouse.read(NULL::t, 0, 0)};

sub becomes
{
	my ($query, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres', "SELECT ($query) = '$expected'"), $name)
	  || diag(sql($query));
}

sub fail_to_insert
{
	my ($n, $place) = @_;

	return sql("SET streamhouse.failpoint = '$place:error'; INSERT INTO t (id) SELECT generate_series(1, $n)");
}

$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->start;

sql(q{SELECT streamhouse.create_topic('t', columns => 'id int', key => NULL); SELECT streamhouse.create_group('g', 't')});
sql('INSERT INTO t (id) VALUES (1), (2)');
like(fail_to_insert(3, 'sequenced'), qr/failpoint/, 'a transaction fails after it has taken offsets');
becomes($tail, '2 V5', 'its gap becomes a void although no row follows');
like(fail_to_insert(4, 'inserted'), qr/failpoint/, 'another one fails');
becomes($tail, '2 V9', 'one void covers both');
sql('INSERT INTO t (id) VALUES (3)');
like(fail_to_insert(1, 'inserted'), qr/failpoint/, 'and one after a row');
becomes($tail, '2 V9 10 V11', 'has a void of its own');
is(sql('SELECT voids, offsets_voided FROM streamhouse.stat_topics'), '3|8', 'stat_topics counts them');
is(sql('SELECT start_offset, stable_offset, next_offset FROM streamhouse.logs'), '0|11|11', 'the log is stable up to its end');
is(sql($ordered), '1 2 3', 'read() passes voids');
is(sql('SELECT _offset FROM t ORDER BY 1'), "0\n1\n9", 'SELECT as well');
is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() has nothing to say');
is(sql(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t)}), 3, 'poll() passes them');
is(sql('SELECT position, lag FROM streamhouse.consumer_lag'), '11|0', 'also the last one, so that nothing lags');

# a large one that has staged its rows
sql('VACUUM streamhouse.tail');
like(sql(q{SET streamhouse.batch_memory = '64kB'; SET streamhouse.failpoint = 'inserted:error';
	INSERT INTO t (id) SELECT generate_series(1, 1000000)}), qr/failpoint/, 'a transaction of a million rows fails');
becomes($tail, '2 V9 10 V1000011', 'that is one void, too');
sql('INSERT INTO t (id) VALUES (4)');
is(sql($ordered), '1 2 3 4', 'and passed at once');

# on the standby
$node->wait_for_catchup($standby);
is(answer($standby, $ordered), '1 2 3 4', 'a reader on the standby passes voids');
is(answer($standby, 'SELECT stable_offset, next_offset FROM streamhouse.logs'), '1000012|1000012', 'and its log is stable to the end');

# a poller that waits behind a gap is woken when the gap is dead
my ($holder, $failing, $waiting) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
sql(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t)});
$holder->query_safe('SELECT pg_advisory_lock(7777)');
my $pid = $failing->query_safe('SELECT pg_backend_pid()');
$failing->query_until(qr/started/, "SET streamhouse.failpoint = 'sequenced:wait';\n\\echo started\nINSERT INTO t (id) VALUES (100);\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
sql('INSERT INTO t (id) VALUES (5)');
is(sql(q{SELECT count(*) FROM streamhouse.poll('g', NULL::t)}), 0, 'nothing is polled behind offsets that may still be filled');
is(sql('SELECT next_offset - stable_offset FROM streamhouse.logs'), 2, 'stable_offset says where readers stop');
is(sql("SELECT count(*) FROM streamhouse.in_flight WHERE pid = $pid"), 1, 'in_flight says who stops them');
is(sql($tail), '2 V9 10 V1000011 1000012 1000014', 'and no void is written there');
$waiting->query_until(qr/started/, "\\echo started\nSELECT id FROM streamhouse.poll('g', NULL::t, timeout => '3 min');\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%timeout%' AND state = 'active' AND wait_event_type = 'Extension'});
sql("SELECT pg_cancel_backend($pid)");
like($waiting->query_until(qr/^5$/m, ''), qr/^5$/m, 'when it fails the waiting poll gets the row behind');
becomes($tail, '2 V9 10 V1000011 1000012 V1000013 1000014', 'and a void is written');
$_->quit for $holder, $failing, $waiting;

sub have_no_workers
{
	sql('ALTER SYSTEM SET streamhouse.max_workers = 0; SELECT pg_reload_conf()');
	return $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'streamhouse worker'});
}

# without workers nothing is closed; then a topic that is locked is left for
# later, and others are not
sql(q{SELECT streamhouse.create_topic('u', columns => 'id int', key => NULL)});
have_no_workers();
like(fail_to_insert(2, 'sequenced'), qr/failpoint/, 'a topic gets a gap while no worker runs');
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; ALTER FOREIGN TABLE t ALTER id SET DEFAULT 1');
sql('INSERT INTO u (id) VALUES (1)');
like(sql("SET streamhouse.failpoint = 'sequenced:error'; INSERT INTO u (id) VALUES (1)"), qr/failpoint/, 'and another, while the first is locked');
sql('ALTER SYSTEM RESET streamhouse.max_workers; SELECT pg_reload_conf()');
becomes(q{SELECT voids FROM streamhouse.stat_topics WHERE topic = 'u'::regclass}, 1, 'the one is closed');
is(sql(q{SELECT sum(voids) FROM streamhouse.stat_topics}), 6, 'the locked one is not');
$locker->query_safe('COMMIT');
becomes(q{SELECT sum(voids) FROM streamhouse.stat_topics}, 7, 'until it can be locked');
$locker->quit;

# pollers go on by their own proof
have_no_workers();
fail_to_insert(5, 'sequenced');
sql('INSERT INTO t (id) VALUES (6)');
is(sql(q{SELECT string_agg(id::text, ' ') FROM streamhouse.poll('g', NULL::t)}), '6', 'without workers poll() passes a gap');
is(sql(q{SELECT count(*) FROM streamhouse.tail WHERE get_byte(frame, 0) = 3}), 5, 'and no void is written');
like(sql(q{SELECT problem FROM streamhouse.verify('t')}), qr/have neither rows nor a void/, 'verify() reports it');

# a crash leaves no notes; the worker looks once after the start
sql('ALTER SYSTEM RESET streamhouse.max_workers');
crash($node);
becomes(q{SELECT max(end_offset) FROM streamhouse.tail WHERE get_byte(frame, 0) = 3}, 1000021,
	'after a crash the worker finds gaps from before it');
is(sql('SELECT * FROM streamhouse.verify()'), '', 'and all is well');
offsets_hold($node, 't', 'offsets are in order');

# a backend killed between its offsets and its commit record
my $log = -s $node->logfile;
sql("SET streamhouse.failpoint = 'sequenced:crash'; INSERT INTO t (id) VALUES (7)");
wait_until_up($node, $log);
sql('INSERT INTO t (id) VALUES (8)');
is(sql(q{SELECT string_agg(id::text, ' ') FROM streamhouse.poll('g', NULL::t)}), '8', 'consumers go on after the death of a backend');
$node->wait_for_catchup($standby);
is(answer($standby, 'SELECT next_offset - stable_offset FROM streamhouse.logs WHERE partition = 0 LIMIT 1'), 0, 'on the standby too');
is(answer($standby, $ordered), sql($ordered), 'whose readers see the same');

# many failures beside many commits: voids keep readers fast, and nothing is lost
sql(q{SELECT streamhouse.create_topic('many', columns => 'id int', key => NULL)});
my $failures = $ENV{STH_TEST_LONG} ? 10_000 : 300;
sql(qq{SELECT streamhouse.create_group('g', 'many')});
my $script = join('', map { ($_ % 2 ? '' : "SET streamhouse.failpoint = 'sequenced:error';\n")
	. "INSERT INTO many (id) VALUES ($_);\nRESET streamhouse.failpoint;\n" } 1 .. 2 * $failures);
$node->psql('postgres', $script, on_error_stop => 0);
becomes(q{SELECT next_offset - stable_offset FROM streamhouse.logs WHERE topic = 'many'::regclass}, 0, 'all gaps are closed');
is(sql(q{SELECT count(*) FROM streamhouse.poll('g', NULL::many, 1000000)}), $failures, 'a poll has all rows between them');
is(sql(q{SELECT * FROM streamhouse.verify('many')}), '', 'and all is well');

# a damaged log keeps no other back
sql(q{SELECT streamhouse.create_topic('bad', columns => 'id int', key => NULL); INSERT INTO bad (id) VALUES (1);
	ALTER TABLE streamhouse.tail DISABLE TRIGGER ignore_write;
	UPDATE streamhouse.tail SET count = -1 WHERE log_id = (SELECT log_id FROM streamhouse.logs WHERE topic = 'bad'::regclass);
	ALTER TABLE streamhouse.tail ENABLE ALWAYS TRIGGER ignore_write});
$log = -s $node->logfile;
have_no_workers();
like(sql("SET streamhouse.failpoint = 'sequenced:error'; INSERT INTO many (id) VALUES (1)"), qr/failpoint/, 'beside a damaged log another gets a gap');
my $voids = sql(q{SELECT voids FROM streamhouse.stat_topics WHERE topic = 'many'::regclass});
sql('ALTER SYSTEM RESET streamhouse.max_workers; SELECT pg_reload_conf()');
becomes(q{SELECT voids FROM streamhouse.stat_topics WHERE topic = 'many'::regclass}, $voids + 1, 'which is closed');
like(slurp_file($node->logfile, $log), qr/WARNING:  log \d+ is damaged: malformed row in the tail/, 'and the damage is said');
is(sql(q{SELECT streamhouse.flush('many')}), '', 'and it is flushed');

$node->stop;
$standby->stop;
done_testing();
