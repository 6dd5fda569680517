/*-------------------------------------------------------------------------
 *
 * unflushed.h
 *	  What waits in the tails of logs to become segments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_UNFLUSHED_H
#define STH_LOG_UNFLUSHED_H

#include "datatype/timestamp.h"
#include "log/sequencer.h"
#include "nodes/pg_list.h"

/* A log that has something to be flushed, or whose flush somebody waits for. */
typedef struct SthUnflushed
{
	int32		log_id;
	int64		bytes;
	TimestampTz since;
	int64		wanted;
	uint64		tail_in;		/* when the note was taken */
	TimestampTz due;			/* -infinity: at once */
	bool		alone;
} SthUnflushed;

/* How a flush of a log has ended. */
typedef enum SthFlushEnd
{
	STH_FLUSH_ALL,				/* nothing is left */
	STH_FLUSH_MORE,				/* something is, for another turn */
	STH_FLUSH_LATER,			/* it cannot be done now */
	STH_FLUSH_FAILED
} SthFlushEnd;

extern bool sth_unflushed_add(SthSequence *sequence, int64 bytes, int64 stored,
							  TimestampTz since, int segment_size,
							  int flush_interval);
extern void sth_unflushed_set_options(SthFlushNote *note, int segment_size,
									  int flush_interval);
extern uint32 sth_unflushed_ask(Oid tail, int32 log_id, int64 wanted);
extern bool sth_unflushed_failed(Oid tail, int32 log_id, uint32 tries);
extern TimestampTz sth_unflushed_since(Oid tail, int32 log_id);

extern List *sth_unflushed_list(Oid tail);
extern void sth_unflushed_begin(Oid tail, SthUnflushed *log);
extern void sth_unflushed_end(Oid tail, const SthUnflushed *log,
							  SthFlushEnd how, int64 bytes, int64 end_offset);
extern void sth_unflushed_set_alone(Oid tail, const SthUnflushed *log);

#endif							/* STH_LOG_UNFLUSHED_H */
