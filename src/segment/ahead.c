/*-------------------------------------------------------------------------
 *
 * ahead.c
 *	  Fetching blocks from a store that is far away, before they are needed.
 *
 * A request takes about as long for a byte as for a megabyte, so blocks that
 * follow each other in an object are fetched together, as a run (run.c), and
 * several runs are on their way while the rows of one are returned.
 *
 * How much is fetched ahead grows with how much is read: the first run is one
 * block, and with each run that is used up the next may be twice as long, up
 * to streamhouse.fetch_size, and twice as many may be on their way, up to
 * streamhouse.prefetch.  So a query that stops after some rows has fetched
 * little more than it used.
 *
 * A reader that may be followed by another one, where it ends, keeps the run
 * that it ends in; that one goes on with it, and with runs twice as long.  How
 * many may be on their way begins with one again, because what has not arrived
 * when a reader ends is lost.  Of a topic's logs each has its run, so theirs
 * are no longer than that all of them can be kept.
 *
 * Failure: requests belong to the memory context that the store was opened in,
 * and so do the runs; an error or a cancel ends both.
 *
 * Memory: fetch_size times (prefetch + 1) at most, or as many blocks if they
 * are larger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "segment/ahead.h"

struct SthAhead
{
	MemoryContext context;
	SthStore   *store;
	SthNextPlace next;
	void	   *arg;
	List	   *runs;			/* in the order in which they will be asked
								 * for */
	Size		run_len;		/* so long may the next one be */
	Size		max_run_len;
	int			depth;			/* so many may be on their way */
	uint64		taken;			/* where the block ends that was taken last */
	bool		has_place;		/* a block that no run has yet */
	SthBlockPlace place;
	bool		ended;
};

/*
 * Begins to fetch what 'next' names.  The store is open in the current memory
 * context, which has the runs too.
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
	ahead->max_run_len = (Size) sth_fetch_size * 1024;
	return ahead;
}

/*
 * Goes on with the run that is kept of a log, one of so many of the topic.
 * Nothing has been asked for since it was begun, or made to forget.
 */
void
sth_ahead_resume(SthAhead *ahead, int32 log_id, int nlogs)
{
	MemoryContext old = MemoryContextSwitchTo(ahead->context);
	SthRun	   *run = sth_run_take(ahead->context, log_id);

	ahead->max_run_len = Min((Size) sth_fetch_size * 1024,
							 sth_run_kept_limit() / nlogs);
	ahead->run_len = 0;
	ahead->depth = 1;
	if (run != NULL)
	{
		ahead->runs = lappend(ahead->runs, run);
		ahead->run_len = Min(run->allowed, ahead->max_run_len);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Keeps the run for the next reader of the log that the block is of which was
 * asked for last; what else there is is forgotten.
 */
void
sth_ahead_keep(SthAhead *ahead, int32 log_id)
{
	SthRun	   *run = ahead->runs != NIL ? linitial(ahead->runs) : NULL;

	if (run != NULL && run->waited && run->get.found)
	{
		ahead->runs = list_delete_first(ahead->runs);
		run->allowed = ahead->run_len;
		if (ahead->taken == run->end)
			sth_run_empty(run);
		sth_run_keep(run, log_id);
	}
	sth_ahead_forget(ahead);
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
		sth_run_free(lfirst(lc), ahead->store);
	list_free(ahead->runs);
	ahead->runs = NIL;
	ahead->has_place = false;
	ahead->ended = false;
}

/* Makes the next block known that no run has; false if there is none. */
static bool
look_at_next(SthAhead *ahead)
{
	while (!ahead->has_place && !ahead->ended)
	{
		ahead->has_place = ahead->next(ahead->arg, &ahead->place);
		ahead->ended = !ahead->has_place;
		/* one that was kept has more of them than we have looked at */
		if (ahead->has_place && ahead->runs != NIL &&
			sth_run_has(llast(ahead->runs), &ahead->place))
			ahead->has_place = false;
	}
	return ahead->has_place;
}

/* Asks for another run; false if there is none. */
static bool
begin_run(SthAhead *ahead)
{
	SthBlockPlace first;
	SthRun	   *run;
	Size		len;

	if (!look_at_next(ahead))
		return false;
	first = ahead->place;
	len = first.len;
	ahead->has_place = false;
	while (look_at_next(ahead) && ahead->place.object_id == first.object_id &&
		   ahead->place.position == first.position + len &&
		   len + ahead->place.len <= ahead->run_len)
	{
		len += ahead->place.len;
		ahead->has_place = false;
	}
	run = sth_run_create(ahead->context, &first, len);
	ahead->runs = lappend(ahead->runs, run);
	sth_store_submit(ahead->store, &run->get);
	return true;
}

/*
 * A run is used up, and a block is asked for that comes after it.  If one that
 * was kept ended elsewhere, its reader was another than the one who asks now.
 */
static void
grow(SthAhead *ahead, const SthRun *run, const SthBlockPlace *place)
{
	if (run->was_kept && (run->get.object_id != place->object_id ||
						  run->end != place->position))
		ahead->run_len = 0;
	else
		ahead->run_len = Min(Max(ahead->run_len * 2, 2 * place->len),
							 ahead->max_run_len);
	if (!run->was_kept)
		ahead->depth = Min(ahead->depth * 2, sth_prefetch);
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
	SthRun	   *run = NULL;

	for (;;)
	{
		while (list_length(ahead->runs) < ahead->depth && begin_run(ahead))
			;
		if (ahead->runs == NIL)
			break;
		run = linitial(ahead->runs);
		if (sth_run_has(run, place))
			break;
		ahead->runs = list_delete_first(ahead->runs);
		grow(ahead, run, place);
		sth_run_free(run, ahead->store);
		run = NULL;
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
	ahead->taken = place->position + place->len;
	return run->get.buffer + (place->position - run->get.position);
}
