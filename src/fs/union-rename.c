/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renaming. Everything that is needed comes to the upper directory first, and directories get
 * their marks where they are (an opaque or redirected directory shows the same under its old name);
 * then one rename(2) there, which may leave a whiteout (RENAME_WHITEOUT).
 */
#include "change.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>

struct side {
	struct node *dir;
	int fd;
	const char *name;
	struct node *n;         /* what is called so; NULL: nothing */
	bool lower;             /* the lower layers have something of this name */
	struct parting parting; /* of a file that is replaced */
	bool held;
};

struct moving {
	struct union_fs *u;
	const struct union_op *op;
	struct side a, b; /* a's node is to be where b is */
	bool exchange;
	bool locked;
	bool kept; /* of the directory that is replaced, a copy is in orphans/ */
	struct stat copy;
};

/* ---- the two sides --------------------------------------------------------------------------- */
static int side_begin(struct union_fs *u, uint64_t dir, struct side *s)
{
	int r = node_get(u, dir, &s->dir);

	if (r == 0 && !S_ISDIR(s->dir->mode))
		r = -ENOTDIR;
	if (r == 0)
		r = copy_up_dir(u, s->dir);
	if (r == 0 && s->dir != u->root && !s->dir->parent)
		r = -ENOENT;
	if (r == 0)
		r = node_fd(u, s->dir, &s->fd);
	s->held = r == 0;
	return r;
}

static void side_done(struct union_fs *u, struct side *s)
{
	if (s->n)
		node_put(u, s->n);
	if (s->held)
		node_fd_put(u, s->dir);
	if (s->dir)
		node_put(u, s->dir);
	s->n = s->dir = NULL;
	s->held = false;
}

static void lock_dirs(struct moving *m)
{
	struct node *x = m->a.dir, *y = m->b.dir;

	pthread_mutex_lock(x->id <= y->id ? &x->lock : &y->lock);
	if (x != y)
		pthread_mutex_lock(x->id <= y->id ? &y->lock : &x->lock);
}

static void moving_done(struct moving *m)
{
	if (!m->u)
		return;
	if (m->locked) {
		pthread_mutex_unlock(&m->a.dir->lock);
		if (m->b.dir != m->a.dir)
			pthread_mutex_unlock(&m->b.dir->lock);
	}
	side_done(m->u, &m->a);
	side_done(m->u, &m->b);
	pthread_rwlock_unlock(&m->u->tree);
	m->u = NULL;
}
#define _cleanup_moving_ _cleanup_(moving_done)

static int side_look(struct union_fs *u, struct side *s)
{
	int r = node_lookup(u, s->dir, s->name, &s->n);

	if (r < 0)
		return r;
	r = layers_have_lower(u, s->dir, s->name, strlen(s->name));
	s->lower = r > 0;
	return r < 0 ? r : 0;
}

static int moving_begin(
	struct moving *m, struct union_fs *u, uint64_t from, uint64_t to, bool alone)
{
	int r;

	if (alone)
		pthread_rwlock_wrlock(&u->tree);
	else
		pthread_rwlock_rdlock(&u->tree);
	m->u = u;
	r = side_begin(u, from, &m->a);
	if (r == 0)
		r = side_begin(u, to, &m->b);
	if (r < 0)
		return r;
	lock_dirs(m);
	m->locked = true;
	r = side_look(u, &m->a);
	return r < 0 ? r : side_look(u, &m->b);
}

static bool moves_dir(const struct moving *m)
{
	return (m->a.n && S_ISDIR(m->a.n->mode)) || (m->b.n && S_ISDIR(m->b.n->mode));
}

/* ---- whether it may be ----------------------------------------------------------------------- */
static bool is_below(const struct node *n, const struct node *above)
{
	for (; n; n = n->parent)
		if (n == above)
			return true;
	return false;
}

/* 1 = nothing has to be done. */
static int moving_check(const struct moving *m, unsigned int flags)
{
	const struct node *a = m->a.n, *b = m->b.n;

	if (!a)
		return m->op->resent && !m->exchange ? 1 : -ENOENT;
	if (a == b)
		return 1;
	if (b && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (!b && m->exchange)
		return -ENOENT;
	if (S_ISDIR(a->mode) && is_below(m->b.dir, a))
		return -EINVAL;
	if (b && S_ISDIR(b->mode) && is_below(m->a.dir, b))
		return m->exchange ? -EINVAL : -ENOTEMPTY;
	if (!b || m->exchange)
		return 0;
	if (S_ISDIR(a->mode) && !S_ISDIR(b->mode))
		return -ENOTDIR;
	return !S_ISDIR(a->mode) && S_ISDIR(b->mode) ? -EISDIR : 0;
}

/* ---- directories' marks ---------------------------------------------------------------------- */
static int join(const char *dir, const char *name, char **ret)
{
	return asprintf(ret, "%s/%s", dir, name) < 0 ? -ENOMEM : 0;
}

static int redirect_of(struct union_fs *u, struct node *n, char **ret)
{
	bool opaque;
	int fd, r;

	*ret = NULL;
	if (!n->has_upper)
		return 0;
	r = node_fd(u, n, &fd);
	if (r < 0)
		return r;
	r = upper_dir_marks(u->upper, fd, ".", &opaque, ret);
	node_fd_put(u, n);
	return r;
}

/* A directory's path in the lower layers, as overlayfs looks for it: "" is the root. */
static int lower_path(struct union_fs *u, struct node *n, char **ret)
{
	_cleanup_free_ char *path = NULL;

	for (; n != u->root; n = n->parent) {
		_cleanup_free_ char *redirect = NULL;
		char *longer;
		int r;

		if (!n->parent)
			return -ENOENT;
		r = redirect_of(u, n, &redirect);
		if (r < 0)
			return r;
		if (redirect && redirect[0] == '/')
			r = asprintf(&longer, "%s%s", redirect, path ? path : "");
		else
			r = asprintf(
				&longer, "/%s%s", redirect ? redirect : n->name, path ? path : "");
		if (r < 0)
			return -ENOMEM;
		free(path);
		path = longer;
		if (redirect && redirect[0] == '/')
			break;
	}
	*ret = path ? TAKE_PTR(path) : strdup("");
	return *ret ? 0 : -ENOMEM;
}

/* Within its directory the old name alone will do. */
static int set_redirect(struct union_fs *u, const struct side *s, const struct node *to)
{
	_cleanup_free_ char *old = NULL, *dir = NULL, *path = NULL;
	int r = redirect_of(u, s->n, &old);

	if (r < 0 || (old && (old[0] == '/' || to == s->dir)))
		return r;
	if (to == s->dir)
		return upper_set_redirect(u->upper, s->fd, s->name, s->name);
	r = lower_path(u, s->dir, &dir);
	if (r == 0)
		r = join(dir, old ? old : s->name, &path);
	return r < 0 ? r : upper_set_redirect(u->upper, s->fd, s->name, path);
}

/* So that it shows the same things when it lies where `to` is. */
static int mark_dir(struct union_fs *u, const struct side *s, const struct side *to)
{
	if (s->n->n_lowers)
		return set_redirect(u, s, to->dir);
	return to->lower ? upper_set_opaque(u->upper, s->fd, s->name) : 0;
}

/* ---- preparing ------------------------------------------------------------------------------- */
/* What moves is in the upper directory, under the name that it has here. */
static int prepare(struct moving *m, const struct side *s, const struct side *to)
{
	struct union_fs *u = m->u;
	const bool dir = S_ISDIR(s->n->mode);
	int r;

	if (dir && s->n->n_lowers && !u->config.redirect)
		return -EXDEV;
	pthread_mutex_lock(&s->n->lock);
	r = copy_up_at(u, s->n, s->dir, s->name, true, UINT64_MAX);
	if (r == 0)
		r = data_before_rename(u, s->n);
	pthread_mutex_unlock(&s->n->lock);
	if (r == 0 && dir)
		r = mark_dir(u, s, to);
	if (r == 0 && s->n->n_lowers && s->dir != to->dir)
		change_mark_impure(u, to->dir, to->fd);
	return r;
}

/* An empty directory that shows nothing because of whiteouts: they go, when it is opaque. */
static int clear_dir(struct moving *m)
{
	struct side *b = &m->b;
	int r = dir_check_empty(m->u, b->n);

	if (r < 0 || !b->n->has_upper)
		return r;
	if (b->n->n_lowers)
		r = upper_set_opaque(m->u->upper, b->fd, b->name);
	return r < 0 ? r : dir_clear(b->fd, b->name);
}

/* For who is in it or has it open, there is a copy of a directory that is replaced. Without, it
 * loses its attributes only. */
static void keep_dir(struct moving *m)
{
	struct side *b = &m->b;

	m->kept = upper_orphan_copy_dir(m->u->upper, b->fd, b->name, b->n->id, &m->copy) == 0;
	if (m->kept)
		b->n->rec->flags |= NODE_ORPHAN;
}

static int prepare_dir(struct moving *m)
{
	struct side *b = &m->b;
	int r = copy_up_at(m->u, b->n, b->dir, b->name, false, 0);

	(void)r; /* a lower directory can be replaced all the same */
	r = clear_dir(m);
	if (r == 0 && b->n->has_upper)
		keep_dir(m);
	return r;
}

/* What is replaced stays for who has it open. */
static int keep_file(struct moving *m)
{
	struct side *b = &m->b;
	int r = part_begin(m->u, b->n, b->dir, b->fd, b->name, &b->parting);

	if (r < 0 || !b->parting.in_upper || b->parting.was_orphan)
		return r;
	r = upper_orphan_link(m->u->upper, b->fd, b->name, b->n->id);
	if (r < 0)
		part_undo(&b->parting);
	return r;
}

static int prepare_replaced(struct moving *m)
{
	return S_ISDIR(m->b.n->mode) ? prepare_dir(m) : keep_file(m);
}

/* ---- the rename ------------------------------------------------------------------------------ */
static int rename_dir_over(struct moving *m, bool whiteout_there)
{
	const struct side *a = &m->a, *b = &m->b;

	if (!whiteout_there)
		return renameat2(a->fd, a->name, b->fd, b->name, a->lower ? RENAME_WHITEOUT : 0);
	if (renameat2(a->fd, a->name, b->fd, b->name, RENAME_EXCHANGE) < 0)
		return -1;
	if (!a->lower) /* one whiteout too many does no harm */
		unlinkat(a->fd, a->name, 0);
	return 0;
}

static int rename_upper(struct moving *m)
{
	const struct side *a = &m->a, *b = &m->b;
	struct stat st;
	int r = 1;

	if (m->exchange)
		r = renameat2(a->fd, a->name, b->fd, b->name, RENAME_EXCHANGE);
	else if (!S_ISDIR(a->n->mode))
		r = renameat2(a->fd, a->name, b->fd, b->name, a->lower ? RENAME_WHITEOUT : 0);
	if (r <= 0)
		return r < 0 ? -errno : 0;
	r = change_upper_stat(b->fd, b->name, &st);
	if (r < 0)
		return r;
	return rename_dir_over(m, r == 0 && overlay_is_whiteout(&st)) < 0 ? -errno : 0;
}

/* For an exchange that comes again: whether what was noted is still where it was. 1 = not. */
static int note(struct moving *m)
{
	struct stat st;
	uint64_t ino;
	int r = change_upper_stat(m->a.fd, m->a.name, &st);

	if (r < 0)
		return r;
	if (m->op->resent && session_note_find(m->u->session, m->op->unique, &ino) == 0)
		return r > 0 || st.st_ino != ino;
	if (r == 0)
		session_note(m->u->session, m->op->unique, st.st_ino);
	return 0;
}

static int announce(struct moving *m)
{
	int r = node_name_announce(m->u, m->a.n, m->b.dir, m->b.name);

	if (r == 0 && m->exchange)
		r = node_name_announce(m->u, m->b.n, m->a.dir, m->a.name);
	return r;
}

/* A file that was linked to orphans/ stays one: it has a link more, which is not counted. */
static void retract(struct moving *m)
{
	if (m->kept) {
		m->b.n->rec->flags &= ~(uint32_t)NODE_ORPHAN;
		upper_orphan_remove(m->u->upper, m->b.n->id);
	}
	if (m->b.parting.n && !m->b.parting.in_upper)
		part_undo(&m->b.parting);
	node_name_drop(m->u, m->a.n, m->b.dir, m->b.name);
	if (m->exchange)
		node_name_drop(m->u, m->b.n, m->a.dir, m->a.name);
}

static void settle(struct moving *m)
{
	if (m->kept) {
		node_set_upper(m->u, m->b.n, &m->copy);
		node_fd_drop(m->u, m->b.n);
	}
	if (m->b.n && !m->exchange) {
		if (S_ISDIR(m->b.n->mode))
			node_name_drop(m->u, m->b.n, m->b.dir, m->b.name);
		else
			part_done(m->u, &m->b.parting, m->b.dir, m->b.name);
	}
	node_name_set(m->u, m->a.n, m->b.dir, m->b.name, true);
	node_name_drop(m->u, m->a.n, m->a.dir, m->a.name);
	if (!m->exchange)
		return;
	node_name_set(m->u, m->b.n, m->a.dir, m->a.name, true);
	node_name_drop(m->u, m->b.n, m->b.dir, m->b.name);
}

static int move_locked(struct moving *m)
{
	int r = m->b.n && !m->exchange ? prepare_replaced(m) : 0;

	if (r == 0)
		r = announce(m);
	if (r < 0)
		return r;
	r = rename_upper(m);
	if (r == 0)
		settle(m);
	else
		retract(m);
	return r;
}

/* Both files, locked: what one of them is must not change between the steps. */
static int move_nodes(struct moving *m)
{
	struct node *x = m->a.n, *y = m->b.n;
	int r;

	if (y && y->id < x->id) {
		x = m->b.n;
		y = m->a.n;
	}
	pthread_mutex_lock(&x->lock);
	if (y)
		pthread_mutex_lock(&y->lock);
	r = move_locked(m);
	if (y)
		pthread_mutex_unlock(&y->lock);
	pthread_mutex_unlock(&x->lock);
	return r;
}

static int move(struct moving *m, unsigned int flags)
{
	int r = 0;

	if (m->exchange && m->a.n && m->b.n && m->op->resent) {
		r = note(m);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	r = moving_check(m, flags);
	if (r > 0 && !m->a.n)
		node_name_gone(m->u, m->a.dir, m->a.name);
	if (r != 0)
		return r < 0 ? r : 0;
	r = prepare(m, &m->a, &m->b);
	if (r == 0 && m->exchange)
		r = prepare(m, &m->b, &m->a);
	if (r == 0 && m->exchange && !m->op->resent)
		r = note(m);
	return r < 0 ? r : move_nodes(m);
}

int union_rename(struct union_fs *u, const struct union_op *op, uint64_t from, const char *name,
	uint64_t to, const char *new_name, unsigned int flags)
{
	_cleanup_moving_ struct moving m = {0};
	bool alone = from != to;
	int r;

	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	r = change_check_name(name);
	if (r == 0)
		r = change_check_name(new_name);
	if (r < 0)
		return r;
	if (!u->upper)
		return -EROFS;
	for (;; alone = true) {
		m = (struct moving){.op = op,
			.a.name = name,
			.b.name = new_name,
			.exchange = flags & RENAME_EXCHANGE};
		r = moving_begin(&m, u, from, to, alone);
		if (r < 0)
			return r;
		if (alone || !moves_dir(&m))
			return move(&m, flags);
		moving_done(&m);
	}
}
