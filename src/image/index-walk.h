/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passes over the indexes of a store: all names of one, all chunks that one refers to, and what
 * its files are cut into.
 */
#pragma once

#include "format/index.h"
#include "store/store.h"

/*
 * Calls `each` for every name below the root, "/usr/bin", until it fails, which is then returned.
 * A file with several names comes several times.
 */
typedef int (*index_walk_each)(void *ctx, const char *path, const struct index_inode *i);
_must_check_ int index_walk(const struct index *x, index_walk_each each, void *ctx, struct err *e);

/*
 * Calls `each` for every chunk that a layer or an image refers to, until it returns non-zero, which
 * is then returned. `kind`: STORE_LAYER (its split refers to chunks, too) or STORE_IMAGE. Files
 * that cannot be opened refer to nothing.
 */
typedef int (*index_chunk_each)(void *ctx, const struct chunk *c);
_must_check_ int index_chunks(struct store *s, enum store_file kind, const struct digest *name,
	index_chunk_each each, void *ctx);

/*
 * The chunk sizes of many files, in order to find those that must have been asked for when they
 * were cut: a long file gets larger chunks by itself (chunk_bits_for).
 */
struct cuts {
	uint64_t shortest[CHUNK_BITS_MAX + 1], longest[CHUNK_BITS_MAX + 1]; /* 0: no file */
};
_must_check_ int cuts_add(struct cuts *c, const struct index *x, struct err *e);
/* Ascending; returns how many. */
size_t cuts_wanted(const struct cuts *c, unsigned int ret_bits[CHUNK_BITS_MAX + 1]);
