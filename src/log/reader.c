/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Reading the rows of a log: the one way in which rows are read.
 *
 * A reader walks the frames of one log after the other under one snapshot and
 * takes rows out of them.  Only columns that are asked for are looked at: the
 * values are pointers into the decompressed body of the current frame, and a
 * frame of which nothing is asked but how many rows it has stays compressed.
 *
 * Visible order is MVCC's: every row that the snapshot shows.  An ordered
 * reader stops at the first offset that the snapshot does not show, because
 * the transaction that took it may be about to commit.  It goes on only where
 * it can prove that the transaction has failed (gaps.c), or where a void says
 * so.
 *
 * Where the log says that rows of some offsets are staged, the reader goes on
 * under the stage, and comes back when it has had them.
 *
 * Failure: reading changes nothing.
 *
 * Memory: a context of the reader's own; values last until the call that
 * moves to the next frame, so at least until the next call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec/frame.h"
#include "log/gaps.h"
#include "log/reader.h"
#include "log/tail.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

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
	SthTailScan *scan;			/* of the log */
	SthTailScan *stage_scan;	/* of staged rows, or NULL: none were met */
	bool		in_stage;
	int64		stage_base;		/* the offset of the first staged row */
	int64		stage_end;		/* the offset after the last one */
	int64		stage_next;		/* where its next frame begins */
	int			partition;
	int64		position;		/* the next offset to return, at least */
	bool		done;

	/* the current frame */
	int64		offset;			/* of the next row in it */
	int64		end_offset;
	bool		decoded;
	SthFrame	frame;
	SthFrameCursor cursor;
	SthFrameRow row;
	uint8	   *body;
	Size		body_size;
	uint8	   *whole;			/* a frame put together from its parts */
	Size		whole_size;

	/* its columns, kept from frame to frame while the descriptor is alike */
	uint8	   *descriptor;
	Size		descriptor_len;
	Size		descriptor_size;
	int			ncolumns;
	int			nlook;			/* columns up to the last one asked for */
	FrameColumn *columns;
};

static void
report_damage(const SthReader *reader, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("damaged frame in partition %d of topic \"%s\"",
					reader->partition, RelationGetRelationName(reader->rel)),
			 errdetail("The frame that ends at offset %lld: %s.",
					   (long long) reader->end_offset, what)));
}

static void
check_frame(const SthReader *reader, SthFrameResult result)
{
	if (result == STH_FRAME_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("partition %d of topic \"%s\" has a frame of a later version of streamhouse",
						reader->partition,
						RelationGetRelationName(reader->rel))));
	if (result != STH_FRAME_OK)
		report_damage(reader, "it is not well-formed");
}

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

	reader->context = context;
	reader->rel = rel;
	reader->topic = topic;
	reader->snapshot = snapshot;
	reader->order = order;
	reader->wanted = palloc0(RelationGetNumberOfAttributes(rel) * sizeof(bool));
	while ((attnum = bms_next_member(attnums, attnum)) >= 0)
		note_wanted(reader, attnum);
	reader->scan = sth_tail_begin_scan(snapshot);
	reader->done = true;
	MemoryContextSwitchTo(old);
	return reader;
}

/* Goes to a partition: the next row is the first at or after 'from'. */
void
sth_reader_seek(SthReader *reader, int partition, int64 from)
{
	MemoryContext old = MemoryContextSwitchTo(reader->context);

	Assert(partition >= 0 && partition < reader->topic->npartitions);
	reader->partition = partition;
	reader->position = from;
	reader->done = false;
	reader->in_stage = false;
	reader->offset = reader->end_offset = from;
	sth_tail_seek(reader->scan, reader->topic->log_ids[partition],
				  STH_STAGE_NONE, from);
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
		report_damage(reader, "it has a column that the topic never had");
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
	const SthFrame *frame = &reader->frame;
	SthFrameColumn *stored;

	if (reader->columns != NULL && reader->ncolumns == frame->ncolumns &&
		reader->descriptor_len == frame->descriptor_len &&
		memcmp(reader->descriptor, frame->descriptor,
			   frame->descriptor_len) == 0)
		return;

	stored = palloc(Max(frame->ncolumns, 1) * sizeof(SthFrameColumn));
	check_frame(reader, sth_frame_columns(frame, stored));
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

/* Goes to staged rows, if any is at or after the position. */
static void
enter_stage(SthReader *reader, const SthTailRow *row)
{
	int64		from = Max(reader->position - row->start_offset, 0);

	check_frame(reader, sth_frame_parse(row->frame, row->frame_len, 0,
										&reader->frame));
	if (reader->stage_scan == NULL)
		reader->stage_scan = sth_tail_begin_scan(reader->snapshot);
	sth_tail_seek(reader->stage_scan,
				  reader->topic->log_ids[reader->partition],
				  reader->frame.stage, from);
	reader->in_stage = true;
	reader->stage_base = row->start_offset;
	reader->stage_end = row->end_offset;
	reader->stage_next = row->start_offset + from;
}

/*
 * The next row of the tail, of the log or staged; the latter as if it were of
 * the log.  False if there is none.
 */
static bool
next_tail_row(SthReader *reader, SthTailRow *row)
{
	if (!reader->in_stage)
		return sth_tail_next(reader->scan, row);
	if (sth_tail_next(reader->stage_scan, row))
	{
		row->start_offset += reader->stage_base;
		row->end_offset += reader->stage_base;
		reader->end_offset = row->end_offset;
		if ((row->kind != STH_FRAME_ROWS && row->kind != STH_FRAME_PART) ||
			row->start_offset > reader->stage_next ||
			row->end_offset > reader->stage_end)
			report_damage(reader, "it does not follow the staged frame before it");
		reader->stage_next = row->end_offset;
		return true;
	}
	if (reader->stage_next != reader->stage_end)
		report_damage(reader, "staged frames after it are missing");
	reader->in_stage = false;
	return sth_tail_next(reader->scan, row);
}

/*
 * Puts a frame together that was cut into parts, of which 'row' is the first
 * that the scan found; the others are next, in any order.
 */
static void
assemble_parts(SthReader *reader, const SthTailRow *row)
{
	Size		chunk = sth_frame_part_capacity(STH_FRAME_MAX);
	uint32		nparts = reader->frame.nparts;
	Size		whole_len = 0;
	int64		end_offset = row->end_offset;
	Bitmapset  *seen = NULL;
	SthTailRow	part = *row;

	if (nparts > MaxAllocSize / chunk)
		report_damage(reader, "it claims too many parts");
	reserve(reader, &reader->whole, &reader->whole_size, nparts * chunk);
	for (uint32 n = 0;;)
	{
		const SthFrame *frame = &reader->frame;

		if (frame->kind != STH_FRAME_PART || frame->nparts != nparts ||
			(frame->part < nparts - 1 && frame->body_len != chunk) ||
			frame->body_len > chunk || bms_is_member(frame->part, seen))
			report_damage(reader, "a part does not fit the others");
		seen = bms_add_member(seen, frame->part);
		memcpy(reader->whole + frame->part * chunk, frame->body,
			   frame->body_len);
		if (frame->part == nparts - 1)
			whole_len = frame->part * chunk + frame->body_len;
		reader->stats.frame_bytes += part.frame_len;
		if (++n == nparts)
			break;
		if (!next_tail_row(reader, &part) ||
			part.end_offset != end_offset)
			report_damage(reader, "parts of it are missing");
		check_frame(reader, sth_frame_parse(part.frame, part.frame_len, 1,
											&reader->frame));
	}
	bms_free(seen);
	check_frame(reader, sth_frame_parse(reader->whole, whole_len, 1,
										&reader->frame));
	if (reader->frame.kind != STH_FRAME_ROWS)
		report_damage(reader, "its parts are no frame");
}

/* Decompresses the current frame, and skips rows before the position. */
static void
decode_frame(SthReader *reader)
{
	SthFrame   *frame = &reader->frame;

	resolve_columns(reader);
	if (frame->raw_len > MaxAllocSize - 32 * 1024)
		report_damage(reader, "its length is absurd");
	reserve(reader, &reader->body, &reader->body_size, frame->raw_len);
	check_frame(reader, sth_frame_body(frame, reader->body,
									   reader->body_size));
	check_frame(reader, sth_frame_open(frame, reader->body, &reader->cursor));
	reader->stats.frames_decoded++;
	reader->decoded = true;
	for (int64 skip = reader->position - reader->offset; skip > 0; skip--)
		check_frame(reader, sth_frame_next(&reader->cursor, &reader->row));
}

/* Takes a frame of rows, perhaps in parts, for the current one. */
static void
take_frame(SthReader *reader, const SthTailRow *row)
{
	reader->end_offset = row->end_offset;
	reader->offset = row->start_offset;
	reader->decoded = false;
	reader->stats.frames++;
	check_frame(reader, sth_frame_parse(row->frame, row->frame_len, row->count,
										&reader->frame));
	if (reader->frame.kind == STH_FRAME_PART)
		assemble_parts(reader, row);
	else
		reader->stats.frame_bytes += row->frame_len;
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
	SthTailRow	row;

	while (!reader->done && next_tail_row(reader, &row))
	{
		if (reader->order == STH_READ_ORDERED &&
			row.start_offset > reader->position &&
			!sth_gap_is_dead(log_id, reader->position, row.start_offset))
			break;
		CHECK_FOR_INTERRUPTS();
		switch (row.kind)
		{
			case STH_FRAME_STAGED:
				enter_stage(reader, &row);
				break;
			case STH_FRAME_VOID:
				reader->position = Max(reader->position, row.end_offset);
				reader->offset = reader->end_offset = reader->position;
				break;
			default:
				take_frame(reader, &row);
				return true;
		}
	}
	reader->done = true;
	return false;
}

/* Takes the values asked for out of the current row. */
static void
fetch_values(SthReader *reader, Datum *values, bool *isnull)
{
	const SthFrameRow *row = &reader->row;
	const uint8_t *p = row->values;

	for (int i = 0; i < reader->nlook; i++)
	{
		const FrameColumn *column = &reader->columns[i];
		uintptr_t	value;

		if (!sth_frame_has(row, i))
			continue;
		p = sth_row_fetch(&column->layout, row->values, p, row->end, &value);
		if (p == NULL)
			report_damage(reader, "a row ends before its values do");
		if (column->attnum != 0)
		{
			values[column->attnum - 1] = (Datum) value;
			isnull[column->attnum - 1] = false;
		}
	}
}

/*
 * The next row, into arrays with a place for each column of the table; false
 * at the end of the partition.  Columns that were not asked for come out as
 * NULL.
 */
bool
sth_reader_next(SthReader *reader, Datum *values, bool *isnull)
{
	const SthTopic *topic = reader->topic;

	while (reader->offset >= reader->end_offset)
	{
		/* the scan allocates, and the caller's context may be a row's */
		MemoryContext old = MemoryContextSwitchTo(reader->context);
		bool		found;

		CHECK_FOR_INTERRUPTS();
		found = next_frame(reader);
		MemoryContextSwitchTo(old);
		if (!found)
			return false;
	}

	memset(isnull, true, RelationGetNumberOfAttributes(reader->rel));
	if (reader->decoded)
	{
		check_frame(reader, sth_frame_next(&reader->cursor, &reader->row));
		fetch_values(reader, values, isnull);
	}
	if (reader->want_partition)
	{
		values[topic->partition_attnum - 1] = Int32GetDatum(reader->partition);
		isnull[topic->partition_attnum - 1] = false;
	}
	if (reader->want_offset)
	{
		values[topic->offset_attnum - 1] = Int64GetDatum(reader->offset);
		isnull[topic->offset_attnum - 1] = false;
	}
	if (reader->want_times)
	{
		values[topic->time_attnum - 1] = TimestampTzGetDatum(reader->row.time);
		isnull[topic->time_attnum - 1] = false;
	}
	reader->offset++;
	reader->position = reader->offset;
	return true;
}

/* The offset after the row that was returned last. */
int64
sth_reader_position(const SthReader *reader)
{
	return reader->position;
}

/* The offset after the frame that was looked at last. */
int64
sth_reader_frame_end(const SthReader *reader)
{
	return reader->end_offset;
}

/* Bytes of the values of the row that was returned last, if any were read. */
Size
sth_reader_row_size(const SthReader *reader)
{
	return reader->decoded ? (Size) (reader->row.end - reader->row.values) : 0;
}

const SthReadStats *
sth_reader_stats(const SthReader *reader)
{
	return &reader->stats;
}

void
sth_reader_end(SthReader *reader)
{
	sth_tail_end_scan(reader->scan);
	if (reader->stage_scan != NULL)
		sth_tail_end_scan(reader->stage_scan);
	MemoryContextDelete(reader->context);
}
