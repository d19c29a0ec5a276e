/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stored layer's tar, byte for byte as it was imported: the bytes that are no file content come
 * from the layer's split (format/split.h), the content from chunks. That of a native layer
 * (native.h) is the same each time.
 */
#pragma once

#include "store/store.h"
#include "util/stream.h"

/* The size of the layer's tar, bytes. -ERR_STORE where the store has no tar of it. */
_must_check_ int layer_tar_size(
	struct store *s, const struct digest *diff_id, uint64_t *ret, struct err *e);
/*
 * Writes the tar into `out`. What was written is checked against the diff_id at the end, or, of a
 * native layer, each chunk against its digest: on -ERR_STORE it is not the layer, because the store
 * is damaged. The caller sees to it that gc
 * leaves the layer alone meanwhile (an image of it is open, or LOCK_GC is shared).
 */
_must_check_ int layer_tar_write(
	struct store *s, const struct digest *diff_id, struct sink *out, struct err *e);
