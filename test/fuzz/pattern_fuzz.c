/*
 * Texts by patterns: how many there are, how long they are together, both in
 * two bytes, and the streams.
 */
#include "codec/pattern.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static SthDecompressor decompressor;
	SthBuffer	streams = {0};
	uint32_t	nvalues;
	size_t		len;
	uint8_t    *stored;
	uint8_t    *values;

	if (size < 4)
		return 0;
	nvalues = sth_get_u16(data);
	len = sth_get_u16(data + 2);
	size -= 4;
	stored = copy_of(data + 4, size);
	values = malloc(len + STH_PATTERN_SLACK);
	if (sth_pattern_decode(stored, size, nvalues, 4, STH_COMPRESSION_ZSTD, &decompressor,
						   &fuzz_memory, &streams, values, len) == STH_PATTERN_OK)
		touch(values, len);
	sth_buffer_free(&fuzz_memory, &streams);
	free(values);
	free(stored);
	return 0;
}
