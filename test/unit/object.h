/*
 * Objects for tests: memory by malloc that can be counted and made to fail,
 * a sink into memory, and reading a whole object with all its checks.
 */
#ifndef OBJECT_H
#define OBJECT_H

#include <stdio.h>
#include <stdlib.h>

#include "codec/block_reader.h"
#include "codec/crc32c.h"
#include "codec/object_writer.h"

/* Allocations that live, and how many more succeed; below 0: all. */
static int	allocated = 0;
static long allocations_left = -1;

static inline void *
test_allocate(void *context, size_t size)
{
	void	   *p;

	if (allocations_left == 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	p = malloc(size);
	allocated += p != NULL;
	return p;
}

static inline void
test_release(void *context, void *memory)
{
	allocated--;
	free(memory);
}

static const SthMemory test_memory = {test_allocate, test_release, NULL};

/* What a sink takes; not of test_memory, which may be made to fail. */
typedef struct Bytes
{
	uint8_t    *data;
	size_t		len;
	size_t		limit;			/* it takes no more, if not 0 */
} Bytes;

static inline int
take_bytes(void *context, const uint8_t *data, size_t len)
{
	Bytes	   *bytes = context;

	if (bytes->limit > 0 && bytes->len + len > bytes->limit)
		return 0;
	bytes->data = realloc(bytes->data, bytes->len + len + 1);
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
	return 1;
}

static inline SthText
text		(const char *s)
{
	SthText		t = {s, (uint32_t) strlen(s)};

	return t;
}

static inline SthColumnType
column_type(int16_t attnum, uint32_t type, int32_t typmod, SthLayout layout)
{
	SthColumnType column = {attnum, type, typmod, layout};

	return column;
}

/* Opens the footer of an object that is all there. */
static inline SthCodecResult
open_object(const uint8_t *object, size_t len, SthTrailer *trailer,
			SthFooter *footer, SthFault *fault)
{
	if (len < STH_TRAILER_LEN)
		return sth_fault(fault, STH_CODEC_DAMAGED, "too short", len);
	if (sth_trailer_parse(object + len - STH_TRAILER_LEN, len, trailer,
						  fault) != STH_CODEC_OK)
		return fault->result;
	return sth_footer_open(object + trailer->footer_position, trailer, footer,
						   fault);
}

/* Checks all that can be checked without knowing the columns. */
static inline SthCodecResult
verify_object(const uint8_t *object, size_t len, SthFault *fault)
{
	SthTrailer	trailer;
	SthFooter	footer;

	if (open_object(object, len, &trailer, &footer, fault) != STH_CODEC_OK)
		return fault->result;
	for (uint32_t i = 0; i < footer.nblocks; i++)
	{
		SthIndexEntry entry;

		sth_footer_block(&footer, i, &entry);
		if (sth_block_verify(object + entry.position, entry.len, &entry,
							 fault) != STH_CODEC_OK)
			return fault->result;
	}
	return STH_CODEC_OK;
}

/*
 * Makes the checksums of a block right again, so that what is wrong with it
 * is noticed by other means; what is not there cannot be mended.
 */
static inline void
mend_block(uint8_t *block, size_t len)
{
	size_t		nchunks;
	size_t		header;
	size_t		at;

	if (len < STH_BLOCK_HEAD_LEN)
		return;
	nchunks = sth_get_u16(block + 10);
	header = STH_BLOCK_HEAD_LEN + nchunks * STH_CHUNK_ENTRY_LEN;
	if (header > len)
		return;
	at = header;
	for (size_t i = 0; i < nchunks; i++)
	{
		uint8_t    *entry = block + STH_BLOCK_HEAD_LEN + i * STH_CHUNK_ENTRY_LEN;
		size_t		span = STH_ALIGN_UP((size_t) sth_get_u32(entry + 20), 8);

		if (span > len - at)
			break;
		sth_put_u32(entry + 28, sth_crc32c(0, block + at, span));
		at += span;
	}
	sth_put_u32(block + 4, sth_crc32c(0, block + 8, header - 8));
}

/* The index entry of the block whose header this is, unchecked. */
static inline SthIndexEntry
entry_of(const uint8_t *block)
{
	SthIndexEntry entry;

	entry.position = 0;
	entry.base_offset = (int64_t) sth_get_u64(block + 24);
	entry.min_time = (int64_t) sth_get_u64(block + 40);
	entry.max_time = (int64_t) sth_get_u64(block + 48);
	entry.len = sth_get_u32(block + 12);
	entry.nrows = sth_get_u32(block + 32);
	entry.header_len = STH_BLOCK_HEAD_LEN + sth_get_u16(block + 10) * STH_CHUNK_ENTRY_LEN;
	entry.header_crc = sth_get_u32(block + 4);
	return entry;
}

#endif							/* OBJECT_H */
