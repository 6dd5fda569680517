/*-------------------------------------------------------------------------
 *
 * profile.h
 *	  Keys in files of the form of ~/.aws/credentials and ~/.aws/config.
 *
 * Plain C: no server headers, nothing is allocated.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_PROFILE_H
#define STH_S3_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "s3/keys.h"

typedef enum SthProfileResult
{
	STH_PROFILE_FOUND,
	STH_PROFILE_ABSENT,			/* no such profile, or it has no keys */
	STH_PROFILE_DAMAGED
} SthProfileResult;

/* What is wrong, never with a word of what stands there. */
typedef struct SthProfileFault
{
	int			line;			/* from 1 */
	const char *what;			/* a constant; reads on after "line 3: " */
} SthProfileFault;

/*
 * Looks for the keys of a profile; in a config file its section is called
 * "profile name".  Keys are wiped unless they are found, a fault is described
 * if it is damaged.
 */
extern SthProfileResult sth_profile_read(const char *contents, size_t len,
										 const char *profile, bool config,
										 SthKeys *keys, SthProfileFault *fault);

#endif							/* STH_S3_PROFILE_H */
