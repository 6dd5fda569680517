/*-------------------------------------------------------------------------
 *
 * topic.h
 *	  Topics: what the extension knows of a foreign table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CATALOG_TOPIC_H
#define STH_CATALOG_TOPIC_H

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "codec/compress.h"
#include "codec/frame.h"
#include "codec/row.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* A column whose values are stored. */
typedef struct SthColumn
{
	AttrNumber	attnum;
	Oid			type;
	int32		typmod;
	SthLayout	layout;
	bool		is_domain;
} SthColumn;

/* A topic; one chunk of memory. */
typedef struct SthTopic
{
	Size		size;			/* of the chunk */
	Oid			relid;
	int32		topic_id;
	AttrNumber	partition_attnum;	/* columns that the log assigns, or 0 */
	AttrNumber	offset_attnum;
	AttrNumber	time_attnum;
	AttrNumber	key_attnum;		/* column that routes a row, or 0 */
	Oid			key_type;		/* domains resolved */
	int			npartitions;
	int			segment_size;	/* options of segments, see options.h */
	int			flush_interval;
	SthCompression compression;
	Oid			server;
	int32	   *log_ids;		/* by partition */
	int			ncolumns;
	SthColumn  *columns;		/* stored columns, by attnum */
	SthFrameColumn *frame_columns;	/* as frames describe them */
	int			nholders;		/* see sth_topic_hold */
	bool		is_cached;		/* of one that is held: it has not changed */
} SthTopic;

/* The columns that the log assigns. */
typedef enum SthAssigned
{
	STH_NOT_ASSIGNED,
	STH_ASSIGNED_PARTITION,
	STH_ASSIGNED_OFFSET,
	STH_ASSIGNED_TIME
} SthAssigned;

extern void sth_topic_init(void);
extern bool sth_is_topic(Oid relid);
extern bool sth_topic_exists(Oid relid);
extern SthTopic *sth_topic_get(Relation rel);
extern SthTopic *sth_topic_hold(Relation rel);
extern void sth_topic_release(SthTopic *topic);
extern bool sth_topic_columns_equal(const SthTopic *a, const SthTopic *b);
extern Relation sth_topic_open(Oid relid, LOCKMODE lockmode);
extern bool sth_topic_is_visible(Oid relid);
extern Relation sth_topic_open_visible(Oid relid);
extern Relation sth_topic_open_owned(Oid relid);
extern void sth_topic_check_partition(const SthTopic *topic, const char *name,
									  int partition);
extern SthAssigned sth_assigned_column(const char *name);
extern SthLayout sth_attribute_layout(Form_pg_attribute att);
extern Oid	sth_topic_relid(int32 topic_id);
extern Oid	sth_log_relid(int32 log_id, int32 *topic, int *partition);
extern int64 sth_log_start_offset(int32 log_id, Snapshot snapshot);

#endif							/* STH_CATALOG_TOPIC_H */
