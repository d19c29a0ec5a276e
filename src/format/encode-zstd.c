/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One zstd frame (RFC 8878), by the library's own threads. Where it cuts the input into jobs
 * depends on the job's size alone as long as input comes with ZSTD_e_continue: the end is said
 * without any.
 */
#include "encode-internal.h"

#include <stddef.h>
#include <zstd.h>
#include <zstd_errors.h>

#define LEVEL 3
/* The library would take 8 MiB, and hold several: this costs a thousandth in size. */
#define JOB_SIZE (4 << 20)
#define ROOM     ((size_t)256 << 10)

struct zstd_encoder {
	struct encoder encoder;
	struct sink sink;
	struct sink *out;
	ZSTD_CCtx *cctx;
	uint8_t room[ROOM];
};

static int zstd_code(size_t result)
{
	return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? -ENOMEM
									 : -ERR_UNSUPPORTED;
}

/* One step into one room. 1 = there is more to do; 0 = there is not. */
static int step(struct zstd_encoder *z, ZSTD_inBuffer *in, ZSTD_EndDirective how)
{
	ZSTD_outBuffer out = {0};
	uint8_t *room;
	size_t left;
	int r = z->out->room(z->out, &room, &out.size);

	if (r < 0)
		return r;
	out.dst = room;
	left = ZSTD_compressStream2(z->cctx, &out, in, how);
	if (ZSTD_isError(left))
		return zstd_code(left);
	r = out.pos ? z->out->fill(z->out, out.pos) : 0;
	if (r < 0)
		return r;
	return how == ZSTD_e_end ? left != 0 : in->pos < in->size;
}

static struct zstd_encoder *of_sink(struct sink *s)
{
	return (struct zstd_encoder *)((char *)s - offsetof(struct zstd_encoder, sink));
}

static int zstd_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct zstd_encoder *z = of_sink(s);

	*ret_p = z->room;
	*ret_n = ROOM;
	return 0;
}

static int zstd_fill(struct sink *s, size_t n)
{
	struct zstd_encoder *z = of_sink(s);
	ZSTD_inBuffer in = {.src = z->room, .size = n};
	int r = n > 0;

	while (r > 0)
		r = step(z, &in, ZSTD_e_continue);
	return r;
}

static int zstd_end(struct encoder *c)
{
	struct zstd_encoder *z = (struct zstd_encoder *)c;
	ZSTD_inBuffer none = {0};
	int r;

	do
		r = step(z, &none, ZSTD_e_end);
	while (r > 0);
	return r;
}

static void zstd_free(struct encoder *c)
{
	struct zstd_encoder *z = (struct zstd_encoder *)c;

	ZSTD_freeCCtx(z->cctx);
	free(z);
}

static int set_parameters(ZSTD_CCtx *cctx)
{
	static const struct {
		ZSTD_cParameter parameter;
		int value;
	} wanted[] = {
		{ZSTD_c_compressionLevel, LEVEL},
		{ZSTD_c_checksumFlag, 1},
		{ZSTD_c_nbWorkers, ENCODE_THREADS},
		{ZSTD_c_jobSize, JOB_SIZE},
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		size_t result = ZSTD_CCtx_setParameter(cctx, wanted[i].parameter, wanted[i].value);

		if (ZSTD_isError(result))
			return zstd_code(result);
	}
	return 0;
}

int encode_zstd_new(struct sink *out, struct encoder **ret)
{
	_cleanup_(encoder_freep) struct encoder *c = NULL;
	struct zstd_encoder *z = calloc(1, sizeof(*z));
	int r;

	if (!z)
		return -ENOMEM;
	z->encoder = (struct encoder){.sink = &z->sink, .end = zstd_end, .free = zstd_free};
	z->sink = (struct sink){.room = zstd_room, .fill = zstd_fill};
	z->out = out;
	c = &z->encoder;
	z->cctx = ZSTD_createCCtx();
	r = z->cctx ? set_parameters(z->cctx) : -ENOMEM;
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}
