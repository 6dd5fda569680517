/*-------------------------------------------------------------------------
 *
 * credentials.c
 *	  The keys that requests to a bucket are signed with, wherever they are
 *	  from, as long as they are good.
 *
 * They are looked for in this order, the first that is there counts:
 *
 *	a user mapping		its keys, for ever
 *	a file				the keys in its profile "default"
 *	and only if the server may use what the machine has:
 *	the environment		AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
 *						AWS_SESSION_TOKEN
 *	a web identity		identity.c
 *	a profile			AWS_PROFILE, else "default", in the file that
 *						AWS_SHARED_CREDENTIALS_FILE names, else
 *						~/.aws/credentials; then AWS_CONFIG_FILE, ~/.aws/config
 *	a container, an instance	identity.c
 *
 * Files are looked at before each request, and read again when they changed.
 * Services are asked again some minutes before what they gave expires, while
 * that is still used.  After the store refused the keys, both are asked at
 * once, but a service for that reason not more than once in REFRESH_PAUSE.
 *
 * Failure: that there are no keys is an answer, with a text.  A file that
 * cannot be read may be half written, and a service may be away: what there
 * was before is used until it expires, and of a file for GRACE.  A service
 * that cannot be reached is asked ATTEMPTS times in a row, then not before
 * REFRESH_PAUSE is over.
 *
 * Our clock may be wrong: keys are used for GRACE after they were given, even
 * if they seem to have expired.  The store decides.
 *
 * Memory: a context under TopMemoryContext until it is closed; keys are wiped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pwd.h>
#include <time.h>
#include <unistd.h>

#include "portability/instr_time.h"
#include "s3/credentials.h"
#include "s3/identity.h"
#include "s3/key_file.h"
#include "s3/profile.h"
#include "utils/memutils.h"

#define MAX_FILE (256 * 1024)

/* In ms. */
#define REFRESH_PAUSE 5000
#define GRACE 10000
#define ATTEMPTS 3
#define ATTEMPT_PAUSE 300

/* In s: how long before they expire keys are asked for anew. */
#define AHEAD 300

typedef enum Origin
{
	ORIGIN_NONE,
	ORIGIN_MAPPING,
	ORIGIN_FILE,
	ORIGIN_ENVIRONMENT,
	ORIGIN_PROFILE,
	ORIGIN_WEB,
	ORIGIN_CONTAINER,
	ORIGIN_INSTANCE
} Origin;

static const char *const origin_names[] = {
	"nowhere", "the user mapping", "the credentials file", "the environment",
	"the profile", "the web identity", "the container's role",
	"the instance's role"
};

/* What a look for keys came to. */
typedef enum Found
{
	FOUND,						/* they have been taken over */
	FOUND_NOTHING,				/* look elsewhere */
	FOUND_LATER,				/* a service is being asked */
	FOUND_BAD					/* it is there, and not to be used */
} Found;

struct SthCredentials
{
	MemoryContext context;
	MemoryContextCallback at_reset;
	SthCredentialSource source; /* without the keys of a mapping */
	SthKeyFile	file;			/* the source's, or the first of profiles */
	SthKeyFile	config;

	bool		have;
	Origin		origin;			/* of the keys */
	SthKeys		keys;
	int64		given;			/* when they were, ms */
	int64		replaced;		/* when they became others; 0: never, ms */
	int64		lifetime;		/* of what a service gave, s */
	bool		refused;		/* by the store; others are being fetched */
	int64		asked_again;	/* when that was last done, ms; 0: never */

	bool		looked;			/* it was looked for keys */
	int64		tried;			/* when that was, ms */
	bool		failed;			/* there were none */
	int64		missing_since;	/* a file has none any more, ms; 0: it has */
	SthIdentity *identity;		/* a service that is being asked */
	Origin		asked;			/* which one */
	int			failures;		/* of that, in a row */
	char		problem[512];
};

static int64
now_ms(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MILLISEC(now);
}

static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

static void set_problem(SthCredentials *credentials, const char *format,...) pg_attribute_printf(2, 3);

static void
set_problem(SthCredentials *credentials, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(credentials->problem, sizeof(credentials->problem), format, args);
	va_end(args);
}

/* --- where they may be ----------------------------------------------------- */

static bool
is_service(Origin origin)
{
	return origin >= ORIGIN_WEB;
}

/* Takes over keys, and wipes where they were. */
static void
take_keys(SthCredentials *credentials, SthKeys *keys, Origin origin)
{
	credentials->given = now_ms();
	if (credentials->have &&
		(strcmp(credentials->keys.access_key, keys->access_key) != 0 ||
		 strcmp(credentials->keys.secret, keys->secret) != 0 ||
		 strcmp(credentials->keys.session_token, keys->session_token) != 0))
		credentials->replaced = credentials->given;
	credentials->keys = *keys;
	explicit_bzero(keys, sizeof(*keys));
	credentials->have = true;
	credentials->origin = origin;
	credentials->lifetime = credentials->keys.expires - (int64) time(NULL);
	credentials->refused = false;
	credentials->failed = false;
	credentials->missing_since = 0;
	credentials->failures = 0;
}

static bool
copy_key(char *to, Size size, const char *key)
{
	return key == NULL || strlcpy(to, key, size) < size;
}

/* Keys that are given as strings. */
static Found
take_strings(SthCredentials *credentials, const char *access_key,
			 const char *secret, const char *session_token, Origin origin)
{
	SthKeys		keys;

	memset(&keys, 0, sizeof(keys));
	if (!copy_key(keys.access_key, sizeof(keys.access_key), access_key) ||
		!copy_key(keys.secret, sizeof(keys.secret), secret) ||
		!copy_key(keys.session_token, sizeof(keys.session_token), session_token))
	{
		explicit_bzero(&keys, sizeof(keys));
		set_problem(credentials, "a key of %s is longer than keys are", origin_names[origin]);
		return FOUND_BAD;
	}
	if (keys.access_key[0] == '\0' || keys.secret[0] == '\0')
	{
		explicit_bzero(&keys, sizeof(keys));
		set_problem(credentials, "%s has only one of access key and secret", origin_names[origin]);
		return FOUND_BAD;
	}
	take_keys(credentials, &keys, origin);
	return FOUND;
}

static Found
look_in_environment(SthCredentials *credentials)
{
	const char *access_key = environment("AWS_ACCESS_KEY_ID");
	const char *secret = environment("AWS_SECRET_ACCESS_KEY");

	if (access_key == NULL && secret == NULL)
		return FOUND_NOTHING;
	return take_strings(credentials, access_key, secret,
						environment("AWS_SESSION_TOKEN"), ORIGIN_ENVIRONMENT);
}

/* A profile in a file. */
static Found
look_in_file(SthCredentials *credentials, SthKeyFile *file, const char *profile,
			 bool config, Origin origin)
{
	char	   *contents = MemoryContextAlloc(credentials->context, MAX_FILE);
	SthProfileFault fault;
	SthKeys		keys;
	Size		len = 0;
	Found		found = FOUND_NOTHING;

	switch (sth_key_file_read(file, contents, MAX_FILE, &len))
	{
		case STH_KEY_FILE_BAD:
			set_problem(credentials, "could not read file \"%.300s\": %s", file->path,
						errno == EINVAL ? "it is no regular file" : strerror(errno));
			found = FOUND_BAD;
			break;
		case STH_KEY_FILE_ABSENT:
			break;
		case STH_KEY_FILE_READ:
			switch (sth_profile_read(contents, len, profile, config, &keys, &fault))
			{
				case STH_PROFILE_FOUND:
					take_keys(credentials, &keys, origin);
					found = FOUND;
					break;
				case STH_PROFILE_ABSENT:
					break;
				case STH_PROFILE_DAMAGED:
					set_problem(credentials, "file \"%.300s\", line %d: %s",
								file->path, fault.line, fault.what);
					found = FOUND_BAD;
					break;
			}
			break;
	}
	explicit_bzero(contents, len);
	pfree(contents);
	return found;
}

static Found
look_in_own_file(SthCredentials *credentials)
{
	SthKeyFile *file = &credentials->file;
	Found		found = look_in_file(credentials, file, "default", false, ORIGIN_FILE);

	if (found == FOUND_NOTHING && !file->there)
		set_problem(credentials, "file \"%.300s\" does not exist", file->path);
	else if (found == FOUND_NOTHING)
		set_problem(credentials, "file \"%.300s\" has no keys in a profile \"default\"", file->path);
	return found == FOUND ? FOUND : FOUND_BAD;
}

static Found
look_in_profile(SthCredentials *credentials)
{
	const char *named = environment("AWS_PROFILE");
	const char *profile = named ? named : "default";
	Found		found;

	found = look_in_file(credentials, &credentials->file, profile, false, ORIGIN_PROFILE);
	if (found == FOUND_NOTHING)
		found = look_in_file(credentials, &credentials->config, profile, true, ORIGIN_PROFILE);
	if (found != FOUND_NOTHING || named == NULL)
		return found;
	set_problem(credentials, "profile \"%.100s\" has no keys in \"%.150s\" or \"%.150s\"",
				profile, credentials->file.path, credentials->config.path);
	return FOUND_BAD;
}

/* --- services -------------------------------------------------------------- */

static Found
ask_service(SthCredentials *credentials, SthIdentityKind kind, Origin origin)
{
	MemoryContext old;

	if (!sth_identity_configured(kind))
		return FOUND_NOTHING;
	old = MemoryContextSwitchTo(credentials->context);
	credentials->asked = origin;
	credentials->identity = sth_identity_begin(kind, credentials->source.region,
											   credentials->source.ca_file);
	MemoryContextSwitchTo(old);
	return FOUND_LATER;
}

/* The service that was asked gave nothing. */
static void
note_failure(SthCredentials *credentials, SthIdentityState state)
{
	const char *problem = sth_identity_problem(credentials->identity);

	credentials->failed = true;
	credentials->refused = false;
	if (credentials->asked == ORIGIN_INSTANCE)
		set_problem(credentials, "the server's environment has no keys, profile or role, and %s",
					problem);
	else
		set_problem(credentials, "%s", problem);
	/* an instance's service is next to us, or does not exist */
	if (state == STH_IDENTITY_FAILED || credentials->asked == ORIGIN_INSTANCE)
		credentials->failures = ATTEMPTS;
	else
		credentials->failures++;
}

/* Looks at how the service that is asked is doing. */
static void
hear_service(SthCredentials *credentials)
{
	SthIdentity *identity = credentials->identity;
	SthIdentityState state = sth_identity_run(identity);
	SthKeys		keys;

	if (state == STH_IDENTITY_RUNNING)
		return;
	credentials->tried = now_ms();
	if (state == STH_IDENTITY_GIVEN)
	{
		keys = *sth_identity_keys(identity);
		take_keys(credentials, &keys, credentials->asked);
	}
	else
		note_failure(credentials, state);
	credentials->identity = NULL;
	sth_identity_free(identity);
}

/* --- looking for them ------------------------------------------------------ */

static Found
look_around(SthCredentials *credentials)
{
	Found		found = look_in_environment(credentials);

	if (found == FOUND_NOTHING)
		found = ask_service(credentials, STH_IDENTITY_WEB, ORIGIN_WEB);
	if (found == FOUND_NOTHING)
		found = look_in_profile(credentials);
	if (found == FOUND_NOTHING)
		found = ask_service(credentials, STH_IDENTITY_CONTAINER, ORIGIN_CONTAINER);
	if (found == FOUND_NOTHING)
		found = ask_service(credentials, STH_IDENTITY_INSTANCE, ORIGIN_INSTANCE);
	if (found == FOUND_NOTHING)
		set_problem(credentials, "the server's environment has no keys, profile or role");
	return found;
}

/* Looks for keys; what there was stays if there are none. */
static void
look(SthCredentials *credentials)
{
	Found		found = FOUND_NOTHING;

	credentials->looked = true;
	credentials->tried = now_ms();
	if (credentials->source.file != NULL)
		found = look_in_own_file(credentials);
	else if (credentials->source.use_environment)
		found = look_around(credentials);
	else
		set_problem(credentials, "there is no user mapping with keys, and no credentials file");
	if (found == FOUND)
		return;
	credentials->failed = found != FOUND_LATER;
	if (credentials->missing_since == 0)
		credentials->missing_since = credentials->tried;
}

/* Is it nearly time that keys of a service are no longer good? */
static bool
expire_soon(const SthCredentials *credentials)
{
	int64		left = credentials->keys.expires - (int64) time(NULL);

	return credentials->keys.expires != 0 &&
		left < Min(AHEAD, credentials->lifetime / 3);
}

/* May the keys that there are be used? */
static bool
usable(const SthCredentials *credentials)
{
	if (!credentials->have || credentials->refused)
		return false;
	return credentials->keys.expires == 0 ||
		credentials->keys.expires > (int64) time(NULL) ||
		now_ms() - credentials->given < GRACE;
}

static bool
files_changed(const SthCredentials *credentials)
{
	return (credentials->file.looked && sth_key_file_changed(&credentials->file)) ||
		(credentials->config.looked && sth_key_file_changed(&credentials->config));
}

/* Is there reason to look for keys now? */
static bool
must_look(const SthCredentials *credentials)
{
	int64		pause = REFRESH_PAUSE;

	if (credentials->identity != NULL || credentials->origin == ORIGIN_MAPPING)
		return false;
	if (!credentials->looked || files_changed(credentials))
		return true;
	if (!credentials->failed && usable(credentials) && !expire_soon(credentials))
		return false;
	if (credentials->failures > 0 && credentials->failures < ATTEMPTS)
		pause = ATTEMPT_PAUSE;
	return now_ms() - credentials->tried >= pause;
}

/* Brings everything up to date without waiting. */
static void
update(SthCredentials *credentials)
{
	if (credentials->identity != NULL)
		hear_service(credentials);
	if (must_look(credentials))
	{
		if (credentials->failures >= ATTEMPTS)
			credentials->failures = 0;
		look(credentials);
	}
	/* what files no longer have is forgotten, but not at once */
	if (credentials->have && !is_service(credentials->origin) &&
		credentials->missing_since != 0 &&
		now_ms() - credentials->missing_since >= GRACE)
	{
		explicit_bzero(&credentials->keys, sizeof(SthKeys));
		credentials->have = false;
	}
}

/* --- the interface --------------------------------------------------------- */

/* Keys expire while the service that gives them cannot be asked for others. */
bool
sth_credentials_get(SthCredentials *credentials, SthSigv4Keys *keys)
{
	update(credentials);
	if (!usable(credentials))
		return false;
	keys->access_key = credentials->keys.access_key;
	keys->secret = credentials->keys.secret;
	keys->session_token = credentials->keys.session_token[0] != '\0' ?
		credentials->keys.session_token : NULL;
	return true;
}

static bool
replaced_since(const SthCredentials *credentials, int64 when)
{
	return credentials->replaced != 0 && credentials->replaced > when;
}

bool
sth_credentials_pending(const SthCredentials *credentials)
{
	return credentials->identity != NULL ||
		(credentials->failures > 0 && credentials->failures < ATTEMPTS);
}

bool
sth_credentials_refresh(SthCredentials *credentials)
{
	int64		now = now_ms();

	if (credentials->origin == ORIGIN_MAPPING)
		return false;
	update(credentials);
	if (credentials->identity == NULL && !replaced_since(credentials, now - REFRESH_PAUSE))
	{
		if (is_service(credentials->origin) && credentials->asked_again != 0 &&
			now - credentials->asked_again < REFRESH_PAUSE)
			return false;
		credentials->asked_again = now;
		look(credentials);
	}
	/* perhaps it was their predecessors that were refused */
	if (replaced_since(credentials, now - REFRESH_PAUSE))
		return true;
	credentials->refused = credentials->identity != NULL;
	return credentials->refused;
}

const char *
sth_credentials_origin(const SthCredentials *credentials)
{
	return origin_names[credentials->have ? credentials->origin : ORIGIN_NONE];
}

const char *
sth_credentials_problem(const SthCredentials *credentials)
{
	return credentials->problem;
}

/* --- life ------------------------------------------------------------------ */

static void
wipe(void *arg)
{
	SthCredentials *credentials = arg;

	explicit_bzero(&credentials->keys, sizeof(SthKeys));
}

static char *
copy_string(const char *string)
{
	return string != NULL ? pstrdup(string) : NULL;
}

/* The path that a variable names, else one in the home directory. */
static char *
profile_path(const char *variable, const char *name)
{
	const char *path = environment(variable);
	const char *home = environment("HOME");
	struct passwd *user;

	if (path != NULL)
		return pstrdup(path);
	if (home == NULL)
	{
		user = getpwuid(geteuid());
		home = user != NULL ? user->pw_dir : "/";
	}
	return psprintf("%s/.aws/%s", home, name);
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
	credentials->at_reset.func = wipe;
	credentials->at_reset.arg = credentials;
	MemoryContextRegisterResetCallback(context, &credentials->at_reset);
	credentials->source.file = copy_string(source->file);
	credentials->source.use_environment = source->use_environment;
	credentials->source.region = copy_string(source->region);
	credentials->source.ca_file = copy_string(source->ca_file);
	credentials->file.path = source->file != NULL ? credentials->source.file :
		profile_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
	credentials->config.path = profile_path("AWS_CONFIG_FILE", "config");
	if (source->access_key_id != NULL || source->secret_access_key != NULL)
	{
		credentials->origin = ORIGIN_MAPPING;
		(void) take_strings(credentials, source->access_key_id, source->secret_access_key,
							source->session_token, ORIGIN_MAPPING);
	}
	MemoryContextSwitchTo(old);
	return credentials;
}

void
sth_credentials_close(SthCredentials *credentials)
{
	MemoryContextDelete(credentials->context);
}
