/*-------------------------------------------------------------------------
 *
 * http.h
 *	  HTTP requests of this process, many at a time.
 *
 *		http = sth_http_begin(&request)		never waits
 *		while (!sth_http_done(http))
 *			sth_http_wait(timeout, wait_event)
 *		sth_http_result(http), sth_http_status(http) ...
 *		sth_http_free(http)					cancels what is on its way
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_HTTP_H
#define STH_S3_HTTP_H

#include <sys/uio.h>

typedef struct SthHttp SthHttp;

/* What is called when the answer is there, or will not come. */
typedef void (*SthHttpCallback) (SthHttp *http, void *arg);

/*
 * A request.  It is copied, except for the bytes of the body and the buffer,
 * which stay the caller's until it is done or freed.
 */
typedef struct SthHttpRequest
{
	const char *method;
	const char *url;
	const char *const *headers; /* "Name: value" */
	int			nheaders;
	const struct iovec *pieces; /* the body is bytes of these ... */
	int			npieces;
	Size		skip;			/* ... from here on */
	Size		len;
	bool		has_body;		/* else there is none, as of a GET */
	uint8	   *buffer;			/* for the body of an answer 200 or 206 */
	Size		buffer_len;
	Size		max_answer;		/* bytes of a body that goes elsewhere */
	const char *ca_file;		/* NULL: the system's */
	bool		allow_link_local;
	int			connect_timeout;	/* ms */
	int			stall_timeout;	/* ms in which nothing worth a mention moves */
	SthHttpCallback callback;	/* or NULL */
	void	   *arg;
} SthHttpRequest;

typedef enum SthHttpResult
{
	STH_HTTP_PENDING,
	STH_HTTP_ANSWERED,			/* wholly, whatever the status */
	STH_HTTP_UNREACHABLE,		/* not resolved, no connection: nothing sent */
	STH_HTTP_UNTRUSTED,			/* the certificate is not good */
	STH_HTTP_BROKEN,			/* cut off, or not HTTP */
	STH_HTTP_STALLED,			/* took too long */
	STH_HTTP_TOO_LARGE,			/* the answer is larger than may be */
	STH_HTTP_REFUSED			/* by us: the address is link-local */
} SthHttpResult;

/* How far a request came, for who looks for what is wrong. */
typedef enum SthHttpPhase
{
	STH_HTTP_AT_NAME,			/* the name has not been resolved */
	STH_HTTP_AT_CONNECTION,		/* there was no connection */
	STH_HTTP_AT_TLS,			/* it was not secured */
	STH_HTTP_AT_ANSWER			/* it was there: sent, or being sent */
} SthHttpPhase;

extern bool sth_http_has_room(void);
extern SthHttp *sth_http_begin(const SthHttpRequest *request);
extern bool sth_http_done(const SthHttp *http);
extern void sth_http_cancel(SthHttp *http, SthHttpResult result, const char *why);
extern void sth_http_free(SthHttp *http);

extern int	sth_http_wait(int64 timeout, uint32 wait_event);
extern bool sth_http_busy(void);

extern SthHttpResult sth_http_result(const SthHttp *http);
extern int	sth_http_status(const SthHttp *http);
extern SthHttpPhase sth_http_phase(const SthHttp *http);
extern const char *sth_http_error(const SthHttp *http);
extern char *sth_http_header(const SthHttp *http, const char *name);
extern const char *sth_http_body(const SthHttp *http, Size *len);
extern Size sth_http_received(const SthHttp *http);
extern Size sth_http_sent(const SthHttp *http);
extern bool sth_http_reused(const SthHttp *http);
extern int64 sth_http_idle(const SthHttp *http);
extern bool sth_http_moving(int64 time);

#endif							/* STH_S3_HTTP_H */
