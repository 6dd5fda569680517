/*
 * Footers: four bytes of how many bytes of blocks come before, the footer,
 * and perhaps its trailer.  The trailer is read as it is; for the footer it
 * is made right.
 */
#include "fuzz.h"

static void
touch_text(SthText t)
{
	touch(t.data, t.len);
}

static void
walk(const SthFooter *footer)
{
	SthInput	topics = footer->topics;
	SthTopicInfo topic;
	SthOption	option;
	SthColumnInfo column;
	SthEnumLabel label;
	uint32_t	rows = 0;

	touch_text(footer->info.encoding);
	touch_text(footer->info.software);
	while (sth_footer_next_topic(&topics, &topic))
	{
		touch_text(topic.schema);
		touch_text(topic.name);
		while (sth_topic_next_option(&topic, &option))
		{
			touch_text(option.name);
			touch_text(option.value);
		}
		while (sth_topic_next_column(&topic, &column))
		{
			touch_text(column.name);
			touch_text(column.type_name);
			while (sth_column_next_label(&column, &label))
				touch_text(label.name);
		}
	}
	for (uint32_t i = 0; i < footer->nsegments; i++)
	{
		SthSegment	segment;

		sth_footer_segment(footer, i, &segment);
		if (segment.topic >= footer->ntopics)
			abort();
		for (uint32_t b = 0; b < segment.nblocks; b++)
		{
			SthIndexEntry entry;

			sth_footer_block(footer, segment.first_block + b, &entry);
			rows += entry.nrows;
		}
	}
	touch(&rows, sizeof(rows));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SthTrailer	trailer;
	SthFooter	footer;
	SthFault	fault;
	uint8_t    *copy;

	if (size < 4)
		return 0;
	if (size >= STH_TRAILER_LEN)
	{
		copy = copy_of(data + size - STH_TRAILER_LEN, STH_TRAILER_LEN);
		(void) sth_trailer_parse(copy, sth_get_u64(copy), &trailer, &fault);
		free(copy);
	}
	trailer.footer_position = sth_get_u32(data);
	copy = copy_of(data + 4, size - 4);
	trailer.footer_len = (uint32_t) size - 4;
	trailer.footer_crc = sth_crc32c(0, copy, size - 4);
	if (sth_footer_open(copy, &trailer, &footer, &fault) == STH_CODEC_OK)
		walk(&footer);
	free(copy);
	return 0;
}
