/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk through a directory tree by descriptors: depth first, each directory's names sorted by
 * their bytes, at any depth (dir-stack.h). Directories are entered only where the caller says so,
 * and never through symlinks.
 */
#pragma once

#include "cleanup.h"

#include <stddef.h>

struct dir_walk_entry {
	int dirfd;        /* the directory that it is in; the walk's */
	const char *name; /* valid until the next call */
	const char *path; /* below the root of the walk */
	size_t depth;     /* 0: in the root */
};

struct dir_walk;
/* `fd` is any descriptor of the root, which stays the caller's. */
_must_check_ int dir_walk_new(int fd, struct dir_walk **ret);
void dir_walk_free(struct dir_walk *w);
DEFINE_CLEANUP(struct dir_walk *, dir_walk_free);

/* 1 = *ret is the next name; 0 = there are no more. -errno */
_must_check_ int dir_walk_next(struct dir_walk *w, struct dir_walk_entry *ret);
/* Goes into the entry that was given last, whose names come next. -errno: it is as it was. */
_must_check_ int dir_walk_enter(struct dir_walk *w);
