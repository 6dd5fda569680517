/*-------------------------------------------------------------------------
 *
 * flush.c
 *	  Moving rows from the tail to segments.
 *
 * A turn makes one object of what is due.  In a transaction, with the locks
 * on the extension and the database's log-owner lock (log/owner.c):
 *
 *	1. each log that is due has its topic locked against DDL and against who
 *	   moves its start, or is left for later;
 *	2. under a snapshot taken then, the frames of its tail are read as an
 *	   ordered reader reads them, from the end of its newest segment or its
 *	   start on, up to the first gap or the size of a segment, and encoded
 *	   (encode.c);
 *	3. the object gets its footer and is whole.
 *
 * If it is kept in the database, the same transaction makes its segments known
 * and deletes from the tail what is in them (register.c).  If it is for a
 * bucket:
 *
 *	3. the object gets its row in the ledger, as uploading, and the
 *	   transaction commits, to disk: what was encoded is durable before the
 *	   first byte of it is sent;
 *	4. it is sent, with no transaction, snapshot or lock.  Meanwhile the
 *	   worker goes on with its turns, closes gaps, and encodes a second one;
 *	5. when it is there, another transaction with the log-owner lock makes its
 *	   segments known, and the object live.  Those of topics that are locked
 *	   by somebody wait for another.
 *
 * Failure: before the commit of what makes a segment known its rows are in the
 * tail, after it in the segment.  A transaction that fails has changed
 * nothing.  A worker that ends leaves an object as uploading, which the next
 * one gives up (look.c); so does one that cannot send it or make it known.
 * The rows are encoded again then, for an object of another key.
 *
 * An error is logged, and does not end the worker.  If the object had several
 * logs and it is not the store that failed, each gets one of its own next, so
 * that one that cannot be flushed does not keep the others back; a single log
 * is tried again after a second, two, four, at most five minutes.  A server
 * has two objects under way at most, and they do not keep back others'.
 *
 * Memory: "streamhouse flush", for each object, until it is done with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "base/failpoint.h"
#include "catalog/objects.h"
#include "catalog/relations.h"
#include "flush/count.h"
#include "flush/flush.h"
#include "flush/garbage.h"
#include "flush/object.h"
#include "log/log.h"
#include "log/owner.h"
#include "log/voids.h"
#include "log/waiters.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Of one server: one is encoded while the other is sent. */
#define MAX_UPLOADS 2

/* When to look again whether the extension stays, or a topic is free. */
#define BUSY_MS 100

/* So long a worker that is to leave waits for what does not get on. */
#define FINISH_MS (10 * 1000)

/* And so long for what does. */
#define MAX_FINISH_MS (10 * 60 * 1000)

/* Objects on their way to buckets, or waiting for topics to be free. */
static List *uploads = NIL;

/* The log that the last object began with, so that all have their turn. */
static int32 last_log = 0;

/* Since when nothing new is begun that goes to a bucket; 0: it is. */
static TimestampTz finishing = 0;

static SthFlush *
begin_flush(Oid tail)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "streamhouse flush",
												  ALLOCSET_DEFAULT_SIZES);
	SthFlush   *flush = MemoryContextAllocZero(context, sizeof(SthFlush));

	flush->context = context;
	flush->tail = tail;
	flush->since = GetCurrentTimestamp();
	return flush;
}

static void
end_flush(SthFlush *flush)
{
	if (flush->writer != NULL)
		sth_segment_writer_end(flush->writer);
	MemoryContextDelete(flush->context);
}

/* A log has been dealt with; log->how says what is left of its tail. */
static void
end_log(SthFlush *flush, SthFlushedLog *log)
{
	/* what stopped at a gap has come some way */
	if (log->how == STH_FLUSH_LATER && log->ntuples > 0)
		log->how = STH_FLUSH_MORE;
	sth_unflushed_end(flush->tail, &log->note, log->how, log->bytes,
					  log->end_offset);
	if (log->topic_id != 0)
		sth_waiters_wake(log->topic_id);
	log->pending = false;
}

/* A transaction has made segments known. */
static void
note_registered(SthFlush *flush)
{
	for (int i = 0; i < flush->nlogs; i++)
		if (flush->logs[i].registered)
		{
			flush->logs[i].registered = false;
			end_log(flush, &flush->logs[i]);
		}
}

/* Counts a failure for the topics of the logs concerned, each once. */
static void
count_failure(SthFlush *flush, const ErrorData *error)
{
	List	   *topics = NIL;
	ListCell   *lc;

	for (int i = 0; i < flush->nlogs; i++)
		if (flush->logs[i].pending && flush->logs[i].topic_id != 0)
			topics = list_append_unique_int(topics, flush->logs[i].topic_id);
	foreach(lc, topics)
		sth_flush_count_failure(lfirst_int(lc), error);
}

/*
 * Has the extension gone that a flush was for?  If not, the failure counts, if
 * it is known of which logs it was.
 */
static bool
has_gone(SthFlush *flush, const ErrorData *error, bool counts)
{
	const SthRelations *relations;
	bool		gone;

	StartTransactionCommand();
	relations = sth_relations_if_exist();
	gone = relations == NULL || relations->tail != flush->tail;
	if (!gone && counts)
		count_failure(flush, error);
	CommitTransactionCommand();
	return gone;
}

/*
 * An object could not be made, sent or made known.  Says so, unless the
 * extension has gone, which explains it.
 */
static void
note_failure(SthFlush *flush, const ErrorData *error, bool store_failed)
{
	int			nlogs = 0;

	for (int i = 0; i < flush->nlogs; i++)
		if (flush->logs[i].pending)
			nlogs++;
	/* of which of several logs it was will turn out */
	if (has_gone(flush, error, nlogs == 1 || store_failed))
		return;
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg_plural("could not make segments of %d partition: %s",
						   "could not make segments of %d partitions: %s",
						   nlogs, nlogs, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
	for (int i = 0; i < flush->nlogs; i++)
	{
		SthFlushedLog *log = &flush->logs[i];

		if (!log->pending)
			continue;
		if (nlogs > 1 && !store_failed)
			sth_unflushed_set_alone(flush->tail, &log->note);
		else
			sth_unflushed_end(flush->tail, &log->note, STH_FLUSH_FAILED, 0, 0);
		if (log->topic_id != 0)
			sth_waiters_wake(log->topic_id);
	}
}

/* What a transaction does for an object; false: it has to be done later. */
typedef bool (*Work) (SthFlush *flush);

typedef enum Outcome
{
	DONE,
	LATER,
	FAILED
} Outcome;

/* Runs it; an error becomes a note, and the object is done with. */
static Outcome
in_transaction(SthFlush *flush, Work work)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Outcome outcome = DONE;

	pgstat_report_activity(STATE_RUNNING, "writing segments");
	PG_TRY();
	{
		StartTransactionCommand();
		if (!work(flush))
			outcome = LATER;
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		note_failure(flush, error, flush->is_sending && !flush->is_sent);
		MemoryContextSwitchTo(context);
		FreeErrorData(error);
		outcome = FAILED;
	}
	PG_END_TRY();
	return outcome;
}

/* Encodes an object, and makes it known if that is all. */
static bool
make_object(SthFlush *flush)
{
	int			ndue = flush->nlogs;

	flush->nlogs = 0;
	if (!sth_owner_keep_extension())
		return false;
	sth_owner_lock();
	sth_flush_encode(flush, ndue);
	if (flush->writer == NULL)
		return true;
	STH_FAILPOINT("flush-encoded");
	if (flush->is_remote)
	{
		sth_segment_writer_register_object(flush->writer);
		/* what it has must not be lost after it has been sent */
		ForceSyncCommit();
	}
	else
	{
		STH_FAILPOINT("flush-stored");
		(void) sth_flush_register(flush);
		STH_FAILPOINT("flush-cataloged");
	}
	return true;
}

/* Looks at an object that has been sent, and makes it known. */
static bool
register_object(SthFlush *flush)
{
	bool		done;

	if (!flush->is_sent)
	{
		sth_put_check(sth_segment_writer_put(flush->writer));
		sth_put_release(sth_segment_writer_put(flush->writer));
		flush->is_sent = true;
	}
	if (!sth_owner_keep_extension())
		return false;
	sth_owner_lock();
	STH_FAILPOINT("flush-stored");
	done = sth_flush_register(flush);
	STH_FAILPOINT("flush-cataloged");
	return done;
}

/* What has been sent of an object, or may have been, is of no use. */
static bool
give_up_object(SthFlush *flush)
{
	if (!sth_owner_keep_extension() || sth_relations()->tail != flush->tail)
		return true;
	sth_owner_lock();
	sth_object_give_up(sth_segment_writer_object_id(flush->writer));
	return true;
}

static bool
is_uploading(int32 log_id)
{
	ListCell   *lc;

	foreach(lc, uploads)
	{
		SthFlush   *flush = lfirst(lc);

		for (int i = 0; i < flush->nlogs; i++)
			if (flush->logs[i].pending && flush->logs[i].note.log_id == log_id)
				return true;
	}
	return false;
}

/*
 * Sends an object.  Until it is there its logs have their notes back, so that
 * everybody sees since when rows wait.
 */
static void
begin_upload(SthFlush *flush)
{
	MemoryContext old;

	STH_FAILPOINT("flush-uploading");
	for (int i = 0; i < flush->nlogs; i++)
	{
		SthFlushedLog *log = &flush->logs[i];

		if (log->ntuples == 0)
		{
			end_log(flush, log);
			continue;
		}
		sth_unflushed_end(flush->tail, &log->note, STH_FLUSH_LATER, 0, 0);
		log->note.bytes = 0;
	}
	flush->is_sending = true;
	sth_voids_set_keep(is_uploading);
	old = MemoryContextSwitchTo(TopMemoryContext);
	sth_put_send(sth_segment_writer_put(flush->writer));
	uploads = lappend(uploads, flush);
	MemoryContextSwitchTo(old);
	sth_garbage_expect();
}

/*
 * Goes on with the objects that are on their way.  Returns when to look again
 * at those that have arrived.
 */
static TimestampTz
advance_uploads(Oid tail)
{
	TimestampTz again = DT_NOEND;
	List	   *all = list_copy(uploads);
	ListCell   *lc;

	foreach(lc, all)
	{
		SthFlush   *flush = lfirst(lc);
		Outcome		outcome;
		bool		is_pending = false;

		if (flush->tail == tail && !flush->is_sent &&
			!sth_put_is_sent(sth_segment_writer_put(flush->writer)))
			continue;
		outcome = flush->tail == tail ? in_transaction(flush, register_object) :
			FAILED;
		if (outcome == DONE)
			note_registered(flush);
		for (int i = 0; i < flush->nlogs; i++)
			is_pending |= flush->logs[i].pending;
		if (outcome != FAILED && is_pending)
		{
			again = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BUSY_MS);
			continue;
		}
		if (outcome == FAILED && flush->tail == tail)
			(void) in_transaction(flush, give_up_object);
		uploads = list_delete_ptr(uploads, flush);
		end_flush(flush);
	}
	list_free(all);
	return again;
}

/* The servers that have as many objects under way as they may. */
static List *
list_full_servers(void)
{
	List	   *servers = NIL;
	ListCell   *a;
	ListCell   *b;

	foreach(a, uploads)
	{
		Oid			server = ((SthFlush *) lfirst(a))->server;
		int			n = 0;

		foreach(b, uploads)
			n += ((SthFlush *) lfirst(b))->server == server &&
			!((SthFlush *) lfirst(b))->is_sent;
		if (n >= MAX_UPLOADS)
			servers = list_append_unique_oid(servers, server);
	}
	return servers;
}

/* In the order of their numbers, but those after the last one first. */
static int
compare_logs(const ListCell *a, const ListCell *b)
{
	int32		log_a = ((const SthUnflushed *) lfirst(a))->log_id;
	int32		log_b = ((const SthUnflushed *) lfirst(b))->log_id;
	bool		before_a = log_a <= last_log;
	bool		before_b = log_b <= last_log;

	if (before_a != before_b)
		return before_a ? 1 : -1;
	return log_a < log_b ? -1 : log_a > log_b;
}

/* Chooses logs that are due. */
static void
choose(SthFlush *flush)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *notes = sth_unflushed_list(flush->tail);
	ListCell   *lc;

	list_sort(notes, compare_logs);
	foreach(lc, notes)
	{
		SthUnflushed *note = lfirst(lc);

		if (note->due > now || flush->nlogs == STH_FLUSH_MAX_LOGS ||
			is_uploading(note->log_id))
			continue;
		/* of those that want an object of their own one is enough */
		if (flush->nlogs > 0 && (note->alone || flush->logs[0].note.alone))
			continue;
		flush->logs[flush->nlogs++].note = *note;
	}
	if (flush->nlogs > 0)
		last_log = flush->logs[0].note.log_id;
	flush->full_servers = list_full_servers();
}

/* When the first log is due, those included that are already. */
static TimestampTz
next_due(Oid tail)
{
	TimestampTz next = DT_NOEND;
	ListCell   *lc;

	foreach(lc, sth_unflushed_list(tail))
	{
		SthUnflushed *note = lfirst(lc);

		if (!is_uploading(note->log_id))
			next = Min(next, note->due);
	}
	return next;
}

/* Makes an object of the logs that are due; false if that cannot be now. */
static bool
make_next(Oid tail)
{
	SthFlush   *flush = begin_flush(tail);
	Outcome		outcome;

	choose(flush);
	outcome = flush->nlogs == 0 ? DONE : in_transaction(flush, make_object);
	if (outcome == DONE && flush->is_remote)
	{
		begin_upload(flush);
		return true;
	}
	if (outcome == DONE)
		for (int i = 0; i < flush->nlogs; i++)
			end_log(flush, &flush->logs[i]);
	end_flush(flush);
	return outcome != LATER;
}

/*
 * Makes one object of the logs that are due.  Called by the worker, outside of
 * a transaction and in a memory context that it resets.  Returns when to call
 * again: a time in the past if something is due already.
 */
TimestampTz
sth_flush_turn(void)
{
	Oid			tail = sth_owner_list_logs(NULL);
	TimestampTz busy;

	busy = advance_uploads(tail);
	if (!OidIsValid(tail))
		return busy;
	if (finishing == 0 || sth_garbage_is_busy())
		busy = Min(busy, sth_garbage_turn(tail));
	/* none was taken up: the extension is on its way out, or back */
	if (finishing == 0 && !make_next(tail))
		busy = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BUSY_MS);
	return Min(next_due(tail), busy);
}

/* Is anything on its way that only this process can finish? */
bool
sth_flush_is_busy(void)
{
	return uploads != NIL || sth_garbage_is_busy();
}

/*
 * Begins nothing new, or does again.  A worker that is to make room for others
 * first has what it has begun come to its end: if it left it behind, and so
 * did each one after it, nothing would ever come to its end.
 */
void
sth_flush_only_finish(bool only)
{
	if (!only)
		finishing = 0;
	else if (finishing == 0)
		finishing = GetCurrentTimestamp();
}

/*
 * May the worker leave that only finishes what it has begun?  A bucket that
 * does not answer is not waited for: others have theirs.
 */
bool
sth_flush_may_leave(void)
{
	return !sth_flush_is_busy() ||
		(TimestampDifferenceExceeds(finishing, GetCurrentTimestamp(), FINISH_MS) &&
		 !sth_store_is_moving()) ||
		TimestampDifferenceExceeds(finishing, GetCurrentTimestamp(), MAX_FINISH_MS);
}

/* Has anything arrived, so that a turn has something to do? */
static bool
has_arrived(void)
{
	ListCell   *lc;

	foreach(lc, uploads)
	{
		SthFlush   *flush = lfirst(lc);

		if (!flush->is_sent &&
			sth_put_is_sent(sth_segment_writer_put(flush->writer)))
			return true;
	}
	return sth_garbage_has_arrived();
}

/*
 * Waits for the latch, as WaitLatch does, or until a turn has something to do
 * that was on its way, unless it could not; true if so.
 */
bool
sth_flush_wait(long timeout, bool locked_out, uint32 wait_event)
{
	TimestampTz end = timeout < 0 ? DT_NOEND :
	TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout);

	while (locked_out || !has_arrived())
	{
		long		left = timeout < 0 ? -1 :
		TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);

		if ((sth_store_drive(left, wait_event) & WL_LATCH_SET) != 0 || left == 0)
			break;
	}
	return !locked_out && has_arrived();
}
