# What the tests of topics in a bucket share: a server named lake, and what
# holds between the bucket and the ledger.
package Lake;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use StreamhouseTest;
use Test::More;
use Workers;

our @EXPORT = qw(create_lake keep_in_bucket new_worker keys_agree keys_known);

# A server in the gateway's bucket.  Options go to OPTIONS; endpoint, prefix
# and dbname are special.
sub create_lake
{
	my ($node, $gateway, %opt) = @_;

	return define_lake($node, $gateway, 'lake', 'CREATE SERVER lake FOREIGN DATA WRAPPER streamhouse OPTIONS', %opt);
}

# The same of the extension's own server, before it has any object.
sub keep_in_bucket
{
	my ($node, $gateway, %opt) = @_;

	return define_lake($node, $gateway, 'streamhouse', 'ALTER SERVER streamhouse OPTIONS', %opt);
}

sub define_lake
{
	my ($node, $gateway, $server, $command, %opt) = @_;
	my $dbname = delete $opt{dbname};
	my $prefix = delete $opt{prefix} // 'lake';
	my %options = (
		url => 's3://' . $gateway->bucket . "/$prefix",
		endpoint => $gateway->endpoint,
		%opt);
	my $list = join ', ', map { "$_ '$options{$_}'" } sort keys %options;

	# what is written here would stand in the server's log
	return answer($node, sprintf(<<~'SQL', $command, $list, $server, $gateway->access_key, $gateway->secret_key), $dbname);
		SET log_statement = none;
		%s (%s);
		CREATE USER MAPPING FOR CURRENT_USER SERVER %s OPTIONS (access_key_id '%s', secret_access_key '%s');
		SQL
}

# A worker that has read the settings of its database anew.
sub new_worker
{
	my ($node, $dbname) = @_;
	my $worker;

	$dbname //= 'postgres';
	$worker = worker_of($node, $dbname);
	answer($node, "SELECT pg_terminate_backend($worker)");
	return worker_of($node, $dbname, $worker);
}

# The ledger has the objects that the bucket has.
sub keys_known
{
	my ($node, $gateway, $name, %opt) = @_;
	my $list = join ', ', map { "('$_')" } $gateway->client->all_keys(($opt{prefix} // 'lake') . '/data/');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(answer($node, "SELECT string_agg(k, ' ') FROM (VALUES $list) b (k) WHERE k NOT IN (SELECT key FROM streamhouse.object WHERE key IS NOT NULL)", $opt{dbname}), '', $name);
}

# The bucket has the objects that the ledger has, and no other.
sub keys_agree
{
	my ($node, $gateway, $name, %opt) = @_;
	my $prefix = $opt{prefix} // 'lake';
	my $ledger = answer($node, q{SELECT string_agg(key, E'\n' ORDER BY key COLLATE "C") FROM streamhouse.object WHERE key IS NOT NULL}, $opt{dbname});

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join("\n", sort $gateway->client->all_keys("$prefix/data/")), $ledger, $name);
}

1;
