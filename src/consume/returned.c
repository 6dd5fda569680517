/*-------------------------------------------------------------------------
 *
 * returned.c
 *	  The rows that a function returns: to whom, and kept where.
 *
 * PostgreSQL's own function scan takes rows as a tuplestore: each is made into
 * a tuple there and taken apart again when it is fetched, which took a third
 * of poll's time.  Our scan (topic_scan.c) has them kept here as arrays of
 * datums, of the columns that the query needs, with the values behind them.
 *
 * What is beyond work_mem goes to a tuplestore after all, which then writes it
 * to disk; so a call needs twice work_mem, however much it returns.
 *
 * Fetching goes forward and backward and past the ends as a tuplestore does.
 *
 * Memory: a context for each call, "streamhouse rows".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "consume/returned.h"
#include "consume/topic_argument.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

/*
 * In ReturnSetInfo's allowedModes: the caller is a scan of ours.  Far from
 * those of SetFunctionReturnMode.
 */
#define MODE_ROWS 0x10000

/* Memory is taken in pieces of this size. */
#define PIECE_SIZE (256 * 1024)

typedef struct KeptRow
{
	dlist_node	link;
	Datum		values[FLEXIBLE_ARRAY_MEMBER];	/* then whether they are NULL,
												 * then what they point to */
} KeptRow;

struct SthReturned
{
	/* where to: a tuplestore of PostgreSQL's function scan, or NULL */
	Tuplestorestate *result;
	TupleDesc	result_desc;

	/* or here */
	TupleDesc	desc;			/* of the columns kept */
	AttrNumber *attnums;		/* that the function knows them by */
	Size		head_size;		/* of a row, up to what values point to */
	bool		backward;		/* will they be fetched backward? */
	MemoryContext parent;
	MemoryContext context;		/* NULL: there are no rows, not even none */
	char	   *free;
	Size		free_size;
	Size		used;
	dlist_head	kept;
	int64		nkept;
	Tuplestorestate *spilled;	/* those after them, or NULL */
	TupleTableSlot *spilled_slot;
	int64		nspilled;
	Datum	   *scratch;
	bool	   *scratch_nulls;

	/* where the scan is */
	int64		position;		/* rows before it */
	bool		at_end;			/* it has been told that there are no more */
	dlist_node *node;			/* a row kept ... */
	int64		node_position;	/* ... and its number */
	int64		spilled_position;
};

/*
 * Begins to return rows of a topic, which the caller has locked: to whom the
 * function has been called by.
 */
SthReturned *
sth_returned_begin(FunctionCallInfo fcinfo, Relation rel)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	SthReturned *rows;

	if (info == NULL || !IsA(info, ReturnSetInfo) ||
		(info->allowedModes & MODE_ROWS) == 0)
	{
		InitMaterializedSRF(fcinfo, 0);
		rows = palloc0(sizeof(SthReturned));
		rows->result = info->setResult;
		rows->result_desc = info->setDesc;
		return rows;
	}

	rows = ((SthReturnCall *) info)->rows;
	for (int i = 0; i < rows->desc->natts; i++)
		if (!sth_topic_has_column(rel, rows->attnums[i],
								  TupleDescAttr(rows->desc, i)->atttypid))
			sth_topic_report_change(rel);
	sth_returned_clear(rows);
	rows->context = AllocSetContextCreate(rows->parent, "streamhouse rows",
										  ALLOCSET_DEFAULT_SIZES);
	info->returnMode = SFRM_Materialize;
	return rows;
}

static KeptRow *
new_row(SthReturned *rows, Size size)
{
	KeptRow    *row;

	rows->used += size;
	if (size > PIECE_SIZE / 4)
		return MemoryContextAlloc(rows->context, size);
	if (rows->free_size < size)
	{
		/* what is left of the piece before is lost */
		rows->free_size = 0;
		rows->free = MemoryContextAlloc(rows->context, PIECE_SIZE);
		rows->free_size = PIECE_SIZE;
	}
	row = (KeptRow *) rows->free;
	rows->free += size;
	rows->free_size -= size;
	return row;
}

static inline Size
value_size(Form_pg_attribute att, Datum value)
{
	return att->attlen > 0 ? (Size) att->attlen :
		VARSIZE_ANY(DatumGetPointer(value));
}

static inline bool *
row_nulls(const SthReturned *rows, KeptRow *row)
{
	return (bool *) &row->values[rows->desc->natts];
}

static void
keep_row(SthReturned *rows, const Datum *values, const bool *isnull)
{
	int			natts = rows->desc->natts;
	Size		size = rows->head_size;
	KeptRow    *row;
	bool	   *nulls;
	char	   *data;

	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rows->desc, i);
		int			from = rows->attnums[i] - 1;

		if (!att->attbyval && !isnull[from])
			size += MAXALIGN(value_size(att, values[from]));
	}
	row = new_row(rows, size);
	nulls = row_nulls(rows, row);
	data = (char *) row + rows->head_size;
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rows->desc, i);
		int			from = rows->attnums[i] - 1;

		nulls[i] = isnull[from];
		row->values[i] = isnull[from] ? (Datum) 0 : values[from];
		if (!att->attbyval && !isnull[from])
		{
			Size		len = value_size(att, values[from]);

			memcpy(data, DatumGetPointer(values[from]), len);
			row->values[i] = PointerGetDatum(data);
			data += MAXALIGN(len);
		}
	}
	dlist_push_tail(&rows->kept, &row->link);
	rows->nkept++;
}

static void
spill_row(SthReturned *rows, const Datum *values, const bool *isnull)
{
	if (rows->spilled == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(rows->context);

		rows->spilled = tuplestore_begin_heap(rows->backward, false, work_mem);
		MemoryContextSwitchTo(old);
	}
	for (int i = 0; i < rows->desc->natts; i++)
	{
		rows->scratch[i] = values[rows->attnums[i] - 1];
		rows->scratch_nulls[i] = isnull[rows->attnums[i] - 1];
	}
	tuplestore_putvalues(rows->spilled, rows->desc, rows->scratch,
						 rows->scratch_nulls);
	rows->nspilled++;
}

/* Returns a row, with a place for each column of the topic; it is copied. */
void
sth_returned_put(SthReturned *rows, const Datum *values, const bool *isnull)
{
	if (rows->result != NULL)
		tuplestore_putvalues(rows->result, rows->result_desc,
							 unconstify(Datum *, values),
							 unconstify(bool *, isnull));
	else if (rows->used < (Size) work_mem * 1024)
		keep_row(rows, values, isnull);
	else
		spill_row(rows, values, isnull);
}

/*
 * Makes room for the rows of a scan: of each the columns 'attnums', which
 * 'desc' describes; both stay the caller's.
 */
SthReturned *
sth_returned_create(TupleDesc desc, const AttrNumber *attnums, bool backward)
{
	SthReturned *rows = palloc0(sizeof(SthReturned));
	int			natts = desc->natts;

	rows->desc = desc;
	rows->attnums = palloc(natts * sizeof(AttrNumber));
	memcpy(rows->attnums, attnums, natts * sizeof(AttrNumber));
	rows->head_size = MAXALIGN(offsetof(KeptRow, values) +
							   natts * (sizeof(Datum) + sizeof(bool)));
	rows->backward = backward;
	rows->parent = CurrentMemoryContext;
	rows->spilled_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	rows->scratch = palloc(natts * sizeof(Datum));
	rows->scratch_nulls = palloc(natts * sizeof(bool));
	dlist_init(&rows->kept);
	return rows;
}

/* Has the function that will be called so return its rows here. */
void
sth_returned_ask(SthReturned *rows, SthReturnCall *call)
{
	call->info.allowedModes = (int) SFRM_Materialize | MODE_ROWS;
	call->rows = rows;
}

/* Has a function returned its rows, if only none? */
bool
sth_returned_are_there(const SthReturned *rows)
{
	return rows->context != NULL;
}

static void
fetch_kept(SthReturned *rows, int64 position, TupleTableSlot *slot)
{
	int			natts = rows->desc->natts;
	KeptRow    *row;

	if (rows->node == NULL)
	{
		rows->node = dlist_head_node(&rows->kept);
		rows->node_position = 0;
	}
	for (; rows->node_position < position; rows->node_position++)
		rows->node = dlist_next_node(&rows->kept, rows->node);
	for (; rows->node_position > position; rows->node_position--)
		rows->node = dlist_prev_node(&rows->kept, rows->node);
	row = dlist_container(KeptRow, link, rows->node);
	memcpy(slot->tts_values, row->values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, row_nulls(rows, row), natts * sizeof(bool));
}

static void
fetch_spilled(SthReturned *rows, int64 position, TupleTableSlot *slot)
{
	int			natts = rows->desc->natts;

	for (; rows->spilled_position > position; rows->spilled_position--)
		(void) tuplestore_advance(rows->spilled, false);
	for (; rows->spilled_position < position; rows->spilled_position++)
		(void) tuplestore_advance(rows->spilled, true);
	if (!tuplestore_gettupleslot(rows->spilled, true, false, rows->spilled_slot))
		elog(ERROR, "a spilled row is missing");
	rows->spilled_position++;
	slot_getallattrs(rows->spilled_slot);
	memcpy(slot->tts_values, rows->spilled_slot->tts_values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, rows->spilled_slot->tts_isnull, natts * sizeof(bool));
}

/*
 * Puts the next row, or the one before, into the slot, a virtual one with the
 * columns kept; false, and an empty slot, if there is none.  What the row
 * points to stays until rows are cleared or, if they were spilled, until the
 * next call.
 */
bool
sth_returned_next(SthReturned *rows, bool forward, TupleTableSlot *slot)
{
	int64		nrows = rows->nkept + rows->nspilled;
	int64		wanted;

	ExecClearTuple(slot);
	if (forward)
	{
		rows->at_end = rows->position == nrows;
		if (rows->at_end)
			return false;
		wanted = rows->position++;
	}
	else
	{
		/* after the end the last row comes again */
		if (!rows->at_end && rows->position > 0)
			rows->position--;
		rows->at_end = false;
		if (rows->position == 0)
			return false;
		wanted = rows->position - 1;
	}
	if (wanted < rows->nkept)
		fetch_kept(rows, wanted, slot);
	else
		fetch_spilled(rows, wanted - rows->nkept, slot);
	ExecStoreVirtualTuple(slot);
	return true;
}

/* Goes back to before the first row. */
void
sth_returned_rewind(SthReturned *rows)
{
	rows->position = 0;
	rows->at_end = false;
	rows->node = NULL;
	rows->spilled_position = 0;
	if (rows->spilled != NULL)
		tuplestore_rescan(rows->spilled);
}

/* Lets go of the rows. */
void
sth_returned_clear(SthReturned *rows)
{
	ExecClearTuple(rows->spilled_slot);
	if (rows->spilled != NULL)
		tuplestore_end(rows->spilled);
	rows->spilled = NULL;
	if (rows->context != NULL)
		MemoryContextDelete(rows->context);
	rows->context = NULL;
	rows->free_size = rows->used = 0;
	dlist_init(&rows->kept);
	rows->nkept = rows->nspilled = 0;
	sth_returned_rewind(rows);
}
