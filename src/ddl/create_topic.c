/*-------------------------------------------------------------------------
 *
 * create_topic.c
 *	  create_topic(): sugar for CREATE FOREIGN TABLE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/arguments.h"
#include "base/compat.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(sth_create_topic);

static void
append_option(StringInfo sql, const char *name, const char *value)
{
	appendStringInfo(sql, ", %s %s", quote_identifier(name),
					 quote_literal_cstr(value));
}

/* The members of a JSON object as further options; returns their number. */
static int
append_options(StringInfo sql, Jsonb *options)
{
	JsonbIterator *iterator;
	JsonbValue	member;
	JsonbIteratorToken token;
	int			n = 0;

	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object")));
	iterator = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&iterator, &member, true)) != WJB_DONE)
	{
		char	   *name;
		Jsonb	   *value;
		char	   *text;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(member.val.string.val, member.val.string.len);
		(void) JsonbIteratorNext(&iterator, &member, true);
		if (member.type == jbvNull)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("option \"%s\" must not be null", name)));
		if (member.type == jbvString)
			text = pnstrdup(member.val.string.val, member.val.string.len);

		else
		{
			value = JsonbValueToJsonb(&member);
			text = JsonbToCString(NULL, &value->root, VARSIZE(value));
		}
		append_option(sql, name, text);
		n++;
	}
	return n;
}

/*
 * What the caller gave for columns must not end the list of columns: it has
 * to parse as one statement with the server and the number of options that
 * were asked for.
 */
static void
check_statement(const char *sql, const char *server, int noptions)
{
	List	   *statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	CreateForeignTableStmt *stmt = NULL;

	if (list_length(statements) == 1)
		stmt = (CreateForeignTableStmt *) linitial_node(RawStmt, statements)->stmt;
	if (stmt == NULL || !IsA(stmt, CreateForeignTableStmt) ||
		strcmp(stmt->servername, server) != 0 ||
		list_length(stmt->options) != noptions)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("columns must be a list of column definitions"),
				 errhint("For example: 'customer text, amount numeric NOT NULL'.")));
}

/* create_topic(name, partitions, columns, key, server, options) */
Datum
sth_create_topic(PG_FUNCTION_ARGS)
{
	List	   *names;
	RangeVar   *target;
	StringInfoData sql;
	Oid			schema;
	char	   *server;
	int			noptions = 1;

	sth_require_argument(fcinfo, 0, "name");
	sth_require_argument(fcinfo, 1, "partitions");
	sth_require_argument(fcinfo, 2, "columns");
	sth_require_argument(fcinfo, 4, "server");
	sth_require_argument(fcinfo, 5, "options");

	names = textToQualifiedNameList(PG_GETARG_TEXT_PP(0));
	target = makeRangeVarFromNameList(names);
	schema = RangeVarGetCreationNamespace(target);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s "
					 "(_partition pg_catalog.int4, _offset pg_catalog.int8, _timestamp pg_catalog.timestamptz",
					 NameListToQuotedString(names));
	/* the newline ends a comment */
	server = NameStr(*PG_GETARG_NAME(4));
	appendStringInfo(&sql, ", %s\n) SERVER %s OPTIONS (partitions '%d'",
					 text_to_cstring(PG_GETARG_TEXT_PP(2)),
					 quote_identifier(server), PG_GETARG_INT32(1));
	if (!PG_ARGISNULL(3))
	{
		append_option(&sql, "key", text_to_cstring(PG_GETARG_TEXT_PP(3)));
		noptions++;
	}
	noptions += append_options(&sql, PG_GETARG_JSONB_P(5));
	appendStringInfoChar(&sql, ')');
	check_statement(sql.data, server, noptions);

	SPI_connect();
	if (SPI_execute(sql.data, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not create topic");
	SPI_finish();

	PG_RETURN_OID(get_relname_relid(target->relname, schema));
}
