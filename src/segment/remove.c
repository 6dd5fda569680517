/*-------------------------------------------------------------------------
 *
 * remove.c
 *	  Removing segments, and the objects that were theirs.
 *
 * Failure: of the embedded store all of this is the caller's transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/objects.h"
#include "catalog/segments.h"
#include "miscadmin.h"
#include "segment/remove.h"
#include "store/store.h"

/* Removes those of a list of objects that no segment is in. */
static void
remove_unused(List *objects)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		int64		object_id = *(int64 *) lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (sth_object_forget_unused(object_id))
			sth_store_delete(object_id);
	}
	list_free_deep(objects);
}

/* Removes the segments of a log that end at or before 'until'. */
void
sth_segments_remove(int32 log_id, int64 until)
{
	remove_unused(sth_segments_delete(log_id, until));
}

/*
 * Removes what transactions have left that each removed one of the last two
 * segments of an object.
 */
void
sth_objects_remove_unused(void)
{
	remove_unused(sth_objects_unused());
}
