/*
 * Signatures that AWS published: of the test suite of Signature Version 4
 * those cases in which a path is taken as it is, and the examples in the
 * documentation of S3.  Further, that what is sent is what was signed, and
 * that nothing which does not fit, or ends a header, gets through.
 */
#include "s3/sigv4.h"

#include <stdlib.h>
#include <string.h>

#include "s3/sha256.h"
#include "tap.h"

/* 2015-08-30 12:36:00 and 2013-05-24, UTC */
#define SUITE_TIME 1440938160
#define S3_TIME 1369353600

static char buffer[STH_SIGV4_BUFFER];
static SthSigv4Signed signed_request;

static const SthSigv4Keys suite_keys =
{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL};
static const SthSigv4Keys s3_keys =
{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL};

/* The value of a header that is sent, or NULL. */
static const char *
sent(const char *name)
{
	size_t		len = strlen(name);

	for (int i = 0; i < signed_request.nheaders; i++)
		if (strncmp(signed_request.headers[i], name, len) == 0 &&
			strncmp(signed_request.headers[i] + len, ": ", 2) == 0)
			return signed_request.headers[i] + len + 2;
	return NULL;
}

static bool
is(const char *got, const char *wanted)
{
	if (got != NULL && strcmp(got, wanted) == 0)
		return true;
	printf("# got    %s\n# wanted %s\n", got ? got : "nothing", wanted);
	return false;
}

static bool
signature_is(const char *names, const char *signature)
{
	const char *authorization = sent("authorization");
	char		end[300];

	snprintf(end, sizeof(end), ", SignedHeaders=%s, Signature=%s", names, signature);
	return authorization != NULL && strstr(authorization, ", Sig") != NULL &&
		is(strstr(authorization, ", Sig"), end);
}

static SthSigv4Result
sign(const SthSigv4Request *request, const SthSigv4Keys *keys)
{
	memset(&signed_request, 0, sizeof(signed_request));
	return sth_sigv4_sign(request, keys, buffer, sizeof(buffer), &signed_request);
}

/* --- the suite ------------------------------------------------------------ */

#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define FORM_PAYLOAD "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"

typedef struct SuiteCase
{
	const char *name;
	const char *method;
	const char *path;
	SthSigv4Pair query[3];
	SthSigv4Pair headers[3];
	const char *payload_hash;
	const char *target;
	const char *names;
	const char *signature;
} SuiteCase;

static const SuiteCase suite[] = {
	{"get-vanilla", "GET", "/", {{NULL}}, {{NULL}}, NULL, "/", "host;x-amz-date",
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-vanilla-empty-query-key", "GET", "/", {{"Param1", "value1"}}, {{NULL}}, NULL, "/?Param1=value1", "host;x-amz-date",
	"a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
	{"get-vanilla-query-order-key-case", "GET", "/", {{"Param2", "value2"}, {"Param1", "value1"}}, {{NULL}}, NULL,
	"/?Param1=value1&Param2=value2", "host;x-amz-date",
	"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"get-vanilla-query-order-encoded", "GET", "/", {{"Param-3", "Value3"}, {"Param", "Value2"}, {"\341\210\264", "Value1"}}, {{NULL}}, NULL,
	"/?%E1%88%B4=Value1&Param=Value2&Param-3=Value3", "host;x-amz-date",
	"371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
	{"get-vanilla-query-unreserved", "GET", "/", {{UNRESERVED, UNRESERVED}}, {{NULL}}, NULL,
	"/?" UNRESERVED "=" UNRESERVED, "host;x-amz-date",
	"9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
	{"get-vanilla-utf8-query", "GET", "/", {{"\341\210\264", "bar"}}, {{NULL}}, NULL, "/?%E1%88%B4=bar", "host;x-amz-date",
	"2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
	{"get-unreserved", "GET", "/" UNRESERVED, {{NULL}}, {{NULL}}, NULL, "/" UNRESERVED, "host;x-amz-date",
	"07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
	{"get-utf8", "GET", "/\341\210\264", {{NULL}}, {{NULL}}, NULL, "/%E1%88%B4", "host;x-amz-date",
	"8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
	{"get-space-unnormalized", "GET", "/example space/", {{NULL}}, {{NULL}}, NULL, "/example%20space/", "host;x-amz-date",
	"652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
	{"get-slash-unnormalized", "GET", "//", {{NULL}}, {{NULL}}, NULL, "//", "host;x-amz-date",
	"c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e"},
	{"get-slashes-unnormalized", "GET", "//example//", {{NULL}}, {{NULL}}, NULL, "//example//", "host;x-amz-date",
	"87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
	{"get-slash-dot-slash-unnormalized", "GET", "/./", {{NULL}}, {{NULL}}, NULL, "/./", "host;x-amz-date",
	"68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"},
	{"get-slash-pointless-dot-unnormalized", "GET", "/./example", {{NULL}}, {{NULL}}, NULL, "/./example", "host;x-amz-date",
	"beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff"},
	{"get-relative-unnormalized", "GET", "/example/..", {{NULL}}, {{NULL}}, NULL, "/example/..", "host;x-amz-date",
	"eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282"},
	{"get-relative-relative-unnormalized", "GET", "/example1/example2/../..", {{NULL}}, {{NULL}}, NULL,
	"/example1/example2/../..", "host;x-amz-date",
	"dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b"},
	{"get-header-value-trim", "GET", "/", {{NULL}}, {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}}, NULL, "/",
	"host;my-header1;my-header2;x-amz-date",
	"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"post-header-key-sort", "POST", "/", {{NULL}}, {{"My-Header1", "value1"}}, NULL, "/", "host;my-header1;x-amz-date",
	"c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
	{"post-header-value-case", "POST", "/", {{NULL}}, {{"My-Header1", "VALUE1"}}, NULL, "/", "host;my-header1;x-amz-date",
	"cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
	{"post-vanilla-query", "POST", "/", {{"Param1", "value1"}}, {{NULL}}, NULL, "/?Param1=value1", "host;x-amz-date",
	"28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
	{"post-x-www-form-urlencoded", "POST", "/", {{NULL}},
	{{"Content-Type", "application/x-www-form-urlencoded"}, {"Content-Length", "13"}}, FORM_PAYLOAD, "/",
	"content-length;content-type;host;x-amz-content-sha256;x-amz-date",
	"d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
	{"post-x-www-form-urlencoded-parameters", "POST", "/", {{NULL}},
	{{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}, {"Content-Length", "13"}}, FORM_PAYLOAD, "/",
	"content-length;content-type;host;x-amz-content-sha256;x-amz-date",
	"328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
};

static SthSigv4Request
suite_request(void)
{
	SthSigv4Request request;

	memset(&request, 0, sizeof(request));
	request.method = "GET";
	request.tls = true;
	request.host = "example.amazonaws.com";
	request.path = "/";
	request.time = SUITE_TIME;
	request.region = "us-east-1";
	request.service = "service";
	return request;
}

static int
count(const SthSigv4Pair *pairs)
{
	int			n = 0;

	while (n < 3 && pairs[n].name != NULL)
		n++;
	return n;
}

static void
test_suite(void)
{
	SthSigv4Keys with_token = suite_keys;
	SthSigv4Request request = suite_request();

	for (size_t i = 0; i < sizeof(suite) / sizeof(suite[0]); i++)
	{
		const SuiteCase *c = &suite[i];

		request = suite_request();
		request.method = c->method;
		request.path = c->path;
		request.query = c->query;
		request.nquery = count(c->query);
		request.headers = c->headers;
		request.nheaders = count(c->headers);
		request.payload_hash = c->payload_hash;
		ok(sign(&request, &suite_keys) == STH_SIGV4_OK && is(signed_request.target, c->target) &&
		   signature_is(c->names, c->signature), "%s", c->name);
	}
	request = suite_request();
	with_token.session_token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
	ok(sign(&request, &with_token) == STH_SIGV4_OK &&
	   is(sent("x-amz-security-token"), with_token.session_token) &&
	   signature_is("host;x-amz-date;x-amz-security-token",
					"07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"),
	   "get-vanilla-with-session-token");
}

/* --- the documentation of S3 ---------------------------------------------- */

static SthSigv4Request
s3_request(const char *path)
{
	SthSigv4Request request = suite_request();

	request.host = "examplebucket.s3.amazonaws.com";
	request.path = path;
	request.time = S3_TIME;
	request.service = "s3";
	request.payload_hash = STH_SIGV4_EMPTY_PAYLOAD;
	return request;
}

static void
test_s3(void)
{
	static const SthSigv4Pair range = {"Range", "bytes=0-9"};
	static const SthSigv4Pair put[] = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
	static const SthSigv4Pair lifecycle = {"lifecycle", NULL};
	static const SthSigv4Pair list[] = {{"prefix", "J"}, {"max-keys", "2"}};
	SthSigv4Request request = s3_request("/test.txt");
	struct iovec pieces[2] = {{(char *) "Welcome to ", 11}, {(char *) "Amazon S3.", 10}};
	uint8_t		digest[STH_SHA256_LEN];
	char		hex[STH_SHA256_HEX_LEN + 1];

	request.headers = &range;
	request.nheaders = 1;
	ok(sign(&request, &s3_keys) == STH_SIGV4_OK && is(sent("range"), "bytes=0-9") &&
	   is(sent("x-amz-date"), "20130524T000000Z") &&
	   is(sent("authorization"),
		  "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
		  "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
		  "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
	   "GET of a range");

	request = s3_request("/test$file.text");
	request.method = "PUT";
	request.headers = put;
	request.nheaders = 2;
	ok(sth_sha256(pieces, 2, digest), "a payload in pieces has a hash");
	sth_sha256_hex(digest, hex);
	request.payload_hash = hex;
	ok(sign(&request, &s3_keys) == STH_SIGV4_OK && is(signed_request.target, "/test%24file.text") &&
	   is(sent("x-amz-content-sha256"), "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072") &&
	   signature_is("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
					"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
	   "PUT of a key with a special character");

	request = s3_request("/");
	request.query = &lifecycle;
	request.nquery = 1;
	ok(sign(&request, &s3_keys) == STH_SIGV4_OK && is(signed_request.target, "/?lifecycle=") &&
	   signature_is("host;x-amz-content-sha256;x-amz-date",
					"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
	   "GET of a bucket's lifecycle");

	request.query = list;
	request.nquery = 2;
	ok(sign(&request, &s3_keys) == STH_SIGV4_OK && is(signed_request.target, "/?max-keys=2&prefix=J") &&
	   signature_is("host;x-amz-content-sha256;x-amz-date",
					"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
	   "GET of a list of objects");
}

/* --- what is sent --------------------------------------------------------- */

static void
test_encoding(void)
{
	static const SthSigv4Pair query[] = {{"b", "a b+c/d=e&f%"}, {"a", "2"}, {"a", "10"}, {"uploads", ""}};
	SthSigv4Request request = s3_request("/a b+c=d&e%f*g(h)i!j'k:l@m,n$o\303\244//p/../q?r#s");
	char		small[8];

	request.query = query;
	request.nquery = 4;
	ok(sign(&request, &s3_keys) == STH_SIGV4_OK &&
	   is(signed_request.target,
		  "/a%20b%2Bc%3Dd%26e%25f%2Ag%28h%29i%21j%27k%3Al%40m%2Cn%24o%C3%A4//p/../q%3Fr%23s"
		  "?a=10&a=2&b=a%20b%2Bc%2Fd%3De%26f%25&uploads="),
	   "special characters are encoded once, in upper case");
	ok(sth_percent_encode("a/b", false, small, sizeof(small)) == 5 && is(small, "a%2Fb"), "a slash in a form");
	ok(sth_percent_encode("a/b", true, small, sizeof(small)) == 3 && is(small, "a/b"), "a slash in a path");
	ok(sth_percent_encode("1234567", true, small, sizeof(small)) == 7 &&
	   sth_percent_encode("12345678", true, small, sizeof(small)) == -1 &&
	   sth_percent_encode("", true, small, 0) == -1, "what does not fit is not encoded");
}

static void
test_host(void)
{
	SthSigv4Request request = s3_request("/");

	sign(&request, &s3_keys);
	ok(is(sent("host"), "examplebucket.s3.amazonaws.com"), "the usual port is not named");
	request.port = 443;
	sign(&request, &s3_keys);
	ok(is(sent("host"), "examplebucket.s3.amazonaws.com"), "the usual port of https is not named");
	request.port = 80;
	sign(&request, &s3_keys);
	ok(is(sent("host"), "examplebucket.s3.amazonaws.com:80"), "another port is named");
	request.tls = false;
	sign(&request, &s3_keys);
	ok(is(sent("host"), "examplebucket.s3.amazonaws.com"), "the usual port of http is not named");
	request.host = "[::1]";
	request.port = 7480;
	sign(&request, &s3_keys);
	ok(is(sent("host"), "[::1]:7480"), "an address");
}

static SthSigv4Result
sign_header(const char *name, const char *value)
{
	SthSigv4Pair header = {name, value};
	SthSigv4Request request = s3_request("/");

	request.headers = &header;
	request.nheaders = 1;
	return sign(&request, &s3_keys);
}

static void
test_refused(void)
{
	static SthSigv4Pair many[STH_SIGV4_MAX_HEADERS];
	SthSigv4Request request = s3_request("/");
	SthSigv4Keys keys = s3_keys;
	char		secret[1000];

	ok(sign_header("x-amz-meta-a", "b\r\nx-amz-acl: public-read") == STH_SIGV4_INVALID, "a line end in a header");
	ok(sign_header("x-amz-meta a", "b") == STH_SIGV4_INVALID, "a blank in a header's name");
	ok(sign_header("", "b") == STH_SIGV4_INVALID, "a header without a name");
	ok(sign_header("Host", "elsewhere") == STH_SIGV4_INVALID, "a second host");
	ok(sign_header("Authorization", "none") == STH_SIGV4_INVALID, "a second authorization");
	ok(sign_header("x-amz-meta-a", "\tb\303\244  c ") == STH_SIGV4_OK && is(sent("x-amz-meta-a"), "b\303\244 c"),
	   "a header is sent as it was signed");
	request.path = "key";
	ok(sign(&request, &s3_keys) == STH_SIGV4_INVALID, "a path that does not begin with a slash");
	request = s3_request("/");
	request.region = "us-east-1\n";
	ok(sign(&request, &s3_keys) == STH_SIGV4_INVALID, "a line end in the region");
	request = s3_request("/");
	keys.access_key = "A, SignedHeaders=";
	ok(sign(&request, &keys) == STH_SIGV4_INVALID, "a comma in the access key");
	keys = s3_keys;
	keys.session_token = "a\nb";
	ok(sign(&request, &keys) == STH_SIGV4_INVALID, "a line end in the session token");
	keys = s3_keys;
	memset(secret, 's', sizeof(secret));
	secret[sizeof(secret) - 1] = '\0';
	keys.secret = secret;
	ok(sign(&request, &keys) == STH_SIGV4_TOO_LONG, "a secret that is too long");
	request.query = many;
	request.nquery = STH_SIGV4_MAX_QUERY + 1;
	ok(sign(&request, &s3_keys) == STH_SIGV4_TOO_LONG, "too many parameters");
	request = s3_request("/");
	request.headers = many;
	request.nheaders = STH_SIGV4_MAX_HEADERS - 4;
	ok(sign(&request, &s3_keys) == STH_SIGV4_TOO_LONG, "too many headers");
}

/* As many headers as are allowed; every size of buffer, and no byte beyond. */
static void
test_limits(void)
{
	SthSigv4Pair headers[STH_SIGV4_MAX_HEADERS - 5];
	char		names[STH_SIGV4_MAX_HEADERS][16];
	SthSigv4Pair query[] = {{"prefix", "a/b"}, {"list-type", "2"}};
	SthSigv4Request request = s3_request("/a key");
	SthSigv4Keys keys = s3_keys;
	char		wanted[2000];
	size_t		smallest = 0;
	bool		sound = true;

	keys.session_token = "token";
	for (int i = 0; i < STH_SIGV4_MAX_HEADERS - 5; i++)
	{
		snprintf(names[i], sizeof(names[i]), "X-%02d", i);
		headers[i].name = names[i];
		headers[i].value = "v";
	}
	request.headers = headers;
	request.nheaders = STH_SIGV4_MAX_HEADERS - 5;
	request.query = query;
	request.nquery = 2;
	ok(sign(&request, &keys) == STH_SIGV4_OK && signed_request.nheaders == STH_SIGV4_MAX_HEADERS,
	   "as many headers as there may be");
	snprintf(wanted, sizeof(wanted), "%s", sent("authorization"));
	for (size_t size = 0; size <= 4096 && sound; size++)
	{
		char	   *room = malloc(size + 1);
		SthSigv4Result result = sth_sigv4_sign(&request, &keys, room, size, &signed_request);

		if (result == STH_SIGV4_OK && smallest == 0)
			smallest = size;
		sound = smallest == 0 ? result == STH_SIGV4_TOO_LONG :
			result == STH_SIGV4_OK && is(sent("authorization"), wanted);
		for (size_t i = result == STH_SIGV4_OK ? size / 2 : 0; i < size; i++)
			sound = sound && room[i] == 0;
		free(room);
	}
	ok(sound && smallest > 0, "a buffer suffices, or is too small, and what is not the result is wiped");
}

int
main(void)
{
	test_suite();
	test_s3();
	test_encoding();
	test_host();
	test_refused();
	test_limits();
	return done_testing();
}
