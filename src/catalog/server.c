/*-------------------------------------------------------------------------
 *
 * server.c
 *	  Foreign servers: where a topic's history is kept.
 *
 * The server that comes with the extension has no options and keeps objects in
 * the database.  One with the option "url" keeps them in a bucket.  Its
 * credentials are those of a user mapping: the one of the server's owner, else
 * the public one, whoever runs the query.  So readers of a topic need no keys.
 *
 * Options that make the server read files of the machine, use what identity
 * the machine has, or reach what only the machine can reach, are a
 * superuser's to set.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "base/closest.h"
#include "base/endpoint.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "catalog/options.h"
#include "catalog/server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#define SCHEME "s3://"
#define DATABASE_URL "database:"
#define DEFAULT_REGION "us-east-1"

/* As many bytes as Amazon gives a bucket's name and a key. */
#define MAX_BUCKET 63
#define MAX_PREFIX 512

/* What an option is, and where it goes in SthServerOptions. */
typedef enum OptionKind
{
	OPTION_URL,
	OPTION_TEXT,
	OPTION_BOOL,
	OPTION_TIME,
	OPTION_ENCRYPTION
} OptionKind;

static const struct
{
	const char *name;
	OptionKind	kind;
	size_t		place;
	bool		superuser;
}			server_options[] =

{
	{"url", OPTION_URL, 0, false},
	{"endpoint", OPTION_TEXT, offsetof(SthServerOptions, endpoint), false},
	{"region", OPTION_TEXT, offsetof(SthServerOptions, region), false},
	{"path_style", OPTION_BOOL, offsetof(SthServerOptions, path_style), false},
	{"sse", OPTION_ENCRYPTION, offsetof(SthServerOptions, encryption), false},
	{"kms_key_id", OPTION_TEXT, offsetof(SthServerOptions, kms_key_id), false},
	{"ca_file", OPTION_TEXT, offsetof(SthServerOptions, ca_file), true},
	{"credentials_file", OPTION_TEXT, offsetof(SthServerOptions, credentials_file), true},
	{"create_once", OPTION_BOOL, offsetof(SthServerOptions, create_once), false},
	{"multi_delete", OPTION_BOOL, offsetof(SthServerOptions, multi_delete), false},
	{"checksum", OPTION_BOOL, offsetof(SthServerOptions, checksum), false},
	{"use_environment", OPTION_BOOL, offsetof(SthServerOptions, use_environment), true},
	{"allow_link_local", OPTION_BOOL, offsetof(SthServerOptions, allow_link_local), true},
	{"connect_timeout", OPTION_TIME, offsetof(SthServerOptions, connect_timeout), false},
	{"request_timeout", OPTION_TIME, offsetof(SthServerOptions, request_timeout), false},
	{"retry_timeout", OPTION_TIME, offsetof(SthServerOptions, retry_timeout), false},
};

static const char *const mapping_options[] = {
	"access_key_id", "secret_access_key", "session_token"
};

static void
report_value(const char *option, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", option),
			 errdetail("%s", detail)));
}

/* Splits s3://bucket/prefix. */
static void
parse_url(const char *url, SthServerOptions *result)
{
	const char *bucket = url + strlen(SCHEME);
	const char *slash;
	size_t		len;

	if (strcmp(url, DATABASE_URL) == 0)
		return;
	if (strncmp(url, SCHEME, strlen(SCHEME)) != 0)
		report_value("url", "It is s3://bucket, s3://bucket/prefix or database:.");
	slash = strchr(bucket, '/');
	len = slash ? (size_t) (slash - bucket) : strlen(bucket);
	if (len < 3 || len > MAX_BUCKET ||
		strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-_ABCDEFGHIJKLMNOPQRSTUVWXYZ") < len)
		report_value("url", "A bucket's name has 3 to 63 letters, digits, dots, hyphens or underscores.");
	result->bucket = pnstrdup(bucket, len);
	while (slash != NULL && *slash == '/')
		slash++;
	if (slash == NULL || *slash == '\0')
	{
		result->prefix = pstrdup("");
		return;
	}
	len = strlen(slash);
	if (len > MAX_PREFIX)
		report_value("url", "The prefix has at most 512 bytes.");
	for (const char *c = slash; *c != '\0'; c++)
		if ((unsigned char) *c < 0x20 || *c == 0x7f || *c == '?' || *c == '#')
			report_value("url", "The prefix has a control character, a question mark or a number sign.");
	result->prefix = psprintf("%s%s", slash, slash[len - 1] == '/' ? "" : "/");
}

/* An endpoint that the client would refuse is refused here. */
static void
check_endpoint(const char *text)
{
	SthEndpoint endpoint;
	const char *problem = sth_endpoint_parse(text, &endpoint);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", "endpoint"),
				 errdetail("%s", problem),
				 errhint("Write it as https://host or https://host:port.")));
}

static SthEncryption
parse_encryption(const char *value)
{
	if (strcmp(value, "none") == 0)
		return STH_ENCRYPTION_NONE;
	if (strcmp(value, "AES256") == 0)
		return STH_ENCRYPTION_S3;
	if (strcmp(value, "aws:kms") == 0)
		return STH_ENCRYPTION_KMS;
	report_value("sse", "It is none, AES256 or aws:kms.");
	return STH_ENCRYPTION_NONE; /* not reached */
}

static int
parse_time(DefElem *def)
{
	const char *hint = NULL;
	int			n;

	if (!parse_int(defGetString(def), &n, GUC_UNIT_MS, &hint) ||
		n < 100 || n > 60 * 60 * 1000)
		report_value(def->defname, "The time is from 100ms to 1h.");
	return n;
}

static void
report_unknown(const char *name)
{
	SthClosest	closest;

	sth_closest_begin(&closest, name);
	for (int i = 0; i < (int) lengthof(server_options); i++)
		sth_closest_add(&closest, server_options[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\" for %s", name,
					"a server of the wrapper streamhouse"),
			 closest.best ?
			 errhint("Perhaps you meant the option \"%s\".", closest.best) :
			 errhint("A server that keeps topics in a bucket has the option \"url\", s3://bucket/prefix.")));
}

/* Sets one option; returns its place in server_options. */
static int
parse_option(DefElem *def, SthServerOptions *result)
{
	int			i;
	char	   *place;

	for (i = 0; i < (int) lengthof(server_options); i++)
		if (strcmp(def->defname, server_options[i].name) == 0)
			break;
	if (i == (int) lengthof(server_options))
		report_unknown(def->defname);
	place = (char *) result + server_options[i].place;
	switch (server_options[i].kind)
	{
		case OPTION_URL:
			parse_url(defGetString(def), result);
			break;
		case OPTION_TEXT:
			if (*defGetString(def) == '\0')
				report_value(def->defname, "It is empty.");
			*(char **) place = defGetString(def);
			break;
		case OPTION_BOOL:
			*(bool *) place = defGetBoolean(def);
			break;
		case OPTION_TIME:
			*(int *) place = parse_time(def);
			break;
		case OPTION_ENCRYPTION:
			*(SthEncryption *) place = parse_encryption(defGetString(def));
			break;
	}
	return i;
}

static void
parse_options(List *options, SthServerOptions *result, bool check_privilege)
{
	ListCell   *lc;

	memset(result, 0, sizeof(SthServerOptions));
	result->region = pstrdup(DEFAULT_REGION);
	result->create_once = true;
	result->multi_delete = true;
	result->checksum = true;
	result->connect_timeout = 10 * 1000;
	result->request_timeout = 30 * 1000;
	result->retry_timeout = 60 * 1000;
	/* only Amazon has a name for every bucket, in most cases */
	foreach(lc, options)
		if (strcmp(lfirst_node(DefElem, lc)->defname, "endpoint") == 0)
		result->path_style = true;
	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		int			i = parse_option(def, result);

		if (check_privilege && server_options[i].superuser && !superuser())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to set option \"%s\"",
							def->defname),
					 errhint("Only a superuser may: it gives the server's owner what is the machine's.")));
	}
}

/* A server that keeps topics in the database has no option but "url". */
static void
check_no_other(List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "url") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
					 errmsg("option \"%s\" is for servers that keep topics in a bucket",
							def->defname),
					 errhint("The option \"url\" says in which: s3://bucket/prefix.")));
	}
}

/*
 * Checks the options of a server, as CREATE SERVER and ALTER SERVER leave
 * them.
 */
void
sth_server_check_options(List *options)
{
	SthServerOptions parsed;

	/*
	 * ALTER SERVER hands over all options, so who is no superuser cannot
	 * change a server that has such an option, nor send elsewhere what it is
	 * trusted with.
	 */
	parse_options(options, &parsed, true);
	if (parsed.bucket == NULL)
		check_no_other(options);
	if (parsed.endpoint != NULL)
		check_endpoint(parsed.endpoint);
	if (parsed.kms_key_id != NULL && parsed.encryption != STH_ENCRYPTION_KMS)
		report_value("kms_key_id", "It needs the option sse 'aws:kms'.");
	if (strspn(parsed.region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(parsed.region))
		report_value("region", "It has lower-case letters, digits and hyphens.");
}

/* Checks the options of a user mapping. */
void
sth_server_check_mapping(List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		SthClosest	closest;
		bool		known = false;

		sth_closest_begin(&closest, def->defname);
		for (int i = 0; i < (int) lengthof(mapping_options); i++)
		{
			known |= strcmp(def->defname, mapping_options[i]) == 0;
			sth_closest_add(&closest, mapping_options[i]);
		}
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\" for %s", def->defname,
							"a user mapping of the wrapper streamhouse"),
					 closest.best ?
					 errhint("Perhaps you meant the option \"%s\".", closest.best) :
					 errhint("Valid options are: %s.", "access_key_id, secret_access_key, session_token")));
		if (strcspn(defGetString(def), "\r\n") != strlen(defGetString(def)))
			report_value(def->defname, "It has a line break.");
	}
}

/* Does a server keep objects elsewhere than in the database? */
bool
sth_server_is_remote(Oid oid)
{
	ForeignServer *server = GetForeignServerExtended(oid, FSV_MISSING_OK);
	ListCell   *lc;

	if (server != NULL)
		foreach(lc, server->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "url") == 0)
			return strcmp(defGetString(def), DATABASE_URL) != 0;
	}
	return false;
}

/*
 * Locks what a server's options say until the transaction ends: an object is
 * written in the shared mode, and where objects are is changed in the
 * exclusive one.  False if the lock cannot be had at once, unless it may wait.
 */
bool
sth_server_lock(Oid oid, LOCKMODE lockmode, bool may_wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ForeignServerRelationId, oid, 0);
	if (LockAcquire(&tag, lockmode, false, !may_wait) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	/* with the lock came the news of who had it before */
	AcceptInvalidationMessages();
	return true;
}

/* The options of a user's mapping for a server; false if there is none. */
static bool
find_mapping(Oid user, Oid server, List **options)
{
	HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
										ObjectIdGetDatum(user),
										ObjectIdGetDatum(server));
	Datum		datum;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return false;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple,
							Anum_pg_user_mapping_umoptions, &isnull);
	*options = isnull ? NIL : untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return true;
}

/* A server as it is now; if there is none, an error or NULL. */
SthServer *
sth_server_get(Oid oid, bool missing_ok)
{
	ForeignServer *server = GetForeignServerExtended(oid,
													 missing_ok ? FSV_MISSING_OK : 0);
	SthServer  *result;
	List	   *mapping = NIL;
	ListCell   *lc;

	if (server == NULL)
		return NULL;
	result = palloc0(sizeof(SthServer));
	result->oid = oid;
	result->name = server->servername;
	parse_options(server->options, &result->options, false);
	result->may_use_environment = result->options.use_environment ||
		superuser_arg(server->owner);
	if (!find_mapping(server->owner, oid, &mapping))
		(void) find_mapping(InvalidOid, oid, &mapping);
	foreach(lc, mapping)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "access_key_id") == 0)
			result->access_key_id = defGetString(def);
		else if (strcmp(def->defname, "secret_access_key") == 0)
			result->secret_access_key = defGetString(def);
		else if (strcmp(def->defname, "session_token") == 0)
			result->session_token = defGetString(def);
	}
	return result;
}
