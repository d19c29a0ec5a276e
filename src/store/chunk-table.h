/* SPDX-License-Identifier: Apache-2.0 */
/* The chunks that a layer or an image of the store lists, for passes over the whole store. */
#pragma once

#include "store.h"
#include "format/index.h"

/* Returns non-zero to end the pass: a negative code is a failure. */
typedef int (*chunk_table_fn)(void *ctx, const struct chunk *c);

/*
 * Calls `each` for every entry of the chunk table of a layer or an image (STORE_LAYER,
 * STORE_IMAGE), and for the chunks of a layer's tar that are in no index. *ret_info (may be NULL)
 * is of the index, if that could be read. 1 = not all of it can be read, and this is known
 * (DAMAGED_LAYER, DAMAGED_IMAGE): who wants to use it must bring it anew, and all of its chunks
 * with it.
 */
_must_check_ int chunk_table_each(struct store *s, enum store_file kind, const struct digest *name,
	chunk_table_fn each, void *ctx, struct index_info *ret_info, struct err *e);

/* The same of what can be read, known as damaged or not. Returns what `each` returned. */
_must_check_ int chunk_table_each_readable(struct store *s, enum store_file kind,
	const struct digest *name, chunk_table_fn each, void *ctx);
