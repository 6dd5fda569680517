/*-------------------------------------------------------------------------
 *
 * function.c
 *	  flush(): waits until what has been committed is in segments.
 *
 * Only the worker writes segments.  The function notes in shared memory up to
 * which offset each log is to have some, wakes the worker, or has one started,
 * and looks whether they are there whenever it is woken.
 *
 * Failure: a flush that fails in the worker is told of by a counter, and
 * becomes an error here, if it began after it was asked for.  A worker that
 * has ended in between is asked again after a second.  What would be a
 * deadlock with it is an error, see check_deadlock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/wakeup.h"
#include "catalog/relations.h"
#include "catalog/segments.h"
#include "catalog/topic.h"
#include "common/string.h"
#include "fmgr.h"
#include "log/failures.h"
#include "log/log.h"
#include "log/owner.h"
#include "log/unflushed.h"
#include "log/waiters.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sth_flush);

/* How long to wait before the worker is asked again, in milliseconds. */
#define ASK_AGAIN_MS 1000

/* A log whose segments are waited for. */
typedef struct Target
{
	int			partition;
	int32		log_id;
	int64		wanted;			/* segments are to reach this offset */
	uint32		tries;			/* that had begun before it was asked for */
} Target;

/* The topic that is flushed; it may be dropped meanwhile. */
typedef struct Asked
{
	Oid			relid;
	int32		topic_id;
	const char *name;
} Asked;

static void
check_workers(void)
{
	if (sth_max_workers == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no background worker may run that could write segments"),
				 errhint("Set streamhouse.max_workers to 1 or more.")));
}

/* Where the log's segments end, or its start is if that is later. */
static int64
flushed_until(int32 log_id)
{
	Snapshot	snapshot = sth_fresh_snapshot();
	int64		end = sth_log_tail_start(log_id, snapshot);

	UnregisterSnapshot(snapshot);
	return end;
}

/* The logs of a topic that have something in their tails, as Targets. */
static List *
list_targets(const SthTopic *topic)
{
	List	   *targets = NIL;

	for (int i = 0; i < topic->npartitions; i++)
	{
		Snapshot	snapshot = sth_fresh_snapshot();
		int64		end = sth_log_end(topic->log_ids[i], snapshot);
		Target	   *target;

		UnregisterSnapshot(snapshot);
		if (end <= flushed_until(topic->log_ids[i]))
			continue;
		target = palloc0(sizeof(Target));
		target->partition = i;
		target->log_id = topic->log_ids[i];
		target->wanted = end;
		(void) sth_log_open(target->log_id);
		target->tries = sth_unflushed_ask(sth_relations()->tail,
										  target->log_id, end);
		targets = lappend(targets, target);
	}
	return targets;
}

static void
check_failures(const Asked *topic, const Target *target)
{
	SthFailure	failure;
	bool		known;

	if (!sth_unflushed_failed(sth_relations()->tail, target->log_id,
							  target->tries))
		return;
	known = sth_failures_of_topic(sth_relations()->tail, topic->topic_id,
								  &failure);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("could not write a segment of partition %d of topic \"%s\"",
					target->partition, topic->name),
			 known ?
			 errdetail("%s%s The rows are where they were, in the tail.",
					   failure.message, pg_str_endswith(failure.message, ".") ? "" : ".") :
			 errdetail("The cause is in the server's log. The rows are where they were, in the tail."),
			 errhint("It is tried again by itself, and by the next flush().")));
}

/* Does a process wait for a lock that this one has, or wants before it? */
static bool
waits_for_us(int pid)
{
	ArrayType  *pids = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids,
															  Int32GetDatum(pid)));
	const int32 *blocking = (const int32 *) ARR_DATA_PTR(pids);
	int			n = ArrayGetNItems(ARR_NDIM(pids), ARR_DIMS(pids));

	for (int i = 0; i < n; i++)
		if (blocking[i] == MyProcPid)
			return true;
	return false;
}

/* Does a lock, held or waited for, keep the worker from a topic? */
static bool
is_in_the_way(const LockInstanceData *lock, Oid relid)
{
	if (lock->locktag.locktag_type != LOCKTAG_RELATION ||
		lock->locktag.locktag_field1 != MyDatabaseId ||
		lock->locktag.locktag_field2 != relid || lock->pid == MyProcPid)
		return false;
	for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
		if (((lock->holdMask & LOCKBIT_ON(mode)) != 0 ||
			 lock->waitLockMode == mode) &&
			DoLockModesConflict(mode, STH_LOG_LOCKMODE))
			return true;
	return false;
}

/*
 * The worker does not wait for locks on topics, so PostgreSQL does not see it
 * when it cannot get one for our sake: a process that has it, or is to have it
 * next, waits for a lock that this transaction has taken before.  That process
 * would wait for us, and we for the worker, for ever.
 */
static void
check_deadlock(const Asked *topic)
{
	LockData   *locks = GetLockStatusData();

	for (int i = 0; i < locks->nelements; i++)
	{
		int			pid = locks->locks[i].pid;

		if (is_in_the_way(&locks->locks[i], topic->relid) && waits_for_us(pid))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
					 errmsg("cannot flush topic \"%s\" because another process waits for a lock of this transaction",
							topic->name),
					 errdetail("Process %d waits until this transaction ends, and the worker, which writes segments, cannot lock the topic before it.",
							   pid),
					 errhint("Call flush() in a transaction of its own.")));
	}
}

/* Waits for the segments of one log, or until it is dropped. */
static void
wait_for_target(const Asked *topic, const Target *target)
{
	Oid			tail = sth_relations()->tail;
	TimestampTz ask_at = 0;

	while (flushed_until(target->log_id) < target->wanted &&
		   OidIsValid(sth_log_relid(target->log_id, NULL, NULL)))
	{
		check_failures(topic, target);
		check_workers();
		if (ask_at <= GetCurrentTimestamp())
		{
			/* the worker has had a second */
			if (ask_at != 0)
				check_deadlock(topic);
			(void) sth_unflushed_ask(tail, target->log_id, target->wanted);
			sth_worker_wake();
			ask_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												 ASK_AGAIN_MS);
		}
		(void) sth_waiters_sleep(ask_at, STH_WAIT_FOR_FLUSH);
	}
}

/*
 * No lock is held while it waits: DDL that waited for it would keep the worker
 * from the topic, and all three would wait.
 */
static void
flush_topic(Relation rel)
{
	SthTopic   *topic = sth_topic_get(rel);
	Asked		asked = {topic->relid, topic->topic_id, pstrdup(RelationGetRelationName(rel))};
	List	   *targets;
	ListCell   *lc;

	/* the worker would wait for us */
	if (CheckRelationLockedByMe(rel, STH_LOG_LOCKMODE, true))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot flush topic \"%s\" because this transaction has changed it",
						RelationGetRelationName(rel)),
				 errhint("COMMIT first.")));
	sth_waiters_begin(topic->topic_id);
	targets = list_targets(topic);
	relation_close(rel, AccessShareLock);
	foreach(lc, targets)
		wait_for_target(&asked, lfirst(lc));
	sth_waiters_end();
}

/* The tables of the topics that the user owns. */
static List *
list_own_topics(void)
{
	Relation	rel = table_open(sth_relations()->topic, AccessShareLock);
	Snapshot	snapshot = sth_fresh_snapshot();
	SysScanDesc scan = systable_beginscan(rel, sth_relations()->topic_pkey,
										  true, snapshot, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Oid			relid = ((FormData_sth_topic *) GETSTRUCT(tuple))->relid;

		if (get_rel_name(relid) != NULL && sth_owns_relation(relid))
			result = lappend_oid(result, relid);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return result;
}

/* flush(topic) */
Datum
sth_flush(PG_FUNCTION_ARGS)
{
	ListCell   *lc;

	PreventCommandDuringRecovery("flush()");
	PreventCommandIfParallelMode("flush()");
	check_workers();
	if (PG_ARGISNULL(0))
	{
		foreach(lc, list_own_topics())
		{
			Relation	rel = try_relation_open(lfirst_oid(lc), AccessShareLock);

			/* it may have been dropped meanwhile */
			if (rel != NULL)
				flush_topic(rel);
		}
		PG_RETURN_VOID();
	}
	if (get_rel_name(PG_GETARG_OID(0)) != NULL &&
		!sth_owns_relation(PG_GETARG_OID(0)))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(PG_GETARG_OID(0))),
					   get_rel_name(PG_GETARG_OID(0)));
	flush_topic(sth_topic_open(PG_GETARG_OID(0), AccessShareLock));
	PG_RETURN_VOID();
}
