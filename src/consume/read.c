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
#include "base/arguments.h"
#include "base/compat.h"
#include "catalog/topic.h"
#include "consume/returned.h"
#include "consume/topic_argument.h"
#include "log/log.h"
#include "log/reader.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(sth_read);

/* Limits of one call, and how much of them is left. */
typedef struct Limits
{
	int			records;
	int64		bytes;
} Limits;

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
emit_rows(SthReader *reader, SthReturned *rows, int natts, Limits limits)
{
	bool		any = false;
	Datum	   *values = palloc0(natts * sizeof(Datum));
	bool	   *isnull = palloc(natts * sizeof(bool));

	while (limits.records-- > 0 && sth_reader_next(reader, values, isnull))
	{
		sth_returned_put(rows, values, isnull);
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
	int			partition;
	int64		from;
	Limits		limits;
	Relation	rel;
	SthTopic   *topic;
	Snapshot	snapshot = GetActiveSnapshot();
	SthReader  *reader;
	SthReturned *rows;

	sth_require_argument(fcinfo, 1, "partition");
	sth_require_argument(fcinfo, 2, "from_offset");
	partition = PG_GETARG_INT32(1);
	from = PG_GETARG_INT64(2);
	limits.records = sth_positive_argument(fcinfo, 3, "max_records");
	limits.bytes = sth_positive_argument(fcinfo, 4, "max_bytes");
	rel = sth_topic_open_for_select(sth_topic_argument(fcinfo, 0));
	sth_topic_check_result(fcinfo, rel);
	topic = sth_topic_get(rel);
	check_position(rel, topic, partition, from, snapshot);

	rows = sth_returned_begin(fcinfo, rel);
	reader = sth_reader_begin(rel, topic, snapshot, STH_READ_ORDERED,
							  sth_all_columns(rel));
	sth_reader_keep_blocks(reader);
	sth_reader_seek(reader, partition, from);
	if (!emit_rows(reader, rows, RelationGetNumberOfAttributes(rel), limits))
		check_end(rel, topic, partition, from);
	sth_reader_end(reader);
	relation_close(rel, AccessShareLock);
	return (Datum) 0;
}
