/*-------------------------------------------------------------------------
 *
 * orphans.h
 *	  What is kept of objects that nothing refers to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_ORPHANS_H
#define STH_SEGMENT_ORPHANS_H

#include "nodes/pg_list.h"
#include "utils/snapshot.h"

extern List *sth_orphans_find(Snapshot snapshot);

#endif							/* STH_SEGMENT_ORPHANS_H */
