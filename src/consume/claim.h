/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Who of a consumer group has which partitions, until its commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CONSUME_CLAIM_H
#define STH_CONSUME_CLAIM_H

extern void sth_claim_init(void);
extern bool sth_claim_try(int32 topic_id, int32 group_id, int32 log_id);
extern bool sth_claim_is_taken(int32 group_id, int32 log_id);
extern bool sth_claim_is_mine(int32 group_id, int32 log_id);
extern void sth_claim_release(int32 group_id, int32 log_id);
extern int	sth_claim_mine(int32 group_id);
extern int	sth_claim_join(int32 topic_id, int32 group_id);
extern void sth_claim_leave(int32 group_id);

#endif							/* STH_CONSUME_CLAIM_H */
