/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  Arguments of SQL functions that are not STRICT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"

/* Raises an error if argument n, of this name, is null. */
void
sth_require_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/* An int argument that must be positive. */
int
sth_positive_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	sth_require_argument(fcinfo, n, name);
	if (PG_GETARG_INT32(n) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be positive", name)));
	return PG_GETARG_INT32(n);
}
