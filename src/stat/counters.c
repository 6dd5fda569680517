/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  The counters of topics, groups and flushes, for the views stat_topics,
 *	  stat_groups and stat_flush; stat_reset().
 *
 * The functions that the views call are for everybody, so each looks by itself
 * whether the user may see what it is asked for.  As views show what was there
 * when their snapshot was taken, no lock is taken and what is gone is NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "base/stats.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "consume/group.h"
#include "fmgr.h"
#include "funcapi.h"
#include "log/failures.h"
#include "miscadmin.h"
#include "s3/health.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sth_topic_counters);
PG_FUNCTION_INFO_V1(sth_group_counters);
PG_FUNCTION_INFO_V1(sth_flush_counters);
PG_FUNCTION_INFO_V1(sth_stat_reset);

static Datum
make_array(const int64 *counts, int n)
{
	Datum		elements[Max(STH_NCOUNTERS, STH_NBUCKETS)];

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(counts[i]);
	return PointerGetDatum(construct_array(elements, n, INT8OID, sizeof(int64),
										   true, TYPALIGN_DOUBLE));
}

/* (counters, histogram, stats_reset); NULL if it may not have been counted */
static Datum
counters_of(FunctionCallInfo fcinfo, int32 topic_id, int32 group_id)
{
	SthStatsKey key = sth_stats_key(sth_relations()->tail, topic_id, group_id);
	SthCounts	counts;
	TimestampTz reset;
	TupleDesc	desc;
	Datum		values[3];
	bool		isnull[3] = {false, false, false};

	if (!sth_stats_read(&key, &counts, &reset))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = make_array(counts.counters, STH_NCOUNTERS);
	values[1] = make_array(counts.histogram, STH_NBUCKETS);
	values[2] = TimestampTzGetDatum(reset);
	isnull[2] = reset == 0;
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, isnull));
}

static bool
is_visible(int32 topic_id)
{
	Oid			relid = sth_topic_relid(topic_id);

	return OidIsValid(relid) && sth_topic_is_visible(relid);
}

/* topic_counters(topic_id int) */
Datum
sth_topic_counters(PG_FUNCTION_ARGS)
{
	int32		topic_id = PG_GETARG_INT32(0);

	if (!is_visible(topic_id))
		PG_RETURN_NULL();
	return counters_of(fcinfo, topic_id, 0);
}

/* group_counters(group_id int) */
Datum
sth_group_counters(PG_FUNCTION_ARGS)
{
	int32		group_id = PG_GETARG_INT32(0);
	int32		topic_id;
	Oid			owner = sth_group_owner(group_id, &topic_id);

	if (!OidIsValid(owner) || !has_privs_of_role(GetUserId(), owner) ||
		!is_visible(topic_id))
		PG_RETURN_NULL();
	return counters_of(fcinfo, topic_id, group_id);
}

/*
 * flush_counters(topic_id int): counters, times and sizes are NULL if they
 * may not have been counted
 */
Datum
sth_flush_counters(PG_FUNCTION_ARGS)
{
	int32		topic_id = PG_GETARG_INT32(0);
	Oid			tail = sth_relations()->tail;
	SthStatsKey flushes = sth_stats_key(tail, topic_id, STH_STATS_FLUSHES);
	SthStatsKey segments = sth_stats_key(tail, topic_id, STH_STATS_SEGMENTS);
	SthCounts	counts;
	SthFailure	failure;
	TimestampTz reset;
	TupleDesc	desc;
	Datum		values[6];
	bool		isnull[6] = {true, true, true, true, true, true};

	if (!is_visible(topic_id))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (sth_stats_read(&segments, &counts, &reset))
	{
		values[2] = make_array(counts.histogram, STH_NBUCKETS);
		isnull[2] = false;
	}
	if (sth_stats_read(&flushes, &counts, &reset))
	{
		values[0] = make_array(counts.counters, STH_NCOUNTERS);
		values[1] = make_array(counts.histogram, STH_NBUCKETS);
		values[5] = TimestampTzGetDatum(reset);
		isnull[0] = isnull[1] = false;
		isnull[5] = reset == 0;
	}
	if (sth_failures_of_topic(tail, topic_id, &failure))
	{
		values[3] = CStringGetTextDatum(failure.message);
		values[4] = TimestampTzGetDatum(failure.at);
		isnull[3] = isnull[4] = false;
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, isnull));
}

static void
reset_all(void)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to reset the statistics of all topics"),
				 errhint("Name a topic that you own.")));
	sth_stats_reset_all(sth_relations()->tail);
	sth_health_reset(MyDatabaseId, InvalidOid);
	sth_failures_forget(sth_relations()->tail, 0);
}

static void
reset_topic(Oid relid)
{
	Relation	rel = sth_topic_open_owned(relid);

	sth_stats_reset_topic(sth_relations()->tail, sth_topic_get(rel)->topic_id);
	sth_failures_forget(sth_relations()->tail, sth_topic_get(rel)->topic_id);
	relation_close(rel, AccessShareLock);
}

/* stat_reset(topic regclass) */
Datum
sth_stat_reset(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		reset_all();
	else
		reset_topic(PG_GETARG_OID(0));
	PG_RETURN_VOID();
}
