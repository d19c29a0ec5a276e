/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an image or a layer is read from, as users name it: TRANSPORT:PATH[:TAG] with oci:,
 * oci-archive:, docker-archive: (images), tar:, rootfs: or manifest: (one layer).
 */
#pragma once

#include "feed.h"
#include "import.h"
#include "layer.h"
#include "source/image-source.h"

enum origin_kind {
	ORIGIN_OCI,
	ORIGIN_OCI_ARCHIVE,
	ORIGIN_DOCKER_ARCHIVE,
	ORIGIN_TAR,
	ORIGIN_ROOTFS,
	ORIGIN_MANIFEST
};

struct origin {
	enum origin_kind kind;
	char *path;
	char *tag;                /* in the same memory; NULL: none */
	struct image_source *src; /* NULL: one layer */
};

/* Parses `source`, and opens an image's documents. */
_must_check_ int origin_open(struct store *s, const char *source, const struct import_options *o,
	struct origin *ret, struct err *e);
/* The same where only a layer will do. -ERR_INPUT for an image. */
_must_check_ int origin_open_layer(const char *source, struct origin *ret, struct err *e);
void origin_close(struct origin *o);
size_t origin_layers(const struct origin *o);
/* Whether it can be read once only. */
bool origin_is_pipe(const struct origin *o);

/* Layer `n`, to be read by layer_read or layer_scan. */
struct origin_layer {
	layer_producer produce;
	void *ctx;
	struct feed feed;
	struct blob blob;
	bool open;
};
/* `ret` must stay where it is; `import` may be NULL. */
_must_check_ int origin_layer_open(const struct origin *o, size_t n,
	const struct import_options *import, struct origin_layer *ret, struct err *e);
void origin_layer_done(struct origin_layer *l);
/* -ERR_DIGEST unless what was read is the layer that the image says. */
_must_check_ int origin_check_layer(
	const struct origin *o, size_t n, const struct layer *tar, struct err *e);

/*
 * The manifest of an image: its own, or the canonical one for docker-archive, which has none, of
 * the layers' tars, whose `sizes` in bytes the caller knows.
 */
_must_check_ int origin_manifest(
	const struct origin *o, const uint64_t *sizes, struct buf *ret, struct err *e);
/* The canonical documents of an image of one layer. */
_must_check_ int origin_single_documents(const struct layer *tar, const struct import_options *o,
	struct buf *ret_config, struct buf *ret_manifest, struct err *e);
