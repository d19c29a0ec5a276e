/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the file system and the caller's privileges allow, tried in scratch/, and noted there: who
 * goes on with a dead process's session must be able to do so on a full disk.
 */
#include "upper.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static const char file_name[] = "probe-file", other_name[] = "probe-other",
		  node_name[] = "probe-node";

static int probe_xattrs(struct upper *up, int fd, struct err *e)
{
	int r;

	if (!up->user && fsetxattr(fd, "trusted.overlay.probe", "y", 1, 0) == 0)
		return 0;
	up->user = true;
	r = fsetxattr(fd, "user.overlay.probe", "y", 1, 0) < 0 ? -errno : 0;
	if (r == -EOPNOTSUPP || r == -EPERM)
		return err_set(e, -ERR_UNSUPPORTED,
			"the upper directory's file system has no extended attributes");
	return r < 0 ? err_sys(e, r, "cannot set an extended attribute in the work directory") : 0;
}

/* 1 and 2 are somebody else's. */
static bool probe_chown(int fd)
{
	const uid_t other = geteuid() == 1 ? 2 : 1;

	return fchown(fd, other, other) == 0;
}

static bool probe_mknod(struct upper *up)
{
	return mknodat(up->scratch_fd, node_name, S_IFBLK | 0600, makedev(7, 0)) == 0 &&
	       unlinkat(up->scratch_fd, node_name, 0) == 0;
}

static bool probe_tmpfile(struct upper *up)
{
	_cleanup_close_ int fd = openat(up->scratch_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd >= 0;
}

static bool probe_reflink(struct upper *up, int fd)
{
	_cleanup_close_ int other =
		openat(up->scratch_fd, other_name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	const bool can = other >= 0 && ioctl(other, FICLONE, fd) == 0;

	unlinkat(up->scratch_fd, other_name, 0);
	return can;
}

/* The file is called file_name, and a whiteout node_name, at first. */
static int probe_renames(struct upper *up, struct err *e)
{
	if (mknodat(up->scratch_fd, node_name, S_IFCHR, 0) < 0)
		return err_sys(e, errno == EPERM ? -ERR_UNSUPPORTED : -errno,
			"cannot make whiteouts (character devices 0:0) in the work directory");
	if (renameat2(up->scratch_fd, file_name, up->scratch_fd, node_name, RENAME_EXCHANGE) < 0 ||
		renameat2(up->scratch_fd, node_name, up->scratch_fd, other_name, RENAME_WHITEOUT) <
			0)
		return err_sys(e, errno == EINVAL ? -ERR_UNSUPPORTED : -errno,
			"the upper directory's file system cannot exchange names or leave "
			"whiteouts");
	return 0;
}

static int probe(struct upper *up, struct err *e)
{
	_cleanup_close_ int fd =
		openat(up->scratch_fd, file_name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "cannot make a file in the work directory");
	r = probe_xattrs(up, fd, e);
	if (r < 0)
		return r;
	up->reflink = probe_reflink(up, fd);
	up->tmpfile = probe_tmpfile(up);
	up->may_mknod = probe_mknod(up);
	up->may_chown = probe_chown(fd);
	return probe_renames(up, e);
}

/* Letters for what can be done. */
static void note(struct upper *up)
{
	char can[8], *p = can;
	int r;

	*p++ = '-';
	if (up->may_chown)
		*p++ = 'c';
	if (up->may_mknod)
		*p++ = 'm';
	if (up->tmpfile)
		*p++ = 't';
	if (up->reflink)
		*p++ = 'r';
	r = upper_mark_set(up, up->scratch_fd, ".", OVERLAY_CAN, can, (size_t)(p - can));
	(void)r; /* then it is tried again */
}

int upper_probe_recall(struct upper *up)
{
	const bool user = up->user;
	char can[8];
	size_t n;
	int r = 1;

	if (!user)
		r = upper_mark_get(up, up->scratch_fd, ".", OVERLAY_CAN, can, sizeof(can), &n);
	if (r != 0) {
		up->user = true;
		r = upper_mark_get(up, up->scratch_fd, ".", OVERLAY_CAN, can, sizeof(can), &n);
	}
	if (r != 0) {
		up->user = user;
		return 1;
	}
	up->may_chown = memchr(can, 'c', n);
	up->may_mknod = memchr(can, 'm', n);
	up->tmpfile = memchr(can, 't', n);
	up->reflink = memchr(can, 'r', n);
	return 0;
}

int upper_probe(struct upper *up, struct err *e)
{
	int r;

	unlinkat(up->scratch_fd, file_name, 0);
	unlinkat(up->scratch_fd, other_name, 0);
	unlinkat(up->scratch_fd, node_name, 0);
	r = probe(up, e);
	if (r == 0)
		note(up);
	unlinkat(up->scratch_fd, file_name, 0);
	unlinkat(up->scratch_fd, other_name, 0);
	unlinkat(up->scratch_fd, node_name, 0);
	return r;
}
