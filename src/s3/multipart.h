/*-------------------------------------------------------------------------
 *
 * multipart.h
 *	  Writing a large object in parallel parts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_MULTIPART_H
#define STH_S3_MULTIPART_H

#include "s3/client.h"

/* A put of more bytes goes in parts. */
#define STH_S3_MULTIPART_FROM (16 * 1024 * 1024)

extern void sth_s3_multipart_begin(SthS3Put *put);

#endif							/* STH_S3_MULTIPART_H */
