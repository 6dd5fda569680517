# What the extension relies on in a store holds for the gateway that the tests
# of S3 run against; and the means by which tests look into it and change it.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256_hex);
use PostgreSQL::Test::Utils;
use Test::More;
use Gateway;

plan skip_all => 'not installed: ' . Gateway->missing if Gateway->missing;

my $gateway = Gateway->new;
my $client = $gateway->client;

# The status of an answer, and the code of an error.
sub outcome
{
	my ($answer) = @_;
	my ($code) = ($answer->{content} // '') =~ m{<Code>(\w+)</Code>};

	return $answer->{status} . (defined $code ? " $code" : '');
}
sub outcome_of { return outcome($client->request(@_)); }

# objects, whole and in part
my $data = join '', map { chr int rand 256 } 1 .. 100_000;
is($client->put('a', $data)->{headers}{etag}, '"' . md5_hex($data) . '"', 'an object put');
ok($client->get('a') eq $data, 'and got');
my $part = $client->request('GET', 'a', headers => { range => 'bytes=100-199' });
is("$part->{status} $part->{headers}{'content-range'}", '206 bytes 100-199/100000', 'a range of it');
ok($part->{content} eq substr($data, 100, 100), 'has the bytes asked for');
is(outcome_of('GET', 'a', headers => { range => 'bytes=100000-100001' }), '416 InvalidRange', 'a range past its end');
is($client->request('HEAD', 'a')->{headers}{'content-length'}, 100_000, 'its size');
is(outcome_of('GET', 'b'), '404 NoSuchKey', 'an object that is not there');
is(outcome($gateway->client(bucket => 'none')->request('GET', 'a')), '404 NoSuchBucket', 'a bucket that is not there');
is(outcome_of('DELETE', 'b'), '204', 'deleting what is not there');
for my $key ("blank and+plus", "100%", "p(a)r*e'n!", 'a//b', 'a:b@c,$&=?;', "\xc3\xa9", '~.-_')
{
	is(outcome_of('PUT', "keys/$key", body => $key), '200', "key $key");
}
is_deeply([ $client->all_keys('keys/') ], [ sort "keys/\xc3\xa9", map { "keys/$_" } "blank and+plus", '100%', "p(a)r*e'n!", 'a//b', 'a:b@c,$&=?;', '~.-_' ], 'keys are listed as they were given');

# what a signature protects
is(outcome_of('PUT', 'wrong', body => 'x', headers => { 'x-amz-content-sha256' => sha256_hex('y') }), '400 XAmzContentSHA256Mismatch', 'a body other than the signed one');
ok(!$client->has('wrong'), 'is not stored');
is(outcome($gateway->client(secret_key => 'wrong')->request('GET', 'a')), '403 SignatureDoesNotMatch', 'a wrong secret');
is(outcome($gateway->client(access_key => 'NOBODY')->request('GET', 'a')), '403 InvalidAccessKeyId', 'an unknown key');
is(outcome_of('GET', 'a', headers => { 'x-amz-date' => '20200101T000000Z' }), '403 RequestTimeTooSkewed', 'a wrong clock');

# create-once
my %once = (headers => { 'if-none-match' => '*' });
is(outcome_of('PUT', 'once', %once, body => 'first'), '200', 'the first to create');
is(outcome_of('PUT', 'once', %once, body => 'second'), '412 PreconditionFailed', 'the second');
is($client->get('once'), 'first', 'nothing is overwritten');
my @sockets = map { $client->begin('PUT', 'race', %once, body => $_ x 100_000) } 0 .. 7;
my @race = map { my $socket = $_; local $/; <$socket> =~ m{^HTTP/1.1 (\d+)} } map { shutdown $_, 1; $_ } @sockets;
is(join(' ', sort @race), '200' . ' 412' x 7, 'one of eight at a time');
my ($winner) = grep { $race[$_] == 200 } 0 .. 7;
ok($client->get('race') eq $winner x 100_000, 'and it is there whole');

# lists, page by page, in the order of bytes
$client->put($_, 'x') for map { "list/$_" } 'Z', 'a', 'a-', 'a/b', 'b';
my $page = $client->must('GET', '', query => { 'list-type' => 2, prefix => 'list/', 'max-keys' => 2 })->{content};
is(join(' ', $page =~ m{<Key>([^<]+)</Key>}g), 'list/Z list/a', 'a page');
like($page, qr{<IsTruncated>true</IsTruncated>}, 'says that there are more');
$page = $client->must('GET', '', query => { 'list-type' => 2, prefix => 'list/', 'start-after' => 'list/a' })->{content};
is(join(' ', $page =~ m{<Key>([^<]+)</Key>}g), 'list/a- list/a/b list/b', 'from a key on');
like($page, qr{<IsTruncated>false</IsTruncated>}, 'no more');

# many deleted in one request
my $delete = '<Delete>' . join('', map { "<Object><Key>list/$_</Key></Object>" } 'a', 'b', 'none') . '</Delete>';
is(() = $client->must('POST', '', query => { delete => '' }, body => $delete)->{content} =~ /<Deleted>/g, 3, 'three deleted, one of them not there');
is(join(' ', $client->all_keys('list/')), 'list/Z list/a- list/a/b', 'the others are left');

# parts
my ($upload) = $client->must('POST', 'parts', query => { uploads => '' })->{content} =~ m{<UploadId>([^<]+)};
is_deeply([ $client->uploads ], [ [ 'parts', $upload ] ], 'an upload has begun');
my @parts = ('a' x 5_242_880, 'b');
my $list = join '', map {
	my $etag = $client->must('PUT', 'parts', query => { partNumber => $_, uploadId => $upload }, body => $parts[ $_ - 1 ])->{headers}{etag};
	"<Part><PartNumber>$_</PartNumber><ETag>$etag</ETag></Part>";
} 1, 2;
ok(!$client->has('parts'), 'parts are no object');
$client->must('POST', 'parts', query => { uploadId => $upload }, body => "<CompleteMultipartUpload>$list</CompleteMultipartUpload>");
ok($client->get('parts') eq join('', @parts), 'until they are put together');
($upload) = $client->must('POST', 'parts', query => { uploads => '' })->{content} =~ m{<UploadId>([^<]+)};
is(outcome_of('DELETE', 'parts', query => { uploadId => $upload }), '204', 'an upload given up');
is_deeply([ $client->uploads ], [], 'is gone');

# encryption
my %sse = ('x-amz-server-side-encryption' => 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id' => 'test-key');
is(outcome_of('PUT', 'kms', headers => \%sse, body => 'x'), '200', 'encrypted with a named key');
is($client->request('HEAD', 'kms')->{headers}{'x-amz-server-side-encryption'}, 'aws:kms', 'it says so');
$sse{'x-amz-server-side-encryption-aws-kms-key-id'} = 'none';
like(outcome_of('PUT', 'kms', headers => \%sse, body => 'x'), qr/^4/, 'not with a key that is not there');

# what tests do
$client->corrupt('a', 10);
substr($data, 10, 1) ^= "\x01";
ok($client->get('a') eq $data, 'one bit of an object changed');
$client->shorten('a', 10);
is(length $client->get('a'), 10, 'an object cut');
$client->remove('a');
ok(!$client->has('a'), 'an object removed');
$gateway->add_key('SECONDKEY', 'second secret');
my $second = $gateway->client(access_key => 'SECONDKEY', secret_key => 'second secret');
is($second->get('once'), 'first', 'another pair of keys');
$gateway->remove_key('SECONDKEY');
is(outcome($second->request('GET', 'once')), '403 InvalidAccessKeyId', 'is refused once it is removed');
$gateway->kill;
like(outcome_of('GET', 'once'), qr/^599/, 'no gateway, no answer');
$gateway->start;
is($client->get('once'), 'first', 'it comes back with what it had');
$gateway->pause;
is(outcome($gateway->client(timeout => 1)->request('GET', 'once')), '599', 'a stopped gateway does not answer');
$gateway->resume;
is($client->get('once'), 'first', 'until it goes on');

done_testing();
