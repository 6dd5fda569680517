# ALTER EXTENSION UPDATE keeps topics and their rows; and what an upgrade
# makes of an older version is what CREATE EXTENSION makes.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;

my $node = new_server('main');

sub sql { return answer($node, @_); }

# The server takes the extension's files from a folder of ours, where there is
# a version more.  PostgreSQL has a setting for that since 18, Debian before.
my $setting = sql(q{SELECT name FROM pg_settings WHERE name IN ('extension_control_path', 'extension_destdir') LIMIT 1});
plan skip_all => 'this server takes extensions from its own folder only' if $setting eq '';

my ($sharedir, $libdir) = map { my ($out) = run_command([ 'pg_config', $_ ]); $out } '--sharedir', '--pkglibdir';
my $private = $node->basedir . '/private';
my $version = sql(q{SELECT extversion FROM pg_extension WHERE extname = 'streamhouse'});
my $where = sql("SHOW $setting");
my ($installed) = grep { -e "$_/streamhouse.control" }
  map { ("$_/extension", "$_$sharedir/extension") } split(/:/, $where), $sharedir, '';
ok($installed, 'the extension\'s files are found');
make_path("$private$sharedir/extension", "$private$libdir");
copy($_, "$private$sharedir/extension") for glob("$installed/streamhouse*");
symlink("$where$libdir/streamhouse.so", "$private$libdir/streamhouse.so") if $setting eq 'extension_destdir';
append_to_file("$private$sharedir/extension/streamhouse--$version--$version.test.sql", <<'SQL');
CREATE FUNCTION streamhouse.test_added() RETURNS int LANGUAGE sql RETURN 1;
ALTER TABLE streamhouse.log ADD COLUMN test_added int;
DROP VIEW streamhouse.logs;
SQL
$node->append_conf('postgresql.conf', $setting eq 'extension_destdir'
	? "extension_destdir = '$private'\n"
	: "extension_control_path = '$private$sharedir:\$system'\n");
$node->restart;

# Everything that belongs to the extension, and how it is defined.
my $objects = <<'SQL';
WITH member AS (
	SELECT classid, objid FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'streamhouse')),
relation AS (SELECT c.* FROM member JOIN pg_class c ON classid = 'pg_class'::regclass AND objid = c.oid)
SELECT object, what, regexp_replace(definition, '\s+', ' ', 'g') FROM (
SELECT pg_describe_object(classid, objid, 0), 'comment', obj_description(objid, classid::regclass::name) FROM member
UNION ALL
SELECT pg_describe_object(classid, objid, 0), 'function', pg_get_functiondef(p.oid) || coalesce(proacl::text, '')
	FROM member JOIN pg_proc p ON classid = 'pg_proc'::regclass AND objid = p.oid
UNION ALL
SELECT oid::regclass::text, 'relation ' || relkind::text, concat_ws(' ', relacl, reloptions, relpersistence, relrowsecurity, pg_get_userbyid(relowner) = current_user) FROM relation
UNION ALL
SELECT oid::regclass::text, 'view', pg_get_viewdef(oid) FROM relation WHERE relkind = 'v'
UNION ALL
SELECT r.oid::regclass || '.' || attname, 'column ' || attnum, concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attstorage, attcompression,
	attstattarget, attacl, attoptions, pg_get_expr(adbin, adrelid), col_description(r.oid, attnum))
	FROM relation r JOIN pg_attribute a ON attrelid = r.oid AND attnum > 0 LEFT JOIN pg_attrdef ON adrelid = r.oid AND adnum = attnum WHERE NOT attisdropped
UNION ALL
SELECT indexrelid::regclass::text, 'index', pg_get_indexdef(indexrelid) || ' ' || indisprimary FROM pg_index JOIN relation r ON indrelid = r.oid
UNION ALL
SELECT conname, 'constraint', conrelid::regclass || pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN relation r ON conrelid = r.oid
UNION ALL
SELECT tgname, 'trigger', pg_get_triggerdef(t.oid) || tgenabled::text FROM pg_trigger t JOIN relation r ON tgrelid = r.oid
UNION ALL
SELECT seqrelid::regclass::text, 'sequence', concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle)
	FROM pg_sequence JOIN relation r ON seqrelid = r.oid
UNION ALL
SELECT fdwname, 'wrapper', concat_ws(' ', fdwhandler::regproc, fdwvalidator::regproc, fdwacl, fdwoptions) FROM pg_foreign_data_wrapper WHERE fdwname = 'streamhouse'
UNION ALL
SELECT srvname, 'server', concat_ws(' ', srvtype, srvversion, srvacl, srvoptions) FROM pg_foreign_server WHERE srvname = 'streamhouse'
UNION ALL
SELECT nspname, 'schema', nspacl::text FROM pg_namespace WHERE nspname = 'streamhouse'
) o (object, what, definition) ORDER BY 1, 2, 3
SQL
# live topics, through an upgrade that changes an internal table
$node->safe_psql('postgres', <<~'SQL');
	SELECT streamhouse.create_topic('t', 2, columns => 'id int', key => NULL);
	INSERT INTO t (_partition, id) SELECT i % 2, i FROM generate_series(1, 100) i;
	SQL
my $rows = sql('SELECT * FROM t ORDER BY _partition, _offset');
my $fresh = sql($objects);
like($fresh, qr/^function streamhouse\.produce\(.*^streamhouse\.tail\|.*^table streamhouse\.tail\|.*^view streamhouse\.topics\|/ms, 'all objects are listed');
my $session = $node->background_psql('postgres');
$session->query_safe('PREPARE p AS SELECT count(*) FROM t; EXECUTE p; INSERT INTO t (_partition, id) VALUES (0, 101)');
is(sql("ALTER EXTENSION streamhouse UPDATE TO '$version.test'; SELECT extversion FROM pg_extension WHERE extname = 'streamhouse'"),
	"$version.test", 'ALTER EXTENSION UPDATE');
my %count;
$count{$_}++ for split(/\n/, $fresh), split(/\n/, sql($objects));
is(join(', ', grep { /test_added|view/ } map { /^(.*?\|.*?)\|/ } sort grep { $count{$_} == 1 } keys %count),
	'function streamhouse.test_added()|comment, function streamhouse.test_added()|function, streamhouse.log.test_added|column 5, streamhouse.logs|view, view streamhouse.logs|comment',
	'what it has changed is seen');
is(sql('SELECT * FROM t WHERE id <= 100 ORDER BY _partition, _offset'), $rows, 'every row is there');
is($session->query_safe('INSERT INTO t (_partition, id) VALUES (0, 102); EXECUTE p'), 102, 'a session from before goes on');
is(sql('INSERT INTO t (_partition, id) VALUES (0, 103); SELECT max(_offset) FROM t WHERE _partition = 0'), 52, 'so does a new one');
$session->quit;
is(sql(q{SELECT count(*) FROM streamhouse.read(NULL::t, 0, 0); SELECT streamhouse.create_topic('u'); DROP FOREIGN TABLE u;
	DROP EXTENSION streamhouse CASCADE; SELECT count(*) FROM pg_proc WHERE proname = 'test_added'}), "53\nu\n0", 'and all else');

# every upgrade that there is, from each version that can be created; none
# before the second release
my %from;
for my $file (glob("$FindBin::RealBin/../../extension/streamhouse--*--*.sql"))
{
	my ($old) = $file =~ /streamhouse--(.+?)--.+\.sql$/;
	$from{$old} = 1 if -e "$installed/streamhouse--$old.sql";
}
for my $old (sort keys %from)
{
	(my $db = "from_$old") =~ s/\W/_/g;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, <<~SQL);
		CREATE EXTENSION streamhouse VERSION '$old';
		SELECT streamhouse.create_topic('t', columns => 'id int', key => NULL);
		INSERT INTO t (id) SELECT generate_series(1, 100);
		ALTER EXTENSION streamhouse UPDATE TO '$version';
		SQL
	is(sql($objects, $db), $fresh, "from $old to $version: the objects are those of a new $version");
	is(sql('INSERT INTO t (id) VALUES (101); SELECT count(*), max(_offset) FROM t', $db), '101|100', "from $old to $version: topics go on");
}
note('upgrades from: ', join(', ', sort keys %from) || 'no version yet');

$node->stop;
done_testing();
