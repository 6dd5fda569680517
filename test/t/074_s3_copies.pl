# Copies of a database know the same objects in the same bucket: each writes
# apart, and only the one that holds the bucket deletes.
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
my @settings = ('streamhouse.gc_grace = 0', 'streamhouse.orphan_age = 0', 'streamhouse.maintenance_interval = 1', 'autovacuum = off');
my $primary = new_server('primary', { allows_streaming => 1, has_archiving => 1 }, @settings);
my $rows = 'SELECT md5(string_agg(t::text, chr(10) ORDER BY _partition, _offset)), count(*) FROM t';

sub owners { return scalar $gateway->client->all_keys('lake/owner/'); }
sub sound
{
	my ($node, $what, $dbname) = @_;

	is(answer($node, 'SELECT * FROM streamhouse.verify()', $dbname), '', "verify() finds nothing: $what");
	return;
}

# Adds rows and has them in the bucket.
sub fill
{
	my ($node, $dbname) = @_;

	answer($node, q{INSERT INTO t (id, pad) SELECT i, repeat(md5(i::text), i % 20) FROM generate_series(1, 1000) i}, $dbname);
	return answer($node, q{SELECT streamhouse.flush('t')}, $dbname);
}

# Rounds of deleting that a database's worker has had: each lists owners.
sub rounds { my ($node, $dbname) = @_; return answer($node, q{SELECT lists FROM streamhouse.stat_servers WHERE server = 'lake'}, $dbname); }

# Makes an object garbage, and waits until the worker has looked at it twice.
sub throw_away
{
	my ($node, $dbname) = @_;

	$dbname //= 'postgres';
	is(fill($node, $dbname), '', 'flushed');
	answer($node, q{SELECT streamhouse.delete_records('t', 0, (SELECT max(end_offset) FROM streamhouse.segments))}, $dbname);
	return;
}
sub let_look
{
	my ($node, $dbname) = @_;
	my $before = rounds($node, $dbname);

	return $node->poll_query_until($dbname // 'postgres', "SELECT lists >= $before + 2 FROM streamhouse.stat_servers WHERE server = 'lake'");
}
my $garbage = q{SELECT count(*) FROM streamhouse.objects WHERE state IN ('garbage', 'orphan')};
sub deletes_nothing
{
	my ($node, $name, $dbname) = @_;

	throw_away($node, $dbname);
	let_look($node, $dbname);
	return cmp_ok(answer($node, $garbage, $dbname), '>', 0, $name);
}
sub deletes
{
	my ($node, $name, $dbname) = @_;

	throw_away($node, $dbname);
	return ok($node->poll_query_until($dbname // 'postgres', "SELECT ($garbage) = 0"), $name);
}

create_lake($primary, $gateway);
answer($primary, q{SELECT streamhouse.create_topic('t', 1, columns => 'id int, pad text', key => NULL, server => 'lake')});
is(fill($primary), '', 'history in a bucket');
deletes($primary, 'the first one to write holds the bucket, and deletes');
is(owners(), 1, 'one key says so');
is(fill($primary), '', 'more');
my $then = answer($primary, $rows);
$primary->backup('base');

# a copy by TEMPLATE
answer($primary, 'CREATE DATABASE copy TEMPLATE postgres');
is(answer($primary, $rows, 'copy'), $then, 'a copy by TEMPLATE reads the same objects');
is(fill($primary, 'copy'), '', 'it writes');
is(fill($primary), '', 'and so does the origin');
sound($primary, 'origin');
sound($primary, 'copy', 'copy');
my %dirs = map { m{^(lake/data/[0-9a-f]+)/} ? ($1 => 1) : () } $gateway->client->all_keys('lake/data/');
is(scalar keys %dirs, 2, 'apart from each other');
deletes_nothing($primary, 'the copy deletes nothing', 'copy');
sound($primary, 'origin');
deletes($primary, 'the origin does');
is(answer($primary, q{SELECT streamhouse.take_over('lake')}, 'copy'), '', 'the copy takes over');
is(owners(), 2, 'another key says so');
ok($primary->poll_query_until('copy', "SELECT ($garbage) = 0"), 'now it deletes');
deletes($primary, 'what it throws away', 'copy');
deletes_nothing($primary, 'and the origin has noticed');
is(answer($primary, q{SELECT streamhouse.take_over('lake')}), '', 'the origin takes it back');
ok($primary->poll_query_until('postgres', "SELECT ($garbage) = 0"), 'and deletes again');
answer($primary, 'DROP DATABASE copy');
like(answer($primary, q{SELECT detail FROM streamhouse.check_server('lake') WHERE step = 'owner'}), qr/this database/, 'check_server() says who holds the bucket');

# a copy of the data directory, both running
is(fill($primary), '', 'more');
$then = answer($primary, $rows);
$primary->backup('second');
my $clone = PostgreSQL::Test::Cluster->new('clone');
$clone->init_from_backup($primary, 'second');
$clone->append_conf('postgresql.conf', 'archive_mode = off');
$clone->start;
is(answer($clone, 'SELECT timeline_id FROM pg_control_checkpoint()'), answer($primary, 'SELECT timeline_id FROM pg_control_checkpoint()'), 'a clone of the data directory, on the same timeline');
is(answer($clone, $rows), $then, 'reads the same objects');
deletes_nothing($clone, 'and deletes nothing');
sound($primary, 'origin of a clone');
deletes($primary, 'the origin does');
like(answer($clone, q{SELECT detail FROM streamhouse.check_server('lake') WHERE step = 'owner'}), qr/another database/, 'check_server() says so');
$clone->stop;

# a point in time
is(fill($primary), '', 'more');
$then = answer($primary, $rows);
answer($primary, q{SELECT pg_create_restore_point('then')});
answer($primary, 'SELECT pg_switch_wal()');
is(fill($primary), '', 'more');
my $past = PostgreSQL::Test::Cluster->new('past');
$past->init_from_backup($primary, 'second', has_restoring => 1, standby => 0);
$past->append_conf('postgresql.conf', "recovery_target_name = 'then'\nrecovery_target_action = 'promote'\narchive_mode = off\n");
$past->start;
$past->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is(answer($past, $rows), $then, 'at a point in time the rows of then are there');
deletes_nothing($past, 'it deletes nothing');
sound($primary, 'the present');
$past->stop;

# a standby
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'second', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
is(answer($standby, $rows), answer($primary, $rows), 'a standby reads from the bucket');
fails_with($standby, q{SELECT streamhouse.take_over('lake')}, '25006', 'cannot execute take_over', 'but does not take it over');
answer($primary, q{INSERT INTO t (id) VALUES (0)});
$primary->wait_for_catchup($standby);
my $now = answer($primary, $rows);
my $owners = owners();
$primary->stop('immediate');
$standby->promote;
is(answer($standby, $rows), $now, 'promoted, it has all rows');
deletes($standby, 'it takes over by itself, and deletes');
is(owners(), $owners + 1, 'as a key says');
$primary->start;
deletes_nothing($primary, 'the old primary, should it come back, does not');
sound($standby, 'promoted');
is(answer($primary, q{SELECT streamhouse.take_over('lake')}), '', 'it can take over again');
deletes_nothing($standby, 'from which the promoted one does not take it back');
deletes($primary, 'so it is the one that deletes');
$_->stop for $primary, $standby;
done_testing();
