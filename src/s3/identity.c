/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Keys from services that know who this machine is, as Amazon's own
 *	  programs find them: by the environment of the server.
 *
 *	web identity	AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN: one request to
 *					STS, at AWS_ENDPOINT_URL_STS or the region's
 *	container		AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, with
 *					what AWS_CONTAINER_AUTHORIZATION_TOKEN or _TOKEN_FILE says:
 *					one request
 *	instance		three: a token, the name of the role, its keys
 *
 * Requests to the two latter go to link-local addresses, which nothing else
 * may; and only to these.  Without TLS a container's address has to be one of
 * this machine, or of those that Amazon uses for it.
 *
 * Failure: what cannot be had is a state with a text, not an error.  Texts say
 * where it was asked and what a service called the problem; answers, which may
 * hold keys, are not shown.
 *
 * Memory: a context for each, keys in it, which are wiped with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "s3/answer.h"
#include "s3/http.h"
#include "s3/identity.h"
#include "s3/key_file.h"
#include "s3/key_json.h"
#include "s3/sigv4.h"
#include "utils/memutils.h"

#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST "http://169.254.169.254"
#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"

/* These are next to us, or not there at all. */
#define NEAR_CONNECT_TIMEOUT 1000
#define FAR_CONNECT_TIMEOUT 5000
#define STALL_TIMEOUT 5000

#define MAX_ANSWER (64 * 1024)
#define MAX_TOKEN (16 * 1024)

typedef enum Step
{
	STEP_WEB_KEYS,
	STEP_CONTAINER_KEYS,
	STEP_INSTANCE_TOKEN,
	STEP_INSTANCE_ROLE,
	STEP_INSTANCE_KEYS
} Step;

struct SthIdentity
{
	MemoryContext context;
	MemoryContextCallback at_reset;
	Step		step;
	const char *region;
	const char *ca_file;
	SthHttp    *http;			/* NULL: the step has not begun */
	const char *who;			/* is asked, for messages */
	char	   *token;			/* of the instance's metadata service */
	char	   *role;
	struct iovec body;			/* of the request that is on its way */
	SthIdentityState state;
	SthKeys		keys;
	char		problem[256];
};

/* NULL for what is not set, or empty. */
static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

bool
sth_identity_configured(SthIdentityKind kind)
{
	const char *disabled = environment("AWS_EC2_METADATA_DISABLED");

	switch (kind)
	{
		case STH_IDENTITY_WEB:
			return environment("AWS_WEB_IDENTITY_TOKEN_FILE") != NULL &&
				environment("AWS_ROLE_ARN") != NULL;
		case STH_IDENTITY_CONTAINER:
			return environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL ||
				environment("AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL;
		case STH_IDENTITY_INSTANCE:
			return disabled == NULL || pg_strcasecmp(disabled, "true") != 0;
	}
	return false;
}

/* --- failing --------------------------------------------------------------- */

static void end_in(SthIdentity *identity, SthIdentityState state,
				   const char *format,...) pg_attribute_printf(3, 4);

static void
end_in(SthIdentity *identity, SthIdentityState state, const char *format,...)
{
	va_list		args;

	identity->state = state;
	va_start(args, format);
	vsnprintf(identity->problem, sizeof(identity->problem), format, args);
	va_end(args);
}

/* --- asking ---------------------------------------------------------------- */

/*
 * Sends the request of a step; headers end with a NULL.  An address that is
 * known to nobody else, as a container's, is not in 'who'.
 */
static void
send_request(SthIdentity *identity, const char *who, const char *method,
			 const char *url, const char *const *headers, char *body, bool is_near)
{
	SthHttpRequest request;

	memset(&request, 0, sizeof(request));
	identity->who = who;
	request.method = method;
	request.url = url;
	request.headers = headers;
	while (headers[request.nheaders] != NULL)
		request.nheaders++;
	if (body != NULL)
	{
		identity->body.iov_base = body;
		identity->body.iov_len = strlen(body);
		request.pieces = &identity->body;
		request.npieces = 1;
		request.len = identity->body.iov_len;
		request.has_body = true;
	}
	request.max_answer = MAX_ANSWER;
	request.ca_file = identity->ca_file;
	request.allow_link_local = is_near;
	request.connect_timeout = is_near ? NEAR_CONNECT_TIMEOUT : FAR_CONNECT_TIMEOUT;
	request.stall_timeout = STALL_TIMEOUT;
	identity->http = sth_http_begin(&request);
}

/*
 * What stands in a file that holds one token, without blanks around it; NULL,
 * and the end, if there is none.
 */
static char *
read_token(SthIdentity *identity, const char *path)
{
	SthKeyFile	file;
	char	   *token = palloc(MAX_TOKEN + 1);
	Size		len = 0;

	memset(&file, 0, sizeof(file));
	file.path = path;
	if (sth_key_file_read(&file, token, MAX_TOKEN, &len) != STH_KEY_FILE_READ)
	{
		end_in(identity, STH_IDENTITY_FAILED, "could not read file \"%.120s\": %s",
			   path, strerror(errno));
		return NULL;
	}
	while (len > 0 && (unsigned char) token[len - 1] <= ' ')
		len--;
	token[len] = '\0';
	for (Size i = 0; i < len; i++)
		if ((unsigned char) token[i] < ' ')
			len = 0;
	if (len > 0)
		return token;
	end_in(identity, STH_IDENTITY_FAILED, "there is no token in file \"%.120s\"", path);
	return NULL;
}

static char *
encoded(const char *value)
{
	Size		size = 3 * strlen(value) + 1;
	char	   *result = palloc(size);

	(void) sth_percent_encode(value, false, result, size);
	return result;
}

/* STS's, in the partition that the region is in; NULL if it is none. */
static const char *
sts_url(const char *region)
{
	const char *named = environment("AWS_ENDPOINT_URL_STS");

	if (named != NULL)
		return named;
	if (environment("AWS_REGION") != NULL)
		region = environment("AWS_REGION");
	else if (environment("AWS_DEFAULT_REGION") != NULL)
		region = environment("AWS_DEFAULT_REGION");
	if (region == NULL || *region == '\0' ||
		region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
		return NULL;
	return psprintf("https://sts.%s.amazonaws.com%s", region,
					strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

static void
ask_sts(SthIdentity *identity)
{
	const char *headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
	const char *session = environment("AWS_ROLE_SESSION_NAME");
	const char *role = environment("AWS_ROLE_ARN");
	const char *url = sts_url(identity->region);
	char	   *token;

	if (url == NULL)
	{
		end_in(identity, STH_IDENTITY_FAILED, "AWS_REGION is not the name of a region");
		return;
	}
	token = read_token(identity, environment("AWS_WEB_IDENTITY_TOKEN_FILE"));
	if (token == NULL)
		return;
	send_request(identity, psprintf("the token service %s", url), "POST", url, headers,
				 psprintf("Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
						  "&RoleArn=%s&RoleSessionName=%s&WebIdentityToken=%s",
						  encoded(role), encoded(session ? session : "streamhouse"), encoded(token)),
				 false);
}

/* May we ask there without TLS?  It is us, or an address for that purpose. */
static bool
is_near(const char *url)
{
	static const char *const hosts[] = {
		"http://localhost", "http://127.0.0.1", "http://[::1]", CONTAINER_HOST,
		"http://169.254.170.23", "http://[fd00:ec2::23]"
	};

	for (int i = 0; i < (int) lengthof(hosts); i++)
	{
		Size		len = strlen(hosts[i]);

		if (strncmp(url, hosts[i], len) == 0 && (url[len] == '\0' || strchr(":/?", url[len]) != NULL))
			return strchr(url, '@') == NULL;
	}
	return false;
}

static void
ask_container(SthIdentity *identity)
{
	const char *relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *url = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	const char *file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *headers[] = {NULL, NULL};

	if (relative != NULL)
		url = psprintf("%s%s%s", CONTAINER_HOST, *relative == '/' ? "" : "/", relative);
	if (!is_near(url) && strncmp(url, "https://", 8) != 0)
	{
		end_in(identity, STH_IDENTITY_FAILED,
			   "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine");
		return;
	}
	if (file != NULL)
	{
		token = read_token(identity, file);
		if (token == NULL)
			return;
	}
	if (token != NULL)
	{
		if (strpbrk(token, "\r\n") != NULL)
		{
			end_in(identity, STH_IDENTITY_FAILED, "AWS_CONTAINER_AUTHORIZATION_TOKEN has more than one line");
			return;
		}
		headers[0] = psprintf("Authorization: %s", token);
	}
	send_request(identity, "the container's credentials service", "GET", url,
				 headers, NULL, is_near(url));
}

static void
ask_instance(SthIdentity *identity)
{
	const char *host = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *headers[] = {NULL, NULL};
	const char *who;
	int			len;

	if (host == NULL)
		host = INSTANCE_HOST;
	len = (int) strlen(host);
	while (len > 0 && host[len - 1] == '/')
		len--;
	who = psprintf("the instance's metadata service %.*s", len, host);
	switch (identity->step)
	{
		case STEP_INSTANCE_TOKEN:
			headers[0] = "X-aws-ec2-metadata-token-ttl-seconds: 300";
			send_request(identity, who, "PUT", psprintf("%.*s/latest/api/token", len, host),
						 headers, pstrdup(""), true);
			break;
		case STEP_INSTANCE_ROLE:
			headers[0] = psprintf("X-aws-ec2-metadata-token: %s", identity->token);
			send_request(identity, who, "GET", psprintf("%.*s" ROLES_PATH, len, host),
						 headers, NULL, true);
			break;
		default:
			headers[0] = psprintf("X-aws-ec2-metadata-token: %s", identity->token);
			send_request(identity, who, "GET", psprintf("%.*s" ROLES_PATH "%s", len, host, encoded(identity->role)),
						 headers, NULL, true);
			break;
	}
}

/* Begins the step, unless there is no room for a request now. */
static void
ask(SthIdentity *identity)
{
	MemoryContext old;

	if (!sth_http_has_room())
		return;
	old = MemoryContextSwitchTo(identity->context);
	if (identity->step == STEP_WEB_KEYS)
		ask_sts(identity);
	else if (identity->step == STEP_CONTAINER_KEYS)
		ask_container(identity);
	else
		ask_instance(identity);
	MemoryContextSwitchTo(old);
}

/* --- answers --------------------------------------------------------------- */

/* An answer that is one line, which goes into the next request; NULL: it is not. */
static char *
take_line(const char *body, Size len)
{
	Size		n = 0;

	while (n < len && (unsigned char) body[n] > ' ' && (unsigned char) body[n] < 0x7f)
		n++;
	if (n == 0 || n > 1024 || (n < len && body[n] != '\n' && body[n] != '\r'))
		return NULL;
	return pnstrdup(body, n);
}

/* False if the body of an answer 200 is not what it should be. */
static bool
take_body(SthIdentity *identity, const char *body, Size len)
{
	switch (identity->step)
	{
		case STEP_WEB_KEYS:
			identity->state = STH_IDENTITY_GIVEN;
			return sth_answer_role(body, len, &identity->keys) == STH_ANSWER_OK;
		case STEP_INSTANCE_TOKEN:
			identity->token = take_line(body, len);
			identity->step = STEP_INSTANCE_ROLE;
			return identity->token != NULL;
		case STEP_INSTANCE_ROLE:
			identity->role = take_line(body, len);
			identity->step = STEP_INSTANCE_KEYS;
			return identity->role != NULL;
		case STEP_CONTAINER_KEYS:
		case STEP_INSTANCE_KEYS:
			identity->state = STH_IDENTITY_GIVEN;
			return sth_json_keys(body, len, &identity->keys);
	}
	return false;
}

/* An answer with another status. */
static void
take_refusal(SthIdentity *identity, int status, const char *body, Size len)
{
	SthAnswerError error;

	if (status >= 500 || status == 429)
		end_in(identity, STH_IDENTITY_UNREACHABLE, "%.120s answered with status %d",
			   identity->who, status);
	else if (identity->step == STEP_WEB_KEYS && sth_answer_error(body, len, &error) && error.code[0] != '\0')
		end_in(identity, STH_IDENTITY_FAILED, "%.100s answered: %s", identity->who, error.code);
	else if (identity->step == STEP_INSTANCE_ROLE && status == 404)
		end_in(identity, STH_IDENTITY_FAILED, "the instance has no role");
	else
		end_in(identity, STH_IDENTITY_FAILED, "%.120s answered with status %d",
			   identity->who, status);
}

static void
take_answer(SthIdentity *identity, SthHttp *http)
{
	Size		len;
	const char *body = sth_http_body(http, &len);

	switch (sth_http_result(http))
	{
		case STH_HTTP_ANSWERED:
			if (sth_http_status(http) != 200)
				take_refusal(identity, sth_http_status(http), body, len);
			else if (!take_body(identity, body, len))
				end_in(identity, STH_IDENTITY_FAILED, "%.120s answered with something unexpected",
					   identity->who);
			break;
		case STH_HTTP_UNTRUSTED:
		case STH_HTTP_TOO_LARGE:
		case STH_HTTP_REFUSED:
			end_in(identity, STH_IDENTITY_FAILED, "%.120s: %.100s", identity->who, sth_http_error(http));
			break;
		default:
			end_in(identity, STH_IDENTITY_UNREACHABLE, "%.120s: %.100s", identity->who, sth_http_error(http));
			break;
	}
}

/* --- life ------------------------------------------------------------------ */

static void
wipe(void *arg)
{
	SthIdentity *identity = arg;

	explicit_bzero(&identity->keys, sizeof(identity->keys));
}

SthIdentity *
sth_identity_begin(SthIdentityKind kind, const char *region, const char *ca_file)
{
	static const Step first[] = {STEP_WEB_KEYS, STEP_CONTAINER_KEYS, STEP_INSTANCE_TOKEN};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamhouse identity",
												  ALLOCSET_SMALL_SIZES);
	SthIdentity *identity = MemoryContextAllocZero(context, sizeof(SthIdentity));

	identity->context = context;
	identity->step = first[kind];
	identity->region = region;
	identity->ca_file = ca_file;
	identity->state = STH_IDENTITY_RUNNING;
	identity->at_reset.func = wipe;
	identity->at_reset.arg = identity;
	MemoryContextRegisterResetCallback(context, &identity->at_reset);
	ask(identity);
	return identity;
}

SthIdentityState
sth_identity_run(SthIdentity *identity)
{
	while (identity->state == STH_IDENTITY_RUNNING)
	{
		SthHttp    *http;
		MemoryContext old;

		if (identity->http == NULL)
			ask(identity);
		if (identity->http == NULL || !sth_http_done(identity->http))
			break;
		old = MemoryContextSwitchTo(identity->context);
		take_answer(identity, identity->http);
		MemoryContextSwitchTo(old);
		http = identity->http;
		identity->http = NULL;
		sth_http_free(http);
	}
	return identity->state;
}

const SthKeys *
sth_identity_keys(const SthIdentity *identity)
{
	return &identity->keys;
}

const char *
sth_identity_problem(const SthIdentity *identity)
{
	return identity->problem;
}

void
sth_identity_free(SthIdentity *identity)
{
	MemoryContextDelete(identity->context);
}
