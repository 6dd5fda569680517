/*-------------------------------------------------------------------------
 *
 * closest.h
 *	  "Perhaps you meant": the candidate nearest to what was typed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_CLOSEST_H
#define STH_BASE_CLOSEST_H

typedef struct SthClosest
{
	const char *typed;
	const char *best;			/* NULL: nothing near enough */
	int			distance;
} SthClosest;

extern void sth_closest_begin(SthClosest *closest, const char *typed);
extern void sth_closest_add(SthClosest *closest, const char *candidate);

#endif							/* STH_BASE_CLOSEST_H */
