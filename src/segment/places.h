/*-------------------------------------------------------------------------
 *
 * places.h
 *	  Where the blocks are that a reader will come to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_PLACES_H
#define STH_SEGMENT_PLACES_H

#include "catalog/segments.h"
#include "segment/ahead.h"

typedef struct SthPlaces SthPlaces;

extern SthPlaces *sth_places_begin(Snapshot snapshot);
extern void sth_places_seek(SthPlaces *places, int32 log_id, int64 from);
extern bool sth_places_next(void *arg, SthBlockPlace *place);
extern void sth_places_end(SthPlaces *places);

#endif							/* STH_SEGMENT_PLACES_H */
