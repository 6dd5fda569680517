/*-------------------------------------------------------------------------
 *
 * tally.c
 *	  What the transaction will count when it commits.
 *
 * Counts are kept per topic and group and per subtransaction: the end of a
 * subtransaction gives them to its parent, or forgets them.  The commit adds
 * them to the counters in shared memory, and removes the counters of what has
 * been dropped.
 *
 * Who counts holds locks on the topic and the group until the transaction
 * ends; see stats.c.
 *
 * Failure: an abort forgets.  What is prepared is not counted, since nothing
 * of ours runs at COMMIT PREPARED; for the same reason the counters of a group
 * go when the transaction that drops it is prepared.
 *
 * Memory: the list is in TopTransactionContext.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/tally.h"
#include "base/transaction.h"
#include "utils/memutils.h"

typedef struct Tally
{
	struct Tally *next;
	SthStatsKey key;
	int			nest_level;
	bool		dropped;
	SthCounts	counts;
} Tally;

static Tally *tallies = NULL;

static Tally *
find(const SthStatsKey *key, int nest_level)
{
	Tally	   *tally;

	for (tally = tallies; tally != NULL; tally = tally->next)
		if (tally->nest_level == nest_level &&
			memcmp(&tally->key, key, sizeof(SthStatsKey)) == 0)
			break;
	return tally;
}

static Tally *
find_or_make(Oid tail, int32 topic_id, int32 group_id)
{
	SthStatsKey key = sth_stats_key(tail, topic_id, group_id);
	int			nest_level = GetCurrentTransactionNestLevel();
	Tally	   *tally = find(&key, nest_level);

	if (tally == NULL)
	{
		tally = MemoryContextAllocZero(TopTransactionContext, sizeof(Tally));
		tally->key = key;
		tally->nest_level = nest_level;
		tally->next = tallies;
		tallies = tally;
	}
	return tally;
}

/*
 * Where to count for a topic (group_id 0) or for one of its groups; good until
 * the subtransaction ends.
 */
SthCounts *
sth_tally_of(Oid tail, int32 topic_id, int32 group_id)
{
	return &find_or_make(tail, topic_id, group_id)->counts;
}

/* To be called by the transaction that drops a topic or a group. */
void
sth_tally_drop(Oid tail, int32 topic_id, int32 group_id)
{
	find_or_make(tail, topic_id, group_id)->dropped = true;
}

/*
 * To be called by a transaction that has closed a gap with a void range, and
 * that holds a lock on the topic.
 */
void
sth_tally_void(Oid tail, int32 topic_id, int64 offsets)
{
	SthCounts  *counts = sth_tally_of(tail, topic_id, 0);

	counts->counters[STH_TOPIC_VOIDS]++;
	counts->counters[STH_TOPIC_OFFSETS_VOIDED] += offsets;
}

static void
merge(Tally *parent, const Tally *tally)
{
	parent->dropped |= tally->dropped;
	for (int i = 0; i < STH_NCOUNTERS; i++)
		parent->counts.counters[i] += tally->counts.counters[i];
	for (int i = 0; i < STH_NBUCKETS; i++)
		parent->counts.histogram[i] += tally->counts.histogram[i];
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId id,
					  SubTransactionId parent_id, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	Tally	  **link = &tallies;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (*link != NULL)
	{
		Tally	   *tally = *link;
		Tally	   *parent = NULL;

		if (tally->nest_level >= level && event == SUBXACT_EVENT_COMMIT_SUB)
		{
			parent = find(&tally->key, level - 1);
			if (parent != NULL)
				merge(parent, tally);
			else
				tally->nest_level = level - 1;
		}
		if (tally->nest_level < level && parent == NULL)
			link = &tally->next;
		else
		{
			*link = tally->next;
			pfree(tally);
		}
	}
}

/* Must not fail: it runs after the commit record. */
static void
apply_all(bool prepared)
{
	for (Tally *tally = tallies; tally != NULL; tally = tally->next)
		if (tally->dropped)
			sth_stats_forget(&tally->key);
		else if (!prepared)
			sth_stats_apply(&tally->key, &tally->counts);
}

static void
at_transaction_event(XactEvent event)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			apply_all(event == XACT_EVENT_PREPARE);
			tallies = NULL;
			break;
		case XACT_EVENT_ABORT:
			tallies = NULL;
			break;
		default:
			break;
	}
}

/*
 * Called once, from _PG_init; after the log's, whose callback then comes later
 * and removes what belongs to an extension that is dropped.
 */
void
sth_tally_init(void)
{
	sth_transaction_register(STH_AT_END,
							 at_transaction_event);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
