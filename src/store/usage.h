/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store holds, and for whom.
 *
 * An image's *own* chunks are those that no other image needs, neither in its tree nor in any of
 * its layers: what removing the image would free. Images that gc would free do not count. Sizes of
 * own and shared chunks are in whole blocks of 4 KiB, as chunks lie in the packs (blocks of zeros
 * among them take no space on disk, but count here).
 *
 * The caller shares LOCK_GC, so that nothing goes away meanwhile.
 */
#pragma once

#include "store.h"

struct usage_totals {
	uint64_t images, names, layers, chunks; /* records */
	uint64_t chunk_bytes;                   /* content of the chunks */
	uint64_t data_bytes;                    /* content of all images' files */
	uint64_t index_bytes, split_bytes;      /* of layers and images */
	uint64_t disk_bytes;                    /* all that the store takes on its file system */
	uint64_t pack_bytes;                    /* of these, the packs */
	uint64_t free_bytes, held_bytes;        /* extents of the packs */
	uint64_t containers;                    /* records */
	uint64_t container_bytes;               /* of disk_bytes, what containers/ takes */
};
_must_check_ int usage_totals(struct store *s, struct usage_totals *ret, struct err *e);

struct usage_image {
	struct digest manifest;
	char **names; /* sorted; none: in use without a name */
	size_t n_names;
	size_t containers; /* that are made of it */
	struct digest *diff_ids;
	size_t n_diff_ids;
	uint64_t own_bytes;    /* chunks that only it needs */
	uint64_t shared_bytes; /* chunks of its files that others need too */
	uint64_t data_bytes;   /* content of its files */
	uint64_t index_bytes;
};

struct usage_layer {
	struct digest diff_id;
	uint64_t own_bytes;    /* chunks that no other layer has */
	uint64_t shared_bytes; /* the others */
	uint64_t data_bytes;   /* content of its files */
	size_t images;         /* that have it */
};

/* The live images, by name, and their layers. */
struct usage {
	struct usage_image *images;
	size_t n_images;
	struct usage_layer *layers; /* by diff_id; only where asked for */
	size_t n_layers;
	uint64_t unused_bytes; /* chunks that no live image needs: gc frees them */
};
_must_check_ int usage_images(struct store *s, struct usage *ret, struct err *e);
_must_check_ int usage_layers(struct store *s, struct usage *ret, struct err *e);
void usage_done(struct usage *u);
#define _cleanup_usage_ _cleanup_(usage_done)
