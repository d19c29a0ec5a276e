/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs under maps of ids. The xattrs system.posix_acl_access and system.posix_acl_default
 * have ids of users and groups in their values. The kernel's FUSE translates between the namespace
 * of a process and that of the mount by itself; between the mount and the layers it is ours to do.
 */
#pragma once

#include "ids.h"

#include <string.h>

static inline bool acl_is(const char *name)
{
	return strncmp(name, "system.posix_acl_", 17) == 0;
}

/*
 * The ids of an ACL as the layers have them, in place. -EINVAL: it is none, or an id is not in the
 * layers; -EOPNOTSUPP: of an unknown version.
 */
_must_check_ int acl_ids_in(
	void *acl, size_t n, const struct id_map *uids, const struct id_map *gids);
/* As the mount shows them. What is no ACL stays as it is: the kernel refuses it. */
void acl_ids_out(void *acl, size_t n, const struct id_map *uids, const struct id_map *gids);
