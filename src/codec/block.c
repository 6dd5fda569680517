/*-------------------------------------------------------------------------
 *
 * block.c
 *	  Headers of blocks, and index entries.
 *
 * A header is checked as a whole before anything in it is believed: magic,
 * checksum, version, and that its chunks follow one another without a gap to
 * the block's very end.  So each byte of a block is under the checksum of its
 * header or of one chunk.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/block.h"

#include "codec/crc32c.h"

/* Where things stand in a header. */
#define AT_MAGIC	0
#define AT_CRC		4
#define AT_VERSION	8			/* from here on under the checksum */
#define AT_NCHUNKS	10
#define AT_LEN		12
#define AT_LOG		16
#define AT_EPOCH	20
#define AT_BASE		24
#define AT_NROWS	32
#define AT_FLAGS	36
#define AT_MIN_TIME	40
#define AT_MAX_TIME	48

static SthCodecResult
damaged(const SthBlock *block, SthFault *fault, const char *what, uint64_t at)
{
	return sth_fault(fault, STH_CODEC_DAMAGED, what, block->position + at);
}

/* What the fixed part says of itself. */
static SthCodecResult
check_head(const SthBlock *block, SthFault *fault)
{
	if (block->nrows == 0 || block->nrows > STH_BLOCK_MAX_ROWS)
		return damaged(block, fault, "a block's number of rows is absurd", AT_NROWS);
	if (block->base_offset < 0 || block->base_offset > INT64_MAX - STH_BLOCK_MAX_ROWS)
		return damaged(block, fault, "a block's offsets are absurd", AT_BASE);
	if (block->min_time > block->max_time)
		return damaged(block, fault, "a block's times are absurd", AT_MIN_TIME);
	return STH_CODEC_OK;
}

/* Chunks: contiguous, times first, columns in ascending order. */
static SthCodecResult
check_directory(const SthBlock *block, SthFault *fault)
{
	uint64_t	at = block->header_len;
	int			last = -1;
	int			has_times = 0;
	int			i;

	for (i = 0; i < block->nchunks; i++)
	{
		SthChunk	chunk;
		size_t		entry = STH_BLOCK_HEAD_LEN + (size_t) i * STH_CHUNK_ENTRY_LEN;

		if (sth_chunk_get(block->data + entry, block->nrows,
						  block->position + entry, &chunk, fault) != STH_CODEC_OK)
			return fault->result;
		at += sth_chunk_span(&chunk);
		has_times |= chunk.kind == STH_CHUNK_TIMES;
		if (chunk.kind != STH_CHUNK_TIMES && chunk.kind != STH_CHUNK_VALUES)
			continue;
		/* times have number 0, columns theirs */
		if (chunk.column.attnum <= last)
			return damaged(block, fault, "chunks are out of order", entry);
		last = chunk.column.attnum;
	}
	if (!has_times && block->min_time != block->max_time)
		return damaged(block, fault, "a block lacks its times", AT_MIN_TIME);
	if (at != block->len)
		return damaged(block, fault, "a block's length is wrong", AT_LEN);
	return STH_CODEC_OK;
}

/*
 * Takes apart the header of the block that stands at byte 'position' of its
 * object.  Of the block only the header need be there; what is missing of it
 * is damage.
 */
SthCodecResult
sth_block_parse(const uint8_t *data, size_t len, uint64_t position,
				SthBlock *block, SthFault *fault)
{
	block->data = data;
	block->position = position;
	if (len < STH_BLOCK_HEAD_LEN || sth_get_u32(data + AT_MAGIC) != STH_BLOCK_MAGIC)
		return damaged(block, fault, "there is no block", AT_MAGIC);
	block->nchunks = sth_get_u16(data + AT_NCHUNKS);
	block->header_len = STH_BLOCK_HEAD_LEN +
		(uint32_t) block->nchunks * STH_CHUNK_ENTRY_LEN;
	block->header_crc = sth_get_u32(data + AT_CRC);
	if (block->nchunks > STH_BLOCK_MAX_CHUNKS || len < block->header_len ||
		sth_crc32c(0, data + AT_VERSION, block->header_len - AT_VERSION) !=
		block->header_crc)
		return damaged(block, fault, "the checksum of a block's header is wrong", AT_CRC);
	if (sth_get_u16(data + AT_VERSION) != STH_BLOCK_VERSION ||
		sth_get_u32(data + AT_FLAGS) != 0)
		return sth_fault(fault, STH_CODEC_UNSUPPORTED,
						 "a block of a later version", position);
	block->len = sth_get_u32(data + AT_LEN);
	block->log_id = (int32_t) sth_get_u32(data + AT_LOG);
	block->epoch = (int32_t) sth_get_u32(data + AT_EPOCH);
	block->base_offset = (int64_t) sth_get_u64(data + AT_BASE);
	block->nrows = sth_get_u32(data + AT_NROWS);
	block->min_time = (int64_t) sth_get_u64(data + AT_MIN_TIME);
	block->max_time = (int64_t) sth_get_u64(data + AT_MAX_TIME);
	if (check_head(block, fault) != STH_CODEC_OK)
		return fault->result;
	return check_directory(block, fault);
}

/* Chunk i of a block whose header has been parsed. */
void
sth_block_chunk(const SthBlock *block, int i, SthChunk *chunk)
{
	SthFault	none;

	(void) sth_chunk_get(block->data + STH_BLOCK_HEAD_LEN + i * STH_CHUNK_ENTRY_LEN,
						 block->nrows, 0, chunk, &none);
}

/* Writes the fixed part, with the checksum of the entries that follow it. */
void
sth_block_put_head(const SthBlock *block, uint8_t *head)
{
	sth_put_u32(head + AT_MAGIC, STH_BLOCK_MAGIC);
	sth_put_u16(head + AT_VERSION, STH_BLOCK_VERSION);
	sth_put_u16(head + AT_NCHUNKS, (uint16_t) block->nchunks);
	sth_put_u32(head + AT_LEN, block->len);
	sth_put_u32(head + AT_LOG, (uint32_t) block->log_id);
	sth_put_u32(head + AT_EPOCH, (uint32_t) block->epoch);
	sth_put_u64(head + AT_BASE, (uint64_t) block->base_offset);
	sth_put_u32(head + AT_NROWS, block->nrows);
	sth_put_u32(head + AT_FLAGS, 0);
	sth_put_u64(head + AT_MIN_TIME, (uint64_t) block->min_time);
	sth_put_u64(head + AT_MAX_TIME, (uint64_t) block->max_time);
	sth_put_u32(head + AT_CRC,
				sth_crc32c(0, head + AT_VERSION, block->header_len - AT_VERSION));
}

/* Is this the block that the index means? */
SthCodecResult
sth_block_match(const SthBlock *block, const SthIndexEntry *entry,
				SthFault *fault)
{
	if (block->header_crc != entry->header_crc ||
		block->header_len != entry->header_len ||
		block->len != entry->len || block->nrows != entry->nrows ||
		block->base_offset != entry->base_offset ||
		block->min_time != entry->min_time ||
		block->max_time != entry->max_time)
		return damaged(block, fault, "another block than the index says", 0);
	return STH_CODEC_OK;
}

/*
 * Checks every byte of a whole block against its checksums, chunks of unknown
 * kinds included, without decompressing anything.
 */
SthCodecResult
sth_block_verify(const uint8_t *data, size_t len, const SthIndexEntry *entry,
				 SthFault *fault)
{
	SthBlock	block;
	SthChunk	chunk;
	size_t		at;
	int			i;

	if (sth_block_parse(data, len, entry->position, &block, fault) != STH_CODEC_OK ||
		sth_block_match(&block, entry, fault) != STH_CODEC_OK)
		return fault->result;
	if (len != block.len)
		return damaged(&block, fault, "a block's length is wrong", AT_LEN);
	for (i = 0, at = block.header_len; i < block.nchunks; i++)
	{
		sth_block_chunk(&block, i, &chunk);
		if (sth_chunk_check(&chunk, data + at, block.position + at, fault) != STH_CODEC_OK)
			return fault->result;
		at += sth_chunk_span(&chunk);
	}
	return STH_CODEC_OK;
}

void
sth_index_get(const uint8_t *entry, SthIndexEntry *out)
{
	out->position = sth_get_u64(entry);
	out->base_offset = (int64_t) sth_get_u64(entry + 8);
	out->min_time = (int64_t) sth_get_u64(entry + 16);
	out->max_time = (int64_t) sth_get_u64(entry + 24);
	out->len = sth_get_u32(entry + 32);
	out->nrows = sth_get_u32(entry + 36);
	out->header_len = sth_get_u32(entry + 40);
	out->header_crc = sth_get_u32(entry + 44);
}

void
sth_index_put(const SthIndexEntry *entry, uint8_t *dst)
{
	sth_put_u64(dst, entry->position);
	sth_put_u64(dst + 8, (uint64_t) entry->base_offset);
	sth_put_u64(dst + 16, (uint64_t) entry->min_time);
	sth_put_u64(dst + 24, (uint64_t) entry->max_time);
	sth_put_u32(dst + 32, entry->len);
	sth_put_u32(dst + 36, entry->nrows);
	sth_put_u32(dst + 40, entry->header_len);
	sth_put_u32(dst + 44, entry->header_crc);
}
