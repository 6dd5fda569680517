# What a worker leaves behind in a bucket goes, and what cannot be deleted
# keeps nothing else there.
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
	q{streamhouse.maintenance_interval = '1s'}, q{streamhouse.flush_interval = '1h'}, q{streamhouse.segment_size = '1GB'});

sub sql { return answer($node, @_); }

create_lake($node, $gateway, endpoint => $proxy->endpoint);

# --- an upload of which nobody knows any more -----------------------------------

# more than is sent in one piece, of bytes that do not compress
sql(q{SELECT streamhouse.create_topic('t', 1, 'n int, b bytea', NULL, 'lake')});
sql(q{INSERT INTO t (n, b) SELECT i, decode(string_agg(md5(i::text || j::text), ''), 'hex') FROM generate_series(1, 400) i, generate_series(1, 4096) j GROUP BY i});
my $rows = 'SELECT count(*), sum(n), sum(octet_length(b)), min(md5(b)) FROM t';
my $expected = sql($rows);
my $rule = $proxy->fault(kind => 'part', hold => 'before');
my $flushing = $node->background_psql('postgres', on_error_stop => 0);
$flushing->query_until(qr/begun/, "\\echo begun\nSELECT streamhouse.flush('t');\n");
$proxy->await(2, kind => 'part');
my $worker = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'streamhouse worker'});
my @uploads = $gateway->client->uploads;
is(scalar @uploads, 1, 'parts are on their way');
# another's upload, of a key that begins alike
my $other = "$uploads[0][0]0";
$gateway->client->must('POST', $other, query => { uploads => '' });
sql("SELECT pg_terminate_backend($worker)");
worker_of($node, 'postgres', $worker);
$proxy->clear;
$flushing->quit;
is(sql(q{SELECT streamhouse.flush('t')}), '', 'the worker has ended, and another sends the rows again');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 AND min(state) = 'live' FROM streamhouse.objects}), 'what was given up is forgotten');
is(join(' ', map { $_->[0] } $gateway->client->uploads), $other, "its upload is gone, another's is not");
is(sql($rows), $expected, 'the rows are there');
keys_agree($node, $gateway, 'each once');
is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');

# --- an object that cannot be deleted --------------------------------------------

for my $multi_delete ('true', 'false')
{
	sql("ALTER SERVER lake OPTIONS (" . ($multi_delete eq 'true' ? 'ADD' : 'SET') . " multi_delete '$multi_delete')");
	sql("CREATE FOREIGN TABLE g$_ (n int) SERVER lake; INSERT INTO g$_ (n) VALUES (1); SELECT streamhouse.flush('g$_')") for 1 .. 4;
	my @keys = split /\n/, sql(q{SELECT key FROM streamhouse.objects WHERE object_id IN (SELECT object_id FROM streamhouse.segments WHERE topic::text LIKE 'g%') ORDER BY object_id});
	is(scalar @keys, 4, "multi_delete $multi_delete: four objects");
	my ($stays) = $keys[0];
	my $log = -s $node->logfile;

	$rule = $multi_delete eq 'true' ?
	  $proxy->fault(kind => 'multi_delete', reached => JSON::PP::true, status => 200,
		body => qq{<?xml version="1.0"?><DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Error><Key>$stays</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>}) :
	  $proxy->fault(kind => 'delete', path => $stays, status => 403, code => 'AccessDenied');
	sql('DROP FOREIGN TABLE g1, g2, g3, g4');
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM streamhouse.objects WHERE state = 'garbage'}), 'three of them are forgotten');
	is(sql(q{SELECT key FROM streamhouse.objects WHERE state = 'garbage'}), $stays, 'the one that was not deleted is not');
	$node->wait_for_log(qr/WARNING:  .*\Q$stays\E/, $log);
	pass('and named');
	# it is tried again, at its time
	my $tries = $proxy->hits($rule);
	cmp_ok($tries, '<', 20, 'and not tried all the time');
	$proxy->clear;
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM streamhouse.objects WHERE state = 'garbage'}), 'and goes when it can');
}
keys_agree($node, $gateway, 'the bucket has what the ledger has');

# --- what a session has of a server that is gone ----------------------------------

my $session = $node->background_psql('postgres', on_error_stop => 0);
my $clients = q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'streamhouse s3 client'};
is($session->query($rows), $expected, 'a session that has read');
is($session->query($clients), 1, 'has a client');
$session->query('SELECT * FROM streamhouse.check_server($$lake$$)');
is($session->query($clients), 1, 'check_server() leaves none');
$proxy->fault(kind => 'list', status => 403, code => 'AccessDenied');
$session->query('SELECT 1 / (ok::int - ok::int) FROM streamhouse.check_server($$lake$$)');
is($session->query($clients), 1, 'nor if it fails');
$proxy->clear;
sql(q{ALTER SERVER lake OPTIONS (ADD prefetch_is_no_option 'x')});
is($session->query($clients), 1, 'an ALTER that fails leaves it');
sql('DROP FOREIGN TABLE t; DROP SERVER lake CASCADE');
is($session->query($clients), 0, 'and DROP SERVER closes it');
$session->quit;
$node->stop;
done_testing();
