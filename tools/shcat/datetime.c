/*-------------------------------------------------------------------------
 *
 * datetime.c
 *	  Dates, times and intervals, in ISO 8601 as PostgreSQL writes it.
 *
 * PostgreSQL counts days and microseconds from 2000-01-01; its calendar is
 * Gregorian for all of time, with a year 1 BC before the year 1.
 *
 *-------------------------------------------------------------------------
 */
#include "print.h"

#include <inttypes.h>
#include <stdlib.h>

#define USECS_PER_SEC	INT64_C(1000000)
#define USECS_PER_DAY	(86400 * USECS_PER_SEC)

/* Days from 0000-03-01, where leap days end years, to 2000-01-01. */
#define DAYS_TO_2000	730425

/* Prints a date; returns if it is before the year 1, which is said last. */
static bool
put_date(FILE *out, int64_t day)
{
	int64_t		z = day + DAYS_TO_2000;
	int64_t		era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t		doe = z - era * 146097;
	int64_t		yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t		doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t		mp = (5 * doy + 2) / 153;
	int64_t		month = mp < 10 ? mp + 3 : mp - 9;
	int64_t		year = yoe + era * 400 + (month <= 2);

	fprintf(out, "%04" PRId64 "-%02" PRId64 "-%02" PRId64,
			year > 0 ? year : 1 - year, month, doy - (153 * mp + 2) / 5 + 1);
	return year <= 0;
}

/* ".5" and the like, without zeros at the end. */
static void
put_fraction(FILE *out, int64_t usecs)
{
	char		digits[16];
	int			n;

	if (usecs == 0)
		return;
	n = snprintf(digits, sizeof(digits), "%06d", (int) usecs);
	while (digits[n - 1] == '0')
		n--;
	fprintf(out, ".%.*s", n, digits);
}

static void
put_time(FILE *out, int64_t usecs)
{
	int64_t		secs = usecs / USECS_PER_SEC;

	fprintf(out, "%02" PRId64 ":%02" PRId64 ":%02" PRId64,
			secs / 3600, secs / 60 % 60, secs % 60);
	put_fraction(out, usecs % USECS_PER_SEC);
}

/* The ends of the range mean infinity. */
static bool
put_infinity(FILE *out, bool is_max, bool is_min)
{
	if (is_max || is_min)
		fputs(is_max ? "\"infinity\"" : "\"-infinity\"", out);
	return is_max || is_min;
}

bool
print_date(FILE *out, const uint8_t *p, size_t len)
{
	int32_t		day;

	if (len != 4)
		return false;
	day = (int32_t) sth_get_u32(p);
	if (put_infinity(out, day == INT32_MAX, day == INT32_MIN))
		return true;
	fputc('"', out);
	fputs(put_date(out, day) ? " BC\"" : "\"", out);
	return true;
}

bool
print_time(FILE *out, const uint8_t *p, size_t len)
{
	int64_t		usecs = len == 8 ? (int64_t) sth_get_u64(p) : -1;

	if (usecs < 0 || usecs > USECS_PER_DAY)
		return false;
	fputc('"', out);
	put_time(out, usecs);
	fputc('"', out);
	return true;
}

/* A time and how many seconds west of Greenwich it was. */
bool
print_timetz(FILE *out, const uint8_t *p, size_t len)
{
	int64_t		usecs = len >= 12 ? (int64_t) sth_get_u64(p) : -1;
	int64_t		west;

	if (usecs < 0 || usecs > USECS_PER_DAY)
		return false;
	west = (int32_t) sth_get_u32(p + 8);
	fputc('"', out);
	put_time(out, usecs);
	fputc(west > 0 ? '-' : '+', out);
	west = llabs(west);
	fprintf(out, "%02d", (int) (west / 3600));
	if (west % 3600 != 0)
		fprintf(out, ":%02d", (int) (west / 60 % 60));
	if (west % 60 != 0)
		fprintf(out, ":%02d", (int) (west % 60));
	fputc('"', out);
	return true;
}

static bool
put_timestamp(FILE *out, const uint8_t *p, size_t len, const char *zone)
{
	int64_t		v;
	int64_t		day;
	bool		bc;

	if (len != 8)
		return false;
	v = (int64_t) sth_get_u64(p);
	if (put_infinity(out, v == INT64_MAX, v == INT64_MIN))
		return true;
	day = v / USECS_PER_DAY - (v % USECS_PER_DAY < 0);
	fputc('"', out);
	bc = put_date(out, day);
	fputc('T', out);
	/* day * USECS_PER_DAY may not exist */
	v %= USECS_PER_DAY;
	put_time(out, v < 0 ? v + USECS_PER_DAY : v);
	fprintf(out, "%s%s\"", zone, bc ? " BC" : "");
	return true;
}

bool
print_timestamp(FILE *out, const uint8_t *p, size_t len)
{
	return put_timestamp(out, p, len, "");
}

bool
print_timestamptz(FILE *out, const uint8_t *p, size_t len)
{
	return put_timestamp(out, p, len, "+00:00");
}

static void
put_part(FILE *out, int64_t n, char unit)
{
	if (n != 0)
		fprintf(out, "%" PRId64 "%c", n, unit);
}

/* Microseconds, days and months, which do not convert into one another. */
bool
print_interval(FILE *out, const uint8_t *p, size_t len)
{
	int64_t		usecs;
	int32_t		days;
	int32_t		months;
	bool		negative;
	bool		is_zero;

	if (len != 16)
		return false;
	usecs = (int64_t) sth_get_u64(p);
	days = (int32_t) sth_get_u32(p + 8);
	months = (int32_t) sth_get_u32(p + 12);
	if (put_infinity(out,
					 usecs == INT64_MAX && days == INT32_MAX && months == INT32_MAX,
					 usecs == INT64_MIN && days == INT32_MIN && months == INT32_MIN))
		return true;
	is_zero = usecs == 0 && days == 0 && months == 0;
	fputs("\"P", out);
	put_part(out, months / 12, 'Y');
	put_part(out, months % 12, 'M');
	put_part(out, days, 'D');
	if (usecs != 0 || is_zero)
		fputc('T', out);
	put_part(out, usecs / (3600 * USECS_PER_SEC), 'H');
	put_part(out, usecs / (60 * USECS_PER_SEC) % 60, 'M');
	negative = usecs < 0;
	usecs %= 60 * USECS_PER_SEC;
	if (negative)
		usecs = -usecs;
	if (usecs != 0 || is_zero)
	{
		fprintf(out, "%s%d", negative ? "-" : "", (int) (usecs / USECS_PER_SEC));
		put_fraction(out, usecs % USECS_PER_SEC);
		fputc('S', out);
	}
	fputc('"', out);
	return true;
}
