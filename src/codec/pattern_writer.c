/*-------------------------------------------------------------------------
 *
 * pattern_writer.c
 *	  Finds the patterns of texts, and takes the texts apart.
 *
 * A text is cut into words, which are runs of letters, digits and what stands
 * within identifiers and base64, and what is between them.  A word with a
 * digit in it is what a field holds; or only the number at its end, if that
 * follows a sign, as in "user-17".  All else is the pattern, its fields marked
 * by a NUL, by which a table of patterns finds it again.
 *
 * Two patterns share a field if the same few bytes stand before it, and as
 * many times within the text: so the times in {"ts":17,"event":"login"} and
 * {"ts":18,"event":"logout"} are one row of rising numbers.
 *
 * The first pattern is a field and nothing else.  It is for texts that are too
 * long, or have too many fields, or come when there are as many patterns as
 * there may be.  Should that be true of most, or should most have a pattern of
 * their own, all is given up: they are not of the kind.  So are values that do
 * not have the header that decoding makes.
 *
 * Memory: a few times that of the texts.  The buffers of fields are used again
 * for the next texts, whose fields may be others; when together they have
 * grown beyond what one set of texts needs, they are given back.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/pattern.h"

#include <string.h>

#include "codec/bytes.h"
#include "codec/row.h"
#include "codec/varint.h"

/* A longer text is not looked at. */
#define TEXT_MAX 4096

/* Fields that a pattern may have. */
#define PLACES_MAX 32

/* What a field is known by are as many bytes before it. */
#define CONTEXT_LEN 7

/* A power of two that leaves half of the table empty. */
#define NSLOTS 512

/* Fields keep so many times the texts' length, and so much in any case. */
#define KEEP_TIMES 8
#define KEEP_ANYWAY (1024 * 1024)

/* Texts between two looks at what they have in common. */
#define LOOK_EVERY 256

/* What a byte may be part of. */
typedef enum ByteClass
{
	BYTE_BETWEEN,				/* no word */
	BYTE_LETTER,
	BYTE_SIGN,					/* within a word */
	BYTE_DIGIT,
	BYTE_NUL,					/* the mark of a field: not in a text */
} ByteClass;

/* What a text has in a field. */
typedef struct Word
{
	const uint8_t *p;
	uint32_t	len;
	int			is_number;		/* digits and nothing else */
} Word;

typedef struct Field
{
	uint64_t	context;		/* bytes before it */
	uint32_t	nth;			/* time that these stand in the text, from 0 */
	SthBuffer	bytes;
	SthBuffer	lengths;		/* varints */
	uint32_t	n;
	uint32_t	shortest;
	uint32_t	longest;
	int			is_number;		/* all of them */
	int			leading_zeros;	/* any of them */
} Field;

typedef struct Pattern
{
	size_t		at;				/* in 'marked' */
	size_t		len;
	uint32_t	hash;
	int			nplaces;
	uint8_t		fields[PLACES_MAX];
} Pattern;

struct SthPatternWriter
{
	SthMemory	memory;

	Pattern		patterns[STH_PATTERN_MAX];
	int			npatterns;
	SthBuffer	marked;			/* the patterns, with a NUL for each field */
	uint8_t		slots[NSLOTS];	/* hash to number; 0, whole text, is not there */

	Field		fields[STH_PATTERN_MAX];
	int			nfields;

	SthBuffer	numbers;		/* of the texts' patterns */

	/* the text at hand */
	uint8_t		shape[TEXT_MAX];	/* its pattern */
	size_t		shape_len;
	Word		words[PLACES_MAX];
	int			nwords;

	/* streams being made */
	SthBuffer	head;
	SthBuffer	integers;
	SthBuffer	differences;
	SthBuffer	compressed;
	SthBuffer	fields_out;		/* streams of the fields */
};

#define B BYTE_BETWEEN
#define L BYTE_LETTER
#define S BYTE_SIGN
#define D BYTE_DIGIT
#define L16 L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L
#define B16 B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B
static const uint8_t byte_class[256] = {
	BYTE_NUL, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B16,
	B, B, B, B, B, B, B, B, B, B, B, S, B, S, B, S, /* + - / */
	D, D, D, D, D, D, D, D, D, D, B, B, B, S, B, B, /* = */
	B, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
	L, L, L, L, L, L, L, L, L, L, L, B, B, B, B, S, /* _ */
	B, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
	L, L, L, L, L, L, L, L, L, L, L, B, B, B, B, B,
	L16, L16, L16, L16, L16, L16, L16, L16
};
#undef B
#undef L
#undef S
#undef D
#undef L16
#undef B16

/* Returns NULL if there is no memory. */
SthPatternWriter *
sth_pattern_writer_create(const SthMemory *memory)
{
	SthPatternWriter *writer = sth_allocate_zeroed(memory, sizeof(*writer));

	if (writer != NULL)
		writer->memory = *memory;
	return writer;
}

static void
free_fields(SthPatternWriter *writer)
{
	int			i;

	for (i = 0; i < STH_PATTERN_MAX; i++)
	{
		sth_buffer_free(&writer->memory, &writer->fields[i].bytes);
		sth_buffer_free(&writer->memory, &writer->fields[i].lengths);
	}
}

void
sth_pattern_writer_free(SthPatternWriter *writer)
{
	SthMemory	memory = writer->memory;

	free_fields(writer);
	sth_buffer_free(&memory, &writer->marked);
	sth_buffer_free(&memory, &writer->numbers);
	sth_buffer_free(&memory, &writer->head);
	sth_buffer_free(&memory, &writer->integers);
	sth_buffer_free(&memory, &writer->differences);
	sth_buffer_free(&memory, &writer->compressed);
	sth_buffer_free(&memory, &writer->fields_out);
	sth_release(&memory, writer);
}

static inline int
is_in_word(uint8_t byte)
{
	return byte_class[byte] != BYTE_BETWEEN && byte_class[byte] != BYTE_NUL;
}

/* --- taking a text apart -------------------------------------------------- */

/* Appends to the pattern of the text, which is never longer than the text. */
static inline void
keep(SthPatternWriter *writer, const uint8_t *from, const uint8_t *to)
{
	memcpy(writer->shape + writer->shape_len, from, (size_t) (to - from));
	writer->shape_len += (size_t) (to - from);
}

static inline void
take_word(SthPatternWriter *writer, const uint8_t *from, const uint8_t *to,
		  int is_number)
{
	Word	   *word = &writer->words[writer->nwords++];

	word->p = from;
	word->len = (uint32_t) (to - from);
	word->is_number = is_number;
	writer->shape[writer->shape_len++] = 0;
}

/* Cuts a text into a pattern and words; 0 if it is not fit for that. */
static int
take_apart(SthPatternWriter *writer, const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	const uint8_t *word = p;	/* where the one at p begins */
	const uint8_t *done = p;	/* up to where the text is taken apart */

	writer->shape_len = 0;
	writer->nwords = 0;
	if (len > TEXT_MAX)
		return 0;
	for (;;)
	{
		const uint8_t *from;
		int			is_number;

		for (; p < end; p++)
		{
			if (byte_class[*p] == BYTE_BETWEEN)
				word = p + 1;
			else if (byte_class[*p] >= BYTE_DIGIT)
				break;
		}
		if (p == end)
			break;
		if (*p == 0 || writer->nwords == PLACES_MAX)
			return 0;
		from = p;
		while (p < end && byte_class[*p] == BYTE_DIGIT)
			p++;
		is_number = (p == end || !is_in_word(*p)) &&
			(from == word || byte_class[from[-1]] != BYTE_LETTER);
		if (!is_number)
		{
			from = word;
			while (p < end && is_in_word(*p))
				p++;
		}
		keep(writer, done, from);
		take_word(writer, from, p, is_number);
		word = done = p;
	}
	keep(writer, done, end);
	return 1;
}

/* --- patterns ------------------------------------------------------------- */

static uint32_t
hash_bytes(const uint8_t *p, size_t len)
{
	uint64_t	hash = len;
	size_t		i;

	for (i = 0; i + 8 <= len; i += 8)
	{
		hash = (hash ^ sth_get_u64(p + i)) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	for (; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t) (hash >> 32);
}

/* The field with this context; a new one if there is none.  -1: too many. */
static int
find_field(SthPatternWriter *writer, uint64_t context, uint32_t nth)
{
	Field	   *field;
	int			i;

	for (i = 0; i < writer->nfields; i++)
		if (writer->fields[i].context == context && writer->fields[i].nth == nth)
			return i;
	if (i == STH_PATTERN_MAX)
		return -1;
	field = &writer->fields[i];
	field->context = context;
	field->nth = nth;
	field->bytes.len = 0;
	field->lengths.len = 0;
	field->n = 0;
	field->shortest = UINT32_MAX;
	field->longest = 0;
	field->is_number = 1;
	field->leading_zeros = 0;
	writer->nfields++;
	return i;
}

/* The last bytes of what stands between a field, at 'at', and the one before. */
static uint64_t
context_at(const uint8_t *text, size_t at)
{
	uint64_t	context = 1;	/* which tells how long it is */
	int			i;

	for (i = 1; i <= CONTEXT_LEN && (size_t) i <= at && text[at - i] != 0; i++)
		context = context << 8 | text[at - i];

	return context;
}

/* Finds a field for each place of a new pattern; 0 if there are too many. */
static int
assign_fields(SthPatternWriter *writer, Pattern *pattern)
{
	uint64_t	contexts[PLACES_MAX];
	size_t		at;
	int			n = 0;

	for (at = 0; at < writer->shape_len; at++)
	{
		uint32_t	nth = 0;
		int			field;
		int			i;

		if (writer->shape[at] != 0)
			continue;
		contexts[n] = context_at(writer->shape, at);
		for (i = 0; i < n; i++)
			nth += contexts[i] == contexts[n];
		field = find_field(writer, contexts[n], nth);
		if (field < 0)
			return 0;
		pattern->fields[n++] = (uint8_t) field;
	}
	pattern->nplaces = n;
	return 1;
}

/*
 * The number of the pattern of the text at hand, which may be new; 0 if there
 * can be no more.  Negative: no memory.
 */
static int
find_pattern(SthPatternWriter *writer, size_t *new_bytes)
{
	uint32_t	hash = hash_bytes(writer->shape, writer->shape_len);
	uint32_t	slot = hash % NSLOTS;
	Pattern    *pattern;

	for (; writer->slots[slot] != 0; slot = (slot + 1) % NSLOTS)
	{
		pattern = &writer->patterns[writer->slots[slot]];
		if (pattern->hash == hash && pattern->len == writer->shape_len &&
			memcmp(writer->marked.data + pattern->at, writer->shape,
				   writer->shape_len) == 0)
			return writer->slots[slot];
	}
	if (writer->npatterns == STH_PATTERN_MAX)
		return 0;
	pattern = &writer->patterns[writer->npatterns];
	if (!assign_fields(writer, pattern))
		return 0;
	pattern->hash = hash;
	pattern->at = writer->marked.len;
	pattern->len = writer->shape_len;
	if (!sth_buffer_append(&writer->memory, &writer->marked, writer->shape,
						   writer->shape_len))
		return -1;
	*new_bytes += writer->shape_len;
	writer->slots[slot] = (uint8_t) writer->npatterns;
	return writer->npatterns++;
}

/* --- collecting ----------------------------------------------------------- */

/* What the buffers of fields take. */
static size_t
fields_size(const SthPatternWriter *writer)
{
	size_t		size = 0;
	int			i;

	for (i = 0; i < STH_PATTERN_MAX; i++)
		size += writer->fields[i].bytes.size + writer->fields[i].lengths.size;
	return size;
}

/*
 * Begins with one pattern, which is a field and nothing else; 'len' is that of
 * all texts together.
 */
static int
begin(SthPatternWriter *writer, size_t len)
{
	if (fields_size(writer) > KEEP_ANYWAY + KEEP_TIMES * len)
		free_fields(writer);
	writer->npatterns = 0;
	writer->nfields = 0;
	writer->marked.len = 0;
	writer->numbers.len = 0;
	memset(writer->slots, 0, sizeof(writer->slots));
	memset(&writer->patterns[0], 0, sizeof(Pattern));
	writer->patterns[0].len = 1;
	writer->patterns[0].nplaces = 1;
	writer->patterns[0].fields[0] = (uint8_t) find_field(writer, 0, 0);
	writer->npatterns = 1;
	return sth_buffer_append(&writer->memory, &writer->marked, "", 1);
}

/* Appends what a text has in a field; 0 if there is no memory. */
static int
add_word(SthPatternWriter *writer, Field *field, const Word *word)
{
	SthBuffer  *bytes = &field->bytes;
	SthBuffer  *lengths = &field->lengths;

	if (!sth_buffer_reserve(&writer->memory, lengths, STH_VARINT_MAX) ||
		!sth_buffer_append(&writer->memory, bytes, word->p, word->len))
		return 0;
	lengths->len = (size_t) (sth_varint_put(lengths->data + lengths->len, word->len) -
							 lengths->data);
	field->n++;
	if (word->len < field->shortest)
		field->shortest = word->len;
	if (word->len > field->longest)
		field->longest = word->len;
	field->is_number &= word->is_number;
	field->leading_zeros |= word->is_number && word->len > 1 && *word->p == '0';
	return 1;
}

/* Adds a text; counts in *unlike the bytes that it shares with no other. */
static SthPatternResult
add_text(SthPatternWriter *writer, const uint8_t *text, size_t len,
		 size_t *unlike)
{
	const Pattern *pattern;
	int			number = 0;
	uint8_t		byte;
	int			i;

	if (take_apart(writer, text, len))
		number = find_pattern(writer, unlike);
	if (number < 0)
		return STH_PATTERN_NO_MEMORY;
	if (number == 0)
	{
		*unlike += len;
		writer->nwords = 1;
		writer->words[0].p = text;

		writer->words[0].len = (uint32_t) len;
		writer->words[0].is_number = 0;
	}
	byte = (uint8_t) number;
	if (!sth_buffer_append(&writer->memory, &writer->numbers, &byte, 1))
		return STH_PATTERN_NO_MEMORY;
	pattern = &writer->patterns[number];
	for (i = 0; i < pattern->nplaces; i++)
		if (!add_word(writer, &writer->fields[pattern->fields[i]], &writer->words[i]))
			return STH_PATTERN_NO_MEMORY;
	return STH_PATTERN_OK;
}

/*
 * Adds all values.  Each has to have the header that decoding makes: one byte
 * if that will do, else four bytes, aligned.
 */
static SthPatternResult
add_values(SthPatternWriter *writer, const uint8_t *values, size_t len,
		   uint32_t nvalues, int align)
{
	const SthLayout layout = {-1, (uint8_t) align, 0, 0};
	const uint8_t *p = values;
	const uint8_t *end = values + len;
	size_t		unlike = 0;
	uint32_t	i;

	for (i = 0; i < nvalues; i++)
	{
		uintptr_t	datum;
		const uint8_t *value;
		const uint8_t *next = sth_row_fetch(&layout, values, p, end, &datum);
		size_t		header;
		SthPatternResult result;

		if (next == NULL)
			return STH_PATTERN_USELESS;
		value = (const uint8_t *) datum;
		header = *value & 0x01 ? 1 : 4;
		if (header == 4 && (size_t) (next - value) - 4 + 1 <= STH_SHORT_MAX)
			return STH_PATTERN_USELESS;
		result = add_text(writer, value + header,
						  (size_t) (next - value) - header, &unlike);
		if (result != STH_PATTERN_OK)
			return result;
		p = next;
		if ((i + 1 == nvalues || (i + 1) % LOOK_EVERY == 0) &&
			unlike > (size_t) (p - values) / 2)
			return STH_PATTERN_USELESS;
	}
	return p == end ? STH_PATTERN_OK : STH_PATTERN_USELESS;
}

/* --- streams -------------------------------------------------------------- */

/* Appends a stream: its length, its length as stored, and its bytes. */
static int
append_stream(SthPatternWriter *writer, const SthBuffer *stream,
			  SthCompression compression, SthCompressor *compressor,
			  SthBuffer *out)
{
	const SthMemory *memory = &writer->memory;
	uint8_t		lengths[2 * STH_VARINT_MAX];
	uint8_t    *p;

	writer->compressed.len = 0;
	if (!sth_compress_append(compressor, memory, &compression, stream->data,
							 stream->len, &writer->compressed))
		return 0;
	p = sth_varint_put(lengths, stream->len);
	p = sth_varint_put(p, writer->compressed.len);
	return sth_buffer_append(memory, out, lengths, (size_t) (p - lengths)) &&
		sth_buffer_append(memory, out, writer->compressed.data,
						  writer->compressed.len);
}

/* Makes integers of a field's numbers; says which way they are shorter. */
static SthFieldCoding
make_integers(SthPatternWriter *writer, const Field *field)
{
	SthBuffer  *integers = &writer->integers;
	SthBuffer  *differences = &writer->differences;
	size_t		most = (size_t) field->n * STH_VARINT_MAX;
	const uint8_t *lengths = field->lengths.data;
	const uint8_t *p = field->bytes.data;
	uint8_t    *i;
	uint8_t    *d;
	uint64_t	last = 0;
	uint32_t	n;

	if (!sth_buffer_reset(&writer->memory, integers, most) ||
		!sth_buffer_reset(&writer->memory, differences, most))
		return STH_FIELD_TEXT;
	i = integers->data;
	d = differences->data;
	for (n = 0; n < field->n; n++)
	{
		/* a number that may be an integer has a length of one byte */
		const uint8_t *end = p + *lengths++;
		uint64_t	value = 0;

		while (p < end)
			value = value * 10 + (uint64_t) (*p++ - '0');
		i = sth_varint_put(i, value);
		d = sth_varint_put(d, sth_zigzag((int64_t) (value - last)));
		last = value;
	}
	integers->len = (size_t) (i - integers->data);
	differences->len = (size_t) (d - differences->data);
	return differences->len < integers->len ? STH_FIELD_DIFFERENCE : STH_FIELD_INTEGER;
}

/* Can a field's words be had again from integers?  *width: with leading zeros. */
static int
is_integer(const Field *field, uint8_t *width)
{
	/* one digit less than the largest: no overflow */
	if (field->n == 0 || !field->is_number ||
		field->longest >= STH_FIELD_DIGITS_MAX)
		return 0;
	*width = field->leading_zeros ? (uint8_t) field->longest : 0;
	return !field->leading_zeros || field->shortest == field->longest;
}

/* Appends a pattern to the head: what is before each field, and after the last. */
static int
describe_pattern(SthPatternWriter *writer, const Pattern *pattern)
{
	const SthMemory *memory = &writer->memory;
	SthBuffer  *head = &writer->head;
	const uint8_t *p = writer->marked.data + pattern->at;
	const uint8_t *end = p + pattern->len;
	int			i;

	if (!sth_buffer_reserve(memory, head, 1))
		return 0;
	head->data[head->len++] = (uint8_t) pattern->nplaces;
	for (i = 0; i <= pattern->nplaces; i++)
	{
		const uint8_t *mark = i == pattern->nplaces ? end :
		memchr(p, 0, (size_t) (end - p));
		size_t		len = (size_t) (mark - p);

		if (!sth_buffer_reserve(memory, head, len + STH_VARINT_MAX + 1))
			return 0;
		head->len = (size_t) (sth_varint_put(head->data + head->len, len) - head->data);
		memcpy(head->data + head->len, p, len);
		head->len += len;
		if (i < pattern->nplaces)
			head->data[head->len++] = pattern->fields[i];
		p = mark + 1;
	}
	return 1;
}

/* Makes the head: how fields are coded, and what the patterns are. */
static int
make_head(SthPatternWriter *writer, const SthFieldCoding *codings)
{
	SthBuffer  *head = &writer->head;
	int			i;

	if (!sth_buffer_reset(&writer->memory, head, 2 + 2 * STH_PATTERN_MAX))
		return 0;
	head->data[head->len++] = (uint8_t) writer->nfields;
	for (i = 0; i < writer->nfields; i++)
	{
		uint8_t		width = 0;

		if (codings[i] != STH_FIELD_TEXT)
			(void) is_integer(&writer->fields[i], &width);
		head->data[head->len++] = (uint8_t) codings[i];
		head->data[head->len++] = width;
	}
	head->data[head->len++] = (uint8_t) writer->npatterns;
	for (i = 0; i < writer->npatterns; i++)
		if (!describe_pattern(writer, &writer->patterns[i]))
			return 0;
	return 1;
}

/* Appends the streams of all fields, and says how they are coded. */
static int
append_fields(SthPatternWriter *writer, SthCompression compression,
			  SthCompressor *compressor, SthFieldCoding *codings,
			  SthBuffer *out)
{
	int			i;

	for (i = 0; i < writer->nfields; i++)
	{
		const Field *field = &writer->fields[i];
		uint8_t		width;

		codings[i] = is_integer(field, &width) ? make_integers(writer, field) :
			STH_FIELD_TEXT;
		if (codings[i] == STH_FIELD_TEXT ?
			!append_stream(writer, &field->lengths, compression, compressor, out) ||
			!append_stream(writer, &field->bytes, compression, compressor, out) :
			!append_stream(writer, codings[i] == STH_FIELD_INTEGER ?
						   &writer->integers : &writer->differences,
						   compression, compressor, out))
			return 0;
	}
	return 1;
}

/*
 * Appends values, each with its header and as a chunk has them, by patterns.
 * Leaves out as it was if they are of no use.
 */
SthPatternResult
sth_pattern_append(SthPatternWriter *writer, const uint8_t *values, size_t len,
				   uint32_t nvalues, int align, SthCompression compression,
				   SthCompressor *compressor, SthBuffer *out)
{
	SthFieldCoding codings[STH_PATTERN_MAX];
	SthPatternResult result;

	if (!begin(writer, len))
		return STH_PATTERN_NO_MEMORY;
	result = add_values(writer, values, len, nvalues, align);
	if (result != STH_PATTERN_OK)
		return result;
	/* the head comes first, and is complete when all else is known */
	writer->fields_out.len = 0;
	if (!append_fields(writer, compression, compressor, codings, &writer->fields_out) ||
		!make_head(writer, codings) ||
		!append_stream(writer, &writer->head, compression, compressor, out) ||
		!append_stream(writer, &writer->numbers, compression, compressor, out) ||
		!sth_buffer_append(&writer->memory, out, writer->fields_out.data,
						   writer->fields_out.len))
		return STH_PATTERN_NO_MEMORY;
	return STH_PATTERN_OK;
}
