/*-------------------------------------------------------------------------
 *
 * frame.c
 *	  Encoding and decoding of frames.
 *
 * A frame is a head byte, a descriptor of its columns, the times of its
 * oldest and newest row, and a body, which LZ4 has compressed where that
 * pays.  The body has its directory first (lengths, times, null bitmaps,
 * each for all rows) and then the rows, so that what is alike lies together
 * and compresses, and so that a reader of times touches no row.
 *
 * Columns in which no row has a value are left out of descriptor and
 * bitmaps: a topic may have many columns and its rows use few, and a frame
 * of a single row should not cost more than the row.
 *
 * Memory: all buffers are the caller's.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/frame.h"

#include <lz4.h>
#include <string.h>

#include "codec/row.h"
#include "codec/varint.h"

/* The head byte. */
#define HEAD_KIND		0x07
#define HEAD_ALIGN_4	0x08
#define HEAD_ALIGN_8	0x10
#define HEAD_LZ4		0x20
#define HEAD_NULLS		0x40
#define HEAD_ROUTED		0x80

/*
 * LZ4's acceleration.  Rows stay in frames only until they go to a segment:
 * 4 takes half the time of 1 and 3 % more room.
 */
#define LZ4_ACCELERATION 4

/* Below this many bytes of body LZ4 is not tried. */
#define LZ4_WORTH_TRYING 256

/* A part's head: kind, part number and count, as fixed-width integers. */
#define PART_HEAD (1 + 4 + 4)

/* What stands for rows elsewhere, or for none: kind, stage, span. */
#define STAGED_LEN (1 + 4 + 8)
#define VOID_LEN (1 + 8)

#define BITMAP_BYTES(n) (((size_t) (n) + 7) / 8)

static inline int
bit_is_set(const uint8_t *bits, int n)
{
	return (bits[n >> 3] >> (n & 7)) & 1;
}

static int
count_bits(const uint8_t *bits, int n)
{
	int			count = 0;

	while (n-- > 0)
		count += bit_is_set(bits, n);
	return count;
}

static void
put_i64(uint8_t *p, int64_t v)
{
	memcpy(p, &v, 8);
}

static int64_t
get_i64(const uint8_t *p)
{
	int64_t		v;

	memcpy(&v, p, 8);
	return v;
}

size_t
sth_frame_lz4_state_size(void)
{
	return (size_t) LZ4_sizeofState();
}

/* No body of these rows is longer than this, decompressed. */
size_t
sth_frame_body_bound(const SthFrameRows *in)
{
	size_t		size = 8;
	int			i;

	for (i = 0; i < in->nrows; i++)
		size += (size_t) in->row_len[i] + 7;
	size += (size_t) in->nrows * (2 * STH_VARINT_MAX + in->present_bytes);
	return size;
}

/*
 * Which columns have a value in any row (bits in 'used'), and whether some
 * row lacks one of those.
 */
static int
find_used_columns(const SthFrameRows *in, uint8_t *used)
{
	int			nulls = 0;
	int			i;
	size_t		b;

	memset(used, 0, in->present_bytes);
	for (i = 0; i < in->nrows; i++)
		for (b = 0; b < in->present_bytes; b++)
			used[b] |= in->present[i * in->present_bytes + b];
	for (i = 0; i < in->nrows && !nulls; i++)
		nulls = memcmp(used, in->present + i * in->present_bytes,
					   in->present_bytes) != 0;
	return nulls;
}

/* Descriptor entries of the used columns; returns the end. */
static uint8_t *
put_descriptor(const SthFrameRows *in, const uint8_t *used, int nused,
			   uint8_t *p)
{
	int			last = 0;
	int			i;

	p = sth_varint_put(p, (uint64_t) nused);
	for (i = 0; i < in->ncolumns; i++)
	{
		if (!bit_is_set(used, i))
			continue;
		p = sth_varint_put(p, (uint64_t) (in->columns[i].attnum - last));
		p = sth_varint_put(p, in->columns[i].type);
		p = sth_varint_put(p, sth_zigzag(in->columns[i].typmod));
		last = in->columns[i].attnum;
	}
	return p;
}

/* Row i's null bitmap, narrowed to the used columns; returns the end. */
static uint8_t *
put_bitmap(const SthFrameRows *in, const uint8_t *used, int nused, int i,
		   uint8_t *p)
{
	const uint8_t *present = in->present + i * in->present_bytes;
	int			c;
	int			n = 0;

	memset(p, 0, BITMAP_BYTES(nused));
	for (c = 0; c < in->ncolumns; c++)
	{
		if (!bit_is_set(used, c))
			continue;
		if (bit_is_set(present, c))
			p[n >> 3] |= (uint8_t) (1 << (n & 7));
		n++;
	}
	return p + BITMAP_BYTES(nused);
}

/* Lays out the body, uncompressed; returns its length. */
static size_t
put_body(const SthFrameRows *in, const uint8_t *used, int nused, int nulls,
		 int64_t min_time, uint8_t *body)
{
	uint8_t    *p = body;
	int			i;

	if (in->nrows > 1)
	{
		int64_t		last = min_time;

		for (i = 0; i < in->nrows; i++)
			p = sth_varint_put(p, in->row_len[i]);
		for (i = 0; i < in->nrows; i++)
		{
			/* unsigned: the difference of two clocks may overflow */
			p = sth_varint_put(p, sth_zigzag((int64_t) ((uint64_t) in->times[i] -
														(uint64_t) last)));
			last = in->times[i];
		}
	}
	if (nulls)
		for (i = 0; i < in->nrows; i++)
			p = put_bitmap(in, used, nused, i, p);
	for (i = 0; i < in->nrows; i++)
	{
		size_t		at = (size_t) (p - body);
		size_t		pad = STH_ALIGN_UP(at, in->row_align) - at;

		memset(p, 0, pad);
		p += pad;
		memcpy(p, in->rows + in->row_pos[i], in->row_len[i]);
		p += in->row_len[i];
	}
	return (size_t) (p - body);
}

/*
 * Encodes all of 'in' into dst.  *len is the frame's length, *raw_len what
 * its body has decompressed.  STH_FRAME_NO_ROOM: it does not fit 'cap'; fewer
 * rows may.
 */
SthFrameResult
sth_frame_encode(const SthFrameRows *in, const SthFrameScratch *scratch,
				 uint8_t *dst, size_t cap, size_t *len, size_t *raw_len)
{
	uint8_t		used[BITMAP_BYTES(STH_FRAME_MAX_COLUMNS)];
	uint8_t    *p = dst;
	uint8_t    *body = scratch->body;
	size_t		bound = sth_frame_body_bound(in);
	int64_t		min_time = in->times[0];
	int64_t		max_time = in->times[0];
	int			nused;
	int			nulls;
	int			i;
	size_t		raw;

	if (in->ncolumns > STH_FRAME_MAX_COLUMNS ||
		bound > scratch->body_size)
		return STH_FRAME_NO_ROOM;
	nulls = find_used_columns(in, used);
	nused = count_bits(used, in->ncolumns);
	if (cap < STH_FRAME_HEAD_MAX + (size_t) nused * STH_FRAME_COLUMN_MAX)
		return STH_FRAME_NO_ROOM;

	for (i = 1; i < in->nrows; i++)
	{
		if (in->times[i] < min_time)
			min_time = in->times[i];
		if (in->times[i] > max_time)
			max_time = in->times[i];
	}

	*p++ = (uint8_t) (STH_FRAME_ROWS |
					  (in->row_align == 4 ? HEAD_ALIGN_4 : 0) |
					  (in->row_align == 8 ? HEAD_ALIGN_8 : 0) |
					  (nulls ? HEAD_NULLS : 0) |
					  (in->routed ? HEAD_ROUTED : 0));
	p = put_descriptor(in, used, nused, p);
	put_i64(p, min_time);
	p += 8;
	if (in->nrows > 1)
		p = sth_varint_put(p, (uint64_t) max_time - (uint64_t) min_time);

	/* what is too short to be compressed can stay where it is laid out */
	if (bound < LZ4_WORTH_TRYING && bound <= cap - (size_t) (p - dst))
		body = p;
	raw = put_body(in, used, nused, nulls, min_time, body);
	*raw_len = raw;

	if (raw >= LZ4_WORTH_TRYING && raw <= LZ4_MAX_INPUT_SIZE)
	{
		uint8_t    *q = sth_varint_put(p, raw);
		size_t		room = cap - (size_t) (q - dst);
		int			n;

		/* not worth it unless it saves a sixteenth */
		if (room > raw - raw / 16)
			room = raw - raw / 16;
		n = LZ4_compress_fast_extState(scratch->lz4_state,
									   (const char *) body, (char *) q,
									   (int) raw, (int) room,
									   LZ4_ACCELERATION);
		if (n > 0)
		{
			dst[0] |= HEAD_LZ4;
			*len = (size_t) (q - dst) + (size_t) n;
			return STH_FRAME_OK;
		}
	}
	if (cap - (size_t) (p - dst) < raw)
		return STH_FRAME_NO_ROOM;
	if (body != p)
		memcpy(p, body, raw);
	*len = (size_t) (p - dst) + raw;
	return STH_FRAME_OK;
}

/* How many bytes of a larger frame a part of 'cap' bytes carries. */
size_t
sth_frame_part_capacity(size_t cap)
{
	return cap - PART_HEAD;
}

uint32_t
sth_frame_part_count(size_t len, size_t cap)
{
	size_t		chunk = sth_frame_part_capacity(cap);

	return (uint32_t) ((len + chunk - 1) / chunk);
}

/* Writes part number 'part' of a frame that is too long for 'cap' bytes. */
size_t
sth_frame_part(const uint8_t *frame, size_t len, uint32_t part,
			   uint8_t *dst, size_t cap)
{
	size_t		chunk = sth_frame_part_capacity(cap);
	size_t		from = chunk * part;
	size_t		n = len - from < chunk ? len - from : chunk;
	uint32_t	nparts = sth_frame_part_count(len, cap);

	dst[0] = STH_FRAME_PART;
	memcpy(dst + 1, &part, 4);
	memcpy(dst + 5, &nparts, 4);
	memcpy(dst + PART_HEAD, frame + from, n);
	return PART_HEAD + n;
}

/* Writes the frame that says under which stage the rows of 'span' offsets lie. */
size_t
sth_frame_put_staged(uint8_t *dst, int32_t stage, int64_t span)
{
	dst[0] = STH_FRAME_STAGED;
	memcpy(dst + 1, &stage, 4);
	put_i64(dst + 5, span);
	return STAGED_LEN;
}

/* Writes the frame that says that 'span' offsets have no rows. */
size_t
sth_frame_put_void(uint8_t *dst, int64_t span)
{
	dst[0] = STH_FRAME_VOID;
	put_i64(dst + 1, span);
	return VOID_LEN;
}

static SthFrameResult
parse_marker(const uint8_t *frame, size_t len, SthFrame *out)
{
	const uint8_t *p = frame + 1;

	if (frame[0] != (uint8_t) out->kind ||
		len != (out->kind == STH_FRAME_STAGED ? STAGED_LEN : VOID_LEN))
		return STH_FRAME_DAMAGED;
	if (out->kind == STH_FRAME_STAGED)
	{
		memcpy(&out->stage, p, 4);
		p += 4;
		if (out->stage <= 0)
			return STH_FRAME_DAMAGED;
	}
	out->span = get_i64(p);
	return out->span > 0 ? STH_FRAME_OK : STH_FRAME_DAMAGED;
}

/*
 * What kind a frame is of, and how many offsets it stands for, without taking
 * it apart.  nrows is what the tail counts in it; of the parts of a frame each
 * stands for the one offset that they share.
 */
SthFrameResult
sth_frame_span(const uint8_t *frame, size_t len, int nrows,
			   SthFrameKind *kind, int64_t *span)
{
	SthFrame	marker;

	if (len < 1)
		return STH_FRAME_DAMAGED;
	*kind = (SthFrameKind) (frame[0] & HEAD_KIND);
	switch (*kind)
	{
		case STH_FRAME_ROWS:
			*span = nrows;
			return nrows > 0 ? STH_FRAME_OK : STH_FRAME_DAMAGED;
		case STH_FRAME_PART:
			*span = 1;
			return nrows <= 1 ? STH_FRAME_OK : STH_FRAME_DAMAGED;
		case STH_FRAME_STAGED:
		case STH_FRAME_VOID:
			marker.kind = *kind;
			if (nrows != 0 ||
				parse_marker(frame, len, &marker) != STH_FRAME_OK)
				return STH_FRAME_DAMAGED;
			*span = marker.span;
			return STH_FRAME_OK;
		default:
			return STH_FRAME_UNKNOWN;
	}
}

static SthFrameResult
parse_part(const uint8_t *frame, size_t len, SthFrame *out)
{
	if (frame[0] != STH_FRAME_PART || len <= PART_HEAD)
		return STH_FRAME_DAMAGED;
	memcpy(&out->part, frame + 1, 4);
	memcpy(&out->nparts, frame + 5, 4);
	if (out->nparts < 2 || out->part >= out->nparts)
		return STH_FRAME_DAMAGED;
	out->body = frame + PART_HEAD;
	out->body_len = len - PART_HEAD;
	return STH_FRAME_OK;
}

/* Steps over the descriptor at p and notes where its entries lie. */
static const uint8_t *
parse_descriptor(const uint8_t *p, const uint8_t *end, SthFrame *out)
{
	uint64_t	n;
	uint64_t	i;

	p = sth_varint_get(p, end, &n);
	if (p == NULL || n > STH_FRAME_MAX_COLUMNS)
		return NULL;
	out->ncolumns = (int) n;
	out->descriptor = p;
	for (i = 0; i < 3 * n; i++)
	{
		uint64_t	ignored;

		p = sth_varint_get(p, end, &ignored);
		if (p == NULL)
			return NULL;
	}
	out->descriptor_len = (size_t) (p - out->descriptor);
	return p;
}

/*
 * Takes a frame of nrows rows apart, without looking into its body.  Frames of
 * other kinds have no rows of their own, and nrows is ignored.
 */
SthFrameResult
sth_frame_parse(const uint8_t *frame, size_t len, int nrows, SthFrame *out)
{
	const uint8_t *p = frame;
	const uint8_t *end = frame + len;
	uint8_t		head;

	memset(out, 0, sizeof(*out));
	if (len < 1)
		return STH_FRAME_DAMAGED;
	head = *p++;
	out->kind = (SthFrameKind) (head & HEAD_KIND);
	if (out->kind == STH_FRAME_PART)
		return parse_part(frame, len, out);
	if (out->kind == STH_FRAME_STAGED || out->kind == STH_FRAME_VOID)
		return parse_marker(frame, len, out);
	if (out->kind != STH_FRAME_ROWS)
		return STH_FRAME_UNKNOWN;
	if (nrows < 1 || (head & (HEAD_ALIGN_4 | HEAD_ALIGN_8)) ==
		(HEAD_ALIGN_4 | HEAD_ALIGN_8))
		return STH_FRAME_DAMAGED;
	out->nrows = nrows;
	out->row_align = head & HEAD_ALIGN_8 ? 8 : head & HEAD_ALIGN_4 ? 4 : 1;
	out->compressed = (head & HEAD_LZ4) != 0;
	out->has_nulls = (head & HEAD_NULLS) != 0;
	out->routed = (head & HEAD_ROUTED) != 0;

	p = parse_descriptor(p, end, out);
	if (p == NULL || end - p < 8)
		return STH_FRAME_DAMAGED;
	out->min_time = get_i64(p);
	out->max_time = out->min_time;
	p += 8;
	if (nrows > 1)
	{
		uint64_t	span;

		p = sth_varint_get(p, end, &span);
		if (p == NULL)
			return STH_FRAME_DAMAGED;
		out->max_time = (int64_t) ((uint64_t) out->min_time + span);
	}
	if (out->compressed)
	{
		uint64_t	raw;

		p = sth_varint_get(p, end, &raw);
		if (p == NULL || raw > LZ4_MAX_INPUT_SIZE)
			return STH_FRAME_DAMAGED;
		out->raw_len = (size_t) raw;
	}
	else
		out->raw_len = (size_t) (end - p);
	out->body = p;
	out->body_len = (size_t) (end - p);
	return STH_FRAME_OK;
}

/* The frame's columns; room for frame->ncolumns entries. */
SthFrameResult
sth_frame_columns(const SthFrame *frame, SthFrameColumn *columns)
{
	const uint8_t *p = frame->descriptor;
	const uint8_t *end = p + frame->descriptor_len;
	uint64_t	attnum = 0;
	int			i;

	for (i = 0; i < frame->ncolumns; i++)
	{
		uint64_t	delta;
		uint64_t	type;
		uint64_t	typmod;

		if ((p = sth_varint_get(p, end, &delta)) == NULL ||
			(p = sth_varint_get(p, end, &type)) == NULL ||
			(p = sth_varint_get(p, end, &typmod)) == NULL)
			return STH_FRAME_DAMAGED;
		if (delta == 0 || delta > INT16_MAX || attnum + delta > INT16_MAX ||
			type > UINT32_MAX || typmod > UINT32_MAX)
			return STH_FRAME_DAMAGED;
		attnum += delta;
		columns[i].attnum = (int16_t) attnum;
		columns[i].type = (uint32_t) type;
		columns[i].typmod = (int32_t) sth_unzigzag(typmod);
	}
	return STH_FRAME_OK;
}

/* Writes the body, decompressed, to dst: frame->raw_len bytes. */
SthFrameResult
sth_frame_body(const SthFrame *frame, uint8_t *dst, size_t cap)
{
	if (cap < frame->raw_len)
		return STH_FRAME_NO_ROOM;
	if (!frame->compressed)
		memcpy(dst, frame->body, frame->raw_len);
	else if (LZ4_decompress_safe((const char *) frame->body, (char *) dst,
								 (int) frame->body_len,
								 (int) frame->raw_len) != (int) frame->raw_len)
		return STH_FRAME_DAMAGED;
	return STH_FRAME_OK;
}

/* Steps over n varints; NULL if they do not end before 'end'. */
static const uint8_t *
skip_varints(const uint8_t *p, const uint8_t *end, int n)
{
	while (n > 0 && p < end)
		if (*p++ < 0x80)
			n--;
	return n == 0 ? p : NULL;
}

/*
 * Puts a cursor before the first row of a decompressed body, which must be
 * as aligned in memory as the frame's rows ask for (8 always will do).
 */
SthFrameResult
sth_frame_open(const SthFrame *frame, const uint8_t *body,
			   SthFrameCursor *cursor)
{
	const uint8_t *p = body;
	const uint8_t *end = body + frame->raw_len;

	memset(cursor, 0, sizeof(*cursor));
	cursor->body = body;
	cursor->end = end;
	cursor->nrows = frame->nrows;
	cursor->row_align = frame->row_align;
	cursor->time = frame->min_time;

	if (frame->nrows > 1)
	{
		cursor->lengths = p;
		p = skip_varints(p, end, frame->nrows);
		if (p == NULL)
			return STH_FRAME_DAMAGED;
		cursor->lengths_end = p;
		cursor->times = p;
		p = skip_varints(p, end, frame->nrows);
		if (p == NULL)
			return STH_FRAME_DAMAGED;
		cursor->times_end = p;
	}
	if (frame->has_nulls)
	{
		cursor->null_bytes = BITMAP_BYTES(frame->ncolumns);
		if (cursor->null_bytes == 0 || (size_t) (end - p) / cursor->null_bytes < (size_t) frame->nrows)
			return STH_FRAME_DAMAGED;
		cursor->nulls = p;
		p += cursor->null_bytes * (size_t) frame->nrows;
	}
	cursor->row = p;
	return STH_FRAME_OK;
}

/* The next row; to be called frame->nrows times. */
SthFrameResult
sth_frame_next(SthFrameCursor *cursor, SthFrameRow *row)
{
	const uint8_t *p;
	uint64_t	len;

	p = cursor->body + STH_ALIGN_UP((size_t) (cursor->row - cursor->body),
									cursor->row_align);
	if (cursor->next >= cursor->nrows || p > cursor->end)
		return STH_FRAME_DAMAGED;
	if (cursor->nrows > 1)
	{
		uint64_t	delta;

		cursor->lengths = sth_varint_get(cursor->lengths,
										 cursor->lengths_end, &len);
		if (cursor->lengths == NULL)
			return STH_FRAME_DAMAGED;
		cursor->times = sth_varint_get(cursor->times, cursor->times_end,
									   &delta);
		if (cursor->times == NULL)
			return STH_FRAME_DAMAGED;
		cursor->time = (int64_t) ((uint64_t) cursor->time +
								  (uint64_t) sth_unzigzag(delta));
	}
	else
		len = (uint64_t) (cursor->end - p);
	if (len > (uint64_t) (cursor->end - p))
		return STH_FRAME_DAMAGED;

	row->values = p;
	row->end = p + len;
	row->time = cursor->time;
	row->present = cursor->nulls;
	if (cursor->nulls != NULL)
		cursor->nulls += cursor->null_bytes;
	cursor->row = p + len;
	cursor->next++;
	return STH_FRAME_OK;
}
