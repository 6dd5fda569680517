/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  Settings (streamhouse.*).
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_GUC_H
#define STH_BASE_GUC_H

extern int	sth_max_logs;		/* logs open at once, of all databases */
extern int	sth_max_record_size;	/* kB */
extern int	sth_batch_memory;	/* kB */
extern int	sth_max_workers;	/* of all databases, the launcher aside */
extern int	sth_segment_size;	/* kB */
extern int	sth_flush_interval; /* s */
extern int	sth_block_size;		/* kB */
extern int	sth_fetch_size;		/* kB */
extern int	sth_prefetch;		/* requests */
extern int	sth_maintenance_interval;	/* s */
extern int	sth_gc_grace;		/* s */
extern int	sth_orphan_age;		/* s */
extern int	sth_max_tail_size;	/* kB */

#ifdef STH_FAILPOINTS
extern char *sth_failpoint;
#endif

extern void sth_guc_init(void);

#endif							/* STH_BASE_GUC_H */
