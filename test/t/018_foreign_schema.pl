# Where the extension is not installed, a schema that looks like ours is
# nobody's but its owner's: DDL beside it neither reads nor writes its tables.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = new_server('main');

$node->safe_psql('postgres', 'CREATE ROLE tenant LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE tenant OWNER tenant');
$node->safe_psql('tenant', <<'SQL', extra_params => [ '-U', 'tenant' ]);
CREATE SCHEMA streamhouse;
CREATE FUNCTION streamhouse.fdw_handler() RETURNS int LANGUAGE sql AS 'select 1';
CREATE TABLE streamhouse.topic (a int4, relid oid, b int2, c name, columns int8);
CREATE INDEX topic_pkey ON streamhouse.topic (a);
CREATE INDEX topic_relid_idx ON streamhouse.topic (relid);
CREATE TABLE streamhouse.log (a int4, topic_id int4, b int4, c int8);
CREATE INDEX log_pkey ON streamhouse.log (a);
CREATE INDEX log_topic_idx ON streamhouse.log (topic_id);
CREATE TABLE streamhouse.tail (a int4, b int4, c int8);
CREATE INDEX tail_idx ON streamhouse.tail (a, b, c);
CREATE TABLE streamhouse.consumer_group (group_id int4, topic_id int4, owner oid, name text);
CREATE INDEX consumer_group_pkey ON streamhouse.consumer_group (group_id);
CREATE INDEX consumer_group_name_idx ON streamhouse.consumer_group (topic_id);
CREATE TABLE streamhouse.position (group_id int4, log_id int4, seq int8, next_offset int8);
CREATE INDEX position_idx ON streamhouse.position (group_id, log_id, seq);
CREATE SEQUENCE streamhouse.topic_id_seq;
CREATE SEQUENCE streamhouse.log_id_seq;
CREATE SEQUENCE streamhouse.group_id_seq;
CREATE TABLE mine (a int);
-- rows for whatever the next relations are called, with a pointer to nowhere
INSERT INTO streamhouse.topic SELECT 1, o, 1, 'x', 4242424242424
	FROM generate_series('mine'::regclass::oid::bigint, 'mine'::regclass::oid::bigint + 1000) o;
SQL

my $before = $node->safe_psql('tenant', 'SELECT count(*) FROM streamhouse.topic');
$node->safe_psql('tenant', $_, extra_params => [ '-U', 'tenant' ])
  for 'ALTER TABLE mine ALTER a TYPE bigint', 'VACUUM FULL mine', 'DROP TABLE mine';
$node->safe_psql('tenant', <<'SQL');
CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER s FOREIGN DATA WRAPPER w;
CREATE FOREIGN TABLE f (a int) SERVER s;
ALTER FOREIGN TABLE f ADD COLUMN b int;
DROP FOREIGN TABLE f;
SQL
is($node->safe_psql('tenant', 'SELECT count(*) FROM streamhouse.topic'), $before, 'its rows are left alone');
is($node->safe_psql('tenant', 'SELECT is_called FROM streamhouse.topic_id_seq'), 'f', 'and its sequences');

my ($ret, undef, $stderr) = $node->psql('tenant', 'CREATE EXTENSION streamhouse');
like($stderr, qr/schema "streamhouse" already exists/, 'CREATE EXTENSION does not take such a schema over');
is($node->safe_psql('postgres', 'SELECT 1'), 1, 'the server is up');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'and has not crashed');

done_testing();
