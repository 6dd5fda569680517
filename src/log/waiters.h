/*-------------------------------------------------------------------------
 *
 * waiters.h
 *	  Sessions that wait for rows of a topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_WAITERS_H
#define STH_LOG_WAITERS_H

#include "base/compat.h"
#include "datatype/timestamp.h"

extern void sth_waiters_init(void);
extern void sth_waiters_begin(int32 topic_id);
extern bool sth_waiters_sleep(TimestampTz deadline, SthWait wait);
extern void sth_waiters_end(void);
extern void sth_waiters_wake(int32 topic_id);

#endif							/* STH_LOG_WAITERS_H */
