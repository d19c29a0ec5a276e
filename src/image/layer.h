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

#include "format/split.h"
#include "store/ingest.h"
#include "util/stream.h"

/* Bounds on what one layer's metadata may take in memory, whatever its tar says. */
#define LAYER_BYTES_MAX      ((uint64_t)4 << 30)
#define LAYER_NAMES_MAX      ((uint64_t)16 << 20)
#define LAYER_CHUNK_REFS_MAX ((uint64_t)16 << 20)

/* Whatever produces the layer's tar: writes it into `out`, in a thread of its own. */
typedef int (*layer_producer)(void *ctx, struct sink *out, struct err *e);

/* What reading a layer gives: zero-initialise it (LAYER_NONE), and call layer_done in the end. */
struct layer {
	struct digest diff_id;      /* SHA-256 of the tar */
	uint64_t size;              /* bytes of the tar */
	struct tree *tree;          /* its metadata */
	struct split_writer *split; /* the rest of the tar, to be finished with the index's plan */
	int split_fd;
	unsigned int split_temp; /* the file it is written to (ingest_temp) */
};
#define LAYER_NONE ((struct layer){.split_fd = -1})
void layer_done(struct layer *l);
#define _cleanup_layer_ _cleanup_(layer_done)

/*
 * Reads the tar that `produce` gives: chunks go to `g`, metadata becomes a tree. `chunk_bits` is
 * log2 of the chunk size that is wanted.
 */
_must_check_ int layer_read(struct ingest *g, layer_producer produce, void *ctx,
	unsigned int chunk_bits, struct layer *ret, struct err *e);

typedef int (*layer_chunk_sink)(
	void *ctx, const struct digest *d, const void *p, uint32_t size, struct err *e);
/* The same, with the chunks going to `chunk` instead, each once; `g` is for the split's file. */
_must_check_ int layer_scan(struct ingest *g, layer_producer produce, void *ctx,
	unsigned int chunk_bits, layer_chunk_sink chunk, void *chunk_ctx, struct layer *ret,
	struct err *e);

/*
 * One tar, in this thread: the part of layer_read that understands it. Chunks that are new to the
 * tree go to `chunk`; `split` may be NULL.
 */
_must_check_ int layer_tree_from_tar(struct source *tar, unsigned int chunk_bits,
	layer_chunk_sink chunk, void *ctx, struct split_writer *split, struct tree **ret,
	struct err *e);
