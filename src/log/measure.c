/*-------------------------------------------------------------------------
 *
 * measure.c
 *	  What a log's tail has, by a look at it.
 *
 * For a worker that starts and knows nothing.  A tail may be long, so the look
 * ends after some bytes, and what follows is taken to be like what was seen,
 * by the number of its offsets.
 *
 * A damaged row is not this look's to report: it counts by its length.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/relations.h"
#include "log/log.h"
#include "log/measure.h"
#include "log/tail.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

/* A look at one log. */
typedef struct Look
{
	int32		log_id;
	Snapshot	snapshot;
	int64		limit;
	SthTailMeasure *found;
} Look;

/* Counts a row; the first tells since when rows wait. */
static void
count(Look *look, const SthTailRow *row)
{
	SthFrame	frame;

	CHECK_FOR_INTERRUPTS();
	if (look->found->bytes == 0 && row->kind == STH_FRAME_ROWS &&
		sth_frame_parse(row->frame, row->frame_len, row->count,
						&frame) == STH_FRAME_OK)
		look->found->oldest = frame.min_time;
	look->found->bytes += row->frame_len;
	look->found->stored += sth_tail_footprint(row->frame_len);
}

/*
 * Looks at the rows that are staged for a row of the log, from offset 'from'
 * on.  Returns how far it has come.
 */
static int64
look_at_staged(Look *look, const SthTailRow *pointer, int64 from)
{
	int64		done = Max(from, pointer->start_offset);
	SthFrame	frame;
	SthTailScan *scan;
	SthTailRow	row;

	if (sth_frame_parse(pointer->frame, pointer->frame_len, 0, &frame) != STH_FRAME_OK)
		return pointer->end_offset;
	scan = sth_tail_begin_scan(look->snapshot);
	sth_tail_seek(scan, look->log_id, frame.stage, done - pointer->start_offset);
	while (look->found->bytes < look->limit && sth_tail_next(scan, &row))
	{
		count(look, &row);
		done = pointer->start_offset + row.end_offset;
	}
	sth_tail_end_scan(scan);
	return done;
}

/*
 * What the tail of a log has; its topic is locked.  The look ends after about
 * 'limit' bytes.
 */
SthTailMeasure
sth_tail_measure(int32 log_id, int64 limit)
{
	SthTailMeasure found = {0};
	Look		look = {log_id, sth_fresh_snapshot(), limit, &found};
	SthTailScan *scan = sth_tail_begin_scan(look.snapshot);
	int64		start = sth_log_tail_start(log_id, look.snapshot);
	int64		done = start;
	int64		end;
	SthTailRow	row;

	sth_tail_seek(scan, log_id, STH_STAGE_NONE, start);
	while (found.bytes < limit && sth_tail_next(scan, &row))
	{
		if (row.kind == STH_FRAME_STAGED)
			done = look_at_staged(&look, &row, start);
		else
		{
			count(&look, &row);
			done = row.end_offset;
		}
	}
	sth_tail_end_scan(scan);
	end = sth_log_end(log_id, look.snapshot);
	if (done > start && done < end)
		found.stored = (int64) ((double) found.stored * (end - start) / (done - start));
	UnregisterSnapshot(look.snapshot);
	return found;
}
