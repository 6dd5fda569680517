/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Reading the rows of a log: the one way in which rows are read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_READER_H
#define STH_LOG_READER_H

#include "catalog/topic.h"
#include "nodes/bitmapset.h"
#include "segment/reader.h"
#include "utils/snapshot.h"

typedef struct SthReader SthReader;

typedef enum SthReadOrder
{
	STH_READ_VISIBLE,			/* all rows that the snapshot shows */
	STH_READ_ORDERED			/* stop where a row may still appear */
} SthReadOrder;

/* What has been read of the tail, for EXPLAIN. */
typedef struct SthReadStats
{
	uint64		frames;
	uint64		frame_bytes;	/* as stored */
	uint64		frames_decoded;
} SthReadStats;

extern SthReader *sth_reader_begin(Relation rel, const SthTopic *topic,
								   Snapshot snapshot, SthReadOrder order,
								   const Bitmapset *attnums);
extern void sth_reader_check_all(SthReader *reader);
extern void sth_reader_expect_all(SthReader *reader);
extern void sth_reader_keep_blocks(SthReader *reader);
extern void sth_reader_seek(SthReader *reader, int partition, int64 from);
extern bool sth_reader_next(SthReader *reader, Datum *values, bool *isnull);
extern int64 sth_reader_position(const SthReader *reader);
extern int64 sth_reader_frame_end(const SthReader *reader);
extern Size sth_reader_row_size(const SthReader *reader);
extern const SthReadStats *sth_reader_stats(const SthReader *reader);
extern const SthSegmentStats *sth_reader_segment_stats(const SthReader *reader);
extern void sth_reader_end(SthReader *reader);

#endif							/* STH_LOG_READER_H */
