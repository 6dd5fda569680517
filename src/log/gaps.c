/*-------------------------------------------------------------------------
 *
 * gaps.c
 *	  Gaps: offsets of a log that no row is seen at.
 *
 * A gap is either a transaction that has taken offsets and is about to
 * commit, or one that has failed.  Which of them it is, this decides, without
 * any lock, by one rule:
 *
 *	1. know an offset 'next' that has been taken, because a row beyond it is
 *	   seen, or by reading the log's next offset;
 *	2. see that no turn at taking offsets of the log is on (sequencer.c), or
 *	   wait until those that are on have ended;
 *	3. take a new snapshot.
 *
 * Offsets below 'next' were taken before 1, in turns that have ended before
 * 3, and a turn ends when its transaction is out of the proc array; so what
 * the new snapshot does not show there will never appear.  A standby has no
 * turns to look at, and cannot know.
 *
 * All of this is about the tail.  A segment's range has no gaps: what it has
 * no rows for is void.
 *
 * Failure: nothing is written here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "log/gaps.h"
#include "log/log.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

/* How far back it is looked for where a log is stable. */
#define STABLE_LOOK_BACK 10000

/*
 * A reader stands at 'position', and the next row that its snapshot shows
 * begins at 'next': is it certain that no row will ever appear between?
 *
 * Rows that the new snapshot shows there are for a reader with that snapshot,
 * not for this one, which has to stop.
 */
bool
sth_gap_is_dead(int32 log_id, int64 position, int64 next)
{
	Snapshot	snapshot;
	SthTailScan *scan;
	SthTailRow	row;
	bool		dead = false;

	if (RecoveryInProgress() || !sth_sequencer_settled(log_id))
		return false;
	snapshot = sth_fresh_snapshot();
	/* rows have been moved: a reader with a new snapshot finds out */
	if (sth_log_tail_start(log_id, snapshot) > position)
	{
		UnregisterSnapshot(snapshot);
		return false;
	}
	scan = sth_tail_begin_scan(snapshot);
	sth_tail_seek(scan, log_id, STH_STAGE_NONE, position);
	while (sth_tail_next(scan, &row))
	{
		dead = row.start_offset >= next;
		/* a void says that what it covers is dead */
		if (dead || row.kind != STH_FRAME_VOID)
			break;
	}
	sth_tail_end_scan(scan);
	UnregisterSnapshot(snapshot);
	if (dead)
		sth_log_note_gap(log_id, position);
	return dead;
}

/*
 * The first gap at or after 'from', in the tail, and below 'until', if there
 * is one.
 */
bool
sth_gap_find(int32 log_id, Snapshot snapshot, int64 from, int64 until,
			 SthGap *gap)
{
	SthTailScan *scan = sth_tail_begin_scan(snapshot);
	SthTailRow	row;

	gap->start = from;
	gap->end = until;
	gap->after_void = false;
	/* the row that ends at 'from' is wanted too */
	sth_tail_seek(scan, log_id, STH_STAGE_NONE, from - 1);
	while (gap->start < until && sth_tail_next(scan, &row))
	{
		CHECK_FOR_INTERRUPTS();
		if (row.start_offset > gap->start)
		{
			gap->end = Min(row.start_offset, until);
			break;
		}
		gap->start = Max(gap->start, row.end_offset);
		gap->after_void = row.kind == STH_FRAME_VOID;
		gap->void_start = row.start_offset;
		gap->void_tid = row.tid;
	}
	sth_tail_end_scan(scan);
	return gap->start < until;
}

/*
 * Looks at the last 'nrows' rows of a log's tail for gaps; if there are any,
 * *from is where the first of them begins.
 */
bool
sth_gap_look_back(int32 log_id, Snapshot snapshot, int nrows, int64 *from)
{
	SthTailScan *scan = sth_tail_begin_scan(snapshot);
	SthTailRow	row;
	int64		start = sth_log_tail_start(log_id, snapshot);
	int64		low = -1;		/* from here on rows have been seen */
	bool		found = false;
	bool		more = true;

	sth_tail_seek(scan, log_id, STH_STAGE_NONE, start);
	while (nrows-- > 0 && (more = sth_tail_previous(scan, &row)))
	{
		CHECK_FOR_INTERRUPTS();
		if (low >= 0 && row.end_offset < low)
		{
			*from = row.end_offset;
			found = true;
		}
		low = row.start_offset;
	}
	sth_tail_end_scan(scan);
	if (!more && low > start)
	{
		*from = start;
		found = true;
	}
	return found;
}

/*
 * The lowest offset of a log that a turn which is on has taken, or 'next' if
 * there is none; false if it cannot be told.
 */
static bool
lowest_in_flight(int32 log_id, int64 next, int64 *lowest)
{
	*lowest = next;
	for (int i = 0; i < sth_sequencer_turns(); i++)
	{
		SthTurn		turn;

		if (!sth_sequencer_read_turn(i, &turn))
			continue;
		if (turn.nlogs < 0)
			return false;
		for (int k = 0; k < turn.nlogs; k++)
		{
			if (turn.log_ids[k] != log_id)
				continue;
			if (turn.first_offsets[k] < 0)
				return false;
			*lowest = Min(*lowest, turn.first_offsets[k]);
		}
	}
	return true;
}

/*
 * Where ordered readers of a log stop now: at the first offset that may still
 * get a row.  Where turns do not tell, the tail is looked at: all of it, since
 * who moves the log's start relies on it, or on a standby its last frames.
 */
int64
sth_log_stable_offset(int32 log_id)
{
	int64		next = sth_log_next_offset(log_id);
	int64		stable = next;
	Snapshot	snapshot;

	if (!RecoveryInProgress() && lowest_in_flight(log_id, next, &stable))
		return stable;
	snapshot = sth_fresh_snapshot();
	if (!sth_gap_look_back(log_id, snapshot,
						   RecoveryInProgress() ? STABLE_LOOK_BACK : INT_MAX,
						   &stable))
		stable = Min(next, sth_log_end(log_id, snapshot));
	UnregisterSnapshot(snapshot);
	return stable;
}
