/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an image is exported to. Blobs are written one after the other, then the documents; only
 * dest_finish makes anything of it appear, and what is freed before that leaves nothing behind.
 *
 * An OCI layout that is there is kept: its blobs and the images under other tags stay, the image
 * under this tag is replaced. Several processes may write into one at once: index.json is changed
 * under a lock (flock(2) on the directory). An archive replaces the file that has its name.
 *
 * OCI image specification v1.1: image-layout.md, annotations.md
 * (org.opencontainers.image.ref.name); docker image specification v1.2 (manifest.json), with the
 * names of files that skopeo gives.
 */
#pragma once

#include "format/codec.h"
#include "format/digest.h"
#include "util/buf.h"
#include "util/stream.h"

#include <stdbool.h>

struct dest_blob {
	struct digest diff_id; /* of the layer that it holds */
	uint64_t tar_size;     /* bytes of the layer, uncompressed */
	enum codec codec;
	bool known; /* digest and size are known before it is written */
	struct digest digest;
	uint64_t size; /* bytes */
};

struct dest_image {
	const struct buf *config, *manifest;
	struct digest config_digest, manifest_digest;
	const struct dest_blob *layers; /* lowest first; the same one may be there again */
	size_t n_layers;
};

struct dest;
struct dest_ops {
	/* 1 = the blob, which is known, is there: it need not be written; 0 = it is not. */
	int (*has)(struct dest *d, const struct dest_blob *blob, struct err *e);
	/* The blob's bytes go into *ret; then comes end, with digest and size. */
	int (*begin)(
		struct dest *d, const struct dest_blob *blob, struct sink **ret, struct err *e);
	int (*end)(struct dest *d, const struct dest_blob *blob, struct err *e);
	int (*finish)(struct dest *d, const struct dest_image *image, struct err *e);
	void (*free)(struct dest *d);
};

/* The first member of each destination. */
struct dest {
	const struct dest_ops *ops;
};

/*
 * `tag`, which must outlive the destination, may be NULL. -ERR_CONFLICT: the directory holds
 * something else than a layout.
 */
_must_check_ int dest_layout_open(
	const char *path, const char *tag, struct dest **ret, struct err *e);
/*
 * An OCI layout in a tar, or (`docker`) what `docker save` makes, whose tag is an image's whole
 * name. `path` "-" is standard output, for blobs that are known only.
 */
_must_check_ int dest_archive_open(
	bool docker, const char *path, const char *tag, struct dest **ret, struct err *e);

static inline void dest_free(struct dest *d)
{
	if (d)
		d->ops->free(d);
}
DEFINE_CLEANUP(struct dest *, dest_free);
