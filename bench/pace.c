/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  Records sent at a steady rate, and how long each was under way.
 *
 * Record i is due at start + i / rate, and is sent by producer i modulo
 * their number: at that time, or when the producer has the answer to its last
 * one.  The schedule does not wait for a slow system (an "open loop"), and a
 * record's way begins when it was due.  That time stands in the value, in the
 * place of the time that genrec has put there.
 *
 * One thread sends for all producers, another consumes, so that what the one
 * does is not in the other's times.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#include "pace.h"

#define WARM_SECONDS 0.5		/* not measured */
#define GIVE_UP_SECONDS 2.0		/* after the last answer */
#define STAMP_AT 6				/* {"ts":1234567890123456789, */
#define STAMP_DIGITS 19
#define STAMP_BASE UINT64_C(1000000000000000000)

static double
due(const Pace *pace, long record)
{
	return pace->start + record / pace->rate;
}

static void
stamp(char *value, double time)
{
	char		digits[32];

	snprintf(digits, sizeof(digits), "%llu",
			 (unsigned long long) (STAMP_BASE + (uint64_t) (time * 1e9)));
	memcpy(value + STAMP_AT, digits, STAMP_DIGITS);
}

/* Which record has this value? */
static long
stamped_record(const Pace *pace, const char *value)
{
	double		time = (strtoull(value + STAMP_AT, NULL, 10) - STAMP_BASE) / 1e9;
	long		record = (long) ((time - pace->start) * pace->rate + 0.5);

	if (record < 0 || record >= pace->count)
		fail("received", "a record of another time");
	return record;
}

/* Called by the consumer for each row. */
void
pace_received(Pace *pace, const char *value, double time)
{
	long		record = stamped_record(pace, value);

	if (pace->arrived[record] > 0)
		pace->twice++;
	else
	{
		pace->arrived[record] = time;
		pace->received++;
	}
}

/* All received, or the rest will not come. */
bool
pace_is_over(Pace *pace)
{
	double		sent_all = pace->sent_all;

	return pace->received == pace->count ||
		(sent_all > 0 && now() > sent_all + GIVE_UP_SECONDS);
}

static void *
consume_all(void *arg)
{
	Pace	   *pace = arg;

	prctl(PR_SET_TIMERSLACK, 1);
	pace->consume(pace);
	return NULL;
}

static void
send_one(Pace *pace, Producer *producer)
{
	char		value[VALUE_LENGTH];

	memcpy(value, record_value(producer->record), VALUE_LENGTH);
	stamp(value, due(pace, producer->record));
	producer->busy = true;
	pace->sent[producer->record] = now();
	pace->send(producer, record_key(producer->record), value);
}

static void
take_answer(Pace *pace, Producer *producer)
{
	if (!pace->receive(producer))
		return;
	pace->answered[producer->record] = now();
	producer->record += pace->nproducers;
	producer->busy = false;
}

/*
 * Sends what is due; returns when the next one is, 0 if none waits for its
 * time.
 */
static double
send_due(Pace *pace)
{
	double		next = 0;

	for (int i = 0; i < pace->nproducers; i++)
	{
		Producer   *producer = &pace->producers[i];
		double		at = due(pace, producer->record);

		if (producer->busy || producer->record >= pace->count)
			continue;
		if (at <= now())
			send_one(pace, producer);
		else if (next == 0 || at < next)
			next = at;
	}
	return next;
}

static void
send_all(Pace *pace)
{
	int			poll = epoll_create1(0);

	prctl(PR_SET_TIMERSLACK, 1);
	for (int i = 0; i < pace->nproducers; i++)
	{
		Producer   *producer = &pace->producers[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = producer};

		producer->record = i;
		if (epoll_ctl(poll, EPOLL_CTL_ADD, producer->fd, &event) != 0)
			fail("epoll", strerror(errno));
	}
	for (;;)
	{
		struct epoll_event events[64];
		double		next = send_due(pace);
		double		wait = Max(next - now(), 0);
		struct timespec timeout = {(time_t) wait, (long) ((wait - (time_t) wait) * 1e9)};
		bool		busy = false;
		int			n;

		for (int i = 0; i < pace->nproducers; i++)
			busy |= pace->producers[i].busy;
		if (!busy && next == 0)
			break;
		n = epoll_pwait2(poll, events, 64, next == 0 ? NULL : &timeout, NULL);
		if (n < 0 && errno != EINTR)
			fail("epoll", strerror(errno));
		for (int i = 0; i < n; i++)
			take_answer(pace, events[i].data.ptr);
	}
	pace->sent_all = now();
}

static void
print_percentiles(Sample *sample)
{
	sort_sample(sample);
	printf(" %.4f %.4f", percentile(sample, 0.5), percentile(sample, 0.99));
}

/*
 * Prints a line: records sent, received, received twice; then percentiles 50
 * and 99, in ms, of the times from when a record was due to when it was
 * received, from when it was sent to the answer, and from the answer to when
 * it was received, which may have been before.
 */
static void
report(const Pace *pace)
{
	Sample		arrivals = {0};
	Sample		answers = {0};
	Sample		differences = {0};

	for (long i = (long) (pace->rate * WARM_SECONDS); i < pace->count; i++)
	{
		note(&answers, pace->answered[i] - pace->sent[i]);
		if (pace->arrived[i] == 0)
			continue;
		note(&arrivals, pace->arrived[i] - due(pace, i));
		note(&differences, pace->arrived[i] - pace->answered[i]);
	}
	printf("%ld %ld %ld", pace->count, pace->received, pace->twice);
	print_percentiles(&arrivals);
	print_percentiles(&answers);
	print_percentiles(&differences);
	putchar('\n');
}

void
pace_run(Pace *pace)
{
	pthread_t	consumer;

	pace->count = (long) (pace->rate * (pace->seconds + WARM_SECONDS));
	pace->sent = allocate(pace->count * sizeof(double));
	pace->answered = allocate(pace->count * sizeof(double));
	pace->arrived = allocate(pace->count * sizeof(double));
	pace->start = now() + 0.1;
	if (pthread_create(&consumer, NULL, consume_all, pace) != 0)
		fail("thread", strerror(errno));
	send_all(pace);
	pthread_join(consumer, NULL);
	report(pace);
}
