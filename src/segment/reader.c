/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Reading the segments of a log.
 *
 * A reader walks the segments of one log after the other under one snapshot,
 * and the blocks of each: the segment is found by the index of
 * streamhouse.segment, its blocks stand in its row, and a block's bytes come
 * from the store.  Blocks before the position are not fetched, and neither is
 * any if nothing is asked of its rows but how many they are.  Of a block its
 * header is fetched and then the chunks of the columns that are asked for, or
 * all at once if those are all columns that the topic has.
 *
 * What is wrong with what is stored is an error, never wrong rows: the
 * segments have to follow each other, the blocks of one have to lie in its
 * range, one after another, and to have as many rows as it says, and a block
 * has to be the one that the index means.
 *
 * Failure: reading changes nothing.
 *
 * Memory: a context of the reader's own, "streamhouse segments", but for the
 * current block and the run of blocks that it came with, which may stay with
 * the session (decoded.c, run.c).  A row's
 * values are pointers into the current block, and last until the next one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "codec/footer.h"
#include "miscadmin.h"
#include "segment/ahead.h"
#include "segment/decoded.h"
#include "segment/fault.h"
#include "segment/places.h"
#include "segment/reader.h"
#include "store/store.h"
#include "utils/memutils.h"
#include "utils/rel.h"

struct SthSegmentReader
{
	MemoryContext context;
	Relation	rel;
	const SthTopic *topic;
	Snapshot	snapshot;
	bool		want_blocks;	/* more than how many rows there are */
	const bool *wanted;			/* by attnum - 1 */
	bool		want_times;
	bool		want_all;		/* all columns: blocks are fetched whole */
	bool		check_all;		/* what is not asked for, too */
	bool		in_order;		/* all partitions, one after the other */
	SthSegmentScan *scan;
	SthStore   *store;
	SthPlaces  *places;			/* these two of a store that is far away */
	SthAhead   *ahead;
	SthSegmentStats stats;

	/* the current block, if one has been decoded */
	SthColumnType *columns;
	int			ncolumns;
	SthDecoded *decoded;
	bool		keep;			/* what the session's next reader needs */

	/* where it is */
	int			partition;
	int64		position;		/* the next offset to return, at least */
	FormData_sth_segment segment;	/* the current one */
	struct varlena *index;		/* its blocks; NULL: no segment */
	uint32		nblocks;
	uint32		next_block;
	SthIndexEntry entry;		/* of the current block */
};

/*
 * Begins to read the segments of a topic, whose relation the caller keeps
 * open and locked.  The snapshot is the caller's too, and so is 'wanted', by
 * attnum - 1: the stored columns that are asked for.
 */
SthSegmentReader *
sth_segment_reader_begin(Relation rel, const SthTopic *topic,
						 Snapshot snapshot, const bool *wanted, bool want_times)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamhouse segments",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SthSegmentReader *reader = palloc0(sizeof(SthSegmentReader));
	SthColumnType *columns = palloc(Max(topic->ncolumns, 1) * sizeof(SthColumnType));
	int			n = 0;

	reader->context = context;
	reader->rel = rel;
	reader->topic = topic;
	reader->snapshot = snapshot;
	reader->wanted = wanted;
	reader->want_times = want_times;
	for (int i = 0; i < topic->ncolumns; i++)
	{
		const SthColumn *column = &topic->columns[i];

		if (!wanted[column->attnum - 1])
			continue;
		columns[n].attnum = column->attnum;
		columns[n].type = column->type;
		columns[n].typmod = column->typmod;
		columns[n].layout = column->layout;
		n++;
	}
	reader->want_blocks = n > 0 || want_times;
	reader->want_all = n == topic->ncolumns && want_times;
	reader->columns = columns;
	reader->ncolumns = n;
	reader->scan = sth_segments_begin(snapshot);
	MemoryContextSwitchTo(old);
	return reader;
}

/* Has all of each block checked, also columns that are not asked for. */
void
sth_segment_reader_check_all(SthSegmentReader *reader)
{
	reader->check_all = true;
}

/*
 * Tells that the partitions will be read one after the other, each from its
 * start to its end.
 */
void
sth_segment_reader_expect_all(SthSegmentReader *reader)
{
	reader->in_order = true;
}

/*
 * Goes on where the session's last reader has ended, if that kept its block,
 * and keeps the block that it ends in, and what was fetched with it.
 */
void
sth_segment_reader_keep(SthSegmentReader *reader)
{
	reader->keep = true;
}

/* Leaves a log: what was fetched of it may be kept for who comes to it next. */
static void
let_go_of_log(SthSegmentReader *reader)
{
	SthDecoded *decoded = reader->decoded;
	int32		log_id = reader->topic->log_ids[reader->partition];

	if (!reader->keep)
		return;
	if (reader->ahead != NULL)
		sth_ahead_keep(reader->ahead, log_id);
	if (decoded == NULL)
		return;
	reader->decoded = NULL;
	sth_decoded_keep(decoded, log_id);
}

/* Begins to fetch ahead at the position, or does in another log. */
static void
look_ahead(SthSegmentReader *reader)
{
	sth_places_seek(reader->places, reader->partition, reader->position);
	sth_ahead_forget(reader->ahead);
	if (reader->keep)
		sth_ahead_resume(reader->ahead,
						 reader->topic->log_ids[reader->partition],
						 reader->topic->npartitions);
}

static void
forget_segment(SthSegmentReader *reader)
{
	if (reader->index != NULL)
		pfree(reader->index);
	reader->index = NULL;
	reader->nblocks = 0;
	reader->next_block = 0;
}

/* Goes to a partition, and there to 'from', which is not below its start. */
void
sth_segment_reader_seek(SthSegmentReader *reader, int partition, int64 from)
{
	MemoryContext old = MemoryContextSwitchTo(reader->context);
	bool		foreseen = reader->in_order && partition == reader->partition + 1;

	let_go_of_log(reader);
	if (reader->keep)
		reader->decoded = sth_decoded_take(reader->context,
										   reader->topic->log_ids[partition],
										   reader->columns, reader->ncolumns,
										   reader->want_times);
	forget_segment(reader);
	memset(&reader->segment, 0, sizeof(reader->segment));
	reader->partition = partition;
	reader->position = from;
	sth_segments_seek(reader->scan, reader->topic->log_ids[partition], from);
	if (reader->ahead != NULL && !foreseen)
		look_ahead(reader);
	MemoryContextSwitchTo(old);
}

/* The range of an object that an error is about. */
static SthObjectRange
make_range(const SthSegmentReader *reader, uint64 position, uint64 len)
{
	SthObjectRange range;

	range.object_id = reader->segment.object_id;
	range.position = position;
	range.len = len;
	range.topic = RelationGetRelationName(reader->rel);
	range.partition = reader->partition;
	return range;
}

static void
report_index(const SthSegmentReader *reader, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("damaged index of a segment of partition %d of topic \"%s\"",
					reader->partition, RelationGetRelationName(reader->rel)),
			 errdetail("The segment of offsets %lld to %lld: %s.",
					   (long long) reader->segment.base_offset,
					   (long long) reader->segment.end_offset - 1, what)));
}

static void
get_entry(const SthSegmentReader *reader, uint32 i, SthIndexEntry *entry)
{
	sth_index_get((const uint8 *) VARDATA(reader->index) +
				  (Size) i * STH_INDEX_ENTRY_LEN, entry);
}

/* Are the blocks of the segment where and what its row says? */
static void
check_index(const SthSegmentReader *reader)
{
	const FormData_sth_segment *segment = &reader->segment;
	int64		offset = segment->base_offset;
	uint64		position = segment->position;
	int64		nrows = 0;

	if ((VARSIZE(reader->index) - VARHDRSZ) % STH_INDEX_ENTRY_LEN != 0)
		report_index(reader, "its length is wrong");
	for (uint32 i = 0; i < reader->nblocks; i++)
	{
		SthIndexEntry entry;

		get_entry(reader, i, &entry);
		if (entry.base_offset < offset ||
			entry.base_offset > segment->end_offset - entry.nrows ||
			entry.nrows == 0 || entry.nrows > STH_BLOCK_MAX_ROWS)
			report_index(reader, "a block is outside of its range");
		if (entry.position != position || entry.len > STH_BLOCK_MAX_LEN ||
			entry.header_len < STH_BLOCK_HEAD_LEN ||
			entry.header_len > entry.len)
			report_index(reader, "a block does not follow the one before");
		offset = entry.base_offset + entry.nrows;
		position += entry.len;
		nrows += entry.nrows;
	}
	if (nrows != segment->record_count)
		report_index(reader, "it has another number of rows");
	if (position != (uint64) (segment->position + segment->length))
		report_index(reader, "it has another length");
}

/* Moves to the next segment; false if there is none. */
static bool
next_segment(SthSegmentReader *reader)
{
	forget_segment(reader);
	if (!sth_segments_next(reader->scan, &reader->segment))
		return false;
	if (reader->segment.base_offset > reader->position)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("rows of partition %d of topic \"%s\" are missing",
						reader->partition, RelationGetRelationName(reader->rel)),
				 errdetail("No segment has offsets %lld to %lld.",
						   (long long) reader->position,
						   (long long) reader->segment.base_offset - 1)));
	reader->index = sth_segments_index(reader->scan);
	reader->nblocks = (VARSIZE(reader->index) - VARHDRSZ) / STH_INDEX_ENTRY_LEN;
	check_index(reader);
	reader->stats.segments++;
	return true;
}

/* Fetches bytes [from, until) of the current block to where they belong. */
static void
fetch(SthSegmentReader *reader, Size from, Size until)
{
	SthGet		get;

	if (from == until)
		return;
	get.object_id = reader->segment.object_id;
	get.position = reader->entry.position + from;
	get.len = until - from;
	get.buffer = reader->decoded->buffer + from;
	sth_store_submit(reader->store, &get);
	sth_store_wait(reader->store, &get);
	if (!get.found)
	{
		SthObjectRange range = make_range(reader, get.position, get.len);

		sth_report_missing(&range);
	}
	reader->stats.bytes += get.len;
}

/*
 * A block has a column of another type than the topic: says which, as for
 * frames.
 */
static void
report_mismatch(const SthSegmentReader *reader)
{
	const SthBlock *block = sth_block_reader_block(reader->decoded->blocks);
	TupleDesc	desc = RelationGetDescr(reader->rel);

	for (int i = 0; i < block->nchunks; i++)
	{
		SthChunk	chunk;
		Form_pg_attribute att;

		sth_block_chunk(block, i, &chunk);
		if (chunk.kind != STH_CHUNK_VALUES || chunk.column.attnum > desc->natts)
			continue;
		att = TupleDescAttr(desc, chunk.column.attnum - 1);
		if (!att->attisdropped && (att->atttypid != chunk.column.type ||
								   att->atttypmod != chunk.column.typmod))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of topic \"%s\" has another type than its stored rows",
							NameStr(att->attname),
							RelationGetRelationName(reader->rel))));
	}
}

static void
report_block(const SthSegmentReader *reader, const SthFault *fault)
{
	SthObjectRange range = make_range(reader, reader->entry.position,
									  reader->entry.len);

	if (fault->result == STH_CODEC_MISMATCH)
		report_mismatch(reader);
	sth_report_fault(fault, &range);
}

static bool
is_wanted(const SthSegmentReader *reader, const SthChunk *chunk)
{
	if (chunk->kind == STH_CHUNK_TIMES)
		return reader->want_times;
	return chunk->kind == STH_CHUNK_VALUES &&
		chunk->column.attnum <= RelationGetNumberOfAttributes(reader->rel) &&
		reader->wanted[chunk->column.attnum - 1];
}

/* Opens the store; if it is far away, what comes next will be fetched ahead. */
static void
open_store(SthSegmentReader *reader)
{
	MemoryContext old = MemoryContextSwitchTo(reader->context);

	reader->store = sth_store_open(reader->topic->server, reader->snapshot);
	if (sth_store_is_remote(reader->store))
	{
		reader->places = sth_places_begin(reader->topic, reader->snapshot,
										  reader->in_order);
		reader->ahead = sth_ahead_begin(reader->store, sth_places_next,
										reader->places);
		look_ahead(reader);
	}
	MemoryContextSwitchTo(old);
}

/* Takes the current block, all of it, from what comes ahead. */
static void
take_block(SthSegmentReader *reader)
{
	const SthIndexEntry *entry = &reader->entry;
	SthBlockPlace place = {reader->segment.object_id, entry->position, entry->len};
	const uint8 *bytes = sth_ahead_take(reader->ahead, &place);

	if (bytes == NULL)
	{
		SthObjectRange range = make_range(reader, entry->position, entry->len);

		sth_report_missing(&range);
	}
	/* the block may stay with the session */
	memcpy(reader->decoded->buffer, bytes, entry->len);
	reader->stats.bytes += entry->len;
}

/* Fetches what is asked for of the current block, neighbours at once. */
static void
fetch_block(SthSegmentReader *reader)
{
	const SthIndexEntry *entry = &reader->entry;
	SthBlock	block;
	SthFault	fault;
	Size		at = entry->header_len;
	Size		from = at;

	if (reader->store == NULL)
		open_store(reader);
	sth_decoded_reserve(reader->decoded, entry->len);
	if (reader->ahead != NULL)
	{
		take_block(reader);
		return;
	}
	if (reader->check_all || reader->want_all)
	{
		fetch(reader, 0, entry->len);
		return;
	}
	fetch(reader, 0, entry->header_len);
	if (sth_block_parse(reader->decoded->buffer, entry->header_len, entry->position,
						&block, &fault) != STH_CODEC_OK ||
		sth_block_match(&block, entry, &fault) != STH_CODEC_OK)
		report_block(reader, &fault);
	for (int i = 0; i < block.nchunks; i++)
	{
		SthChunk	chunk;

		sth_block_chunk(&block, i, &chunk);
		if (!is_wanted(reader, &chunk))
		{
			fetch(reader, from, at);
			from = at + sth_chunk_span(&chunk);
		}
		at += sth_chunk_span(&chunk);
	}
	fetch(reader, from, at);
}

/* Fetches and decodes the current block. */
static void
decode_block(SthSegmentReader *reader)
{
	const SthIndexEntry *entry = &reader->entry;
	SthDecoded *decoded = reader->decoded;
	SthFault	fault;

	fetch_block(reader);
	if (reader->check_all &&
		sth_block_verify(decoded->buffer, entry->len, entry, &fault) != STH_CODEC_OK)
		report_block(reader, &fault);
	if (sth_block_reader_load(decoded->blocks, decoded->buffer, entry->len,
							  entry, &fault) != STH_CODEC_OK)
		report_block(reader, &fault);
	decoded->object_id = reader->segment.object_id;
	decoded->entry = *entry;
	reader->stats.blocks_decoded++;
}

/* Is the current block the one that was kept? */
static bool
is_decoded(const SthSegmentReader *reader)
{
	const SthDecoded *decoded = reader->decoded;

	return decoded->entry.nrows > 0 &&
		decoded->object_id == reader->segment.object_id &&
		decoded->entry.position == reader->entry.position &&
		decoded->entry.base_offset == reader->entry.base_offset;
}

/* Loads the current block, and skips rows before the position. */
static void
load_block(SthSegmentReader *reader)
{
	uint32		row = (uint32) Max(reader->position - reader->entry.base_offset, 0);
	SthFault	fault;

	if (reader->decoded == NULL)
		reader->decoded = sth_decoded_create(reader->context, reader->columns,
											 reader->ncolumns,
											 reader->want_times);
	if (!is_decoded(reader))
		decode_block(reader);
	else if (sth_block_reader_row(reader->decoded->blocks) > row)
		sth_block_reader_rewind(reader->decoded->blocks);
	row -= sth_block_reader_row(reader->decoded->blocks);
	if (row > 0 && !sth_block_reader_skip(reader->decoded->blocks, row))
	{
		(void) sth_block_reader_fault(reader->decoded->blocks, &fault);
		report_block(reader, &fault);
	}
}

/*
 * Moves to the next block with rows at or after the position: their offsets
 * are [*offset, *end_offset).  False if no segment has any: the log goes on
 * in the tail, from sth_segment_reader_position on.
 */
bool
sth_segment_reader_next(SthSegmentReader *reader, int64 *offset,
						int64 *end_offset)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		while (reader->next_block < reader->nblocks)
		{
			SthIndexEntry *entry = &reader->entry;
			int64		end;

			get_entry(reader, reader->next_block++, entry);
			end = entry->base_offset + entry->nrows;
			if (end <= reader->position)
				continue;
			reader->stats.blocks++;
			*offset = Max(entry->base_offset, reader->position);
			*end_offset = end;
			if (reader->want_blocks)
				load_block(reader);
			reader->position = end;
			return true;
		}
		if (reader->index != NULL)
			reader->position = Max(reader->position,
								   reader->segment.end_offset);
		if (!next_segment(reader))
			return false;
	}
}

/*
 * The current block's next rows, at least one; good until the next call.  To
 * be called until there were as many as the block has offsets, and only if
 * anything was asked for.
 */
const SthBatch *
sth_segment_reader_rows(SthSegmentReader *reader)
{
	const SthBatch *batch = sth_block_reader_batch(reader->decoded->blocks);
	SthFault	fault;

	if (batch->nrows > 0)
		return batch;
	if (sth_block_reader_fault(reader->decoded->blocks, &fault) == STH_CODEC_OK)
		sth_fault(&fault, STH_CODEC_DAMAGED, "rows are missing",
				  reader->entry.position);
	report_block(reader, &fault);
	pg_unreachable();
}

/* The offset after the block, or after all segments. */
int64
sth_segment_reader_position(const SthSegmentReader *reader)
{
	return reader->position;
}

/*
 * The offset after the block that was looked at last; if the segment is at
 * fault, after that.
 */
int64
sth_segment_reader_end_offset(const SthSegmentReader *reader)
{
	if (reader->index == NULL)
		return Max(reader->position, reader->segment.base_offset);
	if (reader->next_block == 0)
		return reader->segment.end_offset;
	return reader->entry.base_offset + reader->entry.nrows;
}

const SthSegmentStats *
sth_segment_reader_stats(const SthSegmentReader *reader)
{
	return &reader->stats;
}

void
sth_segment_reader_end(SthSegmentReader *reader)
{
	let_go_of_log(reader);
	sth_segments_end(reader->scan);
	if (reader->ahead != NULL)
	{
		sth_ahead_forget(reader->ahead);
		sth_places_end(reader->places);
	}
	if (reader->store != NULL)
		sth_store_close(reader->store);
	MemoryContextDelete(reader->context);
}
