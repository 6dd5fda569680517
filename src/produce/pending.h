/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  Rows that the transaction has produced and that wait for its commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_PRODUCE_PENDING_H
#define STH_PRODUCE_PENDING_H

#include "catalog/topic.h"
#include "datatype/timestamp.h"
#include "log/sequencer.h"
#include "log/tail.h"
#include "produce/rows.h"

/* A topic to which this transaction produces. */
typedef struct SthPendingTopic SthPendingTopic;

/* A log with rows that wait for the commit. */
typedef struct SthPendingLog
{
	Oid			relid;
	int32		topic_id;
	int			partition;
	int32		log_id;
	int32		stage;			/* where its rows lie already, or 0 */
	SthSequence *sequence;
	int			segment_size;	/* options of the topic */
	int			flush_interval;
	SthRows    *rows;
} SthPendingLog;

extern void sth_pending_init(void);
extern SthPendingTopic *sth_pending_topic(Relation rel);
extern const SthTopic *sth_pending_topic_now(const SthPendingTopic *pending);
extern int	sth_pending_sticky_partition(SthPendingTopic *pending);
extern void sth_pending_add(SthPendingTopic *pending, int partition,
							bool routed, TimestampTz time,
							const Datum *values, const bool *isnull);
extern bool sth_pending_has_rows(Oid relid);
extern void sth_pending_truncate(Oid relid);
extern void sth_pending_seal(void);
extern int	sth_pending_logs(SthPendingLog **logs);
extern void sth_pending_finish(SthPendingLog *log, SthTailWriter *writer);
extern void sth_pending_forget(void);

#endif							/* STH_PRODUCE_PENDING_H */
