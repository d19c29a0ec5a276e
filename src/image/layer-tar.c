/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-tar.h"
#include "native.h"
#include "format/split.h"
#include "store/pack.h"
#include "util/io.h"

struct layer_tar {
	struct store *s;
	const struct digest *diff_id;
	int split_fd;
	struct split *split;
	struct index *index;
	struct chunk_record *chunks; /* by the split's ids */
	struct digest_ctx *digest;
	bool native;            /* nothing tells the digest of the tar; */
	struct digest *digests; /* but of each of `chunks` */
	struct digest_ctx *chunk_digest;
	struct sink *out;
};

static void layer_tar_done(struct layer_tar *t)
{
	split_close(t->split);
	index_close(t->index);
	digest_ctx_free(t->digest);
	digest_ctx_free(t->chunk_digest);
	free(t->digests);
	free(t->chunks);
	if (t->split_fd >= 0)
		close(t->split_fd);
}
#define _cleanup_layer_tar_ _cleanup_(layer_tar_done)

static int open_split(struct layer_tar *t, struct err *e)
{
	int r = store_file_open(t->s, STORE_SPLIT, t->diff_id, &t->split_fd, e);

	return r < 0 ? r : split_open(t->split_fd, &t->split, e);
}

static int open_index(struct layer_tar *t, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = store_file_open(t->s, STORE_LAYER, t->diff_id, &fd, e);

	return r < 0 ? r : index_open(fd, &t->index, e);
}

static int chunk_of_id(const struct layer_tar *t, uint32_t id, struct chunk *ret, struct err *e)
{
	size_t n_extras;
	uint32_t n;

	if (split_id(t->split, id, &n)) {
		*ret = split_extras(t->split, &n_extras)[n];
		return 0;
	}
	if (n >= index_info(t->index)->chunks)
		return err_set(e, -ERR_STORE, "a layer's split does not fit its index");
	index_chunk(t->index, n, ret);
	return 0;
}

/* Where each chunk lies: as long as the layer is live, it stays there. */
static int look_up(struct layer_tar *t, struct err *e)
{
	const uint32_t ids = split_ids(t->split);
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(t->s, false, &txn, e);

	if (r < 0)
		return r;
	t->chunks = calloc((size_t)ids + 1, sizeof(*t->chunks));
	t->digests = t->native ? calloc((size_t)ids + 1, sizeof(*t->digests)) : NULL;
	if (!t->chunks || (t->native && !t->digests))
		return err_sys(e, -ENOMEM, "cannot write the layer");
	for (uint32_t id = 0; id < ids; id++) {
		char text[DIGEST_TEXT_MAX];
		struct chunk c;

		r = chunk_of_id(t, id, &c, e);
		if (r < 0)
			return r;
		if (t->native)
			t->digests[id] = c.digest;
		r = record_chunk(t->s, txn, &c.digest, &t->chunks[id]);
		if (r == 1 || (r == 0 && t->chunks[id].size != c.size))
			return err_set(e, -ERR_STORE, "the store is damaged: chunk %s is missing",
				digest_text(&c.digest, text));
		if (r < 0)
			return err_sys(e, r, "cannot read the records of the store");
	}
	return 0;
}

/* Makes the next bytes of the tar: from `p`, from `fd` at `off`, or zeros. */
static int put(
	struct layer_tar *t, const uint8_t *p, int fd, uint64_t off, uint64_t n, struct err *e)
{
	while (n) {
		uint8_t *room;
		size_t k;
		int r = t->out->room(t->out, &room, &k);

		if (r < 0)
			return err_sys(e, r, "cannot write the layer");
		k = k < n ? k : (size_t)n;
		if (p)
			memcpy(room, p, k);
		else if (fd < 0)
			memset(room, 0, k);
		else if ((r = io_pread_full(fd, room, k, off)) < 0)
			return err_sys(e, r, "cannot read a pack");
		digest_ctx_add(fd >= 0 && t->native ? t->chunk_digest : t->digest, room, k);
		r = t->out->fill(t->out, k);
		if (r < 0)
			return err_sys(e, r, "cannot write the layer");
		p = p ? p + k : NULL;
		off += k;
		n -= k;
	}
	return 0;
}

/* The chunk that was just written; the split of a native layer has whole ones only. */
static int check_chunk(struct layer_tar *t, uint32_t id, struct err *e)
{
	char text[DIGEST_TEXT_MAX];
	struct digest is;

	digest_ctx_final(t->chunk_digest, &is);
	if (digest_equal(&is, &t->digests[id]))
		return 0;
	return err_set(e, -ERR_STORE, "the store is damaged: chunk %s has other bytes",
		digest_text(&t->digests[id], text));
}

static int put_part(struct layer_tar *t, uint32_t id, uint32_t offset, uint64_t n, struct err *e)
{
	const struct chunk_record *c = &t->chunks[id];
	int fd, r;

	if (offset > c->size || n > c->size - offset)
		return err_set(e, -ERR_STORE, "a layer's split does not fit its chunks");
	r = pack_open(t->s, c->pack, &fd, e);
	if (r == 0)
		r = put(t, NULL, fd, (uint64_t)c->block * PACK_BLOCK_SIZE + offset, n, e);
	return r < 0 || !t->native ? r : check_chunk(t, id, e);
}

static int put_op(struct layer_tar *t, const struct split_op *op, struct err *e)
{
	int r = 0;

	switch (op->kind) {
	case SPLIT_LITERAL:
		return put(t, op->p, -1, 0, op->n, e);
	case SPLIT_ZEROS:
		return put(t, NULL, -1, 0, op->n, e);
	case SPLIT_PART:
		return put_part(t, op->id, op->offset, op->n, e);
	case SPLIT_CHUNKS:
		for (uint32_t id = op->id; r == 0 && id < op->id + op->n; id++)
			r = put_part(t, id, 0, t->chunks[id].size, e);
	}
	return r;
}

static int put_all(struct layer_tar *t, struct err *e)
{
	char text[DIGEST_TEXT_MAX];
	struct digest diff_id;
	struct split_op op;
	int r;

	while ((r = split_next(t->split, &op, e)) == 1) {
		r = put_op(t, &op, e);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	digest_ctx_final(t->digest, &diff_id);
	if (!t->native && !digest_equal(&diff_id, t->diff_id))
		return err_set(e, -ERR_STORE,
			"the store is damaged: layer %s comes out with other bytes",
			digest_text(t->diff_id, text));
	return 0;
}

int layer_tar_size(struct store *s, const struct digest *diff_id, uint64_t *ret, struct err *e)
{
	_cleanup_layer_tar_ struct layer_tar t = {.s = s, .diff_id = diff_id, .split_fd = -1};
	int r = open_split(&t, e);

	if (r == 0)
		*ret = split_tar_size(t.split);
	return r;
}

int layer_tar_write(struct store *s, const struct digest *diff_id, struct sink *out, struct err *e)
{
	_cleanup_layer_tar_ struct layer_tar t = {
		.s = s, .diff_id = diff_id, .split_fd = -1, .out = out};
	int r = open_split(&t, e);

	if (r == 0)
		r = open_index(&t, e);
	if (r < 0)
		return r;
	r = layer_is_native(s, diff_id, e);
	if (r < 0)
		return r;
	t.native = r == 1;
	t.digest = digest_ctx_new();
	t.chunk_digest = digest_ctx_new();
	if (!t.digest || !t.chunk_digest)
		return err_sys(e, -ENOMEM, "cannot write the layer");
	r = look_up(&t, e);
	return r < 0 ? r : put_all(&t, e);
}
