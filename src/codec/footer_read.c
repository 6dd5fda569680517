/*-------------------------------------------------------------------------
 *
 * footer_read.c
 *	  Footers and trailers, read.
 *
 * Opening walks the whole footer once with the functions that walk it later,
 * and checks what they and a scan rely on: that texts end where they should,
 * that the blocks cover the object from its first byte to the footer without
 * a gap, that each belongs to one segment, and that offsets and counts of
 * segments and blocks agree.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/crc32c.h"
#include "codec/footer_sections.h"

/* While a footer is opened. */
typedef struct Opening
{
	const uint8_t *start;
	uint64_t	position;
	SthFault   *fault;
} Opening;

static SthCodecResult
damaged(const Opening *opening, const char *what, const uint8_t *at)
{
	return sth_fault(opening->fault, STH_CODEC_DAMAGED, what,
					 opening->position + (uint64_t) (at - opening->start));
}

/*
 * Takes apart the last STH_TRAILER_LEN bytes of an object of that length.
 */
SthCodecResult
sth_trailer_parse(const uint8_t *trailer, uint64_t object_len,
				  SthTrailer *out, SthFault *fault)
{
	uint64_t	at = object_len - STH_TRAILER_LEN;

	out->object_len = sth_get_u64(trailer);
	out->footer_len = sth_get_u32(trailer + 8);
	out->footer_crc = sth_get_u32(trailer + 12);
	if (sth_get_u64(trailer + 24) != STH_TRAILER_MAGIC)
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "this is no end of an object", at + 24);
	if (sth_get_u32(trailer + 20) != sth_crc32c(0, trailer, 20))
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "the checksum of the trailer is wrong", at + 20);
	if (sth_get_u16(trailer + 16) != STH_FOOTER_VERSION ||
		sth_get_u16(trailer + 18) != 0)
		return sth_fault(fault, STH_CODEC_UNSUPPORTED,
						 "an object of a later version", at + 16);
	if (out->object_len != object_len ||
		out->footer_len > STH_FOOTER_MAX ||
		(uint64_t) out->footer_len + STH_TRAILER_LEN > object_len)
		return sth_fault(fault, STH_CODEC_DAMAGED,
						 "the object has another length than it says", at);
	out->footer_position = at - out->footer_len;
	return STH_CODEC_OK;
}

/* The next topic of an opened footer's, of which *topics begins as a copy. */
int
sth_footer_next_topic(SthInput *topics, SthTopicInfo *topic)
{
	SthInput	in;
	const uint8_t *id;
	uint32_t	i;

	if (topics->bad || sth_input_left(topics) == 0)
		return 0;
	in = sth_read_part(topics, sth_read_u32(topics));
	memset(topic, 0, sizeof(*topic));
	id = sth_read_bytes(&in, STH_UUID_LEN);
	if (id != NULL)
		memcpy(topic->topic_id, id, STH_UUID_LEN);
	topic->schema = sth_read_text(&in);
	topic->name = sth_read_text(&in);
	topic->noptions = sth_read_u32(&in);
	topic->option_input = in;
	for (i = 0; i < topic->noptions && !in.bad; i++)
	{
		sth_read_text(&in);
		sth_read_text(&in);
	}
	topic->option_input.end = in.p;
	topic->ncolumns = sth_read_u32(&in);
	topic->column_input = in;
	topics->bad |= in.bad;
	return !topics->bad;
}

int
sth_topic_next_option(SthTopicInfo *topic, SthOption *option)
{
	SthInput   *in = &topic->option_input;

	if (in->bad || sth_input_left(in) == 0)
		return 0;
	option->name = sth_read_text(in);
	option->value = sth_read_text(in);
	return !in->bad;
}

int
sth_topic_next_column(SthTopicInfo *topic, SthColumnInfo *column)
{
	SthInput   *columns = &topic->column_input;
	SthInput	in;
	int16_t		len;
	const uint8_t *bytes;

	if (columns->bad || sth_input_left(columns) == 0)
		return 0;
	in = sth_read_part(columns, sth_read_u32(columns));
	memset(column, 0, sizeof(*column));
	column->column.attnum = (int16_t) sth_read_u16(&in);
	len = (int16_t) sth_read_u16(&in);
	bytes = sth_read_bytes(&in, 2);
	if (bytes == NULL ||
		!sth_layout_decode(len, bytes[0], &column->column.layout))
		in.bad = 1;
	else
		column->flags = bytes[1];
	column->column.type = sth_read_u32(&in);
	column->base_type = sth_read_u32(&in);
	column->column.typmod = (int32_t) sth_read_u32(&in);
	column->name = sth_read_text(&in);
	column->type_name = sth_read_text(&in);
	column->nlabels = sth_read_u32(&in);
	column->label_input = in;
	columns->bad |= in.bad;
	return !columns->bad;
}

int
sth_column_next_label(SthColumnInfo *column, SthEnumLabel *label)
{
	SthInput   *in = &column->label_input;

	if (in->bad || sth_input_left(in) == 0)
		return 0;
	label->oid = sth_read_u32(in);
	label->name = sth_read_text(in);
	return !in->bad;
}

/* Segment i of an opened footer, i < nsegments. */
void
sth_footer_segment(const SthFooter *footer, uint32_t i, SthSegment *segment)
{
	SthInput	in = sth_input(footer->segments + (size_t) i * STH_SEGMENT_LEN,
							   STH_SEGMENT_LEN);

	segment->topic = sth_read_u32(&in);
	segment->log_id = (int32_t) sth_read_u32(&in);
	segment->partition = (int32_t) sth_read_u32(&in);
	segment->epoch = (int32_t) sth_read_u32(&in);
	segment->base_offset = (int64_t) sth_read_u64(&in);
	segment->end_offset = (int64_t) sth_read_u64(&in);
	segment->start_offset = (int64_t) sth_read_u64(&in);
	segment->nrows = sth_read_u64(&in);
	segment->position = sth_read_u64(&in);
	segment->len = sth_read_u64(&in);
	segment->min_time = (int64_t) sth_read_u64(&in);
	segment->max_time = (int64_t) sth_read_u64(&in);
	segment->generation = (int32_t) sth_read_u32(&in);
	segment->flags = sth_read_u32(&in);
	segment->key_attnum = (int32_t) sth_read_u32(&in);
	segment->npartitions = sth_read_u32(&in);
	segment->first_block = sth_read_u32(&in);
	segment->nblocks = sth_read_u32(&in);
}

/* Index entry i of an opened footer, i < nblocks. */
void
sth_footer_block(const SthFooter *footer, uint32_t i, SthIndexEntry *entry)
{
	sth_index_get(footer->index + (size_t) i * STH_INDEX_ENTRY_LEN, entry);
}

/* --- opening ---------------------------------------------------------------- */

static int
read_info(SthInput *in, SthObjectInfo *info)
{
	const uint8_t *ids = sth_read_bytes(in, 2 * STH_UUID_LEN);

	if (ids != NULL)
	{
		memcpy(info->object_id, ids, STH_UUID_LEN);
		memcpy(info->incarnation, ids + STH_UUID_LEN, STH_UUID_LEN);
	}
	info->written_at = (int64_t) sth_read_u64(in);
	info->pg_major = sth_read_u32(in);
	info->encoding = sth_read_text(in);
	info->software = sth_read_text(in);
	return !in->bad && sth_input_left(in) == 0;
}

static int
topic_is_sound(SthTopicInfo topic)
{
	SthColumnInfo column;
	SthOption	option;
	SthEnumLabel label;
	uint32_t	n;
	int			last = 0;

	for (n = 0; sth_topic_next_option(&topic, &option); n++)
		;
	if (topic.option_input.bad || n != topic.noptions)
		return 0;
	for (n = 0; sth_topic_next_column(&topic, &column); n++)
	{
		uint32_t	nlabels = 0;

		if (column.column.attnum <= last ||
			column.flags & ~(STH_COLUMN_NOT_NULL | STH_COLUMN_ASSIGNED))
			return 0;
		last = column.column.attnum;
		while (sth_column_next_label(&column, &label))
			nlabels++;
		if (column.label_input.bad || nlabels != column.nlabels)
			return 0;
	}
	return !topic.column_input.bad && n == topic.ncolumns;
}

static int
read_topics(SthInput *in, SthFooter *footer)
{
	SthTopicInfo topic;
	SthInput	topics;
	uint32_t	n;

	footer->ntopics = sth_read_u32(in);
	topics = footer->topics = *in;
	for (n = 0; sth_footer_next_topic(&topics, &topic); n++)
		if (!topic_is_sound(topic))
			return 0;
	return !topics.bad && n == footer->ntopics;
}

/* The blocks of a segment: its rows, in ascending order, one after another. */
static int
blocks_agree(const SthFooter *footer, const SthSegment *segment)
{
	uint64_t	position = segment->position;
	uint64_t	nrows = 0;
	int64_t		next = segment->base_offset;
	int64_t		min_time = INT64_MAX;
	int64_t		max_time = INT64_MIN;
	uint32_t	i;

	for (i = 0; i < segment->nblocks; i++)
	{
		SthIndexEntry block;

		sth_footer_block(footer, segment->first_block + i, &block);
		if (block.position != position || block.nrows == 0 ||
			block.nrows > STH_BLOCK_MAX_ROWS || block.base_offset < next ||
			block.base_offset > segment->end_offset - (int64_t) block.nrows ||
			block.header_len > block.len || block.min_time > block.max_time)
			return 0;
		position += block.len;
		nrows += block.nrows;
		next = block.base_offset + (int64_t) block.nrows;
		if (block.min_time < min_time)
			min_time = block.min_time;
		if (block.max_time > max_time)
			max_time = block.max_time;
	}
	return position == segment->position + segment->len &&
		nrows == segment->nrows &&
		min_time == segment->min_time && max_time == segment->max_time;
}

/* Segments and blocks: each block is of one segment, and they fill the object. */
static int
segments_agree(const SthFooter *footer, const SthTrailer *trailer,
			   uint32_t *which)
{
	uint64_t	position = 0;
	uint32_t	block = 0;

	for (*which = 0; *which < footer->nsegments; (*which)++)
	{
		SthSegment	segment;

		sth_footer_segment(footer, *which, &segment);
		if (segment.topic >= footer->ntopics || segment.partition < 0 ||
			segment.base_offset < 0 ||
			segment.end_offset < segment.base_offset ||
			segment.end_offset > INT64_MAX - STH_BLOCK_MAX_ROWS ||
			segment.flags & ~STH_SEGMENT_ROUTED ||
			segment.first_block != block ||
			segment.nblocks > footer->nblocks - block ||
			segment.position != position ||
			segment.len > trailer->footer_position - position ||
			!blocks_agree(footer, &segment))
			return 0;
		block += segment.nblocks;
		position += segment.len;
	}
	return block == footer->nblocks && position == trailer->footer_position;
}

/* A section of the expected kind, or one to be skipped. */
static SthCodecResult
read_section(const Opening *opening, uint16_t kind, SthInput *section,
			 SthFooter *footer)
{
	switch (kind)
	{
		case STH_SECTION_INFO:
			if (!read_info(section, &footer->info))
				return damaged(opening, "who wrote the object is not well-formed",
							   section->p);
			break;
		case STH_SECTION_TOPICS:
			if (!read_topics(section, footer))
				return damaged(opening, "a topic's description is not well-formed",
							   section->p);
			break;
		case STH_SECTION_SEGMENTS:
			footer->segments = section->p;
			footer->nsegments = (uint32_t) (sth_input_left(section) / STH_SEGMENT_LEN);
			if (sth_input_left(section) % STH_SEGMENT_LEN != 0)
				return damaged(opening, "the list of segments is not well-formed",
							   section->p);
			break;
		case STH_SECTION_BLOCKS:
			footer->index = section->p;
			footer->nblocks = (uint32_t) (sth_input_left(section) / STH_INDEX_ENTRY_LEN);
			if (sth_input_left(section) % STH_INDEX_ENTRY_LEN != 0)
				return damaged(opening, "the block index is not well-formed",
							   section->p);
			break;
		default:
			if (!(kind & STH_SECTION_COMPATIBLE))
				return sth_fault(opening->fault, STH_CODEC_UNSUPPORTED,
								 "a section that this version does not know",
								 opening->position + (uint64_t) (section->p - opening->start));
	}
	return STH_CODEC_OK;
}

/* All sections: those of this version once each, in order. */
static SthCodecResult
read_sections(const Opening *opening, SthInput *in, SthFooter *footer)
{
	int			last = 0;

	while (sth_input_left(in) > 0)
	{
		uint16_t	kind = sth_read_u16(in);
		uint16_t	zero = sth_read_u16(in);
		uint32_t	len = sth_read_u32(in);
		SthInput	section = sth_read_part(in, len);
		const uint8_t *pad = sth_read_bytes(in, STH_ALIGN_UP((size_t) len, 8) - len);

		for (; pad != NULL && pad < in->p; pad++)
			zero |= *pad;
		if (in->bad || zero != 0)
			return damaged(opening, "a section is not well-formed", section.p);
		if (!(kind & STH_SECTION_COMPATIBLE) && kind <= STH_SECTION_BLOCKS)
		{
			if (kind != last + 1)
				return damaged(opening, "sections are out of order", section.p);
			last = kind;
		}
		if (read_section(opening, kind, &section, footer) != STH_CODEC_OK)
			return opening->fault->result;
	}
	if (last != STH_SECTION_BLOCKS)
		return damaged(opening, "a section is missing", in->p);
	return STH_CODEC_OK;
}

/*
 * Opens the trailer->footer_len bytes at 'footer', which must stay as long as
 * *out is used.
 */
SthCodecResult
sth_footer_open(const uint8_t *footer, const SthTrailer *trailer,
				SthFooter *out, SthFault *fault)
{
	Opening		opening = {footer, trailer->footer_position, fault};
	SthInput	in = sth_input(footer, trailer->footer_len);
	const uint8_t *head = sth_read_bytes(&in, STH_FOOTER_HEAD_LEN);
	uint32_t	which;

	memset(out, 0, sizeof(*out));
	if (head == NULL || sth_get_u32(head) != STH_FOOTER_MAGIC)
		return damaged(&opening, "there is no footer", footer);
	if (sth_crc32c(0, footer, trailer->footer_len) != trailer->footer_crc)
		return damaged(&opening, "the checksum of the footer is wrong", footer);
	if (sth_get_u16(head + 4) != STH_FOOTER_VERSION ||
		sth_get_u16(head + 6) != 0 || sth_get_u32(head + 8) != 0)
		return sth_fault(fault, STH_CODEC_UNSUPPORTED,
						 "an object of a later version", trailer->footer_position);
	if (read_sections(&opening, &in, out) != STH_CODEC_OK)
		return fault->result;
	if (!segments_agree(out, trailer, &which))
		return damaged(&opening, "a segment and its blocks do not agree",
					   which < out->nsegments ?
					   out->segments + (size_t) which * STH_SEGMENT_LEN : in.end);
	return STH_CODEC_OK;
}
