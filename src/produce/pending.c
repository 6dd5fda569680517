/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  Rows that the transaction has produced and that wait for its commit.
 *
 * Rows are kept per log, because each log gives its own offsets.  ROLLBACK TO
 * takes exactly the rows of the subtransactions that it rolls back: the first
 * row that a subtransaction adds to a log sets a mark there, and the end of
 * the subtransaction removes the mark, with the rows or without.
 *
 * Frames that take more than streamhouse.batch_memory are staged: written to
 * the tail under a stage number, where nobody sees them until the commit says
 * that they count (log/tail.c).  What is written has the transaction id of the
 * subtransaction that is on, so only rows may be staged whose fate is the
 * same: its own.  Rows of its parent, and their own, share it once it has
 * committed, so when a subtransaction is about to commit it stages for both;
 * but what it has so written is not let go before it has committed.  So a
 * rollback takes back the numbers of rows, the written ones with the others,
 * and numbers stay dense.
 *
 * DROP of a topic leaves its rows here, since it may be rolled back; whether
 * the topic is still there is looked at when the transaction commits.
 * TRUNCATE sets them aside, for the same reason, and deletes those staged, and
 * new ones begin in their place with number 1.  Of rows set aside only those
 * are kept that a rollback could bring back: not the subtransaction's own,
 * which either are truncated or go with it.
 *
 * Failure: an error while rows are staged aborts the subtransaction whose
 * transaction id they have, and the frames are still here if they belong to
 * its parent.
 *
 * Memory: a context under TopTransactionContext, which goes with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/failpoint.h"
#include "base/guc.h"
#include "catalog/relations.h"
#include "commands/sequence.h"
#include "log/log.h"
#include "log/tail.h"
#include "miscadmin.h"
#include "produce/pending.h"
#include "produce/write.h"
#include "utils/memutils.h"
#include "utils/rel.h"

typedef struct LogRows LogRows;

/* A mark that a subtransaction has set in a log's rows. */
typedef struct SubMark
{
	struct SubMark *below;		/* the one set before, in any log */
	struct SubMark *outer;		/* the one set before in this log */
	SubTransactionId id;
	LogRows    *log;
} SubMark;

struct LogRows
{
	SthPendingLog public;
	SubMark    *mark;			/* the last one set here */
	int			nkept;			/* frames to be kept when those staged go */
};

/* Rows of a log that a subtransaction has truncated. */
typedef struct SetAside
{
	struct SetAside *below;		/* those set aside before */
	SubTransactionId id;
	SthPendingTopic *pending;
	int			partition;
	LogRows    *log;
} SetAside;

typedef struct PendingPartition
{
	int32		log_id;
	LogRows    *log;			/* NULL: no row yet */
} PendingPartition;

struct SthPendingTopic
{
	SthPendingTopic *next;
	Oid			relid;
	int32		topic_id;
	uint32		sticky;			/* tells where rows without a key go */
	int			npartitions;
	PendingPartition *partitions;
	const SthTopic *topic;		/* as it was at the last look */
	bool		stale;			/* some logs may have other columns */
};

/* Topics as they have been in this transaction; rows lead to them. */
typedef struct HeldTopic
{
	struct HeldTopic *below;
	SthTopic   *topic;
} HeldTopic;

static MemoryContext pending_context = NULL;
static SthPendingTopic *topics = NULL;
static HeldTopic *held = NULL;
static SubMark *marks = NULL;
static SetAside *set_aside = NULL;

/* The number under which this transaction stages rows, once it does. */
static int32 stage = STH_STAGE_NONE;

/* Rows are staged when frames take this much. */
static Size stage_at = 0;

/* What this subtransaction has staged is its parent's too. */
static SubTransactionId staged_for_parent = InvalidSubTransactionId;

/* The transaction commits: what comes now would not. */
static bool sealed = false;

/* Staging goes on in steps of this size, or of batch_memory if that is less. */
#define STAGE_STEP ((Size) 1024 * 1024)

/* Goes on by one with every transaction, so that all partitions get rows. */
static uint32 sticky_rotor = 0;

static SthPendingTopic *
find_topic(Oid relid)
{
	SthPendingTopic *pending;

	for (pending = topics; pending != NULL; pending = pending->next)
		if (pending->relid == relid)
			return pending;
	return NULL;
}

/* Keeps the topic as it is now until the transaction ends. */
static const SthTopic *
hold_topic(Relation rel)
{
	HeldTopic  *item = MemoryContextAlloc(pending_context, sizeof(HeldTopic));

	item->topic = sth_topic_hold(rel);
	item->below = held;
	held = item;
	return item->topic;
}

/*
 * Takes over other columns.  Rows that are set aside have those before, which
 * are kept.
 */
static void
set_columns(SthPendingTopic *pending, const SthTopic *topic)
{
	/* an error may be caught, and then all of this is to be done again */
	pending->stale = true;
	for (int i = 0; i < pending->npartitions; i++)
	{
		LogRows    *log = pending->partitions[i].log;

		if (log == NULL)
			continue;
		sth_rows_set_topic(log->public.rows, topic);
		STH_FAILPOINT("columns-set");
	}
	pending->stale = false;
}

static void
set_partitions(SthPendingTopic *pending, const SthTopic *topic)
{
	PendingPartition *partitions =
	MemoryContextAllocZero(pending_context, topic->npartitions *
						   sizeof(PendingPartition));

	if (pending->npartitions > 0)
		memcpy(partitions, pending->partitions,
			   Min(pending->npartitions, topic->npartitions) *
			   sizeof(PendingPartition));
	pending->partitions = partitions;
	pending->npartitions = topic->npartitions;
}

/* Takes over columns and partitions, which DDL may just have changed. */
static void
refresh_topic(SthPendingTopic *pending, const SthTopic *topic)
{
	if (pending->topic == NULL || pending->stale ||
		!sth_topic_columns_equal(pending->topic, topic))
		set_columns(pending, topic);
	if (pending->npartitions != topic->npartitions)
		set_partitions(pending, topic);
	for (int i = 0; i < pending->npartitions; i++)
	{
		PendingPartition *partition = &pending->partitions[i];

		partition->log_id = topic->log_ids[i];
		/* a subtransaction that rolled back may have added a partition */
		if (partition->log != NULL &&
			partition->log->public.log_id != partition->log_id)
			partition->log = NULL;
	}
	pending->topic = topic;
}

/*
 * The place for a topic's rows, with what rows will need locked.  The caller
 * holds the lock on the topic of one who inserts.
 */
SthPendingTopic *
sth_pending_topic(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	SthPendingTopic *pending;

	if (pending_context == NULL)
	{
		pending_context = AllocSetContextCreate(TopTransactionContext,
												"streamhouse pending rows",
												ALLOCSET_DEFAULT_SIZES);
		stage_at = (Size) sth_batch_memory * 1024;
	}
	sth_tail_lock();
	pending = find_topic(relid);
	if (pending == NULL)
	{
		const SthTopic *topic = hold_topic(rel);

		pending = MemoryContextAllocZero(pending_context,
										 sizeof(SthPendingTopic));
		pending->relid = relid;
		pending->topic_id = topic->topic_id;
		if (sticky_rotor == 0)
			sticky_rotor = (uint32) MyProcPid;
		if (topics == NULL)
			sticky_rotor++;
		pending->sticky = sticky_rotor;
		refresh_topic(pending, topic);
		pending->next = topics;
		topics = pending;
	}
	else if (pending->stale || !pending->topic->is_cached)
		refresh_topic(pending, hold_topic(rel));
	return pending;
}

/* The topic, as it is until sth_pending_topic is called again. */
const SthTopic *
sth_pending_topic_now(const SthPendingTopic *pending)
{
	return pending->topic;
}

/* The partition that this transaction's rows without a key go to. */
int
sth_pending_sticky_partition(SthPendingTopic *pending)
{
	return (int) (pending->sticky % (uint32) pending->npartitions);
}

static LogRows *
create_log(SthPendingTopic *pending, int partition)
{
	LogRows    *log = MemoryContextAllocZero(pending_context, sizeof(LogRows));

	/* here, because opening may fail or wait, which a commit should not */
	log->public.sequence = sth_log_open_for_rows(pending->partitions[partition].log_id,
												 pending->topic->server);
	log->public.relid = pending->relid;
	log->public.topic_id = pending->topic_id;
	log->public.partition = partition;
	log->public.log_id = pending->partitions[partition].log_id;
	log->public.rows = sth_rows_create(pending_context, pending->topic);
	pending->partitions[partition].log = log;
	return log;
}

static void
set_mark(LogRows *log, SubTransactionId id)
{
	SubMark    *mark = MemoryContextAlloc(pending_context, sizeof(SubMark));

	sth_rows_push_mark(log->public.rows);
	mark->id = id;
	mark->log = log;
	mark->outer = log->mark;
	mark->below = marks;
	log->mark = mark;
	marks = mark;
}

/*
 * From which row on a log's rows have the fate of a subtransaction that is on,
 * or, if that is about to commit, of its parent.  Negative: none has.
 */
static int64
own_rows_from(const LogRows *log, SubTransactionId id,
			  SubTransactionId parent)
{
	const SubMark *mark = log->mark;
	bool		own = mark != NULL && mark->id == id;

	if (id == TopSubTransactionId || parent == TopSubTransactionId)
		return 0;
	if (parent != InvalidSubTransactionId)
	{
		const SubMark *outer = own ? mark->outer : mark;

		if (outer != NULL && outer->id == parent)
			return sth_rows_mark(log->public.rows, own ? 1 : 0);
	}
	return own ? sth_rows_mark(log->public.rows, 0) : -1;
}

/* Writes a log's frames from row 'from' on; those before are to be kept. */
static void
stage_log(LogRows *log, int64 from, SthTailWriter **writer)
{
	SthReadyFrame **frames;
	int			n = sth_rows_frames(log->public.rows, &frames);
	int			first = n;

	while (first > 0 && frames[first - 1]->end - frames[first - 1]->nrows >= from)
		first--;
	log->nkept = first;
	if (first == n)
		return;
	if (stage == STH_STAGE_NONE)
		stage = (int32) nextval_internal(sth_relations()->stage_id_seq, false);
	if (*writer == NULL)
		*writer = sth_tail_begin_write();
	sth_write_frames(*writer, log->public.log_id, stage, 0, frames + first,
					 n - first);
}

/*
 * Writes the frames of all logs that may be staged.  It does so in the middle
 * of a statement, again and again, and leaves no memory to it.
 */
static void
stage_rows(SubTransactionId id, SubTransactionId parent)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "streamhouse staging",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	SthTailWriter *writer = NULL;

	for (SthPendingTopic *pending = topics; pending != NULL;
		 pending = pending->next)
		for (int i = 0; i < pending->npartitions; i++)
		{
			LogRows    *log = pending->partitions[i].log;
			int64		from;

			if (log == NULL)
				continue;
			from = own_rows_from(log, id, parent);
			if (from >= 0)
				stage_log(log, from, &writer);
		}
	if (writer != NULL)
	{
		sth_tail_end_write(writer);

		/*
		 * The commit waits until all of this is on disk.  Have the WAL writer
		 * begin with it now, as it does for commits that do not wait.
		 */
		XLogSetAsyncXactLSN(XactLastRecEnd);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* Lets go of the frames that have been written. */
static void
remove_staged(SubTransactionId id, SubTransactionId parent)
{
	for (SthPendingTopic *pending = topics; pending != NULL;
		 pending = pending->next)
		for (int i = 0; i < pending->npartitions; i++)
		{
			LogRows    *log = pending->partitions[i].log;

			if (log != NULL && own_rows_from(log, id, parent) >= 0)
				sth_rows_remove_frames(log->public.rows, log->nkept);
		}
	stage_at = sth_rows_memory() +
		Min((Size) sth_batch_memory * 1024, STAGE_STEP);
}

/* Adds a row to a partition; 'routed': the row named it. */
void
sth_pending_add(SthPendingTopic *pending, int partition, bool routed,
				TimestampTz time, const Datum *values, const bool *isnull)
{
	SubTransactionId id = GetCurrentSubTransactionId();
	LogRows    *log;

	if (sealed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot produce to a topic while the transaction commits"),
				 errhint("List streamhouse before other libraries in shared_preload_libraries.")));
	if (partition < 0 || partition >= pending->npartitions)
		elog(ERROR, "partition %d is out of range", partition);
	log = pending->partitions[partition].log;
	if (log == NULL)
		log = create_log(pending, partition);
	if (id != TopSubTransactionId && (log->mark == NULL || log->mark->id != id))
		set_mark(log, id);
	sth_rows_add(log->public.rows, time, routed, values, isnull);
	if (sth_rows_memory() >= stage_at)
	{
		stage_rows(id, InvalidSubTransactionId);
		remove_staged(id, InvalidSubTransactionId);
	}
}

/* Takes the top mark off the stack; what becomes of the rows is the caller's. */
static LogRows *
pop_mark(void)
{
	SubMark    *mark = marks;
	LogRows    *log = mark->log;

	Assert(log->mark == mark);
	log->mark = mark->outer;
	marks = mark->below;
	pfree(mark);
	return log;
}

/* Gives the marks of a subtransaction that has committed to its parent. */
static void
merge_marks(SubTransactionId id, SubTransactionId parent)
{
	SubMark   **link = &marks;

	while (*link != NULL && (*link)->id == id)
	{
		SubMark    *mark = *link;

		if (parent == TopSubTransactionId ||
			(mark->outer != NULL && mark->outer->id == parent))
		{
			/* the parent has no use for it: it rolls back further, or all */
			sth_rows_drop_mark(mark->log->public.rows);
			mark->log->mark = mark->outer;
			*link = mark->below;
			pfree(mark);
		}
		else
		{
			mark->id = parent;
			link = &mark->below;
		}
	}
}

/*
 * Forgets what of rows set aside the subtransaction has added; the log too, if
 * that is all of it.
 */
static bool
forget_own_rows(LogRows *log, SubTransactionId id)
{
	SubMark   **link = &marks;

	if (log->mark != NULL && log->mark->id == id)
	{
		SubMark    *mark = log->mark;

		while (*link != mark)
			link = &(*link)->below;
		*link = mark->below;
		log->mark = mark->outer;
		pfree(mark);
		sth_rows_rollback_mark(log->public.rows);
	}
	if (log->mark != NULL ||
		(id != TopSubTransactionId && sth_rows_count(log->public.rows) > 0))
		return false;
	sth_rows_free(log->public.rows);
	pfree(log);
	return true;
}

/*
 * The topic is truncated: leaves no rows of it to be committed.  They come
 * back if the subtransaction that is on is rolled back.
 */
void
sth_pending_truncate(Oid relid)
{
	SthPendingTopic *pending = find_topic(relid);
	SubTransactionId id = GetCurrentSubTransactionId();

	for (int i = 0; pending != NULL && i < pending->npartitions; i++)
	{
		LogRows    *log = pending->partitions[i].log;
		SetAside   *item;

		if (log == NULL || sth_rows_count(log->public.rows) == 0)
			continue;
		item = MemoryContextAlloc(pending_context, sizeof(SetAside));
		if (stage != STH_STAGE_NONE)
			sth_tail_delete_stage(log->public.log_id, stage);
		pending->partitions[i].log = NULL;
		if (forget_own_rows(log, id))
		{
			pfree(item);
			continue;
		}
		item->id = id;
		item->pending = pending;
		item->partition = i;
		item->log = log;
		item->below = set_aside;
		set_aside = item;
	}
}

/* What a subtransaction that has committed has set aside is its parent's. */
static void
give_set_aside(SubTransactionId id, SubTransactionId parent)
{
	SetAside  **link = &set_aside;

	while (*link != NULL && (*link)->id == id)
	{
		SetAside   *item = *link;

		item->id = parent;
		if (forget_own_rows(item->log, parent))
		{
			*link = item->below;
			pfree(item);
		}
		else
			link = &item->below;
	}
}

/*
 * Puts back what a subtransaction that has failed has set aside.  What has
 * come in its place was the subtransaction's, and has been rolled back.  Must
 * not fail.
 */
static void
put_back(SubTransactionId id)
{
	while (set_aside != NULL && set_aside->id == id)
	{
		SetAside   *item = set_aside;
		SthPendingTopic *pending = item->pending;
		LogRows    *now = pending->partitions[item->partition].log;

		if (now != NULL)
			(void) forget_own_rows(now, TopSubTransactionId);
		pending->partitions[item->partition].log = item->log;
		/* the columns may have changed meanwhile, and again */
		pending->stale = true;
		set_aside = item->below;
		pfree(item);
	}
}

/* About to commit a subtransaction: stages its rows and its parent's? */
static void
before_subcommit(SubTransactionId id, SubTransactionId parent)
{
	Size		limit = (Size) sth_batch_memory * 1024;

	if (stage != STH_STAGE_NONE)
		limit = Min(limit, STAGE_STEP);
	if (topics == NULL || sth_rows_memory() < limit)
		return;
	stage_rows(id, parent);
	STH_FAILPOINT("staged-for-parent");
	staged_for_parent = id;
}

static void
at_subtransaction_event(SubXactEvent event, SubTransactionId id,
						SubTransactionId parent, void *arg)
{
	switch (event)
	{
		case SUBXACT_EVENT_PRE_COMMIT_SUB:
			before_subcommit(id, parent);
			break;
		case SUBXACT_EVENT_COMMIT_SUB:
			if (staged_for_parent == id)
				remove_staged(id, parent);
			staged_for_parent = InvalidSubTransactionId;
			merge_marks(id, parent);
			give_set_aside(id, parent);
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			staged_for_parent = InvalidSubTransactionId;
			while (marks != NULL && marks->id == id)
				sth_rows_rollback_mark(pop_mark()->public.rows);
			put_back(id);
			break;
		default:
			break;
	}
}

/* Registers the callback; called once a process, from _PG_init. */
void
sth_pending_init(void)
{
	RegisterSubXactCallback(at_subtransaction_event, NULL);
}

/* Has this transaction rows of this topic that it would commit? */
bool
sth_pending_has_rows(Oid relid)
{
	SthPendingTopic *pending = find_topic(relid);

	if (pending == NULL)
		return false;
	for (int i = 0; i < pending->npartitions; i++)
		if (pending->partitions[i].log != NULL &&
			sth_rows_count(pending->partitions[i].log->public.rows) > 0)
			return true;
	return false;
}

/*
 * The logs that have rows, of topics that exist: to be committed.  Returns
 * their number; the array is in the current memory context.
 */
int
sth_pending_logs(SthPendingLog **logs)
{
	int			n = 0;
	int			max = 0;

	*logs = NULL;
	for (SthPendingTopic *pending = topics; pending != NULL;
		 pending = pending->next)
	{
		if (!sth_pending_has_rows(pending->relid) ||
			!sth_topic_exists(pending->relid))
			continue;
		for (int i = 0; i < pending->npartitions; i++)
		{
			LogRows    *log = pending->partitions[i].log;

			if (log == NULL || sth_rows_count(log->public.rows) == 0)
				continue;
			if (n == max)
			{
				max = Max(max * 2, 4);
				*logs = *logs == NULL ? palloc(max * sizeof(SthPendingLog)) :
					repalloc(*logs, max * sizeof(SthPendingLog));
			}
			log->public.segment_size = pending->topic->segment_size;
			log->public.flush_interval = pending->topic->flush_interval;
			(*logs)[n++] = log->public;
		}
	}
	return n;
}

/* From now on to the end of the transaction no rows are taken. */
void
sth_pending_seal(void)
{
	sealed = true;
}

/*
 * Makes a log of sth_pending_logs ready for its offsets: all its rows are in
 * frames, and under the stage if others are.
 */
void
sth_pending_finish(SthPendingLog *log, SthTailWriter *writer)
{
	SthReadyFrame **frames;
	int			nframes;
	int64		here = 0;

	sth_rows_finish(log->rows);
	nframes = sth_rows_frames(log->rows, &frames);
	for (int i = 0; i < nframes; i++)
		here += frames[i]->nrows;
	if (here == sth_rows_count(log->rows))
		return;
	log->stage = stage;
	sth_write_frames(writer, log->log_id, stage, 0, frames, nframes);
}

/* The transaction is over.  Must not fail: it runs after the commit record. */
void
sth_pending_forget(void)
{
	stage = STH_STAGE_NONE;
	sealed = false;
	staged_for_parent = InvalidSubTransactionId;
	sth_rows_forget();
	for (; held != NULL; held = held->below)
		sth_topic_release(held->topic);
	pending_context = NULL;
	topics = NULL;
	marks = NULL;
	set_aside = NULL;
}
