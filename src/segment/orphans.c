/*-------------------------------------------------------------------------
 *
 * orphans.c
 *	  What is kept of objects that nothing refers to.
 *
 * An object comes with its segments and goes with the last one, and so do the
 * bytes that the database keeps of it.  What is left over does no harm but for
 * the room that it takes.  Two transactions that each remove one of the last
 * two segments of an object leave it until a worker starts; anything else is
 * damage, or was done by hand.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/objects.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "catalog/segments.h"
#include "miscadmin.h"
#include "segment/orphans.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

/* The leading column of object_data and its index. */
#define ANUM_DATA_OBJECT_ID 1

/* Has the object a row in a table, by the leading column of an index? */
static bool
has_row(Oid relid, Oid index, int attnum, int64 object_id, Snapshot snapshot)
{
	SthCatalogScan *scan = sth_catalog_begin(relid, index, AccessShareLock,
											 snapshot, attnum,
											 Int64GetDatum(object_id), INT8OID);
	bool		found = sth_catalog_next(scan) != NULL;

	sth_catalog_end(scan);
	return found;
}

/* Adds the objects that are said to be in use, and that no segment is in. */
static List *
find_unused(List *problems, Snapshot snapshot)
{
	const SthRelations *relations = sth_relations();
	Relation	rel = table_open(relations->object, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0,
										  NULL);
	HeapTuple	tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
	{
		FormData_sth_object *object = (FormData_sth_object *) GETSTRUCT(tuple);

		CHECK_FOR_INTERRUPTS();
		if (object->state == STH_OBJECT_LIVE &&
			!sth_segments_use(object->object_id, snapshot))
			problems = lappend(problems,
							   psprintf("object %lld is in use by no segment",
										(long long) object->object_id));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return problems;
}

/* The first object after this one that the database keeps bytes of. */
static bool
next_kept(Relation rel, Relation index, Snapshot snapshot, int64 *object_id)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, ANUM_DATA_OBJECT_ID, BTGreaterStrategyNumber, F_INT8GT,
				Int64GetDatum(*object_id));
	scan = systable_beginscan_ordered(rel, index, snapshot, 1, &key);
	tuple = systable_getnext_ordered(scan, ForwardScanDirection);
	if (tuple != NULL)
		*object_id = *(int64 *) GETSTRUCT(tuple);
	systable_endscan_ordered(scan);
	return tuple != NULL;
}

/* Adds the objects of which there are bytes only. */
static List *
find_unknown(List *problems, Snapshot snapshot)
{
	const SthRelations *relations = sth_relations();
	Relation	rel = table_open(relations->object_data, AccessShareLock);
	Relation	index = index_open(relations->object_data_pkey, AccessShareLock);
	int64		object_id = PG_INT64_MIN;

	while (next_kept(rel, index, snapshot, &object_id))
	{
		CHECK_FOR_INTERRUPTS();
		if (!has_row(relations->object, relations->object_pkey,
					 Anum_sth_object_object_id, object_id, snapshot))
			problems = lappend(problems,
							   psprintf("bytes of object %lld are kept, which is not known",
										(long long) object_id));
	}
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return problems;
}

/* What is left over, as the snapshot shows it: a list of texts. */
List *
sth_orphans_find(Snapshot snapshot)
{
	return find_unknown(find_unused(NIL, snapshot), snapshot);
}
