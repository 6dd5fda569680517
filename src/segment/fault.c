/*-------------------------------------------------------------------------
 *
 * fault.c
 *	  The codec of segments in the server: its memory, and its faults.
 *
 * The codec's memory is a memory context's.  It gets NULL where there is
 * none, instead of an error, and returns a fault; zstd's contexts come from
 * malloc, so whoever makes a reader or writer of the codec frees it in a reset
 * callback of the context that it lives in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "segment/fault.h"
#include "utils/memutils.h"

static void *
allocate(void *context, size_t size)
{
	return MemoryContextAllocExtended(context, size,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

static void
release(void *context, void *memory)
{
	pfree(memory);
}

/* The codec's way to allocate in a memory context. */
SthMemory
sth_codec_memory(MemoryContext context)
{
	SthMemory	memory = {allocate, release, context};

	return memory;
}

void
sth_report_no_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("A block of a segment could not be held.")));
	pg_unreachable();
}

/* Raises a fault of the codec as an error about a range of an object. */
void
sth_report_fault(const SthFault *fault, const SthObjectRange *range)
{
	switch (fault->result)
	{
		case STH_CODEC_NO_MEMORY:
			sth_report_no_memory();
		case STH_CODEC_UNSUPPORTED:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("object %lld was written by a later version of streamhouse",
							(long long) range->object_id),
					 errdetail("Bytes %llu to %llu, of partition %d of topic \"%s\": %s.",
							   (unsigned long long) range->position,
							   (unsigned long long) (range->position + range->len - 1),
							   range->partition, range->topic, fault->what)));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("damaged object %lld",
							(long long) range->object_id),
					 errdetail("Bytes %llu to %llu, of partition %d of topic \"%s\": %s (byte %llu).",
							   (unsigned long long) range->position,
							   (unsigned long long) (range->position + range->len - 1),
							   range->partition, range->topic, fault->what,
							   (unsigned long long) fault->at)));
	}
	pg_unreachable();
}

/* Raises the error that a range of an object is not there. */
void
sth_report_missing(const SthObjectRange *range)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("object %lld is missing or too short",
					(long long) range->object_id),
			 errdetail("It should have bytes %llu to %llu, of partition %d of topic \"%s\".",
					   (unsigned long long) range->position,
					   (unsigned long long) (range->position + range->len - 1),
					   range->partition, range->topic)));
	pg_unreachable();
}
