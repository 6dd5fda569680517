/*-------------------------------------------------------------------------
 *
 * insert.h
 *	  The way of a row into a topic, whatever brings it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_PRODUCE_INSERT_H
#define STH_PRODUCE_INSERT_H

#include "catalog/topic.h"
#include "nodes/execnodes.h"

typedef struct SthInsert SthInsert;

/* What a function's caller says of a row besides its columns. */
typedef struct SthRowRequest
{
	bool		has_partition;
	int			partition;
	bool		has_time;
	TimestampTz time;
} SthRowRequest;

extern SthInsert *sth_insert_begin(Relation rel, const char *command);
extern const SthTopic *sth_insert_topic(SthInsert *insert);
extern int	sth_insert_row(SthInsert *insert, ResultRelInfo *result_rel,
						   TupleTableSlot *slot, EState *estate,
						   const SthRowRequest *request);
extern int	sth_route_bytes(const SthTopic *topic, const char *key, int len);

#endif							/* STH_PRODUCE_INSERT_H */
