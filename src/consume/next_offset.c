/*-------------------------------------------------------------------------
 *
 * next_offset.c
 *	  next_offset(), stable_offset(), unflushed(): of a log, for the views.
 *
 * Views show what was there when their snapshot was taken, and a topic may be
 * gone since, or locked for long.  So no lock is taken, and nothing is an
 * error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "fmgr.h"
#include "log/gaps.h"
#include "log/log.h"
#include "log/unflushed.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(sth_next_offset);
PG_FUNCTION_INFO_V1(sth_stable_offset);
PG_FUNCTION_INFO_V1(sth_unflushed);

/* One int4 or oid column of the row of a table that a key finds; 0: none. */
static int32
look_up(Oid relid, Oid index, int attnum, int32 key, Snapshot snapshot,
		int32 (*column) (HeapTuple))
{
	SthCatalogScan *scan = sth_catalog_begin(relid, index, AccessShareLock,
											 snapshot, attnum,
											 Int32GetDatum(key), INT4OID);
	HeapTuple	tuple = sth_catalog_next(scan);
	int32		value = tuple != NULL ? column(tuple) : 0;

	sth_catalog_end(scan);
	return value;
}

static int32
topic_of_log(HeapTuple tuple)
{
	return ((FormData_sth_log *) GETSTRUCT(tuple))->topic_id;
}

static int32
table_of_topic(HeapTuple tuple)
{
	return (int32) ((FormData_sth_topic *) GETSTRUCT(tuple))->relid;
}

/* May the user know of the topic that a log belongs to? */
static bool
log_is_visible(int32 log_id)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	int32		topic_id;
	Oid			relid = InvalidOid;

	topic_id = look_up(relations->log, relations->log_pkey,
					   Anum_sth_log_log_id, log_id, snapshot, topic_of_log);
	if (topic_id != 0)
		relid = (Oid) look_up(relations->topic, relations->topic_pkey,
							  Anum_sth_topic_topic_id, topic_id, snapshot,
							  table_of_topic);
	UnregisterSnapshot(snapshot);
	return OidIsValid(relid) && sth_topic_is_visible(relid);
}

/* next_offset(log_id int): NULL for who may not know of it */
Datum
sth_next_offset(PG_FUNCTION_ARGS)
{
	int32		log_id = PG_GETARG_INT32(0);

	if (!log_is_visible(log_id))
		PG_RETURN_NULL();
	PG_RETURN_INT64(sth_log_next_offset(log_id));
}

/* stable_offset(log_id int): likewise */
Datum
sth_stable_offset(PG_FUNCTION_ARGS)
{
	int32		log_id = PG_GETARG_INT32(0);

	if (!log_is_visible(log_id))
		PG_RETURN_NULL();
	PG_RETURN_INT64(sth_log_stable_offset(log_id));
}

/* unflushed(log_id int): since when rows wait in the tail; NULL also: none do */
Datum
sth_unflushed(PG_FUNCTION_ARGS)
{
	int32		log_id = PG_GETARG_INT32(0);
	TimestampTz since;

	if (!log_is_visible(log_id))
		PG_RETURN_NULL();
	since = sth_unflushed_since(sth_relations()->tail, log_id);
	if (since == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(since);
}
