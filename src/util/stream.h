/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte streams between modules: a source is pulled from, a sink is filled. Both are embedded as
 * the first member of what implements them. Neither is for several threads at once.
 */
#pragma once

#include "err.h"

#include <stdint.h>
#include <string.h>

struct source {
	/*
	 * The next bytes, as many as are at hand: *ret_p stays valid until the next call.
	 * 1 = there are *ret_n > 0 bytes; 0 = the end; negative = failure, with `e` filled.
	 */
	int (*next)(struct source *s, const uint8_t **ret_p, size_t *ret_n, struct err *e);
};

struct sink {
	/*
	 * Room for the next bytes, at least one; asked again before it is filled, it is the same.
	 * Decoders are fastest with 128 KiB or more. 0 or a negative code.
	 */
	int (*room)(struct sink *s, uint8_t **ret_p, size_t *ret_n);
	/* The first `n` bytes of the room are filled. 0 or a negative code. */
	int (*fill)(struct sink *s, size_t n);
};

/* Copies `n` bytes into the sink. */
_must_check_ static inline int sink_write(struct sink *s, const void *p, size_t n)
{
	while (n) {
		uint8_t *room;
		size_t k;
		int r = s->room(s, &room, &k);

		if (r < 0)
			return r;
		k = k < n ? k : n;
		memcpy(room, p, k);
		r = s->fill(s, k);
		if (r < 0)
			return r;
		p = (const uint8_t *)p + k;
		n -= k;
	}
	return 0;
}
