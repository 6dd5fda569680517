/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Scanning a topic: all its partitions, one after the other.
 *
 * The scan shows what the query's snapshot shows.  The slot holds pointers into
 * what the reader has at hand, which lasts until the next call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "fdw/fdw.h"
#include "log/reader.h"
#include "nodes/plannodes.h"
#include "utils/rel.h"

typedef struct TopicScan
{
	SthTopic   *topic;
	SthReader  *reader;
	int			partition;		/* being read; -1: not begun */
} TopicScan;

void
sthBeginForeignScan(ForeignScanState *node, int eflags)
{
	Relation	rel = node->ss.ss_currentRelation;
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Bitmapset  *columns = NULL;
	TopicScan  *state;
	ListCell   *lc;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	foreach(lc, (List *) linitial(plan->fdw_private))
		columns = bms_add_member(columns, lfirst_int(lc));
	state = palloc0(sizeof(TopicScan));
	state->topic = sth_topic_get(rel);
	state->reader = sth_reader_begin(rel, state->topic,
									 node->ss.ps.state->es_snapshot,
									 STH_READ_VISIBLE, columns);
	sth_reader_expect_all(state->reader);
	state->partition = -1;
	node->fdw_state = state;
}

/* Moves to the next row, over the ends of partitions; false at the last one. */
static bool
next_row(TopicScan *state, TupleTableSlot *slot)
{
	for (;;)
	{
		if (state->partition >= 0 &&
			sth_reader_next(state->reader, slot->tts_values, slot->tts_isnull))
			return true;
		if (state->partition + 1 >= state->topic->npartitions)
			return false;
		sth_reader_seek(state->reader, ++state->partition, 0);
	}
}

/*
 * The slot's row gives way to the next one in place, if it can: a slot that
 * points to the reader's memory has nothing to be freed, and its other fields
 * stay as they are.
 */
TupleTableSlot *
sthIterateForeignScan(ForeignScanState *node)
{
	TopicScan  *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (!TTS_EMPTY(slot) && !TTS_SHOULDFREE(slot) && state->partition >= 0 &&
		sth_reader_next(state->reader, slot->tts_values, slot->tts_isnull))
		return slot;
	ExecClearTuple(slot);
	return next_row(state, slot) ? ExecStoreVirtualTuple(slot) : slot;
}

void
sthReScanForeignScan(ForeignScanState *node)
{
	TopicScan  *state = node->fdw_state;

	state->partition = -1;
}

void
sthEndForeignScan(ForeignScanState *node)
{
	TopicScan  *state = node->fdw_state;

	if (state != NULL)
		sth_reader_end(state->reader);
}

void
sthExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	TopicScan  *state = node->fdw_state;
	const SthReadStats *stats;
	const SthSegmentStats *segments;

	if (!es->analyze || state == NULL)
		return;
	stats = sth_reader_stats(state->reader);
	segments = sth_reader_segment_stats(state->reader);
	ExplainPropertyInteger("Partitions Read", NULL, state->partition + 1, es);
	ExplainPropertyInteger("Segments Read", NULL, segments->segments, es);
	ExplainPropertyInteger("Blocks Read", NULL, segments->blocks, es);
	ExplainPropertyInteger("Blocks Decoded", NULL, segments->blocks_decoded, es);
	ExplainPropertyInteger("Block Bytes", "B", segments->bytes, es);
	ExplainPropertyInteger("Frames Read", NULL, stats->frames, es);
	ExplainPropertyInteger("Frames Decoded", NULL, stats->frames_decoded, es);
	ExplainPropertyInteger("Frame Bytes", "B", stats->frame_bytes, es);
}
