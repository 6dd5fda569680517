/*-------------------------------------------------------------------------
 *
 * bench.h
 *	  What all clients of the benchmarks share: records, the clock, samples.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_H
#define BENCH_H

#define KEY_LENGTH 16
#define VALUE_LENGTH 100
#define Max(a, b) ((a) > (b) ? (a) : (b))
#define Min(a, b) ((a) < (b) ? (a) : (b))

/* Times of which percentiles are wanted, in milliseconds. */
typedef struct Sample
{
	float	   *ms;
	long		n;
	long		max;
} Sample;

extern void fail(const char *what, const char *why) __attribute__((noreturn));
extern void *allocate(size_t size);

extern void open_records(const char *path);
extern long count_records(void);
extern const char *record_key(long i);
extern const char *record_value(long i);

extern double now(void);
extern void sleep_until(double time);

extern void note(Sample *sample, double seconds);
extern void sort_sample(Sample *sample);
extern double percentile(const Sample *sample, double p);

#endif							/* BENCH_H */
