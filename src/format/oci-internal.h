/* SPDX-License-Identifier: Apache-2.0 */
/* What the oci-*.c files share. */
#pragma once

#include "json.h"
#include "oci-doc.h"

enum oci_media oci_media_find(const char *media_type, enum codec *ret_codec);
const char *oci_media_text(enum oci_media media, enum codec codec);
/* Makes an error of a digest or platform word that is not one; 0 or negative. */
_must_check_ int oci_digest_of_text(
	const struct doc_node *n, const char *key, const char *text, struct digest *ret);
/* architecture, os, variant of an object. */
_must_check_ int oci_platform_read(const struct doc_node *n, struct platform *ret);
