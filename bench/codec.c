/*-------------------------------------------------------------------------
 *
 * codec.c
 *	  How fast the codec of segments is, on one core, without a server.
 *
 *	codec FILE VALUE_LENGTH COUNT
 *
 * reads records that genrec wrote (a key of 16 bytes and a value), puts them
 * into frames as a large transaction does and as single inserts do, and then
 * times frames to an object in memory, and that object back to rows: one
 * column, all columns.  Each figure is the best of several rounds.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/block_reader.h"
#include "codec/object_writer.h"

#define KEY_LENGTH 16
#define FRAME_MAX 8112
#define BLOCK_SIZE (256 * 1024)
#define ROUNDS 5

typedef struct Frame
{
	size_t		at;
	uint32_t	len;
	int			nrows;
} Frame;

typedef struct Frames
{
	uint8_t    *bytes;
	size_t		len;
	Frame	   *frames;
	int			nframes;
} Frames;

static const SthColumnType columns[] = {
	{4, 25, -1, {-1, 4, 0, 1}}, {5, 25, -1, {-1, 4, 0, 1}}
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void *
allocate(void *context, size_t size)
{
	return malloc(size);
}

static void
release(void *context, void *memory)
{
	free(memory);
}

static const SthMemory memory = {allocate, release, NULL};

static uint8_t *
put_text(uint8_t *row, uint8_t *p, const char *text, uint32_t len)
{
	if (len + 1 <= STH_SHORT_MAX)
		*p++ = (uint8_t) ((len + 1) << 1 | 1);
	else
	{
		while ((p - row) % 4)
			*p++ = 0;
		sth_put_u32(p, (len + 4) << 2);
		p += 4;
	}
	memcpy(p, text, len);
	return p + len;
}

/* All records in frames of at most max_rows rows, each as full as it gets. */
static Frames
make_frames(const char *records, uint32_t value_len, int count, int max_rows)
{
	static const SthFrameColumn frame_columns[] = {{4, 25, -1}, {5, 25, -1}};
	Frames		out = {malloc((size_t) count * (value_len + 100)), 0,
	malloc((size_t) count * sizeof(Frame)), 0};
	uint8_t    *rows = malloc((size_t) max_rows * (value_len + 48));
	int64_t    *times = malloc((size_t) max_rows * 8);
	uint32_t   *pos = malloc((size_t) max_rows * 4);
	uint32_t   *lens = malloc((size_t) max_rows * 4);
	uint8_t    *present = malloc((size_t) max_rows);
	SthFrameRows in = {frame_columns, 2, 0, value_len + 1 > STH_SHORT_MAX ? 4 : 1, 0,
	times, pos, lens, rows, present, 1};
	SthFrameScratch scratch = {NULL, (size_t) max_rows * (value_len + 100) + 4096,
	malloc(sth_frame_lz4_state_size())};

	scratch.body = malloc(scratch.body_size);
	for (int i = 0, try = max_rows; i < count; i += in.nrows)
	{
		size_t		len;
		size_t		raw;
		uint8_t    *p = rows;

		in.nrows = count - i < try ? count - i : try;
		for (int r = 0; r < in.nrows; r++)
		{
			const char *record = records + (size_t) (i + r) * (KEY_LENGTH + value_len);
			uint8_t    *row = rows + STH_ALIGN_UP((size_t) (p - rows), 4);

			pos[r] = (uint32_t) (row - rows);
			p = put_text(row, row, record, KEY_LENGTH);
			p = put_text(row, p, record + KEY_LENGTH, value_len);
			lens[r] = (uint32_t) (p - row);
			times[r] = 820454400000000 + (i + r) * 3;
			present[r] = 3;
		}
		while (sth_frame_encode(&in, &scratch, out.bytes + out.len, FRAME_MAX,
								&len, &raw) != STH_FRAME_OK)
			in.nrows = in.nrows * 15 / 16;
		try = in.nrows + in.nrows / 16 + 1;
		if (try > max_rows)
			try = max_rows;
		out.frames[out.nframes].at = out.len;
		out.frames[out.nframes].len = (uint32_t) len;
		out.frames[out.nframes++].nrows = in.nrows;
		out.len += len;
	}
	free(rows);
	free(times);
	free(pos);
	free(lens);
	free(present);
	free(scratch.body);
	free(scratch.lz4_state);
	return out;
}

static void
check(SthCodecResult result, const SthFault *fault)
{
	if (result == STH_CODEC_OK)
		return;
	fprintf(stderr, "byte %llu: %s\n", (unsigned long long) fault->at, fault->what);
	exit(1);
}

static int
append(void *context, const uint8_t *data, size_t len)
{
	return sth_buffer_append(&memory, context, data, len);
}

static double
write_object(const Frames *in, SthCompression compression, SthBuffer *object)
{
	SthSink		sink = {append, object};
	SthObjectInfo info;
	SthSegment	segment;
	SthTopicInfo topic;
	SthFault	fault;
	SthSourceColumn source[2] = {{columns[0], 0}, {columns[1], 0}};
	SthObjectWriter *writer;
	int64_t		offset = 0;
	double		start = now();

	memset(&info, 0, sizeof(info));
	memset(&segment, 0, sizeof(segment));
	memset(&topic, 0, sizeof(topic));
	object->len = 0;
	writer = sth_object_begin(&memory, &sink, BLOCK_SIZE);
	check(sth_object_begin_segment(writer, &segment, source, 2, compression, &fault), &fault);
	for (int i = 0; i < in->nframes; i++)
	{
		const Frame *frame = &in->frames[i];

		check(sth_object_add_frame(writer, in->bytes + frame->at, frame->len,
								   frame->nrows, offset, 0, &fault), &fault);
		offset += frame->nrows;
	}
	check(sth_object_end_segment(writer, offset, &fault), &fault);
	check(sth_object_end(writer, &info, &topic, 1, &fault), &fault);
	sth_object_free(writer);
	return now() - start;
}

static double
read_object(const SthBuffer *object, int from, int ncolumns, uint64_t *rows)
{
	SthTrailer	trailer;
	SthFooter	footer;
	SthFault	fault;
	SthBlockReader *reader = sth_block_reader_create(&memory, columns + from, ncolumns, false);
	uintptr_t	values[5];
	bool		isnull[5];
	uint64_t	sum = 0;
	double		start = now();

	check(sth_trailer_parse(object->data + object->len - STH_TRAILER_LEN,
							object->len, &trailer, &fault), &fault);
	check(sth_footer_open(object->data + trailer.footer_position, &trailer,
						  &footer, &fault), &fault);
	*rows = 0;
	for (uint32_t i = 0; i < footer.nblocks; i++)
	{
		SthIndexEntry entry;

		sth_footer_block(&footer, i, &entry);
		check(sth_block_reader_load(reader, object->data + entry.position,
									entry.len, &entry, &fault), &fault);
		while (sth_block_reader_next(reader, values, isnull, NULL))
		{
			sum += *(const uint8_t *) values[3 + from];
			++*rows;
		}
		check(sth_block_reader_fault(reader, &fault), &fault);
	}
	sth_block_reader_free(reader);
	start = now() - start;
	return sum > 0 ? start : 0;
}

static void
measure(const char *what, const Frames *in, SthCompression compression,
		const char *name, int count)
{
	SthBuffer	object = {NULL, 0, 0};
	double		best[4] = {1e9, 1e9, 1e9, 1e9};
	uint64_t	rows = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		double		t[4];

		t[0] = write_object(in, compression, &object);
		t[1] = read_object(&object, 0, 1, &rows);
		t[2] = read_object(&object, 1, 1, &rows);
		t[3] = read_object(&object, 0, 2, &rows);
		for (int i = 0; i < 4; i++)
			best[i] = t[i] < best[i] ? t[i] : best[i];
	}
	if (rows != (uint64_t) count)
		exit(1);
	printf("| %s | %s | %.1f | %.2f | %.1f | %.1f | %.1f |\n", what, name,
		   (double) object.len / count, count / best[0] / 1e6,
		   count / best[1] / 1e6, count / best[2] / 1e6, count / best[3] / 1e6);
	free(object.data);
}

int
main(int argc, char **argv)
{
	static const struct
	{
		SthCompression compression;
		const char *name;
	}			codecs[] = {
		{STH_COMPRESSION_NONE, "none"}, {STH_COMPRESSION_LZ4, "lz4"},
		{STH_COMPRESSION_ZSTD, "zstd"}
	};
	uint32_t	value_len;
	int			count;
	size_t		size;
	char	   *records;
	FILE	   *file;
	Frames		batch;
	Frames		single;

	if (argc != 4 || (file = fopen(argv[1], "rb")) == NULL)
		return 2;
	value_len = (uint32_t) atoi(argv[2]);
	count = atoi(argv[3]);
	size = (size_t) count * (KEY_LENGTH + value_len);
	records = malloc(size);
	if (fread(records, 1, size, file) != size)
		return 2;
	fclose(file);
	batch = make_frames(records, value_len, count, 4096);
	single = make_frames(records, value_len, count, 1);
	printf("| frames | codec | bytes/row | write | read key | read value | read both |\n");
	printf("|---|---|---|---|---|---|---|\n");
	for (int i = 0; i < 3; i++)
	{
		measure("batch", &batch, codecs[i].compression, codecs[i].name, count);
		measure("single", &single, codecs[i].compression, codecs[i].name, count);
	}
	printf("\nFrames: %.1f bytes/row in batches of %.0f rows, %.1f by single rows. Speeds in million rows/s.\n",
		   (double) batch.len / count, (double) count / batch.nframes,
		   (double) single.len / count);
	return 0;
}
