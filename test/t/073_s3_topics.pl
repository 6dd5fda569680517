# Topics whose history is in a bucket: the same rows as ever, in one place
# each, whatever step of a flush fails or dies; objects go when nobody needs
# them.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;
use Gateway;
use Lake;

plan skip_all => 'not installed: ' . Gateway->missing if Gateway->missing;

my $gateway = Gateway->new;
my $node = new_server('main', 'restart_after_crash = on', 'autovacuum = off', 'max_prepared_transactions = 2');
my $failpoints = answer($node, q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});

sub sql { return answer($node, @_); }

is(create_lake($node, $gateway), '', 'a server in a bucket');
is(sql(q{SELECT string_agg(step || ' ' || ok, ', ') FROM streamhouse.check_server('lake')}),
	'credentials true, resolve true, connect true, clock true, sign true, list true, put true, create once true, read back true, delete true, owner true',
	'check_server() finds that all works');
is(join(' ', $gateway->client->all_keys('lake/check')), '', 'and leaves nothing behind');

sql(q{SELECT streamhouse.create_topic('t', 1, 'n int, s text', NULL, 'lake')});
sql(q{SELECT streamhouse.create_group('g', 't')});
sql(q{INSERT INTO t (n, s) SELECT i, repeat('x', i % 100) FROM generate_series(1, 2000) i});
is(sql(q{SELECT streamhouse.flush('t')}), '', 'flushed');
my $rows = 'SELECT count(*), count(DISTINCT _offset), sum(n), min(_offset), max(_offset) FROM t';
is(sql($rows), '2000|2000|2001000|0|1999', 'the rows are there');
is(sql('SELECT (SELECT count(*) FROM streamhouse.tail), (SELECT count(*) FROM streamhouse.object_data)'), '0|0', 'and not in the database');
is(sql(q{SELECT count(*), min(state), min(server), bool_and(size > 0) FROM streamhouse.objects}), '1|live|lake|t', 'the view objects has them');
keys_agree($node, $gateway, 'the bucket has what the ledger has');
is(sql(q{SELECT n FROM t WHERE _offset BETWEEN 998 AND 1001 ORDER BY _offset}), "999\n1000\n1001\n1002", 'some of them');
is(sql(q{INSERT INTO t (n) VALUES (2001); SELECT count(*), sum(n) FROM streamhouse.poll('g', NULL::t, max_records => 100000)}), '2001|2003001', 'poll() passes from the bucket into the tail');
offsets_hold($node, 't', 'SELECT and read() agree');
is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');
like(sql('EXPLAIN (ANALYZE, VERBOSE, COSTS off, TIMING off, SUMMARY off) SELECT s FROM t'), qr/Segments Read: 1/, 'EXPLAIN shows segments');

# many blocks: runs of them are fetched ahead
sql(q{CREATE FOREIGN TABLE big (n int, s text) SERVER lake OPTIONS (segment_size '4MB')});
sql(q{INSERT INTO big (n, s) SELECT i, md5(i::text) || md5((i + 1)::text) FROM generate_series(1, 200000) i});
is(sql(q{SELECT streamhouse.flush('big')}), '', 'a larger one flushed');
cmp_ok(sql(q{SELECT sum(blocks) FROM streamhouse.segments WHERE topic = 'big'::regclass}), '>', 40, 'has many blocks');
for my $settings ('', q{SET streamhouse.prefetch = 1; }, q{SET streamhouse.fetch_size = '16kB'; })
{
	is(sql("${settings}SELECT count(*), sum(n), count(DISTINCT s) FROM big"), '200000|20000100000|200000', "all rows are read ($settings)");
}
is(sql('SELECT count(*) FROM (SELECT s FROM big LIMIT 10) x'), 10, 'some rows are read');
is(sql('SELECT sum(n) FROM streamhouse.read(NULL::big, 0, 199990)'), 10 * 199995.5, 'the last ones');
is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');

# a cursor held across a flush
my $cursor = $node->background_psql('postgres');
sql('INSERT INTO t (n) SELECT 0 FROM generate_series(1, 1000)');
$cursor->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT n FROM t; FETCH 10 FROM c');
sql(q{SELECT streamhouse.flush('t')});
is($cursor->query_safe('MOVE ALL FROM c; COMMIT; SELECT count(*) FROM t'), '3001', 'a cursor across a flush');
$cursor->quit;

# what fails or dies at any step
SKIP:
{
	skip 'the build has no failpoints', 1 unless $failpoints;
	for my $place ('flush-encoded', 'flush-uploading', 'flush-stored', 'flush-cataloged')
	{
		sql(q{SET streamhouse.batch_memory = '64kB'; INSERT INTO t (n, s) SELECT i, md5(i::text) FROM generate_series(1, 5000) i});
		sql(q{SET streamhouse.failpoint = 'sequenced:error'; INSERT INTO t (n) VALUES (1), (2), (3)});
		$node->poll_query_until('postgres', q{SELECT stable_offset = next_offset FROM streamhouse.logs WHERE topic = 't'::regclass});
		sql(q{INSERT INTO t (n) VALUES (4)});
		my ($before, $segments) = (sql($rows), sql('SELECT count(*), max(end_offset) FROM streamhouse.segments'));

		if ($place ne 'flush-uploading')
		{
			sql("ALTER DATABASE postgres SET streamhouse.failpoint = '$place:error'");
			new_worker($node);
			my $log = -s $node->logfile;
			fails_with($node, q{SELECT streamhouse.flush('t')}, '55000', 'could not write a segment of partition 0 of topic "t"', "an error at $place reaches who waits");
			like(slurp_file($node->logfile, $log), qr/WARNING:  could not make segments of 1 partition: failpoint "$place"/, 'the log has the cause');
			is(sql('SELECT count(*), max(end_offset) FROM streamhouse.segments'), $segments, 'there is no segment');
			is(sql($rows), $before, 'no row is lost or doubled');
			keys_known($node, $gateway, 'what is in the bucket is in the ledger');
		}

		my ($control, $waiter) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
		$control->query_safe('SELECT pg_advisory_lock(7777)');
		sql("ALTER DATABASE postgres SET streamhouse.failpoint = '$place:wait'");
		new_worker($node);
		my $log = -s $node->logfile;
		$waiter->query_until(qr/asked/, "\\echo asked\nSELECT streamhouse.flush('t');\n");
		$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
		is(sql($rows), $before, "nobody sees what is going on at $place");
		kill 'KILL', sql(q{SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
		wait_until_up($node, $log);
		eval { $_->quit } for $control, $waiter;
		sql('ALTER DATABASE postgres RESET streamhouse.failpoint');
		is(sql($rows), $before, 'killed there, no row is lost or doubled');
		is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');

		new_worker($node);
		is(sql(q{SELECT streamhouse.flush('t')}), '', 'then it is flushed');
		is(sql($rows), $before, 'the rows are there');
		is(sql('SELECT count(*) FROM streamhouse.tail'), 0, 'and nowhere else');
		is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');
		is(sql(q{SELECT count(*) FROM streamhouse.objects WHERE state = 'uploading'}), 0, 'nothing is uploading');
	}
	offsets_hold($node, 't', 'SELECT and read() agree');

	# a void that was encoded stays as it is when a gap after it is closed
	{
		my ($control, $flushing) = map { $node->background_psql('postgres') } 1 .. 2;
		my $failed = q{SET streamhouse.failpoint = 'sequenced:error'; INSERT INTO t (n) VALUES (1), (2)};

		sql('INSERT INTO t (n) VALUES (1)');
		sql($failed);
		$node->poll_query_until('postgres', q{SELECT stable_offset = next_offset FROM streamhouse.logs WHERE topic = 't'::regclass});
		$control->query_safe('SELECT pg_advisory_lock(7777)');
		sql("ALTER DATABASE postgres SET streamhouse.failpoint = 'flush-uploading:wait'");
		sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamhouse worker'});
		$flushing->query_until(qr/asked/, "\\echo asked\nSELECT streamhouse.flush('t');\n\\echo flushed\n");
		$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted})
		  or die 'the worker does not come to the failpoint';
		sql($failed);
		sql('INSERT INTO t (n) VALUES (1)');
		sql('ALTER DATABASE postgres RESET streamhouse.failpoint');
		my $log = -s $node->logfile;
		$control->query_safe('SELECT pg_advisory_unlock(7777)');
		$flushing->query_until(qr/flushed/, '');
		$_->quit for $control, $flushing;
		is(sql(q{SELECT streamhouse.flush('t')}), '', 'flushed, voids and all');
		unlike(slurp_file($node->logfile, $log), qr/could not make segments/, 'and nothing of it failed');
		is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');
	}

	# DDL while an object is on its way
	for my $ddl ('DROP FOREIGN TABLE u', 'TRUNCATE u', q{SELECT streamhouse.delete_records('u', 0, 50)}, 'ALTER FOREIGN TABLE u ADD COLUMN more int')
	{
		my $control = $node->background_psql('postgres');

		sql(q{SELECT streamhouse.create_topic('u', 1, 'n int, s text', NULL, 'lake'); INSERT INTO u (n) SELECT generate_series(1, 100)});
		$control->query_safe('SELECT pg_advisory_lock(7777)');
		sql("ALTER DATABASE postgres SET streamhouse.failpoint = 'flush-uploading:wait'");
		sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamhouse worker'});
		my $flushing = $node->background_psql('postgres', on_error_stop => 0);
		$flushing->query_until(qr/asked/, "\\echo asked\nSELECT streamhouse.flush('u');\n\\echo flushed\n");
		$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted})
		  or die 'the worker does not come to the failpoint';
		unlike(sql($ddl), qr/ERROR/, "$ddl while an object is on its way");
		sql('ALTER DATABASE postgres RESET streamhouse.failpoint');
		$control->query_safe('SELECT pg_advisory_unlock(7777)');
		$flushing->query_until(qr/flushed/, '');
		$_->quit for $control, $flushing;
		is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');
		is(sql('SELECT count(*) FROM u'), $ddl =~ /TRUNCATE/ ? 0 : $ddl =~ /delete/ ? 50 : 100, 'the rows are as they should be') if $ddl !~ /^DROP/;
		sql('DROP FOREIGN TABLE IF EXISTS u');
	}
	new_worker($node);
}

# objects that nobody needs are deleted
cmp_ok(sql(q{SELECT count(*) FROM streamhouse.objects WHERE state IN ('orphan', 'garbage')}), '>', 0, 'some objects are not needed any more');
keys_agree($node, $gateway, 'they are there for a while') unless $failpoints;
sql(q{ALTER SYSTEM SET streamhouse.gc_grace = 0; ALTER SYSTEM SET streamhouse.orphan_age = 0});
sql(q{ALTER SYSTEM SET streamhouse.maintenance_interval = '1s'});
$node->reload;
sql(q{SELECT streamhouse.delete_records('big', 0, 100000)});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM streamhouse.objects WHERE state <> 'live'}), 'and then deleted');
keys_agree($node, $gateway, 'the bucket has what the ledger has');
is(sql('SELECT count(*) FROM big'), 100000, 'what is needed is there');
# not while somebody may look
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t');
sql('DROP FOREIGN TABLE big');
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM streamhouse.objects WHERE state = 'garbage' AND changed_at < now() - interval '2 s'}), 'not while a snapshot may show a segment in it');
$reader->query_safe('COMMIT');
$reader->quit;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM streamhouse.objects WHERE state <> 'live'}), 'but then');
is(scalar(grep { !m{^lake/owner/} } $gateway->client->all_keys('lake/')), sql('SELECT count(*) FROM streamhouse.object'), 'nothing else is in the bucket');
like($gateway->client->get('lake/owner/0000000001'), qr/^incarnation [0-9a-f]{16}\nsystem \d+\ndatabase \d+\ntimeline 1\n$/, 'whose it is, says a key');

# damage
my ($key) = $gateway->client->all_keys('lake/data/');
$gateway->client->corrupt($key, 500);
like(error_of($node, 'SELECT sum(n), max(s) FROM t'), qr/ERROR:  XX001: damaged object \d+.*DETAIL:  Bytes \d+ to \d+, of partition 0 of topic "t"/s, 'a flipped bit is an error');
like(sql('SELECT string_agg(problem, $$;$$) FROM streamhouse.verify()'), qr/damaged object/, 'and verify() finds it');
$gateway->client->remove($key);
fails_with($node, 'SELECT sum(n), max(s) FROM t', 'XX001', qr/object \d+ is missing or too short/, 'an object that is not there');
like(sql('SELECT string_agg(problem, $$;$$) FROM streamhouse.verify()'), qr/missing/, 'and verify() finds it');

# the keys are in no place where they do not belong
my $secret = $gateway->secret_key;
unlike(slurp_file($node->logfile), qr/\Q$secret\E/, 'the secret is not in the log');
is(sql("SELECT count(*) FROM (SELECT o::text FROM streamhouse.objects o UNION ALL SELECT s::text FROM pg_settings s UNION ALL SELECT a::text FROM pg_stat_activity a WHERE pid <> pg_backend_pid()) x (v) WHERE v LIKE '%$secret%'"), 0, 'nor in a view');
$node->stop;
done_testing();
