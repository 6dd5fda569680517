/*-------------------------------------------------------------------------
 *
 * arguments.h
 *	  Arguments of SQL functions that are not STRICT.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_ARGUMENTS_H
#define STH_BASE_ARGUMENTS_H

#include "fmgr.h"

extern void sth_require_argument(FunctionCallInfo fcinfo, int n,
								 const char *name);
extern int	sth_positive_argument(FunctionCallInfo fcinfo, int n,
								  const char *name);

#endif							/* STH_BASE_ARGUMENTS_H */
