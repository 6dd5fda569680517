# A server in single-user mode takes rows and keeps topics in step as any does.
# One that pg_upgrade starts has none of the extension's processes.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Workers;

my $node = new_server('main');

sub sql { return answer($node, @_); }

sql(q{SELECT streamhouse.create_topic($$t$$, 1, 'n int', NULL); SELECT streamhouse.create_topic($$dropped$$); INSERT INTO t (n) VALUES (1);
	SELECT streamhouse.create_group('g', 't'); SELECT n FROM streamhouse.poll('g', NULL::t)});
$node->stop;

# a statement a line
my ($out, $error);
IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, 'postgres' ], '<', \<<~'SQL', '>', \$out, '2>', \$error);
	INSERT INTO t (n) VALUES (2), (3)
	SELECT streamhouse.produce('t', '{"n": 4}')
	SELECT string_agg(n::text, ' ' ORDER BY _offset) AS polled FROM streamhouse.poll('g', NULL::t)
	SELECT streamhouse.create_topic('created', 3)
	ALTER FOREIGN TABLE t OPTIONS (SET partitions '2')
	DROP FOREIGN TABLE dropped
	CREATE FOREIGN TABLE wrong (a oid) SERVER streamhouse
	SQL
like($out, qr/polled = "2 3 4"/, 'in single-user mode rows are produced and polled');
like($error, qr/ERROR:  column "a" cannot have type oid|ERROR:  [^\n]*oid/, 'and what topics cannot be is refused');
unlike($error, qr/PANIC|TRAP|FATAL/, 'nothing worse happens');
$node->start;
is(sql('SELECT string_agg(n::text, chr(32) ORDER BY _offset) FROM t'), '1 2 3 4', 'the rows are there');
is(sql('SELECT name, partitions FROM streamhouse.topics ORDER BY 1'), "created|3\nt|2", 'so are the topics, and no others');
is(sql('SELECT count(*) FROM streamhouse.logs'), 5, 'with their partitions');
is(sql('SELECT * FROM streamhouse.verify()'), '', 'verify() finds nothing');

# pg_upgrade's mode
my $launcher = qr/registering background worker "streamhouse launcher"/;
$node->append_conf('postgresql.conf', 'log_min_messages = debug1');
my $log = -s $node->logfile;
$node->restart;
worker_of($node, 'postgres');
like(slurp_file($node->logfile, $log), $launcher, 'a server has a launcher');
$node->stop;
$log = -s $node->logfile;
command_ok([ 'pg_ctl', '-s', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-b', 'start' ], 'one in binary-upgrade mode');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'streamhouse'}), 0, 'has no such process');
is(sql('SELECT count(*) FROM t'), 4, 'and the rows');
command_ok([ 'pg_ctl', '-s', '-w', '-D', $node->data_dir, '-m', 'fast', 'stop' ], 'stopped');
unlike(slurp_file($node->logfile, $log), $launcher, 'nor has it asked for one');
$node->start;
worker_of($node, 'postgres');
is(sql('INSERT INTO t (_partition, n) VALUES (1, 5); SELECT count(*) FROM t'), 5, 'afterwards all goes on');

$node->stop;
done_testing();
