/*-------------------------------------------------------------------------
 *
 * tail_size.c
 *	  How much of each server's topics waits in the tail.
 *
 * Where history is kept decides how fast it can be written there, so rows that
 * wait for it are summed per foreign server: an account has the sum over the
 * logs of its topics, and streamhouse.max_tail_size limits each account.
 *
 * Counted is what rows of the tail take in table and index
 * (sth_tail_footprint).  A log's note has how much has ever been committed to
 * its tail and how much of that has gone: both are added to in the callbacks
 * after the commit record, so that what fails counts nowhere.  The account
 * changes by the same amounts, so nobody has to look at all logs.
 *
 * After a start of the server the notes know nothing.  The worker's first look
 * at each tail measures it (measure.c), by its first rows if it is long.  What
 * such an estimate is wrong by lasts until the log is flushed to its end: then
 * all that was counted before the flush began is known to have gone.
 *
 * Locking: the LWLock guards the keys of accounts, not their sums.  An account
 * is freed after the entries of all of its logs (log.c), when its server or the
 * extension is dropped, so a note's account stays.  A session keeps the place
 * of an account that it has looked up and compares the key without the lock: at
 * worst it reads another one's sum once.
 *
 * Failure: nothing here fails once the server has started.  If there are more
 * servers than places, the rest share the first one.  A server that is dropped
 * by COMMIT PREPARED leaves its account until the extension goes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "log/tail_size.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define MAX_ACCOUNTS 256

/* Place 0 is no account, place 1 that of all who found no other. */
#define NO_ACCOUNT 0
#define COMMON_ACCOUNT 1

/* From this part of the limit on, in percent, logs are flushed not yet due. */
#define FLUSH_FROM 50

typedef struct Account
{
	Oid			database;
	Oid			tail;			/* new with every CREATE EXTENSION; 0: free */
	Oid			server;
	pg_atomic_uint64 bytes;
} Account;

typedef struct TailSizeShared
{
	LWLock	   *lock;
	Account		accounts[MAX_ACCOUNTS];
} TailSizeShared;

static TailSizeShared *shared = NULL;

static void
request_shmem(void)
{
	RequestAddinShmemSpace(sizeof(TailSizeShared));
	RequestNamedLWLockTranche("streamhouse tail size", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	shared = ShmemInitStruct("streamhouse tail size", sizeof(TailSizeShared),
							 &found);
	if (found)
		return;
	memset(shared, 0, sizeof(TailSizeShared));
	shared->lock = &(GetNamedLWLockTranche("streamhouse tail size"))->lock;
	for (int i = 0; i < MAX_ACCOUNTS; i++)
		pg_atomic_init_u64(&shared->accounts[i].bytes, 0);
}

/* Called once, from _PG_init. */
void
sth_tail_size_init(void)
{
	sth_shmem_register(request_shmem, startup_shmem);
}

static bool
is_account(SthTailAccount account, Oid tail, Oid server)
{
	const Account *a = &shared->accounts[account];

	return a->tail == tail && a->server == server &&
		a->database == MyDatabaseId;
}

/* The lock is held. */
static SthTailAccount
find_account(Oid tail, Oid server)
{
	for (int i = COMMON_ACCOUNT + 1; i < MAX_ACCOUNTS; i++)
		if (is_account(i, tail, server))
			return i;
	return NO_ACCOUNT;
}

/* The lock is held alone. */
static SthTailAccount
make_account(Oid tail, Oid server)
{
	for (int i = COMMON_ACCOUNT + 1; i < MAX_ACCOUNTS; i++)
	{
		Account    *a = &shared->accounts[i];

		if (OidIsValid(a->tail))
			continue;
		a->database = MyDatabaseId;
		a->server = server;
		a->tail = tail;
		pg_atomic_write_u64(&a->bytes, 0);
		return i;
	}
	return COMMON_ACCOUNT;
}

/* The account of a server of this database, made if need be. */
SthTailAccount
sth_tail_account(Oid tail, Oid server)
{
	static SthTailAccount last = NO_ACCOUNT;

	if (last > COMMON_ACCOUNT && is_account(last, tail, server))
		return last;
	LWLockAcquire(shared->lock, LW_SHARED);
	last = find_account(tail, server);
	LWLockRelease(shared->lock);
	if (last != NO_ACCOUNT)
		return last;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	last = find_account(tail, server);
	if (last == NO_ACCOUNT)
		last = make_account(tail, server);
	LWLockRelease(shared->lock);
	return last;
}

/* How much waits in the tail, in bytes. */
int64
sth_tail_account_size(SthTailAccount account)
{
	/* rows may be counted as gone a moment before they are as come */
	return Max((int64) pg_atomic_read_u64(&shared->accounts[account].bytes), 0);
}

/* How much may wait there, in bytes. */
int64
sth_tail_size_limit(void)
{
	return (int64) sth_max_tail_size * 1024;
}

/* Counts a log with a server's, from now on. */
void
sth_tail_size_attach(SthSequence *sequence, Oid server)
{
	SthFlushNote *note = sth_sequencer_note(sequence);

	if (pg_atomic_read_u32(&note->account) == NO_ACCOUNT)
		pg_atomic_write_u32(&note->account,
							sth_tail_account(sth_sequencer_tail(sequence),
											 server));
}

/*
 * A look at the tail of a log that is attached has found so much there.  Only
 * the first look since the server's start counts, for what is there since
 * before.
 */
void
sth_tail_size_measured(SthSequence *sequence, int64 bytes)
{
	SthFlushNote *note = sth_sequencer_note(sequence);

	if (pg_atomic_exchange_u32(&note->measured, 1) == 0)
		(void) sth_tail_size_grow(note, Max(bytes - sth_tail_size_of(note), 0));
}

/*
 * Rows of the tail have come.  True if the worker has to be told, because now
 * logs are to be flushed that are not due.  Must not fail: it runs after the
 * commit record.
 */
bool
sth_tail_size_grow(SthFlushNote *note, int64 bytes)
{
	uint32		account = pg_atomic_read_u32(&note->account);
	int64		from = sth_tail_size_limit() / 100 * FLUSH_FROM;
	int64		before;

	if (account == NO_ACCOUNT)
		return false;
	pg_atomic_fetch_add_u64(&note->tail_in, bytes);
	before = (int64) pg_atomic_fetch_add_u64(&shared->accounts[account].bytes,
											 bytes);
	return before < from && before + bytes >= from;
}

/* Raises what has gone of a log to at most 'upto', by at most 'bytes'. */
static void
raise_out(SthFlushNote *note, uint64 upto, uint64 bytes)
{
	uint32		account = pg_atomic_read_u32(&note->account);
	uint64		out = pg_atomic_read_u64(&note->tail_out);
	uint64		gone;

	do
	{
		if (account == NO_ACCOUNT || out >= upto)
			return;
		gone = Min(bytes, upto - out);
	}
	while (!pg_atomic_compare_exchange_u64(&note->tail_out, &out, out + gone));
	pg_atomic_fetch_sub_u64(&shared->accounts[account].bytes, gone);
}

/* Rows of the tail have gone.  Must not fail: see above. */
void
sth_tail_size_shrink(SthFlushNote *note, int64 bytes)
{
	raise_out(note, pg_atomic_read_u64(&note->tail_in), bytes);
}

/* All rows have gone that had come when tail_in was this. */
void
sth_tail_size_flushed(SthFlushNote *note, uint64 upto)
{
	raise_out(note, Min(upto, pg_atomic_read_u64(&note->tail_in)),
			  PG_UINT64_MAX);
}

/* How much of a log waits in the tail. */
int64
sth_tail_size_of(SthFlushNote *note)
{
	uint64		out = pg_atomic_read_u64(&note->tail_out);

	return (int64) (pg_atomic_read_u64(&note->tail_in) - out);
}

static void
read_size(int32 log_id, SthFlushNote *note, void *arg)
{
	if (pg_atomic_read_u32(&note->account) != NO_ACCOUNT)
		*(int64 *) arg = sth_tail_size_of(note);
}

/* Likewise, of a log that need not be there; negative: it is not known. */
int64
sth_tail_size_of_log(Oid tail, int32 log_id)
{
	int64		size = -1;

	(void) sth_sequencer_visit(tail, log_id, read_size, &size);
	return size;
}

/* Is it so much, with the other logs of the server, that all are to be flushed? */
bool
sth_tail_size_presses(SthFlushNote *note)
{
	uint32		account = pg_atomic_read_u32(&note->account);

	return account != NO_ACCOUNT &&
		sth_tail_account_size(account) >= sth_tail_size_limit() / 100 * FLUSH_FROM;
}

/*
 * Frees the accounts of a dropped extension, or (tail 0) database, none of
 * whose logs is open any more.  Must not fail.
 */
void
sth_tail_size_forget(Oid database, Oid tail)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = COMMON_ACCOUNT + 1; i < MAX_ACCOUNTS; i++)
		if (shared->accounts[i].database == database &&
			(tail == InvalidOid || shared->accounts[i].tail == tail))
			shared->accounts[i].tail = InvalidOid;
	LWLockRelease(shared->lock);
}

/* Likewise, the account of a server of this database.  Must not fail. */
void
sth_tail_size_forget_server(Oid server)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = COMMON_ACCOUNT + 1; i < MAX_ACCOUNTS; i++)
		if (shared->accounts[i].database == MyDatabaseId &&
			shared->accounts[i].server == server)
			shared->accounts[i].tail = InvalidOid;
	LWLockRelease(shared->lock);
}
