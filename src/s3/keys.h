/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  The keys that requests are signed with, where they are kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_KEYS_H
#define STH_S3_KEYS_H

#include <stdint.h>

#define STH_MAX_ACCESS_KEY 255
#define STH_MAX_SECRET 511
#define STH_MAX_SESSION_TOKEN 4096

/* Of fixed size, so that who is done with them can wipe them all. */
typedef struct SthKeys
{
	char		access_key[STH_MAX_ACCESS_KEY + 1]; /* empty: there are none */
	char		secret[STH_MAX_SECRET + 1];
	char		session_token[STH_MAX_SESSION_TOKEN + 1];	/* may be empty */
	int64_t		expires;		/* seconds since 1970; 0: not known to */
} SthKeys;

#endif							/* STH_S3_KEYS_H */
