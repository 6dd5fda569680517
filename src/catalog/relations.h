/*-------------------------------------------------------------------------
 *
 * relations.h
 *	  The extension's own tables: where they are and how their rows look.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CATALOG_RELATIONS_H
#define STH_CATALOG_RELATIONS_H

#include "access/htup.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#define STH_SCHEMA "streamhouse"

/* OIDs of the objects that C code uses. */
typedef struct SthRelations
{
	Oid			schema;
	Oid			wrapper_handler;	/* streamhouse.fdw_handler() */
	Oid			topic;
	Oid			topic_pkey;
	Oid			topic_relid_idx;
	Oid			topic_id_seq;
	Oid			log;
	Oid			log_pkey;
	Oid			log_topic_idx;
	Oid			log_id_seq;
	Oid			tail;
	Oid			tail_idx;
	Oid			stage_id_seq;
	Oid			object;
	Oid			object_pkey;
	Oid			object_id_seq;
	Oid			object_data;
	Oid			object_data_pkey;
	Oid			segment;
	Oid			segment_pkey;
	Oid			segment_object_idx;
	Oid			consumer_group;
	Oid			consumer_group_pkey;
	Oid			consumer_group_name_idx;
	Oid			group_id_seq;
	Oid			position;
	Oid			position_idx;
} SthRelations;

/* Columns of streamhouse.topic */
typedef struct FormData_sth_topic
{
	int32		topic_id;
	Oid			relid;
	int16		key_attnum;
	NameData	key_name;
	/* bytea columns follows */
} FormData_sth_topic;

#define Natts_sth_topic 5
#define Anum_sth_topic_topic_id 1
#define Anum_sth_topic_relid 2
#define Anum_sth_topic_key_attnum 3
#define Anum_sth_topic_key_name 4
#define Anum_sth_topic_columns 5

/* Columns of streamhouse.log */
typedef struct FormData_sth_log
{
	int32		log_id;
	int32		topic_id;
	int32		partition;
	int64		start_offset;
} FormData_sth_log;

#define Natts_sth_log 4
#define Anum_sth_log_log_id 1
#define Anum_sth_log_topic_id 2
#define Anum_sth_log_partition 3
#define Anum_sth_log_start_offset 4

/* Columns of streamhouse.consumer_group */
typedef struct FormData_sth_group
{
	int32		group_id;
	int32		topic_id;
	Oid			owner;
	/* text name follows */
} FormData_sth_group;

#define Natts_sth_group 4
#define Anum_sth_group_group_id 1
#define Anum_sth_group_topic_id 2
#define Anum_sth_group_owner 3
#define Anum_sth_group_name 4

/* Columns of streamhouse.position */
typedef struct FormData_sth_position
{
	int32		group_id;
	int32		log_id;
	int64		seq;
	int64		next_offset;
} FormData_sth_position;

#define Natts_sth_position 4
#define Anum_sth_position_group_id 1
#define Anum_sth_position_log_id 2
#define Anum_sth_position_seq 3
#define Anum_sth_position_next_offset 4

extern const SthRelations *sth_relations(void);
extern const SthRelations *sth_relations_if_exist(void);
extern void sth_relations_init(void);
extern Snapshot sth_fresh_snapshot(void);

/* Rows of an internal table by the leading columns of an index. */
typedef struct SthCatalogScan SthCatalogScan;

extern SthCatalogScan *sth_catalog_begin(Oid relid, Oid index, LOCKMODE lockmode,
										 Snapshot snapshot,
										 int attnum, Datum value, Oid type);
extern HeapTuple sth_catalog_next(SthCatalogScan *scan);
extern Relation sth_catalog_relation(SthCatalogScan *scan);
extern void sth_catalog_end(SthCatalogScan *scan);

#endif							/* STH_CATALOG_RELATIONS_H */
