/*-------------------------------------------------------------------------
 *
 * object_writer.h
 *	  Frames to objects.
 *
 * A flusher makes an object like this:
 *
 *		writer = sth_object_begin(memory, sink, block size)
 *		per log that is due:
 *			sth_object_begin_segment(writer, segment, columns, n, compression)
 *			per frame of its tail, in order:
 *				sth_object_add_frame(writer, frame, len, nrows, offset, skip)
 *				(until sth_object_length or segment->nrows is large enough)
 *			sth_object_end_segment(writer, end offset)
 *		sth_object_end(writer, who we are, topics)
 *		sth_object_segment, sth_object_index		for the catalog
 *		sth_object_free(writer)
 *
 * The bytes leave through the sink, a block at a time and in order, so the
 * writer holds one block, and 48 bytes of index for each that it has written.
 * Frames of parts are put together before, markers resolved: what comes here
 * are frames of rows, and gaps between their offsets are voids.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_OBJECT_WRITER_H
#define STH_CODEC_OBJECT_WRITER_H

#include "codec/block_writer.h"
#include "codec/footer.h"

/* Takes the object's next bytes; returns 0 if it could not. */
typedef struct SthSink
{
	int			(*write) (void *context, const uint8_t *data, size_t len);
	void	   *context;
} SthSink;

typedef struct SthObjectWriter SthObjectWriter;

extern SthObjectWriter *sth_object_begin(const SthMemory *memory,
										 const SthSink *sink,
										 size_t block_size);
extern void sth_object_free(SthObjectWriter *writer);

extern SthCodecResult sth_object_begin_segment(SthObjectWriter *writer,
											   const SthSegment *segment,
											   const SthSourceColumn *columns,
											   int ncolumns,
											   SthCompression compression,
											   SthFault *fault);
extern SthCodecResult sth_object_add_frame(SthObjectWriter *writer,
										   const uint8_t *frame, size_t len,
										   int nrows, int64_t offset, int skip,
										   SthFault *fault);
extern SthCodecResult sth_object_end_segment(SthObjectWriter *writer,
											 int64_t end_offset,
											 SthFault *fault);
extern SthCodecResult sth_object_end(SthObjectWriter *writer,
									 const SthObjectInfo *info,
									 const SthTopicInfo *topics,
									 uint32_t ntopics, SthFault *fault);

extern uint64_t sth_object_length(const SthObjectWriter *writer);
extern const SthSegment *sth_object_segment(const SthObjectWriter *writer,
											uint32_t i);
extern const uint8_t *sth_object_index(const SthObjectWriter *writer);

#endif							/* STH_CODEC_OBJECT_WRITER_H */
