/* SPDX-License-Identifier: Apache-2.0 */
#include "repair.h"
#include "assemble.h"
#include "origin.h"
#include "quarantine.h"
#include "store/pack.h"
#include "util/io.h"

#include <fcntl.h>

/* --- how a damaged layer was cut ----------------------------------------------------------- */

static void add_index(
	struct store *s, enum store_file kind, const struct digest *name, struct cuts *cuts)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = -1;

	if (store_file_open(s, kind, name, &fd, NULL) == 0 && index_open(fd, &x, NULL) == 0 &&
		cuts_add(cuts, x, NULL) < 0)
		*cuts = (struct cuts){0};
}

struct layer_images {
	struct store *s;
	const struct digest *diff_id;
	struct cuts cuts;
};

static int add_image_of_layer(void *ctx, const MDB_val *key, const MDB_val *value)
{
	_cleanup_image_record_ struct image_record rec = {0};
	struct layer_images *q = ctx;

	if (record_read_image(key, value, &rec) < 0)
		return 0;
	for (size_t i = 0; i < rec.n_diff_ids; i++)
		if (digest_equal(&rec.diff_ids[i], q->diff_id)) {
			add_index(q->s, STORE_IMAGE, &rec.manifest, &q->cuts);
			break;
		}
	return 0;
}

int layer_cut(struct store *s, const struct digest *diff_id, unsigned int *ret_bits, struct err *e)
{
	struct layer_images q = {.s = s, .diff_id = diff_id};
	unsigned int bits[CHUNK_BITS_MAX + 1];
	_cleanup_txn_ MDB_txn *txn = NULL;
	enum damaged_kind kind;
	struct digest what;
	int r = txn_begin(s, false, &txn, e);

	if (r < 0)
		return r;
	r = layer_damaged(s, txn, diff_id, &kind, &what);
	if (r <= 0)
		return r < 0 ? err_sys(e, r, "cannot read the records of the store") : 1;
	add_index(s, STORE_LAYER, diff_id, &q.cuts);
	if (!cuts_wanted(&q.cuts, bits)) {
		r = record_for_each(s, txn, s->images, add_image_of_layer, &q);
		if (r < 0)
			return err_sys(e, r, "cannot read the records of the store");
	}
	if (!cuts_wanted(&q.cuts, bits))
		return 1;
	*ret_bits = bits[0];
	return 0;
}

/* --- from a source ------------------------------------------------------------------------- */

struct healing {
	struct store *s;
	struct ingest *g;
	uint8_t *buffer;
};

/* 1 = what the store has is not this. */
static int compare(struct healing *h, const struct chunk_record *c, const void *p, uint32_t size,
	struct err *e)
{
	size_t want = (size_t)chunk_blocks(size) * PACK_BLOCK_SIZE, n;
	int fd, r = pack_open(h->s, c->pack, &fd, e);

	if (r < 0)
		return r;
	if (c->size != size)
		return 0; /* nothing to be healed in its place */
	if (!h->buffer && !(h->buffer = malloc((size_t)1 << CHUNK_BITS_MAX)))
		return err_sys(e, -ENOMEM, "cannot repair");
	if (io_pread(fd, h->buffer, want, (uint64_t)c->block * PACK_BLOCK_SIZE, &n) < 0)
		return 1;
	if (n < want || memcmp(h->buffer, p, size) != 0)
		return 1;
	return want > size && !bytes_all_zero(h->buffer + size, want - size);
}

static int mark_damaged(struct store *s, const struct digest *d, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, true, &txn, e);

	if (r == 0)
		r = record_put_damaged(s, txn, DAMAGED_CHUNK, d);
	return r < 0 ? err_sys(e, r, "cannot write the records of the store") : txn_commit(&txn, e);
}

/* 0 = the store has a record of the chunk, 1 = none; *ret_damaged either way. */
static int find_chunk(struct store *s, const struct digest *d, struct chunk_record *ret,
	bool *ret_damaged, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int damaged, r = txn_begin(s, false, &txn, e);

	if (r < 0)
		return r;
	damaged = record_damaged(s, txn, DAMAGED_CHUNK, d);
	r = damaged < 0 ? damaged : record_chunk(s, txn, d, ret);
	*ret_damaged = damaged == 0;
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : r;
}

/* A chunk of the source: to the ingest, which heals, if it is one that the store wants. */
static int take_chunk(
	void *ctx, const struct digest *d, const void *p, uint32_t size, struct err *e)
{
	struct healing *h = ctx;
	struct chunk_record c = {0};
	bool damaged = false;
	int r = find_chunk(h->s, d, &c, &damaged, e);

	if (r < 0 || (r == 1 && !damaged))
		return r < 0 ? r : 0;
	if (!damaged) {
		r = compare(h, &c, p, size, e);
		if (r == 1)
			r = mark_damaged(h->s, d, e);
		else
			return r;
	}
	if (r == 0)
		r = ingest_chunk(h->g, d, p, size, e);
	return r < 0 ? r : 0;
}

/* 0 = the layer is known as damaged; *ret_index is what its record says, if it has one. */
static int damaged_layer(struct store *s, const struct digest *diff_id, struct digest *ret_index,
	bool *ret_recorded, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, e);

	if (r == 0)
		r = record_damaged(s, txn, DAMAGED_LAYER, diff_id);
	if (r)
		return r;
	r = record_layer(s, txn, diff_id, ret_index);
	*ret_recorded = r == 0;
	return r < 0 ? r : 0;
}

/* Replaces the files of a damaged layer, if it was cut the same way. */
static int heal_layer(struct healing *h, struct layer *l, struct err *e)
{
	_cleanup_close_ int fd = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	struct digest should, is;
	bool recorded = false;
	unsigned int temp;
	int r = damaged_layer(h->s, &l->diff_id, &should, &recorded, e);

	if (r)
		return r < 0 ? r : 0;
	r = index_plan_new(l->tree, true, &plan, e);
	if (r == 0)
		r = index_plan_write(plan, null, NULL, &is, e);
	if (r < 0 || (recorded && !digest_equal(&is, &should)))
		return r;
	r = ingest_temp(h->g, &fd, &temp, e);
	if (r == 0)
		r = index_plan_write(plan, fd, NULL, NULL, e);
	if (r == 0)
		r = ingest_file(h->g, STORE_LAYER, &l->diff_id, temp, e);
	if (r == 0)
		r = split_writer_finish(l->split, plan, e);
	if (r == 0)
		r = ingest_file(h->g, STORE_SPLIT, &l->diff_id, l->split_temp, e);
	if (r == 0 && ingest_layer(h->g, &l->diff_id, &is) < 0)
		r = err_sys(e, -ENOMEM, "cannot repair");
	return r;
}

static int heal_by(struct healing *h, const struct origin *from, size_t n, unsigned int bits,
	const struct import_options *o, struct layer *ret, struct err *e)
{
	_cleanup_(origin_layer_done) struct origin_layer in = {0};
	int r = origin_layer_open(from, n, o, &in, e);

	if (r == 0)
		r = layer_scan(h->g, in.produce, in.ctx, bits, take_chunk, h, ret, e);
	if (r == 0)
		r = origin_check_layer(from, n, ret, e);
	return r < 0 ? r : heal_layer(h, ret, e);
}

/*
 * What the layers of the source have, cut in each of the ways. *ret is the last one; `sizes` are
 * those of the tars.
 */
static int heal_layers(struct healing *h, const struct origin *from, const struct cuts *cuts,
	const struct import_options *o, uint64_t *sizes, struct layer *ret, struct err *e)
{
	unsigned int bits[CHUNK_BITS_MAX + 2];
	size_t n_bits = cuts_wanted(cuts, bits);
	int r = 0;

	if (!n_bits) /* nothing tells */
		bits[n_bits++] = CHUNK_BITS_DEFAULT;
	if (n_bits > 1 && origin_is_pipe(from))
		return err_set(e, -ERR_UNSUPPORTED,
			"files of the store are cut in %zu ways, and a pipe can be read once only",
			n_bits);
	for (size_t n = 0; r == 0 && n < origin_layers(from); n++)
		for (size_t i = 0; r == 0 && i < n_bits; i++) {
			layer_done(ret);
			r = heal_by(h, from, n, bits[i], o, ret, e);
			sizes[n] = ret->size;
		}
	return r;
}

/* --- images -------------------------------------------------------------------------------- */

/* 1 = the image is not known as damaged. */
static int damaged_image(struct store *s, const struct digest *manifest, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, e);

	return r < 0 ? r : record_damaged(s, txn, DAMAGED_IMAGE, manifest);
}

/* Out of stored layers. 1 = one of them is damaged. */
static int assemble(struct store *s, const struct digest *diff_ids, size_t n,
	const struct buf *config, const struct buf *manifest, struct err *e)
{
	_cleanup_(assembly_freep) struct assembly *a = NULL;
	struct digest d;
	int r = assembly_begin(s, &a, e);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = assembly_add_stored(a, &diff_ids[i], e);
	return r ? r : assembly_commit(a, config, manifest, NULL, &d, e);
}

/* The source's own image. */
static int heal_image(struct store *s, const struct origin *from, const uint64_t *sizes,
	const struct layer *only, const struct import_options *o, struct err *e)
{
	_cleanup_buf_ struct buf config = {0}, manifest = {0};
	_cleanup_free_ struct digest *diff_ids = calloc(origin_layers(from) + 1, sizeof(*diff_ids));
	struct digest d;
	int r = diff_ids ? 0 : err_sys(e, -ENOMEM, "cannot repair");

	if (r == 0)
		r = from->src ? origin_manifest(from, sizes, &manifest, e)
			      : origin_single_documents(only, o, &config, &manifest, e);
	if (r < 0)
		return r;
	digest_of(manifest.p, manifest.n, &d);
	r = damaged_image(s, &d, e);
	if (r)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < origin_layers(from); i++)
		diff_ids[i] = from->src ? from->src->layers[i].diff_id : only->diff_id;
	r = assemble(s, diff_ids, origin_layers(from), from->src ? &from->src->config : &config,
		&manifest, e);
	return r < 0 ? r : 0;
}

int repair_from(struct store *s, const char *source, const struct cuts *cuts,
	const struct import_options *o, uint64_t *ret_chunks, struct err *e)
{
	_cleanup_(origin_close) struct origin from = {0};
	_cleanup_layer_ struct layer last = LAYER_NONE;
	_cleanup_free_ uint64_t *sizes = NULL;
	struct healing h = {.s = s};
	int r = origin_open(s, source, o, &from, e);

	if (r < 0)
		return r;
	sizes = calloc(origin_layers(&from) + 1, sizeof(*sizes));
	r = sizes ? ingest_begin(s, &h.g, e) : err_sys(e, -ENOMEM, "cannot repair");
	if (r == 0)
		r = heal_layers(&h, &from, cuts, o, sizes, &last, e);
	if (r == 0)
		r = ingest_commit(h.g, NULL, NULL, e);
	if (r >= 0)
		*ret_chunks = ingest_stats(h.g)->healed_chunks + ingest_stats(h.g)->new_chunks;
	ingest_free(h.g);
	free(h.buffer);
	return r < 0 ? r : heal_image(s, &from, sizes, &last, o, e);
}

/* A document that is what its digest says. 1 = it is not. */
static int read_sound(struct store *s, enum store_file kind, const struct digest *manifest,
	const struct digest *should, struct buf *ret)
{
	_cleanup_close_ int fd = -1;
	struct digest is;

	if (store_file_open(s, kind, manifest, &fd, NULL) < 0 ||
		io_slurp(fd, IMAGE_DOC_MAX, ret) < 0)
		return 1;
	digest_of(ret->p, ret->n, &is);
	return !digest_equal(&is, should);
}

int repair_image(struct store *s, const struct digest *manifest, struct err *e)
{
	_cleanup_image_record_ struct image_record rec = {0};
	_cleanup_buf_ struct buf config = {0}, doc = {0};
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, e);

	if (r < 0)
		return r;
	r = record_image(s, txn, manifest, &rec);
	if (r == 0)
		r = read_sound(s, STORE_MANIFEST, manifest, manifest, &doc);
	if (r == 0)
		r = read_sound(s, STORE_CONFIG, manifest, &rec.config, &config);
	mdb_txn_abort(TAKE_PTR(txn));
	if (r)
		return r < 0 ? err_sys(e, r, "cannot read the records of the store") : 1;
	return assemble(s, rec.diff_ids, rec.n_diff_ids, &config, &doc, e);
}
