# Many sessions produce at once: offsets are dense but for transactions that
# failed after taking theirs, no row is lost or doubled, a transaction that
# began to commit after another had returned has the higher offsets, and a
# reader that goes along misses nothing.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = new_server('main', 'max_connections = 50');
my $transactions = $ENV{STH_TEST_LONG} ? 5000 : 200;

sub sql { return answer($node, @_); }

# Each transaction has a number, and ticks of one clock when it began to
# commit and when it had returned; its rows go to the topics and to a table.
$node->safe_psql('postgres', <<~'SQL');
	SELECT streamhouse.create_topic('t', 3, columns => 'tx int, seq int, pad text', key => NULL);
	SELECT streamhouse.create_topic('wide', 12, columns => 'tx int, seq int', key => NULL);
	CREATE UNLOGGED TABLE h (tx int, seq int);
	CREATE UNLOGGED TABLE began (tx int, tick bigint);
	CREATE UNLOGGED TABLE returned (tx int, tick bigint);
	CREATE TABLE counter (id int PRIMARY KEY, n int);
	INSERT INTO counter SELECT i, 0 FROM generate_series(1, 4) i;
	CREATE SEQUENCE tx; CREATE SEQUENCE clock;
	CREATE TABLE stop (); CREATE TABLE seen (_partition int, _offset bigint, tx int, seq int);
	CREATE FUNCTION put(my_tx int, n int, pad int) RETURNS void LANGUAGE sql AS $$
		INSERT INTO t (tx, seq, pad) SELECT my_tx, i, repeat('x', pad) FROM generate_series(1, n) i;
		INSERT INTO h SELECT my_tx, i FROM generate_series(1, n) i;
	$$;
	CREATE PROCEDURE follow() LANGUAGE plpgsql AS $$
	DECLARE
		at bigint[] := '{0,0,0}'; position bigint; n int; found int; over bool := false;
	BEGIN
		LOOP
			found := 0;
			FOR p IN 0 .. 2 LOOP
				WITH r AS (INSERT INTO seen SELECT _partition, _offset, tx, seq FROM streamhouse.read(NULL::t, p, at[p + 1], 100) RETURNING _offset)
				SELECT coalesce(max(_offset) + 1, at[p + 1]), count(*) INTO position, n FROM r;
				at[p + 1] := position;
				found := found + n;
				COMMIT;
			END LOOP;
			EXIT WHEN over AND found = 0;
			over := to_regclass('stop') IS NULL;
		END LOOP;
	END $$;
	SQL

sub script
{
	my ($name, $body, $begin) = @_;
	my $path = $node->basedir . "/$name.sql";
	append_to_file($path, <<~SQL);
		\\set n random(1, 200)
		\\set pad random(1, 300)
		\\set p random(1, 4)
		SELECT nextval('tx') AS tx \\gset
		@{[ $begin // 'BEGIN' ]};
		$body
		INSERT INTO began VALUES (:tx, nextval('clock'));
		END;
		INSERT INTO returned SELECT tx, nextval('clock') FROM began WHERE tx = :tx;
		SQL
	return $path;
}
my %script = (
	single => script('single', 'SELECT put(:tx, 1, :pad);'),
	batch => script('batch', 'SELECT put(:tx, :n, :pad);'),
	routed => script('routed', 'INSERT INTO t (_partition, tx, seq) VALUES (:p % 3, :tx, 1); INSERT INTO h VALUES (:tx, 1);'),
	savepoint => script('savepoint', <<~'SQL'),
		SELECT put(:tx, 1, 1);
		SAVEPOINT s;
		SELECT put(:tx, :n, :pad);
		ROLLBACK TO s;
		SAVEPOINT s;
		INSERT INTO t (tx, seq) VALUES (:tx, 2); INSERT INTO h VALUES (:tx, 2);
		RELEASE s;
		SQL
	wide => script('wide', 'SELECT put(:tx, 2, 1); INSERT INTO wide (_partition, tx, seq) SELECT i, :tx, i FROM generate_series(0, 11) i;'),
	abort => script('abort', 'SELECT put(:tx, :n, :pad); ROLLBACK; BEGIN; DELETE FROM h WHERE false;'),
	serializable => script('serializable',
		'SELECT sum(n) FROM counter; UPDATE counter SET n = n + 1 WHERE id = :p; SELECT put(:tx, 3, :pad);', 'BEGIN ISOLATION LEVEL SERIALIZABLE'));

sub load
{
	my (@files) = map { ('-f', $_) } @_;
	$node->command_ok([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', $transactions, '--max-tries=1000', @files, 'postgres' ],
		'a load of ' . @_ . ' kinds of transactions');
	return;
}

# What holds after any load.
sub nothing_wrong
{
	my ($what) = @_;

	is(sql('SELECT count(*) FROM ((SELECT tx, seq FROM t EXCEPT ALL TABLE h) UNION ALL (TABLE h EXCEPT ALL SELECT tx, seq FROM t)) d'),
		0, "$what: every committed row once, no other");
	offsets_hold($node, $_, "$what: in order, $_") for 't', 'wide';
	is(sql(<<~SQL), 0, "$what: the rows of a transaction stand together, in their order");
		SELECT count(*) FROM (SELECT _offset - lag(_offset) OVER w AS step, seq > lag(seq) OVER w AS up FROM t
			WINDOW w AS (PARTITION BY tx, _partition ORDER BY _offset)) x WHERE step <> 1 OR NOT up
		SQL
	is(sql(<<~SQL), 0, "$what: who began to commit after another had returned has higher offsets");
		SELECT count(*) FROM (
			SELECT b.tick AS began, min(r.tick) OVER (PARTITION BY topic, _partition ORDER BY _offset ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS later_returned
			FROM (SELECT 't' AS topic, tx, _partition, max(_offset) AS _offset FROM t GROUP BY tx, _partition
				UNION ALL SELECT 'wide', tx, _partition, max(_offset) FROM wide GROUP BY tx, _partition) o
				JOIN began b USING (tx) JOIN returned r USING (tx)) x
		WHERE later_returned < began
		SQL
	return;
}

my $follower = $node->background_psql('postgres');
$follower->query_until(qr/follows/, "\\echo follows\nCALL follow();\n\\echo ended\n");

load(map { $script{$_} } 'single', 'batch', 'routed', 'savepoint', 'wide', 'abort');
nothing_wrong('aborts before the commit');
is(sql('SELECT sum(next_offset) FROM streamhouse.logs'), sql('SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM wide)'), 'and leave no gap');

my $before = sql(q{SELECT sum(next_offset) - (SELECT count(*) FROM t) FROM streamhouse.logs WHERE topic = 't'::regclass});
load(map { $script{$_} } 'serializable', 'batch', 'single');
nothing_wrong('serialization failures in the commit');
my $gap = sql(q{SELECT sum(next_offset) - (SELECT count(*) FROM t) FROM streamhouse.logs WHERE topic = 't'::regclass}) - $before;
note("$gap offsets are in gaps");

$node->safe_psql('postgres', 'DROP TABLE stop');
$follower->query_until(qr/ended/, '');
$follower->quit;
is(sql('SELECT count(*) FROM ((SELECT _partition, _offset, tx, seq FROM t EXCEPT ALL TABLE seen) UNION ALL (TABLE seen EXCEPT ALL SELECT _partition, _offset, tx, seq FROM t)) d'),
	0, 'who followed has seen every row once');

# one transaction after the other, in different sessions
my @session = map { $node->background_psql('postgres') } 1 .. 4;
$session[ $_ % 4 ]->query_safe("INSERT INTO wide (_partition, tx, seq) VALUES (5, -$_, 0)") for 1 .. 40;
is(sql('SELECT string_agg((-tx)::text, chr(32) ORDER BY _offset) FROM wide WHERE tx < 0'), join(' ', 1 .. 40), 'a chain of transactions is in its order');
$_->quit for @session;

$node->stop;
done_testing();
