/*-------------------------------------------------------------------------
 *
 * decoded.c
 *	  A block that is decoded, and those that a session keeps for later.
 *
 * A consumer that goes through history takes fewer rows at a time than a block
 * has, and would decode each block again and again.  So the block that a poll
 * or read() has ended in stays with the session until the next one goes on in
 * it.  A block is
 * part of an object and never changes, so nothing can make one stale; objects
 * are known by their number and the table that numbers them, which a new
 * CREATE EXTENSION makes anew.
 *
 * One block is kept for a log, and of all logs together those that were used
 * last, up to 8 MB.
 *
 * Failure: who uses a block has it; if there is an error it is gone.
 *
 * Memory: a context for each, "streamhouse block": the user's, while it is
 * used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "catalog/relations.h"
#include "segment/decoded.h"
#include "segment/fault.h"
#include "utils/memutils.h"

#define MAX_KEPT_BYTES (8 * 1024 * 1024)

/* The one used last first. */
static dlist_head kept = DLIST_STATIC_INIT(kept);

/* Frees what is not the context's. */
static void
free_blocks(void *arg)
{
	SthDecoded *decoded = arg;

	if (decoded->blocks != NULL)
		sth_block_reader_free(decoded->blocks);
	decoded->blocks = NULL;
}

/* A place for blocks of these columns. */
SthDecoded *
sth_decoded_create(MemoryContext parent, const SthColumnType *columns, int ncolumns, bool want_times)
{
	MemoryContext context = AllocSetContextCreate(parent,
												  "streamhouse block",
												  ALLOCSET_DEFAULT_SIZES);
	SthDecoded *decoded = MemoryContextAllocZero(context, sizeof(SthDecoded));
	SthMemory	memory = sth_codec_memory(context);

	decoded->context = context;
	decoded->ncolumns = ncolumns;
	decoded->columns = MemoryContextAlloc(context, Max(ncolumns, 1) * sizeof(SthColumnType));
	memcpy(decoded->columns, columns, ncolumns * sizeof(SthColumnType));
	decoded->want_times = want_times;
	decoded->callback.func = free_blocks;
	decoded->callback.arg = decoded;
	MemoryContextRegisterResetCallback(context, &decoded->callback);
	decoded->blocks = sth_block_reader_create(&memory, columns, ncolumns, want_times);
	if (decoded->blocks == NULL)
		sth_report_no_memory();
	return decoded;
}

/* Makes room for a block's bytes; the one before is lost. */
void
sth_decoded_reserve(SthDecoded *decoded, Size len)
{
	decoded->entry.nrows = 0;
	if (decoded->buffer_size >= len)
		return;
	if (decoded->buffer != NULL)
		pfree(decoded->buffer);
	decoded->buffer = NULL;
	decoded->buffer_size = 0;
	decoded->buffer = MemoryContextAllocHuge(decoded->context, len);
	decoded->buffer_size = len;
}

static void
forget(SthDecoded *decoded)
{
	dlist_delete(&decoded->link);
	MemoryContextDelete(decoded->context);
}

/* What is kept of a log, or NULL. */
static SthDecoded *
find_kept(int32 log_id)
{
	dlist_iter	iter;

	dlist_foreach(iter, &kept)
	{
		SthDecoded *decoded = dlist_container(SthDecoded, link, iter.cur);

		if (decoded->log_id == log_id)
			return decoded;
	}
	return NULL;
}

/* Keeps a block of a log, instead of the one kept before. */
void
sth_decoded_keep(SthDecoded *decoded, int32 log_id)
{
	SthDecoded *before = find_kept(log_id);
	Size		size = 0;
	dlist_mutable_iter iter;

	if (before != NULL)
		forget(before);
	decoded->log_id = log_id;
	decoded->objects = sth_relations()->object;
	MemoryContextSetParent(decoded->context, TopMemoryContext);
	dlist_push_head(&kept, &decoded->link);
	dlist_foreach_modify(iter, &kept)
	{
		SthDecoded *candidate = dlist_container(SthDecoded, link, iter.cur);

		size += MemoryContextMemAllocated(candidate->context, true);
		if (size > MAX_KEPT_BYTES)
			forget(candidate);
	}
}

static bool
fits(const SthDecoded *decoded, const SthColumnType *columns, int ncolumns,
	 bool want_times)
{
	if (decoded->objects != sth_relations()->object ||
		decoded->want_times != want_times || decoded->ncolumns != ncolumns)
		return false;
	for (int i = 0; i < ncolumns; i++)
		if (!sth_column_is_same(&decoded->columns[i], &columns[i]) ||
			decoded->columns[i].attnum != columns[i].attnum)
			return false;
	return true;
}

/*
 * The block that is kept of a log, if it has these columns; NULL if none is.
 * It is the caller's, in his memory context.
 */
SthDecoded *
sth_decoded_take(MemoryContext parent, int32 log_id,
				 const SthColumnType *columns, int ncolumns,
				 bool want_times)
{
	SthDecoded *decoded = find_kept(log_id);

	if (decoded == NULL)
		return NULL;
	if (!fits(decoded, columns, ncolumns, want_times))
	{
		forget(decoded);
		return NULL;
	}
	dlist_delete(&decoded->link);
	MemoryContextSetParent(decoded->context, parent);
	return decoded;
}
