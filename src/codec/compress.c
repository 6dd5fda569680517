/*-------------------------------------------------------------------------
 *
 * compress.c
 *	  LZ4 and zstd, over whole buffers.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/compress.h"

#include <lz4.h>
#include <lz4hc.h>
#include <string.h>
#include <zstd.h>

/* Below this many bytes compression is not tried. */
#define WORTH_TRYING 64

#define ZSTD_LEVEL 3

/*
 * LZ4 finds a tenth more if it looks at more than the last place where four
 * bytes were seen, in four times the time.  That is worth it for what repeats
 * itself, keys for instance, as far as it is a small part of a block.
 */
#define LZ4_THOROUGH_LEVEL 2
#define LZ4_THOROUGH_MAX (64 * 1024)

/* Looks for more in what LZ4 has made n bytes of, and returns how many then. */
static size_t
compress_thoroughly(SthCompressor *compressor, const SthMemory *memory,
					const uint8_t *src, size_t len, uint8_t *dst, size_t n)
{
	int			better;

	if (compressor->lz4_thorough == NULL)
		compressor->lz4_thorough = memory->allocate(memory->context,
													(size_t) LZ4_sizeofStateHC());
	if (compressor->lz4_thorough == NULL ||
		!sth_buffer_reset(memory, &compressor->second, n))
		return n;
	better = LZ4_compress_HC_extStateHC(compressor->lz4_thorough,
										(const char *) src,
										(char *) compressor->second.data,
										(int) len, (int) n, LZ4_THOROUGH_LEVEL);
	if (better <= 0)
		return n;
	memcpy(dst, compressor->second.data, (size_t) better);
	return (size_t) better;
}

static size_t
compress_lz4(SthCompressor *compressor, const SthMemory *memory,
			 const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
	size_t		n;

	if (len > LZ4_MAX_INPUT_SIZE)
		return 0;
	if (compressor->lz4 == NULL)
		compressor->lz4 = memory->allocate(memory->context,
										   (size_t) LZ4_sizeofState());
	if (compressor->lz4 == NULL)
		return 0;
	n = (size_t) LZ4_compress_fast_extState(compressor->lz4,
											(const char *) src, (char *) dst,
											(int) len, (int) cap, 1);
	if (n > 0 && n <= len / 2 && len <= LZ4_THOROUGH_MAX)
		n = compress_thoroughly(compressor, memory, src, len, dst, n);
	return n;
}

static size_t
compress_zstd(SthCompressor *compressor,
			  const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
	size_t		n;

	if (compressor->zstd == NULL)
		compressor->zstd = ZSTD_createCCtx();
	if (compressor->zstd == NULL)
		return 0;
	n = ZSTD_compressCCtx(compressor->zstd, dst, cap, src, len, ZSTD_LEVEL);
	return ZSTD_isError(n) ? 0 : n;
}

/*
 * Appends src to out, compressed if that saves at least a sixteenth; else as
 * it is, and sets *compression to none.  Returns 0 if there is no memory.
 */
int
sth_compress_append(SthCompressor *compressor, const SthMemory *memory,
					SthCompression *compression,
					const uint8_t *src, size_t len, SthBuffer *out)
{
	size_t		cap = len - len / 16;
	size_t		n = 0;

	if (!sth_buffer_reserve(memory, out, len))
		return 0;
	if (len >= WORTH_TRYING && *compression == STH_COMPRESSION_LZ4)
		n = compress_lz4(compressor, memory, src, len, out->data + out->len, cap);
	else if (len >= WORTH_TRYING && *compression == STH_COMPRESSION_ZSTD)
		n = compress_zstd(compressor, src, len, out->data + out->len, cap);
	if (n > 0)
	{
		out->len += n;
		return 1;
	}
	*compression = STH_COMPRESSION_NONE;
	return sth_buffer_append(memory, out, src, len);
}

void
sth_compressor_free(SthCompressor *compressor, const SthMemory *memory)
{
	sth_release(memory, compressor->lz4);
	sth_release(memory, compressor->lz4_thorough);
	sth_buffer_free(memory, &compressor->second);
	ZSTD_freeCCtx(compressor->zstd);
	memset(compressor, 0, sizeof(*compressor));
}

int
sth_decompressed_size_is_sane(SthCompression compression,
							  size_t len, size_t raw_len)
{
	/* a byte of LZ4 stands for 255 at most, one of zstd for 128 kB */
	if (compression == STH_COMPRESSION_LZ4)
		return raw_len / 255 <= len;
	if (compression == STH_COMPRESSION_ZSTD)
		return raw_len / (128 * 1024) <= len;
	return raw_len == len;
}

/* Returns whether src is exactly raw_len bytes, decompressed. */
int
sth_decompress(SthDecompressor *decompressor, SthCompression compression,
			   const uint8_t *src, size_t len, uint8_t *dst, size_t raw_len)
{
	if (compression == STH_COMPRESSION_LZ4)
		return len <= INT32_MAX && raw_len <= INT32_MAX &&
			LZ4_decompress_safe((const char *) src, (char *) dst, (int) len,
								(int) raw_len) == (int) raw_len;
	if (decompressor->zstd == NULL)
		decompressor->zstd = ZSTD_createDCtx();
	return decompressor->zstd != NULL &&
		ZSTD_decompressDCtx(decompressor->zstd, dst, raw_len,
							src, len) == raw_len;
}

void
sth_decompressor_free(SthDecompressor *decompressor)
{
	ZSTD_freeDCtx(decompressor->zstd);
	memset(decompressor, 0, sizeof(*decompressor));
}
