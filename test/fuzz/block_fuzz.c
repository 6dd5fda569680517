/*
 * Blocks: their checksums are made right before they are read, so that what
 * comes after them is reached.  All columns are read, as the block has them.
 */
#include "fuzz.h"

static void
read_rows(SthBlockReader *reader, const SthColumnType *columns, int n,
		  uint32_t skip)
{
	static uintptr_t values[INT16_MAX];
	static bool isnull[INT16_MAX];
	int64_t		time;

	if (!sth_block_reader_skip(reader, skip))
		return;
	while (sth_block_reader_next(reader, values, isnull, &time))
		for (int c = 0; c < n; c++)
			if (!isnull[columns[c].attnum - 1])
				touch_value(&columns[c].layout, values[columns[c].attnum - 1]);
}

static void
read_block(const uint8_t *data, size_t size, const SthBlock *block)
{
	static SthColumnType columns[STH_BLOCK_MAX_CHUNKS];
	SthIndexEntry entry = entry_of(data);
	SthBlockReader *reader;
	SthFault	fault;
	int			n = 0;

	for (int i = 0; i < block->nchunks; i++)
	{
		SthChunk	chunk;

		sth_block_chunk(block, i, &chunk);
		if (chunk.kind == STH_CHUNK_VALUES)
			columns[n++] = chunk.column;
	}
	reader = sth_block_reader_create(&fuzz_memory, columns, n, true);
	for (uint32_t skip = 0; skip < 3; skip += 2)
		if (sth_block_reader_load(reader, data, size, &entry, &fault) == STH_CODEC_OK)
			read_rows(reader, columns, n, skip);
	sth_block_reader_free(reader);
	(void) sth_block_verify(data, size, &entry, &fault);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t    *copy = copy_of(data, size);
	SthBlock	block;
	SthFault	fault;

	mend_block(copy, size);
	if (sth_block_parse(copy, size, 0, &block, &fault) == STH_CODEC_OK)
		read_block(copy, size, &block);
	free(copy);
	return 0;
}
