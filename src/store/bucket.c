/*-------------------------------------------------------------------------
 *
 * bucket.c
 *	  Objects kept in a bucket.
 *
 * The key of an object is
 *
 *		<prefix>data/<incarnation>/<object_id>-<16 random digits>
 *
 * and stands in the object's row in streamhouse.object.  No key is ever used
 * twice: not by a copy of the database, since the incarnation is another
 * (incarnation.c), and not by the database after it was set back, since the
 * digits are.
 *
 * There is a client (s3/s3.h) per server in each process that needs one, made
 * when it is first needed and again when the server's options or the user
 * mapping have changed.  What uses the old one goes on with it.  A client that
 * will not be used again, since the server or the mapping has been changed or
 * dropped, is closed when PostgreSQL's catalog caches hear of it, or with its
 * last use: the session that has it need not ask for another.
 *
 * Failure: a request belongs to the memory context that it was made in, and
 * is cancelled with it, so an error leaves none.  What of an object reached
 * the bucket before an error is the ledger's to remember (flush/flush.c).
 *
 * Memory: clients, in "streamhouse bucket" under TopMemoryContext.  An object
 * that is written is in memory as a whole.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/uio.h>

#include "access/htup_details.h"
#include "base/compat.h"
#include "catalog/objects.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "s3/credentials.h"
#include "s3/s3.h"
#include "store/stores.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* Of an object in memory: pieces of so many bytes. */
#define PIECE_LEN ((Size) 4 * 1024 * 1024)

typedef struct Client
{
	struct Client *next;
	Oid			server;
	uint32		hash;			/* the server's, in the catalog cache */
	uint64		digest;			/* of what it was made from */
	bool		has_mapping;	/* was its key a user mapping's? */
	bool		current;
	int			users;
	SthS3	   *s3;
} Client;

/* Something that uses a client for as long as its memory context is there. */
typedef struct User
{
	Client	   *client;
	MemoryContextCallback callback;
} User;

struct SthBucketPut
{
	User		user;
	char	   *key;
	int			npieces;
	int			max_pieces;
	struct iovec *pieces;
	SthS3Op    *op;
};

struct SthBucketStore
{
	User		user;
	Snapshot	snapshot;
	int64		object_id;		/* of the key */
	char	   *key;
};

struct SthRemoval
{
	MemoryContext context;
	User		user;
	List	   *keys;
	List	   *orphans;		/* whose uploads are still to be aborted */
	bool		is_deleting;	/* so far has it come */
	SthS3Op    *op;
};

static Client *clients = NULL;
static MemoryContext client_context = NULL;

static uint64
digest_string(uint64 digest, const char *string)
{
	if (string == NULL)
		return hash_combine64(digest, 1);
	return hash_combine64(digest,
						  hash_bytes_extended((const unsigned char *) string,
											  strlen(string), 0));
}

/* Of all that a client is made from. */
static uint64
digest_server(const SthServer *server)
{
	const SthServerOptions *options = &server->options;
	const int	numbers[] = {
		options->path_style, options->encryption, options->create_once,
		options->multi_delete, options->checksum, options->allow_link_local,
		options->connect_timeout, options->request_timeout,
		options->retry_timeout, server->may_use_environment
	};
	const char *const strings[] = {
		server->name, options->bucket, options->endpoint, options->region,
		options->kms_key_id, options->ca_file, options->credentials_file,
		server->access_key_id, server->secret_access_key, server->session_token
	};
	uint64		digest = hash_bytes_extended((const unsigned char *) numbers,
											 sizeof(numbers), 0);

	for (int i = 0; i < (int) lengthof(strings); i++)
		digest = digest_string(digest, strings[i]);
	return digest;
}

/*
 * Makes a client whose operations try for so many milliseconds; what it was
 * given it has copied.  It is the caller's to close.
 */
SthS3 *
sth_bucket_client(const SthServer *server, int retry_timeout)
{
	const SthServerOptions *options = &server->options;
	SthS3Settings settings = {0};
	SthCredentialSource source = {0};
	SthCredentials *credentials;
	SthS3	   *volatile s3 = NULL;

	settings.name = server->name;
	settings.database = MyDatabaseId;
	settings.server = server->oid;
	settings.endpoint = options->endpoint;
	settings.region = options->region;
	settings.bucket = options->bucket;
	settings.path_style = options->path_style;
	settings.ca_file = options->ca_file;
	settings.connect_timeout = options->connect_timeout;
	settings.request_timeout = options->request_timeout;
	settings.retry_timeout = retry_timeout;
	settings.sse = options->encryption == STH_ENCRYPTION_S3 ? STH_S3_SSE_AES256 :
		options->encryption == STH_ENCRYPTION_KMS ? STH_S3_SSE_KMS :
		STH_S3_SSE_NONE;
	settings.kms_key_id = options->kms_key_id;
	settings.checksum = options->checksum;
	settings.create_once = options->create_once;
	settings.multi_delete = options->multi_delete;
	settings.allow_link_local = options->allow_link_local;
	source.access_key_id = server->access_key_id;
	source.secret_access_key = server->secret_access_key;
	source.session_token = server->session_token;
	source.file = options->credentials_file;
	source.use_environment = server->may_use_environment;
	source.region = options->region;
	source.ca_file = options->ca_file;
	credentials = sth_credentials_open(&source);
	PG_TRY();
	{
		s3 = sth_s3_open(&settings, credentials);
	}
	PG_CATCH();
	{
		sth_credentials_close(credentials);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return s3;
}

/* Closes clients that nobody uses and that will not be used again. */
static void
close_old_clients(void)
{
	Client	  **link = &clients;

	while (*link != NULL)
	{
		Client	   *client = *link;

		if (client->current || client->users > 0)
		{
			link = &client->next;
			continue;
		}
		*link = client->next;
		sth_s3_close(client->s3);
		pfree(client);
	}
}

/*
 * A server was changed or dropped, or (hash 0) one may have been.  Called from
 * wherever the news arrives, so nothing of the catalogs can be looked at; who
 * needs the client next finds out what it is now.  Must not fail.
 */
static void
on_server_change(Datum arg, int cache, uint32 hash)
{
	for (Client *client = clients; client != NULL; client = client->next)
		if (hash == 0 || client->hash == hash)
			client->current = false;
	close_old_clients();
}

/* Likewise a user mapping, of a server that is not told. */
static void
on_mapping_change(Datum arg, int cache, uint32 hash)
{
	for (Client *client = clients; client != NULL; client = client->next)
		if (client->has_mapping)
			client->current = false;
	close_old_clients();
}

static void
begin_clients(void)
{
	if (client_context != NULL)
		return;
	client_context = AllocSetContextCreate(TopMemoryContext,
										   "streamhouse bucket",
										   ALLOCSET_DEFAULT_SIZES);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, on_server_change, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGUSERSERVER, on_mapping_change,
								  (Datum) 0);
}

/* The client of a server, as its options and mapping are now. */
static Client *
find_client(const SthServer *server)
{
	uint64		digest = digest_server(server);
	Client	   *client;

	for (client = clients; client != NULL; client = client->next)
		if (client->current && client->server == server->oid)
		{
			if (client->digest == digest)
				return client;
			client->current = false;
		}
	close_old_clients();
	begin_clients();
	client = MemoryContextAllocZero(client_context, sizeof(Client));
	client->server = server->oid;
	client->hash = GetSysCacheHashValue1(FOREIGNSERVEROID,
										 ObjectIdGetDatum(server->oid));
	client->digest = digest;
	client->has_mapping = server->access_key_id != NULL ||
		server->secret_access_key != NULL;
	PG_TRY();
	{
		client->s3 = sth_bucket_client(server, server->options.retry_timeout);
	}
	PG_CATCH();
	{
		pfree(client);
		PG_RE_THROW();
	}
	PG_END_TRY();
	client->current = true;
	client->next = clients;
	clients = client;
	return client;
}

static void
stop_using(void *arg)
{
	User	   *user = arg;

	if (user->client != NULL && --user->client->users == 0)
		close_old_clients();
	user->client = NULL;
}

/* Makes something in the current memory context a user of a client. */
static void
use_client(User *user, Client *client)
{
	user->client = client;
	client->users++;
	user->callback.func = stop_using;
	user->callback.arg = user;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &user->callback);
}

/* Writing */

/*
 * Begins an object, in a memory context that stays until it is sent, and in a
 * transaction.
 */
SthBucketPut *
sth_bucket_put_begin(const SthServer *server, int64 object_id)
{
	SthBucketPut *put = palloc0(sizeof(SthBucketPut));

	use_client(&put->user, find_client(server));
	put->key = psprintf("%sdata/%s/" INT64_FORMAT "-%016llx",
						server->options.prefix, sth_store_incarnation(),
						object_id,
						(unsigned long long) pg_prng_uint64(&pg_global_prng_state));
	put->max_pieces = 16;
	put->pieces = palloc(put->max_pieces * sizeof(struct iovec));
	return put;
}

/* Begins another piece. */
static void
add_piece(SthBucketPut *put)
{
	struct iovec *piece;

	if (put->npieces == put->max_pieces)
	{
		put->max_pieces *= 2;
		put->pieces = repalloc(put->pieces,
							   put->max_pieces * sizeof(struct iovec));
	}
	piece = &put->pieces[put->npieces++];
	piece->iov_base = MemoryContextAlloc(GetMemoryChunkContext(put), PIECE_LEN);
	piece->iov_len = 0;
}

void
sth_bucket_put_write(SthBucketPut *put, const uint8 *bytes, Size len)
{
	while (len > 0)
	{
		struct iovec *piece;
		Size		n;

		if (put->npieces == 0 ||
			put->pieces[put->npieces - 1].iov_len == PIECE_LEN)
			add_piece(put);
		piece = &put->pieces[put->npieces - 1];
		n = Min(len, PIECE_LEN - piece->iov_len);
		memcpy((char *) piece->iov_base + piece->iov_len, bytes, n);
		piece->iov_len += n;
		bytes += n;
		len -= n;
	}
}

const char *
sth_bucket_put_key(const SthBucketPut *put)
{
	return put->key;
}

void
sth_bucket_put_send(SthBucketPut *put)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(put));

	put->op = sth_s3_put(put->user.client->s3, put->key, put->pieces,
						 put->npieces, true);
	MemoryContextSwitchTo(old);
}

bool
sth_bucket_put_is_sent(const SthBucketPut *put)
{
	return sth_s3_op_done(put->op);
}

void
sth_bucket_put_check(const SthBucketPut *put)
{
	if (sth_s3_op_result(put->op) != STH_S3_OK)
		sth_s3_report(put->op, ERROR);
}

void
sth_bucket_put_end(SthBucketPut *put)
{
	if (put->op != NULL)
		sth_s3_op_free(put->op);
	put->op = NULL;
	for (int i = 0; i < put->npieces; i++)
		pfree(put->pieces[i].iov_base);
	put->npieces = 0;
	stop_using(&put->user);
}

/* Reading */

SthBucketStore *
sth_bucket_open(const SthServer *server, Snapshot snapshot)
{
	SthBucketStore *store = palloc0(sizeof(SthBucketStore));

	store->snapshot = snapshot;
	use_client(&store->user, find_client(server));
	return store;
}

/* The client, for as long as the store is open. */
SthS3 *
sth_bucket_s3(const SthBucketStore *store)
{
	return store->user.client->s3;
}

/*
 * Begins to fetch a range.  An object that is not known is not there; that is
 * found out when the range is waited for.
 */
void
sth_bucket_submit(SthBucketStore *store, SthGet *get)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(store));

	if (store->key == NULL || store->object_id != get->object_id)
	{
		if (store->key != NULL)
			pfree(store->key);
		store->key = sth_object_key(get->object_id, store->snapshot);
		store->object_id = get->object_id;
	}
	if (store->key != NULL)
		get->request = sth_s3_get(store->user.client->s3, store->key,
								  get->position, get->len, get->buffer);
	MemoryContextSwitchTo(old);
}

void
sth_bucket_wait(SthBucketStore *store, SthGet *get)
{
	SthS3Op    *op = get->request;

	if (op == NULL)
		return;
	sth_s3_wait(op, sth_wait_event(STH_WAIT_FOR_STORE));
	switch (sth_s3_op_result(op))
	{
		case STH_S3_OK:
			get->found = true;
			break;
		case STH_S3_NOT_FOUND:
		case STH_S3_RANGE:
			break;
		default:
			sth_s3_report(op, ERROR);
	}
	get->request = NULL;
	sth_s3_op_free(op);
}

void
sth_bucket_cancel(SthBucketStore *store, SthGet *get)
{
	if (get->request != NULL)
		sth_s3_op_free(get->request);
	get->request = NULL;
}

void
sth_bucket_close(SthBucketStore *store)
{
	stop_using(&store->user);
	if (store->key != NULL)
		pfree(store->key);
}

/* Deleting */

/* Begins what comes next: an orphan's uploads, or to delete all keys. */
static void
begin_next(SthRemoval *removal)
{
	MemoryContext old = MemoryContextSwitchTo(removal->context);
	SthS3	   *s3 = removal->user.client->s3;
	ListCell   *lc;
	char	  **array;
	int			n = 0;

	if (removal->orphans != NIL)
	{
		removal->op = sth_s3_abort_uploads(s3, linitial(removal->orphans));
		removal->orphans = list_delete_first(removal->orphans);
	}
	else
	{
		array = palloc(list_length(removal->keys) * sizeof(char *));
		foreach(lc, removal->keys)
			array[n++] = lfirst(lc);
		removal->op = sth_s3_delete(s3, array, n);
		removal->is_deleting = true;
	}
	MemoryContextSwitchTo(old);
}

/*
 * Begins to delete keys of a server; one that is not there is no error.  Of
 * the orphans among them uploads are aborted before, which were left behind.
 */
SthRemoval *
sth_removal_begin(Oid server, List *keys, List *orphans)
{
	SthRemoval *removal = palloc0(sizeof(SthRemoval));

	removal->context = CurrentMemoryContext;
	removal->keys = keys;
	removal->orphans = orphans;
	use_client(&removal->user, find_client(sth_server_get(server, false)));
	begin_next(removal);
	return removal;
}

/*
 * Goes on as far as it can without waiting; true if it is done.  A store that
 * does not let uploads be aborted has the object deleted all the same: rules
 * of the bucket may have to do the rest.
 */
bool
sth_removal_is_done(SthRemoval *removal)
{
	while (!removal->is_deleting && sth_s3_op_done(removal->op))
	{
		if (sth_s3_op_result(removal->op) == STH_S3_UNAVAILABLE)
			return true;
		if (sth_s3_op_result(removal->op) != STH_S3_OK)
			sth_s3_report(removal->op, WARNING);
		sth_s3_op_free(removal->op);
		begin_next(removal);
	}
	return sth_s3_op_done(removal->op);
}

/* Has everything been deleted?  If not, it is said why. */
bool
sth_removal_check(const SthRemoval *removal)
{
	if (sth_s3_op_result(removal->op) == STH_S3_OK)
		return true;
	sth_s3_report(removal->op, WARNING);
	return false;
}

/* Was this key deleted?  Its removal has been done. */
bool
sth_removal_has(const SthRemoval *removal, const char *key)
{
	bool		more;
	int			n;
	const SthS3Item *items = sth_s3_op_items(removal->op, &n, &more);

	if (!removal->is_deleting)
		return false;
	for (int i = 0; i < n; i++)
		if (strcmp(items[i].key, key) == 0)
			return false;
	return true;
}

void
sth_removal_end(SthRemoval *removal)
{
	sth_s3_op_free(removal->op);
	stop_using(&removal->user);
}

/* Is anything of this process on its way? */
bool
sth_store_is_busy(void)
{
	return sth_s3_busy();
}

/* Does it get on? */
bool
sth_store_is_moving(void)
{
	return sth_s3_moving();
}

/*
 * Waits for the latch, for what is on its way, or for so many milliseconds;
 * returns as WaitLatch does.
 */
int
sth_store_drive(long timeout, uint32 wait_event)
{
	return sth_s3_drive(timeout, wait_event);
}
