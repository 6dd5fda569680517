/*-------------------------------------------------------------------------
 *
 * start.c
 *	  Where logs begin, and how that moves.
 *
 * Offsets below a log's start are gone for every snapshot that shows the new
 * start.  What lies wholly below it, segments and rows of the tail, is deleted
 * by the transaction that moves it; of a segment, block or frame that reaches
 * beyond the start readers pass over what is below.
 *
 * Locking: the caller has locked the topic in STH_LOG_LOCKMODE (owner.h) or
 * a stronger mode.
 *
 * Failure: all of it is the caller's transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "catalog/segments.h"
#include "log/log.h"
#include "log/start.h"
#include "log/tail.h"
#include "segment/remove.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/*
 * Sets the start in the log's row, unless it is later; returns what it was,
 * or -1 if the log is gone.
 */
static int64
set_start(int32 log_id, int64 start, Snapshot snapshot)
{
	const SthRelations *relations = sth_relations();
	SthCatalogScan *scan;
	HeapTuple	tuple;
	int64		old_start = -1;

	scan = sth_catalog_begin(relations->log, relations->log_pkey,
							 RowExclusiveLock, snapshot, Anum_sth_log_log_id,
							 Int32GetDatum(log_id), INT4OID);
	tuple = sth_catalog_next(scan);
	if (tuple != NULL)
	{
		old_start = ((FormData_sth_log *) GETSTRUCT(tuple))->start_offset;
		if (old_start < start)
		{
			tuple = heap_copytuple(tuple);
			((FormData_sth_log *) GETSTRUCT(tuple))->start_offset = start;
			CatalogTupleUpdate(sth_catalog_relation(scan), &tuple->t_self,
							   tuple);
		}
	}
	sth_catalog_end(scan);
	return old_start;
}

/*
 * Moves a log's start to an offset below which nothing can appear any more,
 * unless it is there or beyond already.  Returns the start.
 */
int64
sth_log_move_start(int32 log_id, int64 start)
{
	Snapshot	snapshot;
	int64		old_start;
	int64		tail_start;

	CommandCounterIncrement();
	snapshot = sth_fresh_snapshot();
	old_start = set_start(log_id, start, snapshot);
	tail_start = Max(old_start, sth_segments_log_end(log_id, snapshot));
	UnregisterSnapshot(snapshot);
	if (old_start < 0 || old_start >= start)
		return old_start;
	sth_log_start_moved();
	sth_segments_remove(log_id, start);
	if (tail_start < start)
		(void) sth_tail_delete_until(log_id, tail_start, start);
	CommandCounterIncrement();
	return start;
}
