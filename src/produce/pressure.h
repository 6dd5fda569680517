/*-------------------------------------------------------------------------
 *
 * pressure.h
 *	  Slowing producers when rows come faster than they are flushed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_PRODUCE_PRESSURE_H
#define STH_PRODUCE_PRESSURE_H

#include "utils/relcache.h"

/* To be asked again after so many bytes for the tail. */
#define STH_PRESSURE_STEP (64 * 1024)

extern void sth_pressure_check(Relation rel, Oid server, int64 written);

#endif							/* STH_PRODUCE_PRESSURE_H */
