/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  Keys from services that know who this machine is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_IDENTITY_H
#define STH_S3_IDENTITY_H

#include "s3/keys.h"

typedef enum SthIdentityKind
{
	STH_IDENTITY_WEB,			/* a token in a file, and a role, for STS */
	STH_IDENTITY_CONTAINER,		/* an address in the environment */
	STH_IDENTITY_INSTANCE		/* the metadata of an EC2 instance, IMDSv2 */
} SthIdentityKind;

typedef enum SthIdentityState
{
	STH_IDENTITY_RUNNING,		/* ask again after sth_http_wait */
	STH_IDENTITY_GIVEN,
	STH_IDENTITY_UNREACHABLE,	/* it may be there the next time */
	STH_IDENTITY_FAILED			/* it is there, and gives nothing */
} SthIdentityState;

typedef struct SthIdentity SthIdentity;

/* Does the environment speak of it? */
extern bool sth_identity_configured(SthIdentityKind kind);

/*
 * Begins to ask.  The strings stay the caller's; everything else is in a
 * memory context under the current one.
 */
extern SthIdentity *sth_identity_begin(SthIdentityKind kind, const char *region,
									   const char *ca_file);

/* Never waits.  Keys are there when they are given, the problem if not. */
extern SthIdentityState sth_identity_run(SthIdentity *identity);
extern const SthKeys *sth_identity_keys(const SthIdentity *identity);
extern const char *sth_identity_problem(const SthIdentity *identity);
extern void sth_identity_free(SthIdentity *identity);

#endif							/* STH_S3_IDENTITY_H */
