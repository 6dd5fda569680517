# A real S3 server for tests: Ceph's gateway, radosgw, with the least of a
# cluster behind it (one monitor, one OSD that keeps its objects in memory).
# It runs as whoever runs the test, in a directory of its own, on free ports
# of 127.0.0.1, and starts in two or three seconds.
#
#	my $gateway = Gateway->new;
#	... url 's3://bucket/prefix' with $gateway->endpoint, access_key, secret_key
#	$gateway->client->all_keys('prefix/')				as S3Client.pm has it
#	$gateway->kill; ... $gateway->start;			the gateway alone
#
# Processes end with the test, however it ends: at END by their pids, else, if
# the test is killed, by the kernel (setpriv --pdeathsig).
#
# As a program, "perl -Itest/t/lib -MGateway -e Gateway::serve", it prints the
# settings of a gateway that runs until its input ends.
package Gateway;

use strict;
use warnings FATAL => 'all';
use File::Spec;
use File::Temp ();
use HTTP::Tiny;
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use S3Client;
use Time::HiRes qw(sleep time);

my @PROGRAMS = qw(monmaptool ceph ceph-mon ceph-osd radosgw radosgw-admin);
my $TIMEOUT = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 180;

# The gateways of this process.
my %gateways;

# Names the programs that are not there; a test without a gateway is skipped.
# Where scripts/test has installed them (STH_TEST_GATEWAY) they have to be.
sub missing
{
	my @missing = grep {
		my $program = $_;
		!grep { -x "$_/$program" } split /:/, $ENV{PATH}
	} @PROGRAMS;

	die "not installed: @missing\n" if @missing && $ENV{STH_TEST_GATEWAY};
	return "@missing";
}

# Starts a cluster and makes a user and a bucket.  Options: log, a file for
# what the daemons say.
sub new
{
	my ($class, %opt) = @_;
	my $dir = File::Temp->newdir('s3-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{PG_TEST_NOCLEAN});
	my $self = bless {
		dir => $dir,
		owner => $$,
		pid => {},
		log => File::Spec->rel2abs($opt{log} // default_log() // "$dir/log"),
		access_key => 'STREAMHOUSETESTACCESS',
		# with what a signature must not stumble over
		secret_key => 'test/secret+key=000000000000000000000000',
		bucket => 'streamhouse-test',
	}, $class;

	$gateways{$self} = $self;
	# another may take a port between the look at it and its use
	for my $attempt (1 .. 3)
	{
		last if eval { $self->start_cluster; 1 };
		$self->kill_all;
		die $@ . $self->last_words if $attempt == 3;
	}
	$self->client->make_bucket;
	return $self;
}

sub access_key { return $_[0]{access_key}; }
sub secret_key { return $_[0]{secret_key}; }
sub bucket { return $_[0]{bucket}; }
sub host { return "127.0.0.1:$_[0]{port}"; }
sub endpoint { return 'http://' . $_[0]->host; }
sub region { return 'us-east-1'; }

# For bucket.s3.localhost: virtual-host style, where the client's resolver
# knows that names below localhost are this machine.
sub virtual_endpoint { return "http://s3.localhost:$_[0]{port}"; }

# A client of the bucket; options as S3Client->new has them.
sub client
{
	my ($self, %opt) = @_;
	return S3Client->new((map { $_ => $self->$_ } qw(endpoint access_key secret_key bucket region)), %opt);
}

# --- the gateway alone --------------------------------------------------------

sub start
{
	my ($self) = @_;

	$self->spawn('radosgw', qw(-n client.rgw));
	$self->wait_for('the gateway to answer', sub {
		HTTP::Tiny->new(timeout => 5)->get($self->endpoint)->{status} == 200;
	}, 'radosgw');
	return;
}

# Lets it finish what it is at; kill() does not.
sub stop { my ($self) = @_; return $self->end('radosgw', 'TERM'); }
sub kill { my ($self) = @_; return $self->end('radosgw', 'KILL'); }

# It keeps its connections and answers nothing, until resume().
sub pause
{
	my ($self) = @_;
	my $pid = $self->{pid}{radosgw};

	CORE::kill 'STOP', $pid;
	# none of its threads runs any more
	$self->wait_for('the gateway to stop', sub {
		!grep { slurp($_) !~ /\) [Tt] / } glob "/proc/$pid/task/*/stat";
	}, 'radosgw');
	return;
}

sub resume { my ($self) = @_; CORE::kill 'CONT', $self->{pid}{radosgw}; return; }

# --- its keys -----------------------------------------------------------------

# Gives the user another pair of keys; the present ones stay.
sub add_key
{
	my ($self, $access_key, $secret_key) = @_;

	$self->admin(qw(key create --key-type s3 --uid test --access-key), $access_key, '--secret-key', $secret_key);
	return;
}

# The gateway refuses the key from now on.
sub remove_key
{
	my ($self, $access_key) = @_;

	$self->admin(qw(key rm --key-type s3 --uid test --access-key), $access_key);
	return;
}

sub admin
{
	my ($self, @arguments) = @_;
	return $self->run('radosgw-admin', '-n', 'client.rgw', @arguments);
}

# --- the cluster --------------------------------------------------------------

sub start_cluster
{
	my ($self) = @_;
	my $dir = $self->{dir};
	my $uuid = uuid();

	($self->{port}, $self->{mon_port}) = free_ports(2);
	my $mon = "[v2:127.0.0.1:$self->{mon_port}]";
	$self->write_configuration($mon);
	system('rm', '-rf', "$dir/mon", "$dir/osd", "$dir/rgw") == 0 or die;
	mkdir "$dir/$_" or die "$dir/$_: $!" for qw(osd rgw);

	$self->run(qw(monmaptool --clobber --create --fsid), $self->{fsid}, '--addv', 'a', $mon, "$dir/monmap");
	$self->run(qw(ceph-mon --mkfs -i a --monmap), "$dir/monmap");
	$self->spawn(qw(ceph-mon -i a));
	$self->wait_for('the monitor to listen', sub {
		IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{mon_port});
	}, 'ceph-mon');
	$self->run('ceph', 'osd', 'new', $uuid);
	$self->run(qw(ceph-osd -i 0 --mkfs --osd-uuid), $uuid);
	$self->spawn(qw(ceph-osd -i 0));
	$self->admin(qw(user create --uid test --display-name test --access-key), $self->access_key, '--secret-key', $self->secret_key);
	$self->start;
	return;
}

# What is not Ceph's default, and why:
# - No authentication between daemons, and so no encryption either: "crc", or
#   they wait for five minutes.  Messages of one machine.
# - tcp_nodelay: without it a small answer takes 40 ms.
# - paxos: a change of the cluster takes 50 ms instead of a second.
# - osd client watch: how long a change of keys waits for a gateway that was killed.
# - One OSD may be all there is, and no disk is full.
# - kms: keys for SSE-KMS come from here; names are those of the keys.
sub write_configuration
{
	my ($self, $mon) = @_;
	my $dir = $self->{dir};
	my $kms_key = 'c3RyZWFtaG91c2UgdGVzdCBrZXkgMDEyMzQ1Njc4OUE=';

	$self->{fsid} = uuid();
	open my $file, '>', "$dir/ceph.conf" or die "$dir/ceph.conf: $!";
	print $file <<~CONF;
		[global]
		fsid = $self->{fsid}
		mon host = $mon
		public addr = 127.0.0.1
		cluster addr = 127.0.0.1
		ms bind ipv6 = false
		ms bind msgr1 = false
		auth cluster required = none
		auth service required = none
		auth client required = none
		auth allow insecure global id reclaim = false
		ms mon client mode = crc
		ms mon cluster mode = crc
		ms mon service mode = crc
		ms cluster mode = crc
		ms service mode = crc
		ms client mode = crc
		paxos propose interval = 0.05
		paxos min wait = 0.01
		keyring = $dir/keyring
		run dir = $dir
		pid file =
		admin socket =
		crash dir = $dir
		log file = $self->{log}
		mon cluster log file = $self->{log}
		log to stderr = false
		err to stderr = true
		debug mon = 0
		debug osd = 0
		osd pool default size = 1
		osd pool default min size = 1
		osd pool default pg num = 8
		osd pool default pgp num = 8
		osd pool default pg autoscale mode = off
		osd crush chooseleaf type = 0
		mon allow pool size one = true
		mon max pg per osd = 2000
		mon osd full ratio = .95
		mon osd backfillfull ratio = .92
		mon osd nearfull ratio = .90
		mon data avail crit = 1
		mon data avail warn = 1
		[mon]
		mon data = $dir/mon
		[osd]
		osd data = $dir/osd
		osd objectstore = memstore
		memstore device bytes = 4294967296
		osd crush update on start = true
		osd crush initial weight = 1
		osd class update on start = false
		osd numa auto affinity = false
		osd client watch timeout = 2
		[client.rgw]
		rgw data = $dir/rgw
		rgw frontends = beast endpoint=127.0.0.1:$self->{port} tcp_nodelay=1
		rgw dns name = s3.localhost
		rgw thread pool size = 64
		rgw enable usage log = false
		rgw enable ops log = false
		rgw run sync thread = false
		rgw enable lc threads = false
		rgw enable gc threads = false
		rgw override bucket index max shards = 1
		rgw crypt require ssl = false
		rgw crypt s3 kms backend = testing
		rgw crypt s3 kms encryption keys = test-key=$kms_key
		CONF
	close $file or die "$dir/ceph.conf: $!";
	open $file, '>', "$dir/keyring" or die "$dir/keyring: $!";
	return;
}

# Looked for by binding: taken from here until another takes it.
sub free_ports
{
	my ($count) = @_;
	my @sockets = map { IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) // die "no free port: $@" } 1 .. $count;

	return map { $_->sockport } @sockets;
}

sub uuid
{
	chomp(my $uuid = slurp('/proc/sys/kernel/random/uuid'));
	return $uuid;
}

# A file's contents, as far as there are any.
sub slurp
{
	my ($name) = @_;
	open my $file, '<', $name or return '';
	local $/;
	return <$file> // '';
}

# Beside the logs of the test's servers, of which scripts/test prints the ends.
sub default_log
{
	no warnings 'once';
	my $dir = $PostgreSQL::Test::Utils::log_path // return;
	my ($test) = $0 =~ m{([^/]+?)(?:\.pl)?$};

	return "$dir/${test}_gateway.log";
}

sub last_words
{
	my ($self) = @_;
	my @lines = split /^/, slurp($self->{log});

	return join '', @lines > 20 ? @lines[ -20 .. -1 ] : @lines;
}

# --- processes ----------------------------------------------------------------

# Forks what runs $code, with its output in the log.
sub fork_logged
{
	my ($self, $code) = @_;
	my $pid = fork // die "fork: $!";

	return $pid if $pid;
	# Debian 13's OSD looks for its classes in lib/ of where it runs
	if (chdir('/') && open(STDIN, '<', '/dev/null') && open(STDOUT, '>>', $self->{log}) && open(STDERR, '>&', \*STDOUT))
	{
		@ENV{qw(CEPH_CONF CEPH_ARGS)} = ("$self->{dir}/ceph.conf", '');
		$code->();
	}
	# without what the test does at its end
	POSIX::_exit(127);
}

# A daemon, in the foreground.
sub spawn
{
	my ($self, $program, @arguments) = @_;

	$self->{pid}{$program} = $self->fork_logged(sub { exec 'setpriv', '--pdeathsig', 'KILL', $program, '-f', @arguments; });
	return;
}

# A program that ends, with success and in time.
sub run
{
	my ($self, $program, @arguments) = @_;
	my $pid = $self->fork_logged(sub { exec 'timeout', $TIMEOUT, $program, @arguments; });

	waitpid $pid, 0;
	die "$program @arguments: failed ($?)\n" if $? != 0;
	return;
}

# Waits for a condition, while the program lives that it depends on.
sub wait_for
{
	my ($self, $what, $condition, $program) = @_;
	my $end = time + $TIMEOUT;

	until ($condition->())
	{
		die "$program has ended\n" if !defined $self->{pid}{$program} || waitpid($self->{pid}{$program}, WNOHANG) != 0;
		die "timed out waiting for $what\n" if time > $end;
		sleep 0.02;
	}
	return;
}

sub end
{
	my ($self, $program, $signal) = @_;
	my $pid = delete $self->{pid}{$program} // return;
	my $patience = time + 20;

	# one that is paused would not hear of TERM
	CORE::kill $signal, $pid;
	CORE::kill 'CONT', $pid;
	while (waitpid($pid, WNOHANG) == 0)
	{
		CORE::kill 'KILL', $pid if time > $patience;
		sleep 0.01;
	}
	return;
}

sub kill_all
{
	my ($self) = @_;

	$self->end($_, 'KILL') for sort keys %{ $self->{pid} };
	return;
}

# Without it only files are left, in memory that ends with the daemons.
END
{
	# how the test ended is not for us to say
	local $?;
	$_->kill_all for grep { $_->{owner} == $$ } values %gateways;
}

sub serve
{
	my $gateway = Gateway->new;
	$| = 1;
	print map { "$_=" . $gateway->$_ . "\n" } qw(endpoint access_key secret_key bucket region);
	close STDOUT;
	1 while <STDIN>;
	return;
}

1;
