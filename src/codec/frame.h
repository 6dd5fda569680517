/*-------------------------------------------------------------------------
 *
 * frame.h
 *	  Frames: what one row of the tail holds.
 *
 * A frame describes itself but for its place in the log, which the tail row
 * beside it gives.  docs/format.md has the bytes.  Plain C over buffers that
 * the caller gives: nothing here allocates, reports or trusts a length.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_FRAME_H
#define STH_CODEC_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* Kinds of frame; a reader refuses the ones that it does not know. */
typedef enum SthFrameKind
{
	STH_FRAME_ROWS = 0,			/* rows of the log */
	STH_FRAME_PART = 1,			/* a part of a frame that fits no page */
	STH_FRAME_STAGED = 2,		/* where the rows of these offsets lie */
	STH_FRAME_VOID = 3,			/* offsets that no row has */
} SthFrameKind;

typedef enum SthFrameResult
{
	STH_FRAME_OK = 0,
	STH_FRAME_NO_ROOM,			/* it does not fit the buffer given */
	STH_FRAME_DAMAGED,			/* not a well-formed frame */
	STH_FRAME_UNKNOWN,			/* a kind of a later version */
} SthFrameResult;

/* No frame of a kind without rows of its own is longer. */
#define STH_FRAME_MARKER_MAX (1 + 4 + 8)

/* One column of a frame's descriptor. */
typedef struct SthFrameColumn
{
	int16_t		attnum;
	uint32_t	type;			/* type OID */
	int32_t		typmod;
} SthFrameColumn;

#define STH_FRAME_MAX_COLUMNS 1600

/* A column's longest entry in a descriptor: attnum, type, typmod. */
#define STH_FRAME_COLUMN_MAX (3 + 5 + 5)

/* More than the head, without descriptor and body, ever takes. */
#define STH_FRAME_HEAD_MAX (1 + 3 + 8 + 2 * 10)

/*
 * Rows to be put into a frame.  Row i's values are the row_len[i] bytes at
 * rows + row_pos[i], laid out as row.h says and in need of row_align;
 * present + i * present_bytes is a bitmap of the columns that it has, by
 * index into columns.
 */
typedef struct SthFrameRows
{
	const SthFrameColumn *columns;
	int			ncolumns;
	int			nrows;
	int			row_align;		/* 1, 4 or 8 */
	int			routed;			/* did a row name its partition? */
	const int64_t *times;		/* microseconds since 2000-01-01 */
	const uint32_t *row_pos;
	const uint32_t *row_len;
	const uint8_t *rows;
	const uint8_t *present;
	size_t		present_bytes;
} SthFrameRows;

/* Buffers that encoding needs. */
typedef struct SthFrameScratch
{
	uint8_t    *body;
	size_t		body_size;		/* sth_frame_body_bound() bytes or more */
	void	   *lz4_state;		/* sth_frame_lz4_state_size() bytes */
} SthFrameScratch;

/* A frame taken apart; pointers lead into the frame. */
typedef struct SthFrame
{
	SthFrameKind kind;
	int			nrows;
	int			row_align;
	int			routed;
	int			compressed;
	int			has_nulls;
	int			ncolumns;
	const uint8_t *descriptor;	/* the columns' entries, encoded */
	size_t		descriptor_len;
	int64_t		min_time;
	int64_t		max_time;
	size_t		raw_len;		/* the body's length, decompressed */
	const uint8_t *body;
	size_t		body_len;
	/* of a part */
	uint32_t	part;
	uint32_t	nparts;
	/* of staged rows and voids */
	int64_t		span;			/* offsets that it stands for */
	int32_t		stage;			/* of staged rows */
} SthFrame;

/* Where the rows of a decompressed body lie; a cursor over them. */
typedef struct SthFrameCursor
{
	const uint8_t *lengths;		/* next row's length */
	const uint8_t *lengths_end;
	const uint8_t *times;		/* next row's time */
	const uint8_t *times_end;
	const uint8_t *nulls;		/* next row's bitmap, or NULL */
	const uint8_t *row;			/* next row's values */
	const uint8_t *end;
	const uint8_t *body;
	size_t		null_bytes;
	int			row_align;
	int			nrows;
	int			next;
	int64_t		time;
	int			routed;
} SthFrameCursor;

/* What a cursor returns. */
typedef struct SthFrameRow
{
	const uint8_t *values;
	const uint8_t *end;
	const uint8_t *present;		/* bitmap by column of the frame, or NULL */
	int64_t		time;
} SthFrameRow;

extern size_t sth_frame_lz4_state_size(void);
extern size_t sth_frame_body_bound(const SthFrameRows *in);
extern SthFrameResult sth_frame_encode(const SthFrameRows *in,
									   const SthFrameScratch *scratch,
									   uint8_t *dst, size_t cap, size_t *len,
									   size_t *raw_len);
extern size_t sth_frame_part(const uint8_t *frame, size_t len, uint32_t part,
							 uint8_t *dst, size_t cap);
extern uint32_t sth_frame_part_count(size_t len, size_t cap);
extern size_t sth_frame_part_capacity(size_t cap);
extern size_t sth_frame_put_staged(uint8_t *dst, int32_t stage, int64_t span);
extern size_t sth_frame_put_void(uint8_t *dst, int64_t span);

extern SthFrameResult sth_frame_span(const uint8_t *frame, size_t len,
									 int nrows, SthFrameKind *kind,
									 int64_t *span);
extern SthFrameResult sth_frame_parse(const uint8_t *frame, size_t len,
									  int nrows, SthFrame *out);
extern SthFrameResult sth_frame_columns(const SthFrame *frame,
										SthFrameColumn *columns);
extern SthFrameResult sth_frame_body(const SthFrame *frame, uint8_t *dst,
									 size_t cap);
extern SthFrameResult sth_frame_open(const SthFrame *frame,
									 const uint8_t *body,
									 SthFrameCursor *cursor);
extern SthFrameResult sth_frame_next(SthFrameCursor *cursor, SthFrameRow *row);

static inline int
sth_frame_has(const SthFrameRow *row, int column)
{
	return row->present == NULL ||
		(row->present[column >> 3] >> (column & 7)) & 1;
}

#endif							/* STH_CODEC_FRAME_H */
