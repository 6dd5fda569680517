# A psql at the end of two pipes, for processes that a test has forked: it
# writes to no log, starts quickly, and the end of the server is an answer.
package PipedPsql;

use strict;
use warnings FATAL => 'all';
use IO::Select;
use IPC::Open3;
use PostgreSQL::Test::Utils;

# A new session; whether it has come about shows its first run().
sub new
{
	my ($class, $connstr) = @_;
	my $self = { buffer => '', marker => 0 };

	local $ENV{PGCONNECT_TIMEOUT} = $PostgreSQL::Test::Utils::timeout_default;
	# what it has to say and its errors in one stream, in their order
	$self->{pid} = open3($self->{in}, $self->{out}, undef, 'psql', '-XAt', '-v', 'VERBOSITY=sqlstate', '-d', $connstr, '-f', '-');
	$self->{in}->autoflush(1);
	$self->{ready} = IO::Select->new($self->{out});
	return bless $self, $class;
}

# Runs SQL and returns what psql prints; undef if the session is lost, of
# which $self->{buffer} then has the last words.
sub run
{
	my ($self, $sql) = @_;
	my $marker = '= ' . ++$self->{marker} . " =\n";

	local $SIG{PIPE} = 'IGNORE';
	print { $self->{in} } "$sql\n\\echo $marker" or return undef;
	while (1)
	{
		if ($self->{buffer} =~ /\A(.*?)^\Q$marker\E/ms)
		{
			# it does not always notice at once that there is no server
			return undef if $1 =~ /^psql:[^\n]*(?:server closed the connection|connection to server)/m;
			$self->{buffer} = '';
			return $1;
		}
		$self->{ready}->can_read($PostgreSQL::Test::Utils::timeout_default) or die "no answer to $sql\n";
		sysread($self->{out}, $self->{buffer}, 65536, length $self->{buffer}) or return undef;
	}
}

# Ends the session, in the middle of whatever it is in.
sub quit
{
	my ($self) = @_;

	close $self->{in};
	close $self->{out};
	waitpid $self->{pid}, 0;
	return;
}

1;
