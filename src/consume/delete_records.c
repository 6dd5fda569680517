/*-------------------------------------------------------------------------
 *
 * delete_records.c
 *	  delete_records(): a partition begins later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "catalog/topic.h"
#include "fmgr.h"
#include "log/gaps.h"
#include "log/owner.h"
#include "log/start.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(sth_delete_records);

/* Who may TRUNCATE a topic may delete from it. */
static Relation
open_topic(Oid relid)
{
	if (get_rel_name(relid) != NULL &&
		pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	return sth_topic_open(relid, STH_LOG_LOCKMODE);
}

/* delete_records(topic, partition, before_offset) */
Datum
sth_delete_records(PG_FUNCTION_ARGS)
{
	Relation	rel;
	SthTopic   *topic;
	int			partition;
	int64		before;
	int64		stable;
	int64		start;

	sth_require_argument(fcinfo, 0, "topic");
	sth_require_argument(fcinfo, 1, "partition");
	sth_require_argument(fcinfo, 2, "before_offset");
	PreventCommandDuringRecovery("delete_records()");
	PreventCommandIfReadOnly("delete_records()");
	PreventCommandIfParallelMode("delete_records()");
	partition = PG_GETARG_INT32(1);
	before = PG_GETARG_INT64(2);
	rel = open_topic(PG_GETARG_OID(0));
	topic = sth_topic_get(rel);
	sth_topic_check_partition(topic, RelationGetRelationName(rel), partition);
	/* a row that is being committed must not come to lie below the start */
	stable = sth_log_stable_offset(topic->log_ids[partition]);
	if (before > stable)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset %lld is beyond the end of partition %d of topic \"%s\"",
						(long long) before, partition,
						RelationGetRelationName(rel)),
				 errdetail("Rows are committed, and can be deleted, below offset %lld.",
						   (long long) stable)));
	start = sth_log_move_start(topic->log_ids[partition], before);
	/* the lock stays until the transaction ends */
	relation_close(rel, NoLock);
	PG_RETURN_INT64(start);
}
