/*-------------------------------------------------------------------------
 *
 * in_flight.c
 *	  Transactions that have taken offsets and are not over, for the view
 *	  in_flight.
 *
 * Turns are read one after the other without a lock: each as it was at one
 * moment, not all at the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/topic.h"
#include "fmgr.h"
#include "funcapi.h"
#include "log/sequencer.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sth_turns);

/* A turn, as a row for the log at 'index'; for any log: -1. */
static void
emit_turn(ReturnSetInfo *rsinfo, const SthTurn *turn, int index)
{
	Datum		values[5];
	bool		isnull[5] = {false, true, true, true, false};

	values[0] = Int32GetDatum(turn->pid);
	values[4] = TimestampTzGetDatum(turn->began);
	if (index >= 0)
	{
		int			partition;
		Oid			relid = sth_log_relid(turn->log_ids[index], NULL, &partition);

		if (!OidIsValid(relid) || !sth_topic_is_visible(relid))
			return;
		values[1] = ObjectIdGetDatum(relid);
		values[2] = Int32GetDatum(partition);
		values[3] = Int64GetDatum(turn->first_offsets[index]);
		isnull[1] = isnull[2] = false;
		isnull[3] = turn->first_offsets[index] < 0;
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
}

/* turns(): of this database, what of them the user may see */
Datum
sth_turns(PG_FUNCTION_ARGS)
{
	int			n = sth_sequencer_turns();
	SthTurn		turn;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!sth_sequencer_read_turn(i, &turn))
			continue;
		if (turn.nlogs < 0)
			emit_turn((ReturnSetInfo *) fcinfo->resultinfo, &turn, -1);
		for (int j = 0; j < turn.nlogs; j++)
			emit_turn((ReturnSetInfo *) fcinfo->resultinfo, &turn, j);
	}
	return (Datum) 0;
}
