/*
 * Answers of a store: each is read as every one of them.  What is taken has
 * to be within its limits, and be the same when it is read again.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "s3/answer.h"

static void
check(int condition)
{
	if (!condition)
		abort();
}

static void
read_text(const char *text, size_t size)
{
	size_t		len = strlen(text);

	check(len < size);
	for (size_t i = 0; i < len; i++)
		check(text[i] >= ' ' && text[i] < 0x7f);
}

static void
read_error(const char *body, size_t size)
{
	SthAnswerError error;

	sth_answer_error(body, size, &error);
	read_text(error.code, sizeof(error.code));
	read_text(error.message, sizeof(error.message));
	read_text(error.region, sizeof(error.region));
	read_text(error.endpoint, sizeof(error.endpoint));
	read_text(error.request_id, sizeof(error.request_id));
}

/* After a sound beginning every object is sound, and there is an end. */
static void
read_listing(const char *body, size_t size)
{
	static SthListing listing;
	static SthListed listed;
	SthAnswerResult result;
	size_t		n = 0;

	if (sth_listing_begin(&listing, body, size) != STH_ANSWER_OK)
		return;
	touch(listing.token, strlen(listing.token));
	while ((result = sth_listing_next(&listing, &listed)) == STH_ANSWER_OK)
	{
		check(listed.key[0] != '\0' && strlen(listed.key) <= STH_S3_MAX_KEY);
		check(++n <= size);
	}
	check(result == STH_ANSWER_END);
}

static void
read_uploads(const char *body, size_t size)
{
	static SthUploads uploads;
	static SthUpload upload;
	SthAnswerResult result;
	size_t		n = 0;

	if (sth_uploads_begin(&uploads, body, size) != STH_ANSWER_OK)
		return;
	while ((result = sth_uploads_next(&uploads, &upload)) == STH_ANSWER_OK)
	{
		check(upload.key[0] != '\0' && upload.upload_id[0] != '\0');
		check(++n <= size);
	}
	check(result == STH_ANSWER_END);
}

static void
read_deletions(const char *body, size_t size)
{
	SthDeletions deletions;
	SthNotDeleted failed;
	SthAnswerResult result;

	if (sth_deletions_begin(&deletions, body, size) != STH_ANSWER_OK)
		return;
	while ((result = sth_deletions_next(&deletions, &failed)) == STH_ANSWER_OK)
		check(failed.key[0] != '\0');
	check(result == STH_ANSWER_END);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *body = (char *) copy_of(data, size);
	static SthKeys keys;
	char		id[64];

	read_error(body, size);
	read_listing(body, size);
	read_uploads(body, size);
	read_deletions(body, size);
	if (sth_answer_upload(body, size, id, sizeof(id)) == STH_ANSWER_OK)
		check(strlen(id) > 0 && strlen(id) < sizeof(id));
	(void) sth_answer_completed(body, size);
	if (sth_answer_role(body, size, &keys) == STH_ANSWER_OK)
		check(keys.secret[0] != '\0');
	free(body);
	return 0;
}
