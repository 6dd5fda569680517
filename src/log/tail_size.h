/*-------------------------------------------------------------------------
 *
 * tail_size.h
 *	  How much of each server's topics waits in the tail.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_TAIL_SIZE_H
#define STH_LOG_TAIL_SIZE_H

#include "log/sequencer.h"

/* The account of a server's topics in this database. */
typedef uint32 SthTailAccount;

extern void sth_tail_size_init(void);

extern SthTailAccount sth_tail_account(Oid tail, Oid server);
extern int64 sth_tail_account_size(SthTailAccount account);
extern int64 sth_tail_size_limit(void);

extern void sth_tail_size_attach(SthSequence *sequence, Oid server);
extern void sth_tail_size_measured(SthSequence *sequence, int64 bytes);
extern bool sth_tail_size_grow(SthFlushNote *note, int64 bytes);
extern void sth_tail_size_shrink(SthFlushNote *note, int64 bytes);
extern void sth_tail_size_flushed(SthFlushNote *note, uint64 upto);
extern int64 sth_tail_size_of(SthFlushNote *note);
extern int64 sth_tail_size_of_log(Oid tail, int32 log_id);
extern bool sth_tail_size_presses(SthFlushNote *note);

extern void sth_tail_size_forget(Oid database, Oid tail);
extern void sth_tail_size_forget_server(Oid server);

#endif							/* STH_LOG_TAIL_SIZE_H */
