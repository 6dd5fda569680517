/*-------------------------------------------------------------------------
 *
 * write.h
 *	  Finished frames into the tail.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_PRODUCE_WRITE_H
#define STH_PRODUCE_WRITE_H

#include "log/tail.h"
#include "produce/rows.h"

extern void sth_write_frames(SthTailWriter *writer, int32 log_id, int32 stage,
							 int64 base, SthReadyFrame **frames, int nframes);

#endif							/* STH_PRODUCE_WRITE_H */
