/*-------------------------------------------------------------------------
 *
 * socket.h
 *	  The sockets of libcurl: where they may lead, and that they are counted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_SOCKET_H
#define STH_S3_SOCKET_H

#include <curl/curl.h>

typedef struct SthSocketRule
{
	bool		allow_link_local;
	bool		refused;		/* an address was, for that */
	curl_socket_t fd;			/* that was opened last */
} SthSocketRule;

extern curl_socket_t sth_socket_open(void *arg, curlsocktype purpose,
									 struct curl_sockaddr *address);
extern bool sth_socket_is_connected(const SthSocketRule *rule);
extern int	sth_socket_close(void *arg, curl_socket_t fd);

#endif							/* STH_S3_SOCKET_H */
