/*-------------------------------------------------------------------------
 *
 * block_reader.c
 *	  Blocks to rows: the columns that are wanted, as datums.
 *
 * Loading finds the chunk of each wanted column, checks what it is and its
 * checksum, and decodes it into buffers of that column's own.  Then datums are
 * made a batch of rows at a time, column after column, so that what a column
 * is has to be asked once for many rows: fixed-length values are an array,
 * variable-length ones are walked, and each step is checked against the
 * chunk's end, so that a chunk that lies in spite of its checksum cannot lead
 * outside.
 *
 * Failure: a block that could not be loaded has no rows.  A step that fails
 * ends the rows with the one before, and sth_block_reader_fault tells it from
 * their regular end.
 *
 * Memory: the decoded chunks of one block, and a batch of datums; both kept
 * for the next block.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/block_reader.h"

/* How a column's next value is found. */
typedef enum Form
{
	FORM_NONE,					/* NULL in all rows */
	FORM_INT8,					/* by value, by width */
	FORM_INT16,
	FORM_INT32,
	FORM_INT64,
	FORM_FIXED,					/* by reference */
	FORM_VARLENA,
} Form;

typedef struct Source
{
	SthColumnType column;
	Form		form;
	const uint8_t *p;			/* the next value */
	const uint8_t *end;
	size_t		stride;
	const uint8_t *present;		/* or NULL: all rows have a value */
	uintptr_t  *values;			/* of the batch, */
	bool	   *isnull;			/* as it has them */
	uint64_t	at;				/* the chunk's byte in the object */
	SthColumnData data;
	SthChunkBuffers buffers;
} Source;

struct SthBlockReader
{
	SthMemory	memory;
	Source	   *sources;		/* by attnum, ascending */
	int			nsources;
	bool		want_times;
	Source		times;
	SthBlock	block;
	uint32_t	row;			/* the one after the batch */
	SthFault	fault;			/* that ended the rows */
	SthBatch	batch;
	SthBatchColumn *batch_columns;
	uint32_t	taken;			/* rows of the batch */
	uint8_t    *datums;			/* all that it points to */
	int64_t    *batch_times;
	SthDecompressor decompressor;
};

/* A batch of datums and NULL flags for each column, and one of times. */
static bool
allocate_batch(SthBlockReader *reader)
{
	const SthMemory *memory = &reader->memory;
	size_t		n = (size_t) reader->nsources;
	size_t		values_len = STH_BATCH_ROWS * sizeof(uintptr_t);
	int			i;

	reader->batch_columns = sth_allocate_zeroed(memory, n * sizeof(SthBatchColumn) + 1);
	reader->batch_times = sth_allocate_zeroed(memory, STH_BATCH_ROWS * sizeof(int64_t));
	reader->datums = sth_allocate_zeroed(memory, n * (values_len + STH_BATCH_ROWS) + 1);
	if (reader->batch_columns == NULL || reader->batch_times == NULL ||
		reader->datums == NULL)
		return false;
	for (i = 0; i < reader->nsources; i++)
	{
		Source	   *source = &reader->sources[i];
		SthBatchColumn *column = &reader->batch_columns[i];

		source->values = (uintptr_t *) (reader->datums + (size_t) i * values_len);
		source->isnull = (bool *) (reader->datums + n * values_len +
								   (size_t) i * STH_BATCH_ROWS);
		column->place = source->column.attnum - 1;
		column->values = source->values;
		column->isnull = source->isnull;
	}
	reader->batch.columns = reader->batch_columns;
	reader->batch.ncolumns = reader->nsources;
	reader->batch.times = reader->want_times ? reader->batch_times : NULL;
	return true;
}

/*
 * A reader of these columns, in ascending order of attribute number; NULL if
 * there is no memory.
 */
SthBlockReader *
sth_block_reader_create(const SthMemory *memory, const SthColumnType *columns,
						int ncolumns, bool want_times)
{
	SthBlockReader *reader = sth_allocate_zeroed(memory, sizeof(*reader));
	int			i;

	if (reader == NULL)
		return NULL;
	reader->memory = *memory;
	reader->want_times = want_times;
	reader->sources = sth_allocate_zeroed(memory, (size_t) ncolumns * sizeof(Source) + 1);
	reader->nsources = reader->sources == NULL ? 0 : ncolumns;
	for (i = 0; i < reader->nsources; i++)
		reader->sources[i].column = columns[i];
	if (reader->sources == NULL || !allocate_batch(reader))
	{
		sth_block_reader_free(reader);
		return NULL;
	}
	return reader;
}

static void
free_source(const SthMemory *memory, Source *source)
{
	sth_buffer_free(memory, &source->buffers.raw);
	sth_buffer_free(memory, &source->buffers.values);
	sth_buffer_free(memory, &source->buffers.streams);
}

void
sth_block_reader_free(SthBlockReader *reader)
{
	SthMemory	memory = reader->memory;
	int			i;

	for (i = 0; i < reader->nsources; i++)
		free_source(&memory, &reader->sources[i]);
	free_source(&memory, &reader->times);
	sth_decompressor_free(&reader->decompressor);
	sth_release(&memory, reader->sources);
	sth_release(&memory, reader->batch_columns);
	sth_release(&memory, reader->batch_times);
	sth_release(&memory, reader->datums);
	sth_release(&memory, reader);
}

static Form
form_of(const SthLayout *layout)
{
	if (!layout->byval)
		return layout->len == -1 ? FORM_VARLENA : FORM_FIXED;
	switch (layout->len)
	{
		case 1:
			return FORM_INT8;
		case 2:
			return FORM_INT16;
		case 4:
			return FORM_INT32;
		default:
			return FORM_INT64;
	}
}

static void
set_source(Source *source, const SthChunk *chunk, uint64_t at)
{
	const SthLayout *layout = &chunk->column.layout;

	source->form = form_of(layout);
	source->stride = layout->len > 0 ? sth_column_stride(layout) : 0;
	source->p = source->data.values;
	source->end = source->data.values + source->data.len;
	source->present = source->data.present;
	source->at = at;
}

/* Decodes chunk i, which stands at byte 'at' of the block, if it is wanted. */
static SthCodecResult
load_chunk(SthBlockReader *reader, const uint8_t *data, int i, size_t at,
		   int *next, SthChunk *chunk, SthFault *fault)
{
	Source	   *source = NULL;
	uint64_t	position = reader->block.position + at;

	sth_block_chunk(&reader->block, i, chunk);
	if (chunk->kind == STH_CHUNK_TIMES && reader->want_times)
		source = &reader->times;
	else if (chunk->kind == STH_CHUNK_VALUES)
	{
		while (*next < reader->nsources &&
			   reader->sources[*next].column.attnum < chunk->column.attnum)
			(*next)++;
		if (*next < reader->nsources &&
			reader->sources[*next].column.attnum == chunk->column.attnum)
			source = &reader->sources[*next];
		if (source != NULL && !sth_column_is_same(&source->column, &chunk->column))
			return sth_fault(fault, STH_CODEC_MISMATCH,
							 "a column is of another type than expected", position);
	}
	if (source == NULL)
		return STH_CODEC_OK;
	if (sth_chunk_decode(chunk, reader->block.nrows, data + at, position,
						 &reader->memory, &reader->decompressor,
						 &source->buffers, &source->data, fault) != STH_CODEC_OK)
		return fault->result;
	set_source(source, chunk, position);
	return STH_CODEC_OK;
}

/* Fills in what is the same in all batches of the block. */
static void
set_constants(SthBlockReader *reader)
{
	int			i;

	for (i = 0; i < reader->nsources; i++)
	{
		Source	   *source = &reader->sources[i];

		memset(source->isnull, source->form == FORM_NONE, STH_BATCH_ROWS);
		if (source->form == FORM_NONE)
			memset(source->values, 0, STH_BATCH_ROWS * sizeof(uintptr_t));
	}
	for (i = 0; i < STH_BATCH_ROWS; i++)
		reader->batch_times[i] = reader->block.min_time;
}

/*
 * Loads a whole block, which has to be the one that the index entry means,
 * and stands before its first row.  Columns that it does not have are NULL.
 */
SthCodecResult
sth_block_reader_load(SthBlockReader *reader, const uint8_t *data, size_t len,
					  const SthIndexEntry *entry, SthFault *fault)
{
	SthBlock	block;
	SthChunk	chunk;
	size_t		at;
	int			next = 0;
	int			i;

	for (i = 0; i < reader->nsources; i++)
		reader->sources[i].form = FORM_NONE;
	reader->times.form = FORM_NONE;
	reader->block.nrows = 0;
	reader->row = 0;
	reader->batch.nrows = 0;
	reader->taken = 0;
	reader->fault.result = STH_CODEC_OK;

	if (sth_block_parse(data, len, entry->position, &block, fault) != STH_CODEC_OK ||
		sth_block_match(&block, entry, fault) != STH_CODEC_OK)
		return fault->result;
	if (len != block.len)
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "a block's length is wrong", block.position);
	reader->block = block;
	for (i = 0, at = block.header_len; i < block.nchunks; i++)
	{
		if (load_chunk(reader, data, i, at, &next, &chunk, fault) != STH_CODEC_OK)
		{
			reader->block.nrows = 0;
			return fault->result;
		}
		at += sth_chunk_span(&chunk);
	}
	set_constants(reader);
	return STH_CODEC_OK;
}

/* The block that is loaded. */
const SthBlock *
sth_block_reader_block(const SthBlockReader *reader)
{
	return &reader->block;
}

/* Wanted column i of the loaded block as a whole; NULL: it has no value. */
const SthColumnData *
sth_block_reader_column(const SthBlockReader *reader, int i)
{
	return reader->sources[i].form == FORM_NONE ? NULL : &reader->sources[i].data;
}

/*
 * The value at p, and the byte after it; NULL: damaged.  Of fixed-length ones
 * there are as many as the bitmap has bits: decoding has seen to it.
 */
static inline const uint8_t *
next_value(const Source *source, const Form form, const SthLayout *layout,
		   const uint8_t *p, uintptr_t *value)
{
	switch (form)
	{
		case FORM_INT8:
			*value = (uintptr_t) (intptr_t) (int8_t) *p;
			return p + 1;
		case FORM_INT16:
			*value = (uintptr_t) (intptr_t) (int16_t) sth_get_u16(p);
			return p + 2;
		case FORM_INT32:
			*value = (uintptr_t) (intptr_t) (int32_t) sth_get_u32(p);
			return p + 4;
		case FORM_INT64:
			*value = (uintptr_t) sth_get_u64(p);
			return p + 8;
		case FORM_FIXED:
			*value = (uintptr_t) p;
			return p + source->stride;
		default:
			return sth_row_fetch(layout, source->data.values, p, source->end, value);
	}
}

/*
 * Makes the datums of the next n rows, the first of which is 'row'.  Returns
 * how many it has made: fewer are damage.  Inlined for each form.
 */
static inline __attribute__((always_inline))
uint32_t
take_values(Source *source, const Form form, uint32_t row, uint32_t n)
{
	SthLayout	layout = {-1, source->column.layout.align, 0, 0};
	const uint8_t *present = source->present;
	const uint8_t *p = source->p;
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		if (present != NULL)
		{
			source->isnull[i] = !((present[(row + i) >> 3] >> ((row + i) & 7)) & 1);
			source->values[i] = 0;
			if (source->isnull[i])
				continue;
		}
		p = next_value(source, form, &layout, p, &source->values[i]);
		if (p == NULL)
			return i;
	}
	source->p = p;
	return n;
}

static uint32_t
take_from_source(Source *source, uint32_t row, uint32_t n)
{
	switch (source->form)
	{
		case FORM_NONE:
			return n;
		case FORM_INT8:
			return take_values(source, FORM_INT8, row, n);
		case FORM_INT16:
			return take_values(source, FORM_INT16, row, n);
		case FORM_INT32:
			return take_values(source, FORM_INT32, row, n);
		case FORM_INT64:
			return take_values(source, FORM_INT64, row, n);
		case FORM_FIXED:
			return take_values(source, FORM_FIXED, row, n);
		default:
			return take_values(source, FORM_VARLENA, row, n);
	}
}

/* Makes a batch of the next rows, of n or as many as there are. */
static void
take_batch(SthBlockReader *reader, uint32_t n)
{
	uint32_t	row = reader->row;
	int			i;

	if (n > reader->block.nrows - row)
		n = reader->block.nrows - row;
	for (i = 0; i < reader->nsources; i++)
	{
		uint32_t	taken = take_from_source(&reader->sources[i], row, n);

		if (taken == n)
			continue;
		n = taken;
		reader->block.nrows = row + n;
		sth_fault(&reader->fault, STH_CODEC_DAMAGED, "a value is not well-formed",
				  reader->sources[i].at);
	}
	if (reader->times.form != FORM_NONE)
	{
		memcpy(reader->batch_times, reader->times.p, n * sizeof(int64_t));
		reader->times.p += n * sizeof(int64_t);
	}
	reader->row += n;
	reader->batch.nrows = n;
	reader->taken = 0;
}

/*
 * The next rows, all of which count as taken; none at the block's end.  Good
 * until the next call.
 */
const SthBatch *
sth_block_reader_batch(SthBlockReader *reader)
{
	take_batch(reader, STH_BATCH_ROWS);
	reader->taken = reader->batch.nrows;
	return &reader->batch;
}

/*
 * The next row; false at the block's end.  A column's value goes to the place
 * attnum - 1 of the arrays, whose other places are left alone.  'time' is
 * NULL unless times were wanted.
 */
bool
sth_block_reader_next(SthBlockReader *reader, uintptr_t *values, bool *isnull,
					  int64_t *time)
{
	if (reader->taken == reader->batch.nrows)
		take_batch(reader, STH_BATCH_ROWS);
	if (reader->taken == reader->batch.nrows)
		return false;
	sth_batch_row(&reader->batch, reader->taken, values, isnull);
	if (time != NULL)
		*time = reader->batch_times[reader->taken];
	reader->taken++;
	return true;
}

/* Passes over the next n rows, or all that there are; false: damaged. */
bool
sth_block_reader_skip(SthBlockReader *reader, uint32_t n)
{
	while (n > 0)
	{
		uint32_t	left = reader->batch.nrows - reader->taken;

		if (left == 0)
		{
			take_batch(reader, n < STH_BATCH_ROWS ? n : STH_BATCH_ROWS);
			left = reader->batch.nrows;
			if (left == 0)
				break;
		}
		if (left > n)
			left = n;
		reader->taken += left;
		n -= left;
	}
	return n == 0 || reader->fault.result == STH_CODEC_OK;
}

/* How many rows are before the next one. */
uint32_t
sth_block_reader_row(const SthBlockReader *reader)
{
	return reader->row;
}

static void
rewind_source(Source *source)
{
	if (source->form != FORM_NONE)
		source->p = source->data.values;
}

/* Goes back to before the first row of the loaded block. */
void
sth_block_reader_rewind(SthBlockReader *reader)
{
	int			i;

	for (i = 0; i < reader->nsources; i++)
		rewind_source(&reader->sources[i]);
	rewind_source(&reader->times);
	reader->row = 0;
	reader->batch.nrows = 0;
	reader->taken = 0;
}

/* Did damage end the rows? */
SthCodecResult
sth_block_reader_fault(const SthBlockReader *reader, SthFault *fault)
{
	*fault = reader->fault;
	return fault->result;
}
