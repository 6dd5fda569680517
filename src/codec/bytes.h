/*-------------------------------------------------------------------------
 *
 * bytes.h
 *	  Fixed-width little-endian integers in buffers, of any alignment.
 *
 * An SthInput is a run of bytes that is read from front to back.  Reading
 * past its end yields zeros and marks the input as bad, so that a parser
 * checks once, after it has read what belongs together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_BYTES_H
#define STH_CODEC_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "streamhouse runs on little-endian machines only"
#endif

/* A run of characters: neither terminated nor free of NUL. */
typedef struct SthText
{
	const char *data;
	uint32_t	len;
} SthText;

typedef struct SthInput
{
	const uint8_t *p;
	const uint8_t *end;
	int			bad;			/* ended before what was asked of it */
} SthInput;

static inline uint16_t
sth_get_u16(const uint8_t *p)
{
	uint16_t	v;

	memcpy(&v, p, 2);
	return v;
}

static inline uint32_t
sth_get_u32(const uint8_t *p)
{
	uint32_t	v;

	memcpy(&v, p, 4);
	return v;
}

static inline uint64_t
sth_get_u64(const uint8_t *p)
{
	uint64_t	v;

	memcpy(&v, p, 8);
	return v;
}

static inline void
sth_put_u16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

static inline void
sth_put_u32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static inline void
sth_put_u64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

static inline SthInput
sth_input(const uint8_t *p, size_t len)
{
	SthInput	in = {p, p + len, 0};

	return in;
}

static inline size_t
sth_input_left(const SthInput *in)
{
	return (size_t) (in->end - in->p);
}

/* The next n bytes, or NULL. */
static inline const uint8_t *
sth_read_bytes(SthInput *in, size_t n)
{
	const uint8_t *p = in->p;

	if (in->bad || sth_input_left(in) < n)
	{
		in->bad = 1;
		return NULL;
	}
	in->p += n;
	return p;
}

static inline uint16_t
sth_read_u16(SthInput *in)
{
	const uint8_t *p = sth_read_bytes(in, 2);

	return p ? sth_get_u16(p) : 0;
}

static inline uint32_t
sth_read_u32(SthInput *in)
{
	const uint8_t *p = sth_read_bytes(in, 4);

	return p ? sth_get_u32(p) : 0;
}

static inline uint64_t
sth_read_u64(SthInput *in)
{
	const uint8_t *p = sth_read_bytes(in, 8);

	return p ? sth_get_u64(p) : 0;
}

/* The next n bytes as an input of their own; empty and bad if there are fewer. */
static inline SthInput
sth_read_part(SthInput *in, size_t n)
{
	const uint8_t *p = sth_read_bytes(in, n);
	SthInput	part = sth_input(p ? p : in->end, p ? n : 0);

	part.bad = p == NULL;
	return part;
}

/* A text: four bytes of length, then its bytes. */
static inline SthText
sth_read_text(SthInput *in)
{
	uint32_t	len = sth_read_u32(in);
	const uint8_t *p = sth_read_bytes(in, len);
	SthText text = {p ? (const char *) p : "", p ? len : 0};

	return text;
}

#endif							/* STH_CODEC_BYTES_H */
