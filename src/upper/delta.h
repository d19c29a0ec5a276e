/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an upper directory changes in an image, as a layer: a tree with the marks that layers have
 * (format/tree.h), such that laid over the image it gives the tree that the mount shows.
 *
 *   whiteouts          become whiteouts, where the image has something of that name
 *   opaque, redirect   a directory that does not continue the image's one of its path becomes
 * opaque, if there is one; what a renamed directory still has of the image is in it index/, hard
 * links a file that has several names in the union has all of them in the layer, also those that
 * the upper directory lacks, as long as any of them is in it xattrs             overlayfs's and
 * ours are left out, and what the tree must not hold OVERLAY_OWNER      is what counts
 *
 * Only the upper directory is walked. Each of its names is looked up in the image's index; the
 * index as a whole is walked only for the further names of hard links.
 *
 * While somebody writes: each file is read as it was at one moment (delta-read.c), the names of the
 * tree are read one after the other.
 */
#pragma once

#include "format/index.h"
#include "store/ingest.h"
#include "upper.h"

/* The server that has the upper directory mounted, if its content may be newer in its memory. */
struct delta_live {
	void *ctx;
	/* Everything that was written so far is in the upper directory when this returns. */
	int (*sync)(void *ctx, struct err *e);
	/*
	 * `path` (from the root, no '/' in front): all that was written is in the upper file, and
	 * what would change it waits until `unhold`. 1 = there is no such file any more. -EBUSY: it
	 * is written to without the server (passthrough), so it cannot be held.
	 */
	int (*hold)(void *ctx, const char *path, void **ret_hold, struct err *e);
	/* -ESTALE: it was not kept waiting all the time. */
	int (*unhold)(void *ctx, void *hold);
};

struct delta_options {
	const struct delta_live *live; /* may be NULL */
	/* Content is cut into chunks, which go there. NULL: content is not read. */
	struct ingest *ingest;
};

struct delta_stats {
	uint64_t files, read_bytes;
};

struct delta;
/* The caller has LOCK_GC shared. -ERR_CONFLICT: a file changed each time that it was read. */
_must_check_ int delta_new(struct store *s, const struct image_record *image, const char *upper,
	const char *work, const struct delta_options *o, struct delta **ret, struct err *e);
void delta_free(struct delta *d);
DEFINE_CLEANUP(struct delta *, delta_free);

/* The layer. Owned by the delta. Its regular files have no content where nothing was read. */
struct tree *delta_tree(struct delta *d);
const struct index *delta_base(const struct delta *d);
const struct delta_stats *delta_stats(const struct delta *d);

/*
 * Content of a regular file of the layer, where it was not read: up to `n` bytes at `off`, fewer
 * at the end only. delta_hold makes it that of one moment, whose size is i->size, until the next
 * call or delta_release.
 */
_must_check_ int delta_hold(struct delta *d, struct inode *i, struct err *e);
void delta_release(struct delta *d);
/* Whether the file that is held has been changed since: 1 = it has. */
_must_check_ int delta_changed(struct delta *d, struct err *e);
_must_check_ int delta_read(
	struct delta *d, struct inode *i, void *p, size_t n, uint64_t off, struct err *e);
/* Whether chunk `k` of the file is all zeros: 1 = it is, 0 = not. */
_must_check_ int delta_is_hole(struct delta *d, struct inode *i, uint64_t k, struct err *e);
/* 0 = the file has the content of the image's file; 1 = it has not. */
_must_check_ int delta_compare(
	struct delta *d, struct inode *i, const struct index_inode *old, struct err *e);
