/*
 * Writes inputs for the harnesses to begin with: seeds DIRECTORY puts them
 * into DIRECTORY/row and so on.  libFuzzer goes on from there, and what it
 * finds worth keeping is in test/fuzz/corpus ("make fuzz-merge").
 */
#include "../unit/sample.h"
#include "fuzz.h"

static const char *directory;

static void
write_seed(const char *what, int i, const void *head, size_t head_len,
		   const uint8_t *data, size_t len)
{
	char		path[1024];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s/seed-%d", directory, what, i);
	file = fopen(path, "wb");
	if (file == NULL)
	{
		perror(path);
		exit(1);
	}
	fwrite(head, 1, head_len, file);
	fwrite(data, 1, len, file);
	fclose(file);
}

static void
seed_rows_and_frames(void)
{
	static uint8_t frame[1024 * 1024];

	for (int i = 0; i < 8; i++)
	{
		Sample		s;
		uint8_t		head[1 + 32];
		uint16_t	nrows;
		uint8_t		n = 0;

		make_sample(&s, 1 + (int) any(4), 1 + (int) any(20));
		for (int c = 0; c < s.in.ncolumns; c++)
			if (is_present(&s, 0, c))
				for (size_t l = 0; l < SAMPLE_LAYOUTS; l++)
					if (memcmp(&s.layouts[c], &sample_layouts[l], sizeof(SthLayout)) == 0)
						head[++n] = (uint8_t) l;
		head[0] = n;
		write_seed("row", i, head, 1 + n, s.rows + s.row_pos[0], s.row_len[0]);
		nrows = (uint16_t) s.in.nrows;
		write_seed("frame", i, &nrows, 2, frame, encode_sample(&s, frame, sizeof(frame)));
		free(s.rows);
	}
}

/* Lines that are alike, by patterns. */
static void
seed_patterns(void)
{
	SthPatternWriter *writer = sth_pattern_writer_create(&fuzz_memory);
	SthCompressor compressor = {0};

	for (int i = 0; i < 8; i++)
	{
		uint8_t		values[64 * 64];
		uint8_t		head[4];
		size_t		len = 0;
		uint32_t	n = 2 + any(30);
		SthBuffer	out = {0};

		for (uint32_t k = 0; k < n; k++)
		{
			int text = sprintf((char *) values + len + 1, i % 2 == 0 ?
							   "{\"at\":%u,\"id\":\"u%02x\",\"n\":%u}" : "%u id-%03u /x/%u.html",
							   1000 + k, any(4096), any(100));

			values[len] = (uint8_t) ((text +1) <<1 | 1);
			len += (size_t) text +1;
		}
		sth_put_u16(head, (uint16_t) n);
		sth_put_u16(head + 2, (uint16_t) len);
		(void) sth_pattern_append(writer, values, len, n, 4,
								  i < 6 ? STH_COMPRESSION_NONE : STH_COMPRESSION_ZSTD,
								  &compressor, &out);
		write_seed("pattern", i, head, 4, out.data, out.len);
		sth_buffer_free(&fuzz_memory, &out);
	}
	sth_compressor_free(&compressor, &fuzz_memory);
	sth_pattern_writer_free(writer);
}

/* The blocks and the footer of an object. */
static void
seed_object(Bytes object, int *nblocks, int *nfooters)
{
	SthTrailer	trailer;
	SthFooter	footer;
	SthFault	fault;
	uint32_t	before;

	if (open_object(object.data, object.len, &trailer, &footer, &fault) != STH_CODEC_OK)
		exit(1);
	for (uint32_t i = 0; i < footer.nblocks; i++)
	{
		SthIndexEntry entry;

		sth_footer_block(&footer, i, &entry);
		write_seed("block", (*nblocks)++, NULL, 0, object.data + entry.position, entry.len);
	}
	before = (uint32_t) trailer.footer_position;
	write_seed("footer", *nfooters, &before, 4, object.data + before, trailer.footer_len);
	write_seed("footer", 100 + (*nfooters)++, &before, 4, object.data + before,
			   object.len - before);
	free(object.data);
}

int
main(int argc, char **argv)
{
	static const uint16_t types_rows = TYPES_ROWS;
	static const uint16_t one = 1;
	Bytes		frame = read_vector("types-frame");
	uint8_t		marker[STH_FRAME_MARKER_MAX];
	int			nblocks = 0;
	int			nfooters = 0;

	if (argc != 2)
		return 2;
	directory = argv[1];
	seed_rng();
	seed_rows_and_frames();
	seed_patterns();
	write_seed("frame", 100, &types_rows, 2, frame.data, frame.len);
	write_seed("frame", 101, &one, 2, small_frames[1], small_frame_lens[1]);
	write_seed("frame", 102, &one, 2, small_frames[0], small_frame_lens[0]);
	write_seed("frame", 103, "\0", 2, marker, sth_frame_put_staged(marker, 3, 1000));
	write_seed("frame", 104, "\0", 2, marker, sth_frame_put_void(marker, 1000));
	seed_object(make_small(), &nblocks, &nfooters);
	seed_object(read_vector("small-filter"), &nblocks, &nfooters);
	seed_object(make_types(STH_COMPRESSION_NONE, 65536), &nblocks, &nfooters);
	seed_object(make_types(STH_COMPRESSION_LZ4, 65536), &nblocks, &nfooters);
	seed_object(make_types(STH_COMPRESSION_ZSTD, 1), &nblocks, &nfooters);
	free(frame.data);
	return 0;
}
