# Rows are produced, consumed, flushed into small segments, scanned and deleted
# while columns come and go, the server crashes, and standbys take over: every
# committed row that was not deleted is there exactly once, by every way of
# reading.  Set STH_SEED to repeat a run.
#
#	soak();			history in the database
#	soak(server => 'lake', settings => [...], begin => sub { my ($node) = @_; ... }, ...);
#
# Called are begin, with the server when it is there; bad_days, when a round's
# jobs are running, which returns what ends them; and end, with the server when
# all is flushed.
package Soak;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

our @EXPORT = qw(soak);

my ($node, $dir, $failpoints);

sub sql { return answer($node, @_); }

# Every row has its twin in a table, committed with it, and again when it is
# consumed, and when it is deleted.
sub set_up
{
	my ($server) = @_;

	sql(<<~'SQL' =~ s/SERVER/$server/r);
		SELECT streamhouse.create_topic('t', 3, 'id bigint, pad text', NULL, 'SERVER');
		SELECT streamhouse.create_group('g', 't');
		CREATE SEQUENCE ids;
		CREATE TABLE produced (id bigint PRIMARY KEY, pad text);
		CREATE TABLE consumed (id bigint PRIMARY KEY, pad text);
		CREATE TABLE deleted (id bigint PRIMARY KEY);
		CREATE PROCEDURE add(n int, size int) LANGUAGE plpgsql AS $$
		BEGIN
			WITH r AS (INSERT INTO produced SELECT nextval('ids'), left(repeat(md5(i::text), 1 + size / 32), (random() * size)::int) FROM generate_series(1, n) i RETURNING *)
			INSERT INTO t (id, pad) SELECT * FROM r;
		END $$;
		CREATE PROCEDURE forget(part int, share float) LANGUAGE plpgsql AS $$
		DECLARE
			before_offset bigint := (SELECT start_offset + ((stable_offset - start_offset) * share)::bigint FROM streamhouse.logs WHERE topic = 't'::regclass AND partition = part);
		BEGIN
			INSERT INTO deleted SELECT id FROM t WHERE _partition = part AND _offset < before_offset;
			PERFORM streamhouse.delete_records('t', part, before_offset);
		END $$;
		SQL
	return;
}

my %script = (
	single => 'CALL add(1, 100);',
	batch => 'CALL add(40, 300);',
	staged => q{SET streamhouse.batch_memory = '64kB'; CALL add(2000, 100); RESET streamhouse.batch_memory;},
	large => 'CALL add(1, 100000);',
	rollback => 'BEGIN; CALL add(20, 100); SAVEPOINT s; CALL add(20, 100); ROLLBACK TO s; CALL add(1, 10); COMMIT; BEGIN; CALL add(5, 50); ROLLBACK;',
	poll => q{BEGIN; INSERT INTO consumed SELECT id, pad FROM streamhouse.poll('g', NULL::t, 300); COMMIT;},
	forget => 'CALL forget((random() * 2)::int, random() * 0.2);',
	scan => 'SELECT count(*) = count(DISTINCT (_partition, _offset)) FROM t;',
);
$script{void} = q{\set ON_ERROR_STOP off
SET streamhouse.failpoint = 'sequenced:error'; CALL add(3, 10); RESET streamhouse.failpoint;};

sub all_there
{
	my ($what) = @_;

	is(sql(<<~'SQL'), '0|0', "every row is there once, $what");
		SELECT count(*) FILTER (WHERE p.id IS NULL OR (t.id IS NULL) <> (d.id IS NOT NULL) OR (d.id IS NULL AND t.pad IS DISTINCT FROM p.pad)), count(*) - count(DISTINCT coalesce(t.id, -p.id))
		FROM t FULL JOIN produced p ON p.id = t.id LEFT JOIN deleted d ON d.id = coalesce(t.id, p.id)
		SQL
	offsets_hold($node, 't', "SELECT and read() agree, $what");
	is(sql('SELECT * FROM streamhouse.verify()'), '', "verify() finds nothing, $what");
	return;
}

# Until somebody has produced more, or all jobs are done.
sub goes_on
{
	my $n = sql('SELECT count(*) FROM produced');

	1 while sql('SELECT count(*) FROM produced') <= $n && grep { $_->pumpable } @_;
	return;
}

# A standby of the server, which is up to date.
sub new_standby
{
	my ($name) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);

	$node->backup($name);
	$standby->init_from_backup($node, $name, has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby);
	return $standby;
}

sub run_round
{
	my ($round, $opt) = @_;
	my @jobs;
	my $crashes = rand() < .5;
	# in one round at least
	my $standby = $round == 2 || rand() < .3 ? new_standby("standby$round") : undef;
	my $log = -s $node->logfile;

	for my $name (sort keys %script)
	{
		next if $name eq 'void' && !$failpoints;
		my $file = $dir . "/$name.sql";
		my $times = { single => 150, batch => 60, staged => 4, large => 6, rollback => 20, poll => 60, forget => 5, scan => 10, void => 6 }->{$name};

		append_to_file($file, "$script{$name}\n" x $times) unless -e $file;
		push @jobs, IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-f', $file ],
			'<', '/dev/null', '>', "$file.out", '2>', "$file.err");
	}
	my $over = $opt->{bad_days} ? $opt->{bad_days}->() : undef;
	for (1 .. 6)
	{
		my $what = int rand 5;
		sql('ALTER FOREIGN TABLE t ADD COLUMN extra int') if $what == 0;
		sql('ALTER FOREIGN TABLE t DROP COLUMN IF EXISTS extra') if $what == 1;
		sql(q{SELECT streamhouse.flush('t')}) if $what == 2;
		is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing, meanwhile') if $what == 3;
		sql('VACUUM') if $what == 4;
		goes_on(@jobs);
	}
	if ($standby)
	{
		# the primary is gone, with what the standby has not got
		$node->stop('immediate');
		$standby->promote;
		$node = $standby;
	}
	elsif ($crashes)
	{
		my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type IN ('client backend', 'streamhouse worker') AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1});
		kill 'KILL', $pid;
		wait_until_up($node, $log);
	}
	$over->() if $over;
	eval { $_->finish } for @jobs;
	unlike(slurp_file($dir . '/scan.sql.out'), qr/f/, 'a scan sees no offset twice');
	for my $name (sort grep { -e $dir . "/$_.sql.err" } keys %script)
	{
		my $errors = join '', grep { /ERROR/ && !/failpoint|recovery mode|starting up|administrator command|the columns of topic "t" have changed since the statement began/ } split /^/, slurp_file($dir . "/$name.sql.err");
		is($errors, '', "nothing else fails: $name");
	}
	$node->restart if rand() < .3;
	all_there("round $round" . ($standby ? ', on a standby that was promoted' : $crashes ? ', after a crash' : ''));
	return;
}

sub soak
{
	my (%opt) = @_;
	my $seed = $ENV{STH_SEED} || int(rand(2**31));
	my $rounds = $ENV{STH_TEST_LONG} ? 60 : 3;

	srand($seed);
	diag("seed $seed");
	$node = new_server('main', { allows_streaming => 1 }, 'restart_after_crash = on', 'max_connections = 40',
		q{streamhouse.segment_size = '64kB'}, q{streamhouse.flush_interval = '1s'}, @{ $opt{settings} // [] });
	$dir = $node->basedir;
	$failpoints = answer($node, q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});
	$opt{begin}->($node) if $opt{begin};
	set_up($opt{server} // 'streamhouse');
	run_round($_, \%opt) for 1 .. $rounds;

	# what is left is flushed, and consumed
	sql(q{SELECT streamhouse.flush('t')});
	is(sql('SELECT count(*) FROM streamhouse.tail'), 0, 'all of it is in segments');
	all_there('in segments');
	cmp_ok(sql('SELECT count(*) FROM streamhouse.segments'), '>=', 3, 'of every partition');
	sql(q{INSERT INTO consumed SELECT id, pad FROM streamhouse.poll('g', NULL::t, 1000000, 1000000000)});
	is(sql('SELECT count(*) FROM (TABLE produced EXCEPT ALL TABLE consumed) x WHERE id NOT IN (TABLE deleted)'), 0, 'every row was consumed');
	cmp_ok(sql('SELECT count(*) FROM deleted'), '>', 0, 'or deleted');
	is(sql('SELECT count(*) FROM (TABLE consumed EXCEPT ALL TABLE produced) x'), 0, 'once');
	$opt{end}->($node) if $opt{end};
	$node->stop;
	return;
}

1;
