/*-------------------------------------------------------------------------
 *
 * spare.c
 *	  Large buffers that the session's next reader of segments uses again.
 *
 * A poll reads a block or two and is done.  The buffers of a block are large
 * enough for malloc to get them from the system and to give them back each
 * time, and to get fresh pages for what is decompressed costs more than to
 * decompress it.  So a session keeps some for its next poll.
 *
 * Failure: a reader gives its buffers back in a reset callback of its context,
 * so an error leaves none behind.
 *
 * Memory: a context of its own for the session, "streamhouse spare", of which
 * at most KEPT_BYTES are not in use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "segment/spare.h"
#include "utils/memutils.h"

/* What is smaller is left to the memory context that it belongs to. */
#define LARGE (32 * 1024)

#define KEPT_BUFFERS 8
#define KEPT_BYTES (4 * 1024 * 1024)

static MemoryContext spare_context = NULL;

/* Those that are not in use, and their bytes. */
static void *kept[KEPT_BUFFERS];
static int	nkept = 0;
static Size kept_bytes = 0;

/* What was asked for when it was allocated: a multiple of LARGE. */
static Size
size_of(void *buffer)
{
	return TYPEALIGN_DOWN(LARGE, GetMemoryChunkSpace(buffer));
}

/* The smallest of those kept that is large enough; -1 if there is none. */
static int
find_kept(Size size)
{
	int			best = -1;

	for (int i = 0; i < nkept; i++)
		if (size_of(kept[i]) >= size &&
			(best < 0 || size_of(kept[i]) < size_of(kept[best])))
			best = i;
	return best;
}

/* A buffer of that many bytes at least; NULL if there is no memory. */
void *
sth_spare_take(Size size)
{
	int			i = find_kept(size);
	void	   *buffer;

	if (i >= 0)
	{
		buffer = kept[i];
		kept_bytes -= size_of(buffer);
		kept[i] = kept[--nkept];
		return buffer;
	}
	if (spare_context == NULL)
		spare_context = AllocSetContextCreate(TopMemoryContext,
											  "streamhouse spare",
											  ALLOCSET_SMALL_SIZES);
	/* rounded up: it will do for what differs by little, see also size_of */
	return MemoryContextAllocExtended(spare_context, TYPEALIGN(LARGE, size),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

/* Keeps a buffer for whoever takes one next, or frees it. */
void
sth_spare_give(void *buffer)
{
	Size		size = size_of(buffer);

	if (nkept == KEPT_BUFFERS || kept_bytes + size > KEPT_BYTES)
	{
		pfree(buffer);
		return;
	}
	kept[nkept++] = buffer;
	kept_bytes += size;
}

static void *
allocate(void *context, size_t size)
{
	return size >= LARGE ? sth_spare_take(size) :
		MemoryContextAllocExtended(context, size, MCXT_ALLOC_NO_OOM);
}

static void
release(void *context, void *memory)
{
	if (GetMemoryChunkContext(memory) == spare_context)
		sth_spare_give(memory);
	else
		pfree(memory);
}

/*
 * The codec's way to allocate: in a memory context what is small, which need
 * not be released, and from here what is large, which has to be.
 */
SthMemory
sth_spare_memory(MemoryContext context)
{
	SthMemory	memory = {allocate, release, context};

	return memory;
}
