/*
 * The reader of XML: what it makes of sound documents, and that it takes no
 * others.  Each document is read from memory of just its size.
 */
#include "s3/xml.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

/*
 * A document in one line: "name{" and "}" for elements, '=' and the text for
 * those with nothing inside, "!" for damage; in memory of its own.
 */
static const char *
trace_bytes(const char *document, size_t len)
{
	static char line[2000];
	char	   *copy = malloc(len > 0 ? len : 1);
	char		content[100];
	SthXml		xml;
	SthXmlEvent event;
	size_t		at = 0;

	memcpy(copy, document, len);
	line[0] = '\0';
	sth_xml_begin(&xml, copy, len);
	while ((event = sth_xml_next(&xml)) <= STH_XML_END && at < sizeof(line) - 200)
	{
		if (event == STH_XML_BEGIN)
			at += (size_t) snprintf(line + at, sizeof(line) - at, "%.*s{",
									(int) xml.open[xml.depth - 1].len, xml.open[xml.depth - 1].name);
		else if (sth_xml_text(&xml, content, sizeof(content)) >= 0)
			at += (size_t) snprintf(line + at, sizeof(line) - at, "=%s}", content);
		else
			at += (size_t) snprintf(line + at, sizeof(line) - at, "}");
	}
	if (event == STH_XML_DAMAGED)
		snprintf(line + at, sizeof(line) - at, "!");
	if (sth_xml_next(&xml) != event)
		snprintf(line, sizeof(line), "it went on after the end");
	free(copy);
	return line;
}

static bool
reads(const char *document, const char *wanted)
{
	const char *got = trace_bytes(document, strlen(document));

	if (strcmp(got, wanted) == 0)
		return true;
	printf("# got    %s\n# wanted %s\n", got, wanted);
	return false;
}

static bool
damaged(const char *document)
{
	const char *got = trace_bytes(document, strlen(document));

	if (got[0] != '\0' && got[strlen(got) - 1] == '!')
		return true;
	printf("# got %s\n", got);
	return false;
}

static void
test_sound(void)
{
	ok(reads("<a/>", "a{=}"), "an empty-element tag");
	ok(reads("<a></a>", "a{=}"), "an empty element");
	ok(reads("<a>text</a>", "a{=text}"), "text");
	ok(reads("<a> <b>1</b>\n<b>2</b><c/></a>", "a{b{=1}b{=2}c{=}}"), "elements in an element");
	ok(reads("\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<a>1</a>\n", "a{=1}"), "a prolog");
	ok(reads("  \n\n  <?xml version=\"1.0\"?><a>1</a>", "a{=1}"), "blanks before the prolog");
	ok(reads("<!-- <b> --><a><!-- </a> -->1<!----></a><!-- -->", "a{=1}"), "comments");
	ok(reads("<a>1<?pi </a> ?>2</a>", "a{=12}"), "a processing instruction");
	ok(reads("<a xmlns=\"http://x/\" b='>' c = \"/\" >1</a >", "a{=1}"), "attributes");
	ok(reads("<a b=\"/\"/>", "a{=}"), "an empty-element tag with an attribute");
	ok(reads("<a>x<![CDATA[<b>&amp;]]]>y</a>", "a{=x<b>&amp;]y}"), "a CDATA section");
	ok(reads("<ns:a-1._>1</ns:a-1._>", "ns:a-1._{=1}"), "characters of names");
	ok(reads("<a>x<b/>y</a>", "a{b{=}}"), "text around elements is not text of the element");
	ok(reads("<1><2><3><4>", "!") && reads("<a><b><c><d><e><f><g><h>1</h></g></f></e></d></c></b></a>",
										   "a{b{c{d{e{f{g{h{=1}}}}}}}}"), "as deep as it may be");
}

static void
test_entities(void)
{
	ok(reads("<a>&lt;&gt;&amp;&quot;&apos;&amp;lt;</a>", "a{=<>&\"'&lt;}"), "the five entities");
	ok(reads("<a>&#65;&#x41;&#xe4;&#x20AC;&#x1F600;&#9;</a>", "a{=AA\303\244\342\202\254\360\237\230\200\t}"),
	   "numeric entities");
	ok(reads("<a>\303\244\377</a>", "a{=\303\244\377}"), "bytes that are not UTF-8 pass");
	ok(reads("<a>&#x10FFFF;</a>", "a{=\364\217\277\277}"), "the last code point");
	ok(reads("<a>&#x110000;</a>", "a{}") && reads("<a>&#99999999999999999999;</a>", "a{}"), "none after it");
	ok(reads("<a>&#0;</a>", "a{}") && reads("<a>&#xD800;</a>", "a{}") &&
	   reads("<a>&#;</a>", "a{}") && reads("<a>&#x;</a>", "a{}") && reads("<a>&#xg;</a>", "a{}") &&
	   reads("<a>&#65</a>", "a{}"), "what is no code point");
	ok(reads("<a>&nbsp;</a>", "a{}") && reads("<a>a&b</a>", "a{}") && reads("<a>&</a>", "a{}") &&
	   reads("<a>&am</a>", "a{}"), "other entities are not known");
	ok(strcmp(trace_bytes("<a>b\0c</a>", 10), "a{}") == 0 &&
	   strcmp(trace_bytes("<a><![CDATA[b\0c]]></a>", 22), "a{}") == 0, "a zero in text");
}

static void
test_damaged(void)
{
	static const char *const cases[] = {
		"", " ", "text", "<", "<a", "<a>", "<a>text", "<a></a", "<a></b>", "<a></ab>", "<ab></a>",
		"</a>", "<a></a></a>", "<a/><b/>", "<a/>text", "text<a/>", "<a><b></a></b>", "< a/>", "<1/>",
		"<a<b/>", "<a b=\"/>", "<a b='<", "<a <b></a>", "<a!/>", "<!--", "<!-- --", "<a><!--</a>",
		"<?xml", "<a><![CDATA[</a>", "<![CDATA[x]]><a/>", "<a/><![CDATA[x]]>", "<a><!ELEMENT></a>",
		"<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
		"<a><b><c><d><e><f><g><h><i/></h></g></f></e></d></c></b></a>",
	};
	char		name[100];
	char		document[300];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(damaged(cases[i]), "damaged: %s", cases[i]);
	memset(name, 'n', sizeof(name));
	snprintf(document, sizeof(document), "<%.64s/>", name);
	ok(trace_bytes(document, strlen(document))[64] == '{', "a long name");
	snprintf(document, sizeof(document), "<%.65s/>", name);
	ok(damaged(document), "a name that is too long");
}

/* Of a sound document, every beginning is damaged. */
static void
test_cut(void)
{
	static const char document[] =
	"<?xml version=\"1.0\"?><a b=\"c\"><!-- d --><e>&lt;<![CDATA[f]]></e><g/></a>";
	bool		all = true;

	for (size_t len = 0; len < sizeof(document) - 1; len++)
	{
		const char *got = trace_bytes(document, len);

		all = all && got[strlen(got) - 1] == '!';
	}
	ok(all, "a document that was cut off is damaged wherever that was");
}

static void
test_text(void)
{
	SthXml		xml;
	char		to[8];

	sth_xml_begin(&xml, "<a><b>1234567</b><b>12345678</b></a>", 36);
	ok(sth_xml_next(&xml) == STH_XML_BEGIN && sth_xml_at(&xml, "a") && !sth_xml_at(&xml, "a/b") &&
	   !sth_xml_at(&xml, "") && !sth_xml_at(&xml, "ab"), "a path of one");
	ok(sth_xml_text(&xml, to, sizeof(to)) == -1, "there is no text before the end");
	ok(sth_xml_next(&xml) == STH_XML_BEGIN && sth_xml_at(&xml, "a/b") && !sth_xml_at(&xml, "a") &&
	   !sth_xml_at(&xml, "a/bc") && !sth_xml_at(&xml, "a/b/c") && !sth_xml_at(&xml, "a."), "a path of two");
	ok(sth_xml_next(&xml) == STH_XML_END && sth_xml_at(&xml, "a/b") &&
	   sth_xml_text(&xml, to, sizeof(to)) == 7 && strcmp(to, "1234567") == 0, "text that fits");
	sth_xml_next(&xml);
	ok(sth_xml_next(&xml) == STH_XML_END && sth_xml_text(&xml, to, sizeof(to)) == -1 && to[0] == '\0',
	   "text that does not fit");
	ok(sth_xml_text(&xml, to, 0) == -1, "nowhere to put it");
	ok(sth_xml_next(&xml) == STH_XML_END && sth_xml_at(&xml, "a") && sth_xml_next(&xml) == STH_XML_DONE,
	   "the end");
}

int
main(void)
{
	test_sound();
	test_entities();
	test_damaged();
	test_cut();
	test_text();
	return done_testing();
}
