/*-------------------------------------------------------------------------
 *
 * remove.h
 *	  Removing segments, and the objects that were theirs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_SEGMENT_REMOVE_H
#define STH_SEGMENT_REMOVE_H

extern void sth_segments_remove(int32 log_id, int64 until);
extern void sth_objects_remove_unused(void);

#endif							/* STH_SEGMENT_REMOVE_H */
