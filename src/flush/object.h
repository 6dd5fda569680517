/*-------------------------------------------------------------------------
 *
 * object.h
 *	  An object on its way from the tail to its store.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_FLUSH_OBJECT_H
#define STH_FLUSH_OBJECT_H

#include "log/unflushed.h"
#include "segment/writer.h"

/* An object has not more segments than this. */
#define STH_FLUSH_MAX_LOGS 1000

/* A log of an object. */
typedef struct SthFlushedLog
{
	SthUnflushed note;
	int32		topic_id;
	SthFlushEnd how;			/* what is left of its tail */
	bool		pending;		/* it has not been dealt with */
	bool		registered;		/* but will have been with this transaction */
	int			segment;		/* number in the object */
	int64		base_offset;	/* of its segment */
	int64		end_offset;
	int64		ntuples;		/* of the tail, encoded; 0: no segment */
	int64		bytes;
} SthFlushedLog;

typedef struct SthFlush
{
	MemoryContext context;		/* has all of it */
	Oid			tail;
	Oid			server;			/* InvalidOid: nothing has been encoded yet */
	SthSegmentWriter *writer;	/* NULL: likewise */
	bool		is_remote;
	bool		is_sending;		/* or has been sent, or that has failed */
	bool		is_sent;
	bool		known;			/* it is live: some of its segments may be
								 * known */
	List	   *full_servers;	/* to which no more is sent at the moment */
	TimestampTz since;			/* when it was begun */
	int64		bytes;
	int64		driven_at;		/* bytes at which to look after another upload */
	int			nlogs;
	SthFlushedLog logs[STH_FLUSH_MAX_LOGS];
} SthFlush;

extern void sth_flush_encode(SthFlush *flush, int ndue);
extern bool sth_flush_register(SthFlush *flush);

#endif							/* STH_FLUSH_OBJECT_H */
