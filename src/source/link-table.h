/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first name of each file that has several: device and inode number to path. Takes memory for
 * such files only. Zero-initialised is empty.
 */
#pragma once

#include "util/arena.h"

#include <sys/types.h>

struct link_slot {
	dev_t dev;
	ino_t ino;
	const char *path; /* NULL: the slot is free */
};

struct link_table {
	struct arena arena; /* of the paths */
	struct link_slot *slots;
	size_t n, room; /* room: 0 or a power of two */
};

void link_table_done(struct link_table *t);

/*
 * Looks the file up. If it is there, *ret_first is its first path; else `path` is remembered as
 * such and *ret_first is NULL. 0 or -ENOMEM.
 */
_must_check_ int link_table_add(
	struct link_table *t, dev_t dev, ino_t ino, const char *path, const char **ret_first);
