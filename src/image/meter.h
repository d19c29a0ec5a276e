/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink that passes bytes on to another, counts them, and hashes them or tells of them where that
 * is wanted.
 */
#pragma once

#include "format/digest.h"
#include "util/stream.h"

struct meter {
	struct sink sink;
	struct sink *out;
	uint8_t *room;                       /* of `out`, as it was given out last */
	uint64_t n;                          /* bytes that were passed on */
	int code;                            /* with which `out` failed; 0: it did not */
	struct digest_ctx *digest;           /* the owner's; NULL: not wanted */
	void (*tell)(void *ctx, uint64_t n); /* NULL: not wanted */
	void *ctx;
};

static inline int meter_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct meter *m = (struct meter *)s;
	int r = m->out->room(m->out, &m->room, ret_n);

	if (r == 0)
		*ret_p = m->room;
	m->code = r;
	return r;
}

static inline int meter_fill(struct sink *s, size_t n)
{
	struct meter *m = (struct meter *)s;

	m->n += n;
	if (m->digest)
		digest_ctx_add(m->digest, m->room, n);
	if (m->tell)
		m->tell(m->ctx, m->n);
	m->code = m->out->fill(m->out, n);
	return m->code;
}

static inline struct meter meter_of(struct sink *out)
{
	return (struct meter){.sink = {meter_room, meter_fill}, .out = out};
}
