/* SPDX-License-Identifier: Apache-2.0 */
/* The tree that a layer's tar describes. */
#include "layer.h"
#include "path.h"
#include "format/index-disk.h"
#include "format/tar.h"
#include "util/bytes.h"
#include "util/log.h"

#define WHITEOUT_PREFIX ".wh."
#define OPAQUE_NAME     ".wh..wh..opq"
#define XATTR_BYTES_MAX 256000u    /* with their heads: an index holds 262,136 of one file */
#define META_PREFIX     ".wh..wh." /* other files of aufs's own, which mean nothing here */

struct builder {
	struct tar_reader *tar;
	struct tree *t;
	unsigned int chunk_bits;
	layer_chunk_sink chunk;
	void *ctx;
	struct split_writer *split; /* may be NULL */
	struct digest_ctx *digest;
	uint8_t *buffer; /* one chunk */
	size_t buffer_size;
	uint64_t chunk_refs;
	struct buf path, link; /* of the current entry, clean */
	bool warned_xattr;
};

static int no_memory(const struct builder *b, struct err *e)
{
	return err_sys(e, -ENOMEM, "'%s'", b->path.p ? (char *)b->path.p : "");
}

/*
 * xattrs that must not get into a tree: overlayfs's own, which would take effect when the tree is
 * a lower layer; our mark; and namespaces that no Linux file system has, or that are computed.
 */
static bool keep_xattr(struct builder *b, const struct tar_xattr *x)
{
	static const struct index_xattr_prefix known[] = INDEX_XATTR_PREFIXES;

	if (strncmp(x->name, "trusted.overlay.", 16) == 0 ||
		strncmp(x->name, "user.overlay.", 13) == 0 ||
		strncmp(x->name, INDEX_LAYER_XATTR, strlen(INDEX_LAYER_XATTR)) == 0)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t n = strlen(known[i].text);

		if (known[i].text[n - 1] == '.' ? strncmp(x->name, known[i].text, n) == 0
						: strcmp(x->name, known[i].text) == 0)
			return true;
	}
	if (!b->warned_xattr)
		log_warn("'%s': xattr '%s' is of no namespace that Linux keeps: left out",
			b->path.p, x->name);
	b->warned_xattr = true;
	return false;
}

static int set_xattrs(struct builder *b, struct inode *i, const struct tar_entry *en, struct err *e)
{
	_cleanup_free_ struct xattr *v = calloc(en->n_xattrs + 1, sizeof(*v));
	size_t n = 0, names = 0, bytes = 0;

	if (!v)
		return no_memory(b, e);
	for (size_t k = 0; k < en->n_xattrs; k++) {
		const struct tar_xattr *x = &en->xattrs[k];

		if (!keep_xattr(b, x))
			continue;
		if (strlen(x->name) > XATTR_NAME_LEN_MAX || !strchr(x->name, '.')[1])
			return err_set(e, -ERR_INPUT, "'%s': an xattr name that cannot be: '%.40s'",
				b->path.p, x->name);
		if (x->value_size > XATTR_VALUE_MAX)
			return err_set(e, -ERR_INPUT,
				"'%s': xattr %s of %zu bytes; an index holds up to %d", b->path.p,
				x->name, x->value_size, XATTR_VALUE_MAX);
		bytes += strlen(x->name) + x->value_size + 8;
		if (bytes > XATTR_BYTES_MAX)
			return err_set(e, -ERR_INPUT, "'%s': more than 256,000 bytes of xattrs",
				b->path.p);
		names += strlen(x->name) + 1;
		if (names > 65536) /* XATTR_LIST_MAX: Linux could not list them */
			return err_set(e, -ERR_INPUT, "'%s': too many xattrs", b->path.p);
		v[n++] = (struct xattr){
			.name = x->name, .value = x->value, .value_size = (uint32_t)x->value_size};
	}
	return tree_xattrs(b->t, v, n, &i->xattrs) < 0 ? no_memory(b, e) : 0;
}

static int set_attributes(
	struct builder *b, struct inode *i, const struct tar_entry *en, struct err *e)
{
	i->mode = en->mode;
	i->uid = en->uid;
	i->gid = en->gid;
	i->mtime = en->mtime;
	i->mtime_nsec = en->mtime_nsec;
	i->dev_major = en->dev_major;
	i->dev_minor = en->dev_minor;
	if (en->dev_major > 0xfff || en->dev_minor > 0xfffff)
		return err_set(e, -ERR_INPUT, "'%s': device number %u:%u; Linux has 12 and 20 bits",
			b->path.p, en->dev_major, en->dev_minor);
	return set_xattrs(b, i, en, e);
}

/* Content is read in order; a piece that lies before `at` is impossible (tar.h). */
static int read_inline(struct builder *b, struct inode *i, struct err *e)
{
	uint8_t *data = arena_alloc(&b->t->arena, i->size);
	const uint8_t *p;
	uint64_t off;
	size_t n;
	int r;

	if (!data)
		return no_memory(b, e);
	while ((r = tar_data(b->tar, &p, &n, &off, e)) == 1) {
		memcpy(data + off, p, n);
		if (b->split)
			split_literal(b->split, p, n);
	}
	i->data = data;
	return r;
}

/* The parts of a chunk that the tar has: all but the holes of a sparse file. */
struct part {
	uint32_t offset, n;
};

/* Tells the split what of the tar the chunk has taken. */
static void split_parts(
	struct split_writer *w, uint32_t id, uint32_t size, const struct part *parts, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (id == CHUNK_HOLE)
			split_zeros(w, parts[k].n);
		else
			split_chunk(w, id, parts[k].offset, parts[k].n, size);
}

static int add_chunk(struct builder *b, struct inode *i, uint64_t n, const uint8_t *p,
	const struct part *parts, size_t n_parts, struct err *e)
{
	uint32_t size = chunk_size_at(i->size, i->chunk_bits, n);
	struct digest d;
	int r = 0;

	if (!bytes_all_zero(p, size)) {
		digest_ctx_add(b->digest, p, size);
		digest_ctx_final(b->digest, &d);
		r = tree_chunk(b->t, &d, size, &i->chunks[n]);
		if (r < 0)
			return no_memory(b, e);
	}
	if (b->split)
		split_parts(b->split, i->chunks[n], size, parts, n_parts);
	return r == 1 ? b->chunk(b->ctx, &d, p, size, e) : 0;
}

/* A chunk being put together out of pieces: `n` is its number, `parts` has them. */
struct assembly {
	uint64_t n;
	struct buf parts; /* struct part; empty: none yet */
};

static int finish_chunk(struct builder *b, struct inode *i, struct assembly *a, struct err *e)
{
	int r = a->parts.n ? add_chunk(b, i, a->n, b->buffer, (struct part *)a->parts.p,
				     a->parts.n / sizeof(struct part), e)
			   : 0;

	a->parts.n = 0;
	return r;
}

/* Notes a piece that was copied into the buffer, with the one before it if they touch. */
static int add_part(struct assembly *a, uint32_t offset, uint32_t n)
{
	struct part *last = a->parts.n ? (struct part *)(a->parts.p + a->parts.n) - 1 : NULL;

	if (!last || last->offset + last->n != offset)
		return buf_add(&a->parts, &(struct part){offset, n}, sizeof(struct part));
	last->n += n;
	return 0;
}

static int add_piece(struct builder *b, struct inode *i, struct assembly *a, const uint8_t *p,
	size_t n, uint64_t off, struct err *e)
{
	while (n) {
		uint64_t number = off >> i->chunk_bits;
		uint32_t size = chunk_size_at(i->size, i->chunk_bits, number);
		size_t at = (size_t)(off - (number << i->chunk_bits));
		size_t k = size - at < n ? size - at : n;
		int r = 0;

		if (a->parts.n && number != a->n)
			r = finish_chunk(b, i, a, e);
		if (r == 0 && k == size) { /* whole already: no copy */
			r = add_chunk(b, i, number, p, &(struct part){0, size}, 1, e);
		} else if (r == 0) {
			if (!a->parts.n)
				memset(b->buffer, 0, size);
			memcpy(b->buffer + at, p, k);
			a->n = number;
			if (add_part(a, (uint32_t)at, (uint32_t)k) < 0)
				return no_memory(b, e);
			if (at + k == size)
				r = finish_chunk(b, i, a, e);
		}
		if (r < 0)
			return r;
		p += k;
		off += k;
		n -= k;
	}
	return 0;
}

static int room_for_chunk(struct builder *b, unsigned int chunk_bits)
{
	size_t size = (size_t)1 << chunk_bits;
	uint8_t *p;

	if (b->buffer_size >= size)
		return 0;
	p = realloc(b->buffer, size);
	if (!p)
		return -ENOMEM;
	b->buffer = p;
	b->buffer_size = size;
	return 0;
}

static int read_pieces(struct builder *b, struct inode *i, struct assembly *a, struct err *e)
{
	const uint8_t *p;
	uint64_t off;
	size_t n;
	int r;

	while ((r = tar_data(b->tar, &p, &n, &off, e)) == 1) {
		r = add_piece(b, i, a, p, n, off, e);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : finish_chunk(b, i, a, e);
}

static int read_chunks(struct builder *b, struct inode *i, struct err *e)
{
	struct assembly a = {0};
	uint64_t count;
	int r;

	i->chunk_bits = (uint8_t)chunk_bits_for(i->size, b->chunk_bits);
	count = chunk_count(i->size, i->chunk_bits);
	b->chunk_refs += count;
	if (b->chunk_refs > LAYER_CHUNK_REFS_MAX)
		return err_set(e, -ERR_INPUT, "'%s': the layer's files have more than %llu chunks",
			b->path.p, (unsigned long long)LAYER_CHUNK_REFS_MAX);
	i->chunks = arena_alloc(&b->t->arena, count * sizeof(uint32_t));
	if (!i->chunks || room_for_chunk(b, i->chunk_bits) < 0)
		return no_memory(b, e);
	memset(i->chunks, 0xff, count * sizeof(uint32_t)); /* holes, until data comes */
	r = read_pieces(b, i, &a, e);
	buf_done(&a.parts);
	return r;
}

static int set_content(
	struct builder *b, struct inode *i, const struct tar_entry *en, struct err *e)
{
	if (S_ISLNK(en->mode)) {
		i->size = strlen(en->link);
		i->target = arena_copy(&b->t->arena, en->link, i->size + 1);
		return i->target ? 0 : no_memory(b, e);
	}
	if (!S_ISREG(en->mode) || !en->size)
		return 0;
	if (en->size > FILE_SIZE_MAX)
		return err_set(e, -ERR_INPUT, "'%s': a file of %llu bytes; the largest is 16 TiB",
			b->path.p, (unsigned long long)en->size);
	i->size = en->size;
	return en->size <= INDEX_INLINE_MAX ? read_inline(b, i, e) : read_chunks(b, i, e);
}

/* Puts a new file under its name, instead of what this layer had there. */
static int put_inode(
	struct builder *b, struct inode *dir, const char *name, struct inode *i, struct err *e)
{
	const struct dentry *old = tree_find(b->t, dir, name, strlen(name));

	/* A directory that takes the place of a file, or of a whiteout, hides what is below. */
	if (old && inode_is_dir(i) && !inode_is_dir(old->inode))
		i->flags |= INODE_OPAQUE;
	if (b->t->arena.total > LAYER_BYTES_MAX)
		return err_set(
			e, -ERR_INPUT, "the layer's metadata takes more than 4 GiB of memory");
	if (b->t->n_names >= LAYER_NAMES_MAX)
		return err_set(e, -ERR_INPUT, "the layer has more than %llu names",
			(unsigned long long)LAYER_NAMES_MAX);
	return tree_link(b->t, dir, name, strlen(name), i) < 0 ? no_memory(b, e) : 0;
}

static int add_directory(struct builder *b, struct inode *dir, const char *name,
	const struct tar_entry *en, struct err *e)
{
	const struct dentry *old = *name ? tree_find(b->t, dir, name, strlen(name)) : NULL;
	struct inode *i = *name ? (old && inode_is_dir(old->inode) ? old->inode : NULL) : dir;
	int r = 0;

	if (!i) {
		i = tree_inode_new(b->t, S_IFDIR);
		r = i ? put_inode(b, dir, name, i, e) : no_memory(b, e);
	}
	if (r == 0)
		r = set_attributes(b, i, en, e);
	if (r == 0)
		i->flags &= (uint8_t)~INODE_IMPLICIT;
	return r;
}

static int add_file(struct builder *b, struct inode *dir, const char *name,
	const struct tar_entry *en, struct err *e)
{
	struct inode *i = tree_inode_new(b->t, en->mode);
	int r = i ? set_attributes(b, i, en, e) : no_memory(b, e);

	if (r == 0)
		r = set_content(b, i, en, e);
	return r < 0 ? r : put_inode(b, dir, name, i, e);
}

/* The inode that a hard link names: this layer's, or one that stands for a lower layer's. */
static int link_target(struct builder *b, struct inode **ret, struct err *e)
{
	const char *name, *target = (char *)b->link.p;
	struct dentry *d = NULL;
	struct inode *dir, *i;
	int r;

	if (!*target)
		return err_set(e, -ERR_INPUT, "'%s' is a hard link to the root", b->path.p);
	r = path_parent(b->t, b->t->root, target, false, &dir, &name, e);
	if (r == 0)
		d = tree_find(b->t, dir, name, strlen(name));
	if (r < 0)
		return r;
	if (r == 2)
		return err_set(e, -ERR_INPUT, "'%s' is a hard link to '%s', which is removed",
			b->path.p, target);
	if (d && (inode_is_dir(d->inode) || d->inode->flags & INODE_WHITEOUT))
		return err_set(e, -ERR_INPUT, "'%s' is a hard link to '%s', which is %s", b->path.p,
			target, inode_is_dir(d->inode) ? "a directory" : "removed");
	if (d) {
		*ret = d->inode;
		return 0;
	}
	i = tree_inode_new(b->t, S_IFLNK | 0777);
	if (!i)
		return no_memory(b, e);
	i->flags = INODE_LINK;
	i->size = strlen(target);
	i->target = arena_copy(&b->t->arena, target, i->size + 1);
	*ret = i;
	return i->target ? 0 : no_memory(b, e);
}

static int add_hardlink(struct builder *b, struct inode *dir, const char *name,
	const struct tar_entry *en, struct err *e)
{
	struct inode *i = NULL;
	int r = path_clean(en->link, &b->link, e);

	if (r == 0 && strcmp((char *)b->link.p, (char *)b->path.p) == 0)
		return err_set(e, -ERR_INPUT, "'%s' is a hard link to itself", b->path.p);
	if (r == 0)
		r = link_target(b, &i, e);
	return r < 0 ? r : put_inode(b, dir, name, i, e);
}

static int add_whiteout(struct builder *b, struct inode *dir, const char *name, struct err *e)
{
	const struct dentry *old;
	struct inode *i;

	if (strcmp(name, OPAQUE_NAME) == 0) {
		dir->flags |= INODE_OPAQUE;
		return 0;
	}
	if (strncmp(name, META_PREFIX, strlen(META_PREFIX)) == 0)
		return 0;
	name += strlen(WHITEOUT_PREFIX);
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, -ERR_INPUT, "'%s' is a whiteout of nothing", b->path.p);
	old = tree_find(b->t, dir, name, strlen(name));
	if (old) { /* what this layer has stays; of a directory, what is below goes */
		old->inode->flags |= inode_is_dir(old->inode) ? INODE_OPAQUE : 0;
		return 0;
	}
	i = tree_inode_new(b->t, S_IFCHR);
	if (!i)
		return no_memory(b, e);
	i->flags = INODE_WHITEOUT;
	return put_inode(b, dir, name, i, e);
}

/* What is hidden has nothing below it, and no later layer could say such a name. */
static bool below_whiteout(const char *path)
{
	for (const char *slash; (slash = strchr(path, '/')); path = slash + 1)
		if (strncmp(path, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0)
			return true;
	return false;
}

static int add_entry(struct builder *b, const struct tar_entry *en, struct err *e)
{
	const char *name;
	struct inode *dir;
	int r = path_clean(en->path, &b->path, e);

	if (r == 0 && below_whiteout((char *)b->path.p))
		return err_set(e, -ERR_INPUT, "'%s' lies below a whiteout", b->path.p);
	if (r == 0)
		r = path_parent(b->t, b->t->root, (char *)b->path.p, true, &dir, &name, e);
	if (r < 0)
		return r;
	if (strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0)
		return add_whiteout(b, dir, name, e);
	if (en->hardlink ? !*name : !*name && !S_ISDIR(en->mode))
		return err_set(e, -ERR_INPUT, "the root is no directory");
	if (en->hardlink)
		return add_hardlink(b, dir, name, en, e);
	if (S_ISDIR(en->mode))
		return add_directory(b, dir, name, en, e);
	return add_file(b, dir, name, en, e);
}

static void tee_to_split(void *ctx, const void *p, size_t n)
{
	split_literal(ctx, p, n);
}

int layer_tree_from_tar(struct source *tar, unsigned int chunk_bits, layer_chunk_sink chunk,
	void *ctx, struct split_writer *split, struct tree **ret, struct err *e)
{
	_cleanup_(tar_reader_freep) struct tar_reader *reader = tar_reader_new(tar);
	_cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	_cleanup_(tree_freep) struct tree *t = tree_new();
	struct builder b = {.tar = reader,
		.t = t,
		.chunk_bits = chunk_bits,
		.chunk = chunk,
		.ctx = ctx,
		.split = split,
		.digest = digest};
	const struct tar_entry *en;
	int r = reader && digest && t ? 0 : err_sys(e, -ENOMEM, "cannot read the layer");

	if (r == 0 && split)
		tar_reader_tee(reader, tee_to_split, split);
	while (r == 0 && (r = tar_next(reader, &en, e)) == 1) {
		r = add_entry(&b, en, e);
		if (r == 0 && split && split_writer_code(split) < 0)
			r = err_sys(e, split_writer_code(split), "cannot keep the layer's tar");
	}
	free(b.buffer);
	buf_done(&b.path);
	buf_done(&b.link);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}
