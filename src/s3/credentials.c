/*-------------------------------------------------------------------------
 *
 * credentials.c
 *	  The keys that requests to a bucket are signed with: those of a user
 *	  mapping.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "s3/credentials.h"
#include "utils/memutils.h"

struct SthCredentials
{
	MemoryContext context;
	SthSigv4Keys keys;
};

static char *
copy_string(const char *string)
{
	return string != NULL ? pstrdup(string) : NULL;
}

SthCredentials *
sth_credentials_open(const SthCredentialSource *source)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "streamhouse credentials",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SthCredentials *credentials = palloc0(sizeof(SthCredentials));

	credentials->context = context;
	credentials->keys.access_key = copy_string(source->access_key_id);
	credentials->keys.secret = copy_string(source->secret_access_key);
	credentials->keys.session_token = copy_string(source->session_token);
	MemoryContextSwitchTo(old);
	return credentials;
}

/* False if there are none. */
bool
sth_credentials_get(SthCredentials *credentials, SthSigv4Keys *keys)
{
	*keys = credentials->keys;
	return keys->access_key != NULL && keys->secret != NULL;
}

/* False if there are no others. */
bool
sth_credentials_refresh(SthCredentials *credentials)
{
	return false;
}

void
sth_credentials_close(SthCredentials *credentials)
{
	MemoryContextDelete(credentials->context);
}
