/*-------------------------------------------------------------------------
 *
 * http.c
 *	  HTTP requests of this process, many at a time.
 *
 * A request is a libcurl transfer with everything that libcurl might do by
 * itself switched off: it follows no redirect, looks for no proxy in the
 * environment, speaks HTTP/1.1 over http and https only, sends the headers
 * that it is given (they are signed) and waits for no "100 Continue".  The
 * answer comes from whoever is at the other end, so nothing of it is trusted:
 * headers, body, and the time all of it takes have limits.
 *
 * Time limits go by the clock of multi.c, which stands still while the process
 * does something else.  A request may wait connect_timeout for a connection,
 * and stall_timeout for each PROGRESS bytes, in either direction, or the
 * headers; and it has a total, since who sends PROGRESS bytes just in time
 * would keep us for days.
 *
 * Failure: sth_http_begin raises an error only if there is no memory; whatever
 * the network does is a result.  What a request has outside of PostgreSQL's
 * memory is given back by a callback of its memory context.  Requests that are
 * on their way when the process ends are dropped with it.
 *
 * Memory: each request has a small context under the one that is current when
 * it begins.  libcurl's callbacks take memory by malloc, which cannot raise
 * errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "lib/ilist.h"
#include "s3/http.h"
#include "s3/multi.h"
#include "s3/socket.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* What counts as progress, in bytes. */
#define PROGRESS 4096

/* A body may take its length by this many bytes a second longer. */
#define SLOWEST (64 * 1024)

/* All headers of an answer together, those of interim answers included. */
#define MAX_HEADERS (64 * 1024)

/* Kept for the next requests, with what they know of TLS sessions. */
#define MAX_IDLE_HANDLES 16

/* Bytes from libcurl, by malloc. */
typedef struct Bytes
{
	char	   *data;
	Size		len;
	Size		size;
} Bytes;

struct SthHttp
{
	dlist_node	node;			/* in running or in ended */
	bool		listed;
	MemoryContext context;
	MemoryContextCallback at_reset;
	SthHttpRequest request;
	CURL	   *easy;			/* NULL: given back */
	struct curl_slist *headers;
	struct iovec *pieces;

	Size		sent;			/* of the body */
	Size		received;		/* of the answer's */
	Size		header_bytes;
	int64		moved;			/* bytes, whatever they were */
	int64		moved_at_mark;
	int64		began;			/* on the clock of waiting, in us */
	int64		mark;			/* when it last got on */
	bool		too_large;
	SthSocketRule rule;
	bool		no_memory;

	Bytes		answer_headers; /* of the last answer, without interim ones */
	Bytes		answer_body;
	SthHttpResult result;
	SthHttpPhase phase;
	bool		reused;
	int			status;
	char		error[CURL_ERROR_SIZE];
};

/* On their way, and ended but not told yet. */
static dlist_head running = DLIST_STATIC_INIT(running);
static dlist_head ended = DLIST_STATIC_INIT(ended);
static int	nrunning = 0;

static CURL *idle[MAX_IDLE_HANDLES];
static int	nidle = 0;

/* --- libcurl's callbacks: they must not raise errors ----------------------- */

static bool
append(Bytes *bytes, const char *data, Size len)
{
	Size		want = bytes->len + len + 1;

	if (want > bytes->size)
	{
		Size		size = Max(Max(want, 2 * bytes->size), 1024);
		char	   *grown = realloc(bytes->data, size);

		if (grown == NULL)
			return false;
		bytes->data = grown;
		bytes->size = size;
	}
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
	bytes->data[bytes->len] = '\0';
	return true;
}

/* A line of a header; each interim answer begins anew. */
static size_t
on_header(char *data, size_t one, size_t len, void *arg)
{
	SthHttp    *http = arg;

	http->header_bytes += len;
	http->moved += len;
	if (http->header_bytes > MAX_HEADERS)
	{
		http->too_large = true;
		return 0;
	}
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
		http->answer_headers.len = 0;
	if (!append(&http->answer_headers, data, len))
	{
		http->no_memory = true;
		return 0;
	}
	return len;
}

static bool
is_for_buffer(SthHttp *http)
{
	long		status = 0;

	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	return http->request.buffer != NULL && (status == 200 || status == 206);
}

static size_t
on_body(char *data, size_t one, size_t len, void *arg)
{
	SthHttp    *http = arg;
	bool		to_buffer = is_for_buffer(http);
	Size		limit = to_buffer ? http->request.buffer_len : http->request.max_answer;

	if (len > limit || http->received > limit - len)
	{
		http->too_large = true;
		return 0;
	}
	if (to_buffer)
		memcpy(http->request.buffer + http->received, data, len);
	else if (!append(&http->answer_body, data, len))
	{
		http->no_memory = true;
		return 0;
	}
	http->received += len;
	http->moved += len;
	return len;
}

/* The next bytes of our body. */
static size_t
on_read(char *into, size_t one, size_t room, void *arg)
{
	SthHttp    *http = arg;
	Size		position = http->request.skip + http->sent;
	Size		left = Min(room, http->request.len - http->sent);
	Size		copied = 0;

	for (int i = 0; i < http->request.npieces && left > 0; i++)
	{
		const struct iovec *piece = &http->pieces[i];
		Size		n;

		if (position >= piece->iov_len)
		{
			position -= piece->iov_len;
			continue;
		}
		n = Min(left, piece->iov_len - position);
		memcpy(into + copied, (const char *) piece->iov_base + position, n);
		copied += n;
		left -= n;
		position = 0;
	}
	http->sent += copied;
	http->moved += copied;
	return copied;
}

/* Over a connection that the server has closed meanwhile libcurl sends again. */
static int
on_seek(void *arg, curl_off_t offset, int origin)
{
	SthHttp    *http = arg;

	if (origin != SEEK_SET || offset < 0 || (Size) offset > http->request.len)
		return CURL_SEEKFUNC_FAIL;
	http->sent = offset;
	return CURL_SEEKFUNC_OK;
}

/* --- the life of a request ------------------------------------------------- */

static void
drop_easy(SthHttp *http)
{
	CURL	   *easy = http->easy;

	http->easy = NULL;
	if (easy == NULL)
		return;
	curl_easy_reset(easy);
	if (nidle < MAX_IDLE_HANDLES)
		idle[nidle++] = easy;
	else
		curl_easy_cleanup(easy);
}

/* It is no longer on its way. */
static void
stop(SthHttp *http)
{
	if (http->listed)
		dlist_delete(&http->node);
	if (http->listed && http->result == STH_HTTP_PENDING)
	{
		nrunning--;
		sth_multi_remove(http->easy);
	}
	http->listed = false;
}

/* Gives back what the context does not know of. */
static void
release(void *arg)
{
	SthHttp    *http = arg;

	stop(http);
	drop_easy(http);
	curl_slist_free_all(http->headers);
	http->headers = NULL;
	free(http->answer_headers.data);
	free(http->answer_body.data);
	memset(&http->answer_headers, 0, sizeof(Bytes));
	memset(&http->answer_body, 0, sizeof(Bytes));
}

/* Before the process ends, and libcurl's threads with it. */
static void
at_exit(int code, Datum arg)
{
	while (!dlist_is_empty(&running))
		release(dlist_container(SthHttp, node, dlist_head_node(&running)));
	while (nidle > 0)
		curl_easy_cleanup(idle[--nidle]);
	sth_multi_close();
}

/* A handle, or NULL if there is no memory. */
static CURL *
get_easy(void)
{
	static bool registered = false;

	if (!registered)
	{
		on_proc_exit(at_exit, (Datum) 0);
		registered = true;
	}
	if (sth_multi_start_curl() != CURLE_OK)
		return NULL;
	return nidle > 0 ? idle[--nidle] : curl_easy_init();
}

static void
set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	/* a cancel does not wait for a name server */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	/* ours go by another clock */
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 86400000L);
}

static void
set_callbacks(CURL *easy, SthHttp *http)
{
	curl_easy_setopt(easy, CURLOPT_PRIVATE, http);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->error);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(easy, CURLOPT_READDATA, http);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, http);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, sth_socket_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &http->rule);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, sth_socket_close);
}

/* What libcurl copies is the request's own. */
static void
set_request(CURL *easy, const SthHttpRequest *request)
{
	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	if (request->has_body)
	{
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) request->len);
		if (request->len > 64 * 1024)
			curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
	}
	else if (strcmp(request->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (request->buffer_len > 64 * 1024)
		curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	if (request->ca_file != NULL)
	{
		/* this one alone counts */
		curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
}

static bool
add_header(SthHttp *http, const char *header)
{
	struct curl_slist *longer = curl_slist_append(http->headers, header);

	if (longer != NULL)
		http->headers = longer;
	return longer != NULL;
}

/* False if there is no memory. */
static bool
prepare(SthHttp *http, const SthHttpRequest *request)
{
	http->easy = get_easy();
	if (http->easy == NULL)
		return false;
	set_protocols(http->easy);
	set_callbacks(http->easy, http);
	set_request(http->easy, request);
	for (int i = 0; i < request->nheaders; i++)
		if (!add_header(http, request->headers[i]))
			return false;
	/* without a value: libcurl sends none of its own */
	if (!add_header(http, "Expect:") || !add_header(http, "Accept:") ||
		!add_header(http, "Transfer-Encoding:"))
		return false;
	curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers);
	return true;
}

static void
no_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("libcurl could not begin a request.")));
}

/* Whether a request can begin: a process has only so many on their way. */
bool
sth_http_has_room(void)
{
	return nrunning < STH_MULTI_MAX;
}

/*
 * Sends off a request.  Never waits; raises an error only if there is no
 * memory.
 */
SthHttp *
sth_http_begin(const SthHttpRequest *request)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamhouse http request",
												  ALLOCSET_SMALL_SIZES);
	SthHttp    *http = MemoryContextAllocZero(context, sizeof(SthHttp));

	Assert(sth_http_has_room());
	http->context = context;
	http->request = *request;
	http->rule.fd = CURL_SOCKET_BAD;
	http->rule.allow_link_local = request->allow_link_local;
	http->request.url = NULL;
	http->request.method = NULL;
	http->request.headers = NULL;
	http->request.ca_file = NULL;
	http->pieces = MemoryContextAlloc(context,
									  Max(request->npieces, 1) * sizeof(struct iovec));
	if (request->npieces > 0)
		memcpy(http->pieces, request->pieces,
			   request->npieces * sizeof(struct iovec));
	http->began = http->mark = sth_multi_waited();
	http->at_reset.func = release;
	http->at_reset.arg = http;
	MemoryContextRegisterResetCallback(context, &http->at_reset);

	if (!prepare(http, request) || !sth_multi_add(http->easy))
	{
		MemoryContextDelete(context);
		no_memory();
	}
	dlist_push_tail(&running, &http->node);
	http->listed = true;
	nrunning++;
	return http;
}

/* Whatever it does, it is over; callable at any time outside its callback. */
void
sth_http_free(SthHttp *http)
{
	MemoryContextDelete(http->context);
}

static SthHttpResult
classify(const SthHttp *http, CURLcode code)
{
	if (http->rule.refused)
		return STH_HTTP_REFUSED;
	if (http->too_large)
		return STH_HTTP_TOO_LARGE;
	switch (code)
	{
		case CURLE_OK:
			return STH_HTTP_ANSWERED;
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
		case CURLE_SSL_CONNECT_ERROR:
			return STH_HTTP_UNREACHABLE;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
			return STH_HTTP_UNTRUSTED;
		case CURLE_OPERATION_TIMEDOUT:
			return STH_HTTP_STALLED;
		default:
			return STH_HTTP_BROKEN;
	}
}

static bool
has_passed(CURL *easy, CURLINFO what)
{
	curl_off_t	time = 0;

	curl_easy_getinfo(easy, what, &time);
	return time > 0;
}

/*
 * How far it came, by what has been measured.  Of a connection that was there before, libcurl has no
 * times of resolving and connecting; and it has none of a connection before
 * TLS is there, too.
 */
static SthHttpPhase
find_phase(const SthHttp *http)
{
	if (http->answer_headers.len > 0 || http->sent > 0 ||
		has_passed(http->easy, CURLINFO_PRETRANSFER_TIME_T))
		return STH_HTTP_AT_ANSWER;
	if (has_passed(http->easy, CURLINFO_CONNECT_TIME_T) ||
		sth_socket_is_connected(&http->rule))
		return STH_HTTP_AT_TLS;
	if (has_passed(http->easy, CURLINFO_NAMELOOKUP_TIME_T))
		return STH_HTTP_AT_CONNECTION;
	return STH_HTTP_AT_NAME;
}

/*
 * How far one came that libcurl has ended.  What failed to begin with is told
 * by the error: times of it are there or not, by the version of libcurl.
 */
static SthHttpPhase
phase_at_end(const SthHttp *http, SthHttpResult result, CURLcode code)
{
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return STH_HTTP_AT_NAME;
	if (code == CURLE_COULDNT_CONNECT)
		return STH_HTTP_AT_CONNECTION;
	if (result == STH_HTTP_UNTRUSTED || code == CURLE_SSL_CONNECT_ERROR)
		return STH_HTTP_AT_TLS;
	return find_phase(http);
}

/* Notes how it ended; the callback is called later. */
static void
end(SthHttp *http, SthHttpResult result, SthHttpPhase phase, const char *why)
{
	long		status = 0;
	long		connects = 0;

	if (why != NULL)
		strlcpy(http->error, why, sizeof(http->error));
	http->phase = phase;
	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(http->easy, CURLINFO_NUM_CONNECTS, &connects);
	http->status = (int) status;
	http->reused = connects == 0 && http->phase == STH_HTTP_AT_ANSWER;
	http->result = result;
	nrunning--;
	dlist_delete(&http->node);
	dlist_push_tail(&ended, &http->node);
	drop_easy(http);
}

static const char *
explain(const SthHttp *http, SthHttpResult result, CURLcode code)
{
	if (result == STH_HTTP_REFUSED)
		return "the address is link-local";
	if (result == STH_HTTP_TOO_LARGE)
		return "the answer is larger than it may be";
	if (http->no_memory)
		return "out of memory";
	if (result != STH_HTTP_ANSWERED && http->error[0] == '\0')
		return curl_easy_strerror(code);
	return NULL;
}

/* Ends one for a reason of ours; its callback comes with the next wait. */
void
sth_http_cancel(SthHttp *http, SthHttpResult result, const char *why)
{
	SthHttpPhase phase;

	if (http->result != STH_HTTP_PENDING)
		return;
	/* while its socket is open */
	phase = find_phase(http);
	sth_multi_remove(http->easy);
	end(http, result, phase, why);
}

/* Takes over what libcurl has finished. */
static void
take_finished(void)
{
	CURL	   *easy;
	CURLcode	code;

	while (sth_multi_next_done(&easy, &code))
	{
		SthHttp    *http = NULL;
		SthHttpResult result;

		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &http);
		result = classify(http, code);
		end(http, result, phase_at_end(http, result, code),
			explain(http, result, code));
	}
}

/* --- time ------------------------------------------------------------------ */

/* How much longer it may go on as it is, in us; negative: no longer. */
static int64
time_left(SthHttp *http)
{
	const SthHttpRequest *request = &http->request;
	int64		now = sth_multi_waited();
	int64		total = (int64) request->connect_timeout * 1000 +
	(int64) request->stall_timeout * 4000 +
	(int64) (request->len + request->buffer_len) * 1000000 / SLOWEST;
	bool		sending = find_phase(http) == STH_HTTP_AT_ANSWER;

	if (http->moved - http->moved_at_mark >= PROGRESS ||
		(sending && http->mark == http->began && now > http->mark))
	{
		http->moved_at_mark = http->moved;
		http->mark = now;
	}
	return Min(http->began + total,
			   sending ? http->mark + (int64) request->stall_timeout * 1000 :
			   http->began + (int64) request->connect_timeout * 1000) - now;
}

/* Ends what has taken too long; returns how long to wait at most, or -1. */
static int64
check_times(void)
{
	int64		wait = -1;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &running)
	{
		SthHttp    *http = dlist_container(SthHttp, node, iter.cur);
		int64		left = time_left(http);

		if (left <= 0)
			sth_http_cancel(http, STH_HTTP_STALLED,
							find_phase(http) == STH_HTTP_AT_ANSWER ?
							"no progress within the time limit" :
							"no connection within the time limit");
		else
			wait = wait < 0 ? left : Min(wait, left);
	}
	return wait;
}

/* Calls the callbacks of those that have ended; any may raise an error. */
static bool
tell_ended(void)
{
	bool		any = false;

	take_finished();
	while (!dlist_is_empty(&ended))
	{
		SthHttp    *http = dlist_container(SthHttp, node,
										   dlist_pop_head_node(&ended));

		http->listed = false;
		any = true;
		if (http->request.callback != NULL)
			http->request.callback(http, http->request.arg);
	}
	return any;
}

/*
 * Looks after all requests, and waits until one has ended, the latch is set,
 * or the time, in us, is over (-1: none); but perhaps less.  Calls their
 * callbacks.  Returns WL_LATCH_SET or 0.
 */
int
sth_http_wait(int64 timeout, uint32 wait_event)
{
	int64		limit = check_times();
	int			result;

	if (tell_ended())
		timeout = 0;
	if (limit >= 0 && (timeout < 0 || limit < timeout))
		timeout = limit;
	result = sth_multi_wait(timeout, wait_event);
	(void) check_times();
	(void) tell_ended();
	return result;
}

/* Is any request on its way, or ended and not told yet? */
bool
sth_http_busy(void)
{
	return nrunning > 0 || !dlist_is_empty(&ended);
}

/* --- what came ------------------------------------------------------------- */

bool
sth_http_done(const SthHttp *http)
{
	return http->result != STH_HTTP_PENDING;
}

SthHttpResult
sth_http_result(const SthHttp *http)
{
	return http->result;
}

/* Of the answer; 0 if there was none. */
int
sth_http_status(const SthHttp *http)
{
	return http->status;
}

SthHttpPhase
sth_http_phase(const SthHttp *http)
{
	return http->phase;
}

/* libcurl's words, or ours, for what went wrong. */
const char *
sth_http_error(const SthHttp *http)
{
	return http->error;
}

/*
 * A header of the answer, a copy in the current context without blanks around
 * it; NULL if it is not there.  The name is in lower case.
 */
char *
sth_http_header(const SthHttp *http, const char *name)
{
	const char *line = http->answer_headers.data;
	Size		len = strlen(name);

	while (line != NULL && *line != '\0')
	{
		const char *eol = strchr(line, '\n');

		if (eol == NULL)
			eol = line + strlen(line);
		if ((Size) (eol - line) > len && line[len] == ':' &&
			pg_strncasecmp(line, name, len) == 0)
		{
			line += len + 1;
			while (line < eol && (*line == ' ' || *line == '\t'))
				line++;
			while (eol > line && (eol[-1] == '\r' || eol[-1] == ' ' || eol[-1] == '\t'))
				eol--;
			return pnstrdup(line, eol - line);
		}
		line = *eol == '\0' ? NULL : eol + 1;
	}
	return NULL;
}

/* The body, if it did not go to the buffer; ends with a 0 that does not count. */
const char *
sth_http_body(const SthHttp *http, Size *len)
{
	*len = http->answer_body.len;
	return http->answer_body.data != NULL ? http->answer_body.data : "";
}

/* Bytes of the answer's body, wherever they went ... */
Size
sth_http_received(const SthHttp *http)
{
	return http->received;
}

/* ... and of ours. */
Size
sth_http_sent(const SthHttp *http)
{
	return http->sent;
}

/* Over a connection that was open before? */
bool
sth_http_reused(const SthHttp *http)
{
	return http->reused;
}

/* For how long nothing has moved, in us of waiting. */
int64
sth_http_idle(const SthHttp *http)
{
	return sth_multi_waited() - http->mark;
}

/* Has anything moved in so many microseconds? */
bool
sth_http_moving(int64 time)
{
	dlist_iter	iter;

	dlist_foreach(iter, &running)
	{
		if (sth_http_idle(dlist_container(SthHttp, node, iter.cur)) < time)
			return true;
	}
	return false;
}
