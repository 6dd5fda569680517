/*-------------------------------------------------------------------------
 *
 * start.h
 *	  Where logs begin, and how that moves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_START_H
#define STH_LOG_START_H

extern int64 sth_log_move_start(int32 log_id, int64 start);

#endif							/* STH_LOG_START_H */
