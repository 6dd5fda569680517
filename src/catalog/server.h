/*-------------------------------------------------------------------------
 *
 * server.h
 *	  Foreign servers: where a topic's history is kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_CATALOG_SERVER_H
#define STH_CATALOG_SERVER_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

typedef enum SthEncryption
{
	STH_ENCRYPTION_NONE,		/* as the bucket does by itself */
	STH_ENCRYPTION_S3,			/* SSE-S3 */
	STH_ENCRYPTION_KMS			/* SSE-KMS */
} SthEncryption;

/* What a server's options say; strings are the option list's. */
typedef struct SthServerOptions
{
	char	   *bucket;			/* NULL: objects are kept in the database */
	char	   *prefix;			/* of keys: empty, or ends with a slash */
	char	   *endpoint;		/* NULL: Amazon's of the region */
	char	   *region;
	bool		path_style;
	SthEncryption encryption;
	char	   *kms_key_id;
	char	   *ca_file;
	char	   *credentials_file;
	bool		create_once;	/* the store obeys If-None-Match */
	bool		multi_delete;
	bool		checksum;
	bool		use_environment;
	bool		allow_link_local;
	int			connect_timeout;	/* ms */
	int			request_timeout;	/* ms */
	int			retry_timeout;	/* ms */
} SthServerOptions;

/* A server, and the user mapping that its requests are signed by. */
typedef struct SthServer
{
	Oid			oid;
	char	   *name;
	SthServerOptions options;
	bool		may_use_environment;	/* a superuser's, or marked by one */
	char	   *access_key_id;	/* these three NULL: there is no mapping */
	char	   *secret_access_key;
	char	   *session_token;
} SthServer;

extern void sth_server_check_options(List *options);
extern void sth_server_check_mapping(List *options);
extern bool sth_server_is_remote(Oid oid);
extern bool sth_server_lock(Oid oid, LOCKMODE lockmode, bool may_wait);
extern SthServer *sth_server_get(Oid oid, bool missing_ok);

#endif							/* STH_CATALOG_SERVER_H */
