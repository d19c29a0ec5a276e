/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of digests, as sorted arrays: of layers and images, of which there are thousands. */
#pragma once

#include "format/digest.h"

struct digest_set {
	struct digest *v;
	size_t n, room;
};

/* Appends; until the next digest_set_sort the set is a bag. */
_must_check_ int digest_set_add(struct digest_set *s, const void *digest);
/* Sorts it, and leaves each digest once. */
void digest_set_sort(struct digest_set *s);
/* The following are for sorted sets. */
bool digest_set_has(const struct digest_set *s, const void *digest);
void digest_set_done(struct digest_set *s);
#define _cleanup_digest_set_ _cleanup_(digest_set_done)
