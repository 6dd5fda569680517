/*-------------------------------------------------------------------------
 *
 * s3.c
 *	  A client of a bucket: opening one, its operations, waiting for them.
 *
 * The layers, from below: multi.c has libcurl and waits; http.c has HTTP
 * requests; request.c signs one and tries it until there is a definite answer
 * (judge.c), with leave from health.c; get.c, put.c, multipart.c, delete.c and
 * list.c are the operations, each a few requests with a callback that begins
 * the next.  All of it is driven by sth_s3_drive(), for all buckets of the
 * process at once; nothing happens behind its back.
 *
 *	step							error, cancel		kill -9, crash
 *	-------------------------------	-------------------	----------------------
 *	request waits					gone with the		nothing was sent
 *									operation
 *	request on its way				connection closed;	likewise, as far as the
 *									what it asks for	store goes; the health
 *									may be done			entry begins anew
 *	between two parts of a large	the upload is		an upload is left behind
 *	  put							aborted, when the	in the store: a rule of
 *									process next drives	the bucket removes it
 *	whole object there, answer		the object is		likewise
 *	  lost							there; its key is
 *									the caller's to
 *									remember
 *
 * Locking: none but health.c's.
 *
 * Memory: a client lives in a context of its own under TopMemoryContext until
 * it is closed and its last operation is gone; an operation in one under the
 * context that it was begun in; bodies are the caller's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/endpoint.h"
#include "miscadmin.h"
#include "s3/client.h"
#include "s3/multi.h"
#include "storage/latch.h"
#include "utils/memutils.h"

/* Operations that have ended in this process. */
static uint64 nfinished = 0;

/* --- the client ------------------------------------------------------------ */

static char *
copy_string(const char *string)
{
	return string != NULL ? pstrdup(string) : NULL;
}

/* Where to connect, from the settings. */
static void
set_host(SthS3 *s3)
{
	const char *text = s3->settings.endpoint;
	SthEndpoint endpoint;
	const char *problem;
	char	   *host;

	if (text == NULL)
	{
		s3->tls = true;
		host = psprintf("s3.%s.amazonaws.com", s3->settings.region);
	}
	else
	{
		problem = sth_endpoint_parse(text, &endpoint);
		if (problem != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid endpoint: \"%s\"", text),
					 errdetail("%s", problem),
					 errhint("Write it as https://host or https://host:port.")));
		s3->tls = endpoint.tls;
		s3->port = endpoint.port;
		host = pnstrdup(endpoint.host, endpoint.host_len);
	}
	s3->host = s3->settings.path_style ? host :
		psprintf("%s.%s", s3->settings.bucket, host);
}

/*
 * Opens a client.  It copies the settings and takes the credentials over.
 * Nothing is sent; an error means that the endpoint is not one.
 */
SthS3 *
sth_s3_open(const SthS3Settings *settings, SthCredentials *credentials)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamhouse s3 client",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SthS3	   *s3 = palloc0(sizeof(SthS3));

	s3->context = context;
	s3->settings = *settings;
	s3->settings.name = copy_string(settings->name);
	s3->settings.endpoint = copy_string(settings->endpoint);
	s3->settings.region = copy_string(settings->region);
	s3->settings.bucket = copy_string(settings->bucket);
	s3->settings.ca_file = copy_string(settings->ca_file);
	s3->settings.kms_key_id = copy_string(settings->kms_key_id);
	s3->credentials = credentials;
	set_host(s3);
	MemoryContextSwitchTo(old);

	/* from here on nothing fails */
	MemoryContextSetParent(context, TopMemoryContext);
	s3->health = sth_health_open(settings->database, settings->server);
	return s3;
}

static void
destroy_if_unused(SthS3 *s3)
{
	if (!s3->closed || s3->nops > 0)
		return;
	sth_health_close(s3->health);
	sth_credentials_close(s3->credentials);
	MemoryContextDelete(s3->context);
}

/* Closes a client; operations that are still there go on. */
void
sth_s3_close(SthS3 *s3)
{
	s3->closed = true;
	destroy_if_unused(s3);
}

/* --- operations, for those who carry them out ------------------------------ */

static void
release(void *arg)
{
	SthS3Op    *op = arg;

	if (op->at_free != NULL)
		op->at_free(op);
	op->s3->nops--;
	destroy_if_unused(op->s3);
}

/* An operation of 'size' bytes that begin with an SthS3Op. */
SthS3Op *
sth_s3_op_make(SthS3 *s3, const char *what, const char *key, Size size)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamhouse s3 operation",
												  ALLOCSET_SMALL_SIZES);
	SthS3Op    *op = MemoryContextAllocZero(context, size);

	op->context = context;
	op->s3 = s3;
	op->what = what;
	op->key = MemoryContextStrdup(context, key);
	op->deadline = s3->settings.retry_timeout == 0 ? 0 :
		sth_multi_waited() + (int64) s3->settings.retry_timeout * 1000;
	op->at_reset.func = release;
	op->at_reset.arg = op;
	MemoryContextRegisterResetCallback(context, &op->at_reset);
	s3->nops++;
	return op;
}

/* A request of an operation, with its deadline; not sent yet. */
SthS3Request *
sth_s3_op_request(SthS3Op *op, SthS3Kind kind, const char *method,
				  const char *key, SthS3Callback callback)
{
	MemoryContext old = MemoryContextSwitchTo(op->context);
	SthS3Request *request = sth_s3_request_make(op->s3, kind, method, key);

	MemoryContextSwitchTo(old);
	request->deadline = op->deadline;
	request->callback = callback;
	request->arg = op;
	return request;
}

/* It has ended. */
void
sth_s3_op_finish(SthS3Op *op, SthS3Result result)
{
	op->problem.result = result;
	op->done = true;
	nfinished++;
}

/* Likewise, as one of its requests has. */
void
sth_s3_op_finish_as(SthS3Op *op, const SthS3Request *request)
{
	op->problem = request->problem;
	op->clock = request->clock;
	op->clock_known = request->clock_known;
	sth_s3_op_finish(op, request->problem.result);
}

/* --- operations, for everybody --------------------------------------------- */

bool
sth_s3_op_done(const SthS3Op *op)
{
	return op->done;
}

/* Of one that is done. */
SthS3Result
sth_s3_op_result(const SthS3Op *op)
{
	Assert(op->done);
	return op->problem.result;
}

/* What is known of why it failed, or of what went wrong on the way. */
const SthS3Problem *
sth_s3_op_problem(const SthS3Op *op)
{
	return &op->problem;
}

/* Of the object, by head or get. */
uint64
sth_s3_op_size(const SthS3Op *op)
{
	return op->size;
}

/* By head; as the store writes it. */
const char *
sth_s3_op_etag(const SthS3Op *op)
{
	return op->etag;
}

/* What a list found, and whether there is more behind it. */
const SthS3Item *
sth_s3_op_items(const SthS3Op *op, int *nitems, bool *more)
{
	*nitems = op->nitems;
	*more = op->more;
	return op->items;
}

/* By how many seconds the store's clock is before ours, if it has said so. */
int64
sth_s3_op_clock(const SthS3Op *op, bool *known)
{
	*known = op->clock_known;
	return op->clock;
}

/* At any time; what is on its way is cancelled. */
void
sth_s3_op_free(SthS3Op *op)
{
	MemoryContextDelete(op->context);
}

/* --- waiting --------------------------------------------------------------- */

/* Is anything of this process on its way, or waiting to be sent? */
bool
sth_s3_busy(void)
{
	return sth_s3_requests_pending() || sth_http_busy();
}

/* Has anything of that got on in the last second? */
bool
sth_s3_moving(void)
{
	return sth_http_moving(INT64CONST(1000000));
}

/*
 * Drives all operations of this process, and waits until one of them has
 * ended (WL_SOCKET_READABLE), the latch is set (WL_LATCH_SET) or the time, in
 * ms, is over (WL_TIMEOUT); -1: no time.  With nothing to drive it is like
 * WaitLatch.  Does not reset the latch, and looks for no interrupts; exits if
 * the postmaster is dead.
 */
int
sth_s3_drive(long timeout, uint32 wait_event)
{
	int64		end = timeout < 0 ? -1 : sth_multi_now() + (int64) timeout * 1000;
	uint64		before = nfinished;

	for (;;)
	{
		int64		wait = sth_s3_requests_run(true);
		int64		left = end < 0 ? -1 : Max(end - sth_multi_now(), 0);
		int			result;

		if (nfinished != before)
			left = 0;
		if (wait < 0 || (left >= 0 && left < wait))
			wait = left;
		result = sth_http_wait(wait, wait_event);
		if (nfinished != before)
			result |= WL_SOCKET_READABLE;
		if (left == 0)
		{
			/* what has been made room for, or is to be tried again */
			(void) sth_s3_requests_run(false);
			if (result == 0)
				result = WL_TIMEOUT;
		}
		if (result != 0)
			return result;
	}
}

/* Waits for an operation; a cancel or termination ends that. */
void
sth_s3_wait(SthS3Op *op, uint32 wait_event)
{
	while (!op->done)
	{
		CHECK_FOR_INTERRUPTS();
		if (sth_s3_drive(-1, wait_event) & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
}
