# A transaction writes to a topic and to another server's table, and commits
# or rolls back both; topics can be at the far end as well.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = new_server('main');

sub sql { return answer($node, @_); }

$node->safe_psql('postgres', 'CREATE DATABASE far');
$node->safe_psql('far', <<~'SQL');
	CREATE EXTENSION streamhouse;
	CREATE TABLE h (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
	SELECT streamhouse.create_topic('t', 2, columns => 'id int, pad text', key => 'id');
	SQL
my ($host, $port) = ($node->host, $node->port);
$node->safe_psql('postgres', <<~SQL);
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'far');
	CREATE USER MAPPING FOR CURRENT_USER SERVER far;
	CREATE FOREIGN TABLE h (id int) SERVER far;
	CREATE FOREIGN TABLE far_t (_partition int, _offset bigint, _timestamp timestamptz, id int, pad text) SERVER far OPTIONS (table_name 't', batch_size '10');
	SELECT streamhouse.create_topic('t', columns => 'id int', key => NULL);
	SQL
my $both = q{SELECT (SELECT string_agg(id::text, ' ' ORDER BY id) FROM h), (SELECT string_agg(id::text, ' ' ORDER BY _offset) FROM t)};
my $next = q{SELECT next_offset FROM streamhouse.logs};

# one session, in which the other wrapper is used after ours and before it
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('BEGIN; INSERT INTO t VALUES (0, NULL, now(), 1); INSERT INTO h VALUES (1); COMMIT');
is(sql($both), '1|1', 'both commit');
$session->query_safe('BEGIN; INSERT INTO h VALUES (2); INSERT INTO t (id) VALUES (2); ROLLBACK');
is(sql($both), '1|1', 'both roll back');
$session->query_safe('BEGIN; INSERT INTO h VALUES (3); INSERT INTO t (id) VALUES (3);
	SAVEPOINT s; INSERT INTO h VALUES (4); INSERT INTO t (id) VALUES (4); ROLLBACK TO s; INSERT INTO t (id) VALUES (5); INSERT INTO h VALUES (5); COMMIT');
is(sql($both), '1 3 5|1 3 5', 'both roll back to a savepoint');
is(sql($next), 3, 'no offset is left out');
$session->query('BEGIN; INSERT INTO t (id) VALUES (6); INSERT INTO h VALUES (1); COMMIT');
like($session->{stderr}, qr/duplicate key value violates unique constraint "h_id_key"/, 'the far end fails when it commits');
$session->{stderr} = '';
is(sql($both), '1 3 5|1 3 5', 'neither has the rows');
is(sql($next), 3, 'and no offset has been taken, since ours come last');
$session->query_safe('INSERT INTO t (id) VALUES (7)');
is(sql('SELECT _offset FROM t WHERE id = 7'), 3, 'the session goes on');
is(sql('SELECT count(*) FROM t JOIN h USING (id)'), 3, 'a topic and a far table are joined');
sql('INSERT INTO h SELECT id + 100 FROM t; INSERT INTO t (id) SELECT id FROM h WHERE id > 100');
is(sql('SELECT string_agg(id::text, chr(32) ORDER BY _offset) FROM t'), '1 3 5 7 101 103 105 107', 'rows go from one to the other');

# a topic at the far end
$session->query_safe(q{BEGIN; INSERT INTO far_t (_partition, id, pad) SELECT i % 2, i, repeat('x', i) FROM generate_series(0, 99) i; COMMIT});
$session->query_safe(q{BEGIN; INSERT INTO far_t (id) SELECT generate_series(100, 199); ROLLBACK});
$session->query_safe(q{BEGIN; INSERT INTO far_t (_partition, id) VALUES (0, 100); SAVEPOINT s; INSERT INTO far_t (id) VALUES (101); ROLLBACK TO s;
	INSERT INTO t (id) VALUES (8); COMMIT});
is(sql('SELECT count(*), sum(id), sum(length(pad)), max(_offset) FROM far_t'), '101|5050|4950|50', 'rows go to a far topic and come back');
is(sql('SELECT id FROM far_t WHERE _partition = 0 ORDER BY _offset DESC LIMIT 1'), 100, 'conditions and order too');
offsets_hold($node, 't', 'in order there', 'far');
fails_with($node, 'INSERT INTO far_t VALUES (5, NULL, now(), 1)', '22023', qr/partition 5 of topic "t" does not exist/, 'its errors come back');
fails_with($node, 'UPDATE far_t SET id = 1', '0A000', qr/cannot update or delete rows of topic "t"/, 'it takes no UPDATE');
$session->quit;

$node->stop;
done_testing();
