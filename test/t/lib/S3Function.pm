# The client of a bucket by SQL (src/s3/testing.c), which test builds have.
#
#	my $s3 = S3Function->new($node, $gateway);
#	is($s3->answer('put', key => 'a', data => 'bytes'), 'ok');
#	... $s3->answer('get', key => 'a', n => 5, settings => 'retry_timeout=100')
package S3Function;

use strict;
use warnings FATAL => 'all';
use StreamhouseTest ();

# Options: endpoint, in place of the gateway's.
sub new
{
	my ($class, $node, $store, %opt) = @_;
	my $self = bless { node => $node, server => 1 }, $class;

	$node->psql('postgres', q{CREATE FUNCTION s3(settings text, command text, key text, data bytea, n bigint, m bigint)
		RETURNS text LANGUAGE c AS 'streamhouse', 'sth_testing_s3'});
	$self->{settings} = "bucket=" . $store->bucket . " access_key=" . $store->access_key . " secret=" . $store->secret_key
	  . " endpoint=" . ($opt{endpoint} // $store->endpoint);
	return $self;
}

# From here on, another server: what is known of the last one does not count.
sub new_server { my ($self, $oid) = @_; $self->{server} = $oid // $self->{server} + 1; return $self->{server}; }

sub literal { my ($text) = @_; return "'" . $text =~ s/'/''/gr . "'"; }

# As SQL, to be run elsewhere.
sub sql
{
	my ($self, $command, %with) = @_;

	return sprintf q{s3(%s, '%s', %s, %s, %d, %d)}, literal("$self->{settings} server=$self->{server} " . ($with{settings} // '')),
	  $command, literal($with{key} // ''), $with{data_sql} // literal('\x' . unpack('H*', $with{data} // '')), $with{n} // 0, $with{m} // 0;
}

sub answer { my ($self, @call) = @_; return StreamhouseTest::answer($self->{node}, 'SELECT ' . $self->sql(@call)); }
sub error { my ($self, @call) = @_; return StreamhouseTest::error_of($self->{node}, 'SELECT ' . $self->sql(@call)); }

1;
