/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Planning a scan of a topic.
 *
 * The plan carries the columns that the query needs; restrictions are left to
 * the executor.  How many rows there are is guessed from where the logs begin
 * and end: nothing that a scan returns depends on it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "base/compat.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "fdw/fdw.h"
#include "log/log.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"
#include "optimizer/prep.h"
#include "optimizer/restrictinfo.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Of the rows that logs have, for estimates; not more logs are asked. */
#define SAMPLED_LOGS 4

static double
estimate_rows(Relation rel)
{
	SthTopic   *topic = sth_topic_get(rel);
	int			n = Min(topic->npartitions, SAMPLED_LOGS);
	Snapshot	snapshot = sth_fresh_snapshot();
	double		rows = 0;

	for (int i = 0; i < n; i++)
		rows += sth_log_next_offset(topic->log_ids[i]) -
			sth_log_start_offset(topic->log_ids[i], snapshot);
	UnregisterSnapshot(snapshot);
	return rows * topic->npartitions / n;
}

/*
 * FOR UPDATE would lock nothing, and SKIP LOCKED give a row to everybody who
 * takes a topic for a queue.
 */
static void
refuse_row_locks(PlannerInfo *root, RelOptInfo *baserel, Relation rel)
{
	PlanRowMark *mark = get_plan_rowmark(root->rowMarks, baserel->relid);

	if (mark != NULL && mark->strength != LCS_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot lock rows of topic \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("Rows of a topic never change."),
				 errhint("Name the tables to lock: FOR UPDATE OF ...")));
}

void
sthGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	Relation	rel = table_open(relid, NoLock);

	refuse_row_locks(root, baserel, rel);
	baserel->tuples = Max(estimate_rows(rel), 1);
	table_close(rel, NoLock);
	set_baserel_size_estimates(root, baserel);
}

/*
 * Reading costs pages as the rows are wide, and about what a tuple of a table
 * costs.
 */
void
sthGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	double		width = baserel->reltarget->width + 8;
	double		pages = baserel->tuples * width / BLCKSZ;
	Cost		startup_cost = baserel->baserestrictcost.startup;
	Cost		cpu_per_tuple = cpu_tuple_cost +
	baserel->baserestrictcost.per_tuple;
	Cost		total_cost = startup_cost + seq_page_cost * pages +
	cpu_per_tuple * baserel->tuples;

	add_path(baserel, (Path *)
			 sth_create_foreignscan_path(root, baserel, baserel->rows,
										 startup_cost, total_cost, NIL,
										 baserel->lateral_relids, NIL));
}

/* The attribute numbers that the query needs, as a list of integers. */
static List *
list_needed_columns(RelOptInfo *baserel, Oid relid)
{
	Bitmapset  *needed = NULL;
	List	   *result = NIL;
	Relation	rel;
	bool		whole_row;
	ListCell   *lc;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &needed);
	foreach(lc, baserel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause,
					   baserel->relid, &needed);
	whole_row = bms_is_member(-FirstLowInvalidHeapAttributeNumber, needed);

	rel = table_open(relid, NoLock);
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		if (TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
			continue;
		if (whole_row ||
			bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, needed))
			result = lappend_int(result, i + 1);
	}
	table_close(rel, NoLock);
	return result;
}

ForeignScan *
sthGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid relid,
				  ForeignPath *best_path, List *tlist, List *scan_clauses,
				  Plan *outer_plan)
{
	return make_foreignscan(tlist,
							extract_actual_clauses(scan_clauses, false),
							baserel->relid, NIL,
							list_make1(list_needed_columns(baserel, relid)),
							NIL, NIL, outer_plan);
}
