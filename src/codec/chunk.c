/*-------------------------------------------------------------------------
 *
 * chunk.c
 *	  Chunks: one column of a block's rows.
 *
 * Decoded, a chunk has the values that are not NULL and then, only if there
 * are NULLs, a bitmap of the rows that have a value.  Integers may be stored
 * as differences (delta.h), and the whole may be compressed on top of that;
 * each is done where it pays.  The bitmap stands last so that values begin
 * at the chunk's start, where they are aligned.
 *
 * Texts of a topic that is to be small rather than fast, which is one with
 * zstd, may be stored by patterns (pattern.h), and their bitmap as it is.
 *
 * A chunk that is neither compressed nor made of differences is used where it
 * is, if that is aligned: nothing is copied.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/chunk.h"

#include "codec/crc32c.h"
#include "codec/delta.h"

/* The coding byte: compression, and what was done before it. */
#define CODING_COMPRESSION	0x0f
#define CODING_NULLS		0x10	/* a bitmap follows the values */
#define CODING_DELTA		0x20	/* integers as differences */
#define CODING_PATTERNS		0x40	/* texts by patterns */
#define CODING_KNOWN		(CODING_COMPRESSION | CODING_NULLS | CODING_DELTA | CODING_PATTERNS)

/*
 * Patterns are tried on the first chunk of a column and on every so manieth
 * after it, beside compression as it is, and used on those between if they
 * have saved a sixteenth.  What is too small is not tried.
 */
#define PATTERNS_EVERY		16
#define PATTERNS_MIN_VALUES 32
#define PATTERNS_MIN_LEN	1024

/* The layout byte: binary logarithm of the alignment, and this. */
#define LAYOUT_ALIGN		0x03
#define LAYOUT_BYVAL		0x04

static inline size_t
bitmap_len(uint32_t nrows)
{
	return ((size_t) nrows + 7) / 8;
}

uint8_t
sth_layout_encode(const SthLayout *layout)
{
	return (uint8_t) ((layout->align == 8 ? 3 : layout->align / 2) |
					  (layout->byval ? LAYOUT_BYVAL : 0));
}

/* Returns whether there is such a layout. */
int
sth_layout_decode(int16_t len, uint8_t code, SthLayout *layout)
{
	memset(layout, 0, sizeof(*layout));
	layout->len = len;
	layout->align = (uint8_t) (1 << (code & LAYOUT_ALIGN));
	layout->byval = (code & LAYOUT_BYVAL) != 0;
	if (code & ~(LAYOUT_ALIGN | LAYOUT_BYVAL))
		return 0;
	if (layout->byval)
		return len == 1 || len == 2 || len == 4 || len == 8;
	return len == -1 ? layout->align >= 4 : len > 0;
}

void
sth_chunk_put(const SthChunk *chunk, uint8_t *entry)
{
	sth_put_u16(entry, chunk->kind);
	sth_put_u16(entry + 2, (uint16_t) chunk->column.attnum);
	sth_put_u32(entry + 4, chunk->column.type);
	sth_put_u32(entry + 8, (uint32_t) chunk->column.typmod);
	sth_put_u16(entry + 12, (uint16_t) chunk->column.layout.len);
	entry[14] = sth_layout_encode(&chunk->column.layout);
	entry[15] = chunk->coding;
	sth_put_u32(entry + 16, chunk->nvalues);
	sth_put_u32(entry + 20, chunk->stored_len);
	sth_put_u32(entry + 24, chunk->raw_len);
	sth_put_u32(entry + 28, chunk->crc);
}

/* Does what the entry says of its lengths agree with itself? */
static int
lengths_agree(const SthChunk *chunk, uint32_t nrows)
{
	const SthLayout *layout = &chunk->column.layout;
	size_t		bitmap = chunk->coding & CODING_NULLS ? bitmap_len(nrows) : 0;
	size_t		values;

	if (chunk->raw_len < bitmap || chunk->raw_len > STH_CHUNK_MAX)
		return 0;
	values = chunk->raw_len - bitmap;
	if (chunk->coding & CODING_PATTERNS)
		return layout->len == -1 && !(chunk->coding & CODING_DELTA) &&
			chunk->stored_len >= bitmap && values >= chunk->nvalues &&
			sth_decompressed_size_is_sane(STH_COMPRESSION_ZSTD,
										  chunk->stored_len, chunk->raw_len);
	if (!sth_decompressed_size_is_sane((SthCompression) (chunk->coding & CODING_COMPRESSION),
									   chunk->stored_len, chunk->raw_len))
		return 0;
	if (chunk->coding & CODING_DELTA)
		return layout->byval && layout->len > 1 && values >= chunk->nvalues;
	if (layout->len == -1)
		return values >= chunk->nvalues;
	return values == chunk->nvalues * sth_column_stride(layout);
}

/*
 * Reads the directory entry of a block of nrows rows that stands at byte
 * 'at'.  A kind that may be skipped has only its length and checksum read,
 * and a coding of a later version is left for whoever wants the chunk.
 */
SthCodecResult
sth_chunk_get(const uint8_t *entry, uint32_t nrows, uint64_t at,
			  SthChunk *chunk, SthFault *fault)
{
	chunk->kind = sth_get_u16(entry);
	chunk->column.attnum = (int16_t) sth_get_u16(entry + 2);
	chunk->column.type = sth_get_u32(entry + 4);
	chunk->column.typmod = (int32_t) sth_get_u32(entry + 8);
	chunk->coding = entry[15];
	chunk->nvalues = sth_get_u32(entry + 16);
	chunk->stored_len = sth_get_u32(entry + 20);
	chunk->raw_len = sth_get_u32(entry + 24);
	chunk->crc = sth_get_u32(entry + 28);

	if (chunk->stored_len > STH_CHUNK_MAX)
		return sth_fault(fault, STH_CODEC_DAMAGED, "a chunk's length is absurd", at);
	if (chunk->kind != STH_CHUNK_VALUES && chunk->kind != STH_CHUNK_TIMES)
	{
		if (chunk->kind & STH_CHUNK_COMPATIBLE)
			return STH_CODEC_OK;
		return sth_fault(fault, STH_CODEC_UNSUPPORTED,
						 "a kind of chunk that this version does not know", at);
	}
	if (!sth_layout_decode((int16_t) sth_get_u16(entry + 12), entry[14],
						   &chunk->column.layout))
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "a column's layout does not exist", at);
	if (chunk->kind == STH_CHUNK_VALUES ? chunk->column.attnum <= 0 :
		chunk->column.attnum != 0 || chunk->column.type != 0 ||
		chunk->column.typmod != -1 || chunk->column.layout.len != 8 ||
		!chunk->column.layout.byval || chunk->nvalues != nrows)
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "a chunk is of no column", at);
	if (chunk->nvalues == 0 || chunk->nvalues > nrows ||
		((chunk->coding & CODING_NULLS) != 0) != (chunk->nvalues < nrows))
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "a chunk's count of values is wrong", at);
	if (!(chunk->coding & ~CODING_KNOWN) &&
		(chunk->coding & CODING_COMPRESSION) <= STH_COMPRESSION_ZSTD &&
		!lengths_agree(chunk, nrows))
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "a chunk's lengths contradict each other", at);
	return STH_CODEC_OK;
}

/* Compares the checksum of a chunk at byte 'at', of whatever kind. */
SthCodecResult
sth_chunk_check(const SthChunk *chunk, const uint8_t *stored, uint64_t at,
				SthFault *fault)
{
	if (sth_crc32c(0, stored, sth_chunk_span(chunk)) != chunk->crc)
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "the checksum of a chunk is wrong", at);
	return STH_CODEC_OK;
}

static int
count_bits(const uint8_t *bits, size_t len)
{
	int			count = 0;
	size_t		i;

	for (i = 0; i < len; i++)
		count += __builtin_popcount(bits[i]);
	return count;
}

/* The chunk's bytes, made of patterns; NULL if they cannot be had. */
static const uint8_t *
fill_in_patterns(const SthChunk *chunk, size_t bitmap, const uint8_t *stored,
				 const SthMemory *memory, SthDecompressor *decompressor,
				 SthChunkBuffers *buffers, uint64_t at, SthFault *fault)
{
	size_t		values_len = chunk->raw_len - bitmap;
	size_t		len = chunk->stored_len - bitmap;

	if (!sth_buffer_reset(memory, &buffers->raw,
						  chunk->raw_len + STH_PATTERN_SLACK))
	{
		sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a chunk", at);
		return NULL;
	}
	switch (sth_pattern_decode(stored, len, chunk->nvalues,
							   chunk->column.layout.align,
							   (SthCompression) (chunk->coding & CODING_COMPRESSION),
							   decompressor, memory, &buffers->streams,
							   buffers->raw.data, values_len))
	{
		case STH_PATTERN_OK:
			memcpy(buffers->raw.data + values_len, stored + len, bitmap);
			return buffers->raw.data;
		case STH_PATTERN_NO_MEMORY:
			sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a chunk", at);
			return NULL;
		default:
			sth_fault(fault, STH_CODEC_DAMAGED, "a chunk's patterns are wrong", at);
			return NULL;
	}
}

/* The chunk's bytes before compression; NULL if they cannot be had. */
static const uint8_t *
decompress(const SthChunk *chunk, const uint8_t *stored,
		   const SthMemory *memory, SthDecompressor *decompressor,
		   SthBuffer *raw, uint64_t at, SthFault *fault)
{
	SthCompression compression = (SthCompression) (chunk->coding & CODING_COMPRESSION);

	if (compression == STH_COMPRESSION_NONE &&
		((uintptr_t) stored % STH_CHUNK_ALIGN == 0 ||
		 chunk->coding & CODING_DELTA))
		return stored;
	if (!sth_buffer_reset(memory, raw, chunk->raw_len))
	{
		sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a chunk", at);
		return NULL;
	}
	if (compression == STH_COMPRESSION_NONE)
		memcpy(raw->data, stored, chunk->raw_len);
	else if (!sth_decompress(decompressor, compression, stored,
							 chunk->stored_len, raw->data, chunk->raw_len))
	{
		sth_fault(fault, STH_CODEC_DAMAGED, "a chunk does not decompress", at);
		return NULL;
	}
	return raw->data;
}

/*
 * Decodes the chunk whose stored bytes, padding included, stand at byte 'at'
 * of the object.  The result leads into them or into the buffers, and is good
 * as long as both are.
 */
SthCodecResult
sth_chunk_decode(const SthChunk *chunk, uint32_t nrows, const uint8_t *stored,
				 uint64_t at, const SthMemory *memory,
				 SthDecompressor *decompressor, SthChunkBuffers *buffers,
				 SthColumnData *data, SthFault *fault)
{
	size_t		bitmap = chunk->coding & CODING_NULLS ? bitmap_len(nrows) : 0;
	const uint8_t *raw;

	if (chunk->coding & ~CODING_KNOWN ||
		(chunk->coding & CODING_COMPRESSION) > STH_COMPRESSION_ZSTD)
		return sth_fault(fault, STH_CODEC_UNSUPPORTED,
						 "a coding that this version does not know", at);
	if (sth_chunk_check(chunk, stored, at, fault) != STH_CODEC_OK)
		return fault->result;
	raw = chunk->coding & CODING_PATTERNS ?
		fill_in_patterns(chunk, bitmap, stored, memory, decompressor, buffers,
						 at, fault) :
		decompress(chunk, stored, memory, decompressor, &buffers->raw, at, fault);
	if (raw == NULL)
		return fault->result;

	data->nvalues = chunk->nvalues;
	data->values = raw;
	data->len = chunk->raw_len - bitmap;
	data->present = bitmap > 0 ? raw + data->len : NULL;
	if (bitmap > 0 &&
		(count_bits(data->present, bitmap) != (int) chunk->nvalues ||
		 (nrows % 8 != 0 && data->present[bitmap - 1] >> nrows % 8 != 0)))
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "a chunk's bitmap is wrong", at);
	if (chunk->coding & CODING_DELTA)
	{
		int			width = chunk->column.layout.len;
		size_t		len = (size_t) chunk->nvalues * (size_t) width;

		if (!sth_buffer_reset(memory, &buffers->values, len))
			return sth_fault(fault, STH_CODEC_NO_MEMORY,
							 "no memory for a chunk", at);
		if (!sth_delta_decode(raw, data->len, buffers->values.data,
							  chunk->nvalues, width))
			return sth_fault(fault, STH_CODEC_DAMAGED,
							 "a chunk's differences are wrong", at);
		data->values = buffers->values.data;
		data->len = len;
	}
	return STH_CODEC_OK;
}

/* Puts integers as differences into scratch if that takes a quarter off. */
static SthBuffer *
try_delta(SthChunk *chunk, SthBuffer *values, const SthMemory *memory,
		  SthBuffer *scratch)
{
	const SthLayout *layout = &chunk->column.layout;
	size_t		limit = values->len - values->len / 4;

	if (!layout->byval || layout->len == 1 ||
		!sth_buffer_reset(memory, scratch, limit + STH_DELTA_MAX))
		return values;
	scratch->len = sth_delta_encode(values->data, chunk->nvalues, layout->len,
									scratch->data, limit);
	if (scratch->len == 0)
		return values;
	chunk->coding |= CODING_DELTA;
	return scratch;
}

/*
 * Appends the values by patterns, if that is expected to be of use.  Leaves
 * out as it was if not; returns 0 if there is no memory.
 */
static int
try_patterns(SthChunk *chunk, const SthBuffer *values,
			 SthCompression compression, SthChunkEncoder *encoder,
			 SthChunkHabit *habit, const SthMemory *memory, SthBuffer *out)
{
	size_t		start = out->len;
	int			is_trial = habit->left == 0;
	SthPatternResult result;

	if (compression != STH_COMPRESSION_ZSTD || chunk->column.layout.len != -1 ||
		chunk->nvalues < PATTERNS_MIN_VALUES || values->len < PATTERNS_MIN_LEN)
		return 1;
	habit->left = is_trial ? PATTERNS_EVERY - 1 : habit->left - 1;
	if (!is_trial && !habit->patterns)
		return 1;
	if (encoder->patterns == NULL)
		encoder->patterns = sth_pattern_writer_create(memory);
	if (encoder->patterns == NULL)
		return 0;
	result = sth_pattern_append(encoder->patterns, values->data, values->len,
								chunk->nvalues, chunk->column.layout.align,
								compression, &encoder->compressor, out);
	if (result == STH_PATTERN_NO_MEMORY)
		return 0;
	habit->patterns = result == STH_PATTERN_OK;
	if (habit->patterns && is_trial)
	{
		encoder->scratch.len = 0;
		if (!sth_compress_append(&encoder->compressor, memory, &compression,
								 values->data, values->len, &encoder->scratch))
			return 0;
		habit->patterns = out->len - start <=
			encoder->scratch.len - encoder->scratch.len / 16;
	}
	if (habit->patterns)
		chunk->coding |= CODING_PATTERNS | STH_COMPRESSION_ZSTD;
	else
		out->len = start;
	return 1;
}

/* Appends the values compressed, or as they are, in any case with the bitmap. */
static SthCodecResult
append_values(SthChunk *chunk, uint32_t nrows, SthBuffer *values,
			  const uint8_t *present, SthCompression compression,
			  SthChunkEncoder *encoder, const SthMemory *memory,
			  SthBuffer *out, SthFault *fault)
{
	SthBuffer  *raw = try_delta(chunk, values, memory, &encoder->scratch);

	if (chunk->coding & CODING_NULLS &&
		!sth_buffer_append(memory, raw, present, bitmap_len(nrows)))
		return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a chunk", 0);
	if (raw->len > STH_CHUNK_MAX)
		return sth_fault(fault, STH_CODEC_TOO_LARGE, "a chunk is too long", 0);
	if (!sth_compress_append(&encoder->compressor, memory, &compression,
							 raw->data, raw->len, out))
		return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a chunk", 0);
	chunk->coding |= (uint8_t) compression;
	chunk->raw_len = (uint32_t) raw->len;
	return STH_CODEC_OK;
}

/*
 * Appends the chunk of these values to out, and fills in what the entry says
 * of it; kind, column and nvalues, above 0, stand in it already.  The bitmap
 * 'present' is looked at if there are fewer values than rows; 'values' has it
 * behind them then.
 */
SthCodecResult
sth_chunk_append(SthChunk *chunk, uint32_t nrows, SthBuffer *values,
				 const uint8_t *present, SthCompression compression,
				 SthChunkEncoder *encoder, SthChunkHabit *habit,
				 const SthMemory *memory, SthBuffer *out, SthFault *fault)
{
	size_t		start = out->len;
	size_t		bitmap = chunk->nvalues < nrows ? bitmap_len(nrows) : 0;
	size_t		pad;

	chunk->coding = bitmap > 0 ? CODING_NULLS : 0;
	if (values->len > STH_CHUNK_MAX - bitmap)
		return sth_fault(fault, STH_CODEC_TOO_LARGE, "a chunk is too long", 0);
	if (!try_patterns(chunk, values, compression, encoder, habit, memory, out))
		return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a chunk", 0);
	if (chunk->coding & CODING_PATTERNS)
	{
		chunk->raw_len = (uint32_t) (values->len + bitmap);
		if (!sth_buffer_append(memory, out, present, bitmap))
			return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a chunk", 0);
	}
	else if (append_values(chunk, nrows, values, present, compression, encoder,
						   memory, out, fault) != STH_CODEC_OK)
		return fault->result;
	if (!sth_buffer_reserve(memory, out, STH_CHUNK_ALIGN))
		return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a chunk", 0);
	chunk->stored_len = (uint32_t) (out->len - start);
	pad = sth_chunk_span(chunk) - chunk->stored_len;
	memset(out->data + out->len, 0, pad);
	out->len += pad;
	chunk->crc = sth_crc32c(0, out->data + start, out->len - start);
	return STH_CODEC_OK;
}

void
sth_chunk_encoder_free(SthChunkEncoder *encoder, const SthMemory *memory)
{
	if (encoder->patterns != NULL)
		sth_pattern_writer_free(encoder->patterns);
	sth_buffer_free(memory, &encoder->scratch);
	sth_compressor_free(&encoder->compressor, memory);
	memset(encoder, 0, sizeof(*encoder));
}
