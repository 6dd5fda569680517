/*-------------------------------------------------------------------------
 *
 * credentials.h
 *	  The keys that requests to a bucket are signed with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_CREDENTIALS_H
#define STH_S3_CREDENTIALS_H

#include "s3/sigv4.h"

typedef struct SthCredentialSource
{
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token;
	const char *file;
	bool		use_environment;
} SthCredentialSource;

typedef struct SthCredentials SthCredentials;

extern SthCredentials *sth_credentials_open(const SthCredentialSource *source);
extern bool sth_credentials_get(SthCredentials *credentials, SthSigv4Keys *keys);
extern bool sth_credentials_refresh(SthCredentials *credentials);
extern void sth_credentials_close(SthCredentials *credentials);

#endif							/* STH_S3_CREDENTIALS_H */
