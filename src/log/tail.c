/*-------------------------------------------------------------------------
 *
 * tail.c
 *	  The tail: the heap table that recent rows of all logs live in.
 *
 * A tuple holds one frame, of at most a page.  The rows of a frame are
 * [end_offset - count, end_offset).  A row that fits no page has its frame cut
 * into parts, tuples with the same end_offset of which only the first counts
 * the row (codec/frame.h).
 *
 * Stage 0 is the log.  A large transaction writes its rows before it has
 * offsets for them, under a stage number of its own and by their number in
 * the transaction; when it commits, one frame in stage 0 says which offsets
 * they have got.  So a stage without such a frame does not count, and one
 * whose transaction fails is dead tuples, like any aborted insert.
 *
 * The index has (log_id, stage, end_offset), so that the frame which holds an
 * offset n is the first with end_offset > n, however long it is.  It is not
 * unique: the sequencer sees to that, and an inserter would have to wait for
 * others, uncancellably, while it commits.
 *
 * Writing goes by heap and index calls, not by the executor: no triggers, no
 * privileges, no constraints, also for a logical replication worker.
 *
 * Failure: rows are inserted by the transaction that produced them, and an
 * abort leaves dead tuples for vacuum, like any insert.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/compat.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "log/log.h"
#include "log/tail.h"
#include "nodes/execnodes.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* REINDEX CONCURRENTLY makes a second one. */
#define MAX_INDEXES 8

struct SthTailWriter
{
	Relation	relation;
	Relation	indexes[MAX_INDEXES];
	int			nindexes;
	CommandId	cid;
	BlockNumber nblocks;		/* when the first full frame came */
	bool		growing;		/* no page had room for a full frame */
	bool		after_full;		/* the last frame was a full one */
	HeapTupleData tuple;		/* the one that is being inserted */
};

/* What an index access method may want to know: B-trees want nothing. */
static IndexInfo *index_info = NULL;

struct SthTailScan
{
	Relation	relation;
	Relation	index;
	Snapshot	snapshot;
	SysScanDesc scan;
};

/*
 * Locks the tail for writing until the transaction ends.  Done when rows are
 * produced, so that nothing has to be waited for at pre-commit.
 */
void
sth_tail_lock(void)
{
	const SthRelations *relations = sth_relations();

	/*
	 * Who locks the index against us has to lock the table first, unless it
	 * only moves to another tablespace, which is waited for before offsets
	 * are taken (produce/commit.c).
	 */
	LockRelationOid(relations->tail, RowExclusiveLock);
}

/*
 * Opens the indexes.  CatalogOpenIndexes would do, but it learns of each what
 * only other kinds of indexes have, and that for every commit.
 */
static void
open_indexes(SthTailWriter *writer)
{
	List	   *oids = RelationGetIndexList(writer->relation);
	ListCell   *lc;

	writer->nindexes = 0;
	foreach(lc, oids)
	{
		if (writer->nindexes == MAX_INDEXES)
			elog(ERROR, "too many indexes on the tail");
		writer->indexes[writer->nindexes++] = index_open(lfirst_oid(lc),
														 RowExclusiveLock);
	}
	list_free(oids);
}

/* Begins to write; the caller has called sth_tail_lock before. */
SthTailWriter *
sth_tail_begin_write(void)
{
	const SthRelations *relations = sth_relations();
	SthTailWriter *writer = palloc(sizeof(SthTailWriter));

	if (index_info == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		index_info = makeNode(IndexInfo);
		MemoryContextSwitchTo(old);
	}
	writer->relation = table_open(relations->tail, NoLock);
	open_indexes(writer);
	writer->cid = GetCurrentCommandId(true);
	writer->nblocks = InvalidBlockNumber;
	writer->growing = false;
	writer->after_full = false;
	writer->tuple.t_tableOid = RelationGetRelid(writer->relation);
	return writer;
}

/*
 * Makes the tuple where the frame is: what heap_form_tuple would do, without a
 * copy of the frame.
 */
static HeapTuple
form_tuple(SthTailWriter *writer, int32 log_id, int32 stage, int64 end_offset,
		   int32 count, uint8 *frame, Size frame_len)
{
	HeapTuple	tuple = &writer->tuple;
	HeapTupleHeader header = (HeapTupleHeader) (frame - STH_TAIL_FIXED);
	FormData_sth_tail *form;

	Assert(frame_len <= STH_FRAME_MAX);
	Assert(PointerIsAligned(header, int64));
	memset(header, 0, MAXALIGN(SizeofHeapTupleHeader));
	HeapTupleHeaderSetNatts(header, Natts_sth_tail);
	header->t_hoff = MAXALIGN(SizeofHeapTupleHeader);
	header->t_infomask = HEAP_HASVARWIDTH;

	form = (FormData_sth_tail *) ((char *) header + header->t_hoff);
	form->log_id = log_id;
	form->stage = stage;
	form->end_offset = end_offset;
	form->count = count;
	SET_VARSIZE(frame - VARHDRSZ, VARHDRSZ + frame_len);

	tuple->t_data = header;
	tuple->t_len = STH_TAIL_FIXED + frame_len;
	ItemPointerSetInvalid(&tuple->t_self);
	return tuple;
}

/* The value of one of the fixed columns, which are all that can be indexed. */
static Datum
get_column(const FormData_sth_tail *form, AttrNumber attnum)
{
	switch (attnum)
	{
		case Anum_sth_tail_log_id:
			return Int32GetDatum(form->log_id);
		case Anum_sth_tail_stage:
			return Int32GetDatum(form->stage);
		case Anum_sth_tail_end_offset:
			return Int64GetDatum(form->end_offset);
		case Anum_sth_tail_count:
			return Int32GetDatum(form->count);
		default:
			elog(ERROR, "unexpected index on the tail");
			return (Datum) 0;	/* not reached */
	}
}

static void
insert_index_entries(SthTailWriter *writer, HeapTuple tuple)
{
	const FormData_sth_tail *form = (FormData_sth_tail *) GETSTRUCT(tuple);

	for (int i = 0; i < writer->nindexes; i++)
	{
		Form_pg_index index = writer->indexes[i]->rd_index;
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS] = {0};

		if (!index->indisready)
			continue;
		for (int k = 0; k < index->indnatts; k++)
			values[k] = get_column(form, index->indkey.values[k]);
		index_insert(writer->indexes[i], values, isnull, &tuple->t_self,
					 writer->relation, UNIQUE_CHECK_NO, false, index_info);
	}
}

/*
 * Inserts one frame, or one part of a frame, which has STH_TAIL_FIXED bytes
 * before it for the rest of its tuple and is aligned as from palloc.
 *
 * Once the table has had to grow for a full frame, room is not looked for any
 * more for the full ones that follow each other.  Others are looked after by
 * the free space map, which also learns what is left on the page before.
 */
void
sth_tail_write(SthTailWriter *writer, int32 log_id, int32 stage,
			   int64 end_offset, int32 count, uint8 *frame, Size frame_len)
{
	HeapTuple	tuple = form_tuple(writer, log_id, stage, end_offset, count,
								   frame, frame_len);
	bool		is_full = frame_len > STH_FRAME_MAX / 2;

	if (is_full && writer->nblocks == InvalidBlockNumber)
		writer->nblocks = RelationGetNumberOfBlocks(writer->relation);
	heap_insert(writer->relation, tuple, writer->cid,
				is_full && writer->after_full && writer->growing ?
				HEAP_INSERT_SKIP_FSM : 0, NULL);
	if (is_full && ItemPointerGetBlockNumber(&tuple->t_self) >= writer->nblocks)
		writer->growing = true;
	writer->after_full = is_full;
	insert_index_entries(writer, tuple);
}

/* Inserts a frame without rows of its own into a log. */
void
sth_tail_write_marker(SthTailWriter *writer, int32 log_id, int64 end_offset,
					  const uint8 *frame, Size frame_len)
{
	union
	{
		uint8		bytes[STH_TAIL_FIXED + STH_FRAME_MARKER_MAX];
		int64		align;
	}			tuple;

	Assert(frame_len <= STH_FRAME_MARKER_MAX);
	memcpy(tuple.bytes + STH_TAIL_FIXED, frame, frame_len);
	sth_tail_write(writer, log_id, STH_STAGE_NONE, end_offset, 0,
				   tuple.bytes + STH_TAIL_FIXED, frame_len);
}

/* Deletes a row that nobody else is deleting. */
void
sth_tail_delete(SthTailWriter *writer, const ItemPointerData *tid)
{
	ItemPointerData copy = *tid;

	simple_heap_delete(writer->relation, &copy);
}

void
sth_tail_end_write(SthTailWriter *writer)
{
	/* locks stay until the transaction ends, as the table's does */
	for (int i = 0; i < writer->nindexes; i++)
		index_close(writer->indexes[i], NoLock);
	table_close(writer->relation, NoLock);
	pfree(writer);
}

/* Begins to read under a snapshot that the caller keeps registered. */
SthTailScan *
sth_tail_begin_scan(Snapshot snapshot)
{
	const SthRelations *relations = sth_relations();
	SthTailScan *scan = palloc(sizeof(SthTailScan));

	scan->relation = table_open(relations->tail, AccessShareLock);
	scan->index = index_open(relations->tail_idx, AccessShareLock);
	scan->snapshot = snapshot;
	scan->scan = NULL;
	return scan;
}

/* Goes to the first frame of a log's stage that ends after 'from'. */
void
sth_tail_seek(SthTailScan *scan, int32 log_id, int32 stage, int64 from)
{
	ScanKeyData keys[3];

	if (scan->scan != NULL)
		systable_endscan_ordered(scan->scan);
	ScanKeyInit(&keys[0], Anum_sth_tail_log_id, BTEqualStrategyNumber,
				F_INT4EQ, Int32GetDatum(log_id));
	ScanKeyInit(&keys[1], Anum_sth_tail_stage, BTEqualStrategyNumber,
				F_INT4EQ, Int32GetDatum(stage));
	ScanKeyInit(&keys[2], Anum_sth_tail_end_offset, BTGreaterStrategyNumber,
				F_INT8GT, Int64GetDatum(from));
	scan->scan = systable_beginscan_ordered(scan->relation, scan->index,
											scan->snapshot, 3, keys);
}

static void
report_malformed(const ItemPointerData *tid)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("malformed row in the tail at (%u,%u)",
					ItemPointerGetBlockNumber(tid),
					ItemPointerGetOffsetNumber(tid))));
}

static void
read_tuple(HeapTuple tuple, SthTailRow *row)
{
	FormData_sth_tail *form = (FormData_sth_tail *) GETSTRUCT(tuple);
	char	   *data = (char *) tuple->t_data + STH_TAIL_FIXED - VARHDRSZ;
	int64		span;

	if (tuple->t_data->t_hoff != MAXALIGN(SizeofHeapTupleHeader) ||
		tuple->t_len < STH_TAIL_FIXED ||
		VARSIZE(data) != tuple->t_len - STH_TAIL_FIXED + VARHDRSZ)
		report_malformed(&tuple->t_self);
	row->end_offset = form->end_offset;
	row->count = form->count;
	row->frame = (const uint8 *) VARDATA(data);
	row->frame_len = VARSIZE(data) - VARHDRSZ;
	row->tid = tuple->t_self;
	switch (sth_frame_span(row->frame, row->frame_len, row->count, &row->kind,
						   &span))
	{
		case STH_FRAME_OK:
			break;
		case STH_FRAME_UNKNOWN:
			/* the reader says so, to whom the row's topic is known */
			span = Max(row->count, 1);
			break;
		default:
			report_malformed(&tuple->t_self);
	}
	row->start_offset = row->end_offset - span;
	if (row->count < 0 || row->start_offset < 0)
		report_malformed(&tuple->t_self);
}

static bool
get_row(SthTailScan *scan, ScanDirection direction, SthTailRow *row)
{
	HeapTuple	tuple = systable_getnext_ordered(scan->scan, direction);

	if (tuple == NULL)
		return false;
	read_tuple(tuple, row);
	return true;
}

/* The next row of what was sought; it lasts until the next call. */
bool
sth_tail_next(SthTailScan *scan, SthTailRow *row)
{
	return get_row(scan, ForwardScanDirection, row);
}

/* The row before, after a seek the last one of all. */
bool
sth_tail_previous(SthTailScan *scan, SthTailRow *row)
{
	return get_row(scan, BackwardScanDirection, row);
}

void
sth_tail_end_scan(SthTailScan *scan)
{
	if (scan->scan != NULL)
		systable_endscan_ordered(scan->scan);
	index_close(scan->index, AccessShareLock);
	table_close(scan->relation, AccessShareLock);
	pfree(scan);
}

/*
 * The offset after the last row of a log that the snapshot shows beyond
 * 'from', where the log's tail begins; else that.  Rows before it, which have
 * been deleted, are not looked at.
 */
int64
sth_tail_end(int32 log_id, int64 from, Snapshot snapshot)
{
	SthTailScan *scan = sth_tail_begin_scan(snapshot);
	SthTailRow	row;
	int64		end = from;

	sth_tail_seek(scan, log_id, STH_STAGE_NONE, from);
	if (sth_tail_previous(scan, &row))
		end = row.end_offset;
	sth_tail_end_scan(scan);
	return end;
}

/* Deletes the rows under a stage that end at or before 'until'. */
static int64
delete_staged(SthTailWriter *writer, int32 log_id, int32 stage, int64 from,
			  int64 until, Snapshot snapshot, int64 *bytes)
{
	SthTailScan *scan = sth_tail_begin_scan(snapshot);
	SthTailRow	row;
	int64		n = 0;

	sth_tail_seek(scan, log_id, stage, from);
	while (sth_tail_next(scan, &row) && row.end_offset <= until)
	{
		CHECK_FOR_INTERRUPTS();
		sth_tail_delete(writer, &row.tid);
		*bytes += sth_tail_footprint(row.frame_len);
		n++;
	}
	sth_tail_end_scan(scan);
	return n;
}

/*
 * Deletes the rows of a log between 'from', where its tail begins, and
 * 'until': those that end at or before that.  Rows that say where others are
 * staged go when all of what they stand for goes.  Returns the number of rows
 * deleted that hold rows of the log or are voids.  The caller has locked the
 * log (owner.c).
 */
int64
sth_tail_delete_until(int32 log_id, int64 from, int64 until)
{
	Snapshot	snapshot = sth_fresh_snapshot();
	SthTailWriter *writer;
	SthTailScan *scan;
	SthTailRow	row;
	int64		n = 0;
	int64		bytes = 0;

	sth_tail_lock();
	writer = sth_tail_begin_write();
	scan = sth_tail_begin_scan(snapshot);
	sth_tail_seek(scan, log_id, STH_STAGE_NONE, from);
	while (sth_tail_next(scan, &row) && row.start_offset < until)
	{
		CHECK_FOR_INTERRUPTS();
		if (row.kind == STH_FRAME_STAGED)
		{
			SthFrame	pointer;

			if (sth_frame_parse(row.frame, row.frame_len, 0, &pointer) != STH_FRAME_OK)
				report_malformed(&row.tid);
			n += delete_staged(writer, log_id, pointer.stage,
							   Max(from - row.start_offset, 0),
							   until - row.start_offset, snapshot, &bytes);
		}
		else if (row.end_offset <= until)
			n++;
		if (row.end_offset <= until)
		{
			sth_tail_delete(writer, &row.tid);
			bytes += sth_tail_footprint(row.frame_len);
		}
	}
	sth_tail_end_scan(scan);
	sth_tail_end_write(writer);
	UnregisterSnapshot(snapshot);
	sth_log_tail_changed(log_id, -bytes);
	return n;
}

/* Deletes what this transaction has staged of a log. */
void
sth_tail_delete_stage(int32 log_id, int32 stage)
{
	Snapshot	snapshot;
	SthTailWriter *writer;
	int64		bytes = 0;		/* which have not been counted yet */

	CommandCounterIncrement();
	snapshot = sth_fresh_snapshot();
	sth_tail_lock();
	writer = sth_tail_begin_write();
	(void) delete_staged(writer, log_id, stage, 0, PG_INT64_MAX, snapshot,
						 &bytes);
	sth_tail_end_write(writer);
	UnregisterSnapshot(snapshot);
}

/* Deletes all rows of a log, whose topic is being dropped, staged ones too. */
void
sth_tail_delete_log(int32 log_id)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;

	sth_tail_lock();
	scan = sth_catalog_begin(relations->tail, relations->tail_idx,
							 RowExclusiveLock, snapshot, Anum_sth_tail_log_id,
							 Int32GetDatum(log_id), INT4OID);
	while ((tuple = sth_catalog_next(scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		simple_heap_delete(sth_catalog_relation(scan), &tuple->t_self);
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
}
