/*-------------------------------------------------------------------------
 *
 * delta.c
 *	  Arrays of integers as differences: each value less the one before, the
 *	  first less 0, as zigzag varints (varint.h).
 *
 * Values are of 2, 4 or 8 bytes, taken as signed.  Differences are taken in
 * 64 bits and wrap around, so every array comes back bit for bit, that of a
 * floating-point column as well; whether it gets shorter is another matter,
 * and the only one that decides.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/delta.h"

#include <string.h>

#include "codec/varint.h"

static inline int64_t
get_value(const uint8_t *p, int width)
{
	int16_t		v2;
	int32_t		v4;
	int64_t		v8;

	switch (width)
	{
		case 2:
			memcpy(&v2, p, 2);
			return v2;
		case 4:
			memcpy(&v4, p, 4);
			return v4;
		default:
			memcpy(&v8, p, 8);
			return v8;
	}
}

/*
 * Encodes n values.  Returns the length, or 0 once it exceeds 'limit'; dst
 * has room for limit + STH_DELTA_MAX bytes.
 */
size_t
sth_delta_encode(const uint8_t *values, size_t n, int width,
				 uint8_t *dst, size_t limit)
{
	uint8_t    *p = dst;
	uint64_t	last = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		uint64_t	v = (uint64_t) get_value(values + i * (size_t) width, width);

		p = sth_varint_put(p, sth_zigzag((int64_t) (v - last)));
		if ((size_t) (p - dst) > limit)
			return 0;
		last = v;
	}
	return (size_t) (p - dst);
}

/* Returns whether src is exactly n values that fit their width. */
int
sth_delta_decode(const uint8_t *src, size_t len,
				 uint8_t *values, size_t n, int width)
{
	const uint8_t *p = src;
	const uint8_t *end = src + len;
	uint64_t	v = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		uint8_t    *at = values + i * (size_t) width;
		uint64_t	d;

		if (p < end && *p < 0x80)
			d = *p++;
		else if ((p = sth_varint_get(p, end, &d)) == NULL)
			return 0;
		v += (uint64_t) sth_unzigzag(d);
		memcpy(at, &v, (size_t) width);
		if (get_value(at, width) != (int64_t) v)
			return 0;
	}
	return p == end;
}
