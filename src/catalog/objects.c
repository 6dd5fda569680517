/*-------------------------------------------------------------------------
 *
 * objects.c
 *	  What streamhouse.object says.
 *
 * An object in the database has a row for as long as a segment is in it.  Of
 * one in a bucket the row is the ledger: it is there before the first byte is
 * sent and goes after the object has.
 *
 *		uploading ──► live ──► garbage ──► gone
 *			└───────► orphan ─────────────► gone
 *
 * One in a bucket is live when all of its segments are known.  While it is
 * uploading some may be, if the topics of others were locked: so what is given
 * up becomes live if a segment is in it.
 *
 * A live object goes with its last segment.  Two transactions that each delete
 * one of the last two segments see the other's still there, and leave it: the
 * worker looks for such objects when it starts, and now and then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "base/compat.h"
#include "catalog/indexing.h"
#include "catalog/objects.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "catalog/segments.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

static SthCatalogScan *
begin_scan(int64 object_id, LOCKMODE lockmode, Snapshot snapshot)
{
	const SthRelations *relations = sth_relations();

	return sth_catalog_begin(relations->object, relations->object_pkey,
							 lockmode, snapshot, Anum_sth_object_object_id,
							 Int64GetDatum(object_id), INT8OID);
}

/* What is known of an object; false if there is none of this number. */
bool
sth_object_find(int64 object_id, Snapshot snapshot,
				FormData_sth_object *object)
{
	SthCatalogScan *scan = begin_scan(object_id, AccessShareLock, snapshot);
	HeapTuple	tuple = sth_catalog_next(scan);

	if (tuple != NULL)
		memcpy(object, GETSTRUCT(tuple),
			   offsetof(FormData_sth_object, state) + 1);
	sth_catalog_end(scan);
	return tuple != NULL;
}

static char *
get_key(Relation rel, HeapTuple tuple)
{
	bool		isnull;
	Datum		key = heap_getattr(tuple, Anum_sth_object_key,
								   RelationGetDescr(rel), &isnull);

	return isnull ? NULL : TextDatumGetCString(key);
}

/* The key of an object; NULL if it is not known, or in the database. */
char *
sth_object_key(int64 object_id, Snapshot snapshot)
{
	SthCatalogScan *scan = begin_scan(object_id, AccessShareLock, snapshot);
	HeapTuple	tuple = sth_catalog_next(scan);
	char	   *key = NULL;

	if (tuple != NULL)
		key = get_key(sth_catalog_relation(scan), tuple);
	sth_catalog_end(scan);
	return key;
}

/* 'key' is NULL if it is in the database. */
void
sth_object_insert(const FormData_sth_object *object, const char *key)
{
	Relation	rel = table_open(sth_relations()->object, RowExclusiveLock);
	Datum		values[Natts_sth_object];
	bool		isnull[Natts_sth_object] = {0};
	HeapTuple	tuple;

	values[Anum_sth_object_object_id - 1] = Int64GetDatum(object->object_id);
	values[Anum_sth_object_size - 1] = Int64GetDatum(object->size);
	values[Anum_sth_object_written_at - 1] = TimestampTzGetDatum(object->written_at);
	values[Anum_sth_object_changed_at - 1] = TimestampTzGetDatum(object->changed_at);
	values[Anum_sth_object_server - 1] = ObjectIdGetDatum(object->server);
	values[Anum_sth_object_state - 1] = CharGetDatum(object->state);
	if (key != NULL)
		values[Anum_sth_object_key - 1] = CStringGetTextDatum(key);
	else
		isnull[Anum_sth_object_key - 1] = true;
	tuple = heap_form_tuple(RelationGetDescr(rel), values, isnull);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}

static void
set_state(Relation rel, HeapTuple tuple, char state)
{
	FormData_sth_object *form;

	tuple = heap_copytuple(tuple);
	form = (FormData_sth_object *) GETSTRUCT(tuple);
	form->state = state;
	form->changed_at = GetCurrentTimestamp();
	CatalogTupleUpdate(rel, &tuple->t_self, tuple);
	heap_freetuple(tuple);
}

/* Changes the state of an object; false if it is another, or there is none. */
bool
sth_object_change(int64 object_id, char from, char to)
{
	Snapshot	snapshot;
	SthCatalogScan *scan;
	HeapTuple	tuple;
	bool		changed = false;

	CommandCounterIncrement();
	snapshot = sth_fresh_snapshot();
	scan = begin_scan(object_id, RowExclusiveLock, snapshot);
	tuple = sth_catalog_next(scan);
	if (tuple != NULL &&
		((FormData_sth_object *) GETSTRUCT(tuple))->state == from)
	{
		set_state(sth_catalog_relation(scan), tuple, to);
		changed = true;
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
	return changed;
}

/*
 * Forgets a live object if, as far as this transaction sees, no segment is in
 * it any more: one in a bucket becomes garbage.  True if it was in the
 * database, and its bytes are the caller's to delete.
 */
bool
sth_object_forget_unused(int64 object_id)
{
	Snapshot	snapshot;
	SthCatalogScan *scan;
	HeapTuple	tuple;
	bool		in_database = false;

	CommandCounterIncrement();
	snapshot = sth_fresh_snapshot();
	scan = begin_scan(object_id, RowExclusiveLock, snapshot);
	tuple = sth_catalog_next(scan);
	if (tuple != NULL &&
		((FormData_sth_object *) GETSTRUCT(tuple))->state == STH_OBJECT_LIVE &&
		!sth_segments_use(object_id, snapshot))
	{
		Relation	rel = sth_catalog_relation(scan);

		in_database = get_key(rel, tuple) == NULL;
		if (in_database)
			CatalogTupleDelete(rel, &tuple->t_self);
		else
			set_state(rel, tuple, STH_OBJECT_GARBAGE);
	}
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
	return in_database;
}

/* Deletes the row of an object. */
void
sth_object_delete(int64 object_id)
{
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan = begin_scan(object_id, RowExclusiveLock, snapshot);
	HeapTuple	tuple;

	while ((tuple = sth_catalog_next(scan)) != NULL)
		CatalogTupleDelete(sth_catalog_relation(scan), &tuple->t_self);
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
}

/* Calls back for every object, until that returns false. */
static void
for_each_object(LOCKMODE lockmode,
				bool (*callback) (Relation rel, HeapTuple tuple,
								  Snapshot snapshot, void *arg),
				void *arg)
{
	Relation	rel = table_open(sth_relations()->object, lockmode);
	Snapshot	snapshot = sth_fresh_snapshot();
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0,
										  NULL);
	HeapTuple	tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (!callback(rel, tuple, snapshot, arg))
			break;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}

static bool
list_unused(Relation rel, HeapTuple tuple, Snapshot snapshot, void *arg)
{
	FormData_sth_object *form = (FormData_sth_object *) GETSTRUCT(tuple);

	if (form->state == STH_OBJECT_LIVE &&
		!sth_segments_use(form->object_id, snapshot))
	{
		int64	   *item = palloc(sizeof(int64));

		*item = form->object_id;
		*(List **) arg = lappend(*(List **) arg, item);
	}
	return true;
}

/* All live objects that no segment is in, as a list of int64s. */
List *
sth_objects_unused(void)
{
	List	   *objects = NIL;

	for_each_object(AccessShareLock, list_unused, &objects);
	return objects;
}

/* An upload is over before all segments of the object were made known. */
static bool
give_up(Relation rel, HeapTuple tuple, Snapshot snapshot, void *arg)
{
	FormData_sth_object *form = (FormData_sth_object *) GETSTRUCT(tuple);

	if (form->state == STH_OBJECT_UPLOADING)
		set_state(rel, tuple, sth_segments_use(form->object_id, snapshot) ?
				  STH_OBJECT_LIVE : STH_OBJECT_ORPHAN);
	return true;
}

/* The worker cannot go on with an object. */
void
sth_object_give_up(int64 object_id)
{
	Snapshot	snapshot = sth_fresh_snapshot();
	SthCatalogScan *scan = begin_scan(object_id, RowExclusiveLock, snapshot);
	HeapTuple	tuple = sth_catalog_next(scan);

	if (tuple != NULL)
		(void) give_up(sth_catalog_relation(scan), tuple, snapshot, NULL);
	sth_catalog_end(scan);
	UnregisterSnapshot(snapshot);
}

/* What is uploading is not any more: nobody is there to do it. */
void
sth_objects_give_up(void)
{
	for_each_object(RowExclusiveLock, give_up, NULL);
}

static bool
is_in_bucket(Relation rel, HeapTuple tuple)
{
	return !heap_attisnull(tuple, Anum_sth_object_key, RelationGetDescr(rel));
}

static bool
list_server(Relation rel, HeapTuple tuple, Snapshot snapshot, void *arg)
{
	if (is_in_bucket(rel, tuple))
		*(List **) arg = list_append_unique_oid(*(List **) arg,
												((FormData_sth_object *) GETSTRUCT(tuple))->server);
	return true;
}

/* The servers that have objects in buckets, or may have. */
List *
sth_objects_servers(void)
{
	List	   *servers = NIL;

	for_each_object(AccessShareLock, list_server, &servers);
	return servers;
}

/* Some objects of a server, and what was done to them. */
typedef struct ServerObjects
{
	Oid			server;
	int			n;
} ServerObjects;

static bool
count_object(Relation rel, HeapTuple tuple, Snapshot snapshot, void *arg)
{
	ServerObjects *objects = arg;

	if (((FormData_sth_object *) GETSTRUCT(tuple))->server == objects->server)
		objects->n++;
	return objects->n == 0;
}

/* Has a server any objects, in a bucket or in the database? */
bool
sth_server_has_objects(Oid server)
{
	ServerObjects objects = {server, 0};

	for_each_object(AccessShareLock, count_object, &objects);
	return objects.n > 0;
}

static bool
forget_object(Relation rel, HeapTuple tuple, Snapshot snapshot, void *arg)
{
	ServerObjects *objects = arg;

	if (((FormData_sth_object *) GETSTRUCT(tuple))->server == objects->server)
	{
		CatalogTupleDelete(rel, &tuple->t_self);
		objects->n++;
	}
	return true;
}

/* Deletes the rows of a server that is gone; returns their number. */
int
sth_objects_forget_server(Oid server)
{
	ServerObjects objects = {server, 0};

	for_each_object(RowExclusiveLock, forget_object, &objects);
	return objects.n;
}

typedef struct DeadObjects
{
	List	   *objects;
	int			max;
	Oid			server;
	TransactionId horizon;		/* nobody sees what was before this */
	SthMayDelete may_delete;
	void	   *arg;
} DeadObjects;

static bool
list_dead(Relation rel, HeapTuple tuple, Snapshot snapshot, void *arg)
{
	DeadObjects *dead = arg;
	FormData_sth_object *form = (FormData_sth_object *) GETSTRUCT(tuple);
	SthDeadObject *item;
	char	   *key;

	if (form->server != dead->server ||
		(form->state != STH_OBJECT_ORPHAN &&
		 (form->state != STH_OBJECT_GARBAGE ||
		  !TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple->t_data),
								 dead->horizon))) ||
		(key = get_key(rel, tuple)) == NULL)
		return true;
	if (!dead->may_delete(key, form->state, form->changed_at, dead->arg))
	{
		pfree(key);
		return true;
	}
	item = palloc(sizeof(SthDeadObject));
	item->object_id = form->object_id;
	item->key = key;
	item->is_orphan = form->state == STH_OBJECT_ORPHAN;
	dead->objects = lappend(dead->objects, item);
	return list_length(dead->objects) < dead->max;
}

/*
 * Objects in the bucket of a server that nobody needs any more, as
 * SthDeadObjects: uploads given up, and garbage, in which no transaction that
 * is still on can see a segment.  'may_delete' says of each whether it may be
 * one.
 */
List *
sth_objects_dead(Oid server, SthMayDelete may_delete, void *arg, int max)
{
	DeadObjects dead = {NIL, max, server, 0, may_delete, arg};
	Relation	rel = table_open(sth_relations()->object, AccessShareLock);

	dead.horizon = GetOldestNonRemovableTransactionId(rel);
	for_each_object(AccessShareLock, list_dead, &dead);
	table_close(rel, NoLock);
	return dead.objects;
}
