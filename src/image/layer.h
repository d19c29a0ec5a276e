/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer: the tar of one changeset, read into the store as chunks and an index.
 *
 * The tar's entries are taken one after the other, as the OCI image specification (layer.md)
 * reads: a later entry replaces an earlier one of the same path; a whiteout hides what the layers
 * below have, never what this layer has, wherever in the tar it stands; directories that have no
 * entry of their own are implicit, and a symlink on the way is followed inside the layer's tree.
 * docs/design.md lists what is refused, and where engines differ.
 */
#pragma once

#include "format/tree.h"
#include "store/ingest.h"
#include "util/stream.h"

/* Bounds on what one layer's metadata may take in memory, whatever its tar says. */
#define LAYER_BYTES_MAX      ((uint64_t)4 << 30)
#define LAYER_NAMES_MAX      ((uint64_t)16 << 20)
#define LAYER_CHUNK_REFS_MAX ((uint64_t)16 << 20)

/* Whatever produces the layer's tar: writes it into `out`, in a thread of its own. */
typedef int (*layer_producer)(void *ctx, struct sink *out, struct err *e);

struct layer_tar {
	struct digest diff_id; /* SHA-256 of the tar */
	uint64_t size;         /* its bytes */
};

/*
 * Reads the tar that `produce` gives: chunks go to `g`, metadata becomes a tree. `chunk_bits` is
 * log2 of the chunk size that is wanted.
 */
_must_check_ int layer_read(struct ingest *g, layer_producer produce, void *ctx,
	unsigned int chunk_bits, struct layer_tar *ret, struct tree **ret_tree, struct err *e);

/* One tar, in this thread: the part of layer_read that understands it. Used alone by fuzzing. */
typedef int (*layer_chunk_sink)(
	void *ctx, const struct digest *d, const void *p, uint32_t size, struct err *e);
_must_check_ int layer_tree_from_tar(struct source *tar, unsigned int chunk_bits,
	layer_chunk_sink chunk, void *ctx, struct tree **ret, struct err *e);
