/*-------------------------------------------------------------------------
 *
 * options.h
 *	  Options of topics and servers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CATALOG_OPTIONS_H
#define STH_CATALOG_OPTIONS_H

#include "codec/compress.h"
#include "nodes/pg_list.h"

#define STH_MAX_PARTITIONS 10000

/* What the options and settings of segments may be: kilobytes and seconds. */
#define STH_MIN_SEGMENT_SIZE 64
#define STH_MAX_SEGMENT_SIZE (1024 * 1024)
#define STH_MIN_FLUSH_INTERVAL 1
#define STH_MAX_FLUSH_INTERVAL (7 * 24 * 60 * 60)

/* What a foreign table's options say. */
typedef struct SthTopicOptions
{
	int			partitions;
	char	   *key;			/* name of a column, or NULL */
	int			segment_size;	/* in kB; 0: as the setting says */
	int			flush_interval; /* in seconds; 0: as the setting says */
	SthCompression compression;
} SthTopicOptions;

extern void sth_options_parse(List *options, SthTopicOptions *result);

#endif							/* STH_CATALOG_OPTIONS_H */
