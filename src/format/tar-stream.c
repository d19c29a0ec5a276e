/* SPDX-License-Identifier: Apache-2.0 */
#include "tar-stream.h"

#include <string.h>

/* 1 = there is at least a byte; 0 = the end. */
static int refill(struct tar_stream *s, struct err *e)
{
	int r;

	if (s->n)
		return 1;
	if (s->ended)
		return 0;
	r = s->in->next(s->in, &s->p, &s->n, e);
	if (r <= 0) {
		s->n = 0;
		s->ended = true;
	}
	return r;
}

static const uint8_t *take(struct tar_stream *s, size_t n)
{
	const uint8_t *p = s->p;

	s->p += n;
	s->n -= n;
	s->offset += n;
	if (s->tee && !s->payload)
		s->tee(s->tee_ctx, p, n);
	return p;
}

int tar_stream_piece(
	struct tar_stream *s, uint64_t max, const uint8_t **ret_p, size_t *ret_n, struct err *e)
{
	int r = refill(s, e);
	size_t n;

	if (r <= 0)
		return r;
	n = s->n < max ? s->n : (size_t)max;
	*ret_p = take(s, n);
	*ret_n = n;
	return 1;
}

int tar_stream_block(struct tar_stream *s, const void **ret, struct err *e)
{
	const uint64_t start = s->offset;
	size_t have = 0;

	while (have < TAR_BLOCK) {
		const uint8_t *p;
		size_t n;
		int r;

		if (have == 0 && s->n >= TAR_BLOCK) {
			*ret = take(s, TAR_BLOCK);
			return 1;
		}
		r = tar_stream_piece(s, TAR_BLOCK - have, &p, &n, e);
		if (r == 0 && have)
			return err_set(e, -ERR_INPUT,
				"tar: the archive ends inside the block at byte %ju",
				(uintmax_t)start);
		if (r <= 0)
			return r;
		if (n == TAR_BLOCK) {
			*ret = p;
			return 1;
		}
		memcpy(s->block + have, p, n);
		have += n;
	}
	*ret = s->block;
	return 1;
}

int tar_stream_skip(struct tar_stream *s, uint64_t n, struct err *e)
{
	while (n) {
		const uint8_t *p;
		size_t k;
		int r = tar_stream_piece(s, n, &p, &k, e);

		if (r <= 0)
			return r < 0 ? r : 1;
		n -= k;
	}
	return 0;
}

int tar_stream_drain(struct tar_stream *s, struct err *e)
{
	int r = tar_stream_skip(s, UINT64_MAX, e);

	return r < 0 ? r : 0;
}
