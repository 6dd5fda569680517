# Services that give keys, as Amazon's do, and a store that takes the newest:
# one process that answers on a port of this machine.
#
#	my $services = KeyServices->new;
#	$services->give('key1', 3600);		# access key, and lifetime in seconds
#	$services->give('key1 key2', 3600);	# one after the other, the last for ever
#	$services->fail(500, 'body');		# instead; give() ends it
#	$services->url; $services->asked;	# requests since the last asked()
#
# The secret that goes with an access key is secret-KEY, the token token-KEY.
package KeyServices;

use strict;
use warnings FATAL => 'all';
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;

sub new
{
	my ($class) = @_;
	my $self = bless { dir => PostgreSQL::Test::Utils::tempdir() }, $class;
	my $socket = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		Listen => 20,
		ReuseAddr => 1) or die "no port: $!";

	$self->{port} = $socket->sockport;
	$self->give('none', 3600);
	append_to_file("$self->{dir}/log", '');
	$self->{owner} = $$;
	$self->{pid} = fork // die "fork: $!";
	if ($self->{pid} == 0)
	{
		eval { $self->serve($socket) };
		print STDERR $@;
		POSIX::_exit(1);
	}
	close $socket;
	return $self;
}

sub DESTROY
{
	my ($self) = @_;

	return unless $self->{owner} == $$ && $self->{pid};
	local $?;
	kill 'KILL', $self->{pid};
	waitpid $self->{pid}, 0;
	return;
}

sub url { my ($self) = @_; return "http://127.0.0.1:$self->{port}"; }

# What is answered from now on: replaced as a whole.
sub state
{
	my ($self, @state) = @_;
	my $file = "$self->{dir}/state";

	append_to_file("$file.new", join("\n", @state));
	rename "$file.new", $file or die "rename: $!";
	return;
}
sub give { my ($self, $key, $lifetime) = @_; return $self->state(200, $key, $lifetime); }
sub fail { my ($self, $status, $body) = @_; return $self->state($status, $body // '', 0); }

# The requests that were made since this was last called, one a line.
sub asked
{
	my ($self) = @_;
	my $from = $self->{seen} // 0;

	$self->{seen} = -s "$self->{dir}/log";
	return slurp_file("$self->{dir}/log", $from);
}

# --- in the process ----------------------------------------------------------

sub serve
{
	my ($self, $socket) = @_;

	while (1)
	{
		my $client = $socket->accept or next;
		my $head = '';
		while (my $line = <$client>)
		{
			last if $line eq "\r\n";
			$head .= $line;
		}
		next if $head eq '';
		my ($length) = $head =~ /^content-length: *(\d+)/mi;
		my $body = '';
		read $client, $body, $length if $length;
		my ($request) = $head =~ /^(.*) HTTP/;
		append_to_file("$self->{dir}/log", $request . ($body ne '' ? " $body" : '') . "\n");
		my ($status, $answer) = $self->answer($request, $head);
		print $client "HTTP/1.1 $status Whatever\r\nContent-Length: " . length($answer) . "\r\nConnection: close\r\n\r\n$answer";
		close $client;
	}
	return;
}

sub answer
{
	my ($self, $request, $head) = @_;
	my $state = slurp_file("$self->{dir}/state");
	my ($status, $keys, $lifetime) = split /\n/, $state, 3;
	my $expires = POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $lifetime));
	my ($path) = $request =~ /^\S+ ([^?]*)/;
	$self->{queue} = { state => $state, keys => [ split / /, $keys ] } unless $self->{queue} && $self->{queue}{state} eq $state;
	my $key = $self->{queue}{keys}[0] // '';
	my $roles = '/latest/meta-data/iam/security-credentials/';
	my $given = sub { shift @{ $self->{queue}{keys} } if @{ $self->{queue}{keys} } > 1; return (200, $_[0]); };
	my $json = qq({"Code" : "Success", "AccessKeyId" : "$key", "SecretAccessKey" : "secret-$key", "Token" : "token-$key", "Expiration" : "$expires"});

	return $self->store($head) if $path =~ m{^/bucket};
	return ($status, $keys) if $status != 200;
	if ($path eq '/latest/api/token')
	{
		return $request =~ /^PUT/ && $head =~ /^x-aws-ec2-metadata-token-ttl-seconds: *\d+\r/mi ? (200, 'session') : (400, '');
	}
	return (401, '') if $path =~ /^$roles/ && $head !~ /^x-aws-ec2-metadata-token: *session\r/mi;
	return (200, 'my+role') if $path eq $roles;
	return $given->($json) if $path eq "${roles}my%2Brole";
	return $head =~ /^authorization: *permit\r/mi ? $given->($json) : (403, '') if $path eq '/container';
	return $given->(
		"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>$key</AccessKeyId>"
		  . "<SecretAccessKey>secret-$key</SecretAccessKey><SessionToken>token-$key</SessionToken><Expiration>$expires</Expiration>"
		  . '</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>') if $request =~ m{^POST /$};
	return (404, '');
}

# A bucket with nothing in it.
sub store
{
	my ($self, $head) = @_;
	my (undef, $keys) = split /\n/, slurp_file("$self->{dir}/state"), 3;
	my ($key) = $keys =~ /(\S+)$/;

	return (403, '<Error><Code>InvalidAccessKeyId</Code><Message>unknown</Message></Error>')
	  unless $head =~ m{^authorization: .*Credential=\Q$key\E/}mi && $head =~ /^x-amz-security-token: token-\Q$key\E\r/mi;
	return (200, '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>');
}

1;
