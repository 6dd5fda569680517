/*-------------------------------------------------------------------------
 *
 * log.h
 *	  The life of a log, from the first row to the drop of its topic.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_LOG_H
#define STH_LOG_LOG_H

#include "log/sequencer.h"
#include "utils/snapshot.h"

extern void sth_log_init(void);
extern SthSequence *sth_log_open(int32 log_id);
extern SthSequence *sth_log_open_for_rows(int32 log_id, Oid server);
extern SthSequence *sth_log_try_open(int32 log_id);
extern int64 sth_log_tail_start(int32 log_id, Snapshot snapshot);
extern int64 sth_log_end(int32 log_id, Snapshot snapshot);
extern int64 sth_log_next_offset(int32 log_id);
extern bool sth_log_is_open(int32 log_id);
extern void sth_log_note_gap(int32 log_id, int64 from);
extern void sth_log_start_moved(void);
extern void sth_log_options_changed(int32 log_id, int segment_size,
									int flush_interval);
extern void sth_log_tail_changed(int32 log_id, int64 bytes);
extern void sth_log_created(int32 log_id);
extern void sth_log_dropped(int32 log_id);
extern void sth_log_tail_dropped(Oid tail);
extern void sth_log_server_dropped(Oid server);
extern void sth_log_database_dropped(Oid database);

#endif							/* STH_LOG_LOG_H */
