/*-------------------------------------------------------------------------
 *
 * bench.c
 *	  What all clients of the benchmarks share: records, the clock, samples.
 *
 * Records are what genrec has written for values of 100 bytes; when they are
 * used up they come again from the first.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "bench.h"

static const char *records;
static long nrecords;

void
fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
	exit(1);
}

/* Zeroed. */
void *
allocate(size_t size)
{
	void	   *p = calloc(1, size);

	if (p == NULL)
		fail("memory", strerror(errno));
	return p;
}

void
open_records(const char *path)
{
	int			fd = open(path, O_RDONLY);
	struct stat st;
	void	   *map;

	if (fd < 0 || fstat(fd, &st) != 0)
		fail(path, strerror(errno));
	map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		fail(path, strerror(errno));
	records = map;
	nrecords = st.st_size / (KEY_LENGTH + VALUE_LENGTH);
	if (nrecords == 0)
		fail(path, "no records");
}

long
count_records(void)
{
	return nrecords;
}

const char *
record_key(long i)
{
	return records + i % nrecords * (KEY_LENGTH + VALUE_LENGTH);
}

const char *
record_value(long i)
{
	return record_key(i) + KEY_LENGTH;
}

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void
sleep_until(double time)
{
	struct timespec t;

	t.tv_sec = (time_t) time;
	t.tv_nsec = (long) ((time - t.tv_sec) * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

void
note(Sample *sample, double seconds)
{
	if (sample->n == sample->max)
	{
		sample->max = Max(sample->max * 2, 65536);
		sample->ms = realloc(sample->ms, sample->max * sizeof(float));
		if (sample->ms == NULL)
			fail("memory", strerror(errno));
	}
	sample->ms[sample->n++] = (float) (seconds * 1000);
}

static int
compare_floats(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return x < y ? -1 : x > y;
}

void
sort_sample(Sample *sample)
{
	if (sample->n > 0)
		qsort(sample->ms, sample->n, sizeof(float), compare_floats);
}

/* Of a sorted sample; 0 of an empty one. */
double
percentile(const Sample *sample, double p)
{
	return sample->n == 0 ? 0 : sample->ms[(long) (p * (sample->n - 1) + 0.5)];
}
