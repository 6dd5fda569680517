/*
 * Damage: a bit that has flipped anywhere in an object is noticed, before a
 * row comes out; so are bytes missing or added.  And a block that lies in
 * spite of good checksums leads nobody outside of it (run under a sanitizer
 * to see that).
 */
#include "sample.h"
#include "tap.h"
#include "vector.h"

/* Each in memory of its own size, so that a sanitizer sees its end. */
static SthCodecResult
verify_copy(const uint8_t *object, size_t len, SthFault *fault)
{
	uint8_t    *copy = malloc(len + 1);
	SthCodecResult result;

	memcpy(copy, object, len);
	result = verify_object(copy, len, fault);
	free(copy);
	return result;
}

static void
test_flips(const char *name, Bytes object)
{
	SthFault	fault;
	size_t		unnoticed = 0;
	size_t		misplaced = 0;

	ok(verify_copy(object.data, object.len, &fault) == STH_CODEC_OK, "%s is sound", name);
	for (size_t i = 0; i < object.len * 8; i++)
	{
		object.data[i / 8] ^= (uint8_t) (1 << i % 8);
		unnoticed += verify_object(object.data, object.len, &fault) == STH_CODEC_OK;
		misplaced += fault.at >= object.len;
		object.data[i / 8] ^= (uint8_t) (1 << i % 8);
	}
	ok(unnoticed == 0, "%s: each of its %zu bits is noticed when it flips", name, object.len * 8);
	ok(misplaced == 0, "%s: and where that is lies in the object", name);
}

static void
test_lengths(Bytes object)
{
	SthFault	fault;
	size_t		unnoticed = 0;
	Bytes		twice;

	for (size_t len = 0; len < object.len; len++)
		unnoticed += verify_copy(object.data, len, &fault) == STH_CODEC_OK;
	take_bytes(&object, (const uint8_t *) "", 1);
	unnoticed += verify_copy(object.data, object.len, &fault) == STH_CODEC_OK;
	/* two objects, one after the other */
	object.len--;
	twice = object;
	twice.data = malloc(2 * object.len);
	memcpy(twice.data, object.data, object.len);
	memcpy(twice.data + object.len, object.data, object.len);
	twice.len *= 2;
	unnoticed += verify_copy(twice.data, twice.len, &fault) == STH_CODEC_OK;
	free(twice.data);
	ok(unnoticed == 0, "bytes that are missing or too many are noticed");
	free(object.data);
}

/* A sound block of another place is not taken for the one that is meant. */
static void
test_other_block(void)
{
	Bytes		object = make_small();
	SthColumnType column = small_topic().columns[0].column;
	SthBlockReader *reader = sth_block_reader_create(&test_memory, &column, 1, false);
	SthTrailer	trailer;
	SthFooter	footer;
	SthIndexEntry entry[2];
	SthFault	fault;
	uintptr_t	value;
	bool		isnull;

	open_object(object.data, object.len, &trailer, &footer, &fault);
	for (uint32_t i = 0; i < 2; i++)
		sth_footer_block(&footer, i, &entry[i]);
	ok(sth_block_reader_load(reader, object.data + entry[1].position, entry[1].len,
							 &entry[0], &fault) == STH_CODEC_DAMAGED,
	   "another block than was meant is noticed");
	ok(!sth_block_reader_next(reader, &value, &isnull, NULL), "and gives no row");
	/* of the same place, but not the same rows */
	object.data[168] ^= 1;
	mend_block(object.data, entry[0].len);
	ok(sth_block_verify(object.data, entry[0].len, &entry[0], &fault) == STH_CODEC_DAMAGED,
	   "so are other rows in its place");
	object.data[168] ^= 1;
	mend_block(object.data, entry[0].len);
	column.typmod = 3;
	sth_block_reader_free(reader);
	reader = sth_block_reader_create(&test_memory, &column, 1, false);
	ok(sth_block_reader_load(reader, object.data, entry[0].len, &entry[0], &fault) ==
	   STH_CODEC_MISMATCH && fault.at > 0 && fault.at < entry[0].len,
	   "so is a column of another type");
	sth_block_reader_free(reader);
	free(object.data);
}

/* Loads the first block of small, as it is; what comes of it. */
static SthCodecResult
load_small(Bytes object, SthFault *fault)
{
	SthTopicInfo topic = small_topic();
	SthColumnType columns[2] = {topic.columns[0].column, topic.columns[1].column};
	SthBlockReader *reader = sth_block_reader_create(&test_memory, columns, 2, true);
	size_t		len = sth_get_u32(object.data + 12);
	SthIndexEntry entry;
	SthCodecResult result;

	mend_block(object.data, len);
	entry = entry_of(object.data);
	result = sth_block_reader_load(reader, object.data, len, &entry, fault);
	sth_block_reader_free(reader);
	return result;
}

/* What contradicts itself, with good checksums. */
static void
test_contradictions(void)
{
	static const struct
	{
		size_t		at;
		uint8_t		flip;
		const char *what;
	}			lies[] = {
		{179, 0x02, "one bit more in a bitmap"},
		{179, 0x05, "a bit beyond the last row"},
		{136, 0x03, "one value more than rows"},
		{136, 0x01, "no value at all"},
		{104, 0x01, "fewer values than there are, and no bitmap"},
		{64 + 48, 0x04, "another raw length than the stored one"},
		{103, 0x20, "two integers in two bytes"},
		{102, 0x04, "integers by reference as differences"},
		{100, 0x0b, "values of three bytes by value"},
		{168, 0x80, "differences that do not end"},
		{122, 0x03, "two chunks of one column"},
		{40, 0xff, "times that differ and do not"},
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
	{
		Bytes		object = make_small();
		SthFault	fault;

		object.data[lies[i].at] ^= lies[i].flip;
		ok(load_small(object, &fault) == STH_CODEC_DAMAGED && fault.at < 184,
		   "%s: %s", lies[i].what, fault.what);
		free(object.data);
	}
}

/* Footers whose parts do not agree, with good checksums. */
static void
test_footers(void)
{
	for (int i = 0; i < 8; i++)
	{
		Bytes		small = make_small();
		SthTopicInfo topic = small_topic();
		SthBuffer	bytes = {NULL, 0, 0};
		SthTrailer	trailer;
		SthFooter	footer;
		SthSegment	segment;
		SthFault	fault;
		uint8_t		index[3 * STH_INDEX_ENTRY_LEN];
		SthFooterParts parts = {vector_info(), &topic, 1, &segment, 1, index, 2};
		SthCodecResult result;

		open_object(small.data, small.len, &trailer, &footer, &fault);
		sth_footer_segment(&footer, 0, &segment);
		memcpy(index, footer.index, 2 * STH_INDEX_ENTRY_LEN);
		memcpy(index + 2 * STH_INDEX_ENTRY_LEN, footer.index, STH_INDEX_ENTRY_LEN);
		parts.nblocks += i == 1;	/* a block of no segment */
		segment.nrows += i == 2;
		segment.topic += i == 3;
		segment.end_offset -= i == 4 ? 5 : 0;	/* before its last row */
		segment.min_time -= i == 5;
		segment.len -= i == 6 ? 8 : 0;
		sth_footer_append(&parts, i == 7 ? 328 : 320, &test_memory, &bytes, &fault);
		result = sth_trailer_parse(bytes.data + bytes.len - STH_TRAILER_LEN,
								   bytes.len + (i == 7 ? 328 : 320), &trailer, &fault);
		if (result == STH_CODEC_OK)
			result = sth_footer_open(bytes.data, &trailer, &footer, &fault);
		ok(result == (i == 0 ? STH_CODEC_OK : STH_CODEC_DAMAGED), "footer %d: %s", i,
		   i == 0 ? "sound" : fault.what);
		if (i == 0)
			ok(sth_trailer_parse(bytes.data + bytes.len - STH_TRAILER_LEN,
								 bytes.len + 321, &trailer, &fault) == STH_CODEC_DAMAGED,
			   "an object of another length than it says");
		sth_buffer_free(&test_memory, &bytes);
		free(small.data);
	}
}

/* Reads all rows and all their bytes; returns if nothing was wrong. */
static int
read_all(const uint8_t *block, size_t len, const SthTopicInfo *topic)
{
	SthIndexEntry entry = entry_of(block);
	SthColumnType columns[TYPES_COLUMNS];
	SthBlockReader *reader;
	uintptr_t	values[TYPES_COLUMNS];
	bool		isnull[TYPES_COLUMNS];
	int64_t		time;
	SthFault	fault = {STH_CODEC_OK, NULL, 0};
	unsigned	sum = 0;
	int			n = 0;

	for (uint32_t c = 0; c < topic->ncolumns; c++)
		if (!(topic->columns[c].flags & STH_COLUMN_ASSIGNED))
			columns[n++] = topic->columns[c].column;
	reader = sth_block_reader_create(&test_memory, columns, n, true);
	if (sth_block_reader_load(reader, block, len, &entry, &fault) == STH_CODEC_OK)
	{
		while (sth_block_reader_next(reader, values, isnull, &time))
			for (int c = 0; c < n; c++)
			{
				int			place = columns[c].attnum - 1;
				const uint8_t *p = (const uint8_t *) values[place];
				size_t		size = (size_t) columns[c].layout.len;

				if (isnull[place] || columns[c].layout.byval)
					continue;
				if (columns[c].layout.len == -1)
					size = *p & 1 ? *p >> 1 : sth_varlena_long_size(p);
				while (size-- > 0)
					sum += *p++;
			}
		sth_block_reader_fault(reader, &fault);
	}
	sth_block_reader_free(reader);
	return fault.result == STH_CODEC_OK && sum != 1;
}

static void
test_lies(SthCompression compression)
{
	Bytes		object = make_types(compression, 65536);
	SthTopicInfo topic = types_topic();
	size_t		len = sth_get_u32(object.data + 12);
	int			refused = 0;
	int			tried = 0;

	ok(read_all(object.data, len, &topic), "codec %d: a block is read", compression);
	for (; tried < 4000; tried++)
	{
		uint8_t    *copy = malloc(len);

		memcpy(copy, object.data, len);
		for (uint32_t k = 0; k <= any(3); k++)
			copy[8 + any((uint32_t) (any(2) ? len - 8 : 400))] ^=
				(uint8_t) (any(2) ? 1U << any(8) : any(256));
		mend_block(copy, len);
		refused += !read_all(copy, len, &topic);
		free(copy);
	}
	ok(refused > 0, "codec %d: of %d blocks that lie some are refused, none leads outside",
	   compression, tried);
	free(object.data);
}

int
main(void)
{
	Bytes		small = make_small();
	Bytes		types = make_types(STH_COMPRESSION_LZ4, 1);

	seed_rng();
	test_flips("small", small);
	test_flips("types", types);
	free(types.data);
	test_lengths(small);
	test_other_block();
	test_contradictions();
	test_footers();
	test_lies(STH_COMPRESSION_NONE);
	test_lies(STH_COMPRESSION_LZ4);
	test_lies(STH_COMPRESSION_ZSTD);
	ok(allocated == 0, "all memory is given back");
	return done_testing();
}
