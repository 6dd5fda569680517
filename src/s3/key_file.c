/*-------------------------------------------------------------------------
 *
 * key_file.c
 *	  Small files with secrets, which others rewrite at any time.
 *
 * What is read may be half of what is being written; so whoever cannot make
 * sense of it keeps what he had, and looks again.  No file is waited for: a
 * FIFO or a device is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "s3/key_file.h"
#include "storage/fd.h"

bool
sth_key_file_changed(const SthKeyFile *file)
{
	struct stat now;
	bool		there = stat(file->path, &now) == 0;

	if (!file->looked || there != file->there)
		return true;
	return there && (now.st_dev != file->st.st_dev || now.st_ino != file->st.st_ino ||
					 now.st_size != file->st.st_size ||
					 now.st_mtim.tv_sec != file->st.st_mtim.tv_sec ||
					 now.st_mtim.tv_nsec != file->st.st_mtim.tv_nsec);
}

/* All bytes there are, at most 'size'; -1 and errno if they cannot be read. */
static ssize_t
read_all(int fd, char *buffer, Size size)
{
	Size		len = 0;

	while (len < size)
	{
		ssize_t		n = read(fd, buffer + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += n;
	}
	return (ssize_t) len;
}

SthKeyFileResult
sth_key_file_read(SthKeyFile *file, char *buffer, Size size, Size *len)
{
	SthKeyFileResult result = STH_KEY_FILE_BAD;
	int			saved_errno;
	ssize_t		n;
	int			fd;

	file->looked = true;
	file->there = false;
	fd = BasicOpenFile(file->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | PG_BINARY);
	if (fd < 0)
		return errno == ENOENT ? STH_KEY_FILE_ABSENT : STH_KEY_FILE_BAD;
	if (fstat(fd, &file->st) == 0)
	{
		file->there = true;
		if (!S_ISREG(file->st.st_mode))
			errno = EINVAL;
		else if (file->st.st_size > (off_t) size)
			errno = EFBIG;
		else if ((n = read_all(fd, buffer, size)) >= 0)
		{
			*len = (Size) n;
			result = STH_KEY_FILE_READ;
		}
	}
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return result;
}
