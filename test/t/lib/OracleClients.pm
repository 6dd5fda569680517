# The clients of the oracle (060_oracle.pl).  Each is a process with a log of
# what it did and saw, with the time of one clock before a COMMIT was sent and
# after it had returned.  They go on through the loss of their sessions and of
# the server, at whatever server $dir/primary names, until they are told to
# stop: producers by $dir/stop-producers, the others by $dir/stop.
package OracleClients;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use POSIX ();
use Time::HiRes qw(clock_gettime usleep CLOCK_MONOTONIC);
use PipedPsql;
use PostgreSQL::Test::Utils;
use RandomRows qw(any int_in);

our @EXPORT = qw(start_client stop_clients await_clients produce_once @TOPICS);

our @TOPICS = ('t', 'u');
my %PARTITIONS = (t => 4, u => 2);

# What may happen to any client: serialization failures, a cancel and what
# comes after it, termination, crash, start.
my $EXPECTED = qr/40001|40P01|57014|57P0[1-3]/;

my ($dir, $seed, $failpoints);
my $test = $$;
my ($name, $session, $server);    # of this process
my %log;
my %children;

# Forks a client.  'server' is the connection string of one that does not
# follow the primary.
sub start_client
{
	my ($role, $id, %how) = @_;
	($dir, $seed, $failpoints) = @how{qw(dir seed failpoints)};
	my $pid = fork // die "fork: $!";

	if ($pid)
	{
		$children{$pid} = "$role $id";
		return;
	}
	# leave without what the test does at its end
	my $ok = eval {
		($name, $server) = ("$role-$id", $how{server});
		srand($seed * 100 + length($role) * 10 + $id);
		no strict 'refs';
		&{ \&{"run_$role"} }($id);
		1;
	};
	write_log('error', $name, $@ =~ s/[\t\n\\]/ /gr) if !$ok;
	close $_ for values %log;
	POSIX::_exit($ok ? 0 : 1);
}

# Tells clients to stop, by the name of the file that they look for.
sub stop_clients
{
	my ($file) = @_;
	append_to_file("$dir/$file", '');
	return;
}

# Waits for clients of a role; returns those that failed.
sub await_clients
{
	my ($role) = @_;
	my @failed;

	for my $pid (grep { $children{$_} =~ /^$role / } keys %children)
	{
		waitpid $pid, 0;
		push @failed, $children{$pid} if $? != 0;
		delete $children{$pid};
	}
	return @failed;
}

END { kill 'KILL', keys %children if %children; }

sub now { return clock_gettime(CLOCK_MONOTONIC); }

sub write_log
{
	my ($table, @values) = @_;
	if (!$log{$table})
	{
		open $log{$table}, '>>', "$dir/$table.$name.tsv" or die $!;
	}
	print { $log{$table} } join("\t", map { $_ // '\N' } @values), "\n";
	return;
}

# Runs SQL in this client's session, in a new one if it has been lost.  $may
# is an error that it may meet besides those that any may.
sub run
{
	my ($sql, $may) = @_;

	die "the test has ended\n" if $$ != $test && getppid() != $test;
	$session //= PipedPsql->new(($server // slurp_file("$dir/primary")) . " application_name=oracle-$name");
	my $answer = $session->run($sql);
	# the first error counts; the others come of it
	if (($answer // $session->{buffer}) =~ /^psql:<stdin>:\d+: (?:ERROR|FATAL|PANIC):  (\w{5})$/m
		&& $1 !~ $EXPECTED && $1 ne ($may // ''))
	{
		write_log('error', $name, "$1: " . substr($sql, 0, 300) =~ s/[\t\n\\]/ /gr);
	}
	drop_session() if !defined $answer;
	return $answer;
}

sub drop_session
{
	$session->quit if $session;
	undef $session;
	# the server may be down: not at once again
	usleep(int_in(5_000, 50_000));
	return;
}

# --- producers ----------------------------------------------------------------

# The transaction at hand: its number, the next n by topic, and what of its
# rows is to be there if it commits, as runs of n.
my ($producer, $tx, %n, @runs);

# Rows for a topic, as a statement.
sub rows
{
	my ($topic, $count, $width) = @_;
	my ($from, $to) = ($n{$topic} // 1, ($n{$topic} // 1) + $count - 1);
	my $way = rand;

	$n{$topic} = $to + 1;
	push @runs, [ $topic, $from, $to ];
	return
	  join("\n", "COPY $topic (producer, tx, n, k, pad) FROM STDIN;",
		(map { join "\t", $producer, $tx, $_, int_in(0, 20), 'x' x $width } $from .. $to), '\.', '\r')
	  if $way < .2 && $count < 200;
	my $partition = $way < .4 ? "i % $PARTITIONS{$topic}" : $way < .6 ? int_in(0, $PARTITIONS{$topic} - 1) : 'NULL::int';
	my $key = $way < .8 ? q{(i * 7 % 13)::text} : 'NULL';
	return qq{INSERT INTO $topic (_partition, producer, tx, n, k, pad) SELECT $partition, $producer, $tx, i, $key,
		(SELECT string_agg(md5((i * j)::text), '') FROM generate_series(0, $width / 32) j) FROM generate_series($from, $to) i;};
}

sub nested
{
	my ($depth) = @_;
	my $before = @runs;
	my $sql = "SAVEPOINT s$depth;\n";

	for (1 .. int_in(1, 3))
	{
		$sql .= rand() < .3 && $depth < 4 ? nested($depth + 1) : rows(any(@TOPICS), int_in(1, 30), 50) . "\n";
	}
	return "${sql}RELEASE s$depth;\n" if rand() < .5;
	$#runs = $before - 1;
	return "${sql}ROLLBACK TO s$depth;\n";
}

# What else there is in the transaction, by kind.
my %kind = (
	batch => sub { return rows(any(@TOPICS), int_in(1, 100), int_in(0, 300)); },
	topics => sub { return join "\n", map { rows($_, int_in(1, 20), 30) } @TOPICS, @TOPICS; },
	nested => sub { return rows('t', 1, 10) . "\n" . nested(1) . nested(1) . rows('t', 2, 10); },
	large => sub {
		return "SET LOCAL streamhouse.batch_memory = '64kB';\n"
		  . join '', map { rand() < .3 ? nested(1) : rows(any(@TOPICS), int_in(1, 60), 3000) . "\n" } 1 .. int_in(2, 5);
	},
	serializable => sub {
		return 'SELECT sum(n) FROM counter; UPDATE counter SET n = n + 1 WHERE id = ' . int_in(1, 4) . ";\n" . rows('t', int_in(1, 5), 20);
	},
	failpoint => sub {
		my $place = any('before-sequencing', 'sequenced', 'inserted');
		return "SET LOCAL streamhouse.failpoint = '$place:" . any('error', 'wait', 'wait') . "';\n" . rows(any(@TOPICS), int_in(1, 20), 20);
	});

sub ledger
{
	my %rows;
	$rows{ $$_[0] } += $$_[2] - $$_[1] + 1 for @runs;
	return join ', ', map { "($producer, $tx, '$_', $rows{$_})" } sort keys %rows;
}

sub write_outcome
{
	my ($sent, $answer) = @_;
	my $outcome = !defined $sent ? 'failed'
	  : !defined $answer ? 'unknown'
	  : $answer =~ /^(?:COMMIT|INSERT 0 \d+)$/m ? 'committed'
	  : 'failed';

	write_log('attempt', $producer, $tx, $sent, $outcome eq 'committed' ? now() : undef, $outcome);
	write_log('run', $producer, $tx, @$_) for @runs;
	return;
}

# One transaction with a kind of body; 'setting' goes before all.
sub transaction
{
	my ($kind, $setting) = @_;
	my $body = $kind{$kind}->();
	my $begin = $kind eq 'serializable' ? 'BEGIN ISOLATION LEVEL SERIALIZABLE' : 'BEGIN';
	my $ledger = @runs ? 'INSERT INTO ledger VALUES ' . ledger() . ';' : '';
	my $answer = run("$begin; $setting\n$body\n$ledger");

	if (defined $answer && ($answer =~ /ERROR|FATAL/ || ($setting eq '' && rand() < .1)))
	{
		rand() < .2 ? drop_session() : run('ROLLBACK;');
		return write_outcome();
	}
	return write_outcome() if !defined $answer;
	my $sent = now();
	return write_outcome($sent, run('COMMIT;', $body =~ /:error/ ? 'XX000' : undef));
}

# One row, in a statement that is a transaction.
sub single_row
{
	@runs = ([ any(@TOPICS), 1, 1 ]);
	my $topic = $runs[0][0];
	my $sent = now();
	return write_outcome($sent, run(
		"WITH l AS (INSERT INTO ledger VALUES " . ledger() . ") INSERT INTO $topic (producer, tx, n, k) VALUES ($producer, $tx, 1, '" . int_in(0, 20) . "');"));
}

# As 'producer', a transaction in the calling process whose backend crashes at a place.
sub produce_once
{
	(my $place, $name, $producer, $tx, $dir) = @_;

	(%n, @runs) = ();
	transaction('batch', "SET streamhouse.failpoint = '$place:crash';");
	drop_session();
	# no client inherits them
	close $_ for values %log;
	%log = ();
	return;
}

sub run_producer
{
	($producer) = @_;
	my @kinds = (('single') x 8, ('batch') x 4, 'topics', 'nested', 'large', 'serializable', 'serializable', $failpoints ? ('failpoint') x 2 : ());

	for ($tx = 1; !-e "$dir/stop-producers"; $tx++)
	{
		my $kind = any(@kinds);
		(%n, @runs) = ();
		$kind eq 'single' ? single_row() : transaction($kind, '');
	}
	return;
}

# --- those who read -------------------------------------------------------------

# Consumers write results in the transaction that polls.
sub run_consumer
{
	my ($id) = @_;
	my $group = 'g' . $id % 2;

	while (!-e "$dir/stop")
	{
		my $topic = any(@TOPICS);
		my $poll = sub {
			my $timeout = any('0', '0', '20 ms');
			return "INSERT INTO results (grp, topic, p, o, producer, tx, n) SELECT '$group', '$topic', _partition, _offset, producer, tx, n
				FROM streamhouse.poll('$group', NULL::$topic, " . any(1, 20, 500) . ", timeout => '$timeout');\n";
		};
		my $answer = run('BEGIN ISOLATION LEVEL ' . any('READ COMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE') . ";\n"
			  . (rand() < .2 ? 'SAVEPOINT s; ' . $poll->() . 'ROLLBACK TO s; ' : '')
			  . $poll->()
			  . (rand() < .3 ? $poll->() : '')
			  . (rand() < .1 ? 'ROLLBACK;' : 'COMMIT;'));
		run("CALL streamhouse.wait('$group', '$topic', '100 ms');") if ($answer // '') =~ /INSERT 0 0/;
	}
	return;
}

# Rows as they came, with the time when they had.
sub write_seen
{
	my ($topic, $answer) = @_;
	my $at = now();
	my @rows = map { [ split /\|/ ] } $answer =~ /^(\d+\|\S+)$/mg;

	write_log('seen', $name, $at, $topic, @$_) for @rows;
	return @rows;
}

# Goes along each partition by read(), also under older snapshots.
sub run_reader
{
	my %next;
	my $last = 0;

	while (!$last)
	{
		$last = -e "$dir/stop";
		for my $topic (@TOPICS)
		{
			for my $p (0 .. $PARTITIONS{$topic} - 1)
			{
				my $answer;
				do
				{
					my $limit = any(1, 50, 1000);
					my $read = "SELECT _partition, _offset, producer, tx, n FROM streamhouse.read(NULL::$topic, $p, " . ($next{"$topic$p"} // 0) . ", $limit);";
					my $old = !$last && rand() < .1;
					$answer = run($old ? "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'snapshot' FROM counter LIMIT 1; SELECT 'later' FROM pg_sleep(0.01); $read COMMIT;" : $read);
					my @rows = defined $answer && $answer !~ /ERROR|FATAL/ ? write_seen($topic, $answer) : ();
					$next{"$topic$p"} = $rows[-1][1] + 1 if @rows;
					# at the end nothing may be left
					$answer = undef if $last && @rows;
				} while ($last && (!defined $answer || $answer =~ /ERROR|FATAL/));
			}
		}
	}
	return;
}

# Looks at the end of the topics by SELECT, and remembers what it saw there:
# it has to be there the next time.  Now and then it compares with the ledger.
sub run_observer
{
	my (%seen, %low);

	while (!-e "$dir/stop")
	{
		for my $topic (@TOPICS)
		{
			my $p = int_in(0, $PARTITIONS{$topic} - 1);
			my $key = "$topic$p";
			my $low = $low{$key} // 0;
			my $answer = run("SELECT _partition, _offset, producer, tx, n FROM $topic WHERE _partition = $p AND _offset >= $low;");
			next if !defined $answer || $answer =~ /ERROR|FATAL/;
			my %now = map { my @r = split /\|/; $r[1] => $_ } $answer =~ /^(\d+\|\S+)$/mg;
			my @gone = grep { ($now{$_} // '') ne $seen{$key}{$_} } keys %{ $seen{$key} };
			write_log('error', $name, "rows of $topic, partition $p, are gone or changed: @gone; the answer was " . substr($answer, 0, 300) =~ s/[\t\n\\]/ /gr) if @gone;
			write_seen($topic, join '', map { "$now{$_}\n" } sort { $a <=> $b } grep { !defined $seen{$key}{$_} } keys %now);
			my $high = (sort { $b <=> $a } keys %now)[0];
			$low = $low{$key} = $high - 300 if defined $high && $high - 600 > $low;
			$seen{$key} = { map { $_ => $now{$_} } grep { $_ >= $low } keys %now };
		}
		if (rand() < .05)
		{
			my $answer = run("SELECT 'unlike: ' || string_agg((c.producer, c.tx, l.producer, l.tx)::text, ' ') FROM (" . join(' UNION ALL ', map { "SELECT '$_' AS topic, producer, tx, count(*) AS rows FROM $_ GROUP BY 2, 3" } @TOPICS)
				  . ') c FULL JOIN ledger l USING (topic, producer, tx, rows) WHERE c.topic IS NULL OR l.topic IS NULL;');
			write_log('error', $name, "topics and ledger differ in one snapshot, $1") if ($answer // '') =~ /^(unlike.{1,200})/m;
		}
	}
	return;
}

# Holds up, for a while, who waits at a failpoint.
sub run_holder
{
	while (!-e "$dir/stop-producers")
	{
		run('SELECT pg_advisory_xact_lock(7777), pg_sleep(' . rand(.1) . ');');
		usleep(int_in(10_000, 200_000));
	}
	return;
}

1;
