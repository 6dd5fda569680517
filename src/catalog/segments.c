/*-------------------------------------------------------------------------
 *
 * segments.c
 *	  What streamhouse.segment says.
 *
 * The segments of a log follow each other from its start on: each begins
 * where the one before ends.  They are found by where they end, so the one
 * that has offset n is the first with end_offset > n.  New ones come at the
 * right end of the log's index entries and old ones go at the left, so that
 * neither look crosses entries of rows that are gone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/compat.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "catalog/segments.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

struct SthSegmentScan
{
	Relation	relation;
	Relation	index;
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tuple;			/* the one returned last */
};

/* Begins to read under a snapshot that the caller keeps registered. */
SthSegmentScan *
sth_segments_begin(Snapshot snapshot)
{
	const SthRelations *relations = sth_relations();
	SthSegmentScan *scan = palloc0(sizeof(SthSegmentScan));

	scan->relation = table_open(relations->segment, AccessShareLock);
	scan->index = index_open(relations->segment_pkey, AccessShareLock);
	scan->snapshot = snapshot;
	return scan;
}

/* Goes to the first segment of a log that ends after 'from'. */
void
sth_segments_seek(SthSegmentScan *scan, int32 log_id, int64 from)
{
	ScanKeyData keys[2];

	if (scan->scan != NULL)
		systable_endscan_ordered(scan->scan);
	ScanKeyInit(&keys[0], Anum_sth_segment_log_id, BTEqualStrategyNumber,
				F_INT4EQ, Int32GetDatum(log_id));
	ScanKeyInit(&keys[1], Anum_sth_segment_end_offset, BTGreaterStrategyNumber,
				F_INT8GT, Int64GetDatum(from));
	scan->scan = systable_beginscan_ordered(scan->relation, scan->index,
											scan->snapshot, 2, keys);
	scan->tuple = NULL;
}

/* The next segment of the log; false if there is none. */
bool
sth_segments_next(SthSegmentScan *scan, FormData_sth_segment *segment)
{
	scan->tuple = systable_getnext_ordered(scan->scan, ForwardScanDirection);
	if (scan->tuple == NULL)
		return false;
	memcpy(segment, GETSTRUCT(scan->tuple), sizeof(FormData_sth_segment));
	return true;
}

/* The block index of the segment returned last, as a copy. */
struct varlena *
sth_segments_index(SthSegmentScan *scan)
{
	bool		isnull;
	Datum		index = heap_getattr(scan->tuple, Anum_sth_segment_block_index,
									 RelationGetDescr(scan->relation), &isnull);

	return PG_DETOAST_DATUM_COPY(index);
}

void
sth_segments_end(SthSegmentScan *scan)
{
	if (scan->scan != NULL)
		systable_endscan_ordered(scan->scan);
	index_close(scan->index, AccessShareLock);
	table_close(scan->relation, AccessShareLock);
	pfree(scan);
}

/* Where a log's segments end, or 0. */
int64
sth_segments_log_end(int32 log_id, Snapshot snapshot)
{
	SthSegmentScan *scan = sth_segments_begin(snapshot);
	HeapTuple	tuple;
	int64		end = 0;

	sth_segments_seek(scan, log_id, 0);
	tuple = systable_getnext_ordered(scan->scan, BackwardScanDirection);
	if (tuple != NULL)
		end = ((FormData_sth_segment *) GETSTRUCT(tuple))->end_offset;
	sth_segments_end(scan);
	return end;
}

void
sth_segment_insert(const FormData_sth_segment *segment, const void *index,
				   Size index_len)
{
	Relation	rel = table_open(sth_relations()->segment, RowExclusiveLock);
	bytea	   *bytes = palloc(VARHDRSZ + index_len);
	Datum		values[Natts_sth_segment];
	bool		isnull[Natts_sth_segment] = {0};
	HeapTuple	tuple;

	SET_VARSIZE(bytes, VARHDRSZ + index_len);
	if (index_len > 0)
		memcpy(VARDATA(bytes), index, index_len);
	values[Anum_sth_segment_log_id - 1] = Int32GetDatum(segment->log_id);
	values[Anum_sth_segment_generation - 1] = Int32GetDatum(segment->generation);
	values[Anum_sth_segment_base_offset - 1] = Int64GetDatum(segment->base_offset);
	values[Anum_sth_segment_end_offset - 1] = Int64GetDatum(segment->end_offset);
	values[Anum_sth_segment_record_count - 1] = Int64GetDatum(segment->record_count);
	values[Anum_sth_segment_min_time - 1] = TimestampTzGetDatum(segment->min_time);
	values[Anum_sth_segment_max_time - 1] = TimestampTzGetDatum(segment->max_time);
	values[Anum_sth_segment_object_id - 1] = Int64GetDatum(segment->object_id);
	values[Anum_sth_segment_position - 1] = Int64GetDatum(segment->position);
	values[Anum_sth_segment_length - 1] = Int64GetDatum(segment->length);
	values[Anum_sth_segment_block_index - 1] = PointerGetDatum(bytes);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, isnull);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	pfree(bytes);
	table_close(rel, NoLock);
}

/*
 * Deletes the segments of a log that end at or before 'until'.  Returns the
 * numbers of the objects that they are in, as a list of int64s, each once.
 */
List *
sth_segments_delete(int32 log_id, int64 until)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;
	List	   *objects = NIL;
	int64		last = 0;

	scan = sth_catalog_begin(relations->segment, relations->segment_pkey,
							 RowExclusiveLock, snapshot,
							 Anum_sth_segment_log_id, Int32GetDatum(log_id),
							 INT4OID);
	while ((tuple = sth_catalog_next(scan)) != NULL)
	{
		FormData_sth_segment *form = (FormData_sth_segment *) GETSTRUCT(tuple);

		CHECK_FOR_INTERRUPTS();
		if (form->end_offset > until)
			break;
		/* an object has at most one segment of a log */
		if (form->object_id != last)
		{
			int64	   *item = palloc(sizeof(int64));

			last = *item = form->object_id;
			objects = lappend(objects, item);
		}
		CatalogTupleDelete(sth_catalog_relation(scan), &tuple->t_self);
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
	return objects;
}

/* Is any segment in an object? */
bool
sth_segments_use(int64 object_id, Snapshot snapshot)
{
	const SthRelations *relations = sth_relations();
	SthCatalogScan *scan;
	bool		used;

	scan = sth_catalog_begin(relations->segment, relations->segment_object_idx,
							 AccessShareLock, snapshot,
							 Anum_sth_segment_object_id,
							 Int64GetDatum(object_id), INT8OID);
	used = sth_catalog_next(scan) != NULL;
	sth_catalog_end(scan);
	return used;
}
