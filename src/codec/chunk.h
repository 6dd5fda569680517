/*-------------------------------------------------------------------------
 *
 * chunk.h
 *	  Chunks: one column of a block's rows.
 *
 * docs/segment-format.md has the bytes.  A chunk is described by its entry
 * in the directory of its block and is decoded by itself, so that a reader
 * pays only for the columns that it wants.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_CHUNK_H
#define STH_CODEC_CHUNK_H

#include "codec/bytes.h"
#include "codec/compress.h"
#include "codec/fault.h"
#include "codec/memory.h"
#include "codec/pattern.h"
#include "codec/row.h"

/* Kinds.  A reader skips those that it does not know if this bit is set. */
#define STH_CHUNK_COMPATIBLE	0x8000

typedef enum SthChunkKind
{
	STH_CHUNK_VALUES = 1,		/* a column */
	STH_CHUNK_TIMES = 2,		/* the rows' times */
	STH_CHUNK_OFFSET_DELTAS = 3,	/* reserved: which offsets the rows have */
	STH_CHUNK_KEY_FILTER = 4 | STH_CHUNK_COMPATIBLE,	/* reserved */
} SthChunkKind;

#define STH_CHUNK_ENTRY_LEN 32

/* Chunks begin at multiples of this, counted from the block's start. */
#define STH_CHUNK_ALIGN 8

/* No chunk is longer, neither stored nor decoded: what palloc can give. */
#define STH_CHUNK_MAX 0x3fffffffU

/* What a column is; two are the same column if all of this is the same. */
typedef struct SthColumnType
{
	int16_t		attnum;
	uint32_t	type;			/* OID */
	int32_t		typmod;
	SthLayout	layout;			/* 'packable' is of no concern here */
} SthColumnType;

/* A directory entry. */
typedef struct SthChunk
{
	uint16_t	kind;
	SthColumnType column;		/* of values; of times the layout only */
	uint32_t	nvalues;		/* that are not NULL */
	uint32_t	stored_len;
	uint32_t	raw_len;		/* decompressed */
	uint32_t	crc;			/* of the stored bytes and their padding */
	uint8_t		coding;			/* see chunk.c */
} SthChunk;

/*
 * A chunk decoded: nvalues values that are not NULL, one after another, as
 * row.h says, with alignment counted from 'values', which is aligned to 8.
 * Fixed-length ones are an array.  present: a bit per row, NULL if no row is.
 */
typedef struct SthColumnData
{
	const uint8_t *values;
	size_t		len;
	const uint8_t *present;
	uint32_t	nvalues;
} SthColumnData;

/* What decoding needs; buffers are used again from chunk to chunk. */
typedef struct SthChunkBuffers
{
	SthBuffer	raw;
	SthBuffer	values;			/* of a chunk of differences */
	SthBuffer	streams;		/* of a chunk of patterns */
} SthChunkBuffers;

/* What encoding needs, kept from chunk to chunk.  All zero: nothing yet. */
typedef struct SthChunkEncoder
{
	SthCompressor compressor;
	SthPatternWriter *patterns;
	SthBuffer	scratch;
} SthChunkEncoder;

/* What a column's chunks have shown.  All zero: nothing yet. */
typedef struct SthChunkHabit
{
	uint8_t		left;			/* chunks until patterns are tried again */
	uint8_t		patterns;		/* did they save something? */
} SthChunkHabit;

/* The same, but for the number? */
static inline int
sth_column_is_same(const SthColumnType *a, const SthColumnType *b)
{
	return a->type == b->type && a->typmod == b->typmod &&
		a->layout.len == b->layout.len && a->layout.align == b->layout.align &&
		a->layout.byval == b->layout.byval;
}

static inline size_t
sth_column_stride(const SthLayout *layout)
{
	return STH_ALIGN_UP((size_t) layout->len, layout->byval ? layout->len : layout->align);
}

/* What a chunk takes in its block. */
static inline size_t
sth_chunk_span(const SthChunk *chunk)
{
	return STH_ALIGN_UP((size_t) chunk->stored_len, STH_CHUNK_ALIGN);
}

extern uint8_t sth_layout_encode(const SthLayout *layout);
extern int	sth_layout_decode(int16_t len, uint8_t code, SthLayout *layout);

extern void sth_chunk_put(const SthChunk *chunk, uint8_t *entry);
extern SthCodecResult sth_chunk_get(const uint8_t *entry, uint32_t nrows,
									uint64_t at, SthChunk *chunk,
									SthFault *fault);
extern SthCodecResult sth_chunk_check(const SthChunk *chunk,
									  const uint8_t *stored, uint64_t at,
									  SthFault *fault);
extern SthCodecResult sth_chunk_decode(const SthChunk *chunk, uint32_t nrows,
									   const uint8_t *stored, uint64_t at,
									   const SthMemory *memory,
									   SthDecompressor *decompressor,
									   SthChunkBuffers *buffers,
									   SthColumnData *data, SthFault *fault);
extern SthCodecResult sth_chunk_append(SthChunk *chunk, uint32_t nrows,
									   SthBuffer *values,
									   const uint8_t *present,
									   SthCompression compression,
									   SthChunkEncoder *encoder,
									   SthChunkHabit *habit,
									   const SthMemory *memory,
									   SthBuffer *out, SthFault *fault);
extern void sth_chunk_encoder_free(SthChunkEncoder *encoder,
								   const SthMemory *memory);

#endif							/* STH_CODEC_CHUNK_H */
