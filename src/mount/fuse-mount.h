/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting /dev/fuse mounted on a directory: by mount calls of our own where we may (root, also of a
 * user namespace), else through fusermount3(1), which is set-user-ID root.
 *
 * Root's mounts are open to all users, whom the kernel checks by modes and ACLs; a user's only if
 * it is asked for and /etc/fuse.conf has user_allow_other, and always with nosuid and nodev.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

struct fuse_mount {
	const char *dir;    /* absolute */
	const char *source; /* what the kernel shows as the source of the mount */
	bool writable;
	bool allow_other; /* see above; root's mounts have it anyway */
	uint32_t flags; /* of mount(2): MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NO*ATIME, MS_*SYNC... */
};

/* *ret_fd: /dev/fuse, mounted. -EPERM: neither we nor fusermount3 may; -ENOTDIR. */
_must_check_ int fuse_mount(const struct fuse_mount *m, int *ret_fd, struct err *e);
/* Unmounts what is on top at `dir`, lazily: it ends when nothing in it is in use any more. */
_must_check_ int fuse_unmount(const char *dir, struct err *e);
