/*-------------------------------------------------------------------------
 *
 * voids.h
 *	  Closing gaps for good.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_VOIDS_H
#define STH_LOG_VOIDS_H

/* Is a void of a log not to be merged with another? */
typedef bool (*SthVoidsKeep) (int32 log_id);

extern bool sth_voids_write(bool all);
extern void sth_voids_set_keep(SthVoidsKeep keep);

#endif							/* STH_LOG_VOIDS_H */
