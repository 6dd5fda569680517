/*-------------------------------------------------------------------------
 *
 * flush.c
 *	  Moving rows from the tail to segments.
 *
 * A turn makes one object of what is due, in one transaction:
 *
 *	1. the locks on the extension and the database's log-owner lock, until the
 *	   commit (log/owner.c);
 *	2. for each log that is due, its topic is locked against DDL and against
 *	   who moves its start, or the log is left for later;
 *	3. under a snapshot taken then, the frames of its tail are read as an
 *	   ordered reader reads them, from the end of its newest segment or its
 *	   start on, up to the first gap or the size of a segment, and encoded;
 *	   voids become part of the segment's range;
 *	4. the object gets its footer and is whole;
 *	5. it and its segments are made known;
 *	6. the rows of the tail that were encoded are deleted, and counted: if
 *	   they are not as many as were, that is an error.
 *
 * Rows that a log gets meanwhile are not in the snapshot and stay.  A
 * transaction that is about to commit rows below others that are visible has
 * left a gap, at which the flush stops; so a segment's range has nothing that
 * could still appear.  Whole frames are taken, so a frame is in a segment or
 * in the tail.  Of staged rows a part may be: the row that points to them
 * stays until all of them are gone.
 *
 * Failure: all of it is one transaction.  Before its commit nothing has
 * changed, and what was written is dead tuples; after it all has.  An error is
 * logged, and does not end the worker.  If the object had several logs, each
 * gets one of its own next, so that one that cannot be flushed does not keep
 * the others back; a single log is tried again after a second, two, four, at
 * most five minutes.
 *
 * Memory: "streamhouse flush", for a turn.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/failpoint.h"
#include "base/guc.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "flush/count.h"
#include "flush/flush.h"
#include "log/frames.h"
#include "log/log.h"
#include "log/measure.h"
#include "log/owner.h"
#include "log/tail.h"
#include "log/tail_size.h"
#include "log/unflushed.h"
#include "log/waiters.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "segment/remove.h"
#include "segment/writer.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* An object has not more segments than this. */
#define MAX_LOGS 1000

/* A segment is made of not more rows of the tail than this. */
#define MAX_TUPLES (8 * 1024 * 1024)

/* When to look again whether the extension stays. */
#define BUSY_MS 100

/* A log of the object at hand. */
typedef struct FlushedLog
{
	SthUnflushed *note;
	int32		topic_id;
	SthFlushEnd how;
	int64		base_offset;	/* of its segment; empty: it has none */
	int64		end_offset;
	int64		ntuples;		/* of the tail, encoded */
	int64		bytes;
} FlushedLog;

/* An object that is being made. */
typedef struct Flush
{
	Oid			tail;
	SthSegmentWriter *writer;	/* NULL: nothing has been encoded yet */
	TimestampTz began;
	int64		bytes;
	int			nlogs;
	FlushedLog	logs[MAX_LOGS];
} Flush;

static int64
segment_size(const SthTopic *topic)
{
	return (int64) (topic->segment_size ? topic->segment_size :
					sth_segment_size) * 1024;
}

/* The partition of a log; -1: it is none of the topic's. */
static int
find_partition(const SthTopic *topic, int32 log_id)
{
	for (int i = 0; i < topic->npartitions; i++)
		if (topic->log_ids[i] == log_id)
			return i;
	return -1;
}

/*
 * Encodes what there is of a log's tail, as far as may be.  log->how says
 * whether anything is left.
 */
static void
encode_frames(Flush *flush, FlushedLog *log, Relation rel,
			  const SthTopic *topic, int partition, Snapshot snapshot)
{
	int64		limit = segment_size(topic);
	SthFrameScan *scan = sth_frames_begin(snapshot, RelationGetRelationName(rel));
	SthLogFrame frame;

	sth_frames_seek(scan, log->note->log_id, partition, log->base_offset);
	log->how = STH_FLUSH_ALL;
	while (sth_frames_next(scan, &frame))
	{
		CHECK_FOR_INTERRUPTS();
		if (frame.start_offset > log->end_offset)
		{
			log->how = STH_FLUSH_LATER;
			/* if it is dead and nobody knows it would stop us for ever */
			sth_log_note_gap(log->note->log_id, log->end_offset);
			break;
		}
		if (log->bytes >= limit || log->ntuples >= MAX_TUPLES)
		{
			log->how = STH_FLUSH_MORE;
			break;
		}
		if (flush->writer == NULL)
			flush->writer = sth_segment_writer_begin(topic->server);
		if (log->ntuples == 0)
			sth_segment_writer_begin_log(flush->writer, rel, topic, partition,
										 log->base_offset,
										 sth_log_start_offset(log->note->log_id,
															  snapshot));
		if (!frame.is_void)
			sth_segment_writer_add(flush->writer, frame.data, frame.len,
								   frame.frame.nrows, frame.start_offset,
								   (int) (log->end_offset - frame.start_offset));
		log->end_offset = frame.end_offset;
		log->ntuples += frame.ntuples;
		log->bytes += frame.frame.raw_len;
	}
	sth_frames_end(scan);
	if (log->ntuples > 0)
		sth_segment_writer_end_log(flush->writer, log->end_offset);
	flush->bytes += log->bytes;
}

/* Makes a segment of a log, if it can be done now and there is anything. */
static void
encode_log(Flush *flush, FlushedLog *log)
{
	int32		log_id = log->note->log_id;
	Relation	rel;
	SthTopic   *topic;
	Snapshot	snapshot;
	Oid			relid;
	int			partition;

	sth_unflushed_begin(flush->tail, log->note);
	switch (sth_owner_lock_log(log_id, &log->topic_id, &relid))
	{
		case STH_LOG_GONE:
			log->how = STH_FLUSH_ALL;
			return;
		case STH_LOG_BUSY:
			log->how = STH_FLUSH_LATER;
			return;
		case STH_LOG_LOCKED:
			break;
	}
	rel = sth_topic_open(relid, NoLock);
	topic = sth_topic_get(rel);
	partition = find_partition(topic, log_id);
	if (partition >= 0)
	{
		snapshot = sth_fresh_snapshot();
		log->base_offset = sth_log_tail_start(log_id, snapshot);
		log->end_offset = log->base_offset;
		encode_frames(flush, log, rel, topic, partition, snapshot);
		UnregisterSnapshot(snapshot);
	}
	relation_close(rel, NoLock);
}

/* Deletes what was encoded of a log, and counts its segment. */
static void
delete_encoded(const Flush *flush, const FlushedLog *log, uint32 *nsegments)
{
	int64		n;

	if (log->ntuples == 0)
		return;
	n = sth_tail_delete_until(log->note->log_id, log->base_offset,
							  log->end_offset);
	if (n != log->ntuples)
		elog(ERROR, "of log %d " INT64_FORMAT " rows of the tail were encoded, but " INT64_FORMAT " deleted",
			 log->note->log_id, log->ntuples, n);
	sth_flush_count(log->topic_id,
					sth_segment_writer_segment(flush->writer, (*nsegments)++),
					log->bytes, flush->began);
}

/* Makes an object of the logs, in a transaction. */
static void
make_object(Flush *flush)
{
	Snapshot	snapshot;
	int			ndue = flush->nlogs;
	uint32		nsegments = 0;

	/* the rest of those that are due is for the next object */
	flush->nlogs = 0;
	if (!sth_owner_keep_extension())
		return;
	sth_owner_lock();
	while (flush->nlogs < ndue && flush->bytes < (int64) sth_segment_size * 1024)
		encode_log(flush, &flush->logs[flush->nlogs++]);
	if (flush->writer == NULL)
		return;
	STH_FAILPOINT("flush-encoded");
	sth_segment_writer_finish(flush->writer);
	STH_FAILPOINT("flush-stored");
	/* who stores long values wants to see one */
	snapshot = sth_fresh_snapshot();
	sth_segment_writer_register(flush->writer);
	UnregisterSnapshot(snapshot);
	for (int i = 0; i < flush->nlogs; i++)
		delete_encoded(flush, &flush->logs[i], &nsegments);
	STH_FAILPOINT("flush-cataloged");
	sth_segment_writer_end(flush->writer);
}

static void
note_success(Flush *flush)
{
	for (int i = 0; i < flush->nlogs; i++)
	{
		FlushedLog *log = &flush->logs[i];

		/* what stopped at a gap has come some way */
		if (log->how == STH_FLUSH_LATER && log->ntuples > 0)
			log->how = STH_FLUSH_MORE;
		sth_unflushed_end(flush->tail, log->note, log->how, log->bytes,
						  log->end_offset);
		if (log->topic_id != 0)
			sth_waiters_wake(log->topic_id);
	}
}

/*
 * An object could not be made.  Says so, unless the extension has gone, which
 * explains it.
 */
static void
note_failure(Flush *flush, const ErrorData *error)
{
	const SthRelations *relations;
	bool		gone;

	StartTransactionCommand();
	relations = sth_relations_if_exist();
	gone = relations == NULL || relations->tail != flush->tail;
	/* of which of several logs it was will turn out */
	if (!gone && flush->nlogs == 1)
		sth_flush_count_failure(flush->logs[0].topic_id, error);
	CommitTransactionCommand();
	if (gone)
		return;
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg_plural("could not make segments of %d partition: %s",
						   "could not make segments of %d partitions: %s",
						   flush->nlogs, flush->nlogs, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
	for (int i = 0; i < flush->nlogs; i++)
	{
		FlushedLog *log = &flush->logs[i];

		if (flush->nlogs > 1)
			sth_unflushed_set_alone(flush->tail, log->note);
		else
			sth_unflushed_end(flush->tail, log->note, STH_FLUSH_FAILED, 0, 0);
		if (log->topic_id != 0)
			sth_waiters_wake(log->topic_id);
	}
}

/* Makes an object; an error becomes a note. */
static void
flush_in_transaction(Flush *flush)
{
	MemoryContext context = CurrentMemoryContext;

	pgstat_report_activity(STATE_RUNNING, "writing segments");
	flush->began = GetCurrentTimestamp();
	PG_TRY();
	{
		StartTransactionCommand();
		make_object(flush);
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
		note_success(flush);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		note_failure(flush, error);
		MemoryContextSwitchTo(context);
		FreeErrorData(error);
	}
	PG_END_TRY();
}

/* Chooses logs that are due. */
static void
choose(Flush *flush)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;

	foreach(lc, sth_unflushed_list(flush->tail))
	{
		SthUnflushed *note = lfirst(lc);

		if (note->due > now || flush->nlogs == MAX_LOGS)
			continue;
		/* of those that want an object of their own one is enough */
		if (flush->nlogs > 0 && (note->alone || flush->logs[0].note->alone))
			continue;
		flush->logs[flush->nlogs++].note = note;
	}
}

/* When the first log is due, those included that are already. */
static TimestampTz
next_due(Oid tail)
{
	TimestampTz next = DT_NOEND;
	ListCell   *lc;

	foreach(lc, sth_unflushed_list(tail))
		next = Min(next, ((SthUnflushed *) lfirst(lc))->due);
	return next;
}

/* The tail of the extension, or InvalidOid; in a transaction of its own. */
static Oid
find_tail(void)
{
	return sth_owner_list_logs(NULL);
}

/*
 * Makes one object of the logs that are due.  Called by the worker, outside of
 * a transaction and in a memory context that it resets.  Returns when to call
 * again: a time in the past if something is due already.
 */
TimestampTz
sth_flush_turn(void)
{
	Flush	   *flush = palloc0(sizeof(Flush));

	flush->tail = find_tail();
	if (!OidIsValid(flush->tail))
		return DT_NOEND;
	choose(flush);
	if (flush->nlogs == 0)
		return next_due(flush->tail);
	flush_in_transaction(flush);
	/* none was taken up: the extension is on its way out, or back */
	if (flush->nlogs == 0)
		return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BUSY_MS);
	return next_due(flush->tail);
}

/*
 * Since when a tail's rows have waited, going by the time of the first.  Where
 * a row was given another than the clock's, that may be anything; so rows do
 * not count as older than makes them due, nor as of the future.
 */
static TimestampTz
waiting_since(const SthTailMeasure *measure, const SthTopic *topic)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		interval = topic->flush_interval ? topic->flush_interval :
	sth_flush_interval;

	if (measure->oldest == 0)
		return now;
	return Min(Max(measure->oldest, now - interval * USECS_PER_SEC), now);
}

/* Notes what a log's tail has; false if it cannot be looked at now. */
static bool
look_at_log(int32 log_id, void *arg)
{
	SthTailMeasure measure;
	int32		topic_id;
	Oid			relid;
	SthSequence *sequence;

	switch (sth_owner_lock_log(log_id, &topic_id, &relid))
	{
		case STH_LOG_GONE:
			return true;
		case STH_LOG_BUSY:
			return false;
		case STH_LOG_LOCKED:
			break;
	}
	measure = sth_tail_measure(log_id, (int64) sth_segment_size * 1024);
	if (measure.bytes == 0)
		return true;
	sequence = sth_log_try_open(log_id);
	if (sequence != NULL)
	{
		Relation	rel = sth_topic_open(relid, NoLock);
		SthTopic   *topic = sth_topic_get(rel);

		sth_tail_size_attach(sequence, topic->server);
		sth_tail_size_measured(sequence, measure.stored);
		if (sth_unflushed_since(sth_relations()->tail, log_id) == 0)
			(void) sth_unflushed_add(sequence, measure.bytes, 0,
									 waiting_since(&measure, topic),
									 topic->segment_size, topic->flush_interval);
		relation_close(rel, NoLock);
	}
	return true;
}

/*
 * Looks at the tails of all logs, and for objects that are left over.  Called
 * by a worker that has started, as sth_flush_turn is.  False if some could not
 * be looked at, and it has to be done again.
 */
bool
sth_flush_look(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *log_ids = NIL;
	ListCell   *lc;
	bool		complete = true;

	if (!OidIsValid(sth_owner_list_logs(&log_ids)))
		return true;
	foreach(lc, log_ids)
	{
		CHECK_FOR_INTERRUPTS();
		complete &= sth_owner_work(lfirst_int(lc), look_at_log, NULL);
	}
	StartTransactionCommand();
	if (sth_owner_keep_extension())
	{
		sth_owner_lock();
		sth_objects_remove_unused();
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return complete;
}
