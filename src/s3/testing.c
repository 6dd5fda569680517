/*-------------------------------------------------------------------------
 *
 * testing.c
 *	  The client of a bucket by SQL, in test builds only.
 *
 * The extension does not ship these functions: a test declares them,
 *
 *		CREATE FUNCTION s3(settings text, command text, key text = '',
 *			data bytea = '', n bigint = 0, m bigint = 0) RETURNS text
 *			LANGUAGE c AS 'streamhouse', 'sth_testing_s3';
 *
 * Settings are "name=value" parted by blanks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef STH_FAILPOINTS

#include "base/compat.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "s3/s3.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sth_testing_s3);

static const char *const result_names[] = {
	"ok", "not found", "no bucket", "exists", "denied", "range", "invalid",
	"unavailable", "refused"
};

typedef struct Call
{
	SthS3Settings settings;
	SthS3	   *s3;
	char	   *key;
	uint8	   *data;
	Size		len;
	int64		n;
	int64		m;
	StringInfoData out;
} Call;

typedef struct Setting
{
	const char *name;
	size_t		offset;
	char		type;			/* s, b or i */
} Setting;

static const Setting setting_list[] = {
	{"endpoint", offsetof(SthS3Settings, endpoint), 's'},
	{"region", offsetof(SthS3Settings, region), 's'},
	{"bucket", offsetof(SthS3Settings, bucket), 's'},
	{"ca_file", offsetof(SthS3Settings, ca_file), 's'},
	{"kms_key_id", offsetof(SthS3Settings, kms_key_id), 's'},
	{"server", offsetof(SthS3Settings, server), 'i'},
	{"sse", offsetof(SthS3Settings, sse), 'i'},
	{"connect_timeout", offsetof(SthS3Settings, connect_timeout), 'i'},
	{"request_timeout", offsetof(SthS3Settings, request_timeout), 'i'},
	{"retry_timeout", offsetof(SthS3Settings, retry_timeout), 'i'},
	{"path_style", offsetof(SthS3Settings, path_style), 'b'},
	{"checksum", offsetof(SthS3Settings, checksum), 'b'},
	{"create_once", offsetof(SthS3Settings, create_once), 'b'},
	{"multi_delete", offsetof(SthS3Settings, multi_delete), 'b'},
	{"allow_link_local", offsetof(SthS3Settings, allow_link_local), 'b'},
};

static void
set(SthS3Settings *settings, SthCredentialSource *source, const char *name, char *value)
{
	if (strcmp(name, "access_key") == 0)
		source->access_key_id = value;
	else if (strcmp(name, "secret") == 0)
		source->secret_access_key = value;
	else if (strcmp(name, "credentials_file") == 0)
		source->file = value;
	else if (strcmp(name, "use_environment") == 0)
		source->use_environment = atoi(value) != 0;
	for (int i = 0; i < (int) lengthof(setting_list); i++)
	{
		char	   *field = (char *) settings + setting_list[i].offset;

		if (strcmp(setting_list[i].name, name) != 0)
			continue;
		if (setting_list[i].type == 's')
			*(const char **) field = value;
		else if (setting_list[i].type == 'b')
			*(bool *) field = atoi(value) != 0;
		else
			*(int *) field = atoi(value);
	}
}

static void
open_client(Call *call, char *text)
{
	SthCredentialSource source = {0};

	call->settings.name = "test";
	call->settings.database = MyDatabaseId;
	call->settings.region = "us-east-1";
	call->settings.path_style = call->settings.checksum = true;
	call->settings.create_once = call->settings.multi_delete = true;
	call->settings.connect_timeout = 1000;
	call->settings.request_timeout = 2000;
	call->settings.retry_timeout = 5000;
	for (char *word = strtok(text, " \n\t"); word != NULL; word = strtok(NULL, " \n\t"))
	{
		char	   *value = strchr(word, '=');

		if (value == NULL)
			elog(ERROR, "no value: %s", word);
		*value++ = '\0';
		set(&call->settings, &source, word, value);
	}
	call->s3 = sth_s3_open(&call->settings, sth_credentials_open(&source));
}

static void
append_result(Call *call, SthS3Op *op)
{
	const SthS3Problem *problem = sth_s3_op_problem(op);

	appendStringInfoString(&call->out, result_names[sth_s3_op_result(op)]);
	if (sth_s3_op_result(op) != STH_S3_OK)
		appendStringInfo(&call->out, " %d %s: %s", problem->status, problem->code, problem->text);
}

static void
wait_for(SthS3Op *op)
{
	sth_s3_wait(op, PG_WAIT_EXTENSION);
}

static SthS3Op *
put(Call *call, bool once)
{
	/* n copies of the data, as one object; m is where a piece begins anew */
	struct iovec *pieces = palloc(Max(call->n, 1) * sizeof(struct iovec));

	for (int i = 0; i < Max(call->n, 1); i++)
	{
		pieces[i].iov_base = call->data;
		pieces[i].iov_len = call->len;
	}
	return sth_s3_put(call->s3, call->key, pieces, Max(call->n, 1), once);
}

/* n bytes from m on, which are told by their MD5. */
static void
get(Call *call)
{
	uint8	   *buffer = MemoryContextAllocHuge(CurrentMemoryContext, call->n + 1);
	SthS3Op    *op = sth_s3_get(call->s3, call->key, call->m, call->n, buffer);
	text	   *bytes;

	wait_for(op);
	append_result(call, op);
	if (sth_s3_op_result(op) == STH_S3_OK)
	{
		bytes = cstring_to_text_with_len((char *) buffer, call->n);
		appendStringInfo(&call->out, " %s",
						 TextDatumGetCString(DirectFunctionCall1(md5_bytea, PointerGetDatum(bytes))));
	}
	sth_s3_op_free(op);
}

/* The first m bytes of the object, by n requests at a time. */
static void
get_many(Call *call)
{
	SthS3Op   **ops = palloc(call->n * sizeof(SthS3Op *));
	uint8	   *buffer = palloc(call->m * call->n);
	int			good = 0;

	for (int i = 0; i < call->n; i++)
		ops[i] = sth_s3_get(call->s3, call->key, 0, call->m, buffer + i * call->m);
	for (int i = 0; i < call->n; i++)
	{
		wait_for(ops[i]);
		if (sth_s3_op_result(ops[i]) == STH_S3_OK && memcmp(buffer + i * call->m, buffer, call->m) == 0)
			good++;
	}
	for (int i = 0; i < call->n; i++)
		sth_s3_op_free(ops[i]);
	appendStringInfo(&call->out, "%d", good);
}

static void
head(Call *call)
{
	SthS3Op    *op = sth_s3_head(call->s3, call->key);
	bool		known;
	int64		clock;

	wait_for(op);
	append_result(call, op);
	clock = sth_s3_op_clock(op, &known);
	if (sth_s3_op_result(op) == STH_S3_OK)
		appendStringInfo(&call->out, " " UINT64_FORMAT "%s", sth_s3_op_size(op),
						 known && clock > -5 && clock < 5 ? " same time" : "");
	sth_s3_op_free(op);
}

/* All of the data's lines. */
static void
delete_lines(Call *call)
{
	char	  **keys = palloc((call->len + 1) * sizeof(char *));
	int			nkeys = 0;
	SthS3Op    *op;

	for (char *line = strtok((char *) call->data, "\n"); line != NULL; line = strtok(NULL, "\n"))
		keys[nkeys++] = line;
	op = sth_s3_delete(call->s3, keys, nkeys);
	wait_for(op);
	append_result(call, op);
	sth_s3_op_free(op);
}

static void
list(Call *call)
{
	SthS3Op    *op = sth_s3_list(call->s3, call->key, call->len > 0 ? (char *) call->data : NULL,
								 call->n > 0 ? call->n : 1000);
	const SthS3Item *items;
	int			nitems;
	bool		more;
	TimestampTz now = GetCurrentTimestamp();

	wait_for(op);
	append_result(call, op);
	items = sth_s3_op_items(op, &nitems, &more);
	if (sth_s3_op_result(op) == STH_S3_OK && call->m == 0)
		for (int i = 0; i < nitems; i++)
			appendStringInfo(&call->out, " %s:" UINT64_FORMAT "%s", items[i].key, items[i].size,
							 items[i].modified > now - 100 * USECS_PER_SEC && items[i].modified < now + 100 * USECS_PER_SEC ? "" : "?");
	else
		appendStringInfo(&call->out, " %d", nitems);
	appendStringInfoString(&call->out, more ? " more" : "");
	sth_s3_op_free(op);
}

/* Begins what was asked for n times, and fails, or goes away, after m ms. */
static void
leave_behind(Call *call, const char *how)
{
	TimestampTz end;
	struct iovec piece;

	piece.iov_base = call->data;
	piece.iov_len = call->len;
	for (int i = 0; i < 3; i++)
		(void) sth_s3_put(call->s3, psprintf("%s%d", call->key, i), &piece, 1, false);
	end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), call->m);
	while (GetCurrentTimestamp() < end)
		(void) sth_s3_drive(10, PG_WAIT_EXTENSION);
	if (strcmp(how, "fail") == 0)
		elog(ERROR, "left behind");
}

/* Drives what is left of earlier calls, for at most n ms; is anything? */
static void
drive(Call *call)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), call->n);

	while (sth_s3_busy() && GetCurrentTimestamp() < end)
	{
		CHECK_FOR_INTERRUPTS();
		if (sth_s3_drive(100, PG_WAIT_EXTENSION) & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
	appendStringInfoString(&call->out, sth_s3_busy() ? "busy" : "idle");
}

static void
run(Call *call, const char *command)
{
	SthS3Op    *op = NULL;

	if (strcmp(command, "put") == 0 || strcmp(command, "put_once") == 0)
		op = put(call, strcmp(command, "put_once") == 0);
	else if (strcmp(command, "get") == 0)
		get(call);
	else if (strcmp(command, "get_many") == 0)
		get_many(call);
	else if (strcmp(command, "head") == 0)
		head(call);
	else if (strcmp(command, "delete") == 0)
		delete_lines(call);
	else if (strcmp(command, "list") == 0)
		list(call);
	else if (strcmp(command, "fail") == 0 || strcmp(command, "leave") == 0)
		leave_behind(call, command);
	else if (strcmp(command, "drive") == 0)
		drive(call);
	else if (strcmp(command, "report") == 0)
	{
		op = sth_s3_get(call->s3, call->key, 0, 1, palloc(1));
		wait_for(op);
		sth_s3_report(op, ERROR);
	}
	else
		elog(ERROR, "no command: %s", command);
	if (op != NULL)
	{
		wait_for(op);
		append_result(call, op);
		sth_s3_op_free(op);
	}
}

/* s3(settings, command, key, data, n, m) */
Datum
sth_testing_s3(PG_FUNCTION_ARGS)
{
	Call		call;
	bytea	   *data = PG_GETARG_BYTEA_P_COPY(3);

	memset(&call, 0, sizeof(call));
	initStringInfo(&call.out);
	call.key = text_to_cstring(PG_GETARG_TEXT_PP(2));
	call.len = VARSIZE(data) - VARHDRSZ;
	call.data = palloc0(call.len + 1);
	memcpy(call.data, VARDATA(data), call.len);
	call.n = PG_GETARG_INT64(4);
	call.m = PG_GETARG_INT64(5);
	open_client(&call, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_TRY();
	{
		run(&call, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	}
	PG_FINALLY();
	{
		sth_s3_close(call.s3);
	}
	PG_END_TRY();
	PG_RETURN_TEXT_P(cstring_to_text(call.out.data));
}

#endif							/* STH_FAILPOINTS */
