/* SPDX-License-Identifier: Apache-2.0 */
#include "inflate.h"
#include "util/err.h"

#include <assert.h>
#include <isa-l.h>

static void *isal_open(void)
{
	struct inflate_state *s = malloc(sizeof(*s));

	if (s)
		isal_inflate_init(s);
	return s;
}

static void isal_reset(void *state)
{
	isal_inflate_reset(state);
}

static uint32_t clamp(size_t n)
{
	return n > (1U << 30) ? 1U << 30 : (uint32_t)n;
}

static int isal_run(void *state, struct bytes *in, uint8_t *out, size_t room, size_t *ret_n)
{
	struct inflate_state *s = state;
	uint32_t n = clamp(room);
	int r;

	s->next_in = (uint8_t *)(uintptr_t)in->p;
	s->avail_in = clamp(in->n);
	s->next_out = out;
	s->avail_out = n;
	r = isal_inflate(s);
	in->n -= (size_t)(s->next_in - in->p);
	in->p = s->next_in;
	if (r != ISAL_DECOMP_OK)
		return -ERR_INPUT;
	*ret_n = n - s->avail_out;
	return s->block_state == ISAL_BLOCK_FINISH;
}

/* ISA-L reads ahead by whole words; its bit buffer still holds what it did not use. */
static size_t isal_rest(void *state, uint8_t rest[INFLATE_REST_MAX])
{
	struct inflate_state *s = state;
	size_t n = s->read_in_length > 0 ? (size_t)s->read_in_length / 8 : 0;
	uint64_t bits;

	assert(n <= INFLATE_REST_MAX);
	bits = s->read_in >> (s->read_in_length % 8);
	for (size_t i = 0; i < n; i++)
		rest[i] = (uint8_t)(bits >> (8 * i));
	return n;
}

static uint32_t isal_crc(uint32_t crc, const void *p, size_t n)
{
	return crc32_gzip_refl(crc, p, n);
}

const struct inflate_engine inflate_isal = {
	.name = "isa-l",
	.open = isal_open,
	.close = free,
	.reset = isal_reset,
	.run = isal_run,
	.rest = isal_rest,
	.crc = isal_crc,
};
