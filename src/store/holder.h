/*-------------------------------------------------------------------------
 *
 * holder.h
 *	  Who may delete objects of a bucket.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_STORE_HOLDER_H
#define STH_STORE_HOLDER_H

#include "postgres_ext.h"

typedef enum SthHolding
{
	STH_HOLDING_ASK,			/* no more than that */
	STH_HOLDING_LOOK,			/* become the holder if there is none */
	STH_HOLDING_TAKE			/* become the holder if another one is */
} SthHolding;

typedef struct SthHolder SthHolder;

extern void sth_holder_init(void);
extern SthHolder *sth_holder_begin(Oid server, SthHolding how);
extern bool sth_holder_is_done(SthHolder *holder);
extern void sth_holder_wait(SthHolder *holder);
extern void sth_holder_check(const SthHolder *holder);
extern bool sth_holder_is_none(const SthHolder *holder);
extern bool sth_holder_is_us(const SthHolder *holder);
extern bool sth_holder_may_delete(const SthHolder *holder, const char *key);
extern void sth_holder_end(SthHolder *holder);

#endif							/* STH_STORE_HOLDER_H */
