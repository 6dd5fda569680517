/*-------------------------------------------------------------------------
 *
 * sync.c
 *	  Keeping streamhouse.topic and .log in step with the foreign tables.
 *
 * sth_topic_sync looks at one foreign table as it is now: it checks that it
 * can be a topic, and registers it, or brings its row up to date, or removes
 * the rows of one that is gone.  It may be called at any time and any number
 * of times.
 *
 * All is done in the transaction of the statement, which holds an exclusive
 * lock on the foreign table, so no producer is in between.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/closest.h"
#include "base/compat.h"
#include "base/tally.h"
#include "catalog/indexing.h"
#include "catalog/options.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "catalog/types.h"
#include "commands/defrem.h"
#include "commands/sequence.h"
#include "consume/group.h"
#include "ddl/ddl.h"
#include "foreign/foreign.h"
#include "log/log.h"
#include "log/tail.h"
#include "nodes/makefuncs.h"
#include "produce/pending.h"
#include "segment/remove.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* A row of streamhouse.topic, and where it is. */
typedef struct TopicRow
{
	ItemPointerData tid;
	int32		topic_id;
	AttrNumber	key_attnum;
	NameData	key_name;
	bytea	   *columns;
} TopicRow;

/* A new snapshot that shows what this transaction has done so far. */
static Snapshot
take_snapshot(void)
{
	CommandCounterIncrement();
	return sth_fresh_snapshot();
}

static bool
find_topic_row(Oid relid, TopicRow *row)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = take_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;

	scan = sth_catalog_begin(relations->topic, relations->topic_relid_idx,
							 RowExclusiveLock, snapshot, Anum_sth_topic_relid,
							 ObjectIdGetDatum(relid), OIDOID);
	tuple = sth_catalog_next(scan);
	if (tuple != NULL)
	{
		FormData_sth_topic *form = (FormData_sth_topic *) GETSTRUCT(tuple);
		bool		isnull;

		row->tid = tuple->t_self;
		row->topic_id = form->topic_id;
		row->key_attnum = form->key_attnum;
		row->key_name = form->key_name;
		row->columns = DatumGetByteaPCopy(heap_getattr(tuple,
													   Anum_sth_topic_columns,
													   RelationGetDescr(sth_catalog_relation(scan)),
													   &isnull));
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
	return tuple != NULL;
}

/* Calls back for each log of a topic; returns their number. */
static int
for_each_log(int32 topic_id, void (*callback) (Relation rel, HeapTuple tuple, void *arg),
			 void *arg)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = take_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;
	int			n = 0;

	scan = sth_catalog_begin(relations->log, relations->log_topic_idx,
							 RowExclusiveLock, snapshot, Anum_sth_log_topic_id,
							 Int32GetDatum(topic_id), INT4OID);
	while ((tuple = sth_catalog_next(scan)) != NULL)
	{
		if (callback != NULL)
			callback(sth_catalog_relation(scan), tuple, arg);
		n++;
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
	return n;
}

static void
remove_log(Relation rel, HeapTuple tuple, void *arg)
{
	int32		log_id = ((FormData_sth_log *) GETSTRUCT(tuple))->log_id;

	sth_tail_delete_log(log_id);
	sth_segments_remove(log_id, PG_INT64_MAX);
	sth_log_dropped(log_id);
	CatalogTupleDelete(rel, &tuple->t_self);
}

/* Removes the rows of a topic that is gone. */
static void
unregister_topic(const TopicRow *row)
{
	Relation	rel = table_open(sth_relations()->topic, RowExclusiveLock);
	ItemPointerData tid = row->tid;

	sth_group_drop_all(row->topic_id);
	(void) for_each_log(row->topic_id, remove_log, NULL);
	sth_tally_drop(sth_relations()->tail, row->topic_id, 0);
	sth_tally_drop(sth_relations()->tail, row->topic_id, STH_STATS_FLUSHES);
	sth_tally_drop(sth_relations()->tail, row->topic_id, STH_STATS_SEGMENTS);
	CatalogTupleDelete(rel, &tid);
	table_close(rel, RowExclusiveLock);
}

static void
check_assigned_column(Relation rel, Form_pg_attribute att, Oid type,
					  const char *type_name)
{
	if (att->atttypid != type || att->atttypmod != -1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column \"%s\" of topic \"%s\" must be of type %s",
						NameStr(att->attname), RelationGetRelationName(rel),
						type_name)));
	if (att->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column \"%s\" of topic \"%s\" cannot be a generated column",
						NameStr(att->attname), RelationGetRelationName(rel)),
				 errdetail("The log assigns its values.")));
}

static void
check_column(Relation rel, Form_pg_attribute att)
{
	switch (sth_assigned_column(NameStr(att->attname)))
	{
		case STH_ASSIGNED_PARTITION:
			check_assigned_column(rel, att, INT4OID, "integer");
			return;
		case STH_ASSIGNED_TIME:
			check_assigned_column(rel, att, TIMESTAMPTZOID,
								  "timestamp with time zone");
			return;
		case STH_ASSIGNED_OFFSET:
			check_assigned_column(rel, att, INT8OID, "bigint");
			if (att->attnotnull)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
						 errmsg("column \"_offset\" of topic \"%s\" cannot be NOT NULL",
								RelationGetRelationName(rel)),
						 errdetail("A row gets its offset when its transaction commits.")));
			return;
		case STH_NOT_ASSIGNED:
			break;
	}
	if (!sth_type_is_storable(att->atttypid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of topic \"%s\" has type %s, which topics do not take",
						NameStr(att->attname), RelationGetRelationName(rel),
						format_type_be(att->atttypid)),
				 errdetail("What is stored of such a value has no meaning outside of this database."),
				 errhint("Use text or jsonb.")));
}

static void
check_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			stored = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		check_column(rel, att);
		if (!sth_assigned_column(NameStr(att->attname)))
			stored++;
	}
	if (stored == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("topic \"%s\" has no column of its own",
						RelationGetRelationName(rel)),
				 errdetail("Beside the columns that the log assigns a topic needs at least one.")));
}

/* A key that names no column. */
static void
report_missing_key(Relation rel, const char *key)
{
	TupleDesc	desc = RelationGetDescr(rel);
	SthClosest	closest;

	sth_closest_begin(&closest, key);
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			!sth_assigned_column(NameStr(TupleDescAttr(desc, i)->attname)))
			sth_closest_add(&closest, NameStr(TupleDescAttr(desc, i)->attname));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("key column \"%s\" of topic \"%s\" does not exist",
					key, RelationGetRelationName(rel)),
			 closest.best ?
			 errhint("Perhaps you meant the column \"%s\".", closest.best) :
			 errhint("The option \"key\" names the column that routes a row; without it rows are not routed by a key.")));
}

/* Makes the option "key" follow the column, which has been renamed. */
static void
rename_key_option(Relation rel, const char *name)
{
	Relation	catalog = table_open(ForeignTableRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(FOREIGNTABLEREL,
											ObjectIdGetDatum(RelationGetRelid(rel)));
	List	   *options;
	ListCell   *lc;
	Datum		values[Natts_pg_foreign_table] = {0};
	bool		isnull[Natts_pg_foreign_table] = {0};
	bool		replace[Natts_pg_foreign_table] = {0};
	bool		none;

	options = untransformRelOptions(SysCacheGetAttr(FOREIGNTABLEREL, tuple,
													Anum_pg_foreign_table_ftoptions,
													&none));
	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "key") == 0)
			def->arg = (Node *) makeString(pstrdup(name));
	}
	values[Anum_pg_foreign_table_ftoptions - 1] =
		transformRelOptions((Datum) 0, options, NULL, NULL, false, false);
	replace[Anum_pg_foreign_table_ftoptions - 1] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, isnull,
							  replace);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
}

/*
 * Sets the row's key to the column that the option names.  If that is a
 * column that the row knows under this name and that has another one now, the
 * option follows.
 */
static void
resolve_key(Relation rel, const char *key, TopicRow *row)
{
	TupleDesc	desc = RelationGetDescr(rel);
	AttrNumber	attnum;
	Form_pg_attribute att;

	if (key == NULL)
	{
		row->key_attnum = 0;
		namestrcpy(&row->key_name, "");
		return;
	}
	attnum = get_attnum(RelationGetRelid(rel), key);
	if (attnum <= 0 && row->key_attnum > 0 &&
		strcmp(key, NameStr(row->key_name)) == 0)
	{
		attnum = row->key_attnum;
		att = TupleDescAttr(desc, attnum - 1);
		if (att->attisdropped)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot drop column \"%s\" of topic \"%s\" because it is the topic's key",
							key, RelationGetRelationName(rel)),
					 errhint("First ALTER FOREIGN TABLE ... OPTIONS (DROP key).")));
		key = pstrdup(NameStr(att->attname));
		rename_key_option(rel, key);
	}
	if (attnum <= 0 || sth_assigned_column(NameStr(TupleDescAttr(desc, attnum - 1)->attname)))
		report_missing_key(rel, key);
	att = TupleDescAttr(desc, attnum - 1);
	if (!sth_type_is_key(att->atttypid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of type %s cannot be the key of topic \"%s\"",
						NameStr(att->attname), format_type_be(att->atttypid),
						RelationGetRelationName(rel)),
				 errdetail("A key is routed by its text, which for this type depends on settings."),
				 errhint("Use a column of type text, bytea, uuid, integer, numeric, boolean, network address or enum.")));
	if (att->attgenerated && att->attgenerated != ATTRIBUTE_GENERATED_STORED)
		report_missing_key(rel, key);
	row->key_attnum = attnum;
	namestrcpy(&row->key_name, key);
}

static void
change_options(Relation rel, HeapTuple tuple, void *arg)
{
	const SthTopicOptions *options = arg;

	sth_log_options_changed(((FormData_sth_log *) GETSTRUCT(tuple))->log_id,
							options->segment_size, options->flush_interval);
}

static void
insert_log(int32 topic_id, int partition)
{
	const SthRelations *relations = sth_relations();
	Relation	rel = table_open(relations->log, RowExclusiveLock);
	Datum		values[Natts_sth_log];
	bool		isnull[Natts_sth_log] = {0};
	int32		log_id = (int32) nextval_internal(relations->log_id_seq, false);

	values[Anum_sth_log_log_id - 1] = Int32GetDatum(log_id);
	values[Anum_sth_log_topic_id - 1] = Int32GetDatum(topic_id);
	values[Anum_sth_log_partition - 1] = Int32GetDatum(partition);
	values[Anum_sth_log_start_offset - 1] = Int64GetDatum(0);
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, isnull));
	table_close(rel, RowExclusiveLock);
	sth_log_created(log_id);
}

static void
write_topic_row(TopicRow *row, Oid relid, bool exists)
{
	Relation	rel = table_open(sth_relations()->topic, RowExclusiveLock);
	Datum		values[Natts_sth_topic];
	bool		isnull[Natts_sth_topic] = {0};
	HeapTuple	tuple;

	values[Anum_sth_topic_topic_id - 1] = Int32GetDatum(row->topic_id);
	values[Anum_sth_topic_relid - 1] = ObjectIdGetDatum(relid);
	values[Anum_sth_topic_key_attnum - 1] = Int16GetDatum(row->key_attnum);
	values[Anum_sth_topic_key_name - 1] = NameGetDatum(&row->key_name);
	values[Anum_sth_topic_columns - 1] = PointerGetDatum(row->columns);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, isnull);
	if (exists)
		CatalogTupleUpdate(rel, &row->tid, tuple);
	else
		CatalogTupleInsert(rel, tuple);
	table_close(rel, RowExclusiveLock);
}

/*
 * Makes prepared statements that call a function of ours look at its result
 * again: the columns of a topic are those of poll() and read(), but plans
 * depend on functions, not on what their arguments' types are made of.
 */
static void
invalidate_plans(const char *function)
{
	Relation	catalog = table_open(ProcedureRelationId, AccessShareLock);
	CatCList   *list = SearchSysCacheList1(PROCNAMEARGSNSP,
										   CStringGetDatum(function));

	for (int i = 0; i < list->n_members; i++)
	{
		HeapTuple	tuple = &list->members[i]->tuple;

		if (((Form_pg_proc) GETSTRUCT(tuple))->pronamespace ==
			sth_relations()->schema)
			CacheInvalidateHeapTuple(catalog, tuple, NULL);
	}
	ReleaseSysCacheList(list);
	table_close(catalog, AccessShareLock);
}

static void
note_rows(Relation rel, HeapTuple tuple, void *arg)
{
	int32		log_id = ((FormData_sth_log *) GETSTRUCT(tuple))->log_id;

	*(bool *) arg |= sth_log_next_offset(log_id) > 0;
}

/* Has the topic rows, or offsets at least, or is this transaction adding any? */
static bool
has_rows(Oid relid, int32 topic_id)
{
	bool		found = sth_pending_has_rows(relid);

	if (!found)
		(void) for_each_log(topic_id, note_rows, &found);
	return found;
}

static void
check_change(Relation rel, const TopicRow *row, int npartitions, int wanted)
{
	if (wanted < npartitions)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot reduce the partitions of topic \"%s\" from %d to %d",
						RelationGetRelationName(rel), npartitions, wanted),
				 errdetail("A partition's rows have their offsets for good."),
				 errhint("Create another topic with fewer partitions.")));
	if (has_rows(RelationGetRelid(rel), row->topic_id))
		sth_signature_check_change(rel, row->columns);
}

/* Registers a topic, or brings its rows up to date. */
static void
register_topic(Relation rel, TopicRow *row, bool exists)
{
	Oid			relid = RelationGetRelid(rel);
	SthTopicOptions options;
	int			npartitions = 0;

	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("topic \"%s\" cannot be temporary",
						RelationGetRelationName(rel))));
	sth_options_parse(GetForeignTable(relid)->options, &options);
	check_columns(rel);
	if (exists)
	{
		npartitions = for_each_log(row->topic_id, change_options, &options);
		check_change(rel, row, npartitions, options.partitions);
	}
	else
	{
		row->topic_id = (int32) nextval_internal(sth_relations()->topic_id_seq,
												 false);
		row->key_attnum = 0;
	}
	resolve_key(rel, options.key, row);
	row->columns = sth_signature_make(RelationGetDescr(rel));
	write_topic_row(row, relid, exists);
	for (; npartitions < options.partitions; npartitions++)
		insert_log(row->topic_id, npartitions);
	CacheInvalidateRelcacheByRelid(relid);
	if (exists)
	{
		invalidate_plans("poll");
		invalidate_plans("read");
	}
}

/*
 * Brings the extension's tables in step with a foreign table that has been
 * touched.  'created': by this statement, so that rows which name its OID are
 * those of a predecessor that was dropped behind our back.
 */
void
sth_topic_sync(Oid relid, bool created)
{
	char		relkind = get_rel_relkind(relid);
	TopicRow	row;
	Relation	rel;
	bool		is_topic;
	bool		exists;

	/* most relations are none of ours, and this extension may be on its way */
	if ((relkind != '\0' && relkind != RELKIND_FOREIGN_TABLE) ||
		sth_relations_if_exist() == NULL)
		return;
	/* gone before it could be used: what a table is rewritten into */
	if (relkind == '\0' && created)
		return;
	is_topic = sth_is_topic(relid);
	if (relkind != '\0' && !is_topic)
		return;					/* another wrapper's */

	exists = find_topic_row(relid, &row);
	if (exists && (created || !is_topic))
	{
		unregister_topic(&row);
		exists = false;
	}
	if (!is_topic)
		return;
	rel = relation_open(relid, AccessShareLock);
	register_topic(rel, &row, exists);
	relation_close(rel, AccessShareLock);
}
