/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  verify(): is what a topic stores whole?
 *
 * Of each partition two things are looked at: whether its segments and the
 * rows of its tail, staged ones too, follow each other without gap or overlap,
 * and the objects of its segments are there; and, if asked for, whether every
 * row can be read and every byte of the segments is what was written.  With all
 * topics it is looked for objects that belong to none.
 *
 * Gaps that may still be filled are none, and neither are those of failed
 * transactions that the worker is about to close, so that a gap is looked at
 * again for some seconds before it is reported.  A standby cannot tell gaps
 * that are damage from those that are not, and reports none.
 *
 * Failure: damage is returned as rows.  Reading raises it as errors, so each
 * attempt to read is a subtransaction, and after an error reading goes on
 * behind the frame that it was about.  Other errors are errors.
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
#include "catalog/pg_type.h"
#include "catalog/objects.h"
#include "catalog/relations.h"
#include "catalog/segments.h"
#include "catalog/topic.h"
#include "consume/topic_argument.h"
#include "funcapi.h"
#include "log/gaps.h"
#include "log/log.h"
#include "log/reader.h"
#include "miscadmin.h"
#include "segment/check.h"
#include "segment/orphans.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sth_verify);

/* How long a call waits for gaps to be closed, in milliseconds. */
#define PATIENCE 2000

/* A call of verify. */
typedef struct Verify
{
	ReturnSetInfo *rsinfo;
	MemoryContext context;		/* of the call */
	Snapshot	snapshot;
	bool		deep;
	TimestampTz patience_ends;
	/* the topic and partition at hand; NULL: what belongs to no topic */
	Relation	rel;
	SthTopic   *topic;
	int			partition;
	int64		start;			/* of the partition */
	/* where it is */
	int64		position;
	List	   *errors;			/* reported already */
	FormData_sth_segment segment;	/* the one at hand, its index and object */
	struct varlena *index;
	FormData_sth_object object;
} Verify;

static void
			report(Verify *verify, int64 at, const char *format,...) pg_attribute_printf(3, 4);

static void
report(Verify *verify, int64 at, const char *format,...)
{
	MemoryContext old = MemoryContextSwitchTo(verify->context);
	StringInfoData problem;
	Datum		values[4] = {0};
	bool		isnull[4] = {0};

	initStringInfo(&problem);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&problem, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&problem, needed);
	}
	if (verify->rel != NULL)
	{
		values[0] = ObjectIdGetDatum(RelationGetRelid(verify->rel));
		values[1] = Int32GetDatum(verify->partition);
		values[2] = Int64GetDatum(at);
	}
	else
		isnull[0] = isnull[1] = isnull[2] = true;
	values[3] = PointerGetDatum(cstring_to_text(problem.data));
	tuplestore_putvalues(verify->rsinfo->setResult, verify->rsinfo->setDesc,
						 values, isnull);
	MemoryContextSwitchTo(old);
}

static bool
list_member_string(const List *strings, const char *string)
{
	ListCell   *lc;

	foreach(lc, strings)
		if (strcmp(lfirst(lc), string) == 0)
		return true;
	return false;
}

static int32
log_of(const Verify *verify)
{
	return verify->topic->log_ids[verify->partition];
}

/*
 * Damage of a page is met again and again, at every offset that may lie there.
 */
static void
report_error(Verify *verify, const ErrorData *error)
{
	MemoryContext old = MemoryContextSwitchTo(verify->context);
	char	   *text = psprintf("%s%s%s", error->message,
								error->detail ? ": " : "",
								error->detail ? error->detail : "");

	if (!list_member_string(verify->errors, text))
	{
		report(verify, verify->position, "%s", text);
		verify->errors = lappend(verify->errors, text);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Calls a check that may find damage by an error: that becomes a row, and
 * false is returned.
 */
static bool
attempt(Verify *verify, void (*check) (Verify *))
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool whole = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		check(verify);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode != ERRCODE_DATA_CORRUPTED &&
			error->sqlerrcode != ERRCODE_INDEX_CORRUPTED &&
			error->sqlerrcode != ERRCODE_DATATYPE_MISMATCH)
			ReThrowError(error);
		FlushErrorState();
		report_error(verify, error);
		whole = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return whole;
}

/* Is there a gap in [start, end) for all who look from now on? */
static bool
gap_stays(Verify *verify, int64 start, int64 end)
{
	for (;;)
	{
		Snapshot	snapshot;
		SthGap		gap;
		bool		found;

		/* if it may be filled yet, it is none */
		if (RecoveryInProgress() ||
			!sth_gap_is_dead(log_of(verify), start, end))
			return false;
		snapshot = sth_fresh_snapshot();
		found = sth_gap_find(log_of(verify), snapshot, start, end, &gap);
		UnregisterSnapshot(snapshot);
		if (!found || GetCurrentTimestamp() >= verify->patience_ends)
			return found;
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20,
						 sth_wait_event(STH_WAIT_FOR_TURN));
	}
}

/* Do the rows under a stage number count up to 'total'? */
static void
check_stage(Verify *verify, const SthTailRow *pointer)
{
	int64		total = pointer->end_offset - pointer->start_offset;
	int64		base = pointer->start_offset;

	/* those before are in a segment */
	int64		next = Max(verify->position - base, 0);
	SthTailScan *scan;
	SthTailRow	row;
	SthFrame	frame;

	(void) sth_frame_parse(pointer->frame, pointer->frame_len, 0, &frame);
	scan = sth_tail_begin_scan(verify->snapshot);
	sth_tail_seek(scan, log_of(verify), frame.stage, next);
	while (sth_tail_next(scan, &row))
	{
		bool		again = (row.kind == STH_FRAME_PART && row.end_offset == next) ||
		(row.start_offset < next && base + next == verify->start);

		CHECK_FOR_INTERRUPTS();
		if (row.start_offset != next && !again)
			report(verify, base + next, "of the staged rows %lld follows %lld",
				   (long long) row.start_offset, (long long) next);
		next = row.end_offset;
	}
	if (next != total)
		report(verify, base + next, "%lld rows are staged, where the log has %lld",
			   (long long) next, (long long) total);
	sth_tail_end_scan(scan);
}

static void
check_footer(Verify *verify)
{
	sth_segment_check_footer(&verify->segment, verify->index, &verify->object,
							 verify->snapshot,
							 RelationGetRelationName(verify->rel),
							 verify->partition);
}

/* Is the object of a segment there, as far as the catalog knows? */
static void
check_object(Verify *verify)
{
	const FormData_sth_segment *segment = &verify->segment;

	if (!sth_object_find(segment->object_id, verify->snapshot, &verify->object))
		report(verify, segment->base_offset, "object %lld is missing",
			   (long long) segment->object_id);
	else if (segment->position < 0 || segment->length < 0 ||
			 segment->position > verify->object.size - segment->length)
		report(verify, segment->base_offset,
			   "object %lld ends before the segment does",
			   (long long) segment->object_id);
	else if (verify->deep)
		(void) attempt(verify, check_footer);
}

/* Do the segments follow each other? */
static void
check_segments(Verify *verify)
{
	SthSegmentScan *scan = sth_segments_begin(verify->snapshot);
	FormData_sth_segment *segment = &verify->segment;
	bool		first = true;

	sth_segments_seek(scan, log_of(verify), verify->position);
	while (sth_segments_next(scan, segment))
	{
		CHECK_FOR_INTERRUPTS();
		if (segment->base_offset > verify->position)
			report(verify, verify->position,
				   "no segment has offsets %lld to %lld",
				   (long long) verify->position,
				   (long long) segment->base_offset - 1);
		/* the first one may reach below the start */
		if (segment->base_offset < verify->position && !first)
			report(verify, segment->base_offset,
				   "offsets %lld to %lld are in two segments",
				   (long long) segment->base_offset,
				   (long long) verify->position - 1);
		first = false;
		verify->index = sth_segments_index(scan);
		check_object(verify);
		pfree(verify->index);
		verify->position = Max(verify->position, segment->end_offset);
	}
	sth_segments_end(scan);
}

/* Do the rows of the tail follow the segments, and each other? */
static void
check_order(Verify *verify)
{
	SthTailScan *scan = sth_tail_begin_scan(verify->snapshot);
	SthTailRow	row;
	int64		tail_start = verify->position;

	/* what should not be there any more is looked for, too */
	sth_tail_seek(scan, log_of(verify), STH_STAGE_NONE, 0);
	while (sth_tail_next(scan, &row))
	{
		/* the first row may reach below the start, staged ones into a segment */
		bool		again = verify->position == tail_start &&
		row.end_offset > tail_start &&
		(row.kind == STH_FRAME_STAGED || tail_start == verify->start);

		again |= row.kind == STH_FRAME_PART &&
			row.end_offset == verify->position;

		CHECK_FOR_INTERRUPTS();
		if (row.start_offset > verify->position &&
			gap_stays(verify, verify->position, row.start_offset))
			report(verify, verify->position,
				   "offsets %lld to %lld have neither rows nor a void",
				   (long long) verify->position,
				   (long long) row.start_offset - 1);
		if (row.start_offset < verify->position && !again)
			report(verify, row.start_offset,
				   "offsets %lld to %lld are there twice",
				   (long long) row.start_offset,
				   (long long) Min(verify->position, row.end_offset) - 1);
		if (row.kind == STH_FRAME_STAGED)
			check_stage(verify, &row);
		verify->position = Max(verify->position, row.end_offset);
	}
	sth_tail_end_scan(scan);
}

/* Can the rows from the position on be read? */
static void
check_rows(Verify *verify)
{
	int			natts = RelationGetNumberOfAttributes(verify->rel);
	Datum	   *values = palloc(natts * sizeof(Datum));
	bool	   *isnull = palloc(natts * sizeof(bool));
	SthReader  *reader = sth_reader_begin(verify->rel, verify->topic,
										  verify->snapshot, STH_READ_VISIBLE,
										  sth_all_columns(verify->rel));

	sth_reader_check_all(reader);
	sth_reader_seek(reader, verify->partition, verify->position);
	PG_TRY();
	{
		while (sth_reader_next(reader, values, isnull))
			verify->position = sth_reader_position(reader);
	}
	PG_CATCH();
	{
		/* behind the frame, or at least the row, that it was about */
		verify->position = Max(sth_reader_frame_end(reader),
							   verify->position + 1);
		PG_RE_THROW();
	}
	PG_END_TRY();
	sth_reader_end(reader);
}

static void
verify_partition(Verify *verify, int partition)
{
	int64		before;

	verify->partition = partition;
	verify->errors = NIL;
	verify->start = sth_log_start_offset(log_of(verify), verify->snapshot);
	verify->position = verify->start;
	check_segments(verify);
	(void) attempt(verify, check_order);
	if (!verify->deep)
		return;
	verify->position = verify->start;
	do
		before = verify->position;
	while (!attempt(verify, check_rows) && verify->position > before);
}

static void
verify_topic(Verify *verify, Oid relid)
{
	verify->rel = sth_topic_open_for_select(relid);
	verify->topic = sth_topic_get(verify->rel);
	for (int i = 0; i < verify->topic->npartitions; i++)
		verify_partition(verify, i);
	relation_close(verify->rel, AccessShareLock);
}

/* Objects that belong to no topic, for who may look at all of them. */
static void
verify_objects(Verify *verify)
{
	ListCell   *lc;

	if (pg_class_aclcheck(sth_relations()->object, GetUserId(),
						  ACL_SELECT) != ACLCHECK_OK)
		return;
	verify->rel = NULL;
	foreach(lc, sth_orphans_find(verify->snapshot))
		report(verify, 0, "%s", (const char *) lfirst(lc));
}

/* The tables of all topics, by their number. */
static List *
list_topics(Snapshot snapshot)
{
	Relation	rel = table_open(sth_relations()->topic, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, sth_relations()->topic_pkey,
										  true, snapshot, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
		result = lappend_oid(result,
							 ((FormData_sth_topic *) GETSTRUCT(tuple))->relid);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/* verify(topic, deep) */
Datum
sth_verify(PG_FUNCTION_ARGS)
{
	Verify		verify = {0};
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	verify.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	verify.context = CurrentMemoryContext;
	verify.snapshot = GetActiveSnapshot();
	verify.deep = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	verify.patience_ends = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   PATIENCE);
	if (!PG_ARGISNULL(0))
	{
		verify_topic(&verify, PG_GETARG_OID(0));
		return (Datum) 0;
	}
	foreach(lc, list_topics(verify.snapshot))
		if (sth_topic_can_select(lfirst_oid(lc)))
		verify_topic(&verify, lfirst_oid(lc));
	verify_objects(&verify);
	return (Datum) 0;
}
