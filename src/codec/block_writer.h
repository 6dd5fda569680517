/*-------------------------------------------------------------------------
 *
 * block_writer.h
 *	  Rows to blocks.
 *
 * The rows come as frames have them, so that what the tail stores is spread
 * into columns without a datum being made:
 *
 *		sth_block_writer_set_columns(writer, columns, n)	per segment
 *		sth_block_writer_take_frame(writer, frame)	per frame, then per row
 *			if (sth_block_writer_is_full(writer, row))
 *				sth_block_writer_finish(...)	and write the block somewhere
 *			sth_block_writer_add(writer, row)
 *		sth_block_writer_finish(...)			for what is left
 *
 * object_writer.h does that for whole objects and is what a flusher calls.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_BLOCK_WRITER_H
#define STH_CODEC_BLOCK_WRITER_H

#include "codec/block.h"
#include "codec/frame.h"

/* A column that frames may have. */
typedef struct SthSourceColumn
{
	SthColumnType column;
	int			dropped;		/* its values are passed over */
} SthSourceColumn;

typedef struct SthBlockWriter SthBlockWriter;

extern SthBlockWriter *sth_block_writer_create(const SthMemory *memory,
											   size_t block_size);
extern void sth_block_writer_free(SthBlockWriter *writer);

extern SthCodecResult sth_block_writer_set_columns(SthBlockWriter *writer,
												   const SthSourceColumn *columns,
												   int ncolumns, SthFault *fault);
extern SthCodecResult sth_block_writer_take_frame(SthBlockWriter *writer,
												  const SthFrame *frame,
												  SthFault *fault);
extern int	sth_block_writer_is_full(const SthBlockWriter *writer,
									 const SthFrameRow *row);
extern SthCodecResult sth_block_writer_add(SthBlockWriter *writer,
										   const SthFrameRow *row,
										   SthFault *fault);
extern uint32_t sth_block_writer_rows(const SthBlockWriter *writer);

extern SthCodecResult sth_block_writer_finish(SthBlockWriter *writer,
											  SthCompression compression,
											  SthBlock *block, SthFault *fault);

#endif							/* STH_CODEC_BLOCK_WRITER_H */
