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
 * DROP of a topic leaves its rows here, since it may be rolled back; whether
 * the topic is still there is looked at when the transaction commits.
 *
 * Memory: a context under TopTransactionContext, which goes with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "log/log.h"
#include "log/tail.h"
#include "miscadmin.h"
#include "produce/pending.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

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
};

struct SthPendingTopic
{
	SthPendingTopic *next;
	Oid			relid;
	int32		topic_id;
	uint32		sticky;			/* tells where rows without a key go */
	int			npartitions;
	int32	   *log_ids;
	LogRows   **logs;			/* by partition; NULL: no row yet */
	int			ncolumns;
	SthColumn  *columns;
};

static MemoryContext pending_context = NULL;
static SthPendingTopic *topics = NULL;
static SubMark *marks = NULL;

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

static bool
columns_equal(const SthPendingTopic *pending, const SthTopic *topic)
{
	if (pending->ncolumns != topic->ncolumns)
		return false;
	for (int i = 0; i < topic->ncolumns; i++)
	{
		const SthColumn *a = &pending->columns[i];
		const SthColumn *b = &topic->columns[i];

		if (a->attnum != b->attnum || a->type != b->type ||
			a->typmod != b->typmod)
			return false;
	}
	return true;
}

/* Takes over columns and partitions, which DDL may just have changed. */
static void
refresh_topic(SthPendingTopic *pending, const SthTopic *topic)
{
	MemoryContext old = MemoryContextSwitchTo(pending_context);

	if (pending->columns == NULL || !columns_equal(pending, topic))
	{
		pending->columns = palloc(Max(topic->ncolumns, 1) * sizeof(SthColumn));
		memcpy(pending->columns, topic->columns,
			   topic->ncolumns * sizeof(SthColumn));
		pending->ncolumns = topic->ncolumns;
		for (int i = 0; i < pending->npartitions; i++)
			if (pending->logs[i] != NULL)
				sth_rows_set_columns(pending->logs[i]->public.rows,
									 pending->ncolumns, pending->columns);
	}
	if (pending->npartitions != topic->npartitions)
	{
		LogRows   **logs = palloc0(topic->npartitions * sizeof(LogRows *));

		if (pending->npartitions > 0)
			memcpy(logs, pending->logs,
				   Min(pending->npartitions, topic->npartitions) *
				   sizeof(LogRows *));
		pending->logs = logs;
		pending->log_ids = palloc(topic->npartitions * sizeof(int32));
		pending->npartitions = topic->npartitions;
	}
	memcpy(pending->log_ids, topic->log_ids,
		   topic->npartitions * sizeof(int32));
	/* a subtransaction that rolled back may have added a partition */
	for (int i = 0; i < pending->npartitions; i++)
		if (pending->logs[i] != NULL &&
			pending->logs[i]->public.log_id != pending->log_ids[i])
			pending->logs[i] = NULL;
	MemoryContextSwitchTo(old);
}

/*
 * The place for a topic's rows, with what rows will need locked.  The caller
 * holds the lock on the topic of one who inserts.
 */
SthPendingTopic *
sth_pending_topic(const SthTopic *topic)
{
	SthPendingTopic *pending;

	if (pending_context == NULL)
		pending_context = AllocSetContextCreate(TopTransactionContext,
												"streamhouse pending rows",
												ALLOCSET_DEFAULT_SIZES);
	sth_tail_lock();
	pending = find_topic(topic->relid);
	if (pending == NULL)
	{
		pending = MemoryContextAllocZero(pending_context,
										 sizeof(SthPendingTopic));
		pending->relid = topic->relid;
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
	else
		refresh_topic(pending, topic);
	return pending;
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
	LogRows    *log;

	/* here, because opening may fail or wait, which a commit should not */
	(void) sth_log_open(pending->log_ids[partition]);

	log = MemoryContextAllocZero(pending_context, sizeof(LogRows));
	log->public.relid = pending->relid;
	log->public.topic_id = pending->topic_id;
	log->public.partition = partition;
	log->public.log_id = pending->log_ids[partition];
	log->public.rows = sth_rows_create(pending_context, pending->ncolumns,
									   pending->columns);
	pending->logs[partition] = log;
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

/* Adds a row to a partition; 'routed': the row named it. */
void
sth_pending_add(SthPendingTopic *pending, int partition, bool routed,
				TimestampTz time, const Datum *values, const bool *isnull)
{
	SubTransactionId id = GetCurrentSubTransactionId();
	LogRows    *log;

	if (partition < 0 || partition >= pending->npartitions)
		elog(ERROR, "partition %d is out of range", partition);
	log = pending->logs[partition];
	if (log == NULL)
		log = create_log(pending, partition);
	if (id != TopSubTransactionId && (log->mark == NULL || log->mark->id != id))
		set_mark(log, id);
	sth_rows_add(log->public.rows, time, routed, values, isnull);
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

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId id,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		merge_marks(id, parent);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		while (marks != NULL && marks->id == id)
			sth_rows_rollback_mark(pop_mark()->public.rows);
}

/* Registers the callback; called once a process, from _PG_init. */
void
sth_pending_init(void)
{
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

/* Has this transaction rows of this topic that it would commit? */
bool
sth_pending_has_rows(Oid relid)
{
	SthPendingTopic *pending = find_topic(relid);

	if (pending == NULL)
		return false;
	for (int i = 0; i < pending->npartitions; i++)
		if (pending->logs[i] != NULL &&
			sth_rows_count(pending->logs[i]->public.rows) > 0)
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
			!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(pending->relid)))
			continue;
		for (int i = 0; i < pending->npartitions; i++)
		{
			LogRows    *log = pending->logs[i];

			if (log == NULL || sth_rows_count(log->public.rows) == 0)
				continue;
			if (n == max)
			{
				max = Max(max * 2, 16);
				*logs = *logs == NULL ? palloc(max * sizeof(SthPendingLog)) :
					repalloc(*logs, max * sizeof(SthPendingLog));
			}
			(*logs)[n++] = log->public;
		}
	}
	return n;
}

/* The transaction is over.  Must not fail: it runs after the commit record. */
void
sth_pending_forget(void)
{
	pending_context = NULL;
	topics = NULL;
	marks = NULL;
}
