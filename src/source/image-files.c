/* SPDX-License-Identifier: Apache-2.0 */
#include "image-files.h"
#include "archive-index.h"
#include "util/io.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

void blob_close(struct blob *b)
{
	close_fdp(&b->fd);
	*b = (struct blob){.fd = -1};
}

void image_files_done(struct image_files *f)
{
	close_fdp(&f->dirfd);
	close_fdp(&f->fd);
	archive_index_free(f->index);
	*f = (struct image_files)IMAGE_FILES_NONE;
}

int image_files_open_dir(const char *path, struct image_files *ret, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno == ENOENT ? -ERR_ABSENT : -errno, "%s", path);
	*ret = (struct image_files){.dirfd = fd, .fd = -1};
	return 0;
}

static int open_tar(const char *path, struct err *e)
{
	int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					: open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return err_sys(e, errno == ENOENT ? -ERR_ABSENT : -errno, "%s", path);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		return err_sys(e, -EISDIR, "%s", path);
	}
	return fd;
}

int image_files_open_tar(const char *path, int tmp_dirfd, struct image_files *ret, struct err *e)
{
	_cleanup_(image_files_done) struct image_files f = IMAGE_FILES_NONE;
	int fd = open_tar(path, e), r;

	if (fd < 0)
		return fd;
	r = archive_unpack(fd, tmp_dirfd, &f.fd, e);
	if (r == 0)
		r = archive_index_new(f.fd, &f.index, e);
	if (r < 0)
		return err_prefix(e, r, "%s", path);
	*ret = f;
	f = (struct image_files)IMAGE_FILES_NONE;
	return 0;
}

/*
 * O_NONBLOCK: a FIFO must not hold us up before it is refused. ELOOP and EXDEV are openat2's words
 * for a symlink and for a way out of the directory.
 */
static int open_beneath(int dirfd, const char *name, struct err *e)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	if (fd >= 0)
		return (int)fd;
	if (errno == ELOOP)
		return err_set(e, -ERR_INPUT, "'%s' is a symlink", name);
	if (errno == EXDEV)
		return err_set(e, -ERR_INPUT, "'%s' leads out of the image's directory", name);
	return errno == ENOENT ? -ENOENT : err_sys(e, -errno, "%s", name);
}

static int find_in_dir(int dirfd, const char *name, struct blob *ret, struct err *e)
{
	_cleanup_close_ int fd = open_beneath(dirfd, name, e);
	struct stat st;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -ERR_INPUT, "'%s' is not a regular file", name);
	*ret = (struct blob){.size = (uint64_t)st.st_size};
	ret->fd = TAKE_FD(fd);
	return 1;
}

static int find_in_tar(
	const struct image_files *f, const char *name, struct blob *ret, struct err *e)
{
	struct blob b = {.fd = -1};
	int r = archive_index_find(f->index, name, &b.offset, &b.size, e);

	if (r <= 0)
		return r;
	b.fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
	if (b.fd < 0)
		return err_sys(e, -errno, "%s", name);
	*ret = b;
	return 1;
}

int image_files_find(const struct image_files *f, const char *name, struct blob *ret, struct err *e)
{
	if (f->dirfd >= 0)
		return find_in_dir(f->dirfd, name, ret, e);
	return find_in_tar(f, name, ret, e);
}

int image_files_read(const struct image_files *f, const char *name, struct buf *ret, struct err *e)
{
	_cleanup_(blob_close) struct blob b = {.fd = -1};
	int r = image_files_find(f, name, &b, e);

	if (r <= 0)
		return r;
	if (b.size > IMAGE_DOC_MAX)
		return err_set(e, -ERR_INPUT, "'%s' has %llu bytes, more than the %zu allowed",
			name, (unsigned long long)b.size, IMAGE_DOC_MAX);
	r = buf_reserve(ret, b.size);
	if (r < 0)
		return err_sys(e, r, "%s", name);
	r = io_pread_full(b.fd, ret->p + ret->n, b.size, b.offset);
	if (r < 0)
		return err_sys(e, r, "reading '%s'", name);
	ret->n += b.size;
	ret->p[ret->n] = 0;
	return 1;
}
