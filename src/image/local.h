/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local indexes: an image's index with this store's addresses, local/<digest>.index. It is derived
 * from the portable one, and can be derived again whenever it is missing.
 */
#pragma once

#include "format/index.h"
#include "store/records.h"

/* Writes it from the plan of the image's tree. */
_must_check_ int local_write(
	struct store *s, const struct image_record *image, struct index_plan *plan, struct err *e);

/* Opens it, after making it if it is not there. */
_must_check_ int local_open(
	struct store *s, const struct image_record *image, int *ret_fd, struct err *e);

/* 0 = its bytes are what they should be, or it is not there; 1 = they are not. */
_must_check_ int local_check(
	struct store *s, const struct image_record *image, struct index_plan *plan, struct err *e);
/*
 * Removes it, to be made again; -ERR_CONFLICT if anybody has it open, since gc would no longer
 * know about that. The caller has LOCK_GC alone, or the image is quarantined: nobody opens it.
 */
_must_check_ int local_drop(struct store *s, const struct image_record *image, struct err *e);
