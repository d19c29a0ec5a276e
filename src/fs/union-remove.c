/* SPDX-License-Identifier: Apache-2.0 */
/* Names that go, and names that are added to a file. */
#include "change.h"
#include "util/array.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>

/* ---- parting --------------------------------------------------------------------------------- */
/* A lower file of several names is copied up (half, if it can be) before it loses one: so the
 * count of the others is known. */
static int must_copy(struct union_fs *u, struct node *n)
{
	struct lower *l = node_lower(u, n);
	struct overlay_origin origin;
	struct stat st;
	int r = l->ops->stat(l, n->lowers[0].key, &st);

	if (r < 0 || st.st_nlink < 2)
		return r;
	r = l->ops->origin(l, n->lowers[0].key, &origin);
	return r < 0 ? r : r == 0;
}

/* How many names it has, not counting that in orphans/ (where it may be missing only if a process
 * died just before). */
static int count_links(struct union_fs *u, struct parting *p, int fd, const char *name)
{
	int r = copy_links_own(u, p->n, fd, name);

	if (r == 0 && p->was_orphan)
		r = upper_orphan_link(u->upper, fd, name, p->n->id);
	if (r == 0)
		r = copy_links(u, p->n, fd, name, &p->origin, &p->links);
	if (r == 0 && p->was_orphan)
		p->links--;
	return r < 0 ? r : 0;
}

int part_begin(struct union_fs *u, struct node *n, struct node *dir, int fd, const char *name,
	struct parting *ret)
{
	struct parting p = {.n = n, .was_orphan = n->rec->flags & NODE_ORPHAN};
	int r = n->has_upper ? 1 : must_copy(u, n);

	if (r > 0)
		r = copy_up_at(u, n, dir, name, true, UINT64_MAX);
	p.in_upper = n->has_upper;
	if (r == 0 && p.in_upper)
		r = count_links(u, &p, fd, name);
	if (r < 0)
		return r;
	n->rec->flags |= NODE_ORPHAN;
	*ret = p;
	return 0;
}

void part_undo(struct parting *p)
{
	if (!p->was_orphan)
		p->n->rec->flags &= ~(uint32_t)NODE_ORPHAN;
}

void part_done(struct union_fs *u, struct parting *p, struct node *dir, const char *name)
{
	if (p->links == 1) {
		const int r = upper_index_remove(u->upper, &p->origin);

		(void)r; /* overlayfs removes entries that have no names left when it is mounted */
	}
	node_name_drop(u, p->n, dir, name);
}

/* ---- files ----------------------------------------------------------------------------------- */
/* `lower`: a whiteout has to take its place. What is an orphan already only loses a name. */
static int take_away(struct change *c, struct parting *p, const char *name, bool lower)
{
	struct upper *up = c->u->upper;

	if (!p->in_upper)
		return upper_whiteout(up, c->fd, name, false);
	if (!p->was_orphan)
		return upper_orphan_move(up, c->fd, name, p->n->id, lower);
	if (lower)
		return upper_whiteout(up, c->fd, name, true);
	return unlinkat(c->fd, name, 0) < 0 ? -errno : 0;
}

static int unlink_node(struct change *c, struct node *n, const char *name)
{
	struct parting p;
	int lower = layers_have_lower(c->u, c->dir, name, strlen(name)), r;

	if (lower < 0)
		return lower;
	r = part_begin(c->u, n, c->dir, c->fd, name, &p);
	if (r < 0)
		return r;
	r = take_away(c, &p, name, lower);
	if (r == 0)
		part_done(c->u, &p, c->dir, name);
	else
		part_undo(&p);
	return r;
}

/* There is no such name: it was done already, by a process that could not say so. */
static int removed_before(struct change *c, const char *name)
{
	if (!c->op->resent)
		return -ENOENT;
	node_name_gone(c->u, c->dir, name);
	return 0;
}

int union_unlink(struct union_fs *u, const struct union_op *op, uint64_t parent, const char *name)
{
	_cleanup_change_ struct change c = {0};
	_cleanup_node_ struct node_ref n = {.u = u};
	int r = change_check_name(name);

	if (r == 0)
		r = change_begin(u, op, parent, &c);
	if (r < 0)
		return r;
	r = node_lookup(u, c.dir, name, &n.n);
	if (r > 0)
		return removed_before(&c, name);
	if (r < 0)
		return r;
	if (S_ISDIR(n.n->mode))
		return -EISDIR;
	pthread_mutex_lock(&n.n->lock);
	r = unlink_node(&c, n.n, name);
	pthread_mutex_unlock(&n.n->lock);
	return r;
}

/* ---- directories ----------------------------------------------------------------------------- */
struct names {
	char **v;
	size_t n, room;
};

static void names_done(struct names *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
}
#define _cleanup_names_ _cleanup_(names_done)

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_add(struct names *s, const char *name)
{
	int r = array_room(&s->v, s->n, &s->room, sizeof(*s->v));

	if (r < 0)
		return r;
	s->v[s->n] = strdup(name);
	if (!s->v[s->n])
		return -ENOMEM;
	s->n++;
	return 0;
}

static int open_listing(int dirfd, const char *name, DIR **ret)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	if (!d)
		return -errno;
	*ret = d;
	return 0;
}

/* The whiteouts of a directory in the upper directory; -ENOTEMPTY if there is anything else. */
static int list_whiteouts(int at, const char *name, struct names *s)
{
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *e;
	struct stat st;
	int r = open_listing(at, name, &d);

	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e->d_type != DT_CHR && e->d_type != DT_UNKNOWN)
			return -ENOTEMPTY;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		r = overlay_is_whiteout(&st) ? names_add(s, e->d_name) : -ENOTEMPTY;
	}
	if (r == 0 && errno)
		r = -errno;
	if (r == 0 && s->n)
		qsort(s->v, s->n, sizeof(*s->v), compare_names);
	return r;
}

/* Whether what a lower layer has can be seen. */
static int is_seen(struct union_fs *u, struct node *n, const struct lower_name *l, struct names *s)
{
	char name[256];
	const char *key = name;

	if (l->whiteout)
		return 0;
	if (l->len >= sizeof(name))
		return -EIO;
	memcpy(name, l->name, l->len);
	name[l->len] = 0;
	if (s->n && bsearch(&key, s->v, s->n, sizeof(*s->v), compare_names))
		return 0;
	return layers_have_lower(u, n, name, l->len);
}

static int check_lower(
	struct union_fs *u, struct node *n, const struct lower_place *place, struct names *s)
{
	struct lower *l = u->config.lowers[place->layer];
	struct lower_name name;
	uint64_t pos = 0;
	int r;

	while ((r = l->ops->readdir(l, place->key, &pos, &name)) > 0) {
		r = is_seen(u, n, &name, s);
		if (r != 0)
			return r < 0 ? r : -ENOTEMPTY;
	}
	return r;
}

int dir_check_empty(struct union_fs *u, struct node *n)
{
	_cleanup_names_ struct names whiteouts = {0};
	int fd, r = 0;

	if (n->has_upper) {
		r = node_fd(u, n, &fd);
		if (r < 0)
			return r;
		r = list_whiteouts(fd, ".", &whiteouts);
		node_fd_put(u, n);
	}
	for (size_t i = 0; r == 0 && i < n->n_lowers; i++)
		r = check_lower(u, n, &n->lowers[i], &whiteouts);
	return r;
}

int dir_clear(int dirfd, const char *name)
{
	_cleanup_names_ struct names whiteouts = {0};
	_cleanup_close_ int fd = -1;
	int r = list_whiteouts(dirfd, name, &whiteouts);

	if (r < 0 || whiteouts.n == 0)
		return r;
	fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < whiteouts.n; i++)
		if (unlinkat(fd, whiteouts.v[i], 0) < 0 && errno != ENOENT)
			return -errno;
	return 0;
}

/* It stays in orphans/ for who is in it or has it open. */
static int keep_dir(struct change *c, struct node *n, const char *name, bool lower)
{
	int r = copy_up_at(c->u, n, c->dir, name, false, 0);

	if (r < 0)
		return r;
	n->rec->flags |= NODE_ORPHAN;
	r = upper_orphan_move(c->u->upper, c->fd, name, n->id, lower);
	if (r < 0)
		n->rec->flags &= ~(uint32_t)NODE_ORPHAN;
	return r;
}

/* Where it cannot be kept: on a full disk, or as it may not be moved to another directory by who
 * may not write to it. By way of scratch/, in one step; what stays there goes when the upper
 * directory is opened next. */
static int take_dir(struct change *c, const char *name, bool lower)
{
	struct upper *up = c->u->upper;
	_cleanup_draft_ struct draft d = {0};
	int r;

	if (!lower && unlinkat(c->fd, name, AT_REMOVEDIR) == 0)
		return 0;
	draft_begin(&d, up);
	r = lower ? upper_whiteout(up, up->scratch_fd, d.name, false) : 0;
	if (r < 0)
		return r;
	r = lower ? renameat2(up->scratch_fd, d.name, c->fd, name, RENAME_EXCHANGE)
		  : renameat(c->fd, name, up->scratch_fd, d.name);
	return r < 0 ? -errno : 0;
}

static int rmdir_node(struct change *c, struct node *n, const char *name)
{
	int lower = layers_have_lower(c->u, c->dir, name, strlen(name)), r;

	if (lower < 0)
		return lower;
	r = dir_check_empty(c->u, n);
	if (r < 0)
		return r;
	r = keep_dir(c, n, name, lower);
	if (r < 0)
		r = n->has_upper ? take_dir(c, name, lower)
				 : upper_whiteout(c->u->upper, c->fd, name, false);
	if (r == 0)
		node_name_drop(c->u, n, c->dir, name);
	return r;
}

int union_rmdir(struct union_fs *u, const struct union_op *op, uint64_t parent, const char *name)
{
	_cleanup_change_ struct change c = {0};
	_cleanup_node_ struct node_ref n = {.u = u};
	int r;

	r = change_check_name(name);
	if (r == 0)
		r = change_begin(u, op, parent, &c);
	if (r < 0)
		return r;
	r = node_lookup(u, c.dir, name, &n.n);
	if (r > 0)
		return removed_before(&c, name);
	if (r < 0)
		return r;
	if (!S_ISDIR(n.n->mode))
		return -ENOTDIR;
	pthread_mutex_lock(&n.n->lock);
	r = rmdir_node(&c, n.n, name);
	pthread_mutex_unlock(&n.n->lock);
	return r;
}

/* ---- one more name --------------------------------------------------------------------------- */
/* In place of a whiteout: made in scratch/ and renamed. */
static int link_over(struct change *c, int fd, const char *from, const char *name)
{
	struct upper *up = c->u->upper;
	_cleanup_draft_ struct draft d = {0};

	draft_begin(&d, up);
	if (linkat(fd, from, up->scratch_fd, d.name, 0) < 0 ||
		renameat(up->scratch_fd, d.name, c->fd, name) < 0)
		return -errno;
	d.name[0] = 0;
	return 0;
}

static int link_there(struct change *c, struct node *n, int fd, const char *from, const char *name)
{
	const int lower = layers_have_lower(c->u, c->dir, name, strlen(name));
	struct stat st;
	int r;

	if (lower < 0)
		return lower;
	if (!lower && linkat(fd, from, c->fd, name, 0) == 0)
		return 0;
	if (!lower && errno != EEXIST)
		return -errno;
	r = change_upper_stat(c->fd, name, &st);
	if (r != 0)
		return r < 0 ? r : -EEXIST;
	if (overlay_is_whiteout(&st))
		return link_over(c, fd, from, name);
	return c->op->resent && st.st_ino == n->rec->upper_ino ? 0 : -EEXIST;
}

static int link_node(struct change *c, struct node *n, const char *name)
{
	struct node *parent = NULL;
	char from[256];
	int fd, r;

	r = node_place(c->u, n, &fd, &parent, from);
	if (r < 0)
		return r;
	r = copy_links_own(c->u, n, fd, from);
	if (r == 0)
		r = node_name_announce(c->u, n, c->dir, name);
	if (r == 0) {
		r = link_there(c, n, fd, from, name);
		if (r == 0)
			node_name_set(c->u, n, c->dir, name, false);
		else if (r != -EEXIST)
			node_name_drop(c->u, n, c->dir, name);
	}
	node_place_done(c->u, parent);
	if (r == 0 && n->n_lowers)
		change_mark_impure(c->u, c->dir, c->fd);
	return r;
}

/* Before a directory is locked: files come to the upper directory where they are. */
static int bring_up(struct union_fs *u, uint64_t node)
{
	_cleanup_node_ struct node_ref n = {.u = u};
	int r;

	if (!u->upper)
		return -EROFS;
	pthread_rwlock_rdlock(&u->tree);
	r = node_get(u, node, &n.n);
	if (r == 0 && S_ISDIR(n.n->mode))
		r = -EPERM;
	if (r == 0) {
		pthread_mutex_lock(&n.n->lock);
		r = copy_up(u, n.n, true, UINT64_MAX);
		if (r == 0)
			r = data_before_rename(u, n.n);
		pthread_mutex_unlock(&n.n->lock);
	}
	node_ref_done(&n);
	n.n = NULL;
	pthread_rwlock_unlock(&u->tree);
	return r;
}

int union_link(struct union_fs *u, const struct union_op *op, uint64_t node, uint64_t parent,
	const char *name, struct union_entry *ret)
{
	_cleanup_change_ struct change c = {0};
	_cleanup_node_ struct node_ref n = {.u = u};
	int r = change_check_name(name);

	if (r == 0)
		r = bring_up(u, node);
	if (r == 0)
		r = change_begin(u, op, parent, &c);
	if (r == 0)
		r = node_get(u, node, &n.n);
	if (r < 0)
		return r;
	pthread_mutex_lock(&n.n->lock);
	r = link_node(&c, n.n, name);
	pthread_mutex_unlock(&n.n->lock);
	return r < 0 ? r : change_enter(&c, name, ret);
}
