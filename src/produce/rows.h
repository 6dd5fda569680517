/*-------------------------------------------------------------------------
 *
 * rows.h
 *	  Rows of one log, packed and put into frames as they come.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_PRODUCE_ROWS_H
#define STH_PRODUCE_ROWS_H

#include "datatype/timestamp.h"
#include "log/tail.h"
#include "produce/pack.h"

typedef struct SthRows SthRows;

/* A finished frame; longer than STH_FRAME_MAX if it holds one large row. */
typedef struct SthReadyFrame
{
	int64		end;			/* number of its last row, counted from 1 */
	int32		nrows;
	uint32		len;
	uint8		tuple[STH_TAIL_FIXED];	/* for the tail */
	uint8		data[FLEXIBLE_ARRAY_MEMBER];
} SthReadyFrame;

extern SthRows *sth_rows_create(MemoryContext context,
								const SthTopic *topic);
extern void sth_rows_set_topic(SthRows *rows, const SthTopic *topic);
extern void sth_rows_add(SthRows *rows, TimestampTz time, bool routed,
						 const Datum *values, const bool *isnull);
extern int64 sth_rows_count(const SthRows *rows);
extern int64 sth_rows_bytes(const SthRows *rows);
extern int64 sth_rows_stored(const SthRows *rows);
extern int64 sth_rows_written(void);

extern void sth_rows_push_mark(SthRows *rows);
extern void sth_rows_drop_mark(SthRows *rows);
extern void sth_rows_rollback_mark(SthRows *rows);
extern int64 sth_rows_mark(const SthRows *rows, int depth);

extern void sth_rows_finish(SthRows *rows);
extern int	sth_rows_frames(SthRows *rows, SthReadyFrame ***frames);
extern void sth_rows_remove_frames(SthRows *rows, int left);
extern void sth_rows_free(SthRows *rows);
extern Size sth_rows_memory(void);
extern void sth_rows_forget(void);

#endif							/* STH_PRODUCE_ROWS_H */
