/*-------------------------------------------------------------------------
 *
 * request.c
 *	  One signed request to a bucket, tried until it has a definite answer.
 *
 * A request waits (for its turn, for a place, for a pause after a failure),
 * flies (an HTTP request of http.c), and is done; then its callback is called,
 * never from within sth_s3_request_send.  Which answer is definite says
 * judge.c.
 *
 *	attempt ends with						then
 *	---------------------------------------	----------------------------------
 *	a good answer							done
 *	no connection, cut off, stalled, an
 *	  answer that is not what was asked
 *	  for, 408, 429, 500, 502, 503, 504	again after a random pause
 *	credentials expired or unknown			refreshed once, again at once
 *	redirect, link-local address, a
 *	  certificate that is not trusted		done: refused
 *	anything else							done: what the store said
 *	deadline over							done: unavailable; what is still
 *											getting on is left to end
 *
 * The pause is random, from nothing up to a limit that doubles with each
 * attempt ("full jitter"), so that those who failed together do not come back
 * together.
 *
 * Failure: an error raised while a request is made or run (no memory) leaves
 * it in its list or takes it out; the callback of its context gives back its
 * place in either case.  Requests that are on their way when the process ends
 * give back their places first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "common/pg_prng.h"
#include "s3/client.h"
#include "s3/multi.h"
#include "s3/sha256.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* in microseconds */
#define FIRST_PAUSE INT64CONST(100000)
#define LONGEST_PAUSE INT64CONST(20000000)
#define LONGEST_WISH INT64CONST(60000000)
#define STILL_MOVING INT64CONST(1000000)
#define KEYS_PAUSE INT64CONST(20000)

/* Error documents are small. */
#define MAX_ERROR_BODY (64 * 1024)

/* In the order in which they were sent. */
static dlist_head waiting = DLIST_STATIC_INIT(waiting);
static dlist_head flying = DLIST_STATIC_INIT(flying);

static void on_answer(SthHttp *http, void *arg);

/* --- making one ------------------------------------------------------------ */

static void
leave(SthS3Request *request, SthHealthOutcome outcome)
{
	if (!request->has_pass)
		return;
	request->has_pass = false;
	sth_health_leave(request->s3->health, &request->pass, outcome);
}

static void
unlist(SthS3Request *request)
{
	if (request->listed)
		dlist_delete(&request->node);
	request->listed = false;
}

static void
list_in(SthS3Request *request, dlist_head *head)
{
	unlist(request);
	dlist_push_tail(head, &request->node);
	request->listed = true;
}

/* The context goes, and with it, before this, the HTTP request under it. */
static void
release(void *arg)
{
	SthS3Request *request = arg;

	unlist(request);
	leave(request, STH_HEALTH_UNKNOWN);
}

static void
leave_at_exit(int code, Datum arg)
{
	dlist_iter	iter;

	dlist_foreach(iter, &flying)
		leave(dlist_container(SthS3Request, node, iter.cur), STH_HEALTH_UNKNOWN);
}

/* A request, not sent yet, in a context under the current one. */
SthS3Request *
sth_s3_request_make(SthS3 *s3, SthS3Kind kind, const char *method,
					const char *key)
{
	static bool registered = false;
	MemoryContext context;
	SthS3Request *request;

	if (!registered)
	{
		before_shmem_exit(leave_at_exit, (Datum) 0);
		registered = true;
	}
	context = AllocSetContextCreate(CurrentMemoryContext,
									"streamhouse s3 request",
									ALLOCSET_SMALL_SIZES);
	request = MemoryContextAllocZero(context, sizeof(SthS3Request));
	request->context = context;
	request->s3 = s3;
	request->kind = kind;
	request->method = method;
	request->key = key;
	request->max_answer = MAX_ERROR_BODY;
	request->at_reset.func = release;
	request->at_reset.arg = request;
	MemoryContextRegisterResetCallback(context, &request->at_reset);
	return request;
}

/* Name and value stay the caller's. */
void
sth_s3_request_query(SthS3Request *request, const char *name, const char *value)
{
	if (request->nquery == lengthof(request->query))
		elog(ERROR, "too many query parameters");
	request->query[request->nquery].name = name;
	request->query[request->nquery++].value = value;
}

void
sth_s3_request_header(SthS3Request *request, const char *name, const char *value)
{
	if (request->nheaders == lengthof(request->headers))
		elog(ERROR, "too many headers");
	request->headers[request->nheaders].name = name;
	request->headers[request->nheaders++].value = value;
}

/* Its body: 'len' bytes of pieces, from 'skip' on. */
void
sth_s3_request_body(SthS3Request *request, const struct iovec *pieces,
					int npieces, Size skip, Size len)
{
	request->pieces = pieces;
	request->npieces = npieces;
	request->skip = skip;
	request->len = len;
	request->has_body = true;
}

void
sth_s3_request_free(SthS3Request *request)
{
	MemoryContextDelete(request->context);
}

/* --- sending --------------------------------------------------------------- */

/*
 * The hash of the body that the signature covers.  Over TLS a checksum does,
 * which is cheaper; without, the hash is what keeps the body as it is.
 */
static bool
set_payload_hash(SthS3Request *request)
{
	uint8		digest[STH_SHA256_LEN];
	struct iovec *cut;
	int			ncut;

	if (request->payload_hash[0] != '\0')
		return true;
	if (!request->has_body || request->len == 0)
	{
		strlcpy(request->payload_hash, STH_SIGV4_EMPTY_PAYLOAD,
				sizeof(request->payload_hash));
		return true;
	}
	if (request->s3->tls && request->s3->settings.checksum)
	{
		strlcpy(request->payload_hash, STH_SIGV4_UNSIGNED_PAYLOAD,
				sizeof(request->payload_hash));
		return true;
	}
	cut = MemoryContextAlloc(request->context,
							 request->npieces * sizeof(struct iovec));
	sth_s3_cut(request->pieces, request->npieces, request->skip, request->len,
			   cut, &ncut);
	if (!sth_sha256(cut, ncut, digest))
		return false;
	sth_sha256_hex(digest, request->payload_hash);
	return true;
}

/* Signs the request as of now; false if it cannot be. */
static bool
sign(SthS3Request *request, const SthSigv4Keys *keys, char *buffer,
	 SthSigv4Signed *signed_request)
{
	SthS3	   *s3 = request->s3;
	SthSigv4Request plain;
	char	   *path;
	bool		good;

	if (!set_payload_hash(request))
		return false;
	path = psprintf("/%s%s%s", s3->settings.path_style ? s3->settings.bucket : "",
					s3->settings.path_style && request->key != NULL ? "/" : "",
					request->key != NULL ? request->key : "");
	memset(&plain, 0, sizeof(plain));
	plain.method = request->method;
	plain.tls = s3->tls;
	plain.host = s3->host;
	plain.port = s3->port;
	plain.path = path;
	plain.query = request->query;
	plain.nquery = request->nquery;
	plain.headers = request->headers;
	plain.nheaders = request->nheaders;
	plain.payload_hash = request->payload_hash;
	plain.time = time(NULL);
	plain.region = s3->settings.region;
	plain.service = "s3";
	good = sth_sigv4_sign(&plain, keys, buffer, STH_SIGV4_BUFFER,
						  signed_request) == STH_SIGV4_OK;
	pfree(path);
	return good;
}

static void
begin_http(SthS3Request *request, const SthSigv4Signed *signed_request)
{
	SthS3	   *s3 = request->s3;
	SthHttpRequest plain;
	char	   *url;
	MemoryContext old;

	url = s3->port != 0 ?
		psprintf("%s://%s:%d%s", s3->tls ? "https" : "http", s3->host,
				 s3->port, signed_request->target) :
		psprintf("%s://%s%s", s3->tls ? "https" : "http", s3->host,
				 signed_request->target);
	memset(&plain, 0, sizeof(plain));
	plain.method = request->method;
	plain.url = url;
	plain.headers = signed_request->headers;
	plain.nheaders = signed_request->nheaders;
	plain.pieces = request->pieces;
	plain.npieces = request->npieces;
	plain.skip = request->skip;
	plain.len = request->len;
	plain.has_body = request->has_body;
	plain.buffer = request->buffer;
	plain.buffer_len = request->buffer_len;
	plain.max_answer = request->max_answer;
	plain.ca_file = s3->settings.ca_file;
	plain.allow_link_local = s3->settings.allow_link_local;
	plain.connect_timeout = s3->settings.connect_timeout;
	plain.stall_timeout = s3->settings.request_timeout;
	plain.callback = on_answer;
	plain.arg = request;
	old = MemoryContextSwitchTo(request->context);
	request->http = sth_http_begin(&plain);
	MemoryContextSwitchTo(old);
	pfree(url);
}

/* It is over.  The callback has the context that the request was made in. */
static void
finish(SthS3Request *request)
{
	MemoryContext old;

	unlist(request);
	leave(request, STH_HEALTH_UNKNOWN);
	request->done = true;
	request->problem.attempts = request->attempts;
	old = MemoryContextSwitchTo(MemoryContextGetParent(request->context));
	request->callback(request);
	MemoryContextSwitchTo(old);
}

/*
 * It will not come to a definite answer.  The callback is called by the next
 * sth_s3_requests_run that may.
 */
static void
give_up(SthS3Request *request, SthS3Result result, const char *text)
{
	request->problem.result = result;
	if (text !=NULL && request->problem.text[0] == '\0')
		strlcpy(request->problem.text, text, sizeof(request->problem.text));
	leave(request, STH_HEALTH_UNKNOWN);
	request->given_up = true;
	list_in(request, &waiting);
}

static void
drop_http(SthS3Request *request)
{
	SthHttp    *http = request->http;

	request->http = NULL;
	if (http != NULL)
		sth_http_free(http);
}

/* It has had its time, in which perhaps none of its attempts could begin. */
static void
give_up_late(SthS3Request *request)
{
	char		last[STH_HEALTH_TEXT];

	if (request->problem.text[0] == '\0' && request->problem.status == 0)
	{
		sth_health_last_error(request->s3->health, last);
		snprintf(request->problem.text, sizeof(request->problem.text),
				 "no request could be sent in time%s%.200s",
				 last[0] != '\0' ? "; the last error of the server was: " : "", last);
		request->problem.phase = STH_HTTP_AT_ANSWER;
	}
	give_up(request, STH_S3_UNAVAILABLE, NULL);
}

/* It waits for keys that are being fetched, or fails if there are none. */
static void
no_keys(SthS3Request *request)
{
	SthCredentials *credentials = request->s3->credentials;

	if (sth_credentials_pending(credentials))
	{
		leave(request, STH_HEALTH_UNKNOWN);
		request->due = sth_multi_now() + KEYS_PAUSE;
		list_in(request, &waiting);
		return;
	}
	request->problem.status = 0;
	snprintf(request->problem.text, sizeof(request->problem.text),
			 "there are no credentials: %s", sth_credentials_problem(credentials));
	give_up(request, STH_S3_DENIED, NULL);
}

/* An attempt; it has a pass. */
static void
attempt(SthS3Request *request)
{
	char		buffer[STH_SIGV4_BUFFER];
	SthSigv4Signed signed_request;
	SthSigv4Keys keys;

	if (!sth_credentials_get(request->s3->credentials, &keys))
	{
		no_keys(request);
		return;
	}
	if (!sign(request, &keys, buffer, &signed_request))
	{
		give_up(request, STH_S3_INVALID, "the request cannot be signed");
		return;
	}
	drop_http(request);
	request->attempts++;
	begin_http(request, &signed_request);
	list_in(request, &flying);
	explicit_bzero(buffer, sizeof(buffer));
}

/* A random part of a time that doubles with each attempt. */
static int64
pause_after(int attempts)
{
	int64		limit = FIRST_PAUSE << Min(attempts, 10);

	return (int64) (pg_prng_double(&pg_global_prng_state) *
					Min(limit, LONGEST_PAUSE));
}

/*
 * Has it wait for the next sth_s3_requests_run; if it goes on with another's
 * attempts, after a pause.  Does not fail.
 */
void
sth_s3_request_queue(SthS3Request *request)
{
	request->due = request->attempts == 0 ? 0 :
		sth_multi_now() + pause_after(request->attempts);
	list_in(request, &waiting);
}

/* Sends it off, or has it wait for its turn. */
void
sth_s3_request_send(SthS3Request *request)
{
	sth_s3_request_queue(request);
	(void) sth_s3_requests_run(false);
}

/* --- answers --------------------------------------------------------------- */

static void
note_clock(SthS3Request *request)
{
	char	   *date = sth_http_header(request->http, "date");
	time_t		theirs = date != NULL ? curl_getdate(date, NULL) : -1;

	request->clock_known = theirs >= 0;
	if (request->clock_known)
		request->clock = (int64) theirs - (int64) time(NULL);
	if (date != NULL)
		pfree(date);
}

static void
count(SthS3Request *request, SthHealthOutcome outcome, SthS3Verdict verdict)
{
	SthHealth  *health = request->s3->health;
	SthHttp    *http = request->http;

	sth_health_count(health, request->kind,
					 sth_multi_now() - request->pass.began);
	sth_health_add(health, STH_HEALTH_BYTES_OUT, sth_http_sent(http));
	sth_health_add(health, STH_HEALTH_BYTES_IN, sth_http_received(http));
	if (sth_http_phase(http) == STH_HTTP_AT_ANSWER)
		sth_health_add(health, sth_http_reused(http) ? STH_HEALTH_REUSES :
					   STH_HEALTH_CONNECTIONS, 1);
	if (request->attempts > 1)
		sth_health_add(health, STH_HEALTH_RETRIES, 1);
	if (outcome == STH_HEALTH_THROTTLED)
		sth_health_add(health, STH_HEALTH_THROTTLES, 1);
	if (verdict != STH_S3_VERDICT_GOOD)
		sth_health_add(health, STH_HEALTH_ERRORS, 1);
}

/* For the view; not for answers that are as good as any other. */
static void
note_error(SthS3Request *request)
{
	const SthS3Problem *problem = &request->problem;
	char text[	STH_HEALTH_TEXT];

	if (problem->result == STH_S3_NOT_FOUND || problem->result == STH_S3_EXISTS)
		return;
	if (problem->status != 0)
		snprintf(text, sizeof(text), "%s: HTTP status %d%s%s: %s", request->method,
				 problem->status, problem->code[0] != '\0' ? " " : "",
				 problem->code, problem->text);
	else
		snprintf(text, sizeof(text), "%s: %s", request->method, problem->text);
	sth_health_note_error(request->s3->health, text);
}

static bool
is_over(const SthS3Request *request)
{
	return request->deadline != 0 && sth_multi_waited() >= request->deadline;
}

/* Has it try again after a while. */
static void
wait_and_try(SthS3Request *request)
{
	int64		pause = pause_after(request->attempts);
	char	   *wish = sth_http_header(request->http, "retry-after");

	if (wish != NULL)
	{
		int64		seconds = strtol(wish, NULL, 10);

		if (seconds > 0)
			pause = Max(pause, seconds >= LONGEST_WISH / 1000000 ? LONGEST_WISH : seconds * 1000000);
		pfree(wish);
	}
	request->due = sth_multi_now() + pause;
	list_in(request, &waiting);
}

/* What an attempt that has ended means, once it has been counted. */
static SthS3Verdict
take_answer(SthS3Request *request)
{
	MemoryContext old = MemoryContextSwitchTo(request->context);
	SthHealthOutcome outcome;
	SthS3Verdict verdict;

	note_clock(request);
	verdict = sth_s3_judge(request, &outcome);
	count(request, outcome, verdict);
	leave(request, outcome);
	if (verdict != STH_S3_VERDICT_GOOD)
		note_error(request);
	if (verdict == STH_S3_VERDICT_REFRESH)
	{
		if (request->refreshed || is_over(request) ||
			!sth_credentials_refresh(request->s3->credentials))
			verdict = STH_S3_VERDICT_FINAL;
		request->refreshed = true;
	}
	MemoryContextSwitchTo(old);
	return verdict;
}

/* http.c's callback: an attempt has ended. */
static void
on_answer(SthHttp *http, void *arg)
{
	SthS3Request *request = arg;

	switch (take_answer(request))
	{
		case STH_S3_VERDICT_GOOD:
			request->problem.result = STH_S3_OK;
			finish(request);
			break;
		case STH_S3_VERDICT_FINAL:
			finish(request);
			break;
		case STH_S3_VERDICT_REFRESH:
			request->due = 0;
			list_in(request, &waiting);
			break;
		case STH_S3_VERDICT_AGAIN:
			request->was_limited = request->max_attempts != 0 &&
				request->attempts >= request->max_attempts;
			if (is_over(request) || request->was_limited)
				give_up(request, STH_S3_UNAVAILABLE, NULL);
			else
				wait_and_try(request);
			break;
	}
}

/* --- running them ---------------------------------------------------------- */

bool
sth_s3_requests_pending(void)
{
	return !dlist_is_empty(&waiting) || !dlist_is_empty(&flying);
}

static void
shorten(int64 *wait, int64 time)
{
	time = Max(time, 0);
	*wait = *wait < 0 ? time : Min(*wait, time);
}

/* Ends what has had its time; what still moves may go on. */
static void
check_deadlines(int64 *wait)
{
	int64		now = sth_multi_waited();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &flying)
	{
		SthS3Request *request = dlist_container(SthS3Request, node, iter.cur);
		int64		left = request->deadline - now;

		if (request->deadline == 0)
			continue;
		if (left <= 0)
			left = STILL_MOVING - sth_http_idle(request->http);
		if (left <= 0)
			sth_http_cancel(request->http, STH_HTTP_STALLED,
							"no answer before the operation's time was over");
		else
			shorten(wait, left);
	}
}

/*
 * The first one that may begin or, if they count too, that will not; the
 * latter has no pass.
 */
static SthS3Request *
next_to_start(bool may_finish, int64 *wait)
{
	int64		now = sth_multi_now();
	dlist_iter	iter;

	dlist_foreach(iter, &waiting)
	{
		SthS3Request *request = dlist_container(SthS3Request, node, iter.cur);
		int64		pause;

		if (request->given_up || is_over(request))
		{
			if (may_finish)
				return request;
			continue;
		}
		if (request->deadline != 0)
			shorten(wait, request->deadline - sth_multi_waited());
		if (request->due > now)
			shorten(wait, request->due - now);
		else if (!sth_http_has_room())
			continue;
		else if (request->has_pass)
			return request;		/* an error came between */
		else if (sth_health_admit(request->s3->health, &request->pass, &pause))
		{
			request->has_pass = true;
			return request;
		}
		else
			shorten(wait, pause);
	}
	return NULL;
}

/*
 * Starts what can start and, if that is wanted, ends what cannot.  Returns how
 * long to wait before the next call at most, in us, or -1.
 */
int64
sth_s3_requests_run(bool may_finish)
{
	int64		wait = -1;
	SthS3Request *request;

	check_deadlines(&wait);
	while ((request = next_to_start(may_finish, &wait)) != NULL)
	{
		if (request->has_pass)
			attempt(request);
		else
		{
			if (!request->given_up)
				give_up_late(request);
			finish(request);
		}
	}
	return wait;
}
