/*-------------------------------------------------------------------------
 *
 * poll.c
 *	  poll(): the next rows for a consumer group.  wait(): until there are.
 *
 * For each partition, from one that rotates on: claim it (skip it if another
 * transaction has it), read the position as it is now, read rows from there,
 * insert the new position.  A partition without rows, and without voids to move
 * past, is given back at once.
 * A transaction claims no more than its share of the group's partitions.
 *
 * Rows are read under the statement's snapshot, so that an event is seen
 * together with what was committed with it; the position under a new one,
 * because the transaction that had the claim before may have moved it since.
 * Where the transaction keeps one snapshot (REPEATABLE READ and above) and the
 * position is newer than that, what it should return can not be seen: it
 * fails with a serialization error.
 *
 * Failure: positions are rows of the transaction; whatever ends it without a
 * commit leaves the group where it was.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/arguments.h"
#include "base/compat.h"
#include "base/failpoint.h"
#include "base/tally.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "consume/claim.h"
#include "consume/group.h"
#include "consume/returned.h"
#include "consume/topic_argument.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "log/reader.h"
#include "log/waiters.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sth_poll);
PG_FUNCTION_INFO_V1(sth_wait);

/* A call of poll. */
typedef struct Poll
{
	const char *group;
	Relation	rel;
	SthTopic   *topic;
	int32		group_id;
	Snapshot	snapshot;		/* rows are read under */
	SthReader  *reader;
	int			records;		/* may still be returned */
	int64		bytes;
	int		   *partitions;
	int			npartitions;
	SthReturned *rows;
	Datum	   *values;
	bool	   *isnull;
	int64		returned;
	int64		returned_bytes;
} Poll;

/* Where the next poll of this session begins. */
static uint32 rotor = 0;

/* Raises an error if a position is newer than the transaction's snapshot. */
static void
check_snapshot(const Poll *poll, const SthPosition *position)
{
	if (!IsolationUsesXactSnapshot() || position->seq == 0 ||
		!TransactionIdIsNormal(position->xmin) ||
		TransactionIdIsCurrentTransactionId(position->xmin))
		return;
	if (XidInMVCCSnapshot(position->xmin, GetTransactionSnapshot()))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent poll of group \"%s\"",
						poll->group),
				 errhint("The transaction might succeed if retried.")));
}

/*
 * Returns rows of one partition from the position on; tells where to go on:
 * that may be behind offsets that have no rows.
 */
static int64
emit_rows(Poll *poll, int partition, int64 from)
{
	sth_reader_seek(poll->reader, partition, from);
	while (poll->records > 0 && poll->bytes > 0 &&
		   sth_reader_next(poll->reader, poll->values, poll->isnull))
	{
		int64		size = (int64) sth_reader_row_size(poll->reader);

		sth_returned_put(poll->rows, poll->values, poll->isnull);
		poll->records--;
		poll->bytes -= size;
		poll->returned++;
		poll->returned_bytes += size;
	}
	return sth_reader_position(poll->reader);
}

/* Polls one partition, if it can be claimed. */
static void
poll_partition(Poll *poll, int partition)
{
	int32		log_id = poll->topic->log_ids[partition];
	bool		had = sth_claim_is_mine(poll->group_id, log_id);
	SthPosition position;
	int64		next;

	if (!sth_claim_try(poll->topic->topic_id, poll->group_id, log_id))
		return;
	STH_FAILPOINT("claimed");
	sth_position_read(poll->group_id, log_id, &position);
	check_snapshot(poll, &position);
	next = emit_rows(poll, partition, position.next_offset);
	if (next > position.next_offset)
		sth_position_advance(poll->group_id, log_id, &position, next);
	else if (!had)
		sth_claim_release(poll->group_id, log_id);
}

/* One round over the partitions. */
static void
poll_partitions(Poll *poll)
{
	int			n = poll->npartitions;
	int			start = (int) (rotor++ % (uint32) n);
	int			sharers = sth_claim_join(poll->topic->topic_id, poll->group_id);
	int			share = (poll->topic->npartitions + sharers - 1) / sharers;

	poll->reader = sth_reader_begin(poll->rel, poll->topic, poll->snapshot,
									STH_READ_ORDERED,
									sth_all_columns(poll->rel));
	sth_reader_keep_blocks(poll->reader);
	for (int i = 0; i < n && poll->records > 0 && poll->bytes > 0; i++)
	{
		int			partition = poll->partitions[(start + i) % n];

		if (sth_claim_mine(poll->group_id) < share ||
			sth_claim_is_mine(poll->group_id,
							  poll->topic->log_ids[partition]))
			poll_partition(poll, partition);
	}
	sth_reader_end(poll->reader);
}

static TimestampTz
deadline_after(const Interval *timeout)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(GetCurrentTimestamp()),
												   PointerGetDatum(timeout)));
}

/* Counts a call that has slept. */
static void
count_wait(int32 topic_id, int32 group_id, TimestampTz since)
{
	SthCounts  *counts = sth_tally_of(sth_relations()->tail, topic_id, group_id);
	int64		microseconds = Max(GetCurrentTimestamp() - since, 0);

	counts->counters[STH_GROUP_WAITS]++;
	counts->counters[STH_GROUP_WAIT_TIME] += microseconds;
	sth_counts_add_time(counts, microseconds);
}

static void
count_poll(const Poll *poll)
{
	Oid			tail = sth_relations()->tail;
	int32		topic_id = poll->topic->topic_id;
	SthCounts  *group = sth_tally_of(tail, topic_id, poll->group_id);
	SthCounts  *topic;

	group->counters[STH_GROUP_POLLS]++;
	if (poll->returned == 0)
	{
		group->counters[STH_GROUP_EMPTY_POLLS]++;
		return;
	}
	group->counters[STH_GROUP_ROWS] += poll->returned;
	group->counters[STH_GROUP_BYTES] += poll->returned_bytes;
	topic = sth_tally_of(tail, topic_id, 0);
	topic->counters[STH_TOPIC_ROWS_POLLED] += poll->returned;
	topic->counters[STH_TOPIC_BYTES_POLLED] += poll->returned_bytes;
	topic->counters[STH_TOPIC_BATCHES_POLLED]++;
}

/* Polls until there is a row or the deadline has come. */
static void
poll_until(Poll *poll, TimestampTz deadline)
{
	TimestampTz slept_since = 0;

	sth_waiters_begin(poll->topic->topic_id);
	for (;;)
	{
		/* the statement's snapshot does not show what came while it waited */
		poll->snapshot = sth_fresh_snapshot();
		poll_partitions(poll);
		UnregisterSnapshot(poll->snapshot);
		if (poll->returned > 0 || GetCurrentTimestamp() >= deadline)
			break;
		if (slept_since == 0)
			slept_since = GetCurrentTimestamp();
		(void) sth_waiters_sleep(deadline, STH_WAIT_FOR_ROWS);
	}
	sth_waiters_end();
	if (slept_since != 0)
		count_wait(poll->topic->topic_id, poll->group_id, slept_since);
}

/* The partitions asked for: all, or those in the array. */
static void
choose_partitions(Poll *poll, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;

	if (array == NULL)
	{
		poll->npartitions = poll->topic->npartitions;
		poll->partitions = palloc(poll->npartitions * sizeof(int));
		for (int i = 0; i < poll->npartitions; i++)
			poll->partitions[i] = i;
		return;
	}
	deconstruct_array(array, INT4OID, 4, true, TYPALIGN_INT, &elements, &nulls,
					  &poll->npartitions);
	poll->partitions = palloc(Max(poll->npartitions, 1) * sizeof(int));
	for (int i = 0; i < poll->npartitions; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("partitions must not contain nulls")));
		poll->partitions[i] = DatumGetInt32(elements[i]);
		sth_topic_check_partition(poll->topic,
								  RelationGetRelationName(poll->rel),
								  poll->partitions[i]);
	}
}

/* poll(consumer_group, topic, max_records, max_bytes, timeout, partitions) */
Datum
sth_poll(PG_FUNCTION_ARGS)
{
	Poll		poll = {0};
	TimestampTz deadline;

	sth_require_argument(fcinfo, 0, "consumer_group");
	sth_require_argument(fcinfo, 4, "timeout");
	PreventCommandDuringRecovery("poll()");
	PreventCommandIfReadOnly("poll()");
	PreventCommandIfParallelMode("poll()");
	poll.group = text_to_cstring(PG_GETARG_TEXT_PP(0));
	poll.records = sth_positive_argument(fcinfo, 2, "max_records");
	poll.bytes = sth_positive_argument(fcinfo, 3, "max_bytes");
	deadline = deadline_after(PG_GETARG_INTERVAL_P(4));

	poll.rel = sth_topic_open_for_select(sth_topic_argument(fcinfo, 1));
	sth_topic_check_result(fcinfo, poll.rel);
	poll.topic = sth_topic_get(poll.rel);
	poll.group_id = sth_group_lock(poll.topic, RelationGetRelationName(poll.rel),
								   poll.group);
	choose_partitions(&poll, PG_ARGISNULL(5) ? NULL : PG_GETARG_ARRAYTYPE_P(5));
	poll.rows = sth_returned_begin(fcinfo, poll.rel);
	poll.values = palloc0(RelationGetNumberOfAttributes(poll.rel) * sizeof(Datum));
	poll.isnull = palloc(RelationGetNumberOfAttributes(poll.rel) * sizeof(bool));
	poll.snapshot = GetActiveSnapshot();
	if (poll.npartitions > 0)
	{
		poll_partitions(&poll);
		if (poll.returned == 0 && !IsolationUsesXactSnapshot() &&
			deadline > GetCurrentTimestamp())
			poll_until(&poll, deadline);
	}
	count_poll(&poll);
	sth_claim_leave(poll.group_id);
	relation_close(poll.rel, NoLock);
	return (Datum) 0;
}

/* Is there a row for a group, in a partition that nobody has? */
static bool
has_rows(int32 group_id, Relation rel, const SthTopic *topic)
{
	Snapshot	snapshot = sth_fresh_snapshot();
	SthReader  *reader = sth_reader_begin(rel, topic, snapshot,
										  STH_READ_ORDERED, NULL);
	Datum	   *values = palloc(RelationGetNumberOfAttributes(rel) * sizeof(Datum));
	bool	   *isnull = palloc(RelationGetNumberOfAttributes(rel) * sizeof(bool));
	bool		found = false;

	for (int i = 0; i < topic->npartitions && !found; i++)
	{
		SthPosition position;

		/* what another has is not for us, and we are woken when it ends */
		if (sth_claim_is_taken(group_id, topic->log_ids[i]))
			continue;
		sth_position_read(group_id, topic->log_ids[i], &position);
		sth_reader_seek(reader, i, position.next_offset);
		found = sth_reader_next(reader, values, isnull);
	}
	sth_reader_end(reader);
	UnregisterSnapshot(snapshot);
	pfree(values);
	pfree(isnull);
	return found;
}

/* wait(consumer_group, topic, timeout), a procedure */
Datum
sth_wait(PG_FUNCTION_ARGS)
{
	bool		atomic = fcinfo->context == NULL ||
	!IsA(fcinfo->context, CallContext) ||
	castNode(CallContext, fcinfo->context)->atomic;
	char	   *group;
	Oid			relid;
	Relation	rel;
	SthTopic   *topic;
	int32		group_id;
	TimestampTz deadline;
	TimestampTz slept_since = 0;

	sth_require_argument(fcinfo, 0, "consumer_group");
	sth_require_argument(fcinfo, 1, "topic");
	sth_require_argument(fcinfo, 2, "timeout");
	if (atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("wait() cannot run inside a transaction block"),
				 errdetail("It would hold the transaction's snapshot while it waits."),
				 errhint("CALL it before BEGIN, or use the timeout of poll().")));
	PreventCommandDuringRecovery("wait()");
	relid = PG_GETARG_OID(1);
	deadline = deadline_after(PG_GETARG_INTERVAL_P(2));

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	group = text_to_cstring(PG_GETARG_TEXT_PP(0));
	for (;;)
	{
		rel = sth_topic_open_for_select(relid);
		topic = sth_topic_get(rel);
		group_id = sth_group_find(topic, RelationGetRelationName(rel), group);
		sth_waiters_begin(topic->topic_id);
		if (has_rows(group_id, rel, topic) || GetCurrentTimestamp() >= deadline)
			break;
		relation_close(rel, AccessShareLock);
		if (slept_since == 0)
			slept_since = GetCurrentTimestamp();
		/* sleeps with neither snapshot nor locks */
		SPI_commit();
		(void) sth_waiters_sleep(deadline, STH_WAIT_FOR_ROWS);
	}
	sth_waiters_end();
	if (slept_since != 0)
	{
		/* what is counted must be there until the commit */
		group_id = sth_group_lock(topic, RelationGetRelationName(rel), group);
		count_wait(topic->topic_id, group_id, slept_since);
	}
	relation_close(rel, NoLock);
	SPI_finish();
	PG_RETURN_VOID();
}
