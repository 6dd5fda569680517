# What the tests of background workers share.
package Workers;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

our @EXPORT = qw(worker_of launcher_of no_worker count_workers recreate started);

# The pid of a database's worker, other than $not, once it is idle there.
sub worker_of
{
	my ($node, $dbname, $not) = @_;

	return pid_where($node, "backend_type = 'streamhouse worker' AND datname = '$dbname'", $not);
}

sub launcher_of
{
	my ($node, $not) = @_;

	return pid_where($node, "backend_type = 'streamhouse launcher'", $not);
}

sub pid_where
{
	my ($node, $where, $not) = @_;
	my $from = "FROM pg_stat_activity WHERE $where AND state = 'idle' AND wait_event_type = 'Extension' AND pid <> " . ($not // 0);

	my $pid = '';

	# it may be busy again as soon as it has been idle
	while ($pid eq '')
	{
		$node->poll_query_until('postgres', "SELECT count(*) = 1 $from")
		  or die "not there: $where";
		$pid = $node->safe_psql('postgres', "SELECT pid $from");
	}
	return $pid;
}

# Waits until a database has no worker.
sub no_worker
{
	my ($node, $dbname) = @_;

	return $node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'streamhouse worker' AND datname = '$dbname')");
}

sub count_workers
{
	my ($node) = @_;

	return answer($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamhouse worker'");
}

# Gives a database's worker a reason for a turn.
sub recreate
{
	my ($node, $dbname) = @_;

	return answer($node, 'BEGIN; DROP EXTENSION IF EXISTS streamhouse CASCADE; CREATE EXTENSION streamhouse; COMMIT', $dbname);
}

# Waits until a worker of the database has started; the log has said so at
# DEBUG1 since it had this size.
sub started
{
	my ($node, $dbname, $log_size) = @_;

	$node->wait_for_log(qr/streamhouse worker of database "$dbname" started/, $log_size);
	return pass("$dbname has been served");
}

1;
