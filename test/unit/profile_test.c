/*
 * Files with keys, as other programs write them and as they should not be;
 * each is read from memory of just its size.
 */
#include "s3/profile.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

static SthKeys keys;
static SthProfileFault fault;

static SthProfileResult
read_bytes(const char *contents, size_t len, const char *profile, bool config)
{
	char	   *copy = malloc(len > 0 ? len : 1);
	SthProfileResult result;

	memcpy(copy, contents, len);
	memset(&keys, 'x', sizeof(keys));
	result = sth_profile_read(copy, len, profile, config, &keys, &fault);
	free(copy);
	return result;
}

/* The keys of a profile are these: "access secret token". */
static bool
has_keys(const char *contents, const char *profile, bool config, const char *wanted)
{
	char		got[6000];
	SthProfileResult result = read_bytes(contents, strlen(contents), profile, config);

	snprintf(got, sizeof(got), "%s %s %s", keys.access_key, keys.secret, keys.session_token);
	if (result == STH_PROFILE_FOUND && strcmp(got, wanted) == 0 && keys.expires == 0)
		return true;
	printf("# result %d line %d got %s\n", result, fault.line, got);
	return false;
}

static bool
wiped(void)
{
	static const SthKeys none;

	return memcmp(&keys, &none, sizeof(keys)) == 0;
}

static bool
absent(const char *contents, const char *profile, bool config)
{
	return read_bytes(contents, strlen(contents), profile, config) == STH_PROFILE_ABSENT && wiped();
}

/* It is damaged in this line, and nothing of it is left. */
static bool
damaged(const char *contents, int line, const char *what)
{
	SthProfileResult result = read_bytes(contents, strlen(contents), "default", false);

	if (result == STH_PROFILE_DAMAGED && fault.line == line && strncmp(fault.what, what, strlen(what)) == 0)
		return wiped();
	printf("# result %d line %d: %s\n", result, fault.line, fault.what ? fault.what : "");
	return false;
}

#define ID "aws_access_key_id = A\n"
#define SECRET "aws_secret_access_key = s/+=\n"

static void
test_found(void)
{
	ok(has_keys("[default]\n" ID SECRET, "default", false, "A s/+= "), "keys");
	ok(has_keys("[default]\r\naws_access_key_id=A\r\naws_secret_access_key\t=\ts\r\naws_session_token= t==\r\n",
				"default", false, "A s t=="), "a token; lines of Windows");
	ok(has_keys("# a comment\n\n; another\n[default]\n#" ID ID "\n" SECRET "aws_session_token=\n",
				"default", false, "A s/+= "), "comments, empty lines, an empty token");
	ok(has_keys("[default]\nAWS_Access_Key_ID = A\n" SECRET, "default", false, "A s/+= "), "the case does not matter");
	ok(has_keys("[default]\n" ID "aws_secret_access_key=s", "default", false, "A s "), "no end of the last line");
	ok(has_keys("[a]\naws_access_key_id=B\naws_secret_access_key=t\n[default]\n" ID SECRET "[c]\naws_access_key_id=C\n",
				"default", false, "A s/+= "), "other profiles");
	ok(has_keys("[ a b ]\n" ID SECRET, "a b", false, "A s/+= "), "a profile with a blank in its name");
	ok(has_keys("[default]\n" ID SECRET "[other]\n[default]\naws_access_key_id=B\n", "default", false, "B s/+= "),
	   "the last setting counts");
	ok(has_keys("[default]\n" ID SECRET "s3 =\n  max_queue_size = 1000\n  nonsense\nregion=eu-west-1\n",
				"default", false, "A s/+= "), "settings of others, and settings under them");
	ok(has_keys("[default]\n" ID SECRET "[other]\nnonsense\naws_access_key_id = a b\n", "default", false, "A s/+= "),
	   "what is wrong with other profiles does not matter");
	ok(has_keys("[profile a]\n" ID SECRET, "a", true, "A s/+= "), "a config file");
	ok(has_keys("[default]\n" ID SECRET, "default", true, "A s/+= ") &&
	   has_keys("[profile\tdefault]\n" ID SECRET, "default", true, "A s/+= "), "the default of a config file");
}

static void
test_absent(void)
{
	ok(absent("", "default", false), "an empty file");
	ok(absent("[default]\nregion = eu-west-1\n", "default", false), "a profile without keys");
	ok(absent("[other]\n" ID SECRET, "default", false), "no such profile");
	ok(absent(ID SECRET, "default", false), "keys before any profile");
	ok(absent("[default]\n  " ID "  " SECRET, "default", false), "keys under another setting");
	ok(absent("[a]\n" ID SECRET, "a", true) && absent("[profilea]\n" ID SECRET, "a", true) &&
	   absent("[profile ab]\n" ID SECRET, "a", true) && absent("[profile a]\n" ID SECRET, "a", false),
	   "no such profile in a config file");
}

static void
test_damaged(void)
{
	char		line[6000];

	ok(damaged("[default]\n" ID, 1, "one of"), "no secret");
	ok(damaged("\n[default]\n" SECRET, 2, "one of"), "no access key");
	ok(damaged("[default]\n" ID "aws_secret_access_key =\n", 1, "one of"), "an empty secret");
	ok(damaged("[default]\n" ID SECRET "nonsense\n", 4, "expected"), "a line that is none");
	ok(damaged("[default\n" ID SECRET, 1, "the name of a section"), "a name of a section that does not end");
	ok(damaged("[default]\n" SECRET "aws_access_key_id = A # mine\n", 3, "the value has"), "a value with blanks");
	ok(damaged("[default]\n" SECRET "aws_access_key_id = \303\244\n", 3, "the value has"), "a value that is not ASCII");
	ok(read_bytes("[default]\n" SECRET "aws_access_key_id = A\0B\n", 61, "default", false) == STH_PROFILE_DAMAGED &&
	   fault.line == 3 && wiped(), "a value with a zero in it");
	strcpy(line, "[default]\n" ID SECRET "aws_session_token=");
	memset(line + strlen(line), 't', STH_MAX_SESSION_TOKEN);
	line[strlen("[default]\n" ID SECRET "aws_session_token=") + STH_MAX_SESSION_TOKEN] = '\0';
	ok(read_bytes(line, strlen(line), "default", false) == STH_PROFILE_FOUND &&
	   strlen(keys.session_token) == STH_MAX_SESSION_TOKEN, "the longest token");
	strcat(line, "t");
	ok(damaged(line, 4, "the value is too long"), "a token that is too long");
}

int
main(void)
{
	test_found();
	test_absent();
	test_damaged();
	return done_testing();
}
