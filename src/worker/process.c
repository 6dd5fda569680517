/*-------------------------------------------------------------------------
 *
 * process.c
 *	  What the launcher and the workers have in common.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "worker/worker.h"

/* Fills in what PostgreSQL wants to know to start one. */
void
sth_process_describe(BackgroundWorker *worker, const char *type,
					 const char *function)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	strlcpy(worker->bgw_name, type, sizeof(worker->bgw_name));
	strlcpy(worker->bgw_type, type, sizeof(worker->bgw_type));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	/* so never on a standby; but at once when it is promoted */
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	strlcpy(worker->bgw_library_name, "streamhouse",
			sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function,
			sizeof(worker->bgw_function_name));
}

static void
set_option(const char *name, const char *value)
{
	/* not every version has every setting */
	if (GetConfigOption(name, true, false) != NULL)
		SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * For a process that has just connected: what is set for sessions of users,
 * in postgresql.conf or for the database, must not keep it from its work.
 */
void
sth_process_begin(const char *name)
{
	set_option("application_name", name);
	set_option("search_path", "");
	set_option("statement_timeout", "0");
	set_option("transaction_timeout", "0");
	set_option("lock_timeout", "0");
	set_option("default_transaction_isolation", "read committed");
	set_option("default_transaction_read_only", "off");
}

/*
 * What signals have asked for is done, or ends the process; called after each
 * sleep.  True if settings have been read anew.
 */
bool
sth_process_awake(void)
{
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (!ConfigReloadPending)
		return false;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	return true;
}

/*
 * Sleeps until the latch is set or the timeout, in ms, is over; -1: none.
 * Returns as sth_process_awake does.
 */
bool
sth_process_wait(long timeout, uint32 wait_event)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
					 (timeout >= 0 ? WL_TIMEOUT : 0),
					 timeout, wait_event);
	return sth_process_awake();
}
