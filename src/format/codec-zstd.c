/* SPDX-License-Identifier: Apache-2.0 */
/* zstd frames (RFC 8878). Frame checksums and skippable frames are the library's business. */
#include "codec-internal.h"
#include "codec.h"

#include <zstd.h>
#include <zstd_errors.h>

#define WINDOW_LOG_MAX 26
_Static_assert(CODEC_WINDOW_MAX == 1 << WINDOW_LOG_MAX, "one limit, said twice");

static inline void dctx_freep(ZSTD_DCtx **d)
{
	ZSTD_freeDCtx(*d);
}

struct zstd {
	ZSTD_DCtx *dctx;
	struct source *source;
	struct sink *out;
	struct err *e;
	ZSTD_inBuffer in;
	bool inside; /* a frame has begun and has not ended */
};

/* 1 = there is input; 0 = the end. */
static int refill(struct zstd *z)
{
	const uint8_t *p;
	size_t n;
	int r = z->source->next(z->source, &p, &n, z->e);

	if (r > 0)
		z->in = (ZSTD_inBuffer){.src = p, .size = n};
	return r;
}

static int bad(struct zstd *z, size_t result)
{
	switch (ZSTD_getErrorCode(result)) {
	case ZSTD_error_memory_allocation:
		return -ENOMEM;
	case ZSTD_error_frameParameter_windowTooLarge:
		return err_set(z->e, -ERR_UNSUPPORTED, "zstd: the window is larger than %llu MiB",
			(unsigned long long)(CODEC_WINDOW_MAX >> 20));
	default:
		return err_set(z->e, -ERR_INPUT, "zstd: %s", ZSTD_getErrorName(result));
	}
}

/* Decodes what is at hand into one room. 1 = some bytes were made or input is left; 0 = neither. */
static int decode_piece(struct zstd *z)
{
	ZSTD_outBuffer out = {0};
	uint8_t *room;
	size_t left;
	int r = z->out->room(z->out, &room, &out.size);

	if (r < 0)
		return r;
	out.dst = room;
	left = ZSTD_decompressStream(z->dctx, &out, &z->in);
	if (ZSTD_isError(left))
		return bad(z, left);
	z->inside = left != 0;
	r = out.pos ? z->out->fill(z->out, out.pos) : 0;
	if (r < 0)
		return r;
	/* A full room may hide more output; when the frame has ended there is none. */
	return z->in.pos < z->in.size || (z->inside && out.pos == out.size);
}

static int decode_all(struct zstd *z)
{
	bool any = false;
	int r;

	while ((r = refill(z)) > 0) {
		any = true;
		while ((r = decode_piece(z)) > 0)
			;
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	if (!any)
		return err_set(z->e, -ERR_INPUT, "zstd: the stream is empty");
	if (z->inside)
		return err_set(z->e, -ERR_INPUT, "zstd: a frame ends early");
	return 0;
}

int codec_zstd_decode(struct source *in, struct sink *out, struct err *e)
{
	_cleanup_(dctx_freep) ZSTD_DCtx *dctx = ZSTD_createDCtx();
	struct zstd z = {.dctx = dctx, .source = in, .out = out, .e = e};

	if (!dctx ||
		ZSTD_isError(ZSTD_DCtx_setParameter(dctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
		return -ENOMEM;
	return decode_all(&z);
}
