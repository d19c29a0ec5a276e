/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of tar entries and of links, looked up in a tree as if its root were "/": symlinks in the
 * middle are followed inside the tree, ".." stops at the root, nothing outside is ever touched.
 */
#pragma once

#include "format/tree.h"
#include "util/buf.h"

#define PATH_BYTES_MAX ((size_t)256 << 10)

/*
 * A path in its plain form: no leading or doubled '/', no "." and "..", which are taken away by
 * the letter. The empty string is the root. -ERR_INPUT if ".." leads above the root or a name is
 * longer than 255 bytes.
 */
_must_check_ int path_clean(const char *path, struct buf *ret, struct err *e);

/*
 * Finds the directory that a clean path's last name is in. With `make`, missing directories are
 * made, implicit; a whiteout in their place becomes an opaque one. *ret_name is a view of `path`,
 * empty for the root itself. Without `make`: 1 = a directory is missing, 2 = a whiteout is in its
 * place. -ERR_INPUT if something
 * on the way is no directory, or after 40 symlinks.
 */
_must_check_ int path_parent(struct tree *t, struct inode *root, const char *path, bool make,
	struct inode **ret_dir, const char **ret_name, struct err *e);

/* The directory that `path` leads to, a symlink at its end followed too. 1 = there is none. */
_must_check_ int path_directory(
	struct tree *t, struct inode *root, const char *path, struct inode **ret);
