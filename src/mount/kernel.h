/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's EROFS on plain files: a local index as the file system, the packs as its devices.
 * Straight by fsopen(2), fsconfig(2), fsmount(2) and move_mount(2): mount(8) would put a loop
 * device under every file. Needs Linux 6.12, CAP_SYS_ADMIN, and a store on a file system that
 * can back it (not overlayfs).
 *
 * Nothing is kept about a mount: /proc/self/mountinfo tells all, since its source is the path of
 * the local index. The data of a mounted image is safe from gc because the kernel holds the index
 * open (gc.h).
 */
#pragma once

#include "idmap.h"
#include "store/store.h"

#include <stdbool.h>

/* A local index, an absolute path, and the packs that it names, in the order of its device table.
 */
struct kernel_source {
	char *index;
	char *packs[PACKS_MAX];
	size_t n_packs;
};
void kernel_source_done(struct kernel_source *k);
#define _cleanup_kernel_source_ _cleanup_(kernel_source_done)

/*
 * Mounts it read-only, for nobody to see: *ret_mnt is a mount as fsmount(2) gives it, which goes
 * when it is closed unless it was attached (kernel_attach) or is used by an overlay. `ids` may be
 * NULL. -ERR_UNSUPPORTED where the kernel or the file system cannot; -EPERM; -errno.
 */
_must_check_ int kernel_mount(
	const struct kernel_source *k, const struct idmap *ids, int *ret_mnt, struct err *e);
/* Puts a mount on `dir`. */
_must_check_ int kernel_attach(int mnt, const char *dir, struct err *e);
/* The kernel's own words about the last failure on a file system context, under --debug. */
void kernel_log(int fs);
