/*-------------------------------------------------------------------------
 *
 * commit.c
 *	  What a committing transaction does with the rows that it has produced.
 *
 * At pre-commit, in this order:
 *
 *	1. the last rows are put into frames, and staged if others are;
 *	2. the backend's turn at the sequencer begins;
 *	3. each log gives the offsets of its rows;
 *	4. the frames are inserted into the tail, or one that says where the rows
 *	   are staged;
 *	then PostgreSQL writes the commit record and takes the transaction out of
 *	the proc array, and the commit callback
 *	5. ends the turn, wakes who waits for rows, counts, and notes that there
 *	   are some to become segments (log/unflushed.c).
 *
 * Failure: an error, a cancel or FATAL before 3 leaves nothing.  From 3 on it
 * leaves offsets that no row will have, a gap, which readers can tell from a
 * transaction that is about to commit by the turn, because the abort callback
 * ends it as well.  The callback also notes the gap for the worker, which
 * closes it (log/voids.c), and wakes who waits, since rows behind the gap can
 * be read now.  That holds for errors after pre-commit too, such as a
 * serialization failure.  A crash before the commit record leaves what an
 * abort leaves, and resets the sequencer, which starts from the tail again.
 * Step 5 must not fail, since the transaction is committed: it stores, and sets
 * latches.
 *
 * The callback is registered when the server starts, and PostgreSQL calls
 * later ones first: so a foreign-data wrapper that talks to another server,
 * or whatever else may wait or fail at pre-commit, comes before our offsets
 * are taken.
 *
 * No lock is taken here that was not taken when the rows were produced.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/failpoint.h"
#include "base/stats.h"
#include "base/transaction.h"
#include "base/wakeup.h"
#include "catalog/relations.h"
#include "fmgr.h"
#include "funcapi.h"
#include "codec/frame.h"
#include "log/tail.h"
#include "log/unflushed.h"
#include "log/waiters.h"
#include "miscadmin.h"
#include "produce/commit.h"
#include "produce/pending.h"
#include "produce/write.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(sth_last_produced);

/* Offsets that a transaction was given in one log. */
typedef struct ProducedRange
{
	SthSequence *sequence;		/* while the transaction is open */
	Oid			relid;
	int32		topic_id;
	int			partition;
	int64		first;
	int64		last;
	int64		bytes;			/* of the rows' values */
	int64		stored;			/* what they take in the tail */
	int			segment_size;	/* options of the topic */
	int			flush_interval;
} ProducedRange;

typedef struct Produced
{
	Oid			tail;
	int			n;
	int			max;
	ProducedRange ranges[FLEXIBLE_ARRAY_MEMBER];
} Produced;

/* What the last committed transaction produced, and what this one does. */
static Produced *last_produced = NULL;
static Produced *this_produced = NULL;

/* Inserts what a log's offsets stand for: its rows, or where they are. */
static void
write_log(SthTailWriter *writer, const SthPendingLog *log, int64 base)
{
	SthReadyFrame **frames;
	int			nframes = sth_rows_frames(log->rows, &frames);
	int64		count = sth_rows_count(log->rows);
	uint8		marker[STH_FRAME_MARKER_MAX];

	if (log->stage == STH_STAGE_NONE)
		sth_write_frames(writer, log->log_id, STH_STAGE_NONE, base, frames,
						 nframes);
	else
		sth_tail_write_marker(writer, log->log_id, base + count, marker,
							  sth_frame_put_staged(marker, log->stage, count));
}

/* Sees to it that what this transaction produces can be noted. */
static void
make_room(int nlogs)
{
	if (this_produced != NULL && this_produced->max < nlogs)
	{
		pfree(this_produced);
		this_produced = NULL;
	}
	if (this_produced == NULL)
	{
		this_produced = MemoryContextAlloc(TopMemoryContext,
										   offsetof(Produced, ranges) +
										   nlogs * sizeof(ProducedRange));
		this_produced->max = nlogs;
	}
	this_produced->n = 0;
}

/* Takes offsets for all logs; from here on there is no going back. */
static void
take_offsets(int nlogs, const SthPendingLog *logs, const int32 *log_ids)
{
	sth_sequencer_begin(nlogs, log_ids);
	for (int i = 0; i < nlogs; i++)
	{
		int64		count = sth_rows_count(logs[i].rows);
		int64		base = sth_sequencer_take(logs[i].sequence, count);
		ProducedRange *range = &this_produced->ranges[i];

		range->sequence = logs[i].sequence;
		range->relid = logs[i].relid;
		range->topic_id = logs[i].topic_id;
		range->partition = logs[i].partition;
		range->first = base;
		range->last = base + count - 1;
		range->bytes = sth_rows_bytes(logs[i].rows);
		range->stored = sth_rows_stored(logs[i].rows);
		if (logs[i].stage != STH_STAGE_NONE)
			range->stored += sth_tail_footprint(STH_FRAME_MARKER_MAX);
		range->segment_size = logs[i].segment_size;
		range->flush_interval = logs[i].flush_interval;
		this_produced->n = i + 1;
	}
}

static void
before_commit(void)
{
	SthPendingLog *logs;
	int			nlogs = sth_pending_logs(&logs);
	int32	   *log_ids;
	SthTailWriter *writer;

	sth_pending_seal();
	STH_FAILPOINT("sealed");
	if (nlogs == 0)
		return;

	log_ids = palloc(nlogs * sizeof(int32));
	writer = sth_tail_begin_write();
	for (int i = 0; i < nlogs; i++)
	{
		sth_pending_finish(&logs[i], writer);
		log_ids[i] = logs[i].log_id;
	}
	make_room(nlogs);
	this_produced->tail = sth_relations()->tail;

	STH_FAILPOINT("before-sequencing");
	take_offsets(nlogs, logs, log_ids);
	STH_FAILPOINT("sequenced");
	for (int i = 0; i < nlogs; i++)
		write_log(writer, &logs[i], this_produced->ranges[i].first);
	sth_tail_end_write(writer);
	STH_FAILPOINT("inserted");

	pfree(log_ids);
	pfree(logs);
}

static void
refuse_prepare(void)
{
	SthPendingLog *logs;

	if (sth_pending_logs(&logs) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot prepare a transaction that has produced to a topic"),
				 errdetail("Offsets are given while a transaction commits."),
				 errhint("Use COMMIT.")));
}

/* Wakes who waits for the topics that have got rows; once per topic. */
static void
wake_waiters(const Produced *produced)
{
	for (int i = 0; i < produced->n; i++)
		if (i == 0 ||
			produced->ranges[i].topic_id != produced->ranges[i - 1].topic_id)
			sth_waiters_wake(produced->ranges[i].topic_id);
}

/* There is something to become segments; the worker may have to be told. */
static void
note_unflushed(const Produced *produced)
{
	TimestampTz now = GetCurrentTransactionStopTimestamp();
	bool		wake = false;

	for (int i = 0; i < produced->n; i++)
	{
		const ProducedRange *range = &produced->ranges[i];

		wake |= sth_unflushed_add(range->sequence, range->bytes, range->stored,
								  now, range->segment_size,
								  range->flush_interval);
	}
	if (wake)
		sth_worker_wake();
}

/* The offsets that were taken will have no rows. */
static void
leave_gaps(const Produced *produced)
{
	for (int i = 0; i < produced->n; i++)
		sth_sequencer_note_gap(produced->ranges[i].sequence,
							   produced->ranges[i].first);
	sth_worker_wake();
	wake_waiters(produced);
}

/* Counts what was produced, and how long its offsets were held. */
static void
count_produced(const Produced *produced, int64 microseconds)
{
	int			i = 0;

	while (i < produced->n)
	{
		int32		topic_id = produced->ranges[i].topic_id;
		SthStatsKey key = sth_stats_key(produced->tail, topic_id, 0);
		SthStats   *stats = sth_stats_enter(&key);
		int64		rows = 0;
		int64		bytes = 0;

		for (; i < produced->n && produced->ranges[i].topic_id == topic_id; i++)
		{
			rows += produced->ranges[i].last - produced->ranges[i].first + 1;
			bytes += produced->ranges[i].bytes;
		}
		if (stats == NULL)
			continue;
		sth_stats_add(stats, STH_TOPIC_TRANSACTIONS, 1);
		sth_stats_add(stats, STH_TOPIC_ROWS_PRODUCED, rows);
		sth_stats_add(stats, STH_TOPIC_BYTES_PRODUCED, bytes);
		sth_stats_add_time(stats, microseconds);
	}
}

/* Must not fail after a commit. */
static void
after_end(bool committed)
{
	int64		microseconds = sth_sequencer_end();

	sth_pending_forget();
	if (this_produced == NULL || this_produced->n == 0)
		return;
	if (committed)
	{
		Produced   *previous = last_produced;

		last_produced = this_produced;
		this_produced = previous;
		wake_waiters(last_produced);
		count_produced(last_produced, microseconds);
		note_unflushed(last_produced);
	}
	else
		leave_gaps(this_produced);
	if (this_produced != NULL)
		this_produced->n = 0;
}

static void
at_transaction_event(XactEvent event)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			before_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
			after_end(true);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			after_end(false);
			break;
		default:
			break;
	}
}

/* Registers the callback; called once a process, from _PG_init. */
void
sth_commit_init(void)
{
	sth_transaction_register(STH_AT_END | STH_AT(PRE_COMMIT) | STH_AT(PRE_PREPARE),
							 at_transaction_event);
}

/* last_produced() */
Datum
sth_last_produced(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; last_produced != NULL && i < last_produced->n; i++)
	{
		const ProducedRange *range = &last_produced->ranges[i];
		Datum		values[4];
		bool		isnull[4] = {false, false, false, false};

		values[0] = ObjectIdGetDatum(range->relid);
		values[1] = Int32GetDatum(range->partition);
		values[2] = Int64GetDatum(range->first);
		values[3] = Int64GetDatum(range->last);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}
