/* SPDX-License-Identifier: Apache-2.0 */
/* The chunks that a layer or an image of the store lists, for passes over the whole store. */
#pragma once

#include "store.h"
#include "format/index.h"

/*
 * Calls `each` for every entry of the chunk table of a layer or an image (STORE_LAYER,
 * STORE_IMAGE), and for the chunks of a layer's tar that are in no index, until it returns
 * non-zero, which is a failure. *ret_info (may be NULL) is of the index, if that could be read. 1 =
 * not all of it can be read, and this is known (DAMAGED_LAYER, DAMAGED_IMAGE): who wants to use it
 * must bring it anew, and all of its chunks with it.
 */
_must_check_ int chunk_table_each(struct store *s, enum store_file kind, const struct digest *name,
	int (*each)(void *ctx, const struct chunk *c), void *ctx, struct index_info *ret_info,
	struct err *e);
