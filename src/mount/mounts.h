/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted, as /proc/self/mountinfo tells it, and unmounting.
 *
 * Nothing is kept about mounts anywhere: a mount's source says whose it is (kernel.h, overlay.h,
 * supervisor.h).
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

struct mount_entry {
	char *dir;
	char *type; /* "erofs", "overlay", "fuse.plyfs" */
	char *source;
	uint64_t dev; /* of the file system, as stat(2) has it */
};
/* The mounts of these three types in this mount namespace, in its order. */
_must_check_ int mount_entries(struct mount_entry **ret, size_t *ret_n, struct err *e);
void mount_entries_free(struct mount_entry *v, size_t n);
/* Unmounts what is mounted on top at exactly `dir`, an absolute path. */
_must_check_ int mount_remove(const char *dir, bool lazy, struct err *e);
