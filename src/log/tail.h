/*-------------------------------------------------------------------------
 *
 * tail.h
 *	  The tail: the heap table that recent rows of all logs live in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_TAIL_H
#define STH_LOG_TAIL_H

#include "access/htup_details.h"
#include "access/itup.h"
#include "access/sdir.h"
#include "codec/frame.h"
#include "utils/snapshot.h"

/* The stage of a log's own rows. */
#define STH_STAGE_NONE 0

/*
 * Columns of streamhouse.tail.  log_id, stage and end_offset are the index.
 * Stage 0 is the log itself; under another stage lie rows of one large
 * transaction, by their number in it instead of by offset.
 */
typedef struct FormData_sth_tail
{
	int32		log_id;
	int32		stage;
	int64		end_offset;
	int32		count;
	/* bytea frame follows, with a four-byte header */
} FormData_sth_tail;

#define Natts_sth_tail 5
#define Anum_sth_tail_log_id 1
#define Anum_sth_tail_stage 2
#define Anum_sth_tail_end_offset 3
#define Anum_sth_tail_count 4
#define Anum_sth_tail_frame 5

/*
 * What stands before the frame in a tuple: header, fixed columns, and, where
 * these end at a multiple of four, the frame's own header.  Then the longest
 * frame: with it the tuple fills a page.
 */
#define STH_TAIL_FIXED \
	(MAXALIGN(SizeofHeapTupleHeader) + 4 + 4 + 8 + 4 + VARHDRSZ)
#define STH_FRAME_MAX ((Size) (MaxHeapTupleSize - STH_TAIL_FIXED))

StaticAssertDecl(STH_TAIL_FIXED == MAXALIGN(STH_TAIL_FIXED),
				 "a frame that is aligned has its tuple's header aligned");

/* What a frame, or part of one, takes in the tail and its index. */
static inline int64
sth_tail_footprint(Size frame_len)
{
	return MAXALIGN(STH_TAIL_FIXED + frame_len) + sizeof(ItemIdData) +
		MAXALIGN(sizeof(IndexTupleData) + 4 + 4 + 8) + sizeof(ItemIdData);
}

/*
 * A row of the tail: what it says of the offsets [start_offset, end_offset).
 * The frame lies in a buffer page, at no alignment.
 */
typedef struct SthTailRow
{
	SthFrameKind kind;
	int64		start_offset;
	int64		end_offset;
	int32		count;
	const uint8 *frame;
	Size		frame_len;
	ItemPointerData tid;
} SthTailRow;

typedef struct SthTailWriter SthTailWriter;
typedef struct SthTailScan SthTailScan;

extern void sth_tail_lock(void);
extern SthTailWriter *sth_tail_begin_write(void);
extern void sth_tail_write(SthTailWriter *writer, int32 log_id, int32 stage,
						   int64 end_offset, int32 count, uint8 *frame,
						   Size frame_len);
extern void sth_tail_write_marker(SthTailWriter *writer, int32 log_id,
								  int64 end_offset, const uint8 *frame,
								  Size frame_len);
extern void sth_tail_delete(SthTailWriter *writer, const ItemPointerData *tid);
extern void sth_tail_end_write(SthTailWriter *writer);

extern SthTailScan *sth_tail_begin_scan(Snapshot snapshot);
extern void sth_tail_seek(SthTailScan *scan, int32 log_id, int32 stage,
						  int64 from);
extern bool sth_tail_next(SthTailScan *scan, SthTailRow *row);
extern bool sth_tail_previous(SthTailScan *scan, SthTailRow *row);
extern void sth_tail_end_scan(SthTailScan *scan);

extern int64 sth_tail_end(int32 log_id, int64 from, Snapshot snapshot);
extern int64 sth_tail_delete_until(int32 log_id, int64 from, int64 until);
extern void sth_tail_delete_stage(int32 log_id, int32 stage);
extern void sth_tail_delete_log(int32 log_id);

#endif							/* STH_LOG_TAIL_H */
