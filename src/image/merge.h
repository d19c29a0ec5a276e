/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers laid over each other: the one tree that a container sees.
 *
 * Applied one after the other, lowest first, as an engine without overlayfs would unpack them:
 * whiteouts remove, opaque directories hide, a directory keeps the lower one's content and takes
 * the upper one's attributes unless it is implicit, everything else replaces. An implicit
 * directory over a symlink to a directory stands for the directory that the symlink leads to. A
 * hard link to a lower layer's file shares that file.
 */
#pragma once

#include "format/tree.h"

/*
 * Lays the layer with root `upper` over `t->root`. Both are in `t`; `upper`'s inodes become part
 * of the result, `name` says in messages which layer it is. -ERR_INPUT for a hard link to nothing.
 */
_must_check_ int merge_layer(struct tree *t, struct inode *upper, const char *name, struct err *e);
