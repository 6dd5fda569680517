/*-------------------------------------------------------------------------
 *
 * writer.h
 *	  Writing an object with segments of logs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_WRITER_H
#define STH_SEGMENT_WRITER_H

#include "catalog/topic.h"
#include "codec/footer.h"
#include "store/store.h"

typedef struct SthSegmentWriter SthSegmentWriter;

extern SthSegmentWriter *sth_segment_writer_begin(Oid server);
extern int	sth_segment_writer_begin_log(SthSegmentWriter *writer, Relation rel,
										 const SthTopic *topic, int partition,
										 int64 base_offset, int64 start_offset);
extern void sth_segment_writer_add(SthSegmentWriter *writer,
								   const uint8 *frame, Size len, int nrows,
								   int64 offset, int skip);
extern void sth_segment_writer_end_log(SthSegmentWriter *writer,
									   int64 end_offset);
extern void sth_segment_writer_finish(SthSegmentWriter *writer);
extern void sth_segment_writer_register_object(SthSegmentWriter *writer);
extern void sth_segment_writer_register(SthSegmentWriter *writer, int segment);
extern SthPut *sth_segment_writer_put(SthSegmentWriter *writer);
extern int64 sth_segment_writer_object_id(const SthSegmentWriter *writer);
extern int64 sth_segment_writer_size(const SthSegmentWriter *writer);
extern const SthSegment *sth_segment_writer_segment(SthSegmentWriter *writer,
													uint32 n);
extern void sth_segment_writer_end(SthSegmentWriter *writer);

#endif							/* STH_SEGMENT_WRITER_H */
