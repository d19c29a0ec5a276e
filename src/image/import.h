/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import: an image, or one layer, from where it is into the store.
 *
 * One import is one ingest: it appears whole or not at all. Layers that the store has are not
 * read. Digests of manifest, config, compressed layers and diff_ids are all checked; what has
 * none gets canonical documents, so that the same input has the same digest everywhere.
 */
#pragma once

#include "format/platform.h"
#include "store/store.h"

struct import_options {
	const struct platform *platform; /* NULL: this machine's */
	unsigned int chunk_bits;         /* 0: CHUNK_BITS_DEFAULT */
	/* Told from another thread, up to several times a second; may be NULL. Bytes of a layer. */
	void (*progress)(void *ctx, size_t layer, size_t layers, uint64_t done, uint64_t total);
	void *progress_ctx;
};

/*
 * `source` is TRANSPORT:PATH[:TAG] with oci:, oci-archive:, docker-archive:, tar:, rootfs: or
 * manifest:. The image gets `name`, which is taken from another image if it has it.
 */
_must_check_ int image_import(struct store *s, const char *source, const char *name,
	const struct import_options *o, struct digest *ret_manifest, struct err *e);

/* A new image: `base` with one layer more, from tar:, rootfs: or manifest:. */
_must_check_ int image_add_layer(struct store *s, const char *base, const char *source,
	const char *name, const struct import_options *o, struct digest *ret_manifest,
	struct err *e);
