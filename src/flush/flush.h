/*-------------------------------------------------------------------------
 *
 * flush.h
 *	  Moving rows from the tail to segments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_FLUSH_FLUSH_H
#define STH_FLUSH_FLUSH_H

#include "datatype/timestamp.h"

extern bool sth_flush_look(void);
extern TimestampTz sth_flush_turn(void);
extern bool sth_flush_is_busy(void);
extern void sth_flush_only_finish(bool only);
extern bool sth_flush_may_leave(void);
extern bool sth_flush_wait(long timeout, bool locked_out, uint32 wait_event);

#endif							/* STH_FLUSH_FLUSH_H */
