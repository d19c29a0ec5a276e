/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard links. A file of the image with several names that is in the layer, because one of them was
 * written through (then it is in WORK/index) or lies below a renamed directory, must have its
 * other names in the layer too: else these would go on meaning the image's file. Which these are
 * only a walk through the image's index tells.
 */
#include "delta-internal.h"
#include "image/index-walk.h"

#include <fcntl.h>

/* "00fb21..." to bytes. Returns how many; 0 if it is none. */
static size_t decode_hex(const char *text, uint8_t *ret, size_t room)
{
	size_t n = 0;

	for (; text[0]; text += 2) {
		unsigned int byte;

		if (n == room || !text[1] || strspn(text, "0123456789abcdef") < 2 ||
			sscanf(text, "%2x", &byte) != 1)
			return 0;
		ret[n++] = (uint8_t)byte;
	}
	return n;
}

/* Whether the name in WORK/index is of a file of this image that has several names. */
static bool is_of_image(struct delta *d, const char *name, uint64_t *ret_nid)
{
	uint8_t origin[OVERLAY_ORIGIN_MAX];
	const size_t n = decode_hex(name, origin, sizeof(origin));
	struct index_inode x;

	return n && overlay_origin_nid(origin, n, d->uuid, ret_nid) == 0 &&
	       index_inode(d->base, *ret_nid, &x, NULL) == 0 && !S_ISDIR(x.mode) && x.nlink > 1;
}

int delta_load_index(struct delta *d, struct err *e)
{
	_cleanup_(dir_walk_freep) struct dir_walk *w = NULL;
	struct dir_walk_entry x;
	int r = d->up->index_fd < 0 ? 0 : dir_walk_new(d->up->index_fd, &w);

	while (r == 0 && w && (r = dir_walk_next(w, &x)) == 1) {
		struct stat st;
		uint64_t nid;
		char *name;

		r = 0;
		if (!is_of_image(d, x.name, &nid) ||
			fstatat(x.dirfd, x.name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			S_ISDIR(st.st_mode) || overlay_is_whiteout(&st))
			continue;
		name = arena_copy(&d->t->arena, x.name, strlen(x.name) + 1);
		r = name ? number_map_put(&d->indexed, nid, name) : -ENOMEM;
	}
	return r < 0 ? err_sys(e, r, "cannot read the work directory's index") : 0;
}

/* A directory of the image on the way down, and what stands for it in the layer. */
struct place {
	struct index_inode from;
	struct inode *dir; /* NULL: the layer has nothing to say of it yet */
	bool shown;        /* it is in the union at all */
	char *name;
};

struct places {
	struct place *v;
	size_t n, room;
};

static void places_done(struct places *p)
{
	while (p->n)
		free(p->v[--p->n].name);
	free(p->v);
}

/* Whether a name of the image's directory means the same in the union. */
static bool is_shown(struct delta *d, const struct place *p, const char *name)
{
	if (!p->shown)
		return false;
	return !p->dir ||
	       (!delta_is_detached(p->dir) && !tree_find(d->t, p->dir, name, strlen(name)));
}

static int enter(struct delta *d, struct places *p, const struct walk_entry *w)
{
	struct place x = {.from = w->inode, .dir = number_map_find(&d->dirs, w->inode.nid)};

	x.shown = x.dir || !p->n || is_shown(d, &p->v[p->n - 1], w->name);
	x.name = strdup(w->name);
	if (!x.name)
		return -ENOMEM;
	if (array_room(&p->v, p->n, &p->room, sizeof(x)) < 0) {
		free(x.name);
		return -ENOMEM;
	}
	p->v[p->n++] = x;
	return 0;
}

/* The layer gets the directories down to the current one, as they are in the image. */
static int make_dirs(struct delta *d, struct places *p, struct err *e)
{
	size_t k = p->n;

	while (!p->v[k - 1].dir)
		k--;
	for (; k < p->n; k++) {
		struct place *x = &p->v[k];
		struct inode *i = tree_inode_new(d->t, S_IFDIR);
		int r = i ? delta_base_attributes(d, &x->from, i, e) : delta_no_memory(e);

		if (r < 0)
			return r;
		if (tree_link(d->t, p->v[k - 1].dir, x->name, strlen(x->name), i) < 0 ||
			number_map_put(&d->dirs, x->from.nid, i) < 0)
			return delta_no_memory(e);
		x->dir = i;
	}
	return 0;
}

static int add_name(struct delta *d, struct places *p, const struct walk_entry *w, struct err *e)
{
	struct inode *i = number_map_find(&d->by_nid, w->inode.nid);
	int r = 0;

	if (!is_shown(d, &p->v[p->n - 1], w->name))
		return 0;
	if (!i) /* none of its names is in the upper directory */
		r = delta_indexed_inode(d, w->inode.nid, w->path, &i, e);
	if (r || !i)
		return r < 0 ? r : 0;
	r = make_dirs(d, p, e);
	if (r == 0 && tree_link(d->t, p->v[p->n - 1].dir, w->name, strlen(w->name), i) < 0)
		r = delta_no_memory(e);
	return r;
}

int delta_add_names(struct delta *d, struct err *e)
{
	_cleanup_(index_walk_freep) struct index_walk *walk = NULL;
	_cleanup_(places_done) struct places p = {0};
	struct walk_entry w;
	int r = 0;

	if (!d->by_nid.n && !d->indexed.n)
		return 0;
	walk = index_walk_new(d->base, false);
	if (!walk)
		return delta_no_memory(e);
	while (r == 0 && (r = index_walk_next(walk, &w, e)) == 1) {
		r = 0;
		if (w.leave)
			free(p.v[--p.n].name);
		else if (S_ISDIR(w.inode.mode))
			r = enter(d, &p, &w) < 0 ? delta_no_memory(e) : 0;
		else if (w.inode.nlink > 1)
			r = add_name(d, &p, &w, e);
	}
	return r;
}
