/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quarantine: an image that touches anything in the records' `damaged` is not used until that is
 * sound again. It touches itself, its layers, and the chunks of its index and of theirs.
 *
 * Where nothing is damaged, to ask costs one look at the records.
 */
#pragma once

#include "store/records.h"

/* -ERR_STORE, with `e` saying why, if the image is quarantined; `name` is what the user called it.
 */
_must_check_ int image_check_quarantine(
	struct store *s, const struct image_record *image, const char *name, struct err *e);

/*
 * 1 = the layer is damaged, itself or one of its chunks: *ret_kind and *ret say which. Then it
 * counts as missing for an import.
 */
_must_check_ int layer_damaged(struct store *s, MDB_txn *txn, const struct digest *diff_id,
	enum damaged_kind *ret_kind, struct digest *ret);
