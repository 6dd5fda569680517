/*-------------------------------------------------------------------------
 *
 * block_reader.c
 *	  Blocks to rows: the columns that are wanted, as datums.
 *
 * Loading finds the chunk of each wanted column, checks what it is and its
 * checksum, and decodes it into buffers of that column's own.  Then a row is
 * a step in each: fixed-length values are an array, variable-length ones are
 * walked, and each step is checked against the chunk's end, so that a chunk
 * that lies in spite of its checksum cannot lead outside.
 *
 * Failure: a block that could not be loaded has no rows.  A step that fails
 * ends the rows, and sth_block_reader_fault tells it from their regular end.
 *
 * Memory: the decoded chunks of one block, kept for the next one.
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
	int			place;			/* in the caller's arrays */
	Form		form;
	const uint8_t *p;			/* the next value */
	const uint8_t *end;
	size_t		stride;
	const uint8_t *present;		/* or NULL: all rows have a value */
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
	uint32_t	row;			/* the next one */
	SthFault	fault;			/* that ended the rows */
	SthDecompressor decompressor;
};

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
	if (reader->sources == NULL)
	{
		sth_release(memory, reader);
		return NULL;
	}
	reader->nsources = ncolumns;
	for (i = 0; i < ncolumns; i++)
	{
		reader->sources[i].column = columns[i];
		reader->sources[i].place = columns[i].attnum - 1;
	}
	return reader;
}

static void
free_source(const SthMemory *memory, Source *source)
{
	sth_buffer_free(memory, &source->buffers.raw);
	sth_buffer_free(memory, &source->buffers.values);
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

/* A variable-length value, as sth_row_fetch does it; false: damaged. */
static inline bool
next_varlena(Source *source, uintptr_t *value)
{
	const uint8_t *p;

	p = sth_row_fetch(&source->column.layout, source->data.values, source->p,
					  source->end, value);
	if (p == NULL)
		return false;
	source->p = p;
	return true;
}

/*
 * The source's next value.  Of fixed-length ones there are as many as the
 * bitmap has bits: decoding has seen to it.
 */
static inline bool
next_value(Source *source, uintptr_t *value)
{
	const uint8_t *p = source->p;

	switch (source->form)
	{
		case FORM_INT8:
			*value = (uintptr_t) (intptr_t) (int8_t) *p;
			source->p += 1;
			return true;
		case FORM_INT16:
			*value = (uintptr_t) (intptr_t) (int16_t) sth_get_u16(p);
			source->p += 2;
			return true;
		case FORM_INT32:
			*value = (uintptr_t) (intptr_t) (int32_t) sth_get_u32(p);
			source->p += 4;
			return true;
		case FORM_INT64:
			*value = (uintptr_t) sth_get_u64(p);
			source->p += 8;
			return true;
		case FORM_FIXED:
			*value = (uintptr_t) p;
			source->p += source->stride;
			return true;
		default:
			return next_varlena(source, value);
	}
}

static inline bool
has_value(const Source *source, uint32_t row)
{
	return source->form != FORM_NONE &&
		(source->present == NULL || (source->present[row >> 3] >> (row & 7)) & 1);
}

static bool
fail(SthBlockReader *reader, const Source *source)
{
	sth_fault(&reader->fault, STH_CODEC_DAMAGED, "a value is not well-formed",
			  source->at);
	reader->block.nrows = reader->row;
	return false;
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
	uint32_t	row = reader->row;
	int			i;

	if (row >= reader->block.nrows)
		return false;
	for (i = 0; i < reader->nsources; i++)
	{
		Source	   *source = &reader->sources[i];

		isnull[source->place] = !has_value(source, row);
		if (isnull[source->place])
			values[source->place] = 0;
		else if (!next_value(source, &values[source->place]))
			return fail(reader, source);
	}
	if (time != NULL)
	{
		uintptr_t	value;

		*time = reader->block.min_time;
		if (reader->times.form != FORM_NONE &&
			next_value(&reader->times, &value))
			*time = (int64_t) value;
	}
	reader->row++;
	return true;
}

/* Passes over n rows of a column; false: damaged. */
static bool
skip_source(Source *source, uint32_t row, uint32_t n)
{
	uintptr_t	ignored;

	if (source->present == NULL && source->stride > 0)
	{
		source->p += n * source->stride;
		return true;
	}
	for (; n > 0; n--, row++)
		if (has_value(source, row) && !next_value(source, &ignored))
			return false;
	return true;
}

/* Passes over the next n rows, or all that there are; false: damaged. */
bool
sth_block_reader_skip(SthBlockReader *reader, uint32_t n)
{
	int			i;

	if (n > reader->block.nrows - reader->row)
		n = reader->block.nrows - reader->row;
	for (i = 0; i < reader->nsources; i++)
		if (reader->sources[i].form != FORM_NONE &&
			!skip_source(&reader->sources[i], reader->row, n))
			return fail(reader, &reader->sources[i]);
	if (reader->times.form != FORM_NONE)
		skip_source(&reader->times, reader->row, n);
	reader->row += n;
	return true;
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
}

/* Did damage end the rows? */
SthCodecResult
sth_block_reader_fault(const SthBlockReader *reader, SthFault *fault)
{
	*fault = reader->fault;
	return fault->result;
}
