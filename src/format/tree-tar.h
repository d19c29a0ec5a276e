/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's tree as OCI's layer tar (image specification, layer.md), in the one canonical form of
 * tar.h: the root first, then depth first, each directory's names sorted by their bytes. A whiteout
 * stands in the place of the name that it hides, as ".wh.NAME", that of an opaque directory,
 * ".wh..wh..opq", before all names of the directory. The first of a file's names has its content,
 * the others are hard links to it. Implicit directories have no entry. Chunks that are all zeros
 * are holes (pax sparse 1.0).
 */
#pragma once

#include "tar-sparse.h"
#include "tree.h"

struct tree_tar_content {
	void *ctx;
	/* Called before all else of a file of more than no bytes: i->size is right from then on.
	 * NULL: nothing to do. */
	int (*begin)(void *ctx, struct inode *i, struct err *e);
	/* 1 = chunk `k` of a chunked file is a hole. */
	int (*is_hole)(void *ctx, struct inode *i, uint64_t k, struct err *e);
	/* Bytes [off, off + n) go into the sink, or wherever the tar is kept. */
	int (*put)(void *ctx, struct inode *i, uint64_t off, uint64_t n, struct sink *out,
		struct err *e);
	/* After it. May be NULL. */
	int (*end)(void *ctx, struct inode *i, struct err *e);
};

/* Files whose chunk_bits are 0 are inline and have no holes. */
_must_check_ int tree_tar_write(
	struct tree *t, struct sink *out, const struct tree_tar_content *content, struct err *e);

/*
 * The split of that tar (split.h) out of a tree whose chunks are all named, `w` new: then nothing
 * of the content is read.
 */
struct split_writer;
_must_check_ int tree_tar_split(struct tree *t, struct split_writer *w, struct err *e);
