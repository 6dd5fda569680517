# Where keys come from, that they are fetched again before they expire or when
# they were refused, and that no trouble with them shows a secret.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use KeyServices;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamhouseTest;
use Test::More;
use Time::HiRes qw(usleep);

delete @ENV{ grep { /^AWS_/ } keys %ENV };
my $home = PostgreSQL::Test::Utils::tempdir();
my $services = KeyServices->new;
local $ENV{HOME} = $home;
local $ENV{AWS_EC2_METADATA_SERVICE_ENDPOINT} = $services->url . '/';
my $node = new_server('main', 'log_statement = none');

$node->safe_psql('postgres', q{
	CREATE FUNCTION credentials(command text, argument text = '') RETURNS text LANGUAGE c AS 'streamhouse', 'sth_testing_credentials';
	CREATE FUNCTION s3(settings text, command text, key text = '', data bytea = '', n bigint = 0, m bigint = 0) RETURNS text
		LANGUAGE c AS 'streamhouse', 'sth_testing_s3'});

# Keys are of a session; so is the environment that tests set.
my $session;
sub credentials
{
	my ($command, $argument) = (@_, '');
	$argument =~ s/'/''/g;
	return $session->query_safe("SELECT credentials('$command', '$argument')");
}
sub new_session
{
	$session->quit if $session;
	$session = $node->background_psql('postgres');
	credentials('setenv', $_) for @_;
	return;
}

sub write_file
{
	my ($name, $text) = @_;
	my $path = "$home/$name";

	unlink "$path.new";
	append_to_file("$path.new", $text);
	rename "$path.new", $path or die "rename: $!";
	return $path;
}
sub profile { my ($name, $key) = @_; return "[$name]\naws_access_key_id = $key\naws_secret_access_key = secret-$key\n"; }

# Waits until the keys are these; they are others meanwhile, but never missing.
sub becomes
{
	my ($wanted, $name) = @_;
	my $got;

	for (1 .. 3 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$got = credentials('peek');
		last if $got eq $wanted;
		return is($got, $wanted, $name) if $got =~ /^(?:none|pending)/ && $wanted !~ /^none/;
		usleep(100_000);
	}
	return is($got, $wanted, $name);
}

# --- a user mapping -----------------------------------------------------------

new_session();
credentials('mapping', 'secret-1');
is(credentials('get'), 'mapped secret-1 - of the user mapping', 'keys of a user mapping');
is(credentials('refresh'), 'no use', 'there are no others if they are refused');
credentials('mapping', '');
is(credentials('get'), 'none: the user mapping has only one of access key and secret', 'no secret');
credentials('mapping', 'secret' x 100);
is(credentials('get'), 'none: a key of the user mapping is longer than keys are', 'a secret that is too long');

# --- a file -------------------------------------------------------------------

my $file = write_file('keys', profile('default', 'file1'));
credentials('file', $file);
is(credentials('get'), 'file1 secret-file1 - of the credentials file', 'keys of a file');
is(credentials('refresh'), 'no use', 'there are no others as long as it is the same');
write_file('keys', profile('default', 'file2') . "aws_session_token = token-2\n");
is(credentials('get'), 'file2 secret-file2 token-2 of the credentials file', 'it is read again when it has changed');
is(credentials('refresh'), 'try again', 'what was refused may have been the keys before');
write_file('keys', "[default]\naws_access_key_id = secret-half\n");
is(credentials('get'), 'file2 secret-file2 token-2 of the credentials file', 'half of a file does not count');
write_file('keys', profile('default', 'file3'));
is(credentials('get'), 'file3 secret-file3 - of the credentials file', 'the whole of it does');
unlink $file;
is(credentials('get'), 'file3 secret-file3 - of the credentials file', 'without the file, the keys are good for a while');
becomes("none: file \"$file\" does not exist", 'but not for ever');
write_file('keys', profile('default', 'file4'));
is(credentials('get'), 'file4 secret-file4 - of the credentials file', 'until it is there again');

my %bad = (
	'no default' => [ profile('other', 'key'), 'has no keys in a profile "default"' ],
	'no value' => [ "[default]\n\nsecret-words\n", qr/, line 3: expected "name = value"/ ],
	'too large' => [ "#\n" x 150_000, 'File too large' ],);
for my $name (sort keys %bad)
{
	write_file('keys', $bad{$name}[0]);
	credentials('file', $file);
	my $got = credentials('get');
	like($got, ref $bad{$name}[1] ? $bad{$name}[1] : qr/\Q$bad{$name}[1]\E/, "a file with trouble: $name");
	unlike($got, qr/secret/, 'no word of it is shown');
}
credentials('file', $home);
like(credentials('get'), qr/^none: could not read file "\Q$home\E": it is no regular file/, 'a directory');
POSIX::mkfifo("$home/fifo", 0600) or die "mkfifo: $!";
credentials('file', "$home/fifo");
like(credentials('get'), qr/it is no regular file/, 'a pipe is not waited for');

# --- the environment ----------------------------------------------------------

$services->give('machine1', 3600);
mkdir "$home/.aws" or die "mkdir: $!";
write_file('.aws/credentials', profile('default', 'home') . profile('p', 'profile'));
new_session('AWS_ACCESS_KEY_ID=env', 'AWS_SECRET_ACCESS_KEY=secret-env', 'AWS_SESSION_TOKEN=token-env');
credentials('environment', 'no');
is(credentials('get'), 'none: there is no user mapping with keys, and no credentials file',
	'a server that may not use what the machine has');
is($services->asked, '', 'nobody is asked for it');
credentials('environment');
is(credentials('get'), 'env secret-env token-env of the environment', 'keys in the environment');
is(credentials('refresh'), 'no use', 'there are no others');
new_session('AWS_ACCESS_KEY_ID=env');
credentials('environment');
is(credentials('get'), 'none: the environment has only one of access key and secret', 'half of them');

# --- profiles -----------------------------------------------------------------

new_session();
credentials('environment');
is(credentials('get'), 'home secret-home - of the profile', 'the default profile');
write_file('.aws/credentials', profile('default', 'home2'));
is(credentials('get'), 'home2 secret-home2 - of the profile', 'it is read again');
new_session('AWS_PROFILE=p');
credentials('environment');
like(credentials('get'), qr{^none: profile "p" has no keys in "\Q$home\E/\.aws/credentials" or "\Q$home\E/\.aws/config"$},
	'a profile that is not there');
write_file('.aws/config', "[default]\nregion = x\n" . profile('profile p', 'config'));
is(credentials('get'), 'config secret-config - of the profile', 'it is in the other file');
my $elsewhere = write_file('elsewhere', profile('p', 'named'));
new_session('AWS_PROFILE=p', "AWS_SHARED_CREDENTIALS_FILE=$elsewhere");
credentials('environment');
is(credentials('get'), 'named secret-named - of the profile', 'a file that is named');
is($services->asked, '', 'nobody was asked');

# --- a web identity -----------------------------------------------------------

my @web = ("AWS_WEB_IDENTITY_TOKEN_FILE=$home/token", 'AWS_ROLE_ARN=arn:aws:iam::1:role/r', 'AWS_ENDPOINT_URL_STS=' . $services->url);
write_file('token', "secret=web\n");
$services->give('web1', 3600);
new_session(@web);
credentials('environment');
is(credentials('get'), 'web1 secret-web1 token-web1 of the web identity', 'keys for a token');
is( $services->asked,
	"POST / Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"
	  . "&RoleSessionName=streamhouse&WebIdentityToken=secret%3Dweb\n",
	'what was asked');
is(credentials('refresh'), 'try again', 'it is asked again when they are refused');
is(credentials('get'), 'web1 secret-web1 token-web1 of the web identity', 'these are all there is');
is(credentials('refresh'), 'no use', 'it is not asked again at once');
$services->fail(400, '<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>secret-message</Message></Error></ErrorResponse>');
credentials('environment');
is(credentials('get'), 'none: the token service ' . $services->url . ' answered: InvalidIdentityToken', 'a token that is not taken');
$services->asked;
$services->fail(503);
credentials('environment');
is(credentials('get'), 'none: the token service ' . $services->url . ' answered with status 503', 'a service that is overloaded');
is(() = $services->asked =~ /^POST/mg, 3, 'it was asked three times');
$services->give("<web>", 3600);
credentials('environment');
is(credentials('get'), 'none: the token service ' . $services->url . ' answered with something unexpected', 'nonsense');
unlink "$home/token";
credentials('environment');
like(credentials('get'), qr/^none: could not read file "\Q$home\E\/token": No such file/, 'no token');

# --- a container --------------------------------------------------------------

write_file('.aws/credentials', '');
$services->give('container1', 3600);
new_session('AWS_CONTAINER_CREDENTIALS_FULL_URI=' . $services->url . '/container', "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=$home/token");
write_file('token', "permit\n");
credentials('environment');
is(credentials('get'), "container1 secret-container1 token-container1 of the container's role", 'keys for a container');
write_file('token', "secret-token\n");
credentials('environment');
is(credentials('get'), "none: the container's credentials service answered with status 403", 'without the right token');
write_file('token', "a\nb\n");
credentials('environment');
is(credentials('get'), "none: there is no token in file \"$home/token\"", 'a token of two lines');
for my $uri ('http://169.254.169.254/x', 'http://127.0.0.1.example.org/', 'http://127.0.0.1@example.org/', 'file:///etc/passwd')
{
	new_session("AWS_CONTAINER_CREDENTIALS_FULL_URI=$uri");
	credentials('environment');
	is( credentials('get'),
		'none: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine',
		"who must not be asked: $uri");
}

# --- an instance --------------------------------------------------------------

new_session();
$services->asked;
$services->give('instance1', 3600);
credentials('environment');
is(credentials('get'), "instance1 secret-instance1 token-instance1 of the instance's role", 'keys of an instance');
is( $services->asked,
	"PUT /latest/api/token\nGET /latest/meta-data/iam/security-credentials/\nGET /latest/meta-data/iam/security-credentials/my%2Brole\n",
	'what was asked');
credentials('get') for 1 .. 3;
is($services->asked, '', 'they are kept');

# before they expire others are fetched; those there are stay in use
$services->give('instance2', 12);
credentials('environment');
is(credentials('get'), "instance2 secret-instance2 token-instance2 of the instance's role", 'keys that expire soon');
$services->give('instance3', 3600);
becomes("instance3 secret-instance3 token-instance3 of the instance's role", 'they are replaced in time');
is(credentials('refresh'), 'try again', 'what was refused may have been the keys before');

$services->fail(404);
credentials('environment');
like(credentials('get'), qr/^none: the server's environment has no keys, profile or role, and the instance's metadata service .* status 404$/, 'no such service');
$services->give('{"secret-', 3600);
credentials('environment');
like(credentials('get'), qr/^none: .* answered with something unexpected$/, 'nonsense');
new_session('AWS_EC2_METADATA_DISABLED=true');
$services->asked;
credentials('environment');
is(credentials('get'), "none: the server's environment has no keys, profile or role", 'an instance that is not to be asked');
is($services->asked, '', 'it is not');

# --- requests to a store wait for keys, and ask for others --------------------

my $settings = 'endpoint=' . $services->url . ' bucket=bucket use_environment=1';
$services->give('store1', 3600);
new_session();
is($session->query_safe("SELECT s3('$settings', 'list')"), 'ok', 'a request waits for keys');
$services->give('store2 store3', 3600);
is($session->query_safe("SELECT s3('$settings', 'list')"), 'ok', 'one that is refused asks for others and tries again');
$services->fail(500);
like($session->query_safe("SELECT s3('$settings', 'list')"),
	qr/^denied 0 : there are no credentials: the server's environment has no keys/, 'it says why there are none');

# --- JSON ---------------------------------------------------------------------

my $good = '"AccessKeyId": "A", "SecretAccessKey": "s\/\u0026", "Token": "t", "Expiration": "2026-07-01T12:00:00Z"';
my %json = (
	"{$good}" => 'A s/& t 1782907200',
	"{\"Code\": \"Success\", \"x\": {\"AccessKeyId\": \"no\"}, $good, \"n\": 1}" => 'A s/& t 1782907200',
	'{"AccessKeyId": "A", "SecretAccessKey": "s"}' => 'A s  0',
	"[{$good}]" => 'none',
	"{\"x\": {$good}}" => 'none',
	"{$good" => 'none',
	"{$good} x" => 'none',
	'' => 'none',
	'null' => 'none',
	'{"AccessKeyId": "A", "SecretAccessKey": 1}' => 'none',
	'{"AccessKeyId": "A", "SecretAccessKey": ["s"]}' => 'none',
	'{"AccessKeyId": "A", "SecretAccessKey": null}' => 'none',
	"{$good, \"Expiration\": \"tomorrow\"}" => 'none',
	"{$good, \"x\": \"\x{c3}\x{a4}\"}" => 'none',
	"{$good, \"x\": \"\\u00e4\"}" => 'none',
	"{$good, \"x\": \"\\ud83d\\ude00\"}" => 'none',
	"{$good, \"x\": \"\\u0000\"}" => 'none',
	'{"AccessKeyId": "' . ('A' x 256) . '", "SecretAccessKey": "s"}' => 'none',);
is(credentials('json', $_), $json{$_}, 'JSON: ' . substr($_, 0, 60)) for sort keys %json;
is($session->query_safe(q{SELECT credentials('json', repeat('[', 60000))}), 'none', 'JSON that is nested deeply');

$session->quit;
unlike(slurp_file($node->logfile), qr/secret-|token-|permit/, 'no secret is in the log');
$node->stop;
done_testing();
