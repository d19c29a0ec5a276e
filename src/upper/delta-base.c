/* SPDX-License-Identifier: Apache-2.0 */
#include "delta-internal.h"
#include "store/pack.h"
#include "util/io.h"

int delta_base_find(struct delta *d, const struct index_inode *dir, const char *name,
	struct index_inode *ret, struct err *e)
{
	uint64_t nid;
	int r = index_lookup(d->base, dir, name, strlen(name), &nid, e);

	return r ? r : index_inode(d->base, nid, ret, e);
}

/* Names and values are copied: the layer's tree must not depend on how long the index is open. */
static int copy_xattrs(
	struct delta *d, const struct index_inode *x, const struct xattr_set **ret, struct err *e)
{
	char name[XATTR_NAME_LEN_MAX + 1];
	_cleanup_buf_ struct buf all = {0};
	struct bytes value;
	uint64_t pos = 0;
	int r;

	while ((r = index_xattr(d->base, x, &pos, name, &value, e)) == 1) {
		struct xattr v = {.value_size = (uint32_t)value.n};

		v.name = arena_copy(&d->t->arena, name, strlen(name) + 1);
		v.value = arena_copy(&d->t->arena, value.p, value.n);
		if (!v.name || !v.value || buf_add(&all, &v, sizeof(v)) < 0)
			return delta_no_memory(e);
	}
	if (r == 0 && tree_xattrs_view(
			      d->t, (struct xattr *)all.p, all.n / sizeof(struct xattr), ret) < 0)
		return delta_no_memory(e);
	return r;
}

int delta_base_attributes(
	struct delta *d, const struct index_inode *x, struct inode *i, struct err *e)
{
	i->mode = x->mode;
	i->uid = x->uid;
	i->gid = x->gid;
	i->mtime = x->mtime;
	i->mtime_nsec = x->mtime_nsec;
	i->dev_major = x->dev_major;
	i->dev_minor = x->dev_minor;
	return copy_xattrs(d, x, &i->xattrs, e);
}

int delta_base_chunk(
	struct delta *d, const struct index_inode *x, uint64_t k, struct chunk *ret, struct err *e)
{
	struct index_address a;
	uint64_t n;
	int r = index_address(d->base, x, k, &a, e);

	if (r)
		return r;
	if (index_find_chunk(d->base, a.block, &n))
		return err_set(e, -ERR_STORE, "the index of the image names a chunk it has not");
	index_chunk(d->base, n, ret);
	if (ret->size != chunk_size_at(x->size, x->chunk_bits, k))
		return err_set(e, -ERR_STORE, "the index of the image has a chunk of a wrong size");
	return 0;
}

static int copy_chunks(struct delta *d, const struct index_inode *x, struct inode *i, struct err *e)
{
	const uint64_t n = chunk_count(x->size, x->chunk_bits);

	i->chunk_bits = x->chunk_bits;
	i->chunks = arena_alloc(&d->t->arena, n * sizeof(*i->chunks));
	if (!i->chunks)
		return delta_no_memory(e);
	for (uint64_t k = 0; k < n; k++) {
		struct chunk c;
		int r = delta_base_chunk(d, x, k, &c, e);

		if (r == 1)
			i->chunks[k] = CHUNK_HOLE;
		else if (r == 0)
			r = tree_chunk(d->t, &c.digest, c.size, &i->chunks[k]) < 0
				    ? delta_no_memory(e)
				    : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_content(
	struct delta *d, const struct index_inode *x, struct inode *i, struct err *e)
{
	struct bytes b;
	char *p;
	int r;

	i->size = S_ISREG(x->mode) || S_ISLNK(x->mode) ? x->size : 0;
	if (!i->size)
		return 0;
	if (x->layout == INDEX_CHUNKS)
		return copy_chunks(d, x, i, e);
	r = index_content(d->base, x, &b, e);
	if (r < 0)
		return r;
	p = arena_alloc(&d->t->arena, b.n + 1);
	if (!p)
		return delta_no_memory(e);
	memcpy(p, b.p, b.n);
	if (S_ISLNK(x->mode))
		i->target = p;
	else
		i->data = (const uint8_t *)p;
	return 0;
}

int delta_base_inode(struct delta *d, const struct index_inode *x, const char *shown,
	struct inode **ret, struct err *e)
{
	const struct delta_source src = {.base_nid = x->nid};
	struct inode *i = x->nlink > 1 ? number_map_find(&d->by_nid, x->nid) : NULL;
	int r = 0;

	if (!i && x->nlink > 1)
		r = delta_indexed_inode(d, x->nid, shown, &i, e);
	if (r < 0 || i) {
		*ret = i;
		return r;
	}
	i = tree_inode_new(d->t, x->mode);
	r = i ? delta_base_attributes(d, x, i, e) : delta_no_memory(e);
	if (r == 0)
		r = copy_content(d, x, i, e);
	if (r == 0 && S_ISREG(x->mode))
		r = delta_add_source(d, i, &src, e);
	if (r == 0 && x->nlink > 1 && number_map_put(&d->by_nid, x->nid, i) < 0)
		r = delta_no_memory(e);
	*ret = i;
	return r;
}

static int read_chunk(
	struct delta *d, const struct chunk *c, void *p, size_t n, uint64_t off, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	char text[DIGEST_TEXT_MAX];
	struct chunk_record rec;
	int fd, r = txn_begin(d->s, false, &txn, e);

	if (r < 0)
		return r;
	r = record_chunk(d->s, txn, &c->digest, &rec);
	if (r == 1 || (r == 0 && rec.size != c->size))
		return err_set(e, -ERR_STORE, "the store is damaged: chunk %s is missing",
			digest_text(&c->digest, text));
	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	r = pack_open(d->s, rec.pack, &fd, e);
	if (r < 0)
		return r;
	r = io_pread_full(fd, p, n, (uint64_t)rec.block * PACK_BLOCK_SIZE + off);
	return r < 0 ? err_sys(e, r, "cannot read packs/%u.pack", rec.pack) : 0;
}

/* Bytes that lie in one chunk, before the end of the file. */
static int read_part(struct delta *d, const struct index_inode *x, uint8_t *p, size_t n,
	uint64_t off, struct err *e)
{
	const uint64_t k = off >> x->chunk_bits;
	struct chunk c;
	int r = delta_base_chunk(d, x, k, &c, e);

	if (r == 1)
		memset(p, 0, n);
	return r ? (r < 0 ? r : 0) : read_chunk(d, &c, p, n, off - (k << x->chunk_bits), e);
}

int delta_base_read(struct delta *d, const struct index_inode *x, void *p, size_t n, uint64_t off,
	struct err *e)
{
	size_t have = off >= x->size ? 0 : n < x->size - off ? n : (size_t)(x->size - off);
	struct bytes b;
	int r = 0;

	memset((uint8_t *)p + have, 0, n - have);
	if (have && x->layout != INDEX_CHUNKS) {
		r = index_content(d->base, x, &b, e);
		b = bytes_sub(b, off, have);
		if (r == 0 && b.bad)
			r = err_set(e, -ERR_STORE, "the index of the image lacks content");
		if (r == 0)
			memcpy(p, b.p, have);
		return r;
	}
	for (uint8_t *at = p; r == 0 && have;) {
		const uint64_t end = ((off >> x->chunk_bits) + 1) << x->chunk_bits;
		const size_t k = end - off < have ? (size_t)(end - off) : have;

		r = read_part(d, x, at, k, off, e);
		at += k;
		off += k;
		have -= k;
	}
	return r;
}
