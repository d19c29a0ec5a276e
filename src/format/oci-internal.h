/* SPDX-License-Identifier: Apache-2.0 */
/* What the oci-*.c files share. */
#pragma once

#include "json.h"
#include "oci-doc.h"

#define OCI_REF_NAME "org.opencontainers.image.ref.name"

enum oci_media oci_media_find(const char *media_type, enum codec *ret_codec);
const char *oci_media_text(enum oci_media media, enum codec codec);
/* Makes an error of a digest or platform word that is not one; 0 or negative. */
_must_check_ int oci_digest_of_text(
	const struct doc_node *n, const char *key, const char *text, struct digest *ret);
/* architecture, os, variant of an object. */
_must_check_ int oci_platform_read(const struct doc_node *n, struct platform *ret);

/* Writing. jansson's NULL, where it can only mean that there is no memory. */
int oci_no_memory(struct err *e);
/* Appends the document: compact, keys sorted. */
_must_check_ int oci_dump(const json_t *root, struct buf *ret, struct err *e);
/* NULL: no memory. */
json_t *oci_descriptor_json(const char *media_type, const struct digest *digest, uint64_t size);
