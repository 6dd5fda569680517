/*-------------------------------------------------------------------------
 *
 * crc32c.h
 *	  CRC-32C (Castagnoli), the checksum of segments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CODEC_CRC32C_H
#define STH_CODEC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

extern uint32_t sth_crc32c(uint32_t crc, const void *data, size_t len);

/* Without the processor's instruction: what machines that lack it run. */
extern uint32_t sth_crc32c_portable(uint32_t crc, const void *data, size_t len);

#endif							/* STH_CODEC_CRC32C_H */
