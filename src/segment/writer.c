/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  Writing an object with segments of logs.
 *
 * Frames go to the codec's object writer, and its bytes to the store as they
 * come.  When all logs have been written, the object gets its footer.  Then it
 * can be made known in streamhouse.object, and each of its segments in
 * streamhouse.segment: of an object in a bucket in later transactions.
 *
 * Failure: what the writer does to the database is the caller's transaction,
 * and an error undoes it.
 *
 * Memory: a context of the writer's own, "streamhouse object": one block, the
 * block index so far, the topics' descriptions, and all of an object that
 * goes to a bucket.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "catalog/objects.h"
#include "catalog/relations.h"
#include "catalog/segments.h"
#include "codec/object_writer.h"
#include "commands/sequence.h"
#include "segment/describe.h"
#include "segment/fault.h"
#include "segment/writer.h"
#include "store/store.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

struct SthSegmentWriter
{
	MemoryContext context;
	SthObjectWriter *object;
	MemoryContextCallback callback;
	SthPut	   *put;
	FormData_sth_object row;
	uint32		nsegments;

	/* topics described so far; segments name them by their place */
	SthTopicInfo *topics;
	Oid		   *topic_relids;
	uint32		ntopics;

	/* the log at hand, for messages */
	const char *topic;
	int			partition;
};

static void
free_object(void *arg)
{
	SthSegmentWriter *writer = arg;

	if (writer->object != NULL)
		sth_object_free(writer->object);
	writer->object = NULL;
}

static int
write_bytes(void *context, const uint8_t *data, size_t len)
{
	SthSegmentWriter *writer = context;

	sth_put_write(writer->put, data, len);
	writer->row.size += len;
	return 1;
}

/* Begins an object of a server. */
SthSegmentWriter *
sth_segment_writer_begin(Oid server)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamhouse object",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SthSegmentWriter *writer = palloc0(sizeof(SthSegmentWriter));
	SthMemory	memory = sth_codec_memory(context);
	SthSink		sink = {write_bytes, writer};

	writer->context = context;
	writer->callback.func = free_object;
	writer->callback.arg = writer;
	MemoryContextRegisterResetCallback(context, &writer->callback);
	writer->object = sth_object_begin(&memory, &sink,
									  (size_t) sth_block_size * 1024);
	if (writer->object == NULL)
		sth_report_no_memory();
	writer->row.object_id = nextval_internal(sth_relations()->object_id_seq,
											 false);
	writer->row.server = server;
	writer->put = sth_put_begin(server, writer->row.object_id);
	MemoryContextSwitchTo(old);
	return writer;
}

/* What the tail has could not be made a segment. */
static void
report(const SthSegmentWriter *writer, const SthFault *fault)
{
	if (fault->result == STH_CODEC_NO_MEMORY)
		sth_report_no_memory();
	ereport(ERROR,
			(errcode(fault->result == STH_CODEC_TOO_LARGE ?
					 ERRCODE_PROGRAM_LIMIT_EXCEEDED :
					 fault->result == STH_CODEC_UNSUPPORTED ?
					 ERRCODE_FEATURE_NOT_SUPPORTED : ERRCODE_DATA_CORRUPTED),
			 errmsg("could not write a segment of partition %d of topic \"%s\"",
					writer->partition, writer->topic),
			 errdetail("Cause: %s.", fault->what)));
}

/* The place of a topic in the footer. */
static uint32
find_topic(SthSegmentWriter *writer, Relation rel, const SthTopic *topic)
{
	uint32		n = writer->ntopics;

	for (uint32 i = 0; i < n; i++)
		if (writer->topic_relids[i] == topic->relid)
			return i;
	if (n == 0)
	{
		writer->topics = palloc(sizeof(SthTopicInfo));
		writer->topic_relids = palloc(sizeof(Oid));
	}
	else
	{
		writer->topics = repalloc(writer->topics, (n + 1) * sizeof(SthTopicInfo));
		writer->topic_relids = repalloc(writer->topic_relids, (n + 1) * sizeof(Oid));
	}
	sth_describe_topic(rel, topic, &writer->topics[n]);
	writer->topic_relids[n] = topic->relid;
	return writer->ntopics++;
}

/* All columns that frames of a topic may have, dropped ones too. */
static SthSourceColumn *
list_columns(Relation rel, int *ncolumns)
{
	TupleDesc	desc = RelationGetDescr(rel);
	SthSourceColumn *columns = palloc0(Max(desc->natts, 1) * sizeof(SthSourceColumn));
	int			n = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		SthSourceColumn *column = &columns[n];

		if (!att->attisdropped &&
			sth_assigned_column(NameStr(att->attname)) != STH_NOT_ASSIGNED)
			continue;
		column->column.attnum = att->attnum;
		column->column.type = att->atttypid;
		column->column.typmod = att->atttypmod;
		column->column.layout = sth_attribute_layout(att);
		column->dropped = att->attisdropped;
		n++;
	}
	*ncolumns = n;
	return columns;
}

/*
 * Begins the segment of a log, whose range begins at base_offset.  Returns its
 * number in the object.
 */
int
sth_segment_writer_begin_log(SthSegmentWriter *writer, Relation rel,
							 const SthTopic *topic, int partition,
							 int64 base_offset, int64 start_offset)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);
	SthSegment	segment = {0};
	SthFault	fault;
	int			ncolumns;
	SthSourceColumn *columns = list_columns(rel, &ncolumns);

	writer->topic = pstrdup(RelationGetRelationName(rel));
	writer->partition = partition;
	segment.topic = find_topic(writer, rel, topic);
	segment.log_id = topic->log_ids[partition];
	segment.partition = partition;
	segment.base_offset = base_offset;
	segment.start_offset = start_offset;
	segment.key_attnum = topic->key_attnum;
	segment.npartitions = topic->npartitions;
	if (sth_object_begin_segment(writer->object, &segment, columns, ncolumns,
								 topic->compression, &fault) != STH_CODEC_OK)
		report(writer, &fault);
	pfree(columns);
	MemoryContextSwitchTo(old);
	return writer->nsegments;
}

/* Adds the rows of a frame but the first 'skip'; 'offset': of its first one. */
void
sth_segment_writer_add(SthSegmentWriter *writer, const uint8 *frame, Size len,
					   int nrows, int64 offset, int skip)
{
	SthFault	fault;

	if (sth_object_add_frame(writer->object, frame, len, nrows, offset, skip,
							 &fault) != STH_CODEC_OK)
		report(writer, &fault);
}

/* Ends the log's segment before end_offset. */
void
sth_segment_writer_end_log(SthSegmentWriter *writer, int64 end_offset)
{
	SthFault	fault;

	if (sth_object_end_segment(writer->object, end_offset, &fault) != STH_CODEC_OK)
		report(writer, &fault);
	writer->nsegments++;
}

/* Writes the footer: the object is whole. */
void
sth_segment_writer_finish(SthSegmentWriter *writer)
{
	SthObjectInfo info;
	SthFault	fault;

	sth_describe_writer(&info);
	writer->row.written_at = info.written_at;
	if (sth_object_end(writer->object, &info, writer->topics, writer->ntopics,
					   &fault) != STH_CODEC_OK)
		report(writer, &fault);
	sth_put_finish(writer->put);
}

/* The n-th segment, in the order in which they were written. */
const SthSegment *
sth_segment_writer_segment(SthSegmentWriter *writer, uint32 n)
{
	return sth_object_segment(writer->object, n);
}

/* Makes the object known: as live, or as one that is to be sent. */
void
sth_segment_writer_register_object(SthSegmentWriter *writer)
{
	const char *key = sth_put_key(writer->put);

	writer->row.state = key ? STH_OBJECT_UPLOADING : STH_OBJECT_LIVE;
	writer->row.changed_at = GetCurrentTimestamp();
	sth_object_insert(&writer->row, key);
}

/* Makes a segment known. */
void
sth_segment_writer_register(SthSegmentWriter *writer, int i)
{
	const uint8 *index = sth_object_index(writer->object);
	const SthSegment *segment = sth_object_segment(writer->object, i);
	FormData_sth_segment row;

	row.log_id = segment->log_id;
	row.generation = segment->generation;
	row.base_offset = segment->base_offset;
	row.end_offset = segment->end_offset;
	row.record_count = segment->nrows;
	row.min_time = segment->min_time;
	row.max_time = segment->max_time;
	row.object_id = writer->row.object_id;
	row.position = segment->position;
	row.length = segment->len;
	sth_segment_insert(&row,
					   index + (Size) segment->first_block * STH_INDEX_ENTRY_LEN,
					   (Size) segment->nblocks * STH_INDEX_ENTRY_LEN);
}

/* The object as it goes to its store. */
SthPut *
sth_segment_writer_put(SthSegmentWriter *writer)
{
	return writer->put;
}

int64
sth_segment_writer_object_id(const SthSegmentWriter *writer)
{
	return writer->row.object_id;
}

/* Bytes of the object so far. */
int64
sth_segment_writer_size(const SthSegmentWriter *writer)
{
	return writer->row.size;
}

void
sth_segment_writer_end(SthSegmentWriter *writer)
{
	sth_put_end(writer->put);
	MemoryContextDelete(writer->context);
}
