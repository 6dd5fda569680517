/*-------------------------------------------------------------------------
 *
 * ahead.c
 *	  Fetching blocks from a store that is far away, before they are needed.
 *
 * A request takes about as long for a byte as for a megabyte, so blocks that
 * follow each other in an object are fetched together, as a run, and several
 * runs are on their way while the rows of one are returned.
 *
 * How much is fetched ahead grows with how much is read: the first run is one
 * block, and with each run that is used up the next may be twice as long, up
 * to streamhouse.fetch_size, and twice as many may be on their way, up to
 * streamhouse.prefetch.  So a query that stops after some rows has fetched
 * little more than it used.
 *
 * Failure: requests belong to the memory context that the store was opened in,
 * and so do the buffers; an error or a cancel ends both.
 *
 * Memory: fetch_size times (prefetch + 1) at most, or as many blocks if they
 * are larger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "segment/ahead.h"
#include "utils/memutils.h"

/* Blocks that follow each other in an object. */
typedef struct Run
{
	SthGet		get;
	bool		waited;
} Run;

struct SthAhead
{
	MemoryContext context;
	SthStore   *store;
	SthNextPlace next;
	void	   *arg;
	List	   *runs;			/* in the order in which they will be asked
								 * for */
	Size		run_len;		/* so long may the next one be */
	int			depth;			/* so many may be on their way */
	bool		has_place;		/* a block that no run has yet */
	SthBlockPlace place;
	bool		ended;
};

/*
 * Begins to fetch what 'next' names.  The store is open in the current memory
 * context, which has the buffers too.
 */
SthAhead *
sth_ahead_begin(SthStore *store, SthNextPlace next, void *arg)
{
	SthAhead   *ahead = palloc0(sizeof(SthAhead));

	ahead->context = CurrentMemoryContext;
	ahead->store = store;
	ahead->next = next;
	ahead->arg = arg;
	ahead->depth = 1;
	return ahead;
}

static void
free_run(SthAhead *ahead, Run *run)
{
	if (!run->waited)
		sth_store_cancel(ahead->store, &run->get);
	pfree(run->get.buffer);
	pfree(run);
}

/*
 * Other blocks will be asked for than those that 'next' named.  How much is
 * fetched ahead stays: who goes on to another partition reads a lot.
 */
void
sth_ahead_forget(SthAhead *ahead)
{
	ListCell   *lc;

	foreach(lc, ahead->runs)
		free_run(ahead, lfirst(lc));
	list_free(ahead->runs);
	ahead->runs = NIL;
	ahead->has_place = false;
	ahead->ended = false;
}

/* Makes the next block known; false if there is none. */
static bool
look_at_next(SthAhead *ahead)
{
	if (!ahead->has_place && !ahead->ended)
	{
		ahead->has_place = ahead->next(ahead->arg, &ahead->place);
		ahead->ended = !ahead->has_place;
	}
	return ahead->has_place;
}

/* Asks for another run; false if there is none. */
static bool
begin_run(SthAhead *ahead)
{
	Run		   *run;
	SthGet		get = {0};

	if (!look_at_next(ahead))
		return false;
	get.object_id = ahead->place.object_id;
	get.position = ahead->place.position;
	get.len = ahead->place.len;
	ahead->has_place = false;
	while (look_at_next(ahead) && ahead->place.object_id == get.object_id &&
		   ahead->place.position == get.position + get.len &&
		   get.len + ahead->place.len <= ahead->run_len)
	{
		get.len += ahead->place.len;
		ahead->has_place = false;
	}
	get.buffer = MemoryContextAllocHuge(ahead->context, get.len);
	run = palloc0(sizeof(Run));
	run->get = get;
	ahead->runs = lappend(ahead->runs, run);
	sth_store_submit(ahead->store, &run->get);
	return true;
}

static bool
has_block(const Run *run, const SthBlockPlace *place)
{
	return run->get.object_id == place->object_id &&
		run->get.position <= place->position &&
		place->position - run->get.position + place->len <= run->get.len;
}

/*
 * The bytes of a block, which last until the next call; NULL if they are not
 * there.  Blocks are asked for in the order in which they were named; some may
 * be left out.
 */
const uint8 *
sth_ahead_take(SthAhead *ahead, const SthBlockPlace *place)
{
	MemoryContext old = MemoryContextSwitchTo(ahead->context);
	Run		   *run = NULL;

	for (;;)
	{
		while (list_length(ahead->runs) < ahead->depth && begin_run(ahead))
			;
		if (ahead->runs == NIL)
			break;
		run = linitial(ahead->runs);
		if (has_block(run, place))
			break;
		/* it is used up */
		ahead->runs = list_delete_first(ahead->runs);
		free_run(ahead, run);
		run = NULL;
		ahead->run_len = Min(Max(ahead->run_len * 2, 2 * place->len),
							 (Size) sth_fetch_size * 1024);
		ahead->depth = Min(ahead->depth * 2, sth_prefetch);
	}
	MemoryContextSwitchTo(old);
	if (run == NULL)
		elog(ERROR, "block " UINT64_FORMAT " of object " INT64_FORMAT " was not foreseen",
			 place->position, place->object_id);
	if (!run->waited)
	{
		sth_store_wait(ahead->store, &run->get);
		run->waited = true;
	}
	if (!run->get.found)
		return NULL;
	return run->get.buffer + (place->position - run->get.position);
}
