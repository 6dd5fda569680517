/*-------------------------------------------------------------------------
 *
 * multi.h
 *	  The transfers of this process, and waiting for them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_MULTI_H
#define STH_S3_MULTI_H

#include <curl/curl.h>

/* How many transfers a process has on their way at most. */
#define STH_MULTI_MAX 64

extern CURLcode sth_multi_start_curl(void);
extern bool sth_multi_add(CURL *easy);
extern void sth_multi_remove(CURL *easy);
extern bool sth_multi_next_done(CURL **easy, CURLcode *code);
extern int	sth_multi_wait(int64 timeout, uint32 wait_event);
extern int64 sth_multi_now(void);
extern int64 sth_multi_waited(void);
extern void sth_multi_close(void);

#endif							/* STH_S3_MULTI_H */
