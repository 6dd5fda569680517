/*-------------------------------------------------------------------------
 *
 * consumer.c
 *	  The client that consumes, in transactions: by poll() of a topic, by
 *	  position from a table, or by PgQ's batches.
 *
 *	consumer rate ROWS [DATABASE SELECT ADVANCE]...
 *			One consumer for each of these, until it has so many rows.  They
 *			take turns of 50 transactions.
 *			Prints a line for each: rows, seconds, milliseconds per transaction
 *			at the 50th and 99th percentile.
 *	consumer group ROWS CONSUMERS STATEMENTS
 *			So many consumers, a thread and a connection each, until they have
 *			so many rows together.  The first two of the four columns of SELECT
 *			are a partition and an offset.
 *			Prints rows, rows got twice, seconds, milliseconds per transaction
 *			at the 50th and 99th percentile, transactions without a row.
 *	consumer decay RECORDS WINDOW WINDOWS PACE PRODUCE STATEMENTS
 *			One connection produces batches of 1,000 as fast as it can, another
 *			consumes, and a third holds the snapshot that it took first, for so
 *			many windows of so many seconds.
 *			Prints a line for each: its number, rows produced, rows consumed,
 *			processor seconds of the producer's backend and the consumer's.
 *	consumer latency RECORDS RATE SECONDS PRODUCERS PRODUCE STATEMENTS
 *			See pace.c.
 *
 * PRODUCE takes keys as $1 and values as $2: arrays for decay, else one.
 * STATEMENTS are SELECT ADVANCE FIND WAIT, of which the last may be left out
 * or empty.  What a consumer does, again and again:
 *
 *		WAIT		if there is one.  "LISTEN channel" is sent once, and then a
 *					notification is waited for when there was no row.
 *		FIND		if there is one, gives a number for the next two; if NULL,
 *					there is nothing, and it begins again after a millisecond
 *		BEGIN
 *		SELECT		rows, the value last, in binary.  $1 if it has ADVANCE is
 *					what FIND gave, or else the first column of the last row
 *					there was
 *		ADVANCE		if there is one, with $1 as above, of these rows now
 *		COMMIT
 *
 * each sent when the answer to the last is there.  Rows count as received
 * when the answer to SELECT is.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pace.h"
#include "pq.h"

#define BATCH 1000
#define TURN 50
#define MAX_PARTITIONS 64
#define PATIENCE 10.0			/* seconds without a row */

/* --- a consumer ----------------------------------------------------------- */

typedef struct Consumer
{
	PGconn	   *conn;
	bool		advances;
	bool		finds;
	bool		listens;
	bool		found_nothing;	/* the last time */
	const char *wait;
	char		position[8];	/* $1, in binary */
} Consumer;

typedef void (*TakeRows) (PGresult *rows, void *arg);

static void
open_consumer(Consumer *consumer, const char *database, int n, char **sql)
{
	const char *advance = n > 1 ? sql[1] : "";
	const char *find = n > 2 ? sql[2] : "";

	memset(consumer, 0, sizeof(*consumer));
	consumer->conn = open_connection(database);
	consumer->advances = advance[0] != '\0';
	consumer->finds = find[0] != '\0';
	consumer->wait = n > 3 && sql[3][0] != '\0' ? sql[3] : NULL;
	prepare(consumer->conn, "select", sql[0], consumer->advances, INT8_OID);
	if (consumer->advances)
		prepare(consumer->conn, "advance", advance, 1, INT8_OID);
	if (consumer->finds)
		prepare(consumer->conn, "find", find, 0, 0);
	if (consumer->wait && strncmp(consumer->wait, "LISTEN ", 7) == 0)
	{
		consumer->listens = true;
		execute(consumer->conn, consumer->wait);
	}
}

/* Executes a prepared statement with the position as $1, or nothing. */
static PGresult *
execute_prepared(Consumer *consumer, const char *name, int nparams)
{
	const char *params[1] = {consumer->position};
	const int	lengths[1] = {sizeof(consumer->position)};
	const int	formats[1] = {1};
	PGresult   *result;

	result = PQexecPrepared(consumer->conn, name, nparams, params, lengths, formats, 1);
	if (PQresultStatus(result) != PGRES_TUPLES_OK &&
		PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("query failed", PQerrorMessage(consumer->conn));
	return result;
}

/* Until there is a notification, or a tenth of a second has passed. */
static void
wait_for_notification(PGconn *conn)
{
	struct pollfd fd = {PQsocket(conn), POLLIN, 0};
	PGnotify   *notification;

	PQconsumeInput(conn);
	notification = PQnotifies(conn);
	if (notification == NULL)
	{
		poll(&fd, 1, 100);
		PQconsumeInput(conn);
		notification = PQnotifies(conn);
	}
	for (; notification != NULL; notification = PQnotifies(conn))
		PQfreemem(notification);
}

static void
wait_for_rows(Consumer *consumer)
{
	if (consumer->listens && consumer->found_nothing)
		wait_for_notification(consumer->conn);
	else if (consumer->wait && !consumer->listens)
		execute(consumer->conn, consumer->wait);
}

static bool
find(Consumer *consumer)
{
	PGresult   *result = execute_prepared(consumer, "find", 0);
	bool		found = !PQgetisnull(result, 0, 0);

	if (found)
		memcpy(consumer->position, PQgetvalue(result, 0, 0), sizeof(consumer->position));
	else
		sleep_until(now() + 0.001);
	PQclear(result);
	return found;
}

/* One transaction, all but WAIT; returns the number of rows. */
static long
consume(Consumer *consumer, TakeRows take, void *arg)
{
	PGresult   *rows;
	long		n;

	if (consumer->finds && !find(consumer))
		return 0;
	execute(consumer->conn, "BEGIN");
	rows = execute_prepared(consumer, "select", consumer->advances);
	n = PQntuples(rows);
	if (n > 0)
		take(rows, arg);
	if (n > 0 && consumer->advances && !consumer->finds)
		memcpy(consumer->position, PQgetvalue(rows, n - 1, 0), sizeof(consumer->position));
	if (consumer->advances && (n > 0 || consumer->finds))
		PQclear(execute_prepared(consumer, "advance", 1));
	PQclear(rows);
	execute(consumer->conn, "COMMIT");
	consumer->found_nothing = n == 0;
	return n;
}

/* --- how fast ------------------------------------------------------------- */

static void
take_nothing(PGresult *rows, void *arg)
{
	(void) rows;
	(void) arg;
}

typedef struct Reader
{
	Consumer	consumer;
	long		rows;
	double		seconds;
	Sample		transactions;
} Reader;

/* Returns whether there is more to be read. */
static bool
take_turn(Reader *reader, long wanted)
{
	double		began = now();
	double		last = began;

	for (int i = 0; i < TURN && reader->rows < wanted; i++)
	{
		long		n = consume(&reader->consumer, take_nothing, NULL);
		double		time = now();

		if (n == 0)
			fail("rate", "there are less rows than there should be");
		reader->rows += n;
		note(&reader->transactions, time - last);
		last = time;
	}
	reader->seconds += last - began;
	return reader->rows < wanted;
}

/* Every second time from the last to the first, so that none is favoured. */
static void
run_rate(long wanted, int n, char **arguments)
{
	Reader	   *readers = allocate(n * sizeof(Reader));
	bool		more = true;

	for (int i = 0; i < n; i++)
		open_consumer(&readers[i].consumer, arguments[3 * i], 2, arguments + 3 * i + 1);
	for (int turn = 0; more; turn++)
	{
		more = false;
		for (int i = 0; i < n; i++)
			more |= take_turn(&readers[turn % 2 == 0 ? i : n - 1 - i], wanted);
	}
	for (int i = 0; i < n; i++)
	{
		Reader	   *reader = &readers[i];

		/* there is nothing more */
		reader->rows += consume(&reader->consumer, take_nothing, NULL);
		sort_sample(&reader->transactions);
		printf("%ld %.4f %.4f %.4f\n", reader->rows, reader->seconds,
			   percentile(&reader->transactions, 0.5), percentile(&reader->transactions, 0.99));
		PQfinish(reader->consumer.conn);
	}
}

/* --- how fast together ---------------------------------------------------- */

typedef struct Group
{
	long		wanted;
	_Atomic long rows;
	_Atomic long twice;
	unsigned char *seen[MAX_PARTITIONS];	/* a bit for each offset */
	pthread_barrier_t begin;
} Group;

typedef struct Member
{
	Group	   *group;
	Consumer	consumer;
	pthread_t	thread;
	Sample		transactions;
	long		empty;
	double		began;
	double		last_commit;	/* with rows */
} Member;

static void
take_and_look(PGresult *rows, void *arg)
{
	Group	   *group = arg;
	int			n = PQntuples(rows);

	if (PQnfields(rows) != 4)
		fail("group", "SELECT must return partition, offset, key and value");
	for (int i = 0; i < n; i++)
	{
		uint32_t	partition;
		uint64_t	offset;
		unsigned char bit;

		memcpy(&partition, PQgetvalue(rows, i, 0), sizeof(partition));
		memcpy(&offset, PQgetvalue(rows, i, 1), sizeof(offset));
		partition = ntohl(partition);
		offset = be64toh(offset);
		if (partition >= MAX_PARTITIONS || offset >= (uint64_t) group->wanted)
			fail("received", "an offset that cannot be");
		bit = 1 << offset % 8;
		if (__atomic_fetch_or(&group->seen[partition][offset / 8], bit, __ATOMIC_RELAXED) & bit)
			group->twice++;
	}
}

static void *
consume_at_full_speed(void *arg)
{
	Member	   *me = arg;
	Group	   *group = me->group;

	pthread_barrier_wait(&group->begin);
	me->began = me->last_commit = now();
	while (group->rows < group->wanted)
	{
		double		began = now();
		long		n = consume(&me->consumer, take_and_look, group);

		if (n > 0)
		{
			group->rows += n;
			me->last_commit = now();
			note(&me->transactions, me->last_commit - began);
		}
		else
		{
			me->empty++;
			if (now() > me->last_commit + PATIENCE)
				break;
		}
	}
	return NULL;
}

static void
run_group(long wanted, int nconsumers, int nsql, char **sql)
{
	Group		group = {.wanted = wanted};
	Member	   *members = allocate(nconsumers * sizeof(Member));
	Sample		all = {0};
	double		began = 0;
	double		ended = 0;
	long		empty = 0;

	for (int i = 0; i < MAX_PARTITIONS; i++)
		group.seen[i] = allocate(wanted / 8 + 1);
	pthread_barrier_init(&group.begin, NULL, nconsumers);
	for (int i = 0; i < nconsumers; i++)
	{
		members[i].group = &group;
		open_consumer(&members[i].consumer, NULL, nsql, sql);
	}
	for (int i = 0; i < nconsumers; i++)
		if (pthread_create(&members[i].thread, NULL, consume_at_full_speed, &members[i]) != 0)
			fail("thread", strerror(errno));
	for (int i = 0; i < nconsumers; i++)
	{
		Member	   *member = &members[i];

		pthread_join(member->thread, NULL);
		began = i == 0 ? member->began : Min(began, member->began);
		ended = Max(ended, member->last_commit);
		empty += member->empty;
		for (long j = 0; j < member->transactions.n; j++)
			note(&all, member->transactions.ms[j] / 1000);
	}
	/* there is nothing more */
	group.rows += consume(&members[0].consumer, take_and_look, &group);
	sort_sample(&all);
	printf("%ld %ld %.4f %.4f %.4f %ld\n", group.rows, group.twice, ended - began,
		   percentile(&all, 0.5), percentile(&all, 0.99), empty);
}

/* --- whether it stays that fast ------------------------------------------- */

/* Since the beginning. */
typedef struct Counters
{
	long		produced;
	long		consumed;
	double		producer_cpu;	/* seconds, of the backends */
	double		consumer_cpu;
} Counters;

typedef struct Decay
{
	PGconn	   *producer;
	Consumer	consumer;
	double		pace;			/* rows per second at most; 0: no limit */
	_Atomic bool time_is_over;
	_Atomic bool produced_all;
	_Atomic long produced;
	_Atomic long consumed;
} Decay;

static void *
produce_all_the_time(void *arg)
{
	Decay	   *decay = arg;
	Batch		batch;
	double		began = now();

	open_batch(&batch, BATCH);
	for (long i = 0; !decay->time_is_over; i += BATCH)
	{
		fill_batch(&batch, i, BATCH);
		execute_batch(decay->producer, &batch);
		decay->produced += BATCH;
		if (decay->pace > 0)
			sleep_until(began + (i + BATCH) / decay->pace);
	}
	decay->produced_all = true;
	return NULL;
}

/* All that is produced. */
static void *
consume_what_comes(void *arg)
{
	Decay	   *decay = arg;
	double		last = now();

	while (!decay->produced_all || decay->consumed < decay->produced)
	{
		long		n;

		wait_for_rows(&decay->consumer);
		n = consume(&decay->consumer, take_nothing, NULL);
		decay->consumed += n;
		if (n > 0)
			last = now();
		else if (now() > last + PATIENCE)
			break;
	}
	return NULL;
}

/* What the backend of a connection has used; it is on this machine. */
static double
backend_cpu(PGconn *conn)
{
	char		path[64];
	char		stat[1024];
	unsigned long user;
	unsigned long kernel;
	FILE	   *file;
	char	   *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", PQbackendPID(conn));
	file = fopen(path, "r");
	if (file == NULL || fgets(stat, sizeof(stat), file) == NULL)
		fail(path, strerror(errno));
	fclose(file);
	p = strrchr(stat, ')');		/* the name may have anything in it */
	if (p == NULL ||
		sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
		fail(path, "not understood");
	return (user + kernel) / (double) sysconf(_SC_CLK_TCK);
}

static void
count(Decay *decay, Counters *counters)
{
	counters->produced = decay->produced;
	counters->consumed = decay->consumed;
	counters->producer_cpu = backend_cpu(decay->producer);
	counters->consumer_cpu = backend_cpu(decay->consumer.conn);
}

static void
run_decay(double window, int nwindows, double pace, const char *produce,
		  int nsql, char **sql)
{
	Decay		decay = {0};
	Counters   *counters = allocate((nwindows + 1) * sizeof(Counters));
	PGconn	   *holder = open_connection(NULL);
	pthread_t	producer;
	pthread_t	consumer;
	double		began;

	decay.pace = pace;
	decay.producer = open_connection(NULL);
	prepare(decay.producer, "s", produce, 2, TEXT_ARRAY_OID);
	open_consumer(&decay.consumer, NULL, nsql, sql);
	execute(holder, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	execute(holder, "SELECT count(*) FROM pg_class");
	if (pthread_create(&producer, NULL, produce_all_the_time, &decay) != 0 ||
		pthread_create(&consumer, NULL, consume_what_comes, &decay) != 0)
		fail("thread", strerror(errno));
	began = now();
	for (int i = 0; i <= nwindows; i++)
	{
		sleep_until(began + i * window);
		count(&decay, &counters[i]);
	}
	decay.time_is_over = true;
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
	execute(holder, "COMMIT");
	if (decay.consumed != decay.produced)
		fail("decay", "other rows were consumed than were produced");
	for (int i = 1; i <= nwindows; i++)
		printf("%d %ld %ld %.2f %.2f\n", i,
			   counters[i].produced - counters[i - 1].produced,
			   counters[i].consumed - counters[i - 1].consumed,
			   counters[i].producer_cpu - counters[i - 1].producer_cpu,
			   counters[i].consumer_cpu - counters[i - 1].consumer_cpu);
}

/* --- how soon ------------------------------------------------------------- */

static Consumer latency_consumer;

static void
send_paced(Producer *producer, const char *key, const char *value)
{
	send_record(producer->conn, key, value);
}

static int
receive_paced(Producer *producer)
{
	return receive_answer(producer->conn);
}

static void
take_paced(PGresult *rows, void *arg)
{
	double		time = now();
	int			last = PQnfields(rows) - 1;

	for (int i = 0; i < PQntuples(rows); i++)
		pace_received(arg, PQgetvalue(rows, i, last), time);
}

static void
consume_paced(Pace *pace)
{
	while (!pace_is_over(pace))
	{
		wait_for_rows(&latency_consumer);
		consume(&latency_consumer, take_paced, pace);
	}
}

static void
run_latency(double rate, double seconds, int nproducers, const char *produce, int nsql, char **sql)
{
	Pace		pace = {.rate = rate, .seconds = seconds, .nproducers = nproducers,
	.send = send_paced, .receive = receive_paced, .consume = consume_paced};

	pace.producers = allocate(nproducers * sizeof(Producer));
	for (int i = 0; i < nproducers; i++)
	{
		PGconn	   *conn = open_connection(NULL);

		prepare(conn, "s", produce, 2, TEXT_OID);
		pace.producers[i].conn = conn;
		pace.producers[i].fd = PQsocket(conn);
	}
	open_consumer(&latency_consumer, NULL, nsql, sql);
	pace_run(&pace);
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (strcmp(mode, "rate") == 0 && argc > 5 && argc % 3 == 0)
		run_rate(atol(argv[2]), (argc - 3) / 3, argv + 3);
	else if (strcmp(mode, "group") == 0 && argc > 4)
		run_group(atol(argv[2]), atoi(argv[3]), argc - 4, argv + 4);
	else if (strcmp(mode, "decay") == 0 && argc > 7)
	{
		open_records(argv[2]);
		run_decay(atof(argv[3]), atoi(argv[4]), atof(argv[5]), argv[6], argc - 7, argv + 7);
	}
	else if (strcmp(mode, "latency") == 0 && argc > 7)
	{
		open_records(argv[2]);
		run_latency(atof(argv[3]), atof(argv[4]), atoi(argv[5]), argv[6], argc - 7, argv + 7);
	}
	else
	{
		fputs("consumer: the head of consumer.c says how it is called\n", stderr);
		return 2;
	}
	return 0;
}
