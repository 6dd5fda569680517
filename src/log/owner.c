/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  Who may change what logs already have.
 *
 * Rows of the tail are inserted by whoever commits, and each is there for
 * good, but for three: the worker, who closes gaps with voids and moves rows
 * to segments; the transaction that moves a log's start; and the one that
 * drops the topic.
 *
 * Locking, in this order:
 *
 *	0. the worker shares the lock on the extension, which DROP EXTENSION takes
 *	   before any of the tables that both of them will lock, in an order of
 *	   its own; it does not wait for it;
 *	1. the database's log-owner lock: one process at a time closes gaps of a
 *	   database, or moves rows of it elsewhere.  Nobody else takes it, so no
 *	   session's transaction keeps the worker from its work;
 *	2. the lock on the log's topic, in a mode that it can be held in by only
 *	   one at a time, and that neither producers nor readers mind.  Who moves
 *	   the start takes it too, and DDL takes a stronger one.  The worker does
 *	   not wait for it, so there is no deadlock.
 *
 * All are held to the end of the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/compat.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "commands/extension.h"
#include "log/owner.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

/*
 * Is the extension there, and will it stay until the transaction ends?  To be
 * asked by the worker before it locks anything.
 */
bool
sth_owner_keep_extension(void)
{
	Oid			extension = get_extension_oid("streamhouse", true);
	LOCKTAG		tag;

	if (!OidIsValid(extension))
		return false;
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension, 0);
	if (LockAcquire(&tag, AccessShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	/* with the lock came the news of who had it before */
	AcceptInvalidationMessages();
	return sth_relations_if_exist() != NULL;
}

/*
 * One process at a time per database; until the transaction ends.  The lock
 * is not on the tail itself, which producers share.
 */
void
sth_owner_lock(void)
{
	LockDatabaseObject(sth_relations()->tail, InvalidOid, 0, ExclusiveLock);
}

/* Locks the topic of a log, if it is there and nobody else has it. */
SthLogLock
sth_owner_lock_log(int32 log_id, int32 *topic_id, Oid *relid)
{
	*relid = sth_log_relid(log_id, topic_id, NULL);
	if (!OidIsValid(*relid))
		return STH_LOG_GONE;
	if (!ConditionalLockRelationOid(*relid, STH_LOG_LOCKMODE))
		return STH_LOG_BUSY;
	/* while it was not locked it may have gone */
	return OidIsValid(sth_log_relid(log_id, topic_id, NULL)) ?
		STH_LOG_LOCKED : STH_LOG_GONE;
}

/*
 * Does something about one log, in a transaction of the worker's own and with
 * the extension kept.  A log that is damaged is no error, because others want
 * to be served: it is said, and nothing more is to be done about it.  Returns
 * what 'work' does.
 */
bool
sth_owner_work(int32 log_id, SthLogWork work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = true;

	PG_TRY();
	{
		StartTransactionCommand();
		done = sth_owner_keep_extension() ? work(log_id, arg) : false;
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_DATA_CORRUPTED &&
			error->sqlerrcode != ERRCODE_INDEX_CORRUPTED)
			PG_RE_THROW();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("log %d is damaged: %s", log_id, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 errhint("verify() tells what can still be read.")));
		FreeErrorData(error);
		done = true;
	}
	PG_END_TRY();
	return done;
}

/*
 * The tail's OID, and in *log_ids, if it is asked for, the numbers of all
 * logs; InvalidOid if the extension is not there.  In a transaction of its own.
 */
Oid
sth_owner_list_logs(List **log_ids)
{
	MemoryContext context = CurrentMemoryContext;
	const SthRelations *relations;
	Oid			tail = InvalidOid;

	StartTransactionCommand();
	relations = sth_relations_if_exist();
	if (relations != NULL)
		tail = relations->tail;
	if (relations != NULL && log_ids != NULL)
	{
		Relation	rel = table_open(relations->log, AccessShareLock);
		Snapshot	snapshot = sth_fresh_snapshot();
		SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot,
											  0, NULL);
		HeapTuple	tuple;

		while ((tuple = systable_getnext(scan)) != NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			*log_ids = lappend_int(*log_ids,
								   ((FormData_sth_log *) GETSTRUCT(tuple))->log_id);
			MemoryContextSwitchTo(old);
		}
		systable_endscan(scan);
		UnregisterSnapshot(snapshot);
		table_close(rel, AccessShareLock);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return tail;
}
