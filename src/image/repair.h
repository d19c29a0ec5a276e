/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair: what is known as damaged is made again, in its place. All of it goes through an ingest,
 * which writes it, makes it durable, and then says in one transaction that it is sound: whatever
 * instant a kill comes at, it is quarantined, or healed.
 */
#pragma once

#include "import.h"
#include "cuts.h"
#include "store/records.h"

/*
 * Log2 of the chunk size by which a damaged layer was cut, so that it is cut the same way again.
 * 1 = the layer is not damaged, or nothing tells any more.
 */
_must_check_ int layer_cut(
	struct store *s, const struct digest *diff_id, unsigned int *ret_bits, struct err *e);

/*
 * Reads every layer of `source` (import.h), by each of the chunk sizes of `cuts`, and heals every
 * chunk of it that the store has, but not as it should be: known as damaged, or found to be so now.
 * Layers and the image of the source are healed too, where they are known as damaged. Nothing else
 * enters the store. *ret_chunks is how many were healed.
 */
_must_check_ int repair_from(struct store *s, const char *source, const struct cuts *cuts,
	const struct import_options *o, uint64_t *ret_chunks, struct err *e);

/*
 * Makes a damaged image's index again out of its layers and documents. 1 = it cannot, since those
 * are damaged too, or missing.
 */
_must_check_ int repair_image(struct store *s, const struct digest *manifest, struct err *e);
