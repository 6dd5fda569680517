/*-------------------------------------------------------------------------
 *
 * write.c
 *	  Finished frames into the tail.
 *
 * At commit that is under the offsets that they have got, before that under
 * a stage and by the rows' numbers in the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec/frame.h"
#include "miscadmin.h"
#include "produce/write.h"

/* Cuts a frame of one large row into parts, and inserts those. */
static void
write_parts(SthTailWriter *writer, int32 log_id, int32 stage,
			int64 end_offset, const SthReadyFrame *frame)
{
	uint32		nparts = sth_frame_part_count(frame->len, STH_FRAME_MAX);
	uint8	   *tuple = palloc(STH_TAIL_FIXED + STH_FRAME_MAX);
	uint8	   *part = tuple + STH_TAIL_FIXED;

	Assert(frame->nrows == 1);
	for (uint32 i = 0; i < nparts; i++)
	{
		Size		len = sth_frame_part(frame->data, frame->len, i, part,
										 STH_FRAME_MAX);

		sth_tail_write(writer, log_id, stage, end_offset, i == 0 ? 1 : 0,
					   part, len);
	}
	pfree(tuple);
}

/* Inserts frames of a log; row number n of them goes to base + n. */
void
sth_write_frames(SthTailWriter *writer, int32 log_id, int32 stage, int64 base,
				 SthReadyFrame **frames, int nframes)
{
	for (int i = 0; i < nframes; i++)
	{
		SthReadyFrame *frame = frames[i];

		CHECK_FOR_INTERRUPTS();
		if (frame->len > STH_FRAME_MAX)
			write_parts(writer, log_id, stage, base + frame->end, frame);
		else
			sth_tail_write(writer, log_id, stage, base + frame->end,
						   frame->nrows, frame->data, frame->len);
	}
}
