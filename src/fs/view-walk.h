/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk through all of an image: depth first, each directory's names sorted by their bytes, every
 * name once, and directories once more behind what is in them. It is a stack in memory, not of
 * calls, so that a tree may be of any depth; it keeps one path, and the first names of files that
 * have several. An index that holds a loop ends the walk with -ERR_STORE.
 */
#pragma once

#include "view.h"

struct walk_entry {
	const char *path; /* from the root, without a '/' in front; the root is "./" */
	const char *name; /* the last part of `path` */
	const char
		*first; /* the path of the file's first name, if this is a further one, else NULL */
	bool leave;     /* a directory again, behind all that is in it */
	struct index_inode inode;
};

struct view_walk;
/* `links` false: `first` is not told. NULL: no memory. */
struct view_walk *view_walk_new(struct view *v, bool links);
void view_walk_free(struct view_walk *w);
DEFINE_CLEANUP(struct view_walk *, view_walk_free);

/* 1 = *ret is the next entry, valid until the next call; 0 = there are no more. */
_must_check_ int view_walk_next(struct view_walk *w, struct walk_entry *ret, struct err *e);
