/*-------------------------------------------------------------------------
 *
 * object_writer.c
 *	  Frames to objects.
 *
 * Failure: after any error the object is lost, and what the sink has got of
 * it is without a trailer, so that nobody takes it for an object.
 *
 * Memory: the rows of one block, the decompressed body of one frame, the
 * index so far.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/object_writer.h"

struct SthObjectWriter
{
	SthMemory	memory;
	SthSink		sink;
	uint64_t	len;			/* handed to the sink */
	SthBuffer	segments;		/* an array of SthSegment */
	uint32_t	nsegments;
	SthBuffer	index;
	uint32_t	nblocks;
	SthBuffer	frame;			/* the body of the current one */
	SthBlockWriter *block;

	/* the segment that is open */
	SthSegment	segment;
	SthCompression compression;
	int64_t		next_offset;	/* after its last row */
};

/* Returns NULL if there is no memory. */
SthObjectWriter *
sth_object_begin(const SthMemory *memory, const SthSink *sink, size_t block_size)
{
	SthObjectWriter *writer = sth_allocate_zeroed(memory, sizeof(*writer));

	if (writer == NULL)
		return NULL;
	writer->memory = *memory;
	writer->sink = *sink;
	writer->block = sth_block_writer_create(memory, block_size);
	if (writer->block == NULL)
	{
		sth_release(memory, writer);
		return NULL;
	}
	return writer;
}

void
sth_object_free(SthObjectWriter *writer)
{
	SthMemory	memory = writer->memory;

	sth_block_writer_free(writer->block);
	sth_buffer_free(&memory, &writer->segments);
	sth_buffer_free(&memory, &writer->index);
	sth_buffer_free(&memory, &writer->frame);
	sth_release(&memory, writer);
}

static SthCodecResult
hand_over(SthObjectWriter *writer, const uint8_t *data, size_t len,
		  SthFault *fault)
{
	if (!writer->sink.write(writer->sink.context, data, len))
		return sth_fault(fault, STH_CODEC_NOT_WRITTEN,
						 "the object could not be written", writer->len);
	writer->len += len;
	return STH_CODEC_OK;
}

/*
 * Begins a segment.  *segment says of which topic and log it is, where its
 * range begins, and how its rows were routed; the rest is found out.
 */
SthCodecResult
sth_object_begin_segment(SthObjectWriter *writer, const SthSegment *segment,
						 const SthSourceColumn *columns, int ncolumns,
						 SthCompression compression, SthFault *fault)
{
	writer->segment = *segment;
	writer->segment.nrows = 0;
	writer->segment.position = writer->len;
	writer->segment.len = 0;
	writer->segment.min_time = INT64_MAX;
	writer->segment.max_time = INT64_MIN;
	writer->segment.first_block = writer->nblocks;
	writer->segment.nblocks = 0;
	writer->compression = compression;
	writer->next_offset = segment->base_offset;
	return sth_block_writer_set_columns(writer->block, columns, ncolumns, fault);
}

/* Writes the block of the rows collected, if there are any. */
static SthCodecResult
finish_block(SthObjectWriter *writer, SthFault *fault)
{
	SthSegment *segment = &writer->segment;
	SthIndexEntry entry;
	SthBlock	block;
	uint8_t		encoded[STH_INDEX_ENTRY_LEN];
	uint32_t	nrows = sth_block_writer_rows(writer->block);

	if (nrows == 0)
		return STH_CODEC_OK;
	block.position = writer->len;
	block.log_id = segment->log_id;
	block.epoch = segment->epoch;
	block.base_offset = writer->next_offset - (int64_t) nrows;
	if (sth_block_writer_finish(writer->block, writer->compression, &block,
								fault) != STH_CODEC_OK)
		return fault->result;
	entry.position = block.position;
	entry.base_offset = block.base_offset;
	entry.min_time = block.min_time;
	entry.max_time = block.max_time;
	entry.len = block.len;
	entry.nrows = block.nrows;
	entry.header_len = block.header_len;
	entry.header_crc = block.header_crc;
	sth_index_put(&entry, encoded);
	if (!sth_buffer_append(&writer->memory, &writer->index, encoded, sizeof(encoded)))
		return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for the index", writer->len);
	writer->nblocks++;
	segment->nblocks++;
	segment->nrows += nrows;
	segment->len += block.len;
	if (block.min_time < segment->min_time)
		segment->min_time = block.min_time;
	if (block.max_time > segment->max_time)
		segment->max_time = block.max_time;
	return hand_over(writer, block.data, block.len, fault);
}

/* Takes a frame apart: its columns to the block writer, a cursor on its rows. */
static SthCodecResult
open_frame(SthObjectWriter *writer, const uint8_t *bytes, size_t len,
		   int nrows, SthFrameCursor *cursor, SthFault *fault)
{
	SthFrame	frame;
	SthFrameResult result = sth_frame_parse(bytes, len, nrows, &frame);

	if (result == STH_FRAME_UNKNOWN)
		return sth_fault(fault, STH_CODEC_UNSUPPORTED, "a frame of a later version", 0);
	if (result != STH_FRAME_OK || frame.raw_len > STH_CHUNK_MAX)
		return sth_fault(fault, STH_CODEC_DAMAGED, "a frame is not well-formed", 0);
	if (frame.kind != STH_FRAME_ROWS)
		return sth_fault(fault, STH_CODEC_MISMATCH, "a frame has no rows", 0);
	if (frame.routed)
		writer->segment.flags |= STH_SEGMENT_ROUTED;
	if (sth_block_writer_take_frame(writer->block, &frame, fault) != STH_CODEC_OK)
		return fault->result;
	/* a frame of NULLs has no bytes, but a place where they would be */
	if (!sth_buffer_reset(&writer->memory, &writer->frame, frame.raw_len + 1))
		return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a frame", 0);
	if (sth_frame_body(&frame, writer->frame.data, writer->frame.size) != STH_FRAME_OK ||
		sth_frame_open(&frame, writer->frame.data, cursor) != STH_FRAME_OK)
		return sth_fault(fault, STH_CODEC_DAMAGED, "a frame is not well-formed", 0);
	return STH_CODEC_OK;
}

/*
 * Adds the rows of a frame whose first one has this offset, without the first
 * 'skip' of them.  Offsets between the row before and this one are void.
 */
SthCodecResult
sth_object_add_frame(SthObjectWriter *writer, const uint8_t *frame, size_t len,
					 int nrows, int64_t offset, int skip, SthFault *fault)
{
	SthFrameCursor cursor;
	SthFrameRow row;
	int			i;

	if (skip >= nrows)
		return STH_CODEC_OK;
	if (offset < 0 || offset > INT64_MAX - STH_BLOCK_MAX_ROWS - nrows ||
		offset + skip < writer->next_offset)
		return sth_fault(fault, STH_CODEC_DAMAGED, "frames overlap", 0);
	if (offset + skip > writer->next_offset)
	{
		/* a block never spans a void */
		if (finish_block(writer, fault) != STH_CODEC_OK)
			return fault->result;
		writer->next_offset = offset + skip;
	}
	if (open_frame(writer, frame, len, nrows, &cursor, fault) != STH_CODEC_OK)
		return fault->result;
	for (i = 0; i < nrows; i++)
	{
		if (sth_frame_next(&cursor, &row) != STH_FRAME_OK)
			return sth_fault(fault, STH_CODEC_DAMAGED, "a frame is not well-formed", 0);
		if (i < skip)
			continue;
		if (sth_block_writer_is_full(writer->block, &row) &&
			finish_block(writer, fault) != STH_CODEC_OK)
			return fault->result;
		if (sth_block_writer_add(writer->block, &row, fault) != STH_CODEC_OK)
			return fault->result;
		writer->next_offset++;
	}
	return STH_CODEC_OK;
}

/* Ends the segment's range; offsets after its last row are void. */
SthCodecResult
sth_object_end_segment(SthObjectWriter *writer, int64_t end_offset,
					   SthFault *fault)
{
	if (end_offset < writer->next_offset)
		return sth_fault(fault, STH_CODEC_MISMATCH,
						 "a segment has rows beyond its end", writer->len);
	if (finish_block(writer, fault) != STH_CODEC_OK)
		return fault->result;
	writer->segment.end_offset = end_offset;
	if (!sth_buffer_append(&writer->memory, &writer->segments,
						   &writer->segment, sizeof(SthSegment)))
		return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for a segment", writer->len);
	writer->nsegments++;
	return STH_CODEC_OK;
}

/* Writes footer and trailer. */
SthCodecResult
sth_object_end(SthObjectWriter *writer, const SthObjectInfo *info,
			   const SthTopicInfo *topics, uint32_t ntopics, SthFault *fault)
{
	SthFooterParts parts;
	SthBuffer	footer = {NULL, 0, 0};
	SthCodecResult result;
	uint32_t	i;

	parts.info = *info;
	parts.topics = topics;
	parts.ntopics = ntopics;
	parts.segments = (const SthSegment *) (void *) writer->segments.data;
	parts.nsegments = writer->nsegments;
	parts.index = writer->index.data;
	parts.nblocks = writer->nblocks;
	for (i = 0; i < parts.nsegments; i++)
		if (parts.segments[i].topic >= ntopics)
			return sth_fault(fault, STH_CODEC_MISMATCH,
							 "a segment is of no topic", writer->len);
	result = sth_footer_append(&parts, writer->len, &writer->memory, &footer, fault);
	if (result == STH_CODEC_OK)
		result = hand_over(writer, footer.data, footer.len, fault);
	sth_buffer_free(&writer->memory, &footer);
	return result;
}

/* Bytes of the object so far, without the block that is being filled. */
uint64_t
sth_object_length(const SthObjectWriter *writer)
{
	return writer->len;
}

/* Segment i, in the order in which they were ended. */
const SthSegment *
sth_object_segment(const SthObjectWriter *writer, uint32_t i)
{
	return (const SthSegment *) (void *) writer->segments.data + i;
}

/* The index entries of all blocks, as the footer has them. */
const uint8_t *
sth_object_index(const SthObjectWriter *writer)
{
	return writer->index.data;
}
