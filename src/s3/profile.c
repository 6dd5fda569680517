/*-------------------------------------------------------------------------
 *
 * profile.c
 *	  Keys in files of the form of ~/.aws/credentials and ~/.aws/config.
 *
 *		[default]
 *		aws_access_key_id = AKIA...
 *		aws_secret_access_key = ...
 *		aws_session_token = ...
 *
 * Such files are other programs', too: what is in sections of others is not
 * looked at, nor are settings that are not ours or that are indented under
 * others.  A profile that stands there twice has the settings of both, and
 * the last one counts.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/profile.h"

#include <string.h>

/* A part of the contents. */
typedef struct Span
{
	const char *start;
	const char *end;
} Span;

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static Span
trim(const char *start, const char *end)
{
	Span		span;

	while (start < end && is_blank(*start))
		start++;
	while (end > start && is_blank(end[-1]))
		end--;
	span.start = start;
	span.end = end;
	return span;
}

static bool
is(Span span, const char *what)
{
	size_t		len = strlen(what);

	return (size_t) (span.end - span.start) == len && memcmp(span.start, what, len) == 0;
}

/* Likewise, whatever the case. */
static bool
is_setting(Span span, const char *name)
{
	if ((size_t) (span.end - span.start) != strlen(name))
		return false;
	for (const char *p = span.start; p < span.end; p++, name++)
		if ((*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p) != *name)
			return false;
	return true;
}

/* Is the section of this header ("[profile name]", without brackets) ours? */
static bool
is_section(Span header, const char *profile, bool config)
{
	static const char word[] = "profile";
	Span		name = header;

	if (config && !is(header, "default"))
	{
		size_t		len = sizeof(word) - 1;

		if ((size_t) (header.end - header.start) <= len ||
			memcmp(header.start, word, len) != 0 || !is_blank(header.start[len]))
			return false;
		name = trim(header.start + len, header.end);
	}
	return is(name, profile);
}

/* Takes a value; NULL, or what is wrong with it. */
static const char *
take_value(Span value, char *to, size_t size)
{
	size_t		len = (size_t) (value.end - value.start);

	if (len >= size)
		return "the value is too long";
	for (const char *p = value.start; p < value.end; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return "the value has a blank in it, or a character that no key has";
	memcpy(to, value.start, len);
	to[len] = '\0';
	return NULL;
}

/* A line of our section; NULL, or what is wrong with it. */
static const char *
take_line(Span line, SthKeys *keys)
{
	const char *equals = memchr(line.start, '=', (size_t) (line.end - line.start));
	Span		name;
	Span		value;

	if (equals == NULL)
		return "expected \"name = value\"";
	name = trim(line.start, equals);
	value = trim(equals + 1, line.end);
	if (is_setting(name, "aws_access_key_id"))
		return take_value(value, keys->access_key, sizeof(keys->access_key));
	if (is_setting(name, "aws_secret_access_key"))
		return take_value(value, keys->secret, sizeof(keys->secret));
	if (is_setting(name, "aws_session_token"))
		return take_value(value, keys->session_token, sizeof(keys->session_token));
	return NULL;
}

/* Goes through all lines; NULL, or what is wrong with the one in fault->line. */
static const char *
read_lines(const char *contents, const char *end, const char *profile,
		   bool config, SthKeys *keys, int *nline, int *section)
{
	bool		ours = false;

	for (const char *p = contents; p < end;)
	{
		const char *newline = memchr(p, '\n', (size_t) (end - p));
		bool		indented = is_blank(*p);
		Span		line = trim(p, newline ? newline : end);

		p = newline ? newline + 1 : end;
		(*nline)++;
		if (line.start == line.end || *line.start == '#' || *line.start == ';')
			continue;
		if (*line.start == '[')
		{
			const char *close = memchr(line.start, ']', (size_t) (line.end - line.start));

			if (close == NULL)
				return "the name of a section does not end";
			ours = is_section(trim(line.start + 1, close), profile, config);
			if (ours)
				*section = *nline;
		}
		else if (ours && !indented)
		{
			const char *wrong = take_line(line, keys);

			if (wrong != NULL)
				return wrong;
		}
	}
	return NULL;
}

SthProfileResult
sth_profile_read(const char *contents, size_t len, const char *profile,
				 bool config, SthKeys *keys, SthProfileFault *fault)
{
	int			section = 0;

	memset(keys, 0, sizeof(*keys));
	fault->line = 0;
	fault->what = read_lines(contents, contents + len, profile, config, keys,
							 &fault->line, &section);
	if (fault->what == NULL && (keys->access_key[0] == '\0') != (keys->secret[0] == '\0'))
	{
		fault->line = section;
		fault->what = "one of aws_access_key_id and aws_secret_access_key is missing";
	}
	if (fault->what == NULL && keys->access_key[0] != '\0')
		return STH_PROFILE_FOUND;
	explicit_bzero(keys, sizeof(*keys));
	return fault->what != NULL ? STH_PROFILE_DAMAGED : STH_PROFILE_ABSENT;
}
