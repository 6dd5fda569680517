/*
 * The objects of test/unit/vectors: small, which docs/segment-format.md goes
 * through byte by byte, and types, whose rows a server has written.  Files
 * are hexadecimal; white space and what follows a '#' are passed over.
 */
#ifndef VECTOR_H
#define VECTOR_H

#include <ctype.h>

#include "object.h"

#define VECTORS "test/unit/vectors/"

static inline int
hex_digit(int c)
{
	return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* Reads test/unit/vectors/<name>.hex; nothing if it is not there. */
static inline Bytes
read_vector(const char *name)
{
	Bytes		bytes = {NULL, 0, 0};
	char		path[256];
	FILE	   *file;
	int			c;
	int			high = -1;

	snprintf(path, sizeof(path), VECTORS "%s.hex", name);
	if ((file = fopen(path, "r")) == NULL)
		return bytes;
	while ((c = fgetc(file)) != EOF)
	{
		uint8_t		byte;

		if (c == '#')
			while ((c = fgetc(file)) != EOF && c != '\n')
				;
		if (hex_digit(c) < 0)
			continue;
		if (high < 0)
		{
			high = hex_digit(c);
			continue;
		}
		byte = (uint8_t) (high << 4 | hex_digit(c));
		high = -1;
		take_bytes(&bytes, &byte, 1);
	}
	fclose(file);
	return bytes;
}

static inline SthObjectInfo
vector_info(void)
{
	SthObjectInfo info;

	memset(&info, 0, sizeof(info));
	for (int i = 0; i < STH_UUID_LEN; i++)
	{
		info.object_id[i] = (uint8_t) (0x10 + i);
		info.incarnation[i] = (uint8_t) (0x20 + i);
	}
	info.written_at = 820540800000000;	/* 2026-01-01 00:00 */
	info.pg_major = 15;
	info.encoding = text ("UTF8");
	info.software = text ("streamhouse 0.1.0");

	return info;
}

/* Ends and frees a writer that has a segment open. */
static inline Bytes
end_vector(SthObjectWriter *writer, int64_t end_offset,
		   const SthTopicInfo *topic, Bytes *bytes)
{
	SthObjectInfo info = vector_info();
	SthFault	fault;

	if (sth_object_end_segment(writer, end_offset, &fault) != STH_CODEC_OK ||
		sth_object_end(writer, &info, topic, 1, &fault) != STH_CODEC_OK)
		bytes->len = 0;
	sth_object_free(writer);
	return *bytes;
}

static inline SthColumnInfo
vector_column(int16_t attnum, const char *name, uint32_t type,
			  const char *type_name, int32_t typmod, int16_t len,
			  uint8_t align, uint8_t byval)
{
	SthColumnInfo column;

	memset(&column, 0, sizeof(column));
	column.column.attnum = attnum;
	column.column.type = type;
	column.column.typmod = typmod;
	column.column.layout.len = len;
	column.column.layout.align = align;
	column.column.layout.byval = byval;
	column.base_type = type;
	column.flags = attnum <= 3 ? STH_COLUMN_ASSIGNED : 0;
	column.name = text (name);
	column.type_name = text (type_name);

	return column;
}

/* --- small: three rows of (id bigint NOT NULL, note text) ------------------- */

/* Two rows at offsets 100 and 101, one of whose notes is NULL; one row. */
static const uint8_t small_frames[2][64] = {
	{
		0x48,					/* rows, aligned to 4, with bitmaps */
		0x02, 0x01, 0x14, 0x01, 0x01, 0x19, 0x01,	/* int8, text */
		0x00, 0x60, 0xe8, 0x0a, 0x47, 0xea, 0x02, 0x00, /* oldest time */
		0x0a,					/* time span: 10 us */
		0x0b, 0x08, 0x00, 0x14, 0x03, 0x01, /* lengths, times, bitmaps */
		0x00, 0x00,				/* padding */
		0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 'h', 'i',
		0x00,
		0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
	},
	{
		0x00,
		0x02, 0x01, 0x14, 0x01, 0x01, 0x19, 0x01,
		0x00, 0x60, 0xe8, 0x0a, 0x47, 0xea, 0x02, 0x00,
		0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, '!'
	}
};

static const size_t small_frame_lens[2] = {45, 26};

static SthColumnInfo small_columns[2];
static SthOption small_options[1];

static inline SthTopicInfo
small_topic(void)
{
	SthTopicInfo topic;

	memset(&topic, 0, sizeof(topic));
	for (int i = 0; i < STH_UUID_LEN; i++)
		topic.topic_id[i] = (uint8_t) (0x30 + i);
	topic.schema = text ("public");
	topic.name = text ("small");
	small_options[0].name = text ("partitions");
	small_options[0].value = text ("2");

	topic.noptions = 1;
	topic.options = small_options;
	small_columns[0] = vector_column(1, "id", 20, "bigint", -1, 8, 8, 1);
	small_columns[0].flags = STH_COLUMN_NOT_NULL;
	small_columns[1] = vector_column(2, "note", 25, "text", -1, -1, 4, 0);
	small_columns[1].flags = 0;
	topic.ncolumns = 2;
	topic.columns = small_columns;
	return topic;
}

static inline Bytes
make_small(void)
{
	Bytes		bytes = {NULL, 0, 0};
	SthSink		sink = {take_bytes, &bytes};
	SthTopicInfo topic = small_topic();
	SthSourceColumn columns[2] = {{topic.columns[0].column, 0}, {topic.columns[1].column, 0}};
	SthObjectWriter *writer = sth_object_begin(&test_memory, &sink, 256 * 1024);
	SthSegment	segment;
	SthFault	fault;

	memset(&segment, 0, sizeof(segment));
	segment.log_id = 7;
	segment.partition = 1;
	segment.base_offset = 100;
	segment.start_offset = 40;
	segment.generation = 1;
	segment.key_attnum = 1;
	segment.npartitions = 2;
	sth_object_begin_segment(writer, &segment, columns, 2, STH_COMPRESSION_NONE, &fault);
	sth_object_add_frame(writer, small_frames[0], small_frame_lens[0], 2, 100, 0, &fault);
	sth_object_add_frame(writer, small_frames[1], small_frame_lens[1], 1, 105, 0, &fault);
	return end_vector(writer, 110, &topic, &bytes);
}

/* --- types: rows that PostgreSQL has made, of every kind of type ------------ */

#define TYPES_ROWS 6
#define TYPES_COLUMNS 36

static SthColumnInfo types_columns[TYPES_COLUMNS];

static inline SthTopicInfo
types_topic(void)
{
	static const SthEnumLabel moods[] = {
		{16464, {"sad", 3}}, {16466, {"ok", 2}}, {16468, {"happy", 5}}
	};
	SthTopicInfo topic;
	SthColumnInfo *c = types_columns;

	memset(&topic, 0, sizeof(topic));
	topic.schema = text ("public");
	topic.name = text ("types");

	*c++ = vector_column(1, "_partition", 23, "integer", -1, 4, 4, 1);
	*c++ = vector_column(2, "_offset", 20, "bigint", -1, 8, 8, 1);
	*c++ = vector_column(3, "_timestamp", 1184, "timestamp with time zone", -1, 8, 8, 1);
	*c++ = vector_column(4, "b", 16, "boolean", -1, 1, 1, 1);
	*c++ = vector_column(5, "i2", 21, "smallint", -1, 2, 2, 1);
	*c++ = vector_column(6, "i4", 23, "integer", -1, 4, 4, 1);
	*c++ = vector_column(7, "i8", 20, "bigint", -1, 8, 8, 1);
	*c++ = vector_column(8, "f4", 700, "real", -1, 4, 4, 1);
	*c++ = vector_column(9, "f8", 701, "double precision", -1, 8, 8, 1);
	*c++ = vector_column(10, "n", 1700, "numeric", -1, -1, 4, 0);
	*c++ = vector_column(11, "t", 25, "text", -1, -1, 4, 0);
	*c++ = vector_column(12, "vc", 1043, "character varying(20)", 24, -1, 4, 0);
	*c++ = vector_column(13, "c", 1042, "character(5)", 9, -1, 4, 0);
	*c++ = vector_column(14, "by", 17, "bytea", -1, -1, 4, 0);
	*c++ = vector_column(15, "js", 114, "json", -1, -1, 4, 0);
	*c++ = vector_column(16, "jb", 3802, "jsonb", -1, -1, 4, 0);
	*c++ = vector_column(17, "u", 2950, "uuid", -1, 16, 1, 0);
	*c++ = vector_column(18, "d", 1082, "date", -1, 4, 4, 1);
	*c++ = vector_column(19, "ti", 1083, "time without time zone", -1, 8, 8, 1);
	*c++ = vector_column(20, "tz", 1266, "time with time zone", -1, 12, 8, 0);
	*c++ = vector_column(21, "ts", 1114, "timestamp without time zone", -1, 8, 8, 1);
	*c++ = vector_column(22, "tt", 1184, "timestamp with time zone", -1, 8, 8, 1);
	*c++ = vector_column(23, "iv", 1186, "interval", -1, 16, 8, 0);
	*c++ = vector_column(24, "ip", 869, "inet", -1, -1, 4, 0);
	*c++ = vector_column(25, "ci", 650, "cidr", -1, -1, 4, 0);
	*c++ = vector_column(26, "ma", 829, "macaddr", -1, 6, 4, 0);
	*c++ = vector_column(27, "m8", 774, "macaddr8", -1, 8, 4, 0);
	*c++ = vector_column(28, "bi", 1560, "bit(5)", 5, -1, 4, 0);
	*c++ = vector_column(29, "vb", 1562, "bit varying", -1, -1, 4, 0);
	*c++ = vector_column(30, "po", 600, "point", -1, 16, 8, 0);
	*c++ = vector_column(31, "ra", 3904, "int4range", -1, -1, 4, 0);
	*c++ = vector_column(32, "ia", 1007, "integer[]", -1, -1, 4, 0);
	*c++ = vector_column(33, "ta", 1009, "text[]", -1, -1, 4, 0);
	*c++ = vector_column(34, "na", 1231, "numeric[]", -1, -1, 4, 0);
	*c++ = vector_column(35, "mo", 16462, "mood", -1, 4, 4, 1);
	c[-1].labels = moods;
	c[-1].nlabels = 3;
	*c++ = vector_column(36, "pd", 16470, "positive", -1, 4, 4, 1);
	c[-1].base_type = 23;
	topic.ncolumns = TYPES_COLUMNS;
	topic.columns = types_columns;
	return topic;
}

/* The rows of types-frame.hex, in blocks that may have one or all of them. */
static inline Bytes
make_types(SthCompression compression, size_t block_size)
{
	Bytes		bytes = {NULL, 0, 0};
	SthSink		sink = {take_bytes, &bytes};
	SthTopicInfo topic = types_topic();
	SthSourceColumn columns[TYPES_COLUMNS];
	SthObjectWriter *writer = sth_object_begin(&test_memory, &sink, block_size);
	Bytes		frame = read_vector("types-frame");
	SthSegment	segment;
	SthFault	fault;

	for (int i = 0; i < TYPES_COLUMNS; i++)
	{
		columns[i].column = topic.columns[i].column;
		columns[i].dropped = 0;
	}
	memset(&segment, 0, sizeof(segment));
	segment.log_id = 1;
	segment.npartitions = 1;
	sth_object_begin_segment(writer, &segment, columns, TYPES_COLUMNS, compression, &fault);
	sth_object_add_frame(writer, frame.data, frame.len, TYPES_ROWS, 0, 0, &fault);
	free(frame.data);
	return end_vector(writer, TYPES_ROWS, &topic, &bytes);
}

#endif							/* VECTOR_H */
