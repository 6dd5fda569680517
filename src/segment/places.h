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
#include "catalog/topic.h"
#include "segment/ahead.h"

typedef struct SthPlaces SthPlaces;

extern SthPlaces *sth_places_begin(const SthTopic *topic, Snapshot snapshot, bool in_order);
extern void sth_places_seek(SthPlaces *places, int partition, int64 from);
extern bool sth_places_next(void *arg, SthBlockPlace *place);
extern void sth_places_end(SthPlaces *places);

#endif							/* STH_SEGMENT_PLACES_H */
