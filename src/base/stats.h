/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  Counters of topics and consumer groups, in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_STATS_H
#define STH_BASE_STATS_H

#include "datatype/timestamp.h"

/* What is counted of a topic; the view stat_topics goes by the order. */
typedef enum SthTopicCounter
{
	STH_TOPIC_ROWS_PRODUCED,
	STH_TOPIC_BYTES_PRODUCED,
	STH_TOPIC_TRANSACTIONS,
	STH_TOPIC_ROWS_POLLED,
	STH_TOPIC_BYTES_POLLED,
	STH_TOPIC_BATCHES_POLLED,
	STH_TOPIC_VOIDS,
	STH_TOPIC_OFFSETS_VOIDED
} SthTopicCounter;

/* What is counted of a group; the view stat_groups goes by the order. */
typedef enum SthGroupCounter
{
	STH_GROUP_POLLS,
	STH_GROUP_EMPTY_POLLS,
	STH_GROUP_ROWS,
	STH_GROUP_BYTES,
	STH_GROUP_WAITS,
	STH_GROUP_WAIT_TIME			/* microseconds */
} SthGroupCounter;

/* What is counted of a topic's flushes; the view stat_flush goes by the order. */
typedef enum SthFlushCounter
{
	STH_FLUSH_OBJECTS,			/* that have segments of it */
	STH_FLUSH_SEGMENTS,
	STH_FLUSH_ROWS,
	STH_FLUSH_BYTES,			/* of the rows, decompressed */
	STH_FLUSH_STORED_BYTES,		/* of the segments */
	STH_FLUSH_FAILURES
} SthFlushCounter;

#define STH_NCOUNTERS (STH_TOPIC_OFFSETS_VOIDED + 1)

/*
 * Buckets of a histogram of times: bucket i has those of up to 2^i
 * microseconds that are in no bucket before, the last one all longer ones.
 */
#define STH_NBUCKETS 32

/*
 * The times are, of a topic, those of its commits; of a group, of its waits;
 * of a topic's flushes, theirs.  In the place of times a topic's segments have
 * their sizes, in kB.
 */
typedef struct SthCounts
{
	int64		counters[STH_NCOUNTERS];
	int64		histogram[STH_NBUCKETS];
} SthCounts;

/* Counters in shared memory. */
typedef struct SthStats SthStats;

/* Whose counters. */
typedef struct SthStatsKey
{
	Oid			database;
	Oid			tail;			/* new with every CREATE EXTENSION */
	int32		topic_id;
	int32		group_id;		/* 0: the topic's own; or one of these: */
} SthStatsKey;

#define STH_STATS_FLUSHES (-1)
#define STH_STATS_SEGMENTS (-2)

extern void sth_stats_init(void);
extern SthStatsKey sth_stats_key(Oid tail, int32 topic_id, int32 group_id);

extern int	sth_histogram_bucket(int64 microseconds);
extern void sth_counts_add_time(SthCounts *counts, int64 microseconds);
extern SthStats *sth_stats_enter(const SthStatsKey *key);
extern void sth_stats_add(SthStats *stats, int counter, int64 n);
extern void sth_stats_add_time(SthStats *stats, int64 microseconds);
extern void sth_stats_apply(const SthStatsKey *key, const SthCounts *counts);
extern bool sth_stats_read(const SthStatsKey *key, SthCounts *counts,
						   TimestampTz *reset);

extern void sth_stats_reset_topic(Oid tail, int32 topic_id);
extern void sth_stats_reset_all(Oid tail);

extern void sth_stats_forget(const SthStatsKey *key);
extern void sth_stats_forget_tail(Oid tail);
extern void sth_stats_forget_database(Oid database);

#endif							/* STH_BASE_STATS_H */
