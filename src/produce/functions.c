/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  produce(), produce_bytes(), produce_batch(), produce_batch_bytes() and
 *	  partition_for().
 *
 * A row takes the same way as one of an INSERT: defaults, generated columns,
 * triggers and constraints, in the same order; what COPY does for a foreign
 * table is the model.  The caller needs the INSERT privilege on the columns
 * that are given.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "base/arguments.h"
#include "base/closest.h"
#include "base/compat.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "produce/convert.h"
#include "produce/insert.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(sth_produce);
PG_FUNCTION_INFO_V1(sth_produce_batch);
PG_FUNCTION_INFO_V1(sth_partition_for);

/* A call of one of the functions: one topic, one or many rows. */
typedef struct Production
{
	Relation	rel;
	TupleDesc	desc;
	const SthTopic *topic;
	SthInsert  *insert;
	EState	   *estate;
	ResultRelInfo *result_rel;
	TupleTableSlot *slot;
	bool	   *given;			/* columns of the row at hand, by index */
	ExprState **defaults;		/* by index; NULL: none, or not needed yet */
	bool	   *has_default;
	bool		generated;
	bool		triggers;
	bool		may_insert_all; /* has INSERT on the whole table */

	/* what the arguments are */
	int			value_column;	/* index, -1: a JSON object of columns */
	int			key_column;
	int			headers_column;
	SthConversion value_conversion;
	SthConversion key_conversion;
	SthConversion headers_conversion;
	SthJsonRow *json;
} Production;

static int
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return i;
	}
	return -1;
}

/* Learns which columns the arguments go to. */
static void
resolve_columns(Production *p, Oid value_type, Oid key_type)
{
	p->value_column = find_column(p->desc, "value");
	p->headers_column = find_column(p->desc, "headers");
	p->key_column = p->topic->key_attnum - 1;
	if (p->value_column >= 0)
		sth_conversion_init(&p->value_conversion, value_type,
							TupleDescAttr(p->desc, p->value_column));
	else
		p->json = sth_json_row_begin(p->rel, value_type);
	if (p->key_column >= 0)
		sth_conversion_init(&p->key_conversion, key_type,
							TupleDescAttr(p->desc, p->key_column));
	if (p->headers_column >= 0)
		sth_conversion_init(&p->headers_conversion, JSONBOID,
							TupleDescAttr(p->desc, p->headers_column));
}

/* Which columns get a value if they are not given. */
static void
prepare_defaults(Production *p)
{
	p->defaults = palloc0(p->desc->natts * sizeof(ExprState *));
	p->has_default = palloc0(p->desc->natts * sizeof(bool));
	for (int i = 0; i < p->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(p->desc, i);

		if (!att->attisdropped && !att->attgenerated &&
			(att->atthasdef || att->attidentity))
			p->has_default[i] = true;
	}
	/* a domain may have a default of its own, or refuse NULL */
	for (int i = 0; i < p->topic->ncolumns; i++)
	{
		const SthColumn *column = &p->topic->columns[i];

		if (column->is_domain &&
			!TupleDescAttr(p->desc, column->attnum - 1)->attgenerated)
			p->has_default[column->attnum - 1] = true;
	}
	p->generated = p->desc->constr != NULL &&
		p->desc->constr->has_generated_stored;
}

static void
refuse_insert(Oid relid)
{
	aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
}

/* Needs the caller INSERT on the table, or else on each column given. */
static void
check_privileges(const Production *p)
{
	if (p->may_insert_all)
		return;
	for (int i = 0; i < p->desc->natts; i++)
		if (p->given[i] &&
			pg_attribute_aclcheck(p->topic->relid, i + 1, GetUserId(),
								  ACL_INSERT) != ACLCHECK_OK)
			refuse_insert(p->topic->relid);
}

static void
begin_production(Production *p, Oid relid, Oid value_type, Oid key_type,
				 const char *command)
{
	memset(p, 0, sizeof(*p));
	/* without any privilege not even a lock is had */
	p->may_insert_all = pg_class_aclcheck(relid, GetUserId(),
										  ACL_INSERT) == ACLCHECK_OK;
	if (!p->may_insert_all &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_INSERT,
								  ACLMASK_ANY) != ACLCHECK_OK)
		refuse_insert(relid);
	p->rel = sth_topic_open(relid, RowExclusiveLock);
	p->desc = RelationGetDescr(p->rel);
	p->insert = sth_insert_begin(p->rel, command);
	p->topic = sth_insert_topic(p->insert);
	resolve_columns(p, value_type, key_type);
	prepare_defaults(p);
	p->given = palloc(p->desc->natts * sizeof(bool));

	p->estate = CreateExecutorState();
	p->estate->es_output_cid = GetCurrentCommandId(true);
	p->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(p->result_rel, p->rel, 0, NULL, 0);
	p->slot = MakeSingleTupleTableSlot(p->desc, &TTSOpsVirtual);
	p->triggers = p->result_rel->ri_TrigDesc != NULL;
	if (p->triggers)
	{
		AfterTriggerBeginQuery();
		ExecBSInsertTriggers(p->estate, p->result_rel);
	}
}

static void
end_production(Production *p)
{
	if (p->triggers)
	{
		ExecASInsertTriggers(p->estate, p->result_rel, NULL);
		AfterTriggerEndQuery(p->estate);
	}
	ExecDropSingleTupleTableSlot(p->slot);
	ExecCloseResultRelations(p->estate);
	FreeExecutorState(p->estate);
	relation_close(p->rel, NoLock);
}

static void
give_value(Production *p, int column, SthConversion *conversion, Datum value)
{
	p->slot->tts_values[column] = sth_convert(conversion, value);
	p->slot->tts_isnull[column] = false;
	p->given[column] = true;
}

static void
give_key(Production *p, Datum key)
{
	if (p->key_column < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic \"%s\" has no key",
						RelationGetRelationName(p->rel)),
				 errhint("Leave the key out, or name the key column: ALTER FOREIGN TABLE ... OPTIONS (ADD key '...').")));
	give_value(p, p->key_column, &p->key_conversion, key);
}

static void
give_headers(Production *p, Datum headers)
{
	if (p->headers_column < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("topic \"%s\" has no column \"headers\"",
						RelationGetRelationName(p->rel))));
	give_value(p, p->headers_column, &p->headers_conversion, headers);
}

/* A value of a column that the log would assign otherwise. */
static void
give_assigned(Production *p, AttrNumber attnum, Datum value)
{
	int			column = attnum - 1;

	if (p->given[column])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of topic \"%s\" is given twice",
						NameStr(TupleDescAttr(p->desc, column)->attname),
						RelationGetRelationName(p->rel)),
				 errdetail("It is a member of the JSON object and an argument.")));
	p->slot->tts_values[column] = value;
	p->slot->tts_isnull[column] = false;
	p->given[column] = true;
}

static void
give_partition(Production *p, SthRowRequest *request, int partition)
{
	if (p->topic->partition_attnum != 0)
	{
		give_assigned(p, p->topic->partition_attnum, Int32GetDatum(partition));
		return;
	}
	request->has_partition = true;
	request->partition = partition;
}

static void
give_time(Production *p, SthRowRequest *request, TimestampTz time)
{
	if (p->topic->time_attnum != 0)
	{
		give_assigned(p, p->topic->time_attnum, TimestampTzGetDatum(time));
		return;
	}
	request->has_time = true;
	request->time = time;
}

/* The payload: the column "value", or all columns. */
static void
give_payload(Production *p, Datum payload, bool payload_is_null)
{
	if (p->value_column >= 0)
	{
		p->given[p->value_column] = true;
		if (!payload_is_null)
			give_value(p, p->value_column, &p->value_conversion, payload);
		return;
	}
	if (payload_is_null)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("value must not be null for topic \"%s\"",
						RelationGetRelationName(p->rel)),
				 errdetail("A topic without a column \"value\" takes JSON objects whose members are its columns.")));
	sth_json_row_fill(p->json, payload, p->slot->tts_values,
					  p->slot->tts_isnull, p->given);
}

/* Empties the slot for the next row. */
static void
start_row(Production *p)
{
	ResetPerTupleExprContext(p->estate);
	ExecClearTuple(p->slot);
	memset(p->slot->tts_isnull, true, p->desc->natts * sizeof(bool));
	memset(p->given, false, p->desc->natts * sizeof(bool));
}

/* The default of one column that was not given; of a domain, its check. */
static void
fill_default(Production *p, int i)
{
	Form_pg_attribute att = TupleDescAttr(p->desc, i);

	if (p->defaults[i] == NULL)
	{
		/* the plan of the expression shares the datums of its constants */
		MemoryContext old = MemoryContextSwitchTo(p->estate->es_query_cxt);
		Node	   *expr = build_column_default(p->rel, i + 1);

		if (expr != NULL)
			p->defaults[i] = ExecInitExpr(expression_planner((Expr *) expr),
										  NULL);
		MemoryContextSwitchTo(old);
		if (expr == NULL)
		{
			domain_check((Datum) 0, true, att->atttypid, NULL, NULL);
			return;
		}
	}
	p->slot->tts_values[i] = ExecEvalExpr(p->defaults[i],
										  GetPerTupleExprContext(p->estate),
										  &p->slot->tts_isnull[i]);
}

/* Lets the row in the slot go its way; returns its partition, or -1. */
static int
finish_row(Production *p, const SthRowRequest *request)
{
	TriggerDesc *triggers = p->result_rel->ri_TrigDesc;
	int			partition;

	for (int i = 0; i < p->desc->natts; i++)
		if (p->has_default[i] && !p->given[i])
			fill_default(p, i);
	ExecStoreVirtualTuple(p->slot);
	if (triggers != NULL && triggers->trig_insert_before_row &&
		!ExecBRInsertTriggers(p->estate, p->result_rel, p->slot))
		return -1;
	if (p->generated)
		ExecComputeStoredGenerated(p->result_rel, p->estate, p->slot,
								   CMD_INSERT);
	partition = sth_insert_row(p->insert, p->result_rel, p->slot, p->estate,
							   request);
	ExecARInsertTriggers(p->estate, p->result_rel, p->slot, NIL, NULL);
	return partition;
}

/*
 * The declared type of an argument.  A call by the fast-path protocol has no
 * expression to take it from.
 */
static Oid
argument_type(FunctionCallInfo fcinfo, int n)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, n);
	Oid		   *types;
	int			ntypes;

	if (OidIsValid(type))
		return type;
	(void) get_func_signature(fcinfo->flinfo->fn_oid, &types, &ntypes);
	return types[n];
}

/*
 * produce(topic, value, key, headers, partition, event_time) and
 * produce_bytes(); the type of value tells which.
 */
Datum
sth_produce(PG_FUNCTION_ARGS)
{
	Oid			value_type = argument_type(fcinfo, 1);
	Production	p;
	SthRowRequest request = {0};
	MemoryContext old;
	int			partition;

	sth_require_argument(fcinfo, 0, "topic");
	begin_production(&p, PG_GETARG_OID(0), value_type,
					 value_type == BYTEAOID ? BYTEAOID : TEXTOID, "produce()");
	start_row(&p);
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(p.estate));
	give_payload(&p, PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1),
				 PG_ARGISNULL(1));
	if (!PG_ARGISNULL(2))
		give_key(&p, PG_GETARG_DATUM(2));
	if (!PG_ARGISNULL(3))
		give_headers(&p, PG_GETARG_DATUM(3));
	if (!PG_ARGISNULL(4))
		give_partition(&p, &request, PG_GETARG_INT32(4));
	if (!PG_ARGISNULL(5))
		give_time(&p, &request, PG_GETARG_TIMESTAMPTZ(5));
	check_privileges(&p);
	partition = finish_row(&p, &request);
	MemoryContextSwitchTo(old);
	end_production(&p);
	if (partition < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(partition);
}

/* An array argument's elements. */
static void
get_elements(ArrayType *array, Oid type, const char *name, Datum **values,
			 bool **isnull, int *n)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be a one-dimensional array", name)));
	deconstruct_array(array, type, -1, false, TYPALIGN_INT, values, isnull, n);
}

/* produce_batch(topic, payloads, keys, partition), produce_batch_bytes() */
Datum
sth_produce_batch(PG_FUNCTION_ARGS)
{
	Oid			type = get_element_type(argument_type(fcinfo, 1));
	Production	p;
	SthRowRequest request = {0};
	Datum	   *payloads;
	bool	   *payload_nulls;
	int			npayloads;
	Datum	   *keys = NULL;
	bool	   *key_nulls = NULL;
	int			nkeys = 0;
	int64		count = 0;
	MemoryContext old;

	sth_require_argument(fcinfo, 0, "topic");
	sth_require_argument(fcinfo, 1, "payloads");
	get_elements(PG_GETARG_ARRAYTYPE_P(1), type, "payloads",
				 &payloads, &payload_nulls, &npayloads);
	if (!PG_ARGISNULL(2))
	{
		get_elements(PG_GETARG_ARRAYTYPE_P(2), type, "keys",
					 &keys, &key_nulls, &nkeys);
		if (nkeys != npayloads)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("payloads and keys must have the same length"),
					 errdetail("There are %d payloads and %d keys.",
							   npayloads, nkeys)));
	}
	begin_production(&p, PG_GETARG_OID(0), type, type, "produce_batch()");
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(p.estate));
	for (int i = 0; i < npayloads; i++)
	{
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		start_row(&p);
		give_payload(&p, payloads[i], payload_nulls[i]);
		if (keys != NULL && !key_nulls[i])
			give_key(&p, keys[i]);
		if (!PG_ARGISNULL(3))
			give_partition(&p, &request, PG_GETARG_INT32(3));
		check_privileges(&p);
		if (finish_row(&p, &request) >= 0)
			count++;
	}
	MemoryContextSwitchTo(old);
	end_production(&p);
	PG_RETURN_INT64(count);
}

/* partition_for(topic regclass, key text) */
Datum
sth_partition_for(PG_FUNCTION_ARGS)
{
	Relation	rel = sth_topic_open_visible(PG_GETARG_OID(0));
	SthTopic   *topic = sth_topic_get(rel);
	text	   *key = PG_GETARG_TEXT_PP(1);
	int			partition = sth_route_bytes(topic, VARDATA_ANY(key),
											VARSIZE_ANY_EXHDR(key));

	relation_close(rel, AccessShareLock);
	PG_RETURN_INT32(partition);
}
