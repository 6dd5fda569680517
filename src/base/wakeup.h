/*-------------------------------------------------------------------------
 *
 * wakeup.h
 *	  Which databases have a background worker, want one, or must not have one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_WAKEUP_H
#define STH_BASE_WAKEUP_H

#include "datatype/timestamp.h"

typedef enum SthWorkerState
{
	STH_WORKER_NONE,			/* the place is free */
	STH_WORKER_WANTED,			/* its database asks for a worker */
	STH_WORKER_STARTING,
	STH_WORKER_RUNNING,
	STH_WORKER_LEAVING,			/* makes room for another database's */
	STH_WORKER_LEFT				/* is out of its database */
} SthWorkerState;

/* A database's place in shared memory. */
typedef struct SthWorkerPlace
{
	Oid			database;
	SthWorkerState state;
	bool		wanted;			/* woken since its last turn began */
	bool		succeeded;		/* a turn has */
	bool		failed;			/* the worker has left for that */
	TimestampTz again;			/* when it has to be back, or 0 */
	uint32		ticket;			/* of the start, never given twice */
	int			procno;			/* these two while it is attached */
	pid_t		pid;
} SthWorkerPlace;

/* Few in test builds, so that tests see all of them taken. */
#ifdef STH_FAILPOINTS
#define STH_WORKER_PLACES 5
#else
#define STH_WORKER_PLACES 256
#endif

extern void sth_wakeup_init(void);

/* for everybody */
extern void sth_worker_wake(void);
extern void sth_worker_wake_database(Oid database);

/* for who needs a database without a worker */
extern void sth_worker_park(Oid database);
extern void sth_worker_release(void);

/* for a worker */
extern Oid	sth_worker_attach(uint32 ticket);
extern bool sth_worker_take_wake(void);
extern void sth_worker_note_success(void);
extern bool sth_worker_is_parked(void);
extern bool sth_worker_is_in_the_way(void);
extern bool sth_worker_makes_room(TimestampTz again);

/* for the launcher */
extern void sth_launcher_attach(void);
extern bool sth_launcher_take_overflow(void);
extern int	sth_launcher_look(SthWorkerPlace *places);
extern uint32 sth_launcher_reserve(Oid database);
extern SthWorkerPlace sth_launcher_forget(Oid database);
extern void sth_launcher_ask_for_room(int nplaces);

#endif							/* STH_BASE_WAKEUP_H */
