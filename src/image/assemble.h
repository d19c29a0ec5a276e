/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assembly: layers become an image, in one ingest. Layers are added lowest first, out of the store
 * or as a tree that was just read; commit merges them, writes index and documents, records the
 * image under its name and derives the local index.
 */
#pragma once

#include "layer.h"
#include "format/index.h"
#include "format/oci-doc.h"
#include "source/image-source.h"
#include "store/ingest.h"

struct assembly;
_must_check_ int assembly_begin(struct store *s, struct assembly **ret, struct err *e);
/* Rolls back unless committed. */
void assembly_free(struct assembly *a);
DEFINE_CLEANUP(struct assembly *, assembly_free);
struct ingest *assembly_ingest(struct assembly *a);

/* Waits until nobody else imports any of these layers, and keeps others waiting. */
_must_check_ int assembly_lock_layers(
	struct assembly *a, const struct image_source *src, struct err *e);

/* Adds a layer that the store, or this assembly, has. 1 = it has not. */
_must_check_ int assembly_add_stored(
	struct assembly *a, const struct digest *diff_id, struct err *e);
/* Adds a layer that layer_read made; one that the store has stays as it is. */
_must_check_ int assembly_add_layer(struct assembly *a, struct layer *layer, struct err *e);

/*
 * Instead of adding an image's layers one by one: all of them, which are not merged again, because
 * its own index has them merged. Before all others.
 */
_must_check_ int assembly_add_image(
	struct assembly *a, const struct image_record *image, struct err *e);
/*
 * Adds a native layer (native.h) out of its tree, whose chunks the store or this ingest has.
 * *ret_name is what it is called, *ret_size the bytes of its tar.
 */
_must_check_ int assembly_add_native(struct assembly *a, struct tree *t, struct digest *ret_name,
	uint64_t *ret_size, struct err *e);

/* With the documents as they are. *ret is the digest of the manifest. */
_must_check_ int assembly_commit(struct assembly *a, const struct buf *config,
	const struct buf *manifest, const char *name, struct digest *ret, struct err *e);
/* With a canonical manifest of config and layers. */
_must_check_ int assembly_commit_new(struct assembly *a, const struct buf *config,
	const struct oci_descriptor *layers, size_t n_layers, const char *name, struct digest *ret,
	struct err *e);
