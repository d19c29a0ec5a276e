/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunk sizes of many files, in order to find those that must have been asked for when they
 * were cut: a long file gets larger chunks by itself (chunk_bits_for).
 */
#pragma once

#include "format/index.h"

struct cuts {
	uint64_t shortest[CHUNK_BITS_MAX + 1], longest[CHUNK_BITS_MAX + 1]; /* 0: no file */
};
_must_check_ int cuts_add(struct cuts *c, const struct index *x, struct err *e);
/* Ascending; returns how many. */
size_t cuts_wanted(const struct cuts *c, unsigned int ret_bits[CHUNK_BITS_MAX + 1]);
