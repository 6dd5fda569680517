/*-------------------------------------------------------------------------
 *
 * murmur2.c
 *	  The hash by which Kafka's clients spread keys over partitions.
 *
 * MurmurHash2, 32 bit, with the seed that Kafka's default partitioner uses,
 * so that a key lands in the same partition whoever produces it.
 *
 *-------------------------------------------------------------------------
 */
#include "codec/murmur2.h"

#include <string.h>

#define SEED	0x9747b28cU
#define M		0x5bd1e995U
#define R		24

/* The hash of a key of any length; the same bits as Kafka's signed result. */
uint32_t
sth_murmur2(const void *key, size_t len)
{
	const uint8_t *p = key;
	uint32_t	h = SEED ^ (uint32_t) len;

	for (; len >= 4; p += 4, len -= 4)
	{
		uint32_t	k;

		memcpy(&k, p, 4);
		k *= M;
		k ^= k >> R;
		k *= M;
		h *= M;
		h ^= k;
	}
	if (len >= 3)
		h ^= (uint32_t) p[2] << 16;
	if (len >= 2)
		h ^= (uint32_t) p[1] << 8;
	if (len >= 1)
	{
		h ^= p[0];
		h *= M;
	}
	h ^= h >> 13;
	h *= M;
	h ^= h >> 15;
	return h;
}

/* Kafka clears the sign bit before it takes the remainder. */
int
sth_murmur2_partition(const void *key, size_t len, int partitions)
{
	return (int) ((sth_murmur2(key, len) & 0x7fffffffU) % (uint32_t) partitions);
}
