/*-------------------------------------------------------------------------
 *
 * returned.h
 *	  The rows that a function returns: to whom, and kept where.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CONSUME_RETURNED_H
#define STH_CONSUME_RETURNED_H

#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "utils/relcache.h"

typedef struct SthReturned SthReturned;

/* What a function is called with that is to return its rows to a scan. */
typedef struct SthReturnCall
{
	ReturnSetInfo info;
	SthReturned *rows;
} SthReturnCall;

/* for the function */
extern SthReturned *sth_returned_begin(FunctionCallInfo fcinfo, Relation rel);
extern void sth_returned_put(SthReturned *rows, const Datum *values,
							 const bool *isnull);

/* for the scan */
extern SthReturned *sth_returned_create(TupleDesc desc, const AttrNumber *attnums,
										bool backward);
extern void sth_returned_ask(SthReturned *rows, SthReturnCall *call);
extern bool sth_returned_are_there(const SthReturned *rows);
extern bool sth_returned_next(SthReturned *rows, bool forward, TupleTableSlot *slot);
extern void sth_returned_rewind(SthReturned *rows);
extern void sth_returned_clear(SthReturned *rows);

#endif							/* STH_CONSUME_RETURNED_H */
