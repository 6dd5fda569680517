/*-------------------------------------------------------------------------
 *
 * voids.c
 *	  Closing gaps for good.
 *
 * A void is a row of the tail that says that no row has the offsets of a
 * range, because the transaction that had taken them failed.  With it readers
 * pass where they could not know before: on a standby.
 *
 * For one log, in this order, in a transaction of its own:
 *
 *	1. the database's log-owner lock, until the commit (owner.c);
 *	2. the log's topic is locked, so that it is not dropped meanwhile, and its
 *	   start does not move;
 *	3. the log's next offset is read;
 *	4. turns at taking offsets of it that are on are waited for;
 *	5. a snapshot is taken, and what it does not show below that next offset
 *	   becomes voids.  A void that the gap follows directly is replaced by one
 *	   that covers both, so that failures one after the other leave one row.
 *
 * Why nothing can appear there any more: see gaps.c.  Of a log that nobody has
 * opened since the server started every gap is from before, and dead, if it
 * is not open after the snapshot was taken: then all that the snapshot shows
 * is from before as well.
 *
 * Gaps are noted where they arise, by the abort of the transaction, and where
 * a reader has met them.  A crash leaves no notes; so after a start the worker
 * looks once at every log, at its last frames.
 *
 * Failure: an error or a crash undoes the transaction.  What was noted is
 * noted again for the next turn, if the error can be caught.  DROP waits for
 * step 2, or the log is left for later if the topic is locked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/tally.h"
#include "catalog/relations.h"
#include "codec/frame.h"
#include "log/gaps.h"
#include "log/log.h"
#include "log/owner.h"
#include "log/tail.h"
#include "log/voids.h"
#include "log/waiters.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

/* How many of a log's last frames are looked at after a start. */
#define LOOK_BACK 100000

/* How long a log's turns are waited for, in milliseconds. */
#define WAIT_FOR_TURNS 100

/* A gap that was noted: from where on a log may have some. */
typedef struct NotedGap
{
	int32		log_id;
	int64		from;
} NotedGap;

/* Asks whoever has counted voids that are there; NULL: nobody has. */
static SthVoidsKeep keep_voids = NULL;

/*
 * To be called by who encodes rows and voids of tails and looks later whether
 * they are still there, as they were.
 */
void
sth_voids_set_keep(SthVoidsKeep keep)
{
	keep_voids = keep;
}

/* Writes voids for what is missing of a topic's log in [from, until). */
static void
fill(int32 topic_id, int32 log_id, int64 from, int64 until, Snapshot snapshot)
{
	SthTailWriter *writer;
	SthGap		gap;

	sth_tail_lock();
	writer = sth_tail_begin_write();
	for (; sth_gap_find(log_id, snapshot, from, until, &gap); from = gap.end)
	{
		uint8		frame[STH_FRAME_MARKER_MAX];
		int64		start = gap.start;
		Size		len;

		/* one that this transaction has just written is not in the snapshot */
		if (gap.after_void && (keep_voids == NULL || !keep_voids(log_id)))
		{
			sth_tail_delete(writer, &gap.void_tid);
			start = gap.void_start;
		}
		else
			sth_log_tail_changed(log_id, sth_tail_footprint(STH_FRAME_MARKER_MAX));
		len = sth_frame_put_void(frame, gap.end - start);
		sth_tail_write_marker(writer, log_id, gap.end, frame, len);
		sth_tally_void(sth_relations()->tail, topic_id, gap.end - gap.start);
	}
	sth_tail_end_write(writer);
}

/*
 * Below which offset gaps of the log are dead, under the snapshot that is
 * taken for it; false if that is not known yet.
 */
static bool
settle(int32 log_id, int64 *until, Snapshot *snapshot)
{
	if (sth_log_is_open(log_id))
	{
		*until = sth_log_next_offset(log_id);
		if (!sth_sequencer_wait(log_id, WAIT_FOR_TURNS))
			return false;
		*snapshot = sth_fresh_snapshot();
		return true;
	}
	*snapshot = sth_fresh_snapshot();
	*until = sth_log_end(log_id, *snapshot);
	if (!sth_log_is_open(log_id))
		return true;
	UnregisterSnapshot(*snapshot);
	return false;
}

/* Where the first gap near the end of a log begins; false if there is none. */
static bool
look_back(int32 log_id, int64 *from)
{
	Snapshot	snapshot = sth_fresh_snapshot();
	bool		found = sth_gap_look_back(log_id, snapshot, LOOK_BACK, from);

	UnregisterSnapshot(snapshot);
	return found;
}

/*
 * Closes the gaps of a log from 'from' on; false if it cannot be done now.
 * *topic_id is the log's topic if there may be something new to read.
 */
static bool
close_gaps(int32 log_id, int64 from, int32 *topic_id)
{
	Snapshot	snapshot;
	int64		until;
	Oid			relid;

	switch (sth_owner_lock_log(log_id, topic_id, &relid))
	{
		case STH_LOG_GONE:
			return true;
		case STH_LOG_BUSY:
			return false;
		case STH_LOG_LOCKED:
			break;
	}
	if (!settle(log_id, &until, &snapshot))
		return false;
	fill(*topic_id, log_id, Max(from, sth_log_tail_start(log_id, snapshot)),
		 until, snapshot);
	UnregisterSnapshot(snapshot);
	return true;
}

/* Notes a gap again, for another turn; of a log that is not open nobody can. */
static void
note_again(Oid tail, int32 log_id, int64 from)
{
	SthSequence *sequence = sth_sequencer_find(tail, log_id);

	if (sequence != NULL)
		sth_sequencer_note_gap(sequence, from);
}

/* What is to be done about a log, and which topic may have something to read. */
typedef struct Closing
{
	int64		from;			/* negative: its end is looked at */
	int32		topic_id;
} Closing;

static bool
close_log(int32 log_id, void *arg)
{
	Closing    *closing = arg;
	bool		done;

	if (closing->from < 0 && !look_back(log_id, &closing->from))
		return true;
	sth_owner_lock();
	done = close_gaps(log_id, closing->from, &closing->topic_id);
	if (!done)
		note_again(sth_relations()->tail, log_id, closing->from);
	return done;
}

/* Does one log; false if it has to be done again. */
static bool
close_in_transaction(int32 log_id, int64 from)
{
	Closing		closing = {from, 0};
	bool		done = sth_owner_work(log_id, close_log, &closing);

	if (closing.topic_id != 0)
		sth_waiters_wake(closing.topic_id);
	return done;
}

/* Closes the gaps that were noted; returns how many have to wait. */
static int
close_noted(Oid tail)
{
	NotedGap   *gaps = palloc(sizeof(NotedGap));
	int			ngaps = 0;
	volatile int done = 0;
	volatile int later = 0;

	while (sth_sequencer_next_gap(tail, &gaps[ngaps].log_id, &gaps[ngaps].from))
		gaps = repalloc(gaps, (++ngaps + 1) * sizeof(NotedGap));
	PG_TRY();
	{
		for (; done < ngaps; done++)
		{
			CHECK_FOR_INTERRUPTS();
			if (!close_in_transaction(gaps[done].log_id, gaps[done].from))
				later++;
		}
	}
	PG_CATCH();
	{
		for (int i = done; i < ngaps; i++)
			note_again(tail, gaps[i].log_id, gaps[i].from);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return later;
}

/*
 * Closes the gaps that were noted in this database, after a start ('all')
 * also those at the end of every log.  Called by the worker, outside of a
 * transaction and in a memory context that it resets.  True if some could not
 * be closed yet, and have to be tried again in a while.
 */
bool
sth_voids_write(bool all)
{
	List	   *log_ids = NIL;
	Oid			tail = sth_owner_list_logs(all ? &log_ids : NULL);
	ListCell   *lc;
	int			later = 0;

	if (!OidIsValid(tail))
		return false;
	foreach(lc, log_ids)
	{
		CHECK_FOR_INTERRUPTS();
		if (!close_in_transaction(lfirst_int(lc), -1))
			later++;
	}
	return later + close_noted(tail) > 0;
}
