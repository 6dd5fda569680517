/*-------------------------------------------------------------------------
 *
 * look.c
 *	  What a worker that starts finds.
 *
 * Notes of what waits in tails are lost with shared memory (log/unflushed.c),
 * so the tails of all logs are looked at once.  Objects that were on their way
 * to a bucket are given up: who was sending them is not there any more, and
 * the rows are in the tail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/guc.h"
#include "catalog/objects.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "flush/flush.h"
#include "log/log.h"
#include "log/owner.h"
#include "log/tail.h"
#include "log/unflushed.h"
#include "miscadmin.h"
#include "segment/remove.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/*
 * Notes what a log's tail has, as if it had just been committed; false if it
 * cannot be looked at now.
 */
static bool
look_at_log(int32 log_id, void *arg)
{
	int64		limit = (int64) sth_segment_size * 1024;
	int64		bytes = 0;
	int32		topic_id;
	Oid			relid;
	Snapshot	snapshot;
	SthTailScan *scan;
	SthTailRow	row;
	SthSequence *sequence;

	switch (sth_owner_lock_log(log_id, &topic_id, &relid))
	{
		case STH_LOG_GONE:
			return true;
		case STH_LOG_BUSY:
			return false;
		case STH_LOG_LOCKED:
			break;
	}
	snapshot = sth_fresh_snapshot();
	scan = sth_tail_begin_scan(snapshot);
	sth_tail_seek(scan, log_id, STH_STAGE_NONE,
				  sth_log_tail_start(log_id, snapshot));
	while (bytes < limit && sth_tail_next(scan, &row))
	{
		CHECK_FOR_INTERRUPTS();
		/* staged rows are many */
		bytes += row.kind == STH_FRAME_STAGED ? limit : (int64) row.frame_len;
	}
	sth_tail_end_scan(scan);
	UnregisterSnapshot(snapshot);
	if (bytes == 0)
		return true;
	sequence = sth_log_try_open(log_id);
	if (sequence != NULL && sth_unflushed_since(sth_relations()->tail, log_id) == 0)
	{
		Relation	rel = sth_topic_open(relid, NoLock);
		SthTopic   *topic = sth_topic_get(rel);

		(void) sth_unflushed_add(sequence, bytes, GetCurrentTimestamp(),
								 topic->segment_size, topic->flush_interval);
		relation_close(rel, NoLock);
	}
	return true;
}

/*
 * Looks at the tails of all logs, and for objects that are left over.  Called
 * by a worker that has started, as sth_flush_turn is.  False if some could not
 * be looked at, and it has to be done again.
 */
bool
sth_flush_look(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *log_ids = NIL;
	ListCell   *lc;
	bool		complete = true;

	if (!OidIsValid(sth_owner_list_logs(&log_ids)))
		return true;
	foreach(lc, log_ids)
	{
		CHECK_FOR_INTERRUPTS();
		complete &= sth_owner_work(lfirst_int(lc), look_at_log, NULL);
	}
	StartTransactionCommand();
	if (sth_owner_keep_extension())
	{
		sth_owner_lock();
		sth_objects_remove_unused();
		if (!sth_flush_is_busy())
			(void) sth_objects_orphan_uploads();
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return complete;
}
