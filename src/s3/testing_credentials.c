/*-------------------------------------------------------------------------
 *
 * testing_credentials.c
 *	  Credentials by SQL, in test builds only.
 *
 * The extension does not ship this function: a test declares it,
 *
 *		CREATE FUNCTION credentials(command text, argument text = '')
 *			RETURNS text LANGUAGE c AS 'streamhouse', 'sth_testing_credentials';
 *
 * There is one of them a session: 'mapping', 'file' and 'environment' open it,
 * 'get' waits for keys and tells them, 'peek' does not wait, 'refresh' says
 * that they were refused, 'json' reads the keys in its argument, 'setenv'
 * sets a variable ("NAME=value") of the session's own environment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef STH_FAILPOINTS

#include "base/compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "s3/credentials.h"
#include "s3/http.h"
#include "s3/key_json.h"
#include "storage/latch.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sth_testing_credentials);

static SthCredentials *credentials = NULL;

static const char *
open_source(const char *command, char *argument)
{
	SthCredentialSource source;

	memset(&source, 0, sizeof(source));
	source.region = "eu-west-1";
	if (strcmp(command, "mapping") == 0)
	{
		source.access_key_id = "mapped";
		source.secret_access_key = argument;
	}
	else if (strcmp(command, "file") == 0)
		source.file = argument;
	else
		source.use_environment = strcmp(argument, "no") != 0;
	if (credentials != NULL)
		sth_credentials_close(credentials);
	credentials = NULL;
	credentials = sth_credentials_open(&source);
	return "opened";
}

static const char *
peek(void)
{
	SthSigv4Keys keys;

	if (sth_http_busy())
		(void) sth_http_wait(0, PG_WAIT_EXTENSION);
	if (sth_credentials_get(credentials, &keys))
		return psprintf("%s %s %s of %s", keys.access_key, keys.secret,
						keys.session_token ? keys.session_token : "-",
						sth_credentials_origin(credentials));
	if (sth_credentials_pending(credentials))
		return "pending";
	return psprintf("none: %s", sth_credentials_problem(credentials));
}

static const char *
get(void)
{
	const char *result = peek();

	while (strcmp(result, "pending") == 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (sth_http_wait(20000, PG_WAIT_EXTENSION) & WL_LATCH_SET)
			ResetLatch(MyLatch);
		result = peek();
	}
	return result;
}

static const char *
json(const char *body)
{
	SthKeys		keys;

	if (!sth_json_keys(body, strlen(body), &keys))
		return "none";
	return psprintf("%s %s %s " INT64_FORMAT, keys.access_key, keys.secret,
					keys.session_token, keys.expires);
}

static const char *
set_variable(char *assignment)
{
	char	   *value = strchr(assignment, '=');

	*value++ = '\0';
	setenv(assignment, value, 1);
	return "set";
}

Datum
sth_testing_credentials(PG_FUNCTION_ARGS)
{
	char	   *command = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *argument = text_to_cstring(PG_GETARG_TEXT_PP(1));
	const char *result;

	if (strcmp(command, "get") == 0)
		result = get();
	else if (strcmp(command, "peek") == 0)
		result = peek();
	else if (strcmp(command, "refresh") == 0)
		result = sth_credentials_refresh(credentials) ? "try again" : "no use";
	else if (strcmp(command, "json") == 0)
		result = json(argument);
	else if (strcmp(command, "setenv") == 0)
		result = set_variable(argument);
	else
		result = open_source(command, argument);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

#endif							/* STH_FAILPOINTS */
