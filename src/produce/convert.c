/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  Arguments of the produce functions as values of a topic's columns.
 *
 * An argument is taken as the literal in an INSERT would be: its text goes
 * through the input function of the column's type, so that lengths, domains
 * and formats are checked as ever.  Where the types are the same nothing is
 * done.  bytea given for another type is text in the database's encoding,
 * which is checked.
 *
 * For a topic without a column "value" the argument is a JSON object whose
 * members are columns by name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/closest.h"
#include "base/compat.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "produce/convert.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

struct SthJsonRow
{
	TupleDesc	desc;
	const char *topic;
	Oid			from;
	Datum		empty;			/* a row of NULLs */
	FmgrInfo	populate;		/* jsonb_populate_record */
	Datum	   *values;
	bool	   *isnull;
};

void
sth_conversion_init(SthConversion *conversion, Oid from,
					Form_pg_attribute column)
{
	Oid			input;

	conversion->from = from;
	conversion->to = column->atttypid;
	conversion->typmod = column->atttypmod;
	conversion->direct = from == column->atttypid && column->atttypmod == -1;
	if (conversion->direct)
		return;
	getTypeInputInfo(column->atttypid, &input, &conversion->ioparam);
	fmgr_info(input, &conversion->input);
}

/* The text of an argument, as a string in the database's encoding. */
static char *
argument_text(Oid type, Datum value)
{
	struct varlena *bytes;

	switch (type)
	{
		case JSONBOID:
			{
				Jsonb	   *jsonb = DatumGetJsonbP(value);

				return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
			}
		case BYTEAOID:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			(void) pg_verifymbstr(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
								  false);
			return pnstrdup(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
		default:
			return TextDatumGetCString(value);
	}
}

Datum
sth_convert(SthConversion *conversion, Datum value)
{
	if (conversion->direct)
		return value;
	/* bytes for a domain over bytea or the like are not text */
	if (conversion->from == BYTEAOID && getBaseType(conversion->to) == BYTEAOID)
	{
		bytea	   *bytes = DatumGetByteaPP(value);
		char	   *hex = palloc(2 * VARSIZE_ANY_EXHDR(bytes) + 3);

		memcpy(hex, "\\x", 2);
		hex[2 + hex_encode(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
						   hex + 2)] = '\0';
		return InputFunctionCall(&conversion->input, hex, conversion->ioparam,
								 conversion->typmod);
	}
	return InputFunctionCall(&conversion->input,
							 argument_text(conversion->from, value),
							 conversion->ioparam, conversion->typmod);
}

/* Begins to turn documents of type 'from' into rows of an open topic. */
SthJsonRow *
sth_json_row_begin(Relation rel, Oid from)
{
	SthJsonRow *row = palloc(sizeof(SthJsonRow));
	Oid			row_type = rel->rd_rel->reltype;
	List	   *args = list_make2(makeNullConst(row_type, -1, InvalidOid),
								  makeNullConst(JSONBOID, -1, InvalidOid));

	row->desc = RelationGetDescr(rel);
	row->topic = RelationGetRelationName(rel);
	row->from = from;
	row->values = palloc0(row->desc->natts * sizeof(Datum));
	row->isnull = palloc(row->desc->natts * sizeof(bool));
	memset(row->isnull, true, row->desc->natts * sizeof(bool));
	row->empty = HeapTupleGetDatum(heap_form_tuple(row->desc, row->values,
												   row->isnull));
	fmgr_info(F_JSONB_POPULATE_RECORD, &row->populate);
	/* it learns the row's type from the expression of its call */
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSONB_POPULATE_RECORD, row_type,
											 args, InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL),
					   &row->populate);
	return row;
}

/* The column that a member names, as an index; an error if there is none. */
static int
find_column(const SthJsonRow *row, const char *name)
{
	SthClosest	closest;

	for (int i = 0; i < row->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(row->desc, i);

		if (att->attisdropped || strcmp(NameStr(att->attname), name) != 0)
			continue;
		if (att->attgenerated || att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
			ereport(ERROR,
					(errcode(ERRCODE_GENERATED_ALWAYS),
					 errmsg("cannot insert a value into column \"%s\" of topic \"%s\"",
							name, row->topic),
					 att->attgenerated ?
					 errdetail("Column \"%s\" is a generated column.", name) :
					 errdetail("Column \"%s\" is an identity column defined as GENERATED ALWAYS.", name)));
		return i;
	}
	sth_closest_begin(&closest, name);
	for (int i = 0; i < row->desc->natts; i++)
		if (!TupleDescAttr(row->desc, i)->attisdropped)
			sth_closest_add(&closest,
							NameStr(TupleDescAttr(row->desc, i)->attname));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of topic \"%s\" does not exist",
					name, row->topic),
			 errdetail("A topic without a column \"value\" takes JSON objects whose members are its columns."),
			 closest.best ?
			 errhint("Perhaps you meant the column \"%s\".", closest.best) : 0));
	return -1;					/* not reached */
}

static Jsonb *
document_as_jsonb(Oid from, Datum document)
{
	if (from == JSONBOID)
		return DatumGetJsonbP(document);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(argument_text(from, document))));
}

/* Notes which columns the document has. */
static void
note_given(const SthJsonRow *row, Jsonb *document, bool *given)
{
	JsonbIterator *iterator = JsonbIteratorInit(&document->root);
	JsonbValue	member;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &member, true)) != WJB_DONE)
		if (token == WJB_KEY)
			given[find_column(row, pnstrdup(member.val.string.val,
											member.val.string.len))] = true;
}

/* Sets the values of the columns that the document has, and given[] of them. */
void
sth_json_row_fill(SthJsonRow *row, Datum document, Datum *values,
				  bool *isnull, bool *given)
{
	Jsonb	   *jsonb = document_as_jsonb(row->from, document);
	HeapTupleHeader header;
	HeapTupleData tuple;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic \"%s\" takes JSON objects only", row->topic),
				 errdetail("A topic without a column \"value\" takes JSON objects whose members are its columns.")));
	note_given(row, jsonb, given);
	header = DatumGetHeapTupleHeader(FunctionCall2(&row->populate, row->empty,
												   JsonbPGetDatum(jsonb)));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, row->desc, row->values, row->isnull);
	for (int i = 0; i < row->desc->natts; i++)
		if (given[i])
		{
			values[i] = row->values[i];
			isnull[i] = row->isnull[i];
		}
}
