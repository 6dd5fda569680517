/*-------------------------------------------------------------------------
 *
 * failures.h
 *	  Why the last flushes that failed did.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_LOG_FAILURES_H
#define STH_LOG_FAILURES_H

#include "datatype/timestamp.h"

/* The longest message that is kept, in bytes. */
#define STH_FAILURE_MAX 400

/* A topic's last failure. */
typedef struct SthFailure
{
	TimestampTz at;
	char		message[STH_FAILURE_MAX];
} SthFailure;

extern void sth_failures_init(void);
extern void sth_failures_note(Oid tail, Oid server, int32 topic_id,
							  const ErrorData *error);
extern bool sth_failures_of_topic(Oid tail, int32 topic_id,
								  SthFailure *failure);
extern bool sth_failures_of_server(Oid tail, Oid server, SthFailure *failure);
extern void sth_failures_forget(Oid tail, int32 topic_id);

#endif							/* STH_LOG_FAILURES_H */
