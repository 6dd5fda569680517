/*-------------------------------------------------------------------------
 *
 * failures.c
 *	  Why the last flushes that failed did.
 *
 * The worker's errors are in the server's log.  Those who feel them are
 * others: a producer who is refused, whoever calls flush(), whoever looks at
 * stat_flush.  So the last error of each topic is kept in shared memory, of
 * the few topics whose flushes have failed last.
 *
 * Locking: one LWLock, held for a look at the places.
 *
 * Failure: nothing here fails once the server has started.  A restart
 * forgets.  What belonged to a topic that is gone is never asked for, since
 * its number is not given again, and goes when its place is taken.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/shmem.h"
#include "log/failures.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define MAX_FAILURES 64

typedef struct FailureEntry
{
	Oid			database;
	Oid			tail;			/* new with every CREATE EXTENSION */
	Oid			server;			/* of the topic */
	int32		topic_id;
	SthFailure	failure;		/* at 0: none */
} FailureEntry;

typedef struct FailuresShared
{
	LWLock	   *lock;
	FailureEntry entries[MAX_FAILURES];
} FailuresShared;

static FailuresShared *shared = NULL;

static void
request_shmem(void)
{
	RequestAddinShmemSpace(sizeof(FailuresShared));
	RequestNamedLWLockTranche("streamhouse failures", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	shared = ShmemInitStruct("streamhouse failures", sizeof(FailuresShared),
							 &found);
	if (found)
		return;
	memset(shared, 0, sizeof(FailuresShared));
	shared->lock = &(GetNamedLWLockTranche("streamhouse failures"))->lock;
}

/* Called once, from _PG_init. */
void
sth_failures_init(void)
{
	sth_shmem_register(request_shmem, startup_shmem);
}

/* Is it of this server and topic?  InvalidOid and 0: of any. */
static bool
matches(const FailureEntry *entry, Oid tail, Oid server, int32 topic_id)
{
	return entry->failure.at != 0 && entry->database == MyDatabaseId &&
		entry->tail == tail &&
		(!OidIsValid(server) || entry->server == server) &&
		(topic_id == 0 || entry->topic_id == topic_id);
}

/* The place of a topic, or the one that was taken longest ago. */
static FailureEntry *
choose_entry(Oid tail, int32 topic_id)
{
	FailureEntry *oldest = &shared->entries[0];

	for (int i = 0; i < MAX_FAILURES; i++)
	{
		FailureEntry *entry = &shared->entries[i];

		if (matches(entry, tail, InvalidOid, topic_id))
			return entry;
		if (entry->failure.at < oldest->failure.at)
			oldest = entry;
	}
	return oldest;
}

/* A flush of a topic of a server has failed. */
void
sth_failures_note(Oid tail, Oid server, int32 topic_id, const ErrorData *error)
{
	const char *detail = error->detail ? error->detail : "";
	char	   *text = psprintf("%s%s%s", error->message,
								error->detail ? ": " : "", detail);
	int			len = pg_mbcliplen(text, strlen(text), STH_FAILURE_MAX - 1);
	FailureEntry *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	entry = choose_entry(tail, topic_id);
	entry->database = MyDatabaseId;
	entry->tail = tail;
	entry->server = server;
	entry->topic_id = topic_id;
	entry->failure.at = GetCurrentTimestamp();
	memcpy(entry->failure.message, text, len);
	entry->failure.message[len] = '\0';
	LWLockRelease(shared->lock);
	pfree(text);
}

/* The last of the failures that match; false if there is none. */
static bool
find_last(Oid tail, Oid server, int32 topic_id, SthFailure *failure)
{
	failure->at = 0;
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < MAX_FAILURES; i++)
		if (matches(&shared->entries[i], tail, server, topic_id) &&
			shared->entries[i].failure.at > failure->at)
			*failure = shared->entries[i].failure;
	LWLockRelease(shared->lock);
	return failure->at != 0;
}

/* The last failure of a topic of this database, if it is known. */
bool
sth_failures_of_topic(Oid tail, int32 topic_id, SthFailure *failure)
{
	return find_last(tail, InvalidOid, topic_id, failure);
}

/* Likewise, of any topic of a server. */
bool
sth_failures_of_server(Oid tail, Oid server, SthFailure *failure)
{
	return find_last(tail, server, 0, failure);
}

/* Forgets the last failure of a topic of this database; 0: of all. */
void
sth_failures_forget(Oid tail, int32 topic_id)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_FAILURES; i++)
		if (matches(&shared->entries[i], tail, InvalidOid, topic_id))
			shared->entries[i].failure.at = 0;
	LWLockRelease(shared->lock);
}
