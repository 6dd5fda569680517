/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  INSERT and COPY into a topic; what else there is, it refuses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "nodes/plannodes.h"
#include "produce/insert.h"
#include "utils/rel.h"

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

List *
sthPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
					 Index result_relation, int subplan_index)
{
	if (plan->onConflictAction != ONCONFLICT_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("INSERT with an ON CONFLICT clause is not supported for topics"),
				 errdetail("A topic has no unique columns.")));
	return NIL;
}

int
sthIsForeignRelUpdatable(Relation rel)
{
	return 1 << CMD_INSERT;
}

static void
begin_insert(ResultRelInfo *result_rel)
{
	result_rel->ri_FdwState = sth_insert_begin(result_rel->ri_RelationDesc,
											   "INSERT");
}

/*
 * Lets the rows of the subplan come as they are.
 *
 * The executor keeps the new row of a foreign table in a heap tuple, so that
 * each row would be formed and taken apart again, only to be packed.  A row of
 * a topic needs no tuple, unless a trigger or a generated column works on it,
 * or the subplan's row has more columns than the table's.  What is set here is
 * what ExecInitInsertProjection would set, but for the kind of slot.
 *
 * Then sth_insert_row sets the assigned columns in the subplan's own slot.
 * Every node that returns a virtual slot fills it anew for its next row, so
 * nobody sees that.
 */
static void
take_rows_unformed(ModifyTableState *mtstate, ResultRelInfo *result_rel)
{
	TupleDesc	desc = RelationGetDescr(result_rel->ri_RelationDesc);
	ListCell   *lc;

	if (mtstate->operation != CMD_INSERT ||
		result_rel->ri_projectNewInfoValid ||
		result_rel->ri_TrigDesc != NULL ||
		(desc->constr != NULL && desc->constr->has_generated_stored))
		return;
	if (list_length(outerPlan(mtstate->ps.plan)->targetlist) != desc->natts)
		return;
	foreach(lc, outerPlan(mtstate->ps.plan)->targetlist)
		if (lfirst_node(TargetEntry, lc)->resjunk)
		return;
	result_rel->ri_newTupleSlot =
		ExecInitExtraTupleSlot(mtstate->ps.state, desc, &TTSOpsVirtual);
	result_rel->ri_projectNewInfoValid = true;
}

void
sthBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *result_rel,
					  List *fdw_private, int subplan_index, int eflags)
{
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	begin_insert(result_rel);
	take_rows_unformed(mtstate, result_rel);
}

/* For COPY, and for rows that a partitioned table routes here. */
void
sthBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *result_rel)
{
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);

	/* COPY has no plan; a parent's INSERT may have an ON CONFLICT clause */
	if (plan != NULL)
		(void) sthPlanForeignModify(NULL, plan, 0, 0);
	begin_insert(result_rel);
}

TupleTableSlot *
sthExecForeignInsert(EState *estate, ResultRelInfo *result_rel,
					 TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

	(void) sth_insert_row(result_rel->ri_FdwState, result_rel, slot, estate,
						  NULL);
	MemoryContextSwitchTo(old);
	return slot;
}
