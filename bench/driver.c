/*-------------------------------------------------------------------------
 *
 * driver.c
 *	  The client of the benchmarks: runs one statement, or the same one many
 *	  times with records for parameters, and says how long it took.
 *
 *	driver statement SQL COUNT
 *			SQL as it stands, once; it handles COUNT rows.
 *	driver copy RECORDS SQL COUNT
 *			SQL is COPY ... FROM STDIN (FORMAT binary) of key and value.
 *	driver arrays RECORDS SQL COUNT BATCH
 *			SQL takes BATCH keys as $1::text[] and their values as $2::text[],
 *			in binary; each call is a transaction.
 *	driver single RECORDS SECONDS CLIENTS [DATABASE SQL]...
 *			SQL takes a key as $1 and a value as $2.  Every client sends its
 *			next record when it has the answer to the last.  If there are more
 *			statements than one they take turns of a quarter of a second, until
 *			each has had SECONDS.
 *
 * RECORDS is what genrec has written for values of 100 bytes; when they are
 * used up they come again from the first.  Connections are made as libpq's
 * environment says.
 *
 * Prints a line for every statement: rows, seconds, milliseconds per call at
 * the 50th and the 99th percentile for arrays and single, else 0, and bytes of
 * WAL.  Connecting and preparing are not counted.  What the client costs is
 * the same whatever SQL is: one thread for all connections, so that it leaves
 * the processors to the server.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEY_LENGTH 16
#define VALUE_LENGTH 100
#define TEXT_OID 25
#define TEXT_ARRAY_OID 1009
#define COPY_CHUNK (64 * 1024)
#define TURN 0.25
#define Max(a, b) ((a) > (b) ? (a) : (b))

static const char *records;
static long nrecords;

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "driver: %s: %s\n", what, why);
	exit(1);
}

/* --- records -------------------------------------------------------------- */

static void
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

static const char *
record_key(long i)
{
	return records + i % nrecords * (KEY_LENGTH + VALUE_LENGTH);
}

static const char *
record_value(long i)
{
	return record_key(i) + KEY_LENGTH;
}

/* --- libpq ---------------------------------------------------------------- */

static PGconn *
open_connection(const char *database)
{
	const char *const names[] = {"dbname", NULL};
	const char *const values[] = {database, NULL};
	PGconn	   *conn = PQconnectdbParams(names, values, 0);

	if (PQstatus(conn) != CONNECTION_OK)
		fail("cannot connect", PQerrorMessage(conn));
	return conn;
}

static void
check_result(PGconn *conn, PGresult *result, ExecStatusType other)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != other)
		fail("query failed", PQerrorMessage(conn));
	PQclear(result);
}

static void
prepare(PGconn *conn, const char *sql, Oid type)
{
	Oid			types[2] = {type, type};

	check_result(conn, PQprepare(conn, "s", sql, 2, types), PGRES_COMMAND_OK);
}

/* --- what is measured ----------------------------------------------------- */

typedef struct Run
{
	long		rows;
	double		seconds;
	double		wal;
	double		began;			/* this turn of it */
	double		wal_began;
	float	   *latencies;		/* in milliseconds */
	long		nlatencies;
	long		max_latencies;
} Run;

static PGconn *monitor;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double
wal_position(void)
{
	PGresult   *result;
	double		position;

	if (monitor == NULL)
		monitor = open_connection(NULL);
	result = PQexec(monitor, "SELECT pg_current_wal_insert_lsn() - '0/0'");
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail("query failed", PQerrorMessage(monitor));
	position = atof(PQgetvalue(result, 0, 0));
	PQclear(result);
	return position;
}

static void
begin_turn(Run *run)
{
	run->wal_began = wal_position();
	run->began = now();
}

static void
end_turn(Run *run)
{
	run->seconds += now() - run->began;
	run->wal += wal_position() - run->wal_began;
}

static void
note_latency(Run *run, double seconds)
{
	if (run->nlatencies == run->max_latencies)
	{
		run->max_latencies = Max(run->max_latencies * 2, 65536);
		run->latencies = realloc(run->latencies, run->max_latencies * sizeof(float));
		if (run->latencies == NULL)
			fail("latencies", "out of memory");
	}
	run->latencies[run->nlatencies++] = (float) (seconds * 1000);
}

static int
compare_latencies(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return x < y ? -1 : x > y;
}

static double
percentile(const Run *run, double p)
{
	return run->nlatencies == 0 ? 0 : run->latencies[(long) (p * (run->nlatencies - 1) + 0.5)];
}

static void
report(Run *run)
{
	if (run->nlatencies > 0)
		qsort(run->latencies, run->nlatencies, sizeof(float), compare_latencies);
	printf("%ld %.4f %.4f %.4f %.0f\n", run->rows, run->seconds,
		   percentile(run, 0.5), percentile(run, 0.99), run->wal);
}

/* --- the modes ------------------------------------------------------------ */

static char *
put16(char *p, uint16_t value)
{
	value = htons(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static char *
put32(char *p, uint32_t value)
{
	value = htonl(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static char *
put_field(char *p, const char *data, int len)
{
	p = put32(p, len);
	memcpy(p, data, len);
	return p + len;
}

static void
run_statement(const char *sql, long count)
{
	PGconn	   *conn = open_connection(NULL);
	Run			run = {.rows = count};

	begin_turn(&run);
	check_result(conn, PQexec(conn, sql), PGRES_COMMAND_OK);
	end_turn(&run);
	report(&run);
	PQfinish(conn);
}

static void
send_copy(PGconn *conn, const char *data, const char *end)
{
	if (PQputCopyData(conn, data, end - data) != 1)
		fail("COPY", PQerrorMessage(conn));
}

static void
run_copy(const char *sql, long count)
{
	PGconn	   *conn = open_connection(NULL);
	char	   *chunk = malloc(COPY_CHUNK + 256);
	char	   *p = chunk;
	Run			run = {.rows = count};

	begin_turn(&run);
	check_result(conn, PQexec(conn, sql), PGRES_COPY_IN);
	memcpy(p, "PGCOPY\n\377\r\n", 11); /* with its NUL */
	p = put32(p + 11, 0);
	p = put32(p, 0);
	for (long i = 0; i < count; i++)
	{
		p = put16(p, 2);
		p = put_field(p, record_key(i), KEY_LENGTH);
		p = put_field(p, record_value(i), VALUE_LENGTH);
		if (p - chunk >= COPY_CHUNK)
		{
			send_copy(conn, chunk, p);
			p = chunk;
		}
	}
	p = put16(p, 0xffff);
	send_copy(conn, chunk, p);
	if (PQputCopyEnd(conn, NULL) != 1)
		fail("COPY", PQerrorMessage(conn));
	check_result(conn, PQgetResult(conn), PGRES_COMMAND_OK);
	end_turn(&run);
	report(&run);
	PQfinish(conn);
}

/* One dimension, no NULLs, lower bound 1. */
static char *
begin_array(char *p, int n)
{
	p = put32(p, 1);
	p = put32(p, 0);
	p = put32(p, TEXT_OID);
	p = put32(p, n);
	return put32(p, 1);
}

static void
run_arrays(const char *sql, long count, long batch)
{
	PGconn	   *conn = open_connection(NULL);
	char	   *keys = malloc(batch * (KEY_LENGTH + 4) + 20);
	char	   *values = malloc(batch * (VALUE_LENGTH + 4) + 20);
	const char *params[2] = {keys, values};
	const int	formats[2] = {1, 1};
	Run			run = {.rows = count};

	prepare(conn, sql, TEXT_ARRAY_OID);
	begin_turn(&run);
	for (long i = 0; i < count;)
	{
		long		n = count - i < batch ? count - i : batch;
		char	   *k = begin_array(keys, n);
		char	   *v = begin_array(values, n);
		int			lengths[2];
		double		sent;

		for (long end = i + n; i < end; i++)
		{
			k = put_field(k, record_key(i), KEY_LENGTH);
			v = put_field(v, record_value(i), VALUE_LENGTH);
		}
		lengths[0] = k - keys;
		lengths[1] = v - values;
		sent = now();
		check_result(conn, PQexecPrepared(conn, "s", 2, params, lengths, formats, 1),
					 PGRES_COMMAND_OK);
		note_latency(&run, now() - sent);
	}
	end_turn(&run);
	report(&run);
	PQfinish(conn);
}

typedef struct Client
{
	PGconn	   *conn;
	long		record;
	double		sent;
} Client;

static void
send_record(Client *client)
{
	const char *params[2] = {record_key(client->record), record_value(client->record)};
	const int	lengths[2] = {KEY_LENGTH, VALUE_LENGTH};
	const int	formats[2] = {1, 1};	/* of text, so binary is the same */

	client->record++;
	client->sent = now();
	if (PQsendQueryPrepared(client->conn, "s", 2, params, lengths, formats, 0) != 1)
		fail("cannot send", PQerrorMessage(client->conn));
}

/* Returns whether the answer is complete. */
static int
receive_answer(Client *client)
{
	PGresult   *result;

	if (PQconsumeInput(client->conn) != 1)
		fail("cannot receive", PQerrorMessage(client->conn));
	while (!PQisBusy(client->conn))
	{
		result = PQgetResult(client->conn);
		if (result == NULL)
			return 1;
		check_result(client->conn, result, PGRES_COMMAND_OK);
	}
	return 0;
}

typedef struct Statement
{
	Run			run;
	Client	   *clients;
	int			poll;
} Statement;

static void
open_clients(Statement *statement, const char *database, const char *sql, int nclients)
{
	statement->clients = calloc(nclients, sizeof(Client));
	statement->poll = epoll_create1(0);
	for (int i = 0; i < nclients; i++)
	{
		Client	   *client = &statement->clients[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

		client->conn = open_connection(database);
		client->record = nrecords / nclients * i;
		prepare(client->conn, sql, TEXT_OID);
		if (epoll_ctl(statement->poll, EPOLL_CTL_ADD, PQsocket(client->conn), &event) != 0)
			fail("epoll", strerror(errno));
	}
}

/* All clients send for so long, and get their last answers. */
static void
take_turn(Statement *statement, double seconds, int nclients)
{
	Run		   *run = &statement->run;
	int			busy = nclients;

	begin_turn(run);
	for (int i = 0; i < nclients; i++)
		send_record(&statement->clients[i]);
	while (busy > 0)
	{
		struct epoll_event events[64];
		int			n = epoll_wait(statement->poll, events, 64, -1);

		if (n < 0 && errno != EINTR)
			fail("epoll", strerror(errno));
		for (int i = 0; i < n; i++)
		{
			Client	   *client = events[i].data.ptr;
			double		time;

			if (!receive_answer(client))
				continue;
			time = now();
			note_latency(run, time - client->sent);
			if (time - run->began < seconds)
				send_record(client);
			else
				busy--;
		}
	}
	end_turn(run);
}

/* Every second time from the last to the first, so that none is favoured. */
static void
run_single(double seconds, int nclients, int n, char **arguments)
{
	Statement  *statements = calloc(n, sizeof(Statement));
	int			turns = Max((int) (seconds / TURN + 0.5), 1);

	for (int i = 0; i < n; i++)
		open_clients(&statements[i], arguments[2 * i], arguments[2 * i + 1], nclients);
	for (int turn = 0; turn < turns; turn++)
		for (int i = 0; i < n; i++)
			take_turn(&statements[turn % 2 == 0 ? i : n - 1 - i], seconds / turns, nclients);
	for (int i = 0; i < n; i++)
	{
		statements[i].run.rows = statements[i].run.nlatencies;
		report(&statements[i].run);
		for (int j = 0; j < nclients; j++)
			PQfinish(statements[i].clients[j].conn);
	}
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (strcmp(mode, "statement") == 0 && argc == 4)
	{
		run_statement(argv[2], atol(argv[3]));
		return 0;
	}
	if (argc > 2)
		open_records(argv[2]);
	if (strcmp(mode, "copy") == 0 && argc == 5)
		run_copy(argv[3], atol(argv[4]));
	else if (strcmp(mode, "arrays") == 0 && argc == 6)
		run_arrays(argv[3], atol(argv[4]), atol(argv[5]));
	else if (strcmp(mode, "single") == 0 && argc > 6 && argc % 2 == 1)
		run_single(atof(argv[3]), atoi(argv[4]), (argc - 5) / 2, argv + 5);
	else
	{
		fputs("driver: the head of driver.c says how it is called\n", stderr);
		return 2;
	}
	return 0;
}
