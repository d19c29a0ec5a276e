/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that show other owners than the files have (fs/ids.h), by the kernel: mount_setattr(2)
 * with MOUNT_ATTR_IDMAP, which takes the map from a user namespace that is made for the purpose.
 * Owners that the map does not name are shown as nobody, and files cannot be given to them.
 *
 * The user namespace needs no privilege of its own, but to map ids that are not the caller's does,
 * and so does idmapping a mount: CAP_SYS_ADMIN in the first user namespace.
 */
#pragma once

#include "fs/ids.h"

struct idmap {
	int userns;        /* -1: none */
	uint32_t uid, gid; /* of somebody whom the map shows, root if it can be */
};
#define IDMAP_NONE ((struct idmap){.userns = -1})

/* Either map may be empty or NULL: those ids stay as they are. */
_must_check_ int idmap_new(
	const struct id_map *uids, const struct id_map *gids, struct idmap *ret, struct err *e);
void idmap_done(struct idmap *m);
#define _cleanup_idmap_ _cleanup_(idmap_done)
/* To a mount that is not attached. `what` names it. -ERR_UNSUPPORTED: it cannot be idmapped. */
_must_check_ int idmap_apply(const struct idmap *m, int mnt, const char *what, struct err *e);
