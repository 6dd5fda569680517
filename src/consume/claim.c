/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Who of a consumer group has which partitions, until its commit.
 *
 * A claim is an entry in a hash table in shared memory, by group and log.  A
 * transaction keeps the claims on the partitions that it has got rows of; the
 * others of the group skip those.  Claims end with the transaction, after it
 * has left the proc array, so that whoever claims next sees the position that
 * it has left.  There is no membership and nothing to rebalance: a session
 * that is gone has no claims.
 *
 * Beside a group's claims there is an entry for the group itself, under log
 * 0, which counts the transactions that hold some or are at polling: they
 * share the partitions.
 *
 * Nobody waits for a claim: a partition that another has is skipped.  What
 * must not meet any poller takes the group's lock (group.c), in which
 * PostgreSQL sees deadlocks.
 *
 * Locking: one LWLock guards the table; it is never held over anything else.
 *
 * Failure: the end of the transaction, also that of a session that is killed,
 * releases.  ROLLBACK TO keeps a claim, which does no harm.
 *
 * Memory: a transaction's claims are a list in TopTransactionContext.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/transaction.h"
#include "consume/claim.h"
#include "log/waiters.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct ClaimKey
{
	Oid			database;
	int32		group_id;
	int32		log_id;			/* 0: of the group itself */
} ClaimKey;

typedef struct Claim
{
	ClaimKey	key;
	int			sharers;		/* of a group: transactions that share it */
	bool		missed;			/* somebody else would have liked it */
} Claim;

typedef struct ClaimsShared
{
	LWLock	   *lock;
} ClaimsShared;

/* A claim that this transaction holds. */
typedef struct MyClaim
{
	struct MyClaim *next;
	int32		topic_id;
	ClaimKey	key;
} MyClaim;

static ClaimsShared *shared = NULL;
static HTAB *claims = NULL;
static MyClaim *my_claims = NULL;

static void
request_shmem(void)
{
	RequestAddinShmemSpace(sizeof(ClaimsShared));
	RequestAddinShmemSpace(hash_estimate_size(sth_max_logs, sizeof(Claim)));
	RequestNamedLWLockTranche("streamhouse claims", 1);
}

static void
startup_shmem(void)
{
	HASHCTL		info;
	bool		found;

	shared = ShmemInitStruct("streamhouse claims", sizeof(ClaimsShared), &found);
	if (!found)
	{
		shared->lock = &(GetNamedLWLockTranche("streamhouse claims"))->lock;
	}
	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(ClaimKey);
	info.entrysize = sizeof(Claim);
	claims = ShmemInitHash("streamhouse claims table", sth_max_logs,
						   sth_max_logs, &info,
						   HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

static ClaimKey
make_key(int32 group_id, int32 log_id)
{
	ClaimKey	key = {MyDatabaseId, group_id, log_id};

	return key;
}

/* Does this transaction hold the claim? */
bool
sth_claim_is_mine(int32 group_id, int32 log_id)
{
	for (MyClaim *mine = my_claims; mine != NULL; mine = mine->next)
		if (mine->key.group_id == group_id && mine->key.log_id == log_id)
			return true;
	return false;
}

/* How many claims of a group this transaction holds. */
int
sth_claim_mine(int32 group_id)
{
	int			n = 0;

	for (MyClaim *mine = my_claims; mine != NULL; mine = mine->next)
		n += mine->key.group_id == group_id && mine->key.log_id != 0;
	return n;
}

static void
report_full(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("too many partitions are being consumed"),
			 errdetail("The server has room for %d, in all groups and databases together.",
					   sth_max_logs),
			 errhint("Raise streamhouse.max_logs and restart the server.")));
}

/*
 * Makes an entry for this transaction: of a log, unless there is one, or of
 * the group, where another sharer is counted.  Returns their number, 0 if
 * another transaction has the log.
 */
static int
enter(int32 topic_id, const ClaimKey *key)
{
	/* first, because nothing may fail once the entry is there */
	MyClaim    *mine = MemoryContextAlloc(TopTransactionContext,
										  sizeof(MyClaim));
	Claim	   *claim = NULL;
	bool		found = true;
	int			sharers = 0;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	claim = hash_search(claims, key, HASH_FIND, NULL);
	if (claim == NULL && hash_get_num_entries(claims) < sth_max_logs)
		claim = hash_search(claims, key, HASH_ENTER_NULL, &found);
	if (claim != NULL && !found)
	{
		claim->sharers = 0;
		claim->missed = false;
	}
	if (claim != NULL && (!found || key->log_id == 0))
	{
		sharers = ++claim->sharers;
		mine->topic_id = topic_id;
		mine->key = *key;
		mine->next = my_claims;
		my_claims = mine;
	}
	else if (claim != NULL)
		claim->missed = true;
	LWLockRelease(shared->lock);
	if (claim == NULL)
		report_full();
	if (sharers == 0)
		pfree(mine);
	return sharers;
}

/*
 * Claims a log for this transaction, unless another has it; then false.  The
 * claim may be ours already.
 */
bool
sth_claim_try(int32 topic_id, int32 group_id, int32 log_id)
{
	ClaimKey	key = make_key(group_id, log_id);

	return sth_claim_is_mine(group_id, log_id) || enter(topic_id, &key) > 0;
}

/*
 * Begins to share a group's partitions, or goes on to; returns how many
 * transactions do, this one included.
 */
int
sth_claim_join(int32 topic_id, int32 group_id)
{
	ClaimKey	key = make_key(group_id, 0);
	Claim	   *group;
	int			sharers = 1;

	if (!sth_claim_is_mine(group_id, 0))
		return enter(topic_id, &key);
	LWLockAcquire(shared->lock, LW_SHARED);
	group = hash_search(claims, &key, HASH_FIND, NULL);
	if (group != NULL)
		sharers = group->sharers;
	LWLockRelease(shared->lock);
	return sharers;
}

/* Has another transaction the claim? */
bool
sth_claim_is_taken(int32 group_id, int32 log_id)
{
	ClaimKey	key = make_key(group_id, log_id);
	Claim	   *claim;

	if (sth_claim_is_mine(group_id, log_id))
		return false;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	claim = hash_search(claims, &key, HASH_FIND, NULL);
	if (claim != NULL)
		claim->missed = true;
	LWLockRelease(shared->lock);
	return claim != NULL;
}

/*
 * Removes an entry, or a sharer from it; the lock is held.  Has somebody else
 * met it meanwhile?
 */
static bool
remove_claim(const ClaimKey *key)
{
	Claim	   *claim = hash_search(claims, key, HASH_FIND, NULL);
	bool		missed = claim != NULL && claim->missed;

	if (claim != NULL && --claim->sharers <= 0)
		(void) hash_search(claims, key, HASH_REMOVE, NULL);
	return missed;
}

/* Gives a claim back before the end of the transaction. */
void
sth_claim_release(int32 group_id, int32 log_id)
{
	MyClaim   **link = &my_claims;
	MyClaim    *mine;
	bool		missed;

	while ((mine = *link) != NULL && (mine->key.group_id != group_id ||
									  mine->key.log_id != log_id))
		link = &mine->next;
	if (mine == NULL)
		return;
	*link = mine->next;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	missed = remove_claim(&mine->key);
	LWLockRelease(shared->lock);
	/* there may be a row that came after our snapshot, and who waits for it */
	if (missed && log_id != 0)
		sth_waiters_wake(mine->topic_id);
	pfree(mine);
}

/* Ends the sharing, unless there are claims to keep it up for. */
void
sth_claim_leave(int32 group_id)
{
	if (sth_claim_mine(group_id) == 0)
		sth_claim_release(group_id, 0);
}

/* Must not fail: it runs after the commit record. */
static void
release_all(void)
{
	MyClaim    *released = my_claims;

	if (released == NULL)
		return;
	my_claims = NULL;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (MyClaim *mine = released; mine != NULL; mine = mine->next)
		(void) remove_claim(&mine->key);
	LWLockRelease(shared->lock);
	for (; released != NULL; released = released->next)
		if (released->next == NULL ||
			released->next->topic_id != released->topic_id)
			sth_waiters_wake(released->topic_id);
}

static void
at_transaction_event(XactEvent event)
{
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			if (my_claims != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot prepare a transaction that has polled from a topic"),
						 errdetail("What it has polled would stay claimed for as long as it is prepared."),
						 errhint("Use COMMIT.")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
			release_all();
			break;
		default:
			break;
	}
}

/* Called once, from _PG_init. */
void
sth_claim_init(void)
{
	sth_shmem_register(request_shmem, startup_shmem);
	sth_transaction_register(STH_AT(PRE_PREPARE) | STH_AT(COMMIT) | STH_AT(ABORT),
							 at_transaction_event);
}
