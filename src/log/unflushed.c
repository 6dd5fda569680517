/*-------------------------------------------------------------------------
 *
 * unflushed.c
 *	  What waits in the tails of logs to become segments.
 *
 * The place of an open log in shared memory has a note of how many bytes have
 * been committed to it since its last flush, and when the first of them were.
 * So the worker knows which logs are due without looking at their tails, and a
 * commit wakes it only when something is new to it: the first rows since a
 * flush, by which it sets its clock, and those that make a segment full.
 *
 * The note is no more than that.  The worker takes it back before it looks at
 * the tail (the time first, then the bytes), and a commit notes its rows when
 * they can be seen (the bytes first, then the time); so rows that a flush has
 * not seen are noted after it began.  What it did not flush it puts back.
 *
 * Besides, a log is due whatever it has when too much waits in the tail
 * (tail_size.c).
 *
 * Failure: the notes are lost with shared memory, and with a worker that ends
 * between taking and putting back; so a worker that starts looks at the tails
 * of all logs once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "log/tail_size.h"
#include "log/unflushed.h"
#include "utils/timestamp.h"

/* When to try again what could not be done now, and after failures. */
#define LATER_MS 100
#define MIN_BACKOFF_MS 1000
#define MAX_BACKOFF_MS (5 * 60 * 1000)
/* while so much waits that producers are slowed, or soon will be */
#define MAX_PRESSED_BACKOFF_MS (10 * 1000)

/* Notes the options of a log's topic.  Must not fail. */
void
sth_unflushed_set_options(SthFlushNote *note, int segment_size,
						  int flush_interval)
{
	/* hardly ever other than they are */
	if (pg_atomic_read_u32(&note->segment_size) != (uint32) segment_size)
		pg_atomic_write_u32(&note->segment_size, segment_size);
	if (pg_atomic_read_u32(&note->flush_interval) != (uint32) flush_interval)
		pg_atomic_write_u32(&note->flush_interval, flush_interval);
}

/*
 * Notes committed rows, with the options of their topic; 'stored' is what they
 * take in the tail.  True if the worker has to be told.  Must not fail: it
 * runs after the commit record.
 */
bool
sth_unflushed_add(SthSequence *sequence, int64 bytes, int64 stored,
				  TimestampTz since, int segment_size, int flush_interval)
{
	SthFlushNote *note = sth_sequencer_note(sequence);
	uint64		full = (uint64) (segment_size ? segment_size : sth_segment_size) * 1024;
	uint64		before;
	uint64		none = 0;
	bool		is_first;
	bool		presses;

	sth_unflushed_set_options(note, segment_size, flush_interval);
	before = pg_atomic_fetch_add_u64(&note->bytes, bytes);
	presses = sth_tail_size_grow(note, stored);
	is_first = pg_atomic_read_u64(&note->since) == 0 &&
		pg_atomic_compare_exchange_u64(&note->since, &none, (uint64) since);
	return is_first || presses || (before < full && before + bytes >= full);
}

/* A request, and what is said of the log. */
typedef struct Question
{
	int64		wanted;
	uint32		tries;
	uint32		failed;
	TimestampTz since;
} Question;

static void
ask(int32 log_id, SthFlushNote *note, void *arg)
{
	Question   *question = arg;
	uint64		known = pg_atomic_read_u64(&note->wanted);

	while (known < (uint64) question->wanted &&
		   !pg_atomic_compare_exchange_u64(&note->wanted, &known,
										   (uint64) question->wanted))
		;
	/* who waits does not wait for another try's time to come */
	if (question->wanted > 0)
		pg_atomic_write_u64(&note->not_before, 0);
	pg_memory_barrier();
	question->tries = pg_atomic_read_u32(&note->tries);
	question->failed = pg_atomic_read_u32(&note->failed);
	question->since = (TimestampTz) pg_atomic_read_u64(&note->since);
}

/*
 * Asks for segments of an open log up to an offset.  Returns how many flushes
 * of it had begun by then: what has become of them is nothing to who asks.
 */
uint32
sth_unflushed_ask(Oid tail, int32 log_id, int64 wanted)
{
	Question	question = {wanted, 0, 0, 0};

	(void) sth_sequencer_visit(tail, log_id, ask, &question);
	return question.tries;
}

/* Has a flush of a log failed that began when so many had begun before it? */
bool
sth_unflushed_failed(Oid tail, int32 log_id, uint32 tries)
{
	Question	question = {0, 0, 0, 0};

	/* they are counted on beyond their greatest number */
	return sth_sequencer_visit(tail, log_id, ask, &question) &&
		question.failed != 0 && (int32) (question.failed - tries) > 0;
}

/* Since when something waits in a log's tail, or 0. */
TimestampTz
sth_unflushed_since(Oid tail, int32 log_id)
{
	Question	question = {0, 0, 0, 0};

	(void) sth_sequencer_visit(tail, log_id, ask, &question);
	return question.since;
}

static void
read_note(int32 log_id, SthFlushNote *note, SthUnflushed *log)
{
	uint32		size = pg_atomic_read_u32(&note->segment_size);
	uint32		interval = pg_atomic_read_u32(&note->flush_interval);

	log->log_id = log_id;
	log->since = (TimestampTz) pg_atomic_read_u64(&note->since);
	log->bytes = (int64) pg_atomic_read_u64(&note->bytes);
	log->wanted = (int64) pg_atomic_read_u64(&note->wanted);
	log->alone = pg_atomic_read_u32(&note->alone) != 0;
	if (log->wanted > 0 || sth_tail_size_presses(note) ||
		log->bytes >= (int64) (size ? size : (uint32) sth_segment_size) * 1024)
		log->due = DT_NOBEGIN;
	else
		log->due = log->since +
			(int64) (interval ? interval : (uint32) sth_flush_interval) * USECS_PER_SEC;
	log->due = Max(log->due,
				   (TimestampTz) pg_atomic_read_u64(&note->not_before));
}

/* A list in memory that is there before the lock is taken, if it is enough. */
typedef struct Notes
{
	SthUnflushed *logs;
	int			n;
	int			max;
} Notes;

static void
collect(int32 log_id, SthFlushNote *note, void *arg)
{
	Notes	   *notes = arg;

	if (pg_atomic_read_u64(&note->since) == 0 &&
		pg_atomic_read_u64(&note->wanted) == 0)
		return;
	if (notes->n < notes->max)
		read_note(log_id, note, &notes->logs[notes->n]);
	notes->n++;
}

/* The logs that have something, or are to have segments, as SthUnflushed. */
List *
sth_unflushed_list(Oid tail)
{
	Notes		notes = {NULL, 0, 256};
	List	   *result = NIL;

	for (;;)
	{
		notes.logs = palloc(notes.max * sizeof(SthUnflushed));
		notes.n = 0;
		sth_sequencer_visit_all(tail, collect, &notes);
		if (notes.n <= notes.max)
			break;
		pfree(notes.logs);
		notes.max = notes.n + 64;
	}
	for (int i = 0; i < notes.n; i++)
		result = lappend(result, &notes.logs[i]);
	return result;
}

static void
take(int32 log_id, SthFlushNote *note, void *arg)
{
	SthUnflushed *log = arg;

	/* before the tail is looked at, see ask */
	pg_atomic_fetch_add_u32(&note->tries, 1);
	log->since = (TimestampTz) pg_atomic_exchange_u64(&note->since, 0);
	log->bytes = (int64) pg_atomic_exchange_u64(&note->bytes, 0);
	log->tail_in = pg_atomic_read_u64(&note->tail_in);
}

/* Takes the note of a log, before its tail is looked at. */
void
sth_unflushed_begin(Oid tail, SthUnflushed *log)
{
	(void) sth_sequencer_visit(tail, log->log_id, take, log);
}

/* What is to be put back. */
typedef struct Return
{
	const SthUnflushed *log;
	SthFlushEnd how;
	int64		bytes;
	int64		end_offset;
	TimestampTz now;
} Return;

static void
put_back(int32 log_id, SthFlushNote *note, void *arg)
{
	Return	   *back = arg;
	uint64		since = (uint64) back->log->since;
	uint64		none = 0;
	uint64		wanted = pg_atomic_read_u64(&note->wanted);

	if (back->how == STH_FLUSH_ALL)
		sth_tail_size_flushed(note, back->log->tail_in);
	else
	{
		pg_atomic_fetch_add_u64(&note->bytes,
								Max(back->log->bytes - back->bytes, 0));
		(void) pg_atomic_compare_exchange_u64(&note->since, &none,
											  since ? since : (uint64) back->now);
	}
	/* not what somebody has asked for after this flush had looked */
	if (wanted <= (uint64) back->end_offset ||
		(back->how == STH_FLUSH_ALL && wanted == (uint64) back->log->wanted))
		(void) pg_atomic_compare_exchange_u64(&note->wanted, &wanted, 0);
	if (back->how == STH_FLUSH_FAILED)
	{
		uint32		backoff = pg_atomic_fetch_add_u32(&note->backoff, 1);

		/* who waits is told by that */
		pg_atomic_write_u64(&note->wanted, 0);
		pg_atomic_write_u32(&note->failed, pg_atomic_read_u32(&note->tries));
		pg_atomic_write_u64(&note->not_before,
							(uint64) (back->now + 1000 * (int64)
									  Min((int64) MIN_BACKOFF_MS << Min(backoff, 20),
										  sth_tail_size_presses(note) ?
										  MAX_PRESSED_BACKOFF_MS : MAX_BACKOFF_MS)));
		return;
	}
	pg_atomic_write_u64(&note->not_before, back->how == STH_FLUSH_LATER ?
						(uint64) (back->now + LATER_MS * 1000) : 0);
	if (back->how == STH_FLUSH_LATER)
		return;
	pg_atomic_write_u32(&note->backoff, 0);
	pg_atomic_write_u32(&note->alone, 0);
}

/*
 * A flush of a log whose note was taken has ended: so many bytes have gone to
 * segments, which end at end_offset.
 */
void
sth_unflushed_end(Oid tail, const SthUnflushed *log, SthFlushEnd how,
				  int64 bytes, int64 end_offset)
{
	Return		back = {log, how, bytes, end_offset, GetCurrentTimestamp()};

	(void) sth_sequencer_visit(tail, log->log_id, put_back, &back);
}

static void
set_alone(int32 log_id, SthFlushNote *note, void *arg)
{
	pg_atomic_write_u32(&note->alone, 1);
}

/* An object with several logs has failed: the log gets one of its own. */
void
sth_unflushed_set_alone(Oid tail, const SthUnflushed *log)
{
	sth_unflushed_end(tail, log, STH_FLUSH_MORE, 0, 0);
	(void) sth_sequencer_visit(tail, log->log_id, set_alone, NULL);
}
