/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the layers have under a name: whiteouts, opaque and redirected directories, as
 * Documentation/filesystems/overlayfs.rst of Linux says.
 */
#include "node-table.h"
#include "util/array.h"

#include <fcntl.h>
#include <string.h>

struct walk {
	struct union_fs *u;
	struct node *dir;
	struct found *f;
	/* How it is called from here on, going down: in the parent's places, or (`from_root`) by a
	 * path from each layer's root. */
	const char *name;
	size_t len;
	char *own; /* memory of `name` */
	bool from_root, stop;
	size_t room;
};

static int add_place(struct walk *w, uint16_t layer, uint64_t key)
{
	int r = array_room(&w->f->lowers, w->f->n_lowers, &w->room, sizeof(*w->f->lowers));

	if (r == 0)
		w->f->lowers[w->f->n_lowers++] = (struct lower_place){layer, key};
	return r;
}

/* ---- redirects --------------------------------------------------------------------------------
 */

/* "/a/b", or "b": no empty name, none that is "." or "..", none too long. */
static bool redirect_is_valid(const char *p)
{
	bool first = true;

	if (*p != '/')
		return *p && !strchr(p, '/') && strlen(p) <= 255 && strcmp(p, ".") != 0 &&
		       strcmp(p, "..") != 0;
	while (*p == '/' || first) {
		size_t len = strcspn(++p, "/");

		if (!len && first && !*p)
			return true; /* the root */
		if (!len || len > 255 || (p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.'))))
			return false;
		p += len;
		first = false;
	}
	return true;
}

/*
 * Takes the redirect of the directory that lies at the bytes [at, end) of the path: what is in
 * front of it, or all, is replaced; `own_redirect` from malloc.
 */
static int redirect(struct walk *w, size_t at, size_t end, char *own_redirect)
{
	_cleanup_free_ char *r = own_redirect;
	char *s;
	int n;

	if (!r)
		return 0;
	if (!redirect_is_valid(r))
		return -EINVAL;
	if (*r == '/')
		n = asprintf(&s, "%s%.*s", r, (int)(w->len - end), w->name + end);
	else
		n = asprintf(
			&s, "%.*s%s%.*s", (int)at, w->name, r, (int)(w->len - end), w->name + end);
	if (n < 0)
		return -ENOMEM;
	w->from_root |= *r == '/';
	free(w->own);
	w->own = s;
	w->name = s;
	w->len = (size_t)n;
	return 0;
}

/* ---- the lower layers -------------------------------------------------------------------------
 */

/* A directory on the way: marks that count for what is below it, too. */
static int look_at_marks(struct walk *w, struct lower *l, uint64_t key, size_t at, size_t end)
{
	char *own_redirect = NULL;
	bool opaque;
	int r = l->ops->dir_marks(l, key, &opaque, &own_redirect);

	if (r < 0)
		return r;
	if (opaque) {
		w->stop = true;
		free(own_redirect);
		return 0;
	}
	/* It names a directory of its own: what is opaque on the way to this one hides another. */
	if (own_redirect && *own_redirect == '/')
		w->stop = false;
	return redirect(w, at, end, own_redirect);
}

/* By the path from the layer's root; the marks of what it leads through may change the path for
 * the layers below. 1 = it is not there. */
static int resolve(struct walk *w, struct lower *l, struct lower_name *ret)
{
	_cleanup_free_ char *path = strndup(w->name, w->len);
	struct lower_name here = {.key = l->root, .type = DT_DIR, .ino = l->root};
	size_t at = 0, tail;
	struct stat st;
	int r = path ? 0 : -ENOMEM;

	if (r == 0)
		r = l->ops->stat(l, l->root, &st);
	if (r < 0)
		return r;
	here.ino = st.st_ino;
	while (path[at]) {
		size_t len;

		at += path[at] == '/';
		len = strcspn(path + at, "/");
		if (!len)
			break;
		if (here.type != DT_DIR) {
			w->stop = true;
			return 1;
		}
		r = l->ops->lookup(l, here.key, path + at, len, &here);
		if (r)
			return r;
		w->stop |= here.whiteout;
		if (here.whiteout)
			return 1;
		/* Its marks, unless it is the last, which is looked at by who asks. */
		if (path[at + len] && here.type == DT_DIR) {
			tail = strlen(path + at); /* in w->name, the end is what stays the same */
			r = look_at_marks(w, l, here.key, w->len - tail, w->len - tail + len);
			if (r < 0)
				return r;
		}
		at += len;
	}
	*ret = here;
	return 0;
}

/* What a layer has. `w->stop`: nothing below counts any more. */
static int take(struct walk *w, uint16_t layer, const struct lower_name *n)
{
	struct found *f = w->f;
	const bool first = !f->upper && !f->n_lowers;
	struct lower *l = w->u->config.lowers[layer];
	int r;

	w->stop |= n->whiteout || n->type != DT_DIR;
	if (n->whiteout || (!first && n->type != DT_DIR))
		return 0;
	if (first)
		f->mode = (uint32_t)DTTOIF(n->type);
	if (!f->n_lowers)
		f->ino = w->u->ino_base[layer] + n->ino;
	r = add_place(w, layer, n->key);
	if (r == 0 && n->type == DT_DIR) {
		const char *base = w->from_root ? strrchr(w->name, '/') + 1 : w->name;

		r = look_at_marks(w, l, n->key, (size_t)(base - w->name), w->len);
	}
	return r;
}

static int find_lowers(struct walk *w)
{
	const struct union_config *c = &w->u->config;
	struct node *dir = w->dir;
	size_t place = 0, layer = 0;
	struct lower_name n;
	int r = 0;

	while (r >= 0 && !w->stop) {
		if (w->from_root) {
			if (layer == c->n_lowers)
				break;
			r = resolve(w, c->lowers[layer], &n);
		} else {
			if (place == dir->n_lowers)
				break;
			layer = dir->lowers[place].layer;
			r = c->lowers[layer]->ops->lookup(
				c->lowers[layer], dir->lowers[place].key, w->name, w->len, &n);
			place++;
		}
		if (r == 0)
			r = take(w, (uint16_t)layer, &n);
		layer++;
	}
	return r < 0 ? r : 0;
}

/* ---- the upper directory ----------------------------------------------------------------------
 */

/* A file of several names, or one that was copied up: how many names it has in the union. */
static int fix_nlink(struct walk *w, int dirfd, const char *name)
{
	struct found *f = w->f;
	uint32_t nlink;
	struct stat st = {0};
	int r = 0;

	/* Where the lower file is not known (any more), the note has to do without its count. */
	if (f->n_lowers) {
		struct lower *l = w->u->config.lowers[f->lowers[0].layer];

		r = l->ops->stat(l, f->lowers[0].key, &st);
	} else if (f->raw.st_nlink < 2 || !w->u->upper->has_index) {
		return 0;
	}
	if (r < 0 || st.st_nlink == 1)
		return r;
	r = upper_nlink(
		w->u->upper, dirfd, name, (uint32_t)f->raw.st_nlink, (uint32_t)st.st_nlink, &nlink);
	if (r == 0)
		f->stat.st_nlink = nlink;
	return r < 0 ? r : 0;
}

/* The lower file of an index that the upper one says to be a copy of. 1 = it says none. */
static int origin_by_handle(struct walk *w, int dirfd, const char *name)
{
	const struct union_config *c = &w->u->config;

	for (size_t i = 0; i < c->n_lowers; i++) {
		struct lower *l = c->lowers[i];
		struct stat st;
		uint64_t nid;

		if (!l->has_origin || upper_origin(w->u->upper, dirfd, name, l->uuid, &nid) != 0 ||
			l->ops->stat(l, nid, &st) < 0 ||
			(st.st_mode & S_IFMT) != (w->f->mode & S_IFMT))
			continue;
		w->f->ino = w->u->ino_base[i] + st.st_ino;
		return add_place(w, (uint16_t)i, nid);
	}
	return 1;
}

/* Of a directory's file that is called something else now, only numbers can be told. */
static void origin_numbers(struct walk *w, const void *mark, size_t n)
{
	const struct union_config *c = &w->u->config;
	uint32_t nlink;
	uint64_t ino;

	for (size_t i = 0; i < c->n_lowers; i++) {
		struct lower *l = c->lowers[i];

		if (l->ops->find_origin && l->ops->find_origin(l, mark, n, &ino, &nlink) == 0) {
			w->f->ino = w->u->ino_base[i] + ino;
			return;
		}
	}
}

/* The file of a directory that the upper one is a copy of. 1 = there is none of this name. */
static int find_same_name(struct walk *w, const void *mark, size_t n)
{
	struct walk below = {.u = w->u, .dir = w->dir, .name = w->name, .len = w->len};
	_cleanup_found_ struct found f = {0};
	struct overlay_origin o;
	struct lower *l;
	int r;

	below.f = &f;
	r = find_lowers(&below);
	free(below.own);
	if (r < 0)
		return r;
	if (f.n_lowers != 1 || (f.mode & S_IFMT) != (w->f->mode & S_IFMT))
		return 1;
	l = w->u->config.lowers[f.lowers[0].layer];
	if (l->has_origin)
		return 1;
	if (l->ops->origin(l, f.lowers[0].key, &o) == 0 &&
		(!mark || o.size != n || memcmp(o.bytes, mark, n) != 0))
		return 1;
	w->f->ino = f.ino;
	return add_place(w, f.lowers[0].layer, f.lowers[0].key);
}

/* A directory's file can be recognised, not found: it is looked for under the same name. */
static int origin_by_name(struct walk *w, int dirfd, const char *name)
{
	uint8_t mark[OVERLAY_ORIGIN_MAX];
	size_t n = 0;
	int r = upper_mark_get(w->u->upper, dirfd, name, OVERLAY_ORIGIN, mark, sizeof(mark), &n);
	const bool marked = r == 0;

	if (!marked && !w->f->half)
		return 1;
	r = w->dir->n_lowers ? find_same_name(w, marked ? mark : NULL, n) : 1;
	if (r == 1 && marked)
		origin_numbers(w, mark, n);
	return r;
}

/* Content that is somewhere else (overlayfs's option metacopy, which we do not take part in). */
static bool is_metacopy(struct walk *w, int dirfd, const char *name, const struct stat *st)
{
	uint8_t mark[64];
	size_t n;

	return st->st_size > 0 && st->st_blocks == 0 &&
	       upper_mark_get(w->u->upper, dirfd, name, OVERLAY_METACOPY, mark, sizeof(mark), &n) ==
		       0;
}

static int look_at_upper_file(struct walk *w, int dirfd, const char *name)
{
	struct found *f = w->f;
	int r = 0;

	w->stop = true;
	if (S_ISREG(f->mode)) {
		if (is_metacopy(w, dirfd, name, &f->raw))
			return -EIO;
		r = blocks_is_half(w->u->upper, dirfd, name, &f->raw);
		if (r < 0)
			return r;
		f->half = r == 1;
	}
	r = origin_by_handle(w, dirfd, name);
	if (r == 1)
		r = origin_by_name(w, dirfd, name);
	if (r >= 0)
		r = fix_nlink(w, dirfd, name);
	return r < 0 ? r : 0;
}

static int look_at_upper_dir(struct walk *w, int dirfd, const char *name)
{
	char *own_redirect = NULL;
	bool opaque;
	int r = upper_dir_marks(w->u->upper, dirfd, name, &opaque, &own_redirect);

	if (r < 0)
		return r;
	w->stop = opaque;
	if (opaque) {
		free(own_redirect);
		return 0;
	}
	return redirect(w, 0, w->len, own_redirect);
}

/* What is at dirfd/name in the upper directory. 1 = nothing. */
static int look_at_upper(struct walk *w, int dirfd, const char *name)
{
	struct found *f = w->f;
	int r = 0;

	if (fstatat(dirfd, name, &f->raw, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : -errno;
	if (overlay_is_whiteout(&f->raw)) {
		w->stop = true;
		return 1;
	}
	f->stat = f->raw;
	if (upper_has_owners(w->u->upper))
		r = upper_owner_apply(w->u->upper, dirfd, name, &f->stat);
	if (r < 0)
		return r;
	f->upper = &f->raw;
	f->mode = f->stat.st_mode & S_IFMT;
	f->ino = w->u->upper_ino_base + f->raw.st_ino;
	return S_ISDIR(f->mode) ? look_at_upper_dir(w, dirfd, name)
				: look_at_upper_file(w, dirfd, name);
}

static int find_upper(struct walk *w)
{
	char name[256];
	int dirfd, r;

	if (!w->dir->has_upper)
		return 1;
	memcpy(name, w->name, w->len);
	name[w->len] = '\0';
	r = node_fd(w->u, w->dir, &dirfd);
	if (r < 0)
		return r;
	r = look_at_upper(w, dirfd, name);
	node_fd_put(w->u, w->dir);
	return r;
}

/* A lower file of several names may be in the upper directory by another of them. */
static int find_in_index(struct walk *w)
{
	char name[UPPER_INDEX_NAME_SIZE];
	struct found *f = w->f;
	struct lower *l = w->u->config.lowers[f->lowers[0].layer];
	struct overlay_origin o;
	struct stat st;
	int r = l->ops->origin(l, f->lowers[0].key, &o);

	if (r == 0)
		r = upper_index_stat(w->u->upper, &o, &st);
	if (r || overlay_is_whiteout(&st))
		return r < 0 ? r : 0;
	upper_index_name(&o, name);
	f->raw = f->stat = st;
	if (upper_has_owners(w->u->upper))
		r = upper_owner_apply(w->u->upper, w->u->upper->index_fd, name, &f->stat);
	if (r < 0)
		return r;
	if ((f->stat.st_mode & S_IFMT) != (f->mode & S_IFMT))
		return -EIO;
	f->upper = &f->raw;
	f->indexed = true;
	r = S_ISREG(f->mode) ? blocks_is_half(w->u->upper, w->u->upper->index_fd, name, &f->raw)
			     : 0;
	if (r < 0)
		return r;
	f->half = r == 1;
	return fix_nlink(w, w->u->upper->index_fd, name);
}

static int stat_lower(struct walk *w)
{
	struct found *f = w->f;
	struct lower *l = w->u->config.lowers[f->lowers[0].layer];
	int r = l->ops->stat(l, f->lowers[0].key, &f->stat);

	if (r == 0 && w->u->upper && !S_ISDIR(f->mode) && f->stat.st_nlink > 1)
		r = find_in_index(w);
	return r;
}

static int find_all(struct walk *w)
{
	struct found *f = w->f;
	int r = find_upper(w);

	if (r < 0)
		return r;
	if (!w->stop)
		r = find_lowers(w);
	if (r < 0)
		return r;
	if (!f->upper && !f->n_lowers)
		return 1;
	r = f->upper ? 0 : stat_lower(w);
	if (r == 0 && S_ISDIR(f->mode) && f->n_lowers + (f->upper != NULL) > 1)
		f->stat.st_nlink = 1; /* nobody has counted */
	return r;
}

int layers_find(
	struct union_fs *u, struct node *dir, const char *name, size_t len, struct found *ret)
{
	struct walk w = {.u = u, .dir = dir, .name = name, .len = len};
	struct found f = {.copied = u->nodes->copied};
	int r;

	if (len > 255)
		return -ENAMETOOLONG;
	if (!len || memchr(name, '/', len))
		return 1;
	w.f = &f;
	r = find_all(&w);
	free(w.own);
	if (r) {
		found_done(&f);
		return r < 0 ? r : 1;
	}
	*ret = f;
	if (ret->upper)
		ret->upper = &ret->raw;
	return 0;
}

int layers_have_lower(struct union_fs *u, struct node *dir, const char *name, size_t len)
{
	for (size_t i = 0; i < dir->n_lowers; i++) {
		struct lower *l = u->config.lowers[dir->lowers[i].layer];
		struct lower_name n;
		int r = l->ops->lookup(l, dir->lowers[i].key, name, len, &n);

		if (r <= 0)
			return r < 0 ? r : !n.whiteout;
	}
	return 0;
}

void stat_show_ids(const struct union_fs *u, struct stat *st)
{
	const struct union_config *c = &u->config;

	st->st_uid = c->squash_uid ? c->uid : id_out(c->uids, st->st_uid);
	st->st_gid = c->squash_gid ? c->gid : id_out(c->gids, st->st_gid);
}
