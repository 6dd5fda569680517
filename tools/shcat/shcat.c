/*-------------------------------------------------------------------------
 *
 * shcat.c
 *	  Prints the rows of an object as lines of JSON, without a server.
 *
 * One block is in memory at a time.  Everything is checked as the server
 * checks it; the first damage ends the output with a message and status 1.
 *
 *-------------------------------------------------------------------------
 */
#include "print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "codec/block_reader.h"

typedef struct Object
{
	const char *name;
	FILE	   *file;
	SthTrailer	trailer;
	uint8_t    *footer_bytes;
	SthFooter	footer;
} Object;

/* The topic whose rows are being printed. */
typedef struct Topic
{
	SthTopicInfo info;
	SthColumnInfo *columns;		/* that are stored */
	int			ncolumns;
	int			nattributes;
} Topic;

static void
usage(FILE *out)
{
	fprintf(out,
			"usage: shcat FILE\n"
			"Prints the rows of a StreamHouse object as JSON, one a line: _topic, _partition,\n"
			"_offset, _timestamp and the columns of the topic, by name.\n\n"
			"Types:\n%s\n"
			"Text is in the encoding of the database that wrote the object.\n", printed_types);
}

__attribute__((noreturn)) static void
die(const char *name, const char *what)
{
	fflush(stdout);
	fprintf(stderr, "shcat: %s: %s\n", name, what);
	exit(1);
}

static void
check(const Object *object, SthCodecResult result, const SthFault *fault)
{
	if (result == STH_CODEC_OK)
		return;
	fflush(stdout);
	fprintf(stderr, "shcat: %s: byte %" PRIu64 ": %s\n", object->name, fault->at, fault->what);
	exit(1);
}

static void *
allocate(void *context, size_t size)
{
	return malloc(size);
}

static void
release(void *context, void *memory)
{
	free(memory);
}

static const SthMemory memory = {allocate, release, NULL};

static void *
get_memory(const Object *object, size_t size)
{
	void	   *p = malloc(size + 1);

	if (p == NULL)
		die(object->name, "out of memory");
	return p;
}

static void
read_at(const Object *object, uint64_t position, uint8_t *buffer, size_t len)
{
	if (fseeko(object->file, (off_t) position, SEEK_SET) != 0 ||
		fread(buffer, 1, len, object->file) != len)
		die(object->name, ferror(object->file) ? strerror(errno) : "it ends too early");
}

static void
open_object(Object *object, const char *name)
{
	uint8_t		trailer[STH_TRAILER_LEN];
	SthFault	fault;
	off_t		len;

	object->name = name;
	object->file = fopen(name, "rb");
	if (object->file == NULL || fseeko(object->file, 0, SEEK_END) != 0 ||
		(len = ftello(object->file)) < 0)
		die(name, strerror(errno));
	if (len < STH_TRAILER_LEN)
		die(name, "too short for an object");
	read_at(object, (uint64_t) len - STH_TRAILER_LEN, trailer, sizeof(trailer));
	check(object, sth_trailer_parse(trailer, (uint64_t) len, &object->trailer, &fault), &fault);
	object->footer_bytes = get_memory(object, object->trailer.footer_len);
	read_at(object, object->trailer.footer_position, object->footer_bytes,
			object->trailer.footer_len);
	check(object, sth_footer_open(object->footer_bytes, &object->trailer,
								  &object->footer, &fault), &fault);
}

/* Finds topic number n and its stored columns. */
static void
open_topic(const Object *object, uint32_t n, Topic *topic)
{
	SthInput	topics = object->footer.topics;
	SthColumnInfo column;

	while (sth_footer_next_topic(&topics, &topic->info) && n > 0)
		n--;
	topic->columns = get_memory(object, topic->info.ncolumns * sizeof(SthColumnInfo));
	topic->ncolumns = 0;
	topic->nattributes = 0;
	while (sth_topic_next_column(&topic->info, &column))
	{
		topic->nattributes = column.column.attnum;
		if (!(column.flags & STH_COLUMN_ASSIGNED))
			topic->columns[topic->ncolumns++] = column;
	}
}

static void
print_name(const Topic *topic)
{
	size_t		schema_len = topic->info.schema.len;
	size_t		len = schema_len + 1 + topic->info.name.len;
	char	   *name = malloc(len);

	if (name == NULL)
		die("shcat", "out of memory");
	memcpy(name, topic->info.schema.data, schema_len);
	name[schema_len] = '.';
	memcpy(name + schema_len + 1, topic->info.name.data, topic->info.name.len);
	print_string(stdout, name, len);
	free(name);
}

static void
print_row(const Object *object, const Topic *topic, const SthSegment *segment,
		  int64_t offset, int64_t time, const uintptr_t *values,
		  const bool *isnull)
{
	uint8_t		bytes[8];

	fputs("{\"_topic\": ", stdout);
	print_name(topic);
	printf(", \"_partition\": %" PRId32 ", \"_offset\": %" PRId64 ", \"_timestamp\": ",
		   segment->partition, offset);
	sth_put_u64(bytes, (uint64_t) time);
	print_timestamptz(stdout, bytes, 8);
	for (int i = 0; i < topic->ncolumns; i++)
	{
		const SthColumnInfo *column = &topic->columns[i];
		int			place = column->column.attnum - 1;

		fputs(", ", stdout);
		print_string(stdout, column->name.data, column->name.len);
		fputs(": ", stdout);
		if (isnull[place])
			fputs("null", stdout);
		else if (!print_column(stdout, column, values[place]))
		{
			printf("\n");
			fflush(stdout);
			fprintf(stderr, "shcat: %s: offset %" PRId64 ", column %.*s: not a value of type %.*s\n",
					object->name, offset, (int) column->name.len, column->name.data,
					(int) column->type_name.len, column->type_name.data);
			exit(1);
		}
	}
	fputs("}\n", stdout);
}

static void
print_block(const Object *object, const Topic *topic, const SthSegment *segment,
			SthBlockReader *reader, const SthIndexEntry *entry)
{
	uint8_t    *block = get_memory(object, entry->len);
	uintptr_t  *values = get_memory(object, (size_t) topic->nattributes * sizeof(uintptr_t));
	bool	   *isnull = get_memory(object, (size_t) topic->nattributes);
	int64_t		offset = entry->base_offset;
	int64_t		time;
	SthFault	fault;

	read_at(object, entry->position, block, entry->len);
	check(object, sth_block_verify(block, entry->len, entry, &fault), &fault);
	check(object, sth_block_reader_load(reader, block, entry->len, entry, &fault), &fault);
	while (sth_block_reader_next(reader, values, isnull, &time))
		print_row(object, topic, segment, offset++, time, values, isnull);
	check(object, sth_block_reader_fault(reader, &fault), &fault);
	free(block);
	free(values);
	free(isnull);
}

static void
print_segment(const Object *object, const SthSegment *segment)
{
	Topic		topic;
	SthColumnType *columns;
	SthBlockReader *reader;

	open_topic(object, segment->topic, &topic);
	columns = get_memory(object, (size_t) topic.ncolumns * sizeof(SthColumnType));
	for (int i = 0; i < topic.ncolumns; i++)
		columns[i] = topic.columns[i].column;
	reader = sth_block_reader_create(&memory, columns, topic.ncolumns, true);
	if (reader == NULL)
		die(object->name, "out of memory");
	for (uint32_t i = 0; i < segment->nblocks; i++)
	{
		SthIndexEntry entry;

		sth_footer_block(&object->footer, segment->first_block + i, &entry);
		print_block(object, &topic, segment, reader, &entry);
	}
	sth_block_reader_free(reader);
	free(columns);
	free(topic.columns);
}

int
main(int argc, char **argv)
{
	Object		object;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
	{
		usage(stdout);
		return 0;
	}
	if (argc != 2)
	{
		usage(stderr);
		return 2;
	}
	open_object(&object, argv[1]);
	for (uint32_t i = 0; i < object.footer.nsegments; i++)
	{
		SthSegment	segment;

		sth_footer_segment(&object.footer, i, &segment);
		print_segment(&object, &segment);
	}
	free(object.footer_bytes);
	fclose(object.file);
	if (fflush(stdout) != 0 || ferror(stdout))
		die("output", strerror(errno));
	return 0;
}
