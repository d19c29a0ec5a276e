/* SPDX-License-Identifier: Apache-2.0 */
#include "split-disk.h"
#include "split.h"
#include "util/array.h"
#include "util/io.h"

#include <endian.h>
#include <sys/stat.h>
#include <zstd.h>

#define IN_SIZE  ((size_t)64 << 10)
#define OUT_SIZE ((size_t)128 << 10)

struct split {
	int fd;
	struct split_header header;
	uint32_t *ids;
	uint32_t n_ids;
	struct chunk *extras;
	size_t n_extras;

	/* The operations: what of the frame was read, and what of that was decoded. */
	ZSTD_DCtx *dctx;
	uint64_t at, end; /* in the file: of the frame that is being read */
	ZSTD_inBuffer in;
	uint8_t *room; /* IN_SIZE, then OUT_SIZE */
	const uint8_t *p;
	size_t n;
	bool frame_ended;
	uint64_t literal; /* bytes of the current literal that were not handed out */
};

static int broken(struct err *e, const char *what)
{
	return err_set(e, -ERR_STORE, "a layer's split is damaged: %s", what);
}

/* --- bytes of a frame --------------------------------------------------------------------- */

static int begin_frame(struct split *s, uint64_t at, uint64_t end)
{
	s->at = at;
	s->end = end;
	s->n = 0;
	s->in = (ZSTD_inBuffer){0};
	s->frame_ended = false;
	return ZSTD_isError(ZSTD_DCtx_reset(s->dctx, ZSTD_reset_session_only)) ? -ENOMEM : 0;
}

static int fill_in(struct split *s, struct err *e)
{
	size_t n = s->end - s->at < IN_SIZE ? (size_t)(s->end - s->at) : IN_SIZE;
	int r;

	if (!n)
		return broken(e, "it ends early");
	r = io_pread_full(s->fd, s->room, n, s->at);
	if (r < 0)
		return err_sys(e, r, "cannot read a layer's split");
	s->in = (ZSTD_inBuffer){.src = s->room, .size = n};
	s->at += n;
	return 0;
}

/* 1 = s->n > 0 decoded bytes are at s->p; 0 = the frame has ended. */
static int more(struct split *s, struct err *e)
{
	while (!s->n) {
		ZSTD_outBuffer out = {.dst = s->room + IN_SIZE, .size = OUT_SIZE};
		size_t left;
		int r = 0;

		if (s->frame_ended)
			return s->at == s->end && s->in.pos == s->in.size
				       ? 0
				       : broken(e, "bytes behind a frame");
		if (s->in.pos == s->in.size)
			r = fill_in(s, e);
		if (r < 0)
			return r;
		left = ZSTD_decompressStream(s->dctx, &out, &s->in);
		if (ZSTD_isError(left))
			return broken(e, ZSTD_getErrorName(left));
		s->frame_ended = left == 0;
		s->p = out.dst;
		s->n = out.pos;
	}
	return 1;
}

static int take(struct split *s, void *to, size_t n, struct err *e)
{
	uint8_t *out = to;

	while (n) {
		size_t k;
		int r = more(s, e);

		if (r <= 0)
			return r < 0 ? r : broken(e, "it ends early");
		k = s->n < n ? s->n : n;
		memcpy(out, s->p, k);
		s->p += k;
		s->n -= k;
		out += k;
		n -= k;
	}
	return 0;
}

/* --- header and tables -------------------------------------------------------------------- */

static int read_header(struct split *s, uint64_t *ret_size, struct err *e)
{
	struct split_header *h = &s->header;
	struct stat st;
	int r;

	if (fstat(s->fd, &st) < 0)
		return err_sys(e, -errno, "cannot read a layer's split");
	if ((uint64_t)st.st_size < sizeof(*h))
		return broken(e, "it is too short");
	r = io_pread_full(s->fd, h, sizeof(*h), 0);
	if (r < 0)
		return err_sys(e, r, "cannot read a layer's split");
	if (memcmp(h->magic, SPLIT_MAGIC, sizeof(h->magic)) != 0 ||
		le32toh(h->version) != SPLIT_VERSION || h->reserved)
		return broken(e, "its header");
	if (le64toh(h->operations) > (uint64_t)st.st_size - sizeof(*h))
		return broken(e, "the size of its operations");
	s->n_ids = le32toh(h->ids);
	s->n_extras = le32toh(h->extras);
	if (s->n_ids > SPLIT_IDS_MAX || s->n_extras > s->n_ids)
		return broken(e, "the size of its tables");
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* Memory grows with what is there, not with what the header says. */
static int read_ids(struct split *s, struct err *e)
{
	uint32_t last = 0, step;
	size_t room = 0;

	for (uint32_t id = 0; id < s->n_ids; id++) {
		int r;

		if (array_room(&s->ids, id, &room, sizeof(*s->ids)) < 0)
			return err_sys(e, -ENOMEM, "cannot read a layer's split");
		r = take(s, &step, sizeof(step), e);
		if (r < 0)
			return r;
		last += le32toh(step);
		if (last & SPLIT_EXTRA && (last & ~SPLIT_EXTRA) >= s->n_extras)
			return broken(e, "an extra chunk that is not there");
		s->ids[id] = last;
	}
	return 0;
}

static int read_extras(struct split *s, struct err *e)
{
	size_t room = 0;

	for (size_t i = 0; i < s->n_extras; i++) {
		struct chunk *c;
		struct split_extra x;
		int r;

		if (array_room(&s->extras, i, &room, sizeof(*s->extras)) < 0)
			return err_sys(e, -ENOMEM, "cannot read a layer's split");
		r = take(s, &x, sizeof(x), e);
		if (r < 0)
			return r;
		c = &s->extras[i];
		memcpy(c->digest.b, x.digest, DIGEST_SIZE);
		c->size = le32toh(x.size);
		if (!c->size || c->size > 1u << CHUNK_BITS_MAX)
			return broken(e, "the size of an extra chunk");
	}
	return 0;
}

static int read_tables(struct split *s, uint64_t size, struct err *e)
{
	uint64_t tables = sizeof(s->header) + le64toh(s->header.operations);
	int r = begin_frame(s, tables, size);

	if (r == 0)
		r = read_ids(s, e);
	if (r == 0)
		r = read_extras(s, e);
	if (r == 0)
		r = more(s, e);
	if (r > 0)
		return broken(e, "its tables are too long");
	return r < 0 ? r : begin_frame(s, sizeof(s->header), tables);
}

int split_open(int fd, struct split **ret, struct err *e)
{
	_cleanup_(split_closep) struct split *s = calloc(1, sizeof(*s));
	uint64_t size = 0;
	int r;

	if (!s)
		return err_sys(e, -ENOMEM, "cannot read a layer's split");
	s->fd = fd;
	s->dctx = ZSTD_createDCtx();
	s->room = malloc(IN_SIZE + OUT_SIZE);
	if (!s->dctx || !s->room)
		return err_sys(e, -ENOMEM, "cannot read a layer's split");
	r = read_header(s, &size, e);
	if (r == 0)
		r = read_tables(s, size, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void split_close(struct split *s)
{
	if (!s)
		return;
	ZSTD_freeDCtx(s->dctx);
	free(s->room);
	free(s->ids);
	free(s->extras);
	free(s);
}

uint64_t split_tar_size(const struct split *s)
{
	return le64toh(s->header.tar_size);
}

uint32_t split_ids(const struct split *s)
{
	return s->n_ids;
}

int split_id(const struct split *s, uint32_t id, uint32_t *ret)
{
	*ret = s->ids[id] & ~SPLIT_EXTRA;
	return s->ids[id] & SPLIT_EXTRA ? 1 : 0;
}

const struct chunk *split_extras(const struct split *s, size_t *ret_n)
{
	*ret_n = s->n_extras;
	return s->extras;
}

/* --- operations --------------------------------------------------------------------------- */

static int number(struct split *s, uint64_t max, uint64_t *ret, struct err *e)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 63; shift += 7) {
		uint8_t b;
		int r = take(s, &b, 1, e);

		if (r < 0)
			return r;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b & 0x80)
			continue;
		if (v > max)
			break;
		*ret = v;
		return 0;
	}
	return broken(e, "a number in it is too large");
}

static int literal_piece(struct split *s, struct split_op *ret, struct err *e)
{
	int r = more(s, e);

	if (r <= 0)
		return r < 0 ? r : broken(e, "it ends early");
	*ret = (struct split_op){.kind = SPLIT_LITERAL, .p = s->p};
	ret->n = s->n < s->literal ? s->n : s->literal;
	s->p += ret->n;
	s->n -= (size_t)ret->n;
	s->literal -= ret->n;
	return 1;
}

static int chunks(struct split *s, struct split_op *ret, struct err *e)
{
	uint64_t id, n;
	int r = number(s, s->n_ids, &id, e);

	if (r == 0)
		r = number(s, s->n_ids, &n, e);
	if (r < 0)
		return r;
	if (!n || id + n > s->n_ids)
		return broken(e, "a chunk that is not there");
	*ret = (struct split_op){.kind = SPLIT_CHUNKS, .id = (uint32_t)id, .n = n};
	return 1;
}

static int part(struct split *s, struct split_op *ret, struct err *e)
{
	uint64_t id, offset, n;
	int r = number(s, s->n_ids, &id, e);

	if (r == 0)
		r = number(s, 1u << CHUNK_BITS_MAX, &offset, e);
	if (r == 0)
		r = number(s, 1u << CHUNK_BITS_MAX, &n, e);
	if (r < 0)
		return r;
	if (id == s->n_ids)
		return broken(e, "a chunk that is not there");
	*ret = (struct split_op){
		.kind = SPLIT_PART, .id = (uint32_t)id, .offset = (uint32_t)offset, .n = n};
	return 1;
}

int split_next(struct split *s, struct split_op *ret, struct err *e)
{
	uint8_t code;
	uint64_t n;
	int r;

	if (s->literal)
		return literal_piece(s, ret, e);
	r = more(s, e);
	if (r <= 0)
		return r;
	code = *s->p++;
	s->n--;
	switch (code) {
	case SPLIT_CODE_LITERAL:
		r = number(s, split_tar_size(s), &s->literal, e);
		if (r == 0 && !s->literal)
			r = broken(e, "an empty operation");
		return r < 0 ? r : literal_piece(s, ret, e);
	case SPLIT_CODE_ZEROS:
		r = number(s, split_tar_size(s), &n, e);
		*ret = (struct split_op){.kind = SPLIT_ZEROS, .n = r == 0 ? n : 0};
		return r < 0 ? r : 1;
	case SPLIT_CODE_CHUNKS:
		return chunks(s, ret, e);
	case SPLIT_CODE_PART:
		return part(s, ret, e);
	default:
		return broken(e, "an unknown operation");
	}
}

/* --- the check ---------------------------------------------------------------------------- */

static int check_sum(const struct split *s, struct err *e)
{
	_cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	uint64_t at = sizeof(s->header);
	struct digest sum;
	size_t n;

	if (!ctx)
		return err_sys(e, -ENOMEM, "cannot read a layer's split");
	do {
		int r = io_pread(s->fd, s->room, IN_SIZE, at, &n);

		if (r < 0)
			return err_sys(e, r, "cannot read a layer's split");
		digest_ctx_add(ctx, s->room, n);
		at += n;
	} while (n);
	digest_ctx_add(ctx, &s->header, offsetof(struct split_header, sum));
	digest_ctx_final(ctx, &sum);
	return memcmp(sum.b, s->header.sum, DIGEST_SIZE) == 0 ? 0 : broken(e, "its sum");
}

static uint32_t chunk_size(const struct split *s, const struct index *layer, uint32_t id)
{
	struct chunk c;
	uint32_t n;

	if (split_id(s, id, &n))
		return s->extras[n].size;
	index_chunk(layer, n, &c);
	return c.size;
}

static int op_size(const struct split *s, const struct index *layer, const struct split_op *op,
	uint64_t *ret, struct err *e)
{
	*ret = op->n;
	if (op->kind == SPLIT_PART && op->offset + op->n > chunk_size(s, layer, op->id))
		return broken(e, "a part that goes past its chunk");
	if (op->kind == SPLIT_CHUNKS) {
		*ret = 0;
		for (uint64_t i = 0; i < op->n; i++)
			*ret += chunk_size(s, layer, op->id + (uint32_t)i);
	}
	return 0;
}

int split_check(int fd, const struct index *layer, struct err *e)
{
	_cleanup_(split_closep) struct split *s = NULL;
	struct split_op op;
	uint64_t total = 0;
	int r = split_open(fd, &s, e);

	if (r == 0)
		r = check_sum(s, e);
	if (r < 0)
		return r;
	for (uint32_t id = 0; id < s->n_ids; id++)
		if (!(s->ids[id] & SPLIT_EXTRA) && s->ids[id] >= index_info(layer)->chunks)
			return broken(e, "a chunk that the layer does not have");
	while ((r = split_next(s, &op, e)) == 1) {
		uint64_t n;

		r = op_size(s, layer, &op, &n, e);
		if (r < 0)
			return r;
		total += n;
		if (total > split_tar_size(s))
			return broken(e, "it makes too much");
	}
	if (r == 0 && total != split_tar_size(s))
		return broken(e, "it makes too little");
	return r;
}
