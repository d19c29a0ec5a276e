/* SPDX-License-Identifier: Apache-2.0 */
#include "remove.h"
#include "dir-stack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int push_dir(struct dir_stack *s, const char *name)
{
	const int parent = dir_stack_fd(s);
	int fd;

	if (fchmodat(parent, name, 0700, 0) < 0)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : dir_stack_push(s, fd);
}

/* 1 = it is a directory with something in it, and now the current one. */
static int remove_name(struct dir_stack *s, const char *name)
{
	int r;

	if (unlinkat(dir_stack_fd(s), name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dir_stack_fd(s), name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	r = push_dir(s, name);
	return r < 0 ? r : 1;
}

/* Removes what is in the current directory. 1 = as far as another, which is the current one now. */
static int remove_names(struct dir_stack *s)
{
	_cleanup_(closedirp) DIR *stream = NULL;
	_cleanup_close_ int fd = openat(dir_stack_fd(s), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *d;
	int r = 0;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream)
		return -errno;
	fd = -1;
	while (r == 0 && (errno = 0, d = readdir(stream)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = remove_name(s, d->d_name);
	return r ? r : -errno;
}

int remove_below(int fd)
{
	_cleanup_dir_stack_ struct dir_stack s = {0};
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int r = own < 0 ? -errno : dir_stack_push(&s, own);

	while (r >= 0 && s.n) {
		_cleanup_close_ int left = -1;

		r = remove_names(&s);
		if (r == 0)
			r = dir_stack_pop(&s, &left); /* it is removed when its name comes again */
	}
	return r < 0 ? r : 0;
}
