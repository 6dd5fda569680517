# pg_dump carries the definitions of topics, which work where they are
# restored; a copy of the whole database carries the rows as well.
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

$node->safe_psql('postgres', q{CREATE DATABASE source; CREATE ROLE alice; CREATE ROLE "B o b"});
$node->safe_psql('source', <<~'SQL');
	CREATE EXTENSION streamhouse;
	CREATE SCHEMA "Odd ""schema";
	CREATE TYPE mood AS ENUM ('good', 'bad');
	CREATE DOMAIN positive AS int CHECK (VALUE > 0);
	-- renamed key, grown partitions, a dropped column in between
	SELECT streamhouse.create_topic('events', 2, key => 'id', columns =>
		'id text, gone int, n positive DEFAULT 7, m mood, t numeric(10,2) NOT NULL DEFAULT 1.5, d int, CHECK (t < 1000)');
	ALTER FOREIGN TABLE events RENAME id TO "the id";
	ALTER FOREIGN TABLE events DROP gone;
	ALTER FOREIGN TABLE events OPTIONS (SET partitions '5');
	COMMENT ON FOREIGN TABLE events IS 'what happened';
	COMMENT ON COLUMN events.n IS 'how often';
	GRANT SELECT ON events TO alice;
	GRANT INSERT ("the id", n) ON events TO "B o b";
	SELECT streamhouse.create_topic('"Odd ""schema"."Odd ''topic"', key => NULL, columns => '"Odd ""column" text');
	ALTER FOREIGN TABLE "Odd ""schema"."Odd 'topic" OWNER TO alice;
	CREATE TABLE parent (k text, v int) PARTITION BY LIST (k);
	CREATE FOREIGN TABLE member PARTITION OF parent FOR VALUES IN ('m') SERVER streamhouse OPTIONS (partitions '3', key 'k');
	CREATE TABLE plain PARTITION OF parent DEFAULT;
	CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.d := NEW.n * 2; RETURN NEW; END $$;
	CREATE TRIGGER twice BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION twice();
	CREATE VIEW recent AS SELECT _offset, n FROM events WHERE _timestamp > now() - interval '1 day';
	CREATE SERVER another FOREIGN DATA WRAPPER streamhouse;
	CREATE FOREIGN TABLE elsewhere (a int) SERVER another;
	INSERT INTO events ("the id", n) SELECT i, i FROM generate_series(1, 100) i;
	INSERT INTO parent SELECT 'm', i FROM generate_series(1, 10) i;
	INSERT INTO parent SELECT 'p', i FROM generate_series(1, 10) i;
	INSERT INTO elsewhere VALUES (1);
	SQL

my $definitions = q{SELECT schema, name, partitions, key, server, owner,
	(SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || coalesce(attacl::text, ''), ', ' ORDER BY attnum)
	 FROM pg_attribute WHERE attrelid = topic AND attnum > 0 AND NOT attisdropped), obj_description(topic)
	FROM streamhouse.topics ORDER BY 1, 2};
my $expected = sql($definitions, 'source');
like($expected, qr/^public\|events\|5\|the id\|streamhouse\|/m, 'the key has followed its column');

# Since 15.14 pg_dump writes a random key around its output.
sub dump_of
{
	my ($dbname, @options) = @_;
	my ($out, $err) = run_command([ 'pg_dump', @options, '-d', $node->connstr($dbname) ]);

	is($err, '', "pg_dump @options of $dbname says nothing");
	$out =~ s/^\\(?:un)?restrict .*\n//mg;
	return $out;
}

my $file = $node->basedir . '/dump';
my $schema = dump_of('source', '--schema-only');
my %restore = (
	plain => [ 'psql', '-XAqt', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$file.sql" ],
	custom => [ 'pg_restore', '--exit-on-error', "$file.custom" ],
	single => [ 'pg_restore', '--single-transaction', "$file.custom" ],
	parallel => [ 'pg_restore', '--exit-on-error', '-j', 2, "$file.custom" ],
);
$node->command_ok([ 'pg_dump', '-f', "$file.sql", 'source' ], 'pg_dump');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$file.custom", 'source' ], 'pg_dump of the custom format');
for my $db (sort keys %restore)
{
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	$node->command_ok([ @{ $restore{$db} }, '-d', $db ], "$db: restored");
	is(sql($definitions, $db), $expected, "$db: the topics are defined as they were");
	is(dump_of($db, '--schema-only'), $schema, "$db: and everything else");
	is(sql('SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM member), (SELECT count(*) FROM plain)', $db),
		'0|0|10', "$db: rows of tables have come along, rows of topics have not");
	is(sql(q{INSERT INTO events ("the id", n) SELECT i, i FROM generate_series(1, 1000) i;
		INSERT INTO parent VALUES ('m', 1), ('p', 11);
		INSERT INTO elsewhere VALUES (2);
		SELECT count(*), count(DISTINCT _partition), sum(d), (SELECT count(*) FROM member), (SELECT count(*) FROM plain) FROM events}, $db),
		'1000|5|1001000|1|11', "$db: restored topics take rows");
	offsets_hold($node, 'events', "$db: in order", $db);
	fails_with($node, q{INSERT INTO events ("the id", t) VALUES (1, 1000)}, '23514', qr/violates check constraint/,
		"$db: constraints hold", dbname => $db);
	is(sql(q{SET ROLE alice; SELECT count(*) FROM events; INSERT INTO "Odd ""schema"."Odd 'topic" ("Odd ""column") VALUES (1)}, $db) =~ s/\n.*//sr,
		1000, "$db: grants hold");
}

# copies with their rows
for my $strategy ('wal_log', 'file_copy')
{
	my $rows = 'SELECT md5(string_agg(e::text, chr(10) ORDER BY _partition, _offset)), count(*) FROM events e';
	my $more = q{INSERT INTO events (_partition, "the id") SELECT i, i FROM generate_series(0, 4) i};
	my $ends = q{SELECT string_agg(next_offset::text, ' ' ORDER BY partition) FROM streamhouse.logs WHERE topic = 'events'::regclass};

	$node->safe_psql('postgres', "CREATE DATABASE $strategy TEMPLATE source STRATEGY $strategy");
	is(sql($definitions, $strategy), $expected, "$strategy: a copy has the topics");
	is(sql($rows, $strategy), sql($rows, 'source'), "$strategy: and their rows");
	my @ends = split / /, sql($ends, $strategy);
	sql("$more; $more", $strategy);
	sql($more, 'source');
	is(sql($ends, $strategy), join(' ', map { $_ + 2 } @ends), "$strategy: the copy goes on where its rows end");
	is(sql($ends, 'source'), join(' ', map { $_ + 1 } @ends), "$strategy: apart from the original");
	offsets_hold($node, 'events', "$strategy: in order", $strategy);
	offsets_hold($node, 'events', "$strategy: the original too", 'source');
}

$node->stop;
done_testing();
