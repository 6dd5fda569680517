/*-------------------------------------------------------------------------
 *
 * key_json.c
 *	  Keys in the JSON that a machine's metadata service answers with, by
 *	  PostgreSQL's JSON parser.
 *
 * What is not ASCII, or nested as no such answer is, is refused beforehand: so
 * the parser neither recodes nor recurses deeply, and raises no error but that
 * there is no memory.  Its own errors, which quote the text, are not made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "s3/answer.h"
#include "s3/key_json.h"
#include "utils/memutils.h"

#define MAX_BRACKETS 64

typedef struct JsonKeys
{
	SthKeys    *keys;
	int			depth;
	char	   *field;			/* of the outermost object */
	bool		bad;
} JsonKeys;

static SthJsonResult
enter(void *state)
{
	((JsonKeys *) state)->depth++;
	STH_JSON_GO_ON;
}

static SthJsonResult
leave(void *state)
{
	((JsonKeys *) state)->depth--;
	STH_JSON_GO_ON;
}

static SthJsonResult
begin_field(void *state, char *name, bool isnull)
{
	JsonKeys   *json = state;

	if (json->depth == 1)
		json->field = name;
	STH_JSON_GO_ON;
}

static void
take(JsonKeys *json, const char *value, char *to, Size size)
{
	if (strlcpy(to, value, size) >= size)
		json->bad = true;
}

static SthJsonResult
take_scalar(void *state, char *token, JsonTokenType type)
{
	JsonKeys   *json = state;
	SthKeys    *keys = json->keys;

	if (json->depth != 1 || json->field == NULL || type != JSON_TOKEN_STRING)
		STH_JSON_GO_ON;
	if (strcmp(json->field, "AccessKeyId") == 0)
		take(json, token, keys->access_key, sizeof(keys->access_key));
	else if (strcmp(json->field, "SecretAccessKey") == 0)
		take(json, token, keys->secret, sizeof(keys->secret));
	else if (strcmp(json->field, "Token") == 0)
		take(json, token, keys->session_token, sizeof(keys->session_token));
	else if (strcmp(json->field, "Expiration") == 0)
		json->bad |= !sth_parse_time(token, &keys->expires);
	STH_JSON_GO_ON;
}

/* Is it what the parser can be given? */
static bool
is_harmless(const char *body, Size len)
{
	int			brackets = 0;

	for (Size i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) body[i];

		if (c == '\0' || c >= 0x7f)
			return false;
		/* \u007f and less is ASCII */
		if (c == '\\' && i + 2 < len && body[i + 1] == 'u' &&
			(len - i < 6 || strncmp(body + i + 2, "00", 2) != 0 || body[i + 4] > '7'))
			return false;
		if ((c == '{' || c == '[') && ++brackets > MAX_BRACKETS)
			return false;
	}
	return len > 0;
}

static bool
parse(const char *body, Size len, JsonKeys *json)
{
	JsonSemAction actions;

	memset(&actions, 0, sizeof(actions));
	actions.semstate = json;
	actions.object_start = actions.array_start = enter;
	actions.object_end = actions.array_end = leave;
	actions.object_field_start = begin_field;
	actions.scalar = take_scalar;
	return pg_parse_json(sth_json_lexer(body, len), &actions) == JSON_SUCCESS;
}

bool
sth_json_keys(const char *body, Size len, SthKeys *keys)
{
	MemoryContext context;
	MemoryContext old;
	JsonKeys	json = {keys, 0, NULL, false};
	bool		good;

	memset(keys, 0, sizeof(*keys));
	if (!is_harmless(body, len))
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "streamhouse json",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	good = parse(body, len, &json) && !json.bad &&
		keys->access_key[0] != '\0' && keys->secret[0] != '\0';
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (!good)
		explicit_bzero(keys, sizeof(*keys));
	return good;
}
