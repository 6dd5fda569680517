/*-------------------------------------------------------------------------
 *
 * check_server.c
 *	  check_server(): what works of a server, step by step.
 *
 * It does with a small object of its own what flushing, reading and deleting
 * do with larger ones, and says of each step whether it went well and what to
 * look at if not.  Steps that need one that failed are left out.
 *
 * Failure: the object is deleted at the end, whatever was found.  If there is
 * an error or a cancel before, or the session ends, it stays in the bucket,
 * under check/.
 * The client goes with the memory context of the call, however that ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "base/compat.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "s3/s3.h"
#include "store/holder.h"
#include "store/stores.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sth_check_server);

/* How long a step may try, in milliseconds. */
#define PATIENCE 5000

/* How far the clocks may be apart, in seconds, and signatures still be good. */
#define MAX_SKEW (15 * 60)

static char content[] = "streamhouse has written this to see whether it can.\n";
#define READ_AT 12
#define READ_LEN 20

typedef struct Check
{
	ReturnSetInfo *rsinfo;
	const SthServer *server;
	SthS3	   *s3;
	MemoryContextCallback at_reset; /* closes it */
	char	   *key;
} Check;

static void
			emit(Check *check, const char *step, bool ok, const char *format,...) pg_attribute_printf(4, 5);

static void
emit(Check *check, const char *step, bool ok, const char *format,...)
{
	StringInfoData detail;
	Datum		values[3];
	bool		isnull[3] = {0};

	initStringInfo(&detail);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&detail, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&detail, needed);
	}
	values[0] = CStringGetTextDatum(step);
	values[1] = BoolGetDatum(ok);
	values[2] = CStringGetTextDatum(detail.data);
	isnull[2] = detail.len == 0;
	tuplestore_putvalues(check->rsinfo->setResult, check->rsinfo->setDesc,
						 values, isnull);
}

/* What the store, or the way to it, said. */
static void
emit_problem(Check *check, const char *step, const SthS3Op *op)
{
	const SthS3Problem *problem = sth_s3_op_problem(op);

	emit(check, step, false, "%s%s%s%s%s%s",
		 problem->status ? psprintf("HTTP status %d", problem->status) : "",
		 problem->code[0] ? psprintf(" %s", problem->code) : "",
		 problem->text[0] && problem->status ? ": " : "", problem->text,
		 problem->region[0] ? psprintf(" (the bucket is in region %s)", problem->region) : "",
		 problem->endpoint[0] ? psprintf(" (the bucket is at %s)", problem->endpoint) : "");
}

/* Waits for an operation; true if it went well, else says so. */
static bool
went_well(Check *check, const char *step, SthS3Op *op)
{
	sth_s3_wait(op, sth_wait_event(STH_WAIT_FOR_STORE));
	if (sth_s3_op_result(op) == STH_S3_OK)
		return true;
	emit_problem(check, step, op);
	return false;
}

static void
check_clock(Check *check, const SthS3Op *op)
{
	bool		known;
	int64		ahead = sth_s3_op_clock(op, &known);

	if (!known)
		emit(check, "clock", true, "the store does not tell its time");
	else
		emit(check, "clock", ahead < MAX_SKEW && ahead > -MAX_SKEW,
			 "the store's clock is %lld seconds ahead of this machine's",
			 (long long) ahead);
}

/*
 * Lists the bucket, and tells by how far that came which of the steps before
 * went well.  False if nothing else can be.
 */
static bool
check_list(Check *check)
{
	SthS3Op    *op = sth_s3_list(check->s3, check->server->options.prefix,
								 NULL, 1);
	const SthS3Problem *problem = sth_s3_op_problem(op);
	static const char *const steps[] = {"resolve", "connect", "tls"};
	bool		is_tls = check->server->options.endpoint == NULL ||
	strncmp(check->server->options.endpoint, "https:", 6) == 0;
	bool		ok;

	sth_s3_wait(op, sth_wait_event(STH_WAIT_FOR_STORE));
	ok = sth_s3_op_result(op) == STH_S3_OK;
	if (sth_s3_op_result(op) == STH_S3_DENIED && problem->status == 0)
	{
		emit_problem(check, "credentials", op);
		return false;
	}
	emit(check, "credentials", true, "%s", "");
	for (int i = 0; i < (int) lengthof(steps); i++)
	{
		bool		is_here = !ok && problem->phase == (SthHttpPhase) i;

		if (is_here)
		{
			emit_problem(check, steps[i], op);
			return false;
		}
		if (i < 2 || is_tls)
			emit(check, steps[i], true, "%s", "");
	}
	check_clock(check, op);
	if (sth_s3_op_result(op) == STH_S3_DENIED)
	{
		bool		is_signed = strcmp(problem->code, "AccessDenied") == 0;

		if (is_signed)
			emit(check, "sign", true, "%s", "");
		emit_problem(check, is_signed ? "list" : "sign", op);
		sth_s3_op_free(op);
		return is_signed;
	}
	emit(check, "sign", true, "%s", "");
	if (ok)
		emit(check, "list", true, "%s", "");
	else
		emit_problem(check, "list", op);
	sth_s3_op_free(op);
	return ok;
}

/* Who deletes objects?  That is no fault, whoever it is. */
static void
check_owner(Check *check)
{
	SthHolder  *holder;

	if (RecoveryInProgress())
		return;
	holder = sth_holder_begin(check->server->oid, STH_HOLDING_ASK);
	while (!sth_holder_is_done(holder))
		sth_holder_wait(holder);
	sth_holder_check(holder);
	emit(check, "owner", true, "%s", sth_holder_is_us(holder) ?
		 "this database deletes in the bucket what is not needed any more" :
		 sth_holder_is_none(holder) ?
		 "no database deletes in the bucket yet" :
		 "another database deletes in the bucket, and this one does not; see take_over()");
	sth_holder_end(holder);
}

/* Writes the object, and then what must not replace it. */
static bool
check_put(Check *check)
{
	struct iovec piece = {content, strlen(content)};
	struct iovec other = {content, 5};
	bool		once = check->server->options.create_once;
	SthS3Op    *op = sth_s3_put(check->s3, check->key, &piece, 1, once);

	if (!went_well(check, "put", op))
		return false;
	emit(check, "put", true, "%s", check->key);
	sth_s3_op_free(op);
	if (!once)
		return true;
	op = sth_s3_put(check->s3, check->key, &other, 1, true);
	sth_s3_wait(op, sth_wait_event(STH_WAIT_FOR_STORE));
	if (sth_s3_op_result(op) == STH_S3_EXISTS)
		emit(check, "create once", true, "%s", "");
	else if (sth_s3_op_result(op) == STH_S3_OK)
		emit(check, "create once", false,
			 "the store has replaced an object that was to be created once; set the option create_once 'false' if it cannot do otherwise");
	else
		emit_problem(check, "create once", op);
	sth_s3_op_free(op);
	return true;
}

static void
check_read(Check *check)
{
	uint8		buffer[READ_LEN];
	SthS3Op    *op = sth_s3_get(check->s3, check->key, READ_AT, READ_LEN,
								buffer);

	if (went_well(check, "read back", op))
		emit(check, "read back", memcmp(buffer, content + READ_AT, READ_LEN) == 0,
			 "%s", memcmp(buffer, content + READ_AT, READ_LEN) == 0 ? "" :
			 "the store returned other bytes than were written");
	sth_s3_op_free(op);
}

static void
check_delete(Check *check)
{
	SthS3Op    *op = sth_s3_delete(check->s3, &check->key, 1);

	if (went_well(check, "delete", op))
		emit(check, "delete", true, "%s", "");
	sth_s3_op_free(op);
}

/* The server, if the user may look at what it can do. */
static SthServer *
find_server(const char *name)
{
	Oid			oid = get_foreign_server_oid(name, false);

	if (!sth_owns_server(oid))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, name);
	return sth_server_get(oid, false);
}

static void
close_client(void *arg)
{
	Check	   *check = arg;

	if (check->s3 != NULL)
		sth_s3_close(check->s3);
	check->s3 = NULL;
}

/* A client that goes with the current memory context, if not before. */
static void
open_client(Check *check)
{
	check->at_reset.func = close_client;
	check->at_reset.arg = check;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &check->at_reset);
	check->s3 = sth_bucket_client(check->server, PATIENCE);
}

/* check_server(name) */
Datum
sth_check_server(PG_FUNCTION_ARGS)
{
	Check	   *check = palloc0(sizeof(Check));

	InitMaterializedSRF(fcinfo, 0);
	check->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	check->server = find_server(NameStr(*PG_GETARG_NAME(0)));
	if (check->server->options.bucket == NULL)
	{
		emit(check, "database", true,
			 "the server keeps topics in this database");
		return (Datum) 0;
	}
	open_client(check);
	check->key = psprintf("%scheck/%016llx", check->server->options.prefix,
						  (unsigned long long) pg_prng_uint64(&pg_global_prng_state));
	if (check_list(check) && check_put(check))
	{
		check_read(check);
		check_delete(check);
		check_owner(check);
	}
	close_client(check);
	return (Datum) 0;
}
