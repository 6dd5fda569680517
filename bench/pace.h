/*-------------------------------------------------------------------------
 *
 * pace.h
 *	  Records sent at a steady rate, and how long each was under way.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PACE_H
#define PACE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bench.h"

typedef struct Producer
{
	void	   *conn;			/* the caller's */
	int			fd;				/* readable when an answer comes */
	long		record;			/* to be sent next, or under way */
	bool		busy;
} Producer;

typedef struct Pace
{
	/* set by the caller */
	double		rate;			/* records per second */
	double		seconds;		/* for so long */
	int			nproducers;
	Producer   *producers;
	void		(*send) (Producer *producer, const char *key, const char *value);
	int			(*receive) (Producer *producer);	/* the whole answer? */
	void		(*consume) (struct Pace *pace); /* until pace_is_over() */

	long		count;			/* records */
	double		start;
	_Atomic double sent_all;	/* when, or 0 */
	long		received;
	long		twice;
	/* of each record, when; 0 is never */
	double	   *sent;
	double	   *answered;
	double	   *arrived;
} Pace;

extern void pace_run(Pace *pace);
extern void pace_received(Pace *pace, const char *value, double time);
extern bool pace_is_over(Pace *pace);

#endif							/* PACE_H */
