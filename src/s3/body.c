/*-------------------------------------------------------------------------
 *
 * body.c
 *	  What requests have in their bodies: pieces, checksums, XML.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec/crc32c.h"
#include "common/base64.h"
#include "common/cryptohash.h"
#include "common/md5.h"
#include "s3/client.h"
#include "utils/resowner.h"

/*
 * The pieces that bytes lie in, from 'skip' on; there are no more than there
 * were.  Returns how many bytes that are.
 */
Size
sth_s3_cut(const struct iovec *pieces, int npieces, Size skip, Size len,
		   struct iovec *into, int *ninto)
{
	Size		total = 0;

	*ninto = 0;
	for (int i = 0; i < npieces && total < len; i++)
	{
		Size		n;

		if (skip >= pieces[i].iov_len)
		{
			skip -= pieces[i].iov_len;
			continue;
		}
		n = Min(pieces[i].iov_len - skip, len - total);
		into[*ninto].iov_base = (char *) pieces[i].iov_base + skip;
		into[(*ninto)++].iov_len = n;
		total += n;
		skip = 0;
	}
	return total;
}

static void
encode(const uint8 *bytes, int len, char *base64, int size)
{
	int			n = pg_b64_encode((const void *) bytes, len, base64, size - 1);

	if (n < 0)
		elog(ERROR, "could not encode a checksum");
	base64[n] = '\0';
}

/* The CRC-32C of bytes, most significant byte first, in base64. */
void
sth_s3_crc32c(const struct iovec *pieces, int npieces, Size skip, Size len,
			  char *base64)
{
	struct iovec *cut = palloc(Max(npieces, 1) * sizeof(struct iovec));
	int			ncut;
	uint32		crc = 0;
	uint8		bytes[4];

	sth_s3_cut(pieces, npieces, skip, len, cut, &ncut);
	for (int i = 0; i < ncut; i++)
		crc = sth_crc32c(crc, cut[i].iov_base, cut[i].iov_len);
	pfree(cut);
	for (int i = 0; i < 4; i++)
		bytes[i] = crc >> (24 - 8 * i);
	encode(bytes, 4, base64, STH_S3_CRC_LEN);
}

static bool
digest_md5(const char *data, Size len, char *base64)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_MD5);
	uint8		digest[MD5_DIGEST_LENGTH];
	bool		good;

	good = ctx != NULL && pg_cryptohash_init(ctx) >= 0 &&
		pg_cryptohash_update(ctx, (const uint8 *) data, len) >= 0 &&
		pg_cryptohash_final(ctx, digest, sizeof(digest)) >= 0;
	pg_cryptohash_free(ctx);
	if (good)
		encode(digest, MD5_DIGEST_LENGTH, base64, STH_S3_MD5_LEN);
	return good;
}

/*
 * The MD5 in base64; false where the library that computes it refuses to.
 * PostgreSQL's wants a resource owner, which there is in a transaction only,
 * and requests go on without one.
 */
bool
sth_s3_md5(const char *data, Size len, char *base64)
{
	ResourceOwner before = CurrentResourceOwner;
	ResourceOwner owner = before;
	bool		good;

	if (before == NULL)
		owner = ResourceOwnerCreate(NULL, "streamhouse md5");
	CurrentResourceOwner = owner;
	good = digest_md5(data, len, base64);
	CurrentResourceOwner = before;
	if (before == NULL)
		ResourceOwnerDelete(owner);
	return good;
}

/* Text for an XML document. */
void
sth_s3_append_xml(StringInfo to, const char *text)
{
	for (; *text !='\0'; text ++)
		switch (*text)
		{
			case '&':
				appendStringInfoString(to, "&amp;");
				break;
			case '<':
				appendStringInfoString(to, "&lt;");
				break;
			case '>':
				appendStringInfoString(to, "&gt;");
				break;
			case '"':
				appendStringInfoString(to, "&quot;");
				break;
			default:
				if ((unsigned char) *text <' ')
					appendStringInfo(to, "&#%d;", *text);
				else
					appendStringInfoChar(to, *text);
				break;
		}
}
