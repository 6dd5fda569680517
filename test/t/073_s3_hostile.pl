# Whatever somebody answers who is not a store, the client neither crashes nor
# hangs, and takes little memory.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use HostileStore;
use S3Function;
use StreamhouseTest;

my $megabyte = 'x' x 1_000_000;
my $ok = "HTTP/1.1 200 OK\r\n";

# An answer that says how long it is, and a piece of it over and over again.
sub endless { my ($head, $piece) = @_; return sub { print { $_[0] } $head; print { $_[0] } $piece while 1; }; }
sub answers { my ($answer) = @_; return sub { print { $_[0] } $answer; close $_[0]; POSIX::_exit(0); }; }
sub body { my ($body, $status) = @_; return ($status // $ok) . 'Content-Length: ' . length($body) . "\r\n\r\n$body"; }

sub listing
{
	return body('<ListBucketResult><IsTruncated>false</IsTruncated>'
		. join('', map { "<Contents><Key>$_</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>" } @_)
		. '</ListBucketResult>');
}

my $nested = '<a>' x 100_000;
my $laughs = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "' . 'ha' x 100 . '">' . join('', map { my $b = chr($_ + 1); my $a = '&' . chr($_) . ';'; "<!ENTITY $b \"" . $a x 100 . '">' } ord 'a' .. ord 'h')
  . ']><ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>&i;</Key></Contents></ListBucketResult>';
my %behaviour = (
	'headers' => endless($ok, "x-header: y\r\n" x 1000),
	'header' => endless("${ok}x-header: ", $megabyte),
	'status-line' => endless('HTTP/1.1 200 ', $megabyte),
	'interim' => endless('', "HTTP/1.1 100 Continue\r\n\r\n" x 1000),
	'body' => endless("HTTP/1.1 206 OK\r\nContent-Range: bytes 0-99/100\r\n\r\n", $megabyte),
	'chunks' => endless("HTTP/1.1 206 OK\r\nContent-Range: bytes 0-99/100\r\nTransfer-Encoding: chunked\r\n\r\n", "f4240\r\n$megabyte\r\n"),
	'chunk-size' => endless("HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 'f' x 1000),
	'trailers' => endless("HTTP/1.1 206 OK\r\nContent-Range: bytes 0-99/100\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" . 'x' x 100 . "\r\n0\r\n", "x-trailer: y\r\n" x 1000),
	'error' => endless("HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\n\r\n<Error>", '<Code>NoSuchKey</Code>' x 1000),
	'garbage' => endless('', join '', map { chr } 0 .. 255),
	'nothing' => answers(''),
	'only-status' => answers($ok),
	'http09' => answers('hello, this is not HTTP'),
	'http2' => answers("HTTP/2 200 \r\ncontent-length: 0\r\n\r\n"),
	'negative' => answers("${ok}Content-Length: -5\r\n\r\nxxxxx"),
	'huge' => answers("${ok}Content-Length: 99999999999999999999999\r\n\r\nxxxxx"),
	'two-lengths' => answers("${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx"),
	'zeros' => answers("HTTP/1.1 206 OK\r\nContent-Range: bytes \0-1/2\r\n\r\n"),
	'compressed' => answers("HTTP/1.1 206 OK\r\nContent-Range: bytes 0-99/100\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n" . "\x1f\x8b" . 'x' x 98),
	'overlong-code' => answers(body("<Error><Code>$megabyte</Code><Message>$megabyte</Message></Error>", "HTTP/1.1 403 Forbidden\r\n")),
	'nested-error' => answers(body($nested, "HTTP/1.1 403 Forbidden\r\n")),
	'date' => answers("HTTP/1.1 404 Not Found\r\nDate: " . '9' x 50_000 . "\r\nContent-Length: 0\r\n\r\n"),
	'retry-after' => answers("HTTP/1.1 503 Slow Down\r\nRetry-After: 99999999999999999999999999\r\nContent-Length: 0\r\n\r\n"),
	'upgrade' => answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
	'continue' => answers("HTTP/1.1 100 Continue\r\n\r\n"),
	'no-content' => answers("HTTP/1.1 204 No Content\r\n\r\n"),
	'trickle' => sub { my ($socket) = @_; print $socket "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-99999/100000\r\nContent-Length: 100000\r\n\r\n"; print $socket 'x' and select undef, undef, undef, 0.02 while 1; },
	'trickled-headers' => sub { my ($socket) = @_; print $socket $ok; print $socket "x: y\r\n" and select undef, undef, undef, 0.02 while 1; });
# listings are asked of the bucket, so they are told apart by its name
my %listings = (
	'endless' => endless("${ok}\r\n<ListBucketResult>", '<Contents><Key>x</Key></Contents>' x 1000),
	'nested' => answers(body($nested)),
	'laughs' => answers(body($laughs)),
	'not-xml' => answers(body('{"keys": []}')),
	'empty' => answers(body('')),
	'incomplete' => answers(body('<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1')),
	'sizes' => answers(body('<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>99999999999999999999999</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>')),
	'other-keys' => answers(listing('other/a')),
	'no-order' => answers(listing('list/b', 'list/a')),
	'same-key' => answers(listing('list/b', 'list/b')),
	'before' => answers(listing('list/', 'list/a')),
	'more-of-nothing' => answers(body('<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>')),
	'key' => answers(body("<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>$megabyte</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>")));

my $node = new_server('main');
my $store = HostileStore->new(%behaviour);
my $s3 = S3Function->new($node, $store);
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');

sub peak { my ($kb) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m; return $kb; }
sub ask { my (@call) = @_; $s3->new_server; return $session->query('SELECT ' . $s3->sql(@call)); }

# one of each, so that what is needed is there
ask('get', key => 'absent', n => 100);
my $before = peak();
my %expected = (
	'error' => qr/^unavailable 404 : the answer is larger than it may be$/,
	'overlong-code' => qr/^unavailable 403 : the answer is larger than it may be$/,
	'nested-error' => qr/^unavailable 403 : the answer is larger than it may be$/,
	'date' => qr/^(?:not found 404|unavailable)/,
	'retry-after' => qr/^unavailable 503 : $/,
	'compressed' => qr/^ok /,
	# to some versions of libcurl a status line like any other, and an object without bytes
	'http2' => qr/^(?:range|unavailable) /);
for my $name (sort keys %behaviour)
{
	# what does not end as it should may take its time
	my $patience = "$name" =~ /^(?:compressed|http2|date)$/ ? 'retry_timeout=5000 request_timeout=2000' : 'retry_timeout=400 request_timeout=200';
	my $answer = ask('get', key => $name, n => 100, settings => "$patience connect_timeout=1000");
	like($answer, $expected{$name} // qr/^unavailable /, "a get: $name");
	like($answer, qr/^[ -~]*$/, 'said in plain words');
}
for my $name (qw(headers interim body nothing garbage no-content))
{
	for my $command (qw(put head))
	{
		my $answer = ask($command, key => $name, data => 'x' x 1000, settings => 'retry_timeout=400 request_timeout=200 connect_timeout=1000');
		like($answer, qr/^unavailable /, "a $command: $name");
	}
}
for my $name (sort keys %listings)
{
	my $lists = HostileStore->new('' => $listings{$name});
	my $answer = ask('list', key => 'list/', data => 'list/', settings => 'retry_timeout=400 request_timeout=500 endpoint=' . $lists->endpoint);
	like($answer, qr/^unavailable 200 : the answer is (?:not a listing|not the listing that was asked for|larger than it may be) 0$/, "a listing: $name");
	$lists->stop;
}
my $lists = HostileStore->new('' => answers(listing('list/a', 'list/b')));
is(ask('list', key => 'list/', data => 'list/', settings => 'endpoint=' . $lists->endpoint), 'ok list/a:1? list/b:1?', 'a listing as it should be');
my $parts = HostileStore->new('large' => sub {
	my ($socket, $request) = @_;
	print $socket $request =~ /uploads/ ? body('<InitiateMultipartUploadResult><UploadId>' . 'u' x 5000 . '</UploadId></InitiateMultipartUploadResult>') : body(''); });
like(ask('put', key => 'large', data_sql => q{decode(repeat('00', 17000000), 'hex')}, settings => 'retry_timeout=400 endpoint=' . $parts->endpoint),
	qr/^unavailable 200 : the answer does not name an upload$/, 'an upload with an endless name');
my $deletes = HostileStore->new('' => answers(body('<DeleteResult>' . '<Error><Key>a</Key><Code>SlowDown</Code></Error>' x 10_000 . '</DeleteResult>')));
like(ask('delete', data => "a\nb", settings => 'retry_timeout=400 endpoint=' . $deletes->endpoint), qr/^unavailable/, 'more failures than keys');
cmp_ok(peak() - $before, '<', 100_000, 'all of that takes less than 100 MB, the put of 17 MB included');
is($session->query_safe('SELECT ' . $s3->sql('drive', n => 0)), 'idle', 'and is over');
$session->quit;

$node->stop;
is(scalar(grep { /PANIC|TRAP|terminated by signal/ } split /\n/, slurp_file($node->logfile)), 0, 'no crash');
done_testing();
