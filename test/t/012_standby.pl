# A standby has every row, in the same order, and refuses to produce; promoted,
# it goes on at the offsets where the primary ended.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $primary = new_server('primary', { allows_streaming => 1 });
my $failpoints = $primary->safe_psql('postgres',
	q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});

$primary->safe_psql('postgres', <<~'SQL');
	SELECT streamhouse.create_topic('early', 2, columns => 'id int, pad text', key => NULL);
	INSERT INTO early (_partition, id, pad) SELECT i % 2, i, repeat('x', i * 100) FROM generate_series(1, 100) i;
	SQL
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', <<~'SQL');
	SELECT streamhouse.create_topic('late', columns => 'id int, pad text', key => NULL);
	SELECT streamhouse.create_group('g', 'late');
	SELECT streamhouse.create_topic('gone', columns => 'id int', key => NULL);
	INSERT INTO gone (id) VALUES (1);
	DROP FOREIGN TABLE gone;
	INSERT INTO late (id) SELECT generate_series(1, 10);
	INSERT INTO early (_partition, id, pad) SELECT i % 2, i, repeat('y', i * 1000) FROM generate_series(101, 150) i;
	SQL
$primary->wait_for_catchup($standby);

# the same rows, by every way of reading
for my $sql (
	'SELECT md5(string_agg(t::text, chr(10) ORDER BY _partition, _offset)), count(*) FROM early t',
	'SELECT md5(string_agg(r::text, chr(10))), count(*) FROM streamhouse.read(NULL::early, 1, 0, 100000, 1000000000) r',
	'SELECT string_agg(id::text, chr(32) ORDER BY id) FROM late',
	'SELECT * FROM streamhouse.read(NULL::late, 0, 5)',
	'SELECT topic, partition, start_offset, next_offset FROM streamhouse.logs ORDER BY 1, 2',
	'SELECT schema, name, partitions, key, server FROM streamhouse.topics ORDER BY 2',
	q{SELECT streamhouse.partition_for('early', 'k')})
{
	is(answer($standby, $sql), $primary->safe_psql('postgres', $sql), "as on the primary: $sql");
}
is(answer($standby, q{SELECT to_regclass('gone') IS NULL, count(*) FROM early}), 't|150', 'a topic that was dropped is gone');
is(answer($standby, 'SELECT * FROM streamhouse.last_produced()'), '', 'a session has produced nothing');

# producing is refused
fails_with($standby, $$_[1], '25006', qr/cannot (?:execute|produce|set|acquire)/, "refused: $$_[0]")
  for (
	[ 'INSERT', 'INSERT INTO late (id) VALUES (11)' ],
	[ 'COPY', "COPY late (id) FROM STDIN;\n11\n\\.\n" ],
	[ 'produce', q{SELECT streamhouse.produce('late', '{"id": 11}'::json)} ],
	[ 'produce_batch', q{SELECT streamhouse.produce_batch('late', '{"{\"id\": 11}"}')} ],
	[ 'produce_bytes', q{SELECT streamhouse.produce_bytes('late', '{"id": 11}')} ],
	[ 'produce_batch_bytes', q{SELECT streamhouse.produce_batch_bytes('late', '{"{\"id\": 11}"}')} ],
	[ 'create_topic', q{SELECT streamhouse.create_topic('another')} ],
	[ 'create_group', q{SELECT streamhouse.create_group('h', 'late')} ],
	[ 'drop_group', q{SELECT streamhouse.drop_group('g', 'late')} ],
	[ 'poll', q{SELECT * FROM streamhouse.poll('g', NULL::late)} ],
	[ 'wait', q{CALL streamhouse.wait('g', 'late', '1 hour')} ],
	[ 'delete_records', q{SELECT streamhouse.delete_records('late', 0, 1)} ],
	[ 'TRUNCATE', 'TRUNCATE late' ],
	[ 'ALTER', q{ALTER FOREIGN TABLE late OPTIONS (SET partitions '2')} ],
	[ 'DROP', 'DROP FOREIGN TABLE late' ],
  );
is(answer($standby, 'SELECT position, lag FROM streamhouse.consumer_lag'), '0|10', 'groups can be looked at');

# a snapshot on the standby stays what it is
my $reader = $standby->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM late');
$primary->safe_psql('postgres', 'INSERT INTO late (id) SELECT generate_series(11, 20)');
$primary->wait_for_catchup($standby);
is($reader->query_safe('SELECT count(*) FROM late'), 10, 'an older snapshot has the older rows');
is($reader->query_safe('SELECT count(*) FROM streamhouse.read(NULL::late, 0, 0)'), 10, 'read() too');
$reader->query_safe('COMMIT');
is($reader->query_safe('SELECT count(*) FROM late'), 20, 'a newer one has the newer rows');

# a gap of the primary ends the ordered prefix of the standby too
SKIP:
{
	skip 'the extension is built without failpoints', 4 if $failpoints eq '0';

	my ($holder, $producer) = map { $primary->background_psql('postgres') } 1 .. 2;
	$holder->query_safe('SELECT pg_advisory_lock(7777)');
	$producer->query_safe(q{SET streamhouse.failpoint = 'sequenced:wait'});
	$producer->query_until(qr/started/, "\\echo started\nINSERT INTO late (id) SELECT generate_series(21, 25);\n");
	$primary->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	$primary->safe_psql('postgres', 'INSERT INTO late (id) VALUES (26)');
	$primary->wait_for_catchup($standby);
	is(answer($standby, 'SELECT max(id) FROM late'), 26, 'SELECT on the standby passes a gap');
	is(answer($standby, 'SELECT max(id) FROM streamhouse.read(NULL::late, 0, 0)'), 20, 'read() stops there');
	$holder->query_safe('SELECT pg_advisory_unlock(7777)');
	$_->quit for $holder, $producer;
	$primary->wait_for_catchup($standby);
	is(answer($standby, 'SELECT max(id), count(*) FROM streamhouse.read(NULL::late, 0, 0)'), '26|26', 'the gap fills, read() goes on');
	offsets_hold($standby, 'late', 'in order');
}

# the primary dies; the session on the standby goes on producing
$primary->safe_psql('postgres', <<~'SQL');
	BEGIN; INSERT INTO late (id) SELECT generate_series(100, 120); ROLLBACK;
	INSERT INTO late (id) VALUES (31);
	SQL
my $last = $primary->safe_psql('postgres', 'SELECT max(_offset) FROM late');
my $rows = $primary->safe_psql('postgres', 'SELECT * FROM late ORDER BY _offset');
$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
is(answer($standby, 'SELECT * FROM late ORDER BY _offset'), $rows, 'every row is there after the failover');
is($reader->query_safe('INSERT INTO late (id) VALUES (32), (33) RETURNING id'), "32\n33",
	'a session from before the promotion produces');
is(answer($standby, 'SELECT id, _offset FROM late WHERE id IN (32, 33) ORDER BY 1'),
	'32|' . ($last + 1) . "\n33|" . ($last + 2), 'at the offsets after the last');
is($reader->query_safe('SELECT first_offset, last_offset FROM streamhouse.last_produced()'),
	($last + 1) . '|' . ($last + 2), 'and is told so');
is(answer($standby, q{SELECT streamhouse.produce('late', '{"id": 34}'::json)}), 0, 'so does a new one');
offsets_hold($standby, 'late', 'in order, none twice');
offsets_hold($standby, 'early', 'nor in a topic that has not been touched');
is(answer($standby, q{SELECT streamhouse.create_topic('new'); INSERT INTO new (key) VALUES ('k'); SELECT _offset FROM new}),
	"new\n0", 'topics can be created');
$reader->quit;

$standby->stop;
done_testing();
