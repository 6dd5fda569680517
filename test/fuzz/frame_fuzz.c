/*
 * Frames: two bytes of how many rows the tail counts, and the frame; read as
 * a scan reads it, and spread into columns as the flusher does.  Columns of
 * types that the topic "types" has lie as there, others are text.
 */
#include "fuzz.h"

static SthLayout
layout_of(uint32_t type)
{
	static const SthLayout varlena = {-1, 4, 0, 1};
	SthTopicInfo topic = types_topic();

	for (uint32_t i = 0; i < topic.ncolumns; i++)
		if (topic.columns[i].column.type == type)
			return topic.columns[i].column.layout;
	return varlena;
}

static void
read_rows(const SthFrame *frame, const SthFrameColumn *columns)
{
	static SthLayout layouts[STH_FRAME_MAX_COLUMNS];
	uint8_t    *body = malloc(frame->raw_len + 1);
	SthFrameCursor cursor;
	SthFrameRow row;

	for (int c = 0; c < frame->ncolumns; c++)
		layouts[c] = layout_of(columns[c].type);
	if (sth_frame_body(frame, body, frame->raw_len) == STH_FRAME_OK &&
		sth_frame_open(frame, body, &cursor) == STH_FRAME_OK)
		while (sth_frame_next(&cursor, &row) == STH_FRAME_OK)
		{
			const uint8_t *p = row.values;

			for (int c = 0; c < frame->ncolumns && p != NULL; c++)
			{
				uintptr_t	value;

				if (!sth_frame_has(&row, c))
					continue;
				p = sth_row_fetch(&layouts[c], row.values, p, row.end, &value);
				if (p != NULL)
					touch_value(&layouts[c], value);
			}
		}
	free(body);
}

static void
spread_rows(const uint8_t *frame, size_t size, int nrows)
{
	Bytes		bytes = {NULL, 0, 0};
	SthSink		sink = {take_bytes, &bytes};
	SthTopicInfo topic = types_topic();
	SthSourceColumn columns[TYPES_COLUMNS];
	SthObjectWriter *writer = sth_object_begin(&fuzz_memory, &sink, 1000);
	SthSegment	segment;
	SthFault	fault;

	memset(&segment, 0, sizeof(segment));
	for (int i = 0; i < TYPES_COLUMNS; i++)
	{
		columns[i].column = topic.columns[i].column;
		columns[i].dropped = i % 7 == 0;
	}
	sth_object_begin_segment(writer, &segment, columns, TYPES_COLUMNS, STH_COMPRESSION_LZ4, &fault);
	if (sth_object_add_frame(writer, frame, size, nrows, 0, 0, &fault) == STH_CODEC_OK)
	{
		bytes = end_vector(writer, nrows, &topic, &bytes);
		/* what was taken can be read again */
		if (bytes.len > 0 && verify_object(bytes.data, bytes.len, &fault) != STH_CODEC_OK)
			abort();
	}
	else
		sth_object_free(writer);
	free(bytes.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static SthFrameColumn columns[STH_FRAME_MAX_COLUMNS];
	SthFrame	frame;
	SthFrameKind kind;
	int64_t		span;
	uint8_t    *copy;
	int			nrows;

	if (size < 2)
		return 0;
	nrows = sth_get_u16(data);
	size -= 2;
	copy = copy_of(data + 2, size);
	(void) sth_frame_span(copy, size, nrows, &kind, &span);
	if (sth_frame_parse(copy, size, nrows, &frame) == STH_FRAME_OK &&
		frame.kind == STH_FRAME_PART)
		touch(frame.body, frame.body_len);
	else if (sth_frame_parse(copy, size, nrows, &frame) == STH_FRAME_OK &&
			 frame.kind == STH_FRAME_ROWS && frame.raw_len < FUZZ_MEMORY &&
			 sth_frame_columns(&frame, columns) == STH_FRAME_OK)
		read_rows(&frame, columns);
	spread_rows(copy, size, nrows);
	free(copy);
	return 0;
}
