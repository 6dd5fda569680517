/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Starts the workers of databases.
 *
 * The launcher is there from the start of the server, or its promotion, on.
 * It is connected to no database, so it is in nobody's way.  It starts a
 * worker (worker.c) for each database that can be connected to when it starts
 * itself, then for each that asks for one (base/wakeup.c): with its first gap
 * or its first rows while it has no worker, when an extension is created or a
 * database is (commands.c), and when rows are due that a worker has left to
 * wait for their segment.  A worker that finds no extension leaves at once.
 *
 * At most streamhouse.max_workers run at a time.  If more databases wait, as
 * many workers as wait are asked to leave when they are idle; those that wait
 * are served in the order in which they came.
 *
 * A round: take requests and the news of workers that have left out of shared
 * memory; start what can be started; ask for room; sleep until somebody sets
 * the latch, or the next try is due.
 *
 * Failure: a worker that fails is started again after a second, two, four, at
 * most a minute; a turn that succeeds makes that a second again.  If
 * PostgreSQL has no slot for a worker, that is said once, and tried again
 * every ten seconds and when one of our own ends.  An error of the launcher
 * ends it, and so does SIGTERM; the postmaster starts it again a second
 * later.  It then knows nothing of what was before but for the workers that
 * are attached, and begins with all databases.  A kill of any of these
 * processes restarts the server, as PostgreSQL does for every process that
 * uses shared memory.
 *
 * Memory: "streamhouse launcher", for the list of databases.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/wakeup.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker.h"

#define LAUNCHER_TYPE "streamhouse launcher"
#define LAUNCHER_RESTART_S 1
#define MIN_BACKOFF_MS 1000
#define MAX_BACKOFF_MS 60000
#define NO_SLOT_MS 10000

/* A database that waits for a worker, or has one. */
typedef struct Database
{
	Oid			oid;
	bool		waiting;
	int			failures;		/* of its workers, in a row */
	TimestampTz not_before;		/* because of these */
	BackgroundWorkerHandle *handle; /* of the worker that we have started */
} Database;

static MemoryContext context = NULL;
static List *databases = NIL;	/* who waits longer comes first */

/* PostgreSQL had no slot for a worker; when to try again. */
static TimestampTz no_slot_until = 0;

static Database *
find_database(Oid oid)
{
	Database   *database;
	ListCell   *lc;

	foreach(lc, databases)
	{
		database = lfirst(lc);
		if (database->oid == oid)
			return database;
	}
	database = palloc0(sizeof(Database));
	database->oid = oid;
	databases = lappend(databases, database);
	return database;
}

static void
remove_database(Database *database)
{
	databases = list_delete_ptr(databases, database);
	if (database->handle != NULL)
		pfree(database->handle);
	pfree(database);
}

/* Puts a database behind those that wait already. */
static void
let_wait(Database *database)
{
	if (database->waiting)
		return;
	database->waiting = true;
	databases = lappend(list_delete_ptr(databases, database), database);
}

/* The databases that can be connected to. */
static List *
list_connectable(void)
{
	List	   *oids = NIL;
	Relation	relation;
	SysScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	/* no index: this process has no database to know indexes from */
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		/* a lower limit than -1, none, marks what a failed DROP has left */
		if (!form->datallowconn || form->datconnlimit < -1)
			continue;
		MemoryContextSwitchTo(context);
		oids = lappend_oid(oids, form->oid);
		MemoryContextSwitchTo(TopTransactionContext);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return oids;
}

static void
want_all(void)
{
	List	   *oids = list_connectable();
	ListCell   *lc;

	foreach(lc, oids)
		let_wait(find_database(lfirst_oid(lc)));
	list_free(oids);
}

static bool
has_ended(BackgroundWorkerHandle *handle)
{
	pid_t		pid;

	return GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED;
}

/* The worker of a database has ended. */
static void
note_end(Database *database)
{
	SthWorkerPlace last = sth_launcher_forget(database->oid);

	if (database->handle != NULL)
		pfree(database->handle);
	database->handle = NULL;
	no_slot_until = 0;

	/* one that never attached could not be started, or failed very early */
	if (last.failed || last.state == STH_WORKER_STARTING)
	{
		int			doublings = last.succeeded ? 0 :
		Min(database->failures, 6);

		database->failures = doublings + 1;
		database->not_before =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										Min(MIN_BACKOFF_MS << doublings,
											MAX_BACKOFF_MS));
		let_wait(database);
		return;
	}
	database->failures = 0;
	database->not_before = 0;
	if (last.wanted)
		let_wait(database);
	else if (last.again != 0)
	{
		database->not_before = last.again;
		let_wait(database);
	}
	else
		remove_database(database);
}

/* Takes what is new in shared memory. */
static void
take_news(void)
{
	SthWorkerPlace places[STH_WORKER_PLACES];
	int			nplaces;

	if (sth_launcher_take_overflow())
		want_all();
	nplaces = sth_launcher_look(places);
	for (int i = 0; i < nplaces; i++)
	{
		SthWorkerPlace *place = &places[i];
		Database   *database = find_database(place->database);
		bool		ended = place->state == STH_WORKER_LEFT;

		if (place->state == STH_WORKER_WANTED)
		{
			(void) sth_launcher_forget(place->database);
			/* at once, whatever time had been set, but for failures */
			if (database->failures == 0)
				database->not_before = 0;
			let_wait(database);
			continue;
		}
		/* until the process is gone, PostgreSQL's slot for it is taken */
		if (database->handle != NULL)
			ended = (ended || place->state == STH_WORKER_STARTING) &&
				has_ended(database->handle);
		if (ended)
			note_end(database);
		else
			database->waiting = false;
	}
}

static void
complain_of_slots(void)
{
	static bool said = false;

	if (!said)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker process is left for streamhouse"),
				 errdetail("Without its worker a database gets neither segments written nor the gaps closed that failed transactions leave in topics. This is tried again every %d seconds, and not said again.",
						   NO_SLOT_MS / 1000),
				 errhint("Raise max_worker_processes (now %d) and restart the server, or lower streamhouse.max_workers (now %d).",
						 max_worker_processes, sth_max_workers)));
	said = true;
}

/* Starts a worker; false if there is no slot for it. */
static bool
start_worker(Database *database)
{
	uint32		ticket = sth_launcher_reserve(database->oid);

	if (ticket == 0)
		return true;			/* parked; its release will wake us */
	if (!sth_worker_start(ticket, &database->handle))
	{
		(void) sth_launcher_forget(database->oid);
		no_slot_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													NO_SLOT_MS);
		complain_of_slots();
		return false;
	}
	database->waiting = false;
	return true;
}

/* The databases whose time has come; '*next': when another's will. */
static List *
list_due(TimestampTz now, TimestampTz *next)
{
	List	   *due = NIL;
	List	   *gone = NIL;
	List	   *connectable;
	ListCell   *lc;

	foreach(lc, databases)
	{
		Database   *database = lfirst(lc);

		if (!database->waiting)
			continue;
		if (database->not_before <= now)
			due = lappend(due, database);
		else
			*next = Min(*next, database->not_before);
	}
	if (due == NIL)
		return NIL;

	connectable = list_connectable();
	foreach(lc, due)
	{
		Database   *database = lfirst(lc);

		if (!list_member_oid(connectable, database->oid))
			gone = lappend(gone, database);
	}
	foreach(lc, gone)
	{
		due = list_delete_ptr(due, lfirst(lc));
		remove_database(lfirst(lc));
	}
	list_free(gone);
	list_free(connectable);
	return due;
}

/* How many workers there are, those included that start or end. */
static int
count_workers(void)
{
	SthWorkerPlace places[STH_WORKER_PLACES];
	int			nplaces = sth_launcher_look(places);
	int			count = 0;

	for (int i = 0; i < nplaces; i++)
		count += places[i].state != STH_WORKER_WANTED;
	return count;
}

/*
 * Starts workers for those that wait, as far as may be, and asks for room for
 * the others.  Returns after how many ms to look again; -1: when woken.
 */
static long
serve(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	List	   *due = list_due(now, &next);
	int			nworkers = count_workers();

	/* a place is left for requests */
	int			limit = Min(sth_max_workers, STH_WORKER_PLACES - 1);
	int			unserved = 0;
	ListCell   *lc;

	foreach(lc, due)
	{
		Database   *database = lfirst(lc);

		if (nworkers < limit && no_slot_until <= now &&
			start_worker(database))
			nworkers += !database->waiting;
		else
			unserved++;
	}
	list_free(due);
	if (no_slot_until > now && unserved > 0)
	{
		limit = Min(limit, nworkers);
		next = Min(next, no_slot_until);
	}
	sth_launcher_ask_for_room(nworkers + unserved - limit);

	return next == DT_NOEND ? -1 :
		TimestampDifferenceMilliseconds(now, next) + 1;
}

void
sth_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	sth_process_begin(LAUNCHER_TYPE);
	pgstat_report_activity(STATE_IDLE, "starting workers of databases");

	context = AllocSetContextCreate(TopMemoryContext, LAUNCHER_TYPE,
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	sth_launcher_attach();
	want_all();
	for (;;)
	{
		take_news();
		(void) sth_process_wait(serve(), sth_wait_event(STH_WAIT_IN_LAUNCHER));
	}
}

/* Called by _PG_init. */
void
sth_worker_init(void)
{
	BackgroundWorker launcher;

	sth_commands_init();

	/* pg_upgrade's servers are to be left alone */
	if (IsBinaryUpgrade)
		return;
	sth_process_describe(&launcher, LAUNCHER_TYPE, "sth_launcher_main");
	launcher.bgw_restart_time = LAUNCHER_RESTART_S;
	RegisterBackgroundWorker(&launcher);
}
