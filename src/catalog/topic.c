/*-------------------------------------------------------------------------
 *
 * topic.c
 *	  Topics: what the extension knows of a foreign table.
 *
 * The table's columns and options are PostgreSQL's; the topic's number, its
 * logs and its key are rows of streamhouse.topic and .log, which DDL keeps in
 * step (src/ddl).  All of it is put together once and cached by the table's
 * OID until PostgreSQL says that the table has changed.
 *
 * Nothing cached depends on a snapshot: a topic's number and the log of a
 * partition never change, and partitions are only added.  start_offset does
 * move, and is read under the snapshot of whoever asks.
 *
 * Memory: cached topics live in a context of their own until they are
 * invalidated, which any lock may bring about.  So callers get copies, or hold
 * the cached one, which then stays, as it was, until it is released.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "base/compat.h"
#include "catalog/options.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

typedef struct CachedTopic
{
	Oid			relid;			/* hash key */
	SthTopic   *topic;			/* NULL: to be loaded */
} CachedTopic;

static HTAB *cache = NULL;
static MemoryContext cache_context = NULL;
static CachedTopic *latest = NULL;	/* a session tends to stay with one */

/* Takes a topic out of the cache. */
static void
discard(SthTopic *topic)
{
	topic->is_cached = false;
	if (topic->nholders == 0)
		pfree(topic);
}

static void
forget_entry(CachedTopic *entry)
{
	if (entry->topic != NULL)
		discard(entry->topic);
	if (entry == latest)
		latest = NULL;
	(void) hash_search(cache, &entry->relid, HASH_REMOVE, NULL);
}

static void
forget_topic(Datum arg, Oid relid)
{
	CachedTopic *entry;

	if (cache == NULL)
		return;
	if (relid == InvalidOid)
	{
		HASH_SEQ_STATUS status;

		hash_seq_init(&status, cache);
		while ((entry = hash_seq_search(&status)) != NULL)
			forget_entry(entry);
		return;
	}
	entry = hash_search(cache, &relid, HASH_FIND, NULL);
	if (entry != NULL)
		forget_entry(entry);
}

/* Registers the callback; called once a process, from _PG_init. */
void
sth_topic_init(void)
{
	CacheRegisterRelcacheCallback(forget_topic, (Datum) 0);
}

/* Which of the columns that the log assigns has this name? */
SthAssigned
sth_assigned_column(const char *name)
{
	if (strcmp(name, "_partition") == 0)
		return STH_ASSIGNED_PARTITION;
	if (strcmp(name, "_offset") == 0)
		return STH_ASSIGNED_OFFSET;
	if (strcmp(name, "_timestamp") == 0)
		return STH_ASSIGNED_TIME;
	return STH_NOT_ASSIGNED;
}

/* How values of a column, dropped or not, lie in a row. */
SthLayout
sth_attribute_layout(Form_pg_attribute att)
{
	SthLayout	layout;

	layout.len = att->attlen;
	layout.byval = att->attbyval;
	layout.packable = att->attlen == -1 && att->attstorage != TYPSTORAGE_PLAIN;
	switch (att->attalign)
	{
		case TYPALIGN_CHAR:
			layout.align = 1;
			break;
		case TYPALIGN_SHORT:
			layout.align = 2;
			break;
		case TYPALIGN_INT:
			layout.align = 4;
			break;
		default:
			layout.align = 8;
			break;
	}
	return layout;
}

/* Is this a foreign table of our wrapper? */
bool
sth_is_topic(Oid relid)
{
	const SthRelations *relations;
	ForeignServer *server;

	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	relations = sth_relations_if_exist();
	if (relations == NULL)
		return false;
	server = GetForeignServer(GetForeignTable(relid)->serverid);
	return GetForeignDataWrapper(server->fdwid)->fdwhandler ==
		relations->wrapper_handler;
}

/* Is it in the cache, and therefore a topic? */
static bool
is_cached(Oid relid)
{
	CachedTopic *entry = latest;

	if (entry == NULL || entry->relid != relid)
		entry = cache == NULL ? NULL :
			hash_search(cache, &relid, HASH_FIND, NULL);
	return entry != NULL && entry->topic != NULL;
}

/* Has what was a topic in this transaction not been dropped by it? */
bool
sth_topic_exists(Oid relid)
{
	/* what is dropped is out of the cache when its deletion is done */
	return is_cached(relid) ||
		SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid));
}

/* Opens a relation and makes sure that it is a topic. */
Relation
sth_topic_open(Oid relid, LOCKMODE lockmode)
{
	Relation	rel = relation_open(relid, lockmode);

	if (!is_cached(relid) && !sth_is_topic(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a topic", RelationGetRelationName(rel)),
				 errhint("Topics are foreign tables on a server of the wrapper streamhouse; create_topic() makes them.")));
	return rel;
}

/* Has the user the privileges of its owner?  Also false if it is gone. */
static bool
is_owned(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return false;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return has_privs_of_role(GetUserId(), owner);
}

/* May the user know of a topic: as its owner, or with any privilege on it? */
bool
sth_topic_is_visible(Oid relid)
{
	AclMode		mode = ACL_SELECT | ACL_INSERT;

	if (get_rel_name(relid) == NULL)
		return false;
	return is_owned(relid) ||
		pg_class_aclmask(relid, GetUserId(), mode, ACLMASK_ANY) != 0 ||
		pg_attribute_aclcheck_all(relid, GetUserId(), mode,
								  ACLMASK_ANY) == ACLCHECK_OK;
}

/* Opens a topic for one who may know of it; others do not even get a lock. */
Relation
sth_topic_open_visible(Oid relid)
{
	if (get_rel_name(relid) != NULL && !sth_topic_is_visible(relid))
		aclcheck_error(ACLCHECK_NO_PRIV,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	return sth_topic_open(relid, AccessShareLock);
}

/* Likewise for its owner. */
Relation
sth_topic_open_owned(Oid relid)
{
	if (get_rel_name(relid) != NULL && !is_owned(relid))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	return sth_topic_open(relid, AccessShareLock);
}

static void
load_columns(SthTopic *topic, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		SthColumn  *column;
		SthFrameColumn *in_frame;

		if (att->attisdropped)
			continue;
		switch (sth_assigned_column(NameStr(att->attname)))
		{
			case STH_ASSIGNED_PARTITION:
				topic->partition_attnum = att->attnum;
				continue;
			case STH_ASSIGNED_OFFSET:
				topic->offset_attnum = att->attnum;
				continue;
			case STH_ASSIGNED_TIME:
				topic->time_attnum = att->attnum;
				continue;
			case STH_NOT_ASSIGNED:
				break;
		}
		column = &topic->columns[topic->ncolumns++];
		column->attnum = att->attnum;
		column->type = att->atttypid;
		column->typmod = att->atttypmod;
		column->layout = sth_attribute_layout(att);
		column->is_domain = get_typtype(att->atttypid) == TYPTYPE_DOMAIN;
		in_frame = &topic->frame_columns[column - topic->columns];
		in_frame->attnum = att->attnum;
		in_frame->type = att->atttypid;
		in_frame->typmod = att->atttypmod;
	}
}

/* Number and key from streamhouse.topic; false if it is not there. */
static bool
load_topic_row(Oid relid, Snapshot snapshot, int32 *topic_id,
			   AttrNumber *key_attnum)
{
	const SthRelations *relations = sth_relations();
	SthCatalogScan *scan;
	HeapTuple	tuple;

	scan = sth_catalog_begin(relations->topic, relations->topic_relid_idx,
							 AccessShareLock, snapshot, Anum_sth_topic_relid,
							 ObjectIdGetDatum(relid), OIDOID);
	tuple = sth_catalog_next(scan);
	if (tuple != NULL)
	{
		FormData_sth_topic *form = (FormData_sth_topic *) GETSTRUCT(tuple);

		*topic_id = form->topic_id;
		*key_attnum = form->key_attnum;
	}
	sth_catalog_end(scan);
	return tuple != NULL;
}

/* Log numbers by partition, as int32s; their places follow from the order. */
static List *
load_log_ids(int32 topic_id, Snapshot snapshot)
{
	const SthRelations *relations = sth_relations();
	List	   *log_ids = NIL;
	SthCatalogScan *scan;
	HeapTuple	tuple;

	scan = sth_catalog_begin(relations->log, relations->log_topic_idx,
							 AccessShareLock, snapshot, Anum_sth_log_topic_id,
							 Int32GetDatum(topic_id), INT4OID);
	while ((tuple = sth_catalog_next(scan)) != NULL)
	{
		FormData_sth_log *form = (FormData_sth_log *) GETSTRUCT(tuple);

		if (form->partition != list_length(log_ids))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("topic %d has no log for partition %d",
							topic_id, list_length(log_ids))));
		log_ids = lappend_int(log_ids, form->log_id);
	}
	sth_catalog_end(scan);
	return log_ids;
}

static void
load_options(SthTopic *topic)
{
	ForeignTable *table = GetForeignTable(topic->relid);
	SthTopicOptions options;

	sth_options_parse(table->options, &options);
	topic->segment_size = options.segment_size;
	topic->flush_interval = options.flush_interval;
	topic->compression = options.compression;
	topic->server = table->serverid;
}

static SthTopic *
load_topic(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Snapshot	snapshot = sth_fresh_snapshot();
	int32		topic_id;
	AttrNumber	key_attnum;
	List	   *log_ids;
	ListCell   *lc;
	Size		size;
	SthTopic   *topic;

	if (!load_topic_row(RelationGetRelid(rel), snapshot, &topic_id, &key_attnum))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("topic \"%s\" is not registered",
						RelationGetRelationName(rel)),
				 errhint("Drop the foreign table and create it again.")));
	log_ids = load_log_ids(topic_id, snapshot);
	UnregisterSnapshot(snapshot);

	size = MAXALIGN(sizeof(SthTopic)) +
		MAXALIGN(desc->natts * sizeof(SthColumn)) +
		MAXALIGN(desc->natts * sizeof(SthFrameColumn)) +
		list_length(log_ids) * sizeof(int32);
	topic = palloc0(size);
	topic->size = size;
	topic->relid = RelationGetRelid(rel);
	topic->topic_id = topic_id;
	topic->columns = (SthColumn *) ((char *) topic + MAXALIGN(sizeof(SthTopic)));
	topic->frame_columns = (SthFrameColumn *) ((char *) topic->columns +
											   MAXALIGN(desc->natts * sizeof(SthColumn)));
	load_columns(topic, desc);
	load_options(topic);
	topic->key_attnum = key_attnum;
	if (key_attnum != 0)
		topic->key_type = getBaseType(TupleDescAttr(desc, key_attnum - 1)->atttypid);
	topic->log_ids = (int32 *) ((char *) topic->frame_columns +
								MAXALIGN(desc->natts * sizeof(SthFrameColumn)));
	foreach(lc, log_ids)
		topic->log_ids[topic->npartitions++] = lfirst_int(lc);
	return topic;
}

/* A copy in the current memory context. */
static SthTopic *
copy_topic(const SthTopic *topic, MemoryContext context)
{
	SthTopic   *copy = MemoryContextAlloc(context, topic->size);

	memcpy(copy, topic, topic->size);
	copy->columns = (SthColumn *) ((char *) copy +
								   ((char *) topic->columns - (char *) topic));
	copy->frame_columns = (SthFrameColumn *) ((char *) copy +
											  ((char *) topic->frame_columns - (char *) topic));
	copy->log_ids = (int32 *) ((char *) copy +
							   ((char *) topic->log_ids - (char *) topic));
	copy->nholders = 0;
	copy->is_cached = false;
	return copy;
}

static CachedTopic *
find_entry(Oid relid)
{
	CachedTopic *entry;
	bool		found;

	if (latest != NULL && latest->relid == relid)
		return latest;
	if (cache == NULL)
	{
		HASHCTL		info = {0};

		cache_context = AllocSetContextCreate(CacheMemoryContext,
											  "streamhouse topics",
											  ALLOCSET_SMALL_SIZES);
		info.keysize = sizeof(Oid);
		info.entrysize = sizeof(CachedTopic);
		info.hcxt = cache_context;
		cache = hash_create("streamhouse topics", 64, &info,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(cache, &relid, HASH_ENTER, &found);
	if (!found)
		entry->topic = NULL;
	latest = entry;
	return entry;
}

/* The cached topic of an open relation, loaded if need be. */
static SthTopic *
get_cached(Relation rel)
{
	CachedTopic *entry = find_entry(RelationGetRelid(rel));

	if (entry->topic == NULL)
	{
		SthTopic   *topic = load_topic(rel);

		/* loading may have processed invalidations: look the entry up anew */
		entry = find_entry(RelationGetRelid(rel));
		if (entry->topic != NULL)
			discard(entry->topic);
		entry->topic = NULL;
		entry->topic = copy_topic(topic, cache_context);
		entry->topic->is_cached = true;
		pfree(topic);
	}
	return entry->topic;
}

/*
 * The topic that an open relation is, as a copy in the current memory
 * context.
 */
SthTopic *
sth_topic_get(Relation rel)
{
	return copy_topic(get_cached(rel), CurrentMemoryContext);
}

/*
 * Likewise, without a copy: not to be changed, and to be released.  It is the
 * same one as long as nothing about the topic changes.
 */
SthTopic *
sth_topic_hold(Relation rel)
{
	SthTopic   *topic = get_cached(rel);

	topic->nholders++;
	return topic;
}

/* Must not fail. */
void
sth_topic_release(SthTopic *topic)
{
	Assert(topic->nholders > 0);
	if (--topic->nholders == 0 && !topic->is_cached)
		pfree(topic);
}

/* Have they the same stored columns? */
bool
sth_topic_columns_equal(const SthTopic *a, const SthTopic *b)
{
	if (a->ncolumns != b->ncolumns)
		return false;
	for (int i = 0; i < a->ncolumns; i++)
		if (a->columns[i].attnum != b->columns[i].attnum ||
			a->columns[i].type != b->columns[i].type ||
			a->columns[i].typmod != b->columns[i].typmod)
			return false;
	return true;
}

/* Raises an error unless the topic, of this name, has the partition. */
void
sth_topic_check_partition(const SthTopic *topic, const char *name,
						  int partition)
{
	if (partition < 0 || partition >= topic->npartitions)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition %d of topic \"%s\" does not exist",
						partition, name),
				 errdetail("The topic has partitions 0 to %d.",
						   topic->npartitions - 1)));
}

/* The first offset that a log still has. */
int64
sth_log_start_offset(int32 log_id, Snapshot snapshot)
{
	const SthRelations *relations = sth_relations();
	SthCatalogScan *scan;
	HeapTuple	tuple;
	int64		start = 0;

	scan = sth_catalog_begin(relations->log, relations->log_pkey,
							 AccessShareLock, snapshot, Anum_sth_log_log_id,
							 Int32GetDatum(log_id), INT4OID);
	tuple = sth_catalog_next(scan);
	if (tuple != NULL)
		start = ((FormData_sth_log *) GETSTRUCT(tuple))->start_offset;
	sth_catalog_end(scan);
	return start;
}

/*
 * The foreign table of a topic, as it is now; InvalidOid if there is no such
 * topic.
 */
Oid
sth_topic_relid(int32 topic_id)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;
	Oid			relid = InvalidOid;

	scan = sth_catalog_begin(relations->topic, relations->topic_pkey,
							 AccessShareLock, snapshot, Anum_sth_topic_topic_id,
							 Int32GetDatum(topic_id), INT4OID);
	tuple = sth_catalog_next(scan);
	if (tuple != NULL)
		relid = ((FormData_sth_topic *) GETSTRUCT(tuple))->relid;
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
	return relid;
}

/*
 * Likewise of the topic that a log is a partition of; that topic's number, and
 * which partition, go where who wants to know says.
 */
Oid
sth_log_relid(int32 log_id, int32 *topic, int *partition)
{
	const SthRelations *relations = sth_relations();
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan;
	HeapTuple	tuple;
	int32		topic_id = 0;

	scan = sth_catalog_begin(relations->log, relations->log_pkey,
							 AccessShareLock, snapshot, Anum_sth_log_log_id,
							 Int32GetDatum(log_id), INT4OID);
	tuple = sth_catalog_next(scan);
	if (tuple != NULL)
	{
		FormData_sth_log *form = (FormData_sth_log *) GETSTRUCT(tuple);

		topic_id = form->topic_id;
		if (partition != NULL)
			*partition = form->partition;
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
	if (topic != NULL)
		*topic = topic_id;
	return topic_id != 0 ? sth_topic_relid(topic_id) : InvalidOid;
}
