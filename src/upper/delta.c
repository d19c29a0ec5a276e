/* SPDX-License-Identifier: Apache-2.0 */
#include "delta-internal.h"

#include <fcntl.h>

int delta_no_memory(struct err *e)
{
	return err_sys(e, -ENOMEM, "cannot read the upper directory");
}

/* A directory of the upper tree, on the way down. */
struct level {
	struct inode *dir;
	bool has_base; /* the image has a directory at its path, which is not hidden */
	struct index_inode base;
	bool has_lower; /* the image's directory that it continues */
	struct index_inode lower;
};

struct walk {
	struct delta *d;
	struct level *levels;
	size_t n, room;
};

/* That it continues the image's directory of its own path: then only changes need be said. */
static bool is_attached(const struct level *l)
{
	return l->has_base && l->has_lower && l->base.nid == l->lower.nid;
}

/* ---- what a detached directory has of the image --------------------------------------------- */

struct pending {
	struct inode *dir;
	struct index_inode from;
	char *path;
	struct pending *next;
};

static int push_pending(struct delta *d, struct pending **stack, struct inode *dir,
	const struct index_inode *from, const char *path, struct err *e)
{
	struct pending *p = arena_alloc(&d->t->arena, sizeof(*p));

	if (!p || number_map_put(&d->dirs, from->nid, dir) < 0)
		return delta_no_memory(e);
	*p = (struct pending){.dir = dir, .from = *from, .next = *stack};
	p->path = arena_copy(&d->t->arena, path, strlen(path) + 1);
	dir->nlink = DELTA_DETACHED;
	*stack = p;
	return p->path ? 0 : delta_no_memory(e);
}

static int link_name(
	struct delta *d, struct inode *dir, const char *name, struct inode *i, struct err *e)
{
	if (strncmp(name, ".wh.", 4) == 0)
		return err_set(e, -ERR_INPUT,
			"a name that starts with '.wh.' would be a whiteout in a layer");
	return tree_link(d->t, dir, name, strlen(name), i) < 0 ? delta_no_memory(e) : 0;
}

static int copy_name(struct delta *d, struct pending **stack, struct inode *dir, const char *path,
	const char *name, uint64_t nid, struct err *e)
{
	_cleanup_buf_ struct buf full = {0};
	struct index_inode x;
	struct inode *i;
	int r = index_inode(d->base, nid, &x, e);

	if (r < 0)
		return r;
	if (buf_addf(&full, "%s/%s", path, name) < 0)
		return delta_no_memory(e);
	if (!S_ISDIR(x.mode)) {
		r = delta_base_inode(d, &x, (char *)full.p, &i, e);
		return r < 0 ? r : link_name(d, dir, name, i, e);
	}
	i = tree_inode_new(d->t, S_IFDIR);
	r = i ? delta_base_attributes(d, &x, i, e) : delta_no_memory(e);
	if (r == 0)
		r = link_name(d, dir, name, i, e);
	return r < 0 ? r : push_pending(d, stack, i, &x, (char *)full.p, e);
}

/* Names of an image's directory, but for those that the upper directory `fd` (-1: none) has. */
static int copy_names(
	struct delta *d, struct pending **stack, const struct pending *p, int fd, struct err *e)
{
	struct index_name n;
	uint64_t pos = 0;
	int r;

	while ((r = index_readdir(d->base, &p->from, &pos, &n, e)) == 1) {
		char name[NAME_LEN_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", (int)n.len, n.name);
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (fd >= 0 && faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		r = copy_name(d, stack, p->dir, p->path, name, n.nid, e);
		if (r < 0)
			return r;
	}
	return r;
}

static int copy_rest(
	struct delta *d, const struct level *l, const char *path, int fd, struct err *e)
{
	struct pending *stack = NULL, *p;
	int r = push_pending(d, &stack, l->dir, &l->lower, path, e);

	for (bool top = true; r == 0 && stack; top = false) {
		p = stack;
		stack = p->next;
		r = copy_names(d, &stack, p, top ? fd : -1, e);
	}
	return r;
}

/* ---- directories ---------------------------------------------------------------------------- */

/* A path of the image, as overlayfs notes it. 1 = there is no such directory. */
static int find_path(struct delta *d, const char *path, struct index_inode *ret, struct err *e)
{
	struct index_inode x;
	int r = index_inode(d->base, index_info(d->base)->root_nid, &x, e);

	while (r == 0 && *path) {
		char name[NAME_LEN_MAX + 1];
		size_t n = strcspn(path, "/");

		if (n > NAME_LEN_MAX || !S_ISDIR(x.mode))
			return 1;
		snprintf(name, sizeof(name), "%.*s", (int)n, path);
		path += n + (path[n] == '/');
		if (n)
			r = delta_base_find(d, &x, name, &x, e);
	}
	if (r == 0)
		*ret = x;
	return r;
}

/* Which directory of the image the upper one continues. */
static int find_lower(struct delta *d, const struct level *parent, int dirfd, const char *name,
	struct level *l, struct err *e)
{
	_cleanup_free_ char *redirect = NULL;
	bool opaque;
	int r = upper_dir_marks(d->up, dirfd, name, &opaque, &redirect);

	if (r < 0)
		return err_sys(e, r, "cannot read its marks");
	if (opaque)
		return 0;
	if (redirect && *redirect == '/')
		r = find_path(d, redirect + 1, &l->lower, e);
	else if (parent->has_lower)
		r = delta_base_find(d, &parent->lower, redirect ? redirect : name, &l->lower, e);
	else
		r = 1;
	l->has_lower = r == 0 && S_ISDIR(l->lower.mode);
	return r < 0 ? r : 0;
}

static int push_level(struct walk *w, const struct level *l, struct err *e)
{
	if (array_room(&w->levels, w->n, &w->room, sizeof(*l)) < 0)
		return delta_no_memory(e);
	w->levels[w->n++] = *l;
	return 0;
}

static int begin_dir(struct walk *w, struct level *l, const char *path, int fd, struct err *e)
{
	struct delta *d = w->d;
	int r = 0;

	if (is_attached(l))
		r = number_map_put(&d->dirs, l->lower.nid, l->dir) < 0 ? delta_no_memory(e) : 0;
	else
		l->dir->nlink = DELTA_DETACHED;
	if (r == 0 && !is_attached(l) && l->has_base)
		l->dir->flags |= INODE_OPAQUE;
	if (r == 0 && !is_attached(l) && l->has_lower)
		r = copy_rest(d, l, path, fd, e);
	return r < 0 ? r : push_level(w, l, e);
}

static int visit_dir(struct walk *w, const struct level *parent, const struct dir_walk_entry *x,
	const struct stat *st, struct err *e)
{
	_cleanup_close_ int fd =
		openat(x->dirfd, x->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct level l = {.dir = tree_inode_new(w->d->t, S_IFDIR)};
	bool half;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 1 : err_sys(e, -errno, "cannot open");
	if (!l.dir)
		return delta_no_memory(e);
	if (is_attached(parent)) {
		r = delta_base_find(w->d, &parent->base, x->name, &l.base, e);
		if (r < 0)
			return r;
		l.has_base = r == 0 && S_ISDIR(l.base.mode);
	}
	r = find_lower(w->d, parent, x->dirfd, x->name, &l, e);
	if (r == 0)
		r = delta_set_attributes(w->d, x->dirfd, x->name, st, l.dir, &half, e);
	if (r == 0)
		r = link_name(w->d, parent->dir, x->name, l.dir, e);
	return r < 0 ? r : begin_dir(w, &l, x->path, fd, e);
}

/* ---- names ---------------------------------------------------------------------------------- */

static int add_whiteout(struct delta *d, const struct level *l, const char *name, struct err *e)
{
	struct index_inode old;
	struct inode *i;
	int r = is_attached(l) ? delta_base_find(d, &l->base, name, &old, e) : 1;

	if (r)
		return r < 0 ? r : 0;
	i = tree_inode_new(d->t, S_IFCHR);
	if (!i)
		return delta_no_memory(e);
	i->flags = INODE_WHITEOUT;
	return link_name(d, l->dir, name, i, e);
}

/* 1 = it is gone, or another file now. */
static int visit_file(struct walk *w, const struct level *l, const struct dir_walk_entry *x,
	const struct stat *st, struct err *e)
{
	struct delta_source src = {.upper = true, .path = x->path, .shown = x->path};
	struct index_inode old;
	struct inode *i;
	int r = 1;

	if (l->has_lower && S_ISREG(st->st_mode))
		r = delta_base_find(w->d, &l->lower, x->name, &old, e);
	if (r < 0)
		return r;
	if (r == 0 && S_ISREG(old.mode))
		src.base_nid = old.nid;
	r = delta_upper_inode(w->d, x->dirfd, x->name, st, &src, &i, e);
	return r ? r : link_name(w->d, l->dir, x->name, i, e);
}

/* 1 = look again. */
static int visit_once(
	struct walk *w, struct dir_walk *dw, const struct dir_walk_entry *x, struct err *e)
{
	struct delta *d = w->d;
	struct level *l = &w->levels[x->depth];
	struct stat st;
	int r;

	if (fstatat(x->dirfd, x->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "cannot look at it");
	if (overlay_is_whiteout(&st))
		return add_whiteout(d, l, x->name, e);
	r = upper_owner_apply(d->up, x->dirfd, x->name, &st);
	if (r < 0)
		return r == -ENOENT ? 1 : err_sys(e, r, "cannot read its owner");
	if (!S_ISDIR(st.st_mode))
		return visit_file(w, l, x, &st, e);
	r = visit_dir(w, l, x, &st, e);
	if (r)
		return r;
	r = dir_walk_enter(dw);
	return r < 0 ? err_sys(e, r, "cannot read the directory") : 0;
}

#define VISITS_MAX 5 /* of a name that becomes another file each time */

static int visit(struct walk *w, struct dir_walk *dw, const struct dir_walk_entry *x, struct err *e)
{
	int r = 1;

	w->n = x->depth + 1;
	for (int tries = 0; r == 1 && tries < VISITS_MAX; tries++)
		r = visit_once(w, dw, x, e);
	if (r == 1)
		r = err_set(e, -ERR_CONFLICT, "it was replaced each time that it was read");
	return r < 0 ? err_prefix(e, r, "'%.200s'", x->path) : 0;
}

static int walk_root(struct walk *w, struct err *e)
{
	struct delta *d = w->d;
	struct level l = {.dir = d->t->root, .has_base = true, .has_lower = true};
	struct stat st;
	bool half;
	int r = index_inode(d->base, index_info(d->base)->root_nid, &l.base, e);

	if (r < 0)
		return r;
	l.lower = l.base;
	if (fstat(d->up->fd, &st) < 0)
		return err_sys(e, -errno, "cannot look at the upper directory");
	r = upper_owner_apply(d->up, d->up->fd, "", &st);
	if (r < 0)
		return err_sys(e, r, "cannot look at the upper directory");
	l.dir->flags = 0;
	r = delta_set_attributes(d, d->up->fd, "", &st, l.dir, &half, e);
	return r < 0 ? r : begin_dir(w, &l, "", -1, e);
}

static int walk_upper(struct delta *d, struct err *e)
{
	_cleanup_(dir_walk_freep) struct dir_walk *dw = NULL;
	struct walk w = {.d = d};
	struct dir_walk_entry x;
	int r = dir_walk_new(d->up->fd, &dw);

	if (r < 0)
		return err_sys(e, r, "cannot read the upper directory");
	r = walk_root(&w, e);
	while (r == 0 && (r = dir_walk_next(dw, &x)) == 1)
		r = visit(&w, dw, &x, e);
	free(w.levels);
	return r < 0 ? err_sys(e, r, "cannot read the upper directory") : 0;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int open_base(struct delta *d, const struct image_record *image, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = store_file_open(d->s, STORE_IMAGE, &image->manifest, &fd, e);

	memcpy(d->uuid, image->index.b, sizeof(d->uuid));
	return r < 0 ? r : index_open(fd, &d->base, e);
}

int delta_new(struct store *s, const struct image_record *image, const char *upper,
	const char *work, const struct delta_options *o, struct delta **ret, struct err *e)
{
	_cleanup_(delta_freep) struct delta *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return delta_no_memory(e);
	d->s = s;
	d->o = *o;
	d->open.fd = -1;
	d->t = tree_new();
	d->digest = digest_ctx_new();
	if (!d->t || !d->digest)
		return delta_no_memory(e);
	r = open_base(d, image, e);
	if (r == 0)
		r = upper_look(upper, work, &d->up, e);
	if (r == 0)
		delta_probe_times(d);
	if (r == 0 && o->live && o->live->sync)
		r = o->live->sync(o->live->ctx, e);
	if (r == 0)
		r = delta_load_index(d, e);
	if (r == 0)
		r = walk_upper(d, e);
	if (r == 0)
		r = delta_add_names(d, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

void delta_free(struct delta *d)
{
	if (!d)
		return;
	delta_release(d);
	upper_look_done(d->up);
	index_close(d->base);
	tree_free(d->t);
	digest_ctx_free(d->digest);
	free(d->sources);
	free(d->chunk);
	buf_done(&d->names);
	buf_done(&d->value);
	number_map_done(&d->by_ino);
	number_map_done(&d->by_nid);
	number_map_done(&d->indexed);
	number_map_done(&d->dirs);
	free(d);
}

struct tree *delta_tree(struct delta *d)
{
	return d->t;
}

const struct index *delta_base(const struct delta *d)
{
	return d->base;
}

const struct delta_stats *delta_stats(const struct delta *d)
{
	return &d->stats;
}
