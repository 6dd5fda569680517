/*-------------------------------------------------------------------------
 *
 * wakeup.c
 *	  Which databases have a background worker, want one, or must not have one.
 *
 * Shared memory has a few places, each for a database that has a worker or
 * asks for one.  Whoever has something for the worker of its database to do
 * calls sth_worker_wake: it sets a flag in the database's place and the latch
 * of the worker, or, if there is none, of the launcher, which takes the
 * request and starts one (src/worker).
 *
 * That it loses no wake-up: the caller makes what is to be done visible, then
 * sets the flag; the worker clears the flag, then looks what is to be done.
 * A flag that is set when a worker has left becomes a request.  If no place
 * is free, the request becomes one for every database ("overflow").
 *
 * Besides, each backend has a place for the one database that it has parked:
 * no worker attaches to a parked database, and one that is attached leaves.
 *
 * Locking: one LWLock guards everything; it is held for a look at the places,
 * and over nothing that waits.
 *
 * Failure: processes are known by their number in the array of processes.  A
 * latch set by a number that is out of date wakes somebody for nothing.  An
 * attached process clears its place when it exits, after it has left the
 * proc array and while its number is still its own; one that cannot, because
 * it was killed, restarts the server and with it resets shared memory.  What
 * a backend has parked ends with its transaction, or with the backend.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "base/compat.h"
#include "base/shmem.h"
#include "base/wakeup.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define NOBODY (-1)

/* How long a worker may take to leave a parked database by itself. */
#define PATIENCE_MS 1000

typedef struct WakeupShared
{
	LWLock	   *lock;
	int			launcher;		/* its number, or NOBODY */
	bool		overflow;		/* a request found no place */
	int			room_wanted;	/* so many workers are to leave when idle */
	uint32		last_ticket;
	SthWorkerPlace places[STH_WORKER_PLACES];
	int			nparked;
	Oid			parked[FLEXIBLE_ARRAY_MEMBER];	/* by backend */
} WakeupShared;

static WakeupShared *shared = NULL;
static SthWorkerPlace *my_place = NULL; /* in a worker */
static bool has_parked = false; /* this backend has */

static Size
shared_size(void)
{
	return add_size(offsetof(WakeupShared, parked),
					mul_size(MaxBackends, sizeof(Oid)));
}

static void
request_shmem(void)
{
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("streamhouse workers", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	shared = ShmemInitStruct("streamhouse workers", shared_size(), &found);
	if (!found)
	{
		memset(shared, 0, shared_size());
		shared->lock = &(GetNamedLWLockTranche("streamhouse workers"))->lock;
		shared->launcher = NOBODY;
		shared->nparked = MaxBackends;
	}
}

/* Called once, from _PG_init. */
void
sth_wakeup_init(void)
{
	sth_shmem_register(request_shmem, startup_shmem);
}

/* The functions down to the next section want the lock held. */

static SthWorkerPlace *
find_place(Oid database)
{
	for (int i = 0; i < STH_WORKER_PLACES; i++)
		if (shared->places[i].state != STH_WORKER_NONE &&
			shared->places[i].database == database)
			return &shared->places[i];
	return NULL;
}

/* A free place, made this database's, or NULL. */
static SthWorkerPlace *
take_place(Oid database, SthWorkerState state)
{
	for (int i = 0; i < STH_WORKER_PLACES; i++)
	{
		SthWorkerPlace *place = &shared->places[i];

		if (place->state != STH_WORKER_NONE)
			continue;
		memset(place, 0, sizeof(SthWorkerPlace));
		place->database = database;
		place->state = state;
		return place;
	}
	return NULL;
}

static bool
is_attached(const SthWorkerPlace *place)
{
	return place->state == STH_WORKER_RUNNING ||
		place->state == STH_WORKER_LEAVING;
}

static bool
is_parked(Oid database)
{
	for (int i = 0; i < shared->nparked; i++)
		if (shared->parked[i] == database)
			return true;
	return false;
}

static void
set_latch_of(int procno)
{
	if (procno != NOBODY)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
}

/* --- for everybody --- */

/*
 * There is something to do for the worker of a database.  Must not fail: it
 * is called in the callbacks after the commit record.
 */
void
sth_worker_wake_database(Oid database)
{
	SthWorkerPlace *place;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	place = find_place(database);
	if (place == NULL)
		place = take_place(database, STH_WORKER_WANTED);
	if (place != NULL)
		place->wanted = true;
	else
		shared->overflow = true;
	if (place != NULL && is_attached(place))
		set_latch_of(place->procno);
	else
		set_latch_of(shared->launcher);
	LWLockRelease(shared->lock);
}

/* As above, for the worker of this database. */
void
sth_worker_wake(void)
{
	sth_worker_wake_database(MyDatabaseId);
}

/* --- for who needs a database without a worker --- */

/*
 * Makes the worker leave, if one is attached: of its own accord, or, when it
 * is overdue, by SIGTERM.  False if none is.  Under the lock an attached
 * worker cannot go, so its pid is its own.
 */
static bool
send_away(Oid database, bool overdue)
{
	SthWorkerPlace *place;
	bool		attached;

	LWLockAcquire(shared->lock, LW_SHARED);
	place = find_place(database);
	attached = place != NULL && is_attached(place);
	if (attached)
	{
		set_latch_of(place->procno);
		if (overdue)
			kill(place->pid, SIGTERM);
	}
	LWLockRelease(shared->lock);
	return attached;
}

static void
release_at_exit(int code, Datum arg)
{
	sth_worker_release();
}

/*
 * Sees to it that no worker is, or comes, into a database until
 * sth_worker_release, which the caller calls when its transaction ends at the
 * latest.  Returns when the worker is gone; can be cancelled.  A backend parks
 * one database at a time: the one before is released.
 */
void
sth_worker_park(Oid database)
{
	static bool registered = false;
	TimestampTz start = GetCurrentTimestamp();
	bool		overdue = false;

	if (!registered)
	{
		on_shmem_exit(release_at_exit, (Datum) 0);
		registered = true;
	}
	sth_worker_release();
	has_parked = true;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->parked[sth_my_proc_index()] = database;
	LWLockRelease(shared->lock);

	while (send_away(database, overdue))
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 PATIENCE_MS, sth_wait_event(STH_WAIT_FOR_PARKING));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		overdue = TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
											 PATIENCE_MS);
	}
}

/* Must not fail: it is called in the callbacks after the commit record. */
void
sth_worker_release(void)
{
	if (!has_parked)
		return;
	has_parked = false;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->parked[sth_my_proc_index()] = InvalidOid;
	set_latch_of(shared->launcher);
	LWLockRelease(shared->lock);
}

/* --- for a worker --- */

static void
detach_worker(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	my_place->state = STH_WORKER_LEFT;
	my_place->failed |= code != 0;
	set_latch_of(shared->launcher);
	for (int i = 0; i < shared->nparked; i++)
		if (shared->parked[i] == my_place->database)
			set_latch_of(i);
	LWLockRelease(shared->lock);
}

/*
 * Takes the place that the launcher has reserved under this ticket, before
 * the process connects to the database that is returned.  InvalidOid if it
 * shall not: the database is parked, or a later launcher does not know of it.
 *
 * What is registered here is called after what InitPostgres will register:
 * once the place says that the worker has left, the process is in no list of
 * those that use the database.
 */
Oid
sth_worker_attach(uint32 ticket)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < STH_WORKER_PLACES; i++)
	{
		SthWorkerPlace *place = &shared->places[i];

		if (place->state != STH_WORKER_STARTING || place->ticket != ticket)
			continue;
		if (is_parked(place->database))
		{
			place->state = STH_WORKER_LEFT;
			set_latch_of(shared->launcher);
			break;
		}
		place->state = STH_WORKER_RUNNING;
		place->procno = sth_my_proc_index();
		place->pid = MyProcPid;
		my_place = place;
		break;
	}
	LWLockRelease(shared->lock);

	if (my_place == NULL)
		return InvalidOid;
	on_shmem_exit(detach_worker, (Datum) 0);
	return my_place->database;
}

/* Has it been woken since the last call? */
bool
sth_worker_take_wake(void)
{
	bool		wanted;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	wanted = my_place->wanted;
	my_place->wanted = false;
	LWLockRelease(shared->lock);
	return wanted;
}

/* A turn has succeeded; a worker whose turn has failed leaves after that. */
void
sth_worker_note_success(void)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	my_place->succeeded = true;
	LWLockRelease(shared->lock);
}

/* Must it leave?  It will be started again when its database is released. */
bool
sth_worker_is_parked(void)
{
	bool		parked;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	parked = is_parked(my_place->database);
	if (parked)
		my_place->wanted = true;
	LWLockRelease(shared->lock);
	return parked;
}

/* Do others wait for a worker to leave? */
bool
sth_worker_is_in_the_way(void)
{
	bool		wanted;

	LWLockAcquire(shared->lock, LW_SHARED);
	wanted = shared->room_wanted > 0;
	LWLockRelease(shared->lock);
	return wanted;
}

/*
 * Asked by an idle worker: shall it leave, because others wait?  It has
 * something to do again at a time, or never if that is infinity.
 */
bool
sth_worker_makes_room(TimestampTz again)
{
	bool		leaves;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	leaves = shared->room_wanted > 0;
	if (leaves)
	{
		shared->room_wanted--;
		my_place->state = STH_WORKER_LEAVING;
		my_place->again = again == DT_NOEND ? 0 : again;
	}
	LWLockRelease(shared->lock);
	return leaves;
}

/* --- for the launcher --- */

static void
detach_launcher(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = NOBODY;
	LWLockRelease(shared->lock);
}

/*
 * This process is the launcher from now on.  Workers that an earlier one has
 * started and that are not there yet will find that they are not wanted: what
 * has become of them cannot be known.
 */
void
sth_launcher_attach(void)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = sth_my_proc_index();
	for (int i = 0; i < STH_WORKER_PLACES; i++)
		if (shared->places[i].state == STH_WORKER_STARTING)
			shared->places[i].state = STH_WORKER_WANTED;
	LWLockRelease(shared->lock);
	on_shmem_exit(detach_launcher, (Datum) 0);
}

/* Has a request found no place since the last call? */
bool
sth_launcher_take_overflow(void)
{
	bool		overflow;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	overflow = shared->overflow;
	shared->overflow = false;
	LWLockRelease(shared->lock);
	return overflow;
}

/* Copies the places that are taken, at most STH_WORKER_PLACES; how many? */
int
sth_launcher_look(SthWorkerPlace *places)
{
	int			n = 0;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < STH_WORKER_PLACES; i++)
		if (shared->places[i].state != STH_WORKER_NONE)
			places[n++] = shared->places[i];
	LWLockRelease(shared->lock);
	return n;
}

/*
 * Reserves a place for a worker about to be started, which attaches with the
 * ticket that is returned.  0 if there cannot be one now: the database is
 * parked, or no place is free; the launcher will be woken.
 */
uint32
sth_launcher_reserve(Oid database)
{
	SthWorkerPlace *place = NULL;
	uint32		ticket = 0;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (!is_parked(database))
	{
		place = find_place(database);
		if (place == NULL)
			place = take_place(database, STH_WORKER_WANTED);
	}
	if (place != NULL && place->state == STH_WORKER_WANTED)
	{
		ticket = ++shared->last_ticket;
		if (ticket == 0)
			ticket = ++shared->last_ticket;
		place->state = STH_WORKER_STARTING;
		place->ticket = ticket;
		place->wanted = true;
	}
	LWLockRelease(shared->lock);
	return ticket;
}

/*
 * Frees the place of a database whose worker is gone, or that has asked for
 * one and is remembered by the launcher now.  Returns what was in it.
 */
SthWorkerPlace
sth_launcher_forget(Oid database)
{
	SthWorkerPlace *place;
	SthWorkerPlace last;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	place = find_place(database);
	Assert(place != NULL && !is_attached(place));
	last = *place;
	place->state = STH_WORKER_NONE;
	LWLockRelease(shared->lock);
	return last;
}

/*
 * So many places are wanted: as many workers are to leave when they are idle,
 * less those that are on their way out already.
 */
void
sth_launcher_ask_for_room(int nplaces)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->room_wanted = 0;
	for (int i = 0; i < STH_WORKER_PLACES; i++)
		nplaces -= shared->places[i].state == STH_WORKER_LEAVING ||
			shared->places[i].state == STH_WORKER_LEFT;
	if (nplaces > 0)
	{
		shared->room_wanted = nplaces;
		for (int i = 0; i < STH_WORKER_PLACES; i++)
			if (shared->places[i].state == STH_WORKER_RUNNING)
				set_latch_of(shared->places[i].procno);
	}
	LWLockRelease(shared->lock);
}
