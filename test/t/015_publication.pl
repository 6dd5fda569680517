# A publication FOR ALL TABLES does not hinder topics, and a subscriber that
# has topics of its own gets nothing foreign into them, and loses nothing.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $publisher = new_server('publisher', { allows_streaming => 'logical' });
my $subscriber = new_server('subscriber', { allows_streaming => 'logical' });

# what was there before the subscription comes with its copy, if at all
my $both = <<~'SQL';
	SELECT streamhouse.create_topic('t', 2, columns => 'id int', key => NULL);
	SELECT streamhouse.create_topic('u', columns => 'id int, pad text', key => NULL);
	CREATE TABLE plain (id int PRIMARY KEY);
	INSERT INTO u (id) VALUES (0);
	SQL
$publisher->safe_psql('postgres', $both);
$subscriber->safe_psql('postgres', $both);
$publisher->safe_psql('postgres', 'INSERT INTO t (id) SELECT generate_series(1, 10); INSERT INTO plain VALUES (1)');
$subscriber->safe_psql('postgres', 'INSERT INTO t (id) SELECT generate_series(101, 110)');
my $state = q{SELECT (SELECT string_agg(t::text, ' ' ORDER BY topic_id) FROM streamhouse.topic t),
	(SELECT string_agg(l::text, ' ' ORDER BY log_id) FROM streamhouse.log l),
	(SELECT string_agg(t::text, ' ' ORDER BY log_id, end_offset) FROM streamhouse.tail t)};
# what of a flush comes, or goes, with a publication's rows
my $history = q{SELECT (SELECT string_agg(s::text, ' ' ORDER BY log_id, end_offset) FROM streamhouse.segment s),
	(SELECT string_agg(o::text, ' ' ORDER BY object_id) FROM streamhouse.object o),
	(SELECT md5(string_agg(d::text, ' ' ORDER BY object_id, chunk_no)) FROM streamhouse.object_data d)};
# the subscriber has segments with the numbers that the publisher's will have
$subscriber->safe_psql('postgres', q{SELECT streamhouse.flush('u')});
my $before = answer($subscriber, $state);
my $kept = answer($subscriber, $history);
like($kept, qr/^\(.*\|.*l,\)\|\w{32}$/, 'the subscriber has a segment');

$publisher->safe_psql('postgres', 'CREATE PUBLICATION p FOR ALL TABLES');
(my $connection = $publisher->connstr('postgres')) =~ s{'}{}g;
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION '$connection' PUBLICATION p");
$publisher->wait_for_catchup('s');
$subscriber->poll_query_until('postgres', q{SELECT count(*) > 0 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel});
is(answer($subscriber, 'SELECT string_agg(id::text, chr(32)) FROM plain'), '1', 'a table is copied');
is(answer($subscriber, $state), $before, 'topics are not');

# all that a topic can do, on the publisher
sub on_publisher
{
	my ($what, $sql, $expected) = @_;

	is(answer($publisher, $sql), $expected, "under a publication FOR ALL TABLES: $what");
	return;
}
on_publisher('INSERT', 'INSERT INTO t (id) SELECT generate_series(11, 20); SELECT count(*) FROM t', 20);
on_publisher('large rows', q{INSERT INTO u (id, pad) SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 10000) i; SELECT count(*) FROM u}, 2);
on_publisher('flush', q{SELECT streamhouse.flush(); SELECT (SELECT sum(records) FROM streamhouse.segments), (SELECT count(*) FROM streamhouse.tail), (SELECT count(*) FROM t), (SELECT count(*) FROM u)}, "\n22|0|20|2");
on_publisher('delete_records', q{SELECT streamhouse.delete_records('u', 0, 1); SELECT count(*), min(_offset) FROM streamhouse.read(NULL::u, 0, 1); SELECT * FROM streamhouse.verify()}, "1\n1|1");
on_publisher('produce_batch', q{SELECT streamhouse.produce_batch('t', '{"{\"id\": 21}"}'); SELECT count(*) FROM t}, "1\n21");
on_publisher('ROLLBACK TO', 'BEGIN; INSERT INTO t (id) VALUES (22); SAVEPOINT s; INSERT INTO t (id) VALUES (23); ROLLBACK TO s; COMMIT; SELECT count(*) FROM t', 22);
on_publisher('ALTER', q{ALTER FOREIGN TABLE t RENAME TO t2; ALTER FOREIGN TABLE t2 OPTIONS (SET partitions '4'); ALTER FOREIGN TABLE t2 ADD x text;
	ALTER FOREIGN TABLE u RENAME id TO i; SELECT count(*) FROM streamhouse.logs}, 5);
on_publisher('CREATE and DROP', q{SELECT streamhouse.create_topic('v'); INSERT INTO v (key) VALUES ('k'); DROP FOREIGN TABLE v, t2; SELECT count(*) FROM streamhouse.logs}, "v\n1");
on_publisher('TRUNCATE', q{TRUNCATE u; SELECT (SELECT count(*) FROM u), (SELECT count(*) FROM streamhouse.object), (SELECT count(*) FROM streamhouse.tail)}, '0|0|0');
on_publisher('flush again', q{INSERT INTO u (i) VALUES (1); SELECT streamhouse.flush('u'); SELECT (SELECT count(*) FROM u), (SELECT sum(records) FROM streamhouse.segments), (SELECT count(*) FROM streamhouse.tail)}, "\n1|1|0");
on_publisher('new topics', q{SELECT streamhouse.create_topic('t'); INSERT INTO t (key) SELECT generate_series(1, 10); SELECT count(*) FROM t}, "t\n10");
offsets_hold($publisher, 'u', 'in order');

# the subscriber, meanwhile and afterwards
my $more = 'INSERT INTO t (id) SELECT generate_series(111, 120)';
is(answer($subscriber, $more), '', 'the subscriber produces');
$publisher->safe_psql('postgres', 'INSERT INTO plain VALUES (2)');
$publisher->wait_for_catchup('s');
is(answer($subscriber, 'SELECT string_agg(id::text, chr(32) ORDER BY id) FROM plain'), '1 2', 'the subscriber keeps up');
is( answer($subscriber, q{SELECT (SELECT string_agg(t::text, ' ' ORDER BY topic_id) FROM streamhouse.topic t),
		(SELECT string_agg(l::text, ' ' ORDER BY log_id) FROM streamhouse.log l)}),
	$before =~ s/\|[^|]*$//r, 'its own topics are registered as before');
is( answer($subscriber, q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM t}),
	join(' ', 101 .. 120), 'its rows are its own');
is(answer($subscriber, 'SELECT count(*) FROM u'), 1, 'of each topic');
is(answer($subscriber, $history), $kept, 'its segments, too');
is(answer($subscriber, 'SELECT streamhouse.flush(); SELECT sum(records) FROM streamhouse.segments'), "\n21", 'it flushes its own');
is(answer($_, 'SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing') for $publisher, $subscriber;
offsets_hold($subscriber, 't', 'in order');
is( answer($subscriber, 'INSERT INTO t (id) VALUES (121); SELECT count(*) FROM t; DROP FOREIGN TABLE t, u; SELECT count(*) FROM streamhouse.tail'),
	"21\n0", 'they can be used and dropped, and nothing foreign is left');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION s');

# a subscriber without topics of its own
$subscriber->safe_psql('postgres', 'DROP EXTENSION streamhouse CASCADE; CREATE EXTENSION streamhouse; TRUNCATE plain');
$publisher->safe_psql('postgres', q{SELECT streamhouse.create_topic('w'); INSERT INTO w (key) SELECT generate_series(1, 10)});
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION '$connection' PUBLICATION p");
$subscriber->poll_query_until('postgres', q{SELECT count(*) > 0 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel});
$publisher->safe_psql('postgres', q{INSERT INTO w (key) SELECT generate_series(1, 10); DROP FOREIGN TABLE w; INSERT INTO plain VALUES (3)});
$publisher->wait_for_catchup('s');
is(answer($subscriber, q{SELECT (SELECT count(*) FROM plain), (SELECT count(*) FROM streamhouse.topic), (SELECT count(*) FROM streamhouse.log),
	(SELECT count(*) FROM streamhouse.tail), pg_relation_size('streamhouse.tail')}), '3|0|0|0|0', 'a subscriber without topics gets none');

$_->stop for $subscriber, $publisher;
done_testing();
