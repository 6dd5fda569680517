/*-------------------------------------------------------------------------
 *
 * frames.h
 *	  The frames of a log's tail, in order, each as a whole.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_FRAMES_H
#define STH_LOG_FRAMES_H

#include "base/compat.h"
#include "codec/frame.h"
#include "utils/snapshot.h"

/* A frame of rows, or a void, of the offsets [start_offset, end_offset). */
typedef struct SthLogFrame
{
	bool		is_void;
	int64		start_offset;
	int64		end_offset;
	const uint8 *data;			/* whole, also if it was cut into parts */
	Size		len;
	SthFrame	frame;			/* the same, taken apart */
	int			ntuples;		/* rows of the tail that it takes */
	Size		stored_len;		/* their frames' bytes */
} SthLogFrame;

typedef struct SthFrameScan SthFrameScan;

extern SthFrameScan *sth_frames_begin(Snapshot snapshot, const char *topic);
extern void sth_frames_seek(SthFrameScan *scan, int32 log_id, int partition,
							int64 from);
extern bool sth_frames_next(SthFrameScan *scan, SthLogFrame *frame);
extern int64 sth_frames_end_offset(const SthFrameScan *scan);
extern void sth_frames_end(SthFrameScan *scan);

extern void sth_frames_check(const SthFrameScan *scan, SthFrameResult result);
STH_NORETURN extern void sth_frames_report_damage(const SthFrameScan *scan,
												  const char *what);

#endif							/* STH_LOG_FRAMES_H */
