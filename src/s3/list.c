/*-------------------------------------------------------------------------
 *
 * list.c
 *	  A page of the keys of a bucket.
 *
 * A page is all there or it is not there: judged as a whole before any of its
 * keys is seen.  The next page begins behind the last key of this one, so no
 * token of the store's has to be kept.
 *
 * Who lists may delete what is listed, or go on until there is no more.  So
 * keys that were not asked for, or that do not come in order, and a page that
 * says there is more but has no key to go on from, are no listing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "s3/answer.h"
#include "s3/client.h"
#include "utils/timestamp.h"

/* 1000 keys, escaped, with what else there is of each. */
#define MAX_PAGE (8 * 1024 * 1024)

#define MAX_KEYS 1000

typedef struct List
{
	SthS3Op		op;
	char	   *start_after;
	char		max_keys[12];
	SthListing	listing;
	SthListed	listed;
} List;

/* Reads the listing to its end. */
static bool
is_asked_for(List *list)
{
	Size		prefix_len = strlen(list->op.key);
	char		last[STH_S3_MAX_KEY + 1];
	int			n = 0;

	strlcpy(last, list->start_after != NULL ? list->start_after : "", sizeof(last));
	while (sth_listing_next(&list->listing, &list->listed) == STH_ANSWER_OK)
	{
		if (strncmp(list->listed.key, list->op.key, prefix_len) != 0 ||
			strcmp(list->listed.key, last) <= 0)
			return false;
		strlcpy(last, list->listed.key, sizeof(last));
		n++;
	}
	return n > 0 || !list->listing.more;
}

static const char *
check_list(SthS3Request *request)
{
	List	   *list = request->arg;
	Size		len;
	const char *body = sth_http_body(request->http, &len);

	if (sth_listing_begin(&list->listing, body, len) != STH_ANSWER_OK)
		return "the answer is not a listing";
	if (!is_asked_for(list))
		return "the answer is not the listing that was asked for";
	return sth_listing_begin(&list->listing, body, len) == STH_ANSWER_OK ? NULL :
		"the answer is not a listing";
}

static TimestampTz
to_timestamp(int64 seconds)
{
	return (seconds - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) *
		USECS_PER_SEC;
}

static void
on_list(SthS3Request *request)
{
	List	   *list = request->arg;
	int			room = 0;

	while (request->problem.result == STH_S3_OK &&
		   sth_listing_next(&list->listing, &list->listed) == STH_ANSWER_OK)
	{
		SthS3Item  *item;

		if (list->op.nitems == room)
		{
			room = Max(64, 2 * room);
			list->op.items = list->op.items == NULL ?
				palloc(room * sizeof(SthS3Item)) :
				repalloc(list->op.items, room * sizeof(SthS3Item));
		}
		item = &list->op.items[list->op.nitems++];
		item->key = pstrdup(list->listed.key);
		item->size = list->listed.size;
		item->modified = to_timestamp(list->listed.modified);
	}
	list->op.more = request->problem.result == STH_S3_OK && list->listing.more;
	sth_s3_op_finish_as(&list->op, request);
}

/*
 * Lists keys with a prefix (or NULL) that come after one (or NULL), in the
 * order of their bytes, at most 1000.
 */
SthS3Op *
sth_s3_list(SthS3 *s3, const char *prefix, const char *start_after, int max_keys)
{
	List	   *list = (List *) sth_s3_op_make(s3, "list", prefix != NULL ? prefix : "",
											   sizeof(List));
	SthS3Request *request = sth_s3_op_request(&list->op, STH_S3_LIST, "GET", NULL, on_list);

	snprintf(list->max_keys, sizeof(list->max_keys), "%d",
			 Max(1, Min(max_keys, MAX_KEYS)));
	sth_s3_request_query(request, "list-type", "2");
	sth_s3_request_query(request, "encoding-type", "url");
	sth_s3_request_query(request, "max-keys", list->max_keys);
	if (*list->op.key != '\0')
		sth_s3_request_query(request, "prefix", list->op.key);
	if (start_after != NULL)
	{
		list->start_after = MemoryContextStrdup(list->op.context, start_after);
		sth_s3_request_query(request, "start-after", list->start_after);
	}
	request->max_answer = MAX_PAGE;
	request->check = check_list;
	sth_s3_request_send(request);
	return &list->op;
}
