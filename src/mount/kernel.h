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

#include "store/store.h"

#include <stdbool.h>

/*
 * Mounts the local index, an absolute path, on `dir`, read-only. `devices` are the packs that it
 * names, in the order of its device table. -ERR_UNSUPPORTED where the kernel or the file system
 * cannot; -EPERM; -errno.
 */
_must_check_ int kernel_mount(const char *index_path, char *const *devices, size_t n_devices,
	const char *dir, struct err *e);

struct mount_entry {
	char *dir;
	char *source;
};
/* The EROFS mounts of this mount namespace, in its order. */
_must_check_ int kernel_mounts(struct mount_entry **ret, size_t *ret_n, struct err *e);
void mount_entries_free(struct mount_entry *v, size_t n);
/* Unmounts what is mounted on top at exactly `dir`, an absolute path. */
_must_check_ int kernel_umount(const char *dir, bool lazy, struct err *e);
