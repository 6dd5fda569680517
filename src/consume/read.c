/*-------------------------------------------------------------------------
 *
 * read.c
 *	  read(): rows of one partition in order, without a consumer group.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xlog.h"
#include "base/compat.h"
#include "catalog/pg_type.h"
#include "catalog/topic.h"
#include "funcapi.h"
#include "log/log.h"
#include "log/reader.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(sth_read);

/* Limits of one call, and how much of them is left. */
typedef struct Limits
{
	int			records;
	int64		bytes;
} Limits;

static int64
get_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	return n == 2 ? PG_GETARG_INT64(n) : PG_GETARG_INT32(n);
}

static int64
get_positive_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	int64		value = get_argument(fcinfo, n, name);

	if (value <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be positive", name)));
	return value;
}

/* The table whose row type the first argument has. */
static Oid
get_topic_argument(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid			relid = OidIsValid(type) ? get_typ_typrelid(type) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the topic must be given as a null value of its row type"),
				 errhint("Write NULL::name_of_the_topic.")));
	return relid;
}

/* SELECT on the whole table, or on each of its columns. */
static void
check_privileges(Oid relid)
{
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT,
								  ACLMASK_ALL) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

static void
check_position(Relation rel, const SthTopic *topic, int partition,
			   int64 from, Snapshot snapshot)
{
	int64		start;

	sth_topic_check_partition(topic, RelationGetRelationName(rel), partition);
	start = sth_log_start_offset(topic->log_ids[partition], snapshot);
	if (from < start)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset %lld is before the start of partition %d of topic \"%s\"",
						(long long) from, partition,
						RelationGetRelationName(rel)),
				 errdetail("The partition starts at offset %lld.",
						   (long long) start)));
}

/*
 * Raises an error if an offset is one that no row has been given yet.  The
 * next row's is fine; a standby cannot know.
 */
static void
check_end(Relation rel, const SthTopic *topic, int partition, int64 from)
{
	int64		next;

	if (RecoveryInProgress())
		return;
	next = sth_log_next_offset(topic->log_ids[partition]);
	if (from > next)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset %lld is beyond the end of partition %d of topic \"%s\"",
						(long long) from, partition,
						RelationGetRelationName(rel)),
				 errdetail("The next row's offset is %lld.", (long long) next)));
}

/* Returns rows up to the limits; false if there was none. */
static bool
emit_rows(SthReader *reader, ReturnSetInfo *rsinfo, int natts, Limits limits)
{
	bool		any = false;
	Datum	   *values = palloc0(natts * sizeof(Datum));
	bool	   *isnull = palloc(natts * sizeof(bool));

	while (limits.records-- > 0 && sth_reader_next(reader, values, isnull))
	{
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 isnull);
		any = true;
		limits.bytes -= sth_reader_row_size(reader);
		if (limits.bytes <= 0)
			break;
	}
	return any;
}

/* read(topic, partition, from_offset, max_records, max_bytes) */
Datum
sth_read(PG_FUNCTION_ARGS)
{
	Oid			relid = get_topic_argument(fcinfo);
	int			partition = get_argument(fcinfo, 1, "partition");
	int64		from = get_argument(fcinfo, 2, "from_offset");
	Limits		limits;
	Relation	rel;
	SthTopic   *topic;
	Bitmapset  *columns = NULL;
	Snapshot	snapshot = GetActiveSnapshot();
	SthReader  *reader;

	limits.records = get_positive_argument(fcinfo, 3, "max_records");
	limits.bytes = get_positive_argument(fcinfo, 4, "max_bytes");
	check_privileges(relid);
	rel = sth_topic_open(relid, AccessShareLock);
	topic = sth_topic_get(rel);
	check_position(rel, topic, partition, from, snapshot);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
		if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
			columns = bms_add_member(columns, i + 1);
	reader = sth_reader_begin(rel, topic, snapshot, STH_READ_ORDERED, columns);
	sth_reader_seek(reader, partition, from);
	if (!emit_rows(reader, (ReturnSetInfo *) fcinfo->resultinfo,
				   RelationGetNumberOfAttributes(rel), limits))
		check_end(rel, topic, partition, from);
	sth_reader_end(reader);
	relation_close(rel, AccessShareLock);
	return (Datum) 0;
}
