/*-------------------------------------------------------------------------
 *
 * pq.h
 *	  What the clients of PostgreSQL share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PQ_H
#define PQ_H

#include <libpq-fe.h>
#include <stdint.h>

#define TEXT_OID 25
#define INT8_OID 20
#define TEXT_ARRAY_OID 1009

/* Keys and values of some records, as binary arrays. */
typedef struct Batch
{
	char	   *keys;
	char	   *values;
	int			lengths[2];
} Batch;

extern PGconn *open_connection(const char *database);
extern void check_result(PGconn *conn, PGresult *result, ExecStatusType other);
extern void execute(PGconn *conn, const char *sql);
extern void prepare(PGconn *conn, const char *name, const char *sql,
					int nparams, Oid type);
extern void send_record(PGconn *conn, const char *key, const char *value);
extern int	receive_answer(PGconn *conn);

extern char *put16(char *p, uint16_t value);
extern char *put32(char *p, uint32_t value);
extern char *put_field(char *p, const char *data, int len);

extern void open_batch(Batch *batch, long n);
extern void fill_batch(Batch *batch, long first, long n);
extern void execute_batch(PGconn *conn, Batch *batch);

#endif							/* PQ_H */
