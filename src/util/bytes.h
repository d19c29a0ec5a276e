/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounded cursor: the only way to touch bytes from outside (disk, tar, network, peer).
 *
 * A `struct bytes` is a borrowed view. Every getter checks the bound, and after the first read
 * past the end the cursor is empty and `bad` stays set, so a parser may read a whole record and
 * test once. Offsets and lengths never wrap.
 */
#pragma once

#include "cleanup.h"

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *p;
	size_t n;
	bool bad;
};

static inline struct bytes bytes_of(const void *p, size_t n)
{
	return (struct bytes){.p = p, .n = n};
}

/* Takes `n` bytes off the front; NULL (and bad) if there are fewer. */
static inline const uint8_t *bytes_take(struct bytes *b, size_t n)
{
	const uint8_t *p = b->p;

	if (b->bad || n > b->n) {
		b->bad = true;
		b->n = 0;
		return NULL;
	}
	b->p += n;
	b->n -= n;
	return p;
}

/* The view [off, off + n) of `b`; an empty bad view if it does not lie inside. */
static inline struct bytes bytes_sub(struct bytes b, uint64_t off, uint64_t n)
{
	if (b.bad || off > b.n || n > b.n - off)
		return (struct bytes){.bad = true};
	return bytes_of(b.p + off, (size_t)n);
}

static inline uint8_t bytes_u8(struct bytes *b)
{
	const uint8_t *p = bytes_take(b, 1);

	return p ? *p : 0;
}

#define BYTES_GETTER(name, type, convert) \
	static inline type name(struct bytes *b) \
	{ \
		const uint8_t *p = bytes_take(b, sizeof(type)); \
		type v = 0; \
\
		if (p) \
			memcpy(&v, p, sizeof(v)); \
		return convert(v); \
	}

BYTES_GETTER(bytes_le16, uint16_t, le16toh)
BYTES_GETTER(bytes_le32, uint32_t, le32toh)
BYTES_GETTER(bytes_le64, uint64_t, le64toh)

/* Whether all of the `n` > 0 bytes are zero. */
static inline bool bytes_all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	return b[0] == 0 && memcmp(b, b + 1, n - 1) == 0;
}
