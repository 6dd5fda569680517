/*-------------------------------------------------------------------------
 *
 * pattern_reader.c
 *	  Texts again, from patterns and fields.
 *
 * All streams are decompressed into one buffer.  What a text needs of a field
 * is then the next of its stream, so that the streams are read from front to
 * back, each once, and have to be at their ends with the last text.
 *
 * No length is trusted: what is read stays within the stream, what is written
 * within the values, but for a few bytes that both buffers have to spare, so
 * that short pieces are copied as if they were of one length.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/pattern.h"

#include <string.h>

#include "codec/row.h"
#include "codec/varint.h"

/* The head, the patterns' numbers, and two for each field at most. */
#define STREAMS_MAX (2 + 2 * STH_PATTERN_MAX)

/* No stream is longer, nor all of them together: what palloc can give. */
#define STREAM_LEN_MAX 0x3fffff00U

typedef struct Stream
{
	const uint8_t *p;
	const uint8_t *end;
} Stream;

typedef struct Field
{
	uint8_t		coding;
	uint8_t		width;
	Stream		lengths;		/* of texts */
	Stream		values;
	uint64_t	last;
} Field;

typedef struct Patterns
{
	int			nfields;
	int			npatterns;
	Field		fields[STH_PATTERN_MAX];
	const uint8_t *patterns[STH_PATTERN_MAX];	/* checked; see put_text */
} Patterns;

/* --- streams -------------------------------------------------------------- */

/* A stream as stored. */
typedef struct Stored
{
	const uint8_t *p;
	size_t		len;
	size_t		raw_len;
} Stored;

/* Finds where the streams are; returns their number, or -1: damaged. */
static int
find_streams(const uint8_t *p, const uint8_t *end, SthCompression compression,
			 Stored *stored, size_t *total)
{
	int			n = 0;

	*total = 0;
	while (p < end)
	{
		uint64_t	raw_len;
		uint64_t	len;

		if (n == STREAMS_MAX ||
			(p = sth_varint_get(p, end, &raw_len)) == NULL ||
			(p = sth_varint_get(p, end, &len)) == NULL ||
			len > (size_t) (end - p) || len > raw_len ||
			raw_len > STREAM_LEN_MAX - *total ||
			(len < raw_len &&
			 !sth_decompressed_size_is_sane(compression, len, raw_len)))
			return -1;
		stored[n].p = p;
		stored[n].len = len;
		stored[n].raw_len = raw_len;
		*total += raw_len;
		p += len;
		n++;
	}
	return n;
}

/* Decompresses all streams into one buffer. */
static SthPatternResult
read_streams(const uint8_t *data, size_t len, SthCompression compression,
			 SthDecompressor *decompressor, const SthMemory *memory,
			 SthBuffer *buffer, Stream *streams, int *nstreams)
{
	Stored		stored[STREAMS_MAX];
	size_t		total;
	uint8_t    *to;
	int			n = find_streams(data, data + len, compression, stored, &total);
	int			i;

	if (n < 2)
		return STH_PATTERN_DAMAGED;
	if (!sth_buffer_reset(memory, buffer, total + STH_PATTERN_SLACK))
		return STH_PATTERN_NO_MEMORY;
	memset(buffer->data + total, 0, STH_PATTERN_SLACK);
	to = buffer->data;
	for (i = 0; i < n; i++)
	{
		if (stored[i].len == stored[i].raw_len)
			memcpy(to, stored[i].p, stored[i].len);
		else if (!sth_decompress(decompressor, compression, stored[i].p,
								 stored[i].len, to, stored[i].raw_len))
			return STH_PATTERN_DAMAGED;
		streams[i].p = to;
		to += stored[i].raw_len;
		streams[i].end = to;
	}
	*nstreams = n;
	return STH_PATTERN_OK;
}

/* --- the head ------------------------------------------------------------- */

static const uint8_t *
check_piece(const uint8_t *p, const uint8_t *end)
{
	uint64_t	len;

	p = sth_varint_get(p, end, &len);
	return p != NULL && len <= (size_t) (end - p) ? p + len : NULL;
}

/* Steps over a pattern; NULL: damaged. */
static const uint8_t *
check_pattern(const Patterns *patterns, const uint8_t *p, const uint8_t *end)
{
	int			places;

	if (p == end)
		return NULL;
	for (places = *p++; places > 0; places--)
	{
		p = check_piece(p, end);
		if (p == NULL || p == end || *p++ >= patterns->nfields)
			return NULL;
	}
	return check_piece(p, end);
}

/* Reads the head; returns whether it is well-formed. */
static int
read_head(Stream head, Patterns *patterns)
{
	const uint8_t *p = head.p;
	int			i;

	if (p == head.end)
		return 0;
	patterns->nfields = *p++;
	if (head.end - p < 2 * patterns->nfields + 1)
		return 0;
	for (i = 0; i < patterns->nfields; i++)
	{
		patterns->fields[i].coding = *p++;
		patterns->fields[i].width = *p++;
		patterns->fields[i].last = 0;
		if (patterns->fields[i].coding > STH_FIELD_DIFFERENCE ||
			patterns->fields[i].width > STH_FIELD_DIGITS_MAX)
			return 0;
	}
	patterns->npatterns = *p++;
	for (i = 0; i < patterns->npatterns; i++)
	{
		patterns->patterns[i] = p;
		p = check_pattern(patterns, p, head.end);
		if (p == NULL)
			return 0;
	}
	return p == head.end;
}

/* Gives the fields their streams; returns whether there are as many. */
static int
assign_streams(Patterns *patterns, const Stream *streams, int nstreams)
{
	int			next = 0;
	int			i;

	for (i = 0; i < patterns->nfields; i++)
	{
		Field	   *field = &patterns->fields[i];

		if (nstreams - next < (field->coding == STH_FIELD_TEXT ? 2 : 1))
			return 0;
		if (field->coding == STH_FIELD_TEXT)
			field->lengths = streams[next++];
		else
			field->lengths.p = field->lengths.end = NULL;
		field->values = streams[next++];
	}
	return next == nstreams;
}

/* --- texts ---------------------------------------------------------------- */

/* Both sides have as many bytes more; see the head of this file. */
static inline void
copy(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len <= STH_PATTERN_SLACK)
		memcpy(to, from, STH_PATTERN_SLACK);
	else
		memcpy(to, from, len);
}

/* A varint, mostly of one byte. */
static inline const uint8_t *
get_length(const uint8_t *p, const uint8_t *end, uint64_t *len)
{
	if (p < end && *p < 0x80)
	{
		*len = *p;
		return p + 1;
	}
	return sth_varint_get(p, end, len);
}

/* How many decimal digits a number has. */
static inline unsigned
count_digits(uint64_t value)
{
	static const uint64_t powers[STH_FIELD_DIGITS_MAX] = {
		0, UINT64_C(10), UINT64_C(100), UINT64_C(1000), UINT64_C(10000),
		UINT64_C(100000), UINT64_C(1000000), UINT64_C(10000000),
		UINT64_C(100000000), UINT64_C(1000000000), UINT64_C(10000000000),
		UINT64_C(100000000000), UINT64_C(1000000000000),
		UINT64_C(10000000000000), UINT64_C(100000000000000),
		UINT64_C(1000000000000000), UINT64_C(10000000000000000),
		UINT64_C(100000000000000000), UINT64_C(1000000000000000000),
		UINT64_C(10000000000000000000)
	};
	unsigned	bits = 64 - (unsigned) __builtin_clzll(value | 1);
	unsigned	n = bits * 1233 >> 12;	/* times the logarithm of 2 */

	return n + (value >= powers[n]);
}

/* Writes a number, with zeros before it up to the width; NULL: damaged. */
static inline uint8_t *
put_number(uint8_t *to, const uint8_t *end, uint64_t value, unsigned width)
{
	static const char pairs[201] =
	"00010203040506070809101112131415161718192021222324"
	"25262728293031323334353637383940414243444546474849"
	"50515253545556575859606162636465666768697071727374"
	"75767778798081828384858687888990919293949596979899";
	unsigned	len = count_digits(value);
	uint8_t    *p;

	if (width != 0)
	{
		if (len > width)
			return NULL;
		len = width;
	}
	if ((size_t) (end - to) < len)
		return NULL;
	if (width != 0)
		memset(to, '0', STH_PATTERN_SLACK);
	for (p = to + len; value >= 100; value /= 100)
	{
		p -= 2;
		memcpy(p, pairs + value % 100 * 2, 2);
	}
	if (value >= 10)
		memcpy(p - 2, pairs + value * 2, 2);
	else
		p[-1] = (uint8_t) ('0' + value);
	return to + len;
}

/* Writes the next value of a field; NULL: damaged. */
static inline uint8_t *
put_field(Field *field, uint8_t *to, const uint8_t *end)
{
	uint64_t	value;

	if (field->coding == STH_FIELD_TEXT)
	{
		field->lengths.p = get_length(field->lengths.p, field->lengths.end, &value);
		if (field->lengths.p == NULL ||
			value > (size_t) (field->values.end - field->values.p) ||
			value > (size_t) (end - to))
			return NULL;
		copy(to, field->values.p, value);
		field->values.p += value;
		return to + value;
	}
	field->values.p = sth_varint_get(field->values.p, field->values.end, &value);
	if (field->values.p == NULL)
		return NULL;
	if (field->coding == STH_FIELD_DIFFERENCE)
	{
		field->last += (uint64_t) sth_unzigzag(value);
		value = field->last;
	}
	return put_number(to, end, value, field->width);
}

/* Writes a text of this pattern, without a header; NULL: damaged. */
static inline uint8_t *
put_text(Patterns *patterns, const uint8_t *p, uint8_t *to, const uint8_t *end)
{
	int			places = *p++;

	for (;;)
	{
		uint64_t	len = 0;

		/* the pattern has been checked, so that its end is of no interest */
		p = get_length(p, p + STH_VARINT_MAX, &len);
		if (len > (size_t) (end - to))
			return NULL;
		copy(to, p, len);
		to += len;
		p += len;
		if (places-- == 0)
			return to;
		to = put_field(&patterns->fields[*p++], to, end);
		if (to == NULL)
			return NULL;
	}
}

/*
 * Gives the text that begins a byte behind 'value' a header: there, if one
 * byte will do, else four bytes, aligned, and the text behind them.  Returns
 * the value's end, or NULL: damaged.
 */
static inline uint8_t *
put_header(uint8_t *values, uint8_t *value, uint8_t *text_end, int align,
		   const uint8_t *end)
{
	size_t		len = (size_t) (text_end - value) - 1;
	uint8_t    *aligned;
	uint32_t	header;

	if (len + 1 <= STH_SHORT_MAX)
	{
		*value = (uint8_t) ((len + 1) << 1 | 1);
		return text_end;
	}
	aligned = values + STH_ALIGN_UP((size_t) (value - values), align);
	if (aligned > end || (size_t) (end - aligned) < len + 4)
		return NULL;
	memmove(aligned + 4, value + 1, len);
	memset(value, 0, (size_t) (aligned - value));
	header = (uint32_t) (len + 4) << 2;
	memcpy(aligned, &header, 4);
	return aligned + 4 + len;
}

/* Makes the values; returns whether they, and the streams, end where they should. */
static int
make_values(Patterns *patterns, Stream numbers, int align, uint8_t *values,
			size_t values_len)
{
	const uint8_t *end = values + values_len;
	uint8_t    *to = values;
	int			i;

	for (; numbers.p < numbers.end; numbers.p++)
	{
		uint8_t    *text_end;

		if (*numbers.p >= patterns->npatterns || to == end)
			return 0;
		text_end = put_text(patterns, patterns->patterns[*numbers.p], to + 1, end);
		if (text_end == NULL)
			return 0;
		to = put_header(values, to, text_end, align, end);
		if (to == NULL)
			return 0;
	}
	for (i = 0; i < patterns->nfields; i++)
		if (patterns->fields[i].values.p != patterns->fields[i].values.end ||
			patterns->fields[i].lengths.p != patterns->fields[i].lengths.end)
			return 0;
	return to == end;
}

/*
 * Decodes nvalues values into 'values', which has STH_PATTERN_SLACK bytes of
 * room behind its length.  'streams' is used for what is on the way.
 */
SthPatternResult
sth_pattern_decode(const uint8_t *stored, size_t len, uint32_t nvalues,
				   int align, SthCompression compression,
				   SthDecompressor *decompressor, const SthMemory *memory,
				   SthBuffer *streams, uint8_t *values, size_t values_len)
{
	Stream		found[STREAMS_MAX];
	Patterns	patterns;
	int			nstreams;
	SthPatternResult result;

	result = read_streams(stored, len, compression, decompressor, memory,
						  streams, found, &nstreams);
	if (result != STH_PATTERN_OK)
		return result;
	if ((size_t) (found[1].end - found[1].p) != nvalues ||
		!read_head(found[0], &patterns) ||
		!assign_streams(&patterns, found + 2, nstreams - 2) ||
		!make_values(&patterns, found[1], align, values, values_len))
		return STH_PATTERN_DAMAGED;
	return STH_PATTERN_OK;
}
