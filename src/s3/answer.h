/*-------------------------------------------------------------------------
 *
 * answer.h
 *	  What the answers of a store say: listings, errors, multipart uploads,
 *	  deletions, and the keys that a token service gives.
 *
 * Results are of fixed size; what is longer than S3 allows is damage, and not
 * cut, but for texts that are only shown.  Nothing is allocated.  Plain C: no
 * server headers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_ANSWER_H
#define STH_S3_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3/keys.h"
#include "s3/xml.h"

#define STH_S3_MAX_KEY 1024
#define STH_S3_MAX_TOKEN 4096

typedef enum SthAnswerResult
{
	STH_ANSWER_OK,				/* here is one (more) */
	STH_ANSWER_END,				/* there are no more */
	STH_ANSWER_ERROR,			/* an error document under whatever status */
	STH_ANSWER_DAMAGED			/* neither that nor what was expected */
} SthAnswerResult;

/* Texts to show: printable ASCII, cut where they are long, maybe empty. */
typedef struct SthAnswerError
{
	char		code[64];		/* "NoSuchKey" */
	char		message[256];
	char		region[64];		/* of the bucket, where it is another */
	char		endpoint[256];
	char		request_id[128];
} SthAnswerError;

/* False, and all texts empty, if it is no error document. */
extern bool sth_answer_error(const char *body, size_t len,
							 SthAnswerError *error);

/*
 * A listing (ListObjectsV2) is read through once at the beginning, so that no
 * object of a damaged one is ever seen.  With encoding-type=url keys come back
 * decoded.  'more' and 'token' tell about the next page.
 */
typedef struct SthListing
{
	SthXml		xml;
	bool		url_encoded;
	bool		more;
	char		token[STH_S3_MAX_TOKEN + 1];	/* empty if there is none */
} SthListing;

typedef struct SthListed
{
	char		key[STH_S3_MAX_KEY + 1];
	uint64_t	size;
	int64_t		modified;		/* seconds since 1970 */
} SthListed;

/* STH_ANSWER_OK, _ERROR or _DAMAGED; the body has to stay. */
extern SthAnswerResult sth_listing_begin(SthListing *listing, const char *body,
										 size_t len);

/* STH_ANSWER_OK with an object, or _END. */
extern SthAnswerResult sth_listing_next(SthListing *listing, SthListed *listed);

/* The upload that was begun; an id may be as long as a token. */
extern SthAnswerResult sth_answer_upload(const char *body, size_t len,
										 char *upload_id, size_t size);

/*
 * A page of the uploads that have been begun and neither completed nor aborted
 * (ListMultipartUploads), as a listing of keys.
 */
typedef struct SthUploads
{
	SthXml		xml;
	bool		url_encoded;
	bool		more;
} SthUploads;

typedef struct SthUpload
{
	char		key[STH_S3_MAX_KEY + 1];
	char		upload_id[STH_S3_MAX_TOKEN + 1];
} SthUpload;

extern SthAnswerResult sth_uploads_begin(SthUploads *uploads, const char *body,
										 size_t len);
extern SthAnswerResult sth_uploads_next(SthUploads *uploads, SthUpload *upload);

/*
 * Was a multipart upload completed?  The status says so before it is: only
 * STH_ANSWER_OK means yes, _ERROR no, and _DAMAGED has to be asked about.
 */
extern SthAnswerResult sth_answer_completed(const char *body, size_t len);

/*
 * What was not deleted of many: STH_ANSWER_OK with a key each, then _END.
 * Here, too, the answer is read through in the beginning.
 */
typedef struct SthDeletions
{
	SthXml		xml;
} SthDeletions;

typedef struct SthNotDeleted
{
	char		key[STH_S3_MAX_KEY + 1];
	SthAnswerError error;
} SthNotDeleted;

extern SthAnswerResult sth_deletions_begin(SthDeletions *deletions,
										   const char *body, size_t len);
extern SthAnswerResult sth_deletions_next(SthDeletions *deletions,
										  SthNotDeleted *failed);

/* Keys of a role (AssumeRoleWithWebIdentity); who is done with them wipes. */
extern SthAnswerResult sth_answer_role(const char *body, size_t len,
									   SthKeys *keys);

/* Seconds since 1970 of "2026-07-01T12:00:00.000Z", as in all of these. */
extern bool sth_parse_time(const char *time, int64_t *seconds);

#endif							/* STH_S3_ANSWER_H */
