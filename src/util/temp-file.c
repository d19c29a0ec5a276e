/* SPDX-License-Identifier: Apache-2.0 */
#include "temp-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#define MODE 0666

/* Processes in other PID namespaces may be at work in the same directory: only chance tells. */
static int make_name(char name[TEMP_FILE_NAME_MAX])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -errno;
	snprintf(name, TEMP_FILE_NAME_MAX, TEMP_FILE_PREFIX "%016jx", (uintmax_t)number);
	return 0;
}

static void self_path(int fd, char path[TEMP_FILE_NAME_MAX])
{
	snprintf(path, TEMP_FILE_NAME_MAX, "/proc/self/fd/%d", fd);
}

/* 1 = the file system cannot, or there is no way to name the file later. */
static int open_unnamed(int dirfd, struct temp_file *ret)
{
	_cleanup_close_ int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, MODE);
	char path[TEMP_FILE_NAME_MAX];

	if (fd < 0)
		return errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT ? 1 : -errno;
	self_path(fd, path);
	if (access(path, F_OK) < 0) /* no /proc */
		return 1;
	*ret = (struct temp_file){.fd = TAKE_FD(fd), .dirfd = dirfd};
	return 0;
}

int temp_file_open(int dirfd, struct temp_file *ret)
{
	struct temp_file t = {.dirfd = dirfd};
	int r = open_unnamed(dirfd, ret);

	if (r == 1)
		r = make_name(t.name);
	else
		return r;
	if (r < 0)
		return r;
	t.fd = openat(dirfd, t.name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, MODE);
	if (t.fd < 0)
		return -errno;
	*ret = t;
	return 0;
}

static int link_as(const struct temp_file *t, int dirfd, const char *name)
{
	char path[TEMP_FILE_NAME_MAX];

	self_path(t->fd, path);
	return linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* Gives it a name that is only for the time being. */
static int link_temp(struct temp_file *t, int dirfd)
{
	char name[TEMP_FILE_NAME_MAX];
	int r = make_name(name);

	if (r == 0)
		r = link_as(t, dirfd, name);
	if (r < 0)
		return r;
	memcpy(t->name, name, sizeof(name));
	t->dirfd = dirfd;
	return 0;
}

int temp_file_park(struct temp_file *t)
{
	int r = t->name[0] ? 0 : link_temp(t, t->dirfd);

	if (r == 0)
		close(TAKE_FD(t->fd));
	return r;
}

/* link(2) replaces nothing, rename(2) does. */
int temp_file_name(struct temp_file *t, int dirfd, const char *name)
{
	int r = t->name[0] ? -EEXIST : link_as(t, dirfd, name);

	if (r != -EEXIST)
		return r;
	r = t->name[0] ? 0 : link_temp(t, dirfd);
	if (r < 0)
		return r;
	if (renameat(t->dirfd, t->name, dirfd, name) < 0)
		return -errno;
	t->name[0] = 0;
	return 0;
}

void temp_file_done(struct temp_file *t)
{
	if (t->name[0])
		unlinkat(t->dirfd, t->name, 0);
	close_fdp(&t->fd);
	*t = TEMP_FILE_NONE;
}
