/*-------------------------------------------------------------------------
 *
 * options.h
 *	  Options of topics and servers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CATALOG_OPTIONS_H
#define STH_CATALOG_OPTIONS_H

#include "nodes/pg_list.h"

#define STH_MAX_PARTITIONS 10000

/* What a foreign table's options say. */
typedef struct SthTopicOptions
{
	int			partitions;
	char	   *key;			/* name of a column, or NULL */
} SthTopicOptions;

extern void sth_options_parse(List *options, SthTopicOptions *result);

#endif							/* STH_CATALOG_OPTIONS_H */
