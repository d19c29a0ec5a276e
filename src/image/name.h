/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image names: OCI references, [registry/]path[:tag][@digest] (OCI distribution specification,
 * "Pulling manifests"; the grammar is that of distribution/reference). A name is kept as
 * path:tag; without a tag it is :latest. Nothing is put in front of a name.
 */
#pragma once

#include "store/records.h"

#define IMAGE_NAME_MAX 385 /* 255, ":", 128 and NUL */

/* The kept form of a name that is to be given. -ERR_INPUT for a bad one, or one with a digest. */
_must_check_ int image_name_parse(const char *text, char ret[IMAGE_NAME_MAX], struct err *e);

/*
 * The image that `text` means: a name, NAME@DIGEST, a manifest's digest, or the beginning of one
 * (4 hex digits at least) that fits one image only. -ERR_ABSENT.
 */
_must_check_ int image_find(
	struct store *s, const char *text, struct image_record *ret, struct err *e);
