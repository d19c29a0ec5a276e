/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Export: an image as others take it, in an OCI layout (directory or archive) or an archive as
 * `docker save` makes it.
 *
 * Layers are written byte for byte as they were imported (layer-tar.h), the config as it is: the
 * image keeps its ID. The manifest is made anew, as layers may be compressed otherwise.
 */
#pragma once

#include "format/codec.h"
#include "store/records.h"

struct export_options {
	enum codec codec;
	/* Told several times a second at most; may be NULL. Bytes of an uncompressed layer. */
	void (*progress)(void *ctx, size_t layer, size_t layers, uint64_t done, uint64_t total);
	void *progress_ctx;
};

enum export_form { EXPORT_OCI, EXPORT_OCI_ARCHIVE, EXPORT_DOCKER_ARCHIVE };

/*
 * `path`: a directory that is made if it is missing (EXPORT_OCI), or a file, which is replaced when
 * the new one is whole; "-" is standard output, for CODEC_PLAIN only. `tag` may be NULL; that of a
 * docker-archive is an image's name. *ret_manifest is the digest of the exported manifest; a
 * docker-archive has none, it is then that of the manifest which an import gives it. What fails
 * leaves nothing behind. The caller keeps the image open (gc.h).
 */
_must_check_ int image_export(struct store *s, const struct image_record *image,
	enum export_form form, const char *path, const char *tag, const struct export_options *o,
	struct digest *ret_manifest, struct err *e);
