/*-------------------------------------------------------------------------
 *
 * key_file.h
 *	  Small files with secrets, which others rewrite at any time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STH_S3_KEY_FILE_H
#define STH_S3_KEY_FILE_H

#include <sys/stat.h>

/* A file as it was when it was last read, or was not there. */
typedef struct SthKeyFile
{
	const char *path;			/* the caller's */
	bool		looked;
	bool		there;
	struct stat st;
} SthKeyFile;

typedef enum SthKeyFileResult
{
	STH_KEY_FILE_READ,
	STH_KEY_FILE_ABSENT,		/* nothing by that name */
	STH_KEY_FILE_BAD			/* not to be read */
} SthKeyFileResult;

/* Has it been written, replaced or removed since it was read? */
extern bool sth_key_file_changed(const SthKeyFile *file);

/*
 * Reads all of a regular file of at most 'size' bytes; if it is bad, errno
 * says why: EFBIG if it is larger, EINVAL if it is no regular file.
 */
extern SthKeyFileResult sth_key_file_read(SthKeyFile *file, char *buffer,
										  Size size, Size *len);

#endif							/* STH_S3_KEY_FILE_H */
