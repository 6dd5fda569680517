/*-------------------------------------------------------------------------
 *
 * credentials.h
 *	  The keys that requests to a bucket are signed with, wherever they are
 *	  from, as long as they are good.
 *
 *		if (sth_credentials_get(credentials, &keys))
 *			sign, send
 *		else if (sth_credentials_pending(credentials))
 *			they are being fetched: ask again after sth_http_wait
 *		else
 *			there are none: sth_credentials_problem says why
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_CREDENTIALS_H
#define STH_S3_CREDENTIALS_H

#include "s3/sigv4.h"

/*
 * Where to look, in this order; strings are copied.  What the environment of
 * the server has, and who the machine is, is only for servers that a superuser
 * made or marked: the caller decides.
 */
typedef struct SthCredentialSource
{
	const char *access_key_id;	/* of a user mapping; or NULL */
	const char *secret_access_key;
	const char *session_token;	/* or NULL */
	const char *file;			/* as ~/.aws/credentials, its profile
								 * "default"; or NULL */
	bool		use_environment;
	const char *region;			/* of a token service that is not named */
	const char *ca_file;		/* for that; NULL: the system's */
} SthCredentialSource;

typedef struct SthCredentials SthCredentials;

/* Lives until it is closed; nothing is read or asked before the first get. */
extern SthCredentials *sth_credentials_open(const SthCredentialSource *source);
extern void sth_credentials_close(SthCredentials *credentials);

/* Never waits.  The keys stay as they are until the next call of any of these. */
extern bool sth_credentials_get(SthCredentials *credentials, SthSigv4Keys *keys);
extern bool sth_credentials_pending(const SthCredentials *credentials);

/*
 * The store refused the keys: is it worth another try with what there is to
 * get now?  Asks those who gave them, but not every time.
 */
extern bool sth_credentials_refresh(SthCredentials *credentials);

/* Where the keys are from, and why there are none; with no secret in it. */
extern const char *sth_credentials_origin(const SthCredentials *credentials);
extern const char *sth_credentials_problem(const SthCredentials *credentials);

#endif							/* STH_S3_CREDENTIALS_H */
