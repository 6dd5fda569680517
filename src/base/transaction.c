/*-------------------------------------------------------------------------
 *
 * transaction.c
 *	  What is to be done when a transaction ends.
 *
 * Every transaction of the server comes by here, and hardly any has to do with
 * a topic: so PostgreSQL knows of one callback, and each of ours names the
 * events that it is called for.
 *
 * Who has registered last is called first, as PostgreSQL does it: _PG_init
 * says why the order matters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/transaction.h"

#define NEVENTS (XACT_EVENT_PRE_PREPARE + 1)
#define MAX_CALLBACKS 8

/* By event; unused ones are NULL, which the last one always is. */
static SthTransactionCallback callbacks[NEVENTS][MAX_CALLBACKS];

/* To be called from _PG_init; 'events' is a set of STH_AT. */
void
sth_transaction_register(int events, SthTransactionCallback callback)
{
	for (int event = 0; event < NEVENTS; event++)
	{
		SthTransactionCallback *list = callbacks[event];

		if (!(events & (1 << event)))
			continue;
		if (list[MAX_CALLBACKS - 2] != NULL)
			elog(ERROR, "too many callbacks of transactions");
		memmove(list + 1, list, (MAX_CALLBACKS - 2) * sizeof(*list));
		list[0] = callback;
	}
}

static void
at_transaction_event(XactEvent event, void *arg)
{
	for (SthTransactionCallback *next = callbacks[event]; *next != NULL; next++)
		(*next) (event);
}

/*
 * Called once, from _PG_init.  Its place among other libraries' callbacks is
 * that of streamhouse in shared_preload_libraries.
 */
void
sth_transaction_init(void)
{
	RegisterXactCallback(at_transaction_event, NULL);
}
