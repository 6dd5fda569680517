/*-------------------------------------------------------------------------
 *
 * pattern.h
 *	  Texts as patterns and fields.
 *
 * Texts that a program has written are alike: what differs from one to the
 * next are numbers, names and random digits in the same places.  So each is
 * stored as the number of its pattern and what stands in its fields, and what
 * a field has in all texts stands together: numbers as integers or their
 * differences, anything else as bytes.  Each of these streams is compressed by
 * itself, by a code that fits it.  docs/segment-format.md has the bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_PATTERN_H
#define STH_CODEC_PATTERN_H

#include "codec/compress.h"
#include "codec/memory.h"

/* Numbers of patterns and of fields are bytes. */
#define STH_PATTERN_MAX 255

/* How the values of a field are stored. */
typedef enum SthFieldCoding
{
	STH_FIELD_TEXT = 0,			/* lengths, and bytes */
	STH_FIELD_INTEGER = 1,
	STH_FIELD_DIFFERENCE = 2,	/* integers less the one before */
} SthFieldCoding;

/* No integer has more decimal digits. */
#define STH_FIELD_DIGITS_MAX 20

/* As many bytes behind what is decoded may be written to. */
#define STH_PATTERN_SLACK 32

typedef enum SthPatternResult
{
	STH_PATTERN_OK,
	STH_PATTERN_USELESS,		/* these texts have too little in common */
	STH_PATTERN_DAMAGED,
	STH_PATTERN_NO_MEMORY,
} SthPatternResult;

typedef struct SthPatternWriter SthPatternWriter;

extern SthPatternWriter *sth_pattern_writer_create(const SthMemory *memory);
extern void sth_pattern_writer_free(SthPatternWriter *writer);
extern SthPatternResult sth_pattern_append(SthPatternWriter *writer,
										   const uint8_t *values, size_t len,
										   uint32_t nvalues, int align,
										   SthCompression compression,
										   SthCompressor *compressor,
										   SthBuffer *out);

extern SthPatternResult sth_pattern_decode(const uint8_t *stored, size_t len,
										   uint32_t nvalues, int align,
										   SthCompression compression,
										   SthDecompressor *decompressor,
										   const SthMemory *memory,
										   SthBuffer *streams,
										   uint8_t *values, size_t values_len);

#endif							/* STH_CODEC_PATTERN_H */
