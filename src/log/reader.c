/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Reading the rows of a log: the one way in which rows are read.
 *
 * A reader walks one log after the other under one snapshot: first the blocks
 * of its segments, then, from where these end, the frames of its tail.  The
 * transaction that moves rows from the tail to a segment does both at once,
 * so under every snapshot a row is in one of the two, and the seam is where
 * the newest segment that the snapshot shows ends.
 *
 * Only columns that are asked for are looked at: the values are pointers into
 * the current block or the decompressed body of the current frame, and a
 * block or frame of which nothing is asked but how many rows it has stays
 * compressed.
 *
 * Visible order is MVCC's: every row that the snapshot shows.  An ordered
 * reader stops at the first offset that the snapshot does not show, because
 * the transaction that took it may be about to commit.  It goes on only where
 * it can prove that the transaction has failed (gaps.c), or where a void says
 * so.  What a segment has no rows for is void.
 *
 * Offsets below the log's start are gone, even if a block or a frame that
 * reaches beyond the start still has them.
 *
 * Failure: reading changes nothing.
 *
 * Memory: a context of the reader's own; values last until the call that
 * moves to the next block or frame, so at least until the next call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "log/frames.h"
#include "log/gaps.h"
#include "log/reader.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Of memory that sessions which read have had, and do not need at the moment. */
#define MEMORY_KEPT (2 * 1024 * 1024)

/* A column of the current frame. */
typedef struct FrameColumn
{
	SthLayout	layout;
	AttrNumber	attnum;			/* 0: nobody asks for it */
} FrameColumn;

struct SthReader
{
	MemoryContext context;
	Relation	rel;
	const SthTopic *topic;
	Snapshot	snapshot;
	SthReadOrder order;
	SthReadStats stats;

	/* what is asked for */
	bool	   *wanted;			/* by attnum - 1 */
	bool		want_values;	/* any stored column? */
	bool		want_times;
	bool		want_partition;
	bool		want_offset;

	/* where it is */
	SthSegmentReader *segments;
	SthFrameScan *frames;
	bool		in_segments;	/* else in the tail */
	int			partition;
	int64		position;		/* the next offset to return, at least */
	bool		done;

	/* the current block or frame */
	int64		offset;			/* of the next row in it */
	int64		end_offset;
	bool		decoded;

	/* the current run: rows of it that are alike but for their values */
	int64		run_offset;		/* of its first row */
	int64		run_end;
	const SthBatch *batch;		/* its rows, if they are of a block */
	const Datum *values;		/* the caller's */
	const bool *isnull;

	/* the current frame */
	SthLogFrame frame;
	SthFrameCursor cursor;
	SthFrameRow row;
	uint8	   *body;
	Size		body_size;

	/* its columns, kept from frame to frame while the descriptor is alike */
	uint8	   *descriptor;
	Size		descriptor_len;
	Size		descriptor_size;
	int			ncolumns;
	int			nlook;			/* columns up to the last one asked for */
	FrameColumn *columns;
};

static void
note_wanted(SthReader *reader, AttrNumber attnum)
{
	const SthTopic *topic = reader->topic;

	reader->wanted[attnum - 1] = true;
	if (attnum == topic->partition_attnum)
		reader->want_partition = true;
	else if (attnum == topic->offset_attnum)
		reader->want_offset = true;
	else if (attnum == topic->time_attnum)
		reader->want_times = true;
	else
		reader->want_values = true;
}

/*
 * Has the C library keep memory that it would give back to the kernel at the
 * end of each query, for the next one to get it again page by page, which
 * takes a consumer of small batches a fifth of its time.  glibc keeps twice as
 * much as the largest block that has been freed, unless it is told what to do
 * (mallopt(3)); elsewhere this does nothing.
 */
static void
keep_memory(void)
{
	static bool done = false;

	if (!done)
		pfree(MemoryContextAllocHuge(TopMemoryContext, MEMORY_KEPT / 2));
	done = true;
}

/*
 * Begins to read a topic, whose relation the caller keeps open and locked.
 * The snapshot is the caller's too.  'attnums' are the columns asked for;
 * NULL is none.
 */
SthReader *
sth_reader_begin(Relation rel, const SthTopic *topic, Snapshot snapshot,
				 SthReadOrder order, const Bitmapset *attnums)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamhouse reader",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SthReader  *reader = palloc0(sizeof(SthReader));
	int			attnum = -1;

	keep_memory();
	reader->context = context;
	reader->rel = rel;
	reader->topic = topic;
	reader->snapshot = snapshot;
	reader->order = order;
	reader->wanted = palloc0(RelationGetNumberOfAttributes(rel) * sizeof(bool));
	while ((attnum = bms_next_member(attnums, attnum)) >= 0)
		note_wanted(reader, attnum);
	reader->segments = sth_segment_reader_begin(rel, topic, snapshot,
												reader->wanted,
												reader->want_times);
	reader->frames = sth_frames_begin(snapshot, RelationGetRelationName(rel));
	reader->done = true;
	MemoryContextSwitchTo(old);
	return reader;
}

/* Has checked what is not asked for, too. */
void
sth_reader_check_all(SthReader *reader)
{
	sth_segment_reader_check_all(reader->segments);
}

/*
 * Tells that the partitions will be read one after the other, each from its
 * start to its end, so that one can be fetched while the one before is read.
 */
void
sth_reader_expect_all(SthReader *reader)
{
	sth_segment_reader_expect_all(reader->segments);
}

/* Goes on in blocks that the session's last reader has fetched, or decoded. */
void
sth_reader_keep_blocks(SthReader *reader)
{
	sth_segment_reader_keep(reader->segments);
}

/*
 * Goes to a partition: the next row is the first at or after 'from', or after
 * the partition's start if that is later.
 */
void
sth_reader_seek(SthReader *reader, int partition, int64 from)
{
	MemoryContext old = MemoryContextSwitchTo(reader->context);
	int32		log_id = reader->topic->log_ids[partition];

	Assert(partition >= 0 && partition < reader->topic->npartitions);
	from = Max(from, sth_log_start_offset(log_id, reader->snapshot));
	reader->partition = partition;
	reader->position = from;
	reader->done = false;
	reader->decoded = false;
	reader->offset = reader->end_offset = reader->run_end = from;
	reader->in_segments = true;
	sth_segment_reader_seek(reader->segments, partition, from);
	MemoryContextSwitchTo(old);
}

/* Makes *buffer hold at least 'size' bytes; what it held is lost. */
static void
reserve(SthReader *reader, uint8 **buffer, Size *have, Size size)
{
	if (*have >= size && *buffer != NULL)
		return;
	if (*buffer != NULL)
		pfree(*buffer);
	*buffer = NULL;
	*have = Max(size, 32 * 1024);
	*buffer = MemoryContextAlloc(reader->context, *have);
}

/* Matches one column of a frame with the table's. */
static void
resolve_column(SthReader *reader, const SthFrameColumn *stored,
			   FrameColumn *column)
{
	TupleDesc	desc = RelationGetDescr(reader->rel);
	Form_pg_attribute att;

	if (stored->attnum > desc->natts)
		sth_frames_report_damage(reader->frames, "it has a column that the topic never had");
	att = TupleDescAttr(desc, stored->attnum - 1);
	column->layout = sth_attribute_layout(att);
	column->attnum = 0;
	if (att->attisdropped)
		return;
	if (att->atttypid != stored->type || att->atttypmod != stored->typmod)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of topic \"%s\" has another type than its stored rows",
						NameStr(att->attname),
						RelationGetRelationName(reader->rel))));
	if (reader->wanted[stored->attnum - 1])
		column->attnum = stored->attnum;
}

/* Learns the current frame's columns, unless they are as in the last one. */
static void
resolve_columns(SthReader *reader)
{
	const SthFrame *frame = &reader->frame.frame;
	SthFrameColumn *stored;

	if (reader->columns != NULL && reader->ncolumns == frame->ncolumns &&
		reader->descriptor_len == frame->descriptor_len &&
		memcmp(reader->descriptor, frame->descriptor,
			   frame->descriptor_len) == 0)
		return;

	stored = palloc(Max(frame->ncolumns, 1) * sizeof(SthFrameColumn));
	sth_frames_check(reader->frames, sth_frame_columns(frame, stored));
	if (reader->columns != NULL)
		pfree(reader->columns);
	reader->columns = MemoryContextAlloc(reader->context,
										 Max(frame->ncolumns, 1) *
										 sizeof(FrameColumn));
	reader->nlook = 0;
	for (int i = 0; i < frame->ncolumns; i++)
	{
		resolve_column(reader, &stored[i], &reader->columns[i]);
		if (reader->columns[i].attnum != 0)
			reader->nlook = i + 1;
	}
	pfree(stored);
	reserve(reader, &reader->descriptor, &reader->descriptor_size,
			frame->descriptor_len);
	memcpy(reader->descriptor, frame->descriptor, frame->descriptor_len);
	reader->descriptor_len = frame->descriptor_len;
	reader->ncolumns = frame->ncolumns;
}

/* Decompresses the current frame, and skips rows before the position. */
static void
decode_frame(SthReader *reader)
{
	const SthFrame *frame = &reader->frame.frame;

	resolve_columns(reader);
	if (frame->raw_len > MaxAllocSize - 32 * 1024)
		sth_frames_report_damage(reader->frames, "its length is absurd");
	reserve(reader, &reader->body, &reader->body_size, frame->raw_len);
	sth_frames_check(reader->frames, sth_frame_body(frame, reader->body,
													reader->body_size));
	sth_frames_check(reader->frames, sth_frame_open(frame, reader->body, &reader->cursor));
	reader->stats.frames_decoded++;
	reader->decoded = true;
	for (int64 skip = reader->position - reader->offset; skip > 0; skip--)
		sth_frames_check(reader->frames, sth_frame_next(&reader->cursor, &reader->row));
}

/* Takes the frame of rows that the scan has come to. */
static void
take_frame(SthReader *reader)
{
	reader->end_offset = reader->frame.end_offset;
	reader->offset = reader->frame.start_offset;
	reader->decoded = false;
	reader->stats.frames++;
	reader->stats.frame_bytes += reader->frame.stored_len;
	if (reader->want_values || reader->want_times)
		decode_frame(reader);
	if (reader->offset < reader->position)
		reader->offset = reader->position;
}

/* Moves to the next frame with rows; false if there is none to be returned. */
static bool
next_frame(SthReader *reader)
{
	int32		log_id = reader->topic->log_ids[reader->partition];
	SthLogFrame *frame = &reader->frame;

	while (!reader->done && sth_frames_next(reader->frames, frame))
	{
		if (reader->order == STH_READ_ORDERED &&
			frame->start_offset > reader->position &&
			!sth_gap_is_dead(log_id, reader->position, frame->start_offset))
			break;
		CHECK_FOR_INTERRUPTS();
		if (!frame->is_void)
		{
			take_frame(reader);
			return true;
		}
		reader->position = Max(reader->position, frame->end_offset);
		reader->offset = reader->end_offset = reader->position;
	}
	reader->done = true;
	return false;
}

/* Moves to the next block of segments; at their end, into the tail. */
static bool
next_block(SthReader *reader)
{
	if (sth_segment_reader_next(reader->segments, &reader->offset,
								&reader->end_offset))
	{
		reader->decoded = reader->want_values || reader->want_times;
		return true;
	}
	reader->in_segments = false;
	reader->position = sth_segment_reader_position(reader->segments);
	reader->offset = reader->end_offset = reader->position;
	sth_frames_seek(reader->frames, reader->topic->log_ids[reader->partition],
					reader->partition, reader->position);
	return false;
}

/*
 * Takes the values asked for out of the current row.  Columns that the frame
 * has not are NULL since the run began.
 */
static void
fetch_values(SthReader *reader, Datum *values, bool *isnull)
{
	const SthFrameRow *row = &reader->row;
	const uint8_t *p = row->values;

	for (int i = 0; i < reader->nlook; i++)
	{
		const FrameColumn *column = &reader->columns[i];
		bool		has = sth_frame_has(row, i);
		uintptr_t	value = 0;

		if (has)
			p = sth_row_fetch(&column->layout, row->values, p, row->end, &value);
		if (p == NULL)
			sth_frames_report_damage(reader->frames, "a row ends before its values do");
		if (column->attnum != 0)
		{
			values[column->attnum - 1] = (Datum) value;
			isnull[column->attnum - 1] = !has;
		}
	}
}

/* Moves to the next block or frame if this one is done; false at the end. */
static bool
find_rows(SthReader *reader)
{
	/* the scan allocates, and the caller's context may be a row's */
	MemoryContext old = MemoryContextSwitchTo(reader->context);
	bool		found = true;

	while (found && reader->offset >= reader->end_offset)
	{
		CHECK_FOR_INTERRUPTS();
		found = (reader->in_segments && next_block(reader)) ||
			next_frame(reader);
	}
	MemoryContextSwitchTo(old);
	return found;
}

/*
 * Begins the next run: sets what all its rows share in the caller's arrays,
 * and NULL for all else.  False at the end of the partition.
 */
static pg_noinline bool
begin_run(SthReader *reader, Datum *values, bool *isnull)
{
	const SthTopic *topic = reader->topic;

	if (!find_rows(reader))
		return false;
	reader->batch = NULL;
	reader->run_offset = reader->offset;
	reader->run_end = reader->end_offset;
	if (reader->in_segments && reader->decoded)
	{
		reader->batch = sth_segment_reader_rows(reader->segments);
		reader->run_end = Min(reader->run_end,
							  reader->offset + reader->batch->nrows);
	}
	memset(isnull, true, RelationGetNumberOfAttributes(reader->rel));
	if (reader->want_partition)
	{
		values[topic->partition_attnum - 1] = Int32GetDatum(reader->partition);
		isnull[topic->partition_attnum - 1] = false;
	}
	if (reader->want_offset)
		isnull[topic->offset_attnum - 1] = false;
	if (reader->want_times)
		isnull[topic->time_attnum - 1] = false;
	reader->values = values;
	reader->isnull = isnull;
	return true;
}

/* Takes the next row of the current frame. */
static pg_noinline TimestampTz
take_frame_row(SthReader *reader, Datum *values, bool *isnull)
{
	sth_frames_check(reader->frames,
					 sth_frame_next(&reader->cursor, &reader->row));
	fetch_values(reader, values, isnull);
	return reader->row.time;
}

/*
 * The next row, into arrays with a place for each column of the table; false
 * at the end of the partition.  Columns that were not asked for come out as
 * NULL.  The arrays are the same from one seek to the next, and nobody else
 * writes to them: what does not change from row to row is left as it is.
 */
bool
sth_reader_next(SthReader *reader, Datum *values, bool *isnull)
{
	TimestampTz time = 0;

	if (reader->offset >= reader->run_end && !begin_run(reader, values, isnull))
		return false;
	Assert(values == reader->values && isnull == reader->isnull);
	if (reader->batch != NULL)
	{
		uint32		i = (uint32) (reader->offset - reader->run_offset);

		sth_batch_row(reader->batch, i, (uintptr_t *) values, isnull);
		if (reader->want_times)
			time = reader->batch->times[i];
	}
	else if (reader->decoded)
		time = take_frame_row(reader, values, isnull);
	if (reader->want_offset)
		values[reader->topic->offset_attnum - 1] = Int64GetDatum(reader->offset);
	if (reader->want_times)
		values[reader->topic->time_attnum - 1] = TimestampTzGetDatum(time);
	reader->position = ++reader->offset;
	return true;
}

/* The offset after the row that was returned last. */
int64
sth_reader_position(const SthReader *reader)
{
	return reader->position;
}

/* The offset after the block or frame that was looked at last. */
int64
sth_reader_frame_end(const SthReader *reader)
{
	return reader->in_segments ?
		sth_segment_reader_end_offset(reader->segments) :
		sth_frames_end_offset(reader->frames);
}

/*
 * Bytes of the stored values of the row that was returned last, if any were
 * asked for; the caller still has it.
 */
Size
sth_reader_row_size(const SthReader *reader)
{
	const SthTopic *topic = reader->topic;
	Size		size = 0;

	if (!reader->decoded)
		return 0;
	if (!reader->in_segments)
		return (Size) (reader->row.end - reader->row.values);
	for (int i = 0; i < topic->ncolumns; i++)
	{
		const SthColumn *column = &topic->columns[i];
		int			place = column->attnum - 1;

		if (reader->isnull[place])
			continue;
		size += column->layout.len > 0 ? (Size) column->layout.len :
			VARSIZE_ANY(DatumGetPointer(reader->values[place]));
	}
	return size;
}

/* What has been read of the tail ... */
const SthReadStats *
sth_reader_stats(const SthReader *reader)
{
	return &reader->stats;
}

/* ... and of segments. */
const SthSegmentStats *
sth_reader_segment_stats(const SthReader *reader)
{
	return sth_segment_reader_stats(reader->segments);
}

void
sth_reader_end(SthReader *reader)
{
	sth_frames_end(reader->frames);
	sth_segment_reader_end(reader->segments);
	MemoryContextDelete(reader->context);
}
