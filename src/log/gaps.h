/*-------------------------------------------------------------------------
 *
 * gaps.h
 *	  Gaps: offsets of a log that no row is seen at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_GAPS_H
#define STH_LOG_GAPS_H

#include "log/tail.h"

/* Offsets [start, end) without rows. */
typedef struct SthGap
{
	int64		start;
	int64		end;
	bool		after_void;		/* the row before it is a void, which is: */
	int64		void_start;
	ItemPointerData void_tid;
} SthGap;

extern bool sth_gap_is_dead(int32 log_id, int64 position, int64 next);
extern bool sth_gap_find(int32 log_id, Snapshot snapshot, int64 from,
						 int64 until, SthGap *gap);
extern bool sth_gap_look_back(int32 log_id, Snapshot snapshot, int nrows,
							  int64 *from);
extern int64 sth_log_stable_offset(int32 log_id);

#endif							/* STH_LOG_GAPS_H */
