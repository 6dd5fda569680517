/*-------------------------------------------------------------------------
 *
 * footer_write.c
 *	  Footers and trailers, written.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/footer_sections.h"

#include "codec/crc32c.h"

/* A buffer that remembers that there was no memory. */
typedef struct Output
{
	const SthMemory *memory;
	SthBuffer  *buffer;
	int			failed;
} Output;

static void
put(Output *out, const void *data, size_t len)
{
	out->failed = out->failed ||
		!sth_buffer_append(out->memory, out->buffer, data, len);
}

static void
put_u16(Output *out, uint16_t v)
{
	put(out, &v, 2);
}

static void
put_u32(Output *out, uint32_t v)
{
	put(out, &v, 4);
}

static void
put_u64(Output *out, uint64_t v)
{
	put(out, &v, 8);
}

static void
put_text(Output *out, SthText text)
{
	put_u32(out, text.len);
	put(out, text.data, text.len);
}

/* Leaves room for a length; returns where it is. */
static size_t
begin_length(Output *out)
{
	size_t		at = out->buffer->len;

	put_u32(out, 0);
	return at;
}

/* Fills in the length of what has been put since. */
static void
end_length(Output *out, size_t at)
{
	if (!out->failed)
		sth_put_u32(out->buffer->data + at, (uint32_t) (out->buffer->len - at - 4));
}

static size_t
begin_section(Output *out, SthFooterSection kind)
{
	put_u16(out, (uint16_t) kind);
	put_u16(out, 0);
	return begin_length(out);
}

/* Sections begin at multiples of 8, counted from the footer's start. */
static void
end_section(Output *out, size_t at, size_t footer)
{
	static const uint8_t zero[8];
	size_t		len;

	end_length(out, at);
	len = out->buffer->len - footer;
	put(out, zero, STH_ALIGN_UP(len, 8) - len);
}

static void
put_info(Output *out, const SthObjectInfo *info)
{
	put(out, info->object_id, STH_UUID_LEN);
	put(out, info->incarnation, STH_UUID_LEN);
	put_u64(out, (uint64_t) info->written_at);
	put_u32(out, info->pg_major);
	put_text(out, info->encoding);
	put_text(out, info->software);
}

static void
put_column(Output *out, const SthColumnInfo *info)
{
	size_t		at = begin_length(out);
	uint32_t	i;
	uint8_t		bytes[2];

	put_u16(out, (uint16_t) info->column.attnum);
	put_u16(out, (uint16_t) info->column.layout.len);
	bytes[0] = sth_layout_encode(&info->column.layout);
	bytes[1] = (uint8_t) info->flags;
	put(out, bytes, 2);
	put_u32(out, info->column.type);
	put_u32(out, info->base_type);
	put_u32(out, (uint32_t) info->column.typmod);
	put_text(out, info->name);
	put_text(out, info->type_name);
	put_u32(out, info->nlabels);
	for (i = 0; i < info->nlabels; i++)
	{
		put_u32(out, info->labels[i].oid);
		put_text(out, info->labels[i].name);
	}
	end_length(out, at);
}

static void
put_topic(Output *out, const SthTopicInfo *topic)
{
	size_t		at = begin_length(out);
	uint32_t	i;

	put(out, topic->topic_id, STH_UUID_LEN);
	put_text(out, topic->schema);
	put_text(out, topic->name);
	put_u32(out, topic->noptions);
	for (i = 0; i < topic->noptions; i++)
	{
		put_text(out, topic->options[i].name);
		put_text(out, topic->options[i].value);
	}
	put_u32(out, topic->ncolumns);
	for (i = 0; i < topic->ncolumns; i++)
		put_column(out, &topic->columns[i]);
	end_length(out, at);
}

static void
put_segment(Output *out, const SthSegment *segment)
{
	put_u32(out, segment->topic);
	put_u32(out, (uint32_t) segment->log_id);
	put_u32(out, (uint32_t) segment->partition);
	put_u32(out, (uint32_t) segment->epoch);
	put_u64(out, (uint64_t) segment->base_offset);
	put_u64(out, (uint64_t) segment->end_offset);
	put_u64(out, (uint64_t) segment->start_offset);
	put_u64(out, segment->nrows);
	put_u64(out, segment->position);
	put_u64(out, segment->len);
	put_u64(out, (uint64_t) segment->min_time);
	put_u64(out, (uint64_t) segment->max_time);
	put_u32(out, (uint32_t) segment->generation);
	put_u32(out, segment->flags);
	put_u32(out, (uint32_t) segment->key_attnum);
	put_u32(out, segment->npartitions);
	put_u32(out, segment->first_block);
	put_u32(out, segment->nblocks);
}

static void
put_sections(Output *out, const SthFooterParts *parts, size_t footer)
{
	size_t		at = begin_section(out, STH_SECTION_INFO);
	uint32_t	i;

	put_info(out, &parts->info);
	end_section(out, at, footer);

	at = begin_section(out, STH_SECTION_TOPICS);
	put_u32(out, parts->ntopics);
	for (i = 0; i < parts->ntopics; i++)
		put_topic(out, &parts->topics[i]);
	end_section(out, at, footer);

	at = begin_section(out, STH_SECTION_SEGMENTS);
	for (i = 0; i < parts->nsegments; i++)
		put_segment(out, &parts->segments[i]);
	end_section(out, at, footer);

	at = begin_section(out, STH_SECTION_BLOCKS);
	put(out, parts->index, (size_t) parts->nblocks * STH_INDEX_ENTRY_LEN);
	end_section(out, at, footer);
}

static void
put_trailer(Output *out, uint64_t position, size_t footer)
{
	size_t		footer_len = out->buffer->len - footer;
	uint8_t		trailer[STH_TRAILER_LEN];

	sth_put_u64(trailer, position + footer_len + STH_TRAILER_LEN);
	sth_put_u32(trailer + 8, (uint32_t) footer_len);
	sth_put_u32(trailer + 12,
				sth_crc32c(0, out->buffer->data + footer, footer_len));
	sth_put_u16(trailer + 16, STH_FOOTER_VERSION);
	sth_put_u16(trailer + 18, 0);
	sth_put_u32(trailer + 20, sth_crc32c(0, trailer, 20));
	sth_put_u64(trailer + 24, STH_TRAILER_MAGIC);
	put(out, trailer, sizeof(trailer));
}

/*
 * Appends footer and trailer of an object whose blocks take its first
 * 'position' bytes to out.
 */
SthCodecResult
sth_footer_append(const SthFooterParts *parts, uint64_t position,
				  const SthMemory *memory, SthBuffer *buffer, SthFault *fault)
{
	Output		out = {memory, buffer, 0};
	size_t		footer = buffer->len;

	put_u32(&out, STH_FOOTER_MAGIC);
	put_u16(&out, STH_FOOTER_VERSION);
	put_u16(&out, 0);
	put_u32(&out, 0);			/* features that a reader has to know */
	put_u32(&out, 0);			/* features that it need not know */
	put_sections(&out, parts, footer);
	if (!out.failed && buffer->len - footer > STH_FOOTER_MAX)
		return sth_fault(fault, STH_CODEC_TOO_LARGE, "the footer is too long", position);
	if (!out.failed)
		put_trailer(&out, position, footer);
	if (out.failed)
		return sth_fault(fault, STH_CODEC_NO_MEMORY, "no memory for the footer", position);
	return STH_CODEC_OK;
}
