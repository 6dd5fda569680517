/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of topics and servers.
 *
 * PostgreSQL's catalogs keep the options; here is what they may be.  Only
 * options that something obeys are accepted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "base/closest.h"
#include "catalog/options.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "catalog/server.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(sth_fdw_validator);

static const char *const topic_options[] = {
	"partitions", "key", "segment_size", "flush_interval", "compression"
};

static const struct
{
	const char *name;
	SthCompression compression;
}			compressions[] =

{
	{"none", STH_COMPRESSION_NONE},
	{"lz4", STH_COMPRESSION_LZ4},
	{"zstd", STH_COMPRESSION_ZSTD},
};

/* An option that is not known, with the nearest that is. */
static void
report_unknown_option(const char *name, const char *object,
					  const char *const *known, int nknown)
{
	SthClosest	closest;
	StringInfoData valid;

	initStringInfo(&valid);
	sth_closest_begin(&closest, name);
	for (int i = 0; i < nknown; i++)
	{
		sth_closest_add(&closest, known[i]);
		appendStringInfo(&valid, "%s%s", i > 0 ? ", " : "", known[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\" for %s", name, object),
			 closest.best ?
			 errhint("Perhaps you meant the option \"%s\".", closest.best) :
			 nknown > 0 ?
			 errhint("Valid options are: %s.", valid.data) :
			 errhint("There are no valid options in this context.")));
}

static int
parse_partitions(DefElem *def)
{
	char	   *value = defGetString(def);
	char	   *end;
	long		n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (end == value || *end != '\0' || errno != 0 ||
		n < 1 || n > STH_MAX_PARTITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"",
						def->defname, value),
				 errdetail("The number of partitions is an integer from 1 to %d.",
						   STH_MAX_PARTITIONS)));
	return (int) n;
}

/* A size or a time, written as in postgresql.conf; 'range' says what it may be. */
static int
parse_quantity(DefElem *def, int unit, int min, int max, const char *range)
{
	char	   *value = defGetString(def);
	const char *hint = NULL;
	int			n;

	if (!parse_int(value, &n, unit, &hint) || n < min || n > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"",
						def->defname, value),
				 errdetail("%s", range),
				 hint ? errhint("%s", _(hint)) : 0));
	return n;
}

static SthCompression
parse_compression(DefElem *def)
{
	char	   *value = defGetString(def);

	for (int i = 0; i < (int) lengthof(compressions); i++)
		if (strcmp(value, compressions[i].name) == 0)
			return compressions[i].compression;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"",
					def->defname, value),
			 errhint("Compression is none, lz4 or zstd.")));
	return STH_COMPRESSION_NONE;	/* not reached */
}

/* Reads a foreign table's options; strings are the list's. */
void
sth_options_parse(List *options, SthTopicOptions *result)
{
	ListCell   *lc;

	result->partitions = 1;
	result->key = NULL;
	result->segment_size = 0;
	result->flush_interval = 0;
	result->compression = STH_COMPRESSION_LZ4;
	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "partitions") == 0)
			result->partitions = parse_partitions(def);
		else if (strcmp(def->defname, "key") == 0)
			result->key = defGetString(def);
		else if (strcmp(def->defname, "segment_size") == 0)
			result->segment_size =
				parse_quantity(def, GUC_UNIT_KB, STH_MIN_SEGMENT_SIZE,
							   STH_MAX_SEGMENT_SIZE,
							   "The size of a segment is from 64kB to 1GB.");
		else if (strcmp(def->defname, "flush_interval") == 0)
			result->flush_interval =
				parse_quantity(def, GUC_UNIT_S, STH_MIN_FLUSH_INTERVAL,
							   STH_MAX_FLUSH_INTERVAL,
							   "The interval is from 1s to 7d.");
		else if (strcmp(def->defname, "compression") == 0)
			result->compression = parse_compression(def);
		else
			report_unknown_option(def->defname, "a topic", topic_options,
								  lengthof(topic_options));
	}
}

/*
 * fdw_validator(options text[], catalog oid): checks options as they are
 * given, one by one; what needs the table's columns is checked afterwards.
 */
Datum
sth_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);

	if (catalog == ForeignTableRelationId)
	{
		SthTopicOptions parsed;

		sth_options_parse(options, &parsed);
	}
	else if (catalog == ForeignServerRelationId)
		sth_server_check_options(options);
	else if (catalog == UserMappingRelationId)
		sth_server_check_mapping(options);
	else if (options != NIL)
	{
		DefElem    *def = linitial_node(DefElem, options);

		report_unknown_option(def->defname,
							  "the wrapper streamhouse, or columns of its topics",
							  NULL, 0);
	}
	PG_RETURN_VOID();
}
