/*-------------------------------------------------------------------------
 *
 * group.h
 *	  Consumer groups and how far they have come.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CONSUME_GROUP_H
#define STH_CONSUME_GROUP_H

#include "catalog/topic.h"
#include "storage/itemptr.h"

/* Where a group stands in a log. */
typedef struct SthPosition
{
	int64		next_offset;
	int64		seq;			/* 0: it has not polled yet */
	ItemPointerData tid;
	TransactionId xmin;			/* who has put it there */
} SthPosition;

extern int32 sth_group_find(const SthTopic *topic, const char *topic_name,
							const char *name);
extern int32 sth_group_lock(const SthTopic *topic, const char *topic_name,
							const char *name);
extern void sth_group_drop_all(int32 topic_id);
extern Oid	sth_group_owner(int32 group_id, int32 *topic_id);

extern void sth_position_read(int32 group_id, int32 log_id,
							  SthPosition *position);
extern void sth_position_advance(int32 group_id, int32 log_id,
								 const SthPosition *from, int64 next_offset);

#endif							/* STH_CONSUME_GROUP_H */
