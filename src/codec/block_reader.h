/*-------------------------------------------------------------------------
 *
 * block_reader.h
 *	  Blocks to rows: the columns that are wanted, as datums.
 *
 * A scan makes one reader for the columns of its query and loads one block
 * after the other into it:
 *
 *		reader = sth_block_reader_create(memory, columns, n, want_times)
 *		sth_block_reader_load(reader, bytes, len, index entry)	per block
 *			sth_block_reader_skip(reader, n)	to begin within it
 *			sth_block_reader_rewind(reader)		to begin again
 *			while (sth_block_reader_next(reader, values, isnull, &time))
 *		sth_block_reader_free(reader)
 *
 * Whoever reads many rows takes them by batches instead:
 *
 *			while ((batch = sth_block_reader_batch(reader))->nrows > 0)
 *				sth_batch_row(batch, i, values, isnull), batch->times[i]
 *
 * Columns that are not wanted are neither checked nor decompressed, and
 * values are pointers into the block or into what it decompresses to: they
 * are good until the next load, as long as the block's bytes stay.  Bytes
 * that are aligned to 8 spare a copy of what is not compressed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_BLOCK_READER_H
#define STH_CODEC_BLOCK_READER_H

#include <stdbool.h>

#include "codec/block.h"

typedef struct SthBlockReader SthBlockReader;

/* As many rows are turned into datums at once: they fit the nearest cache. */
#define STH_BATCH_ROWS 128

/* A column of a batch, by row. */
typedef struct SthBatchColumn
{
	int			place;			/* attnum - 1 */
	const uintptr_t *values;	/* 0 where NULL */
	const bool *isnull;
} SthBatchColumn;

/* Rows as datums, by column: those that are wanted. */
typedef struct SthBatch
{
	uint32_t	nrows;
	int			ncolumns;
	const SthBatchColumn *columns;
	const int64_t *times;		/* by row; NULL unless they are wanted */
} SthBatch;

/* Puts the wanted columns of row i of a batch to their places. */
static inline void
sth_batch_row(const SthBatch *batch, uint32_t i, uintptr_t *values,
			  bool *isnull)
{
	const SthBatchColumn *column = batch->columns;
	const SthBatchColumn *end = column + batch->ncolumns;

	for (; column < end; column++)
	{
		values[column->place] = column->values[i];
		isnull[column->place] = column->isnull[i];
	}
}

extern SthBlockReader *sth_block_reader_create(const SthMemory *memory,
											   const SthColumnType *columns,
											   int ncolumns, bool want_times);
extern void sth_block_reader_free(SthBlockReader *reader);

extern SthCodecResult sth_block_reader_load(SthBlockReader *reader,
											const uint8_t *data, size_t len,
											const SthIndexEntry *entry,
											SthFault *fault);
extern const SthBlock *sth_block_reader_block(const SthBlockReader *reader);
extern const SthBatch *sth_block_reader_batch(SthBlockReader *reader);
extern bool sth_block_reader_next(SthBlockReader *reader, uintptr_t *values,
								  bool *isnull, int64_t *time);
extern bool sth_block_reader_skip(SthBlockReader *reader, uint32_t n);
extern uint32_t sth_block_reader_row(const SthBlockReader *reader);
extern void sth_block_reader_rewind(SthBlockReader *reader);
extern SthCodecResult sth_block_reader_fault(const SthBlockReader *reader,
											 SthFault *fault);
extern const SthColumnData *sth_block_reader_column(const SthBlockReader *reader,
													int i);

#endif							/* STH_CODEC_BLOCK_READER_H */
