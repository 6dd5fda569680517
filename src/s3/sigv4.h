/*-------------------------------------------------------------------------
 *
 * sigv4.h
 *	  Signs an HTTP request as AWS Signature Version 4 wants it.
 *
 * What is signed is what has to be sent, byte for byte: the target (path and
 * query) and all of the headers come back; the HTTP library must not touch
 * the path (CURLOPT_PATH_AS_IS), and may add headers, but none of these.
 *
 * Everything is made in a buffer of the caller's: no memory is allocated, and
 * nothing but the buffer is written.  Plain C: no server headers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_SIGV4_H
#define STH_S3_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Payload hashes: of no payload; and of one that is not hashed. */
#define STH_SIGV4_EMPTY_PAYLOAD \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define STH_SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

#define STH_SIGV4_MAX_QUERY 16
#define STH_SIGV4_MAX_HEADERS 32

/*
 * A buffer of this size does for a key of 1,024 bytes, a continuation token
 * of as many, and a session token of 4,096.
 */
#define STH_SIGV4_BUFFER 32768

typedef enum SthSigv4Result
{
	STH_SIGV4_OK,
	STH_SIGV4_TOO_LONG,			/* for the buffer, or too many of them */
	STH_SIGV4_INVALID,			/* cannot stand in a header, or stands twice */
	STH_SIGV4_NO_HASH			/* SHA-256 is not to be had */
} SthSigv4Result;

typedef struct SthSigv4Keys
{
	const char *access_key;
	const char *secret;
	const char *session_token;	/* NULL if there is none */
} SthSigv4Keys;

/* A query parameter or a header; no value, as in "?uploads", is NULL or "". */
typedef struct SthSigv4Pair
{
	const char *name;
	const char *value;
} SthSigv4Pair;

typedef struct SthSigv4Request
{
	const char *method;			/* in upper case */
	bool		tls;			/* whose port it is that is not named */
	const char *host;			/* a name, or an address ([::1]) */
	int			port;			/* 0: that of the scheme */
	const char *path;			/* as it is, not encoded; begins with '/' */
	const SthSigv4Pair *query;	/* not encoded, in any order */
	int			nquery;
	const SthSigv4Pair *headers;	/* to send besides; any case and order */
	int			nheaders;
	const char *payload_hash;	/* hex, or one of the above; NULL: empty, and
								 * not told (other services than S3) */
	int64_t		time;			/* seconds since 1970 */
	const char *region;
	const char *service;		/* "s3" */
} SthSigv4Request;

/* Lies in the buffer; headers are "name: value", names in lower case. */
typedef struct SthSigv4Signed
{
	const char *target;
	const char *headers[STH_SIGV4_MAX_HEADERS];
	int			nheaders;
} SthSigv4Signed;

extern SthSigv4Result sth_sigv4_sign(const SthSigv4Request *request,
									 const SthSigv4Keys *keys,
									 char *buffer, size_t size,
									 SthSigv4Signed *result);

/*
 * Encodes as RFC 3986 has it, with upper-case hex, for a query or a form; the
 * bytes written, without the terminating zero, or -1 if there is no room.
 */
extern int	sth_percent_encode(const char *text, bool keep_slash,
							   char *to, size_t size);

#endif							/* STH_S3_SIGV4_H */
