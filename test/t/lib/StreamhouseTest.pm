# What the TAP tests share: servers that preload the extension, errors by
# their SQLSTATE, and what holds for the rows of any topic at any time.
package StreamhouseTest;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_server crash wait_until_up answer error_of fails_with
  offsets_hold);

# A running server with the extension in database postgres.  Settings are
# lines of postgresql.conf; key 'init' holds arguments for init().
sub new_server
{
	my ($name, @settings) = @_;
	my %init = ref $settings[0] ? %{ shift @settings } : ();
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--encoding', 'UTF8' ], %init);
	$node->append_conf('postgresql.conf', "$_\n")
	  for "shared_preload_libraries = 'streamhouse'", @settings;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION streamhouse');
	return $node;
}

# The server as if the power had failed, and up again.
sub crash
{
	my ($node) = @_;
	my $before = -s $node->logfile;

	$node->stop('immediate');
	$node->start;
	like(
		slurp_file($node->logfile, $before),
		qr/automatic recovery in progress/,
		'the server has recovered from a crash');
	return;
}

# Waits for a server that restarts by itself.  A query sent while it is down
# would end the test, so the log has to say first that it is up.
sub wait_until_up
{
	my ($node, $log_offset) = @_;

	$node->wait_for_log(qr/database system is ready to accept connections/,
		$log_offset);
	$node->poll_query_until('postgres', undef, '')
	  or die 'the server does not come back';
	return;
}

# What SQL answers; an error is an answer too, and fails one test, not all.
sub answer
{
	my ($node, $sql, $dbname) = @_;
	my ($stdout, $stderr);

	$node->psql($dbname // 'postgres', $sql, stdout => \$stdout, stderr => \$stderr);
	return join("\n", grep { $_ ne '' } $stdout, $stderr =~ /ERROR:|FATAL:/ ? $stderr : '');
}

# What psql says to SQL that should fail, SQLSTATE included.  Options are
# those of psql(), and dbname.
sub error_of
{
	my ($node, $sql, %opt) = @_;
	my $dbname = delete $opt{dbname} // 'postgres';
	my ($stdout, $stderr);

	$node->psql($dbname, "\\set VERBOSITY verbose\n$sql",
		stdout => \$stdout, stderr => \$stderr, %opt);
	return $stderr;
}

# The statement fails with this SQLSTATE, with a message that matches, and, if
# option hint is there, with a hint that matches.
sub fails_with
{
	my ($node, $sql, $sqlstate, $message, $name, %opt) = @_;
	my $hint = delete $opt{hint};
	my $error = error_of($node, $sql, %opt);

	$message = qr/ERROR:  $sqlstate: [^\n]*?$message/;
	$message = qr/$message.*HINT:  $hint/s if defined $hint;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like($error, $message, $name);
}

# No two rows of a topic have the same offset, read() gives them all, in the
# order of their offsets, and the next offset is above all of them.
sub offsets_hold
{
	my ($node, $topic, $name, $dbname) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(answer($node, <<~SQL, $dbname), '0|0|0|0', $name);
		WITH s AS (SELECT _partition, _offset, 1 AS n FROM $topic),
		r AS (SELECT r._partition, r._offset, row_number() OVER () AS n FROM streamhouse.logs l,
		        LATERAL streamhouse.read(NULL::$topic, l.partition, l.start_offset, 2000000000, 2000000000) r
		      WHERE l.topic = '$topic'::regclass)
		SELECT (SELECT count(*) - count(DISTINCT (_partition, _offset)) FROM s),
		       (SELECT count(*) FROM s FULL JOIN r USING (_partition, _offset)
		        WHERE s.n IS NULL OR r.n IS NULL),
		       (SELECT count(*) FROM (SELECT _offset <= lag(_offset)
		          OVER (PARTITION BY _partition ORDER BY n) AS bad FROM r) x WHERE bad),
		       (SELECT count(*) FROM s JOIN streamhouse.logs l
		        ON l.topic = '$topic'::regclass AND l.partition = s._partition
		        WHERE s._offset >= l.next_offset OR s._offset < l.start_offset)
		SQL
}

1;
