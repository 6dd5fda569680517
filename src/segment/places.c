/*-------------------------------------------------------------------------
 *
 * places.c
 *	  Where the blocks are that a reader will come to.
 *
 * A reader (reader.c) walks a log's segments and their blocks; this walks the
 * same way ahead of it, so that the blocks can be on their way before it
 * comes.  If the reader is to read all logs of the topic, one after the other
 * from their starts, so does this.  What is wrong with what the catalog says is not looked for here:
 * the reader does, and does not ask for what it does not believe.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "codec/footer.h"
#include "segment/places.h"
#include "utils/memutils.h"

struct SthPlaces
{
	const SthTopic *topic;
	Snapshot	snapshot;
	bool		in_order;
	SthSegmentScan *scan;
	int			partition;
	int64		from;			/* blocks that end before are left out */
	FormData_sth_segment segment;
	struct varlena *index;		/* of the segment; NULL: none */
	uint32		nblocks;
	uint32		next_block;
};

/*
 * Begins, under a snapshot that the caller keeps registered.  In order: after
 * a partition comes the next one, from its start.
 */
SthPlaces *
sth_places_begin(const SthTopic *topic, Snapshot snapshot, bool in_order)
{
	SthPlaces  *places = palloc0(sizeof(SthPlaces));

	places->topic = topic;
	places->snapshot = snapshot;
	places->in_order = in_order;
	places->scan = sth_segments_begin(snapshot);
	return places;
}

static void
forget_segment(SthPlaces *places)
{
	if (places->index != NULL)
		pfree(places->index);
	places->index = NULL;
	places->nblocks = 0;
	places->next_block = 0;
}

/* Goes to the first block of a partition that has 'from' or a later offset. */
void
sth_places_seek(SthPlaces *places, int partition, int64 from)
{
	forget_segment(places);
	places->partition = partition;
	places->from = from;
	sth_segments_seek(places->scan, places->topic->log_ids[partition], from);
}

/* Moves to the next segment; false if there is none. */
static bool
next_segment(SthPlaces *places)
{
	forget_segment(places);
	while (!sth_segments_next(places->scan, &places->segment))
	{
		int			next = places->partition + 1;

		if (!places->in_order || next >= places->topic->npartitions)
			return false;
		sth_places_seek(places, next,
						sth_log_start_offset(places->topic->log_ids[next],
											 places->snapshot));
	}
	places->index = sth_segments_index(places->scan);
	places->nblocks = (VARSIZE(places->index) - VARHDRSZ) / STH_INDEX_ENTRY_LEN;
	return true;
}

/* The next block of 'arg', the SthPlaces; false if there is none. */
bool
sth_places_next(void *arg, SthBlockPlace *place)
{
	SthPlaces  *places = arg;

	for (;;)
	{
		while (places->next_block < places->nblocks)
		{
			SthIndexEntry entry;

			sth_index_get((const uint8 *) VARDATA(places->index) +
						  (Size) places->next_block++ * STH_INDEX_ENTRY_LEN,
						  &entry);
			if (entry.base_offset + entry.nrows <= places->from)
				continue;
			if (entry.len == 0 || entry.len > STH_BLOCK_MAX_LEN)
				return false;
			place->object_id = places->segment.object_id;
			place->position = entry.position;
			place->len = entry.len;
			return true;
		}
		if (!next_segment(places))
			return false;
	}
}

void
sth_places_end(SthPlaces *places)
{
	forget_segment(places);
	sth_segments_end(places->scan);
	pfree(places);
}
