# Random columns and values of all types that topics take, as SQL.
package RandomRows;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';

our @EXPORT = qw(any int_in random_type random_value);

# What the values need to be there.
our $setup = <<'SQL';
CREATE TYPE mood AS ENUM ('good', 'bad', 'so ''so''');
CREATE DOMAIN text_domain AS text CHECK (length(VALUE) < 10000000);
CREATE DOMAIN int_domain AS int CHECK (VALUE >= 0);
CREATE DOMAIN int_array_domain AS int[];
CREATE FUNCTION noise(size int, salt int) RETURNS text IMMUTABLE LANGUAGE sql
	AS $$ SELECT left(string_agg(md5((i::int8 * salt)::text), ''), size) FROM generate_series(0, size / 32) i $$;
CREATE FUNCTION members(size int) RETURNS text IMMUTABLE LANGUAGE sql
	AS $$ SELECT json_object_agg(i, i * 1.5)::text FROM generate_series(0, size / 12) i $$;
SQL

# Values have to survive JSON, which has no negative zero, no arrays that
# begin at 0, and one null only.
our $json = 0;
our $small = 0;

sub any { return $_[ int rand @_ ]; }
sub int_in { my ($from, $to) = @_; return $from + int rand($to - $from + 1); }

# Lengths where something changes: headers of one and four bytes, a page.
sub size
{
	my $n = rand;
	return int_in(0, 300) if $small;
	return $n < .25 ? int_in(0, 30)
	  : $n < .50 ? int_in(120, 132)
	  : $n < .60 ? int_in(0, 2000)
	  : $n < .80 ? int_in(7900, 8300)
	  : $n < .97 ? int_in(0, 20000)
	  : $n < .995 ? 100_000 + int_in(0, 9)
	  : 2_000_000 + int_in(0, 9);
}

sub text_of
{
	my ($size, $salt) = (shift, int_in(1, 1e6));
	return any(
		"repeat('é', " . int($size / 2) . ')',
		"repeat('x', $size)",
		"noise($size, $salt)",
		q{E'\\t\\\\,"\\n\\r''\\\\N {}'::text});
}

sub bytes_of
{
	my ($size, $salt) = (shift, int_in(1, 1e6));
	return any("decode(repeat('00', $size), 'hex')",
		"decode(noise(2 * $size, $salt), 'hex')");
}

sub json_of
{
	my $size = shift;
	return any($json ? "'1'" : "'null'", "'[]'", "'{}'", "'-0.10'", "'\"\"'",
		$json ? "'{}'" : "'{\"a\": [1, {\"b\": null}, 1e3], \"é\": true,   \"a\": 2}'", 'to_jsonb(' . text_of($size) . ')::text',
		"members($size)");
}

sub numeric_of
{
	my ($before, $after) = @_;
	return any(0, 'NaN', "1e-$after", (map { '-' x int_in(0, 1) . int_in(0, 9) . any('', int_in(1, 9) x int_in(0, $before - 1)) . any('', '.', '.' . int_in(0, 9) x int_in(1, $after)) } 1 .. 6));
}

sub time_of { return sprintf '%02d:%02d:%02d%s', int_in(0, 23), int_in(0, 59), int_in(0, 59), any('', sprintf '.%06d', int_in(0, 999999)); }
sub date_of { return sprintf '%04d-%02d-%02d%s', any(1, 1969, 2000, 2024, int_in(1, 4000)), int_in(1, 12), int_in(1, 28), any('', '', ' BC'); }
sub moment { return any('infinity', '-infinity', 'epoch', (sprintf '%04d-%02d-%02d %s', int_in(1, 9999), int_in(1, 12), int_in(1, 28), time_of()) x 5); }
sub float_of { return any(0, $json ? 0 : '-0', 'NaN', 'Infinity', '-Infinity', rand() * 10**int_in(-30, 30), -rand()); }
sub point { return sprintf '(%s,%s)', map { any(0, -1.5, rand(1e6)) } 1 .. 2; }
sub range
{
	my ($value, @in) = @_;
	@in = sort { $a <=> $b } @in;
	my @ends = map { $value->($_) } @in;
	return any('empty', '(,)', "[$ends[0],)", "(,$ends[1]]", "[$ends[0],$ends[1])", "($ends[0],$ends[1]]");
}
sub multirange { my @r = map { range(@_) } 1 .. int_in(0, 3); return '{' . join(',', @r) . '}'; }
sub day { return sprintf '20%02d-%02d-%02d', int($_[0] / 336) % 100, int($_[0] / 28) % 12 + 1, $_[0] % 28 + 1; }
sub ints { return (sub { $_[0] }, int_in(-100, 0), int_in(1, 100)); }
sub days { return (\&day, int_in(0, 1000), int_in(1001, 9000)); }
sub ip { return join '.', map { int_in(0, 255) } 1 .. 4; }
sub quoted { my $s = shift; $s =~ s/'/''/g; return "'$s'"; }
sub hex_of { my $n = shift; return join '', map { sprintf '%x', int_in(0, 15) } 1 .. $n; }

# By type: SQL of a value.
my %value = (
	bool => sub { any('true', 'false') },
	int2 => sub { any(0, -32768, 32767, int_in(-99, 99)) },
	int4 => sub { any(0, '(-2147483648)', 2147483647, int_in(-99, 99)) },
	int8 => sub { any(0, "'-9223372036854775808'", 9223372036854775807, int_in(-99, 99)) },
	float4 => sub { my $v = float_of(); $v = 1.5 if $v !~ /[a-z]/i && abs($v) > 1e30; quoted($v =~ /e-[3-9]\d/ ? 1e-30 : $v) },
	float8 => sub { quoted(float_of()) },
	numeric => sub { quoted(numeric_of(any(3, 30, 3000), any(3, 30, 3000))) },
	'numeric(12,3)' => sub { quoted(numeric_of(5, 5)) },
	text => sub { text_of(size()) },
	varchar => sub { text_of(size()) },
	'varchar(130)' => sub { text_of(int_in(0, 130)) },
	'char(10)' => sub { text_of(int_in(0, 10)) },
	'char(5000)' => sub { text_of(int_in(0, 5000)) },
	bytea => sub { bytes_of(size()) },
	json => sub { my $v = json_of(size()); $json ? "(($v)::jsonb)::json" : $v },
	jsonb => sub { json_of(size()) },
	uuid => sub { quoted(hex_of(32)) },
	date => sub { quoted(any('infinity', '-infinity', date_of(), date_of())) },
	time => sub { quoted(any('24:00', time_of())) },
	'time(2)' => sub { quoted(time_of()) },
	timetz => sub { quoted(time_of() . any('+00', '-09:30', '+14')) },
	timestamp => sub { quoted(moment()) },
	'timestamp(3)' => sub { quoted(moment()) },
	timestamptz => sub { quoted(moment()) },
	interval => sub { quoted(any('0', '-1 year 2 mons -3 days', int_in(-99, 99) . ' days ' . time_of(), '178000000 years')) },
	'interval day to second(2)' => sub { quoted(int_in(-99, 99) . ' days ' . time_of()) },
	inet => sub { quoted(any(ip(), ip() . '/' . int_in(0, 32), '::1', hex_of(4) . '::' . hex_of(4) . '/' . int_in(0, 128))) },
	cidr => sub { quoted(any('10.0.0.0/8', '2001:db8::/32', ip())) },
	macaddr => sub { quoted(hex_of(12)) },
	macaddr8 => sub { quoted(hex_of(16)) },
	'bit(9)' => sub { quoted(join '', map { int_in(0, 1) } 1 .. 9) },
	varbit => sub { quoted(join '', map { int_in(0, 1) } 1 .. any(0, 1, 8, 9, int_in(0, 3000))) },
	point => sub { quoted(point()) },
	lseg => sub { quoted('[' . point() . ',' . point() . ']') },
	path => sub { my $p = join ',', map { point() } 1 .. int_in(1, 20); quoted(any("[$p]", "($p)")) },
	box => sub { quoted(point() . ',' . point()) },
	polygon => sub { quoted('(' . join(',', map { point() } 1 .. int_in(1, 20)) . ')') },
	line => sub { quoted('{1,' . rand() . ',' . int_in(-9, 9) . '}') },
	circle => sub { quoted('<' . point() . ',' . int_in(0, 9) . '>') },
	int4range => sub { quoted(range(ints())) },
	int8range => sub { quoted(range(ints())) },
	numrange => sub { quoted(range(ints())) },
	daterange => sub { quoted(range(days())) },
	tsrange => sub { quoted(range(days())) },
	tstzrange => sub { quoted(range(days())) },
	int4multirange => sub { quoted(multirange(ints())) },
	int8multirange => sub { quoted(multirange(ints())) },
	nummultirange => sub { quoted(multirange(ints())) },
	datemultirange => sub { quoted(multirange(days())) },
	tsmultirange => sub { quoted(multirange(days())) },
	tstzmultirange => sub { quoted(multirange(days())) },
	mood => sub { any(q{'good'}, q{'bad'}, q{'so ''so'''}) },
	text_domain => sub { text_of(size()) },
	int_domain => sub { int_in(0, 9) },
);
for my $base (grep { !/mood|domain/ } sort keys %value)
{
	$value{"$base\[]"} = sub {
		return "'{}'" if rand() < .2;
		local $small = 1;
		my ($rows, $cols) = (int_in(1, any(3, 3, 40)), rand() < .2 ? 2 : 0);
		my $element = sub { rand() < .2 ? 'NULL' : '(' . $value{$base}->() . ")::$base" };
		return $cols
		  ? 'ARRAY[' . join(',', map { '[' . join(',', map { $element->() } 1 .. $cols) . ']' } 1 .. $rows) . "]::$base\[]"
		  : 'ARRAY[' . join(',', map { $element->() } 1 .. $rows) . "]::$base\[]";
	};
}
$value{int_array_domain} = $value{'int4[]'};
$value{'int4[] '} = sub { $json ? "'{1}'" : any("'[0:1]={1,2}'", "'[-5:-4][2:3]={{1,NULL},{3,4}}'") };

sub random_type
{
	my @types = grep { !($json && /^jsonb?\[\]$/) } sort keys %value;
	return any(@types);
}

sub random_value
{
	my ($type, $nulls) = @_;
	return 'NULL' if rand() < $nulls;
	my $v = $value{$type}->();
	return "($v)::$type";
}

1;
