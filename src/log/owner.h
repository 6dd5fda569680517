/*-------------------------------------------------------------------------
 *
 * owner.h
 *	  Who may change what logs already have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_OWNER_H
#define STH_LOG_OWNER_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

typedef enum SthLogLock
{
	STH_LOG_LOCKED,
	STH_LOG_BUSY,				/* not now */
	STH_LOG_GONE
} SthLogLock;

/* Of a log's topic: who holds it alone changes rows that are there. */
#define STH_LOG_LOCKMODE ShareUpdateExclusiveLock

/* Something to be done about a log; false: it cannot be done now. */
typedef bool (*SthLogWork) (int32 log_id, void *arg);

extern bool sth_owner_keep_extension(void);
extern void sth_owner_lock(void);
extern SthLogLock sth_owner_lock_log(int32 log_id, int32 *topic_id, Oid *relid);
extern bool sth_owner_work(int32 log_id, SthLogWork work, void *arg);
extern Oid	sth_owner_list_logs(List **log_ids);

#endif							/* STH_LOG_OWNER_H */
