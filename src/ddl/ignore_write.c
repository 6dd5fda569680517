/*-------------------------------------------------------------------------
 *
 * ignore_write.c
 *	  ignore_write(): the trigger of the internal tables.
 *
 * The extension writes to its tables by heap calls, which fire no triggers.
 * So what fires this one comes from elsewhere, above all from a subscription
 * to a publication FOR ALL TABLES, whose publisher has topics of its own: its
 * frames must not become rows of topics here, nor its drops take topics away.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"

PG_FUNCTION_INFO_V1(sth_ignore_write);

Datum
sth_ignore_write(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" can be called by a trigger only",
						"ignore_write")));
	PG_RETURN_POINTER(NULL);
}
