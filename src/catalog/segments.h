/*-------------------------------------------------------------------------
 *
 * segments.h
 *	  What streamhouse.segment says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CATALOG_SEGMENTS_H
#define STH_CATALOG_SEGMENTS_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"

/* Columns of streamhouse.segment */
typedef struct FormData_sth_segment
{
	int32		log_id;
	int32		generation;
	int64		base_offset;
	int64		end_offset;
	int64		record_count;
	TimestampTz min_time;
	TimestampTz max_time;
	int64		object_id;
	int64		position;
	int64		length;
	/* bytea block_index follows */
} FormData_sth_segment;

#define Natts_sth_segment 11
#define Anum_sth_segment_log_id 1
#define Anum_sth_segment_generation 2
#define Anum_sth_segment_base_offset 3
#define Anum_sth_segment_end_offset 4
#define Anum_sth_segment_record_count 5
#define Anum_sth_segment_min_time 6
#define Anum_sth_segment_max_time 7
#define Anum_sth_segment_object_id 8
#define Anum_sth_segment_position 9
#define Anum_sth_segment_length 10
#define Anum_sth_segment_block_index 11

typedef struct SthSegmentScan SthSegmentScan;

extern SthSegmentScan *sth_segments_begin(Snapshot snapshot);
extern void sth_segments_seek(SthSegmentScan *scan, int32 log_id, int64 from);
extern bool sth_segments_next(SthSegmentScan *scan,
							  FormData_sth_segment *segment);
extern struct varlena *sth_segments_index(SthSegmentScan *scan);
extern void sth_segments_end(SthSegmentScan *scan);

extern int64 sth_segments_log_end(int32 log_id, Snapshot snapshot);
extern void sth_segment_insert(const FormData_sth_segment *segment,
							   const void *index, Size index_len);
extern List *sth_segments_delete(int32 log_id, int64 until);
extern bool sth_segments_use(int64 object_id, Snapshot snapshot);

#endif							/* STH_CATALOG_SEGMENTS_H */
