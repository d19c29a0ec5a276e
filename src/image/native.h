/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native layers: layers that were made here, by a commit, and have not been a tar yet.
 *
 * A layer's name, its diff_id, is the digest of its tar. To know it, all content that is in the tar
 * must be read, and a file that has changed in one block is in it whole. So a commit does not make
 * it: the layer is named by the digest of its *index* instead, until it is exported. That is how it
 * is known: the record of a native layer says that the index of NAME is NAME (a SHA-256 of two
 * different things, so no other layer can be so). It has a split as any layer has, made out of the
 * index without reading content, so its tar is fixed. An export reads it, and gives config and
 * manifest the diff_id that it has then: the same one each time.
 */
#pragma once

#include "store/records.h"
#include "util/buf.h"

/* 1 = the layer is native, 0 = it is not. */
_must_check_ int layer_is_native(struct store *s, const struct digest *diff_id, struct err *e);
/* The digest of the layer's tar, for which it is read, and its size. */
_must_check_ int native_diff_id(struct store *s, const struct digest *name, struct digest *ret,
	uint64_t *ret_size, struct err *e);
