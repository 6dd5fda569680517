/*-------------------------------------------------------------------------
 *
 * signature.c
 *	  What columns a topic had, to see what an ALTER has changed.
 *
 * Rows that are stored do not follow an ALTER.  Where they can be read
 * through it nevertheless (a column added, renamed, dropped) it is let
 * through; where not, it is refused on a topic that has rows.
 *
 * A signature is a sequence of varints, four for each column that is not
 * dropped: attribute number, flags, type, modifier.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "catalog/pg_type.h"
#include "catalog/topic.h"
#include "codec/varint.h"
#include "ddl/ddl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define COLUMN_NOT_NULL 0x01
#define COLUMN_ASSIGNED 0x02	/* by the log: _partition, _offset, _timestamp */

typedef struct SignatureColumn
{
	uint64_t	attnum;
	uint64_t	flags;
	uint64_t	type;
	uint64_t	typmod;
} SignatureColumn;

static SignatureColumn
describe_column(Form_pg_attribute att)
{
	SignatureColumn column;

	column.attnum = att->attnum;
	column.flags = (att->attnotnull ? COLUMN_NOT_NULL : 0) |
		(sth_assigned_column(NameStr(att->attname)) ? COLUMN_ASSIGNED : 0);
	column.type = att->atttypid;
	column.typmod = sth_zigzag(att->atttypmod);
	return column;
}

bytea *
sth_signature_make(TupleDesc desc)
{
	bytea	   *signature = palloc(VARHDRSZ + desc->natts * 4 * STH_VARINT_MAX);
	uint8_t    *p = (uint8_t *) VARDATA(signature);

	for (int i = 0; i < desc->natts; i++)
	{
		SignatureColumn column;

		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		column = describe_column(TupleDescAttr(desc, i));
		p = sth_varint_put(p, column.attnum);
		p = sth_varint_put(p, column.flags);
		p = sth_varint_put(p, column.type);
		p = sth_varint_put(p, column.typmod);
	}
	SET_VARSIZE(signature, p - (uint8_t *) signature);
	return signature;
}

/* The column of a signature with this number; false if it has none. */
static bool
find_column(const bytea *signature, int attnum, SignatureColumn *column)
{
	const uint8_t *p = (const uint8_t *) VARDATA_ANY(signature);
	const uint8_t *end = p + VARSIZE_ANY_EXHDR(signature);

	while (p < end)
	{
		if ((p = sth_varint_get(p, end, &column->attnum)) == NULL ||
			(p = sth_varint_get(p, end, &column->flags)) == NULL ||
			(p = sth_varint_get(p, end, &column->type)) == NULL ||
			(p = sth_varint_get(p, end, &column->typmod)) == NULL)
			elog(ERROR, "malformed signature of a topic");
		if (column->attnum == (uint64_t) attnum)
			return true;
	}
	return false;
}

static void
refuse(Relation rel, const char *what, const char *column, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot %s column \"%s\" of topic \"%s\", which has rows",
					what, column, RelationGetRelationName(rel)),
			 errdetail("Rows of a topic are never rewritten."),
			 errhint("%s", hint)));
}

static void
check_column(Relation rel, Form_pg_attribute att, const bytea *before)
{
	const char *name = NameStr(att->attname);
	SignatureColumn old;
	SignatureColumn new = describe_column(att);
	bool		newly_not_null;

	if (!find_column(before, att->attnum, &old))
	{
		old = new;
		old.flags &= ~(uint64_t) COLUMN_NOT_NULL;
		/* the rows there are will have NULL in it */
		if (get_typtype(att->atttypid) == TYPTYPE_DOMAIN)
			domain_check((Datum) 0, true, att->atttypid, NULL, NULL);
	}
	if ((old.flags ^ new.flags) & COLUMN_ASSIGNED)
		refuse(rel, "rename", name,
			   "Names of columns that the log assigns are fixed; a view can show them under others.");
	if (old.type != new.type || old.typmod != new.typmod)
		refuse(rel, "change the type of", name,
			   "Add a column of the new type, or create another topic.");
	newly_not_null = (new.flags & ~old.flags & COLUMN_NOT_NULL) != 0;
	if (newly_not_null && !(new.flags & COLUMN_ASSIGNED))
		refuse(rel, "require a value in", name,
			   "Require it by a CHECK constraint that is NOT VALID, which only new rows are held to.");
}

/*
 * Refuses what an ALTER has done to the columns of a topic with rows, if
 * those rows could not be read any more.
 */
void
sth_signature_check_change(Relation rel, const bytea *before)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		SignatureColumn old;

		if (!att->attisdropped)
			check_column(rel, att, before);
		else if (find_column(before, att->attnum, &old) &&
				 (old.flags & COLUMN_ASSIGNED))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot drop a column that the log assigns from topic \"%s\", which has rows",
							RelationGetRelationName(rel)),
					 errhint("A view can leave the column out.")));
	}
}
