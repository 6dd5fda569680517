/*-------------------------------------------------------------------------
 *
 * health.c
 *	  How a bucket does, as all processes together see it.
 *
 * Shared memory has an entry for each foreign server that is used: a breaker,
 * the number of requests in flight and how many there may be, counters, the
 * last error.
 *
 * The breaker: after FAILURES_TO_OPEN requests in a row that failed without a
 * useful answer, requests wait.  When the time is over one process lets one
 * request pass, the probe.  If it succeeds all others follow; if not, the time
 * doubles, up to LONGEST_PAUSE, and a random part of it is left out, so that
 * several clusters do not come back together.  A server that asks to be spared
 * (429, 503) is answering: that lowers the number of requests in flight, by a
 * quarter and at most once in CUT_INTERVAL, and each full round of good
 * answers raises it by one.
 *
 * A wait is a hint of how long; the caller asks again.  Who waits for a place
 * asks again after a few milliseconds: places come free at the rate of
 * requests, and nobody has to be woken.
 *
 * Locking: the LWLock guards which entry belongs to whom.  A process keeps a
 * pointer to the entries that it uses, and counts itself in their users; an
 * entry whose server was dropped is free when it has no users any more, so no
 * pointer is ever to another server's entry.  A spinlock in each entry guards
 * breaker, places and the last error; counters are atomic.
 *
 * Failure: nothing here fails.  A process that ends gives back its places (by
 * the requests that it drops) and its users (before_shmem_exit); one that dies
 * otherwise makes the server restart, and all begins anew.  A probe that is
 * not heard of again counts as failed after PROBE_TIME.  When all entries are
 * taken a process goes by an entry of its own: it then sees only itself, and
 * its requests are not in the view.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/shmem.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "s3/health.h"
#include "s3/multi.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MAX_ENTRIES 128
#define FAILURES_TO_OPEN 5
#define MAX_IN_FLIGHT 128

/* in microseconds */
#define SHORTEST_PAUSE INT64CONST(200000)
#define LONGEST_PAUSE INT64CONST(15000000)
#define PROBE_TIME INT64CONST(60000000)
#define CUT_INTERVAL INT64CONST(250000)
#define ASK_AGAIN INT64CONST(5000)
#define ASK_ABOUT_PROBE INT64CONST(100000)

struct SthHealth
{
	Oid			database;		/* InvalidOid: free */
	Oid			server;
	bool		dropped;
	int			users;			/* processes; the LWLock's, like the above */

	slock_t		mutex;
	int			in_flight;
	int			limit;
	int			good;			/* answers since the limit was raised */
	int64		cut;			/* when it was lowered */
	int			failures;
	int			opened;			/* times in a row */
	int64		open_until;		/* 0: the breaker is closed */
	int64		probe_began;	/* 0: no probe is on its way */
	TimestampTz error_at;
	char		error[STH_HEALTH_TEXT];

	pg_atomic_uint64 reset;		/* TimestampTz */
	pg_atomic_uint64 requests[STH_S3_NKINDS];
	pg_atomic_uint64 counters[STH_HEALTH_NCOUNTERS];
	pg_atomic_uint64 histogram[STH_NBUCKETS];
};

typedef struct Shared
{
	LWLock	   *lock;
	bool		overflowed;		/* has anybody found no free entry? */
	SthHealth	entries[MAX_ENTRIES];
} Shared;

static Shared *shared = NULL;

/* Entries that this process uses, and how often. */
static struct
{
	SthHealth  *health;
	int			uses;
}			mine[MAX_ENTRIES];

static void
init_entry(SthHealth *health, Oid database, Oid server)
{
	health->database = database;
	health->server = server;
	health->dropped = false;
	health->users = 0;
	health->in_flight = 0;
	health->limit = MAX_IN_FLIGHT;
	health->good = 0;
	health->cut = 0;
	health->failures = 0;
	health->opened = 0;
	health->open_until = 0;
	health->probe_began = 0;
	health->error_at = 0;
	health->error[0] = '\0';
	pg_atomic_write_u64(&health->reset, 0);
	for (int i = 0; i < STH_S3_NKINDS; i++)
		pg_atomic_write_u64(&health->requests[i], 0);
	for (int i = 0; i < STH_HEALTH_NCOUNTERS; i++)
		pg_atomic_write_u64(&health->counters[i], 0);
	for (int i = 0; i < STH_NBUCKETS; i++)
		pg_atomic_write_u64(&health->histogram[i], 0);
}

/* What is done once with the memory of an entry. */
static void
make_entry(SthHealth *health)
{
	memset(health, 0, sizeof(SthHealth));
	SpinLockInit(&health->mutex);
	pg_atomic_init_u64(&health->reset, 0);
	for (int i = 0; i < STH_S3_NKINDS; i++)
		pg_atomic_init_u64(&health->requests[i], 0);
	for (int i = 0; i < STH_HEALTH_NCOUNTERS; i++)
		pg_atomic_init_u64(&health->counters[i], 0);
	for (int i = 0; i < STH_NBUCKETS; i++)
		pg_atomic_init_u64(&health->histogram[i], 0);
}

static void
request_shmem(void)
{
	RequestAddinShmemSpace(sizeof(Shared));
	RequestNamedLWLockTranche("streamhouse servers", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	shared = ShmemInitStruct("streamhouse servers", sizeof(Shared), &found);
	if (found)
		return;
	shared->overflowed = false;
	shared->lock = &(GetNamedLWLockTranche("streamhouse servers"))->lock;
	for (int i = 0; i < MAX_ENTRIES; i++)
		make_entry(&shared->entries[i]);
}

/* Called once, from _PG_init. */
void
sth_health_init(void)
{
	sth_shmem_register(request_shmem, startup_shmem);
}

static bool
is_shared(const SthHealth *health)
{
	return health >= shared->entries && health < shared->entries + MAX_ENTRIES;
}

/* --- whose entry ----------------------------------------------------------- */

/* The lock is held. */
static void
free_if_unused(SthHealth *health)
{
	if (health->dropped && health->users == 0)
		health->database = health->server = InvalidOid;
}

/* The entry of a server, NULL if it has none; the lock is held. */
static SthHealth *
find_entry(Oid database, Oid server)
{
	for (int i = 0; i < MAX_ENTRIES; i++)
	{
		SthHealth  *health = &shared->entries[i];

		if (health->database == database && health->server == server &&
			!health->dropped)
			return health;
	}
	return NULL;
}

/* Likewise, made if need be; NULL if all are taken. */
static SthHealth *
find_or_make_entry(Oid database, Oid server)
{
	SthHealth  *health = find_entry(database, server);

	for (int i = 0; i < MAX_ENTRIES && health == NULL; i++)
		if (!OidIsValid(shared->entries[i].database))
		{
			health = &shared->entries[i];
			init_entry(health, database, server);
			/* what came before all were taken may have been missed */
			if (shared->overflowed)
				pg_atomic_write_u64(&health->reset, (uint64) GetCurrentTimestamp());
		}
	if (health == NULL)
		shared->overflowed = true;
	return health;
}

/* The process ends. */
static void
leave_all(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_ENTRIES; i++)
		if (mine[i].uses > 0)
		{
			mine[i].health->users--;
			free_if_unused(mine[i].health);
			mine[i].uses = 0;
		}
	LWLockRelease(shared->lock);
}

/* The entry of a server, until it is closed. */
SthHealth *
sth_health_open(Oid database, Oid server)
{
	static bool registered = false;
	SthHealth  *health;

	if (!registered)
	{
		before_shmem_exit(leave_all, (Datum) 0);
		registered = true;
	}
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	health = find_or_make_entry(database, server);
	if (health != NULL)
	{
		int			i = health - shared->entries;

		mine[i].health = health;
		if (mine[i].uses++ == 0)
			health->users++;
	}
	LWLockRelease(shared->lock);
	if (health != NULL)
		return health;
	health = MemoryContextAlloc(TopMemoryContext, sizeof(SthHealth));
	make_entry(health);
	init_entry(health, database, server);
	return health;
}

void
sth_health_close(SthHealth *health)
{
	int			i = health - shared->entries;

	if (!is_shared(health))
	{
		pfree(health);
		return;
	}
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (mine[i].uses > 0 && --mine[i].uses == 0)
	{
		health->users--;
		free_if_unused(health);
	}
	LWLockRelease(shared->lock);
}

static void
forget_where(Oid database, Oid server)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_ENTRIES; i++)
	{
		SthHealth  *health = &shared->entries[i];

		if (health->database == database && OidIsValid(database) &&
			(health->server == server || !OidIsValid(server)))
		{
			health->dropped = true;
			free_if_unused(health);
		}
	}
	LWLockRelease(shared->lock);
}

/* Removes what is known of a dropped server.  Must not fail. */
void
sth_health_forget(Oid database, Oid server)
{
	forget_where(database, server);
}

/* Likewise, of all of a dropped database. */
void
sth_health_forget_database(Oid database)
{
	forget_where(database, InvalidOid);
}

/* --- breaker and places ---------------------------------------------------- */

/*
 * May a request go?  If so it has a place until sth_health_leave; else 'wait'
 * says after how many microseconds it pays to ask again.
 */
bool
sth_health_admit(SthHealth *health, SthHealthPass *pass, int64 *wait)
{
	int64		now = sth_multi_now();
	bool		admitted = false;

	pass->probe = false;
	pass->began = now;
	*wait = ASK_AGAIN;
	SpinLockAcquire(&health->mutex);
	if (health->open_until == 0)
		admitted = health->in_flight < health->limit;
	else if (now < health->open_until)
		*wait = health->open_until - now;
	else if (health->probe_began != 0 && now < health->probe_began + PROBE_TIME)
		*wait = ASK_ABOUT_PROBE;
	else
	{
		admitted = pass->probe = true;
		health->probe_began = now;
	}
	if (admitted)
		health->in_flight++;
	SpinLockRelease(&health->mutex);
	return admitted;
}

/* Opens the breaker, or keeps it open for longer; the spinlock is held. */
static void
open_breaker(SthHealth *health, int64 now, double part)
{
	int64		pause = SHORTEST_PAUSE << Min(health->opened, 10);

	pause = Min(pause, LONGEST_PAUSE);
	health->opened++;
	health->open_until = now + pause / 2 + (int64) (part * (pause / 2));
	health->probe_began = 0;
}

static void
close_breaker(SthHealth *health)
{
	health->failures = 0;
	health->opened = 0;
	health->open_until = 0;
	health->probe_began = 0;
}

static void
lower_limit(SthHealth *health, int64 now)
{
	if (health->cut != 0 && now < health->cut + CUT_INTERVAL)
		return;
	health->cut = now;
	health->good = 0;
	/* by what was in flight: that was too much, not what there might be */
	health->limit = Max(Min(health->limit, health->in_flight + 1) * 3 / 4, 1);
}

static void
raise_limit(SthHealth *health)
{
	if (health->limit >= MAX_IN_FLIGHT || ++health->good < health->limit)
		return;
	health->good = 0;
	health->limit++;
}

/*
 * Gives back the place.  A request that began before the breaker opened does
 * not close it, nor make the pause longer: only the probe does.
 */
void
sth_health_leave(SthHealth *health, const SthHealthPass *pass,
				 SthHealthOutcome outcome)
{
	int64		now = sth_multi_now();
	double		part = pg_prng_double(&pg_global_prng_state);

	SpinLockAcquire(&health->mutex);
	health->in_flight--;
	if (outcome == STH_HEALTH_THROTTLED)
		lower_limit(health, now);
	else if (outcome == STH_HEALTH_GOOD)
		raise_limit(health);
	if (outcome == STH_HEALTH_FAILED)
		health->failures++;
	if (pass->probe && health->probe_began == pass->began)
	{
		if (outcome == STH_HEALTH_FAILED)
			open_breaker(health, now, part);
		else if (outcome == STH_HEALTH_UNKNOWN)
			health->probe_began = 0;
		else
			close_breaker(health);
	}
	else if (health->open_until == 0)
	{
		if (outcome == STH_HEALTH_FAILED)
		{
			if (health->failures >= FAILURES_TO_OPEN)
				open_breaker(health, now, part);
		}
		else if (outcome != STH_HEALTH_UNKNOWN)
			health->failures = 0;
	}
	SpinLockRelease(&health->mutex);
}

/* --- counters -------------------------------------------------------------- */

/* Counts a request that has ended, by the microseconds that it took. */
void
sth_health_count(SthHealth *health, SthS3Kind kind, int64 took)
{
	pg_atomic_fetch_add_u64(&health->requests[kind], 1);
	pg_atomic_fetch_add_u64(&health->histogram[sth_histogram_bucket(took)], 1);
}

void
sth_health_add(SthHealth *health, SthHealthCounter counter, int64 n)
{
	if (n != 0)
		pg_atomic_fetch_add_u64(&health->counters[counter], n);
}

/* Keeps the text of an error: ASCII, without secrets. */
void
sth_health_note_error(SthHealth *health, const char *text)
{
	char		copy[STH_HEALTH_TEXT];
	TimestampTz now = GetCurrentTimestamp();

	strlcpy(copy, text, sizeof(copy));
	SpinLockAcquire(&health->mutex);
	memcpy(health->error, copy, sizeof(copy));
	health->error_at = now;
	SpinLockRelease(&health->mutex);
}

/* The last error; empty if there was none. */
void
sth_health_last_error(SthHealth *health, char *text)
{
	SpinLockAcquire(&health->mutex);
	memcpy(text, health->error, STH_HEALTH_TEXT);
	SpinLockRelease(&health->mutex);
}

static void
read_all(pg_atomic_uint64 *sums, int64 *into, int n)
{
	for (int i = 0; i < n; i++)
		into[i] = (int64) pg_atomic_read_u64(&sums[i]);
}

static void
read_state(SthHealth *health, SthHealthReport *report)
{
	int64		now = sth_multi_now();
	TimestampTz time = GetCurrentTimestamp();

	SpinLockAcquire(&health->mutex);
	report->in_flight = health->in_flight;
	report->limit = health->limit;
	report->failures = health->failures;
	report->error_at = health->error_at;
	memcpy(report->error, health->error, sizeof(report->error));
	report->until = health->open_until == 0 ? 0 : time + (health->open_until - now);
	report->breaker = health->open_until == 0 ? STH_BREAKER_CLOSED :
		health->probe_began == 0 ? STH_BREAKER_OPEN : STH_BREAKER_PROBING;
	SpinLockRelease(&health->mutex);
}

/* What is known of a server; false if it may have been used unnoticed. */
bool
sth_health_report(Oid database, Oid server, SthHealthReport *report)
{
	SthHealth  *health;
	bool		known;

	memset(report, 0, sizeof(SthHealthReport));
	report->database = database;
	report->server = server;
	report->limit = MAX_IN_FLIGHT;
	LWLockAcquire(shared->lock, LW_SHARED);
	health = find_entry(database, server);
	known = health != NULL || !shared->overflowed;
	if (health != NULL)
	{
		report->reset = (TimestampTz) pg_atomic_read_u64(&health->reset);
		read_all(health->requests, report->requests, STH_S3_NKINDS);
		read_all(health->counters, report->counters, STH_HEALTH_NCOUNTERS);
		read_all(health->histogram, report->histogram, STH_NBUCKETS);
		read_state(health, report);
	}
	LWLockRelease(shared->lock);
	return known;
}

/* Sets the counters of a server to zero; InvalidOid: of all of the database. */
void
sth_health_reset(Oid database, Oid server)
{
	uint64		now = (uint64) GetCurrentTimestamp();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_ENTRIES; i++)
	{
		SthHealth  *health = &shared->entries[i];

		if (health->database != database ||
			(OidIsValid(server) && health->server != server))
			continue;
		pg_atomic_write_u64(&health->reset, now);
		for (int j = 0; j < STH_S3_NKINDS; j++)
			pg_atomic_write_u64(&health->requests[j], 0);
		for (int j = 0; j < STH_HEALTH_NCOUNTERS; j++)
			pg_atomic_write_u64(&health->counters[j], 0);
		for (int j = 0; j < STH_NBUCKETS; j++)
			pg_atomic_write_u64(&health->histogram[j], 0);
	}
	LWLockRelease(shared->lock);
}
