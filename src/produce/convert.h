/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  Arguments of the produce functions as values of a topic's columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_PRODUCE_CONVERT_H
#define STH_PRODUCE_CONVERT_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "utils/relcache.h"

/* How an argument of one type becomes a value of one column. */
typedef struct SthConversion
{
	Oid			from;			/* text, bytea, json or jsonb */
	Oid			to;
	int32		typmod;
	bool		direct;			/* the same type: nothing to do */
	FmgrInfo	input;
	Oid			ioparam;
} SthConversion;

extern void sth_conversion_init(SthConversion *conversion, Oid from,
								Form_pg_attribute column);
extern Datum sth_convert(SthConversion *conversion, Datum value);

/* A JSON object's members as values of a row. */
typedef struct SthJsonRow SthJsonRow;

extern SthJsonRow *sth_json_row_begin(Relation rel, Oid from);
extern void sth_json_row_fill(SthJsonRow *row, Datum document,
							  Datum *values, bool *isnull, bool *given);

#endif							/* STH_PRODUCE_CONVERT_H */
