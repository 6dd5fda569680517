/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  The parts of shared memory that the server starts with.
 *
 * Whoever keeps something there registers two functions from _PG_init.  The
 * server calls the first when it works out how much there is to be, and the
 * second when that is there, under the lock that guards it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/shmem.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"

#define MAX_PARTS 16

typedef struct Part
{
	SthShmemRequest request;
	SthShmemStartup startup;
} Part;

static Part parts[MAX_PARTS];
static int	nparts = 0;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

void
sth_shmem_register(SthShmemRequest request, SthShmemStartup startup)
{
	if (nparts == MAX_PARTS)
		elog(ERROR, "too many parts of shared memory");
	parts[nparts].request = request;
	parts[nparts].startup = startup;
	nparts++;
}

static void
request_all(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	for (int i = 0; i < nparts; i++)
		parts[i].request();
}

static void
start_all(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < nparts; i++)
		parts[i].startup();
	LWLockRelease(AddinShmemInitLock);
}

/* Called once, from _PG_init. */
void
sth_shmem_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_all;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_all;
}
