/*-------------------------------------------------------------------------
 *
 * group.c
 *	  Consumer groups: create_group(), drop_group().
 *
 * A group belongs to one topic and to the role that created it; members of
 * that role use it.
 *
 * Each group has a lock, an object lock of PostgreSQL's: transactions that poll
 * share it until they end, and a drop takes it alone.  So when a group is
 * dropped nobody is about to move a position; who has waited for the lock
 * looks again whether the group is there.
 *
 * Failure: rows of ours, in the caller's transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/arguments.h"
#include "base/closest.h"
#include "base/compat.h"
#include "base/tally.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "commands/sequence.h"
#include "consume/group.h"
#include "consume/topic_argument.h"
#include "fmgr.h"
#include "log/log.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Bytes of a group's name. */
#define MAX_NAME 255

PG_FUNCTION_INFO_V1(sth_create_group);
PG_FUNCTION_INFO_V1(sth_drop_group);
PG_FUNCTION_INFO_V1(sth_group_position);

/* A row of streamhouse.consumer_group. */
typedef struct GroupRow
{
	int32		group_id;
	int32		topic_id;
	Oid			owner;
	ItemPointerData tid;
} GroupRow;

static void
read_row(HeapTuple tuple, GroupRow *row)
{
	FormData_sth_group *form = (FormData_sth_group *) GETSTRUCT(tuple);

	row->group_id = form->group_id;
	row->topic_id = form->topic_id;
	row->owner = form->owner;
	row->tid = tuple->t_self;
}

static char *
row_name(Relation rel, HeapTuple tuple)
{
	bool		isnull;

	return TextDatumGetCString(heap_getattr(tuple, Anum_sth_group_name,
											RelationGetDescr(rel), &isnull));
}

/*
 * Looks for a group of a topic, as it is now.  If there is none of the name,
 * *closest tells one of a similar name.
 */
static bool
find_group(int32 topic_id, const char *name, GroupRow *row,
		   SthClosest *closest)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;
	bool		found = false;

	sth_closest_begin(closest, name);
	scan = sth_catalog_begin(relations->consumer_group,
							 relations->consumer_group_name_idx,
							 AccessShareLock, snapshot,
							 Anum_sth_group_topic_id, Int32GetDatum(topic_id),
							 INT4OID);
	while (!found && (tuple = sth_catalog_next(scan)) != NULL)
	{
		char	   *candidate = row_name(sth_catalog_relation(scan), tuple);

		found = strcmp(candidate, name) == 0;
		if (found)
			read_row(tuple, row);
		else
			sth_closest_add(closest, candidate);
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
	return found;
}

static void
report_missing(const char *topic_name, const char *name, const char *closest)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("consumer group \"%s\" of topic \"%s\" does not exist",
					name, topic_name),
			 closest ?
			 errhint("Perhaps you meant the group \"%s\".", closest) :
			 errhint("create_group() makes one.")));
}

/* The group, or an error: it is unknown, or not the user's. */
static void
get_group(int32 topic_id, const char *topic_name, const char *name,
		  GroupRow *row)
{
	SthClosest	closest;

	if (!find_group(topic_id, name, row, &closest))
		report_missing(topic_name, name, closest.best);
	if (!has_privs_of_role(GetUserId(), row->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for consumer group \"%s\"", name),
				 errdetail("It belongs to role \"%s\".",
						   GetUserNameFromId(row->owner, true) ?
						   GetUserNameFromId(row->owner, true) : "?")));
}

/* The number of a group that the user may use. */
int32
sth_group_find(const SthTopic *topic, const char *topic_name,
			   const char *name)
{
	GroupRow	row;

	get_group(topic->topic_id, topic_name, name, &row);
	return row.group_id;
}

static void
lock_group(int32 group_id, LOCKMODE mode)
{
	LockDatabaseObject(sth_relations()->consumer_group, (Oid) group_id, 0,
					   mode);
}

/*
 * Finds a group and locks it until the transaction ends, for polling.
 *
 * What counts is what is found once the lock is held, but the lock wants the
 * group's number first.  A consumer polls the same group again and again, so
 * the number is remembered: if it is still the group's, one look is enough.
 */
int32
sth_group_lock(const SthTopic *topic, const char *topic_name,
			   const char *name)
{
	static int32 last_topic_id = 0;
	static char last_name[MAX_NAME + 1];
	static int32 last_group_id = 0;
	int32		group_id;

	if (last_topic_id == topic->topic_id && strcmp(last_name, name) == 0)
	{
		lock_group(last_group_id, AccessShareLock);
		group_id = sth_group_find(topic, topic_name, name);
		if (group_id == last_group_id)
			return group_id;
	}
	else
		group_id = sth_group_find(topic, topic_name, name);

	lock_group(group_id, AccessShareLock);
	/* not the one that was waited for, if that has been dropped */
	if (sth_group_find(topic, topic_name, name) != group_id)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("consumer group \"%s\" of topic \"%s\" was dropped and created again",
						name, topic_name),
				 errhint("The transaction might succeed if retried.")));
	last_topic_id = topic->topic_id;
	last_group_id = group_id;
	strlcpy(last_name, name, sizeof(last_name));
	return group_id;
}

static void
check_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) > MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid name of a consumer group: \"%s\"", name),
				 errdetail("A name has 1 to %d bytes.", MAX_NAME)));
}

/* Does the group start with rows committed from now on? */
static bool
starts_at_end(const char *start)
{
	if (strcmp(start, "earliest") == 0)
		return false;
	if (strcmp(start, "latest") == 0)
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid start of a consumer group: \"%s\"", start),
			 errhint("Use earliest or latest.")));
	return false;				/* not reached */
}

static int32
insert_group(int32 topic_id, const char *name)
{
	const SthRelations *relations = sth_relations();
	Relation	rel = table_open(relations->consumer_group, RowExclusiveLock);
	int32		group_id = (int32) nextval_internal(relations->group_id_seq,
													false);
	Datum		values[Natts_sth_group];
	bool		isnull[Natts_sth_group] = {0};

	values[Anum_sth_group_group_id - 1] = Int32GetDatum(group_id);
	values[Anum_sth_group_topic_id - 1] = Int32GetDatum(topic_id);
	values[Anum_sth_group_owner - 1] = ObjectIdGetDatum(GetUserId());
	values[Anum_sth_group_name - 1] = CStringGetTextDatum(name);
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, isnull));
	table_close(rel, RowExclusiveLock);
	CommandCounterIncrement();
	return group_id;
}

/* create_group(consumer_group, topic, start) */
Datum
sth_create_group(PG_FUNCTION_ARGS)
{
	char	   *name;
	Relation	rel;
	SthTopic   *topic;
	bool		at_end;
	int32		group_id;
	GroupRow	row;
	SthClosest	closest;

	sth_require_argument(fcinfo, 0, "consumer_group");
	sth_require_argument(fcinfo, 1, "topic");
	sth_require_argument(fcinfo, 2, "start");
	PreventCommandDuringRecovery("create_group()");
	PreventCommandIfReadOnly("create_group()");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	check_name(name);
	at_end = starts_at_end(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	rel = sth_topic_open_for_select(PG_GETARG_OID(1));
	topic = sth_topic_get(rel);

	/* one at a time, so that the second gets an error that says what it is */
	LockRelationOid(sth_relations()->consumer_group, ShareRowExclusiveLock);
	if (find_group(topic->topic_id, name, &row, &closest))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("consumer group \"%s\" of topic \"%s\" already exists",
						name, RelationGetRelationName(rel))));
	group_id = insert_group(topic->topic_id, name);
	for (int i = 0; at_end && i < topic->npartitions; i++)
	{
		SthPosition none = {0};
		int64		end = sth_log_next_offset(topic->log_ids[i]);

		/* who has taken lower offsets has committed when the group is made */
		(void) sth_sequencer_wait(topic->log_ids[i], -1);
		sth_position_advance(group_id, topic->log_ids[i], &none, end);
	}
	relation_close(rel, NoLock);
	PG_RETURN_VOID();
}

/* Deletes all positions of a group. */
static void
delete_positions(int32 group_id)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;

	scan = sth_catalog_begin(relations->position, relations->position_idx,
							 RowExclusiveLock, snapshot,
							 Anum_sth_position_group_id,
							 Int32GetDatum(group_id), INT4OID);
	while ((tuple = sth_catalog_next(scan)) != NULL)
		simple_heap_delete(sth_catalog_relation(scan), &tuple->t_self);
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
}

static void
delete_group(GroupRow *row)
{
	Relation	rel = table_open(sth_relations()->consumer_group,
								 RowExclusiveLock);

	delete_positions(row->group_id);
	sth_tally_drop(sth_relations()->tail, row->topic_id, row->group_id);
	simple_heap_delete(rel, &row->tid);
	table_close(rel, RowExclusiveLock);
	CommandCounterIncrement();
}

/* drop_group(consumer_group, topic) */
Datum
sth_drop_group(PG_FUNCTION_ARGS)
{
	char	   *name;
	Relation	rel;
	SthTopic   *topic;
	GroupRow	row;

	sth_require_argument(fcinfo, 0, "consumer_group");
	sth_require_argument(fcinfo, 1, "topic");
	PreventCommandDuringRecovery("drop_group()");
	PreventCommandIfReadOnly("drop_group()");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	rel = sth_topic_open_visible(PG_GETARG_OID(1));
	topic = sth_topic_get(rel);
	get_group(topic->topic_id, RelationGetRelationName(rel), name, &row);
	lock_group(row.group_id, AccessExclusiveLock);
	/* whoever had the lock may have been dropping the group too */
	get_group(topic->topic_id, RelationGetRelationName(rel), name, &row);
	delete_group(&row);
	relation_close(rel, NoLock);
	PG_RETURN_VOID();
}

/* Drops all groups of a topic that is being dropped: nobody polls any more. */
void
sth_group_drop_all(int32 topic_id)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;

	scan = sth_catalog_begin(relations->consumer_group,
							 relations->consumer_group_name_idx,
							 RowExclusiveLock, snapshot,
							 Anum_sth_group_topic_id, Int32GetDatum(topic_id),
							 INT4OID);
	while ((tuple = sth_catalog_next(scan)) != NULL)
	{
		GroupRow	row;

		read_row(tuple, &row);
		delete_group(&row);
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
}

/*
 * The owner of a group, as it is now, and its topic; InvalidOid if there is no
 * such group.
 */
Oid
sth_group_owner(int32 group_id, int32 *topic_id)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;
	GroupRow	row;

	scan = sth_catalog_begin(relations->consumer_group,
							 relations->consumer_group_pkey, AccessShareLock,
							 snapshot, Anum_sth_group_group_id,
							 Int32GetDatum(group_id), INT4OID);
	row.owner = InvalidOid;
	row.topic_id = 0;
	tuple = sth_catalog_next(scan);
	if (tuple != NULL)
		read_row(tuple, &row);
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
	*topic_id = row.topic_id;
	return row.owner;
}

/* group_position(group_id int, log_id int): for the view consumer_lag */
Datum
sth_group_position(PG_FUNCTION_ARGS)
{
	int32		group_id = PG_GETARG_INT32(0);
	int32		topic_id;
	Oid			owner = sth_group_owner(group_id, &topic_id);
	SthPosition position;

	if (!OidIsValid(owner) || !has_privs_of_role(GetUserId(), owner))
		PG_RETURN_NULL();
	sth_position_read(group_id, PG_GETARG_INT32(1), &position);
	PG_RETURN_INT64(position.next_offset);
}
