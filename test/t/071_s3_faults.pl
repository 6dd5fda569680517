# The fault proxy does what its rules say, and nothing to other requests.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use HTTP::Tiny;
use IO::Select;
use PostgreSQL::Test::Utils;
use Test::More;
use FaultProxy;
use Gateway;

plan skip_all => 'not installed: ' . Gateway->missing if Gateway->missing;

my $gateway = Gateway->new;
my $proxy = FaultProxy->new(target => $gateway->host);
my $store = $gateway->client;
my $client = $gateway->client(endpoint => $proxy->endpoint);
my $body = join '', 'a' .. 'zz';    # 1378 bytes
my $keys = 0;

# All that a request is answered with, as it comes; ends in the reason if that
# is a reset.
sub answer_to
{
	return all_of($client->begin(@_, headers => { connection => 'close' }));
}
sub all_of
{
	my ($socket) = @_;
	my $answer = '';
	my $got;

	1 while $got = sysread $socket, $answer, 65536, length $answer;
	return $answer . (defined $got ? '' : "<$!>");
}
# Nothing has come on a connection, nor has it ended.
sub is_silent { return !IO::Select->new(@_)->can_read(0); }

# With a rule for a request, what the client gets (a pattern), and what the
# store has of a new key then.
sub meets
{
	my ($rule, $method, $answer, $has, $name) = @_;
	my $key = 'k' . ++$keys;

	$store->put($key, $body) if $method ne 'PUT';
	$proxy->fault(%$rule, method => $method);
	like(answer_to($method, $key, $method eq 'PUT' ? (body => $body) : ()), $answer, $name);
	is($store->has($key) ? $store->get($key) eq $body ? 'all' : 'part' : 'nothing', $has, "$name: the store");
	$proxy->clear;
	return;
}

$SIG{ALRM} = sub { die "a connection does not end\n" };
alarm $PostgreSQL::Test::Utils::timeout_default;
my $ok = qr{^HTTP/1\.1 200 OK\r\n.*\r\n\r\n}s;
my $reset = qr/^<Connection reset by peer>$/;

# without a rule
meets({ path => 'elsewhere', reset => 'before' }, 'PUT', $ok, 'all', 'a rule for others');
meets({ path => 'elsewhere', reset => 'before' }, 'GET', qr/$ok$body$/, 'all', 'a rule for others');

# resets and answers of our own
meets({ reset => 'before' }, 'PUT', $reset, 'nothing', 'reset before the store');
meets({ reset => 'upload' }, 'PUT', $reset, 'nothing', 'reset in the upload');
meets({ reset => 'after' }, 'PUT', $reset, 'all', 'an answer lost');
meets({ reset => 'answer' }, 'GET', qr{$ok.{689}<Connection reset}s, 'all', 'reset in the answer');
meets({ status => 503, code => 'SlowDown', message => 'm', headers => { 'Retry-After' => 7 } },
	'PUT', qr{^HTTP/1\.1 503 .*Retry-After: 7\r\n.*<Code>SlowDown</Code><Message>m</Message>}s, 'nothing', 'a status');
meets({ status => 500, reached => 1 }, 'PUT', qr{^HTTP/1\.1 500 .*<Code>InternalError</Code>}s, 'all', 'a status though it is done');
meets({ status => 307, headers => { Location => 'http://127.0.0.1:1/' } }, 'GET', qr{^HTTP/1\.1 307 .*Location: http://127\.0\.0\.1:1/\r\n\r\n$}s, 'all', 'a redirect');
meets({ garbage => "HTTP/1.1 banana\r\n\x00\xff" }, 'GET', qr{^HTTP/1\.1 banana\r\n\x00\xff$}, 'all', 'garbage');

# what the store answers, changed
meets({ cut => 78 }, 'GET', qr{^(?=.*Content-Length: 1378\r).*\r\n\r\n.{1300}$}s, 'all', 'a cut answer');
meets({ shorten => 78 }, 'GET', qr{^(?=.*Content-Length: 1300\r).*\r\n\r\n.{1300}$}s, 'all', 'a short answer');
meets({ headers => { 'Content-Length' => 5, ETag => undef, 'X-More' => 'y' x 10_000 } }, 'GET', qr{^(?!.*ETag:)(?=.*X-More: y{10000}\r)(?=.*Content-Length: 5\r).*$body$}is, 'all', 'other headers');
meets({ body => '<x/>' }, 'GET', qr{Content-Length: 4\r.*\n\r\n<x/>$}s, 'all', 'another body');
my $changed = $body;
substr($changed, 689, 1) ^= "\x01";
meets({ corrupt => 'answer' }, 'GET', qr{$ok$changed$}, 'all', 'a changed answer');
meets({ corrupt => 'request' }, 'PUT', qr{^HTTP/1\.1 400 .*XAmzContentSHA256Mismatch}s, 'nothing', 'a changed upload is noticed');

# stalls end with the client; held requests go on
for my $case ([ 'before', 'GET', undef, 'nothing' ], [ 'upload', 'PUT', undef, 'nothing' ], [ 'after', 'PUT', 200, 'all' ])
{
	my ($place, $method, $status, $has) = @$case;
	my $key = "stall-$place";
	my $rule = $proxy->fault(method => $method, path => $key, stall => $place);
	my $socket = $client->begin($method, $key, body => $method eq 'PUT' ? $body : '');
	$proxy->await(1, rule => $rule, store_status => $status);
	ok(is_silent($socket), "$place: stalled");
	is($store->has($key) ? 'all' : 'nothing', $has, "$place: the store");
	close $socket;
	$proxy->await(1, rule => $rule, ended => qr/./);
	is($proxy->count(rule => $rule, status => undef), 1, "$place: nothing was sent");
}
$proxy->clear;
$store->put('stall-answer', $body);
my $stall = $proxy->fault(stall => 'answer', path => 'stall-answer');
my $socket = $client->begin('GET', 'stall-answer');
$proxy->await(1, rule => $stall, down => 689);
sysread $socket, my $half, 65536;
like($half, qr{$ok.{689}$}s, 'half an answer');
ok(is_silent($socket), 'and no more');
close $socket;
$proxy->await(1, rule => $stall, ended => qr/./);
for my $place ('before', 'after')
{
	my $rule = $proxy->fault(hold => $place, path => "hold-$place");
	$socket = $client->begin('PUT', "hold-$place", body => $body, headers => { connection => 'close' });
	$proxy->await(1, rule => $rule, store_status => $place eq 'after' ? 200 : undef);
	ok(is_silent($socket), "$place: held");
	is($store->has("hold-$place") ? 1 : 0, $place eq 'after' ? 1 : 0, "$place: the store");
	$proxy->release;
	like(all_of($socket), $ok, "$place: let go");
	ok($store->has("hold-$place"), "$place: done");
}

# which requests, and how often
$proxy->clear;
$proxy->reset;
my $rule = $proxy->fault(kind => [ 'put', 'head' ], skip => 1, count => 2, status => 429, code => 'TooManyRequests');
is(join(' ', map { $client->request('PUT', 'counted', body => 'x')->{status} } 1 .. 4), '200 429 429 200', 'the second and the third');
is($proxy->hits($rule), 2, 'two hits');
is($proxy->count(kind => 'put', target => qr{/COUNTED$}i, rule => undef), 2, 'two misses');
is($client->request('GET', 'counted')->{content}, 'x', 'another kind is spared');
is(join(' ', map { "$_->{kind}:$_->{status}:" . ($_->{forwarded} ? 'forwarded' : 'not') } $proxy->requests),
	'put:200:forwarded put:429:not put:429:not put:200:forwarded get:200:forwarded', 'seen in their order');
like(($proxy->requests(kind => 'get'))[0]{headers}{authorization}, qr/^AWS4-HMAC-SHA256 /, 'with their headers');
$client->request(@$_)
  for [ 'HEAD', 'x' ], [ 'DELETE', 'x' ], [ 'POST', 'x', query => { uploads => '' } ], [ 'PUT', 'x', query => { partNumber => 1, uploadId => 'u' } ],
  [ 'POST', 'x', query => { uploadId => 'u' } ], [ 'DELETE', 'x', query => { uploadId => 'u' } ], [ 'GET', '', query => { 'list-type' => 2 } ],
  [ 'POST', '', query => { delete => '' } ], [ 'GET', '', query => { uploads => '' } ];
is(join(' ', (map { $_->{kind} } $proxy->requests)[ 5 .. 13 ]),
	'head delete create_upload part complete_upload abort_upload list multi_delete list_uploads', 'kinds');
is_deeply([ @{ $proxy->seen->{kinds} }{qw(put get list)} ], [ 4, 1, 1 ], 'numbers by kind');
$proxy->reset;
is(join(' ', $proxy->count, %{ $proxy->seen->{kinds} }), 0, 'forgotten');
$proxy->clear;
eval { $proxy->fault(kind => 'get', rest => 'before') };
like($@, qr/a rule has no "rest"/, 'a rule that says nothing is refused');

# several at a time
$rule = $proxy->fault(hold => 'before', method => 'GET');
my @sockets = map { $client->begin('GET', 'counted', headers => { connection => 'close', range => 'bytes=0-99' }) } 1 .. 5;
$proxy->await(5, rule => $rule);
is($proxy->seen->{in_flight}, 5, 'five in flight');
$proxy->release;
all_of($_) for @sockets;
is(join(' ', @{ $proxy->seen }{qw(in_flight most_in_flight most_bytes_in_flight)}), '0 5 500', 'none is left, five were the most');
is_deeply([ map { $_->[1] } $proxy->timeline ], [ 1, 2, 3, 4, 5, 4, 3, 2, 1, 0 ], 'one after the other');
$proxy->clear;

# a link's delay is there in every round trip; bytes are all there and in order
$proxy->reset;
$proxy->link(rtt => 40, jitter => 5, rate => 100);
my $large = join '', map { pack 'N', $_ } 1 .. 500_000;
$client->put('large', $large);
ok($client->get('large') eq $large, 'through a slow link');
is(join(' ', @{ $proxy->seen }{qw(up down)}), '2000000 2000000', 'every byte is counted');
ok((!grep { $_->{ended} - $_->{at} < 40 } $proxy->requests(target => qr/large/)), 'no request takes less than its round trip');
$proxy->link;

# connections
my $kept = $client->begin('GET', 'counted');
$proxy->await(1, target => qr/counted/, status => 200);
$proxy->refuse;
like(all_of($kept), qr/<Connection reset/, 'connections are reset');
like($client->request('GET', 'counted')->{content}, qr/Connection refused/, 'and refused');
$proxy->hang;
like($gateway->client(endpoint => $proxy->endpoint, timeout => 1)->request('GET', 'counted')->{content}, qr/timed out/, 'they hang');
$proxy->accept;
is($client->get('counted'), 'x', 'they are accepted');
$gateway->kill;
like($client->request('GET', 'counted')->{content}, qr/Connection reset by peer|Unexpected end of stream/, 'a store that is down resets them');
$gateway->start;
is($client->get('counted'), 'x', 'it is back');

# TLS
my $secure = FaultProxy->new(target => $gateway->host, tls => 1);
sub said_of_tls
{
	my @verify = (qw(-brief -verify_return_error -verify_ip 127.0.0.1 -connect), "127.0.0.1:$secure->{port}", @_);
	return `openssl s_client @verify </dev/null 2>&1`;
}
like(said_of_tls('-CAfile', $secure->ca_file), qr/Verification: OK/, 'a certificate of its own authority');
like(said_of_tls(), qr/unable to get local issuer certificate/, 'which nobody else trusts');

done_testing();
