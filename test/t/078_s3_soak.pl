# Segments in a bucket, for as long as one likes, with bad days in between: see
# lib/Soak.pm.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use StreamhouseTest;
use Test::More;
use FaultProxy;
use Gateway;
use Lake;
use Soak;

plan skip_all => 'not installed: ' . Gateway->missing if Gateway->missing;

my $gateway = Gateway->new;
my $proxy = FaultProxy->new(target => $gateway->host);

# Whatever a request meets, the next one may not.
my @faults = (
	{ chance => .05, status => 503, code => 'SlowDown' },
	{ chance => .03, status => 500 },
	{ chance => .02, status => 429, code => 'TooManyRequests' },
	{ chance => .03, reset => 'before' },
	{ chance => .03, reset => 'after' },
	{ chance => .05, kind => 'put', status => 500, reached => 1 },
	{ chance => .03, kind => 'put', reset => 'upload' },
	{ chance => .03, kind => 'get', cut => 5 },
	{ chance => .03, kind => 'get', reset => 'answer' },
	{ chance => .01, kind => 'get', stall => 'answer' },
	{ chance => .01, kind => 'put', stall => 'after' });

# Some of them, or nothing at all; returns what ends it.
sub bad_days
{
	my $kind = rand;

	if ($kind < .7)
	{
		$proxy->fault(%$_) for grep { rand() < .7 } @faults;
	}
	elsif ($kind < .85)
	{
		$gateway->kill;
		$gateway->start;
	}
	return sub { $proxy->clear; };
}

# Of a server that was lost with what a standby had not got, objects may be
# left that nobody knows.  Those of the one that is there now are all known, and
# what nobody needs of them is deleted.
sub end
{
	my ($node) = @_;

	# a restart makes a server forget that it has been a standby
	unlike(answer($node, q{SELECT streamhouse.take_over('lake')}), qr/ERROR/, 'the last server holds the bucket');
	is(answer($node, q{CALL add(10, 10); SELECT streamhouse.flush('t')}), '', 'and writes to it');
	my $ours = 'split_part(key, $$/$$, 3) = ' . answer($node, q{SELECT quote_literal(split_part(key, '/', 3)) FROM streamhouse.object ORDER BY object_id DESC LIMIT 1});
	my ($incarnation) = $ours =~ /'(\w+)'$/;

	answer($node, 'ALTER SYSTEM SET streamhouse.gc_grace = 0');
	$node->reload;
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM streamhouse.objects WHERE state <> 'live' AND $ours"), 'what nobody needs is deleted');
	is(join("\n", sort $gateway->client->all_keys("lake/data/$incarnation/")),
		answer($node, qq{SELECT string_agg(key, E'\\n' ORDER BY key COLLATE "C") FROM streamhouse.object WHERE $ours}),
		'the bucket has what the ledger has');
	return;
}

# A standby that takes over may not know yet what was deleted last: what is
# garbage stays until the end.
soak(
	server => 'lake',
	settings => [ q{streamhouse.gc_grace = '1h'}, 'streamhouse.orphan_age = 0', q{streamhouse.maintenance_interval = '1s'} ],
	begin => sub { my ($node) = @_; create_lake($node, $gateway, endpoint => $proxy->endpoint, request_timeout => '2s', connect_timeout => '2s'); return; },
	bad_days => \&bad_days,
	end => \&end);
done_testing();
