/*-------------------------------------------------------------------------
 *
 * compress.h
 *	  LZ4 and zstd, over whole buffers.
 *
 * Contexts are created at the first use and kept.  LZ4's comes from the
 * caller's allocator, zstd's from malloc (its stable interface has no other
 * way), so sth_compressor_free and sth_decompressor_free have to be called
 * in any case: in the server from a reset callback of the memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_COMPRESS_H
#define STH_CODEC_COMPRESS_H

#include "codec/memory.h"

/* As stored. */
typedef enum SthCompression
{
	STH_COMPRESSION_NONE = 0,
	STH_COMPRESSION_LZ4 = 1,
	STH_COMPRESSION_ZSTD = 2,
} SthCompression;

/* All zero: nothing created yet. */
typedef struct SthCompressor
{
	void	   *lz4;
	void	   *lz4_thorough;
	SthBuffer	second;			/* another result, to be compared */
	void	   *zstd;
} SthCompressor;

typedef struct SthDecompressor
{
	void	   *zstd;
} SthDecompressor;

extern int	sth_compress_append(SthCompressor *compressor,
								const SthMemory *memory,
								SthCompression *compression,
								const uint8_t *src, size_t len, SthBuffer *out);
extern void sth_compressor_free(SthCompressor *compressor,
								const SthMemory *memory);

/* Can these bytes decompress to that many?  Asked before room is made. */
extern int	sth_decompressed_size_is_sane(SthCompression compression,
										  size_t len, size_t raw_len);
extern int	sth_decompress(SthDecompressor *decompressor,
						   SthCompression compression,
						   const uint8_t *src, size_t len,
						   uint8_t *dst, size_t raw_len);
extern void sth_decompressor_free(SthDecompressor *decompressor);

#endif							/* STH_CODEC_COMPRESS_H */
