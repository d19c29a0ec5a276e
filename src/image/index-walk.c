/* SPDX-License-Identifier: Apache-2.0 */
#include "index-walk.h"
#include "format/split.h"
#include "util/buf.h"

struct level {
	struct index_inode dir;
	uint64_t pos;
	size_t path; /* its length */
};

struct walk {
	const struct index *x;
	struct level *levels;
	size_t n, room;
	uint64_t entered;
	struct buf path;
};

/* Directories take 64 bytes each, so an index that leads in circles is found out. */
static int enter(struct walk *w, const struct index_inode *dir)
{
	if (++w->entered > index_info(w->x)->size / 64)
		return -ERR_INPUT;
	if (w->n == w->room) {
		size_t room = w->room * 2 + 32;
		struct level *v = reallocarray(w->levels, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		w->levels = v;
		w->room = room;
	}
	w->levels[w->n++] = (struct level){.dir = *dir, .path = w->path.n};
	return 0;
}

static bool is_dot(const struct index_name *n)
{
	return n->name[0] == '.' && (n->len == 1 || (n->len == 2 && n->name[1] == '.'));
}

/* The next name of the innermost directory. 1 = there is none. */
static int step(struct walk *w, index_walk_each each, void *ctx, struct err *e)
{
	struct level *l = &w->levels[w->n - 1];
	struct index_inode i;
	struct index_name n;
	int r;

	do
		r = index_readdir(w->x, &l->dir, &l->pos, &n, e);
	while (r == 1 && is_dot(&n));
	if (r <= 0)
		return r < 0 ? r : 1;
	w->path.n = l->path;
	r = buf_addf(&w->path, "/%.*s", (int)n.len, n.name);
	if (r == 0)
		r = index_inode(w->x, n.nid, &i, e);
	if (r == 0)
		r = each(ctx, (char *)w->path.p, &i);
	return r == 0 && S_ISDIR(i.mode) ? enter(w, &i) : r;
}

int index_walk(const struct index *x, index_walk_each each, void *ctx, struct err *e)
{
	struct walk w = {.x = x};
	struct index_inode root;
	int r = index_inode(x, index_info(x)->root_nid, &root, e);

	if (r == 0)
		r = enter(&w, &root);
	while (r == 0 && w.n) {
		r = step(&w, each, ctx, e);
		if (r == 1) {
			w.n--;
			r = 0;
		}
	}
	free(w.levels);
	buf_done(&w.path);
	return r < 0 ? err_sys(e, r, "cannot walk an index") : 0;
}

static int split_chunks(
	struct store *s, const struct digest *diff_id, index_chunk_each each, void *ctx)
{
	_cleanup_close_ int fd = -1;
	_cleanup_(split_closep) struct split *split = NULL;
	const struct chunk *extras;
	size_t n;
	int r = 0;

	if (store_file_open(s, STORE_SPLIT, diff_id, &fd, NULL) < 0 ||
		split_open(fd, &split, NULL) < 0)
		return 0;
	extras = split_extras(split, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = each(ctx, &extras[i]);
	return r;
}

int index_chunks(struct store *s, enum store_file kind, const struct digest *name,
	index_chunk_each each, void *ctx)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (store_file_open(s, kind, name, &fd, NULL) == 0 && index_open(fd, &x, NULL) == 0) {
		for (uint64_t n = 0; r == 0 && n < index_info(x)->chunks; n++) {
			struct chunk c;

			index_chunk(x, n, &c);
			r = each(ctx, &c);
		}
	}
	return r == 0 && kind == STORE_LAYER ? split_chunks(s, name, each, ctx) : r;
}

static int add_file(void *ctx, const char *path _unused_, const struct index_inode *i)
{
	struct cuts *c = ctx;

	if (i->layout != INDEX_CHUNKS || i->chunk_bits > CHUNK_BITS_MAX)
		return 0;
	if (!c->shortest[i->chunk_bits] || i->size < c->shortest[i->chunk_bits])
		c->shortest[i->chunk_bits] = i->size;
	if (i->size > c->longest[i->chunk_bits])
		c->longest[i->chunk_bits] = i->size;
	return 0;
}

int cuts_add(struct cuts *c, const struct index *x, struct err *e)
{
	return index_walk(x, add_file, c, e);
}

size_t cuts_wanted(const struct cuts *c, unsigned int ret_bits[CHUNK_BITS_MAX + 1])
{
	size_t n = 0;

	for (unsigned int b = CHUNK_BITS_MIN; b <= CHUNK_BITS_MAX; b++) {
		bool follows = !c->longest[b];

		for (size_t k = 0; !follows && k < n; k++)
			follows = chunk_bits_for(c->shortest[b], ret_bits[k]) == b &&
				  chunk_bits_for(c->longest[b], ret_bits[k]) == b;
		if (!follows)
			ret_bits[n++] = b;
	}
	return n;
}
