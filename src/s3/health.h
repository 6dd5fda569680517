/*-------------------------------------------------------------------------
 *
 * health.h
 *	  How a bucket does, as all processes together see it.
 *
 * Before a request each process asks sth_health_admit(), and says how the
 * request ended with sth_health_leave().
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_HEALTH_H
#define STH_S3_HEALTH_H

#include "base/stats.h"
#include "datatype/timestamp.h"

/* The kinds of requests; the view stat_servers goes by the order. */
typedef enum SthS3Kind
{
	STH_S3_PUT,
	STH_S3_PART,				/* of a multipart upload */
	STH_S3_MULTIPART,			/* beginning, completing, aborting one */
	STH_S3_GET,
	STH_S3_HEAD,
	STH_S3_LIST,
	STH_S3_DELETE
} SthS3Kind;

#define STH_S3_NKINDS (STH_S3_DELETE + 1)

/* What is counted besides; likewise. */
typedef enum SthHealthCounter
{
	STH_HEALTH_BYTES_OUT,
	STH_HEALTH_BYTES_IN,
	STH_HEALTH_RETRIES,
	STH_HEALTH_THROTTLES,
	STH_HEALTH_ERRORS,
	STH_HEALTH_CONNECTIONS,		/* made */
	STH_HEALTH_REUSES			/* requests over one that was there */
} SthHealthCounter;

#define STH_HEALTH_NCOUNTERS (STH_HEALTH_REUSES + 1)

/* How a request ended, as far as the server's health goes. */
typedef enum SthHealthOutcome
{
	STH_HEALTH_GOOD,			/* it answered, be it with a refusal */
	STH_HEALTH_THROTTLED,		/* it asked to be spared */
	STH_HEALTH_FAILED,			/* it did not answer, or could not serve */
	STH_HEALTH_UNKNOWN			/* cancelled: nothing is known */
} SthHealthOutcome;

typedef enum SthBreaker
{
	STH_BREAKER_CLOSED,			/* requests pass */
	STH_BREAKER_OPEN,			/* they wait */
	STH_BREAKER_PROBING			/* one is on its way, the others wait */
} SthBreaker;

#define STH_HEALTH_TEXT 256

/* As it was at a moment. */
typedef struct SthHealthReport
{
	Oid			database;
	Oid			server;
	int64		requests[STH_S3_NKINDS];
	int64		counters[STH_HEALTH_NCOUNTERS];
	int64		histogram[STH_NBUCKETS];	/* of requests, by what they took */
	TimestampTz reset;
	int			in_flight;
	int			limit;			/* of those in flight, as it is now */
	SthBreaker	breaker;
	int			failures;		/* in a row */
	TimestampTz until;			/* an open breaker lets one pass; or 0 */
	TimestampTz error_at;		/* 0: there was none */
	char		error[STH_HEALTH_TEXT];
} SthHealthReport;

/* A pass that a request has. */
typedef struct SthHealthPass
{
	bool		probe;
	int64		began;			/* us */
} SthHealthPass;

typedef struct SthHealth SthHealth;

extern void sth_health_init(void);
extern SthHealth *sth_health_open(Oid database, Oid server);
extern void sth_health_close(SthHealth *health);
extern bool sth_health_admit(SthHealth *health, SthHealthPass *pass,
							 int64 *wait);
extern void sth_health_leave(SthHealth *health, const SthHealthPass *pass,
							 SthHealthOutcome outcome);
extern void sth_health_count(SthHealth *health, SthS3Kind kind, int64 took);
extern void sth_health_add(SthHealth *health, SthHealthCounter counter,
						   int64 n);
extern void sth_health_note_error(SthHealth *health, const char *text);
extern void sth_health_last_error(SthHealth *health, char *text);

extern bool sth_health_report(Oid database, Oid server,
							  SthHealthReport *report);
extern void sth_health_reset(Oid database, Oid server);
extern void sth_health_forget(Oid database, Oid server);
extern void sth_health_forget_database(Oid database);

#endif							/* STH_S3_HEALTH_H */
