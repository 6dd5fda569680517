/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  The foreign-data wrapper: which callbacks it has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/fdw.h"
#include "fmgr.h"

PG_FUNCTION_INFO_V1(sth_fdw_handler);

Datum
sth_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = sthGetForeignRelSize;
	routine->GetForeignPaths = sthGetForeignPaths;
	routine->GetForeignPlan = sthGetForeignPlan;

	routine->BeginForeignScan = sthBeginForeignScan;
	routine->IterateForeignScan = sthIterateForeignScan;
	routine->ReScanForeignScan = sthReScanForeignScan;
	routine->EndForeignScan = sthEndForeignScan;
	routine->ExplainForeignScan = sthExplainForeignScan;

	routine->AddForeignUpdateTargets = sthAddForeignUpdateTargets;
	routine->PlanForeignModify = sthPlanForeignModify;
	routine->BeginForeignModify = sthBeginForeignModify;
	routine->BeginForeignInsert = sthBeginForeignInsert;
	routine->ExecForeignInsert = sthExecForeignInsert;
	routine->IsForeignRelUpdatable = sthIsForeignRelUpdatable;
	routine->ExecForeignTruncate = sthExecForeignTruncate;

	PG_RETURN_POINTER(routine);
}
