/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has changed: between an image and a container of it, or between two images, told path by
 * path as `docker diff` does, in the order of a walk (each directory's names sorted by their
 * bytes).
 *
 * A directory below which anything has changed is itself changed; of what was added or removed as a
 * whole, each added path is told, and of what was removed its top only. A file that was copied up
 * and is now as it was in all respects is not told.
 */
#pragma once

#include "container.h"
#include "delta.h"
#include "util/stream.h"

enum change_kind { CHANGE_ADDED = 'A', CHANGE_CHANGED = 'C', CHANGE_DELETED = 'D' };

struct change {
	enum change_kind kind;
	const char *path; /* from "/" */
	uint32_t mode;    /* of what is there now, or was there */
};
/* Non-zero ends the walk, and is given back. */
typedef int (*change_sink)(void *ctx, const struct change *c, struct err *e);

_must_check_ int container_changes(struct store *s, const struct container *c,
	const struct delta_live *live, change_sink sink, void *ctx, struct err *e);
/* The caller has LOCK_GC shared, or both are open. */
_must_check_ int image_changes(struct store *s, const struct digest *from, const struct digest *to,
	change_sink sink, void *ctx, struct err *e);

/*
 * The changes of a container as a layer in OCI's form, in the one canonical form of tar (tar.h):
 * the same bytes for the same changes, and those that an export of their commit has.
 */
_must_check_ int container_diff_tar(struct store *s, const struct container *c,
	const struct delta_live *live, struct sink *out, struct err *e);
