/*-------------------------------------------------------------------------
 *
 * log.c
 *	  The life of a log, from the first row to the drop of its topic.
 *
 * A log is opened when a row is produced to it first after a start of the
 * server: its next offset is where its rows end, in the tail or in segments.
 * Nothing is opened in
 * recovery or at start, so that neither takes longer for a long tail.  The
 * entry in shared memory goes when the transaction that drops the log
 * commits, or the one that created it aborts; what is to be removed when is
 * kept in a list until then, as PostgreSQL does for the files of relations.
 *
 * Failure: an error between the look at the tail and the entry leaves
 * nothing.  A crash resets shared memory.
 *
 * Memory: the list lives in TopTransactionContext, its end frees it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/stats.h"
#include "base/transaction.h"
#include "base/wakeup.h"
#include "catalog/relations.h"
#include "catalog/segments.h"
#include "catalog/topic.h"
#include "log/log.h"
#include "log/tail.h"
#include "log/tail_size.h"
#include "log/unflushed.h"
#include "miscadmin.h"
#include "s3/health.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef enum RemovalKind
{
	REMOVE_LOG,
	REMOVE_TAIL,
	REMOVE_SERVER,
	REMOVE_DATABASE,
	RESIZE_TAIL,
	CHANGE_OPTIONS
} RemovalKind;

/* An entry, or several, to be removed or changed when the transaction ends. */
typedef struct Removal
{
	struct Removal *next;
	RemovalKind kind;
	bool		at_commit;		/* else at abort */
	int			nest_level;
	Oid			oid;			/* tail, server or database */
	int32		log_id;
	int64		bytes;			/* that the log's tail has got; or lost */
	int			segment_size;	/* options of its topic from now on */
	int			flush_interval;
} Removal;

static Removal *removals = NULL;

/*
 * The lowest nesting level at which this transaction has moved the start of a
 * log; 0: it has not.
 */
static int	start_moved_at = 0;

static Removal *
remember_removal(RemovalKind kind, bool at_commit, Oid oid, int32 log_id)
{
	Removal    *removal = MemoryContextAllocZero(TopTransactionContext,
												 sizeof(Removal));

	removal->kind = kind;
	removal->at_commit = at_commit;
	removal->nest_level = GetCurrentTransactionNestLevel();
	removal->oid = oid;
	removal->log_id = log_id;
	removal->next = removals;
	removals = removal;
	return removal;
}

/* To be called by the transaction that creates a log ... */
void
sth_log_created(int32 log_id)
{
	(void) remember_removal(REMOVE_LOG, false, sth_relations()->tail, log_id);
}

/* ... and by the one that drops it. */
void
sth_log_dropped(int32 log_id)
{
	(void) remember_removal(REMOVE_LOG, true, sth_relations()->tail, log_id);
}

/* The extension goes. */
void
sth_log_tail_dropped(Oid tail)
{
	(void) remember_removal(REMOVE_TAIL, true, tail, 0);
}

/* A foreign server goes. */
void
sth_log_server_dropped(Oid server)
{
	remember_removal(REMOVE_SERVER, true, server, 0);
}

void
sth_log_database_dropped(Oid database)
{
	(void) remember_removal(REMOVE_DATABASE, true, database, 0);
}

/* To be called by a transaction that moves the start of a log. */
void
sth_log_start_moved(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (start_moved_at == 0 || level < start_moved_at)
		start_moved_at = level;
}

/*
 * To be called by a transaction that writes rows of a log's tail, or deletes
 * some, other than by producing.
 */
void
sth_log_tail_changed(int32 log_id, int64 bytes)
{
	if (bytes != 0)
		remember_removal(RESIZE_TAIL, true, sth_relations()->tail,
						 log_id)->bytes = bytes;
}

/*
 * To be called by a transaction that may have changed options of the log's
 * topic: they hold for rows that wait already, too.
 */
void
sth_log_options_changed(int32 log_id, int segment_size, int flush_interval)
{
	Removal    *change = remember_removal(CHANGE_OPTIONS, true,
										  sth_relations()->tail, log_id);

	change->segment_size = segment_size;
	change->flush_interval = flush_interval;
}

static void
change_options(int32 log_id, SthFlushNote *note, void *arg)
{
	const Removal *change = arg;

	sth_unflushed_set_options(note, change->segment_size, change->flush_interval);
}

static void
resize_tail(int32 log_id, SthFlushNote *note, void *arg)
{
	const Removal *removal = arg;

	if (removal->bytes > 0)
		(void) sth_tail_size_grow(note, removal->bytes);
	else
		sth_tail_size_shrink(note, -removal->bytes);
}

/* Must not fail: it runs after the commit record. */
static void
remove_now(Removal *removal)
{
	switch (removal->kind)
	{
		case REMOVE_LOG:
			sth_sequencer_forget_log(removal->oid, removal->log_id);
			break;
		case REMOVE_TAIL:
			sth_sequencer_forget_tail(removal->oid);
			sth_tail_size_forget(MyDatabaseId, removal->oid);
			sth_stats_forget_tail(removal->oid);
			break;
		case REMOVE_SERVER:
			sth_health_forget(MyDatabaseId, removal->oid);
			break;
		case REMOVE_DATABASE:
			sth_sequencer_forget_database(removal->oid);
			sth_tail_size_forget(removal->oid, InvalidOid);
			sth_stats_forget_database(removal->oid);
			sth_health_forget_database(removal->oid);
			break;
		case RESIZE_TAIL:
			(void) sth_sequencer_visit(removal->oid, removal->log_id,
									   resize_tail, removal);
			break;
		case CHANGE_OPTIONS:
			(void) sth_sequencer_visit(removal->oid, removal->log_id,
									   change_options, removal);
			/* rows may be due by them */
			sth_worker_wake();
			break;
	}
}

/*
 * Frees accounts of servers that the transaction has dropped: the entries of
 * their logs are gone, in whatever order they went.  Must not fail.
 */
static void
free_accounts(void)
{
	for (Removal *removal = removals; removal != NULL; removal = removal->next)
		if (removal->kind == REMOVE_SERVER)
			sth_tail_size_forget_server(removal->oid);
}

/*
 * Nothing of ours would run when a prepared transaction commits, and after a
 * restart a log would be opened without a start that is prepared.
 */
static void
refuse_prepare(void)
{
	if (start_moved_at > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot prepare a transaction that has deleted records of a topic"),
				 errhint("Use COMMIT.")));
	for (Removal *removal = removals; removal != NULL; removal = removal->next)
		if (removal->at_commit && removal->kind != RESIZE_TAIL &&
			removal->kind != CHANGE_OPTIONS && removal->kind != REMOVE_SERVER)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot prepare a transaction that has dropped a topic"),
					 errhint("Use COMMIT.")));
}

/* The list in the order in which it came together: the last change counts. */
static Removal *
reverse(Removal *list)
{
	Removal    *reversed = NULL;

	while (list != NULL)
	{
		Removal    *next = list->next;

		list->next = reversed;
		reversed = list;
		list = next;
	}
	return reversed;
}

static void
at_transaction_event(XactEvent event)
{
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
			removals = reverse(removals);
			for (Removal *removal = removals; removal != NULL;
				 removal = removal->next)
				if (removal->at_commit == (event == XACT_EVENT_COMMIT))
					remove_now(removal);
			if (event == XACT_EVENT_COMMIT)
				free_accounts();
			removals = NULL;
			start_moved_at = 0;
			break;
		case XACT_EVENT_PREPARE:
			/* if it is rolled back, what is known of a server begins anew */
			for (Removal *removal = removals; removal != NULL;
				 removal = removal->next)
				if (removal->kind == REMOVE_SERVER)
					remove_now(removal);
			removals = NULL;
			start_moved_at = 0;
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId id,
					  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	Removal   **link = &removals;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	if (start_moved_at >= level)
		start_moved_at = event == SUBXACT_EVENT_COMMIT_SUB ? level - 1 : 0;
	while (*link != NULL)
	{
		Removal    *removal = *link;

		if (removal->nest_level < level)
			link = &removal->next;
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
		{
			removal->nest_level = level - 1;
			link = &removal->next;
		}
		else
		{
			if (!removal->at_commit)
				remove_now(removal);
			*link = removal->next;
		}
	}
}

void
sth_log_init(void)
{
	sth_transaction_register(STH_AT_END | STH_AT(PRE_PREPARE),
							 at_transaction_event);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

/* Where a log's tail begins: at the end of its segments, or at its start. */
int64
sth_log_tail_start(int32 log_id, Snapshot snapshot)
{
	return Max(sth_log_start_offset(log_id, snapshot),
			   sth_segments_log_end(log_id, snapshot));
}

/* Where a log's rows end, as far as the snapshot shows. */
int64
sth_log_end(int32 log_id, Snapshot snapshot)
{
	return sth_tail_end(log_id, sth_log_tail_start(log_id, snapshot), snapshot);
}

/* Likewise, for every transaction that is over. */
static int64
find_end(int32 log_id)
{
	Snapshot	snapshot = sth_fresh_snapshot();
	int64		end = sth_log_end(log_id, snapshot);

	UnregisterSnapshot(snapshot);
	return end;
}

/*
 * A log's entry in shared memory, opened if need be.  The caller's lock on
 * the topic keeps it valid until the transaction ends.
 *
 * No lock is held between the look at the tail and the making of the entry.
 * None is needed: only a transaction that has opened the log can have added
 * to it since the server started, so whoever makes the entry has looked while
 * the tail did not change.
 */
SthSequence *
sth_log_open(int32 log_id)
{
	Oid			tail = sth_relations()->tail;
	SthSequence *sequence = sth_sequencer_find(tail, log_id);

	Assert(!RecoveryInProgress());
	if (sequence == NULL)
		sequence = sth_sequencer_open(tail, log_id, find_end(log_id), false);
	return sequence;
}

/*
 * Likewise, for rows of a topic of this server.
 *
 * A session keeps the places of entries that it has opened: they stay where
 * they are until their log is dropped, which the lock rules out, and no log
 * gets the number of another.  So nothing is read of the entry, which others
 * write to all the time.
 */
SthSequence *
sth_log_open_for_rows(int32 log_id, Oid server)
{
	static struct
	{
		Oid			tail;
		int32		log_id;
		SthSequence *sequence;
	}			opened[64], *slot;
	Oid			tail = sth_relations()->tail;

	slot = &opened[(uint32) log_id % lengthof(opened)];
	if (slot->tail != tail || slot->log_id != log_id)
	{
		SthSequence *sequence = sth_log_open(log_id);

		sth_tail_size_attach(sequence, server);
		slot->tail = tail;
		slot->log_id = log_id;
		slot->sequence = sequence;
	}
	return slot->sequence;
}

/* A log's entry, for who can do without it: NULL if there is no room. */
SthSequence *
sth_log_try_open(int32 log_id)
{
	Oid			tail = sth_relations()->tail;
	SthSequence *sequence = sth_sequencer_find(tail, log_id);

	if (sequence == NULL)
		sequence = sth_sequencer_open(tail, log_id, find_end(log_id), true);
	return sequence;
}

/* The next offset that a log will give, as far as this server can know. */
int64
sth_log_next_offset(int32 log_id)
{
	int64		next;

	if (!RecoveryInProgress() &&
		sth_sequencer_peek(sth_relations()->tail, log_id, &next))
		return next;
	return find_end(log_id);
}

/* Has anybody opened the log since the server started? */
bool
sth_log_is_open(int32 log_id)
{
	return sth_sequencer_find(sth_relations()->tail, log_id) != NULL;
}

/* Tells the worker of a gap that somebody has met. */
void
sth_log_note_gap(int32 log_id, int64 from)
{
	SthSequence *sequence = sth_sequencer_find(sth_relations()->tail, log_id);

	/* of a log that is not open the worker finds gaps when it starts */
	if (sequence != NULL)
	{
		sth_sequencer_note_gap(sequence, from);
		sth_worker_wake();
	}
}
