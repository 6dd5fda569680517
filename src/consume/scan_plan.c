/*-------------------------------------------------------------------------
 *
 * scan_plan.c
 *	  poll() and read() in FROM: where a scan of their own takes the place of
 *	  PostgreSQL's function scan.
 *
 * The plan is a CustomScan of no relation, whose tuples have the columns that
 * the query needs of the function's; its only expression is the call.  So the
 * planner looks after the call's parameters and, as ever, has the plan made
 * anew when pg_proc changes (ddl/sync.c).
 *
 * What it does not do stays with the function scan: ROWS FROM of several
 * functions, WITH ORDINALITY, whole rows, statements that mark rows (UPDATE,
 * DELETE and MERGE with other relations, FOR UPDATE), arguments with
 * subqueries that are done anew for each row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "base/compat.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "consume/scan.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;

/*
 * Is it a function of ours, called as it is, not through what SET or SECURITY
 * DEFINER put around it?  Other libraries are not loaded to find out.
 */
static bool
is_ours(Oid function)
{
	HeapTuple	tuple;
	bool		named;
	FmgrInfo	info;

	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	named = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId;
	if (named)
	{
		bool		isnull;
		Datum		source = SysCacheGetAttr(PROCOID, tuple,
											 Anum_pg_proc_prosrc, &isnull);
		char	   *name = isnull ? NULL : TextDatumGetCString(source);

		named = name != NULL && (strcmp(name, "sth_poll") == 0 ||
								 strcmp(name, "sth_read") == 0);
	}
	ReleaseSysCache(tuple);
	if (!named)
		return false;
	fmgr_info(function, &info);
	return (info.fn_addr == sth_poll || info.fn_addr == sth_read) &&
		info.fn_retset && !info.fn_strict;
}

/* Does the query need columns only, not whole rows? */
static bool
needs_only_columns(const RelOptInfo *rel)
{
	Bitmapset  *needed = NULL;
	ListCell   *lc;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &needed);
	foreach(lc, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause,
					   rel->relid, &needed);
	return !bms_is_member(-FirstLowInvalidHeapAttributeNumber, needed);
}

/* The call, if this is one that the scan can do. */
static FuncExpr *
find_call(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	RangeTblFunction *function;
	FuncExpr   *call;

	if (rte->rtekind != RTE_FUNCTION || rte->funcordinality ||
		list_length(rte->functions) != 1 || root->rowMarks != NIL)
		return NULL;
	function = linitial_node(RangeTblFunction, rte->functions);
	call = (FuncExpr *) function->funcexpr;
	if (!IsA(call, FuncExpr) || function->funccolnames != NIL ||
		!is_ours(call->funcid) ||
		!OidIsValid(get_typ_typrelid(call->funcresulttype)) ||
		contain_subplans((Node *) call->args) || !needs_only_columns(rel))
		return NULL;
	return call;
}

/* Adds the columns that expressions need, in order of appearance. */
static List *
add_columns(List *columns, Index relid, List *exprs)
{
	List	   *vars = pull_var_clause((Node *) exprs,
									   PVC_RECURSE_AGGREGATES |
									   PVC_RECURSE_WINDOWFUNCS |
									   PVC_RECURSE_PLACEHOLDERS);
	ListCell   *lc;

	foreach(lc, vars)
	{
		Var		   *var = lfirst_node(Var, lc);

		/* others are of outer relations, and will be parameters */
		if (var->varno == (int) relid && tlist_member((Expr *) var, columns) == NULL)
			columns = lappend(columns,
							  makeTargetEntry((Expr *) copyObject(var),
											  list_length(columns) + 1,
											  NULL, false));
	}
	return columns;
}

static Plan *
make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	List	   *quals = extract_actual_clauses(clauses, false);
	List	   *columns = add_columns(NIL, rel->relid, tlist);
	ListCell   *lc;
	List	   *attnums = NIL;

	/*
	 * If these are all, the scan's tuples are the result, and none is
	 * projected.  A target list that is computed is put in its place later.
	 */
	columns = add_columns(columns, rel->relid, rel->reltarget->exprs);
	columns = add_columns(columns, rel->relid, quals);
	foreach(lc, columns)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		attnums = lappend_int(attnums, castNode(Var, entry->expr)->varattno);
	}
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = quals;
	scan->flags = path->flags;
	scan->custom_exprs = list_copy(path->custom_private);
	scan->custom_scan_tlist = columns;
	scan->custom_private = attnums;
	scan->methods = &sth_scan_methods;
	return &scan->scan.plan;
}

static const CustomPathMethods path_methods = {
	.CustomName = "StreamhouseFunction",
	.PlanCustomPath = make_plan,
};

/* What the function scan would cost, ours is said to cost. */
static Path *
make_path(const Path *function_scan, FuncExpr *call)
{
	CustomPath *path = makeNode(CustomPath);

	path->path = *function_scan;
	path->path.type = T_CustomPath;
	path->path.pathtype = T_CustomScan;
	path->flags = CUSTOMPATH_SUPPORT_BACKWARD_SCAN |
		CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make1(call);
	path->methods = &path_methods;
	return &path->path;
}

static void
replace_function_scan(PlannerInfo *root, RelOptInfo *rel, Index rti,
					  RangeTblEntry *rte)
{
	FuncExpr   *call;
	ListCell   *lc;

	if (prev_set_rel_pathlist_hook)
		prev_set_rel_pathlist_hook(root, rel, rti, rte);
	call = find_call(root, rel, rte);
	if (call == NULL)
		return;
	foreach(lc, rel->pathlist)
	{
		const Path *path = lfirst(lc);

		if (path->pathtype == T_FunctionScan)
			lfirst(lc) = make_path(path, call);
	}
}

/* Called once, from _PG_init. */
void
sth_scan_init(void)
{
	RegisterCustomScanMethods(&sth_scan_methods);
	prev_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = replace_function_scan;
}
