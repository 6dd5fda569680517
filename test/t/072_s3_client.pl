# The client of a bucket: what it does on good days, and on bad ones, with a
# proxy between it and the gateway.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use Digest::MD5 qw(md5_hex);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FaultProxy;
use Gateway;
use S3Function;
use StreamhouseTest;

plan skip_all => 'not installed: ' . Gateway->missing if Gateway->missing;

# a proxy in the environment is nobody's business
$ENV{http_proxy} = $ENV{https_proxy} = $ENV{all_proxy} = 'http://127.0.0.1:1';
my $node = new_server('main', 'max_prepared_transactions = 1');
delete @ENV{qw(http_proxy https_proxy all_proxy)};
my $gateway = Gateway->new;
my $store = $gateway->client;
my $proxy = FaultProxy->new(target => $gateway->host);
my $s3 = S3Function->new($node, $gateway, endpoint => $proxy->endpoint);

sub s3 { return $s3->answer(@_); }
sub sql { return answer($node, @_); }

# With a fault for the requests, in a server that nothing is known of.
sub faulty
{
	my ($rule, @call) = @_;

	$s3->new_server;
	$proxy->clear;
	$proxy->reset;
	$proxy->fault(%$rule);
	my $answer = s3(@call);
	$proxy->clear;
	return $answer;
}

# --- good days ----------------------------------------------------------------

my $data = join '', map { chr int rand 256 } 1 .. 10_000;
my $key = q{a b+c/(d)=é&'e'};
utf8::encode($key);
is(s3('put', key => $key, data => $data), 'ok', 'an object is put');
ok($store->get($key) eq $data, 'as it is');
is(s3('get', key => $key, n => 10_000), 'ok ' . md5_hex($data), 'and got');
is(s3('get', key => $key, n => 100, m => 300), 'ok ' . md5_hex(substr $data, 300, 100), 'in part');
is(s3('get', key => $key, n => 0), 'ok ' . md5_hex(''), 'and no part of it');
is(s3('get', key => $key, n => 10_001), 'range 0 : the object has 10000 bytes', 'more than there is');
is(s3('get', key => $key, n => 1, m => 10_000), 'range 416 InvalidRange: ', 'behind its end');
is(s3('get', key => 'b', n => 1), 'not found 404 NoSuchKey: ', 'what is not there');
is(s3('head', key => $key), 'ok 10000 same time', 'its size');
is(s3('head', key => 'b'), 'not found 404 : ', 'the size of what is not there');
is(s3('get_many', key => $key, n => 200, m => 5_000), 200, 'more reads at a time than a process has');
is(s3('put', key => 'empty'), 'ok', 'an empty object');
is(s3('get', key => 'empty', n => 1), 'range 416 InvalidRange: ', 'has nothing');
is(s3('put_once', key => 'once', data => 'x') . s3('put_once', key => 'once', data => 'x'), 'okexists 412 PreconditionFailed: ', 'once is once');
my $headers = ($proxy->requests(kind => 'put'))[0]{headers};
is($headers->{'x-amz-checksum-crc32c'}, crc32c_base64($data), 'the checksum is sent');
like($headers->{authorization}, qr/SignedHeaders=[^,]*x-amz-checksum-crc32c/, 'and signed');
is(join(',', grep { exists $headers->{$_} } qw(expect accept transfer-encoding)), '', 'no header that nobody asked for');

is(s3('put', key => 'sse', data => 'x', settings => 'sse=2 kms_key_id=test-key'), 'ok', 'encrypted by a key of the store');
is($store->request('HEAD', 'sse')->{headers}{'x-amz-server-side-encryption-aws-kms-key-id'}, 'test-key', 'so it is');
is(s3('put', key => 'sse', data => 'x', settings => 'sse=1') =~ /^(?:ok|invalid 400)/ ? 1 : 0, 1, 'SSE-S3, which the store may not have');
is(($proxy->requests(kind => 'put', target => qr/sse/))[-1]{headers}{'x-amz-server-side-encryption'}, 'AES256', 'is asked for');

$s3->new_server;
my $virtual = $gateway->virtual_endpoint;
is(s3('put', key => 'virtual', data => 'v', settings => "endpoint=$virtual path_style=0"), 'ok', 'with the bucket in the name');
is($store->get('virtual'), 'v', 'it arrives');

# keys
sub keys_of { return join ' ', $store->all_keys(@_); }
$store->put("list/$_", 'x' x $_) for 1 .. 5;
is(s3('list', key => 'list/'), 'ok list/1:1 list/2:2 list/3:3 list/4:4 list/5:5', 'a listing');
is(s3('list', key => 'list/', n => 2, data => 'list/2'), 'ok list/3:3 list/4:4 more', 'part of it');
is(s3('list', key => 'nothing/'), 'ok', 'an empty one');
is(s3('delete', data => "list/1\nlist/2\nlist/absent"), 'ok', 'many are deleted');
is(keys_of('list/'), 'list/3 list/4 list/5', 'and gone');
is(s3('delete', data => "list/3\nlist/absent", settings => 'multi_delete=0'), 'ok', 'one by one as well');
is(keys_of('list/'), 'list/4 list/5', 'and gone');
my $many = join "\n", map { "many/$_" } 1 .. 1500;
is(s3('delete', data => $many), 'ok', 'more than one request can');
is(faulty({ kind => 'multi_delete', status => 501, code => 'NotImplemented' }, 'delete', data => "list/4\nlist/5"), 'ok', 'a store that cannot');
is(keys_of('list/'), '', 'has them deleted one by one');
$store->put("list/$_", 'x') for 1 .. 2;
my $failures = '<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Error><Key>list/2</Key><Code>%s</Code><Message>m</Message></Error></DeleteResult>';
is(faulty({ kind => 'multi_delete', count => 1, body => sprintf($failures, 'SlowDown') }, 'delete', data => "list/1\nlist/2"), 'ok', 'keys that could not be deleted');
my @deletes = $proxy->requests(kind => 'multi_delete');
is(scalar(@deletes), 2, 'are asked for again');
cmp_ok($deletes[1]{up}, '<', $deletes[0]{up}, 'alone');
is(faulty({ kind => 'multi_delete', count => 1, body => sprintf($failures, 'AccessDenied') }, 'delete', data => "list/1\nlist/2"), 'denied 200 AccessDenied: m', 'unless they may not be');

# --- in parts -----------------------------------------------------------------

# 40 times 1,000,000 bytes; its MD5
my $megabyte = q{(SELECT string_agg(decode(md5(i::text), 'hex'), '') FROM generate_series(1, 62500) i)};
my %large = (data_sql => $megabyte, n => 40);
my $md5 = sql("SELECT md5(string_agg(x, '')) FROM (SELECT $megabyte AS x FROM generate_series(1, 40)) x");
my $uploads = sub { my $list = $store->request('GET', '', query => { uploads => '' })->{content}; my @n = $list =~ /<UploadId>/g; return scalar @n; };
$s3->new_server;
$proxy->reset;
is(s3('put', key => 'large', %large), 'ok', 'a large object');
is(join(' ', map { $proxy->count(kind => $_) } qw(create_upload part complete_upload abort_upload put)), '1 5 1 0 0', 'goes in parts');
is(s3('get', key => 'large', n => 40_000_000), "ok $md5", 'and is what it was');
cmp_ok($proxy->seen->{most_in_flight}, '>', 1, 'several at a time');
is(faulty({ kind => 'part', count => 3, reset => 'upload' }, 'put', key => 'large2', %large), 'ok', 'parts that fail are sent again');
is(s3('get', key => 'large2', n => 40_000_000), "ok $md5", 'and it is whole');
is(faulty({ kind => 'create_upload', status => 403, code => 'AccessDenied', message => 'no' }, 'put', key => 'large3', %large), 'denied 403 AccessDenied: no', 'not begun');
is(faulty({ kind => 'part', skip => 2, count => 1, status => 403, code => 'AccessDenied', message => 'no' }, 'put', key => 'large3', %large), 'denied 403 AccessDenied: no', 'a part is refused');
is(faulty({ kind => 'complete_upload', status => 400, code => 'InvalidPart', message => 'no' }, 'put', key => 'large3', %large), 'invalid 400 InvalidPart: no', 'the whole is refused');
is(faulty({ kind => 'complete_upload', count => 1, status => 200, body => '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>m</Message></Error>' },
	'put', key => 'large3', %large), 'ok', 'an error under status 200 is one');
is($proxy->count(kind => 'complete_upload'), 2, 'and is tried again');
is(faulty({ kind => 'complete_upload', count => 1, reset => 'after' }, 'put', key => 'large4', %large), 'ok', 'the answer to the last request lost');
is(s3('get', key => 'large4', n => 40_000_000), "ok $md5", 'it is there');
$s3->new_server;
is(s3('put_once', key => 'large4', %large), 'exists 0 : ', 'another large object of that name');
is($uploads->(), 0, 'what failed leaves no upload');

# --- bad days -----------------------------------------------------------------

for my $case (
	[ 'reset before it arrives', { reset => 'before' } ],
	[ 'reset in the upload', { reset => 'upload' } ],
	[ 'reset, the answer lost', { reset => 'after' } ],
	[ 'status 500', { status => 500 } ],
	[ 'no ETag', { headers => { ETag => undef } } ],
	[ 'another checksum', { headers => { 'x-amz-checksum-crc32c' => 'AAAAAA==' } } ],
	[ 'status 500, though done', { status => 500, reached => 1 } ],
	[ 'status 503', { status => 503, code => 'SlowDown' } ],
	[ 'status 429', { status => 429, code => 'TooManyRequests' } ],
	[ 'garbage', { garbage => "HTTP/1.1 banana\r\n\x00\xff" } ],
	[ 'damaged on the way', { corrupt => 'request' } ],
	[ 'a conflict', { status => 409, code => 'ConditionalRequestConflict' } ])
{
	my ($name, $fault) = @$case;
	(my $to = $name) =~ s/\W+/-/g;

	is(faulty({ kind => 'put', count => 2, %$fault }, 'put_once', key => $to, data => $data), 'ok', "a put: $name");
	ok($store->get($to) eq $data, 'is there');
	cmp_ok($proxy->count(kind => 'put'), '>', 1, 'after more than one attempt');
}
$store->put('theirs', 'x');
is(faulty({ kind => 'put', count => 1, reset => 'before' }, 'put_once', key => 'theirs', data => $data), 'exists 412 PreconditionFailed: ', 'what is another\'s stays so');
is($store->get('theirs'), 'x', 'also after a failure');

for my $case (
	[ 'reset in the answer', { reset => 'answer' } ],
	[ 'a cut answer', { cut => 10 } ],
	[ 'a short answer', { shorten => 10 } ],
	[ 'another range', { headers => { 'Content-Range' => 'bytes 1-10000/10001' } } ],
	[ 'another range\'s end', { headers => { 'Content-Range' => 'bytes 0-9998/10000' } } ],
	[ 'nonsense for a range', { headers => { 'Content-Range' => 'bytes 18446744073709551617-99999999999999999999/9' } } ],
	[ 'no range', { headers => { 'Content-Range' => undef } } ],
	[ 'status 502', { status => 502, body => '<html>x</html>' } ],
	[ 'more than was asked for', { body => 'x' x 10_001 } ])
{
	my ($name, $fault) = @$case;

	is(faulty({ kind => 'get', count => 2, %$fault }, 'get', key => $key, n => 10_000), 'ok ' . md5_hex($data), "a get: $name");
	is($proxy->count(kind => 'get'), 3, 'asked three times');
}
is(faulty({ kind => 'get', shorten => 10 }, 'get', key => $key, n => 10_000, settings => 'retry_timeout=300'),
	'unavailable 206 : the answer is shorter than it says', 'for good');
is(faulty({ kind => 'list', count => 2, body => '<ListBucketResult><Contents>' }, 'list', key => 'list/'), 'ok', 'a damaged listing');
is(faulty({ kind => 'head', count => 1, status => 404 }, 'head', key => $key), 'not found 404 : ', 'what is said not to be there is not asked for again');

# stalls end by the time that nothing has moved
for my $place ('before', 'answer')
{
	is(faulty({ kind => 'get', count => 1, stall => $place }, 'get', key => $key, n => 10_000, settings => 'request_timeout=300'),
		'ok ' . md5_hex($data), "stalled: $place");
}
is(faulty({ kind => 'put', count => 1, stall => 'upload' }, 'put', key => 'stalled', data => $data, settings => 'request_timeout=300'), 'ok', 'stalled: upload');
like(faulty({ kind => 'get', stall => 'before' }, 'get', key => $key, n => 1, settings => 'request_timeout=60000 retry_timeout=300'),
	qr/^unavailable 0 : no answer before the operation's time was over/, 'the operation\'s time ends a stall as well');
$s3->new_server;
$proxy->hang;
like(s3('get', key => $key, n => 1, settings => 'connect_timeout=300 retry_timeout=500'), qr/^unavailable 0 : no/, 'no connection in time');
$proxy->accept;
$s3->new_server;
$proxy->refuse;
like(s3('get', key => $key, n => 1, settings => 'retry_timeout=300'), qr/^unavailable 0 : /, 'connections refused');
$proxy->accept;

# a cancel ends it at once, whatever it waits for
$proxy->fault(kind => 'get', stall => 'before');
$s3->new_server;
my $get = $s3->sql('get', key => $key, n => 1, settings => 'request_timeout=600000 retry_timeout=0');
like(error_of($node, "SET statement_timeout = '200ms'; SELECT $get"), qr/57014/, 'cancelled in a stall');
$proxy->clear;
$proxy->fault(kind => 'get', status => 503, headers => { 'Retry-After' => 60 });
like(error_of($node, "SET statement_timeout = '200ms'; SELECT $get"), qr/57014/, 'cancelled between two attempts');
$proxy->clear;

# an error leaves nothing on its way, and the session goes on
my $session = $node->background_psql('postgres', on_error_stop => 0);
$proxy->fault(kind => 'put', stall => 'after');
$session->query('SELECT ' . $s3->sql('fail', key => 'behind', data => 'x', m => 200));
is($session->query('SELECT ' . $s3->sql('drive', n => 0)), 'idle', 'after an error there is nothing to drive');
$proxy->clear;
$proxy->fault(kind => 'part', skip => 1, stall => 'upload');
$session->query(q{SET statement_timeout = '1s'; SELECT } . $s3->sql('put', key => 'cancelled', %large));
is($session->query('SET statement_timeout = 0; SELECT ' . $s3->sql('drive', n => 0)), 'busy', 'after a cancelled upload there is');
$proxy->clear;
is($session->query('SELECT ' . $s3->sql('drive', n => 10_000)), 'idle', 'and it ends');
is($uploads->(), 0, 'and no upload is left');
is($session->query('SELECT ' . $s3->sql('get', key => $key, n => 10_000)), 'ok ' . md5_hex($data), 'the session goes on');
$session->quit;

# --- refusals -----------------------------------------------------------------

is(s3('get', key => 'x', n => 1, settings => 'bucket=none'), 'no bucket 404 NoSuchBucket: ', 'no such bucket');
is(s3('get', key => 'x', n => 1, settings => 'secret=wrong'), 'denied 403 SignatureDoesNotMatch: ', 'a wrong secret');
sub report { my ($rule, %with) = @_; $s3->new_server; $proxy->clear; $proxy->fault(%$rule) if %$rule; return $s3->error('report', key => 'x', n => 1, %with); }
like(report({}), qr/ERROR:  58P01: could not read "x" in bucket "streamhouse-test" of server "test"\n.*HTTP status 404 NoSuchKey/s, 'no such key, in words');
like(report({}, settings => 'bucket=none'), qr/58P01.*404 NoSuchBucket.*HINT:  Create the bucket/s, 'no such bucket');
like(report({}, settings => 'secret=wrong'), qr/42501.*403 SignatureDoesNotMatch.*HINT:  Check access key and secret/s, 'a wrong secret');
unlike(report({}, settings => 'secret=wrongsecretword'), qr/HINT.*wrongsecretword|DETAIL.*wrongsecretword|ERROR.*wrongsecretword/, 'which is not told');
like(report({ status => 403, code => 'RequestTimeTooSkewed', headers => { Date => 'Wed, 01 Jan 2020 00:00:00 GMT' } }),
	qr/42501.*The clock of this machine is \d{9} seconds ahead of the store's.*HINT:  Set the clock/s, 'a wrong clock');
like(report({ status => 301, headers => { Location => 'http://127.0.0.1:1/x?secret', 'x-amz-bucket-region' => 'eu-north-7' } }),
	qr/08001.*the bucket is in region "eu-north-7".*HINT:  Redirects are not followed/s, 'a redirect to a region');
my $redirect = report({ status => 307, headers => { Location => 'http://127.0.0.1:1/x?secret' } });
like($redirect, qr/08001.*the bucket is at "http:\/\/127.0.0.1:1"\./s, 'a redirect to an address');
like(report({ status => 400, code => 'AuthorizationHeaderMalformed', body => '<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-1</Region></Error>' }),
	qr/42501.*in region "eu-1".*option region/s, 'another region');
like(report({}, settings => 'endpoint=http://169.254.169.254'), qr/08001.*The address is link-local\..*allow_link_local/s, 'a link-local address');
like(report({}, settings => "endpoint=http://[::ffff:169.254.169.254]"), qr/08001.*The address is link-local/s, 'one in other words');
like(report({}, settings => 'endpoint=http://nowhere.invalid retry_timeout=100'), qr/08006.*resolve.*HINT:  Check the endpoint/s, 'no such host');
like(report({}, settings => "endpoint=$_"), qr/22023: invalid endpoint/, "endpoint $_") for 'ftp://x', 'http://', 'http://u:p@x', 'http://x/path', 'https://x:99999', 'x';
like(report({ status => 503, code => "<\x01\xff", message => "m" }, settings => 'retry_timeout=200'), qr/08006.*HTTP status 503/s, 'nonsense in an error');

# --- TLS ----------------------------------------------------------------------

my $tls = FaultProxy->new(target => $gateway->host, tls => 1);
my $secured = 'endpoint=' . $tls->endpoint;
my $ca = 'ca_file=' . $tls->ca_file;
$s3->new_server;
is(s3('put', key => 'tls', data => $data, settings => "$secured $ca"), 'ok', 'over TLS');
is(($tls->requests)[0]{headers}{'x-amz-content-sha256'}, 'UNSIGNED-PAYLOAD', 'a checksum does');
is(s3('put', key => 'tls', data => $data, settings => "$secured $ca checksum=0"), 'ok', 'without one');
isnt(($tls->requests)[-1]{headers}{'x-amz-content-sha256'}, 'UNSIGNED-PAYLOAD', 'the signature covers the bytes');
is(s3('get_many', key => 'tls', n => 20, m => 10_000, settings => "$secured $ca"), 20, 'many at a time');
like(report({}, settings => $secured), qr/08001.*HINT:  Check the endpoint's certificate/s, 'a certificate of somebody');
like(report({}, settings => "endpoint=https://127.0.0.1:" . ($proxy->endpoint =~ /(\d+)$/)[0] . " retry_timeout=100"), qr/08006.*HINT:  Check that the endpoint speaks TLS/s, 'no TLS there');

# --- health -------------------------------------------------------------------

sql('CREATE SERVER lake FOREIGN DATA WRAPPER streamhouse OPTIONS (url $$s3://bucket$$); CREATE SERVER lake2 FOREIGN DATA WRAPPER streamhouse OPTIONS (url $$s3://bucket$$)');
my $use = sub { $s3->new_server(sql(qq{SELECT oid FROM pg_foreign_server WHERE srvname = '$_[0]'})); };
my $health = sub { return sql("SELECT " . join(', ', @_) . " FROM streamhouse.stat_servers WHERE server = 'lake'"); };
$use->('lake');
$proxy->clear;
is($health->(qw(puts gets breaker in_flight last_error)), '0|0|closed|0|', 'a server that nobody has used');
s3('put', key => 'counted', data => 'x' x 1000);
s3('put', key => 'counted2', %large);
s3('get_many', key => 'counted', n => 10, m => 500);
s3('list', key => 'counted');
s3('head', key => 'counted');
s3('delete', data => "counted\ncounted2");
is($health->(qw(puts parts uploads gets heads lists deletes retries errors throttles last_error)), '1|5|2|10|1|1|1|0|0|0|', 'requests are counted by kind');
is($health->('bytes_sent > 40001000', 'bytes_received > 5000', '(SELECT sum(h) FROM unnest(request_histogram) h)', 'request_p50_ms > 0', 'request_p50_ms <= request_p99_ms'), 't|t|21|t|t', 'with their bytes and times');
is($health->('connections + reuses', 'connections < 21', 'in_flight'), '21|t|0', 'and their connections');
$proxy->fault(kind => 'get', count => 2, status => 503, code => 'SlowDown', message => 'spare me');
$store->put('counted', 'x');
is(s3('get', key => 'counted', n => 1), 'ok ' . md5_hex('x'), 'a server that wants to be spared');
is($health->(qw(throttles retries errors breaker last_error), 'max_in_flight < 128', 'last_error_at > now() - interval \'1 hour\''), '2|2|2|closed|GET: HTTP status 503 SlowDown: spare me|t|t', 'is, and the view tells');
sql('SELECT streamhouse.stat_reset()');
is($health->(qw(gets errors), 'stats_reset IS NULL'), '0|0|f', 'reset');
sql(q{BEGIN; DROP SERVER lake; ROLLBACK});
is($health->('max_in_flight < 128'), 't', 'a drop that is undone forgets nothing');
sql(q{BEGIN; DROP SERVER lake; COMMIT; CREATE SERVER lake FOREIGN DATA WRAPPER streamhouse OPTIONS (url $$s3://bucket$$)});
is($health->(qw(gets max_in_flight last_error)), '0|128|', 'a new server of that name begins anew');

# the breaker: what one process has found out the others know
$use->('lake');
$proxy->clear;
$proxy->reset;
$proxy->fault(kind => 'get', status => 500);
like(s3('get', key => 'counted', n => 1, settings => 'retry_timeout=4000'), qr/^unavailable 500/, 'a server that fails for long');
like($health->(qw(breaker failures retry_at), 'retry_at > now() - interval \'1 minute\''), qr/^(?:open|probing)\|\d+\|20.*\|t$/, 'is let alone');
my $before = $proxy->count;
my @waiting = map { $node->background_psql('postgres') } 1 .. 4;
$_->query_until(qr/begun/, "\\echo begun\nSELECT " . $s3->sql('get', key => 'counted', n => 1, settings => 'retry_timeout=0') . ";\n\\echo ended\n") for @waiting;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 4 FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND query LIKE '%counted%'}), 'others wait');
$proxy->await($before + 1);
is($proxy->seen->{most_in_flight}, 1, 'only one at a time tries');
$proxy->clear;
is(join(' ', map { my $out = $_->query_until(qr/ended/, ''); $out =~ /ok/ ? 'ok' : $out } @waiting), 'ok ok ok ok', 'when it is back, all go on');
is($health->(qw(breaker failures retry_at in_flight)), 'closed|0||0', 'as if nothing had been');
$_->quit for @waiting;

# who dies with requests on their way takes their places along
$use->('lake');
$proxy->fault(kind => 'get', stall => 'before');
my $dying = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $dying->query_safe('SELECT pg_backend_pid()');
$dying->query_until(qr/begun/, "\\echo begun\nSELECT " . $s3->sql('get_many', key => 'counted', n => 10, m => 1, settings => 'retry_timeout=0 request_timeout=600000') . ";\n");
ok($node->poll_query_until('postgres', q{SELECT in_flight = 10 FROM streamhouse.stat_servers WHERE server = 'lake'}), 'ten requests are on their way');
sql("SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', q{SELECT in_flight = 0 FROM streamhouse.stat_servers WHERE server = 'lake'}), 'gone with their process');
$proxy->clear;
eval { $dying->quit };

# another's eyes
sql('CREATE ROLE guest LOGIN');
is(sql(q{SET ROLE guest; SELECT server FROM streamhouse.stat_servers ORDER BY 1}), '', 'a user sees the servers that he may use');
is(sql(q{SET ROLE guest; SELECT breaker FROM streamhouse.server_health((SELECT oid FROM pg_foreign_server WHERE srvname = 'lake'))}), '', 'and asks in vain for another');
is(sql(q{GRANT USAGE ON FOREIGN SERVER lake TO guest; SET ROLE guest; SELECT server FROM streamhouse.stat_servers ORDER BY 1}), 'lake', 'until it is granted');

# room for 128 servers, which a drop gives back
sql(q{CREATE DATABASE beside});
sql(q{CREATE EXTENSION streamhouse; CREATE FUNCTION s3(settings text, command text, key text, data bytea, n bigint, m bigint)
	RETURNS text LANGUAGE c AS 'streamhouse', 'sth_testing_s3'}, 'beside');
my $open = $s3->sql('get', settings => q{server=%d}) =~ s/'([^']*)%d'/'$1' || i/r;
is(sql("SELECT count($open) FROM generate_series(1, 128) i", 'beside'), 128, 'as many servers are used as there is room for');
sql('DROP SERVER lake2; CREATE SERVER lake2 FOREIGN DATA WRAPPER streamhouse OPTIONS (url $$s3://bucket$$); CREATE SERVER lake3 FOREIGN DATA WRAPPER streamhouse OPTIONS (url $$s3://bucket$$)');
sql("SELECT count($open) FROM generate_series(1, 128) i", 'beside');
my $lake3 = q{SELECT puts, breaker, stats_reset IS NULL FROM streamhouse.stat_servers WHERE server = 'lake3'};
$use->('lake3');
is(s3('put', key => 'uncounted', data => 'x') . '|' . sql($lake3), 'ok|||t', 'one more is used, but not counted');
sql('DROP DATABASE beside');
is(s3('put', key => 'counted', data => 'x') . '|' . sql($lake3), 'ok|1|closed|f', 'DROP DATABASE gives room back');
like(sql(q{BEGIN; DROP SERVER lake3; PREPARE TRANSACTION 'p'}) . sql(q{ROLLBACK PREPARED 'p'}), qr/^$/, 'a server may be dropped in a prepared transaction');
is(sql($lake3), '||t', 'which forgets what was counted');

# the gateway dies
$gateway->kill;
$use->('lake2');
$get = $node->background_psql('postgres');
$get->query_until(qr/begun/, "\\echo begun\nSELECT " . $s3->sql('get', key => 'counted', n => 1, settings => 'retry_timeout=0 endpoint=' . $gateway->endpoint) . ";\n\\echo ended\n");
ok($node->poll_query_until('postgres', q{SELECT retries > 3 FROM streamhouse.stat_servers WHERE server = 'lake2'}), 'without a gateway it is tried');
$gateway->start;
like($get->query_until(qr/ended/, ''), qr/^ok/, 'until there is one');
$get->quit;

$node->stop;
is(scalar(grep { /PANIC|TRAP|terminated by signal/ } split /\n/, slurp_file($node->logfile)), 0, 'no crash');
done_testing();

sub crc32c_base64
{
	my ($bytes) = @_;
	my $crc = 0xffffffff;

	for my $byte (unpack 'C*', $bytes)
	{
		$crc ^= $byte;
		$crc = $crc & 1 ? ($crc >> 1) ^ 0x82f63b78 : $crc >> 1 for 1 .. 8;
	}
	my $base64 = pack 'u', pack('N', $crc ^ 0xffffffff);
	# uuencoding is base64 with other letters
	$base64 = substr $base64, 1, 6;
	$base64 =~ tr{` -_}{AA-Za-z0-9+/};
	return "$base64==";
}
