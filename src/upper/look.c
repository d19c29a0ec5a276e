/* SPDX-License-Identifier: Apache-2.0 */
#include "look.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

void upper_look_done(struct upper *up)
{
	if (!up)
		return;
	close_fdp(&up->fd);
	close_fdp(&up->work_fd);
	close_fdp(&up->blocks_fd);
	close_fdp(&up->index_fd);
	free(up);
}

/* -1 in *ret: there is none. */
static int open_sub(struct upper *up, const char *name, int *ret)
{
	*ret = openat(up->work_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 && errno != ENOENT ? -errno : 0;
}

/* What we may do, tried on a file without a name. */
static void probe(struct upper *up)
{
	_cleanup_close_ int fd = openat(up->work_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	_cleanup_close_ int other = openat(up->work_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	up->user = fd < 0 ? geteuid() != 0
			  : fsetxattr(fd, overlay_xattr_name(OVERLAY_ORIGIN, false), "y", 1, 0) < 0;
	/* Who may set trusted.* is root, and so was who wrote the directory. */
	up->may_chown = up->may_mknod = !up->user;
	up->reflink = fd >= 0 && other >= 0 && ioctl(other, FICLONE, fd) == 0;
}

static int look(struct upper *up, const char *path, const char *work, struct err *e)
{
	int r;

	up->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (up->fd < 0)
		return err_sys(e, -errno, "cannot open %s", path);
	up->work_fd = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (up->work_fd < 0)
		return err_sys(e, -errno, "cannot open %s", work);
	r = open_sub(up, "blocks", &up->blocks_fd);
	if (r == 0)
		r = open_sub(up, "index", &up->index_fd);
	if (r < 0)
		return err_sys(e, r, "cannot read %s", work);
	probe(up);
	return 0;
}

int upper_look(const char *path, const char *work, struct upper **ret, struct err *e)
{
	_cleanup_(upper_look_donep) struct upper *up = calloc(1, sizeof(*up));
	int r;

	if (!up)
		return err_sys(e, -ENOMEM, "cannot open %s", path);
	up->fd = up->work_fd = up->scratch_fd = up->orphans_fd = -1;
	up->blocks_fd = up->index_fd = -1;
	r = look(up, path, work, e);
	if (r == 0)
		*ret = TAKE_PTR(up);
	return r;
}
