/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  Background processes: the launcher and the workers of databases.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_WORKER_WORKER_H
#define STH_WORKER_WORKER_H

#include "postmaster/bgworker.h"

/* launcher.c; called by _PG_init */
extern void sth_worker_init(void);
extern PGDLLEXPORT void sth_launcher_main(Datum arg);

/* worker.c */
extern bool sth_worker_start(uint32 ticket, BackgroundWorkerHandle **handle);
extern PGDLLEXPORT void sth_worker_main(Datum arg);

/* process.c */
extern void sth_process_describe(BackgroundWorker *worker, const char *type,
								 const char *function);
extern void sth_process_begin(const char *name);
extern bool sth_process_awake(void);
extern bool sth_process_wait(long timeout, uint32 wait_event);

/* commands.c */
extern void sth_commands_init(void);

#endif							/* STH_WORKER_WORKER_H */
