/*-------------------------------------------------------------------------
 *
 * driver.c
 *	  The client that produces: runs one statement, or the same one many times
 *	  with records for parameters, and says how long it took.
 *
 *	driver statement SQL COUNT
 *			SQL as it stands, once; it handles COUNT rows.
 *	driver copy RECORDS SQL COUNT
 *			SQL is COPY ... FROM STDIN (FORMAT binary) of key and value.
 *	driver arrays RECORDS SQL COUNT BATCH
 *			SQL takes BATCH keys as $1::text[] and their values as $2::text[],
 *			in binary; each call is a transaction.
 *	driver single RECORDS SECONDS CLIENTS FIRST [DATABASE SQL]...
 *			SQL takes a key as $1 and a value as $2.  Every client sends its
 *			next record when it has the answer to the last.  If there are more
 *			statements than one they take turns of a quarter of a second, until
 *			each has had SECONDS.  The FIRST calls of every client come before
 *			all that and are not counted.
 *
 * RECORDS is what genrec has written.
 *
 * Prints a line for every statement: rows, seconds, milliseconds per call at
 * the 50th and the 99th percentile for arrays and single, else 0, and bytes of
 * WAL.  Connecting and preparing are not counted.  What the client costs is
 * the same whatever SQL is: one thread for all connections, so that it leaves
 * the processors to the server.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "bench.h"
#include "pq.h"

#define COPY_CHUNK (64 * 1024)
#define TURN 0.25

/* --- what is measured ----------------------------------------------------- */

typedef struct Run
{
	long		rows;
	double		seconds;
	double		wal;
	double		began;			/* this turn of it */
	double		wal_began;
	Sample		latencies;
} Run;

static PGconn *monitor;

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
report(Run *run)
{
	sort_sample(&run->latencies);
	printf("%ld %.4f %.4f %.4f %.0f\n", run->rows, run->seconds,
		   percentile(&run->latencies, 0.5), percentile(&run->latencies, 0.99), run->wal);
}

/* --- the modes ------------------------------------------------------------ */

static void
run_statement(const char *sql, long count)
{
	PGconn	   *conn = open_connection(NULL);
	Run			run = {.rows = count};

	begin_turn(&run);
	execute(conn, sql);
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
	char	   *chunk = allocate(COPY_CHUNK + 256);
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

static void
run_arrays(const char *sql, long count, long size)
{
	PGconn	   *conn = open_connection(NULL);
	Batch		batch;
	Run			run = {.rows = count};

	open_batch(&batch, size);
	prepare(conn, "s", sql, 2, TEXT_ARRAY_OID);
	begin_turn(&run);
	for (long i = 0; i < count; i += size)
	{
		double		sent;

		fill_batch(&batch, i, Min(size, count - i));
		sent = now();
		execute_batch(conn, &batch);
		note(&run.latencies, now() - sent);
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
send_next(Client *client)
{
	client->sent = now();
	send_record(client->conn, record_key(client->record), record_value(client->record));
	client->record++;
}

typedef struct Statement
{
	Run			run;
	Client	   *clients;
	int			poll;
} Statement;

static void
open_clients(Statement *statement, const char *database, const char *sql, int nclients,
			 int nfirst)
{
	statement->clients = allocate(nclients * sizeof(Client));
	statement->poll = epoll_create1(0);
	for (int i = 0; i < nclients; i++)
	{
		Client	   *client = &statement->clients[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

		client->conn = open_connection(database);
		client->record = count_records() / nclients * i;
		prepare(client->conn, "s", sql, 2, TEXT_OID);
		if (epoll_ctl(statement->poll, EPOLL_CTL_ADD, PQsocket(client->conn), &event) != 0)
			fail("epoll", strerror(errno));
		for (int j = 0; j < nfirst; j++)
		{
			send_next(client);
			while (!receive_answer(client->conn))
				if (epoll_wait(statement->poll, &event, 1, -1) < 0 && errno != EINTR)
					fail("epoll", strerror(errno));
		}
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
		send_next(&statement->clients[i]);
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

			if (!receive_answer(client->conn))
				continue;
			time = now();
			note(&run->latencies, time - client->sent);
			if (time - run->began < seconds)
				send_next(client);
			else
				busy--;
		}
	}
	end_turn(run);
}

/* Every second time from the last to the first, so that none is favoured. */
static void
run_single(double seconds, int nclients, int nfirst, int n, char **arguments)
{
	Statement  *statements = allocate(n * sizeof(Statement));
	int			turns = Max((int) (seconds / TURN + 0.5), 1);

	for (int i = 0; i < n; i++)
		open_clients(&statements[i], arguments[2 * i], arguments[2 * i + 1], nclients, nfirst);
	for (int turn = 0; turn < turns; turn++)
		for (int i = 0; i < n; i++)
			take_turn(&statements[turn % 2 == 0 ? i : n - 1 - i], seconds / turns, nclients);
	for (int i = 0; i < n; i++)
	{
		statements[i].run.rows = statements[i].run.latencies.n;
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
	else if (strcmp(mode, "single") == 0 && argc > 7 && argc % 2 == 0)
		run_single(atof(argv[3]), atoi(argv[4]), atoi(argv[5]), (argc - 6) / 2, argv + 6);
	else
	{
		fputs("driver: the head of driver.c says how it is called\n", stderr);
		return 2;
	}
	return 0;
}
