/* SPDX-License-Identifier: Apache-2.0 */
#include "io.h"
#include "buf.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int io_read(int fd, void *p, size_t n, size_t *ret_n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = read(fd, (char *)p + done, n - done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		done += (size_t)k;
	}
	*ret_n = done;
	return 0;
}

int io_pread(int fd, void *p, size_t n, uint64_t off, size_t *ret_n)
{
	size_t done = 0;

	if (off > INT64_MAX || n > INT64_MAX - off)
		return -EOVERFLOW;
	while (done < n) {
		ssize_t k = pread(fd, (char *)p + done, n - done, (off_t)(off + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		done += (size_t)k;
	}
	*ret_n = done;
	return 0;
}

int io_pread_full(int fd, void *p, size_t n, uint64_t off)
{
	size_t got = 0;
	int r = io_pread(fd, p, n, off, &got);

	if (r < 0)
		return r;
	return got == n ? 0 : -EIO;
}

int io_write_full(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p = (const char *)p + k;
		n -= (size_t)k;
	}
	return 0;
}

int io_pwrite_full(int fd, const void *p, size_t n, uint64_t off)
{
	while (n) {
		ssize_t k = pwrite(fd, p, n, (off_t)off);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p = (const char *)p + k;
		n -= (size_t)k;
		off += (uint64_t)k;
	}
	return 0;
}

int io_slurp(int fd, size_t max, struct buf *b)
{
	for (size_t total = 0;;) {
		size_t got = 0;
		int r = buf_reserve(b, 65536);

		if (r < 0)
			return r;
		r = io_read(fd, b->p + b->n, 65536, &got);
		if (r < 0)
			return r;
		b->n += got;
		b->p[b->n] = 0;
		total += got;
		if (total > max)
			return -EFBIG;
		if (got < 65536)
			return 0;
	}
}

int io_mkdir(int dirfd, const char *path, mode_t mode)
{
	struct stat st;

	if (mkdirat(dirfd, path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(dirfd, path, &st, 0) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int io_fsync_dir(int dirfd, const char *path)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

int io_write_file(int dirfd, const char *name, const void *p, size_t n)
{
	_cleanup_free_ char *tmp = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (asprintf(&tmp, "%s.new-%d", name, gettid()) <
		0) /* others may write it at this moment */
		return -ENOMEM;
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_full(fd, p, n);
	if (r == 0 && (fsync(fd) < 0 || renameat(dirfd, tmp, dirfd, name) < 0))
		r = -errno;
	if (r < 0)
		unlinkat(dirfd, tmp, 0);
	return r < 0 ? r : io_fsync_dir(dirfd, ".");
}
