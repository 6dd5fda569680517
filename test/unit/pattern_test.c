/* Texts by patterns: all come back, alike ones in less, and damage is refused. */
#include "codec/chunk.h"

#include <stdio.h>

#include "object.h"
#include "sample.h"
#include "tap.h"

#define MAX_TEXTS 700
#define MAX_TEXT 8192

static SthCompressor compressor;
static SthDecompressor decompressor;

/* Values as a chunk has them. */
typedef struct Values
{
	uint8_t    *data;
	size_t		len;
	uint32_t	n;
	int			align;
} Values;

static Values
no_values(int align)
{
	Values		values = {malloc(MAX_TEXTS * (MAX_TEXT + 16)), 0, 0, align};

	return values;
}

static void
add_text(Values *values, const void *text, size_t len)
{
	uint32_t	head = (uint32_t) (len + 4) << 2;

	if (len + 1 <= STH_SHORT_MAX)
		values->data[values->len++] = (uint8_t) ((len + 1) << 1 | 1);
	else
	{
		while (values->len % (size_t) values->align != 0)
			values->data[values->len++] = 0;
		memcpy(values->data + values->len, &head, 4);
		values->len += 4;
	}
	memcpy(values->data + values->len, text, len);
	values->len += len;
	values->n++;
}

static const char *const words[] = {
	"login", "logout", "page_view", "checkout", "\xc3\xa9t\xc3\xa9", "x"
};

static const char *
any_word(void)
{
	return words[any(sizeof(words) / sizeof(words[0]))];
}

static size_t
random_digits(char *to, size_t n, const char *digits, size_t base)
{
	for (size_t i = 0; i < n; i++)
		to[i] = digits[any((uint32_t) base)];
	to[n] = 0;
	return n;
}

static const char base64[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Ways of texts, as programs make them; the first WAYS_ALIKE are alike. */
#define WAYS_ALIKE 7
#define WAYS 16

static size_t
make_text(int way, uint32_t i, char *to)
{
	char		digits[128];
	size_t		len = 0;

	switch (way)
	{
		case 0:					/* events */
			random_digits(digits, 20 + any(20), base64, 64);
			return (size_t) sprintf(to, "{\"ts\":%llu,\"ev\":\"%s\",\"u\":%u,\"p\":\"%s\"}",
									1790000000000000000ULL + i * 977000ULL + any(1000), any_word(),
									any(200000), digits);
		case 1:					/* numbers with leading zeros */
			return (size_t) sprintf(to, "user-%011u", any(200000));
		case 2:					/* dates */
			return (size_t) sprintf(to, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ %s", 2026, 11, 1 + any(28),
									any(24), any(60), any(60), any(1000), any_word());
		case 3:					/* UUIDs */
			random_digits(digits, 8, "0123456789abcdef", 16);
			return (size_t) sprintf(to, "id=%s-%04x-%04x-%04x-%08x%04x", digits, any(65536), any(65536),
									any(65536), any(1u << 31), any(65536));
		case 4:					/* what needs a long header, or not */
			return (size_t) sprintf(to, "%u.%u.%u.%u \"GET /a/%s/%u.html HTTP/1.1\" %u %u \"http://example.com/%s\" \"Mozilla/5.0 (X11; Linux x86_64)%s\"",
									any(256), any(256), any(256), any(256), any_word(), any(100), 200 + any(2) * 204,
									any(100000), any_word(), any(2) ? "" : " AppleWebKit/537.36 (KHTML, like Gecko)");
		case 5:					/* integers of all lengths */
			return (size_t) sprintf(to, "n=%llu", (unsigned long long) any(1u << 31) * any(1u << 31) >> any(62));
		case 6:					/* falling and rising, negative */
			return (size_t) sprintf(to, "{\"a\":%d,\"b\":-%u,\"c\":%d.%02u}", (int) (1000 - i), i, (int) i, any(100));
		case 7:					/* numbers that are no integers */
			return random_digits(to, 1 + any(40), "0123456789", 10);
		case 8:					/* zeros before some */
			return (size_t) sprintf(to, any(2) ? "z=%u" : "z=0%u", any(1000));
		case 9:					/* anything at all */
			for (len = 0; len < any(300); len++)
				to[len] = (char) any(any(2) ? 4 : 256);
			return len;
		case 10:				/* every text has a pattern of its own */
			random_digits(digits, 20, "abcdefghijklmnop", 16);
			return (size_t) sprintf(to, "%s=%u", digits, any(100));
		case 11:				/* more fields than a pattern may have */
			for (uint32_t k = 0; k < 20 + i % 30; k++)
				len += (size_t) sprintf(to + len, "%u ", any(10));
			return len;
		case 12:				/* longer than what is looked at */
			for (uint32_t k = 0; k < (any(10) ? 3 : 700); k++)
				len += (size_t) sprintf(to + len, "%s,", any_word());
			return len + (size_t) sprintf(to + len, "%u", i);
		case 13:				/* nothing, or next to it */
			return any(2) ? 0 : (size_t) sprintf(to, "%u", any(20));
		case 14:				/* just below and above what a byte describes */
			len = random_digits(to, 120 + any(10), "x", 1);
			return len + (size_t) sprintf(to + len, "=%u", any(1000));
		default:				/* any of these */
			return make_text((int) any(15), i, to);
	}
}

static Values
make_values(int way, uint32_t n, int align)
{
	static char text[MAX_TEXT];
	Values		values = no_values(align);

	for (uint32_t i = 0; i < n; i++)
		add_text(&values, text, make_text(way, i, text));
	return values;
}

/* Decodes from memory that ends where the streams do, into likewise. */
static int
comes_back(const Values *values, const SthBuffer *stored,
		   SthCompression compression)
{
	SthBuffer	streams = {0};
	uint8_t    *copy = malloc(stored->len);
	uint8_t    *back = malloc(values->len + STH_PATTERN_SLACK);
	int			good;

	memcpy(copy, stored->data, stored->len);
	good = sth_pattern_decode(copy, stored->len, values->n, values->align, compression,
							  &decompressor, &test_memory, &streams, back,
							  values->len) == STH_PATTERN_OK &&
		memcmp(back, values->data, values->len) == 0;
	/* nor from less, nor to another length or number */
	good &= sth_pattern_decode(copy, stored->len - 1, values->n, values->align, compression,
							   &decompressor, &test_memory, &streams, back,
							   values->len) == STH_PATTERN_DAMAGED;
	good &= sth_pattern_decode(copy, stored->len, values->n, values->align, compression,
							   &decompressor, &test_memory, &streams, back,
							   values->len - 1) == STH_PATTERN_DAMAGED;
	good &= sth_pattern_decode(copy, stored->len, values->n - 1, values->align, compression,
							   &decompressor, &test_memory, &streams, back,
							   values->len) == STH_PATTERN_DAMAGED;
	sth_buffer_free(&test_memory, &streams);
	free(copy);
	free(back);
	return good;
}

static void
test_round_trips(SthPatternWriter *writer)
{
	int			good = 1;
	int			used[WAYS] = {0};
	int			alike = 1;
	int			refused = 0;

	for (int i = 0; i < 600; i++)
	{
		int			way = i % WAYS;
		Values		values = make_values(way, 1 + any(MAX_TEXTS), any(2) ? 4 : 8);
		SthCompression compression = any(2) ? STH_COMPRESSION_NONE : STH_COMPRESSION_ZSTD;
		SthBuffer	stored = {0};
		SthPatternResult result;

		result = sth_pattern_append(writer, values.data, values.len, values.n, values.align,
									compression, &compressor, &stored);
		if (result == STH_PATTERN_OK)
			good &= comes_back(&values, &stored, compression);
		else
			good &= result == STH_PATTERN_USELESS && stored.len == 0;
		used[way] += result == STH_PATTERN_OK;
		refused += result == STH_PATTERN_USELESS;
		sth_buffer_free(&test_memory, &stored);
		free(values.data);
	}
	for (int way = 0; way < WAYS_ALIKE; way++)
		alike &= used[way] > 30;
	ok(good, "texts come back, and only from all their bytes");
	ok(alike, "texts that are alike are taken");
	ok(refused > 30 && used[9] == 0, "those that are not are left alone");
}

static size_t
plain_size(const Values *values, SthCompression compression)
{
	SthBuffer	out = {0};
	size_t		len;

	(void) sth_compress_append(&compressor, &test_memory, &compression, values->data, values->len, &out);
	len = out.len;
	sth_buffer_free(&test_memory, &out);
	return len;
}

static void
test_sizes(SthPatternWriter *writer)
{
	for (int way = 0; way < 2; way++)
	{
		Values		values = make_values(way, MAX_TEXTS, 4);
		SthBuffer	stored = {0};

		(void) sth_pattern_append(writer, values.data, values.len, values.n, 4,
								  STH_COMPRESSION_ZSTD, &compressor, &stored);
		ok(stored.len > 0 && stored.len * 100 < plain_size(&values, STH_COMPRESSION_ZSTD) * 85,
		   "way %d takes less by more than zstd does alone", way);
		sth_buffer_free(&test_memory, &stored);
		free(values.data);
	}
}

/* A value that need not have a header of four bytes does not come back by patterns. */
static void
test_headers(SthPatternWriter *writer)
{
	Values		values = make_values(1, 100, 4);
	SthBuffer	stored = {0};
	static const uint8_t large[] = {20, 0, 0, 0, '7'};

	while (values.len % 4 != 0)
		values.data[values.len++] = 0;
	memcpy(values.data + values.len, large, sizeof(large));
	values.len += sizeof(large);
	values.n++;
	ok(sth_pattern_append(writer, values.data, values.len, values.n, 4, STH_COMPRESSION_ZSTD,
						  &compressor, &stored) == STH_PATTERN_USELESS && stored.len == 0,
	   "a header that decoding would not make is refused");
	sth_buffer_free(&test_memory, &stored);
	free(values.data);
}

/* Changes a few bytes, most of them in the head, and decodes what is then. */
static SthPatternResult
decode_damaged(const Values *values, const SthBuffer *stored)
{
	SthBuffer	streams = {0};
	uint8_t    *copy = malloc(stored->len);
	uint8_t    *back = malloc(values->len + STH_PATTERN_SLACK);
	SthPatternResult result;

	memcpy(copy, stored->data, stored->len);
	for (uint32_t k = 0; k <= any(3); k++)
		copy[any((uint32_t) (any(2) || stored->len < 60 ? stored->len : 60))] =
			(uint8_t) any(any(2) ? 256 : 4);
	result = sth_pattern_decode(copy, stored->len, values->n, values->align,
								STH_COMPRESSION_ZSTD, &decompressor, &test_memory, &streams, back,
								values->len);
	sth_buffer_free(&test_memory, &streams);
	free(copy);
	free(back);
	return result;
}

/* Bytes changed: nothing outside is touched, which a sanitizer sees. */
static void
test_damage(SthPatternWriter *writer)
{
	int			refused = 0;
	int			good = 1;

	for (int i = 0; i < 200; i++)
	{
		Values		values = make_values(any(2) ? 0 : (int) any(WAYS_ALIKE), 2 + any(60), 4);
		SthBuffer	stored = {0};

		if (sth_pattern_append(writer, values.data, values.len, values.n, 4,
							   any(4) ? STH_COMPRESSION_NONE : STH_COMPRESSION_ZSTD,
							   &compressor, &stored) == STH_PATTERN_OK)
			for (int k = 0; k < 100; k++)
			{
				SthPatternResult result = decode_damaged(&values, &stored);

				refused += result == STH_PATTERN_DAMAGED;
				good &= result == STH_PATTERN_OK || result == STH_PATTERN_DAMAGED;
			}
		sth_buffer_free(&test_memory, &stored);
		free(values.data);
	}
	ok(good && refused > 5000, "damage is refused, or does no harm");
}

/* Chunks of a column, one after another, every third row without a value. */
static void
test_chunks(int way, int expected)
{
	SthChunkEncoder encoder = {0};
	SthChunkHabit habit = {0};
	SthChunkBuffers buffers = {0};
	int			good = 1;
	int			by_patterns = 0;

	for (int i = 0; i < 40; i++)
	{
		Values		values = make_values(way, 400, 4);
		SthBuffer	raw = {0};
		SthBuffer	out = {0};
		SthChunk	chunk;
		SthColumnData data;
		SthFault	fault;
		uint8_t		present[75];

		memset(present, 0, sizeof(present));
		for (int r = 0; r < 600; r++)
			if (r % 3 != 2)
				present[r / 8] |= (uint8_t) (1 << r % 8);
		memset(&chunk, 0, sizeof(chunk));
		chunk.kind = STH_CHUNK_VALUES;
		chunk.column.attnum = 1;
		chunk.column.layout.len = -1;
		chunk.column.layout.align = 4;
		chunk.nvalues = 400;
		(void) sth_buffer_append(&test_memory, &raw, values.data, values.len);
		good &= sth_chunk_append(&chunk, 600, &raw, present, STH_COMPRESSION_ZSTD, &encoder,
								 &habit, &test_memory, &out, &fault) == STH_CODEC_OK &&
			sth_chunk_decode(&chunk, 600, out.data, 0, &test_memory, &decompressor, &buffers,
							 &data, &fault) == STH_CODEC_OK &&
			data.len == values.len && memcmp(data.values, values.data, values.len) == 0 &&
			memcmp(data.present, present, sizeof(present)) == 0;
		by_patterns += (chunk.coding & 0x40) != 0;
		sth_buffer_free(&test_memory, &raw);
		sth_buffer_free(&test_memory, &out);
		free(values.data);
	}
	ok(good && by_patterns == expected, "chunks of way %d: %d of 40 by patterns", way, by_patterns);
	sth_chunk_encoder_free(&encoder, &test_memory);
	sth_buffer_free(&test_memory, &buffers.raw);
	sth_buffer_free(&test_memory, &buffers.values);
	sth_buffer_free(&test_memory, &buffers.streams);
}

/* Memory that runs out is told as such, and all of it is given back. */
static void
test_no_memory(void)
{
	Values		values = make_values(0, 100, 4);
	uint8_t    *back = malloc(values.len + STH_PATTERN_SLACK);
	int			before = allocated;
	int			good = 1;
	int			runs = 0;
	int			done = 0;

	for (; !done && runs < 1000; runs++)
	{
		SthPatternWriter *writer;
		SthCompressor zstd = {0};
		SthBuffer	stored = {0};
		SthBuffer	streams = {0};
		SthPatternResult result = STH_PATTERN_NO_MEMORY;

		allocations_left = runs;
		writer = sth_pattern_writer_create(&test_memory);
		if (writer != NULL)
			result = sth_pattern_append(writer, values.data, values.len, values.n, 4,
										STH_COMPRESSION_ZSTD, &zstd, &stored);
		if (result == STH_PATTERN_OK)
			result = sth_pattern_decode(stored.data, stored.len, values.n, 4,
										STH_COMPRESSION_ZSTD, &decompressor, &test_memory,
										&streams, back, values.len);
		done = result == STH_PATTERN_OK;
		good &= done ? memcmp(back, values.data, values.len) == 0 : result == STH_PATTERN_NO_MEMORY;
		if (writer != NULL)
			sth_pattern_writer_free(writer);
		sth_compressor_free(&zstd, &test_memory);
		sth_buffer_free(&test_memory, &stored);
		sth_buffer_free(&test_memory, &streams);
		good &= allocated == before;
	}
	allocations_left = -1;
	ok(good && done && runs > 10, "memory that runs out is told, and nothing is kept");
	free(values.data);
	free(back);
}

/* A writer that has seen large texts does not keep what they took. */
static void
test_large_texts(SthPatternWriter *writer)
{
	int			before = allocated;
	int			good = 1;
	int			large = 0;

	for (int i = 0; i < 2; i++)
	{
		Values		values = no_values(4);
		SthBuffer	stored = {0};
		char text[	4000];

		for (uint32_t k = 0; k < (i == 0 ? MAX_TEXTS : 40); k++)
		{
			int			len = sprintf(text, "{\"id\":%u,\"x\":\"", k);

			if (i == 0)
				len += (int) random_digits(text +len, 3500, "0123456789abcdef", 16);
			add_text(&values, text, (size_t) len);
		}
		good &= sth_pattern_append(writer, values.data, values.len, values.n, 4, STH_COMPRESSION_NONE,
								   &compressor, &stored) == STH_PATTERN_OK;
		sth_buffer_free(&test_memory, &stored);
		free(values.data);
		if (i == 0)
			large = allocated;
	}
	ok(good && large > before && allocated < large, "what large texts took is given back with small ones");
}

/* The example of docs/segment-format.md. */
static void
test_example(SthPatternWriter *writer)
{
	static const uint8_t expected[] = {
		0x1c, 0x1c, 0x03, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
		0x02, 0x01, 0x00, 0x00, 0x00,
		0x02, 0x07, 0x7b, 0x22, 0x69, 0x64, 0x22, 0x3a, 0x5b, 0x01,
		0x01, 0x2c, 0x02, 0x02, 0x5d, 0x7d,
		0x02, 0x02, 0x01, 0x01,
		0x00, 0x00, 0x00, 0x00,
		0x02, 0x02, 0x11, 0x12,
		0x02, 0x02, 0x02, 0x03, 0x05, 0x05, 0x61, 0x31, 0x62, 0x32, 0x32,
	};
	Values		values = no_values(4);
	SthBuffer	stored = {0};

	add_text(&values, "{\"id\":[17,a1]}", 14);
	add_text(&values, "{\"id\":[18,b22]}", 15);
	(void) sth_pattern_append(writer, values.data, values.len, values.n, 4, STH_COMPRESSION_NONE,
							  &compressor, &stored);
	ok(stored.len == sizeof(expected) &&
	   memcmp(stored.data, expected, sizeof(expected)) == 0, "the example is made again");
	sth_buffer_free(&test_memory, &stored);
	free(values.data);
}

int
main(void)
{
	SthPatternWriter *writer = sth_pattern_writer_create(&test_memory);

	seed_rng();
	test_round_trips(writer);
	test_sizes(writer);
	test_headers(writer);
	test_damage(writer);
	test_chunks(0, 40);
	test_chunks(10, 0);
	test_example(writer);
	test_no_memory();
	sth_pattern_writer_free(writer);
	writer = sth_pattern_writer_create(&test_memory);
	test_large_texts(writer);
	sth_pattern_writer_free(writer);
	sth_compressor_free(&compressor, &test_memory);
	sth_decompressor_free(&decompressor);
	ok(allocated == 0, "nothing is left");
	return done_testing();
}
