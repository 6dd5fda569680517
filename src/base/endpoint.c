/*-------------------------------------------------------------------------
 *
 * endpoint.c
 *	  The address of a store: http://host, https://host, with :port.
 *
 * Who checks the option and who connects go by this one function, so nothing
 * is taken that cannot be used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/endpoint.h"

#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
#define ADDRESS_CHARACTERS "0123456789abcdefABCDEF:."
#define MAX_HOST 255

/* The length of the host that begins a text; 0: there is none. */
static int
host_len(const char *text)
{
	size_t		len;

	if (*text == '[')
	{
		len = strspn(text +1, ADDRESS_CHARACTERS);
		if (len == 0 || text[len + 1] != ']')
			return 0;
		len += 2;
	}
	else
		len = strspn(text, HOST_CHARACTERS);
	return len > MAX_HOST ? 0 : (int) len;
}

/*
 * Takes an endpoint apart.  Returns what is wrong with it, as a sentence, or
 * NULL; the host is in 'text'.
 */
const char *
sth_endpoint_parse(const char *text, SthEndpoint *endpoint)
{
	const char *rest;
	size_t		digits;

	endpoint->tls = pg_strncasecmp(text, "https://", 8) == 0;
	if (!endpoint->tls && pg_strncasecmp(text, "http://", 7) != 0)
		return "It begins with http:// or https://.";
	endpoint->host = text +(endpoint->tls ? 8 : 7);

	endpoint->host_len = host_len(endpoint->host);
	endpoint->port = 0;
	if (endpoint->host_len == 0)
		return "A host is a name of letters, digits, dots, hyphens and underscores, or an address, one of IPv6 in brackets.";
	rest = endpoint->host + endpoint->host_len;
	if (*rest == ':')
	{
		rest++;
		digits = strspn(rest, "0123456789");
		if (digits >= 1 && digits <= 5)
			endpoint->port = atoi(rest);
		if (endpoint->port < 1 || endpoint->port > 65535)
			return "The port is a number from 1 to 65535.";
		rest += digits;
	}
	if (*rest == '/' && rest[1] == '\0')
		rest++;
	return *rest == '\0' ? NULL : "There is something else after the host.";
}
