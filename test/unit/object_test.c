/*
 * Objects: what goes in by frames comes out by blocks bit for bit, whatever
 * the columns, the codec, the size of blocks and the voids; and what the
 * writer and the reader refuse.  Damage has a test of its own.
 */
#include "object.h"
#include "sample.h"
#include "tap.h"

#define MAX_FRAMES 12

/* A segment as it is made and as it should be read. */
typedef struct Expected
{
	Sample		samples[MAX_FRAMES];
	int64_t		offsets[MAX_FRAMES];	/* of the first row */
	int			skips[MAX_FRAMES];
	int			nframes;
	SthSegment	segment;
	SthCompression compression;
} Expected;

static uint8_t frame_buffer[8 * 1024 * 1024];

static void
make_expected(Expected *e, int nframes, int max_rows, int ncolumns)
{
	int64_t		offset = (int64_t) any(1000000) << any(30);

	memset(e, 0, sizeof(*e));
	e->nframes = nframes;
	e->compression = (SthCompression) any(3);
	e->segment.log_id = (int32_t) any(1000);
	e->segment.partition = (int32_t) any(10);
	e->segment.epoch = (int32_t) any(3);
	e->segment.base_offset = offset;
	e->segment.start_offset = (int64_t) any(1000);
	e->segment.generation = 1;
	e->segment.key_attnum = 4;
	e->segment.npartitions = 10;
	make_columns(&e->samples[0], ncolumns);
	for (int i = 0; i < nframes; i++)
	{
		Sample	   *s = &e->samples[i];

		if (i > 0)
			*s = e->samples[0];
		s->in.columns = s->columns;
		make_rows(s, 1 + (int) any((uint32_t) max_rows));
		e->skips[i] = any(5) ? 0 : (int) any((uint32_t) s->in.nrows + 1);
		if (e->skips[i] == 0 && any(4) == 0)
			offset += any(1000);	/* a void */
		e->offsets[i] = offset - e->skips[i];

		/*
		 * offsets that are passed over may have been those of the frame
		 * before
		 */
		if (e->offsets[i] < 0)
		{
			offset -= e->offsets[i];
			e->offsets[i] = 0;
		}
		offset += s->in.nrows - e->skips[i];
	}
	e->segment.end_offset = offset + any(2) * any(100);
}

static void
free_expected(Expected *e)
{
	for (int i = 0; i < e->nframes; i++)
		free(e->samples[i].rows);
}

static SthCodecResult
write_segment(SthObjectWriter *writer, const Expected *e, SthFault *fault)
{
	SthSourceColumn columns[MAX_COLUMNS];
	const Sample *s = &e->samples[0];

	for (int c = 0; c < s->in.ncolumns; c++)
	{
		columns[c].column = column_type(s->columns[c].attnum, s->columns[c].type,
										s->columns[c].typmod, s->layouts[c]);
		columns[c].dropped = 0;
	}
	if (sth_object_begin_segment(writer, &e->segment, columns, s->in.ncolumns,
								 e->compression, fault) != STH_CODEC_OK)
		return fault->result;
	for (int i = 0; i < e->nframes; i++)
	{
		size_t		len = encode_sample(&e->samples[i], frame_buffer, sizeof(frame_buffer));

		if (sth_object_add_frame(writer, frame_buffer, len,
								 e->samples[i].in.nrows, e->offsets[i],
								 e->skips[i], fault) != STH_CODEC_OK)
			return fault->result;
	}
	return sth_object_end_segment(writer, e->segment.end_offset, fault);
}

/* Writes an object of these segments, all of one topic. */
static SthCodecResult
write_object(const Expected *e, int n, size_t block_size, Bytes *bytes,
			 SthFault *fault)
{
	SthSink		sink = {take_bytes, bytes};
	SthObjectWriter *writer = sth_object_begin(&test_memory, &sink, block_size);
	SthObjectInfo info;
	SthTopicInfo topic;
	SthCodecResult result = STH_CODEC_OK;

	if (writer == NULL)
		return sth_fault(fault, STH_CODEC_NO_MEMORY, "no writer", 0);
	memset(&info, 0, sizeof(info));
	memset(&topic, 0, sizeof(topic));
	for (int i = 0; i < n && result == STH_CODEC_OK; i++)
		result = write_segment(writer, &e[i], fault);
	if (result == STH_CODEC_OK)
		result = sth_object_end(writer, &info, &topic, 1, fault);
	sth_object_free(writer);
	return result;
}

static size_t
varlena_len(const uint8_t *p)
{
	return *p & 1 ? *p >> 1 : sth_varlena_long_size(p);
}

static int
same_value(const SthLayout *layout, uintptr_t a, uintptr_t b)
{
	const uint8_t *p = (const uint8_t *) a;
	const uint8_t *q = (const uint8_t *) b;

	if (layout->byval)
		return a == b;
	if (layout->len > 0)
		return q != NULL && b % layout->align == 0 && memcmp(p, q, (size_t) layout->len) == 0;
	return q != NULL && (*q & 1 || b % layout->align == 0) &&
		varlena_len(p) == varlena_len(q) && memcmp(p, q, varlena_len(p)) == 0;
}

/* Is row r of the sample what the reader returned? */
static int
same_row(const Sample *s, int r, const int *wanted, const uintptr_t *values,
		 const bool *isnull)
{
	const uint8_t *row = s->rows + s->row_pos[r];
	const uint8_t *end = row + s->row_len[r];
	const uint8_t *p = row;
	int			same = 1;

	for (int c = 0; c < s->in.ncolumns; c++)
	{
		int			place = s->columns[c].attnum - 1;
		uintptr_t	value = 0;

		if (!is_present(s, r, c))
		{
			same &= !wanted[c] || isnull[place];
			continue;
		}
		p = sth_row_fetch(&s->layouts[c], row, p, end, &value);
		same &= !wanted[c] ||
			(!isnull[place] && same_value(&s->layouts[c], value, values[place]));
	}
	return same;
}

/* Walks over the rows that a segment should have. */
typedef struct Walk
{
	const Expected *e;
	int			frame;
	int			row;
} Walk;

static int
next_expected(Walk *walk, const Sample **s, int *r, int64_t *offset)
{
	const Expected *e = walk->e;

	while (walk->frame < e->nframes && walk->row >= e->samples[walk->frame].in.nrows)
	{
		walk->frame++;
		walk->row = walk->frame < e->nframes ? e->skips[walk->frame] : 0;
	}
	if (walk->frame >= e->nframes)
		return 0;
	*s = &e->samples[walk->frame];
	*offset = e->offsets[walk->frame] + walk->row;
	*r = walk->row++;
	return 1;
}

static SthBlockReader *
make_reader(const Expected *e, const int *wanted)
{
	SthColumnType columns[MAX_COLUMNS];
	const Sample *s = &e->samples[0];
	int			n = 0;

	for (int c = 0; c < s->in.ncolumns; c++)
		if (wanted[c])
			columns[n++] = column_type(s->columns[c].attnum, s->columns[c].type,
									   s->columns[c].typmod, s->layouts[c]);
	return sth_block_reader_create(&test_memory, columns, n, true);
}

/* Compares the rows of one block, passing over some of them. */
static int
same_block(SthBlockReader *reader, const uint8_t *block,
		   const SthIndexEntry *entry, Walk *walk, const int *wanted)
{
	uintptr_t	values[3 * MAX_COLUMNS];
	bool		isnull[3 * MAX_COLUMNS];
	uint32_t	row = 0;
	const Sample *s;
	int64_t		offset;
	int64_t		time;
	SthFault	fault;
	int			r;

	if (sth_block_reader_load(reader, block, entry->len, entry, &fault) != STH_CODEC_OK)
		return 0;
	for (;;)
	{
		uint32_t	skip = any(3) ? 0 : any(20);

		if (skip > entry->nrows - row)
			skip = entry->nrows - row;
		if (!sth_block_reader_skip(reader, skip))
			return 0;
		for (row += skip; skip > 0; skip--)
			next_expected(walk, &s, &r, &offset);
		if (!sth_block_reader_next(reader, values, isnull, &time))
			break;
		if (!next_expected(walk, &s, &r, &offset) ||
			offset != entry->base_offset + row || time != s->times[r] ||
			!same_row(s, r, wanted, values, isnull))
			return 0;
		row++;
	}
	return row == entry->nrows && sth_block_reader_fault(reader, &fault) == STH_CODEC_OK;
}

static int
same_segment(const Expected *e, const SthFooter *footer, uint32_t i,
			 const uint8_t *object, const int *wanted)
{
	Walk		walk = {e, 0, e->nframes > 0 ? e->skips[0] : 0};
	SthBlockReader *reader = make_reader(e, wanted);
	SthSegment	segment;
	const Sample *s;
	int64_t		offset;
	int			r;
	int			same;

	sth_footer_segment(footer, i, &segment);
	same = segment.log_id == e->segment.log_id &&
		segment.base_offset == e->segment.base_offset &&
		segment.end_offset == e->segment.end_offset;
	for (uint32_t b = 0; b < segment.nblocks && same; b++)
	{
		SthIndexEntry entry;
		uint8_t    *copy;

		sth_footer_block(footer, segment.first_block + b, &entry);
		/* where reading past its end is noticed; sometimes not aligned */
		copy = malloc(entry.len + 4);
		memcpy(copy + (b % 2) * 4, object + entry.position, entry.len);
		same = same_block(reader, copy + (b % 2) * 4, &entry, &walk, wanted);
		free(copy);
	}
	same = same && !next_expected(&walk, &s, &r, &offset);
	sth_block_reader_free(reader);
	return same;
}

static void
want_some(int *wanted)
{
	for (int c = 0; c < MAX_COLUMNS; c++)
		wanted[c] = (int) any(2);
}

static void
test_round_trips(void)
{
	static Expected e[3];
	int			good = 1;
	int			blocks = 0;

	for (int i = 0; i < 150; i++)
	{
		Bytes		bytes = {NULL, 0, 0};
		SthTrailer	trailer;
		SthFooter	footer;
		SthFault	fault;
		int			n = 1 + (int) any(3);
		int			wanted[MAX_COLUMNS];

		for (int k = 0; k < n; k++)
			make_expected(&e[k], (int) any(MAX_FRAMES), any(2) ? 5 : MAX_ROWS,
						  1 + (int) any(MAX_COLUMNS));
		good &= write_object(e, n, any(2) ? 1000 : 65536, &bytes, &fault) == STH_CODEC_OK;
		good &= verify_object(bytes.data, bytes.len, &fault) == STH_CODEC_OK;
		good = good && open_object(bytes.data, bytes.len, &trailer, &footer, &fault) == STH_CODEC_OK;
		blocks += good ? (int) footer.nblocks : 0;
		want_some(wanted);
		for (int k = 0; k < n; k++)
		{
			good = good && same_segment(&e[k], &footer, (uint32_t) k, bytes.data, wanted);
			free_expected(&e[k]);
		}
		free(bytes.data);
	}
	ok(good && blocks > 1000, "rows of %d blocks come back as they were", blocks);
	ok(allocated == 0, "all memory is given back");
}

/* One column each, so that nothing hides behind another. */
static void
test_layouts(void)
{
	static Expected e;

	for (size_t l = 0; l < SAMPLE_LAYOUTS; l++)
	{
		int			good = 1;

		for (int i = 0; i < 12; i++)
		{
			Bytes		bytes = {NULL, 0, 0};
			SthTrailer	trailer;
			SthFooter	footer;
			SthFault	fault;
			static const int wanted[MAX_COLUMNS] = {1};

			do
			{
				make_expected(&e, 1, MAX_ROWS, 1);
				if (e.samples[0].layouts[0].len == sample_layouts[l].len &&
					memcmp(&e.samples[0].layouts[0], &sample_layouts[l], sizeof(SthLayout)) == 0)
					break;
				free_expected(&e);
			} while (1);
			e.compression = (SthCompression) (i % 3);
			good &= write_object(&e, 1, 65536, &bytes, &fault) == STH_CODEC_OK &&
				open_object(bytes.data, bytes.len, &trailer, &footer, &fault) == STH_CODEC_OK &&
				same_segment(&e, &footer, 0, bytes.data, wanted);
			free_expected(&e);
			free(bytes.data);
		}
		ok(good, "values of length %d, alignment %d, %s", sample_layouts[l].len,
		   sample_layouts[l].align, sample_layouts[l].byval ? "by value" : "by reference");
	}
}

/* Rows of columns (id int8, note text) that tests make by hand. */
static size_t
simple_frame(int nrows, int64_t first_id, uint32_t note_len, int with_note)
{
	static const SthFrameColumn columns[] = {{1, 20, -1}, {2, 25, -1}};
	uint8_t    *rows = calloc((size_t) nrows, note_len + 24);
	int64_t    *times = malloc((size_t) nrows * 8);
	uint32_t   *pos = malloc((size_t) nrows * 4);
	uint32_t   *len = malloc((size_t) nrows * 4);
	uint8_t    *present = malloc((size_t) nrows);
	SthFrameRows in = {columns, 2, nrows, 4, 0, times, pos, len, rows, present, 1};
	SthFrameScratch scratch;
	size_t		frame_len = 0;
	size_t		raw;

	for (int r = 0; r < nrows; r++)
	{
		uint8_t    *row = rows + (size_t) r * ((note_len + 24) & ~7U);
		int64_t		id = first_id + r;

		times[r] = 1000 + r;
		pos[r] = (uint32_t) (row - rows);
		len[r] = 8;
		memcpy(row, &id, 8);
		present[r] = with_note ? 3 : 1;
		if (with_note)
		{
			sth_put_u32(row + 8, (note_len + 4) << 2);
			memset(row + 12, 'x', note_len);
			len[r] += note_len + 4;
		}
	}
	scratch.body_size = sth_frame_body_bound(&in);
	scratch.body = malloc(scratch.body_size);
	scratch.lz4_state = malloc(sth_frame_lz4_state_size());
	sth_frame_encode(&in, &scratch, frame_buffer, sizeof(frame_buffer), &frame_len, &raw);
	free(scratch.body);
	free(scratch.lz4_state);
	free(rows);
	free(times);
	free(pos);
	free(len);
	free(present);
	return frame_len;
}

static const SthSourceColumn simple_columns[] = {
	{{1, 20, -1, {8, 8, 1, 0}}, 0}, {{2, 25, -1, {-1, 4, 0, 1}}, 0}
};

/* A writer with a segment open on 'columns', into bytes. */
static SthObjectWriter *
begin_simple(Bytes *bytes, size_t block_size, const SthSourceColumn *columns,
			 int ncolumns, SthCompression compression)
{
	SthSink		sink = {take_bytes, bytes};
	SthObjectWriter *writer = sth_object_begin(&test_memory, &sink, block_size);
	SthSegment	segment;
	SthFault	fault;

	memset(&segment, 0, sizeof(segment));
	sth_object_begin_segment(writer, &segment, columns, ncolumns, compression, &fault);
	return writer;
}

static SthCodecResult
end_simple(SthObjectWriter *writer, int64_t end_offset)
{
	SthObjectInfo info;
	SthTopicInfo topic;
	SthFault	fault;
	SthCodecResult result;

	memset(&info, 0, sizeof(info));
	memset(&topic, 0, sizeof(topic));
	result = sth_object_end_segment(writer, end_offset, &fault);
	if (result == STH_CODEC_OK)
		result = sth_object_end(writer, &info, &topic, 1, &fault);
	sth_object_free(writer);
	return result;
}

static void
test_wide_rows(void)
{
	Bytes		bytes = {NULL, 0, 0};
	SthObjectWriter *writer = begin_simple(&bytes, 256 * 1024, simple_columns, 2,
										   STH_COMPRESSION_LZ4);
	SthFault	fault;
	SthTrailer	trailer;
	SthFooter	footer;
	SthIndexEntry entry;
	int			good;

	good = sth_object_add_frame(writer, frame_buffer, simple_frame(3, 1, 100, 1), 3, 0, 0, &fault) == STH_CODEC_OK &&
		sth_object_add_frame(writer, frame_buffer, simple_frame(1, 4, 16 * 1024 * 1024, 1), 1, 3, 0, &fault) == STH_CODEC_OK &&
		sth_object_add_frame(writer, frame_buffer, simple_frame(2, 5, 100, 1), 2, 4, 0, &fault) == STH_CODEC_OK;
	ok(good && end_simple(writer, 6) == STH_CODEC_OK &&
	   open_object(bytes.data, bytes.len, &trailer, &footer, &fault) == STH_CODEC_OK,
	   "a row of 16 MB is taken");
	sth_footer_block(&footer, 1, &entry);
	ok(footer.nblocks == 3 && entry.nrows == 1 && entry.base_offset == 3 &&
	   sth_block_verify(bytes.data + entry.position, entry.len, &entry, &fault) == STH_CODEC_OK,
	   "and has a block of its own");
	free(bytes.data);
}

static void
test_small_blocks(void)
{
	Bytes		with = {NULL, 0, 0};
	Bytes		without = {NULL, 0, 0};
	Bytes		empty = {NULL, 0, 0};
	SthObjectWriter *writer;
	SthFault	fault;
	SthTrailer	trailer;
	SthFooter	footer;
	SthSegment	segment;
	SthIndexEntry entry;

	writer = begin_simple(&with, 1, simple_columns, 2, STH_COMPRESSION_NONE);
	sth_object_add_frame(writer, frame_buffer, simple_frame(10, 1, 10, 0), 10, 0, 0, &fault);
	end_simple(writer, 10);
	ok(open_object(with.data, with.len, &trailer, &footer, &fault) == STH_CODEC_OK &&
	   footer.nblocks == 10, "blocks of one row");

	/* ids that rise by one, and times: differences of a byte each */
	writer = begin_simple(&without, 256 * 1024, simple_columns, 2, STH_COMPRESSION_NONE);
	sth_object_add_frame(writer, frame_buffer, simple_frame(8000, 1, 1, 0), 8000, 0, 0, &fault);
	end_simple(writer, 8000);
	open_object(without.data, without.len, &trailer, &footer, &fault);
	sth_footer_block(&footer, 0, &entry);
	ok(footer.nblocks == 1 && entry.header_len == STH_BLOCK_HEAD_LEN + 2 * STH_CHUNK_ENTRY_LEN,
	   "a column of NULLs has no chunk");
	ok(entry.len < 2 * 8000 + 200, "what rises by one takes a byte, also without a codec");

	writer = begin_simple(&empty, 256 * 1024, simple_columns, 2, STH_COMPRESSION_LZ4);
	end_simple(writer, 77);
	ok(open_object(empty.data, empty.len, &trailer, &footer, &fault) == STH_CODEC_OK,
	   "an object without rows");
	sth_footer_segment(&footer, 0, &segment);
	ok(segment.nblocks == 0 && segment.end_offset == 77 && segment.nrows == 0 &&
	   segment.min_time > segment.max_time, "whose segment is one void");
	free(with.data);
	free(without.data);
	free(empty.data);
}

/* A block ends at a void and at the most rows that it may have. */
static void
test_voids(void)
{
	Bytes		bytes = {NULL, 0, 0};
	SthObjectWriter *writer = begin_simple(&bytes, 1 << 30, simple_columns, 2,
										   STH_COMPRESSION_LZ4);
	SthFault	fault;
	SthTrailer	trailer;
	SthFooter	footer;
	SthIndexEntry entry[4];

	sth_object_add_frame(writer, frame_buffer, simple_frame(5, 1, 1, 0), 5, 10, 2, &fault);
	sth_object_add_frame(writer, frame_buffer, simple_frame(5, 1, 1, 0), 5, 15, 0, &fault);
	sth_object_add_frame(writer, frame_buffer, simple_frame(70000, 1, 1, 0), 70000, 30, 0, &fault);
	ok(end_simple(writer, 80000) == STH_CODEC_OK &&
	   open_object(bytes.data, bytes.len, &trailer, &footer, &fault) == STH_CODEC_OK &&
	   footer.nblocks == 3, "blocks end at voids and at %d rows", STH_BLOCK_MAX_ROWS);
	for (uint32_t i = 0; i < 3; i++)
		sth_footer_block(&footer, i, &entry[i]);
	ok(entry[0].base_offset == 12 && entry[0].nrows == 8 &&
	   entry[1].base_offset == 30 && entry[1].nrows == STH_BLOCK_MAX_ROWS &&
	   entry[2].base_offset == 30 + STH_BLOCK_MAX_ROWS, "with the offsets of their rows");
	free(bytes.data);
}

static void
test_dropped(void)
{
	Bytes		bytes = {NULL, 0, 0};
	SthSourceColumn columns[2] = {simple_columns[0], simple_columns[1]};
	SthObjectWriter *writer;
	SthBlockReader *reader;
	SthFault	fault;
	SthTrailer	trailer;
	SthFooter	footer;
	SthIndexEntry entry;
	uintptr_t	values[3] = {0, 0, 9};
	bool		isnull[3] = {true, true, true};
	SthColumnType added = {3, 23, -1, {4, 4, 1, 0}};
	SthColumnType wanted[3] = {columns[0].column, columns[1].column, added};

	columns[0].dropped = 1;
	writer = begin_simple(&bytes, 1 << 20, columns, 2, STH_COMPRESSION_LZ4);
	sth_object_add_frame(writer, frame_buffer, simple_frame(3, 1, 200, 1), 3, 0, 0, &fault);
	end_simple(writer, 3);
	open_object(bytes.data, bytes.len, &trailer, &footer, &fault);
	sth_footer_block(&footer, 0, &entry);
	reader = sth_block_reader_create(&test_memory, wanted, 3, false);
	ok(sth_block_reader_load(reader, bytes.data, entry.len, &entry, &fault) == STH_CODEC_OK &&
	   sth_block_reader_next(reader, values, isnull, NULL) && isnull[0] &&
	   !isnull[1] && varlena_len((const uint8_t *) values[1]) == 204,
	   "a dropped column's values are left out");
	ok(isnull[2] && values[2] == 0, "a column that was added later is NULL");
	ok(sth_block_reader_column(reader, 0) == NULL &&
	   sth_block_reader_column(reader, 1)->nvalues == 3, "columns can be had as a whole");
	sth_block_reader_free(reader);
	free(bytes.data);
}

#define BATCH_NOTES 200			/* rows with a note, */
#define BATCH_ROWS 300			/* of so many */

/* A block of more rows than a batch has; the last ones have no note. */
static SthIndexEntry
make_batches(Bytes *bytes)
{
	SthObjectWriter *writer = begin_simple(bytes, 1 << 20, simple_columns, 2, STH_COMPRESSION_NONE);
	SthFault	fault;
	SthTrailer	trailer;
	SthFooter	footer;
	SthIndexEntry entry;

	sth_object_add_frame(writer, frame_buffer, simple_frame(BATCH_NOTES, 0, 4, 1),
						 BATCH_NOTES, 0, 0, &fault);
	sth_object_add_frame(writer, frame_buffer,
						 simple_frame(BATCH_ROWS - BATCH_NOTES, BATCH_NOTES, 4, 0),
						 BATCH_ROWS - BATCH_NOTES, BATCH_NOTES, 0, &fault);
	end_simple(writer, BATCH_ROWS);
	open_object(bytes->data, bytes->len, &trailer, &footer, &fault);
	sth_footer_block(&footer, 0, &entry);
	return entry;
}

/* Are these the rows from 'first' on, each put where it belongs? */
static int
same_batch(const SthBatch *batch, uint32_t first)
{
	int			same = 1;

	for (uint32_t i = 0; i < batch->nrows; i++)
	{
		uint32_t	row = first + i;
		uintptr_t	values[3] = {7, 7, 7};
		bool		isnull[3] = {true, true, true};

		sth_batch_row(batch, i, values, isnull);
		same &= !isnull[0] && values[0] == row &&
			isnull[1] == (row >= BATCH_NOTES) &&
			(isnull[1] ? values[1] == 0 : varlena_len((const uint8_t *) values[1]) == 8) &&
			values[2] == 7 &&
			batch->times[i] == 1000 + (row < BATCH_NOTES ? row : row - BATCH_NOTES);
	}
	return same;
}

/* Rows up to the end, by batches, after so many that are passed over. */
static uint32_t
count_batches(SthBlockReader *reader, uint32_t skip, int *same)
{
	uint32_t	row = skip;
	const SthBatch *batch;

	*same = sth_block_reader_skip(reader, skip);
	while ((batch = sth_block_reader_batch(reader))->nrows > 0)
	{
		*same &= batch->nrows <= STH_BATCH_ROWS && same_batch(batch, row);
		row += batch->nrows;
	}
	return row;
}

/* Makes the header of a note one that does not exist. */
static void
damage_note(const Bytes *bytes, uint32_t row)
{
	SthBlock	block;
	SthChunk	chunk;
	SthFault	fault;
	size_t		at;
	int			i;

	sth_block_parse(bytes->data, bytes->len, 0, &block, &fault);
	for (i = 0, at = block.header_len;; i++, at += sth_chunk_span(&chunk))
	{
		sth_block_chunk(&block, i, &chunk);
		if (chunk.column.attnum == 2)
			break;
	}
	bytes->data[at + row * 8] |= 2;
	mend_block(bytes->data, block.len);
}

static void
test_batches(void)
{
	static const uint32_t skips[] = {0, 1, STH_BATCH_ROWS, BATCH_NOTES + 1, BATCH_ROWS};
	SthColumnType wanted[2] = {simple_columns[0].column, simple_columns[1].column};
	SthBlockReader *reader = sth_block_reader_create(&test_memory, wanted, 2, true);
	Bytes		bytes = {NULL, 0, 0};
	SthIndexEntry entry = make_batches(&bytes);
	SthFault	fault;
	uint32_t	rows;
	int			good = 1;
	int			same;

	for (size_t i = 0; i < sizeof(skips) / sizeof(skips[0]); i++)
	{
		good &= sth_block_reader_load(reader, bytes.data, entry.len, &entry, &fault) == STH_CODEC_OK;
		good &= count_batches(reader, skips[i], &same) == BATCH_ROWS && same;
		good &= sth_block_reader_fault(reader, &fault) == STH_CODEC_OK;
	}
	ok(good, "batches have all rows, wherever they begin");

	damage_note(&bytes, STH_BATCH_ROWS + 22);
	entry = entry_of(bytes.data);
	sth_block_reader_load(reader, bytes.data, entry.len, &entry, &fault);
	rows = count_batches(reader, 0, &same);
	ok(rows == STH_BATCH_ROWS + 22 && same &&
	   sth_block_reader_fault(reader, &fault) == STH_CODEC_DAMAGED,
	   "they end with the row before a damaged one");
	sth_block_reader_load(reader, bytes.data, entry.len, &entry, &fault);
	ok(!sth_block_reader_skip(reader, STH_BATCH_ROWS + 23) &&
	   sth_block_reader_batch(reader)->nrows == 0, "which cannot be passed over");
	sth_block_reader_free(reader);
	free(bytes.data);
}

/* Adds a frame to a segment of other columns; what comes of it. */
static SthCodecResult
add_to(const SthSourceColumn *columns, int ncolumns, size_t len, int64_t offset)
{
	Bytes		bytes = {NULL, 0, 0};
	SthObjectWriter *writer = begin_simple(&bytes, 1000, columns, ncolumns, STH_COMPRESSION_LZ4);
	SthFault	fault = {STH_CODEC_OK, NULL, 0};
	SthCodecResult result;

	result = sth_object_add_frame(writer, frame_buffer, len, 5, offset, 0, &fault);
	if (result == STH_CODEC_OK)
		result = sth_object_add_frame(writer, frame_buffer, len, 5, 5, 0, &fault);
	sth_object_free(writer);
	free(bytes.data);
	return result;
}

static void
test_refusals(void)
{
	SthSourceColumn columns[2] = {simple_columns[0], simple_columns[1]};
	size_t		len = simple_frame(5, 1, 10, 1);
	static const uint8_t too_long[] = {
		0x00, 0x01, 0x01, 0x14, 0x01,	/* an int8 */
		0, 0, 0, 0, 0, 0, 0, 0, /* its time */
		1, 0, 0, 0, 0, 0, 0, 0, 9	/* and a byte more */
	};
	uint8_t		marker[STH_FRAME_MARKER_MAX];
	Bytes		bytes = {NULL, 0, 0};
	SthObjectWriter *writer;
	SthFault	fault;

	ok(add_to(columns, 2, len, 0) == STH_CODEC_OK, "frames in a row are taken");
	ok(add_to(columns, 2, len, 1) == STH_CODEC_DAMAGED, "frames that overlap are not");
	ok(add_to(columns, 2, len / 2, 0) == STH_CODEC_DAMAGED, "nor one that is cut off");
	ok(add_to(columns, 1, len, 0) == STH_CODEC_MISMATCH, "nor one with more columns");
	columns[1].column.type = 17;
	ok(add_to(columns, 2, len, 0) == STH_CODEC_MISMATCH, "nor of another type");
	columns[1].column.type = 25;
	columns[1].column.typmod = 7;
	ok(add_to(columns, 2, len, 0) == STH_CODEC_MISMATCH, "nor with another modifier");
	columns[1].column.typmod = -1;
	columns[0].column.layout.len = 4;
	ok(add_to(columns, 2, len, 0) == STH_CODEC_DAMAGED, "nor whose values lie otherwise");

	writer = begin_simple(&bytes, 1000, simple_columns, 2, STH_COMPRESSION_LZ4);
	ok(sth_object_add_frame(writer, too_long, sizeof(too_long), 1, 0, 0, &fault) ==
	   STH_CODEC_DAMAGED, "nor one whose row goes on");
	sth_object_free(writer);

	writer = begin_simple(&bytes, 1000, simple_columns, 2, STH_COMPRESSION_LZ4);
	ok(sth_object_add_frame(writer, marker, sth_frame_put_void(marker, 5), 1, 0, 0, &fault) ==
	   STH_CODEC_MISMATCH, "nor one without rows");
	sth_object_add_frame(writer, frame_buffer, simple_frame(5, 1, 10, 1), 5, 0, 0, &fault);
	ok(end_simple(writer, 4) == STH_CODEC_MISMATCH, "a segment does not end before its rows");
	free(bytes.data);
}

/* Every allocation fails once, and a sink that is full is told. */
static void
test_failures(void)
{
	static Expected e[2];
	Bytes		bytes = {NULL, 0, 0};
	SthFault	fault;
	int			failed = 0;
	int			good = 1;

	make_expected(&e[0], 4, 40, 12);
	make_expected(&e[1], 3, 40, 7);
	e[0].compression = STH_COMPRESSION_LZ4;
	for (long n = 0;; n++)
	{
		SthCodecResult result;

		bytes.len = 0;
		allocations_left = n;
		result = write_object(e, 2, 4000, &bytes, &fault);
		allocations_left = -1;
		good &= allocated == 0;
		if (result == STH_CODEC_OK &&
			verify_object(bytes.data, bytes.len, &fault) == STH_CODEC_OK && n > 20)
			break;
		if (result != STH_CODEC_OK)
			good &= result == STH_CODEC_NO_MEMORY;
		failed += result != STH_CODEC_OK;
	}
	ok(good && failed > 20, "memory that runs out at any of %d places is told", failed);
	bytes.limit = bytes.len - 1;
	bytes.len = 0;
	ok(write_object(e, 2, 4000, &bytes, &fault) == STH_CODEC_NOT_WRITTEN,
	   "so is a sink that takes no more");
	free_expected(&e[0]);
	free_expected(&e[1]);
	free(bytes.data);
}

/* A reader that cannot be made leaves nothing behind. */
static void
test_reader_failures(void)
{
	SthColumnType column = simple_columns[0].column;
	SthBlockReader *reader = NULL;
	int			before = allocated;
	long		n;
	int			good = 1;

	for (n = 0; reader == NULL && n < 100; n++)
	{
		allocations_left = n;
		reader = sth_block_reader_create(&test_memory, &column, 1, true);
		allocations_left = -1;
		good &= reader != NULL || allocated == before;
	}
	ok(good && reader != NULL && n > 3, "a reader for which there is no memory leaves none behind");
	sth_block_reader_free(reader);
}

int
main(void)
{
	seed_rng();
	test_round_trips();
	test_layouts();
	test_wide_rows();
	test_small_blocks();
	test_voids();
	test_dropped();
	test_batches();
	test_refusals();
	test_failures();
	test_reader_failures();
	return done_testing();
}
