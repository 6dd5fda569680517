/*-------------------------------------------------------------------------
 *
 * histogram.c
 *	  histogram_percentile(): what a histogram of times says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/stats.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/float.h"

PG_FUNCTION_INFO_V1(sth_histogram_percentile);

/* The elements, checked. */
static const int64 *
get_buckets(ArrayType *array)
{
	const int64 *buckets;

	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] != STH_NBUCKETS ||
		array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a histogram is an array of %d numbers", STH_NBUCKETS)));
	buckets = (const int64 *) ARR_DATA_PTR(array);
	for (int i = 0; i < STH_NBUCKETS; i++)
		if (buckets[i] < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a histogram has no negative numbers"),
					 errhint("Where two histograms were subtracted, the counters were reset in between.")));
	return buckets;
}

/*
 * histogram_percentile(histogram bigint[], fraction float8): the upper bound,
 * in milliseconds, of the bucket that has it; NULL if nothing was counted
 */
Datum
sth_histogram_percentile(PG_FUNCTION_ARGS)
{
	const int64 *buckets = get_buckets(PG_GETARG_ARRAYTYPE_P(0));
	double		fraction = PG_GETARG_FLOAT8(1);
	double		total = 0;
	double		upto = 0;

	if (isnan(fraction) || fraction < 0 || fraction > 1)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("percentile value %g is not between 0 and 1", fraction)));
	for (int i = 0; i < STH_NBUCKETS; i++)
		total += buckets[i];
	if (total == 0)
		PG_RETURN_NULL();
	for (int i = 0; i < STH_NBUCKETS - 1; i++)
	{
		upto += buckets[i];
		if (upto > 0 && upto >= fraction * total)
			PG_RETURN_FLOAT8((double) (INT64CONST(1) << i) / 1000);
	}
	PG_RETURN_FLOAT8(get_float8_infinity());
}
