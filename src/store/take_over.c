/*-------------------------------------------------------------------------
 *
 * take_over.c
 *	  take_over(): this database deletes in a bucket from now on.
 *
 * See holder.c for what that means and why it has to be said.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "catalog/pg_foreign_server.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "store/holder.h"
#include "store/stores.h"
#include "utils/acl.h"

PG_FUNCTION_INFO_V1(sth_take_over);

/* take_over(server) */
Datum
sth_take_over(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*PG_GETARG_NAME(0));
	Oid			oid = get_foreign_server_oid(name, false);
	SthHolder  *holder;

	PreventCommandDuringRecovery("take_over()");
	if (!sth_owns_server(oid))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, name);
	if (!sth_server_is_remote(oid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" keeps topics in this database", name),
				 errhint("Only of a bucket there can be copies that know the same objects.")));
	holder = sth_holder_begin(oid, STH_HOLDING_TAKE);
	while (!sth_holder_is_done(holder))
		sth_holder_wait(holder);
	sth_holder_check(holder);
	sth_holder_end(holder);
	PG_RETURN_VOID();
}
