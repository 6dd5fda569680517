/*-------------------------------------------------------------------------
 *
 * garbage.h
 *	  Deleting objects in buckets that nobody needs any more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_FLUSH_GARBAGE_H
#define STH_FLUSH_GARBAGE_H

#include "datatype/timestamp.h"

extern TimestampTz sth_garbage_turn(Oid tail);
extern void sth_garbage_expect(void);
extern bool sth_garbage_is_busy(void);
extern bool sth_garbage_has_arrived(void);

#endif							/* STH_FLUSH_GARBAGE_H */
