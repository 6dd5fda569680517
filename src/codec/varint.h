/*-------------------------------------------------------------------------
 *
 * varint.h
 *	  Variable-length integers: seven bits a byte, low bits first, the high
 *	  bit of a byte set when another follows (LEB128).  Signed values are
 *	  zigzag-folded first, so that small magnitudes stay short.
 *
 * The readers never look at or past 'end' and refuse what does not fit 64
 * bits; they return NULL then.  Plain C: no server headers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_VARINT_H
#define STH_CODEC_VARINT_H

#include <stddef.h>
#include <stdint.h>

/* The longest encoding of a 64-bit value. */
#define STH_VARINT_MAX 10

static inline uint64_t
sth_zigzag(int64_t v)
{
	return ((uint64_t) v << 1) ^ (uint64_t) (v >> 63);
}

static inline int64_t
sth_unzigzag(uint64_t v)
{
	return (int64_t) (v >> 1) ^ -(int64_t) (v & 1);
}

/* Writes v at p, which has room for STH_VARINT_MAX bytes; returns its end. */
static inline uint8_t *
sth_varint_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80)
	{
		*p++ = (uint8_t) (v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t) v;
	return p;
}

/* Reads a value at p; returns the byte after it, NULL if it is damaged. */
static inline const uint8_t *
sth_varint_get(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
	uint64_t	result = 0;
	int			shift = 0;

	while (p < end)
	{
		uint8_t		b = *p++;

		if (shift == 63 && b > 1)
			return NULL;
		result |= (uint64_t) (b & 0x7f) << shift;
		if (b < 0x80)
		{
			*v = result;
			return p;
		}
		shift += 7;
		if (shift > 63)
			return NULL;
	}
	return NULL;
}

#endif							/* STH_CODEC_VARINT_H */
