/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Strings, and types whose value is best shown as one.
 *
 * Text stays in the encoding of the database that wrote it; only what JSON
 * asks for is escaped.
 *
 *-------------------------------------------------------------------------
 */
#include "print.h"

#include <arpa/inet.h>

void
print_string(FILE *out, const char *s, size_t len)
{
	fputc('"', out);
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) s[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", out);
		else if (c == '\t')
			fputs("\\t", out);
		else if (c < 0x20)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

void
print_hex(FILE *out, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%02x", p[i]);
}

bool
print_text(FILE *out, const uint8_t *p, size_t len)
{
	print_string(out, (const char *) p, len);
	return true;
}

/* JSON is stored as it was given; a line break in it can only be white space. */
bool
print_json(FILE *out, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fputc(p[i] < 0x20 ? ' ' : p[i], out);
	return len > 0;
}

bool
print_bytea(FILE *out, const uint8_t *p, size_t len)
{
	fputs("\"\\\\x", out);
	print_hex(out, p, len);
	fputc('"', out);
	return true;
}

bool
print_uuid(FILE *out, const uint8_t *p, size_t len)
{
	if (len != 16)
		return false;
	for (size_t i = 0; i < 16; i++)
		fprintf(out, "%s%02x", i == 0 ? "\"" : i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", p[i]);
	fputc('"', out);
	return true;
}

/* Family (2 or 3), bits of the mask, address. */
static bool
print_address(FILE *out, const uint8_t *p, size_t len, bool always_bits)
{
	char		buffer[INET6_ADDRSTRLEN];
	bool		v6;

	if (len < 2 || (p[0] != 2 && p[0] != 3))
		return false;
	v6 = p[0] == 3;
	if (len < (v6 ? 18 : 6) ||
		inet_ntop(v6 ? AF_INET6 : AF_INET, p + 2, buffer, sizeof(buffer)) == NULL)
		return false;
	fprintf(out, "\"%s", buffer);
	if (always_bits || p[1] != (v6 ? 128 : 32))
		fprintf(out, "/%d", p[1]);
	fputc('"', out);
	return true;
}

bool
print_inet(FILE *out, const uint8_t *p, size_t len)
{
	return print_address(out, p, len, false);
}

bool
print_cidr(FILE *out, const uint8_t *p, size_t len)
{
	return print_address(out, p, len, true);
}

/* Of 6 or 8 bytes. */
bool
print_macaddr(FILE *out, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%s%02x", i == 0 ? "\"" : ":", p[i]);
	fputc('"', out);
	return len > 0;
}

/* A number of bits, then the bits, the first in the highest. */
bool
print_bits(FILE *out, const uint8_t *p, size_t len)
{
	uint32_t	n;

	if (len < 4 || (n = sth_get_u32(p)) > (len - 4) * 8)
		return false;
	fputc('"', out);
	for (uint32_t i = 0; i < n; i++)
		fputc(p[4 + i / 8] >> (7 - i % 8) & 1 ? '1' : '0', out);
	fputc('"', out);
	return true;
}
