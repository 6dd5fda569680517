# A small client of the S3 protocol for tests: it looks into a bucket and
# changes it behind the extension's back.  It shares no code with the
# extension, so that the one can show what the other does wrong.
package S3Client;

use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex sha256_hex);
use HTTP::Tiny;
use IO::Socket::INET;
use POSIX qw(strftime);

# Keys of %arg: endpoint, access_key, secret_key, bucket; and where the
# defaults do not do: region, timeout in seconds.
sub new
{
	my ($class, %arg) = @_;

	my $self = bless { region => 'us-east-1', timeout => 60, %arg }, $class;
	$self->{http} = HTTP::Tiny->new(timeout => $self->{timeout}, max_redirect => 0);
	return $self;
}

# Sends a signed request for a key of the bucket, '' for the bucket itself.
# Options: query, headers (hashes), body.  Returns what HTTP::Tiny does: status
# 599 stands for a connection that failed, with the reason as content.  A
# connection that ends early is tried once more where that does no harm.
sub request
{
	my ($self, $method, $key, %opt) = @_;
	my ($target, $headers, $body) = $self->signed($method, $key, %opt);

	return $self->{http}->request($method, $self->{endpoint} . $target, { headers => $headers, $body ne '' ? (content => $body) : () });
}

# The same over a connection of its own, without more tries; returns the
# socket, with the request sent and nothing read.
sub begin
{
	my ($self, $method, $key, %opt) = @_;
	my ($target, $headers, $body) = $self->signed($method, $key, %opt);
	my ($host) = $self->{endpoint} =~ m{^http://([^/]+)};
	my $socket = IO::Socket::INET->new(PeerAddr => $host, Timeout => $self->{timeout}) // die "$host: $@\n";

	local $SIG{PIPE} = 'IGNORE';
	$socket->blocking(1);
	print $socket join("\r\n", "$method $target HTTP/1.1", "Host: $host", 'Content-Length: ' . length $body,
		(map { "$_: $headers->{$_}" } sort keys %$headers), '', $body);
	$socket->flush;
	return $socket;
}

# What is sent for a request: its target, headers and body.
sub signed
{
	my ($self, $method, $key, %opt) = @_;
	my $path = "/$self->{bucket}" . (length $key ? '/' . join('/', map { encode($_) } split m{/}, $key, -1) : '');
	my %query = %{ $opt{query} // {} };
	my $query = join '&', map { encode($_) . '=' . encode($query{$_}) } sort keys %query;
	my %headers = map { lc($_) => $opt{headers}{$_} } keys %{ $opt{headers} // {} };
	my $body = $opt{body} // '';

	$headers{'x-amz-content-sha256'} //= sha256_hex($body);
	$headers{'x-amz-date'} //= strftime('%Y%m%dT%H%M%SZ', gmtime);
	$headers{authorization} = $self->sign($method, $path, $query, \%headers);
	return ($path . ($query ne '' ? "?$query" : ''), \%headers, $body);
}

sub encode
{
	my ($text) = @_;
	return $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ger;
}

# The Authorization header, over the host and all x-amz headers.
sub sign
{
	my ($self, $method, $path, $query, $headers) = @_;
	my ($host) = $self->{endpoint} =~ m{^https?://([^/]+)};
	my %signed = (host => $host, map { $_ => $headers->{$_} } grep { /^x-amz-/ } keys %$headers);
	my $names = join ';', sort keys %signed;
	my $request = join "\n", $method, $path, $query, (map { "$_:$signed{$_}" } sort keys %signed), '', $names,
	  $headers->{'x-amz-content-sha256'};
	my $date = substr $headers->{'x-amz-date'}, 0, 8;
	my $scope = "$date/$self->{region}/s3/aws4_request";
	my $key = "AWS4$self->{secret_key}";

	$key = hmac_sha256($_, $key) for $date, $self->{region}, 's3', 'aws4_request';
	my $signature = hmac_sha256_hex(join("\n", 'AWS4-HMAC-SHA256', $headers->{'x-amz-date'}, $scope, sha256_hex($request)), $key);
	return "AWS4-HMAC-SHA256 Credential=$self->{access_key}/$scope, SignedHeaders=$names, Signature=$signature";
}

# As request(), for a test that cannot go on without it.
sub must
{
	my ($self, $method, $key, @opt) = @_;
	my $answer = $self->request($method, $key, @opt);

	die "$method $key: $answer->{status} $answer->{content}\n" if !$answer->{success};
	return $answer;
}

sub make_bucket { my ($self) = @_; return $self->must('PUT', ''); }
sub put { my ($self, $key, $body) = @_; return $self->must('PUT', $key, body => $body); }
sub get { my ($self, $key) = @_; return $self->must('GET', $key)->{content}; }
sub remove { my ($self, $key) = @_; return $self->must('DELETE', $key); }

sub has
{
	my ($self, $key) = @_;
	my $answer = $self->request('HEAD', $key);

	return $answer->{success} || ($answer->{status} == 404 ? 0 : die "HEAD $key: $answer->{status}\n");
}

# All keys with a prefix and their sizes: [key, size]*, in the order of keys.
sub list
{
	my ($self, $prefix) = @_;
	my ($token, @objects);

	do
	{
		my $page = $self->must('GET', '', query => {
			'list-type' => 2,
			prefix => $prefix // '',
			defined $token ? ('continuation-token' => $token) : ()
		})->{content};
		push @objects, [ plain($1), $2 ]
		  while $page =~ m{<Contents>.*?<Key>([^<]*)</Key>.*?<Size>(\d+)</Size>.*?</Contents>}gs;
		($token) = $page =~ m{<NextContinuationToken>([^<]+)</NextContinuationToken>};
		$token = plain($token) if defined $token;
	} while (defined $token);
	return @objects;
}

sub all_keys { my ($self, $prefix) = @_; return map { $_->[0] } $self->list($prefix); }

# The keys and ids of multipart uploads that are neither complete nor aborted.
sub uploads
{
	my ($self) = @_;
	my $page = $self->must('GET', '', query => { uploads => '' })->{content};
	my @uploads;

	push @uploads, [ plain($1), plain($2) ]
	  while $page =~ m{<Upload>.*?<Key>([^<]*)</Key>.*?<UploadId>([^<]*)</UploadId>.*?</Upload>}gs;
	return @uploads;
}

# Text of XML without its entities.
sub plain
{
	my ($text) = @_;
	my %entity = (amp => '&', lt => '<', gt => '>', quot => '"', apos => "'");

	return $text =~ s/&(?:#(\d+)|#x([0-9A-Fa-f]+)|(\w+));/defined $1 ? chr $1 : defined $2 ? chr hex $2 : $entity{$3}/ger;
}

# Changes one bit of an object: of the byte in its middle, or at a position,
# from the end if that is negative.
sub corrupt
{
	my ($self, $key, $position) = @_;
	my $body = $self->get($key);

	substr($body, $position // length($body) / 2, 1) ^= "\x01";
	$self->put($key, $body);
	return;
}

# Leaves the first bytes of an object.
sub shorten
{
	my ($self, $key, $length) = @_;

	$self->put($key, substr $self->get($key), 0, $length);
	return;
}

1;
