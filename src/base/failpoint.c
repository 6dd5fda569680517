/*-------------------------------------------------------------------------
 *
 * failpoint.c
 *	  Named places in the code where a test can make something happen.
 *
 * SET streamhouse.failpoint = 'name:action' arms one place in this session.
 * The actions: 'error' raises an error, 'crash' ends the process as a kill -9
 * would, 'wait' waits for the advisory lock 7777 and goes on.  A wait for an
 * advisory lock can be seen in pg_locks, also by the isolation tester, and
 * can be cancelled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/failpoint.h"

#ifdef STH_FAILPOINTS

#include <signal.h>
#include <unistd.h>

#include "base/guc.h"
#include "miscadmin.h"
#include "storage/lock.h"

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
	else
		elog(ERROR, "failpoint \"%s\": unknown action \"%s\"", name, action);
}

#endif							/* STH_FAILPOINTS */
