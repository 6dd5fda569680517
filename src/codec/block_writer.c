/*-------------------------------------------------------------------------
 *
 * block_writer.c
 *	  Rows to blocks.
 *
 * Each column has a buffer to which the values of its rows are appended as
 * the chunk will have them, and a bitmap of the rows that have one.  Times
 * are a column among them.  Finishing encodes the buffers, one after another,
 * behind the room for the header, and empties them; columns without a value
 * leave no chunk.
 *
 * Failure: an error in the middle of a row leaves the columns uneven.  The
 * writer is of no use then but to be freed, or given columns again.
 *
 * Memory: about block_size in all, and the block made of it; more only for a
 * row that is larger, which gets a block of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/block_writer.h"

/* A column that is being collected. */
typedef struct Column
{
	SthSourceColumn source;
	SthBuffer	values;
	SthBuffer	present;		/* a bit per row, as far as it has values */
	uint32_t	nvalues;
	SthChunkHabit habit;
} Column;

struct SthBlockWriter
{
	SthMemory	memory;
	size_t		block_size;

	Column		times;
	Column	   *columns;		/* by attnum, ascending */
	int			ncolumns;

	/* rows collected */
	uint32_t	nrows;
	size_t		raw_len;		/* of their values and times */
	int64_t		min_time;
	int64_t		max_time;

	/* where the current frame's columns go */
	uint8_t    *descriptor;		/* as resolved */
	size_t		descriptor_len;
	size_t		descriptor_size;
	Column	  **targets;		/* by the frame's column; room for all */
	SthFrameColumn *frame_columns;
	int			ntargets;

	SthChunkEncoder encoder;
	SthBuffer	block;
};

static SthCodecResult
no_memory(SthFault *fault)
{
	return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a block", 0);
}

/* Returns NULL if there is no memory. */
SthBlockWriter *
sth_block_writer_create(const SthMemory *memory, size_t block_size)
{
	SthBlockWriter *writer = sth_allocate_zeroed(memory, sizeof(*writer));

	if (writer == NULL)
		return NULL;
	writer->memory = *memory;
	writer->block_size = block_size;
	writer->times.source.column.typmod = -1;
	writer->times.source.column.layout.len = 8;
	writer->times.source.column.layout.align = 8;
	writer->times.source.column.layout.byval = 1;
	return writer;
}

static void
free_columns(SthBlockWriter *writer)
{
	int			i;

	for (i = 0; i < writer->ncolumns; i++)
	{
		sth_buffer_free(&writer->memory, &writer->columns[i].values);
		sth_buffer_free(&writer->memory, &writer->columns[i].present);
	}
	sth_release(&writer->memory, writer->columns);
	sth_release(&writer->memory, writer->targets);
	sth_release(&writer->memory, writer->frame_columns);
	writer->columns = NULL;
	writer->targets = NULL;
	writer->frame_columns = NULL;
	writer->ncolumns = 0;
	writer->ntargets = 0;
}

void
sth_block_writer_free(SthBlockWriter *writer)
{
	SthMemory	memory = writer->memory;

	free_columns(writer);
	sth_release(&memory, writer->descriptor);
	sth_buffer_free(&memory, &writer->times.values);
	sth_buffer_free(&memory, &writer->block);
	sth_chunk_encoder_free(&writer->encoder, &memory);
	sth_release(&memory, writer);
}

static void
forget_rows(SthBlockWriter *writer)
{
	int			i;

	for (i = 0; i < writer->ncolumns; i++)
	{
		writer->columns[i].values.len = 0;
		writer->columns[i].present.len = 0;
		writer->columns[i].nvalues = 0;
	}
	writer->times.values.len = 0;
	writer->nrows = 0;
	writer->raw_len = 0;
}

/*
 * Sets the columns that the rows to come may have, in ascending order of
 * attribute number; frames need not have all of them, but have no others.
 * Rows collected before are forgotten.
 */
SthCodecResult
sth_block_writer_set_columns(SthBlockWriter *writer,
							 const SthSourceColumn *columns, int ncolumns,
							 SthFault *fault)
{
	const SthMemory *memory = &writer->memory;
	size_t		n = (size_t) ncolumns;
	int			i;

	forget_rows(writer);
	free_columns(writer);
	writer->descriptor_len = 0;
	writer->columns = sth_allocate_zeroed(memory, n * sizeof(Column) + 1);
	writer->targets = sth_allocate_zeroed(memory, n * sizeof(Column *) + 1);
	writer->frame_columns = sth_allocate_zeroed(memory,
												n * sizeof(SthFrameColumn) + 1);
	if (writer->columns == NULL || writer->targets == NULL ||
		writer->frame_columns == NULL)
		return no_memory(fault);
	for (i = 0; i < ncolumns; i++)
		writer->columns[i].source = columns[i];
	writer->ncolumns = ncolumns;
	return STH_CODEC_OK;
}

/* Finds the column of each of the frame's columns; both are ascending. */
static SthCodecResult
resolve_columns(SthBlockWriter *writer, const SthFrame *frame, SthFault *fault)
{
	int			c = 0;
	int			i;

	if (frame->ncolumns > writer->ncolumns)
		return sth_fault(fault, STH_CODEC_MISMATCH,
						 "a frame has more columns than its topic", 0);
	if (sth_frame_columns(frame, writer->frame_columns) != STH_FRAME_OK)
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "a frame's columns are not well-formed", 0);
	for (i = 0; i < frame->ncolumns; i++)
	{
		const SthFrameColumn *from = &writer->frame_columns[i];
		const SthColumnType *to;

		while (c < writer->ncolumns &&
			   writer->columns[c].source.column.attnum < from->attnum)
			c++;
		to = &writer->columns[c].source.column;
		if (c == writer->ncolumns || to->attnum != from->attnum)
			return sth_fault(fault, STH_CODEC_MISMATCH,
							 "a frame has a column that its topic has not", 0);
		/* what a dropped column was can no longer be told in full */
		if (!writer->columns[c].source.dropped &&
			(to->type != from->type || to->typmod != from->typmod))
			return sth_fault(fault, STH_CODEC_MISMATCH,
							 "a frame's column is of another type than its topic's", 0);
		writer->targets[i] = &writer->columns[c];
	}
	writer->ntargets = frame->ncolumns;
	return STH_CODEC_OK;
}

/* Says that the rows to come are of this frame. */
SthCodecResult
sth_block_writer_take_frame(SthBlockWriter *writer, const SthFrame *frame,
							SthFault *fault)
{
	size_t		len = frame->descriptor_len;

	if (writer->ntargets == frame->ncolumns && writer->descriptor_len == len &&
		len > 0 && memcmp(writer->descriptor, frame->descriptor, len) == 0)
		return STH_CODEC_OK;
	writer->descriptor_len = 0;
	if (resolve_columns(writer, frame, fault) != STH_CODEC_OK)
		return fault->result;
	if (writer->descriptor_size < len)
	{
		sth_release(&writer->memory, writer->descriptor);
		writer->descriptor_size = 0;
		writer->descriptor = writer->memory.allocate(writer->memory.context, len);
		if (writer->descriptor == NULL)
			return no_memory(fault);
		writer->descriptor_size = len;
	}
	if (len > 0)
		memcpy(writer->descriptor, frame->descriptor, len);
	writer->descriptor_len = len;
	return STH_CODEC_OK;
}

uint32_t
sth_block_writer_rows(const SthBlockWriter *writer)
{
	return writer->nrows;
}

/* Should the block be finished before this row? */
int
sth_block_writer_is_full(const SthBlockWriter *writer, const SthFrameRow *row)
{
	return writer->nrows == STH_BLOCK_MAX_ROWS ||
		(writer->nrows > 0 &&
		 writer->raw_len + (size_t) (row->end - row->values) > writer->block_size);
}

/* Makes the bitmap long enough for n rows; 0 if there is no memory. */
static int
extend_present(SthBlockWriter *writer, Column *column, uint32_t n)
{
	SthBuffer  *present = &column->present;
	size_t		more = ((size_t) n + 7) / 8 - present->len;

	if (!sth_buffer_reserve(&writer->memory, present, more))
		return 0;
	memset(present->data + present->len, 0, more);
	present->len += more;
	return 1;
}

/* Appends a value, aligned as the chunk wants it; 0 if there is no memory. */
static inline int
append_value(SthBlockWriter *writer, Column *column, const uint8_t *value,
			 size_t len, int align)
{
	SthBuffer  *to = &column->values;
	size_t		pad = STH_ALIGN_UP(to->len, align) - to->len;

	if (!sth_buffer_reserve(&writer->memory, to, len + pad) ||
		(writer->nrows / 8 >= column->present.len &&
		 !extend_present(writer, column, writer->nrows + 1)))
		return 0;
	while (pad-- > 0)
		to->data[to->len++] = 0;
	memcpy(to->data + to->len, value, len);
	to->len += len;
	column->present.data[writer->nrows >> 3] |= (uint8_t) (1 << (writer->nrows & 7));
	column->nvalues++;
	return 1;
}

/* Appends what follows p in the row; returns its end, or NULL with a fault. */
static inline const uint8_t *
take_value(SthBlockWriter *writer, Column *column, const SthFrameRow *row,
		   const uint8_t *p, SthFault *fault)
{
	const SthLayout *layout = &column->source.column.layout;
	const uint8_t *value;
	const uint8_t *end;
	uintptr_t	datum;
	size_t		stride;
	int			align = layout->align;
	int			fits;

	end = sth_row_fetch(layout, row->values, p, row->end, &datum);
	if (end == NULL)
	{
		sth_fault(fault, STH_CODEC_DAMAGED, "a row ends before its values do", 0);
		return NULL;
	}
	if (column->source.dropped)
		return end;
	if (layout->byval)
	{
		value = end - layout->len;
		align = 1;
	}
	else
	{
		value = (const uint8_t *) datum;
		if (layout->len == -1 && *value & 0x01)
			align = 1;
	}
	fits = append_value(writer, column, value, (size_t) (end - value), align);
	if (fits && layout->len > 0 && !layout->byval)
	{
		/* an array's last element is as long as the others */
		stride = sth_column_stride(layout) - (size_t) layout->len;
		fits = sth_buffer_reserve(&writer->memory, &column->values, stride);
		if (fits)
			memset(column->values.data + column->values.len, 0, stride);
		column->values.len += fits ? stride : 0;
	}
	if (!fits)
	{
		no_memory(fault);
		return NULL;
	}
	return end;
}

/* Adds a row of the frame that was taken last. */
SthCodecResult
sth_block_writer_add(SthBlockWriter *writer, const SthFrameRow *row,
					 SthFault *fault)
{
	const uint8_t *p = row->values;
	int			i;

	for (i = 0; i < writer->ntargets; i++)
	{
		if (!sth_frame_has(row, i))
			continue;
		p = take_value(writer, writer->targets[i], row, p, fault);
		if (p == NULL)
			return fault->result;
	}
	if (p != row->end)
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "a row goes on after its values", 0);
	if (!sth_buffer_append(&writer->memory, &writer->times.values, &row->time, 8))
		return no_memory(fault);
	if (writer->nrows == 0)
		writer->min_time = writer->max_time = row->time;
	else if (row->time < writer->min_time)
		writer->min_time = row->time;
	else if (row->time > writer->max_time)
		writer->max_time = row->time;
	writer->raw_len += (size_t) (row->end - row->values) + 8;
	writer->nrows++;
	return STH_CODEC_OK;
}

static SthCodecResult
append_chunk(SthBlockWriter *writer, uint16_t kind, Column *column,
			 SthCompression compression, SthBlock *block, SthFault *fault)
{
	SthChunk	chunk;

	if (column->nvalues < writer->nrows &&
		!extend_present(writer, column, writer->nrows))
		return no_memory(fault);
	memset(&chunk, 0, sizeof(chunk));
	chunk.kind = kind;
	chunk.column = column->source.column;
	chunk.nvalues = column->nvalues;
	if (sth_chunk_append(&chunk, writer->nrows, &column->values,
						 column->present.data, compression, &writer->encoder,
						 &column->habit, &writer->memory, &writer->block,
						 fault) != STH_CODEC_OK)
		return fault->result;
	sth_chunk_put(&chunk, writer->block.data + STH_BLOCK_HEAD_LEN +
				  (size_t) block->nchunks * STH_CHUNK_ENTRY_LEN);
	block->nchunks++;
	return STH_CODEC_OK;
}

/*
 * Makes a block of the rows, of which there is at least one; the caller has
 * set log_id, epoch, base_offset and position in *block.  Its bytes are
 * block->data, good until the next call.
 */
SthCodecResult
sth_block_writer_finish(SthBlockWriter *writer, SthCompression compression,
						SthBlock *block, SthFault *fault)
{
	int			has_times = writer->min_time != writer->max_time;
	int			nchunks = has_times;
	int			i;

	for (i = 0; i < writer->ncolumns; i++)
		nchunks += writer->columns[i].nvalues > 0;
	block->nrows = writer->nrows;
	block->min_time = writer->min_time;
	block->max_time = writer->max_time;
	block->header_len = STH_BLOCK_HEAD_LEN + (uint32_t) nchunks * STH_CHUNK_ENTRY_LEN;
	if (!sth_buffer_reset(&writer->memory, &writer->block,
						  block->header_len + writer->raw_len))
		return no_memory(fault);
	writer->block.len = block->header_len;

	block->nchunks = 0;
	writer->times.nvalues = writer->nrows;
	if (has_times &&
		append_chunk(writer, STH_CHUNK_TIMES, &writer->times, compression,
					 block, fault) != STH_CODEC_OK)
		return fault->result;
	for (i = 0; i < writer->ncolumns; i++)
		if (writer->columns[i].nvalues > 0 &&
			append_chunk(writer, STH_CHUNK_VALUES, &writer->columns[i],
						 compression, block, fault) != STH_CODEC_OK)
			return fault->result;
	if (writer->block.len > STH_BLOCK_MAX_LEN)
		return sth_fault(fault, STH_CODEC_TOO_LARGE, "a block is too long", 0);
	block->len = (uint32_t) writer->block.len;
	block->data = writer->block.data;
	sth_block_put_head(block, writer->block.data);
	block->header_crc = sth_get_u32(writer->block.data + 4);
	forget_rows(writer);
	return STH_CODEC_OK;
}
