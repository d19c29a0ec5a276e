/* SPDX-License-Identifier: Apache-2.0 */
#include "inflate.h"
#include "util/err.h"

#include <zlib.h>

static void *zlib_open(void)
{
	z_stream *z = calloc(1, sizeof(*z));

	if (z && inflateInit2(z, -MAX_WBITS) != Z_OK) {
		free(z);
		return NULL;
	}
	return z;
}

static void zlib_close(void *state)
{
	if (state)
		inflateEnd(state);
	free(state);
}

static void zlib_reset(void *state)
{
	inflateReset(state);
}

static uInt clamp(size_t n)
{
	return n > (1U << 30) ? 1U << 30 : (uInt)n;
}

static int zlib_run(void *state, struct bytes *in, uint8_t *out, size_t room, size_t *ret_n)
{
	z_stream *z = state;
	uInt n = clamp(room);
	int r;

	z->next_in = (Bytef *)(uintptr_t)in->p;
	z->avail_in = clamp(in->n);
	z->next_out = out;
	z->avail_out = n;
	r = inflate(z, Z_NO_FLUSH);
	in->n -= (size_t)(z->next_in - in->p);
	in->p = z->next_in;
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
		return -ERR_INPUT;
	*ret_n = n - z->avail_out;
	return r == Z_STREAM_END;
}

static size_t zlib_rest(void *state, uint8_t rest[INFLATE_REST_MAX])
{
	(void)state;
	(void)rest;
	return 0;
}

static uint32_t zlib_crc(uint32_t crc, const void *p, size_t n)
{
	return (uint32_t)crc32_z(crc, p, n);
}

const struct inflate_engine inflate_zlib = {
	.name = "zlib",
	.open = zlib_open,
	.close = zlib_close,
	.reset = zlib_reset,
	.run = zlib_run,
	.rest = zlib_rest,
	.crc = zlib_crc,
};
