/*-------------------------------------------------------------------------
 *
 * ahead.h
 *	  Fetching blocks from a store that is far away, before they are needed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_AHEAD_H
#define STH_SEGMENT_AHEAD_H

#include "segment/run.h"

typedef struct SthAhead SthAhead;

/* The next block that will be asked for; false: there is none. */
typedef bool (*SthNextPlace) (void *arg, SthBlockPlace *place);

extern SthAhead *sth_ahead_begin(SthStore *store, SthNextPlace next, void *arg);
extern void sth_ahead_resume(SthAhead *ahead, int32 log_id, int nlogs);
extern const uint8 *sth_ahead_take(SthAhead *ahead, const SthBlockPlace *place);
extern void sth_ahead_keep(SthAhead *ahead, int32 log_id);
extern void sth_ahead_forget(SthAhead *ahead);

#endif							/* STH_SEGMENT_AHEAD_H */
