/*-------------------------------------------------------------------------
 *
 * run.h
 *	  Blocks that follow each other in an object, fetched together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_RUN_H
#define STH_SEGMENT_RUN_H

#include "lib/ilist.h"
#include "store/store.h"

/* Where a block is. */
typedef struct SthBlockPlace
{
	int64		object_id;
	uint64		position;
	Size		len;
} SthBlockPlace;

typedef struct SthRun
{
	MemoryContext context;
	SthGet		get;
	uint64		end;			/* of the blocks, in the object */
	bool		waited;
	bool		was_kept;		/* since an earlier reader */
	Size		allowed;		/* so long might it have been, if kept */

	/* run.c's own */
	int32		log_id;
	Oid			objects;
	dlist_node	link;
} SthRun;

extern SthRun *sth_run_create(MemoryContext parent, const SthBlockPlace *first, Size len);
extern bool sth_run_has(const SthRun *run, const SthBlockPlace *place);
extern void sth_run_free(SthRun *run, SthStore *store);
extern void sth_run_empty(SthRun *run);
extern void sth_run_keep(SthRun *run, int32 log_id);
extern SthRun *sth_run_take(MemoryContext parent, int32 log_id);
extern Size sth_run_kept_limit(void);

#endif							/* STH_SEGMENT_RUN_H */
