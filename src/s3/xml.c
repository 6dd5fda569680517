/*-------------------------------------------------------------------------
 *
 * xml.c
 *	  Pulls elements out of the XML that a store answers with.
 *
 * Names and text are slices of the document, which has to outlive the reader.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/xml.h"

#include <stdint.h>
#include <string.h>

#define MAX_NAME 64

void
sth_xml_begin(SthXml *xml, const char *document, size_t len)
{
	memset(xml, 0, sizeof(*xml));
	xml->at = document;
	xml->end = document + len;
	xml->last = STH_XML_END;
	if (len >= 3 && memcmp(document, "\xEF\xBB\xBF", 3) == 0)
		xml->at += 3;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_name_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool
is_name_char(char c)
{
	return is_name_start(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':';
}

static bool
starts(const char *p, const char *end, const char *what)
{
	size_t		len = strlen(what);

	return (size_t) (end - p) >= len && memcmp(p, what, len) == 0;
}

/* Behind the next 'what' at or after p, NULL if there is none. */
static const char *
behind(const char *p, const char *end, const char *what)
{
	for (; (p = memchr(p, what[0], (size_t) (end - p))) != NULL; p++)
		if (starts(p, end, what))
			return p + strlen(what);
	return NULL;
}

/*
 * Behind a comment, a processing instruction or a CDATA section that begins
 * at p; p itself if none does, NULL if it does not end.
 */
static const char *
skip_special(const char *p, const char *end)
{
	if (starts(p, end, "<!--"))
		return behind(p + 4, end, "-->");
	if (starts(p, end, "<?"))
		return behind(p + 2, end, "?>");
	if (starts(p, end, "<![CDATA["))
		return behind(p + 9, end, "]]>");
	return p;
}

/* The end of a name at p; p itself if there is none. */
static const char *
skip_name(const char *p, const char *end)
{
	const char *start = p;

	if (p >= end || !is_name_start(*p))
		return start;
	while (p < end && is_name_char(*p))
		p++;
	return p - start <= MAX_NAME ? p : start;
}

/* At the '>' of a tag whose attributes begin at p, NULL if there is none. */
static const char *
skip_attributes(const char *p, const char *end)
{
	while (p < end && *p != '>')
	{
		if (*p == '<')
			return NULL;
		if (*p == '"' || *p == '\'')
		{
			p = memchr(p + 1, *p, (size_t) (end - p - 1));
			if (p == NULL)
				return NULL;
		}
		p++;
	}
	return p < end ? p : NULL;
}

static SthXmlEvent
open_element(SthXml *xml)
{
	const char *name = xml->at + 1;
	const char *name_end = skip_name(name, xml->end);
	const char *close;

	if (name_end == name || xml->depth >= STH_XML_MAX_DEPTH ||
		(xml->depth == 0 && xml->rooted))
		return STH_XML_DAMAGED;
	if (name_end < xml->end && !is_blank(*name_end) && *name_end != '/' && *name_end != '>')
		return STH_XML_DAMAGED;
	close = skip_attributes(name_end, xml->end);
	if (close == NULL)
		return STH_XML_DAMAGED;
	xml->open[xml->depth].name = name;
	xml->open[xml->depth].len = (size_t) (name_end - name);
	xml->depth++;
	xml->rooted = true;
	xml->closing = close[-1] == '/';
	xml->at = close + 1;
	xml->text = xml->at;
	return STH_XML_BEGIN;
}

static SthXmlEvent
close_element(SthXml *xml)
{
	const char *tag = xml->at;
	const char *name = tag + 2;
	const char *name_end = skip_name(name, xml->end);
	const char *p = name_end;

	while (p < xml->end && is_blank(*p))
		p++;
	if (xml->depth == 0 || p >= xml->end || *p != '>' ||
		(size_t) (name_end - name) != xml->open[xml->depth - 1].len ||
		memcmp(name, xml->open[xml->depth - 1].name, (size_t) (name_end - name)) != 0)
		return STH_XML_DAMAGED;
	if (xml->last == STH_XML_BEGIN)
		xml->text_len = (size_t) (tag - xml->text);
	else
		xml->text = NULL;
	xml->at = p + 1;
	return STH_XML_END;
}

static SthXmlEvent
next_event(SthXml *xml)
{
	for (;;)
	{
		const char *tag = memchr(xml->at, '<', (size_t) (xml->end - xml->at));
		const char *behind_special;

		/* outside of the root there are but blanks */
		if (xml->depth == 0)
			for (const char *p = xml->at; p < (tag ? tag : xml->end); p++)
				if (!is_blank(*p))
					return STH_XML_DAMAGED;
		if (tag == NULL)
			return xml->rooted && xml->depth == 0 ? STH_XML_DONE : STH_XML_DAMAGED;
		xml->at = tag;
		behind_special = skip_special(tag, xml->end);
		if (behind_special == NULL ||
			(xml->depth == 0 && starts(tag, xml->end, "<![")))
			return STH_XML_DAMAGED;
		if (behind_special > tag)
			xml->at = behind_special;
		else if (starts(tag, xml->end, "</"))
			return close_element(xml);
		else
			return open_element(xml);
	}
}

SthXmlEvent
sth_xml_next(SthXml *xml)
{
	if (xml->last == STH_XML_DAMAGED || xml->last == STH_XML_DONE)
		return xml->last;
	if (xml->last == STH_XML_END && xml->depth > 0)
		xml->depth--;
	if (xml->closing)
	{
		xml->closing = false;
		xml->text_len = 0;
		xml->last = STH_XML_END;
	}
	else
		xml->last = next_event(xml);
	if (xml->last != STH_XML_END)
		xml->text_len = 0;
	return xml->last;
}

bool
sth_xml_at(const SthXml *xml, const char *path)
{
	for (int i = 0; i < xml->depth; i++)
	{
		size_t		len = xml->open[i].len;

		if (strncmp(path, xml->open[i].name, len) != 0)
			return false;
		path += len;
		if (i + 1 < xml->depth && *path++ != '/')
			return false;
	}
	return *path == '\0';
}

/* --- text ----------------------------------------------------------------- */

/* Where decoded text goes; it has room for a terminating zero besides. */
typedef struct Output
{
	char	   *at;
	char	   *end;
} Output;

static bool
put(Output *to, const char *bytes, size_t len)
{
	if ((size_t) (to->end - to->at) < len || memchr(bytes, '\0', len) != NULL)
		return false;
	memcpy(to->at, bytes, len);
	to->at += len;
	return true;
}

/* A code point, as UTF-8. */
static bool
put_code_point(Output *to, uint32_t c)
{
	char		utf8[4];
	size_t		len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
		return false;
	if (len == 1)
		utf8[0] = (char) c;
	else
	{
		static const unsigned char first[] = {0, 0, 0xC0, 0xE0, 0xF0};

		for (size_t i = len; i-- > 1; c >>= 6)
			utf8[i] = (char) (0x80 | (c & 0x3F));
		utf8[0] = (char) (first[len] | c);
	}
	return put(to, utf8, len);
}

/* The value of a digit, 16 if it is none. */
static unsigned
digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned) (c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned) (c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned) (c - 'A') + 10;
	return 16;
}

/* Behind the "#10;" or "#xA;" at p, NULL if it is none. */
static const char *
put_numeric(Output *to, const char *p, const char *end)
{
	bool		hex = p + 1 < end && p[1] == 'x';
	uint32_t	c = 0;
	const char *digits = p += hex ? 2 : 1;

	for (; p < end && digit(*p) < (hex ? 16 : 10); p++)
	{
		c = c * (hex ? 16 : 10) + digit(*p);
		if (c > 0x10FFFF)
			return NULL;
	}
	if (p == digits || p >= end || *p != ';' || !put_code_point(to, c))
		return NULL;
	return p + 1;
}

/* Behind the entity whose '&' is just before p, NULL if it is unknown. */
static const char *
put_entity(Output *to, const char *p, const char *end)
{
	static const struct
	{
		const char *name;
		char		c;
	}			known[] = {
		{"lt;", '<'}, {"gt;", '>'}, {"amp;", '&'}, {"quot;", '"'}, {"apos;", '\''}
	};

	if (p < end && *p == '#')
		return put_numeric(to, p, end);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (starts(p, end, known[i].name))
			return put(to, &known[i].c, 1) ? p + strlen(known[i].name) : NULL;
	return NULL;
}

/* Behind what begins at p: an entity, something special, or one byte. */
static const char *
put_piece(Output *to, const char *p, const char *end)
{
	const char *behind_special;

	if (*p == '&')
		return put_entity(to, p + 1, end);
	if (*p != '<')
		return put(to, p, 1) ? p + 1 : NULL;
	behind_special = skip_special(p, end);
	if (behind_special == p)
		return NULL;
	if (behind_special != NULL && starts(p, end, "<![CDATA[") &&
		!put(to, p + 9, (size_t) (behind_special - 3 - (p + 9))))
		return NULL;
	return behind_special;
}

int
sth_xml_text(const SthXml *xml, char *to, size_t size)
{
	const char *p = xml->text;
	const char *end;
	Output		output = {to, to + size - 1};

	if (size == 0)
		return -1;
	*to = '\0';
	if (xml->last != STH_XML_END || p == NULL)
		return -1;
	end = p + xml->text_len;
	while (p < end)
	{
		p = put_piece(&output, p, end);
		if (p == NULL)
		{
			*to = '\0';
			return -1;
		}
	}
	*output.at = '\0';
	return (int) (output.at - to);
}
