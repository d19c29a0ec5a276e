/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image as others hand it over: an OCI layout in a directory (`oci:`) or in a tar
 * (`oci-archive:`), or the archive of `docker save` and `podman save` (`docker-archive:`).
 *
 * Opening reads and checks the documents only: digest and size of the manifest (against index
 * or tag), of the config (against the manifest), and their shape. Layer content is read later,
 * through blob_source, and checked by whoever reads it. Archives are read in place: one pass over
 * the tar's headers finds the blobs. A compressed archive, or one that cannot seek (a pipe), is
 * unpacked once into an unlinked file in `tmp_dirfd`.
 *
 * Blobs are only ever opened as regular files inside the layout (openat2, RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS): nothing in a document can name a file outside.
 *
 * OCI image specification v1.1: image-layout.md, image-index.md, manifest.md, config.md,
 * descriptor.md; docker image specification v1.2 ("Combined Image JSON + Filesystem Changeset
 * Format": manifest.json). Docker schema 2 media types are taken as the OCI ones they equal.
 */
#pragma once

#include "format/codec.h"
#include "format/digest.h"
#include "format/platform.h"
#include "util/buf.h"

#include <stdbool.h>

/* Documents larger than this are refused, as registries do. */
#define IMAGE_DOC_MAX ((size_t)4 << 20)

enum transport {
	TRANSPORT_OCI,
	TRANSPORT_OCI_ARCHIVE,
	TRANSPORT_DOCKER_ARCHIVE,
};

/*
 * Bytes of a file: the whole of it or a part. The descriptor belongs to the blob; its position may
 * be shared with other blobs of the same archive, so read with pread(2) (io_pread).
 */
struct blob {
	int fd;
	uint64_t offset; /* bytes */
	uint64_t size;   /* bytes */
};

struct image_source_layer {
	struct digest diff_id; /* from the config: of the uncompressed tar */
	bool has_digest;       /* false in a docker-archive whose files are not named by digest */
	struct digest digest;  /* of the blob as it is stored, from the manifest (or its name) */
	uint64_t size;         /* bytes of the blob as it is stored */
};

struct image_source {
	struct buf manifest;           /* the raw bytes; empty for docker-archive, which has none */
	struct buf config;             /* the raw bytes */
	struct digest manifest_digest; /* zeros for docker-archive */
	struct digest config_digest;
	struct image_source_layer *layers; /* lowest first */
	size_t n_layers;
	struct image_source_private *priv;
};

/*
 * `path`: of an archive, "-" is standard input.
 * `tag`: for OCI the annotation org.opencontainers.image.ref.name, or "@sha256:..." for a
 * manifest's digest; for docker-archive a RepoTag ("name:tag", docker.io/ defaults applied) or
 * "@N", the Nth image, counted from 0. NULL: the only image there is; with several, the message
 * lists the tags. A tag that different images share is refused, unless index.json gives each of
 * them another platform: then they are one image, as in a nested index.
 * `platform` chooses from (nested) image indexes; NULL is this machine's. Where there is nothing
 * to choose from, an image for another platform is opened with NULL and refused otherwise.
 * Errors: -ERR_ABSENT (no such file, tag, platform, blob), -ERR_INPUT (a document of the wrong
 * shape), -ERR_UNSUPPORTED (a media type that cannot be read), -ERR_DIGEST, -errno.
 */
_must_check_ int image_source_open(enum transport transport, const char *path, const char *tag,
	const struct platform *platform, int tmp_dirfd, struct image_source **ret, struct err *e);
void image_source_free(struct image_source *s);
DEFINE_CLEANUP(struct image_source *, image_source_free);

/*
 * Opens layer `n`'s blob. Its size has been checked against the manifest, its digest has not.
 * -ERR_UNSUPPORTED: a foreign ("nondistributable") layer whose blob is not there.
 */
_must_check_ int image_source_layer_blob(
	struct image_source *s, size_t n, struct blob *ret, struct err *e);
void blob_close(struct blob *b);
