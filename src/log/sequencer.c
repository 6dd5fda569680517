/*-------------------------------------------------------------------------
 *
 * sequencer.c
 *	  Offsets of logs, handed out while transactions commit.
 *
 * An open log has an entry in a hash table in shared memory with the next
 * offset that it will give.  A committing transaction takes [base, base + n)
 * for its n rows by one atomic addition, and no lock: offsets of a log rise
 * in the order in which transactions reach their commit, and nobody waits
 * for anybody.
 *
 * What has been taken is not yet visible.  Around the additions a backend's
 * turn counter is odd, from before its first addition until its transaction
 * is out of the proc array, committed or not.  So whoever reads a log's next
 * offset first and then finds no odd counter that concerns the log knows that
 * all transactions with lower offsets are over: a range below that next
 * offset which a snapshot taken afterwards does not show belongs to a
 * transaction that failed, and stays empty for ever.
 *
 * Locking: the LWLock guards the hash table, not the entries' counters.  An
 * entry stays where it is until its log is dropped, and the transaction that
 * drops a topic holds a lock on it that conflicts with every producer's, so a
 * producer may keep a pointer until its transaction ends.
 *
 * Failure: the order is turn odd, add, insert rows, commit record, out of the
 * proc array, turn even.  An error, a cancel or FATAL between add and commit
 * record aborts: the range stays empty, the abort callback turns even.  A
 * crash resets shared memory; logs are opened anew from what the tail has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "log/sequencer.h"
#include "log/tail_size.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

typedef struct SequenceKey
{
	Oid			database;
	Oid			tail;			/* new with every CREATE EXTENSION */
	int32		log_id;
} SequenceKey;

struct SthSequence
{
	SequenceKey key;
	pg_atomic_uint64 next_offset;
	pg_atomic_uint64 gap_from;	/* below it no gap is known; or NO_GAP */
	SthFlushNote note;
};

#define NO_GAP PG_UINT64_MAX

/* A backend's turn at taking offsets; padded against false sharing. */
typedef union Turn
{
	struct
	{
		pg_atomic_uint64 counter;	/* odd: offsets taken, not yet settled */
		Oid			database;
		int			nlogs;		/* of STH_TURN_LOGS; -1: any of the database */
		int32		log_ids[STH_TURN_LOGS];
		TimestampTz began;
		int64		first_offsets[STH_TURN_LOGS];	/* -1: not taken yet */
	}			t;
	char		pad[PG_CACHE_LINE_SIZE];
} Turn;

StaticAssertDecl(sizeof(Turn) == PG_CACHE_LINE_SIZE, "a turn fits a cache line");

typedef struct SequencerShared
{
	LWLock	   *lock;
	int			nturns;
	Turn		turns[FLEXIBLE_ARRAY_MEMBER];
} SequencerShared;

static SequencerShared *shared = NULL;
static HTAB *sequences = NULL;
static bool turn_is_on = false; /* this backend's counter is odd */

static Size
shared_size(void)
{
	return add_size(offsetof(SequencerShared, turns),
					mul_size(MaxBackends, sizeof(Turn)));
}

static void
request_shmem(void)
{
	RequestAddinShmemSpace(shared_size());
	RequestAddinShmemSpace(hash_estimate_size(sth_max_logs,
											  sizeof(SthSequence)));
	RequestNamedLWLockTranche("streamhouse", 1);
}

static void
startup_shmem(void)
{
	HASHCTL		info;
	bool		found;

	shared = ShmemInitStruct("streamhouse sequencer", shared_size(), &found);
	if (!found)
	{
		shared->lock = &(GetNamedLWLockTranche("streamhouse"))->lock;
		shared->nturns = MaxBackends;
		memset(shared->turns, 0, mul_size(MaxBackends, sizeof(Turn)));
		for (int i = 0; i < MaxBackends; i++)
			pg_atomic_init_u64(&shared->turns[i].t.counter, 0);
	}
	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(SequenceKey);
	info.entrysize = sizeof(SthSequence);
	sequences = ShmemInitHash("streamhouse logs", sth_max_logs, sth_max_logs,
							  &info, HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

void
sth_sequencer_init(void)
{
	sth_shmem_register(request_shmem, startup_shmem);
}

static SequenceKey
make_key(Oid tail, int32 log_id)
{
	SequenceKey key = {MyDatabaseId, tail, log_id};

	return key;
}

/*
 * The entry of a log of this database, or NULL if it is not open.  The caller
 * holds a lock on the topic that keeps it from being dropped.
 */
SthSequence *
sth_sequencer_find(Oid tail, int32 log_id)
{
	SequenceKey key = make_key(tail, log_id);
	SthSequence *sequence;

	LWLockAcquire(shared->lock, LW_SHARED);
	sequence = hash_search(sequences, &key, HASH_FIND, NULL);
	LWLockRelease(shared->lock);
	return sequence;
}

static void
init_note(SthFlushNote *note)
{
	pg_atomic_init_u64(&note->bytes, 0);
	pg_atomic_init_u64(&note->since, 0);
	pg_atomic_init_u64(&note->wanted, 0);
	pg_atomic_init_u64(&note->not_before, 0);
	pg_atomic_init_u32(&note->segment_size, 0);
	pg_atomic_init_u32(&note->flush_interval, 0);
	pg_atomic_init_u32(&note->tries, 0);
	pg_atomic_init_u32(&note->failed, 0);
	pg_atomic_init_u32(&note->backoff, 0);
	pg_atomic_init_u32(&note->alone, 0);
	pg_atomic_init_u32(&note->account, 0);
	pg_atomic_init_u32(&note->measured, 0);
	pg_atomic_init_u64(&note->tail_in, 0);
	pg_atomic_init_u64(&note->tail_out, 0);
}

/*
 * Opens a log at next_offset, unless somebody has meanwhile; then that entry
 * counts, and next_offset is of no interest: whoever found the log not open,
 * and then looked for its end, has found the end that holds until the first
 * producer opens it.  If there is no room for it, returns NULL if that may be,
 * else raises an error.
 */
SthSequence *
sth_sequencer_open(Oid tail, int32 log_id, int64 next_offset, bool missing_ok)
{
	SequenceKey key = make_key(tail, log_id);
	SthSequence *sequence;
	bool		found;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (hash_get_num_entries(sequences) >= sth_max_logs)
		sequence = hash_search(sequences, &key, HASH_FIND, &found);
	else
		sequence = hash_search(sequences, &key, HASH_ENTER_NULL, &found);
	if (sequence != NULL && !found)
	{
		pg_atomic_init_u64(&sequence->next_offset, (uint64) next_offset);
		pg_atomic_init_u64(&sequence->gap_from, NO_GAP);
		init_note(&sequence->note);
	}
	LWLockRelease(shared->lock);

	if (sequence == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many logs are open"),
				 errdetail("The server has room for %d partitions of topics that are produced to, in all databases together.",
						   sth_max_logs),
				 errhint("Raise streamhouse.max_logs and restart the server, or drop topics that are not needed.")));
	return sequence;
}

/* The next offset that an open log will give; false if it is not open. */
bool
sth_sequencer_peek(Oid tail, int32 log_id, int64 *next_offset)
{
	SequenceKey key = make_key(tail, log_id);
	SthSequence *sequence;

	LWLockAcquire(shared->lock, LW_SHARED);
	sequence = hash_search(sequences, &key, HASH_FIND, NULL);
	if (sequence != NULL)
		*next_offset = (int64) pg_atomic_read_u64(&sequence->next_offset);
	LWLockRelease(shared->lock);
	return sequence != NULL;
}

static Turn *
my_turn(void)
{
	int			index = sth_my_proc_index();

	Assert(index >= 0 && index < shared->nturns);
	return &shared->turns[index];
}

/* Starts a turn at taking offsets from these logs. */
void
sth_sequencer_begin(int nlogs, const int32 *log_ids)
{
	Turn	   *turn = my_turn();
	uint64		counter = pg_atomic_read_u64(&turn->t.counter);

	Assert((counter & 1) == 0);
	turn->t.database = MyDatabaseId;
	turn->t.began = GetCurrentTimestamp();
	turn->t.nlogs = nlogs <= STH_TURN_LOGS ? nlogs : -1;
	for (int i = 0; i < turn->t.nlogs; i++)
	{
		turn->t.log_ids[i] = log_ids[i];
		turn->t.first_offsets[i] = -1;
	}
	pg_write_barrier();
	turn_is_on = true;
	pg_atomic_write_u64(&turn->t.counter, counter + 1);
	pg_memory_barrier();
}

/* Takes count offsets; returns the first. */
int64
sth_sequencer_take(SthSequence *sequence, int64 count)
{
	Turn	   *turn = my_turn();
	int64		first;

	Assert(turn_is_on);
	first = (int64) pg_atomic_fetch_add_u64(&sequence->next_offset, count);
	for (int i = 0; i < turn->t.nlogs; i++)
		if (turn->t.log_ids[i] == sequence->key.log_id)
			turn->t.first_offsets[i] = first;
	return first;
}

/*
 * Ends the turn, if there is one, after the transaction has left the proc
 * array; returns how many microseconds it lasted.  Must not fail: it runs
 * after the commit record.
 */
int64
sth_sequencer_end(void)
{
	Turn	   *turn;

	if (!turn_is_on)
		return 0;
	turn = my_turn();
	pg_memory_barrier();
	pg_atomic_write_u64(&turn->t.counter,
						pg_atomic_read_u64(&turn->t.counter) + 1);
	turn_is_on = false;
	return GetCurrentTimestamp() - turn->t.began;
}

/* Does an odd turn concern this log of this database? */
static bool
turn_concerns(Turn *turn, int32 log_id)
{
	if (turn->t.database != MyDatabaseId)
		return false;
	if (turn->t.nlogs < 0)
		return true;
	for (int i = 0; i < Min(turn->t.nlogs, STH_TURN_LOGS); i++)
		if (turn->t.log_ids[i] == log_id)
			return true;
	return false;
}

/*
 * Is every transaction over that had taken offsets of this log before the
 * call?  May say no where the answer is yes (a turn that began after).
 */
bool
sth_sequencer_settled(int32 log_id)
{
	pg_memory_barrier();
	for (int i = 0; i < shared->nturns; i++)
	{
		Turn	   *turn = &shared->turns[i];
		uint64		counter = pg_atomic_read_u64(&turn->t.counter);

		if ((counter & 1) == 0)
			continue;
		pg_read_barrier();
		if (turn_concerns(turn, log_id))
			return false;
		/* the logs belong to that turn only if it is still the same one */
		pg_read_barrier();
		if (pg_atomic_read_u64(&turn->t.counter) != counter)
			i--;
	}
	pg_memory_barrier();
	return true;
}

/*
 * Waits until the turns are over that are on now and concern this log, but
 * not longer than that many milliseconds, if it is not negative; false if some
 * are not.  If true, every transaction is over that had taken offsets of the
 * log before the call.  A turn lasts as long as a commit does.
 */
bool
sth_sequencer_wait(int32 log_id, int timeout)
{
	for (int i = 0; i < shared->nturns; i++)
	{
		Turn	   *turn = &shared->turns[i];
		uint64		counter = pg_atomic_read_u64(&turn->t.counter);

		pg_read_barrier();
		if ((counter & 1) == 0 || !turn_concerns(turn, log_id))
			continue;
		while (pg_atomic_read_u64(&turn->t.counter) == counter)
		{
			if (timeout-- == 0)
				return false;
			CHECK_FOR_INTERRUPTS();
			(void) WaitLatch(MyLatch,
							 WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 1, sth_wait_event(STH_WAIT_FOR_TURN));
		}
	}
	pg_memory_barrier();
	return true;
}

/*
 * Notes that offsets from 'from' on may stay without rows, for the worker.
 * Must not fail: it runs in the abort of transactions.
 */
void
sth_sequencer_note_gap(SthSequence *sequence, int64 from)
{
	uint64		known = pg_atomic_read_u64(&sequence->gap_from);

	while ((uint64) from < known &&
		   !pg_atomic_compare_exchange_u64(&sequence->gap_from, &known,
										   (uint64) from))
		;
}

/* Takes over what was noted of one log of this database; false if nothing. */
bool
sth_sequencer_next_gap(Oid tail, int32 *log_id, int64 *from)
{
	HASH_SEQ_STATUS status;
	SthSequence *sequence;
	uint64		gap = NO_GAP;

	LWLockAcquire(shared->lock, LW_SHARED);
	hash_seq_init(&status, sequences);
	while ((sequence = hash_seq_search(&status)) != NULL)
	{
		if (sequence->key.database != MyDatabaseId ||
			sequence->key.tail != tail)
			continue;
		gap = pg_atomic_exchange_u64(&sequence->gap_from, NO_GAP);
		if (gap == NO_GAP)
			continue;
		*log_id = sequence->key.log_id;
		*from = (int64) gap;
		hash_seq_term(&status);
		break;
	}
	LWLockRelease(shared->lock);
	return gap != NO_GAP;
}

/* How many turns there can be at a time. */
int
sth_sequencer_turns(void)
{
	return shared->nturns;
}

/* A backend's turn, if it is on and of this database. */
bool
sth_sequencer_read_turn(int index, SthTurn *turn)
{
	Turn	   *from = &shared->turns[index];
	uint64		counter = pg_atomic_read_u64(&from->t.counter);

	pg_read_barrier();
	if ((counter & 1) == 0 || from->t.database != MyDatabaseId)
		return false;
	turn->pid = ProcGlobal->allProcs[index].pid;
	turn->began = from->t.began;
	turn->nlogs = from->t.nlogs;
	memcpy(turn->log_ids, from->t.log_ids, sizeof(turn->log_ids));
	memcpy(turn->first_offsets, from->t.first_offsets,
		   sizeof(turn->first_offsets));
	/* what was read belongs to that turn only if it is still the same one */
	pg_read_barrier();
	return pg_atomic_read_u64(&from->t.counter) == counter;
}

/* The note of a log that the caller keeps from being dropped. */
SthFlushNote *
sth_sequencer_note(SthSequence *sequence)
{
	return &sequence->note;
}

/* The tail that an open log's rows are in. */
Oid
sth_sequencer_tail(const SthSequence *sequence)
{
	return sequence->key.tail;
}

/*
 * Calls back for the note of a log, which need not be there: false if it is
 * not open.  The visitor is called under the lock and must not fail.
 */
bool
sth_sequencer_visit(Oid tail, int32 log_id, SthNoteVisitor visit, void *arg)
{
	SequenceKey key = make_key(tail, log_id);
	SthSequence *sequence;

	LWLockAcquire(shared->lock, LW_SHARED);
	sequence = hash_search(sequences, &key, HASH_FIND, NULL);
	if (sequence != NULL)
		visit(log_id, &sequence->note, arg);
	LWLockRelease(shared->lock);
	return sequence != NULL;
}

/* Likewise, for all open logs of this database. */
void
sth_sequencer_visit_all(Oid tail, SthNoteVisitor visit, void *arg)
{
	HASH_SEQ_STATUS status;
	SthSequence *sequence;

	LWLockAcquire(shared->lock, LW_SHARED);
	hash_seq_init(&status, sequences);
	while ((sequence = hash_seq_search(&status)) != NULL)
		if (sequence->key.database == MyDatabaseId &&
			sequence->key.tail == tail)
			visit(sequence->key.log_id, &sequence->note, arg);
	LWLockRelease(shared->lock);
}

/* Removes an entry, which is of no log then; the lock is held alone. */
static void
forget(SthSequence *sequence)
{
	SequenceKey key = sequence->key;

	sth_tail_size_flushed(&sequence->note, PG_UINT64_MAX);
	(void) hash_search(sequences, &key, HASH_REMOVE, NULL);
}

/* Removes a dropped log.  Must not fail: it runs after the commit record. */
void
sth_sequencer_forget_log(Oid tail, int32 log_id)
{
	SequenceKey key = make_key(tail, log_id);
	SthSequence *sequence;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	sequence = hash_search(sequences, &key, HASH_FIND, NULL);
	if (sequence != NULL)
		forget(sequence);
	LWLockRelease(shared->lock);
}

static void
forget_matching(Oid database, Oid tail)
{
	HASH_SEQ_STATUS status;
	SthSequence *sequence;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	hash_seq_init(&status, sequences);
	while ((sequence = hash_seq_search(&status)) != NULL)
		if (sequence->key.database == database &&
			(tail == InvalidOid || sequence->key.tail == tail))
			forget(sequence);
	LWLockRelease(shared->lock);
}

/* Removes all logs of a dropped extension.  Must not fail. */
void
sth_sequencer_forget_tail(Oid tail)
{
	forget_matching(MyDatabaseId, tail);
}

/* Removes all logs of a dropped database.  Must not fail. */
void
sth_sequencer_forget_database(Oid database)
{
	forget_matching(database, InvalidOid);
}
