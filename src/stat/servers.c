/*-------------------------------------------------------------------------
 *
 * servers.c
 *	  How the buckets do, for the view stat_servers.
 *
 * The function that the view calls is for everybody, so it looks by itself
 * whether the user may use the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "s3/health.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sth_server_health);

/* As the view shows them. */
static const char *const breaker_names[] = {"closed", "open", "probing"};

static Datum
make_array(const int64 *counts, int n)
{
	Datum	   *elements = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(counts[i]);
	return PointerGetDatum(construct_array(elements, n, INT8OID, sizeof(int64),
										   true, TYPALIGN_DOUBLE));
}

static void
set_time(Datum *value, bool *isnull, TimestampTz time)
{
	*value = TimestampTzGetDatum(time);
	*isnull = time == 0;
}

/*
 * server_health(server oid): its requests, counters and so on; NULL if the
 * user may not use it, or if it may have been used unnoticed
 */
Datum
sth_server_health(PG_FUNCTION_ARGS)
{
	Oid			server = PG_GETARG_OID(0);
	SthHealthReport report;
	TupleDesc	desc;
	Datum		values[11];
	bool		isnull[11] = {false};

	if (!SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(server)) ||
		!sth_may_use_server(server) ||
		!sth_health_report(MyDatabaseId, server, &report))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = make_array(report.requests, STH_S3_NKINDS);
	values[1] = make_array(report.counters, STH_HEALTH_NCOUNTERS);
	values[2] = make_array(report.histogram, STH_NBUCKETS);
	values[3] = Int32GetDatum(report.in_flight);
	values[4] = Int32GetDatum(report.limit);
	values[5] = CStringGetTextDatum(breaker_names[report.breaker]);
	values[6] = Int32GetDatum(report.failures);
	set_time(&values[7], &isnull[7], report.until);
	values[8] = CStringGetTextDatum(report.error);
	isnull[8] = report.error_at == 0;
	set_time(&values[9], &isnull[9], report.error_at);
	set_time(&values[10], &isnull[10], report.reset);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, isnull));
}
