# The regression tests of history, word for word, with all of it in a bucket:
# the extension's own server has a url, so every topic that names no other
# server is there, and the same statements have to say the same; also if the
# bucket has bad moments all the time.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP ();
use List::Util qw(sum);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use FaultProxy;
use Gateway;
use Lake;

plan skip_all => 'not installed: ' . Gateway->missing if Gateway->missing;

my $gateway = Gateway->new;
my $proxy = FaultProxy->new(target => $gateway->host);
my $node = new_server('main', 'max_prepared_transactions = 5', 'wal_level = logical');
my $root = "$FindBin::RealBin/../..";

# Runs these tests in a new database whose history goes to the bucket.
sub run_tests
{
	my ($dbname, $tests, %options) = @_;
	my $out = PostgreSQL::Test::Utils::tempdir;

	answer($node, "CREATE DATABASE $dbname");
	answer($node, 'CREATE EXTENSION streamhouse', $dbname);
	is(keep_in_bucket($node, $gateway, dbname => $dbname, prefix => $dbname, %options), '', "$dbname: history goes to the bucket");
	for my $test (@$tests)
	{
		my $ok = system_log($ENV{PG_REGRESS}, '--use-existing', "--dbname=$dbname", '--host=' . $node->host, '--port=' . $node->port,
			'--bindir=' . $node->config_data('--bindir'), "--inputdir=$root", "--outputdir=$out", $test) == 0;

		ok($ok, "$dbname: $test") or diag(slurp_file("$out/regression.diffs"));
	}
	cmp_ok($gateway->client->all_keys("$dbname/data/"), '>', 0, "$dbname: objects were in the bucket");
	is(answer($node, 'SELECT count(*) FROM streamhouse.object_data', $dbname), 0, "$dbname: and none in the database");
	is(answer($node, 'SELECT * FROM streamhouse.verify()', $dbname), '', "$dbname: verify() finds nothing");
	return;
}

# those in which nothing says where objects are
run_tests('regression', [qw(consume corners function_scan kept_blocks produce read read_function segments stat_flush stats tail_size types verify)]);

# one request in twelve fails, in one way or another, and is tried again
$proxy->fault(chance => 0.02, status => 503, code => 'SlowDown');
$proxy->fault(chance => 0.02, reset => 'before');
$proxy->fault(chance => 0.02, reset => 'after');
$proxy->fault(kind => 'get', chance => 0.03, cut => 1);
$proxy->fault(kind => 'put', chance => 0.03, status => 500, code => 'InternalError', reached => JSON::PP::true);
run_tests('bad_days', [qw(consume function_scan kept_blocks segments verify)], endpoint => $proxy->endpoint, retry_timeout => '60s');
my $seen = $proxy->seen;
note "faults of each kind: @{[ map { $seen->{hits}{$_} } 1 .. 5 ]}, of @{[ sum values %{ $seen->{kinds} } ]} requests";
cmp_ok(sum(values %{ $seen->{hits} }), '>', 10, 'and were bad');
$node->stop;
done_testing();
