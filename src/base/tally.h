/*-------------------------------------------------------------------------
 *
 * tally.h
 *	  What the transaction will count when it commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_TALLY_H
#define STH_BASE_TALLY_H

#include "base/stats.h"

extern void sth_tally_init(void);
extern SthCounts *sth_tally_of(Oid tail, int32 topic_id, int32 group_id);
extern void sth_tally_drop(Oid tail, int32 topic_id, int32 group_id);
extern void sth_tally_void(Oid tail, int32 topic_id, int64 offsets);

#endif							/* STH_BASE_TALLY_H */
