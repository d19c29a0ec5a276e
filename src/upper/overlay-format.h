/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What overlayfs writes into an upper directory, and how we read and write the same, so that the
 * kernel's overlayfs and plyfs can take turns on one upper directory
 * (Documentation/filesystems/overlayfs.rst of Linux, and fs/overlayfs/overlayfs.h for the bytes).
 *
 *   whiteout   a character device 0:0: the lower layers' file of this name is gone
 *   opaque     xattr "y" on a directory: what lower layers have in it is hidden
 *   redirect   xattr on a directory that was renamed: its path in the lower layers, from the
 *              root ("/usr/lib"), or its old name alone if it stayed in its directory
 *   origin     xattr on what was copied up: the file handle of the lower file, which gives it its
 *              inode number and, with `index`, keeps hard links together
 *   nlink      xattr on a copied-up file with several names: "U+1", "L-2": its link count,
 *              relative to that of the upper or the lower inode
 *   index/     in the work directory: for each copied-up lower file with several names, a hard
 *              link to the upper inode, named by the hexadecimal digits of the origin
 *
 * The xattrs are "trusted.overlay.x", or "user.overlay.x" for who may not set the first
 * (overlayfs's option userxattr). Of our own are, below the same prefix so that both drivers hide
 * them, "plyfs.blocks": the file is half copied (blocks.h), and "plyfs.owner": what a user without
 * root could not give the file (upper.h). "plyfs.capability" is there for as long as a write takes.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define OVERLAY_XATTR_NAME_MAX 64
enum overlay_xattr {
	OVERLAY_OPAQUE,
	OVERLAY_REDIRECT,
	OVERLAY_ORIGIN,
	OVERLAY_NLINK,
	OVERLAY_IMPURE,
	OVERLAY_METACOPY,
	OVERLAY_BLOCKS,
	OVERLAY_OWNER,
	OVERLAY_CAPABILITY, /* security.capability, while that is away (fs/union-privileges.c) */
	OVERLAY_CAN, /* of WORK/scratch: what was found to be possible there (upper-probe.c) */
};
/* "trusted.overlay.opaque"; static. */
const char *overlay_xattr_name(enum overlay_xattr x, bool user);
/* Whether an xattr is overlayfs's or ours, and no file's own. */
bool overlay_xattr_is_private(const char *name, bool user);

static inline bool overlay_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/*
 * The file handle that overlayfs keeps as origin, for a file of a mounted index: FILEID_INO64_GEN
 * with the nid, generation 0 (as fs/erofs encodes it), and the index's UUID.
 */
#define OVERLAY_ORIGIN_MAX 128
struct overlay_origin {
	uint8_t bytes[OVERLAY_ORIGIN_MAX];
	size_t size;
};
void overlay_origin_of(const uint8_t uuid[16], uint64_t nid, struct overlay_origin *ret);
/* The same for any file handle (name_to_handle_at(2)). 1 = it is too long. */
_must_check_ int overlay_origin_of_handle(
	const uint8_t uuid[16], int type, const void *handle, size_t n, struct overlay_origin *ret);
/* Where in an origin the handle begins. 1 = as below. */
_must_check_ int overlay_origin_handle(
	const void *value, size_t size, const uint8_t uuid[16], int *ret_type, size_t *ret_at);
/* 1 = it is of another file system, or no such handle: it tells nothing. */
_must_check_ int overlay_origin_nid(
	const void *value, size_t size, const uint8_t uuid[16], uint64_t *ret_nid);
