# Gaps that nobody has noted where they arose: after a crash, above more rows
# than the worker looks back at.  A flush that meets one notes it, so that it
# is closed and the flush goes on.  What the worker cannot look at when it
# starts, because somebody has it locked, it looks at again.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;

my $node = new_server('main', 'autovacuum = off');

sub sql { return answer($node, @_); }

# A gap as a crash leaves it: of a committed row's offset nothing is left.
sub make_gap
{
	my ($topic, $end) = @_;

	sql('ALTER TABLE streamhouse.tail DISABLE TRIGGER ignore_write');
	is(sql(qq{WITH gone AS (DELETE FROM streamhouse.tail WHERE end_offset = $end AND log_id =
			(SELECT log_id FROM streamhouse.log JOIN streamhouse.topic USING (topic_id) WHERE relid = '$topic'::regclass) RETURNING 1)
		SELECT count(*) FROM gone}), 1, "$topic gets a gap");
	sql('ALTER TABLE streamhouse.tail ENABLE ALWAYS TRIGGER ignore_write');
	return;
}

# What the tail has of a topic: where rows end, voids with a V.  Asked in a way
# that opens no log.
sub tail_of
{
	my ($topic) = @_;

	return qq{SELECT coalesce(string_agg(CASE get_byte(frame, 0) & 7 WHEN 3 THEN 'V' ELSE '' END || end_offset, ' ' ORDER BY end_offset), 'nothing')
		FROM streamhouse.tail JOIN streamhouse.log USING (log_id) JOIN streamhouse.topic USING (topic_id) WHERE relid = '$topic'::regclass};
}

sub becomes
{
	my ($query, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres', "SELECT ($query) = '$expected'"), $name)
	  || diag(sql($query));
}

sub set_workers
{
	my ($n) = @_;

	sql('ALTER SYSTEM ' . (defined $n ? "SET streamhouse.max_workers = $n" : 'RESET streamhouse.max_workers'));
	$node->reload;
	return;
}

# met by a flush
sql(q{SELECT streamhouse.create_topic('t', 1, 'n int', NULL)});
sql("INSERT INTO t (n) VALUES ($_)") for 1 .. 4;
make_gap('t', 2);
is(sql("SET statement_timeout = '${PostgreSQL::Test::Utils::timeout_default}s'; SELECT streamhouse.flush('t')"), '', 'a flush goes past a gap that nobody knew of');
is(sql('SELECT string_agg(base_offset || $$-$$ || end_offset || $$:$$ || records, $$ $$ ORDER BY base_offset) FROM streamhouse.segments'), '0-1:1 1-4:2', 'it is a void of the segment that begins with it');
is(sql('SELECT voids, offsets_voided FROM streamhouse.stat_topics'), '1|1', 'which the worker has written');
is(sql(tail_of('t')), 'nothing', 'and nothing is left in the tail');

# Two topics with gaps, of which one is locked when a worker starts, in a server
# that knows of neither: not open, and not noted.
sql(qq{CREATE FOREIGN TABLE $_ (n int) SERVER streamhouse OPTIONS (flush_interval '1s')}) for 'locked', 'free';
sql(q{ALTER SYSTEM SET streamhouse.flush_interval = '1d'});
set_workers(0);
ok(no_worker($node, 'postgres'), 'no worker');
for my $topic ('locked', 'free')
{
	sql("INSERT INTO $topic (n) VALUES ($_)") for 1 .. 4;
	make_gap($topic, 2);
}
$node->restart;
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; ALTER FOREIGN TABLE locked ALTER n SET DEFAULT 1');
set_workers(undef);
becomes(q{SELECT sum(records) FROM streamhouse.segments WHERE topic = 'free'::regclass}, 3, 'a worker that starts closes the gap and flushes');
is(sql(tail_of('locked')), '1 3 4', 'but not of a topic that is locked');
$locker->query_safe('COMMIT');
$locker->quit;
becomes(q{SELECT sum(records) FROM streamhouse.segments WHERE topic = 'locked'::regclass}, 3, 'of that too when it is not locked any more');
is(sql(tail_of('locked')), 'nothing', 'all of it');
is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');
is(sql(q{SELECT string_agg(n::text, ' ') FROM streamhouse.read(NULL::locked, 0, 0)}), '1 3 4', 'the rows are there');

$node->stop;
done_testing();
