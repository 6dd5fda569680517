/*
 * What stores answer, as AWS S3, Ceph and MinIO write it; and answers that no
 * store should give.
 */
#include "s3/answer.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define XMLNS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define PROLOG "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define CONTENTS(key, size) \
	"<Contents><Key>" key "</Key><LastModified>2026-07-01T12:00:00.123Z</LastModified>" \
	"<ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag><Size>" size "</Size>" \
	"<Owner><ID>o</ID><DisplayName>d</DisplayName></Owner><StorageClass>STANDARD</StorageClass></Contents>"
#define LIST(contents) \
	PROLOG "<ListBucketResult" XMLNS "><Name>b</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount>" \
	"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>" contents "</ListBucketResult>"

static bool
is(const char *got, const char *wanted)
{
	if (strcmp(got, wanted) == 0)
		return true;
	printf("# got    %s\n# wanted %s\n", got, wanted);
	return false;
}

/* --- errors --------------------------------------------------------------- */

static SthAnswerError error;

static bool
read_error(const char *body)
{
	memset(&error, 'x', sizeof(error));
	return sth_answer_error(body, strlen(body), &error);
}

static void
test_errors(void)
{
	char		longest[3000];

	ok(read_error(PROLOG "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
				  "<Key>a/b</Key><RequestId>4442587FB7D0A2F9</RequestId><HostId>h</HostId></Error>") &&
	   is(error.code, "NoSuchKey") && is(error.message, "The specified key does not exist.") &&
	   is(error.request_id, "4442587FB7D0A2F9") && is(error.region, ""), "an error of S3");
	ok(read_error("<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong; expecting 'eu-west-1'</Message>"
				  "<Region>eu-west-1</Region></Error>") && is(error.region, "eu-west-1"), "another region");
	ok(read_error("<Error><Code>PermanentRedirect</Code><Endpoint>b.s3-eu-west-1.amazonaws.com</Endpoint></Error>") &&
	   is(error.endpoint, "b.s3-eu-west-1.amazonaws.com"), "another endpoint");
	ok(read_error("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>"
				  "<Code>ExpiredTokenException</Code><Message>Token expired</Message></Error>"
				  "<RequestId>r</RequestId></ErrorResponse>") &&
	   is(error.code, "ExpiredTokenException") && is(error.message, "Token expired") && is(error.request_id, "r"),
	   "an error of the token service");
	ok(read_error("<Error><Code>a\nb&#27;[31m\303\244&lt;</Code></Error>") && is(error.code, "a?b?[31m?" "?<"),
	   "only what can be shown");
	ok(read_error("<Error/>") && is(error.code, ""), "an error that says nothing");
	ok(!read_error("") && is(error.code, ""), "no body");
	ok(!read_error("<html><head><title>502 Bad Gateway</title></head><body><hr></body></html>") && is(error.code, ""),
	   "a proxy's page");
	ok(!read_error(LIST("")), "a listing is no error");
	ok(!read_error("<Error><Code>NoSuchKey</Code>") && is(error.code, ""), "an error that was cut off");
	memset(longest, 'm', sizeof(longest));
	memcpy(longest, "<Error><Code>", 13);
	strcpy(longest + 13 + 900, "</Code></Error>");
	ok(read_error(longest) && strlen(error.code) == sizeof(error.code) - 1, "a long code is cut");
}

/* --- listings ------------------------------------------------------------- */

static SthListing listing;

/* "key size seconds;..." of all objects, or the result in words. */
static const char *
list_bytes(const char *body, size_t len)
{
	static char line[4000];
	static SthListed listed;
	size_t		at = 0;
	SthAnswerResult result = sth_listing_begin(&listing, body, len);

	if (result != STH_ANSWER_OK)
		return result == STH_ANSWER_ERROR ? "error" : "damaged";
	line[0] = '\0';
	while ((result = sth_listing_next(&listing, &listed)) == STH_ANSWER_OK)
		at += (size_t) snprintf(line + at, sizeof(line) - at, "%s %llu %lld;", listed.key,
								(unsigned long long) listed.size, (long long) listed.modified);
	return result == STH_ANSWER_END ? line : "damaged later";
}

static bool
lists(const char *body, const char *wanted)
{
	return is(list_bytes(body, strlen(body)), wanted);
}

/* A listing of one key of 'len' bytes, each of them encoded if 'encode'. */
static const char *
long_key(size_t len, bool encode)
{
	static char body[8000];

	strcpy(body, "<ListBucketResult><IsTruncated>false</IsTruncated>");
	if (encode)
		strcat(body, "<EncodingType>url</EncodingType>");
	strcat(body, "<Contents><Key>");
	for (size_t i = 0; i < len; i++)
		strcat(body, encode ? "%2b" : "k");
	strcat(body, "</Key><LastModified>2026-07-01T12:00:00Z</LastModified><Size>1</Size></Contents></ListBucketResult>");
	return body;
}

static void
test_listings(void)
{
	const char *whole = LIST(CONTENTS("p/a", "1") CONTENTS("p/b", "2"));
	bool		all = true;

	ok(lists(whole, "p/a 1 1782907200;p/b 2 1782907200;") && !listing.more && is(listing.token, ""), "two objects");
	for (size_t len = 0; len < strlen(whole); len++)
		all = all && strcmp(list_bytes(whole, len), "damaged") == 0;
	ok(all, "of a listing that was cut off no object is seen");
	ok(lists(LIST(""), ""), "no objects");
	ok(lists("<ListBucketResult><IsTruncated>true</IsTruncated>" CONTENTS("k", "0")
			 "<NextContinuationToken>1ueGcx&amp;PJ/+=</NextContinuationToken></ListBucketResult>", "k 0 1782907200;") &&
	   listing.more && is(listing.token, "1ueGcx&PJ/+="), "a page of more");
	ok(lists(LIST(CONTENTS("a&amp;b&#x0A;&lt;%20+", "18446744073709551615")),
			 "a&b\n<%20+ 18446744073709551615 1782907200;"), "a key with special characters, and the largest size");
	ok(lists("<ListBucketResult><IsTruncated>false</IsTruncated>" CONTENTS("a%20b%2Bc%2fd+e%C3%A4", "3")
			 "<EncodingType>url</EncodingType></ListBucketResult>",
			 "a b+c/d e\303\244 3 1782907200;"), "keys that are encoded, wherever that is said");
	ok(lists(LIST("<CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes>" CONTENTS("k", "1")), "k 1 1782907200;"),
	   "what is not asked for is passed over");
	ok(strlen(list_bytes(long_key(STH_S3_MAX_KEY, false), strlen(long_key(STH_S3_MAX_KEY, false)))) == STH_S3_MAX_KEY + 14,
	   "the longest key");
	ok(lists(long_key(STH_S3_MAX_KEY + 1, false), "damaged"), "a key that is too long");
	ok(strlen(list_bytes(long_key(STH_S3_MAX_KEY, true), strlen(long_key(STH_S3_MAX_KEY, true)))) == STH_S3_MAX_KEY + 14,
	   "the longest key, encoded");
}

static void
test_bad_listings(void)
{
	ok(lists("<Error><Code>SlowDown</Code></Error>", "error"), "an error instead of a listing");
	ok(lists("<ListBucketResult></ListBucketResult>", "damaged"), "is there more?");
	ok(lists("<ListBucketResult><IsTruncated>maybe</IsTruncated></ListBucketResult>", "damaged"), "maybe there is more");
	ok(lists("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken/></ListBucketResult>", "damaged"),
	   "an empty token");
	ok(lists(LIST(CONTENTS("", "1")), "damaged"), "an empty key");
	ok(lists(LIST(CONTENTS("a", "")), "damaged") && lists(LIST(CONTENTS("a", "-1")), "damaged") &&
	   lists(LIST(CONTENTS("a", "1e3")), "damaged") && lists(LIST(CONTENTS("a", "18446744073709551616")), "damaged") &&
	   lists(LIST(CONTENTS("a", "99999999999999999999999")), "damaged"), "sizes that are none");
	ok(lists(LIST("<Contents><Key>a</Key><Size>1</Size></Contents>"), "damaged") &&
	   lists(LIST("<Contents><Key>a</Key><LastModified>2026-07-01T12:00:00Z</LastModified></Contents>"), "damaged") &&
	   lists(LIST("<Contents><Size>1</Size><LastModified>2026-07-01T12:00:00Z</LastModified></Contents>"), "damaged"),
	   "an object of which something is missing");
	ok(lists(LIST("<Contents><Key>a</Key><Key>b</Key><Size>1</Size><LastModified>2026-07-01T12:00:00Z</LastModified></Contents>"),
			 "damaged"), "an object with two keys");
	ok(lists("<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>" CONTENTS("a%2", "1")
			 "</ListBucketResult>", "damaged") &&
	   lists("<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>" CONTENTS("a%00", "1")
			 "</ListBucketResult>", "damaged"), "a key that is badly encoded");
	ok(lists("<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>", "damaged"), "another listing");
}

static void
test_times(void)
{
	static const char *const bad[] = {
		"", "2026-07-01", "2026-07-01T12:00:00", "2026-07-01 12:00:00Z", "2026-13-01T12:00:00Z", "2026-00-01T12:00:00Z",
		"2026-07-00T12:00:00Z", "2026-07-32T12:00:00Z", "2026-07-01T24:00:00Z", "2026-07-01T12:60:00Z",
		"2026-07-01T12:00:61Z", "2026-07-01T12:00:00+01:00", "2026-07-01T12:00:00.Zx", "0000-07-01T12:00:00Z",
		"2026-7-1T12:00:00Z", "202x-07-01T12:00:00Z",
	};
	int64_t		seconds;

	ok(sth_parse_time("1970-01-01T00:00:00Z", &seconds) && seconds == 0, "the first second");
	ok(sth_parse_time("2000-02-29T23:59:59.999999Z", &seconds) && seconds == 951868799, "a leap day");
	ok(sth_parse_time("2000-03-01T00:00:00Z", &seconds) && seconds == 951868800, "the day after it");
	ok(sth_parse_time("2100-03-01T00:00:00Z", &seconds) && seconds == 4107542400, "a year that has none");
	ok(sth_parse_time("1969-12-31T23:59:59Z", &seconds) && seconds == -1, "before 1970");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!sth_parse_time(bad[i], &seconds), "no time: %s", bad[i]);
}

/* --- uploads, deletions, roles -------------------------------------------- */

static void
test_uploads(void)
{
	static const char begun[] = PROLOG "<InitiateMultipartUploadResult" XMLNS "><Bucket>b</Bucket><Key>k</Key>"
	"<UploadId>2~VXBsb2Fk</UploadId></InitiateMultipartUploadResult>";
	static const char empty[] = "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>";
	static const char completed[] = " \n " PROLOG "<CompleteMultipartUploadResult" XMLNS "><Location>l</Location>"
	"<Bucket>b</Bucket><Key>k</Key><ETag></ETag></CompleteMultipartUploadResult>";
	static const char failed[] = "\n\n" PROLOG "<Error><Code>InternalError</Code><Message>try again</Message></Error>";
	char		id[20];

	ok(sth_answer_upload(begun, strlen(begun), id, sizeof(id)) == STH_ANSWER_OK && is(id, "2~VXBsb2Fk"), "an upload");
	ok(sth_answer_upload(begun, strlen(begun), id, 10) == STH_ANSWER_DAMAGED, "its id does not fit");
	ok(sth_answer_upload(begun, strlen(begun) - 1, id, sizeof(id)) == STH_ANSWER_DAMAGED, "it was cut off");
	ok(sth_answer_upload(empty, strlen(empty), id, sizeof(id)) == STH_ANSWER_DAMAGED, "it has no id");
	ok(sth_answer_upload(failed, strlen(failed), id, sizeof(id)) == STH_ANSWER_ERROR, "an error instead of an upload");
	ok(sth_answer_completed(completed, strlen(completed)) == STH_ANSWER_OK, "an upload was completed");
	ok(sth_answer_completed(failed, strlen(failed)) == STH_ANSWER_ERROR, "status 200 and an error");
	ok(sth_answer_completed(completed, strlen(completed) - 1) == STH_ANSWER_DAMAGED &&
	   sth_answer_completed("  ", 2) == STH_ANSWER_DAMAGED && sth_answer_completed(begun, strlen(begun)) == STH_ANSWER_DAMAGED,
	   "it is not known whether it was");
}

static void
test_listed_uploads(void)
{
	static const char some[] = "<ListMultipartUploadsResult><Bucket>b</Bucket><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
	"<Upload><Key>p/a%2Bb</Key><UploadId>2~x&amp;y</UploadId><Initiated>2026-07-01T12:00:00.000Z</Initiated></Upload>"
	"<Upload><Key>p/c</Key><UploadId>3</UploadId></Upload></ListMultipartUploadsResult>";
	static const char none[] = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
	static const char nameless[] = "<ListMultipartUploadsResult><Upload><Key>p/c</Key></Upload></ListMultipartUploadsResult>";
	static const char failed[] = "<Error><Code>AccessDenied</Code></Error>";
	static SthUploads uploads;
	static SthUpload one;

	ok(sth_uploads_begin(&uploads, some, strlen(some)) == STH_ANSWER_OK && uploads.more &&
	   sth_uploads_next(&uploads, &one) == STH_ANSWER_OK && is(one.key, "p/a+b") && is(one.upload_id, "2~x&y") &&
	   sth_uploads_next(&uploads, &one) == STH_ANSWER_OK && is(one.key, "p/c") && is(one.upload_id, "3") &&
	   sth_uploads_next(&uploads, &one) == STH_ANSWER_END, "two uploads");
	ok(sth_uploads_begin(&uploads, none, strlen(none)) == STH_ANSWER_OK && !uploads.more &&
	   sth_uploads_next(&uploads, &one) == STH_ANSWER_END, "none");
	ok(sth_uploads_begin(&uploads, some, strlen(some) - 1) == STH_ANSWER_DAMAGED, "they were cut off");
	ok(sth_uploads_begin(&uploads, nameless, strlen(nameless)) == STH_ANSWER_DAMAGED, "one without an id");
	ok(sth_uploads_begin(&uploads, failed, strlen(failed)) == STH_ANSWER_ERROR, "an error instead");
}

static void
test_deletions(void)
{
	static const char some[] = PROLOG "<DeleteResult" XMLNS "><Deleted><Key>a</Key></Deleted>"
	"<Error><Key>b&amp;c</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
	"<Error><Key>d</Key><Code>InternalError</Code></Error></DeleteResult>";
	static const char none[] = "<DeleteResult/>";
	static const char nameless[] = "<DeleteResult><Error><Code>AccessDenied</Code></Error></DeleteResult>";
	static const char failed[] = "<Error><Code>MalformedXML</Code></Error>";
	SthDeletions deletions;
	SthNotDeleted one;

	ok(sth_deletions_begin(&deletions, some, strlen(some)) == STH_ANSWER_OK &&
	   sth_deletions_next(&deletions, &one) == STH_ANSWER_OK && is(one.key, "b&c") && is(one.error.code, "AccessDenied") &&
	   is(one.error.message, "Access Denied") &&
	   sth_deletions_next(&deletions, &one) == STH_ANSWER_OK && is(one.key, "d") && is(one.error.code, "InternalError") &&
	   is(one.error.message, "") && sth_deletions_next(&deletions, &one) == STH_ANSWER_END, "two were not deleted");
	ok(sth_deletions_begin(&deletions, none, strlen(none)) == STH_ANSWER_OK &&
	   sth_deletions_next(&deletions, &one) == STH_ANSWER_END, "all were deleted");
	ok(sth_deletions_begin(&deletions, some, strlen(some) - 1) == STH_ANSWER_DAMAGED, "it was cut off");
	ok(sth_deletions_begin(&deletions, nameless, strlen(nameless)) == STH_ANSWER_DAMAGED, "which one was not?");
	ok(sth_deletions_begin(&deletions, failed, strlen(failed)) == STH_ANSWER_ERROR, "an error for all");
}

#define ROLE(id, secret, token, expires) \
	"<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>" \
	"<SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken><Audience>a</Audience>" \
	"<AssumedRoleUser><Arn>arn</Arn><AssumedRoleId>r</AssumedRoleId></AssumedRoleUser><Credentials>" \
	"<SessionToken>" token "</SessionToken><SecretAccessKey>" secret "</SecretAccessKey>" \
	"<Expiration>" expires "</Expiration><AccessKeyId>" id "</AccessKeyId></Credentials>" \
	"</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>" \
	"</AssumeRoleWithWebIdentityResponse>"

static void
test_roles(void)
{
	static const char good[] = ROLE("ASIA", "s/+", "t==", "2026-07-01T12:00:00Z");
	static const char nameless[] = ROLE("", "s", "t", "2026-07-01T12:00:00Z");
	static const char timeless[] = ROLE("ASIA", "s", "t", "tomorrow");
	static const char failed[] = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>";
	static SthKeys keys;
	static SthKeys wiped;

	ok(sth_answer_role(good, strlen(good), &keys) == STH_ANSWER_OK && is(keys.access_key, "ASIA") &&
	   is(keys.secret, "s/+") && is(keys.session_token, "t==") && keys.expires == 1782907200, "keys of a role");
	ok(sth_answer_role(good, strlen(good) - 1, &keys) == STH_ANSWER_DAMAGED && memcmp(&keys, &wiped, sizeof(keys)) == 0,
	   "nothing is left of an answer that was cut off");
	ok(sth_answer_role(nameless, strlen(nameless), &keys) == STH_ANSWER_DAMAGED, "no access key");
	ok(sth_answer_role(timeless, strlen(timeless), &keys) == STH_ANSWER_DAMAGED, "no time");
	ok(sth_answer_role(failed, strlen(failed), &keys) == STH_ANSWER_ERROR, "an error instead of keys");
}

int
main(void)
{
	test_errors();
	test_listings();
	test_bad_listings();
	test_times();
	test_uploads();
	test_listed_uploads();
	test_deletions();
	test_roles();
	return done_testing();
}
