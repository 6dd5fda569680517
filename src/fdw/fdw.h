/*-------------------------------------------------------------------------
 *
 * fdw.h
 *	  The foreign-data wrapper's callbacks, by the file that has them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_FDW_FDW_H
#define STH_FDW_FDW_H

#include "foreign/fdwapi.h"

/* plan.c */
extern void sthGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
								 Oid relid);
extern void sthGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
							   Oid relid);
extern ForeignScan *sthGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel,
									  Oid relid, ForeignPath *best_path,
									  List *tlist, List *scan_clauses,
									  Plan *outer_plan);

/* scan.c */
extern void sthBeginForeignScan(ForeignScanState *node, int eflags);
extern TupleTableSlot *sthIterateForeignScan(ForeignScanState *node);
extern void sthReScanForeignScan(ForeignScanState *node);
extern void sthEndForeignScan(ForeignScanState *node);
extern void sthExplainForeignScan(ForeignScanState *node,
								  struct ExplainState *es);

/* modify.c */
extern void sthAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
									   RangeTblEntry *target_rte,
									   Relation target_relation);
extern List *sthPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
								  Index result_relation, int subplan_index);
extern void sthBeginForeignModify(ModifyTableState *mtstate,
								  ResultRelInfo *result_rel, List *fdw_private,
								  int subplan_index, int eflags);
extern void sthBeginForeignInsert(ModifyTableState *mtstate,
								  ResultRelInfo *result_rel);
extern TupleTableSlot *sthExecForeignInsert(EState *estate,
											ResultRelInfo *result_rel,
											TupleTableSlot *slot,
											TupleTableSlot *plan_slot);
extern int	sthIsForeignRelUpdatable(Relation rel);

/* truncate.c */
extern void sthExecForeignTruncate(List *rels, DropBehavior behavior,
								   bool restart_seqs);

#endif							/* STH_FDW_FDW_H */
