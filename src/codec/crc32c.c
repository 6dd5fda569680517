/*-------------------------------------------------------------------------
 *
 * crc32c.c
 *	  CRC-32C (Castagnoli): polynomial 0x1EDC6F41, reflected, with the bits
 *	  inverted before and after, as in iSCSI, ext4 and PostgreSQL's WAL.
 *
 * Checksums continue: sth_crc32c(sth_crc32c(0, a), b) is that of a and b
 * together.  x86-64 has an instruction for it since SSE 4.2, which is looked
 * for at the first call; ARMv8 has one where the compiler was told so.  Else
 * eight bytes at a time by table.
 *
 * The instruction of x86-64 could begin each cycle but answers after three, so
 * that three stretches of the data are worked on at the same time.  A checksum
 * is linear: that of the stretches one after the other is made of theirs by
 * moving each over the length of the next, which a table does.
 *
 * The tables are made at the first use: two threads that make them at the
 * same time write the same values, and the codec's users have one thread.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/crc32c.h"

#include "codec/bytes.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_SSE42_CRC 1
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

/* The polynomial, reflected. */
#define POLYNOMIAL 0x82F63B78U

/* table[k][b]: the checksum of byte b followed by k zero bytes. */
static uint32_t table[8][256];

static void
make_table(void)
{
	for (uint32_t b = 0; b < 256; b++)
	{
		uint32_t	crc = b;

		for (int i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
		table[0][b] = crc;
	}
	for (int k = 1; k < 8; k++)
		for (int b = 0; b < 256; b++)
			table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xff];
}

uint32_t
sth_crc32c_portable(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	if (table[0][1] == 0)
		make_table();
	crc = ~crc;
	for (; len >= 8; len -= 8, p += 8)
	{
		uint64_t	v = sth_get_u64(p) ^ crc;

		crc = table[7][v & 0xff] ^ table[6][v >> 8 & 0xff] ^
			table[5][v >> 16 & 0xff] ^ table[4][v >> 24 & 0xff] ^
			table[3][v >> 32 & 0xff] ^ table[2][v >> 40 & 0xff] ^
			table[1][v >> 48 & 0xff] ^ table[0][v >> 56];
	}
	for (; len > 0; len--, p++)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
	return ~crc;
}

#if defined(HAVE_SSE42_CRC)

/* Bytes of a stretch: few enough for a chunk of some kB to have three. */
#define LANE 512

/* moved[k][b]: what b in byte k of a checksum becomes by LANE zero bytes. */
static uint32_t moved[4][256];

__attribute__((target("sse4.2")))
static void
make_moved(void)
{
	for (int k = 0; k < 4; k++)
		for (int b = 0; b < 256; b++)
		{
			uint64_t	c = (uint32_t) b << 8 * k;

			for (int i = 0; i < LANE && (b & (b - 1)) == 0; i += 8)
				c = _mm_crc32_u64(c, 0);
			/* of more bits than one: what they become together */
			if ((b & (b - 1)) != 0)
				c = moved[k][b & -b] ^ moved[k][b & (b - 1)];
			moved[k][b] = (uint32_t) c;
		}
}

static inline uint32_t
move_over_lane(uint64_t crc)
{
	return moved[0][crc & 0xff] ^ moved[1][crc >> 8 & 0xff] ^
		moved[2][crc >> 16 & 0xff] ^ moved[3][crc >> 24 & 0xff];
}

__attribute__((target("sse4.2")))
static uint32_t
crc32c_sse42(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t	c = (uint32_t) ~crc;

	if (len >= 3 * LANE && moved[0][1] == 0)
		make_moved();
	for (; len >= 3 * LANE; len -= 3 * LANE, p += 3 * LANE)
	{
		uint64_t	c1 = 0;
		uint64_t	c2 = 0;

		for (int i = 0; i < LANE; i += 8)
		{
			c = _mm_crc32_u64(c, sth_get_u64(p + i));
			c1 = _mm_crc32_u64(c1, sth_get_u64(p + LANE + i));
			c2 = _mm_crc32_u64(c2, sth_get_u64(p + 2 * LANE + i));
		}
		c = move_over_lane(move_over_lane(c) ^ c1) ^ c2;
	}
	for (; len >= 8; len -= 8, p += 8)
		c = _mm_crc32_u64(c, sth_get_u64(p));
	for (; len > 0; len--, p++)
		c = _mm_crc32_u8((uint32_t) c, *p);
	return ~(uint32_t) c;
}

uint32_t
sth_crc32c(uint32_t crc, const void *data, size_t len)
{
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, data, len);
	return sth_crc32c_portable(crc, data, len);
}

#elif defined(__ARM_FEATURE_CRC32)
uint32_t
sth_crc32c(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	crc = ~crc;
	for (; len >= 8; len -= 8, p += 8)
		crc = __crc32cd(crc, sth_get_u64(p));
	for (; len > 0; len--, p++)
		crc = __crc32cb(crc, *p);
	return ~crc;
}

#else
uint32_t
sth_crc32c(uint32_t crc, const void *data, size_t len)
{
	return sth_crc32c_portable(crc, data, len);
}
#endif
