/*-------------------------------------------------------------------------
 *
 * incarnation.c
 *	  Who has written an object that is kept in a bucket.
 *
 * Copies of a database, of its cluster or of its files know the same bucket
 * and the same objects.  So that they do not write to each other's keys, nor
 * delete what the others still read, the key of an object has the name of its
 * writer in it: a digest of what no two of them have in common.  That is the
 * cluster (its identifier, and its timeline, which promotion and recovery to a
 * point in time begin anew), the database, the extension in it, and the file
 * system's number of a file in the data directory, which a copy of the
 * directory does not have.
 *
 * What cannot be told apart is a snapshot of a whole disk; docs/s3.md says so.
 *
 * It is worked out from what is there and stored nowhere, so nothing has to
 * notice that a copy was made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "base/compat.h"
#include "catalog/relations.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "store/store.h"

#define DIGITS 16

/*
 * The name of whoever writes objects here and now, in hexadecimal digits; in
 * memory that lasts until the next call.  In a transaction, and not on a
 * standby.
 */
const char *
sth_store_incarnation(void)
{
	static char name[DIGITS + 1];
	struct stat file;
	char text[	256];
	int			len;

	if (stat("PG_VERSION", &file) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", "PG_VERSION")));
	len = snprintf(text, sizeof(text), UINT64_FORMAT " %u %u %u %llu",
				   GetSystemIdentifier(), GetWALInsertionTimeLine(),
				   MyDatabaseId, sth_relations()->tail,
				   (unsigned long long) file.st_ino);
	snprintf(name, sizeof(name), "%016llx",
			 (unsigned long long) hash_bytes_extended((const unsigned char *) text,
													  len, 0));
	return name;
}

/* Is a key one of those that an incarnation writes? */
bool
sth_store_wrote(const char *key, const char *incarnation)
{
	const char *file = strrchr(key, '/');
	size_t		len = strlen(incarnation);

	return file != NULL && (size_t) (file - key) > len &&
		file[-(int) len - 1] == '/' &&
		strncmp(file - len, incarnation, len) == 0;
}
