/*-------------------------------------------------------------------------
 *
 * store.h
 *	  Where objects are kept.
 *
 * An object is written once, from its first byte to its last, and read by
 * ranges:
 *
 *		put = sth_put_begin(object)
 *			sth_put_write(put, bytes, len)
 *		sth_put_end(put)
 *
 *		store = sth_store_open(snapshot)
 *			sth_store_submit(store, get)	as many as are wanted ahead
 *			sth_store_wait(store, get)
 *		sth_store_close(store)
 *
 * What is submitted is on its way, or may be; when it has been waited for,
 * it is there.  Only one store exists so far, the database itself
 * (database.c), where objects come and go with the transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_STORE_STORE_H
#define STH_STORE_STORE_H

#include "utils/snapshot.h"

/* A range of an object, and where it goes; the caller's until waited for. */
typedef struct SthGet
{
	int64		object_id;
	uint64		position;
	Size		len;
	uint8	   *buffer;
	bool		found;			/* all of it was there */
} SthGet;

typedef struct SthPut SthPut;
typedef struct SthStore SthStore;

extern SthPut *sth_put_begin(int64 object_id);
extern void sth_put_write(SthPut *put, const uint8 *bytes, Size len);
extern void sth_put_end(SthPut *put);

extern SthStore *sth_store_open(Snapshot snapshot);
extern void sth_store_submit(SthStore *store, SthGet *get);
extern void sth_store_wait(SthStore *store, SthGet *get);
extern void sth_store_close(SthStore *store);

extern void sth_store_delete(int64 object_id);

#endif							/* STH_STORE_STORE_H */
