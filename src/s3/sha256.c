/*-------------------------------------------------------------------------
 *
 * sha256.c
 *	  SHA-256 and HMAC-SHA-256 by PostgreSQL's cryptohash and hmac, which take
 *	  them from OpenSSL where the server was built with it.
 *
 * Compiled for the server, and with FRONTEND for the unit tests.
 *
 * Memory: in the server, PostgreSQL remembers each hash in CurrentResourceOwner,
 * which a worker between transactions does not have.  So there is one of ours
 * for as long as a hash is computed; it lives as long as the process and is
 * empty outside of these functions.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"

#include "utils/resowner.h"
#endif

#include "common/cryptohash.h"
#include "common/hmac.h"
#include "s3/sha256.h"

static bool
hash_pieces(const struct iovec *pieces, int npieces, uint8 *digest)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	bool		good = hash != NULL && pg_cryptohash_init(hash) == 0;

	for (int i = 0; good && i < npieces; i++)
		good = pg_cryptohash_update(hash, pieces[i].iov_base, pieces[i].iov_len) == 0;
	good = good && pg_cryptohash_final(hash, digest, STH_SHA256_LEN) == 0;
	pg_cryptohash_free(hash);
	return good;
}

static bool
hash_with_key(const void *key, size_t key_len, const void *data, size_t len,
			  uint8 *mac)
{
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);
	bool		good;

	good = hmac != NULL && pg_hmac_init(hmac, key, key_len) == 0 &&
		pg_hmac_update(hmac, data, len) == 0 &&
		pg_hmac_final(hmac, mac, STH_SHA256_LEN) == 0;
	pg_hmac_free(hmac);
	return good;
}

#ifdef FRONTEND
bool
sth_sha256(const struct iovec *pieces, int npieces, uint8_t digest[STH_SHA256_LEN])
{
	return hash_pieces(pieces, npieces, digest);
}

bool
sth_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
				uint8_t mac[STH_SHA256_LEN])
{
	return hash_with_key(key, key_len, data, len, mac);
}
#else

static ResourceOwner
hash_owner(void)
{
	static ResourceOwner owner = NULL;

	if (owner == NULL)
		owner = ResourceOwnerCreate(NULL, "streamhouse hash");
	return owner;
}

/* Out of memory is an error of PostgreSQL's; nothing is left behind then. */
bool
sth_sha256(const struct iovec *pieces, int npieces, uint8_t digest[STH_SHA256_LEN])
{
	ResourceOwner before = CurrentResourceOwner;
	bool		good = false;

	CurrentResourceOwner = hash_owner();
	PG_TRY();
	{
		good = hash_pieces(pieces, npieces, digest);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = before;
	}
	PG_END_TRY();
	return good;
}

bool
sth_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
				uint8_t mac[STH_SHA256_LEN])
{
	ResourceOwner before = CurrentResourceOwner;
	bool		good = false;

	CurrentResourceOwner = hash_owner();
	PG_TRY();
	{
		good = hash_with_key(key, key_len, data, len, mac);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = before;
	}
	PG_END_TRY();
	return good;
}
#endif							/* FRONTEND */

void
sth_sha256_hex(const uint8_t digest[STH_SHA256_LEN],
			   char hex[STH_SHA256_HEX_LEN + 1])
{
	for (int i = 0; i < STH_SHA256_LEN; i++)
	{
		hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
	hex[STH_SHA256_HEX_LEN] = '\0';
}
