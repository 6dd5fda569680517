/*-------------------------------------------------------------------------
 *
 * pq.c
 *	  What the clients of PostgreSQL share: connections, results, records as
 *	  parameters.
 *
 * Connections are made as libpq's environment says.  The statement that
 * produces is prepared as "s" and takes keys as $1, values as $2.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "pq.h"

PGconn *
open_connection(const char *database)
{
	const char *const names[] = {"dbname", NULL};
	const char *const values[] = {database, NULL};
	PGconn	   *conn = PQconnectdbParams(names, values, 0);

	if (PQstatus(conn) != CONNECTION_OK)
		fail("cannot connect", PQerrorMessage(conn));
	return conn;
}

void
check_result(PGconn *conn, PGresult *result, ExecStatusType other)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != other)
		fail("query failed", PQerrorMessage(conn));
	PQclear(result);
}

void
execute(PGconn *conn, const char *sql)
{
	check_result(conn, PQexec(conn, sql), PGRES_COMMAND_OK);
}

/* At most two parameters, all of one type. */
void
prepare(PGconn *conn, const char *name, const char *sql, int nparams, Oid type)
{
	Oid			types[2] = {type, type};

	check_result(conn, PQprepare(conn, name, sql, nparams, types), PGRES_COMMAND_OK);
}

/* A key and a value, without waiting for the answer. */
void
send_record(PGconn *conn, const char *key, const char *value)
{
	const char *params[2] = {key, value};
	const int	lengths[2] = {KEY_LENGTH, VALUE_LENGTH};
	const int	formats[2] = {1, 1};	/* of text, so binary is the same */

	if (PQsendQueryPrepared(conn, "s", 2, params, lengths, formats, 0) != 1)
		fail("cannot send", PQerrorMessage(conn));
}

/* Takes what has come; returns whether the answer is complete. */
int
receive_answer(PGconn *conn)
{
	PGresult   *result;

	if (PQconsumeInput(conn) != 1)
		fail("cannot receive", PQerrorMessage(conn));
	while (!PQisBusy(conn))
	{
		result = PQgetResult(conn);
		if (result == NULL)
			return 1;
		check_result(conn, result, PGRES_COMMAND_OK);
	}
	return 0;
}

/* --- binary values -------------------------------------------------------- */

char *
put16(char *p, uint16_t value)
{
	value = htons(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

char *
put32(char *p, uint32_t value)
{
	value = htonl(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

char *
put_field(char *p, const char *data, int len)
{
	p = put32(p, len);
	memcpy(p, data, len);
	return p + len;
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

/* For up to n records. */
void
open_batch(Batch *batch, long n)
{
	batch->keys = allocate(n * (KEY_LENGTH + 4) + 20);
	batch->values = allocate(n * (VALUE_LENGTH + 4) + 20);
}

void
fill_batch(Batch *batch, long first, long n)
{
	char	   *k = begin_array(batch->keys, n);
	char	   *v = begin_array(batch->values, n);

	for (long i = first; i < first + n; i++)
	{
		k = put_field(k, record_key(i), KEY_LENGTH);
		v = put_field(v, record_value(i), VALUE_LENGTH);
	}
	batch->lengths[0] = k - batch->keys;
	batch->lengths[1] = v - batch->values;
}

void
execute_batch(PGconn *conn, Batch *batch)
{
	const char *params[2] = {batch->keys, batch->values};
	const int	formats[2] = {1, 1};

	check_result(conn, PQexecPrepared(conn, "s", 2, params, batch->lengths, formats, 1),
				 PGRES_COMMAND_OK);
}
