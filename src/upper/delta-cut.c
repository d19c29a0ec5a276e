/* SPDX-License-Identifier: Apache-2.0 */
/* Content into chunks; of half-copied files, only what the upper file has. */
#include "delta-internal.h"
#include "format/index-disk.h"
#include "util/bytes.h"

#include <fcntl.h>
#include <time.h>

/*
 * A file that was copied up is cut as the image's is, so that what is unchanged has the same
 * chunks; but in larger ones if it has grown beyond what these are for.
 */
unsigned int delta_chunk_bits(struct delta *d, const struct delta_open *o)
{
	unsigned int bits = o->blocks ? o->base.chunk_bits : 0;
	struct index_inode old;

	if (o->size <= INDEX_INLINE_MAX)
		return 0;
	if (!o->blocks && o->source->base_nid &&
		index_inode(d->base, o->source->base_nid, &old, NULL) == 0 &&
		old.layout == INDEX_CHUNKS && S_ISREG(old.mode))
		bits = old.chunk_bits;
	if (o->blocks && o->base.layout != INDEX_CHUNKS)
		bits = 0;
	if (!bits)
		return chunk_bits_for(o->size, CHUNK_BITS_DEFAULT);
	while (bits < CHUNK_BITS_MAX && chunk_count(o->size, bits) > CHUNKS_PER_FILE)
		bits++;
	return bits;
}

static int room_for_chunk(struct delta *d, size_t size)
{
	uint8_t *p;

	if (d->chunk_size >= size)
		return 0;
	p = realloc(d->chunk, size);
	if (!p)
		return -ENOMEM;
	d->chunk = p;
	d->chunk_size = size;
	return 0;
}

/* Whether the file system says that nothing was ever written there. */
static bool is_unwritten(const struct delta_open *o, uint64_t off, uint32_t size)
{
	off_t data;

	if (!o->source->upper || o->blocks || o->before.st_blocks * 512 >= o->before.st_size)
		return false;
	data = lseek(o->fd, (off_t)off, SEEK_DATA);
	return data < 0 ? errno == ENXIO : (uint64_t)data >= off + size;
}

/* Whether the chunk is the image's file's own, whole: no block of it was written. */
static bool is_base_chunk(const struct delta_open *o, const struct inode *i, uint64_t k)
{
	const uint64_t off = k << i->chunk_bits;
	const uint32_t size = chunk_size_at(i->size, i->chunk_bits, k);
	uint64_t end;
	bool own;

	if (!o->blocks || o->base.layout != INDEX_CHUNKS || o->base.chunk_bits != i->chunk_bits ||
		off >= o->base.size || chunk_size_at(o->base.size, i->chunk_bits, k) != size)
		return false;
	blocks_run(o->blocks, off, off + size, &own, &end);
	return !own && end == off + size;
}

static int add_chunk(
	struct delta *d, const struct chunk *c, const void *p, uint32_t *ret_id, struct err *e)
{
	int r = tree_chunk(d->t, &c->digest, c->size, ret_id);

	if (r < 0)
		return delta_no_memory(e);
	if (r == 1 && p)
		r = ingest_chunk(d->o.ingest, &c->digest, p, c->size, e);
	return r < 0 ? r : 0;
}

static int cut_chunk(struct delta *d, struct inode *i, uint64_t k, struct err *e)
{
	struct delta_open *o = &d->open;
	const uint64_t off = k << i->chunk_bits;
	struct chunk c = {.size = chunk_size_at(i->size, i->chunk_bits, k)};
	int r;

	i->chunks[k] = CHUNK_HOLE;
	if (is_base_chunk(o, i, k)) {
		r = delta_base_chunk(d, &o->base, k, &c, e);
		return r ? (r < 0 ? r : 0) : add_chunk(d, &c, NULL, &i->chunks[k], e);
	}
	if (is_unwritten(o, off, c.size))
		return 0;
	r = delta_read(d, i, d->chunk, c.size, off, e);
	if (r < 0 || bytes_all_zero(d->chunk, c.size))
		return r;
	digest_ctx_add(d->digest, d->chunk, c.size);
	digest_ctx_final(d->digest, &c.digest);
	return add_chunk(d, &c, d->chunk, &i->chunks[k], e);
}

static int cut_chunks(struct delta *d, struct inode *i, struct err *e)
{
	const uint64_t n = chunk_count(i->size, i->chunk_bits);
	int r = 0;

	i->chunks = arena_alloc(&d->t->arena, n * sizeof(*i->chunks));
	if (!i->chunks || room_for_chunk(d, (size_t)1 << i->chunk_bits) < 0)
		return delta_no_memory(e);
	for (uint64_t k = 0; r == 0 && k < n; k++)
		r = cut_chunk(d, i, k, e);
	return r;
}

static int cut_once(struct delta *d, struct inode *i, struct err *e)
{
	uint8_t *p;

	i->data = NULL;
	if (i->size > FILE_SIZE_MAX)
		return err_set(e, -ERR_INPUT, "a file of more than 16 TiB");
	if (i->size > INDEX_INLINE_MAX)
		return cut_chunks(d, i, e);
	if (!i->size)
		return 0;
	p = arena_alloc(&d->t->arena, i->size);
	if (!p)
		return delta_no_memory(e);
	i->data = p;
	return delta_read(d, i, p, i->size, 0, e);
}

/* 1 = there is no such file any more. */
int delta_cut(struct delta *d, struct inode *i, struct err *e)
{
	int r = 1;

	for (int tries = 0; tries < DELTA_TRIES; tries++) {
		r = delta_hold(d, i, e);
		if (r)
			break;
		r = cut_once(d, i, e);
		if (r == 0)
			r = delta_changed(d, e);
		if (r <= 0)
			break;
		delta_release(d);
		nanosleep(&(struct timespec){.tv_nsec = 10000000l << tries}, NULL);
		if (tries == DELTA_TRIES - 1)
			r = err_set(e, -ERR_CONFLICT,
				"it was written to each of the %d times that it was read",
				DELTA_TRIES);
	}
	delta_release(d);
	return r;
}

int delta_is_hole(struct delta *d, struct inode *i, uint64_t k, struct err *e)
{
	const uint64_t off = k << i->chunk_bits;
	const uint32_t size = chunk_size_at(i->size, i->chunk_bits, k);
	uint32_t first = size < 4096 ? size : 4096;
	struct chunk c;
	int r;

	if (d->o.ingest || !delta_source_of(d, i)->upper)
		return i->chunks[k] == CHUNK_HOLE;
	r = d->open.inode == i ? 0 : delta_hold(d, i, e);
	if (r)
		return r < 0 ? r : err_set(e, -ERR_CONFLICT, "it was removed while it was read");
	if (is_base_chunk(&d->open, i, k))
		return delta_base_chunk(d, &d->open.base, k, &c, e);
	if (is_unwritten(&d->open, off, size))
		return 1;
	if (room_for_chunk(d, size) < 0)
		return delta_no_memory(e);
	r = delta_read(d, i, d->chunk, first, off, e);
	if (r < 0 || !bytes_all_zero(d->chunk, first) || first == size)
		return r < 0 ? r : bytes_all_zero(d->chunk, first);
	r = delta_read(d, i, d->chunk, size, off, e);
	return r < 0 ? r : bytes_all_zero(d->chunk, size);
}

/* 0 = the same */
static int compare_chunk(
	struct delta *d, struct inode *i, const struct index_inode *old, uint64_t k, struct err *e)
{
	const uint64_t off = k << old->chunk_bits;
	const uint32_t size = chunk_size_at(old->size, old->chunk_bits, k);
	struct chunk c;
	struct digest is;
	int hole, r;

	if (d->open.blocks && d->open.base.nid == old->nid && i->chunk_bits == old->chunk_bits &&
		is_base_chunk(&d->open, i, k))
		return 0;
	hole = delta_base_chunk(d, old, k, &c, e);
	if (hole < 0)
		return hole;
	r = delta_read(d, i, d->chunk, size, off, e);
	if (r < 0 || hole)
		return r < 0 ? r : !bytes_all_zero(d->chunk, size);
	digest_ctx_add(d->digest, d->chunk, size);
	digest_ctx_final(d->digest, &is);
	return !digest_equal(&is, &c.digest);
}

int delta_compare(struct delta *d, struct inode *i, const struct index_inode *old, struct err *e)
{
	const struct delta_source *src = delta_source_of(d, i);
	uint8_t was[INDEX_INLINE_MAX], is[INDEX_INLINE_MAX];
	int r = 0;

	if (!src->upper && src->base_nid == old->nid)
		return 0;
	r = delta_hold(d, i, e);
	if (r || i->size != old->size)
		return r < 0 ? r : 1;
	if (old->layout != INDEX_CHUNKS) {
		if (i->size > sizeof(was))
			return 1;
		r = delta_base_read(d, old, was, i->size, 0, e);
		if (r == 0)
			r = delta_read(d, i, is, i->size, 0, e);
		return r < 0 ? r : i->size && memcmp(was, is, i->size) != 0;
	}
	if (room_for_chunk(d, (size_t)1 << old->chunk_bits) < 0)
		return delta_no_memory(e);
	for (uint64_t k = 0; r == 0 && k < chunk_count(old->size, old->chunk_bits); k++)
		r = compare_chunk(d, i, old, k, e);
	return r;
}
