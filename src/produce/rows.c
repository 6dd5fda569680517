/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Rows of one log, packed and put into frames as they come.
 *
 * A row's values are packed (pack.c) behind those of the rows before; when
 * about as much has come together as fills a page compressed, it becomes a
 * frame.  How much that is is learnt from the frames before.  A frame says
 * nothing of offsets, so it can be made long before the transaction gets any,
 * while its rows are still in the processor's cache.
 *
 * Rows are numbered as they come.  Marks are numbers to which they can be
 * taken back, one for each open subtransaction that has added rows.  Frames
 * are never taken apart again: they are cut at marks, so that a mark stands
 * between two frames or between two rows that are not in a frame yet.
 *
 * Finished frames stay until the commit, or until they are staged (pending.c):
 * then they are gone from here, but their rows still count.
 *
 * Failure: a row counts when it is complete; an error before leaves the rows
 * as they were.
 *
 * Memory: all of it is in the context given at creation, and goes with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "codec/frame.h"
#include "log/tail.h"
#include "miscadmin.h"
#include "produce/rows.h"
#include "utils/memutils.h"

/* A place between rows; marks form a stack. */
typedef struct Mark
{
	int64		rows;			/* how many there were */
	int64		bytes;			/* of their values */
	int64		stored;			/* see SthRows */
} Mark;

struct SthRows
{
	MemoryContext context;

	const SthTopic *topic;		/* whose columns the rows have */

	/* finished frames that are not staged, in order */
	SthReadyFrame **frames;
	int			nframes;
	int			max_frames;
	int64		framed_rows;	/* in frames, staged or not */
	int64		bytes;			/* of the values of all rows */
	int64		stored;			/* what the frames take in the tail */

	/* rows that are in no frame yet; all arrays are one chunk */
	int			nrows;
	int			max_rows;
	int64	   *times;
	uint32	   *row_pos;
	uint32	   *row_len;
	uint8	   *present;
	uint8	   *data;
	Size		data_len;
	Size		data_size;
	int			row_align;
	bool		routed;
	Size		full;			/* try to make a frame at this data_len */

	/* marks */
	Mark	   *marks;
	int			nmarks;
	int			max_marks;
};

/* Of one backend: what encoding needs, and what it has learnt. */
static SthFrameScratch scratch;
static double compression = 1.0;	/* bytes of rows here per byte of frame */

/* The memory that the finished frames of this transaction take. */
static Size frame_memory = 0;

/* What all frames would take in the tail that this transaction has made. */
static int64 written = 0;

/* Learnt ratios are believed up to here: a frame stays quick to decode. */
#define MAX_COMPRESSION 8.0

/* No frame has more rows than this, however little is in them. */
#define MAX_FRAME_ROWS 8192

/*
 * A frame is made when so much of a page is expected to be filled: seldom too
 * much, and what is left free is of no use to anybody (see the tail's
 * fillfactor).  Filled to this part it is full.
 */
#define FULL_AT		0.98
#define FULL_ENOUGH 0.85

static void
reserve_scratch(Size size)
{
	if (scratch.lz4_state == NULL)
		scratch.lz4_state = MemoryContextAlloc(TopMemoryContext,
											   sth_frame_lz4_state_size());
	if (scratch.body_size >= size)
		return;
	size = Max(size, 64 * 1024);
	if (scratch.body != NULL)
		pfree(scratch.body);
	scratch.body = NULL;
	scratch.body_size = 0;
	scratch.body = MemoryContextAlloc(TopMemoryContext, size);
	scratch.body_size = size;
}

/* A large row should not keep its buffer for the session's life. */
static void
trim_scratch(void)
{
	if (scratch.body_size <= 1024 * 1024)
		return;
	pfree(scratch.body);
	scratch.body = NULL;
	scratch.body_size = 0;
}

static Size
full_at(void)
{
	return (Size) (STH_FRAME_MAX * FULL_AT * compression);
}

/* Makes room for more rows, or for other columns if there are no rows. */
static void
allocate_arrays(SthRows *rows, int max_rows, Size present_bytes)
{
	int64	   *times = MemoryContextAlloc(rows->context,
										   max_rows * (sizeof(int64) + 2 * sizeof(uint32) +
													   present_bytes));
	uint32	   *row_pos = (uint32 *) (times + max_rows);
	uint32	   *row_len = row_pos + max_rows;
	uint8	   *present = (uint8 *) (row_len + max_rows);

	if (rows->times != NULL)
	{
		memcpy(times, rows->times, rows->nrows * sizeof(int64));
		memcpy(row_pos, rows->row_pos, rows->nrows * sizeof(uint32));
		memcpy(row_len, rows->row_len, rows->nrows * sizeof(uint32));
		memcpy(present, rows->present, rows->nrows * present_bytes);
		pfree(rows->times);
	}
	rows->times = times;
	rows->row_pos = row_pos;
	rows->row_len = row_len;
	rows->present = present;
	rows->max_rows = max_rows;
}

/*
 * The rows to come have the columns of this topic, which the caller keeps.
 * Rows there are go into frames.
 */
void
sth_rows_set_topic(SthRows *rows, const SthTopic *topic)
{
	if (rows->nrows > 0)
		sth_rows_finish(rows);
	allocate_arrays(rows, rows->max_rows, sth_present_bytes(topic));
	rows->topic = topic;
}

SthRows *
sth_rows_create(MemoryContext context, const SthTopic *topic)
{
	SthRows    *rows = MemoryContextAllocZero(context, sizeof(SthRows));

	rows->context = context;
	rows->topic = topic;
	allocate_arrays(rows, 4, sth_present_bytes(topic));
	rows->data_size = 2048;
	rows->data = MemoryContextAlloc(context, rows->data_size);
	rows->row_align = 1;
	rows->full = full_at();
	return rows;
}

/* How many rows there are, in frames and not. */
int64
sth_rows_count(const SthRows *rows)
{
	return rows->framed_rows + rows->nrows;
}

/* Bytes of their values, as they are packed, before compression. */
int64
sth_rows_bytes(const SthRows *rows)
{
	return rows->bytes;
}

/* What they take in the tail, as far as they are in frames, staged or not. */
int64
sth_rows_stored(const SthRows *rows)
{
	return rows->stored;
}

/*
 * What the frames of this transaction take in the tail, in all logs; those
 * included that a subtransaction has rolled back, because staged ones take
 * their room until vacuum comes.
 */
int64
sth_rows_written(void)
{
	return written;
}

static void
reserve_row(SthRows *rows, Size bound)
{
	Size		need = MAXALIGN(rows->data_len) + bound;

	if (rows->nrows == rows->max_rows)
		allocate_arrays(rows, rows->max_rows * 2, sth_present_bytes(rows->topic));
	if (need > rows->data_size)
	{
		Size		size = Max(rows->data_size * 2, need);

		rows->data = repalloc_huge(rows->data, size);
		rows->data_size = size;
	}
}

static void make_frames(SthRows *rows, bool all);

/* Adds a row.  values and isnull have a place for each column of the table. */
void
sth_rows_add(SthRows *rows, TimestampTz time, bool routed,
			 const Datum *values, const bool *isnull)
{
	Size		bound = sth_pack_begin(rows->topic, values, isnull);
	uint8	   *row;
	uint8	   *end;
	int			n;

	/* a row that fills a page by itself does not share one */
	if (rows->nrows > 0 && bound > STH_FRAME_MAX)
		make_frames(rows, true);
	reserve_row(rows, bound);
	n = rows->nrows;

	row = rows->data + MAXALIGN(rows->data_len);
	end = sth_pack_row(rows->topic, isnull, row,
					   rows->present + n * sth_present_bytes(rows->topic),
					   &rows->row_align);
	rows->times[n] = time;
	rows->row_pos[n] = row - rows->data;
	rows->row_len[n] = end - row;
	rows->bytes += end - row;
	rows->data_len = end - rows->data;
	rows->routed |= routed;
	rows->nrows++;

	if (rows->data_len >= rows->full || rows->nrows >= MAX_FRAME_ROWS)
		make_frames(rows, false);
}

static SthFrameRows
describe_rows(SthRows *rows, int nrows)
{
	SthFrameRows in;

	in.columns = rows->topic->frame_columns;
	in.ncolumns = rows->topic->ncolumns;
	in.nrows = nrows;
	in.row_align = rows->row_align;
	in.routed = rows->routed;
	in.times = rows->times;
	in.row_pos = rows->row_pos;
	in.row_len = rows->row_len;
	in.rows = rows->data;
	in.present = rows->present;
	in.present_bytes = sth_present_bytes(rows->topic);
	return in;
}

/* Room for a frame of at most so many bytes. */
static SthReadyFrame *
allocate_frame(SthRows *rows, Size cap)
{
	return MemoryContextAlloc(rows->context,
							  offsetof(SthReadyFrame, data) + cap);
}

/*
 * Encodes the first *nrows rows, or as many of them as fit a page, at least
 * one.  *nrows is what the frame has.
 */
static SthReadyFrame *
encode_rows(SthRows *rows, int *nrows, Size *raw_len)
{
	SthReadyFrame *frame = NULL;
	Size		len;

	for (int n = *nrows;; n -= Max(n / 16, 1))
	{
		SthFrameRows in = describe_rows(rows, n);
		Size		bound = sth_frame_body_bound(&in);
		Size		cap;

		reserve_scratch(bound);
		bound += STH_FRAME_HEAD_MAX +
			(Size) rows->topic->ncolumns * STH_FRAME_COLUMN_MAX;
		cap = Min(bound, STH_FRAME_MAX);
		if (frame == NULL)
			frame = allocate_frame(rows, cap);
		if (sth_frame_encode(&in, &scratch, frame->data, cap, &len,
							 raw_len) != STH_FRAME_OK)
		{
			if (n > 1)
				continue;
			/* it gets parts, see write.c */
			pfree(frame);
			frame = allocate_frame(rows, bound);
			if (sth_frame_encode(&in, &scratch, frame->data, bound, &len,
								 raw_len) != STH_FRAME_OK)
				elog(ERROR, "could not encode a row of %u bytes",
					 rows->row_len[0]);
			frame = repalloc(frame, offsetof(SthReadyFrame, data) + len);
		}
		frame->nrows = *nrows = n;
		frame->len = len;
		return frame;
	}
}

static inline Size
frame_size(SthReadyFrame *frame)
{
	return GetMemoryChunkSpace(frame);
}

/* Counts what a frame that has been appended takes in the tail. */
static void
count_stored(SthRows *rows, Size len)
{
	Size		chunk = sth_frame_part_capacity(STH_FRAME_MAX);
	int64		footprint = 0;

	/* in parts, see write.c */
	if (len > STH_FRAME_MAX)
	{
		uint32		before = sth_frame_part_count(len, STH_FRAME_MAX) - 1;

		footprint = before * sth_tail_footprint(STH_FRAME_MAX);
		len -= before * chunk;
		len += STH_FRAME_MAX - chunk;
	}
	footprint += sth_tail_footprint(len);
	written += footprint;
	rows->stored += footprint;
	/* it may be of rows that were there before marks were set */
	for (int i = rows->nmarks - 1; i >= 0 && rows->marks[i].rows >= rows->framed_rows; i--)
		rows->marks[i].stored += footprint;
}

/* Appends a finished frame. */
static void
append_frame(SthRows *rows, SthReadyFrame *frame)
{
	if (rows->nframes == rows->max_frames)
	{
		int			max = Max(rows->max_frames * 2, 4);

		if (rows->frames == NULL)
			rows->frames = MemoryContextAlloc(rows->context,
											  max * sizeof(SthReadyFrame *));
		else
			rows->frames = repalloc_huge(rows->frames,
										 max * sizeof(SthReadyFrame *));
		rows->max_frames = max;
	}
	rows->framed_rows += frame->nrows;
	frame->end = rows->framed_rows;
	rows->frames[rows->nframes++] = frame;
	frame_memory += frame_size(frame);
	count_stored(rows, frame->len);
}

/* Forgets the first n rows, which have become the last frame. */
static void
remove_first_rows(SthRows *rows, int n)
{
	int			left = rows->nrows - n;

	if (left > 0)
	{
		uint32		shift = rows->row_pos[n];

		memmove(rows->data, rows->data + shift, rows->data_len - shift);
		rows->data_len -= shift;
		memmove(rows->times, rows->times + n, left * sizeof(int64));
		memmove(rows->row_len, rows->row_len + n, left * sizeof(uint32));
		for (int i = 0; i < left; i++)
			rows->row_pos[i] = rows->row_pos[i + n] - shift;
		memmove(rows->present,
				rows->present + n * sth_present_bytes(rows->topic),
				left * sth_present_bytes(rows->topic));
	}
	else
	{
		rows->data_len = 0;
		rows->row_align = 1;
		rows->routed = false;
	}
	rows->nrows = left;
}

/* How many of the first rows may share a frame: up to the next mark. */
static int
rows_before_mark(SthRows *rows)
{
	int			n = rows->nrows;

	for (int i = rows->nmarks - 1; i >= 0; i--)
	{
		int64		before = rows->marks[i].rows - rows->framed_rows;

		if (before <= 0)
			break;
		n = Min(n, before);
	}
	return n;
}

/*
 * Makes frames of the rows there are: of all, or of as many as fill frames
 * well.
 */
static void
make_frames(SthRows *rows, bool all)
{
	while (rows->nrows > 0)
	{
		int			n = Min(rows_before_mark(rows), MAX_FRAME_ROWS);
		Size		raw_len;
		SthReadyFrame *frame;

		/* all frames are made before offsets are taken */
		CHECK_FOR_INTERRUPTS();
		frame = encode_rows(rows, &n, &raw_len);
		if (n > 1 || raw_len > STH_FRAME_MAX / 2)
		{
			/* of the rows as they are here, to which 'full' is compared */
			compression = (double) (n < rows->nrows ? rows->row_pos[n] :
									rows->data_len) / frame->len;
			compression = Max(0.5, Min(compression, MAX_COMPRESSION));
			rows->full = full_at();
		}
		/* more would go in: wait for it */
		if (!all && n == rows->nrows && n < MAX_FRAME_ROWS &&
			frame->len < STH_FRAME_MAX * FULL_ENOUGH &&
			rows->data_len < rows->full)
		{
			pfree(frame);
			break;
		}
		append_frame(rows, frame);
		remove_first_rows(rows, n);
		if (!all && rows->data_len < rows->full)
			break;
	}
	trim_scratch();
	if (rows->data_size > 1024 * 1024 && rows->nrows == 0)
	{
		uint8	   *data = MemoryContextAlloc(rows->context, 2048);

		pfree(rows->data);
		rows->data = data;
		rows->data_size = 2048;
	}
}

/* Makes frames of all rows. */
void
sth_rows_finish(SthRows *rows)
{
	make_frames(rows, true);
}

/* The finished frames that are here; returns their number. */
int
sth_rows_frames(SthRows *rows, SthReadyFrame ***frames)
{
	*frames = rows->frames;
	return rows->nframes;
}

/* Frees all frames but the first 'left'; their rows count on. */
void
sth_rows_remove_frames(SthRows *rows, int left)
{
	while (rows->nframes > left)
	{
		SthReadyFrame *frame = rows->frames[--rows->nframes];

		frame_memory -= frame_size(frame);
		pfree(frame);
	}
}

/* The rows are not wanted any more.  Must not fail. */
void
sth_rows_free(SthRows *rows)
{
	sth_rows_remove_frames(rows, 0);
	if (rows->frames != NULL)
		pfree(rows->frames);
	if (rows->marks != NULL)
		pfree(rows->marks);
	pfree(rows->times);
	pfree(rows->data);
	pfree(rows);
}

/* The memory that finished frames take, in all logs. */
Size
sth_rows_memory(void)
{
	return frame_memory;
}

/* The transaction is over, and its memory with it.  Must not fail. */
void
sth_rows_forget(void)
{
	frame_memory = 0;
	written = 0;
	sth_pack_forget();
}

/* Sets a mark behind the rows there are. */
void
sth_rows_push_mark(SthRows *rows)
{
	Mark	   *mark;

	if (rows->nmarks == rows->max_marks)
	{
		int			max = Max(rows->max_marks * 2, 4);

		if (rows->marks == NULL)
			rows->marks = MemoryContextAlloc(rows->context, max * sizeof(Mark));
		else
			rows->marks = repalloc(rows->marks, max * sizeof(Mark));
		rows->max_marks = max;
	}
	mark = &rows->marks[rows->nmarks++];
	mark->rows = sth_rows_count(rows);
	mark->bytes = rows->bytes;
	mark->stored = rows->stored;
}

/* Removes the last mark and keeps what came after it. */
void
sth_rows_drop_mark(SthRows *rows)
{
	Assert(rows->nmarks > 0);
	rows->nmarks--;
}

/* How many rows there were at the last mark (depth 0) or one before. */
int64
sth_rows_mark(const SthRows *rows, int depth)
{
	Assert(depth < rows->nmarks);
	return rows->marks[rows->nmarks - 1 - depth].rows;
}

/*
 * Removes the last mark and what came after it, staged or not.  Must not
 * fail: it runs in the abort of a subtransaction.
 */
void
sth_rows_rollback_mark(SthRows *rows)
{
	Mark	   *mark;
	int			left = rows->nframes;

	Assert(rows->nmarks > 0);
	mark = &rows->marks[--rows->nmarks];
	while (left > 0 && rows->frames[left - 1]->end > mark->rows)
		left--;
	sth_rows_remove_frames(rows, left);
	rows->framed_rows = Min(rows->framed_rows, mark->rows);
	rows->nrows = (int) (mark->rows - rows->framed_rows);
	rows->bytes = mark->bytes;
	rows->stored = mark->stored;
	rows->data_len = rows->nrows == 0 ? 0 :
		rows->row_pos[rows->nrows - 1] + rows->row_len[rows->nrows - 1];
}
