# Bad days of a bucket, one by one: while they last readers are told what is
# wrong, producers go on, and what else there is to flush is flushed; when they
# are over, flushing goes on by itself, no row is lost, doubled or wrong, and
# what was given up is gone from the bucket.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;
use FaultProxy;
use Gateway;
use Lake;

plan skip_all => 'not installed: ' . Gateway->missing if Gateway->missing;

my $gateway = Gateway->new;
my $proxy = FaultProxy->new(target => $gateway->host);
my $node = new_server('main', 'autovacuum = off', 'streamhouse.gc_grace = 0', 'streamhouse.orphan_age = 0',
	q{streamhouse.maintenance_interval = '1s'}, q{streamhouse.flush_interval = '1s'});
my $failpoints = answer($node, q{SELECT count(*) FROM pg_settings WHERE name = 'streamhouse.failpoint'});

sub sql { return answer($node, @_); }

# Every row has its twin in a table, committed with it.
create_lake($node, $gateway, endpoint => $proxy->endpoint, request_timeout => '2s', connect_timeout => '2s');
is(sql(<<~'SQL'), '', 'topics with twins');
	CREATE FOREIGN TABLE t (n bigint, s text) SERVER lake;
	CREATE TABLE twin (n bigint, s text);
	CREATE SEQUENCE ids;
	CREATE PROCEDURE add(rows int) LANGUAGE SQL AS $$
		WITH r AS (INSERT INTO twin SELECT nextval('ids'), md5(i::text) || md5((i * 7)::text) FROM generate_series(1, rows) i RETURNING *)
		INSERT INTO t (n, s) TABLE r;
	$$;
	SQL
my $read = 'SELECT count(*), sum(n), max(s) FROM t';
my $twins = 'SELECT count(*), sum(n), max(s) FROM twin';
my $tail_is_empty = 'SELECT count(*) = 0 FROM streamhouse.tail';

# How long the server's operations are tried.
sub try_for { my ($time) = @_; return sql("ALTER SERVER lake OPTIONS (" . (sql(q{SELECT srvoptions::text LIKE '%retry_timeout%' FROM pg_foreign_server WHERE srvname = 'lake'}) eq 't' ? 'SET' : 'ADD') . " retry_timeout '$time')"); }

# When a bad day is over all is as it should be, without anybody's doing.
sub is_well
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($node->poll_query_until('postgres', $tail_is_empty), "$what: rows are flushed by themselves");
	is(sql(<<~'SQL'), '0', "$what: every row is there once, as it was");
		SELECT count(*) FROM (
			(SELECT n, s FROM t EXCEPT ALL TABLE twin) UNION ALL (TABLE twin EXCEPT ALL SELECT n, s FROM t)) x
		SQL
	is(sql('SELECT * FROM streamhouse.verify()'), '', "$what: verify() finds nothing");
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM streamhouse.objects WHERE state <> 'live'}), "$what: what was given up is deleted");
	keys_agree($node, $gateway, "$what: the bucket has what the ledger has");
	return;
}

is(sql('CALL add(20000)') . sql(q{SELECT streamhouse.flush('t')}), '', 'rows in the bucket');
my $worker = worker_of($node, 'postgres');
is_well('a good day');

# --- what passes ----------------------------------------------------------------

# Each lasts for some requests; who waits hardly notices.
my @flush = (
	[ '429', { kind => 'put', count => 3, status => 429, code => 'TooManyRequests' } ],
	[ '500', { kind => 'put', count => 3, status => 500 } ],
	[ '500, though done', { kind => 'put', count => 2, status => 500, reached => 1 } ],
	[ '503', { kind => 'put', count => 5, status => 503, code => 'SlowDown' } ],
	[ 'reset before', { kind => 'put', count => 3, reset => 'before' } ],
	[ 'reset in the upload', { kind => 'put', count => 3, reset => 'upload' } ],
	[ 'a lost answer to a PUT', { kind => 'put', count => 2, reset => 'after' } ],
	[ 'a stalled upload', { kind => 'put', count => 1, stall => 'upload' } ],
	[ 'a PUT without an answer', { kind => 'put', count => 1, stall => 'after' } ],
	[ 'a PUT damaged on the way', { kind => 'put', count => 1, corrupt => 'request' } ],
	[ '507', { kind => 'put', count => 2, status => 507, code => 'InsufficientStorage' } ],
	[ 'a full quota', { kind => 'put', count => 2, status => 403, code => 'QuotaExceeded' } ]);
for my $case (@flush)
{
	my ($name, $rule) = @$case;

	$proxy->clear;
	$proxy->reset;
	my $fault = $proxy->fault(%$rule);
	is(sql('CALL add(500)') . sql(q{SELECT streamhouse.flush('t')}), '', "flush(): $name");
	is($proxy->hits($fault), $rule->{count}, "flush(): $name: as often as meant");
	cmp_ok($proxy->count(kind => 'head'), '>=', 1, 'whose the object is was asked') if $rule->{reached} || ($rule->{reset} // $rule->{stall} // '') eq 'after';
	$proxy->clear;
	is(sql($read), sql($twins), "flush(): $name: the rows are there");
}
is(sql(q{SELECT count(*) FROM streamhouse.objects WHERE state <> 'live'}), 0, 'none of that gave an object up');
is_well('after what passed');

$proxy->reset;
my @scan = (
	[ '429', { status => 429, code => 'TooManyRequests' } ],
	[ '500', { status => 500 } ],
	[ '503', { status => 503, code => 'SlowDown' } ],
	[ 'reset before', { reset => 'before' } ],
	[ 'reset in the answer', { reset => 'answer' } ],
	[ 'a stalled answer', { stall => 'answer', count => 1 } ],
	[ 'no answer', { stall => 'before', count => 1 } ],
	[ 'a cut answer', { cut => 10 } ],
	[ 'a short answer', { shorten => 10 } ],
	[ 'another range', { headers => { 'Content-Range' => 'bytes 7-16/10000000' } } ],
	[ 'nothing but nonsense', { garbage => "HTTP/1.1 banana\r\n\x00\xff" } ]);
my $expected = sql($twins);
for my $case (@scan)
{
	my ($name, $rule) = @$case;

	my $fault = $proxy->fault(kind => 'get', path => 'data/', count => 3, %$rule);
	is(sql($read), $expected, "a scan: $name");
	cmp_ok($proxy->hits($fault), '>=', 1, "a scan: $name: it was met");
	$proxy->clear;
}

# a storm on all requests, with producers and readers in it
$proxy->fault(status => 503, code => 'SlowDown', chance => .4);
for (1 .. 3)
{
	is(sql('CALL add(500)'), '', 'in a storm producers go on');
	is(sql($read), sql($twins), 'and readers get what there is');
}
$proxy->clear;
is_well('after a storm');

# --- what lasts -----------------------------------------------------------------

# A reader is told what is wrong when his time is over, with a hint; what has
# to be said, and the SQLSTATE, are the same each time.
my $busy = 'The store may be overloaded or out of order: try again later\.';
my $unreachable = 'Check that the store runs, and that "127\.0\.0\.1" can be reached from the database server\.';
my $network = 'Check the store and the network between\.';
my $keys = 'Check access key and secret in the user mapping of the server\'s owner, or where else the credentials come from\.';
my $no_put = qr/could not write "lake\/data\/[^"]+" in bucket "streamhouse-test" of server "lake"/;

# The names, what is done to the proxy; SQLSTATE, detail and hint of readers,
# undef: they do not notice; and what a flush says.
my @lasting = (
	[ '429', { status => 429, code => 'TooManyRequests' }, '08006', qr/HTTP status 429 TooManyRequests/, $busy ],
	[ '500', { status => 500 }, '08006', qr/HTTP status 500 InternalError/, $busy ],
	[ '503', { status => 503, code => 'SlowDown' }, '08006', qr/HTTP status 503 SlowDown/, $busy ],
	[ 'connections refused', sub { $proxy->refuse }, '08006', qr/Failed to connect|Connection refused|Couldn't connect/, $unreachable ],
	[ 'connections reset', { reset => 'before' }, '08006', qr/reset by peer|Empty reply|Recv failure/, $network ],
	[ 'no network', sub { $proxy->hang }, '08006', qr/no connection within the time limit|no answer before the operation's time was over/i, qr/$unreachable|$network/ ],
	[ 'no answers', { stall => 'before' }, '08006', qr/no progress within the time limit|no answer before the operation's time was over/i, $network ],
	[ 'answers that stand still', { kind => 'get', stall => 'answer' }, '08006', qr/no progress within the time limit|no answer before the operation's time was over/i, $network ],
	[ 'cut answers', { kind => 'get', cut => 10 }, '08006', qr/bytes (?:remaining to read|missing)|the answer is shorter/, $network ],
	[ 'short answers', { kind => 'get', shorten => 10 }, '08006', qr/the answer is shorter than it says/, $network ],
	[ 'other ranges', { kind => 'get', headers => { 'Content-Range' => 'bytes 7-16/10000000' } }, '08006', qr/the answer is not the range that was asked for/, $network ],
	[ 'expired credentials', { status => 400, code => 'ExpiredToken', message => 'The provided token has expired.' }, '42501', qr/HTTP status 400 ExpiredToken: The provided token has expired\./, $keys ],
	[ 'a wrong clock', { status => 403, code => 'RequestTimeTooSkewed', headers => { Date => 'Wed, 01 Jan 2020 00:00:00 GMT' } }, '42501',
		qr/HTTP status 403 RequestTimeTooSkewed.*The clock of this machine is \d{9} seconds ahead of the store's\./, 'Set the clock of this machine, or of the store\.' ],
	[ 'a missing bucket', { status => 404, code => 'NoSuchBucket' }, '58P01', qr/HTTP status 404 NoSuchBucket/, 'Create the bucket, or check the server\'s option url\.' ],
	[ '507', { kind => 'put', status => 507, code => 'InsufficientStorage' }, undef, qr/HTTP status 507 InsufficientStorage/ ],
	[ 'a full quota', { kind => 'put', status => 403, code => 'QuotaExceeded' }, undef, qr/HTTP status 403 QuotaExceeded/ ],
	[ 'a stopped gateway', sub { $gateway->kill }, '08006', qr/reset by peer|Empty reply|Recv failure/, $network ],
	[ 'a paused gateway', sub { $gateway->pause }, '08006', qr/no progress within the time limit|no answer before the operation's time was over/i, $network ]);
my %over = (
	'connections refused' => sub { $proxy->accept },
	'no network' => sub { $proxy->accept },
	'a stopped gateway' => sub { $gateway->start },
	'a paused gateway' => sub { $gateway->resume });

for my $case (@lasting)
{
	my ($name, $fault, $state, $detail, $hint) = @$case;

	try_for('500ms');
	ref $fault eq 'HASH' ? $proxy->fault(%$fault) : $fault->();
	if (defined $state)
	{
		like(error_of($node, $read), qr/ERROR:  $state: could not read "lake\/data\/[^"]+" in bucket "streamhouse-test" of server "lake"\nDETAIL:  [^\n]*$detail[^\n]*\nHINT:  $hint\n/, "$name: what readers read");
	}
	else
	{
		is(sql($read), sql($twins), "$name: readers do not notice");
	}
	is(sql('CALL add(500)'), '', "$name: producers go on");
	if (ref $fault ne 'HASH' || ($fault->{kind} // 'put') ne 'get')
	{
		fails_with($node, q{SELECT streamhouse.flush('t')}, '55000', qr/could not write a segment of partition 0 of topic "t"\nDETAIL:  $no_put: [^\n]*(?:$detail|[Nn]o request could be sent in time)/, "$name: flush() says so", hint => 'It is tried again by itself');
		is(sql('CALL add(500)'), '', "$name: producers go on");
	}
	$proxy->clear;
	$over{$name}->() if $over{$name};
	try_for('60s');
	is_well("after $name");
}

# --- bytes that are not those that were written -----------------------------------

# as a block of a segment, its footer, or any other of what is there
$proxy->fault(kind => 'get', path => 'data/', corrupt => 'answer');
like(error_of($node, $read), qr/ERROR:  XX001: damaged object \d+\nDETAIL:  Bytes \d+ to \d+, of partition 0 of topic "t"/, 'damaged bytes are an error, not rows');
like(error_of($node, 'SELECT * FROM streamhouse.read(NULL::t, 0, 5)'), qr/ERROR:  XX001: damaged object \d+/, 'of read() too');
sql(q{SELECT streamhouse.create_group('g', 't')});
like(error_of($node, q{SELECT count(*) FROM streamhouse.poll('g', NULL::t)}), qr/ERROR:  XX001: damaged object \d+/, 'and of poll()');
like(sql('SELECT string_agg(problem, $$;$$) FROM streamhouse.verify()'), qr/damaged object/, 'verify() finds it');
is(sql('CALL add(500)') . sql(q{SELECT streamhouse.flush('t')}), '', 'what is written is not concerned');
$proxy->clear;
is(sql(q{BEGIN; CREATE TEMP TABLE polled AS SELECT n, s FROM streamhouse.poll('g', NULL::t, 1000000, 1000000000); COMMIT;
	SELECT count(*) FROM ((TABLE polled EXCEPT ALL TABLE twin) UNION ALL (TABLE twin EXCEPT ALL TABLE polled)) x}), 0, 'poll() has passed over nothing');
is_well('after damaged answers');

# an object that is not there
$proxy->fault(kind => 'get', path => 'data/', status => 404, code => 'NoSuchKey');
like(error_of($node, $read), qr/ERROR:  XX001: object \d+ is missing or too short\nDETAIL:  It should have bytes \d+ to \d+, of partition 0 of topic "t"/, 'a missing object is an error');
$proxy->clear;
is_well('after missing objects');

# --- keys -----------------------------------------------------------------------

# What the mapping of the server's owner has from now on.
sub set_keys { my ($access_key, $secret_key) = @_; return sql("SET log_statement = none; ALTER USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS (SET access_key_id '$access_key', SET secret_access_key '$secret_key')"); }

my $session = $node->background_psql('postgres');
is($session->query_safe($read), sql($twins), 'a session reads');
$gateway->add_key('SECONDACCESS', 'second/secret+key');
set_keys('SECONDACCESS', 'second/secret+key');
is($session->query_safe($read), sql($twins), 'with other keys too');
$gateway->remove_key('SECONDACCESS');
like(error_of($node, $read), qr/ERROR:  42501: could not read.*HTTP status 403 InvalidAccessKeyId.*HINT:  $keys/s, 'keys that were removed');
sql('CALL add(500)');
fails_with($node, q{SELECT streamhouse.flush('t')}, '55000', qr/could not write a segment of partition 0 of topic "t"\nDETAIL:  $no_put: The store answered with HTTP status 403 InvalidAccessKeyId/, 'flush() says so');
set_keys($gateway->access_key, $gateway->secret_key . 'x');
like(error_of($node, $read), qr/ERROR:  42501: could not read.*HTTP status 403 SignatureDoesNotMatch.*HINT:  $keys/s, 'a wrong secret');
set_keys($gateway->access_key, $gateway->secret_key);
is($session->query_safe($read), sql($twins), 'with the right ones again');
is_well('after removed keys');

# a file, which is read again when it has changed
my $file = $node->basedir . '/credentials';
sub write_keys
{
	my ($access_key, $secret_key) = @_;

	open my $new, '>', "$file.new" or die "$file.new: $!";
	print $new "[default]\naws_access_key_id = $access_key\naws_secret_access_key = $secret_key\n";
	close $new or die "$file.new: $!";
	rename "$file.new", $file or die "$file: $!";
	return;
}
write_keys('THIRDACCESS', 'third/secret+key');
$gateway->add_key('THIRDACCESS', 'third/secret+key');
is(sql("DROP USER MAPPING FOR CURRENT_USER SERVER lake; ALTER SERVER lake OPTIONS (ADD credentials_file '$file')"), '', 'keys from a file');
is($session->query_safe($read), sql($twins), 'a session reads with them');
is(sql('CALL add(500)') . sql(q{SELECT streamhouse.flush('t')}), '', 'the worker writes with them');
$gateway->add_key('FOURTHACCESS', 'fourth/secret+key');
$gateway->remove_key('THIRDACCESS');
write_keys('FOURTHACCESS', 'fourth/secret+key');
is($session->query_safe($read), sql($twins), 'rotated, a session goes on');
is(sql('CALL add(500)') . sql(q{SELECT streamhouse.flush('t')}), '', 'and so does the worker');
is_well('after keys from a file');
$session->quit;

is(worker_of($node, 'postgres'), $worker, 'all of that was done by one worker');
unlike(slurp_file($node->logfile), qr/FATAL|PANIC|TRAP/, 'and nothing was fatal');

done_testing();
