# DROP, TRUNCATE and delete_records() during a flush, at each of its steps, and
# a flush while they are on; many who ask for flushes at once.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;

my $node = new_server('main', 'autovacuum = off', 'max_connections = 40', q{streamhouse.flush_interval = '1h'});

sub sql { return answer($node, @_); }

# Another session, that has this to do; what it has said when it is done.
sub begin
{
	my ($sql) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_until(qr/begun/, "\\echo begun\n$sql;\n");
	return $session;
}

sub end
{
	my ($session) = @_;
	my $result = $session->query('SELECT \'end\'');

	$result .= $session->{stderr};
	$session->quit;
	return $result;
}

sub becomes
{
	my ($sql, $what) = @_;

	return $node->poll_query_until('postgres', $sql) || die "it does not come to: $what";
}

my %rows = (DROP => undef, TRUNCATE => '0|', delete_records => '700|300');
my %command = (
	DROP => 'DROP FOREIGN TABLE d',
	TRUNCATE => 'TRUNCATE d',
	delete_records => q{SELECT streamhouse.delete_records('d', 0, 300)},
);
my $at_failpoint = q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted};
my $make = q{SELECT streamhouse.create_topic('d', 1, 'n int, s text', NULL); INSERT INTO d (n, s) SELECT i, md5(i::text) FROM generate_series(1, 1000) i};
my $left = q{SELECT (SELECT count(*) FROM streamhouse.tail), (SELECT count(*) FROM streamhouse.segment), (SELECT count(*) FROM streamhouse.object), (SELECT count(*) FROM streamhouse.object_data)};

# What the topic is after the command, wherever its rows were.
sub check
{
	my ($name, $what) = @_;

	is(sql('SELECT * FROM streamhouse.verify()'), '', "$what: verify() finds nothing");
	if ($name eq 'DROP')
	{
		is(sql($left), '0|0|0|0', "$what: nothing is left");
		return;
	}
	is(sql('SELECT count(*), min(_offset) FROM d'), $rows{$name}, "$what: the rows that it leaves are there");
	offsets_hold($node, 'd', "$what: SELECT and read() agree");
	sql(q{INSERT INTO d (n) VALUES (1)});
	is(sql(q{SELECT max(_offset) FROM d}), 1000, "$what: offsets go on");
	is(sql(q{SELECT streamhouse.flush('d'); SELECT tail_bytes FROM streamhouse.logs WHERE topic = 'd'::regclass}), "\n0", "$what: it is flushed, and nothing counts as waiting");
	is(sql('SELECT * FROM streamhouse.verify()'), '', "$what: and whole");
	sql('DROP FOREIGN TABLE d');
	is(sql($left), '0|0|0|0', "$what: with the topic all goes");
	return;
}

SKIP:
{
	skip 'the build has no failpoints', 1
	  unless sql(q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});

	for my $place ('flush-encoded', 'flush-stored', 'flush-cataloged')
	{
		for my $name (sort keys %command)
		{
			# the flush succeeds, or fails
			for my $end ('pg_advisory_unlock(7777)', 'pg_cancel_backend(pid)')
			{
				my $what = "$name at $place, " . ($end =~ /unlock/ ? 'which goes on' : 'which fails');
				my $control = $node->background_psql('postgres');

				sql("DO \$\$ BEGIN IF to_regclass('d') IS NOT NULL THEN DROP FOREIGN TABLE d; END IF; END \$\$; $make");
				$control->query_safe('SELECT pg_advisory_lock(7777)');
				sql("ALTER DATABASE postgres SET streamhouse.failpoint = '$place:wait'");
				my $worker = worker_of($node, 'postgres');
				sql("SELECT pg_terminate_backend($worker)");
				worker_of($node, 'postgres', $worker);
				sql('ALTER DATABASE postgres RESET streamhouse.failpoint');
				my $flush = begin(q{SELECT streamhouse.flush('d')});
				becomes($at_failpoint, $place);
				my $command = begin($command{$name});
				becomes(q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'd'::regclass AND NOT granted}, "$what: who waits");
				is(sql('SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = \'Lock\' AND pid IN (SELECT pid FROM pg_locks WHERE relation = \'d\'::regclass AND NOT granted)'), 1, "$what: it waits for the flush");
				if ($end =~ /unlock/)
				{
					$control->query_safe("SELECT $end");
				}
				else
				{
					sql("SELECT $end FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
				}
				unlike(end($command), qr/ERROR/, "$what: it succeeds");
				$control->query_safe('SELECT pg_advisory_unlock_all()');
				my $answer = end($flush);
				# who is told of the failure, or finds another that has succeeded, or nothing to do
				like($answer, $end =~ /unlock/ ? qr/^(?!.*ERROR)/s : qr/^(?!.*ERROR)|could not write a segment/s, "$what: flush() returns");
				check($name, $what);
				$control->quit;
			}
		}
	}
}

# they are there first, and are undone or not
for my $name (sort keys %command)
{
	for my $end ('COMMIT', 'ROLLBACK')
	{
		my $what = "$name, then a flush, $end";

		sql($make);
		my $command = $node->background_psql('postgres');
		$command->query_safe("BEGIN; $command{$name}");
		my $flush = begin($name eq 'delete_records' ? q{SELECT streamhouse.flush('d')} : 'SELECT streamhouse.flush()');
		# DROP and TRUNCATE keep it out, delete_records() only the worker
		becomes($name eq 'delete_records' ?
			  q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%streamhouse.flush(%' AND wait_event IN ('Extension', 'StreamhouseFlushWait') AND pid <> pg_backend_pid()} :
			  q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'd'::regclass AND NOT granted}, $what);
		$command->query_safe($end);
		$command->quit;
		my $answer = end($flush);
		unlike($answer, qr/ERROR/, "$what: flush() returns");
		if ($end eq 'COMMIT')
		{
			check($name, $what);
			next;
		}
		is(sql('SELECT count(*), sum(n) FROM d'), '1000|500500', "$what: every row is there");
		is(sql(q{SELECT records FROM streamhouse.segments}), 1000, "$what: in a segment");
		is(sql('SELECT * FROM streamhouse.verify()'), '', "$what: verify() finds nothing");
		sql('DROP FOREIGN TABLE d');
	}
}

# many who ask at once, of one topic and of all
sql(q{SELECT streamhouse.create_topic('many', 3, 'n int, s text', NULL); SELECT streamhouse.create_topic('more', 2, 'n int, s text', NULL)});
my @sessions = map {
	begin(join ';', map { ("INSERT INTO many (n, s) SELECT i, md5(i::text) FROM generate_series(1, 100) i; INSERT INTO more (n) VALUES ($_)",
			$_ % 3 ? q{SELECT streamhouse.flush('many')} : 'SELECT streamhouse.flush()') } 1 .. 20)
} 1 .. 6;
unlike(end($_), qr/ERROR/, 'flushes at the same time') for @sessions;
is(sql('SELECT count(*), count(DISTINCT (_partition, _offset)), sum(n) FROM many'), '12000|12000|606000', 'every row is there once');
is(sql(q{SELECT streamhouse.flush(); SELECT (SELECT sum(records) FROM streamhouse.segments), (SELECT count(*) FROM streamhouse.tail), (SELECT sum(tail_bytes) FROM streamhouse.logs)}), "\n12120|0|0", 'in segments');
is(sql('SELECT rows, failures FROM streamhouse.stat_flush ORDER BY rows DESC'), "12000|0\n120|0", 'as counted');
is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');
offsets_hold($node, $_, "SELECT and read() agree: $_") for 'many', 'more';

$node->stop;
done_testing();
