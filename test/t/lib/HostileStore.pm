# A store that answers what no store should, without end if need be: what it
# does to a request stands in the request's path.
#
#	my $store = HostileStore->new(name => sub { my ($socket, $request) = @_; ... });
#	... endpoint => $store->endpoint, key 'name'
#
# Each connection has a process, which ends with it; all end with the test.
package HostileStore;

use strict;
use warnings FATAL => 'all';
use IO::Socket::INET;
use POSIX ();

my %stores;

sub new
{
	my ($class, %behaviour) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) // die "no free port: $@";
	my $self = bless { port => $listener->sockport, owner => $$ }, $class;
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		serve($listener, \%behaviour);
		POSIX::_exit(0);
	}
	$self->{pid} = $pid;
	return $stores{$self} = $self;
}

sub endpoint { return "http://127.0.0.1:$_[0]{port}"; }
sub bucket { return 'bucket'; }
sub access_key { return 'access'; }
sub secret_key { return 'secret'; }

sub serve
{
	my ($listener, $behaviour) = @_;
	my $parent = getppid;

	$SIG{CHLD} = 'IGNORE';
	# a group of their own, so that they end together
	setpgrp;
	while (getppid == $parent)
	{
		my $socket = $listener->accept // next;
		my $pid = fork // next;
		next if $pid;
		close $listener;
		$SIG{PIPE} = sub { POSIX::_exit(0) };
		answer($socket, $behaviour) while 1;
	}
	return;
}

# One request, with its body.
sub answer
{
	my ($socket, $behaviour) = @_;
	local $/ = "\r\n\r\n";
	my $request = <$socket> // POSIX::_exit(0);
	my ($length) = $request =~ /^content-length: (\d+)/mi;
	my ($name) = $request =~ m{^\w+ /bucket/?([\w-]*)};

	read $socket, my $body, $length if $length;
	$socket->autoflush(1);
	($behaviour->{$name} // sub { print { $_[0] } "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" })->($socket, $request);
	return;
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} // return;

	kill 'KILL', -$pid, $pid;
	waitpid $pid, 0;
	return;
}

END
{
	local $?;
	$_->stop for grep { $_->{owner} == $$ } values %stores;
}

1;
