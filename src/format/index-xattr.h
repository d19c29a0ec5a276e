/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The xattrs of an index being written: what lies behind an inode (its body), and the area of
 * those that several inodes share. Used by the plan only.
 */
#pragma once

#include "tree.h"
#include "util/buf.h"

struct xattr_pool;
struct xattr_pool *xattr_pool_new(void);
void xattr_pool_free(struct xattr_pool *p);
DEFINE_CLEANUP(struct xattr_pool *, xattr_pool_free);

/* Counts an inode's xattrs, and its layer flags if `layer`. All inodes come before the next. */
_must_check_ int xattr_pool_add(struct xattr_pool *p, const struct inode *i, bool layer);
/* Decides which are shared: those that were added more than once. Returns the area's bytes. */
uint64_t xattr_pool_place(struct xattr_pool *p);
/* Bytes of the body, a multiple of 4, 0 for none; -ERR_INPUT if the format can't hold it. */
_must_check_ int xattr_pool_body_size(
	const struct xattr_pool *p, const struct inode *i, bool layer, size_t *ret);
/* Appends the body, or the shared area. */
_must_check_ int xattr_pool_write_body(
	const struct xattr_pool *p, const struct inode *i, bool layer, struct buf *out);
_must_check_ int xattr_pool_write_shared(const struct xattr_pool *p, struct buf *out);
