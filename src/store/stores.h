/*-------------------------------------------------------------------------
 *
 * stores.h
 *	  The two stores, behind store.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_STORE_STORES_H
#define STH_STORE_STORES_H

#include "catalog/server.h"
#include "store/store.h"

typedef struct SthDatabasePut SthDatabasePut;
typedef struct SthDatabaseStore SthDatabaseStore;
typedef struct SthBucketPut SthBucketPut;
typedef struct SthBucketStore SthBucketStore;

extern SthDatabasePut *sth_database_put_begin(int64 object_id);
extern void sth_database_put_write(SthDatabasePut *put, const uint8 *bytes,
								   Size len);
extern void sth_database_put_finish(SthDatabasePut *put);
extern SthDatabaseStore *sth_database_open(Snapshot snapshot);
extern void sth_database_get(SthDatabaseStore *store, SthGet *get);
extern void sth_database_close(SthDatabaseStore *store);

/* a client of one's own, which tries for so many milliseconds */
struct SthS3;
extern struct SthS3 *sth_bucket_client(const SthServer *server,
									   int retry_timeout);

extern SthBucketPut *sth_bucket_put_begin(const SthServer *server,
										  int64 object_id);
extern void sth_bucket_put_write(SthBucketPut *put, const uint8 *bytes,
								 Size len);
extern const char *sth_bucket_put_key(const SthBucketPut *put);
extern void sth_bucket_put_send(SthBucketPut *put);
extern bool sth_bucket_put_is_sent(const SthBucketPut *put);
extern void sth_bucket_put_check(const SthBucketPut *put);
extern void sth_bucket_put_end(SthBucketPut *put);
extern SthBucketStore *sth_bucket_open(const SthServer *server,
									   Snapshot snapshot);
extern struct SthS3 *sth_bucket_s3(const SthBucketStore *store);
extern void sth_bucket_submit(SthBucketStore *store, SthGet *get);
extern void sth_bucket_wait(SthBucketStore *store, SthGet *get);
extern void sth_bucket_cancel(SthBucketStore *store, SthGet *get);
extern void sth_bucket_close(SthBucketStore *store);

#endif							/* STH_STORE_STORES_H */
