/* SPDX-License-Identifier: Apache-2.0 */
/* Where nodes are in the upper directory, and their descriptors. */
#include "node-table.h"
#include "util/array.h"
#include "util/buf.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>

/* A rename may be under way: between its being done and our knowing of it, no name is true. */
#define TRIES 200

/* ---- the descriptors that are open ------------------------------------------------------------
 */

void fd_forget(struct node_table *t, struct node *n)
{
	struct node *last;

	if (n->fd < 0)
		return;
	last = t->open[--t->n_open];
	t->open[n->fd_at] = last;
	last->fd_at = n->fd_at;
}

/* Takes one that was not used since the hand last came by from its node; -1: all are in use. */
static int take_old(struct node_table *t)
{
	for (uint32_t tries = 2 * t->n_open; tries; tries--) {
		struct node *n = t->open[t->hand++ % t->n_open];
		int fd = n->fd;

		if (!n->fd_users && !n->fd_recent) {
			fd_forget(t, n);
			n->fd = -1;
			return fd;
		}
		if (!n->fd_users)
			n->fd_recent = false;
	}
	return -1;
}

/* With the lock: takes `fd` over. *ret_close is to be closed without it. */
static int fd_insert(struct node_table *t, struct node *n, int fd, int *ret_close)
{
	static const uint32_t step = 64;

	*ret_close = t->n_open >= t->open_max ? take_old(t) : -1;
	if (t->n_open % step == 0) {
		struct node **v = reallocarray(t->open, t->n_open + step, sizeof(struct node *));

		if (!v)
			return -ENOMEM;
		t->open = v;
	}
	n->fd_at = t->n_open;
	t->open[t->n_open++] = n;
	n->fd = fd;
	return 0;
}

static int install(struct union_fs *u, struct node *n, int fd, bool use, int *ret_fd)
{
	struct node_table *t = u->nodes;
	int old = -1, r = 0;

	pthread_mutex_lock(&t->lock);
	if (n->fd >= 0)
		old = fd; /* somebody was quicker */
	else
		r = fd_insert(t, n, fd, &old);
	if (r == 0) {
		n->fd_users += use;
		n->fd_recent = true;
		if (ret_fd)
			*ret_fd = n->fd;
	}
	pthread_mutex_unlock(&t->lock);
	if (old >= 0)
		close(old);
	if (r < 0)
		close(fd);
	return r;
}

void node_fd_give(struct union_fs *u, struct node *n, int fd)
{
	(void)!install(u, n, fd, false, NULL);
}

void node_fd_put(struct union_fs *u, struct node *n)
{
	if (n == u->root)
		return;
	pthread_mutex_lock(&u->nodes->lock);
	n->fd_users--;
	pthread_mutex_unlock(&u->nodes->lock);
}

void node_fd_drop(struct union_fs *u, struct node *n)
{
	int fd = -1;

	pthread_mutex_lock(&u->nodes->lock);
	if (n->fd >= 0 && !n->fd_users) {
		fd_forget(u->nodes, n);
		fd = n->fd;
		n->fd = -1;
	}
	pthread_mutex_unlock(&u->nodes->lock);
	if (fd >= 0)
		close(fd);
}

/* ---- directories ------------------------------------------------------------------------------
 */

/* The way from a directory that is open down to one that is not. */
struct way {
	struct node *from; /* its descriptor is in use by us; referenced */
	int fd;
	struct buf names; /* the last first, each with its NUL */
	size_t *at;
	size_t n, room;
};

static void way_done(struct union_fs *u, struct way *w)
{
	if (w->from) {
		node_fd_put(u, w->from);
		node_put(u, w->from);
	}
	buf_done(&w->names);
	free(w->at);
}

static int way_add(struct way *w, const char *name)
{
	int r = array_room(&w->at, w->n, &w->room, sizeof(*w->at));

	if (r < 0)
		return r;
	w->at[w->n++] = w->names.n;
	return buf_add(&w->names, name, strlen(name) + 1);
}

static int find_way(struct union_fs *u, struct node *n, struct way *w)
{
	struct node_table *t = u->nodes;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	while (r == 0 && n != u->root && n->fd < 0) {
		if (!n->parent)
			r = -ENOENT; /* it was removed */
		else
			r = way_add(w, n->name);
		n = n->parent;
	}
	if (r == 0) {
		w->from = n;
		node_ref(t, n);
		w->fd = n == u->root ? u->upper->fd : n->fd;
		n->fd_users += n != u->root;
		n->fd_recent = true;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

static int open_way(const struct way *w, int *ret)
{
	int fd = w->fd;

	for (size_t i = w->n; i-- > 0;) {
		int next = openat(fd, (char *)w->names.p + w->at[i],
			O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int r = -errno;

		if (fd != w->fd)
			close(fd);
		if (next < 0)
			return r;
		fd = next;
	}
	*ret = fd;
	return 0;
}

static bool is_file(const struct node *n, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == n->rec->upper_ino;
}

/* 1 = it was not found, which may be as it was just moved. */
static int open_dir(struct union_fs *u, struct node *n, int *ret)
{
	_cleanup_close_ int fd = -1;
	struct way w = {0};
	int r = find_way(u, n, &w);

	if (r == 0)
		r = open_way(&w, &fd);
	if (r == 0 && fd == w.fd) { /* it was opened meanwhile */
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		r = fd < 0 ? -errno : 0;
	}
	way_done(u, &w);
	if (r < 0)
		return n->parent && (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) ? 1 : r;
	if (!is_file(n, fd))
		return 1;
	*ret = TAKE_FD(fd);
	return 0;
}

/* ---- places -----------------------------------------------------------------------------------
 */

/* The k-th name of a node: 0 the one it was last found by. *ret_parent is to be put, unless it is
 * not loaded: then NULL. 1 = there are no more. */
static int nth_name(struct union_fs *u, struct node *n, unsigned int k, struct node **ret_parent,
	uint32_t *ret_id, char ret[256])
{
	struct node_table *t = u->nodes;
	struct session_name m = {0};
	uint64_t at = 0;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	if (k == 0 && n->name)
		m = (struct session_name){.parent = n->parent->id, .name = n->name};
	for (unsigned int i = 0; k && i < k && r == 0; i++)
		r = session_name_next(u->session, n->id, &at, &m) == 1 ? 0 : 1;
	*ret_parent = NULL;
	if (r == 0 && m.name) {
		strcpy(ret, m.name);
		*ret_id = m.parent;
		*ret_parent = slot_of(t, m.parent)->node;
		if (*ret_parent)
			node_ref(t, *ret_parent);
	}
	pthread_mutex_unlock(&t->lock);
	return r == 0 && !m.name ? 2 : r;
}

/* Whether the file lies at dirfd/name. 1 = it does not. */
static int is_at(const struct node *n, int dirfd, const char *name, struct stat *ret)
{
	if (fstatat(dirfd, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 1 : -errno;
	return ret->st_ino == n->rec->upper_ino ? 0 : 1;
}

/* From now on this is where the node is looked for first. */
static void remember_place(
	struct union_fs *u, struct node *n, struct node *parent, const char *name)
{
	struct node_table *t = u->nodes;
	struct node *old = NULL;
	const char *m;

	pthread_mutex_lock(&t->lock);
	m = find_name(u, n->id, parent->id, name, strlen(name));
	if (m && m != n->name) {
		node_ref(t, parent);
		old = set_place(n, parent, m);
	}
	pthread_mutex_unlock(&t->lock);
	node_put(u, old);
}

static int try_name(struct union_fs *u, struct node *n, unsigned int k, int *ret_fd,
	struct node **ret_parent, char ret_name[256], struct stat *ret)
{
	struct node *parent;
	uint32_t id = 0;
	int r = nth_name(u, n, k, &parent, &id, ret_name);

	if (r)
		return r;
	if (!parent && node_get(u, id, &parent) < 0)
		return 2;
	r = parent->has_upper ? node_fd(u, parent, ret_fd) : 2;
	if (r) {
		node_put(u, parent);
		return r == -ENOENT ? 2 : r;
	}
	r = is_at(n, *ret_fd, ret_name, ret);
	if (r) {
		node_place_done(u, parent);
		return r < 0 ? r : 2;
	}
	if (k)
		remember_place(u, n, parent, ret_name);
	*ret_parent = parent;
	return 0;
}

/* As node_place; 1 = nowhere. */
static int try_names(struct union_fs *u, struct node *n, int *ret_fd, struct node **ret_parent,
	char ret_name[256], struct stat *ret)
{
	int r = 2;

	for (unsigned int k = 0; r == 2; k++)
		r = try_name(u, n, k, ret_fd, ret_parent, ret_name, ret);
	return r;
}

static int try_orphans(struct union_fs *u, struct node *n, char ret_name[256], struct stat *ret)
{
	if (!(n->rec->flags & NODE_ORPHAN))
		return 1;
	upper_number_name(n->id, ret_name);
	return is_at(n, u->upper->orphans_fd, ret_name, ret);
}

static int try_index(struct union_fs *u, struct node *n, char ret_name[256], struct stat *ret)
{
	char name[UPPER_INDEX_NAME_SIZE];
	struct overlay_origin o;
	int r;

	if (S_ISDIR(n->mode) || !n->n_lowers)
		return 1;
	r = node_lower(u, n)->ops->origin(node_lower(u, n), n->lowers[0].key, &o);
	if (r == 0)
		r = upper_index_stat(u->upper, &o, ret);
	if (r)
		return r;
	if (ret->st_ino != n->rec->upper_ino || o.size * 2 > 255)
		return 1;
	strcpy(ret_name, upper_index_name(&o, name));
	return 0;
}

int node_place_stat(struct union_fs *u, struct node *n, int *ret_fd, struct node **ret_parent,
	char ret_name[256], struct stat *ret)
{
	int r = 1;

	if (n->id == UNION_ROOT) {
		*ret_parent = NULL;
		*ret_fd = u->upper->fd;
		strcpy(ret_name, ".");
		return fstatat(*ret_fd, ".", ret, 0) < 0 ? -errno : 0;
	}
	for (unsigned int i = 0; r == 1 && i < TRIES; i++) {
		*ret_parent = NULL;
		if (i)
			sched_yield();
		*ret_fd = u->upper->orphans_fd;
		r = try_orphans(u, n, ret_name, ret);
		if (r == 1)
			r = try_names(u, n, ret_fd, ret_parent, ret_name, ret);
		if (r == 1) {
			*ret_fd = u->upper->index_fd;
			r = try_index(u, n, ret_name, ret);
		}
		if (r == 1 && !n->rec->names && !(n->rec->flags & NODE_ORPHAN))
			break;
	}
	return r == 1 ? -ESTALE : r;
}

int node_place(struct union_fs *u, struct node *n, int *ret_fd, struct node **ret_parent,
	char ret_name[256])
{
	struct stat st;

	return node_place_stat(u, n, ret_fd, ret_parent, ret_name, &st);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static int open_file(struct union_fs *u, struct node *n, int *ret)
{
	_cleanup_close_ int fd = -1;
	struct node *parent;
	char name[256];
	int dirfd, r = node_place(u, n, &dirfd, &parent, name);

	if (r < 0)
		return r;
	if (!S_ISREG(n->mode)) {
		fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	} else {
		fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS))
			fd = openat(dirfd, name,
				O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	}
	r = fd < 0 ? -errno : 0;
	node_place_done(u, parent);
	if (r < 0)
		return r == -ENOENT ? 1 : r;
	if (!is_file(n, fd))
		return 1;
	*ret = TAKE_FD(fd);
	return 0;
}

int node_fd(struct union_fs *u, struct node *n, int *ret_fd)
{
	struct node_table *t = u->nodes;
	/* A removed one is found as files are. */
	const bool is_dir = S_ISDIR(n->mode) && !(n->rec->flags & NODE_ORPHAN);
	int fd = -1, r = 1;

	if (n == u->root) {
		*ret_fd = u->upper->fd;
		return 0;
	}
	pthread_mutex_lock(&t->lock);
	fd = n->fd;
	if (fd >= 0) {
		n->fd_users++;
		n->fd_recent = true;
	}
	pthread_mutex_unlock(&t->lock);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	for (unsigned int i = 0; r == 1 && i < TRIES; i++) {
		if (i)
			sched_yield();
		r = is_dir ? open_dir(u, n, &fd) : open_file(u, n, &fd);
	}
	if (r)
		return r == 1 ? -ESTALE : r;
	return install(u, n, fd, true, ret_fd);
}
