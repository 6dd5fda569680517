/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  INSERT and COPY into a topic; what else there is, it refuses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "base/compat.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "produce/insert.h"
#include "utils/rel.h"

/* An INSERT into a topic. */
typedef struct Modify
{
	SthInsert  *insert;
	List	   *attnums;		/* the columns of the plan's row; NIL: all */
} Modify;

/* The planner asks this for UPDATE, DELETE and MERGE only. */
void
sthAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
						   RangeTblEntry *target_rte,
						   Relation target_relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot update or delete rows of topic \"%s\"",
					RelationGetRelationName(target_relation)),
			 errdetail("A topic is an append-only log."),
			 errhint("Insert a row that takes the place of the earlier one.")));
}

static void
refuse_on_conflict(ModifyTable *plan)
{
	if (plan->onConflictAction != ONCONFLICT_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("INSERT with an ON CONFLICT clause is not supported for topics"),
				 errdetail("A topic has no unique columns.")));
}

/*
 * Does the executor need a row of this table as a tuple?  It keeps the new row
 * of a foreign table in one, so that each row would be formed and taken apart
 * again, only to be packed; but only a trigger or a generated column works on
 * it.  The answer is the same when the plan runs: if it changes, the plan is
 * made anew.
 */
static bool
needs_tuple(Relation rel)
{
	return rel->trigdesc != NULL ||
		(rel->rd_att->constr != NULL &&
		 rel->rd_att->constr->has_generated_stored);
}

static bool
is_null_constant(const TargetEntry *entry)
{
	return IsA(entry->expr, Const) && castNode(Const, entry->expr)->constisnull;
}

/*
 * Takes NULLs out of the row of INSERT ... VALUES, and returns the numbers of
 * the columns that are left; NIL if nothing was done.
 *
 * The row has a NULL for each column that the statement does not name: those
 * that the log assigns, as a rule.  When rows come one by one, each by a
 * statement of its own, setting up the evaluation of what is NULL anyway is a
 * considerable part of what a row costs.
 */
static List *
take_out_nulls(PlannerInfo *root, ModifyTable *plan, Index result_relation)
{
	Plan	   *subplan = outerPlan(plan);
	Relation	rel;
	List	   *targets = NIL;
	List	   *attnums = NIL;
	ListCell   *lc;

	/* of a row without a source nobody else knows what columns it has */
	if (!IsA(subplan, Result) || outerPlan(subplan) != NULL)
		return NIL;
	rel = table_open(planner_rt_fetch(result_relation, root)->relid, NoLock);
	if (!needs_tuple(rel))
	{
		foreach(lc, subplan->targetlist)
		{
			TargetEntry *entry = lfirst_node(TargetEntry, lc);

			if (entry->resjunk)
			{
				attnums = NIL;
				break;
			}
			if (is_null_constant(entry))
				continue;
			attnums = lappend_int(attnums, entry->resno);
			entry = flatCopyTargetEntry(entry);
			entry->resno = list_length(attnums);
			targets = lappend(targets, entry);
		}
	}
	table_close(rel, NoLock);
	if (attnums != NIL)
		subplan->targetlist = targets;
	return attnums;
}

List *
sthPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
					 Index result_relation, int subplan_index)
{
	refuse_on_conflict(plan);
	return plan->operation == CMD_INSERT ?
		take_out_nulls(root, plan, result_relation) : NIL;
}

int
sthIsForeignRelUpdatable(Relation rel)
{
	return 1 << CMD_INSERT;
}

static Modify *
begin_insert(ResultRelInfo *result_rel)
{
	Modify	   *modify = palloc0(sizeof(Modify));

	modify->insert = sth_insert_begin(result_rel->ri_RelationDesc, "INSERT");
	result_rel->ri_FdwState = modify;
	return modify;
}

/* Has the subplan a column for each of the table, and no others? */
static bool
has_all_columns(const Plan *subplan, TupleDesc desc)
{
	ListCell   *lc;

	if (list_length(subplan->targetlist) != desc->natts)
		return false;
	foreach(lc, subplan->targetlist)
		if (lfirst_node(TargetEntry, lc)->resjunk)
		return false;
	return true;
}

/*
 * Begins an INSERT, and lets the rows of the subplan come as they are, if they
 * need not be tuples.  What is set for that is what ExecInitInsertProjection
 * would set, but for the kind of slot: a subplan's row that is a virtual one
 * is not copied.
 *
 * Then sth_insert_row may set the assigned columns in the subplan's own slot.
 * Every node that returns a virtual slot fills it anew for its next row, so
 * nobody sees that.
 */
void
sthBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *result_rel,
					  List *fdw_private, int subplan_index, int eflags)
{
	Relation	rel = result_rel->ri_RelationDesc;
	Modify	   *modify;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	modify = begin_insert(result_rel);
	if (mtstate->operation != CMD_INSERT)
		return;
	modify->attnums = fdw_private;
	if (needs_tuple(rel) || result_rel->ri_projectNewInfoValid)
	{
		if (modify->attnums != NIL)
			elog(ERROR, "plan does not fit topic \"%s\"",
				 RelationGetRelationName(rel));
		return;
	}
	if (modify->attnums == NIL &&
		!has_all_columns(outerPlan(mtstate->ps.plan), RelationGetDescr(rel)))
		return;
	result_rel->ri_newTupleSlot =
		ExecInitExtraTupleSlot(mtstate->ps.state, RelationGetDescr(rel),
							   &TTSOpsVirtual);
	result_rel->ri_projectNewInfoValid = true;
}

/* For COPY, and for rows that a partitioned table routes here. */
void
sthBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *result_rel)
{
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);

	/* COPY has no plan; a parent's INSERT may have an ON CONFLICT clause */
	if (plan != NULL)
		refuse_on_conflict(plan);
	(void) begin_insert(result_rel);
}

/* Puts the columns of the plan's row where they belong; the others are NULL. */
static TupleTableSlot *
complete_row(List *attnums, TupleTableSlot *plan_row, TupleTableSlot *row)
{
	int			n = list_length(attnums);

	slot_getallattrs(plan_row);
	ExecClearTuple(row);
	memset(row->tts_isnull, true, row->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < n; i++)
	{
		int			index = list_nth_int(attnums, i) - 1;

		row->tts_values[index] = plan_row->tts_values[i];
		row->tts_isnull[index] = plan_row->tts_isnull[i];
	}
	row->tts_tableOid = plan_row->tts_tableOid;
	return ExecStoreVirtualTuple(row);
}

TupleTableSlot *
sthExecForeignInsert(EState *estate, ResultRelInfo *result_rel,
					 TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	Modify	   *modify = result_rel->ri_FdwState;

	if (modify->attnums != NIL)
		slot = complete_row(modify->attnums, slot, result_rel->ri_newTupleSlot);
	(void) sth_insert_row(modify->insert, result_rel, slot, estate, NULL);
	return slot;
}
