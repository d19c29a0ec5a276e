/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk through all of an index: depth first, each directory's names sorted by their bytes, every
 * name once, and directories once more behind what is in them. It is a stack in memory, not of
 * calls, so that a tree may be of any depth; it keeps one path, and the first names of files that
 * have several. An index that holds a loop ends the walk with -ERR_STORE.
 */
#pragma once

#include "format/index.h"

struct walk_entry {
	const char *path; /* from the root, without a '/' in front; the root is "./" */
	const char *name; /* the last part of `path` */
	const char
		*first; /* the path of the file's first name, if this is a further one, else NULL */
	bool leave;     /* a directory again, behind all that is in it */
	struct index_inode inode;
};

struct index_walk;
/* `x` must outlive it. `links` false: `first` is not told. NULL: no memory. */
struct index_walk *index_walk_new(const struct index *x, bool links);
void index_walk_free(struct index_walk *w);
DEFINE_CLEANUP(struct index_walk *, index_walk_free);

/* 1 = *ret is the next entry, valid until the next call; 0 = there are no more. */
_must_check_ int index_walk_next(struct index_walk *w, struct walk_entry *ret, struct err *e);
