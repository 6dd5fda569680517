# The extension comes and goes, in sessions that know it already, beside that
# of another database, and no place in shared memory is lost by it.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $max_logs = 64;    # the least
my $node = new_server('main', "streamhouse.max_logs = $max_logs",
	'max_prepared_transactions = 2', 'client_min_messages = warning');

sub sql { return answer($node, @_); }

my $create = q{SELECT streamhouse.create_topic('t', 2, columns => 'id int', key => NULL)};
my $next = q{SELECT string_agg(next_offset::text, ' ' ORDER BY partition) FROM streamhouse.logs WHERE topic = 't'::regclass};

# DROP EXTENSION minds who needs it
sql("$create; INSERT INTO t (_partition, id) VALUES (0, 1), (0, 2), (1, 3)");
fails_with($node, 'DROP EXTENSION streamhouse', '2BP01', qr/cannot drop extension streamhouse because other objects depend on it/,
	'DROP EXTENSION is refused while there are topics');
fails_with($node, 'DROP SERVER streamhouse', '2BP01', qr/cannot drop server streamhouse because/, 'DROP SERVER too');
fails_with($node, 'DROP TABLE streamhouse.tail', '2BP01', qr/extension streamhouse requires it/, 'and DROP of a part of it');
fails_with($node, "CREATE SCHEMA other; CREATE EXTENSION streamhouse SCHEMA other", '42710', qr/already exists/, 'it is there once');
is(sql('SELECT count(*) FROM t'), 3, 'nothing has happened');

# gone and back, while other sessions know the old one
my $other = $node->background_psql('postgres', on_error_stop => 0);
is($other->query_safe("INSERT INTO t (_partition, id) VALUES (0, 4); PREPARE p AS SELECT count(*) FROM t;
	PREPARE q AS INSERT INTO t (_partition, id) VALUES (0, 5); SELECT count(*) FROM t"), 4, 'another session uses the topic');
sql('DROP EXTENSION streamhouse CASCADE');
is(sql(q{SELECT to_regclass('t') IS NULL, to_regnamespace('streamhouse') IS NULL,
	(SELECT count(*) FROM pg_foreign_data_wrapper WHERE fdwname = 'streamhouse')}), 't|t|0', 'CASCADE drops the topics and all else');
$other->query("SELECT streamhouse.produce('t', '1'::text)");
like($other->{stderr}, qr/schema "streamhouse" does not exist/, 'the other session notices');
$other->{stderr} = '';
sql("CREATE EXTENSION streamhouse; $create");
is(sql(q{SELECT string_agg(log_id::text, ' ' ORDER BY 1) FROM streamhouse.logs}), '1 2', 'log numbers begin anew');
is(sql('SELECT count(*) FROM t'), 0, 'no old rows come with them');
is(sql($next), '0 0', 'nor offsets');
is($other->query_safe('EXECUTE p; EXECUTE q; EXECUTE q; EXECUTE p'), "0\n2", 'the other session uses the new one');
is(sql($next), '2 0', 'and its offsets begin at 0');
offsets_hold($node, 't', 'in order');

# all that in one transaction
sql(q{INSERT INTO t (_partition, id) VALUES (1, 1), (1, 2), (1, 3)});
is(sql("BEGIN; INSERT INTO t (_partition, id) VALUES (1, 9); DROP EXTENSION streamhouse CASCADE; CREATE EXTENSION streamhouse; $create;
	INSERT INTO t (_partition, id) VALUES (0, 7); ROLLBACK; $next"), "t\n2 3", 'rolled back, the old one is as it was');
is(sql('INSERT INTO t (_partition, id) VALUES (1, 4); SELECT max(_offset) FROM t WHERE id = 4'), 3, 'and goes on');
is($other->query_safe("BEGIN; INSERT INTO t (_partition, id) VALUES (1, 9); SAVEPOINT s; DROP EXTENSION streamhouse CASCADE; ROLLBACK TO s;
	INSERT INTO t (_partition, id) VALUES (1, 10); COMMIT; $next"), '2 6', 'rolled back to a savepoint too');
is(sql("BEGIN; INSERT INTO t (_partition, id) VALUES (1, 9); DROP EXTENSION streamhouse CASCADE; CREATE EXTENSION streamhouse; $create;
	INSERT INTO t (_partition, id) VALUES (0, 7); COMMIT; $next; SELECT id FROM t"), "t\n1 0\n7", 'committed, the new one has its rows only');

# another database beside it has its own
$node->safe_psql('postgres', 'CREATE DATABASE beside');
$node->safe_psql('beside', "CREATE EXTENSION streamhouse; $create; INSERT INTO t (_partition, id) VALUES (0, 1), (0, 2), (0, 3)");
is(sql('SELECT string_agg(DISTINCT log_id::text, chr(32)) FROM streamhouse.logs', 'beside'), '1 2', 'log numbers are a database\'s own');
is(sql($next, 'beside') . ', ' . sql($next), '3 0, 1 0', 'so are offsets');
sql('DROP EXTENSION streamhouse CASCADE');
is(sql("INSERT INTO t (_partition, id) VALUES (0, 4); $next", 'beside'), '4 0', 'they go on when the extension goes elsewhere');
$other->quit;

# places for logs come back, however topics go
$node->safe_psql('postgres', 'CREATE EXTENSION streamhouse');
my $use = q{PERFORM streamhouse.create_topic('x' || i, 16, columns => 'id int', key => NULL);
	EXECUTE format('INSERT INTO x%s (_partition, id) SELECT p, p FROM generate_series(0, 15) p', i);};
is(sql(<<~SQL), '0', 'topics created and dropped in transactions of their own');
	DO \$\$ BEGIN FOR i IN 1 .. 20 LOOP $use COMMIT; EXECUTE 'DROP FOREIGN TABLE x' || i; COMMIT; END LOOP; END \$\$;
	SELECT count(*) FROM streamhouse.logs;
	SQL
is(sql(<<~SQL), '0', 'created, used and rolled back');
	DO \$\$ BEGIN FOR i IN 1 .. 20 LOOP $use ROLLBACK; END LOOP; END \$\$;
	SELECT count(*) FROM streamhouse.logs;
	SQL
is(sql(<<~SQL), '0', 'rolled back to savepoints');
	DO \$\$ BEGIN FOR i IN 1 .. 20 LOOP BEGIN $use RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN END; END LOOP; END \$\$;
	SELECT count(*) FROM streamhouse.logs;
	SQL
is(sql(<<~SQL), '0', 'created and dropped in one');
	DO \$\$ BEGIN FOR i IN 1 .. 20 LOOP $use EXECUTE 'DROP FOREIGN TABLE x' || i; COMMIT; END LOOP; END \$\$;
	SELECT count(*) FROM streamhouse.logs;
	SQL
is(sql(<<~SQL), '0', 'failing at the commit');
	CREATE TABLE u (a int, CONSTRAINT u_key UNIQUE (a) DEFERRABLE INITIALLY DEFERRED);
	DO \$\$ BEGIN FOR i IN 1 .. 20 LOOP BEGIN $use INSERT INTO u VALUES (1), (1); SET CONSTRAINTS ALL IMMEDIATE;
		EXCEPTION WHEN unique_violation THEN END; COMMIT; END LOOP; END \$\$;
	SELECT count(*) FROM streamhouse.logs;
	SQL
for my $how (
	'DROP SCHEMA s CASCADE', 'DROP OWNED BY owner', 'DROP SERVER other CASCADE', 'DROP EXTENSION streamhouse CASCADE',
	"DROP FOREIGN TABLE s.x; BEGIN; CREATE FOREIGN TABLE s.x (a int) SERVER streamhouse OPTIONS (partitions '16'); PREPARE TRANSACTION 'c'; ROLLBACK PREPARED 'c'")
{
	$node->restart;
	$node->safe_psql('postgres', 'CREATE ROLE owner');
	is(join('', map { sql(<<~SQL) } 1 .. 6), 'xxxxxx', "places come back: $how");
		CREATE EXTENSION IF NOT EXISTS streamhouse; CREATE SCHEMA IF NOT EXISTS s;
		CREATE SERVER IF NOT EXISTS other FOREIGN DATA WRAPPER streamhouse;
		SELECT 'x' FROM streamhouse.create_topic('s.x', 16, columns => 'id int', key => NULL, server => 'other');
		INSERT INTO s.x (_partition, id) SELECT p, p FROM generate_series(0, 15) p;
		ALTER FOREIGN TABLE s.x OWNER TO owner;
		$how;
		SQL
	is(sql('SELECT count(*) FROM streamhouse.logs'), 0, 'and the logs are gone') unless $how =~ /EXTENSION/;
	$node->safe_psql('postgres', 'DROP EXTENSION IF EXISTS streamhouse CASCADE; DROP ROLE owner');
}
$node->restart;
$node->safe_psql('postgres', 'CREATE EXTENSION streamhouse');
fails_with($node, "$create; INSERT INTO t (id) VALUES (1); BEGIN; DROP FOREIGN TABLE t; PREPARE TRANSACTION 'd'",
	'0A000', qr/cannot prepare a transaction that has dropped a topic/, 'a drop cannot be prepared');
is(sql('SELECT id FROM t'), 1, 'and so did not happen');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE t');
for my $i (1 .. 4)
{
	$node->safe_psql('postgres', "CREATE DATABASE short");
	$node->safe_psql('short', q{CREATE EXTENSION streamhouse; CREATE FOREIGN TABLE x (_partition int, id int) SERVER streamhouse OPTIONS (partitions '40');
		INSERT INTO x SELECT p, p FROM generate_series(0, 39) p});
	$node->safe_psql('postgres', "DROP DATABASE short");
}
pass('DROP DATABASE gives them back');

# no place left
$node->safe_psql('postgres', q{CREATE FOREIGN TABLE small (_partition int, _offset bigint, id int) SERVER streamhouse;
	CREATE FOREIGN TABLE large (_partition int, _offset bigint, id int) SERVER streamhouse OPTIONS (partitions '100');
	INSERT INTO small (id) VALUES (1)});
fails_with($node, 'INSERT INTO large (_partition, id) SELECT p, p FROM generate_series(0, 99) p', '53400', qr/too many logs are open/,
	'more logs than there is room for', hint => qr/Raise streamhouse\.max_logs and restart the server, or drop topics that are not needed\./);
is(sql('SELECT count(*) FROM large'), 0, 'nothing is written');
fails_with($node, 'BEGIN; INSERT INTO small (id) VALUES (3); INSERT INTO large (_partition, id) SELECT p, p FROM generate_series(0, 99) p; COMMIT',
	'53400', qr/too many logs are open/, 'the transaction fails as a whole');
is(sql('INSERT INTO small (id) VALUES (2); SELECT _offset, id FROM small ORDER BY 1'), "0|1\n1|2", 'open logs go on');
is(sql('DROP FOREIGN TABLE large; CREATE FOREIGN TABLE other (id int) SERVER streamhouse; INSERT INTO other VALUES (1); SELECT count(*) FROM other'), 1,
	'a drop makes room');

$node->stop;
done_testing();
