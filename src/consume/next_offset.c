/*-------------------------------------------------------------------------
 *
 * next_offset.c
 *	  next_offset(), stable_offset(), unflushed(), tail_bytes(): of a log, for
 *	  the views.
 *
 * Views show what was there when their snapshot was taken, and a topic may be
 * gone since, or locked for long.  So no lock is taken, and nothing is an
 * error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/relations.h"
#include "catalog/topic.h"
#include "fmgr.h"
#include "log/gaps.h"
#include "log/log.h"
#include "log/tail_size.h"
#include "log/unflushed.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sth_next_offset);
PG_FUNCTION_INFO_V1(sth_stable_offset);
PG_FUNCTION_INFO_V1(sth_unflushed);
PG_FUNCTION_INFO_V1(sth_tail_bytes);

/* May the user know of the topic that a log belongs to? */
static bool
log_is_visible(int32 log_id)
{
	Oid			relid = sth_log_relid(log_id, NULL, NULL);

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

/* tail_bytes(log_id int): what waits in the tail; NULL also: it is not known */
Datum
sth_tail_bytes(PG_FUNCTION_ARGS)
{
	int32		log_id = PG_GETARG_INT32(0);
	int64		size;

	if (!log_is_visible(log_id))
		PG_RETURN_NULL();
	size = sth_tail_size_of_log(sth_relations()->tail, log_id);
	if (size < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(size);
}
