/*
 * Runs a harness without libFuzzer:
 *
 *	harness_fuzz CRASH RUNS FILE...
 *
 * First each file as it is, then RUNS mutations of files, the same ones each
 * time (or others, if STH_SEED is set).  An input on which a sanitizer stops
 * the program is left in CRASH.
 */
#include <sanitizer/common_interface_defs.h>

#include "../unit/sample.h"
#include "fuzz.h"

#define MAX_INPUT 65536

static uint8_t input[MAX_INPUT];
static size_t input_len;
static const char *crash;

static void
keep_input(void)
{
	FILE	   *file = fopen(crash, "wb");

	if (file == NULL)
		return;
	fwrite(input, 1, input_len, file);
	fclose(file);
	fprintf(stderr, "the input is in %s\n", crash);
}

static void
load(const char *path)
{
	FILE	   *file = fopen(path, "rb");

	if (file == NULL)
	{
		perror(path);
		exit(1);
	}
	input_len = fread(input, 1, MAX_INPUT, file);
	fclose(file);
}

/* Flips, sets, cuts out, doubles, or puts a number that means trouble. */
static void
mutate(void)
{
	static const uint32_t numbers[] = {
		0, 1, 7, 8, 127, 128, 255, 0x7fff, 0x8000, 0xffff, 0x3fffffff,
		0x7fffffff, 0x80000000, 0xffffffff
	};
	size_t		at = input_len > 0 ? any((uint32_t) input_len) : 0;
	size_t		n = 1 + any(any(2) ? 4 : 64);

	if (n > input_len - at)
		n = input_len - at;
	switch (any(5))
	{
		case 0:
			if (n > 0)
				input[at] ^= (uint8_t) (1 << any(8));
			break;
		case 1:
			if (n > 0)
				input[at] = (uint8_t) any(256);
			break;
		case 2:
			memmove(input + at, input + at + n, input_len - at - n);
			input_len -= n;
			break;
		case 3:
			if (input_len + n > MAX_INPUT)
				break;
			memmove(input + at + n, input + at, input_len - at);
			input_len += n;
			break;
		default:
			n = 1 << any(3);
			if (n <= input_len - at)
				memcpy(input + at, &numbers[any(sizeof(numbers) / 4)], n);
	}
}

int
main(int argc, char **argv)
{
	int			nfiles = argc - 3;
	int			runs;

	if (nfiles < 1)
		return 2;
	crash = argv[1];
	runs = atoi(argv[2]);
	seed_rng();
	__sanitizer_set_death_callback(keep_input);
	for (int i = 0; i < nfiles; i++)
	{
		load(argv[3 + i]);
		LLVMFuzzerTestOneInput(input, input_len);
	}
	for (int i = 0; i < runs; i++)
	{
		load(argv[3 + any((uint32_t) nfiles)]);
		for (uint32_t k = any(6); k > 0; k--)
			mutate();
		LLVMFuzzerTestOneInput(input, input_len);
	}
	printf("%d files, %d mutations\n", nfiles, runs);
	return 0;
}
