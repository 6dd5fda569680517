/*-------------------------------------------------------------------------
 *
 * s3.h
 *	  A client of a bucket that speaks the S3 protocol.
 *
 * SthS3 is one per bucket and process; operations are begun, driven and waited
 * for:
 *
 *		op = sth_s3_get(s3, key, position, len, buffer)		any number of them
 *		sth_s3_wait(op, wait_event)		or sth_s3_drive() until
 *										sth_s3_op_done(op)
 *		if (sth_s3_op_result(op) != STH_S3_OK)
 *			sth_s3_report(op, ERROR)	or something better
 *		sth_s3_op_free(op)				cancels what is on its way
 *
 * An operation tries again by itself, sends a large put in parallel parts,
 * splits a delete of many where the store has none, and finds out whether a
 * put whose answer was lost, or which must be the first of its key, was its
 * own.  Whatever the network does is a result, not an error.
 *
 * Nothing moves but in these calls, and the limits of time (settings) go by
 * the time that is spent waiting in them.  A request leaves when it is begun,
 * if it may; who has begun some ahead and has other work should call
 * sth_s3_drive(0) now and then.
 *
 * An operation belongs to the memory context that it was begun in: when that
 * goes, by an error or a cancel, nothing of it is left.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_S3_H
#define STH_S3_S3_H

#include <sys/uio.h>

#include "datatype/timestamp.h"
#include "s3/credentials.h"
#include "s3/http.h"

typedef enum SthS3Sse
{
	STH_S3_SSE_NONE,			/* as the bucket does by itself */
	STH_S3_SSE_AES256,
	STH_S3_SSE_KMS
} SthS3Sse;

/* Of a bucket; copied. */
typedef struct SthS3Settings
{
	const char *name;			/* of the server, for messages */
	Oid			database;		/* these two: whose health it is */
	Oid			server;
	const char *endpoint;		/* http[s]://host[:port]; NULL: Amazon's */
	const char *region;
	const char *bucket;
	bool		path_style;		/* the bucket is in the path, not in the name */
	const char *ca_file;		/* NULL: the system's */
	int			connect_timeout;	/* ms */
	int			request_timeout;	/* ms in which nothing moves */
	int			retry_timeout;	/* ms for which an operation tries; 0: for
								 * ever */
	SthS3Sse	sse;
	const char *kms_key_id;		/* or NULL */
	bool		checksum;		/* send x-amz-checksum-crc32c */
	bool		create_once;	/* the store obeys If-None-Match: * */
	bool		multi_delete;	/* it has DeleteObjects */
	bool		allow_link_local;
} SthS3Settings;

typedef enum SthS3Result
{
	STH_S3_OK,
	STH_S3_NOT_FOUND,			/* there is no such key */
	STH_S3_NO_BUCKET,
	STH_S3_EXISTS,				/* the key is another's */
	STH_S3_DENIED,				/* credentials, signature, clock, permission */
	STH_S3_RANGE,				/* the object is shorter than that */
	STH_S3_INVALID,				/* the store does not take the request */
	STH_S3_UNAVAILABLE,			/* tried until the time was over */
	STH_S3_REFUSED				/* by us: redirect, address, certificate */
} SthS3Result;

/* What is known of an operation that failed, or of its last attempt. */
typedef struct SthS3Problem
{
	SthS3Result result;
	int			status;			/* HTTP; 0: there was no answer */
	SthHttpPhase phase;			/* how far the request came */
	char		code[64];		/* S3's; empty: none */
	char text[	256];			/* the store's words, libcurl's, or ours */
	char		request_id[64];
	char		region[64];		/* where the bucket is, by the store */
	char		endpoint[256];	/* likewise */
	int			attempts;
} SthS3Problem;

/* A key in a listing. */
typedef struct SthS3Item
{
	const char *key;
	uint64		size;
	TimestampTz modified;
} SthS3Item;

typedef struct SthS3 SthS3;
typedef struct SthS3Op SthS3Op;

extern SthS3 *sth_s3_open(const SthS3Settings *settings,
						  SthCredentials *credentials);
extern void sth_s3_close(SthS3 *s3);

extern SthS3Op *sth_s3_put(SthS3 *s3, const char *key,
						   const struct iovec *pieces, int npieces,
						   bool create_once);
extern SthS3Op *sth_s3_get(SthS3 *s3, const char *key, uint64 position,
						   Size len, uint8 *buffer);
extern SthS3Op *sth_s3_head(SthS3 *s3, const char *key);
extern SthS3Op *sth_s3_delete(SthS3 *s3, char *const *keys, int nkeys);
extern SthS3Op *sth_s3_abort_uploads(SthS3 *s3, const char *key);
extern SthS3Op *sth_s3_list(SthS3 *s3, const char *prefix,
							const char *start_after, int max_keys);

extern bool sth_s3_op_done(const SthS3Op *op);
extern SthS3Result sth_s3_op_result(const SthS3Op *op);
extern const SthS3Problem *sth_s3_op_problem(const SthS3Op *op);
extern uint64 sth_s3_op_size(const SthS3Op *op);
extern const char *sth_s3_op_etag(const SthS3Op *op);
extern const SthS3Item *sth_s3_op_items(const SthS3Op *op, int *nitems,
										bool *more);
extern int64 sth_s3_op_clock(const SthS3Op *op, bool *known);
extern void sth_s3_op_free(SthS3Op *op);

extern void sth_s3_wait(SthS3Op *op, uint32 wait_event);
extern bool sth_s3_busy(void);
extern bool sth_s3_moving(void);
extern int	sth_s3_drive(long timeout, uint32 wait_event);
extern void sth_s3_report(const SthS3Op *op, int elevel);

#endif							/* STH_S3_S3_H */
