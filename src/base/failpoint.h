/*-------------------------------------------------------------------------
 *
 * failpoint.h
 *	  Named places in the code where a test can make something happen.
 *
 * Compiled to nothing unless STH_FAILPOINTS is defined.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_FAILPOINT_H
#define STH_BASE_FAILPOINT_H

#ifdef STH_FAILPOINTS
extern void sth_failpoint_hit(const char *name);

#define STH_FAILPOINT(name) sth_failpoint_hit(name)
#else
#define STH_FAILPOINT(name) ((void) 0)
#endif

#endif							/* STH_BASE_FAILPOINT_H */
