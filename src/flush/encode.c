/*-------------------------------------------------------------------------
 *
 * encode.c
 *	  The rows of tails as segments of an object.
 *
 * Rows that a log gets meanwhile are not in the snapshot and stay.  A
 * transaction that is about to commit rows below others that are visible has
 * left a gap, at which encoding stops; so a segment's range has nothing that
 * could still appear.  Voids become part of the range.  Whole frames are
 * taken, so a frame is in a segment or in the tail.  Of staged rows a part may
 * be: the row that points to them stays until all of them are gone.
 *
 * The caller has the log-owner lock, in a transaction, which keeps the topics
 * locked that have something in the object.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "base/compat.h"
#include "base/guc.h"
#include "catalog/relations.h"
#include "catalog/server.h"
#include "catalog/topic.h"
#include "flush/object.h"
#include "log/frames.h"
#include "log/log.h"
#include "log/owner.h"
#include "log/tail.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* A segment is made of not more rows of the tail than this. */
#define MAX_TUPLES (8 * 1024 * 1024)

/* After how many bytes to look after what is on its way to a bucket. */
#define DRIVE_BYTES (256 * 1024)

static int64
segment_size(const SthTopic *topic)
{
	return (int64) (topic->segment_size ? topic->segment_size :
					sth_segment_size) * 1024;
}

/* The partition of a log; -1: it is none of the topic's. */
static int
find_partition(const SthTopic *topic, int32 log_id)
{
	for (int i = 0; i < topic->npartitions; i++)
		if (topic->log_ids[i] == log_id)
			return i;
	return -1;
}

/* Begins the log's segment, and the object before the first one. */
static void
begin_segment(SthFlush *flush, SthFlushedLog *log, Relation rel,
			  const SthTopic *topic, int partition, Snapshot snapshot)
{
	MemoryContext old = MemoryContextSwitchTo(flush->context);

	if (flush->writer == NULL)
	{
		flush->server = topic->server;
		flush->is_remote = sth_server_is_remote(topic->server);
		flush->writer = sth_segment_writer_begin(topic->server);
	}
	log->segment = sth_segment_writer_begin_log(flush->writer, rel, topic,
												partition, log->base_offset,
												sth_log_start_offset(log->note.log_id,
																	 snapshot));
	MemoryContextSwitchTo(old);
}

/* What was encoded before is on its way, if somebody sees to it. */
static void
keep_sending(SthFlush *flush, int64 bytes)
{
	if (!sth_store_is_busy() || flush->bytes + bytes < flush->driven_at)
		return;
	flush->driven_at = flush->bytes + bytes + DRIVE_BYTES;
	(void) sth_store_drive(0, sth_wait_event(STH_WAIT_IN_WORKER));
}

/*
 * Encodes what there is of a log's tail, as far as may be.  log->how says
 * whether anything is left.
 */
static void
encode_frames(SthFlush *flush, SthFlushedLog *log, Relation rel,
			  const SthTopic *topic, int partition, Snapshot snapshot)
{
	int64		limit = segment_size(topic);
	SthFrameScan *scan = sth_frames_begin(snapshot, RelationGetRelationName(rel));
	SthLogFrame frame;

	sth_frames_seek(scan, log->note.log_id, partition, log->base_offset);
	log->how = STH_FLUSH_ALL;
	while (sth_frames_next(scan, &frame))
	{
		CHECK_FOR_INTERRUPTS();
		if (frame.start_offset > log->end_offset)
		{
			log->how = STH_FLUSH_LATER;
			/* if it is dead and nobody knows it would stop us for ever */
			sth_log_note_gap(log->note.log_id, log->end_offset);
			break;
		}
		if (log->bytes >= limit || log->ntuples >= MAX_TUPLES)
		{
			log->how = STH_FLUSH_MORE;
			break;
		}
		if (log->ntuples == 0)
			begin_segment(flush, log, rel, topic, partition, snapshot);
		if (!frame.is_void)
			sth_segment_writer_add(flush->writer, frame.data, frame.len,
								   frame.frame.nrows, frame.start_offset,
								   (int) (log->end_offset - frame.start_offset));
		log->end_offset = frame.end_offset;
		log->ntuples += frame.ntuples;
		log->bytes += frame.frame.raw_len;
		keep_sending(flush, log->bytes);
	}
	sth_frames_end(scan);
	if (log->ntuples > 0)
		sth_segment_writer_end_log(flush->writer, log->end_offset);
	flush->bytes += log->bytes;
}

/*
 * Makes a segment of a log, if it can be done now and there is anything.
 * False if it is for another object, since this one goes to another server.
 */
static bool
encode_log(SthFlush *flush, SthFlushedLog *log)
{
	int32		log_id = log->note.log_id;
	Relation	rel;
	SthTopic   *topic;
	Snapshot	snapshot;
	Oid			relid;
	int			partition;

	switch (sth_owner_lock_log(log_id, &log->topic_id, &relid))
	{
		case STH_LOG_GONE:
			sth_unflushed_begin(flush->tail, &log->note);
			log->how = STH_FLUSH_ALL;
			return true;
		case STH_LOG_BUSY:
			sth_unflushed_begin(flush->tail, &log->note);
			log->how = STH_FLUSH_LATER;
			return true;
		case STH_LOG_LOCKED:
			break;
	}
	rel = sth_topic_open(relid, NoLock);
	topic = sth_topic_get(rel);
	partition = find_partition(topic, log_id);
	if (OidIsValid(flush->server) && topic->server != flush->server)
	{
		relation_close(rel, NoLock);
		return false;
	}
	sth_unflushed_begin(flush->tail, &log->note);
	if (list_member_oid(flush->full_servers, topic->server) ||
		!sth_server_lock(topic->server, AccessShareLock, false))
		log->how = STH_FLUSH_LATER;
	else if (partition >= 0)
	{
		snapshot = sth_fresh_snapshot();
		log->base_offset = sth_log_tail_start(log_id, snapshot);
		log->end_offset = log->base_offset;
		encode_frames(flush, log, rel, topic, partition, snapshot);
		UnregisterSnapshot(snapshot);
	}
	relation_close(rel, NoLock);
	return true;
}

/*
 * Encodes the logs that are due, until the object is large enough; those that
 * stay in flush->logs have been taken up.
 */
void
sth_flush_encode(SthFlush *flush, int ndue)
{
	int			n = 0;

	for (int i = 0; i < ndue && flush->bytes < (int64) sth_segment_size * 1024; i++)
	{
		SthFlushedLog *log = &flush->logs[n];

		*log = flush->logs[i];
		flush->nlogs = n + 1;
		log->pending = true;
		log->note.bytes = 0;	/* the note has them */
		if (encode_log(flush, log))
			n++;
	}
	flush->nlogs = n;
	if (flush->writer != NULL)
		sth_segment_writer_finish(flush->writer);
}
