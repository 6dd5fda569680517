/* Integers come back as they were, and nothing is read past the end. */
#include "codec/varint.h"

#include "tap.h"

static int
round_trips(uint64_t v)
{
	uint8_t		buffer[STH_VARINT_MAX];
	uint8_t    *end = sth_varint_put(buffer, v);
	uint64_t	back = ~v;

	if (sth_varint_get(buffer, end, &back) != end || back != v)
		return 0;
	/* every proper prefix is refused */
	for (const uint8_t *cut = buffer; cut < end; cut++)
		if (sth_varint_get(buffer, cut, &back) != NULL)
			return 0;
	return 1;
}

int
main(void)
{
	int			all = 1;
	uint64_t	v;
	uint8_t		overlong[11] = {0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0x02, 0};

	for (int bit = 0; bit < 64; bit++)
		for (int d = -1; d <= 1; d++)
			all &= round_trips(((uint64_t) 1 << bit) + (uint64_t) (int64_t) d);
	ok(all, "values around every power of two");
	ok(round_trips(0) && round_trips(UINT64_MAX), "smallest and greatest");
	ok(sth_varint_get(overlong, overlong + sizeof(overlong), &v) == NULL,
	   "more than 64 bits are refused");
	overlong[9] = 0xff;
	ok(sth_varint_get(overlong, overlong + sizeof(overlong), &v) == NULL,
	   "more than ten bytes are refused");
	ok(sth_unzigzag(sth_zigzag(INT64_MIN)) == INT64_MIN &&
	   sth_unzigzag(sth_zigzag(INT64_MAX)) == INT64_MAX &&
	   sth_unzigzag(sth_zigzag(-1)) == -1 && sth_zigzag(-1) == 1,
	   "zigzag folds and unfolds");
	return done_testing();
}
