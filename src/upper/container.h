/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers: writable layers that persist in the store, each on one image.
 *
 *   containers/<ID>/upper   the upper directory (upper.h), overlayfs's format
 *   containers/<ID>/work    its work directory
 *
 * A record in chunks.lmdb makes a container (S1): ID -> manifest digest of its image, time of its
 * creation. An image that a container is made of is live for gc, named or not. A directory that no
 * record names is a leftover, which gc removes (store/containers.h, C1 and C2).
 *
 * Who mounts, commits, or removes a container has its lock: LOCK_CONTAINER, alone to write to the
 * upper directory or to remove it, and by the FUSE server and supervisor for as long as they live.
 * A container that is mounted by the kernel's overlayfs has no process: it is found in the mounts
 * that the kernel shows, and by overlayfs's own refusal to use an upper directory twice.
 */
#pragma once

#include "store/containers.h"

/* -EINVAL with `e` filled. */
_must_check_ int container_check_id(const char *id, struct err *e);
/*
 * A new container; `id` NULL: a random one of 12 hex digits. The upper directory has the mode, the
 * owner, the xattrs and the time of the image's root, as far as the caller may give them. The
 * caller has LOCK_GC shared, as for any look-up of an image (lock.h). -ERR_CONFLICT: there is one
 * of this ID.
 */
_must_check_ int container_create(struct store *s, const char *id, const struct digest *image,
	struct container *ret, struct err *e);
/* -ERR_ABSENT. An unambiguous beginning of an ID will do, of at least 4 characters. */
_must_check_ int container_find(
	struct store *s, const char *id, struct container *ret, struct err *e);
/* By ID; *ret is from malloc. */
_must_check_ int container_list(
	struct store *s, struct container **ret, size_t *ret_n, struct err *e);
/* -ERR_CONFLICT: another process has it (mounted, or being committed). */
_must_check_ int container_lock(
	struct store *s, const struct container *c, struct lock *ret, struct err *e);
/* The record goes, then the directory. The caller has its lock. */
_must_check_ int container_remove(struct store *s, const struct container *c, struct err *e);
/* "<store>/containers/<ID>/upper" and ".../work"; from malloc. */
_must_check_ int container_paths(struct store *s, const struct container *c, char **ret_upper,
	char **ret_work, struct err *e);
