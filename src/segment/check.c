/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Is an object what the catalog says of it?
 *
 * Queries find blocks by the catalog and never look at an object's footer;
 * whoever has nothing but the object needs it.  So it is checked here that it
 * is whole and says the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "codec/footer.h"
#include "segment/check.h"
#include "segment/fault.h"
#include "store/store.h"
#include "utils/memutils.h"

/* Fetches a range of the object; an error if it is not there. */
static uint8 *
fetch(const SthObjectRange *range, Oid server, Snapshot snapshot)
{
	SthStore   *store = sth_store_open(server, snapshot);
	SthGet		get;

	get.object_id = range->object_id;
	get.position = range->position;
	get.len = range->len;
	get.buffer = MemoryContextAllocHuge(CurrentMemoryContext, range->len);
	sth_store_submit(store, &get);
	sth_store_wait(store, &get);
	sth_store_close(store);
	if (!get.found)
		sth_report_missing(range);
	return get.buffer;
}

/* Is there a segment in the footer that is the catalog's? */
static bool
has_segment(const SthFooter *footer, const FormData_sth_segment *row,
			const struct varlena *index)
{
	for (uint32 i = 0; i < footer->nsegments; i++)
	{
		SthSegment	segment;

		sth_footer_segment(footer, i, &segment);
		if (segment.log_id != row->log_id ||
			segment.base_offset != row->base_offset)
			continue;
		return segment.end_offset == row->end_offset &&
			segment.nrows == (uint64) row->record_count &&
			segment.position == (uint64) row->position &&
			segment.len == (uint64) row->length &&
			segment.min_time == row->min_time &&
			segment.max_time == row->max_time &&
			VARSIZE(index) - VARHDRSZ ==
			(Size) segment.nblocks * STH_INDEX_ENTRY_LEN &&
			memcmp(VARDATA(index), footer->index +
				   (Size) segment.first_block * STH_INDEX_ENTRY_LEN,
				   VARSIZE(index) - VARHDRSZ) == 0;
	}
	return false;
}

/*
 * Checks the footer of the object that a segment is in: every byte of it, and
 * that it says of the segment what the catalog says.  Raises an error if not.
 * 'index' is the segment's block index, 'object' what the catalog has of the
 * object.
 */
void
sth_segment_check_footer(const FormData_sth_segment *segment,
						 const struct varlena *index,
						 const FormData_sth_object *object,
						 Snapshot snapshot, const char *topic, int partition)
{
	SthObjectRange range = {segment->object_id, 0, STH_TRAILER_LEN, topic, partition};
	SthTrailer	trailer;
	SthFooter	footer;
	SthFault	fault;

	range.position = Max(object->size, STH_TRAILER_LEN) - STH_TRAILER_LEN;
	if (sth_trailer_parse(fetch(&range, object->server, snapshot), object->size, &trailer,
						  &fault) != STH_CODEC_OK)
		sth_report_fault(&fault, &range);
	range.position = trailer.footer_position;
	range.len = trailer.footer_len;
	if (sth_footer_open(fetch(&range, object->server, snapshot), &trailer, &footer,
						&fault) != STH_CODEC_OK)
		sth_report_fault(&fault, &range);
	if (!has_segment(&footer, segment, index))
	{
		sth_fault(&fault, STH_CODEC_DAMAGED,
				  "the footer says otherwise of the segment than the catalog",
				  range.position);
		sth_report_fault(&fault, &range);
	}
}
