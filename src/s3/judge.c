/*-------------------------------------------------------------------------
 *
 * judge.c
 *	  What an answer of a bucket means: done, refused, or to be tried again.
 *
 *	answer							means
 *	-------------------------------	------------------------------------------
 *	2xx, and what the operation		good
 *	  wants of it
 *	2xx without that				again; each third one counts as a failure
 *	2xx with an error document		what that says
 *	301, 302, 303, 307, 308			refused: another region or endpoint
 *	400 AuthorizationHeaderMal-		denied: another region
 *	  formed
 *	400, 401, 403 about the			refresh the credentials, then denied
 *	  credentials; 401, 403 to HEAD
 *	400 about what we sent			again, three times: it may have been
 *	  (BadDigest)					  damaged on the way; then invalid
 *	403 RequestTimeTooSkewed		denied; the difference is in the problem
 *	403 QuotaExceeded				again: the store is full
 *	401, 403 else					denied
 *	404 NoSuchBucket				no bucket
 *	404 else						not found
 *	408, 409 conflict, 425, 429, 5xx	again; 429 and 503 ask to be spared
 *	  except 501, 505
 *	412								exists
 *	416								range
 *	anything else					invalid
 *
 * Nothing of the answer is trusted: texts are clipped, and what is not
 * printable ASCII is replaced, so that they can stand in a message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "s3/answer.h"
#include "s3/client.h"

/* So many answers that make no sense say that the server is broken. */
#define BAD_ANSWERS 3

static const char *const credential_codes[] = {
	"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId",
	"InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired",
	"UnrecognizedClientException", NULL
};

/* What we sent did not arrive as it was. */
static const char *const damage_codes[] = {
	"BadDigest", "IncompleteBody", "InvalidDigest", "RequestTimeout",
	"XAmzContentSHA256Mismatch", NULL
};

static const char *const conflict_codes[] = {
	"ConditionalRequestConflict", "OperationAborted", NULL
};

static bool
is_one_of(const char *code, const char *const *codes)
{
	for (; *codes != NULL; codes++)
		if (strcmp(code, *codes) == 0)
			return true;
	return false;
}

/* Copies a text of the store's so that it can stand in a message. */
void
sth_s3_copy_text(char *to, Size size, const char *text, Size len)
{
	Size		n = Min(len, size - 1);

	for (Size i = 0; i < n; i++)
		to[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';

	to[n] = '\0';
}

static void
take_header(const SthHttp *http, const char *name, char *to, Size size)
{
	char	   *value = sth_http_header(http, name);

	if (value == NULL)
		return;
	sth_s3_copy_text(to, size, value, strlen(value));
	pfree(value);
}

/* Collects what an answer that is not good says. */
static void
describe(SthS3Problem *problem, const SthHttp *http)
{
	SthAnswerError error;
	const char *body;
	Size		len;

	memset(problem, 0, sizeof(SthS3Problem));
	problem->status = sth_http_status(http);
	problem->phase = sth_http_phase(http);
	if (sth_http_result(http) != STH_HTTP_ANSWERED)
	{
		const char *text = sth_http_error(http);

		sth_s3_copy_text(problem->text, sizeof(problem->text), text, strlen(text));
		return;
	}
	body = sth_http_body(http, &len);
	take_header(http, "x-amz-request-id", problem->request_id, sizeof(problem->request_id));
	take_header(http, "x-amz-bucket-region", problem->region, sizeof(problem->region));
	if (problem->status >= 300 && problem->status < 400)
		take_header(http, "location", problem->endpoint, sizeof(problem->endpoint));
	if (!sth_answer_error(body, len, &error))
		return;
	strlcpy(problem->code, error.code, sizeof(problem->code));
	strlcpy(problem->text, error.message, sizeof(problem->text));
	if (error.region[0] != '\0')
		strlcpy(problem->region, error.region, sizeof(problem->region));
	if (error.endpoint[0] != '\0')
		strlcpy(problem->endpoint, error.endpoint, sizeof(problem->endpoint));
	if (error.request_id[0] != '\0')
		strlcpy(problem->request_id, error.request_id, sizeof(problem->request_id));
}

static SthS3Verdict
final(SthS3Request *request, SthS3Result result)
{
	request->problem.result = result;
	return STH_S3_VERDICT_FINAL;
}

static SthS3Verdict
judge_transport(SthS3Request *request, SthHealthOutcome *outcome)
{
	SthHttpResult result = sth_http_result(request->http);

	*outcome = STH_HEALTH_FAILED;
	switch (result)
	{
		case STH_HTTP_REFUSED:
		case STH_HTTP_UNTRUSTED:
			*outcome = STH_HEALTH_UNKNOWN;
			return final(request, STH_S3_REFUSED);
		default:
			return STH_S3_VERDICT_AGAIN;
	}
}

/* An answer that does not fit what was asked. */
static SthS3Verdict
judge_bad_answer(SthS3Request *request, const char *why, SthHealthOutcome *outcome)
{
	strlcpy(request->problem.text, why, sizeof(request->problem.text));
	*outcome = ++request->bad_answers % BAD_ANSWERS == 0 ? STH_HEALTH_FAILED :
		STH_HEALTH_UNKNOWN;
	return STH_S3_VERDICT_AGAIN;
}

static SthS3Verdict
judge_unauthorized(SthS3Request *request)
{
	const char *code = request->problem.code;

	request->problem.result = STH_S3_DENIED;
	if (is_one_of(code, credential_codes))
		return STH_S3_VERDICT_REFRESH;
	if (code[0] == '\0' && request->kind == STH_S3_HEAD)
		return STH_S3_VERDICT_REFRESH;
	if (strcmp(code, "QuotaExceeded") == 0)
		return STH_S3_VERDICT_AGAIN;
	return STH_S3_VERDICT_FINAL;
}

static SthS3Verdict
judge_bad_request(SthS3Request *request)
{
	const char *code = request->problem.code;

	if (is_one_of(code, credential_codes))
		return judge_unauthorized(request);
	if (strcmp(code, "AuthorizationHeaderMalformed") == 0)
		return final(request, STH_S3_DENIED);
	if (strcmp(code, "RequestTimeout") == 0 ||
		(is_one_of(code, damage_codes) && ++request->bad_answers < BAD_ANSWERS))
		return STH_S3_VERDICT_AGAIN;
	/* a HEAD has no body that could say more */
	if (code[0] == '\0' && request->kind == STH_S3_HEAD && !request->refreshed)
	{
		request->problem.result = STH_S3_INVALID;
		return STH_S3_VERDICT_REFRESH;
	}
	return final(request, STH_S3_INVALID);
}

static SthS3Verdict
judge_status(SthS3Request *request, int status, SthHealthOutcome *outcome)
{
	const char *code = request->problem.code;

	*outcome = STH_HEALTH_GOOD;
	switch (status)
	{
		case 301:
		case 302:
		case 303:
		case 307:
		case 308:
			return final(request, STH_S3_REFUSED);
		case 400:
			return judge_bad_request(request);
		case 401:
		case 403:
			return judge_unauthorized(request);
		case 404:
			return final(request, strcmp(code, "NoSuchBucket") == 0 ?
						 STH_S3_NO_BUCKET : STH_S3_NOT_FOUND);
		case 409:
			return is_one_of(code, conflict_codes) ? STH_S3_VERDICT_AGAIN :
				final(request, STH_S3_INVALID);
		case 408:
		case 425:
			return STH_S3_VERDICT_AGAIN;
		case 412:
			return final(request, STH_S3_EXISTS);
		case 416:
			return final(request, STH_S3_RANGE);
		case 429:
		case 503:
			*outcome = STH_HEALTH_THROTTLED;
			return STH_S3_VERDICT_AGAIN;
		case 501:
		case 505:
			return final(request, STH_S3_INVALID);
		default:
			break;
	}
	if (status < 500)
		return final(request, STH_S3_INVALID);
	*outcome = STH_HEALTH_FAILED;
	return STH_S3_VERDICT_AGAIN;
}

/* The status that belongs to the code of an error under status 200. */
static int
status_of_code(const char *code)
{
	if (strcmp(code, "InternalError") == 0)
		return 500;
	if (strcmp(code, "SlowDown") == 0 || strcmp(code, "ServiceUnavailable") == 0)
		return 503;
	if (strcmp(code, "NoSuchUpload") == 0)
		return 404;
	if (strcmp(code, "PreconditionFailed") == 0)
		return 412;
	return 400;
}

/*
 * Judges how an attempt has ended; for what is not good request->problem says
 * how.
 */
SthS3Verdict
sth_s3_judge(SthS3Request *request, SthHealthOutcome *outcome)
{
	SthHttp    *http = request->http;
	int			status = sth_http_status(http);
	const char *lacking;

	*outcome = STH_HEALTH_GOOD;
	if (sth_http_result(http) == STH_HTTP_ANSWERED && status >= 200 && status < 300)
	{
		lacking = request->check != NULL ? request->check(request) : NULL;
		if (lacking == NULL)
			return STH_S3_VERDICT_GOOD;
		describe(&request->problem, http);
		if (request->problem.code[0] == '\0')
			return judge_bad_answer(request, lacking, outcome);
		status = status_of_code(request->problem.code);
		return judge_status(request, status, outcome);
	}
	describe(&request->problem, http);
	if (sth_http_result(http) != STH_HTTP_ANSWERED)
		return judge_transport(request, outcome);
	return judge_status(request, status, outcome);
}
