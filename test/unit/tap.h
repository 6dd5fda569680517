/* Minimal TAP output for the unit tests. */
#ifndef TAP_H
#define TAP_H

#include <stdio.h>

static int	tap_count = 0;
static int	tap_failed = 0;

#define ok(condition, ...) \
	do { \
		int			tap_ok = (condition) ? 1 : 0; \
		tap_failed += !tap_ok; \
		printf("%sok %d - ", tap_ok ? "" : "not ", ++tap_count); \
		printf(__VA_ARGS__); \
		printf("\n"); \
	} while (0)

static inline int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

#endif							/* TAP_H */
