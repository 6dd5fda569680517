# Every value of every type comes out of a topic as it went in, whatever its
# size, whatever way it went in.  Random tables of random rows are written to a
# topic and to a table, in the same transactions, and compared.
# STH_SEED=<number> repeats a run; with STH_TEST_LONG=1 it takes minutes.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RandomRows;
use StreamhouseTest;
use Test::More;

my $seed = $ENV{STH_SEED} || (time ^ ($$ << 8)) % 1_000_000_000;
my $rounds = $ENV{STH_TEST_LONG} ? 1000 : 40;
note("STH_SEED=$seed");

my $node = new_server('main', 'streamhouse.max_record_size = 100MB', 'max_wal_size = 4GB', 'log_statement = none');
my $file = $node->basedir . '/copy';
$node->safe_psql('postgres', $RandomRows::setup);

# Of this round: types and share of NULLs by column, and rows as SQL.
my (@columns, $key, %type, %nulls, %row);

sub column_list { return join(', ', 'n', @columns); }

# Ways for rows $_[0] .. $_[1] into the topic.
sub values_of
{
	my ($n) = @_;
	return join(', ', $n, map { $row{$n}{$_} } @columns);
}

sub copy
{
	my ($format, $from, $to) = @_;
	my $list = column_list();
	return <<~SQL;
		COPY (SELECT $list FROM src WHERE n BETWEEN $from AND $to) TO '$file' (FORMAT $format);
		COPY t ($list) FROM '$file' (FORMAT $format)
		SQL
}

sub call
{
	my ($call, $from, $to) = @_;
	return "SELECT $call FROM (SELECT " . column_list() . " FROM src WHERE n BETWEEN $from AND $to) x";
}

my %way = (
	'INSERT … VALUES' => sub {
		return 'INSERT INTO t (' . column_list() . ') VALUES ' . join(', ', map { "(" . values_of($_) . ")" } $_[0] .. $_[1]);
	},
	'INSERT … SELECT' => sub {
		my $list = column_list();
		return "INSERT INTO t ($list) SELECT $list FROM src WHERE n BETWEEN $_[0] AND $_[1]";
	},
	'EXECUTE' => sub {
		my $i = 1;
		return join(";\n",
			'PREPARE p AS INSERT INTO t (' . column_list() . ') VALUES ($1::int' . join('', map { ', $' . ++$i . "::$type{$_}" } @columns) . ')',
			(map { 'EXECUTE p (' . values_of($_) . ')' } $_[0] .. $_[1]), 'DEALLOCATE p');
	},
	'plpgsql' => sub {
		my $list = column_list();
		my $values = join(', ', map { "r.$_" } 'n', @columns);
		return <<~SQL;
			DO \$do\$ DECLARE r src; BEGIN
				FOR r IN SELECT * FROM src WHERE n BETWEEN $_[0] AND $_[1] LOOP
					INSERT INTO t ($list) VALUES ($values);
					BEGIN
						INSERT INTO t ($list) VALUES ($values);
						RAISE division_by_zero;
					EXCEPTION WHEN division_by_zero THEN
					END;
				END LOOP;
			END \$do\$
			SQL
	},
	'COPY text' => sub { return copy('text', @_) },
	'COPY csv' => sub { return copy('csv', @_) },
	'COPY binary' => sub { return copy('binary', @_) });
my %json_way = (
	'produce json' => sub { return call(q{count(streamhouse.produce('t', row_to_json(x)))}, @_) },
	'produce jsonb' => sub { return call(q{count(streamhouse.produce('t', to_jsonb(x)))}, @_) },
	'produce text' => sub { return call(q{count(streamhouse.produce('t', row_to_json(x)::text))}, @_) },
	'produce_batch' => sub { return call(q{streamhouse.produce_batch('t', array_agg(row_to_json(x)::text))}, @_) });

# SQL that creates topic t, table h and, in src, the rows to write.
sub create
{
	@columns = map { "c$_" } 1 .. any(1, 2, 3, 5, 12, 12, 40);
	%type = map { $_ => random_type() } @columns, 'added';
	%nulls = map { $_ => any(0, .2, .9) } @columns, 'added';
	%row = map { $_ => { map { $_ => random_value($type{$_}, $nulls{$_}) } @columns, 'added' } } 1 .. any(20, 50, 80);

	my $keys = qr/^(?:bool|int[248]|numeric|text|varchar|bytea|uuid|inet|cidr|macaddr8?|mood|char\(10\)|text_domain)$/;
	($key) = ((grep { rand() < .5 && $type{$_} =~ $keys } @columns), '');
	my @definitions = map { "$_ $type{$_}" } @columns;
	splice(@definitions, any(0, scalar @definitions), 0, 'n int');
	my $definitions = join(', ', @definitions);
	my $partitions = any(1, 1, 3, 8);
	return join(";\n",
		'DROP FOREIGN TABLE IF EXISTS t', 'DROP TABLE IF EXISTS h, src',
		"SELECT streamhouse.create_topic('t', $partitions, columns => '$definitions', key => " . ($key ? "'$key'" : 'NULL') . ')',
		"CREATE TABLE h ($definitions)", "CREATE TABLE src ($definitions, added $type{added})",
		(map { "ALTER TABLE src ALTER $_ SET STORAGE EXTERNAL" } grep { $type{$_} =~ /^(?:text|bytea|jsonb)$/ && rand() < .3 } @columns),
		(map { my $n = $_; "INSERT INTO src (n, " . join(', ', @columns, 'added') . ') VALUES (' . values_of($n) . ", $row{$n}{added})" } 1 .. keys %row),
		'');
}

# SQL of one transaction that writes the same rows to both.
sub transaction
{
	my ($sql, $depth) = ("BEGIN;\n", 0);
	my %ways = (%way, $RandomRows::json ? %json_way : ());
	my $list = column_list();

	for (1 .. int_in(1, 6))
	{
		my $from = int_in(1, scalar keys %row);
		my $to = $from + any(0, 0, 5, 30);
		$to = keys %row if $to > keys %row;
		$sql .= 'SAVEPOINT s' . ++$depth . ";\n" if rand() < .5;
		$sql .= $ways{ any(sort keys %ways) }->($from, $to) . ";\n";
		$sql .= "INSERT INTO h ($list) SELECT $list FROM src WHERE n BETWEEN $from AND $to;\n";
		next if $depth == 0 || rand() < .4;
		$sql .= "ROLLBACK TO s$depth;\n" if rand() < .5;
		$sql .= 'RELEASE s' . $depth-- . ";\n";
	}
	return $sql . (rand() < .15 ? 'ROLLBACK' : 'COMMIT') . ";\n";
}

# SQL that adds a column to both, or drops one.
sub alter
{
	return '' if rand() < .7;
	if ($columns[-1] ne 'added')
	{
		push @columns, 'added';
		return "ALTER FOREIGN TABLE t ADD added $type{added}; ALTER TABLE h ADD added $type{added};\n";
	}
	return '' if @columns < 3;
	my $gone = splice(@columns, 1, 1);
	return join(";\n", $gone eq $key ? 'ALTER FOREIGN TABLE t OPTIONS (DROP key)' : (),
		"ALTER FOREIGN TABLE t DROP $gone", "ALTER TABLE h DROP $gone", '');
}

# The rows in which two sources of rows differ.
sub difference
{
	my ($list, $one, $other) = @_;
	my ($a, $b) = map { "SELECT n, md5(record_send(x)) AS bytes, md5(x::text) AS text FROM (SELECT $list FROM $_) x" } $one, $other;
	return answer($node, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM (($a EXCEPT ALL $b) UNION ALL ($b EXCEPT ALL $a)) d");
}

sub run_round
{
	srand($_[0]);
	$RandomRows::json = rand() < .5;
	my $sql = create();
	$sql .= transaction() . alter() for 1 .. 8;
	append_to_file("$file.sql", $sql);
	my ($status, $out, $error) = $node->psql('postgres', "SET client_min_messages = warning;\n\\i $file.sql");
	unlink "$file.sql";
	return "error: $error" if $error ne '';

	my $read = "streamhouse.logs l, LATERAL streamhouse.read(NULL::t, l.partition, 0, 1000000, 2000000000) r WHERE l.topic = 't'::regclass";
	answer($node, 'DROP TABLE IF EXISTS stored; CREATE TABLE stored AS SELECT ' . column_list() . ' FROM t');
	return join(',',
		difference(column_list(), 't', 'h'),
		difference(join(', ', 'n', grep { rand() < .3 } @columns), 't', 'h'),
		difference(column_list(), $read, 'h'),
		difference(column_list(), 'stored', 'h'));
}

for my $i ($seed .. $seed + $rounds - 1)
{
	my $got = run_round($i);
	is($got, ',,,', "round $i: " . @columns . ' columns, ' . answer($node, 'SELECT count(*) FROM h') . ' rows')
	  or diag("STH_SEED=$i repeats it first; the columns are ", join(', ', map { "$_ $type{$_}" } @columns));
}

$node->stop;
done_testing();
