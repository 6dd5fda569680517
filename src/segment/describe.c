/*-------------------------------------------------------------------------
 *
 * describe.c
 *	  What an object says of the topics that it has rows of.
 *
 * An object is to be understood without the database that it was written in:
 * names, types and options of topics go into its footer, and the labels of
 * enums, whose values are stored as OIDs.
 *
 * Topics have no UUID of their own yet: theirs is made of the cluster's
 * identifier, the OID of the tail, which a new CREATE EXTENSION changes, and
 * their number.
 *
 * Memory: all of it in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "base/compat.h"
#include "catalog/pg_enum.h"
#include "catalog/relations.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "segment/describe.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#define SOFTWARE "streamhouse 0.1.0"

static SthText
make_text(const char *string)
{
	SthText text = {string, (uint32) strlen(string)};

	return text;
}

static void
make_uuid(uint8 *uuid, uint32 a, uint32 b)
{
	uint64		cluster = GetSystemIdentifier();

	memcpy(uuid, &cluster, 8);
	memcpy(uuid + 8, &a, 4);
	memcpy(uuid + 12, &b, 4);
}

static void
describe_options(Oid relid, SthTopicInfo *info)
{
	List	   *options = GetForeignTable(relid)->options;
	SthOption  *out = palloc(Max(list_length(options), 1) * sizeof(SthOption));
	ListCell   *lc;

	info->options = out;
	info->noptions = list_length(options);
	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		out->name = make_text(def->defname);
		out->value = make_text(defGetString(def));
		out++;
	}
}

/* The labels of an enum in their order. */
static void
describe_labels(Oid type, SthColumnInfo *column)
{
	Relation	rel = table_open(EnumRelationId, AccessShareLock);
	Relation	index = index_open(EnumTypIdSortOrderIndexId, AccessShareLock);
	SthEnumLabel *labels = NULL;
	uint32		max = 0;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan_ordered(rel, index, NULL, 1, &key);
	while ((tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_enum form = (Form_pg_enum) GETSTRUCT(tuple);

		if (column->nlabels == max)
		{
			max = Max(max * 2, 16);
			labels = labels == NULL ? palloc(max * sizeof(SthEnumLabel)) :
				repalloc(labels, max * sizeof(SthEnumLabel));
		}
		labels[column->nlabels].oid = form->oid;
		labels[column->nlabels].name = make_text(pstrdup(NameStr(form->enumlabel)));
		column->nlabels++;
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	column->labels = labels;
}

static void
describe_column(Form_pg_attribute att, SthColumnInfo *column)
{
	column->column.attnum = att->attnum;
	column->column.type = att->atttypid;
	column->column.typmod = att->atttypmod;
	column->column.layout = sth_attribute_layout(att);
	column->base_type = getBaseType(att->atttypid);
	column->name = make_text(pstrdup(NameStr(att->attname)));
	column->type_name = make_text(format_type_with_typemod(att->atttypid,
														   att->atttypmod));
	if (att->attnotnull)
		column->flags |= STH_COLUMN_NOT_NULL;
	if (sth_assigned_column(NameStr(att->attname)) != STH_NOT_ASSIGNED)
		column->flags |= STH_COLUMN_ASSIGNED;
	if (get_typtype(column->base_type) == TYPTYPE_ENUM)
		describe_labels(column->base_type, column);
}

/* Describes a topic as it is now. */
void
sth_describe_topic(Relation rel, const SthTopic *topic, SthTopicInfo *info)
{
	TupleDesc	desc = RelationGetDescr(rel);
	SthColumnInfo *columns = palloc0(Max(desc->natts, 1) * sizeof(SthColumnInfo));

	memset(info, 0, sizeof(SthTopicInfo));
	make_uuid(info->topic_id, sth_relations()->tail, (uint32) topic->topic_id);
	info->schema = make_text(get_namespace_name(RelationGetNamespace(rel)));
	info->name = make_text(pstrdup(RelationGetRelationName(rel)));
	describe_options(RelationGetRelid(rel), info);
	info->columns = columns;
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			describe_column(TupleDescAttr(desc, i), &columns[info->ncolumns++]);
}

/* Describes who writes an object, and gives it a UUID. */
void
sth_describe_writer(SthObjectInfo *info)
{
	memset(info, 0, sizeof(SthObjectInfo));
	if (!pg_strong_random(info->object_id, STH_UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	make_uuid(info->incarnation, MyDatabaseId, sth_relations()->tail);
	info->written_at = GetCurrentTimestamp();
	info->pg_major = STH_PG_MAJOR;
	info->encoding = make_text(GetDatabaseEncodingName());
	info->software = make_text(SOFTWARE);
}
