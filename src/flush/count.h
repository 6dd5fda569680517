/*-------------------------------------------------------------------------
 *
 * count.h
 *	  Counting what flushes have done, for the view stat_flush.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_FLUSH_COUNT_H
#define STH_FLUSH_COUNT_H

#include "codec/footer.h"
#include "datatype/timestamp.h"

extern void sth_flush_count(int32 topic_id, const SthSegment *segment,
							int64 bytes, TimestampTz began);
extern void sth_flush_count_failure(int32 topic_id, const ErrorData *error);

#endif							/* STH_FLUSH_COUNT_H */
