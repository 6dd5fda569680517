/*-------------------------------------------------------------------------
 *
 * number.c
 *	  Booleans and numbers.  What JSON has no number for (infinities and not
 *	  a number) is printed as a string.
 *
 *-------------------------------------------------------------------------
 */
#include "print.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

bool
print_bool(FILE *out, const uint8_t *p, size_t len)
{
	if (len != 1 || *p > 1)
		return false;
	fputs(*p ? "true" : "false", out);
	return true;
}

bool
print_int(FILE *out, const uint8_t *p, size_t len)
{
	if (len == 2)
		fprintf(out, "%d", (int16_t) sth_get_u16(p));
	else if (len == 4)
		fprintf(out, "%" PRId32, (int32_t) sth_get_u32(p));
	else if (len == 8)
		fprintf(out, "%" PRId64, (int64_t) sth_get_u64(p));
	else
		return false;
	return true;
}

static bool
print_unusual(FILE *out, double v)
{
	if (isnan(v))
		fputs("\"NaN\"", out);
	else if (isinf(v))
		fputs(v > 0 ? "\"Infinity\"" : "\"-Infinity\"", out);
	else
		return false;
	return true;
}

/* With as few digits as bring the value back. */
bool
print_float4(FILE *out, const uint8_t *p, size_t len)
{
	char		buffer[32];
	float		v;

	if (len != 4)
		return false;
	memcpy(&v, p, 4);
	if (print_unusual(out, v))
		return true;
	for (int digits = 6; digits <= 9; digits++)
	{
		snprintf(buffer, sizeof(buffer), "%.*g", digits, (double) v);
		if (strtof(buffer, NULL) == v)
			break;
	}
	fputs(buffer, out);
	return true;
}

bool
print_float8(FILE *out, const uint8_t *p, size_t len)
{
	char		buffer[32];
	double		v;

	if (len != 8)
		return false;
	memcpy(&v, p, 8);
	if (print_unusual(out, v))
		return true;
	for (int digits = 15; digits <= 17; digits++)
	{
		snprintf(buffer, sizeof(buffer), "%.*g", digits, v);
		if (strtod(buffer, NULL) == v)
			break;
	}
	fputs(buffer, out);
	return true;
}

/*
 * A numeric: base-10,000 digits, the first of weight 10,000 ^ weight, of which
 * dscale decimal digits after the point count.  The head has two bytes (with
 * the highest bit set) or four.
 */
bool
print_numeric(FILE *out, const uint8_t *p, size_t len)
{
	uint16_t	head;
	int			weight;
	int			dscale;
	int			ndigits;
	bool		negative;
	const uint8_t *digits;

	if (len < 2)
		return false;
	head = sth_get_u16(p);
	if ((head & 0xC000) == 0xC000)
	{
		fputs((head & 0xF000) == 0xD000 ? "\"Infinity\"" :
			  (head & 0xF000) == 0xF000 ? "\"-Infinity\"" : "\"NaN\"", out);
		return len == 2;
	}
	if (head & 0x8000)
	{
		negative = (head & 0x2000) != 0;
		dscale = (head & 0x1F80) >> 7;
		weight = (head & 0x3F) - (head & 0x40);
		digits = p + 2;
	}
	else
	{
		if (len < 4)
			return false;
		negative = (head & 0x4000) != 0;
		dscale = head & 0x3FFF;
		weight = (int16_t) sth_get_u16(p + 2);
		digits = p + 4;
	}
	if ((len - (size_t) (digits - p)) % 2 != 0)
		return false;
	ndigits = (int) ((len - (size_t) (digits - p)) / 2);

	if (negative)
		fputc('-', out);
	if (weight < 0)
		fputc('0', out);
	for (int i = 0; i <= weight; i++)
		fprintf(out, i == 0 ? "%d" : "%04d", i < ndigits ? sth_get_u16(digits + 2 * i) : 0);
	if (dscale > 0)
		fputc('.', out);
	for (int i = weight + 1, left = dscale; left > 0; i++, left -= 4)
	{
		char		group[8];

		snprintf(group, sizeof(group), "%04d",
				 i >= 0 && i < ndigits ? sth_get_u16(digits + 2 * i) % 10000 : 0);
		fprintf(out, "%.*s", left < 4 ? left : 4, group);
	}
	return true;
}
