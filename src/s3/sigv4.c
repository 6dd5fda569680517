/*-------------------------------------------------------------------------
 *
 * sigv4.c
 *	  AWS Signature Version 4 in the Authorization header.
 *
 * The order of work is the specification's: a canonical request, its hash in
 * a string to sign, a key that is made of secret, day, region and service, and
 * the HMAC of the one under the other.  A path is encoded once, as S3 wants
 * it, and not normalized: "//" and "/../" are parts of keys.
 *
 * Headers are sent in their canonical form: names in lower case, values
 * without blanks around them and with single ones inside.  So a server need
 * not agree with us about what the canonical form of something else is.
 *
 * Secrets: keys that were derived from the secret are wiped, as is the part
 * of the buffer beyond the result.  The session token stands in the result.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/sigv4.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "s3/keys.h"
#include "s3/sha256.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

/* Text that is put together in the buffer; once it was full, it stays so. */
typedef struct Writer
{
	char	   *at;
	char	   *end;			/* of the space, not of the text */
	bool		full;
} Writer;

/* A parameter or header in canonical form. */
typedef struct Canonical
{
	const char *name;
	const char *value;
} Canonical;

static void
put_bytes(Writer *to, const char *bytes, size_t len)
{
	if (to->full || (size_t) (to->end - to->at) < len)
	{
		to->full = true;
		return;
	}
	memcpy(to->at, bytes, len);
	to->at += len;
}

static void
put(Writer *to, const char *text)
{
	put_bytes(to, text, strlen(text));
}

static void
put_char(Writer *to, char c)
{
	put_bytes(to, &c, 1);
}

static void
put_end(Writer *to)
{
	put_char(to, '\0');
}

static void
put_encoded(Writer *to, const char *text, bool keep_slash)
{
	static const char unreserved[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text !='\0'; text ++)
	{
		unsigned char c = (unsigned char) *text;

		if (strchr(unreserved, c) != NULL || (keep_slash && c == '/'))
			put_char(to, (char) c);
		else
		{
			char		code[3] = {'%', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15]};

			put_bytes(to, code, 3);
		}
	}
}

int
sth_percent_encode(const char *text, bool keep_slash, char *to, size_t size)
{
	Writer		writer = {to, to + size, size == 0};

	put_encoded(&writer, text, keep_slash);
	put_end(&writer);
	return writer.full ? -1 : (int) (writer.at - to) - 1;
}

/* By name, and where names are the same by value. */
static int
compare(const Canonical *a, const Canonical *b)
{
	int			names = strcmp(a->name, b->name);

	return names != 0 ? names : strcmp(a->value, b->value);
}

/* There are few of them. */
static void
sort(Canonical *items, int n)
{
	for (int i = 1; i < n; i++)
	{
		Canonical	item = items[i];
		int			at = i;

		for (; at > 0 && compare(&items[at - 1], &item) > 0; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

/* The query in its canonical form, which is also the one to send. */
static void
put_query(Writer *to, Writer *scratch, const SthSigv4Request *request)
{
	Canonical	items[STH_SIGV4_MAX_QUERY];

	for (int i = 0; i < request->nquery; i++)
	{
		const SthSigv4Pair *pair = &request->query[i];

		items[i].name = scratch->at;
		put_encoded(scratch, pair->name, false);
		put_end(scratch);
		items[i].value = scratch->at;
		put_encoded(scratch, pair->value ? pair->value : "", false);
		put_end(scratch);
		if (scratch->full)
			return;
	}
	sort(items, request->nquery);
	for (int i = 0; i < request->nquery; i++)
	{
		if (i > 0)
			put_char(to, '&');
		put(to, items[i].name);
		put_char(to, '=');
		put(to, items[i].value);
	}
}

/* A header's name in lower case; false if it is none. */
static bool
put_header_name(Writer *to, const char *name)
{
	static const char others[] = "!#$%&'*+-.^_`|~0123456789";

	if (*name == '\0')
		return false;
	for (; *name != '\0'; name++)
	{
		char		c = *name;

		if (c >= 'A' && c <= 'Z')
			c = (char) (c - 'A' + 'a');
		else if ((c < 'a' || c > 'z') && strchr(others, c) == NULL)
			return false;
		put_char(to, c);
	}
	return true;
}

/* Its value without superfluous blanks; false if it would end the header. */
static bool
put_header_value(Writer *to, const char *value)
{
	bool		blank = false;
	bool		begun = false;

	for (; *value != '\0'; value++)
	{
		unsigned char c = (unsigned char) *value;

		if (c == ' ' || c == '\t')
		{
			blank = true;
			continue;
		}
		if (c < ' ' || c == 0x7f)
			return false;
		if (blank && begun)
			put_char(to, ' ');
		put_char(to, (char) c);
		blank = false;
		begun = true;
	}
	return true;
}

/* Adds a header; its value stands behind its name in the scratch space. */
static bool
add_header(Canonical *headers, int *nheaders, Writer *scratch,
		   const char *name, const char *value)
{
	Canonical  *header = &headers[(*nheaders)++];

	header->name = scratch->at;
	if (!put_header_name(scratch, name))
		return false;
	put_end(scratch);
	header->value = scratch->at;
	if (!put_header_value(scratch, value))
		return false;
	put_end(scratch);
	return true;
}

/* All that are sent, but for Authorization, sorted. */
static SthSigv4Result
make_headers(const SthSigv4Request *request, const char *stamp,
			 const SthSigv4Keys *keys, Writer *scratch,
			 Canonical *headers, int *nheaders)
{
	const char *host = scratch->at;
	bool		good;

	*nheaders = 0;
	put(scratch, request->host);
	if (request->port != 0 && request->port != (request->tls ? 443 : 80))
	{
		char		port[16];

		snprintf(port, sizeof(port), ":%d", request->port);
		put(scratch, port);
	}
	put_end(scratch);
	if (scratch->full)
		return STH_SIGV4_TOO_LONG;
	good = add_header(headers, nheaders, scratch, "host", host) &&
		add_header(headers, nheaders, scratch, "x-amz-date", stamp);
	if (request->payload_hash != NULL)
		good = good && add_header(headers, nheaders, scratch, "x-amz-content-sha256", request->payload_hash);
	if (keys->session_token != NULL)
		good = good && add_header(headers, nheaders, scratch, "x-amz-security-token", keys->session_token);
	for (int i = 0; good && i < request->nheaders; i++)
		good = add_header(headers, nheaders, scratch, request->headers[i].name,
						  request->headers[i].value ? request->headers[i].value : "");
	if (scratch->full)
		return STH_SIGV4_TOO_LONG;
	if (!good)
		return STH_SIGV4_INVALID;
	sort(headers, *nheaders);
	for (int i = 0; i < *nheaders; i++)
		if ((i > 0 && strcmp(headers[i - 1].name, headers[i].name) == 0) ||
			strcmp(headers[i].name, "authorization") == 0)
			return STH_SIGV4_INVALID;
	return STH_SIGV4_OK;
}

static void
put_signed_names(Writer *to, const Canonical *headers, int nheaders)
{
	for (int i = 0; i < nheaders; i++)
	{
		if (i > 0)
			put_char(to, ';');
		put(to, headers[i].name);
	}
}

/* The canonical request's hash in hex; target and query are encoded already. */
static SthSigv4Result
hash_request(const SthSigv4Request *request, const char *path, size_t path_len,
			 const char *query, const Canonical *headers, int nheaders,
			 Writer *scratch, char *hex)
{
	uint8_t		digest[STH_SHA256_LEN];
	struct iovec piece;

	piece.iov_base = scratch->at;
	put(scratch, request->method);
	put_char(scratch, '\n');
	put_bytes(scratch, path, path_len);
	put_char(scratch, '\n');
	put(scratch, query);
	put_char(scratch, '\n');
	for (int i = 0; i < nheaders; i++)
	{
		put(scratch, headers[i].name);
		put_char(scratch, ':');
		put(scratch, headers[i].value);
		put_char(scratch, '\n');
	}
	put_char(scratch, '\n');
	put_signed_names(scratch, headers, nheaders);
	put_char(scratch, '\n');
	put(scratch, request->payload_hash ? request->payload_hash : STH_SIGV4_EMPTY_PAYLOAD);
	if (scratch->full)
		return STH_SIGV4_TOO_LONG;
	piece.iov_len = (size_t) (scratch->at - (char *) piece.iov_base);
	if (!sth_sha256(&piece, 1, digest))
		return STH_SIGV4_NO_HASH;
	sth_sha256_hex(digest, hex);
	return STH_SIGV4_OK;
}

/* HMACs in a chain, each the key of the next. */
static SthSigv4Result
sign_text(const char *secret, const char *day, const char *region,
		  const char *service, const char *to_sign, char *signature)
{
	const char *links[5] = {day, region, service, "aws4_request", to_sign};
	char		first[4 + STH_MAX_SECRET];
	uint8_t		key[2][STH_SHA256_LEN];
	size_t		len = strlen(secret);
	bool		good;

	if (len > STH_MAX_SECRET)
		return STH_SIGV4_TOO_LONG;
	memcpy(first, "AWS4", 4);
	memcpy(first + 4, secret, len);
	good = sth_hmac_sha256(first, len + 4, links[0], strlen(links[0]), key[0]);
	for (int i = 1; good && i < 5; i++)
		good = sth_hmac_sha256(key[(i - 1) % 2], STH_SHA256_LEN,
							   links[i], strlen(links[i]), key[i % 2]);
	if (good)
		sth_sha256_hex(key[0], signature);
	explicit_bzero(first, sizeof(first));
	explicit_bzero(key, sizeof(key));
	return good ? STH_SIGV4_OK : STH_SIGV4_NO_HASH;
}

/* Text that has no place in a credential scope would end or extend a header. */
static bool
plain(const char *text)
{
	for (; *text !='\0'; text ++)
		if ((unsigned char) *text <=' ' || (unsigned char) *text >=0x7f || *text == ',')
			return false;
	return true;
}

/* Puts the Authorization header. */
static SthSigv4Result
put_authorization(Writer *to, Writer *scratch, const SthSigv4Request *request,
				  const SthSigv4Keys *keys, const char *stamp, const char *hash,
				  const Canonical *headers, int nheaders)
{
	char		day[9];
	char		signature[STH_SHA256_HEX_LEN + 1];
	const char *scope;
	const char *text;
	SthSigv4Result result;

	memcpy(day, stamp, 8);
	day[8] = '\0';
	scope = scratch->at;
	put(scratch, day);
	put_char(scratch, '/');
	put(scratch, request->region);
	put_char(scratch, '/');
	put(scratch, request->service);
	put(scratch, "/aws4_request");
	put_end(scratch);
	text = scratch->at;

	if (!scratch->full)
	{
		put(scratch, ALGORITHM "\n");
		put(scratch, stamp);
		put_char(scratch, '\n');
		put(scratch, scope);
		put_char(scratch, '\n');
		put(scratch, hash);
		put_end(scratch);
	}
	if (scratch->full)
		return STH_SIGV4_TOO_LONG;
	result = sign_text(keys->secret, day, request->region, request->service, text, signature);
	if (result != STH_SIGV4_OK)
		return result;
	put(to, "authorization: " ALGORITHM " Credential=");
	put(to, keys->access_key);
	put_char(to, '/');
	put(to, scope);
	put(to, ", SignedHeaders=");
	put_signed_names(to, headers, nheaders);
	put(to, ", Signature=");
	put(to, signature);
	put_end(to);
	return STH_SIGV4_OK;
}

/*
 * The result grows from the buffer's start, what is needed on the way lies in
 * its other half.
 */
static SthSigv4Result
sign(const SthSigv4Request *request, const SthSigv4Keys *keys, Writer *to,
	 Writer *scratch, SthSigv4Signed *signed_request)
{
	Canonical	headers[STH_SIGV4_MAX_HEADERS];
	int			nheaders;
	char		stamp[17];
	char		hash[STH_SHA256_HEX_LEN + 1];
	struct tm	tm;
	time_t		seconds = (time_t) request->time;
	size_t		path_len;
	char	   *query;
	SthSigv4Result result;

	if (request->path[0] != '/' || !plain(request->region) || !plain(request->service) ||
		!plain(keys->access_key) || gmtime_r(&seconds, &tm) == NULL ||
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm) != 16)
		return STH_SIGV4_INVALID;
	signed_request->target = to->at;
	put_encoded(to, request->path, true);
	path_len = (size_t) (to->at - signed_request->target);
	if (request->nquery > 0)
		put_char(to, '?');
	query = to->at;
	put_query(to, scratch, request);
	put_end(to);
	if (to->full || scratch->full)
		return STH_SIGV4_TOO_LONG;
	result = make_headers(request, stamp, keys, scratch, headers, &nheaders);
	if (result == STH_SIGV4_OK)
		result = hash_request(request, signed_request->target, path_len, query,
							  headers, nheaders, scratch, hash);
	if (result != STH_SIGV4_OK)
		return result;

	for (int i = 0; i < nheaders; i++)
	{
		signed_request->headers[i] = to->at;
		put(to, headers[i].name);
		put(to, ": ");
		put(to, headers[i].value);
		put_end(to);
	}
	signed_request->headers[nheaders] = to->at;
	signed_request->nheaders = nheaders + 1;
	result = put_authorization(to, scratch, request, keys, stamp, hash, headers, nheaders);
	return result == STH_SIGV4_OK && to->full ? STH_SIGV4_TOO_LONG : result;
}

SthSigv4Result
sth_sigv4_sign(const SthSigv4Request *request, const SthSigv4Keys *keys,
			   char *buffer, size_t size, SthSigv4Signed *result)
{
	size_t		half = size / 2;
	Writer		to = {buffer, buffer + half, false};
	Writer		scratch = {buffer + half, buffer + size, false};
	SthSigv4Result outcome;

	/* host, date, payload, token and authorization are ours */
	if (request->nquery > STH_SIGV4_MAX_QUERY ||
		request->nheaders > STH_SIGV4_MAX_HEADERS - 5)
		return STH_SIGV4_TOO_LONG;
	outcome = sign(request, keys, &to, &scratch, result);
	explicit_bzero(buffer + half, size - half);
	if (outcome != STH_SIGV4_OK)
		explicit_bzero(buffer, half);
	return outcome;
}
