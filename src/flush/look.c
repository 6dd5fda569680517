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
#include "log/measure.h"
#include "log/owner.h"
#include "log/tail_size.h"
#include "log/unflushed.h"
#include "miscadmin.h"
#include "segment/remove.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/*
 * Since when a tail's rows have waited, going by the time of the first.  Where
 * a row was given another than the clock's, that may be anything; so rows do
 * not count as older than makes them due, nor as of the future.
 */
static TimestampTz
waiting_since(const SthTailMeasure *measure, const SthTopic *topic)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		interval = topic->flush_interval ? topic->flush_interval :
	sth_flush_interval;

	if (measure->oldest == 0)
		return now;
	return Min(Max(measure->oldest, now - interval * USECS_PER_SEC), now);
}

/* Notes what a log's tail has; false if it cannot be looked at now. */
static bool
look_at_log(int32 log_id, void *arg)
{
	SthTailMeasure measure;
	int32		topic_id;
	Oid			relid;
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
	measure = sth_tail_measure(log_id, (int64) sth_segment_size * 1024);
	if (measure.bytes == 0)
		return true;
	sequence = sth_log_try_open(log_id);
	if (sequence != NULL)
	{
		Relation	rel = sth_topic_open(relid, NoLock);
		SthTopic   *topic = sth_topic_get(rel);

		sth_tail_size_attach(sequence, topic->server);
		sth_tail_size_measured(sequence, measure.stored);
		if (sth_unflushed_since(sth_relations()->tail, log_id) == 0)
			(void) sth_unflushed_add(sequence, measure.bytes, 0,
									 waiting_since(&measure, topic),
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
			sth_objects_give_up();
	}
	else
		complete = false;
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return complete;
}
