/*-------------------------------------------------------------------------
 *
 * fault.h
 *	  The codec of segments in the server: its memory, and its faults.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_FAULT_H
#define STH_SEGMENT_FAULT_H

#include "base/compat.h"
#include "codec/fault.h"
#include "codec/memory.h"

/* Which bytes of which object are concerned, and what they are of. */
typedef struct SthObjectRange
{
	int64		object_id;
	uint64		position;
	uint64		len;
	const char *topic;
	int			partition;
} SthObjectRange;

extern SthMemory sth_codec_memory(MemoryContext context);
STH_NORETURN extern void sth_report_fault(const SthFault *fault,
										  const SthObjectRange *range);
STH_NORETURN extern void sth_report_no_memory(void);
STH_NORETURN extern void sth_report_missing(const SthObjectRange *range);

#endif							/* STH_SEGMENT_FAULT_H */
