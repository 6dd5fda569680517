/*-------------------------------------------------------------------------
 *
 * put.c
 *	  Writing an object.
 *
 * Each put has a random number of 128 bits, which is stored with the object
 * as metadata.  So whatever becomes of an answer, there is a way to tell whose
 * the object is that has the key:
 *
 *	PUT If-None-Match: *	then
 *	----------------------	--------------------------------------------------
 *	stored, and answered	done
 *	stored, answer lost;	412 by what we stored ourselves; HEAD shows our
 *	  tried again			number: done
 *	412, the key is			HEAD shows another number, or none: exists
 *	  another's
 *	412, and HEAD finds		it was deleted meanwhile: the put is made again
 *	  nothing
 *
 * libcurl, too, sends a request again when a connection turns out to be
 * closed, so a 412 is settled by HEAD in any case.
 *
 * Where the store does not obey If-None-Match (setting create_once), a put is
 * sent without, whatever the caller wants, and overwrites: keys that must not
 * be another's have to be unique by what is in them.
 *
 * A large object goes in parts, see multipart.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "s3/client.h"
#include "s3/multipart.h"

/* Headers of anything that makes an object. */
void
sth_s3_put_headers(SthS3Put *put, SthS3Request *request)
{
	const SthS3Settings *settings = &put->op.s3->settings;

	sth_s3_request_header(request, "content-type", "application/octet-stream");
	sth_s3_request_header(request, STH_S3_PUT_ID, put->id);
	switch (settings->sse)
	{
		case STH_S3_SSE_NONE:
			break;
		case STH_S3_SSE_AES256:
			sth_s3_request_header(request, "x-amz-server-side-encryption", "AES256");
			break;
		case STH_S3_SSE_KMS:
			sth_s3_request_header(request, "x-amz-server-side-encryption", "aws:kms");
			if (settings->kms_key_id != NULL)
				sth_s3_request_header(request, "x-amz-server-side-encryption-aws-kms-key-id",
									  settings->kms_key_id);
			break;
	}
}

static void
on_settle(SthS3Request *request)
{
	SthS3Put   *put = request->arg;
	char	   *id;

	if (request->problem.result == STH_S3_NOT_FOUND)
	{
		sth_s3_put_begin(put);
		return;
	}
	if (request->problem.result != STH_S3_OK)
	{
		sth_s3_op_finish_as(&put->op, request);
		return;
	}
	id = sth_http_header(request->http, STH_S3_PUT_ID);
	if (id != NULL && strcmp(id, put->id) == 0)
		sth_s3_op_finish(&put->op, STH_S3_OK);
	else
		sth_s3_op_finish(&put->op, STH_S3_EXISTS);
}

/* Finds out whose the object is that has the key. */
void
sth_s3_put_settle(SthS3Put *put)
{
	SthS3Request *request = sth_s3_op_request(&put->op, STH_S3_HEAD, "HEAD",
											  put->op.key, on_settle);

	sth_s3_request_send(request);
}

/*
 * What is not there yet is about to be deleted elsewhere, so a status is not
 * enough: anything between us and the store may say 200.
 */
static const char *
check_put(SthS3Request *request)
{
	SthS3Put   *put = request->arg;
	char	   *etag = sth_http_header(request->http, "etag");
	char	   *crc = sth_http_header(request->http, "x-amz-checksum-crc32c");

	if (etag == NULL || *etag == '\0')
		return "the answer to a put has no ETag";
	if (crc != NULL && put->crc[0] != '\0' && strcmp(crc, put->crc) != 0)
		return "the answer has another checksum than what was sent";
	return NULL;
}

static void
on_put(SthS3Request *request)
{
	SthS3Put   *put = request->arg;

	put->op.problem = request->problem;
	put->attempts = request->attempts;
	if (request->problem.result == STH_S3_EXISTS)
		sth_s3_put_settle(put);
	else
		sth_s3_op_finish_as(&put->op, request);
}

/* (Again) from the beginning, in one request. */
static void
put_whole(SthS3Put *put)
{
	SthS3Request *request = sth_s3_op_request(&put->op, STH_S3_PUT, "PUT",
											  put->op.key, on_put);

	sth_s3_put_headers(put, request);
	if (put->create_once)
		sth_s3_request_header(request, "if-none-match", "*");
	if (put->op.s3->settings.checksum)
	{
		if (put->crc[0] == '\0')
			sth_s3_crc32c(put->pieces, put->npieces, 0, put->len, put->crc);
		sth_s3_request_header(request, "x-amz-sdk-checksum-algorithm", "CRC32C");
		sth_s3_request_header(request, "x-amz-checksum-crc32c", put->crc);
	}
	sth_s3_request_body(request, put->pieces, put->npieces, 0, put->len);
	request->check = check_put;
	request->attempts = put->attempts;
	sth_s3_request_send(request);
}

/* (Again) from the beginning. */
void
sth_s3_put_begin(SthS3Put *put)
{
	if (put->len > STH_S3_MULTIPART_FROM)
		sth_s3_multipart_begin(put);
	else
		put_whole(put);
}

/*
 * Writes an object from pieces that stay the caller's until it is done.  With
 * create_once it is an error if the key is there already, by another's put.
 */
SthS3Op *
sth_s3_put(SthS3 *s3, const char *key, const struct iovec *pieces, int npieces,
		   bool create_once)
{
	SthS3Put   *put = (SthS3Put *) sth_s3_op_make(s3, "write", key, sizeof(SthS3Put));
	struct iovec *copy = MemoryContextAlloc(put->op.context,
											Max(npieces, 1) * sizeof(struct iovec));
	uint8		random[16];

	for (int i = 0; i < npieces; i++)
	{
		copy[i] = pieces[i];
		put->len += pieces[i].iov_len;
	}
	put->pieces = copy;
	put->npieces = npieces;
	put->create_once = create_once && s3->settings.create_once;
	if (!pg_strong_random(random, sizeof(random)))
		elog(ERROR, "could not make a random number");
	for (int i = 0; i < (int) sizeof(random); i++)
		snprintf(put->id + 2 * i, 3, "%02x", random[i]);
	sth_s3_put_begin(put);
	return &put->op;
}
