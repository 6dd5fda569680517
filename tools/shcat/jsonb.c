/*-------------------------------------------------------------------------
 *
 * jsonb.c
 *	  jsonb, from its form on disk (PostgreSQL's utils/jsonb.h).
 *
 * A container is a head (a count and what it is), an entry of four bytes for
 * each child (of an object: for all keys, then for all values), and the
 * children.  An entry has the child's type and its length; every 32nd has the
 * offset of its end instead, counted from the first child.  Numbers and
 * containers are aligned to four within that.
 *
 *-------------------------------------------------------------------------
 */
#include "print.h"

#define HEAD_COUNT		0x0FFFFFFF
#define HEAD_SCALAR		0x10000000
#define HEAD_OBJECT		0x20000000
#define HEAD_ARRAY		0x40000000

#define ENTRY_LENGTH	0x0FFFFFFF
#define ENTRY_TYPE		0x70000000
#define ENTRY_IS_END	0x80000000

#define TYPE_STRING		0x00000000
#define TYPE_NUMERIC	0x10000000
#define TYPE_FALSE		0x20000000
#define TYPE_TRUE		0x30000000
#define TYPE_NULL		0x40000000
#define TYPE_CONTAINER	0x50000000

#define MAX_DEPTH 1000

/* The children of a container, walked. */
typedef struct Children
{
	const uint8_t *entries;
	const uint8_t *data;
	size_t		data_len;
	uint32_t	next;			/* number of the child */
	size_t		at;				/* where it begins */
} Children;

static bool print_container(FILE *out, const uint8_t *p, size_t len, int depth);

/* The next child's type and bytes; false if they are not there. */
static bool
next_child(Children *children, uint32_t *type, const uint8_t **p, size_t *len)
{
	uint32_t	entry = sth_get_u32(children->entries + 4 * (size_t) children->next);
	size_t		end = entry & ENTRY_LENGTH;

	if (!(entry & ENTRY_IS_END))
		end += children->at;
	if (end < children->at || end > children->data_len)
		return false;
	*type = entry & ENTRY_TYPE;
	*p = children->data + children->at;
	*len = end - children->at;
	if (*type == TYPE_NUMERIC || *type == TYPE_CONTAINER)
	{
		size_t		pad = STH_ALIGN_UP(children->at, 4) - children->at;

		if (pad > *len)
			return false;
		*p += pad;
		*len -= pad;
	}
	children->at = end;
	children->next++;
	return true;
}

/* A numeric within jsonb has its own varlena header, of four bytes or one. */
static bool
print_inner_numeric(FILE *out, const uint8_t *p, size_t len)
{
	if (len >= 1 && *p & 1)
		return print_numeric(out, p + 1, len - 1);
	return len >= 4 && sth_varlena_long_size(p) == len &&
		print_numeric(out, p + 4, len - 4);
}

static bool
print_child(FILE *out, uint32_t type, const uint8_t *p, size_t len, int depth)
{
	switch (type)
	{
		case TYPE_STRING:
			return print_text(out, p, len);
		case TYPE_NUMERIC:
			return print_inner_numeric(out, p, len);
		case TYPE_CONTAINER:
			return print_container(out, p, len, depth + 1);
		case TYPE_FALSE:
			fputs("false", out);
			return true;
		case TYPE_TRUE:
			fputs("true", out);
			return true;
		case TYPE_NULL:
			fputs("null", out);
			return true;
		default:
			return false;
	}
}

static bool
print_array(FILE *out, Children *children, uint32_t count, int depth)
{
	fputc('[', out);
	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t	type;
		const uint8_t *p;
		size_t		len;

		if (i > 0)
			fputs(", ", out);
		if (!next_child(children, &type, &p, &len) ||
			!print_child(out, type, p, len, depth))
			return false;
	}
	fputc(']', out);
	return true;
}

/* Two walks, since all keys come before the first value. */
static bool
print_object(FILE *out, Children *keys, uint32_t count, int depth)
{
	Children	values = *keys;
	uint32_t	type;
	const uint8_t *p;
	size_t		len;

	for (uint32_t i = 0; i < count; i++)
		if (!next_child(&values, &type, &p, &len))
			return false;
	fputc('{', out);
	for (uint32_t i = 0; i < count; i++)
	{
		if (i > 0)
			fputs(", ", out);
		if (!next_child(keys, &type, &p, &len) || type != TYPE_STRING)
			return false;
		print_string(out, (const char *) p, len);
		fputs(": ", out);
		if (!next_child(&values, &type, &p, &len) ||
			!print_child(out, type, p, len, depth))
			return false;
	}
	fputc('}', out);
	return true;
}

static bool
print_container(FILE *out, const uint8_t *p, size_t len, int depth)
{
	uint32_t	head;
	uint32_t	count;
	size_t		nentries;
	Children	children;
	uint32_t	type;

	if (depth > MAX_DEPTH || len < 4)
		return false;
	head = sth_get_u32(p);
	count = head & HEAD_COUNT;
	nentries = head & HEAD_OBJECT ? 2 * (size_t) count : count;
	if (nentries > (len - 4) / 4)
		return false;
	children.entries = p + 4;
	children.data = p + 4 + 4 * nentries;
	children.data_len = len - 4 - 4 * nentries;
	children.next = 0;
	children.at = 0;
	if (head & HEAD_OBJECT)
		return print_object(out, &children, count, depth);
	if (!(head & HEAD_ARRAY))
		return false;
	if (!(head & HEAD_SCALAR))
		return print_array(out, &children, count, depth);
	/* a scalar is the one element of an array that is none */
	return count == 1 && next_child(&children, &type, &p, &len) &&
		print_child(out, type, p, len, depth);
}

bool
print_jsonb(FILE *out, const uint8_t *p, size_t len)
{
	return print_container(out, p, len, 0);
}
