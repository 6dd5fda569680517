/*-------------------------------------------------------------------------
 *
 * topic_argument.c
 *	  The topic that a function reads from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "catalog/topic.h"
#include "consume/prepared.h"
#include "consume/topic_argument.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* The table whose row type argument n has. */
Oid
sth_topic_argument(FunctionCallInfo fcinfo, int n)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, n);
	Oid			relid = OidIsValid(type) ? get_typ_typrelid(type) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the topic must be given as a null value of its row type"),
				 errhint("Write NULL::name_of_the_topic.")));
	sth_prepared_note();
	return relid;
}

/* May the user read all of a table: as a whole, or each of its columns? */
bool
sth_topic_can_select(Oid relid)
{
	return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT,
								  ACLMASK_ALL) == ACLCHECK_OK;
}

/* Opens a topic of which the user may read all. */
Relation
sth_topic_open_for_select(Oid relid)
{
	if (!sth_topic_can_select(relid))
		aclcheck_error(ACLCHECK_NO_PRIV,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	return sth_topic_open(relid, AccessShareLock);
}

/* Has it this column still, of this type? */
bool
sth_topic_has_column(Relation rel, AttrNumber attnum, Oid type)
{
	TupleDesc	desc = RelationGetDescr(rel);

	return attnum <= desc->natts &&
		!TupleDescAttr(desc, attnum - 1)->attisdropped &&
		TupleDescAttr(desc, attnum - 1)->atttypid == type;
}

/* The topic has other columns than the statement expects. */
void
sth_topic_report_change(Relation rel)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("the columns of topic \"%s\" have changed since the statement began",
					RelationGetRelationName(rel)),
			 errhint("The transaction might succeed if retried.")));
	pg_unreachable();
}

/*
 * Raises an error if the topic, which the function has just locked, has other
 * columns than the statement expects: nothing locks it while the statement is
 * planned.
 */
void
sth_topic_check_result(FunctionCallInfo fcinfo, Relation rel)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TupleDesc	desc = RelationGetDescr(rel);
	TupleDesc	expected;
	bool		same;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		rsinfo->expectedDesc == NULL)
		return;
	expected = rsinfo->expectedDesc;
	same = expected->natts == desc->natts;
	for (int i = 0; same && i < desc->natts; i++)
		same = TupleDescAttr(desc, i)->attisdropped ?
			TupleDescAttr(expected, i)->attisdropped :
			!TupleDescAttr(expected, i)->attisdropped &&
			sth_topic_has_column(rel, i + 1,
								 TupleDescAttr(expected, i)->atttypid);
	if (!same)
		sth_topic_report_change(rel);
}

/* The attribute numbers of all columns. */
Bitmapset *
sth_all_columns(Relation rel)
{
	Bitmapset  *columns = NULL;

	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
		if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
			columns = bms_add_member(columns, i + 1);
	return columns;
}
