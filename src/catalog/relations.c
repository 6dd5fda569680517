/*-------------------------------------------------------------------------
 *
 * relations.c
 *	  The extension's own tables: where they are and how their rows look.
 *
 * OIDs are looked up by name once and kept until the schema or one of the
 * tables changes (DROP and CREATE EXTENSION make new ones).
 *
 * These tables are user tables to PostgreSQL: they are read under a snapshot
 * that the caller names, never under one that a catalog scan would take by
 * itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "catalog/relations.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

struct SthCatalogScan
{
	Relation	relation;
	Relation	index;
	LOCKMODE	lockmode;
	SysScanDesc scan;
};

/* Where in SthRelations which relation's OID goes. */
#define RELATION(name) {#name, offsetof(SthRelations, name)}

static const struct
{
	const char *name;
	Size		offset;
}			names[] =

{
	RELATION(topic), RELATION(topic_pkey), RELATION(topic_relid_idx),
	RELATION(topic_id_seq), RELATION(log), RELATION(log_pkey),
	RELATION(log_topic_idx), RELATION(log_id_seq), RELATION(tail),
	RELATION(tail_idx), RELATION(stage_id_seq), RELATION(object),
	RELATION(object_pkey), RELATION(object_id_seq), RELATION(object_data),
	RELATION(object_data_pkey), RELATION(segment), RELATION(segment_pkey),
	RELATION(segment_object_idx), RELATION(consumer_group),
	RELATION(consumer_group_pkey), RELATION(consumer_group_name_idx),
	RELATION(group_id_seq), RELATION(position), RELATION(position_idx),
};

static SthRelations relations;
static bool relations_valid = false;
static uint64 invalidations = 0;

static void
forget_relation(Datum arg, Oid relid)
{
	invalidations++;
	if (relid == InvalidOid || relid == relations.topic ||
		relid == relations.log || relid == relations.tail ||
		relid == relations.object || relid == relations.object_data ||
		relid == relations.segment || relid == relations.consumer_group ||
		relid == relations.position)
		relations_valid = false;
}

static void
forget_schema(Datum arg, int cacheid, uint32 hashvalue)
{
	relations_valid = false;
	invalidations++;
}

/* Registers the callbacks; called once a process, from _PG_init. */
void
sth_relations_init(void)
{
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget_schema, (Datum) 0);
}

/*
 * Does a schema belong to the extension?  What is in it can be trusted then;
 * anybody may make a schema of the name where the extension is not.
 */
static bool
is_ours(Oid schema)
{
	Oid			extension;

	if (!OidIsValid(schema))
		return false;
	extension = get_extension_oid("streamhouse", true);
	return OidIsValid(extension) &&
		getExtensionOfObject(NamespaceRelationId, schema) == extension;
}

/*
 * The OIDs, or NULL if the extension is not in this database (or on its way
 * in or out).
 */
const SthRelations *
sth_relations_if_exist(void)
{
	SthRelations r;
	oidvector  *no_args;
	uint64		before = invalidations;

	if (relations_valid)
		return &relations;

	memset(&r, 0, sizeof(r));
	r.schema = get_namespace_oid(STH_SCHEMA, true);
	if (!is_ours(r.schema))
		return NULL;
	no_args = buildoidvector(NULL, 0);
	r.wrapper_handler = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
										CStringGetDatum("fdw_handler"),
										PointerGetDatum(no_args),
										ObjectIdGetDatum(r.schema));
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		Oid			oid = get_relname_relid(names[i].name, r.schema);

		if (!OidIsValid(oid))
			return NULL;
		*(Oid *) ((char *) &r + names[i].offset) = oid;
	}
	if (!OidIsValid(r.wrapper_handler))
		return NULL;
	relations = r;
	/* what was invalidated while we looked is looked up again next time */
	relations_valid = invalidations == before;
	return &relations;
}

const SthRelations *
sth_relations(void)
{
	const SthRelations *r = sth_relations_if_exist();

	if (r == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the extension streamhouse is not installed in this database"),
				 errhint("Run CREATE EXTENSION streamhouse.")));
	return r;
}

/*
 * A new snapshot, registered, that shows all that is committed now and what
 * the transaction's earlier commands have done.  Not GetLatestSnapshot, which
 * fails in the leader of a parallel query.
 */
Snapshot
sth_fresh_snapshot(void)
{
	/* of a table without a system cache it is taken anew each time */
	return RegisterSnapshot(GetCatalogSnapshot(sth_relations()->tail));
}

/*
 * Begins a scan of the rows whose column 'attnum', the leading one of
 * 'index', equals 'value', of 'type' int4, int8 or oid; in the index's order.
 */
SthCatalogScan *
sth_catalog_begin(Oid relid, Oid index, LOCKMODE lockmode, Snapshot snapshot,
				  int attnum, Datum value, Oid type)
{
	SthCatalogScan *scan = palloc(sizeof(SthCatalogScan));
	ScanKeyData key;

	ScanKeyInit(&key, attnum, BTEqualStrategyNumber,
				type == OIDOID ? F_OIDEQ :
				type == INT8OID ? F_INT8EQ : F_INT4EQ, value);
	scan->lockmode = lockmode;
	scan->relation = table_open(relid, lockmode);
	scan->index = index_open(index, lockmode);
	scan->scan = systable_beginscan_ordered(scan->relation, scan->index,
											snapshot, 1, &key);
	return scan;
}

/* The next row, or NULL; it lasts until the next call. */
HeapTuple
sth_catalog_next(SthCatalogScan *scan)
{
	return systable_getnext_ordered(scan->scan, ForwardScanDirection);
}

Relation
sth_catalog_relation(SthCatalogScan *scan)
{
	return scan->relation;
}

/* Ends a scan; a lock stronger than a reader's is kept to the commit. */
void
sth_catalog_end(SthCatalogScan *scan)
{
	LOCKMODE	unlock = scan->lockmode == AccessShareLock ? AccessShareLock : NoLock;

	systable_endscan_ordered(scan->scan);
	index_close(scan->index, unlock);
	table_close(scan->relation, unlock);
	pfree(scan);
}
