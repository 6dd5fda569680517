/*-------------------------------------------------------------------------
 *
 * store.h
 *	  Where objects are kept: in the database, or in a bucket.
 *
 * An object is written once, from its first byte to its last, and read by
 * ranges:
 *
 *		put = sth_put_begin(server, object_id)
 *			sth_put_write(put, bytes, len)
 *			sth_put_finish(put)
 *		sth_put_end(put)
 *
 *		store = sth_store_open(server, snapshot)
 *			sth_store_submit(store, get)	as many as are wanted ahead
 *			sth_store_wait(store, get)		or sth_store_cancel(store, get)
 *		sth_store_close(store)
 *
 * What is submitted is on its way, or may be; when it has been waited for,
 * it is there.  In the database (database.c) objects come and go with the
 * transaction.  In a bucket (bucket.c) they do not: a put that is finished is
 * all in memory and has a key, under which it is sent when the transaction
 * that knows of it has committed:
 *
 *			sth_put_send(put)
 *			until sth_put_is_sent(put): sth_store_drive()
 *			sth_put_check(put)			raises what went wrong
 *
 * and it is deleted, by its key, when the one that forgets it has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_STORE_STORE_H
#define STH_STORE_STORE_H

#include "nodes/pg_list.h"
#include "utils/snapshot.h"

/* A range of an object, and where it goes; the caller's until waited for. */
typedef struct SthGet
{
	int64		object_id;
	uint64		position;
	Size		len;
	uint8	   *buffer;
	bool		found;			/* all of it was there */
	void	   *request;		/* the store's */
} SthGet;

typedef struct SthPut SthPut;
typedef struct SthStore SthStore;
typedef struct SthRemoval SthRemoval;

extern SthPut *sth_put_begin(Oid server, int64 object_id);
extern void sth_put_write(SthPut *put, const uint8 *bytes, Size len);
extern void sth_put_finish(SthPut *put);
extern const char *sth_put_key(const SthPut *put);
extern void sth_put_send(SthPut *put);
extern bool sth_put_is_sent(const SthPut *put);
extern void sth_put_check(const SthPut *put);
extern void sth_put_release(SthPut *put);
extern void sth_put_end(SthPut *put);

extern SthStore *sth_store_open(Oid server, Snapshot snapshot);
extern bool sth_store_is_remote(const SthStore *store);
extern void sth_store_submit(SthStore *store, SthGet *get);
extern void sth_store_wait(SthStore *store, SthGet *get);
extern void sth_store_cancel(SthStore *store, SthGet *get);
extern void sth_store_close(SthStore *store);

/* of objects in the database, in a transaction */
extern void sth_store_delete(int64 object_id);

/* of objects in a bucket, outside of transactions once begun */
extern const char *sth_store_incarnation(void);
extern bool sth_store_wrote(const char *key, const char *incarnation);
extern SthRemoval *sth_removal_begin(Oid server, List *keys, List *orphans);
extern bool sth_removal_is_done(SthRemoval *removal);
extern bool sth_removal_check(const SthRemoval *removal);
extern bool sth_removal_has(const SthRemoval *removal, const char *key);
extern void sth_removal_end(SthRemoval *removal);

extern bool sth_store_is_busy(void);
extern bool sth_store_is_moving(void);
extern int	sth_store_drive(long timeout, uint32 wait_event);

#endif							/* STH_STORE_STORE_H */
