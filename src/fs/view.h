/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image looked into without a mount: its local index and the packs. Read-only, so any number of
 * threads may use one view at once.
 *
 * Paths are taken as in the image: they begin at its root, symlinks lead inside it, ".." stops at
 * the root, and what a '/' follows must be a directory or lead to one.
 */
#pragma once

#include "format/index.h"
#include "store/records.h"

struct view;
/* Keeps the index open, so that gc leaves the image alone while the view lives (gc.h). */
_must_check_ int view_open(
	struct store *s, const struct image_record *image, struct view **ret, struct err *e);
void view_close(struct view *v);
DEFINE_CLEANUP(struct view *, view_close);

const struct index *view_index(const struct view *v);
/* -ENOENT, -ENOTDIR, -ELOOP with `e` filled. `follow`: a symlink at the end, too. */
_must_check_ int view_lookup(
	struct view *v, const char *path, bool follow, struct index_inode *ret, struct err *e);
/* The next place from `off` on that is no hole, or the file's size. */
_must_check_ int view_next_data(
	struct view *v, const struct index_inode *i, uint64_t off, uint64_t *ret, struct err *e);
/* The next run of data from `off` on. 1 = from *ret_start to *ret_end; 0 = there is none. */
_must_check_ int view_next_run(struct view *v, const struct index_inode *i, uint64_t off,
	uint64_t *ret_start, uint64_t *ret_end, struct err *e);
/* Reads up to `n` bytes of a file at `off`; *ret_n is less only at its end. */
_must_check_ int view_read(struct view *v, const struct index_inode *i, void *p, size_t n,
	uint64_t off, size_t *ret_n, struct err *e);

/* Content that lies in one piece: in a pack, or nowhere. */
struct view_run {
	bool hole;
	uint16_t pack;
	uint64_t pack_off;
	uint64_t size;
};
/* Of a chunked file (INDEX_CHUNKS): what begins at `off` < size, of at most `n` bytes. */
_must_check_ int view_run(struct view *v, const struct index_inode *i, uint64_t off, uint64_t n,
	struct view_run *ret, struct err *e);
/* The descriptor of a pack that the index addresses; the store's. */
int view_pack_fd(const struct view *v, uint16_t pack);
