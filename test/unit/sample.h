/*
 * Rows of random columns, for the tests of what stores them.  The seed is
 * printed, and taken from STH_SEED if that is set.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/frame.h"
#include "codec/row.h"

#define MAX_ROWS 300
#define MAX_COLUMNS 40

static uint64_t rng;

static inline void
seed_rng(void)
{
	const char *seed = getenv("STH_SEED");

	rng = seed ? strtoull(seed, NULL, 10) : 20261123;
	printf("# STH_SEED=%llu\n", (unsigned long long) rng);
}

static inline uint32_t
any(uint32_t limit)
{
	rng = rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t) (rng >> 33) % limit;
}

/* Rows of random columns, with what they should come back as. */
typedef struct Sample
{
	SthFrameRows in;
	SthFrameColumn columns[MAX_COLUMNS];
	SthLayout	layouts[MAX_COLUMNS];
	int			runs[MAX_COLUMNS];	/* values follow one another? */
	int64_t		times[MAX_ROWS];
	uint32_t	row_pos[MAX_ROWS];
	uint32_t	row_len[MAX_ROWS];
	uint8_t		present[MAX_ROWS * ((MAX_COLUMNS + 7) / 8)];
	uint8_t    *rows;
} Sample;

/* One of each way in which PostgreSQL stores values. */
static const SthLayout sample_layouts[] = {
	{1, 1, 1, 0}, {2, 2, 1, 0}, {4, 4, 1, 0}, {8, 8, 1, 0},
	{16, 1, 0, 0}, {16, 8, 0, 0}, {12, 8, 0, 0}, {6, 4, 0, 0},
	{-1, 4, 0, 1}, {-1, 8, 0, 1}, {-1, 4, 0, 0},
};

#define SAMPLE_LAYOUTS (sizeof(sample_layouts) / sizeof(sample_layouts[0]))

static inline uint8_t *
align_to(uint8_t *row, uint8_t *p, int align, int *row_align)
{
	while ((p - row) % align)
		*p++ = 0;
	if (align > *row_align)
		*row_align = align > 4 ? 8 : align > 1 ? 4 : 1;
	return p;
}

static inline uint8_t *
put_value(const SthLayout *layout, int run, int r, uint8_t *row, uint8_t *p,
		  int *row_align)
{
	uint32_t	n;

	if (layout->len > 0)
	{
		if (!layout->byval)
			p = align_to(row, p, layout->align, row_align);
		n = (uint32_t) layout->len;
	}
	else if ((n = any(any(10) ? 60 : 400)) + 1 <= STH_SHORT_MAX && layout->packable)
		*p++ = (uint8_t) ((n + 1) << 1 | 1);
	else
	{
		uint32_t	head = (n + 4) << 2;

		p = align_to(row, p, layout->align, row_align);
		memcpy(p, &head, 4);
		p += 4;
	}
	if (run && layout->byval)
	{
		int64_t		v = r * 3 + (int) any(3) - 100;

		memcpy(p, &v, n);
		return p + n;
	}
	for (uint32_t i = 0; i < n; i++)
		*p++ = (uint8_t) any(any(2) ? 4 : 256);
	return p;
}

/* Chooses the columns: attribute numbers 1, 4, 7 ... */
static inline void
make_columns(Sample *s, int ncolumns)
{
	memset(s, 0, sizeof(*s));
	s->in.columns = s->columns;
	s->in.ncolumns = ncolumns;
	s->in.present_bytes = ((size_t) ncolumns + 7) / 8;
	for (int c = 0; c < ncolumns; c++)
	{
		s->layouts[c] = sample_layouts[any(SAMPLE_LAYOUTS)];
		s->runs[c] = (int) any(2);
		s->columns[c].attnum = (int16_t) (c * 3 + 1);
		s->columns[c].type = any(2) ? 25 : any(UINT32_MAX);
		s->columns[c].typmod = any(2) ? -1 : (int32_t) any(1 << 20);
	}
}

/* Rows of those columns, every fifth of which is empty.  Free s->rows. */
static inline void
make_rows(Sample *s, int nrows)
{
	int			ncolumns = s->in.ncolumns;
	uint8_t    *p;
	int			dense = (int) any(2);
	int			same_time = any(4) == 0;

	s->rows = malloc((size_t) nrows * (size_t) ncolumns * 420 + 16);
	p = s->rows;
	s->in.row_align = 1;
	memset(s->present, 0, sizeof(s->present));
	for (int r = 0; r < nrows; r++)
	{
		uint8_t    *row = s->rows + STH_ALIGN_UP((size_t) (p - s->rows), 8);

		p = row;
		for (int c = 0; c < ncolumns; c++)
		{
			if (c % 5 == 4 || (!dense && any(3) == 0))
				continue;
			s->present[(size_t) r * s->in.present_bytes + (size_t) c / 8] |=
				(uint8_t) (1 << c % 8);
			p = put_value(&s->layouts[c], s->runs[c], r, row, p, &s->in.row_align);
		}
		s->row_pos[r] = (uint32_t) (row - s->rows);
		s->row_len[r] = (uint32_t) (p - row);
		s->times[r] = same_time ? 800000000000000 :
			any(20) ? 800000000000000 + any(1000000) :
			any(2) ? INT64_MAX - any(9) : INT64_MIN + any(9);
	}
	s->in.nrows = nrows;
	s->in.routed = (int) any(2);
	s->in.times = s->times;
	s->in.row_pos = s->row_pos;
	s->in.row_len = s->row_len;
	s->in.rows = s->rows;
	s->in.present = s->present;
}

static inline void
make_sample(Sample *s, int nrows, int ncolumns)
{
	make_columns(s, ncolumns);
	make_rows(s, nrows);
}

static inline int
is_present(const Sample *s, int r, int c)
{
	return s->present[(size_t) r * s->in.present_bytes + (size_t) c / 8] >> c % 8 & 1;
}

/* A frame of the rows in dst; its length, or 0 if it does not fit. */
static inline size_t
encode_sample(const Sample *s, uint8_t *dst, size_t cap)
{
	SthFrameScratch scratch;
	size_t		len = 0;
	size_t		raw;

	scratch.body_size = sth_frame_body_bound(&s->in);
	scratch.body = malloc(scratch.body_size);
	scratch.lz4_state = malloc(sth_frame_lz4_state_size());
	if (sth_frame_encode(&s->in, &scratch, dst, cap, &len, &raw) != STH_FRAME_OK)
		len = 0;
	free(scratch.body);
	free(scratch.lz4_state);
	return len;
}

#endif							/* SAMPLE_H */
