/*
 * What the harnesses share.  Each defines LLVMFuzzerTestOneInput, as libFuzzer
 * wants it; driver.c calls that without libFuzzer.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "../unit/vector.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Memory enough for what is sound, but not for what is only claimed. */
#define FUZZ_MEMORY (64 * 1024 * 1024)

static inline void *
fuzz_allocate(void *context, size_t size)
{
	return size > FUZZ_MEMORY ? NULL : malloc(size);
}

static inline void
fuzz_release(void *context, void *memory)
{
	free(memory);
}

static const SthMemory fuzz_memory = {fuzz_allocate, fuzz_release, NULL};

/* Looks at every byte, so that a sanitizer sees those that are not there. */
static inline void
touch(const void *data, size_t len)
{
	static volatile uint8_t sum;
	const uint8_t *p = data;

	while (len-- > 0)
		sum += *p++;
}

static inline void
touch_value(const SthLayout *layout, uintptr_t value)
{
	const uint8_t *p = (const uint8_t *) value;

	if (layout->len == -1)
		touch(p, *p & 1 ? *p >> 1 : sth_varlena_long_size(p));
	else if (!layout->byval)
		touch(p, (size_t) layout->len);
}

/* A copy in memory of its own size; aligned. */
static inline uint8_t *
copy_of(const uint8_t *data, size_t size)
{
	uint8_t    *copy = malloc(size > 0 ? size : 1);

	memcpy(copy, data, size);
	return copy;
}

#endif							/* FUZZ_H */
