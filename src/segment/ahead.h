/*-------------------------------------------------------------------------
 *
 * ahead.h
 *	  Fetching blocks from a store that is far away, before they are needed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_AHEAD_H
#define STH_SEGMENT_AHEAD_H

#include "store/store.h"

typedef struct SthAhead SthAhead;

/* Where a block is. */
typedef struct SthBlockPlace
{
	int64		object_id;
	uint64		position;
	Size		len;
} SthBlockPlace;

/* The next block that will be asked for; false: there is none. */
typedef bool (*SthNextPlace) (void *arg, SthBlockPlace *place);

extern SthAhead *sth_ahead_begin(SthStore *store, SthNextPlace next, void *arg);
extern const uint8 *sth_ahead_take(SthAhead *ahead, const SthBlockPlace *place);
extern void sth_ahead_forget(SthAhead *ahead);

#endif							/* STH_SEGMENT_AHEAD_H */
