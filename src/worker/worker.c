/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The background worker of a database.
 *
 * It does what no session can do for itself: it closes the gaps that failed
 * transactions leave in logs (log/voids.c), and moves rows from the tail to
 * segments (flush/flush.c).  It sleeps until it is woken (base/wakeup.c), or
 * until rows have waited long enough for their segment, and then has a turn:
 *
 *	1. clear the flag that it was woken by, so that a wake-up during the turn
 *	   leads to another one;
 *	2. look whether the extension is there, in a transaction of its own: it
 *	   may have been dropped, or dropped and created anew.  If it is not, the
 *	   worker leaves;
 *	3. close gaps, in transactions of their own: in the first turn after its
 *	   start, and in the first in a new extension, of all logs, else of those
 *	   that are known to have some.  What cannot be closed yet is tried again
 *	   in another turn, a moment later;
 *	4. write one object with the segments that are due, if any are; gaps do
 *	   not wait for longer than that, since more of them are for more turns,
 *	   which follow at once.  In the first turn the tails of all logs are
 *	   looked at before;
 *	5. report statistics, and leave if the database is parked or, nothing
 *	   being left to do, if others wait for a worker.  What is on its way to a
 *	   bucket is finished before, if it gets on, and nothing new is sent.
 *
 * Between turns it holds no transaction, snapshot or lock.  The look takes a
 * weak lock on the tail, without waiting, so as to see what a command that
 * has just changed the extension did: such a command wakes the worker in its
 * commit, a moment before it gives up its locks and tells others to forget
 * what they have cached.  If the lock cannot be had, the turn is put off for a
 * second, and again, for as long as somebody has the tail, with VACUUM FULL for
 * instance: that is no failure, after which it would come later and later.
 *
 * Failure: an error in a turn is logged by PostgreSQL's code for background
 * workers and ends the process; so does SIGTERM.  The launcher starts another
 * after a second, and later and later if that one fails, too.  So there is
 * one way to begin again, and nothing is left over from the turn that failed.
 * An error of a turn in which the extension has gone is not worth a word.
 *
 * Memory: "streamhouse worker turn", reset after each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "base/failpoint.h"
#include "base/wakeup.h"
#include "catalog/relations.h"
#include "commands/dbcommands.h"
#include "flush/flush.h"
#include "log/voids.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/timestamp.h"
#include "worker/worker.h"

#define WORKER_TYPE "streamhouse worker"

typedef enum Extension
{
	EXTENSION_THERE,
	EXTENSION_ABSENT,
	EXTENSION_BUSY				/* somebody holds a lock on it */
} Extension;

static char *database_name = NULL;

/* The extension whose logs have all been looked at, by its tail. */
static Oid	looked_at = InvalidOid;

/* Something is left to be tried again, so many ms later. */
#define RETRY_MS 100
static bool try_again = false;

/* After how many ms it is tried again, if the tail is locked. */
#define LOCKED_MS 1000

/* After how many ms all logs are looked at again, if some could not be. */
#define LOOK_AGAIN_MS 5000
static TimestampTz look_at = 0;

/* The last turn found the extension locked. */
static bool locked_out = false;

/* When rows have waited long enough for their segment. */
static TimestampTz flush_at = DT_NOEND;

/* Others wait for a worker, and this one finishes what it has begun. */
#define FINISHING_MS 200
static bool finishing = false;

/* Asks for the worker that will attach with the ticket; false: no slot. */
bool
sth_worker_start(uint32 ticket, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	sth_process_describe(&worker, WORKER_TYPE, "sth_worker_main");
	worker.bgw_restart_time = BGW_NEVER_RESTART;	/* the launcher does */
	worker.bgw_main_arg = UInt32GetDatum(ticket);
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/* Is the extension there, and which one?  In a transaction of its own. */
static Extension
look_for_extension(Oid *tail)
{
	const SthRelations *relations;
	Extension	answer = EXTENSION_ABSENT;

	StartTransactionCommand();
	relations = sth_relations_if_exist();
	if (relations != NULL &&
		!ConditionalLockRelationOid(relations->tail, AccessShareLock))
		answer = EXTENSION_BUSY;
	else if (relations != NULL)
	{
		/* with the lock came the news of who had it before */
		relations = sth_relations_if_exist();
		if (relations != NULL)
		{
			answer = EXTENSION_THERE;
			*tail = relations->tail;
		}
	}
	STH_FAILPOINT("worker-turn");
	CommitTransactionCommand();
	return answer;
}

/*
 * Closes gaps and writes segments in the extension that has this tail.  If it
 * is dropped meanwhile that is no failure; the next look will find out.
 */
static void
work(Oid tail)
{
	bool		all = looked_at != tail && look_at <= GetCurrentTimestamp();
	MemoryContext context = CurrentMemoryContext;

	pgstat_report_activity(STATE_RUNNING, all ?
						   "closing gaps that failed transactions left, in all logs" :
						   "closing gaps that failed transactions left");
	PG_TRY();
	{
		try_again = sth_voids_write(all);
		if (all)
		{
			if (sth_flush_look() && !try_again)
				looked_at = tail;
			else
				look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  LOOK_AGAIN_MS);
		}
		flush_at = sth_flush_turn();
		if (looked_at != tail)
			flush_at = Min(flush_at, look_at);
	}
	PG_CATCH();
	{
		ErrorData  *error;
		Oid			tail_now = InvalidOid;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		if (look_for_extension(&tail_now) == EXTENSION_BUSY ||
			tail_now == tail)
			ReThrowError(error);
		/* another one is looked at in another turn */
		sth_worker_wake();
	}
	PG_END_TRY();
}

static void
describe_turn(void *arg)
{
	errcontext("streamhouse worker of database \"%s\"", database_name);
}

/* Has a turn; false if the worker is to leave. */
static bool
take_turn(void)
{
	ErrorContextCallback context = {error_context_stack, describe_turn, NULL};
	Extension	extension;
	Oid			tail = InvalidOid;

	error_context_stack = &context;
	extension = look_for_extension(&tail);
	if (extension == EXTENSION_THERE)
		work(tail);
	error_context_stack = context.previous;
	locked_out = extension == EXTENSION_BUSY;
	if (locked_out)
		flush_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCKED_MS);
	else
		sth_worker_note_success();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	return extension != EXTENSION_ABSENT;
}

/* For messages and for ps; a database is not renamed while we are in it. */
static void
find_database_name(void)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *name;

	StartTransactionCommand();
	name = get_database_name(MyDatabaseId);
	database_name = MemoryContextStrdup(context, name);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	set_ps_display(database_name);
}

/* Until the next turn, in ms, unless the worker is woken; -1: for ever. */
static long
time_to_sleep(void)
{
	if (finishing)
		return FINISHING_MS;
	if (flush_at == DT_NOEND)
		return try_again ? RETRY_MS : -1;
	return Min(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), flush_at),
			   try_again ? RETRY_MS : INT_MAX);
}

/* Do others need the worker more?  If so it is to leave. */
static bool
makes_room(void)
{
	finishing = sth_worker_is_in_the_way();
	sth_flush_only_finish(finishing);
	return finishing && sth_flush_may_leave() &&
		sth_worker_makes_room(try_again || sth_flush_is_busy() ?
							  GetCurrentTimestamp() : flush_at);
}

void
sth_worker_main(Datum arg)
{
	MemoryContext turn;
	Oid			database;
	bool		arrived = false;	/* what was on its way to a bucket */

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	database = sth_worker_attach(DatumGetUInt32(arg));
	BackgroundWorkerUnblockSignals();
	if (!OidIsValid(database))
		proc_exit(0);

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	sth_process_begin(WORKER_TYPE);
	find_database_name();
	ereport(DEBUG1,
			(errmsg_internal("streamhouse worker of database \"%s\" started",
							 database_name)));
	turn = AllocSetContextCreate(TopMemoryContext, "streamhouse worker turn",
								 ALLOCSET_DEFAULT_SIZES);
	while (!sth_worker_is_parked())
	{
		if (sth_worker_take_wake() || try_again || arrived || finishing ||
			flush_at <= GetCurrentTimestamp())
		{
			bool		stays;

			try_again = false;
			flush_at = DT_NOEND;
			MemoryContextSwitchTo(turn);
			stays = take_turn();
			MemoryContextSwitchTo(TopMemoryContext);
			MemoryContextReset(turn);
			if (!stays)
				break;
		}
		if (makes_room())
			break;
		/* what has arrived has to wait while the extension is locked */
		arrived = sth_flush_wait(time_to_sleep(), locked_out,
								 sth_wait_event(STH_WAIT_IN_WORKER));
		/* what is due may be another with other settings */
		if (sth_process_awake())
			sth_worker_wake();
	}
	proc_exit(0);
}
