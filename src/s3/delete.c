/*-------------------------------------------------------------------------
 *
 * delete.c
 *	  Deleting objects.
 *
 * Where the store has DeleteObjects (setting multi_delete), one request
 * deletes up to 1000 keys; else, or if the store turns out not to have it,
 * each key has a request of its own, a few at a time.  A key that is not there
 * is as good as one that was deleted.
 *
 * The answer to DeleteObjects names the keys that were not deleted, each with
 * a reason.  If it is one that passes the key is asked for again; else the
 * operation fails with that reason, after it has done what it can.  Which keys
 * may still be there it tells as its items.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "s3/answer.h"
#include "s3/client.h"

#define BATCH 1000
#define PARALLEL 8

/* The answer may name all keys of a batch, with a text for each. */
#define MAX_ANSWER (8 * 1024 * 1024)

typedef struct Delete
{
	SthS3Op		op;
	int			nkeys;
	char	  **keys;			/* those that are left begin at 'next' */
	int			next;
	int			in_flight;		/* requests, with one key each */
	int			rounds;			/* with the keys that were left */
	StringInfoData body;
	struct iovec body_piece;
	char		md5[STH_S3_MD5_LEN];
	char		crc[STH_S3_CRC_LEN];
	bool		failed;
} Delete;

static void go_on(Delete *delete);

/* A key was not deleted, or nobody knows. */
static void
note_left(Delete *delete, const char *key)
{
	if (delete->op.items == NULL)
		delete->op.items = MemoryContextAllocZero(delete->op.context,
												  delete->nkeys * sizeof(SthS3Item));
	if (delete->op.nitems < delete->nkeys)
		delete->op.items[delete->op.nitems++].key = key;
}

static void
note_failure(Delete *delete, const SthS3Problem *problem, const char *key)
{
	if (!delete->failed)
	{
		delete->op.problem = *problem;
		delete->op.key = key;
	}
	delete->failed = true;
	note_left(delete, key);
}

/* It makes no sense to go on with those that are left. */
static void
give_up(Delete *delete, const SthS3Problem *problem)
{
	if (!delete->failed)
		delete->op.problem = *problem;
	delete->failed = true;
	while (delete->next < delete->nkeys)
		note_left(delete, delete->keys[delete->next++]);
}

/* --- one by one ------------------------------------------------------------ */

static void
on_one(SthS3Request *request)
{
	Delete	   *delete = request->arg;

	if (request->problem.result != STH_S3_OK &&
		request->problem.result != STH_S3_NOT_FOUND)
		note_failure(delete, &request->problem, request->key);
	if (request->problem.result == STH_S3_UNAVAILABLE)
		give_up(delete, &request->problem);
	sth_s3_request_free(request);
	delete->in_flight--;
	go_on(delete);
}

/* Sends off as many as may be on their way at a time. */
static void
delete_singly(Delete *delete)
{
	while (delete->next < delete->nkeys && delete->in_flight < PARALLEL)
	{
		SthS3Request *request = sth_s3_op_request(&delete->op, STH_S3_DELETE, "DELETE",
												  delete->keys[delete->next++], on_one);

		delete->in_flight++;
		sth_s3_request_send(request);
	}
}

/* --- many at a time -------------------------------------------------------- */

static int
batch_size(const Delete *delete)
{
	return Min(delete->nkeys - delete->next, BATCH);
}

static bool
passes(const char *code)
{
	return strcmp(code, "InternalError") == 0 || strcmp(code, "SlowDown") == 0 ||
		strcmp(code, "ServiceUnavailable") == 0 || strcmp(code, "OperationAborted") == 0;
}

/* Where a key is among others; -1: nowhere. */
static int
find_in(char **keys, int nkeys, const char *key)
{
	for (int i = 0; i < nkeys; i++)
		if (strcmp(keys[i], key) == 0)
			return i;
	return -1;
}

/*
 * Goes through what was not deleted of a batch; keys to be asked for again
 * move to its end.
 */
static void
take_failures(Delete *delete, SthDeletions *deletions)
{
	SthNotDeleted *not = palloc(sizeof(SthNotDeleted));
	char	  **batch = delete->keys + delete->next;
	int			n = batch_size(delete);
	int			nagain = 0;

	while (sth_deletions_next(deletions, not) == STH_ANSWER_OK)
	{
		SthS3Problem problem;
		int			mine;

		if (strcmp(not->error.code, "NoSuchKey") == 0)
			continue;
		memset(&problem, 0, sizeof(problem));
		problem.result = strcmp(not->error.code, "AccessDenied") == 0 ?
			STH_S3_DENIED : STH_S3_INVALID;
		problem.status = 200;
		problem.phase = STH_HTTP_AT_ANSWER;
		strlcpy(problem.code, not->error.code, sizeof(problem.code));
		strlcpy(problem.text, not->error.message, sizeof(problem.text));
		mine = find_in(batch, n, not->key);
		if (mine < 0)
		{
			/* who names a key that was not asked for is not believed */
			give_up(delete, &problem);
			pfree(not);
			return;
		}
		if (mine >= n - nagain)
			continue;
		if (!passes(not->error.code))
			note_failure(delete, &problem, batch[mine]);
		else
		{
			char	   *key = batch[mine];

			nagain++;
			batch[mine] = batch[n - nagain];
			batch[n - nagain] = key;
		}
	}
	delete->next += n - nagain;
	delete->rounds = nagain > 0 ? delete->rounds + 1 : 0;
	pfree(not);
}

static const char *
check_batch(SthS3Request *request)
{
	SthDeletions deletions;
	Size		len;
	const char *body = sth_http_body(request->http, &len);

	return sth_deletions_begin(&deletions, body, len) == STH_ANSWER_OK ? NULL :
		"the answer does not say what was deleted";
}

static void
on_batch(SthS3Request *request)
{
	Delete	   *delete = request->arg;
	SthDeletions deletions;
	const char *body;
	Size		len;

	/* one that was never sent has no answer */
	if (request->problem.result == STH_S3_OK)
	{
		body = sth_http_body(request->http, &len);
		if (sth_deletions_begin(&deletions, body, len) == STH_ANSWER_OK)
			take_failures(delete, &deletions);
	}
	else if (request->problem.status == 405 || request->problem.status == 501)
		delete->op.s3->settings.multi_delete = false;
	else
		give_up(delete, &request->problem);
	sth_s3_request_free(request);
	delete->in_flight--;
	go_on(delete);
}

static void
list_batch(Delete *delete)
{
	StringInfo	body = &delete->body;

	resetStringInfo(body);
	appendStringInfoString(body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
	for (int i = 0; i < batch_size(delete); i++)
	{
		appendStringInfoString(body, "<Object><Key>");
		sth_s3_append_xml(body, delete->keys[delete->next + i]);
		appendStringInfoString(body, "</Key></Object>");
	}
	appendStringInfoString(body, "</Delete>");
	delete->body_piece.iov_base = body->data;
	delete->body_piece.iov_len = body->len;
}

/* S3 wants a checksum of the list: MD5 in any store, another in newer ones. */
static void
delete_batch(Delete *delete)
{
	SthS3Request *request = sth_s3_op_request(&delete->op, STH_S3_DELETE, "POST",
											  NULL, on_batch);

	list_batch(delete);
	sth_s3_request_query(request, "delete", NULL);
	sth_s3_request_header(request, "content-type", "application/xml");
	if (sth_s3_md5(delete->body.data, delete->body.len, delete->md5))
		sth_s3_request_header(request, "content-md5", delete->md5);
	if (delete->op.s3->settings.checksum)
	{
		sth_s3_crc32c(&delete->body_piece, 1, 0, delete->body.len, delete->crc);
		sth_s3_request_header(request, "x-amz-sdk-checksum-algorithm", "CRC32C");
		sth_s3_request_header(request, "x-amz-checksum-crc32c", delete->crc);
	}
	sth_s3_request_body(request, &delete->body_piece, 1, 0, delete->body.len);
	request->max_answer = MAX_ANSWER;
	request->check = check_batch;
	request->attempts = delete->rounds;
	delete->in_flight++;
	sth_s3_request_send(request);
}

/* --- both ------------------------------------------------------------------ */

static void
go_on(Delete *delete)
{
	if (delete->next < delete->nkeys)
	{
		if (!delete->op.s3->settings.multi_delete)
			delete_singly(delete);
		else if (delete->in_flight == 0)
			delete_batch(delete);
	}
	if (delete->in_flight == 0 && !delete->op.done)
		sth_s3_op_finish(&delete->op, delete->failed ? delete->op.problem.result :
						 STH_S3_OK);
}

/* Deletes objects; the keys are copied. */
SthS3Op *
sth_s3_delete(SthS3 *s3, char *const *keys, int nkeys)
{
	Delete	   *delete = (Delete *) sth_s3_op_make(s3, "delete", nkeys > 0 ? keys[0] : "",
												   sizeof(Delete));
	MemoryContext old = MemoryContextSwitchTo(delete->op.context);

	delete->nkeys = nkeys;
	delete->keys = palloc(Max(nkeys, 1) * sizeof(char *));
	for (int i = 0; i < nkeys; i++)
		delete->keys[i] = pstrdup(keys[i]);
	initStringInfo(&delete->body);
	go_on(delete);
	MemoryContextSwitchTo(old);
	return &delete->op;
}
