/*-------------------------------------------------------------------------
 *
 * commands.c
 *	  Commands that concern workers: on databases and on extensions.
 *
 * PostgreSQL refuses to drop, rename, move or copy a database while another
 * process is connected to it, and tells only its own workers to leave.  So
 * before such a command the database is parked, which makes our worker leave,
 * and released when the transaction ends, which is when other sessions can
 * connect again.  If the command fails it is released at once.  Parking is
 * only for who may run the command; else anybody could keep the workers of
 * all databases away by commands that fail.
 *
 * The name is looked up twice, here and by the command.  Should it mean
 * another database by then, the command finds that one's worker connected,
 * and fails as it does when any session is.
 *
 * A database that has been created or altered, and one in which an extension
 * was created, altered or dropped, gets its worker woken when that has been
 * committed: it will find out whether there is anything for it.  What a
 * prepared transaction has done is not known any more when that is committed,
 * so COMMIT PREPARED always wakes the worker.
 *
 * Failure: what was noted is forgotten when the transaction aborts; a wake-up
 * for what a subtransaction has undone does no harm.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/transaction.h"
#include "base/utility.h"
#include "base/wakeup.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "worker/worker.h"

/* The databases to be woken at the commit; in TopTransactionContext. */
static List *to_wake = NIL;

static object_access_hook_type prev_object_access_hook = NULL;
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;

static const char *
find_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst(lc);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		may;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	may = HeapTupleIsValid(tuple) &&
		((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return may;
}

/* May the current user copy a database? */
static bool
may_copy(Oid database)
{
	HeapTuple	tuple;
	bool		is_template;

	if (!may_create_databases())
		return false;
	if (sth_owns_database(database))
		return true;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	is_template = HeapTupleIsValid(tuple) &&
		((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return is_template;
}

/* The database that nobody may be in for this command, or NULL. */
static const char *
find_database(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
			{
				const char *source =
				find_option(((CreatedbStmt *) statement)->options, "template");

				return source != NULL ? source : "template1";
			}
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) statement)->subname;
			return NULL;
		case T_AlterDatabaseStmt:
			if (find_option(((AlterDatabaseStmt *) statement)->options,
							"tablespace") != NULL)
				return ((AlterDatabaseStmt *) statement)->dbname;
			return NULL;
		default:
			return NULL;
	}
}

/*
 * Parks the database, if there is one and the user may do what the statement
 * does; if not, the statement says so.
 */
static void
park_for(Node *statement)
{
	const char *name = find_database(statement);
	Oid			database;

	if (name == NULL)
		return;
	database = get_database_oid(name, true);
	if (OidIsValid(database) &&
		(IsA(statement, CreatedbStmt) ? may_copy(database) :
		 sth_owns_database(database)))
		sth_worker_park(database);
}

static bool
commits_prepared(Node *statement)
{
	return IsA(statement, TransactionStmt) &&
		((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

static void
on_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (find_database(pstmt->utilityStmt) == NULL)
	{
		sth_run_utility(prev_ProcessUtility_hook, pstmt, query, read_only_tree,
						context, params, env, dest, qc);
		if (commits_prepared(pstmt->utilityStmt))
			sth_worker_wake();
		return;
	}
	PG_TRY();
	{
		park_for(pstmt->utilityStmt);
		sth_run_utility(prev_ProcessUtility_hook, pstmt, query, read_only_tree,
						context, params, env, dest, qc);
	}
	PG_CATCH();
	{
		sth_worker_release();
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static void
on_object_access(ObjectAccessType access, Oid class_id, Oid object_id,
				 int sub_id, void *arg)
{
	MemoryContext context;

	if (prev_object_access_hook)
		prev_object_access_hook(access, class_id, object_id, sub_id, arg);

	if (access != OAT_POST_CREATE && access != OAT_POST_ALTER &&
		access != OAT_DROP)
		return;
	if (class_id != ExtensionRelationId &&
		(class_id != DatabaseRelationId || access == OAT_DROP))
		return;
	context = MemoryContextSwitchTo(TopTransactionContext);
	to_wake = list_append_unique_oid(to_wake, class_id == DatabaseRelationId ?
									 object_id : MyDatabaseId);
	MemoryContextSwitchTo(context);
}

/* Must not fail: it runs after the commit record. */
static void
at_transaction_event(XactEvent event)
{
	ListCell   *lc;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
			foreach(lc, to_wake)
				sth_worker_wake_database(lfirst_oid(lc));
			/* FALLTHROUGH */
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			to_wake = NIL;
			sth_worker_release();
			break;
		default:
			break;
	}
}

/* Called once, from _PG_init. */
void
sth_commands_init(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = on_object_access;
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	sth_transaction_register(STH_AT_END,
							 at_transaction_event);
}
