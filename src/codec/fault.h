/*-------------------------------------------------------------------------
 *
 * fault.h
 *	  What went wrong in the codec of segments, and at which byte.
 *
 * Functions that can fail return a result, and describe a failure in an
 * SthFault, from which the caller makes its message: "damaged object ...: what
 * (byte at)".  Texts are constants, so that nothing is allocated on the way.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_FAULT_H
#define STH_CODEC_FAULT_H

#include <stdint.h>

typedef enum SthCodecResult
{
	STH_CODEC_OK = 0,
	STH_CODEC_DAMAGED,			/* not what was once written */
	STH_CODEC_UNSUPPORTED,		/* of a later version */
	STH_CODEC_MISMATCH,			/* sound, but not what the caller expects */
	STH_CODEC_TOO_LARGE,		/* exceeds what the format can hold */
	STH_CODEC_NO_MEMORY,		/* the caller's allocator gave nothing */
	STH_CODEC_NOT_WRITTEN,		/* the caller's sink took nothing */
} SthCodecResult;

typedef struct SthFault
{
	SthCodecResult result;
	const char *what;			/* a constant; reads on after "byte 17: " */
	uint64_t	at;				/* byte of the object where it was noticed */
} SthFault;

static inline SthCodecResult
sth_fault(SthFault *fault, SthCodecResult result, const char *what, uint64_t at)
{
	fault->result = result;
	fault->what = what;
	fault->at = at;
	return result;
}

#endif							/* STH_CODEC_FAULT_H */
