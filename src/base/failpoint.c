/*-------------------------------------------------------------------------
 *
 * failpoint.c
 *	  Named places in the code where a test can make something happen.
 *
 * SET streamhouse.failpoint = 'name:action' arms one place in this session.
 * The actions: 'error' raises an error, 'crash' ends the process as a kill -9
 * would, 'wait' waits for the advisory lock 7777 and goes on, 'run SQL' runs
 * that, as another library's callback might.  A wait for an advisory lock can
 * be seen in pg_locks, also by the isolation tester, and can be cancelled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/failpoint.h"

#ifdef STH_FAILPOINTS

#include <signal.h>
#include <unistd.h>

#include "base/guc.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/snapmgr.h"

#define FAILPOINT_LOCK 7777

static void
wait_for_advisory_lock(void)
{
	LOCKTAG		tag;

	/* as pg_advisory_lock(7777) takes it */
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, FAILPOINT_LOCK, 1);
	(void) LockAcquire(&tag, ShareLock, false, false);
	LockRelease(&tag, ShareLock, false);
}

static void
run_sql(const char *sql)
{
	SPI_connect();
	/* no statement is on when a transaction commits */
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not run \"%s\"", sql);
	PopActiveSnapshot();
	SPI_finish();
}

void
sth_failpoint_hit(const char *name)
{
	size_t		len = strlen(name);
	const char *action;

	if (sth_failpoint == NULL || strncmp(sth_failpoint, name, len) != 0 ||
		sth_failpoint[len] != ':')
		return;
	action = sth_failpoint + len + 1;
	if (strcmp(action, "error") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("failpoint \"%s\"", name)));
	else if (strcmp(action, "crash") == 0)
		kill(MyProcPid, SIGKILL);
	else if (strcmp(action, "wait") == 0)
		wait_for_advisory_lock();
	else if (strncmp(action, "run ", 4) == 0)
		run_sql(action + 4);
	else
		elog(ERROR, "failpoint \"%s\": unknown action \"%s\"", name, action);
}

#endif							/* STH_FAILPOINTS */
