/* SPDX-License-Identifier: Apache-2.0 */
#include "tree-tar.h"
#include "split.h"
#include "util/array.h"
#include "util/buf.h"
#include "util/number-map.h"

#define WHITEOUT_PREFIX ".wh."
#define OPAQUE_NAME     ".wh..wh..opq"

struct level {
	struct name *names;
	size_t n, at;
	size_t prefix; /* bytes of the path in front of the names */
};

struct tree_tar {
	struct tree *t;
	struct sink *out;
	const struct tree_tar_content *content;
	struct level *levels;
	size_t n, room;
	struct buf path;
	struct buf xattrs;
	struct tar_map map;
	struct number_map firsts; /* the first name of each file, by its address */
};

static void tree_tar_done(struct tree_tar *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->levels[i].names);
	free(w->levels);
	number_map_done(&w->firsts);
	buf_done(&w->path);
	buf_done(&w->xattrs);
	tar_map_done(&w->map);
}

static int no_memory(struct err *e)
{
	return err_sys(e, -ENOMEM, "cannot write the layer");
}

static int set_xattrs(struct tree_tar *w, const struct inode *i, struct tar_entry *x)
{
	w->xattrs.n = 0;
	for (uint32_t k = 0; i->xattrs && k < i->xattrs->n; k++) {
		const struct xattr *v = &i->xattrs->v[k];
		struct tar_xattr a = {
			.name = v->name, .value = v->value, .value_size = v->value_size};

		if (buf_add(&w->xattrs, &a, sizeof(a)) < 0)
			return -ENOMEM;
	}
	x->xattrs = (struct tar_xattr *)w->xattrs.p;
	x->n_xattrs = w->xattrs.n / sizeof(struct tar_xattr);
	return 0;
}

static int map_chunks(struct tree_tar *w, struct inode *i, struct err *e)
{
	int r = 0;

	tar_map_reset(&w->map);
	for (uint64_t k = 0; k < chunk_count(i->size, i->chunk_bits); k++) {
		const uint32_t size = chunk_size_at(i->size, i->chunk_bits, k);
		struct tar_extent *last = w->map.n ? &w->map.v[w->map.n - 1] : NULL;
		const uint64_t off = k << i->chunk_bits;

		r = w->content->is_hole(w->content->ctx, i, k, e);
		if (r < 0)
			return r;
		if (r == 1)
			continue;
		if (last && last->offset + last->size == off) {
			last->size += size;
			w->map.end += size;
			w->map.data += size;
		} else if (tar_map_add(&w->map, off, size) < 0) {
			return no_memory(e);
		}
	}
	return 0;
}

static int write_content(
	struct tree_tar *w, struct inode *i, const struct tar_entry *x, struct err *e)
{
	const struct tree_tar_content *c = w->content;
	int r = 0;

	if (!x->sparse)
		return x->size ? c->put(c->ctx, i, 0, x->size, w->out, e) : 0;
	for (size_t k = 0; r == 0 && k < x->n_extents; k++)
		r = c->put(c->ctx, i, x->extents[k].offset, x->extents[k].size, w->out, e);
	return r;
}

static int write_file(struct tree_tar *w, struct inode *i, struct tar_entry *x, struct err *e)
{
	const struct tree_tar_content *c = w->content;
	int r = c->begin ? c->begin(c->ctx, i, e) : 0;

	if (r == 0 && i->chunk_bits)
		r = map_chunks(w, i, e);
	if (r < 0)
		return r;
	x->size = i->size;
	x->mtime = i->mtime;
	x->mtime_nsec = i->mtime_nsec;
	if (i->chunk_bits && w->map.data < i->size) {
		x->sparse = true;
		x->extents = w->map.v;
		x->n_extents = w->map.n;
	}
	r = tar_write_entry(w->out, x, e);
	if (r == 0)
		r = write_content(w, i, x, e);
	if (r == 0 && c->end)
		r = c->end(c->ctx, i, e);
	if (r < 0)
		return r;
	r = tar_write_padding(w->out, x);
	return r < 0 ? err_sys(e, r, "cannot write the layer") : 0;
}

/* *ret is the file's first name, if this is a further one. */
static int find_first(struct tree_tar *w, struct inode *i, const char *path, const char **ret)
{
	char *copy;

	*ret = inode_is_dir(i) ? NULL : number_map_find(&w->firsts, (uintptr_t)i);
	if (*ret || inode_is_dir(i))
		return 0;
	copy = arena_copy(&w->t->arena, path, strlen(path) + 1);
	return copy ? number_map_put(&w->firsts, (uintptr_t)i, copy) : -ENOMEM;
}

static int write_inode(struct tree_tar *w, struct inode *i, struct err *e)
{
	struct tar_entry x = {
		.path = (char *)w->path.p,
		.mode = i->mode,
		.uid = i->uid,
		.gid = i->gid,
		.mtime = i->mtime,
		.mtime_nsec = i->mtime_nsec,
		.dev_major = i->dev_major,
		.dev_minor = i->dev_minor,
	};
	int r = find_first(w, i, x.path, &x.link);

	if (r == 0)
		r = set_xattrs(w, i, &x);
	if (r < 0)
		return no_memory(e);
	x.hardlink = x.link;
	if (S_ISREG(i->mode) && !x.hardlink)
		return write_file(w, i, &x, e);
	if (S_ISLNK(i->mode) && !x.hardlink)
		x.link = i->target;
	return tar_write_entry(w->out, &x, e);
}

/* ".wh.NAME" in the directory that the path's first `prefix` bytes lead to. */
static int write_whiteout(struct tree_tar *w, size_t prefix, const char *name, struct err *e)
{
	struct tar_entry x = {.mode = S_IFREG};

	w->path.n = prefix;
	if (buf_addf(&w->path, "%s", name) < 0)
		return no_memory(e);
	x.path = (char *)w->path.p;
	return tar_write_entry(w->out, &x, e);
}

/* The path is the directory's, without a '/' behind it; the root's is "". */
static int push(struct tree_tar *w, struct inode *dir, struct err *e)
{
	struct level l = {0};

	if (w->path.n && buf_add(&w->path, "/", 1) < 0)
		return no_memory(e);
	l.prefix = w->path.n;
	if (array_room(&w->levels, w->n, &w->room, sizeof(l)) < 0 ||
		tree_sorted_names(dir, dir, &l.names, &l.n) < 0)
		return no_memory(e);
	w->levels[w->n++] = l;
	return dir->flags & INODE_OPAQUE ? write_whiteout(w, l.prefix, OPAQUE_NAME, e) : 0;
}

static int write_name(struct tree_tar *w, size_t prefix, const struct name *n, struct err *e)
{
	struct inode *i = n->inode;
	int r = 0;

	if ((n->len == 1 && n->name[0] == '.') || (n->len == 2 && memcmp(n->name, "..", 2) == 0))
		return 0;
	w->path.n = prefix;
	if (i->flags & INODE_WHITEOUT && buf_addf(&w->path, "%s", WHITEOUT_PREFIX) < 0)
		return no_memory(e);
	if (buf_add(&w->path, n->name, n->len) < 0)
		return no_memory(e);
	if (i->flags & INODE_WHITEOUT)
		return write_whiteout(w, w->path.n, "", e);
	if (!(i->flags & INODE_IMPLICIT))
		r = write_inode(w, i, e);
	if (r < 0)
		return err_prefix(e, r, "'%.200s'", (char *)w->path.p);
	return inode_is_dir(i) ? push(w, i, e) : 0;
}

static int write_root(struct tree_tar *w, struct err *e)
{
	int r = 0;

	if (buf_addf(&w->path, "./") < 0)
		return no_memory(e);
	if (!(w->t->root->flags & INODE_IMPLICIT))
		r = write_inode(w, w->t->root, e);
	w->path.n = 0;
	return r < 0 ? r : push(w, w->t->root, e);
}

int tree_tar_write(
	struct tree *t, struct sink *out, const struct tree_tar_content *content, struct err *e)
{
	_cleanup_(tree_tar_done) struct tree_tar w = {.t = t, .out = out, .content = content};
	int r = write_root(&w, e);

	while (r == 0 && w.n) {
		struct level *l = &w.levels[w.n - 1];

		if (l->at < l->n) {
			r = write_name(&w, l->prefix, &l->names[l->at++], e);
		} else {
			free(l->names);
			w.n--;
		}
	}
	if (r == 0)
		r = tar_write_end(out);
	return r < 0 ? err_sys(e, r, "cannot write the layer") : 0;
}

/* ---- as a split ----------------------------------------------------------------------------- */

struct split_sink {
	struct sink sink;
	struct tree *t;
	struct split_writer *w;
	uint8_t room[4096];
};

static int split_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct split_sink *q = (struct split_sink *)s;

	*ret_p = q->room;
	*ret_n = sizeof(q->room);
	return 0;
}

static int split_fill(struct sink *s, size_t n)
{
	struct split_sink *q = (struct split_sink *)s;

	split_literal(q->w, q->room, n);
	return split_writer_code(q->w);
}

static int chunk_is_hole(void *ctx _unused_, struct inode *i, uint64_t k, struct err *e _unused_)
{
	return i->chunks[k] == CHUNK_HOLE;
}

static int put_chunks(void *ctx, struct inode *i, uint64_t off, uint64_t n,
	struct sink *out _unused_, struct err *e)
{
	struct split_sink *q = ctx;
	int r;

	if (!i->chunk_bits) {
		split_literal(q->w, i->data + off, n);
	} else {
		for (uint64_t k = off >> i->chunk_bits; k << i->chunk_bits < off + n; k++) {
			const uint32_t id = i->chunks[k], size = q->t->chunks[id].size;

			split_chunk(q->w, id, 0, size, size);
		}
	}
	r = split_writer_code(q->w);
	return r < 0 ? err_sys(e, r, "cannot keep the layer's tar") : 0;
}

int tree_tar_split(struct tree *t, struct split_writer *w, struct err *e)
{
	struct split_sink q = {.sink = {split_room, split_fill}, .t = t, .w = w};
	const struct tree_tar_content content = {
		.ctx = &q, .is_hole = chunk_is_hole, .put = put_chunks};

	return tree_tar_write(t, &q.sink, &content, e);
}
