/*-------------------------------------------------------------------------
 *
 * run.c
 *	  Blocks that follow each other in an object, fetched together, and those
 *	  that a session keeps for later.
 *
 * A consumer that goes through history takes fewer rows at a time than a
 * request fetches.  So the run that a poll or read() has ended in stays with
 * the session, as the block does (decoded.c), until the next one goes on in it.  Only what has
 * arrived stays: between statements no request is on its way.  An object never
 * changes, so nothing can make a run stale; objects are known by their number
 * and the table that numbers them.
 *
 * One run is kept for a log, without its bytes if all of its blocks have been
 * taken, which tells the next reader how much to fetch at once; and of all logs together those that were used
 * last, up to four times streamhouse.fetch_size.
 *
 * Failure: who uses a run has it; if there is an error it is gone.
 *
 * Memory: a context for each, "streamhouse run": the user's, while it is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "catalog/relations.h"
#include "segment/run.h"
#include "utils/memutils.h"

/* The one used last first. */
static dlist_head kept = DLIST_STATIC_INIT(kept);

/* So many bytes of runs are kept at most. */
Size
sth_run_kept_limit(void)
{
	return (Size) sth_fetch_size * 1024 * 4;
}

/* A run of so many bytes that begins with a block; nothing is fetched yet. */
SthRun *
sth_run_create(MemoryContext parent, const SthBlockPlace *first, Size len)
{
	MemoryContext context = AllocSetContextCreate(parent, "streamhouse run",
												  ALLOCSET_SMALL_SIZES);
	SthRun	   *run = MemoryContextAllocZero(context, sizeof(SthRun));

	run->context = context;
	run->get.object_id = first->object_id;
	run->get.position = first->position;
	run->get.len = len;
	run->end = first->position + len;
	run->get.buffer = MemoryContextAllocHuge(context, len);
	return run;
}

/* Is a block part of it? */
bool
sth_run_has(const SthRun *run, const SthBlockPlace *place)
{
	return run->get.object_id == place->object_id &&
		run->get.position <= place->position &&
		place->position - run->get.position + place->len <= run->get.len;
}

/* The store is the one that it was submitted to, if it was. */
void
sth_run_free(SthRun *run, SthStore *store)
{
	if (!run->waited)
		sth_store_cancel(store, &run->get);
	MemoryContextDelete(run->context);
}

/* None of its blocks will be asked for again. */
void
sth_run_empty(SthRun *run)
{
	pfree(run->get.buffer);
	run->get.buffer = NULL;
	run->get.len = 0;
}

static void
forget(SthRun *run)
{
	dlist_delete(&run->link);
	MemoryContextDelete(run->context);
}

/* What is kept of a log, or NULL. */
static SthRun *
find_kept(int32 log_id)
{
	dlist_iter	iter;

	dlist_foreach(iter, &kept)
	{
		SthRun	   *run = dlist_container(SthRun, link, iter.cur);

		if (run->log_id == log_id)
			return run;
	}
	return NULL;
}

/* Keeps a run of a log that has arrived, instead of the one kept before. */
void
sth_run_keep(SthRun *run, int32 log_id)
{
	SthRun	   *before = find_kept(log_id);
	Size		size = 0;
	dlist_mutable_iter iter;

	Assert(run->waited);
	if (before != NULL)
		forget(before);
	run->log_id = log_id;
	run->objects = sth_relations()->object;
	MemoryContextSetParent(run->context, TopMemoryContext);
	dlist_push_head(&kept, &run->link);
	dlist_foreach_modify(iter, &kept)
	{
		SthRun	   *candidate = dlist_container(SthRun, link, iter.cur);

		size += MemoryContextMemAllocated(candidate->context, true);
		if (size > sth_run_kept_limit())
			forget(candidate);
	}
}

/* The run that is kept of a log, or NULL.  It is the caller's from now on. */
SthRun *
sth_run_take(MemoryContext parent, int32 log_id)
{
	SthRun	   *run = find_kept(log_id);

	if (run == NULL)
		return NULL;
	if (run->objects != sth_relations()->object)
	{
		forget(run);
		return NULL;
	}
	dlist_delete(&run->link);
	MemoryContextSetParent(run->context, parent);
	run->was_kept = true;
	return run;
}
