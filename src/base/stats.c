/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  Counters of topics and consumer groups, in shared memory.
 *
 * A topic or group that something has been counted of has an entry in a hash
 * table: counters and a histogram, all atomic.  A topic that is flushed has
 * two more.  The table has a fixed size.
 * Whoever finds it full goes uncounted; that this has happened is remembered,
 * because from then on a missing entry does not mean zero.
 *
 * Counted is what has committed.  What a transaction does is kept by itself
 * until then (tally.c, produce/commit.c), so that entries are only made by
 * transactions that have committed, for topics and groups that are there: a
 * lock on the topic, and on the group, keeps them from being dropped until
 * what was counted has been added.
 *
 * Locking: the LWLock guards the table, not the counters.  They are added to
 * without it, which the locks on topic and group make safe: an entry goes only
 * with its topic or group.
 *
 * Failure: nothing here fails once the server has started.  A crash, and
 * every start, begins from zero.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "base/stats.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

struct SthStats
{
	SthStatsKey key;
	pg_atomic_uint64 reset;		/* TimestampTz; 0: since the start */
	pg_atomic_uint64 counters[STH_NCOUNTERS];
	pg_atomic_uint64 histogram[STH_NBUCKETS];
};

typedef struct StatsShared
{
	LWLock	   *lock;
	pg_atomic_uint32 overflowed;	/* has anybody found the table full? */
} StatsShared;

static StatsShared *shared = NULL;
static HTAB *table = NULL;

/*
 * What this backend has counted in last.  An entry stays where it is until its
 * topic or group is dropped, and none gets the numbers of another: so who finds
 * his own key here has the entry.
 */
static SthStats *latest = NULL;

/* How many topics and groups are counted at most. */
static long
max_entries(void)
{
	return Max(sth_max_logs / 4, 256);
}

static void
request_shmem(void)
{
	RequestAddinShmemSpace(sizeof(StatsShared));
	RequestAddinShmemSpace(hash_estimate_size(max_entries(), sizeof(SthStats)));
	RequestNamedLWLockTranche("streamhouse stats", 1);
}

static void
startup_shmem(void)
{
	HASHCTL		info;
	bool		found;

	shared = ShmemInitStruct("streamhouse stats", sizeof(StatsShared), &found);
	if (!found)
	{
		shared->lock = &(GetNamedLWLockTranche("streamhouse stats"))->lock;
		pg_atomic_init_u32(&shared->overflowed, 0);
	}
	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(SthStatsKey);
	info.entrysize = sizeof(SthStats);
	table = ShmemInitHash("streamhouse stats table", max_entries(),
						  max_entries(), &info,
						  HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
}

/* Called once, from _PG_init. */
void
sth_stats_init(void)
{
	sth_shmem_register(request_shmem, startup_shmem);
}

/* Of a topic of this database, or of one of its groups: see stats.h. */
SthStatsKey
sth_stats_key(Oid tail, int32 topic_id, int32 group_id)
{
	SthStatsKey key = {MyDatabaseId, tail, topic_id, group_id};

	return key;
}

/* The bucket of a histogram that a time belongs to. */
int
sth_histogram_bucket(int64 microseconds)
{
	int			bucket = microseconds <= 1 ? 0 :
	pg_leftmost_one_pos64((uint64) microseconds - 1) + 1;

	return Min(bucket, STH_NBUCKETS - 1);
}

/* Counts a time in the histogram. */
void
sth_counts_add_time(SthCounts *counts, int64 microseconds)
{
	counts->histogram[sth_histogram_bucket(microseconds)]++;
}

/* A new entry; the lock is held. */
static void
init_entry(SthStats *stats)
{
	/* what came before the table was full may have been missed */
	pg_atomic_init_u64(&stats->reset,
					   pg_atomic_read_u32(&shared->overflowed) ?
					   (uint64) GetCurrentTimestamp() : 0);
	for (int i = 0; i < STH_NCOUNTERS; i++)
		pg_atomic_init_u64(&stats->counters[i], 0);
	for (int i = 0; i < STH_NBUCKETS; i++)
		pg_atomic_init_u64(&stats->histogram[i], 0);
}

/*
 * The entry of a topic or group, made if need be; NULL if there is no room.
 * Must not fail: it runs after the commit record.  The caller still has the
 * locks that keep both from being dropped, and so from going.
 */
SthStats *
sth_stats_enter(const SthStatsKey *key)
{
	SthStats   *stats;
	bool		full;
	bool		found;

	if (latest != NULL && memcmp(&latest->key, key, sizeof(SthStatsKey)) == 0)
		return latest;

	/* that there is no room should be as cheap to find out as the entry */
	LWLockAcquire(shared->lock, LW_SHARED);
	stats = hash_search(table, key, HASH_FIND, NULL);
	full = hash_get_num_entries(table) >= max_entries();
	LWLockRelease(shared->lock);

	if (stats == NULL && !full)
	{
		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
		if (hash_get_num_entries(table) >= max_entries())
			stats = hash_search(table, key, HASH_FIND, &found);
		else
			stats = hash_search(table, key, HASH_ENTER_NULL, &found);
		if (stats != NULL && !found)
			init_entry(stats);
		LWLockRelease(shared->lock);
	}
	if (stats == NULL && !pg_atomic_read_u32(&shared->overflowed))
		pg_atomic_write_u32(&shared->overflowed, 1);
	latest = stats;
	return stats;
}

/* Counts; must not fail. */
void
sth_stats_add(SthStats *stats, int counter, int64 n)
{
	pg_atomic_fetch_add_u64(&stats->counters[counter], n);
}

/* Counts a time in the histogram; must not fail. */
void
sth_stats_add_time(SthStats *stats, int64 microseconds)
{
	pg_atomic_fetch_add_u64(&stats->histogram[sth_histogram_bucket(microseconds)],
							1);
}

static void
add(pg_atomic_uint64 *sums, const int64 *counts, int n)
{
	for (int i = 0; i < n; i++)
		if (counts[i] != 0)
			pg_atomic_fetch_add_u64(&sums[i], counts[i]);
}

/*
 * Adds to the counters of a topic or group; what holds for sth_stats_enter
 * holds for this.
 */
void
sth_stats_apply(const SthStatsKey *key, const SthCounts *counts)
{
	SthStats   *stats = sth_stats_enter(key);

	if (stats == NULL)
		return;
	add(stats->counters, counts->counters, STH_NCOUNTERS);
	add(stats->histogram, counts->histogram, STH_NBUCKETS);
}

static void
read_all(pg_atomic_uint64 *sums, int64 *counts, int n)
{
	for (int i = 0; i < n; i++)
		counts[i] = (int64) pg_atomic_read_u64(&sums[i]);
}

/*
 * The counters of a topic or group, and since when they count (0: the start
 * of the server); false if it may not have been counted.
 */
bool
sth_stats_read(const SthStatsKey *key, SthCounts *counts, TimestampTz *reset)
{
	SthStats   *stats;

	memset(counts, 0, sizeof(SthCounts));
	*reset = 0;
	LWLockAcquire(shared->lock, LW_SHARED);
	stats = hash_search(table, key, HASH_FIND, NULL);
	if (stats != NULL)
	{
		read_all(stats->counters, counts->counters, STH_NCOUNTERS);
		read_all(stats->histogram, counts->histogram, STH_NBUCKETS);
		*reset = (TimestampTz) pg_atomic_read_u64(&stats->reset);
	}
	LWLockRelease(shared->lock);
	return stats != NULL || !pg_atomic_read_u32(&shared->overflowed);
}

/* The lock is held. */
static void
reset_entry(SthStats *stats)
{
	pg_atomic_write_u64(&stats->reset, (uint64) GetCurrentTimestamp());
	for (int i = 0; i < STH_NCOUNTERS; i++)
		pg_atomic_write_u64(&stats->counters[i], 0);
	for (int i = 0; i < STH_NBUCKETS; i++)
		pg_atomic_write_u64(&stats->histogram[i], 0);
}

/* Does an entry belong to what 'of' names?  0 there stands for any. */
static bool
matches(const SthStatsKey *key, const SthStatsKey *of)
{
	return key->database == of->database &&
		(of->tail == InvalidOid || key->tail == of->tail) &&
		(of->topic_id == 0 || key->topic_id == of->topic_id);
}

static void
for_each(const SthStatsKey *of, void (*callback) (SthStats *stats))
{
	HASH_SEQ_STATUS status;
	SthStats   *stats;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	hash_seq_init(&status, table);
	while ((stats = hash_seq_search(&status)) != NULL)
		if (matches(&stats->key, of))
			callback(stats);
	LWLockRelease(shared->lock);
}

/* Sets the counters of a topic and of its groups to zero. */
void
sth_stats_reset_topic(Oid tail, int32 topic_id)
{
	SthStatsKey of = sth_stats_key(tail, topic_id, 0);

	for_each(&of, reset_entry);
}

/* Sets all counters of this database to zero. */
void
sth_stats_reset_all(Oid tail)
{
	SthStatsKey of = sth_stats_key(tail, 0, 0);

	for_each(&of, reset_entry);
}

/* Removes an entry, which is of nothing then; the lock is held. */
static void
remove_entry(SthStats *stats)
{
	SthStatsKey key = stats->key;

	(void) hash_search(table, &key, HASH_REMOVE, NULL);
	memset(&stats->key, 0, sizeof(SthStatsKey));
}

/* Removes a topic or group that has been dropped.  Must not fail. */
void
sth_stats_forget(const SthStatsKey *key)
{
	SthStats   *stats;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	stats = hash_search(table, key, HASH_FIND, NULL);
	if (stats != NULL)
		remove_entry(stats);
	LWLockRelease(shared->lock);
}

/* Removes all of a dropped extension.  Must not fail. */
void
sth_stats_forget_tail(Oid tail)
{
	SthStatsKey of = sth_stats_key(tail, 0, 0);

	for_each(&of, remove_entry);
}

/* Removes all of a dropped database.  Must not fail. */
void
sth_stats_forget_database(Oid database)
{
	SthStatsKey of = {database, InvalidOid, 0, 0};

	for_each(&of, remove_entry);
}
