/*-------------------------------------------------------------------------
 *
 * sequencer.h
 *	  Offsets of logs, handed out while transactions commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_SEQUENCER_H
#define STH_LOG_SEQUENCER_H

#include "datatype/timestamp.h"
#include "port/atomics.h"

/* An open log's place in shared memory. */
typedef struct SthSequence SthSequence;

/* A backend that takes from more logs than this holds up all of them. */
#define STH_TURN_LOGS 8

/* A turn that is on. */
typedef struct SthTurn
{
	int			pid;
	TimestampTz began;
	int			nlogs;			/* -1: any of the database */
	int32		log_ids[STH_TURN_LOGS];
	int64		first_offsets[STH_TURN_LOGS];	/* -1: not taken yet */
} SthTurn;

/* What waits in its tail, and what is to be done about it: see unflushed.c. */
typedef struct SthFlushNote
{
	pg_atomic_uint64 bytes;
	pg_atomic_uint64 since;		/* 0: nothing waits */
	pg_atomic_uint64 wanted;	/* somebody waits for segments up to here; 0 */
	pg_atomic_uint64 not_before;
	pg_atomic_uint32 segment_size;	/* of the topic; 0: the setting */
	pg_atomic_uint32 flush_interval;
	pg_atomic_uint32 tries;		/* flushes that have ever begun */
	pg_atomic_uint32 failed;	/* the last of them that has failed, or 0 */
	pg_atomic_uint32 backoff;	/* failures in a row */
	pg_atomic_uint32 alone;		/* in an object of its own */
	/* of these see tail_size.c */
	pg_atomic_uint32 account;
	pg_atomic_uint32 measured;
	pg_atomic_uint64 tail_in;	/* bytes that have come to the tail */
	pg_atomic_uint64 tail_out;	/* bytes that have gone from there */
} SthFlushNote;

typedef void (*SthNoteVisitor) (int32 log_id, SthFlushNote *note, void *arg);

extern void sth_sequencer_init(void);

extern SthSequence *sth_sequencer_find(Oid tail, int32 log_id);
extern SthSequence *sth_sequencer_open(Oid tail, int32 log_id,
									   int64 next_offset, bool missing_ok);
extern bool sth_sequencer_peek(Oid tail, int32 log_id, int64 *next_offset);

extern void sth_sequencer_begin(int nlogs, const int32 *log_ids);
extern int64 sth_sequencer_take(SthSequence *sequence, int64 count);
extern int64 sth_sequencer_end(void);
extern bool sth_sequencer_settled(int32 log_id);
extern bool sth_sequencer_wait(int32 log_id, int timeout);
extern int	sth_sequencer_turns(void);
extern bool sth_sequencer_read_turn(int index, SthTurn *turn);

extern void sth_sequencer_note_gap(SthSequence *sequence, int64 from);
extern bool sth_sequencer_next_gap(Oid tail, int32 *log_id, int64 *from);

extern SthFlushNote *sth_sequencer_note(SthSequence *sequence);
extern Oid	sth_sequencer_tail(const SthSequence *sequence);
extern bool sth_sequencer_visit(Oid tail, int32 log_id, SthNoteVisitor visit,
								void *arg);
extern void sth_sequencer_visit_all(Oid tail, SthNoteVisitor visit, void *arg);

extern void sth_sequencer_forget_log(Oid tail, int32 log_id);
extern void sth_sequencer_forget_tail(Oid tail);
extern void sth_sequencer_forget_database(Oid database);

#endif							/* STH_LOG_SEQUENCER_H */
