/*-------------------------------------------------------------------------
 *
 * genrec.c
 *	  Records for all benchmarks: a key of 16 bytes and a JSON value.
 *
 *	genrec FILE VALUE_LENGTH COUNT
 *
 * writes COUNT records of 16 + VALUE_LENGTH bytes, with nothing between them.
 * The same arguments give the same file everywhere and for ever, so that
 * numbers of different days and of different systems compare: the random
 * numbers are MT19937 seeded with 42, drawn as Python 3's random module does.
 *
 * Keys are of 200,000 users, drawn evenly.  Times rise by 0.2 to 2 ms.  A value
 * ends in base64 of random bits, which compresses by a quarter at best; a long
 * one has a list of items before that.
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LENGTH 16
#define SEED 42
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char *const events[] = {
	"page_view", "add_cart", "checkout", "login", "logout", "search"
};

static const char *const words[] = {
	"order", "status", "shipped", "customer", "warehouse", "priority",
	"region", "eu-west", "us-east", "invoice", "payment", "item", "quantity",
	"discount", "carrier", "tracking"
};

/* --- random numbers ------------------------------------------------------- */

#define MT_N 624
#define MT_M 397

static uint32_t mt[MT_N];
static int	mt_index = MT_N;

/* init_by_array() of MT19937 with the seed as an array of one. */
static void
seed_random(uint32_t seed)
{
	int			i = 1;

	mt[0] = 19650218U;
	for (int j = 1; j < MT_N; j++)
		mt[j] = 1812433253U * (mt[j - 1] ^ (mt[j - 1] >> 30)) + j;
	for (int k = 0; k < MT_N; k++)
	{
		mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1664525U)) + seed;
		if (++i == MT_N)
		{
			mt[0] = mt[MT_N - 1];
			i = 1;
		}
	}
	for (int k = 0; k < MT_N - 1; k++)
	{
		mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1566083941U)) - i;
		if (++i == MT_N)
		{
			mt[0] = mt[MT_N - 1];
			i = 1;
		}
	}
	mt[0] = 0x80000000U;
}

static void
refill_random(void)
{
	for (int i = 0; i < MT_N; i++)
	{
		uint32_t	y = (mt[i] & 0x80000000U) | (mt[(i + 1) % MT_N] & 0x7fffffffU);

		mt[i] = mt[(i + MT_M) % MT_N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfU : 0);
	}
	mt_index = 0;
}

static uint32_t
random32(void)
{
	uint32_t	y;

	if (mt_index == MT_N)
		refill_random();
	y = mt[mt_index++];
	y ^= y >> 11;
	y ^= (y << 7) & 0x9d2c5680U;
	y ^= (y << 15) & 0xefc60000U;
	return y ^ (y >> 18);
}

/* randrange(n) for n < 2^32: as few bits as hold n, again until one is below. */
static uint32_t
random_below(uint32_t n)
{
	int			bits = 32 - __builtin_clz(n);
	uint32_t	r;

	do
		r = random32() >> (32 - bits);
	while (r >= n);
	return r;
}

/* b64encode(getrandbits(8 * n).to_bytes(n, "big")); n is a multiple of 3. */
static void
random_base64(char *out, int n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t		bytes[128];
	int			left = n * 8;

	/* the low words come first, the last is cut to what it has to give */
	for (int end = n; end > 0; end -= 4, left -= 32)
	{
		uint32_t	word = random32();

		if (left < 32)
			word >>= 32 - left;
		for (int i = end - 1; i >= 0 && i >= end - 4; i--, word >>= 8)
			bytes[i] = (uint8_t) word;
	}
	for (int i = 0; i < n; i += 3)
	{
		uint32_t	v = bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2];

		for (int shift = 18; shift >= 0; shift -= 6)
			*out++ = digits[v >> shift & 63];
	}
	*out = '\0';
}

/* --- records -------------------------------------------------------------- */

static int
begin_value(char *value, uint64_t time, const char *rest)
{
	const char *event = events[random_below(LENGTH(events))];

	return sprintf(value, "{\"ts\":%llu,\"ev\":\"%s\",\"u\":%u,%s",
				   (unsigned long long) time, event, random_below(200000), rest);
}

/* Fills up to 'length' with random base64 digits and ends the object. */
static void
end_value(char *value, int at, int length, int random_bytes)
{
	char		digits[256];

	random_base64(digits, random_bytes);
	at += sprintf(value + at, "%.*s\"}", length - at - 2, digits);
	if (at != length)
	{
		fprintf(stderr, "genrec: no value of %d bytes can be made\n", length);
		exit(1);
	}
}

static void
make_short_value(char *value, int length, uint64_t time)
{
	end_value(value, begin_value(value, time, "\"p\":\""), length, 75);
}

static void
make_long_value(char *value, int length, uint64_t time)
{
	int			at = begin_value(value, time, "\"items\":[");

	for (;;)
	{
		char		item[256];
		char		sku[16];
		char		hash[32];
		int			len;
		uint32_t	quantity;
		uint32_t	price;
		uint32_t	cents;
		const char *word;

		random_base64(sku, 9);
		quantity = random_below(20);
		price = random_below(500);
		cents = random_below(100);
		word = words[random_below(LENGTH(words))];
		random_base64(hash, 18);
		len = sprintf(item,
					  "{\"sku\":\"%s\",\"qty\":%u,\"price\":%u.%02u,\"tag\":\"%s\",\"h\":\"%s\"},",
					  sku, quantity, price, cents, word, hash);
		if (at + len > length - 40)
			break;
		memcpy(value + at, item, len);
		at += len;
	}
	at += sprintf(value + at - 1, "],\"p\":\"") - 1;
	end_value(value, at, length, 120);
}

int
main(int argc, char **argv)
{
	int			length = argc == 4 ? atoi(argv[2]) : 0;
	long		count = argc == 4 ? atol(argv[3]) : 0;
	uint64_t	time = UINT64_C(1790000000000000000);
	char	   *record;
	FILE	   *file;

	if (length < 64 || count <= 0)
	{
		fputs("usage: genrec FILE VALUE_LENGTH COUNT\n", stderr);
		return 2;
	}
	file = fopen(argv[1], "wb");
	record = malloc(KEY_LENGTH + length + 512);
	if (file == NULL || record == NULL)
	{
		perror(argv[1]);
		return 1;
	}
	seed_random(SEED);
	for (long i = 0; i < count; i++)
	{
		time += 200000 + random_below(1800000);
		sprintf(record, "user-%011u", random_below(200000));
		if (length < 300)
			make_short_value(record + KEY_LENGTH, length, time);
		else
			make_long_value(record + KEY_LENGTH, length, time);
		fwrite(record, KEY_LENGTH + length, 1, file);
	}
	if (ferror(file) || fclose(file) != 0)
	{
		perror(argv[1]);
		return 1;
	}
	return 0;
}
