/*-------------------------------------------------------------------------
 *
 * count.c
 *	  Counting what flushes have done, for the view stat_flush.
 *
 * What was written counts when the transaction that makes it known commits,
 * and goes with its topic (base/tally.c).  A failure has no such transaction:
 * it is counted by another, if the topic is still there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/tally.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "flush/count.h"
#include "foreign/fdwapi.h"
#include "log/failures.h"
#include "storage/lmgr.h"
#include "utils/timestamp.h"

/*
 * A segment of a topic has been written.  To be called in the transaction that
 * makes it known, with the topic locked; 'bytes' is what its frames had,
 * decompressed, 'began' when the writing of its object did.
 */
void
sth_flush_count(int32 topic_id, const SthSegment *segment, int64 bytes,
				TimestampTz began)
{
	Oid			tail = sth_relations()->tail;
	SthCounts  *flushes = sth_tally_of(tail, topic_id, STH_STATS_FLUSHES);

	/* an object may have several segments of a topic */
	if (flushes->counters[STH_FLUSH_OBJECTS] == 0)
	{
		flushes->counters[STH_FLUSH_OBJECTS] = 1;
		sth_counts_add_time(flushes, GetCurrentTimestamp() - began);
	}
	flushes->counters[STH_FLUSH_SEGMENTS]++;
	flushes->counters[STH_FLUSH_ROWS] += segment->nrows;
	flushes->counters[STH_FLUSH_BYTES] += bytes;
	flushes->counters[STH_FLUSH_STORED_BYTES] += segment->len;
	sth_counts_add_time(sth_tally_of(tail, topic_id, STH_STATS_SEGMENTS),
						bytes / 1024);
}

/*
 * A segment of a topic could not be written.  To be called in a transaction
 * of its own.
 */
void
sth_flush_count_failure(int32 topic_id, const ErrorData *error)
{
	Oid			tail = sth_relations()->tail;
	Oid			relid = sth_topic_relid(topic_id);

	/* who holds it may be about to drop it */
	if (!OidIsValid(relid) ||
		!ConditionalLockRelationOid(relid, AccessShareLock) ||
		!OidIsValid(sth_topic_relid(topic_id)))
		return;
	sth_tally_of(tail, topic_id, STH_STATS_FLUSHES)->counters[STH_FLUSH_FAILURES]++;
	sth_failures_note(tail, GetForeignServerIdByRelId(relid), topic_id, error);
}
