/*-------------------------------------------------------------------------
 *
 * server.c
 *	  Servers whose topics have a history stay where it is.
 *
 * The rows of segments name objects by their keys, and the server's option
 * "url" says in which bucket, and below which prefix, these are.  Another one
 * would make all of them missing.  What leads to the bucket may change:
 * endpoint, region and credentials.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/objects.h"
#include "catalog/relations.h"
#include "catalog/server.h"
#include "commands/defrem.h"
#include "ddl/ddl.h"
#include "foreign/foreign.h"

/* Where a server's objects are; NULL: they are in the database, or nowhere. */
static char *
find_place(Oid oid)
{
	SthServer  *server;

	if (!sth_server_is_remote(oid))
		return NULL;
	server = sth_server_get(oid, false);
	return psprintf("%s/%s", server->options.bucket, server->options.prefix);
}

/* Is it a server of ours? */
static bool
is_ours(Oid oid)
{
	const SthRelations *relations = sth_relations_if_exist();

	return OidIsValid(oid) && relations != NULL &&
		GetForeignDataWrapper(GetForeignServer(oid)->fdwid)->fdwhandler ==
		relations->wrapper_handler;
}

/* Where the objects of a server are that is about to be altered. */
char *
sth_server_place(const char *name, Oid *oid)
{
	*oid = get_foreign_server_oid(name, true);
	if (!is_ours(*oid))
	{
		*oid = InvalidOid;
		return NULL;
	}
	return find_place(*oid);
}

/* They are elsewhere now; an error if there are some. */
void
sth_server_check_place(Oid oid, const char *before)
{
	char	   *now = find_place(oid);

	if ((now == NULL && before == NULL) ||
		(now != NULL && before != NULL && strcmp(now, before) == 0))
		return;
	/* the worker may be about to write the first object */
	(void) sth_server_lock(oid, AccessExclusiveLock, true);
	if (sth_server_has_objects(oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot change where server \"%s\" keeps topics",
						GetForeignServer(oid)->servername),
				 errdetail("Segments of topics are kept there."),
				 errhint("Create another server.")));
}
