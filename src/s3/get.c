/*-------------------------------------------------------------------------
 *
 * get.c
 *	  Reading a range of an object, and asking for what is known of it.
 *
 * An answer to a GET counts only if it says of itself that it is the range
 * that was asked for, or the beginning of it where the object ends; an answer
 * with other bytes, or more or fewer than it says, is no answer, and the
 * request is made again.  What has come of it before that stands in the
 * caller's buffer, which has no meaning until the operation is done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "s3/client.h"

typedef struct Get
{
	SthS3Op		op;
	uint64		position;
	Size		len;
	char		range[64];
} Get;

/*
 * A number of digits only, and where it ends; false if it is none, or too
 * large.
 */
bool
sth_s3_parse_size(const char *text, const char **end, uint64 *value)
{
	*value = 0;
	*end = text;

	while (**end >= '0' && **end <= '9' && *value < PG_UINT64_MAX / 100)
		*value = *value * 10 + (*(*end)++ - '0');
	return *end > text &&(**end < '0' || **end > '9');
}

/* "bytes 0-99/1000" */
static bool
parse_range(const char *text, uint64 *first, uint64 *last, uint64 *total)
{
	return pg_strncasecmp(text, "bytes ", 6) == 0 &&
		sth_s3_parse_size(text +6, &text, first) && *text ++== '-' &&
		sth_s3_parse_size(text, &text, last) && *text ++== '/' &&
		sth_s3_parse_size(text, &text, total) && *text == '\0' &&
		*first <= *last && *last < *total;
}

/* A whole object, where a range of it was asked for. */
static const char *
check_whole(Get *get, const SthHttp *http)
{
	char	   *length = sth_http_header(http, "content-length");
	const char *end;
	uint64		size;

	/* libcurl has compared the length with what came */
	if (get->position != 0 || length == NULL ||
		!sth_s3_parse_size(length, &end, &size) || *end != '\0' ||
		size != sth_http_received(http))
		return "the answer is not the range that was asked for";
	get->op.size = size;
	return NULL;
}

static const char *
check_get(SthS3Request *request)
{
	Get		   *get = request->arg;
	const SthHttp *http = request->http;
	char	   *range = sth_http_header(http, "content-range");
	uint64		first;
	uint64		last;

	if (sth_http_status(http) == 200 && range == NULL)
		return check_whole(get, http);
	if (sth_http_status(http) != 206 || range == NULL ||
		!parse_range(range, &first, &last, &get->op.size))
		return "the answer does not say which range it is";
	if (first != get->position || last - first >= get->len ||
		(last - first + 1 < get->len && last + 1 != get->op.size))
		return "the answer is not the range that was asked for";
	if (last - first + 1 != sth_http_received(http))
		return "the answer is shorter than it says";
	return NULL;
}

static void
on_get(SthS3Request *request)
{
	Get		   *get = request->arg;

	if (request->problem.result != STH_S3_OK)
		sth_s3_op_finish_as(&get->op, request);
	else if (sth_http_received(request->http) == get->len)
		sth_s3_op_finish(&get->op, STH_S3_OK);
	else
	{
		snprintf(get->op.problem.text, sizeof(get->op.problem.text),
				 "the object has " UINT64_FORMAT " bytes", get->op.size);
		sth_s3_op_finish(&get->op, STH_S3_RANGE);
	}
}

/*
 * Reads exactly 'len' bytes into a buffer that is the operation's until it is
 * done.  No bytes are read without a request.
 */
SthS3Op *
sth_s3_get(SthS3 *s3, const char *key, uint64 position, Size len, uint8 *buffer)
{
	Get		   *get = (Get *) sth_s3_op_make(s3, "read", key, sizeof(Get));
	SthS3Request *request;

	get->position = position;
	get->len = len;
	if (len == 0)
	{
		sth_s3_op_finish(&get->op, STH_S3_OK);
		return &get->op;
	}
	snprintf(get->range, sizeof(get->range),
			 "bytes=" UINT64_FORMAT "-" UINT64_FORMAT, position, position + len - 1);
	request = sth_s3_op_request(&get->op, STH_S3_GET, "GET", get->op.key, on_get);
	sth_s3_request_header(request, "range", get->range);
	request->buffer = buffer;
	request->buffer_len = len;
	request->check = check_get;
	sth_s3_request_send(request);
	return &get->op;
}

static const char *
check_head(SthS3Request *request)
{
	SthS3Op    *op = request->arg;
	char	   *length = sth_http_header(request->http, "content-length");
	const char *end;

	if (length == NULL || !sth_s3_parse_size(length, &end, &op->size) || *end != '\0')
		return "the answer does not say how large the object is";
	return NULL;
}

static void
on_head(SthS3Request *request)
{
	SthS3Op    *op = request->arg;
	char	   *etag;

	if (request->problem.result == STH_S3_OK)
	{
		etag = sth_http_header(request->http, "etag");
		op->etag = etag != NULL ? etag : pstrdup("");
		sth_s3_copy_text(op->etag, strlen(op->etag) + 1, op->etag, strlen(op->etag));
	}
	sth_s3_op_finish_as(op, request);
}

/* Asks for size and etag. */
SthS3Op *
sth_s3_head(SthS3 *s3, const char *key)
{
	SthS3Op    *op = sth_s3_op_make(s3, "look at", key, sizeof(SthS3Op));
	SthS3Request *request = sth_s3_op_request(op, STH_S3_HEAD, "HEAD", op->key, on_head);

	request->check = check_head;
	sth_s3_request_send(request);
	return op;
}
