/* CRC-32C: the values that others publish, by either way of computing it. */
#include "codec/crc32c.h"

#include <string.h>

#include "sample.h"
#include "tap.h"

typedef uint32_t (*Crc) (uint32_t crc, const void *data, size_t len);

static void
test_published(Crc crc, const char *which)
{
	uint8_t		bytes[32];

	ok(crc(0, "", 0) == 0, "%s: nothing", which);
	ok(crc(0, "123456789", 9) == 0xE3069283, "%s: the check value", which);
	/* RFC 3720, B.4 */
	memset(bytes, 0, 32);
	ok(crc(0, bytes, 32) == 0x8A9136AA, "%s: 32 bytes of zeroes", which);
	memset(bytes, 0xff, 32);
	ok(crc(0, bytes, 32) == 0x62A8AB43, "%s: 32 bytes of ones", which);
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t) i;
	ok(crc(0, bytes, 32) == 0x46DD794E, "%s: 32 rising bytes", which);
	ok(crc(crc(0, bytes, 13), bytes + 13, 19) == 0x46DD794E,
	   "%s: in two parts", which);
}

int
main(void)
{
	static uint8_t bytes[10000];
	int			same = 1;

	seed_rng();
	test_published(sth_crc32c, "as built");
	test_published(sth_crc32c_portable, "portable");
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t) any(256);
	for (int i = 0; i < 20000; i++)
	{
		size_t		from = any(17);
		size_t		len = any(any(2) ? 40 : 9900);
		uint32_t	start = any(UINT32_MAX);

		same &= sth_crc32c(start, bytes + from, len) ==
			sth_crc32c_portable(start, bytes + from, len);
	}
	ok(same, "both agree on whatever lies wherever");
	return done_testing();
}
