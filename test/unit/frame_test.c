/*
 * Frames: rows come back as they were, and a damaged frame is refused or
 * yields other bytes, but is never read past its end (run under a sanitizer
 * to see that).  The seed is printed, and taken from STH_SEED if that is set.
 */
#include "codec/frame.h"

#include <stdlib.h>
#include <string.h>

#include "sample.h"
#include "tap.h"

#define CAP 8112

/* Reads every value of an opened frame; returns whether all was well-formed. */
static int
walk(const SthFrame *frame, const uint8_t *body, const Sample *s, int *same)
{
	SthFrameColumn columns[STH_FRAME_MAX_COLUMNS];
	SthFrameCursor cursor;
	SthFrameRow row;

	if (sth_frame_columns(frame, columns) != STH_FRAME_OK ||
		sth_frame_open(frame, body, &cursor) != STH_FRAME_OK)
		return 0;
	for (int r = 0; r < frame->nrows; r++)
	{
		const uint8_t *p;
		int			n = 0;

		if (sth_frame_next(&cursor, &row) != STH_FRAME_OK)
			return 0;
		p = row.values;
		for (int i = 0; i < frame->ncolumns; i++)
		{
			int			c = (columns[i].attnum - 1) / 3;
			uintptr_t	value;

			if (!sth_frame_has(&row, i))
				continue;
			n++;
			if (c < 0 || c >= s->in.ncolumns)
				return 0;
			p = sth_row_fetch(&s->layouts[c], row.values, p, row.end, &value);
			if (p == NULL)
				return 0;
			*same &= r < s->in.nrows && is_present(s, r, c);
		}
		for (int c = 0; r < s->in.nrows && c < s->in.ncolumns; c++)
			n -= is_present(s, r, c);
		*same &= n == 0 && r < s->in.nrows && row.time == s->times[r] &&
			(size_t) (row.end - row.values) == s->row_len[r] &&
			memcmp(row.values, s->rows + s->row_pos[r], s->row_len[r]) == 0;
	}
	return 1;
}

/* Decodes a copy that ends where the frame ends; returns if well-formed. */
static int
decode(const uint8_t *frame, size_t len, int nrows, const Sample *s, int *same)
{
	uint8_t    *copy = malloc(len);
	SthFrame	parsed;
	int			fine = 0;

	memcpy(copy, frame, len);
	if (sth_frame_parse(copy, len, nrows, &parsed) == STH_FRAME_OK &&
		parsed.kind == STH_FRAME_ROWS && parsed.raw_len < 64 * 1024 * 1024)
	{
		uint8_t    *body = malloc(parsed.raw_len + 1);

		fine = sth_frame_body(&parsed, body, parsed.raw_len) == STH_FRAME_OK &&
			walk(&parsed, body, s, same);
		free(body);
	}
	free(copy);
	return fine;
}

static void
test_round_trips(void)
{
	int			good = 1;
	int			fits = 0;

	for (int i = 0; i < 2000; i++)
	{
		static uint8_t frame[4 * 1024 * 1024];
		Sample		s;
		int			same = 1;
		size_t		len;

		make_sample(&s, 1 + (int) any(any(3) ? 3 : MAX_ROWS),
					1 + (int) any(MAX_COLUMNS));
		len = encode_sample(&s, frame, sizeof(frame));
		good &= len > 0 && decode(frame, len, s.in.nrows, &s, &same) && same;
		if (encode_sample(&s, frame, CAP) > 0)
			fits++;
		free(s.rows);
	}
	ok(good, "rows come back as they were");
	ok(fits > 0 && fits < 2000, "some fit a page and some do not");
}

static void
test_damage(void)
{
	int			refused = 0;
	int			tried = 0;

	for (int i = 0; i < 400; i++)
	{
		static uint8_t frame[4 * 1024 * 1024];
		Sample		s;
		size_t		len;

		make_sample(&s, 1 + (int) any(20), 1 + (int) any(12));
		len = encode_sample(&s, frame, sizeof(frame));
		for (int k = 0; k < 50; k++, tried++)
		{
			size_t		at = any((uint32_t) len);
			size_t		cut = any(4) ? len : 1 + any((uint32_t) len);
			uint8_t		before = frame[at];
			int			same = 1;

			frame[at] ^= (uint8_t) (1 << any(8));
			refused += !decode(frame, cut,
							   any(4) ? s.in.nrows : (int) any(100), &s, &same);
			frame[at] = before;
		}
		free(s.rows);
	}
	ok(refused > 0, "of %d damaged frames some are refused, none overruns",
	   tried);
}

static void
test_parts(void)
{
	static uint8_t whole[3 * CAP];
	static uint8_t back[3 * CAP];
	uint8_t		part[CAP];
	uint32_t	nparts = sth_frame_part_count(sizeof(whole), CAP);
	size_t		at = 0;
	int			good = 1;

	for (size_t i = 0; i < sizeof(whole); i++)
		whole[i] = (uint8_t) any(256);
	for (uint32_t i = 0; i < nparts; i++)
	{
		size_t		len = sth_frame_part(whole, sizeof(whole), i, part, CAP);
		SthFrame	parsed;

		good &= sth_frame_parse(part, len, 1, &parsed) == STH_FRAME_OK &&
			parsed.kind == STH_FRAME_PART && parsed.part == i &&
			parsed.nparts == nparts;
		memcpy(back + at, parsed.body, parsed.body_len);
		at += parsed.body_len;
	}
	ok(nparts == 4 && good, "a large frame is cut into parts");
	ok(at == sizeof(whole) && memcmp(whole, back, at) == 0,
	   "and put together again");
}

/* Frames without rows of their own, byte by byte as docs/format.md has them. */
static void
test_markers(void)
{
	static const uint8_t staged[] = {
		0x02,					/* staged */
		0x07, 0x00, 0x00, 0x00, /* under stage 7 */
		0x40, 0x42, 0x0f, 0x00, 0x00, 0x00, 0x00, 0x00	/* a million rows */
	};
	static const uint8_t hole[] = {
		0x03,					/* void */
		0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00	/* five offsets */
	};
	uint8_t		frame[STH_FRAME_MARKER_MAX];
	uint8_t		copy[sizeof(staged)];
	SthFrame	parsed;
	SthFrameKind kind;
	int64_t		span;

	ok(sth_frame_put_staged(frame, 7, 1000000) == sizeof(staged) &&
	   memcmp(frame, staged, sizeof(staged)) == 0 &&
	   sth_frame_parse(staged, sizeof(staged), 0, &parsed) == STH_FRAME_OK &&
	   parsed.kind == STH_FRAME_STAGED && parsed.stage == 7 &&
	   parsed.span == 1000000, "staged rows are pointed to");
	ok(sth_frame_put_void(frame, 5) == sizeof(hole) &&
	   memcmp(frame, hole, sizeof(hole)) == 0 &&
	   sth_frame_parse(hole, sizeof(hole), 0, &parsed) == STH_FRAME_OK &&
	   parsed.kind == STH_FRAME_VOID && parsed.span == 5,
	   "a void says how long it is");
	ok(sth_frame_span(staged, sizeof(staged), 0, &kind, &span) == STH_FRAME_OK &&
	   kind == STH_FRAME_STAGED && span == 1000000 &&
	   sth_frame_span(hole, sizeof(hole), 0, &kind, &span) == STH_FRAME_OK &&
	   kind == STH_FRAME_VOID && span == 5, "which is known without parsing");
	ok(sth_frame_span(hole, sizeof(hole), 1, &kind, &span) == STH_FRAME_DAMAGED &&
	   sth_frame_span(hole, sizeof(hole) - 1, 0, &kind, &span) == STH_FRAME_DAMAGED &&
	   sth_frame_span(hole, 0, 0, &kind, &span) == STH_FRAME_DAMAGED,
	   "a void with rows, or cut off, is damage");
	memcpy(copy, staged, sizeof(staged));
	copy[12] = 0x80;
	ok(sth_frame_parse(copy, sizeof(copy), 0, &parsed) == STH_FRAME_DAMAGED,
	   "a negative length is damage");
	memcpy(copy, staged, sizeof(staged));
	copy[1] = 0;
	ok(sth_frame_parse(copy, sizeof(copy), 0, &parsed) == STH_FRAME_DAMAGED,
	   "so is no stage");
	memcpy(copy, staged, sizeof(staged));
	copy[0] |= 0x40;
	ok(sth_frame_parse(copy, sizeof(copy), 0, &parsed) == STH_FRAME_DAMAGED,
	   "so are bits that mean nothing");
}

static void
test_refusals(void)
{
	uint8_t		unknown[16] = {0x07};
	uint8_t		align[16] = {0x18};
	SthFrame	frame;

	ok(sth_frame_parse(unknown, sizeof(unknown), 1, &frame) == STH_FRAME_UNKNOWN,
	   "a kind of a later version is told from damage");
	ok(sth_frame_parse(align, sizeof(align), 1, &frame) == STH_FRAME_DAMAGED,
	   "an alignment that does not exist is damage");
	ok(sth_frame_parse(unknown, 0, 1, &frame) == STH_FRAME_DAMAGED,
	   "nothing is no frame");
}

/* A frame of two short texts, byte by byte as docs/format.md has it. */
static void
test_vector(void)
{
	static const uint8_t expected[] = {
		0x00,					/* rows, no LZ4, no bitmaps */
		0x02,					/* two columns */
		0x04, 0x19, 0x01,		/* attnum 4, type 25, no modifier */
		0x01, 0x19, 0x01,		/* attnum 5, likewise */
		0x00, 0x00, 0x11, 0xed, 0x32, 0xea, 0x02, 0x00, /* its time */
		0x07, 'k', '1',			/* one-byte headers: length * 2 + 1 */
		0x09, 'a', 'b', 'c'
	};
	static const SthFrameColumn columns[] = {{4, 25, -1}, {5, 25, -1}};
	static const int64_t times[] = {820454400000000};
	static const uint32_t pos[] = {0};
	static const uint32_t len[] = {7};
	static const uint8_t row[] = {0x07, 'k', '1', 0x09, 'a', 'b', 'c'};
	static const uint8_t present[] = {0x03};
	SthFrameRows in = {columns, 2, 1, 1, 0, times, pos, len, row, present, 1};
	SthFrameScratch scratch;
	uint8_t		frame[CAP];
	uint8_t		body[1024];
	size_t		n;
	size_t		raw;

	scratch.body = body;
	scratch.body_size = sizeof(body);
	scratch.lz4_state = malloc(sth_frame_lz4_state_size());
	ok(sth_frame_encode(&in, &scratch, frame, CAP, &n, &raw) == STH_FRAME_OK &&
	   n == sizeof(expected) && memcmp(frame, expected, n) == 0,
	   "the bytes are those of docs/format.md");
	free(scratch.lz4_state);
}

int
main(void)
{
	seed_rng();
	test_round_trips();
	test_damage();
	test_parts();
	test_markers();
	test_refusals();
	test_vector();
	return done_testing();
}
