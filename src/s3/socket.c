/*-------------------------------------------------------------------------
 *
 * socket.c
 *	  The sockets of libcurl: where they may lead, and that they are counted.
 *
 * An address is looked at when a socket to it is opened, so that no name that
 * resolves to a link-local address (where clouds give credentials to whoever
 * asks from the inside) gets around the check.
 *
 * These are libcurl's callbacks, so they raise no errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "s3/socket.h"
#include "storage/fd.h"

/*
 * 169.254.0.0/16 and fe80::/10, also as IPv4 in IPv6, and the address in
 * fd00:ec2::/32 where AWS does the same.
 */
static bool
is_link_local(const struct sockaddr *address)
{
	static const uint8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8 translated[12] = {0, 0x64, 0xff, 0x9b};
	static const uint8 metadata[4] = {0xfd, 0x00, 0x0e, 0xc2};
	const uint8 *bytes;

	if (address->sa_family == AF_INET)
	{
		bytes = (const uint8 *) &((const struct sockaddr_in *) address)->sin_addr;
		return bytes[0] == 169 && bytes[1] == 254;
	}
	if (address->sa_family != AF_INET6)
		return false;
	bytes = (const uint8 *) &((const struct sockaddr_in6 *) address)->sin6_addr;
	if (memcmp(bytes, mapped, 12) == 0 || memcmp(bytes, translated, 12) == 0)
		return bytes[12] == 169 && bytes[13] == 254;
	return (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) ||
		memcmp(bytes, metadata, 4) == 0;
}

/* For CURLOPT_OPENSOCKETFUNCTION. */
curl_socket_t
sth_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	SthSocketRule *rule = arg;
	int			fd;

	if (address->family != AF_INET && address->family != AF_INET6)
		return CURL_SOCKET_BAD;
	if (!rule->allow_link_local && is_link_local(&address->addr))
	{
		rule->refused = true;
		return CURL_SOCKET_BAD;
	}
	/* counted, so that PostgreSQL leaves descriptors for it */
	if (!AcquireExternalFD())
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype, address->protocol);
	if (fd < 0)
	{
		ReleaseExternalFD();
		return CURL_SOCKET_BAD;
	}
	(void) fcntl(fd, F_SETFD, FD_CLOEXEC);
	rule->fd = fd;
	return fd;
}

/* As long as it is open. */
bool
sth_socket_is_connected(const SthSocketRule *rule)
{
	struct sockaddr_storage address;
	socklen_t	len = sizeof(address);

	return rule->fd != CURL_SOCKET_BAD &&
		getpeername(rule->fd, (struct sockaddr *) &address, &len) == 0;
}

/* For CURLOPT_CLOSESOCKETFUNCTION; without data, since it may come late. */
int
sth_socket_close(void *arg, curl_socket_t fd)
{
	ReleaseExternalFD();
	return close(fd);
}
