/*-------------------------------------------------------------------------
 *
 * utility.h
 *	  Running a utility statement from within a hook.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_UTILITY_H
#define STH_BASE_UTILITY_H

#include "tcop/utility.h"

/* Goes on with who had the hook before us, or with PostgreSQL. */
static inline void
sth_run_utility(ProcessUtility_hook_type previous, PlannedStmt *pstmt,
				const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest,
				QueryCompletion *qc)
{
	(previous ? previous : standard_ProcessUtility) (pstmt, query,
													 read_only_tree, context,
													 params, env, dest, qc);
}

#endif							/* STH_BASE_UTILITY_H */
