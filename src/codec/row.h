/*-------------------------------------------------------------------------
 *
 * row.h
 *	  The values of one row, one after another, as PostgreSQL stores them.
 *
 * A row holds the values of the columns that are not NULL, in column order,
 * with no header of its own: its length and which columns are NULL stand in
 * the frame's directory (frame.h).  A value of a type passed by value is its
 * 1, 2, 4 or 8 bytes, unaligned.  Any other fixed-length value is aligned to
 * its type's alignment, counted from the row's start.  A variable-length
 * value is a plain varlena: with a one-byte header, unaligned, where it fits
 * one and the type allows it; else with a four-byte header, aligned.  Padding
 * is zero, which is how a reader tells it from a one-byte header.
 *
 * So a reader makes a datum by setting a pointer, as long as the row's start
 * is as aligned in memory as the frame says.  Little-endian machines only;
 * plain C, no server headers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_ROW_H
#define STH_CODEC_ROW_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How values of a column lie in a row. */
typedef struct SthLayout
{
	int16_t		len;			/* bytes, or -1: varlena */
	uint8_t		align;			/* 1, 2, 4 or 8 */
	uint8_t		byval;			/* passed by value? */
	uint8_t		packable;		/* varlena may take a one-byte header? */
} SthLayout;

/* The longest varlena, header included, that a one-byte header can describe */
#define STH_SHORT_MAX	127

#define STH_ALIGN_UP(n, a)	(((n) + (size_t) (a) - 1) & ~((size_t) (a) - 1))

/* A varlena's length, header included; 'p' points to a four-byte header. */
static inline size_t
sth_varlena_long_size(const uint8_t *p)
{
	uint32_t	head;

	memcpy(&head, p, 4);
	return head >> 2;
}

/*
 * Fetches the value at p into *value, as a Datum.  'row' is the row's start,
 * 'end' the byte after it.  Returns the byte after the value, or NULL if the
 * row is damaged: then nothing outside of [row, end) has been read.
 */
static inline const uint8_t *
sth_row_fetch(const SthLayout *layout, const uint8_t *row, const uint8_t *p,
			  const uint8_t *end, uintptr_t *value)
{
	size_t		left = (size_t) (end - p);

	if (layout->byval)
	{
		if (left < (size_t) layout->len)
			return NULL;
		switch (layout->len)
		{
			case 1:
				*value = (uintptr_t) (intptr_t) *(const int8_t *) p;
				break;
			case 2:
				{
					int16_t		v;

					memcpy(&v, p, 2);
					*value = (uintptr_t) (intptr_t) v;
					break;
				}
			case 4:
				{
					int32_t		v;

					memcpy(&v, p, 4);
					*value = (uintptr_t) (intptr_t) v;
					break;
				}
			default:
				{
					int64_t		v;

					memcpy(&v, p, 8);
					*value = (uintptr_t) v;
					break;
				}
		}
		return p + layout->len;
	}

	if (layout->len == -1)
	{
		size_t		size;

		if (left < 1)
			return NULL;
		if (*p & 0x01)			/* one-byte header */
			size = *p >> 1;
		else
		{
			p = row + STH_ALIGN_UP((size_t) (p - row), layout->align);
			if (p > end || (size_t) (end - p) < 4)
				return NULL;
			left = (size_t) (end - p);
			/* after padding: a plain four-byte header, not compressed */
			if (*p & 0x03)
				return NULL;
			size = sth_varlena_long_size(p);
			if (size < 4)
				return NULL;
		}
		if (size < 1 || size > left)
			return NULL;
		*value = (uintptr_t) p;
		return p + size;
	}

	p = row + STH_ALIGN_UP((size_t) (p - row), layout->align);
	if (p > end || (size_t) (end - p) < (size_t) layout->len)
		return NULL;
	*value = (uintptr_t) p;
	return p + layout->len;
}

#endif							/* STH_CODEC_ROW_H */
