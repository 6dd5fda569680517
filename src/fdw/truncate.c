/*-------------------------------------------------------------------------
 *
 * truncate.c
 *	  TRUNCATE of a topic.
 *
 * The start of each of its logs moves to where the next row will be.  The
 * lock that PostgreSQL takes for it keeps producers out, so there are no
 * offsets that a transaction has taken and not yet filled.  Rows that this
 * transaction has produced before have none yet; they are dropped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/topic.h"
#include "fdw/fdw.h"
#include "log/log.h"
#include "log/start.h"
#include "produce/pending.h"
#include "utils/rel.h"

static void
truncate_topic(Relation rel)
{
	SthTopic   *topic = sth_topic_get(rel);

	sth_pending_truncate(RelationGetRelid(rel));
	for (int i = 0; i < topic->npartitions; i++)
		(void) sth_log_move_start(topic->log_ids[i],
								  sth_log_next_offset(topic->log_ids[i]));
}

void
sthExecForeignTruncate(List *rels, DropBehavior behavior, bool restart_seqs)
{
	ListCell   *lc;

	foreach(lc, rels)
		truncate_topic(lfirst(lc));
}
