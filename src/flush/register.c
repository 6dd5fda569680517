/*-------------------------------------------------------------------------
 *
 * register.c
 *	  Making the segments of an object known.
 *
 * The object is in its store.  In the caller's transaction, which has the
 * log-owner lock, each log's segment gets its row, and the rows of the tail
 * that are in it are deleted, and counted: if they are not as many as were
 * encoded, that is an error.
 *
 * An object in the database was encoded in the same transaction, and the
 * topics are still locked.  While one was on its way to a bucket anything may
 * have happened to them, so it is looked again:
 *
 *	- the topic is gone, or its start has moved, or somebody else has flushed:
 *	  the segment does not begin where the log's tail does any more, and is
 *	  left out; what is left of the log's tail is for another object;
 *	- the topic is locked by DDL: its segment has to wait for a later call;
 *	- the object is not what the ledger has as uploading: an error.
 *
 * The object is live when all of its segments are known or left out.  Before
 * that nobody takes it for one that is not needed any more, whatever becomes
 * of those that are known.
 *
 * Columns may have been added, renamed or dropped; the rows are the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "catalog/objects.h"
#include "catalog/relations.h"
#include "catalog/topic.h"
#include "flush/count.h"
#include "flush/object.h"
#include "log/log.h"
#include "log/owner.h"
#include "log/tail.h"
#include "utils/snapmgr.h"

/* Does the log's tail still begin where its segment does? */
static bool
is_current(const SthFlushedLog *log)
{
	Snapshot	snapshot = sth_fresh_snapshot();
	int64		start = sth_log_tail_start(log->note.log_id, snapshot);

	UnregisterSnapshot(snapshot);
	return start == log->base_offset;
}

/* Deletes what was encoded of a log. */
static void
delete_encoded(const SthFlushedLog *log)
{
	int64		n = sth_tail_delete_until(log->note.log_id, log->base_offset,
										  log->end_offset);

	if (n != log->ntuples)
		elog(ERROR, "of log %d " INT64_FORMAT " rows of the tail were encoded, but " INT64_FORMAT " deleted",
			 log->note.log_id, log->ntuples, n);
}

/*
 * Of a log whose rows were on their way to a bucket, those that came meanwhile
 * have been noted since.
 */
static void
take_note(SthFlush *flush, SthFlushedLog *log)
{
	sth_unflushed_begin(flush->tail, &log->note);
	if (log->how == STH_FLUSH_ALL)
		log->note.since = flush->since;
	log->how = sth_log_next_offset(log->note.log_id) > log->end_offset ?
		STH_FLUSH_MORE : STH_FLUSH_ALL;
}

/* Makes the segment of a log known; false if that has to wait. */
static bool
register_log(SthFlush *flush, SthFlushedLog *log)
{
	int32		topic_id;
	Oid			relid;
	Snapshot	snapshot;

	switch (sth_owner_lock_log(log->note.log_id, &topic_id, &relid))
	{
		case STH_LOG_BUSY:
			return false;
		case STH_LOG_GONE:
			log->how = STH_FLUSH_ALL;
			return true;
		case STH_LOG_LOCKED:
			break;
	}
	if (flush->is_remote)
		take_note(flush, log);
	if (!is_current(log))
	{
		log->how = STH_FLUSH_MORE;
		log->bytes = 0;
		return true;
	}
	/* who stores long values wants to see one */
	snapshot = sth_fresh_snapshot();
	sth_segment_writer_register(flush->writer, log->segment);
	UnregisterSnapshot(snapshot);
	delete_encoded(log);
	sth_flush_count(topic_id,
					sth_segment_writer_segment(flush->writer, log->segment),
					log->bytes, flush->since);
	return true;
}

/*
 * Makes those segments of the object known that are not and can be: their
 * logs are marked as registered.  False if nothing could be done now.
 */
bool
sth_flush_register(SthFlush *flush)
{
	int64		object_id = sth_segment_writer_object_id(flush->writer);
	bool		complete = true;
	bool		any = false;

	if (!flush->is_remote)
		sth_segment_writer_register_object(flush->writer);
	for (int i = 0; i < flush->nlogs; i++)
	{
		SthFlushedLog *log = &flush->logs[i];

		if (!log->pending || log->ntuples == 0)
			continue;
		log->registered = register_log(flush, log);
		complete &= log->registered;
		any |= log->registered;
	}
	if (!flush->is_remote)
		return true;
	if (!any)
		return false;
	if (!sth_object_change(object_id, STH_OBJECT_UPLOADING, complete ?
						   STH_OBJECT_LIVE : STH_OBJECT_UPLOADING))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("object %lld was given up while it was written",
						(long long) object_id)));
	/* all of them may have come too late */
	if (complete)
		(void) sth_object_forget_unused(object_id);
	return true;
}
