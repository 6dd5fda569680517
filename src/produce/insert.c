/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  The way of a row into a topic, whatever brings it.
 *
 * By the time a row comes here it has its defaults and generated columns, and
 * BEFORE triggers have seen it.  Then, in this order: the partition is chosen
 * and the time set; generated columns are computed again, which may depend on
 * them; NOT NULL and CHECK constraints are checked, which
 * PostgreSQL leaves to a foreign table's wrapper, and so is the constraint of
 * a partition; and the row joins those that wait for the commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "base/compat.h"
#include "catalog/pg_type.h"
#include "codec/murmur2.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "produce/insert.h"
#include "produce/pending.h"
#include "produce/pressure.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

struct SthInsert
{
	Relation	rel;
	SthPendingTopic *pending;
	const SthTopic *topic;
	FmgrInfo	key_out;		/* for keys that are neither text nor bytea */
	int64		check_at;		/* look at the tail's size at so much written */
	TimestampTz now;			/* the clock, read in the current tick */
	struct timespec tick;
};

/* Is a key of this type its own text, or bytes, as it is stored? */
static bool
key_is_bytes(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID ||
		type == BYTEAOID;
}

/* Is there room in the tail?  That may take a while to find out. */
static void
check_room(SthInsert *insert)
{
	int64		written = sth_rows_written();

	sth_pressure_check(insert->rel, insert->topic->server, written);
	insert->check_at = written + STH_PRESSURE_STEP;
}

/*
 * Begins to insert into a topic that is open and locked; 'command' is what an
 * error calls it.  The result lives in the current memory context.
 */
SthInsert *
sth_insert_begin(Relation rel, const char *command)
{
	SthInsert  *insert = palloc0(sizeof(SthInsert));

	PreventCommandDuringRecovery(command);
	PreventCommandIfReadOnly(command);
	PreventCommandIfParallelMode(command);

	insert->rel = rel;
	insert->pending = sth_pending_topic(rel);
	insert->topic = sth_pending_topic_now(insert->pending);
	check_room(insert);
	if (insert->topic->key_attnum != 0 &&
		!key_is_bytes(insert->topic->key_type))
	{
		Oid			out;
		bool		is_varlena;

		getTypeOutputInfo(insert->topic->key_type, &out, &is_varlena);
		fmgr_info(out, &insert->key_out);
	}
	return insert;
}

const SthTopic *
sth_insert_topic(SthInsert *insert)
{
	return insert->topic;
}

/* The partition of a key that is text in the database's encoding. */
int
sth_route_bytes(const SthTopic *topic, const char *key, int len)
{
	char	   *utf8;
	int			partition;

	if (len == 0 || GetDatabaseEncoding() == PG_UTF8 ||
		topic->key_type == BYTEAOID)
		return sth_murmur2_partition(key, len, topic->npartitions);
	utf8 = pg_server_to_any(key, len, PG_UTF8);
	if (utf8 == key)
		return sth_murmur2_partition(key, len, topic->npartitions);
	partition = sth_murmur2_partition(utf8, strlen(utf8), topic->npartitions);
	pfree(utf8);
	return partition;
}

static int
route_key(SthInsert *insert, Datum key, EState *estate)
{
	const SthTopic *topic = insert->topic;
	int			partition;

	if (key_is_bytes(topic->key_type))
	{
		struct varlena *value = PG_DETOAST_DATUM_PACKED(key);

		partition = sth_route_bytes(topic, VARDATA_ANY(value),
									VARSIZE_ANY_EXHDR(value));
		if (value != (struct varlena *) DatumGetPointer(key))
			pfree(value);
	}
	else
	{
		MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
		char	   *text = OutputFunctionCall(&insert->key_out, key);

		partition = sth_route_bytes(topic, text, strlen(text));
		MemoryContextSwitchTo(old);
	}
	return partition;
}

/*
 * Chooses the partition: the one asked for, by the row or the caller, else
 * the key's, else this transaction's.  *routed tells whether it was asked for.
 */
static int
choose_partition(SthInsert *insert, TupleTableSlot *slot, EState *estate,
				 const SthRowRequest *request, bool *routed)
{
	const SthTopic *topic = insert->topic;
	int			partition;

	*routed = true;
	if (topic->partition_attnum != 0 &&
		!slot->tts_isnull[topic->partition_attnum - 1])
		partition = DatumGetInt32(slot->tts_values[topic->partition_attnum - 1]);
	else if (request != NULL && request->has_partition)
		partition = request->partition;
	else
	{
		*routed = false;
		if (topic->key_attnum != 0 && !slot->tts_isnull[topic->key_attnum - 1])
			return route_key(insert, slot->tts_values[topic->key_attnum - 1],
							 estate);
		return sth_pending_sticky_partition(insert->pending);
	}
	sth_topic_check_partition(topic, RelationGetRelationName(insert->rel),
							  partition);
	return partition;
}

/*
 * The clock.  After the first row it is read once per tick of the kernel's
 * coarse clock, which is a few milliseconds long and much cheaper to ask: bulk
 * loads have a row every few hundred nanoseconds.
 */
static TimestampTz
read_clock(SthInsert *insert)
{
#ifdef CLOCK_REALTIME_COARSE
	struct timespec tick;

	if (insert->now == 0)
		return insert->now = GetCurrentTimestamp();
	if (clock_gettime(CLOCK_REALTIME_COARSE, &tick) == 0)
	{
		if (tick.tv_nsec != insert->tick.tv_nsec ||
			tick.tv_sec != insert->tick.tv_sec)
			insert->now = GetCurrentTimestamp();
		insert->tick = tick;
		return insert->now;
	}
#endif
	return GetCurrentTimestamp();
}

static TimestampTz
choose_time(SthInsert *insert, TupleTableSlot *slot,
			const SthRowRequest *request)
{
	AttrNumber	attnum = insert->topic->time_attnum;

	if (attnum != 0 && !slot->tts_isnull[attnum - 1])
		return DatumGetTimestampTz(slot->tts_values[attnum - 1]);
	if (request != NULL && request->has_time)
		return request->time;
	return read_clock(insert);
}

static void
set_column(TupleTableSlot *slot, AttrNumber attnum, Datum value)
{
	if (attnum == 0)
		return;
	slot->tts_values[attnum - 1] = value;
	slot->tts_isnull[attnum - 1] = false;
}

static void
check_constraints(SthInsert *insert, ResultRelInfo *result_rel,
				  TupleTableSlot *slot, EState *estate)
{
	if (insert->rel->rd_att->constr != NULL)
		ExecConstraints(result_rel, slot, estate);

	/*
	 * As for a table of PostgreSQL's own: a row that a parent has routed here
	 * belongs here, unless a trigger has changed it since.
	 */
	if (insert->rel->rd_rel->relispartition &&
		(result_rel->ri_RootResultRelInfo == NULL ||
		 (result_rel->ri_TrigDesc != NULL &&
		  result_rel->ri_TrigDesc->trig_insert_before_row)))
		(void) ExecPartitionCheck(result_rel, slot, estate, true);
}

/*
 * Gives the slot a tuple with the columns that were assigned, for triggers,
 * which look at that instead of at the slot's values.
 */
static void
rebuild_tuple(SthInsert *insert, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(slot->tts_mcxt);
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(insert->rel),
										slot->tts_values, slot->tts_isnull);

	MemoryContextSwitchTo(old);
	ExecForceStoreHeapTuple(tuple, slot, true);
}

/*
 * Takes a row; returns its partition.  The slot comes back with the columns
 * that are assigned now.  Scratch memory is the executor's for a row, which
 * the caller resets; most rows need none.
 */
int
sth_insert_row(SthInsert *insert, ResultRelInfo *result_rel,
			   TupleTableSlot *slot, EState *estate,
			   const SthRowRequest *request)
{
	const SthTopic *topic = insert->topic;
	int			partition;
	bool		routed;
	TimestampTz time;

	slot_getallattrs(slot);
	if (topic->offset_attnum != 0 && !slot->tts_isnull[topic->offset_attnum - 1])
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("cannot insert a value into column \"_offset\" of topic \"%s\"",
						RelationGetRelationName(insert->rel)),
				 errdetail("A row gets its offset when its transaction commits."),
				 errhint("Leave the column out; last_produced() tells the offsets after the commit.")));
	partition = choose_partition(insert, slot, estate, request, &routed);
	time = choose_time(insert, slot, request);
	set_column(slot, topic->partition_attnum, Int32GetDatum(partition));
	set_column(slot, topic->time_attnum, TimestampTzGetDatum(time));

	/* those that depend on the columns just set were computed without */
	if (insert->rel->rd_att->constr != NULL &&
		insert->rel->rd_att->constr->has_generated_stored)
		ExecComputeStoredGenerated(result_rel, estate, slot, CMD_INSERT);

	check_constraints(insert, result_rel, slot, estate);
	sth_pending_add(insert->pending, partition, routed, time,
					slot->tts_values, slot->tts_isnull);
	if (sth_rows_written() >= insert->check_at)
		check_room(insert);

	if (result_rel->ri_TrigDesc != NULL &&
		result_rel->ri_TrigDesc->trig_insert_after_row)
		rebuild_tuple(insert, slot);
	return partition;
}
