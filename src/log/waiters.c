/*-------------------------------------------------------------------------
 *
 * waiters.c
 *	  Sessions that wait for rows of a topic.
 *
 * Every backend has a place in shared memory that says which topic it waits
 * for, if any.  A committing producer, once its rows can be seen, sets the
 * latches of those who wait for its topics; if nobody waits, that is one read
 * of a counter.
 *
 * The order that loses no wake-up: a waiter announces itself, then looks for
 * rows, then sleeps on its latch; a producer makes its rows visible, then
 * looks for waiters.  Both have a full barrier in between.
 *
 * Failure: an error leaves the place announced until the transaction's end
 * clears it; meanwhile the latch is set for nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/shmem.h"
#include "base/transaction.h"
#include "log/waiters.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

typedef struct Waiter
{
	Oid			database;
	pg_atomic_uint32 topic_id;	/* 0: does not wait */
} Waiter;

typedef struct WaitersShared
{
	pg_atomic_uint32 nwaiting;
	int			nwaiters;
	Waiter		waiters[FLEXIBLE_ARRAY_MEMBER];
} WaitersShared;

static WaitersShared *shared = NULL;
static bool waiting = false;	/* this backend's place is announced */

static Size
shared_size(void)
{
	return add_size(offsetof(WaitersShared, waiters),
					mul_size(MaxBackends, sizeof(Waiter)));
}

static void
request_shmem(void)
{
	RequestAddinShmemSpace(shared_size());
}

static void
startup_shmem(void)
{
	bool		found;

	shared = ShmemInitStruct("streamhouse waiters", shared_size(), &found);
	if (!found)
	{
		pg_atomic_init_u32(&shared->nwaiting, 0);
		shared->nwaiters = MaxBackends;
		for (int i = 0; i < MaxBackends; i++)
		{
			shared->waiters[i].database = InvalidOid;
			pg_atomic_init_u32(&shared->waiters[i].topic_id, 0);
		}
	}
}

/*
 * Announces that this backend waits for rows of a topic; stands until
 * sth_waiters_end or an abort.
 */
void
sth_waiters_begin(int32 topic_id)
{
	Waiter	   *me = &shared->waiters[sth_my_proc_index()];

	/* an error that was caught may have left another topic's */
	if (waiting && pg_atomic_read_u32(&me->topic_id) != (uint32) topic_id)
		sth_waiters_end();
	if (waiting)
		return;
	waiting = true;
	me->database = MyDatabaseId;
	pg_write_barrier();
	pg_atomic_write_u32(&me->topic_id, (uint32) topic_id);
	pg_atomic_fetch_add_u32(&shared->nwaiting, 1);
	pg_memory_barrier();
}

/*
 * Sleeps until somebody has woken us or the deadline has come; false if it
 * has.  The caller looks for rows before and after.
 */
bool
sth_waiters_sleep(TimestampTz deadline, SthWait wait)
{
	long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													   deadline);

	if (left <= 0)
		return false;
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 left, sth_wait_event(wait));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

void
sth_waiters_end(void)
{
	if (!waiting)
		return;
	waiting = false;
	pg_atomic_write_u32(&shared->waiters[sth_my_proc_index()].topic_id, 0);
	pg_atomic_fetch_sub_u32(&shared->nwaiting, 1);
}

/*
 * Wakes who waits for a topic of this database.  Must not fail: it runs after
 * the commit record.
 */
void
sth_waiters_wake(int32 topic_id)
{
	pg_memory_barrier();
	if (pg_atomic_read_u32(&shared->nwaiting) == 0)
		return;
	for (int i = 0; i < shared->nwaiters; i++)
	{
		Waiter	   *waiter = &shared->waiters[i];

		if (pg_atomic_read_u32(&waiter->topic_id) == (uint32) topic_id &&
			waiter->database == MyDatabaseId)
			SetLatch(&ProcGlobal->allProcs[i].procLatch);
	}
}

static void
at_abort(XactEvent event)
{
	sth_waiters_end();
}

/* Called once, from _PG_init. */
void
sth_waiters_init(void)
{
	sth_shmem_register(request_shmem, startup_shmem);
	/* not at a commit: wait() commits in the middle */
	sth_transaction_register(STH_AT(ABORT), at_abort);
}
