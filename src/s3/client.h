/*-------------------------------------------------------------------------
 *
 * client.h
 *	  What the parts of the client of a bucket know of each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_CLIENT_H
#define STH_S3_CLIENT_H

#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "s3/health.h"
#include "s3/s3.h"
#include "s3/sigv4.h"

struct SthS3
{
	MemoryContext context;
	SthS3Settings settings;
	SthCredentials *credentials;
	SthHealth  *health;
	bool		tls;
	char	   *host;			/* to sign and to connect to, bucket included */
	int			port;			/* 0: the scheme's */
	int			nops;
	bool		closed;			/* goes with its last operation */
};

typedef struct SthS3Request SthS3Request;

/* What an answer that looks like success lacks; NULL: nothing. */
typedef const char *(*SthS3Check) (SthS3Request *request);
typedef void (*SthS3Callback) (SthS3Request *request);

/*
 * One signed request, tried until it has a definite answer.  Strings and body
 * stay the caller's.  Its memory is a context under that of who makes it.
 */
struct SthS3Request
{
	dlist_node	node;
	bool		listed;
	MemoryContext context;
	MemoryContextCallback at_reset;
	SthS3	   *s3;

	/* what is asked for */
	SthS3Kind	kind;
	const char *method;
	const char *key;			/* NULL: the bucket itself */
	int			nquery;
	SthSigv4Pair query[6];
	int			nheaders;
	SthSigv4Pair headers[12];
	const struct iovec *pieces;
	int			npieces;
	Size		skip;
	Size		len;
	bool		has_body;
	uint8	   *buffer;
	Size		buffer_len;
	Size		max_answer;
	SthS3Check	check;			/* or NULL */
	SthS3Callback callback;		/* when it is done */
	void	   *arg;
	int64		deadline;		/* on the clock of waiting, us; 0: none */

	/* how it goes */
	char		payload_hash[65];
	int64		due;			/* when to try, us */
	int			attempts;
	int			max_attempts;	/* 0: any number */
	bool		was_limited;	/* by that */
	int			bad_answers;
	bool		refreshed;		/* new credentials were asked for */
	bool		has_pass;
	SthHealthPass pass;
	SthHttp    *http;			/* the last attempt, or NULL */
	bool		given_up;		/* to be ended as problem says */
	bool		done;
	SthS3Problem problem;		/* of the last attempt that failed */
	int64		clock;			/* the store's less ours, in seconds */
	bool		clock_known;
};

/* request.c */
extern SthS3Request *sth_s3_request_make(SthS3 *s3, SthS3Kind kind,
										 const char *method, const char *key);
extern void sth_s3_request_query(SthS3Request *request, const char *name,
								 const char *value);
extern void sth_s3_request_header(SthS3Request *request, const char *name,
								  const char *value);
extern void sth_s3_request_body(SthS3Request *request,
								const struct iovec *pieces, int npieces,
								Size skip, Size len);
extern void sth_s3_request_send(SthS3Request *request);
extern void sth_s3_request_queue(SthS3Request *request);
extern void sth_s3_request_free(SthS3Request *request);
extern bool sth_s3_requests_pending(void);
extern int64 sth_s3_requests_run(bool may_finish);

/* judge.c */
typedef enum SthS3Verdict
{
	STH_S3_VERDICT_GOOD,
	STH_S3_VERDICT_FINAL,		/* problem.result says what */
	STH_S3_VERDICT_AGAIN,
	STH_S3_VERDICT_REFRESH		/* credentials may have changed */
} SthS3Verdict;

extern SthS3Verdict sth_s3_judge(SthS3Request *request,
								 SthHealthOutcome *outcome);
extern void sth_s3_copy_text(char *to, Size size, const char *text, Size len);

/* An operation: what its requests are for. */
struct SthS3Op
{
	MemoryContext context;
	MemoryContextCallback at_reset;
	SthS3	   *s3;
	const char *what;			/* for messages: "read", "write" ... */
	const char *key;
	int64		deadline;		/* as of requests */
	bool		done;
	SthS3Problem problem;
	int64		clock;
	bool		clock_known;
	uint64		size;			/* of a head */
	char	   *etag;
	int			nitems;			/* of a list */
	SthS3Item  *items;
	bool		more;
	void		(*at_free) (SthS3Op *op);	/* or NULL; must not fail */
};

/* s3.c */
extern SthS3Op *sth_s3_op_make(SthS3 *s3, const char *what, const char *key,
							   Size size);
extern SthS3Request *sth_s3_op_request(SthS3Op *op, SthS3Kind kind,
									   const char *method, const char *key,
									   SthS3Callback callback);
extern void sth_s3_op_finish(SthS3Op *op, SthS3Result result);
extern void sth_s3_op_finish_as(SthS3Op *op, const SthS3Request *request);

/* body.c */
#define STH_S3_CRC_LEN 9		/* in base64, with a terminating zero */
#define STH_S3_MD5_LEN 25
extern void sth_s3_crc32c(const struct iovec *pieces, int npieces, Size skip,
						  Size len, char *base64);
extern bool sth_s3_md5(const char *data, Size len, char *base64);
extern void sth_s3_append_xml(StringInfo to, const char *text);
extern Size sth_s3_cut(const struct iovec *pieces, int npieces, Size skip,
					   Size len, struct iovec *into, int *ninto);

/* put.c */
#define STH_S3_PUT_ID "x-amz-meta-streamhouse-put"

/* A put, also one that multipart.c carries out. */
typedef struct SthS3Put
{
	SthS3Op		op;
	const struct iovec *pieces;
	int			npieces;
	Size		len;
	bool		create_once;
	int			attempts;		/* of all that was tried, for the pauses */
	char		id[33];			/* stored with the object */
	char		crc[STH_S3_CRC_LEN];
	struct SthS3Multipart *multipart;	/* NULL: in one piece */
} SthS3Put;

extern void sth_s3_put_begin(SthS3Put *put);
extern void sth_s3_put_headers(SthS3Put *put, SthS3Request *request);
extern void sth_s3_put_settle(SthS3Put *put);

/* get.c */
extern bool sth_s3_parse_size(const char *text, const char **end,
							  uint64 *value);

#endif							/* STH_S3_CLIENT_H */
