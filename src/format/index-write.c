/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a planned index from its first byte to its last, in one pass. */
#include "index-plan.h"
#include "util/io.h"

#include <assert.h>

#define OUT_FLUSH ((size_t)1 << 20)

struct out {
	struct index_plan *p;
	const struct index_local *local; /* NULL: portable */
	int fd;
	struct buf buf;
	uint64_t flushed; /* bytes of the file in front of buf */
	struct digest_ctx *digest;
};

uint32_t index_super_checksum(const uint8_t block[EROFS_BLOCK_SIZE])
{
	const size_t field = EROFS_SUPER_OFFSET + offsetof(struct erofs_super, checksum);
	uint32_t crc = UINT32_MAX;

	for (size_t i = EROFS_SUPER_OFFSET; i < EROFS_BLOCK_SIZE; i++) {
		crc ^= i >= field && i < field + 4 ? 0 : block[i];
		for (int bit = 0; bit < 8; bit++) /* once an index: no table is worth it */
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static uint64_t out_pos(const struct out *o)
{
	return o->flushed + o->buf.n;
}

static int out_flush(struct out *o)
{
	int r = io_pwrite_full(o->fd, o->buf.p, o->buf.n, o->flushed);

	if (r < 0)
		return r;
	digest_ctx_add(o->digest, o->buf.p, o->buf.n);
	o->flushed += o->buf.n;
	o->buf.n = 0;
	return 0;
}

/* Zeros up to byte `pos` of the file. */
static int out_pad(struct out *o, uint64_t pos)
{
	uint64_t at = out_pos(o);

	assert(pos >= at);
	if (o->buf.n >= OUT_FLUSH) {
		int r = out_flush(o);

		if (r < 0)
			return r;
	}
	return buf_add_zero(&o->buf, pos - at);
}

static uint64_t data_blocks(const struct out *o)
{
	uint64_t n = o->p->blob_blocks;

	if (!o->local)
		return n;
	n = 0;
	for (size_t i = 0; i < o->local->n_devices; i++)
		n += o->local->devices[i].blocks;
	return n;
}

static size_t n_devices(const struct out *o)
{
	if (o->local)
		return o->local->n_devices;
	return o->p->n_chunks ? 1 : 0;
}

static void fill_header(const struct out *o, struct index_header *h)
{
	uint32_t flags = (o->p->layer ? INDEX_FLAG_LAYER : 0) | (o->local ? INDEX_FLAG_LOCAL : 0);

	memcpy(h->magic, INDEX_MAGIC, sizeof(h->magic));
	h->version = htole32(INDEX_VERSION);
	h->flags = htole32(flags);
	h->file_size =
		htole64(o->p->chunk_table + o->p->n_chunks * sizeof(struct index_chunk_entry));
	h->chunk_table = htole64(o->p->chunk_table);
	h->chunk_count = htole64(o->p->n_chunks);
	h->data_bytes = htole64(o->p->data_bytes);
	h->blob_blocks = htole64(o->p->blob_blocks);
	if (!o->local)
		return;
	memcpy(h->portable, o->local->portable.b, DIGEST_SIZE);
	if (o->local->without_facts)
		return;
	h->facts = htole32(INDEX_FACT_KNOWN | (o->p->whiteout ? INDEX_FACT_WHITEOUT : 0));
	h->largest = htole64(o->p->largest);
}

static void fill_super(const struct out *o, struct erofs_super *s)
{
	s->magic = htole32(EROFS_SUPER_MAGIC);
	s->feature_compat = htole32(EROFS_COMPAT_CHECKSUM | EROFS_COMPAT_MTIME);
	s->block_bits = EROFS_BLOCK_BITS;
	s->root_nid = htole16(INDEX_ROOT_NID);
	s->inodes = htole64(o->p->n_dirs + o->p->n_files);
	s->blocks = htole32((uint32_t)(o->p->chunk_table / EROFS_BLOCK_SIZE));
	s->xattr_block = htole32((uint32_t)(o->p->shared_xattrs / EROFS_BLOCK_SIZE));
	memcpy(s->volume, "plyfs", 5);
	if (o->local)
		memcpy(s->uuid, o->local->portable.b, sizeof(s->uuid));
	s->feature_incompat =
		htole32(EROFS_INCOMPAT_CHUNKED | (n_devices(o) ? EROFS_INCOMPAT_DEVTABLE : 0));
	s->extra_devices = htole16((uint16_t)n_devices(o));
	s->device_slot = htole16(INDEX_DEVICE_SLOT);
}

static void fill_devices(const struct out *o, struct erofs_device *d)
{
	if (!o->local && o->p->n_chunks) {
		memcpy(d[0].tag, "portable", 8);
		d[0].blocks = htole32((uint32_t)data_blocks(o));
	}
	for (size_t i = 0; o->local && i < o->local->n_devices; i++) {
		memcpy(d[i].tag, o->local->devices[i].tag, sizeof(d[i].tag));
		d[i].blocks = htole32(o->local->devices[i].blocks);
	}
}

static int write_first_block(struct out *o)
{
	union {
		uint8_t bytes[EROFS_BLOCK_SIZE];
		struct {
			struct index_header header;
			struct erofs_super super;
			struct erofs_device devices[INDEX_DEVICES_MAX];
		};
	} b = {0};

	static_assert(sizeof(b) == EROFS_BLOCK_SIZE, "the devices fit the block");
	fill_header(o, &b.header);
	fill_super(o, &b.super);
	fill_devices(o, b.devices);
	b.super.checksum = htole32(index_super_checksum(b.bytes));
	return buf_add(&o->buf, b.bytes, sizeof(b.bytes));
}

static uint8_t file_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 1;
	case S_IFDIR:
		return 2;
	case S_IFCHR:
		return 3;
	case S_IFBLK:
		return 4;
	case S_IFIFO:
		return 5;
	case S_IFSOCK:
		return 6;
	default:
		return 7;
	}
}

static int write_dir_block(struct out *o, const struct name *names, size_t n)
{
	size_t offset = n * sizeof(struct erofs_dirent);
	int r = 0;

	for (size_t k = 0; r == 0 && k < n; k++) {
		struct erofs_dirent d = {
			.nid = htole64(names[k].inode->mark / EROFS_SLOT_SIZE),
			.name_offset = htole16((uint16_t)offset),
			.type = file_type(names[k].inode->mode),
		};

		r = buf_add(&o->buf, &d, sizeof(d));
		offset += names[k].len;
	}
	for (size_t k = 0; r == 0 && k < n; k++)
		r = buf_add(&o->buf, names[k].name, names[k].len);
	return r;
}

/* How many of the names go into one block. */
static size_t names_in_block(const struct name *names, size_t n)
{
	size_t used = 0, k = 0;

	while (k < n && used + sizeof(struct erofs_dirent) + names[k].len <= EROFS_BLOCK_SIZE)
		used += sizeof(struct erofs_dirent) + names[k++].len;
	return k;
}

/* Writes a directory's blocks: those of its own, or (`tail`) the last, which is inline. */
static int write_names(struct out *o, const struct plan_dir *d, size_t blocks, bool tail)
{
	size_t at = 0;

	for (size_t b = 0; at < d->n_names; b++) {
		size_t n = names_in_block(d->names + at, d->n_names - at);
		int r = 0;

		if (tail ? b == blocks : b < blocks)
			r = write_dir_block(o, d->names + at, n);
		if (r == 0 && !tail && b < blocks)
			r = out_pad(o, ((uint64_t)d->block + b + 1) * EROFS_BLOCK_SIZE);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

/* Linux's encoding of a device number in 32 bits (new_encode_dev). */
static uint32_t device_number(const struct inode *i)
{
	return (i->dev_minor & 0xff) | i->dev_major << 8 | (i->dev_minor & ~0xffu) << 12;
}

static int write_inode(struct out *o, const struct inode *i, const struct plan_record *rec,
	uint32_t block, uint32_t ino)
{
	struct erofs_inode d = {
		.format =
			htole16((uint16_t)(EROFS_FORMAT_EXTENDED | (unsigned int)rec->layout << 1)),
		.mode = htole16((uint16_t)i->mode),
		.size = htole64(i->size),
		.ino = htole32(ino),
		.uid = htole32(i->uid),
		.gid = htole32(i->gid),
		.mtime = htole64((uint64_t)i->mtime),
		.mtime_nsec = htole32(i->mtime_nsec),
		.nlink = htole32(i->nlink),
	};
	int r = out_pad(o, i->mark);

	if (rec->xattr_size)
		d.xattr_count = htole16((uint16_t)((rec->xattr_size - 12) / 4 + 1));
	if (rec->layout == EROFS_CHUNKS)
		d.u = htole32(EROFS_CHUNK_INDEXES | (uint32_t)(i->chunk_bits - EROFS_BLOCK_BITS));
	else if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
		d.u = htole32(device_number(i));
	else
		d.u = htole32(block);
	if (r == 0)
		r = buf_add(&o->buf, &d, sizeof(d));
	return r < 0 ? r : xattr_pool_write_body(o->p->xattrs, i, o->p->layer, &o->buf);
}

static int write_chunk_indexes(struct out *o, const struct inode *i, uint64_t n)
{
	int r = out_pad(o, (out_pos(o) + 7) & ~(uint64_t)7);

	for (uint64_t k = 0; r == 0 && k < n; k++) {
		struct erofs_chunk c = {.block = htole32(EROFS_NULL_BLOCK)};
		uint32_t id = i->chunks[k];

		if (id != CHUNK_HOLE) {
			struct index_address a = {.device = 1, .block = o->p->chunk_block[id]};

			if (o->local)
				a = o->local->addresses[o->p->chunk_number[id]];
			c.device = htole16(a.device);
			c.block = htole32(a.block);
		}
		r = buf_add(&o->buf, &c, sizeof(c));
		if (r == 0 && o->buf.n >= OUT_FLUSH)
			r = out_flush(o);
	}
	return r;
}

static int write_dirs(struct out *o)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < o->p->n_dirs; k++) {
		const struct plan_dir *d = &o->p->dirs[k];
		struct plan_record rec = plan_record_of(o->p, d->inode);

		r = write_inode(o, d->inode, &rec, d->block, (uint32_t)k + 1);
		if (r == 0 && rec.tail)
			r = write_names(o, d, plan_own_blocks(d->inode, &rec), true);
	}
	if (r == 0)
		r = out_pad(o, o->p->dir_blocks);
	for (size_t k = 0; r == 0 && k < o->p->n_dirs; k++) {
		struct plan_record rec = plan_record_of(o->p, o->p->dirs[k].inode);

		r = write_names(
			o, &o->p->dirs[k], plan_own_blocks(o->p->dirs[k].inode, &rec), false);
	}
	return r;
}

static int write_file(struct out *o, const struct inode *i, uint32_t block, uint32_t ino)
{
	struct plan_record rec = plan_record_of(o->p, i);
	int r = write_inode(o, i, &rec, block, ino);

	if (r < 0)
		return r;
	if (rec.layout == EROFS_CHUNKS)
		return write_chunk_indexes(o, i, rec.chunks);
	if (S_ISLNK(i->mode))
		return buf_add(&o->buf, i->target, rec.tail);
	return buf_add(&o->buf, i->data, rec.tail);
}

static int write_files(struct out *o)
{
	uint32_t block = (uint32_t)(o->p->link_blocks / EROFS_BLOCK_SIZE);
	int r = 0;

	for (size_t k = 0; r == 0 && k < o->p->n_files; k++) {
		struct plan_record rec = plan_record_of(o->p, o->p->files[k]);

		r = write_file(o, o->p->files[k], block, (uint32_t)(o->p->n_dirs + k + 1));
		block += plan_own_blocks(o->p->files[k], &rec);
	}
	if (r == 0)
		r = out_pad(o, o->p->link_blocks);
	for (size_t k = 0; r == 0 && k < o->p->n_files; k++) {
		const struct inode *i = o->p->files[k];
		struct plan_record rec = plan_record_of(o->p, i);

		if (!plan_own_blocks(i, &rec))
			continue;
		r = buf_add(&o->buf, i->target, i->size);
		if (r == 0)
			r = out_pad(o, (out_pos(o) + EROFS_BLOCK_SIZE - 1) &
					       ~(uint64_t)(EROFS_BLOCK_SIZE - 1));
	}
	return r;
}

static int write_chunk_table(struct out *o)
{
	int r = out_pad(o, o->p->chunk_table);

	for (size_t k = 0; r == 0 && k < o->p->n_chunks; k++) {
		const struct chunk *c = &o->p->tree->chunks[o->p->chunk_order[k]];
		struct index_chunk_entry d = {
			.size = htole32(c->size),
			.block = htole32(o->p->chunk_block[o->p->chunk_order[k]]),
		};

		memcpy(d.digest, c->digest.b, DIGEST_SIZE);
		r = buf_add(&o->buf, &d, sizeof(d));
		if (r == 0 && o->buf.n >= OUT_FLUSH)
			r = out_flush(o);
	}
	return r;
}

static int write_all(struct out *o)
{
	int r = write_first_block(o);

	if (r == 0)
		r = write_dirs(o);
	if (r == 0)
		r = write_files(o);
	if (r == 0)
		r = out_pad(o, o->p->shared_xattrs);
	if (r == 0)
		r = xattr_pool_write_shared(o->p->xattrs, &o->buf);
	if (r == 0)
		r = write_chunk_table(o);
	return r < 0 ? r : out_flush(o);
}

int index_plan_write(struct index_plan *p, int fd, const struct index_local *local,
	struct digest *ret_digest, struct err *e)
{
	_cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	struct out o = {.p = p, .local = local, .fd = fd, .digest = digest};
	struct digest d;
	int r = -ENOMEM;

	assert(!local || local->n_devices <= INDEX_DEVICES_MAX);
	if (digest)
		r = write_all(&o);
	buf_done(&o.buf);
	if (r < 0)
		return err_sys(e, r, "cannot write the index");
	digest_ctx_final(digest, &d);
	if (ret_digest)
		*ret_digest = d;
	return 0;
}
