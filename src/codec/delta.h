/*-------------------------------------------------------------------------
 *
 * delta.h
 *	  Arrays of integers as differences.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_DELTA_H
#define STH_CODEC_DELTA_H

#include <stddef.h>
#include <stdint.h>

/* No encoding of one value is longer. */
#define STH_DELTA_MAX 10

extern size_t sth_delta_encode(const uint8_t *values, size_t n, int width,
							   uint8_t *dst, size_t limit);
extern int	sth_delta_decode(const uint8_t *src, size_t len,
							 uint8_t *values, size_t n, int width);

#endif							/* STH_CODEC_DELTA_H */
