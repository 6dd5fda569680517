/*
 * The bytes are those of test/unit/vectors and of docs/segment-format.md.
 * Without compression the writer has to make them; compressed ones, which
 * depend on the library's version, have only to be read.
 *
 * "vectors_test write" makes the files anew: only for a new version of the
 * format, whose reader still has to read the old ones.
 */
#include "sample.h"
#include "tap.h"
#include "vector.h"

static void
put_bytes(Bytes *to, const void *data, size_t len)
{
	take_bytes(to, data, len);
}

/* Appends a copy of a block with a chunk more, of which nothing is known. */
static SthIndexEntry
put_later_block(Bytes *to, const uint8_t *block, const SthIndexEntry *old,
				uint16_t kind)
{
	size_t		start = to->len;
	uint8_t		entry[STH_CHUNK_ENTRY_LEN] = {0};
	SthIndexEntry new;

	put_bytes(to, block, STH_BLOCK_HEAD_LEN);
	sth_put_u16(entry, kind);
	memset(entry + 2, 0xEE, 18);	/* whatever it may mean */
	sth_put_u32(entry + 20, 5);
	put_bytes(to, entry, sizeof(entry));
	put_bytes(to, block + STH_BLOCK_HEAD_LEN, old->header_len - STH_BLOCK_HEAD_LEN);
	put_bytes(to, "later\0\0\0", 8);
	put_bytes(to, block + old->header_len, old->len - old->header_len);
	sth_put_u16(to->data + start + 10, (uint16_t) (sth_get_u16(block + 10) + 1));
	sth_put_u32(to->data + start + 12, (uint32_t) (to->len - start));
	mend_block(to->data + start, to->len - start);
	new = entry_of(to->data + start);
	new.position = start;
	return new;
}

/* Puts a section of a later version in front of the last one of a footer. */
static void
put_later_section(Bytes *object, uint64_t footer, uint16_t kind)
{
	size_t		at = (size_t) footer + 16;
	uint32_t	old_len = (uint32_t) (object->len - footer - STH_TRAILER_LEN);
	uint8_t		section[16] = {0};
	uint8_t    *trailer;

	while (sth_get_u16(object->data + at) != 4)
		at += 8 + STH_ALIGN_UP((size_t) sth_get_u32(object->data + at + 4), 8);
	sth_put_u16(section, kind);
	sth_put_u32(section + 4, 5);
	memcpy(section + 8, "later", 5);
	put_bytes(object, section, sizeof(section));
	memmove(object->data + at + 16, object->data + at, object->len - 16 - at);
	memcpy(object->data + at, section, 16);

	trailer = object->data + object->len - STH_TRAILER_LEN;
	sth_put_u64(trailer, object->len);
	sth_put_u32(trailer + 8, old_len + 16);
	sth_put_u32(trailer + 12, sth_crc32c(0, object->data + footer, old_len + 16));
	sth_put_u32(trailer + 20, sth_crc32c(0, trailer, 20));
}

/* The object small as a later version might write it. */
static Bytes
make_later(uint16_t chunk_kind, uint16_t section_kind)
{
	Bytes		small = make_small();
	Bytes		later = {NULL, 0, 0};
	SthBuffer	footer_bytes = {NULL, 0, 0};
	SthTopicInfo topic = small_topic();
	uint8_t		index[2 * STH_INDEX_ENTRY_LEN];
	SthFooterParts parts = {vector_info(), &topic, 1, NULL, 1, index, 2};
	SthTrailer	trailer;
	SthFooter	footer;
	SthSegment	segment;
	SthFault	fault;
	uint64_t	at;

	open_object(small.data, small.len, &trailer, &footer, &fault);
	sth_footer_segment(&footer, 0, &segment);
	for (uint32_t i = 0; i < 2; i++)
	{
		SthIndexEntry entry;

		sth_footer_block(&footer, i, &entry);
		entry = put_later_block(&later, small.data + entry.position, &entry, chunk_kind);
		sth_index_put(&entry, index + i * STH_INDEX_ENTRY_LEN);
	}
	at = later.len;
	segment.len = at;
	parts.segments = &segment;
	sth_footer_append(&parts, at, &test_memory, &footer_bytes, &fault);
	put_bytes(&later, footer_bytes.data, footer_bytes.len);
	put_later_section(&later, at, section_kind);
	sth_buffer_free(&test_memory, &footer_bytes);
	free(small.data);
	return later;
}

static void
test_bytes(const char *name, Bytes made)
{
	Bytes		file = read_vector(name);

	ok(made.len > 0 && made.len == file.len &&
	   memcmp(made.data, file.data, file.len) == 0, "%s is made as it should be", name);
	free(made.data);
	free(file.data);
}

/* Loads block i of an opened object with all columns of the topic. */
static SthBlockReader *
load_block(const Bytes *object, const SthFooter *footer, uint32_t i,
		   const SthTopicInfo *topic, SthFault *fault)
{
	SthColumnType columns[TYPES_COLUMNS];
	SthIndexEntry entry;
	SthBlockReader *reader;
	int			n = 0;

	for (uint32_t c = 0; c < topic->ncolumns; c++)
		if (!(topic->columns[c].flags & STH_COLUMN_ASSIGNED))
			columns[n++] = topic->columns[c].column;
	sth_footer_block(footer, i, &entry);
	reader = sth_block_reader_create(&test_memory, columns, n, true);
	if (sth_block_reader_load(reader, object->data + entry.position, entry.len,
							  &entry, fault) != STH_CODEC_OK)
	{
		sth_block_reader_free(reader);
		return NULL;
	}
	return reader;
}

/* Has the file the same values as 'types', whose chunks are not compressed? */
static void
test_compressed(const char *name)
{
	Bytes		plain = read_vector("types");
	Bytes		file = read_vector(name);
	SthTopicInfo topic = types_topic();
	SthTrailer	trailer;
	SthFooter	a;
	SthFooter	b;
	SthFault	fault;
	int			same;

	same = open_object(plain.data, plain.len, &trailer, &a, &fault) == STH_CODEC_OK &&
		open_object(file.data, file.len, &trailer, &b, &fault) == STH_CODEC_OK &&
		a.nblocks == 1 && b.nblocks == 1 && file.len < plain.len;
	if (same)
	{
		SthBlockReader *x = load_block(&plain, &a, 0, &topic, &fault);
		SthBlockReader *y = load_block(&file, &b, 0, &topic, &fault);

		for (int c = 0; c < TYPES_COLUMNS - 3 && x && y; c++)
		{
			const SthColumnData *p = sth_block_reader_column(x, c);
			const SthColumnData *q = sth_block_reader_column(y, c);

			same &= p->len == q->len && memcmp(p->values, q->values, p->len) == 0 &&
				p->nvalues == TYPES_ROWS - 1 && q->nvalues == TYPES_ROWS - 1 &&
				*p->present == 0x3b && *q->present == 0x3b;
		}
		same &= x != NULL && y != NULL;
		sth_block_reader_free(x);
		sth_block_reader_free(y);
	}
	ok(same, "%s has the values of types", name);
	free(plain.data);
	free(file.data);
}

/* The three rows, wherever they come from. */
static int
has_small_rows(const Bytes *object, SthFault *fault)
{
	static const char *const notes[] = {"hi", NULL, "!"};
	static const int64_t offsets[] = {100, 101, 105};
	static const int64_t times[] = {0, 10, 0};
	SthTopicInfo topic = small_topic();
	SthTrailer	trailer;
	SthFooter	footer;
	int			row = 0;
	int			good = 1;

	if (open_object(object->data, object->len, &trailer, &footer, fault) != STH_CODEC_OK ||
		verify_object(object->data, object->len, fault) != STH_CODEC_OK)
		return 0;
	for (uint32_t i = 0; i < footer.nblocks; i++)
	{
		SthBlockReader *reader = load_block(object, &footer, i, &topic, fault);
		uintptr_t	values[2];
		bool		isnull[2];
		int64_t		time;
		int			first = row;

		if (reader == NULL)
			return 0;
		while (row < 3 && sth_block_reader_next(reader, values, isnull, &time))
		{
			const char *note = notes[row];

			good &= !isnull[0] && values[0] == (uintptr_t) row + 1 &&
				time - 820540800000000 == times[row] &&
				offsets[row] == sth_block_reader_block(reader)->base_offset + row - first &&
				isnull[1] == (note == NULL) &&
				(note == NULL || memcmp((const char *) values[1] + 1, note, strlen(note)) == 0);
			row++;
		}
		sth_block_reader_free(reader);
	}
	return good && row == 3;
}

static void
test_small(void)
{
	Bytes		small = read_vector("small");
	Bytes		later = read_vector("small-filter");
	Bytes		refused = read_vector("small-offsets");
	Bytes		section = make_later(STH_CHUNK_KEY_FILTER, 5);
	SthTrailer	trailer;
	SthFooter	footer;
	SthFault	fault;

	ok(has_small_rows(&small, &fault), "small has its rows");
	ok(has_small_rows(&later, &fault),
	   "so it has when a chunk and a section are there that may be skipped");
	ok(!has_small_rows(&refused, &fault) && fault.result == STH_CODEC_UNSUPPORTED &&
	   fault.at == STH_BLOCK_HEAD_LEN, "a kind of chunk that may not is refused");
	ok(open_object(section.data, section.len, &trailer, &footer, &fault) ==
	   STH_CODEC_UNSUPPORTED, "so is a kind of section");
	free(small.data);
	free(later.data);
	free(refused.data);
	free(section.data);
}

static int
is_text(SthText t, const char *s)
{
	return t.len == strlen(s) && memcmp(t.data, s, t.len) == 0;
}

/* All that a rebuild needs comes back. */
static void
test_footer(void)
{
	Bytes		object = read_vector("types");
	SthTopicInfo wrote = types_topic();
	SthTopicInfo topic;
	SthColumnInfo column;
	SthEnumLabel label;
	SthOption	option;
	SthTrailer	trailer;
	SthFooter	footer;
	SthSegment	segment;
	SthFault	fault;
	SthInput	topics;
	Bytes		small = read_vector("small");
	uint32_t	n;
	uint32_t	nlabels = 0;
	int			good = 1;

	ok(open_object(object.data, object.len, &trailer, &footer, &fault) == STH_CODEC_OK,
	   "the footer opens");
	ok(footer.info.object_id[15] == 0x1f && footer.info.incarnation[0] == 0x20 &&
	   footer.info.written_at == 820540800000000 && footer.info.pg_major == 15 &&
	   is_text(footer.info.encoding, "UTF8") &&
	   is_text(footer.info.software, "streamhouse 0.1.0"), "who wrote it");
	topics = footer.topics;
	ok(sth_footer_next_topic(&topics, &topic) && is_text(topic.schema, "public") &&
	   is_text(topic.name, "types") && topic.noptions == 0, "the topic");
	for (n = 0; sth_topic_next_column(&topic, &column); n++)
	{
		const SthColumnInfo *w = &wrote.columns[n];

		good &= column.column.attnum == w->column.attnum &&
			column.column.type == w->column.type &&
			column.column.typmod == w->column.typmod &&
			column.column.layout.len == w->column.layout.len &&
			column.column.layout.align == w->column.layout.align &&
			column.column.layout.byval == w->column.layout.byval &&
			column.base_type == w->base_type && column.flags == w->flags &&
			is_text(column.name, w->name.data) &&
			is_text(column.type_name, w->type_name.data);
		for (uint32_t l = 0; sth_column_next_label(&column, &label); l++, nlabels++)
			good &= label.oid == w->labels[l].oid &&
				is_text(label.name, w->labels[l].name.data);
	}
	ok(good && n == TYPES_COLUMNS && nlabels == 3, "its columns and the labels of the enum");
	ok(!sth_footer_next_topic(&topics, &topic), "and no other");

	open_object(small.data, small.len, &trailer, &footer, &fault);
	topics = footer.topics;
	sth_footer_next_topic(&topics, &topic);
	ok(topic.topic_id[1] == 0x31 && sth_topic_next_option(&topic, &option) &&
	   is_text(option.name, "partitions") && is_text(option.value, "2") &&
	   !sth_topic_next_option(&topic, &option), "its uuid and options");
	sth_footer_segment(&footer, 0, &segment);
	ok(footer.nsegments == 1 && segment.log_id == 7 && segment.partition == 1 &&
	   segment.base_offset == 100 && segment.end_offset == 110 &&
	   segment.start_offset == 40 && segment.nrows == 3 && segment.generation == 1 &&
	   segment.key_attnum == 1 && segment.npartitions == 2 && segment.flags == 0 &&
	   segment.min_time == 820540800000000 && segment.max_time == 820540800000010,
	   "the segment");
	free(object.data);
	free(small.data);
}

static void
write_vector(const char *name, const char *what, Bytes bytes)
{
	char		path[256];
	FILE	   *file;

	snprintf(path, sizeof(path), VECTORS "%s.hex", name);
	file = fopen(path, "w");
	if (file == NULL)
		exit(1);
	fprintf(file, "# %s; made by vectors_test.\n", what);
	for (size_t i = 0; i < bytes.len; i++)
		fprintf(file, "%02x%s", bytes.data[i],
				i + 1 == bytes.len || i % 32 == 31 ? "\n" : i % 8 == 7 ? " " : "");
	fclose(file);
	free(bytes.data);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "write") == 0)
	{
		write_vector("small", "Three rows in two blocks", make_small());
		write_vector("small-filter", "The same with a key filter and a section that may be skipped",
					 make_later(STH_CHUNK_KEY_FILTER, 5 | STH_CHUNK_COMPATIBLE));
		write_vector("small-offsets", "The same with offset deltas, which version 1 has to refuse",
					 make_later(STH_CHUNK_OFFSET_DELTAS, 5 | STH_CHUNK_COMPATIBLE));
		write_vector("types", "The rows of types-frame.hex", make_types(STH_COMPRESSION_NONE, 65536));
		write_vector("types-lz4", "The same by LZ4", make_types(STH_COMPRESSION_LZ4, 65536));
		write_vector("types-zstd", "The same by zstd", make_types(STH_COMPRESSION_ZSTD, 65536));
		return 0;
	}
	test_bytes("small", make_small());
	test_bytes("small-filter", make_later(STH_CHUNK_KEY_FILTER, 5 | STH_CHUNK_COMPATIBLE));
	test_bytes("small-offsets", make_later(STH_CHUNK_OFFSET_DELTAS, 5 | STH_CHUNK_COMPATIBLE));
	test_bytes("types", make_types(STH_COMPRESSION_NONE, 65536));
	test_compressed("types-lz4");
	test_compressed("types-zstd");
	test_small();
	test_footer();
	return done_testing();
}
