/*-------------------------------------------------------------------------
 *
 * frames.c
 *	  The frames of a log's tail, in order, each as a whole.
 *
 * Where the log says that rows of some offsets are staged, the scan goes on
 * under the stage, and comes back when it has had them.  A frame that was cut
 * into parts is put together.  So whoever reads the tail, a query or a flush,
 * meets nothing but frames of rows and voids.
 *
 * What the snapshot does not show is passed over: whether a gap between two
 * frames matters is the caller's to say.
 *
 * Failure: reading changes nothing.
 *
 * Memory: a context of the scan's own, "streamhouse frames".  A frame lasts
 * until the next call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "log/frames.h"
#include "log/tail.h"
#include "nodes/bitmapset.h"
#include "utils/memutils.h"

struct SthFrameScan
{
	MemoryContext context;
	Snapshot	snapshot;
	const char *topic;			/* its name, for messages */
	int32		log_id;
	int			partition;
	int64		from;
	SthTailScan *scan;			/* of the log */
	SthTailScan *stage_scan;	/* of staged rows, or NULL: none were met */
	bool		in_stage;
	int64		stage_base;		/* the offset of the first staged row */
	int64		stage_end;		/* the offset after the last one */
	int64		stage_next;		/* where its next frame begins */
	int64		end_offset;		/* of the frame at hand */
	uint8	   *whole;			/* a frame put together from its parts */
	Size		whole_size;
};

/* Begins to read the tail of a topic's logs; the snapshot is the caller's. */
SthFrameScan *
sth_frames_begin(Snapshot snapshot, const char *topic)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamhouse frames",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SthFrameScan *scan = palloc0(sizeof(SthFrameScan));

	scan->context = context;
	scan->snapshot = snapshot;
	scan->topic = topic;
	scan->scan = sth_tail_begin_scan(snapshot);
	MemoryContextSwitchTo(old);
	return scan;
}

/* Goes to the first frame of a log that ends after 'from'. */
void
sth_frames_seek(SthFrameScan *scan, int32 log_id, int partition, int64 from)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);

	scan->log_id = log_id;
	scan->partition = partition;
	scan->from = scan->end_offset = from;
	scan->in_stage = false;
	sth_tail_seek(scan->scan, log_id, STH_STAGE_NONE, from);
	MemoryContextSwitchTo(old);
}

void
sth_frames_report_damage(const SthFrameScan *scan, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("damaged frame in partition %d of topic \"%s\"",
					scan->partition, scan->topic),
			 errdetail("The frame that ends at offset %lld: %s.",
					   (long long) scan->end_offset, what)));
	pg_unreachable();
}

/* Raises an error if what was tried with the frame at hand did not succeed. */
void
sth_frames_check(const SthFrameScan *scan, SthFrameResult result)
{
	if (result == STH_FRAME_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("partition %d of topic \"%s\" has a frame of a later version of streamhouse",
						scan->partition, scan->topic)));
	if (result != STH_FRAME_OK)
		sth_frames_report_damage(scan, "it is not well-formed");
}

/* Goes to staged rows, to the first at or after where the scan began. */
static void
enter_stage(SthFrameScan *scan, const SthTailRow *row)
{
	int64		from = Max(scan->from - row->start_offset, 0);
	SthFrame	pointer;

	sth_frames_check(scan, sth_frame_parse(row->frame, row->frame_len, 0,
										   &pointer));
	if (scan->stage_scan == NULL)
		scan->stage_scan = sth_tail_begin_scan(scan->snapshot);
	sth_tail_seek(scan->stage_scan, scan->log_id, pointer.stage, from);
	scan->in_stage = true;
	scan->stage_base = row->start_offset;
	scan->stage_end = row->end_offset;
	scan->stage_next = row->start_offset + from;
}

/*
 * The next row of the tail, of the log or staged; the latter as if it were of
 * the log.  False if there is none.
 */
static bool
next_row(SthFrameScan *scan, SthTailRow *row)
{
	for (;;)
	{
		if (scan->in_stage)
		{
			if (sth_tail_next(scan->stage_scan, row))
				break;
			if (scan->stage_next != scan->stage_end)
				sth_frames_report_damage(scan, "staged frames after it are missing");
			scan->in_stage = false;
		}
		if (!sth_tail_next(scan->scan, row))
			return false;
		scan->end_offset = row->end_offset;
		if (row->kind != STH_FRAME_STAGED)
			return true;
		enter_stage(scan, row);
	}
	row->start_offset += scan->stage_base;
	row->end_offset += scan->stage_base;
	scan->end_offset = row->end_offset;
	if ((row->kind != STH_FRAME_ROWS && row->kind != STH_FRAME_PART) ||
		row->start_offset > scan->stage_next ||
		row->end_offset > scan->stage_end)
		sth_frames_report_damage(scan, "it does not follow the staged frame before it");
	scan->stage_next = row->end_offset;
	return true;
}

static void
reserve_whole(SthFrameScan *scan, Size size)
{
	if (scan->whole_size >= size)
		return;
	if (scan->whole != NULL)
		pfree(scan->whole);
	scan->whole = NULL;
	scan->whole_size = 0;
	scan->whole = palloc(size);
	scan->whole_size = size;
}

/*
 * Puts a frame together that was cut into parts, of which 'row' is the first
 * that the scan found; the others are next, in any order.
 */
static void
assemble_parts(SthFrameScan *scan, const SthTailRow *row, SthLogFrame *frame)
{
	Size		chunk = sth_frame_part_capacity(STH_FRAME_MAX);
	uint32		nparts = frame->frame.nparts;
	Bitmapset  *seen = NULL;
	SthTailRow	row_of_part = *row;

	if (nparts > MaxAllocSize / chunk)
		sth_frames_report_damage(scan, "it claims too many parts");
	reserve_whole(scan, nparts * chunk);
	frame->len = 0;
	for (uint32 n = 0;;)
	{
		const SthFrame *part = &frame->frame;

		if (part->kind != STH_FRAME_PART || part->nparts != nparts ||
			(part->part < nparts - 1 && part->body_len != chunk) ||
			part->body_len > chunk || bms_is_member(part->part, seen))
			sth_frames_report_damage(scan, "a part does not fit the others");
		seen = bms_add_member(seen, part->part);
		memcpy(scan->whole + part->part * chunk, part->body, part->body_len);
		if (part->part == nparts - 1)
			frame->len = part->part * chunk + part->body_len;
		if (++n == nparts)
			break;
		if (!next_row(scan, &row_of_part) ||
			row_of_part.end_offset != frame->end_offset)
			sth_frames_report_damage(scan, "parts of it are missing");
		frame->ntuples++;
		frame->stored_len += row_of_part.frame_len;
		sth_frames_check(scan, sth_frame_parse(row_of_part.frame,
											   row_of_part.frame_len, 1,
											   &frame->frame));
	}
	bms_free(seen);
	frame->data = scan->whole;
	sth_frames_check(scan, sth_frame_parse(scan->whole, frame->len, 1,
										   &frame->frame));
	if (frame->frame.kind != STH_FRAME_ROWS)
		sth_frames_report_damage(scan, "its parts are no frame");
}

/* The next frame; false if there is none. */
bool
sth_frames_next(SthFrameScan *scan, SthLogFrame *frame)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);
	SthTailRow	row;
	bool		found = next_row(scan, &row);

	if (found)
	{
		frame->is_void = row.kind == STH_FRAME_VOID;
		frame->start_offset = row.start_offset;
		frame->end_offset = row.end_offset;
		frame->data = row.frame;
		frame->len = frame->stored_len = row.frame_len;
		frame->ntuples = 1;
		sth_frames_check(scan, sth_frame_parse(row.frame, row.frame_len,
											   row.count, &frame->frame));
		if (row.kind == STH_FRAME_PART)
			assemble_parts(scan, &row, frame);
	}
	MemoryContextSwitchTo(old);
	return found;
}

/* The offset after the frame that was looked at last. */
int64
sth_frames_end_offset(const SthFrameScan *scan)
{
	return scan->end_offset;
}

void
sth_frames_end(SthFrameScan *scan)
{
	sth_tail_end_scan(scan->scan);
	if (scan->stage_scan != NULL)
		sth_tail_end_scan(scan->stage_scan);
	MemoryContextDelete(scan->context);
}
