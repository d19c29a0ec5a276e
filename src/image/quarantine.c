/* SPDX-License-Identifier: Apache-2.0 */
#include "quarantine.h"
#include "store/chunk-table.h"

struct look_up {
	struct store *s;
	MDB_txn *txn;
	struct digest *ret;
};

static int look_up(void *ctx, const struct chunk *c)
{
	struct look_up *q = ctx;
	int r = record_damaged(q->s, q->txn, DAMAGED_CHUNK, &c->digest);

	if (r == 0)
		*q->ret = c->digest;
	return r < 0 ? r : !r;
}

/* 1 = *ret is a damaged chunk of it. */
static int index_damaged(struct store *s, MDB_txn *txn, enum store_file kind,
	const struct digest *name, struct digest *ret)
{
	struct look_up q = {s, txn, ret};

	return chunk_table_each_readable(s, kind, name, look_up, &q);
}

int layer_damaged(struct store *s, MDB_txn *txn, const struct digest *diff_id,
	enum damaged_kind *ret_kind, struct digest *ret)
{
	size_t n;
	int r = record_count_damaged(s, txn, &n);

	if (r < 0 || n == 0)
		return r;
	r = record_damaged(s, txn, DAMAGED_LAYER, diff_id);
	*ret_kind = r == 0 ? DAMAGED_LAYER : DAMAGED_CHUNK;
	*ret = *diff_id;
	return r <= 0 ? (r < 0 ? r : 1) : index_damaged(s, txn, STORE_LAYER, diff_id, ret);
}

/* 1 = the image touches *ret, which is damaged. */
static int image_damaged(struct store *s, MDB_txn *txn, const struct image_record *image,
	enum damaged_kind *ret_kind, struct digest *ret)
{
	size_t n;
	int r = record_count_damaged(s, txn, &n);

	if (r < 0 || n == 0)
		return r;
	r = record_damaged(s, txn, DAMAGED_IMAGE, &image->manifest);
	*ret_kind = DAMAGED_IMAGE;
	*ret = image->manifest;
	if (r <= 0)
		return r < 0 ? r : 1;
	*ret_kind = DAMAGED_CHUNK;
	r = index_damaged(s, txn, STORE_IMAGE, &image->manifest, ret);
	for (size_t i = 0; r == 0 && i < image->n_diff_ids; i++)
		r = layer_damaged(s, txn, &image->diff_ids[i], ret_kind, ret);
	return r;
}

static const char *kind_text(enum damaged_kind kind)
{
	switch (kind) {
	case DAMAGED_CHUNK:
		return "chunk ";
	case DAMAGED_LAYER:
		return "layer ";
	default:
		return "image ";
	}
}

int image_check_quarantine(
	struct store *s, const struct image_record *image, const char *name, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	char text[DIGEST_TEXT_MAX];
	enum damaged_kind kind;
	struct digest d;
	int r = txn_begin(s, false, &txn, e);

	if (r < 0)
		return r;
	r = image_damaged(s, txn, image, &kind, &d);
	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	if (r == 0)
		return 0;
	return err_set(e, -ERR_STORE,
		"image '%s' is quarantined: %s%s is damaged (plyfs fsck --repair SOURCE, or import "
		"it again)",
		name, kind_text(kind), digest_text(&d, text));
}
