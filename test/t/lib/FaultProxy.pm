# A proxy between the extension and its store that makes bad days, request by
# request: test/s3/fault_proxy.py, which says what rules can do.
#
#	my $proxy = FaultProxy->new(target => $gateway->host);
#	... endpoint => $proxy->endpoint
#	$proxy->fault(kind => 'put', count => 1, reset => 'after');
#	is($proxy->count(kind => 'head'), 1);
#
# It ends with the test.
package FaultProxy;

use strict;
use warnings FATAL => 'all';
use File::Basename;
use File::Temp ();
use IPC::Open2;
use JSON::PP;
use re ();
use Time::HiRes qw(sleep time);

my $PROGRAM = dirname(__FILE__) . '/../../s3/fault_proxy.py';
my $TIMEOUT = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 180;
my $json = JSON::PP->new->utf8->canonical;
my %proxies;

# Options: target, host:port of the store; tls, whether it speaks TLS, with a
# certificate for 127.0.0.1 and localhost of an authority of its own (ca_file).
sub new
{
	my ($class, %opt) = @_;
	my $self = bless { owner => $$ }, $class;
	my @certificate = $opt{tls} ? $self->make_certificate : ();

	$self->{scheme} = $opt{tls} ? 'https' : 'http';
	$self->{pid} = open2($self->{out}, $self->{in}, 'setpriv', '--pdeathsig', 'KILL', 'python3', '-B', $PROGRAM, $opt{target}, @certificate);
	$proxies{$self} = $self;
	$self->{port} = $self->tell('listening')->{port};
	return $self;
}

sub endpoint { my ($self) = @_; return "$self->{scheme}://127.0.0.1:$self->{port}"; }
sub ca_file { my ($self) = @_; return "$self->{certificates}/ca.pem"; }

# --- what it does -------------------------------------------------------------

# Adds a rule, after those there are; returns its number.
sub fault { my ($self, %rule) = @_; return $self->tell('fault', %rule)->{id}; }

# Forgets a rule, or all, and lets go on what is held.
sub clear { my ($self, $id) = @_; $self->tell('clear', defined $id ? (id => $id + 0) : ()); return; }

# Lets go on what is held; the rules go on holding others.
sub release { my ($self) = @_; $self->tell('release'); return; }

# Of each connection: rtt and jitter in ms, rate in MiB/s; none: as it is.
sub link { my ($self, %link) = @_; $self->tell('link', %link); return; }

# Resets all connections and refuses new ones, or lets all of them hang, until
# they are accepted again.
sub refuse { my ($self) = @_; $self->tell('connections', as => 'refused'); return; }
sub hang { my ($self) = @_; $self->tell('connections', as => 'unanswered'); return; }
sub accept { my ($self) = @_; $self->tell('connections', as => 'accepted'); return; }

# --- what it has seen ---------------------------------------------------------

sub reset { my ($self) = @_; $self->tell('reset'); return; }

# Numbers, as the program tells them.
sub seen { my ($self) = @_; return $self->tell('seen'); }

# [ms, requests, bytes] in flight since the last reset.
sub timeline { my ($self) = @_; return @{ $self->tell('timeline')->{timeline} }; }

# The requests of which all this is true: fields as the program records them;
# a value may be a pattern.
sub requests
{
	my ($self, %is) = @_;

	for my $value (grep { ref eq 'Regexp' } values %is)
	{
		my ($pattern, $flags) = re::regexp_pattern($value);
		$flags =~ s/[^imsx]//g;
		$value = { like => ($flags ne '' ? "(?$flags)" : '') . $pattern };
	}
	return @{ $self->tell('requests', where => \%is)->{requests} };
}

sub count { my ($self, %is) = @_; my @requests = $self->requests(%is); return scalar @requests; }

# Waits until there have been so many of them.
sub await
{
	my ($self, $count, %is) = @_;
	my $end = time + $TIMEOUT;

	while ($self->count(%is) < $count)
	{
		die "timed out waiting for $count requests\n" if time > $end;
		sleep 0.02;
	}
	return;
}

# How often a rule has been applied.
sub hits { my ($self, $id) = @_; return $self->seen->{hits}{$id}; }

# --- the program --------------------------------------------------------------

sub tell
{
	my ($self, $command, %arguments) = @_;

	print { $self->{in} } $json->encode({ do => $command, %arguments }), "\n";
	$self->{in}->flush;
	my $line = readline($self->{out}) // die "the fault proxy has ended\n";
	my $answer = $json->decode($line);
	die "fault proxy: $answer->{error}\n" if defined $answer->{error};
	return $answer;
}

sub make_certificate
{
	my ($self) = @_;
	my $dir = $self->{certificates} = File::Temp->newdir('tls-XXXXXX', TMPDIR => 1);
	my $names = "$dir/names";

	open my $file, '>', $names or die "$names: $!";
	print $file "subjectAltName = IP:127.0.0.1, DNS:localhost, DNS:s3.localhost, DNS:*.s3.localhost\n";
	close $file or die "$names: $!";
	openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority),
		'-keyout', "$dir/ca.key", '-out', "$dir/ca.pem");
	openssl(qw(req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=store),
		'-keyout', "$dir/key.pem", '-out', "$dir/request.pem");
	openssl(qw(x509 -req -days 2 -CAcreateserial), '-in', "$dir/request.pem", '-CA', "$dir/ca.pem", '-CAkey', "$dir/ca.key",
		'-extfile', $names, '-out', "$dir/certificate.pem");
	return ("$dir/certificate.pem", "$dir/key.pem");
}

sub openssl
{
	my @arguments = @_;
	my $pid = open2(my $out, my $in, 'sh', '-c', 'exec openssl "$@" 2>&1', 'sh', @arguments);

	close $in;
	my $said = join '', <$out>;
	waitpid $pid, 0;
	die "openssl @arguments: $said\n" if $? != 0;
	return;
}

# Ends it, and all connections through it.
sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} // return;

	kill 'KILL', $pid;
	waitpid $pid, 0;
	return;
}

END
{
	# how the test ended is not for us to say
	local $?;
	$_->stop for grep { $_->{owner} == $$ } values %proxies;
}

1;
