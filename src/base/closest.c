/*-------------------------------------------------------------------------
 *
 * closest.c
 *	  "Perhaps you meant": the candidate nearest to what was typed.
 *
 * PostgreSQL has the like from version 16 on; this serves 15 too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/closest.h"
#include "utils/varlena.h"

#define MAX_DISTANCE 4
#define MAX_LENGTH	 255		/* what varstr_levenshtein takes */

void
sth_closest_begin(SthClosest *closest, const char *typed)
{
	closest->typed = typed;
	closest->best = NULL;
	closest->distance = MAX_DISTANCE + 1;
}

/* 'candidate' must live as long as the answer is used. */
void
sth_closest_add(SthClosest *closest, const char *candidate)
{
	int			typed_len = strlen(closest->typed);
	int			candidate_len = strlen(candidate);
	int			distance;

	if (typed_len == 0 || typed_len > MAX_LENGTH || candidate_len > MAX_LENGTH)
		return;
	distance = varstr_levenshtein_less_equal(closest->typed, typed_len,
											 candidate, candidate_len,
											 1, 1, 1, MAX_DISTANCE, true);
	/* more than half of the word changed is no likeness */
	if (distance < closest->distance && distance <= typed_len / 2 + 1)
	{
		closest->best = candidate;
		closest->distance = distance;
	}
}
