/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a layout's manifests is meant: from index.json through nested indexes to one manifest.
 */
#pragma once

#include "format/oci-doc.h"
#include "image-files.h"

/* Reads a document from blobs/ and checks its size and digest against its descriptor. */
_must_check_ int oci_read_blob(const struct image_files *files, const struct oci_descriptor *d,
	struct buf *ret, struct err *e);

/*
 * The manifest that `tag` (see image_source_open) and `platform` choose. Of the descriptor only
 * media, digest, size and platform are set. -ERR_ABSENT, -ERR_INPUT, -ERR_DIGEST, -errno.
 */
_must_check_ int oci_choose_manifest(const struct image_files *files, const char *tag,
	const struct platform *platform, struct oci_descriptor *ret, struct err *e);
