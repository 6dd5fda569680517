/*-------------------------------------------------------------------------
 *
 * endpoint.h
 *	  The address of a store: http://host, https://host, with :port.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_BASE_ENDPOINT_H
#define STH_BASE_ENDPOINT_H

typedef struct SthEndpoint
{
	bool		tls;
	const char *host;			/* in the text; an address of IPv6 has
								 * brackets */
	int			host_len;
	int			port;			/* 0: the scheme's */
} SthEndpoint;

extern const char *sth_endpoint_parse(const char *text, SthEndpoint *endpoint);

#endif							/* STH_BASE_ENDPOINT_H */
