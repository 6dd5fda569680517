/*-------------------------------------------------------------------------
 *
 * multipart.c
 *	  Writing a large object in parallel parts.
 *
 * The store is asked to begin an upload, takes its parts in any order, a few
 * at a time and each tried again by itself, and makes the object of them when
 * it is told that they are all there.  Until then nobody sees anything of it.
 *
 *	step						fails for good			answer lost
 *	---------------------------	-----------------------	----------------------
 *	upload begun				put fails				begun again; the first
 *														one stays behind
 *	part						upload aborted			part sent again: the
 *														last one counts
 *	HEAD, with create_once		exists: aborted			HEAD again
 *	upload completed			aborted					completed again; after
 *														three times, or if the
 *														store does not know the
 *														upload any more, HEAD
 *														tells whether it was
 *	put freed or cancelled		aborted by the next		-
 *								sth_s3_drive()
 *	upload aborted				it stays behind			aborted again
 *
 * HEAD comes before, because Ceph does not look at If-None-Match when an
 * upload is completed: two puts of the same key at the same time may there
 * both succeed, and the last one counts.  Where that must not be, objects are
 * small.
 *
 * An upload that stays behind takes room in the bucket, until what was begun
 * of the key is aborted (abort.c), or a rule of the bucket
 * (AbortIncompleteMultipartUpload) removes it.
 *
 * What aborts an upload is made when the upload is begun, outside of the put:
 * to abort is then only to queue it, which is safe in the clean-up after an
 * error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "s3/answer.h"
#include "s3/multi.h"
#include "s3/multipart.h"
#include "utils/memutils.h"

#define PART_SIZE ((Size) 8 * 1024 * 1024)
#define MAX_PARTS 10000
#define PARALLEL 4
#define TRIES_OF_COMPLETE 3
#define ABORT_TIME INT64CONST(10000000) /* us */

typedef struct Part
{
	SthS3Put   *put;
	SthS3Request *request;		/* NULL: not sent yet, or done */
	char		number[8];
	char		crc[STH_S3_CRC_LEN];
	char	   *etag;
} Part;

/* What aborts an upload, an operation that frees itself. */
typedef struct Abort
{
	SthS3Op		op;
	SthS3Put   *put;			/* that ends when this has, or NULL */
	char	   *upload_id;
	SthS3Request *request;
} Abort;

struct SthS3Multipart
{
	char		upload_id[STH_S3_MAX_TOKEN + 1];
	Abort	   *abort;			/* NULL: there is no upload */
	Abort	   *aborting;		/* what the put's end waits for, or NULL */
	Size		part_size;
	int			nparts;
	int			nsent;
	int			ndone;
	int			completed;		/* how often that was tried */
	StringInfoData list;		/* of the parts, for the store */
	struct iovec list_piece;
	Part		parts[FLEXIBLE_ARRAY_MEMBER];
};

static void complete(SthS3Put *put);

/* --- aborting -------------------------------------------------------------- */

static void
on_aborted(SthS3Request *request)
{
	Abort	   *abort = request->arg;
	SthS3Put   *put = abort->put;

	if (put != NULL)
	{
		put->multipart->aborting = NULL;
		sth_s3_op_finish(&put->op, put->op.problem.result);
	}
	sth_s3_op_free(&abort->op);
}

static Abort *
make_abort(SthS3Put *put, const char *upload_id)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Abort	   *abort = (Abort *) sth_s3_op_make(put->op.s3, "abort", put->op.key,
												 sizeof(Abort));

	MemoryContextSwitchTo(old);
	abort->upload_id = MemoryContextStrdup(abort->op.context, upload_id);
	abort->request = sth_s3_op_request(&abort->op, STH_S3_MULTIPART, "DELETE",
									   abort->op.key, on_aborted);
	sth_s3_request_query(abort->request, "uploadId", abort->upload_id);
	return abort;
}

/* Has the upload aborted, if there is one.  Does not fail. */
static void
abort_upload(SthS3Put *put)
{
	Abort	   *abort = put->multipart->abort;

	put->multipart->abort = NULL;
	if (abort == NULL)
		return;
	abort->request->deadline = sth_multi_waited() + ABORT_TIME;
	sth_s3_request_queue(abort->request);
}

/*
 * Ends the put as op.problem has it, when the upload has been aborted; at
 * once where the store does not answer anyway.
 */
static void
abort_and_finish(SthS3Put *put)
{
	Abort	   *abort = put->multipart->abort;

	abort_upload(put);
	if (abort == NULL || put->op.problem.result == STH_S3_UNAVAILABLE)
		sth_s3_op_finish(&put->op, put->op.problem.result);
	else
	{
		abort->put = put;
		put->multipart->aborting = abort;
	}
}

/* There is no upload any more. */
static void
forget_upload(SthS3Put *put)
{
	if (put->multipart->abort != NULL)
		sth_s3_op_free(&put->multipart->abort->op);
	put->multipart->abort = NULL;
}

/* The put is freed; its requests are gone already. */
static void
at_free(SthS3Op *op)
{
	SthS3Put   *put = (SthS3Put *) op;

	if (put->multipart == NULL)
		return;
	if (put->multipart->aborting != NULL)
		put->multipart->aborting->put = NULL;
	abort_upload(put);
}

/* The put fails as one of its requests has. */
static void
fail(SthS3Put *put, const SthS3Request *request)
{
	struct SthS3Multipart *multipart = put->multipart;

	for (int i = 0; i < multipart->nparts; i++)
	{
		Part	   *part = &multipart->parts[i];

		if (part->request == NULL || part->request == request)
			continue;
		sth_s3_request_free(part->request);
		part->request = NULL;
	}
	put->op.problem = request->problem;
	/* an upload that is gone is not a key that is not there */
	if (put->op.problem.result == STH_S3_NOT_FOUND)
		put->op.problem.result = STH_S3_INVALID;
	abort_and_finish(put);
}

/* --- completing ------------------------------------------------------------ */

/* The object's number is in this answer, and it is ours. */
static bool
is_ours(SthS3Put *put, SthS3Request *request)
{
	char	   *id;

	if (request->problem.result != STH_S3_OK)
		return false;
	id = sth_http_header(request->http, STH_S3_PUT_ID);
	return id != NULL && strcmp(id, put->id) == 0;
}

/* What the key has after we tried to complete the upload. */
static void
on_settle(SthS3Request *request)
{
	SthS3Put   *put = request->arg;
	SthS3Result result = request->problem.result;

	if (is_ours(put, request))
	{
		forget_upload(put);
		sth_s3_op_finish(&put->op, STH_S3_OK);
	}
	else if (result == STH_S3_OK && put->create_once)
	{
		put->op.problem.result = STH_S3_EXISTS;
		abort_and_finish(put);
	}
	else if (result != STH_S3_OK && result != STH_S3_NOT_FOUND)
		fail(put, request);
	else if (put->multipart->abort == NULL)
		sth_s3_put_begin(put);
	else
		complete(put);
}

static void
look_at_key(SthS3Put *put, SthS3Callback callback)
{
	SthS3Request *request = sth_s3_op_request(&put->op, STH_S3_HEAD, "HEAD",
											  put->op.key, callback);

	sth_s3_request_send(request);
}

static const char *
check_complete(SthS3Request *request)
{
	Size		len;
	const char *body = sth_http_body(request->http, &len);

	return sth_answer_completed(body, len) == STH_ANSWER_OK ? NULL :
		"the answer does not say that the upload is complete";
}

static void
on_complete(SthS3Request *request)
{
	SthS3Put   *put = request->arg;

	put->multipart->completed = request->attempts;
	switch (request->problem.result)
	{
		case STH_S3_OK:
			forget_upload(put);
			sth_s3_op_finish(&put->op, STH_S3_OK);
			break;
		case STH_S3_NOT_FOUND:
			/* the upload: completed by an attempt before, or gone */
			forget_upload(put);
			look_at_key(put, on_settle);
			break;
		case STH_S3_EXISTS:
			look_at_key(put, on_settle);
			break;
		case STH_S3_UNAVAILABLE:
			if (request->was_limited)
				look_at_key(put, on_settle);
			else
				fail(put, request);
			break;
		default:
			fail(put, request);
			break;
	}
}

/* The list of parts that the store makes the object of. */
static void
list_parts(SthS3Put *put)
{
	struct SthS3Multipart *multipart = put->multipart;
	StringInfo	list = &multipart->list;

	resetStringInfo(list);
	appendStringInfoString(list, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (int i = 0; i < multipart->nparts; i++)
	{
		Part	   *part = &multipart->parts[i];

		appendStringInfo(list, "<Part><PartNumber>%s</PartNumber><ETag>", part->number);
		sth_s3_append_xml(list, part->etag);
		appendStringInfoString(list, "</ETag>");
		if (part->crc[0] != '\0')
			appendStringInfo(list, "<ChecksumCRC32C>%s</ChecksumCRC32C>", part->crc);
		appendStringInfoString(list, "</Part>");
	}
	appendStringInfoString(list, "</CompleteMultipartUpload>");
	multipart->list_piece.iov_base = list->data;
	multipart->list_piece.iov_len = list->len;
}

static void
complete(SthS3Put *put)
{
	struct SthS3Multipart *multipart = put->multipart;
	SthS3Request *request = sth_s3_op_request(&put->op, STH_S3_MULTIPART, "POST",
											  put->op.key, on_complete);

	list_parts(put);
	sth_s3_request_query(request, "uploadId", multipart->upload_id);
	sth_s3_request_header(request, "content-type", "application/xml");
	if (put->create_once)
		sth_s3_request_header(request, "if-none-match", "*");
	sth_s3_request_body(request, &multipart->list_piece, 1, 0, multipart->list.len);
	request->check = check_complete;
	request->attempts = multipart->completed;
	request->max_attempts = multipart->completed + TRIES_OF_COMPLETE;
	sth_s3_request_send(request);
}

/* What the key has before the upload is completed. */
static void
on_look(SthS3Request *request)
{
	SthS3Put   *put = request->arg;

	if (request->problem.result == STH_S3_NOT_FOUND)
		complete(put);
	else
		on_settle(request);
}

/* --- parts ----------------------------------------------------------------- */

static const char *
check_part(SthS3Request *request)
{
	char	   *etag = sth_http_header(request->http, "etag");

	return etag != NULL && *etag != '\0' && strlen(etag) <= 1024 ? NULL :
		"the answer to a part has no ETag";
}

static void send_parts(SthS3Put *put);

static void
on_part(SthS3Request *request)
{
	Part	   *part = request->arg;
	SthS3Put   *put = part->put;
	struct SthS3Multipart *multipart = put->multipart;

	if (request->problem.result != STH_S3_OK)
	{
		fail(put, request);
		return;
	}
	part->etag = sth_http_header(request->http, "etag");
	part->request = NULL;
	sth_s3_request_free(request);
	multipart->ndone++;
	if (multipart->ndone < multipart->nparts)
		send_parts(put);
	else if (put->create_once)
		look_at_key(put, on_look);
	else
		complete(put);
}

static void
send_part(SthS3Put *put, int index)
{
	struct SthS3Multipart *multipart = put->multipart;
	Part	   *part = &multipart->parts[index];
	Size		from = index * multipart->part_size;
	Size		len = Min(multipart->part_size, put->len - from);
	SthS3Request *request = sth_s3_op_request(&put->op, STH_S3_PART, "PUT",
											  put->op.key, on_part);

	part->put = put;
	snprintf(part->number, sizeof(part->number), "%d", index + 1);
	request->arg = part;
	request->check = check_part;
	sth_s3_request_query(request, "partNumber", part->number);
	sth_s3_request_query(request, "uploadId", multipart->upload_id);
	if (put->op.s3->settings.checksum)
	{
		sth_s3_crc32c(put->pieces, put->npieces, from, len, part->crc);
		sth_s3_request_header(request, "x-amz-sdk-checksum-algorithm", "CRC32C");
		sth_s3_request_header(request, "x-amz-checksum-crc32c", part->crc);
	}
	sth_s3_request_body(request, put->pieces, put->npieces, from, len);
	part->request = request;
	sth_s3_request_send(request);
}

/* As many as may be on their way at a time. */
static void
send_parts(SthS3Put *put)
{
	struct SthS3Multipart *multipart = put->multipart;

	while (multipart->nsent < multipart->nparts &&
		   multipart->nsent - multipart->ndone < PARALLEL)
		send_part(put, multipart->nsent++);
}

/* --- beginning ------------------------------------------------------------- */

static const char *
check_begin(SthS3Request *request)
{
	SthS3Put   *put = request->arg;
	Size		len;
	const char *body = sth_http_body(request->http, &len);

	return sth_answer_upload(body, len, put->multipart->upload_id,
							 sizeof(put->multipart->upload_id)) == STH_ANSWER_OK ?
		NULL : "the answer does not name an upload";
}

static void
on_begun(SthS3Request *request)
{
	SthS3Put   *put = request->arg;

	if (request->problem.result != STH_S3_OK)
	{
		sth_s3_op_finish_as(&put->op, request);
		return;
	}
	put->attempts = request->attempts;
	put->multipart->abort = make_abort(put, put->multipart->upload_id);
	send_parts(put);
}

static struct SthS3Multipart *
make_multipart(SthS3Put *put)
{
	Size		part_size = PART_SIZE;
	int			nparts;
	struct SthS3Multipart *multipart;

	while (put->len / part_size >= MAX_PARTS)
		part_size *= 2;
	nparts = (put->len + part_size - 1) / part_size;
	multipart = MemoryContextAllocZero(put->op.context,
									   offsetof(struct SthS3Multipart, parts) +
									   nparts * sizeof(Part));
	multipart->part_size = part_size;
	multipart->nparts = nparts;
	return multipart;
}

/* (Again) from the beginning; there is no upload. */
void
sth_s3_multipart_begin(SthS3Put *put)
{
	MemoryContext old = MemoryContextSwitchTo(put->op.context);
	SthS3Request *request = sth_s3_op_request(&put->op, STH_S3_MULTIPART, "POST",
											  put->op.key, on_begun);

	put->multipart = make_multipart(put);
	put->op.at_free = at_free;
	initStringInfo(&put->multipart->list);
	sth_s3_request_query(request, "uploads", NULL);
	sth_s3_put_headers(put, request);
	if (put->op.s3->settings.checksum)
		sth_s3_request_header(request, "x-amz-checksum-algorithm", "CRC32C");
	sth_s3_request_body(request, NULL, 0, 0, 0);
	request->check = check_begin;
	request->attempts = put->attempts;
	sth_s3_request_send(request);
	MemoryContextSwitchTo(old);
}
