/* Keys go where Kafka's default partitioner sends them. */
#include "codec/murmur2.h"

#include <string.h>

#include "tap.h"

/* From Kafka's own UtilsTest.testMurmur2. */
static const struct
{
	const char *key;
	int32_t		hash;
}			vectors[] = {
	{"21", -973932308},
	{"foobar", -790332482},
	{"a-little-bit-long-string", -985981536},
	{"a-little-bit-longer-string", -1486304829},
	{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
	{"abc", 479470107},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
	{
		const char *key = vectors[i].key;
		int32_t		hash = (int32_t) sth_murmur2(key, strlen(key));

		ok(hash == vectors[i].hash, "murmur2 of \"%s\" is %d", key, hash);
		ok(sth_murmur2_partition(key, strlen(key), 7) ==
		   (vectors[i].hash & 0x7fffffff) % 7,
		   "partition of \"%s\" ignores the sign", key);
	}
	ok(sth_murmur2("", 0) == sth_murmur2("x", 0), "an empty key has a hash");
	return done_testing();
}
