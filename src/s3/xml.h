/*-------------------------------------------------------------------------
 *
 * xml.h
 *	  Pulls elements out of the XML that a store answers with.
 *
 *		sth_xml_begin(&xml, body, len);
 *		while ((event = sth_xml_next(&xml)) == STH_XML_BEGIN || event == STH_XML_END)
 *			if (event == STH_XML_END && sth_xml_at(&xml, "Error/Code"))
 *				sth_xml_text(&xml, code, sizeof(code));
 *
 * It is as much of XML as such answers use.  Whoever answers is not trusted:
 * nothing is allocated, time is linear, depth is limited; a DOCTYPE, and with
 * it any entity but the five and numeric ones, is damage, as are tags that do
 * not match and a document that ends early.  Attributes are skipped.  Plain C:
 * no server headers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_XML_H
#define STH_S3_XML_H

#include <stdbool.h>
#include <stddef.h>

#define STH_XML_MAX_DEPTH 8

typedef enum SthXmlEvent
{
	STH_XML_BEGIN,				/* of the innermost element that is open */
	STH_XML_END,				/* of it; it still counts as open */
	STH_XML_DONE,				/* the whole document was sound */
	STH_XML_DAMAGED
} SthXmlEvent;

typedef struct SthXml
{
	const char *at;
	const char *end;
	SthXmlEvent last;
	bool		rooted;			/* the root element has begun */
	bool		closing;		/* it was an empty-element tag */
	int			depth;
	struct
	{
		const char *name;
		size_t		len;
	}			open[STH_XML_MAX_DEPTH];
	const char *text;			/* at an end, if no element was inside */
	size_t		text_len;
} SthXml;

extern void sth_xml_begin(SthXml *xml, const char *document, size_t len);
extern SthXmlEvent sth_xml_next(SthXml *xml);

/* Are just the elements of this path ("Error/Code") open? */
extern bool sth_xml_at(const SthXml *xml, const char *path);

/*
 * The text of the element that ends here, its entities decoded, with a
 * terminating zero; its length, or -1 if it does not fit, is damaged, has a
 * zero in it, or elements were inside.
 */
extern int	sth_xml_text(const SthXml *xml, char *to, size_t size);

#endif							/* STH_S3_XML_H */
