/* SPDX-License-Identifier: Apache-2.0 */
#include "index-plan.h"
#include "split-disk.h"
#include "split.h"
#include "util/buf.h"
#include "util/io.h"

#include <endian.h>
#include <zstd.h>

#define LEVEL       3
#define LITERAL_MAX ((size_t)64 << 10)

struct split_writer {
	int fd;
	int code; /* of the first failure */
	ZSTD_CCtx *cctx;
	struct digest_ctx *sum;
	uint64_t at; /* in the file */
	uint64_t tar_size;
	struct buf literal; /* not written yet */
	struct buf out;
	uint32_t run_id, run; /* whole chunks, not written yet */
	uint8_t room[128 << 10];
};

int split_writer_new(int fd, struct split_writer **ret, struct err *e)
{
	_cleanup_(split_writer_freep) struct split_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return err_sys(e, -ENOMEM, "cannot keep the layer's tar");
	w->fd = fd;
	w->at = sizeof(struct split_header);
	w->sum = digest_ctx_new();
	w->cctx = ZSTD_createCCtx();
	if (!w->sum || !w->cctx ||
		ZSTD_isError(ZSTD_CCtx_setParameter(w->cctx, ZSTD_c_compressionLevel, LEVEL)))
		return err_sys(e, -ENOMEM, "cannot keep the layer's tar");
	*ret = TAKE_PTR(w);
	return 0;
}

void split_writer_free(struct split_writer *w)
{
	if (!w)
		return;
	ZSTD_freeCCtx(w->cctx);
	digest_ctx_free(w->sum);
	buf_done(&w->literal);
	buf_done(&w->out);
	free(w);
}

static void append(struct split_writer *w, const void *p, size_t n)
{
	if (w->code == 0)
		w->code = io_pwrite_full(w->fd, p, n, w->at);
	digest_ctx_add(w->sum, p, n);
	w->at += n;
}

/* Compresses what is given; with ZSTD_e_end, to the end of the frame. */
static void compress(struct split_writer *w, const void *p, size_t n, ZSTD_EndDirective end)
{
	ZSTD_inBuffer in = {.src = p, .size = n};
	size_t left = 1;

	while (w->code == 0 && (end == ZSTD_e_end ? left > 0 : in.pos < in.size)) {
		ZSTD_outBuffer out = {.dst = w->room, .size = sizeof(w->room)};

		left = ZSTD_compressStream2(w->cctx, &out, &in, end);
		if (ZSTD_isError(left))
			w->code = -ENOMEM; /* what else can fail */
		else
			append(w, out.dst, out.pos);
	}
}

/* An operation's byte and numbers. */
static void put(struct split_writer *w, enum split_code code, const uint64_t *v, size_t n)
{
	uint8_t text[1 + 3 * 10];
	size_t k = 0;

	text[k++] = (uint8_t)code;
	for (size_t i = 0; i < n; i++) {
		uint64_t x = v[i];

		for (; x > 0x7f; x >>= 7)
			text[k++] = (uint8_t)(x | 0x80);
		text[k++] = (uint8_t)x;
	}
	compress(w, text, k, ZSTD_e_continue);
}

static void put_literal(struct split_writer *w)
{
	if (!w->literal.n)
		return;
	put(w, SPLIT_CODE_LITERAL, &(uint64_t){w->literal.n}, 1);
	compress(w, w->literal.p, w->literal.n, ZSTD_e_continue);
	w->literal.n = 0;
}

static void put_run(struct split_writer *w)
{
	if (w->run)
		put(w, SPLIT_CODE_CHUNKS, (uint64_t[]){w->run_id, w->run}, 2);
	w->run = 0;
}

void split_literal(struct split_writer *w, const void *p, size_t n)
{
	put_run(w);
	w->tar_size += n;
	if (w->literal.n + n > LITERAL_MAX)
		put_literal(w);
	if (n > LITERAL_MAX) {
		put(w, SPLIT_CODE_LITERAL, &(uint64_t){n}, 1);
		compress(w, p, n, ZSTD_e_continue);
	} else if (buf_add(&w->literal, p, n) < 0 && w->code == 0) {
		w->code = -ENOMEM;
	}
}

void split_zeros(struct split_writer *w, uint64_t n)
{
	put_run(w);
	put_literal(w);
	w->tar_size += n;
	put(w, SPLIT_CODE_ZEROS, &n, 1);
}

void split_chunk(struct split_writer *w, uint32_t id, uint32_t offset, uint32_t n, uint32_t size)
{
	put_literal(w);
	w->tar_size += n;
	if (n == size && w->run && id == w->run_id + w->run) {
		w->run++;
		return;
	}
	put_run(w);
	if (n == size) {
		w->run_id = id;
		w->run = 1;
	} else {
		put(w, SPLIT_CODE_PART, (uint64_t[]){id, offset, n}, 3);
	}
}

int split_writer_code(const struct split_writer *w)
{
	return w->code;
}

uint64_t split_writer_tar_size(const struct split_writer *w)
{
	return w->tar_size;
}

/* What the plan's index calls each chunk of the tree. */
static int fill_tables(
	const struct index_plan *plan, struct split_header *h, struct buf *ids, struct buf *extras)
{
	const struct tree *t = plan->tree;
	uint32_t last = 0, n_extras = 0;
	int r = 0;

	for (uint32_t id = 0; r == 0 && id < t->n_chunks; id++) {
		bool extra = plan->chunk_block[id] == EROFS_NULL_BLOCK;
		uint32_t number = extra ? SPLIT_EXTRA | n_extras++ : plan->chunk_number[id];
		uint32_t step = htole32(number - last);

		last = number;
		r = buf_add(ids, &step, sizeof(step));
		if (r == 0 && extra) {
			struct split_extra x = {.size = htole32(t->chunks[id].size)};

			memcpy(x.digest, t->chunks[id].digest.b, DIGEST_SIZE);
			r = buf_add(extras, &x, sizeof(x));
		}
	}
	h->ids = htole32(t->n_chunks);
	h->extras = htole32(n_extras);
	return r;
}

static void write_header(struct split_writer *w, struct split_header *h)
{
	struct digest sum;

	memcpy(h->magic, SPLIT_MAGIC, sizeof(h->magic));
	h->version = htole32(SPLIT_VERSION);
	h->tar_size = htole64(w->tar_size);
	digest_ctx_add(w->sum, h, offsetof(struct split_header, sum));
	digest_ctx_final(w->sum, &sum);
	memcpy(h->sum, sum.b, DIGEST_SIZE);
	if (w->code == 0)
		w->code = io_pwrite_full(w->fd, h, sizeof(*h), 0);
}

int split_writer_finish(struct split_writer *w, const struct index_plan *plan, struct err *e)
{
	_cleanup_buf_ struct buf ids = {0}, extras = {0};
	struct split_header h = {0};

	put_run(w);
	put_literal(w);
	compress(w, NULL, 0, ZSTD_e_end);
	h.operations = htole64(w->at - sizeof(h));
	if (w->code == 0)
		w->code = fill_tables(plan, &h, &ids, &extras);
	compress(w, ids.p, ids.n, ZSTD_e_continue);
	compress(w, extras.p, extras.n, ZSTD_e_end);
	write_header(w, &h);
	return w->code < 0 ? err_sys(e, w->code, "cannot keep the layer's tar") : 0;
}
