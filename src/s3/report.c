/*-------------------------------------------------------------------------
 *
 * report.c
 *	  What a user reads about an operation that failed.
 *
 * What comes from the store is printable ASCII already, and no secret: what
 * we sent stands in none of it but the access key, which stores repeat in some
 * messages, and which is no secret either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "s3/client.h"

static int
sqlstate(SthS3Result result)
{
	switch (result)
	{
		case STH_S3_NOT_FOUND:
		case STH_S3_NO_BUCKET:
			return ERRCODE_UNDEFINED_FILE;
		case STH_S3_EXISTS:
			return ERRCODE_DUPLICATE_FILE;
		case STH_S3_DENIED:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case STH_S3_RANGE:
			return ERRCODE_DATA_CORRUPTED;
		case STH_S3_UNAVAILABLE:
			return ERRCODE_CONNECTION_FAILURE;
		case STH_S3_REFUSED:
			return ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
		default:
			return ERRCODE_FDW_ERROR;
	}
}

static bool
is_redirect(const SthS3Problem *problem)
{
	return problem->status >= 300 && problem->status < 400;
}

/* Scheme and host of an address: the rest is nobody's business. */
static int
host_len(const char *address)
{
	const char *host = strstr(address, "://");

	host = host != NULL ? host + 3 : address;
	return (int) (host - address) + (int) strcspn(host, "/?#");
}

/* Where the store says that the bucket is. */
static const char *
elsewhere(const SthS3Problem *problem)
{
	if (problem->region[0] != '\0')
		return psprintf("The store says that the bucket is in region \"%s\".",
						problem->region);
	if (problem->endpoint[0] != '\0')
		return psprintf("The store says that the bucket is at \"%.*s\".",
						host_len(problem->endpoint), problem->endpoint);
	return "The store says that the bucket is elsewhere.";
}

static const char *
detail(const SthS3Op *op)
{
	const SthS3Problem *problem = &op->problem;
	StringInfoData text;

	initStringInfo(&text);
	if (problem->result == STH_S3_EXISTS)
		appendStringInfoString(&text, "There is an object that another writer has put there.");
	else if (problem->status != 0)
	{
		appendStringInfo(&text, "The store answered with HTTP status %d", problem->status);
		if (problem->code[0] != '\0')
			appendStringInfo(&text, " %s", problem->code);
		if (problem->text[0] != '\0')
			appendStringInfo(&text, ": %s", problem->text);
		if (problem->request_id[0] != '\0')
			appendStringInfo(&text, " (request %s)", problem->request_id);
	}
	else
		appendStringInfoString(&text, problem->text);
	if (problem->attempts > 1)
		appendStringInfo(&text, "; %d attempts", problem->attempts);
	*text.data = pg_toupper((unsigned char) *text.data);
	if (text.len > 0 && text.data[text.len - 1] != '.')
		appendStringInfoChar(&text, '.');
	if (is_redirect(problem) || problem->region[0] != '\0')
		appendStringInfo(&text, " %s", elsewhere(problem));
	if (strcmp(problem->code, "RequestTimeTooSkewed") == 0 && op->clock_known)
		appendStringInfo(&text, " The clock of this machine is " INT64_FORMAT " seconds %s the store's.",
						 op->clock < 0 ? -op->clock : op->clock,
						 op->clock < 0 ? "ahead of" : "behind");
	return text.data;
}

static const char *
hint_without_answer(const SthS3Op *op)
{
	switch (op->problem.phase)
	{
		case STH_HTTP_AT_NAME:
			return psprintf("Check the endpoint and the name service: the name is \"%s\".", op->s3->host);
		case STH_HTTP_AT_CONNECTION:
			return psprintf("Check that the store runs, and that \"%s\" can be reached from the database server.", op->s3->host);
		case STH_HTTP_AT_TLS:
			return "Check that the endpoint speaks TLS, and the option ca_file.";
		default:
			return "Check the store and the network between.";
	}
}

static const char *
hint_denied(const SthS3Problem *problem)
{
	if (strcmp(problem->code, "RequestTimeTooSkewed") == 0)
		return "Set the clock of this machine, or of the store.";
	if (problem->region[0] != '\0')
		return "Set the server's option region.";
	if (strcmp(problem->code, "AccessDenied") == 0)
		return "Check what the bucket's policy and that of the access key allow.";
	return "Check access key and secret in the user mapping of the server's owner, or where else the credentials come from.";
}

/* What to do; NULL if there is nothing to say. */
static const char *
hint(const SthS3Op *op)
{
	const SthS3Problem *problem = &op->problem;

	switch (problem->result)
	{
		case STH_S3_NO_BUCKET:
			return "Create the bucket, or check the server's option url.";
		case STH_S3_DENIED:
			return hint_denied(problem);
		case STH_S3_UNAVAILABLE:
			/* a good answer of which not all came, or that was another's */
			return problem->status >= 300 ? "The store may be overloaded or out of order: try again later." :
				hint_without_answer(op);
		case STH_S3_REFUSED:
			if (is_redirect(problem))
				return "Redirects are not followed: set the server's options region or endpoint.";
			return problem->phase == STH_HTTP_AT_TLS ?
				"Check the endpoint's certificate, and the option ca_file." :
				"A superuser can allow it by the server's option allow_link_local.";
		default:
			return NULL;
	}
}

/*
 * Raises, or logs, what has become of an operation that did not succeed.
 */
void
sth_s3_report(const SthS3Op *op, int elevel)
{
	const SthS3Settings *settings = &op->s3->settings;
	const char *more = detail(op);
	const char *advice = hint(op);

	ereport(elevel,
			(errcode(sqlstate(op->problem.result)),
			 *op->key == '\0' ?
			 errmsg("could not %s bucket \"%s\" of server \"%s\"", op->what,
					settings->bucket, settings->name) :
			 errmsg("could not %s \"%s\" in bucket \"%s\" of server \"%s\"",
					op->what, op->key, settings->bucket, settings->name),
			 *more != '\0' ? errdetail("%s", more) : 0,
			 advice != NULL ? errhint("%s", advice) : 0));
}
