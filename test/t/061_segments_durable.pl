# Segments in the database are as durable as the database: a standby has them
# and goes on with them, and so do a base backup, a point in time and a copy.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;

my $primary = new_server('primary', { allows_streaming => 1, has_archiving => 1 });

# What is the same wherever the rows are.
my $rows = 'SELECT md5(string_agg(t::text, chr(10) ORDER BY _partition, _offset)), count(*) FROM t';
my $read = 'SELECT md5(string_agg(r::text, chr(10))), count(*) FROM streamhouse.read(NULL::t, 1, 0, 100000, 1000000000) r';
my $segments = 'SELECT * FROM streamhouse.segments ORDER BY topic, partition, end_offset';

sub sound
{
	my ($node, $what, $dbname) = @_;

	is(answer($node, 'SELECT * FROM streamhouse.verify()', $dbname), '', "verify() finds nothing: $what");
	offsets_hold($node, 't', "SELECT and read() agree: $what", $dbname);
	return;
}

sub fill
{
	my ($node, $dbname) = @_;

	return answer($node, q{INSERT INTO t (_partition, id, pad) SELECT i % 2, i, repeat(md5(i::text), i % 20) FROM generate_series(1, 1000) i}, $dbname);
}

answer($primary, q{SELECT streamhouse.create_topic('t', 2, columns => 'id int, pad text', key => NULL, options => '{"segment_size": "64kB"}')});
fill($primary);
answer($primary, q{SELECT streamhouse.flush('t')});
$primary->backup('base');
fill($primary);

# a standby
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
my $old = $standby->background_psql('postgres');
my $before = answer($primary, $rows);
is($old->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; $rows"), $before, 'a standby has the rows, in segments and in the tail');
answer($primary, q{SELECT streamhouse.flush('t')});
fill($primary);
$primary->wait_for_catchup($standby);
is(answer($standby, $_), answer($primary, $_), "as on the primary: $_") for $rows, $read, $segments;
is($old->query_safe($rows), $before, 'an old snapshot sees what it saw');
$old->quit;
fails_with($standby, q{SELECT streamhouse.flush('t')}, '25006', 'cannot execute flush', 'a standby does not flush');
fails_with($standby, q{SELECT streamhouse.delete_records('t', 0, 1)}, '25006', 'cannot execute delete_records', 'nor delete');
sound($standby, 'on a standby');

# a point in time: between two flushes
answer($primary, q{SELECT pg_create_restore_point('then')});
my $then = answer($primary, $rows);
answer($primary, q{SELECT streamhouse.flush('t')});
answer($primary, q{SELECT streamhouse.delete_records('t', 0, 700)});
fill($primary);
answer($primary, 'SELECT pg_switch_wal()');
$primary->wait_for_catchup($standby);

# promoted
my $now = answer($primary, $rows);
$primary->stop;
$standby->promote;
is(answer($standby, $rows), $now, 'promoted, the rows are there');
sound($standby, 'promoted');
fill($standby);
is(answer($standby, q{SELECT streamhouse.flush('t')}), '', 'it flushes');
is(answer($standby, 'SELECT count(*) FROM streamhouse.tail'), 0, 'all of it');
sound($standby, 'promoted and flushed');

# a copy of the database
$now = answer($standby, $rows);
answer($standby, 'CREATE DATABASE copy TEMPLATE postgres');
is(answer($standby, $rows, 'copy'), $now, 'a copy has the rows');
sound($standby, 'in a copy', 'copy');
fill($standby, 'copy');
is(answer($standby, q{SELECT streamhouse.flush('t')}, 'copy'), '', 'it flushes');
sound($standby, 'in a copy, flushed', 'copy');
is(answer($standby, $rows), $now, 'which the original does not see');
$standby->stop;

# a backup, and a point in time
my $backup = PostgreSQL::Test::Cluster->new('backup');
$backup->init_from_backup($primary, 'base', has_restoring => 1);
$backup->append_conf('postgresql.conf', "recovery_target_name = 'then'\nrecovery_target_action = 'promote'\narchive_mode = off\n");
$backup->start;
$backup->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is(answer($backup, $rows), $then, 'at a point in time the rows of then are there');
sound($backup, 'at a point in time');
fill($backup);
is(answer($backup, q{SELECT streamhouse.flush('t')}), '', 'it flushes');
sound($backup, 'at a point in time, flushed');
$backup->stop;
done_testing();
