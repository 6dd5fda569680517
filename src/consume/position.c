/*-------------------------------------------------------------------------
 *
 * position.c
 *	  How far consumer groups have come.
 *
 * A group's position in a log is the newest of its rows in
 * streamhouse.position: moving on inserts a row with the next number and
 * deletes the one before.  Nothing is updated in place, so that no chain of
 * dead versions grows under an old snapshot, and the newest row is the last
 * in the index, so that no reader crosses the dead ones.
 *
 * Whoever moves a position holds the claim on it (claim.c), so there is one
 * at a time.
 *
 * Failure: insert and delete are the transaction's, and go with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/compat.h"
#include "catalog/indexing.h"
#include "catalog/relations.h"
#include "consume/group.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/*
 * Reads a position as it is now, whatever snapshot the transaction has.  A
 * group that has not polled yet stands at the log's start.
 */
void
sth_position_read(int32 group_id, int32 log_id, SthPosition *position)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	Relation	rel = table_open(relations->position, AccessShareLock);
	Relation	index = index_open(relations->position_idx, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_sth_position_group_id, BTEqualStrategyNumber,
				F_INT4EQ, Int32GetDatum(group_id));
	ScanKeyInit(&keys[1], Anum_sth_position_log_id, BTEqualStrategyNumber,
				F_INT4EQ, Int32GetDatum(log_id));
	scan = systable_beginscan_ordered(rel, index, snapshot, 2, keys);
	tuple = systable_getnext_ordered(scan, BackwardScanDirection);
	if (tuple != NULL)
	{
		FormData_sth_position *form = (FormData_sth_position *) GETSTRUCT(tuple);

		position->next_offset = form->next_offset;
		position->seq = form->seq;
		position->tid = tuple->t_self;
		position->xmin = HeapTupleHeaderGetXmin(tuple->t_data);
	}
	else
	{
		position->next_offset = 0;
		position->seq = 0;
		position->xmin = InvalidTransactionId;
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	position->next_offset = Max(position->next_offset,
								sth_log_start_offset(log_id, snapshot));
	UnregisterSnapshot(snapshot);
}

/*
 * Moves a position on.  The next look at it in this transaction, and in this
 * statement, sees that.
 */
void
sth_position_advance(int32 group_id, int32 log_id, const SthPosition *from,
					 int64 next_offset)
{
	Relation	rel = table_open(sth_relations()->position, RowExclusiveLock);
	Datum		values[Natts_sth_position];
	bool		isnull[Natts_sth_position] = {0};
	ItemPointerData tid = from->tid;

	if (from->seq > 0)
		simple_heap_delete(rel, &tid);
	values[Anum_sth_position_group_id - 1] = Int32GetDatum(group_id);
	values[Anum_sth_position_log_id - 1] = Int32GetDatum(log_id);
	values[Anum_sth_position_seq - 1] = Int64GetDatum(from->seq + 1);
	values[Anum_sth_position_next_offset - 1] = Int64GetDatum(next_offset);
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, isnull));
	table_close(rel, RowExclusiveLock);
	CommandCounterIncrement();
}
