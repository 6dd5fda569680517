/*-------------------------------------------------------------------------
 *
 * abort.c
 *	  Aborting the uploads of a key that somebody has left behind.
 *
 * A process that ends in the middle of a put in parts (multipart.c) leaves an
 * upload in the bucket that nobody sees and that takes room.  This lists the
 * uploads of one key and aborts each; as many to a page as the store likes.
 * What has been aborted is not listed again, so each page is the first one.
 *
 * An upload that is not there any more when it is to be aborted is as good as
 * one that was aborted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "s3/answer.h"
#include "s3/client.h"

/* 1000 uploads, with what else there is of each. */
#define MAX_PAGE (8 * 1024 * 1024)

/* A store that goes on and on finding uploads of one key is not believed. */
#define MAX_ROUNDS 20

typedef struct Abort
{
	SthS3Op		op;
	SthS3Request *page;			/* whose uploads are being aborted */
	SthUploads	uploads;
	SthUpload	upload;
	int			rounds;
} Abort;

static void list(Abort *abort);

static const char *
check_page(SthS3Request *request)
{
	SthUploads	uploads;
	Size		len;
	const char *body = sth_http_body(request->http, &len);

	return sth_uploads_begin(&uploads, body, len) == STH_ANSWER_OK ? NULL :
		"the answer is not a listing of uploads";
}

static void abort_next(Abort *abort);

static void
on_aborted(SthS3Request *request)
{
	Abort	   *abort = request->arg;

	if (request->problem.result != STH_S3_OK &&
		request->problem.result != STH_S3_NOT_FOUND)
	{
		sth_s3_op_finish_as(&abort->op, request);
		return;
	}
	sth_s3_request_free(request);
	abort_next(abort);
}

/* Aborts the next upload of the page; if there is none, looks for a page. */
static void
abort_next(Abort *abort)
{
	SthS3Request *request;

	while (sth_uploads_next(&abort->uploads, &abort->upload) == STH_ANSWER_OK)
	{
		if (strcmp(abort->upload.key, abort->op.key) != 0)
			continue;			/* a longer one */
		request = sth_s3_op_request(&abort->op, STH_S3_MULTIPART, "DELETE",
									abort->op.key, on_aborted);
		sth_s3_request_query(request, "uploadId", abort->upload.upload_id);
		sth_s3_request_send(request);
		return;
	}
	sth_s3_request_free(abort->page);
	abort->page = NULL;
	if (abort->uploads.more && ++abort->rounds < MAX_ROUNDS)
		list(abort);
	else
		sth_s3_op_finish(&abort->op, STH_S3_OK);
}

static void
on_page(SthS3Request *request)
{
	Abort	   *abort = request->arg;
	Size		len;
	const char *body;

	if (request->problem.result != STH_S3_OK)
	{
		sth_s3_op_finish_as(&abort->op, request);
		return;
	}
	abort->page = request;
	body = sth_http_body(request->http, &len);
	(void) sth_uploads_begin(&abort->uploads, body, len);
	abort_next(abort);
}

static void
list(Abort *abort)
{
	SthS3Request *request = sth_s3_op_request(&abort->op, STH_S3_LIST, "GET",
											  NULL, on_page);

	sth_s3_request_query(request, "uploads", NULL);
	sth_s3_request_query(request, "encoding-type", "url");
	sth_s3_request_query(request, "prefix", abort->op.key);
	request->max_answer = MAX_PAGE;
	request->check = check_page;
	sth_s3_request_send(request);
}

/* Aborts all uploads of a key. */
SthS3Op *
sth_s3_abort_uploads(SthS3 *s3, const char *key)
{
	Abort	   *abort = (Abort *) sth_s3_op_make(s3, "abort uploads of", key,
												 sizeof(Abort));

	list(abort);
	return &abort->op;
}
