/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  poll() and read() in FROM: a scan of their own.
 *
 * It does what PostgreSQL's function scan (nodeFunctionscan.c) does, to the
 * letter: the function is called once, by the first fetch, and returns all
 * rows, so that a poll moves on past all of them even if fewer are fetched.  A
 * rescan begins again with the same rows, unless a parameter of the call has
 * changed: then the next fetch calls the function again.
 *
 * What it does better is to keep the rows (returned.c).
 *
 * Failure: an error leaves the call, as it would leave the function scan's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "consume/returned.h"
#include "consume/scan.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "pgstat.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

typedef struct TopicFunctionScan
{
	CustomScanState css;
	SetExprState *function;
	TupleDesc	expected;		/* of all that it returns */
	Bitmapset  *params;			/* that the call depends on */
	MemoryContext arguments;
	SthReturned *rows;
} TopicFunctionScan;

static bool
note_params(Node *node, Bitmapset **params)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
	{
		if (((Param *) node)->paramkind == PARAM_EXEC)
			*params = bms_add_member(*params, ((Param *) node)->paramid);
		return false;
	}
	return expression_tree_walker(node, note_params, params);
}

static void
begin_scan(CustomScanState *css, EState *estate, int eflags)
{
	TopicFunctionScan *scan = (TopicFunctionScan *) css;
	CustomScan *plan = castNode(CustomScan, css->ss.ps.plan);
	Expr	   *call = linitial(plan->custom_exprs);
	TupleDesc	desc = css->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	AttrNumber *attnums = palloc(desc->natts * sizeof(AttrNumber));
	ListCell   *lc;

	foreach(lc, plan->custom_private)
		attnums[foreach_current_index(lc)] = lfirst_int(lc);
	if (get_expr_result_type((Node *) call, NULL, &scan->expected) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a function that returns rows of a topic returns no rows");
	scan->expected = CreateTupleDescCopy(scan->expected);
	scan->function = ExecInitTableFunctionResult(call,
												 css->ss.ps.ps_ExprContext,
												 &css->ss.ps);
	(void) note_params((Node *) call, &scan->params);
	scan->arguments = AllocSetContextCreate(CurrentMemoryContext,
											"streamhouse function arguments",
											ALLOCSET_SMALL_SIZES);
	scan->rows = sth_returned_create(desc, attnums,
									 (eflags & EXEC_FLAG_BACKWARD) != 0);
	pfree(attnums);
}

/* Calls the function, as ExecMakeTableFunctionResult does. */
static void
call_function(TopicFunctionScan *scan)
{
	ExprContext *econtext = scan->css.ss.ps.ps_ExprContext;
	SetExprState *function = scan->function;
	int			nargs = list_length(function->args);
	SthReturnCall call = {0};
	FunctionCallInfo fcinfo;
	PgStat_FunctionCallUsage usage;
	MemoryContext old;
	ListCell   *lc;

	MemoryContextReset(scan->arguments);
	old = MemoryContextSwitchTo(scan->arguments);
	call.info.type = T_ReturnSetInfo;
	call.info.econtext = econtext;
	call.info.expectedDesc = scan->expected;
	call.info.isDone = ExprSingleResult;
	sth_returned_ask(scan->rows, &call);
	fcinfo = palloc(SizeForFunctionCallInfo(nargs));
	InitFunctionCallInfoData(*fcinfo, &function->func, nargs,
							 function->fcinfo->fncollation, NULL,
							 (Node *) &call);
	foreach(lc, function->args)
	{
		NullableDatum *arg = &fcinfo->args[foreach_current_index(lc)];

		arg->value = ExecEvalExpr((ExprState *) lfirst(lc), econtext,
								  &arg->isnull);
	}

	CHECK_FOR_INTERRUPTS();
	MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	ResetExprContext(econtext);
	pgstat_init_function_usage(fcinfo, &usage);
	(void) FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);
	MemoryContextSwitchTo(old);
	/* only if another has taken its place since the plan was made */
	if (!sth_returned_are_there(scan->rows))
		elog(ERROR, "function %u returns no rows of a topic",
			 function->func.fn_oid);
}

static TupleTableSlot *
next_row(ScanState *ss)
{
	TopicFunctionScan *scan = (TopicFunctionScan *) ss;

	if (!sth_returned_are_there(scan->rows))
		call_function(scan);
	(void) sth_returned_next(scan->rows,
							 ScanDirectionIsForward(ss->ps.state->es_direction),
							 ss->ss_ScanTupleSlot);
	return ss->ss_ScanTupleSlot;
}

/* Statements that have rows rechecked mark them, and do not come here. */
static bool
recheck_row(ScanState *ss, TupleTableSlot *slot)
{
	elog(ERROR, "unexpected recheck of a row of a topic");
	return false;				/* not reached */
}

static TupleTableSlot *
exec_scan(CustomScanState *css)
{
	return ExecScan(&css->ss, next_row, recheck_row);
}

static void
rescan(CustomScanState *css)
{
	TopicFunctionScan *scan = (TopicFunctionScan *) css;

	if (css->ss.ps.ps_ResultTupleSlot)
		ExecClearTuple(css->ss.ps.ps_ResultTupleSlot);
	ExecScanReScan(&css->ss);
	if (bms_overlap(css->ss.ps.chgParam, scan->params))
		sth_returned_clear(scan->rows);
	else
		sth_returned_rewind(scan->rows);
}

static void
end_scan(CustomScanState *css)
{
	TopicFunctionScan *scan = (TopicFunctionScan *) css;

	/* slots point to the rows */
	if (css->ss.ps.ps_ResultTupleSlot)
		ExecClearTuple(css->ss.ps.ps_ResultTupleSlot);
	ExecClearTuple(css->ss.ss_ScanTupleSlot);
	sth_returned_clear(scan->rows);
}

/* Which function, under which name and, if verbose, with which arguments. */
static void
explain_scan(CustomScanState *css, List *ancestors, ExplainState *es)
{
	CustomScan *plan = castNode(CustomScan, css->ss.ps.plan);
	FuncExpr   *call = linitial_node(FuncExpr, plan->custom_exprs);
	int			rti = bms_singleton_member(plan->custom_relids);

	ExplainPropertyText("Function Name", get_func_name(call->funcid), es);
	ExplainPropertyText("Alias", list_nth(es->rtable_names, rti - 1), es);
	if (es->verbose)
	{
		List	   *context = set_deparse_context_plan(es->deparse_cxt,
													   &plan->scan.plan,
													   ancestors);

		ExplainPropertyText("Function Call",
							deparse_expression((Node *) call, context,
											   true, false), es);
	}
}

static const CustomExecMethods exec_methods = {
	.CustomName = "StreamhouseFunction",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain_scan,
};

static Node *
create_state(CustomScan *plan)
{
	TopicFunctionScan *scan = palloc0(sizeof(TopicFunctionScan));

	scan->css.ss.ps.type = T_CustomScanState;
	scan->css.methods = &exec_methods;
	return (Node *) scan;
}

const CustomScanMethods sth_scan_methods = {
	.CustomName = "StreamhouseFunction",
	.CreateCustomScanState = create_state,
};
