/*-------------------------------------------------------------------------
 *
 * block.h
 *	  Blocks: rows of one log with consecutive offsets, by column.
 *
 * A block is a header, with a directory of chunks in it, and the chunks.  An
 * object's footer and the server's catalog have an index entry for each, with
 * which a reader finds it and knows, before it is read, whether it is wanted.
 * docs/segment-format.md has the bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_BLOCK_H
#define STH_CODEC_BLOCK_H

#include "codec/chunk.h"

/* "ShB1"; the digit is the format's, not this header's, version */
#define STH_BLOCK_MAGIC 0x31426853U
#define STH_BLOCK_VERSION 1

#define STH_BLOCK_HEAD_LEN 56
#define STH_BLOCK_MAX_ROWS 65536
#define STH_BLOCK_MAX_LEN 0x7fffffffU

/* Columns, times, and kinds of later versions. */
#define STH_BLOCK_MAX_CHUNKS 2048

#define STH_INDEX_ENTRY_LEN 48

/* A block's header, taken apart. */
typedef struct SthBlock
{
	const uint8_t *data;		/* its first header_len bytes at least */
	uint64_t	position;		/* in the object */
	uint32_t	len;
	uint32_t	header_len;
	uint32_t	header_crc;
	int			nchunks;
	int32_t		log_id;
	int32_t		epoch;
	int64_t		base_offset;
	uint32_t	nrows;
	int64_t		min_time;
	int64_t		max_time;
} SthBlock;

/* What the index says of a block. */
typedef struct SthIndexEntry
{
	uint64_t	position;
	int64_t		base_offset;
	int64_t		min_time;
	int64_t		max_time;
	uint32_t	len;
	uint32_t	nrows;
	uint32_t	header_len;
	uint32_t	header_crc;
} SthIndexEntry;

extern SthCodecResult sth_block_parse(const uint8_t *data, size_t len,
									  uint64_t position, SthBlock *block,
									  SthFault *fault);
extern void sth_block_chunk(const SthBlock *block, int i, SthChunk *chunk);
extern SthCodecResult sth_block_match(const SthBlock *block,
									  const SthIndexEntry *entry,
									  SthFault *fault);
extern SthCodecResult sth_block_verify(const uint8_t *data, size_t len,
									   const SthIndexEntry *entry,
									   SthFault *fault);
extern void sth_block_put_head(const SthBlock *block, uint8_t *head);

extern void sth_index_get(const uint8_t *entry, SthIndexEntry *out);
extern void sth_index_put(const SthIndexEntry *entry, uint8_t *dst);

#endif							/* STH_CODEC_BLOCK_H */
