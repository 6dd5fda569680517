/* Integers as differences: every array comes back, and damage is refused. */
#include "codec/delta.h"

#include <string.h>

#include "sample.h"
#include "tap.h"

#define N 500

static void
put(uint8_t *values, int i, int width, uint64_t v)
{
	memcpy(values + i * width, &v, (size_t) width);
}

/* Ways to fill an array: at random, rising, extremes, all the same. */
static uint64_t
value(int way, int i)
{
	uint64_t	random = (uint64_t) any(UINT32_MAX) << 32 | any(UINT32_MAX);

	switch (way)
	{
		case 0:
			return random;
		case 1:
			return (uint64_t) i * 3 + any(3);
		case 2:
			return any(2) ? 0 : any(2) ? UINT64_C(0x8000800080008000) : ~UINT64_C(0x8000800080008000);
		default:
			return 7;
	}
}

static void
test_round_trips(void)
{
	int			good = 1;
	size_t		risen = 0;

	for (int i = 0; i < 2000; i++)
	{
		static uint8_t encoded[N * STH_DELTA_MAX + STH_DELTA_MAX];
		uint8_t		values[N * 8];
		int			width = 2 << any(3);
		size_t		n = 1 + any(N);
		int			way = (int) any(4);
		size_t		len;
		uint8_t    *back = malloc(n * (size_t) width);
		uint8_t    *copy;

		for (size_t k = 0; k < n; k++)
			put(values, (int) k, width, value(way, (int) k));
		len = sth_delta_encode(values, n, width, encoded, N * STH_DELTA_MAX);
		if (way == 1 && len > risen * n)
			risen = (len + n - 1) / n;
		/* where reading past its end is noticed */
		copy = malloc(len);
		memcpy(copy, encoded, len);
		good &= len > 0 &&
			sth_delta_decode(copy, len, back, n, width) &&
			memcmp(back, values, n * (size_t) width) == 0;
		good &= !sth_delta_decode(copy, len - 1, back, n, width);
		good &= n == 1 || !sth_delta_decode(copy, len, back, n - 1, width);
		good &= len < 2 || sth_delta_encode(values, n, width, encoded, len - 1) == 0;
		free(back);
		free(copy);
	}
	ok(good, "arrays of each width come back, and only from all their bytes");
	ok(risen == 1, "what rises slowly takes a byte each");
}

int
main(void)
{
	static const uint8_t wide[] = {0x80, 0x80, 0x04};	/* zigzag of 32768 */
	uint8_t		back[8];

	seed_rng();
	test_round_trips();
	ok(!sth_delta_decode(wide, sizeof(wide), back, 1, 2) &&
	   sth_delta_decode(wide, sizeof(wide), back, 1, 4),
	   "a value that does not fit its width is damage");
	return done_testing();
}
