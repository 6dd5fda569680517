/*-------------------------------------------------------------------------
 *
 * store.c
 *	  The store that a server means.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/stores.h"

/* One of the two. */
struct SthPut
{
	SthDatabasePut *database;
	SthBucketPut *bucket;
};

struct SthStore
{
	SthDatabaseStore *database;
	SthBucketStore *bucket;
};

/* Begins an object of a number that has none. */
SthPut *
sth_put_begin(Oid server, int64 object_id)
{
	SthPut	   *put = palloc0(sizeof(SthPut));

	if (sth_server_is_remote(server))
		put->bucket = sth_bucket_put_begin(sth_server_get(server, false),
										   object_id);
	else
		put->database = sth_database_put_begin(object_id);
	return put;
}

/* Appends bytes to the object. */
void
sth_put_write(SthPut *put, const uint8 *bytes, Size len)
{
	if (put->bucket != NULL)
		sth_bucket_put_write(put->bucket, bytes, len);
	else
		sth_database_put_write(put->database, bytes, len);
}

/* All bytes have been written. */
void
sth_put_finish(SthPut *put)
{
	if (put->database != NULL)
		sth_database_put_finish(put->database);
	put->database = NULL;
}

/* The key of an object that is to be sent; NULL: it is in the database. */
const char *
sth_put_key(const SthPut *put)
{
	return put->bucket != NULL ? sth_bucket_put_key(put->bucket) : NULL;
}

/* Begins to send the object, outside of a transaction. */
void
sth_put_send(SthPut *put)
{
	sth_bucket_put_send(put->bucket);
}

/* Is it sent, or has that failed? */
bool
sth_put_is_sent(const SthPut *put)
{
	return sth_bucket_put_is_sent(put->bucket);
}

/* Raises an error if it could not be sent. */
void
sth_put_check(const SthPut *put)
{
	sth_bucket_put_check(put->bucket);
}

/* It has been sent: its bytes are not needed any more. */
void
sth_put_release(SthPut *put)
{
	sth_bucket_put_end(put->bucket);
	put->bucket = NULL;
}

/* Forgets the object, sent or not. */
void
sth_put_end(SthPut *put)
{
	if (put->bucket != NULL)
		sth_bucket_put_end(put->bucket);
	pfree(put);
}

/* Opens the store to read under a snapshot that the caller keeps registered. */
SthStore *
sth_store_open(Oid server, Snapshot snapshot)
{
	SthStore   *store = palloc0(sizeof(SthStore));

	if (sth_server_is_remote(server))
		store->bucket = sth_bucket_open(sth_server_get(server, false), snapshot);
	else
		store->database = sth_database_open(snapshot);
	return store;
}

/* Is it far away, so that it pays to ask for much at once, and ahead? */
bool
sth_store_is_remote(const SthStore *store)
{
	return store->bucket != NULL;
}

/* Says what will be waited for; nothing of the database is far away. */
void
sth_store_submit(SthStore *store, SthGet *get)
{
	get->found = false;
	get->request = NULL;
	if (store->bucket != NULL)
		sth_bucket_submit(store->bucket, get);
}

/* Has what was submitted; get->found tells whether all of it was there. */
void
sth_store_wait(SthStore *store, SthGet *get)
{
	if (store->bucket != NULL)
		sth_bucket_wait(store->bucket, get);
	else
		sth_database_get(store->database, get);
}

/* What was submitted is not wanted any more. */
void
sth_store_cancel(SthStore *store, SthGet *get)
{
	if (store->bucket != NULL)
		sth_bucket_cancel(store->bucket, get);
}

/* All that was submitted has been waited for, or cancelled. */
void
sth_store_close(SthStore *store)
{
	if (store->bucket != NULL)
		sth_bucket_close(store->bucket);
	else
		sth_database_close(store->database);
	pfree(store);
}
