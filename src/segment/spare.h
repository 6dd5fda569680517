/*-------------------------------------------------------------------------
 *
 * spare.h
 *	  Large buffers that the session's next reader of segments uses again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_SPARE_H
#define STH_SEGMENT_SPARE_H

#include "codec/memory.h"

extern void *sth_spare_take(Size size);
extern void sth_spare_give(void *buffer);
extern SthMemory sth_spare_memory(MemoryContext context);

#endif							/* STH_SEGMENT_SPARE_H */
