/*-------------------------------------------------------------------------
 *
 * transaction.h
 *	  What is to be done when a transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_TRANSACTION_H
#define STH_BASE_TRANSACTION_H

#include "access/xact.h"

/* Events, as a set. */
#define STH_AT(event) (1 << XACT_EVENT_##event)
#define STH_AT_END (STH_AT(COMMIT) | STH_AT(ABORT) | STH_AT(PREPARE))

typedef void (*SthTransactionCallback) (XactEvent event);

extern void sth_transaction_init(void);
extern void sth_transaction_register(int events,
									 SthTransactionCallback callback);

#endif							/* STH_BASE_TRANSACTION_H */
