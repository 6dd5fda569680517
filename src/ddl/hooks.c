/*-------------------------------------------------------------------------
 *
 * hooks.c
 *	  Noticing what DDL does to topics.
 *
 * PostgreSQL's object-access hook tells of every relation that is created,
 * altered or dropped, whatever the statement: a cascade, DROP OWNED, a change
 * that a parent table hands down, an extension's script, with triggers on or
 * off.  It calls in the middle of the change, so only the OID is noted there.
 * When the statement is done, src/ddl/sync.c compares the foreign tables that
 * were noted with streamhouse.topic and brings that in step, or objects.
 *
 * Event triggers would do less: a change handed down by a parent table is not
 * among the commands that they are shown, and single-user mode has none.
 *
 * Failure: sync works in the transaction of the statement and is undone with
 * it.  What was noted by a transaction or subtransaction that aborts is
 * forgotten.
 *
 * Memory: the list is in TopTransactionContext.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "base/transaction.h"
#include "base/utility.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_inherits.h"
#include "catalog/relations.h"
#include "ddl/ddl.h"
#include "log/log.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* A foreign table that the statement has touched. */
typedef struct Touched
{
	struct Touched *next;
	Oid			relid;
	bool		created;
	int			nest_level;		/* of transactions */
	int			depth;			/* of statements */
} Touched;

static Touched *touched = NULL;

/* How many utility statements are on, one within the other. */
static int	statement_depth = 0;

static object_access_hook_type prev_object_access_hook = NULL;
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;

static void
note_touched(Oid relid, bool created)
{
	Touched    *item;

	for (item = touched; item != NULL; item = item->next)
		if (item->relid == relid && item->depth == statement_depth &&
			item->nest_level == GetCurrentTransactionNestLevel())
		{
			item->created |= created;
			return;
		}
	item = MemoryContextAlloc(TopTransactionContext, sizeof(Touched));
	item->relid = relid;
	item->created = created;
	item->nest_level = GetCurrentTransactionNestLevel();
	item->depth = statement_depth;
	item->next = touched;
	touched = item;
}

/* 'sub_id' is not 0 when a column of the relation is dropped. */
static void
note_drop(Oid class_id, Oid object_id, int sub_id)
{
	if (class_id == DatabaseRelationId)
		sth_log_database_dropped(object_id);
	else if (class_id == ForeignServerRelationId)
		sth_log_server_dropped(object_id);
	else if (class_id == RelationRelationId)
	{
		char		relkind = get_rel_relkind(object_id);

		if (relkind == RELKIND_FOREIGN_TABLE)
			note_touched(object_id, false);
		/* of DROP EXTENSION; what else we have may be gone already */
		else if (relkind == RELKIND_RELATION && sub_id == 0 &&
				 strcmp(get_rel_name(object_id), "tail") == 0 &&
				 get_rel_namespace(object_id) ==
				 get_namespace_oid(STH_SCHEMA, true))
			sth_log_tail_dropped(object_id);
	}
}

static void
on_object_access(ObjectAccessType access, Oid class_id, Oid object_id,
				 int sub_id, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, class_id, object_id, sub_id, arg);

	if (IsBinaryUpgrade || !IsNormalProcessingMode())
		return;
	switch (access)
	{
		case OAT_POST_CREATE:
			/* of any kind: a new relation is not in the caches yet */
			if (class_id == RelationRelationId)
				note_touched(object_id, sub_id == 0);
			break;
		case OAT_POST_ALTER:
			if (class_id == ForeignTableRelationId ||
				(class_id == RelationRelationId &&
				 get_rel_relkind(object_id) == RELKIND_FOREIGN_TABLE))
				note_touched(object_id, false);
			break;
		case OAT_DROP:
			note_drop(class_id, object_id, sub_id);
			break;
		default:
			break;
	}
}

/*
 * Brings what was noted in step: by statements of at least this depth, since
 * an outer one is in the middle of its work.
 */
static void
sync_touched(int depth)
{
	Touched   **link = &touched;

	/* what ends an aborted subtransaction is a statement too */
	if (touched == NULL || !IsTransactionState())
		return;
	CommandCounterIncrement();
	while (*link != NULL)
	{
		Touched    *item = *link;

		if (item->depth < depth)
		{
			link = &item->next;
			continue;
		}
		*link = item->next;
		sth_topic_sync(item->relid, item->created);
		pfree(item);
		/* syncing writes to our tables and touches no relation */
	}
}

/*
 * Notes the tables of an ALTER TABLE before it runs.  Not all that it changes
 * is told of by object access: from PostgreSQL 18 on a NOT NULL constraint is
 * an object of its own.
 */
static void
note_altered(AlterTableStmt *stmt)
{
	Oid			relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	if (!has_subclass(relid))
	{
		if (get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE)
			note_touched(relid, false);
		return;
	}
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
		note_touched(lfirst_oid(lc), false);
}

static void
on_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	int			depth = ++statement_depth;

	PG_TRY();
	{
		char	   *place = NULL;
		Oid			server = InvalidOid;

		if (IsA(pstmt->utilityStmt, AlterTableStmt) && !IsBinaryUpgrade)
			note_altered((AlterTableStmt *) pstmt->utilityStmt);
		if (IsA(pstmt->utilityStmt, AlterForeignServerStmt))
			place = sth_server_place(((AlterForeignServerStmt *) pstmt->utilityStmt)->servername,
									 &server);
		sth_run_utility(prev_ProcessUtility_hook, pstmt, query, read_only_tree,
						context, params, env, dest, qc);
		sync_touched(depth);
		if (OidIsValid(server))
		{
			CommandCounterIncrement();
			sth_server_check_place(server, place);
		}
	}
	PG_FINALLY();
	{
		statement_depth = depth - 1;
	}
	PG_END_TRY();
}

static void
at_transaction_event(XactEvent event)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			/* drops that no statement of SQL has made */
			sync_touched(0);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			touched = NULL;
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId id,
					  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	Touched   **link = &touched;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (*link != NULL)
	{
		Touched    *item = *link;

		if (item->nest_level >= level && event == SUBXACT_EVENT_ABORT_SUB)
		{
			*link = item->next;
			continue;
		}
		item->nest_level = Min(item->nest_level, level - 1);
		link = &item->next;
	}
}

void
sth_ddl_init(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = on_object_access;
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	sth_transaction_register(STH_AT_END | STH_AT(PRE_COMMIT) | STH_AT(PRE_PREPARE),
							 at_transaction_event);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
