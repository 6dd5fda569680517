/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Reading the segments of a log.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_READER_H
#define STH_SEGMENT_READER_H

#include "catalog/segments.h"
#include "catalog/topic.h"
#include "codec/block_reader.h"

typedef struct SthSegmentReader SthSegmentReader;

/* What has been read, for EXPLAIN. */
typedef struct SthSegmentStats
{
	uint64		segments;
	uint64		blocks;			/* whose rows were returned */
	uint64		blocks_decoded;
	uint64		bytes;			/* fetched */
} SthSegmentStats;

extern SthSegmentReader *sth_segment_reader_begin(Relation rel,
												  const SthTopic *topic,
												  Snapshot snapshot,
												  const bool *wanted,
												  bool want_times);
extern void sth_segment_reader_check_all(SthSegmentReader *reader);
extern void sth_segment_reader_expect_all(SthSegmentReader *reader);
extern void sth_segment_reader_keep(SthSegmentReader *reader);
extern void sth_segment_reader_seek(SthSegmentReader *reader, int partition,
									int64 from);
extern bool sth_segment_reader_next(SthSegmentReader *reader, int64 *offset,
									int64 *end_offset);
extern const SthBatch *sth_segment_reader_rows(SthSegmentReader *reader);
extern int64 sth_segment_reader_position(const SthSegmentReader *reader);
extern int64 sth_segment_reader_end_offset(const SthSegmentReader *reader);
extern const SthSegmentStats *sth_segment_reader_stats(const SthSegmentReader *reader);
extern void sth_segment_reader_end(SthSegmentReader *reader);

#endif							/* STH_SEGMENT_READER_H */
