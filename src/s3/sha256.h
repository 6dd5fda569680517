/*-------------------------------------------------------------------------
 *
 * sha256.h
 *	  SHA-256 and HMAC-SHA-256, as a signature needs them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_SHA256_H
#define STH_S3_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define STH_SHA256_LEN 32
#define STH_SHA256_HEX_LEN 64

/* False where the library that computes them refuses to. */
extern bool sth_sha256(const struct iovec *pieces, int npieces,
					   uint8_t digest[STH_SHA256_LEN]);
extern bool sth_hmac_sha256(const void *key, size_t key_len,
							const void *data, size_t len,
							uint8_t mac[STH_SHA256_LEN]);

/* In lower case, as signatures have it, and with a terminating zero. */
extern void sth_sha256_hex(const uint8_t digest[STH_SHA256_LEN],
						   char hex[STH_SHA256_HEX_LEN + 1]);

#endif							/* STH_S3_SHA256_H */
