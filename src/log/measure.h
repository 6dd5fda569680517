/*-------------------------------------------------------------------------
 *
 * measure.h
 *	  What a log's tail has, by a look at it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_MEASURE_H
#define STH_LOG_MEASURE_H

#include "datatype/timestamp.h"

typedef struct SthTailMeasure
{
	int64		bytes;			/* of its frames, as far as they were looked
								 * at */
	int64		stored;			/* what all of them take, as an estimate */
	TimestampTz oldest;			/* the first row's time; 0: not known */
} SthTailMeasure;

extern SthTailMeasure sth_tail_measure(int32 log_id, int64 limit);

#endif							/* STH_LOG_MEASURE_H */
