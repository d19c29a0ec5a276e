/* SPDX-License-Identifier: Apache-2.0 */
#include "acl.h"
#include "node-table.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define XATTR_LIST_MAX 65536

/* What was found under a name is a node that the kernel knows from now on. */
static int lookup_in(
	struct union_fs *u, struct node *dir, const char *name, struct union_entry *ret)
{
	const size_t len = strlen(name);
	struct stat raw;
	struct node *n;
	int r;

	do {
		_cleanup_found_ struct found f = {0};

		r = layers_find(u, dir, name, len, &f);
		raw = f.stat;
		if (r == 0)
			r = node_find(u, dir, name, len, &f, &n);
	} while (r == -EAGAIN);
	if (r)
		return r;
	node_stat_show(u, n, &raw);
	*ret = (struct union_entry){.node = n->id, .st = raw};
	node_put(u, n);
	return 0;
}

int union_lookup(struct union_fs *u, uint64_t parent, const char *name, struct union_entry *ret)
{
	_cleanup_node_ struct node_ref dir = {.u = u};
	int r;

	pthread_rwlock_rdlock(&u->tree);
	r = node_get(u, parent, &dir.n);
	if (r == 0 && !S_ISDIR(dir.n->mode))
		r = -ENOTDIR;
	if (r == 0 && dir.n != u->root && !dir.n->parent)
		r = 1;
	if (r == 0) {
		pthread_mutex_lock(&dir.n->lock);
		r = lookup_in(u, dir.n, name, ret);
		pthread_mutex_unlock(&dir.n->lock);
	}
	pthread_rwlock_unlock(&u->tree);
	return r;
}

void union_forget(struct union_fs *u, uint64_t node, uint64_t n)
{
	nodes_forget(u, node, n);
}

int union_getattr(struct union_fs *u, uint64_t node, struct stat *ret)
{
	_cleanup_node_ struct node_ref n = {.u = u};
	int r = node_get(u, node, &n.n);

	return r < 0 ? r : node_stat(u, n.n, ret);
}

static int readlink_upper(struct union_fs *u, struct node *n, char *p, size_t size, size_t *ret_n)
{
	struct node *parent;
	char name[256];
	int dirfd, r = node_place(u, n, &dirfd, &parent, name);
	ssize_t k;

	if (r < 0)
		return r;
	k = readlinkat(dirfd, name, p, size);
	r = k < 0 ? -errno : 0;
	node_place_done(u, parent);
	if (r == 0)
		*ret_n = (size_t)k;
	return r;
}

int union_readlink(struct union_fs *u, uint64_t node, char *p, size_t size, size_t *ret_n)
{
	_cleanup_node_ struct node_ref n = {.u = u};
	int r = node_get(u, node, &n.n);

	if (r < 0 || !S_ISLNK(n.n->mode))
		return r < 0 ? r : -EINVAL;
	if (n.n->has_upper)
		return readlink_upper(u, n.n, p, size, ret_n);
	return node_lower(u, n.n)->ops->readlink(
		node_lower(u, n.n), n.n->lowers[0].key, p, size, ret_n);
}

/* ---- xattrs -----------------------------------------------------------------------------------
 */

static bool is_private(const struct union_fs *u, const char *name)
{
	return overlay_xattr_is_private(name, u->upper && u->upper->user);
}

/* Where to ask for a node's xattrs in the upper directory: name "" is *ret_fd itself. */
static int xattr_place(struct union_fs *u, struct node *n, int *ret_fd, struct node **ret_user,
	bool *ret_fd_only, char name[256])
{
	int r;

	*ret_fd_only = n->fd >= 0 || S_ISDIR(n->mode);
	if (!*ret_fd_only)
		return node_place(u, n, ret_fd, ret_user, name);
	r = node_fd(u, n, ret_fd);
	*ret_user = n;
	name[0] = '\0';
	return r;
}

static void xattr_place_done(struct union_fs *u, struct node *user, bool fd_only)
{
	if (fd_only)
		node_fd_put(u, user);
	else
		node_place_done(u, user);
}

static int get_xattr(
	struct union_fs *u, uint64_t node, const char *name, void *p, size_t size, size_t *ret_n)
{
	_cleanup_node_ struct node_ref n = {.u = u};
	struct node *user;
	char at[256];
	bool fd_only;
	int fd, r = node_get(u, node, &n.n);

	if (r < 0 || is_private(u, name))
		return r < 0 ? r : -ENODATA;
	if (!n.n->has_upper) {
		if (!n.n->n_lowers)
			return -ENODATA;
		return node_lower(u, n.n)->ops->getxattr(
			node_lower(u, n.n), n.n->lowers[0].key, name, p, size, ret_n);
	}
	if (data_is_capability(n.n, name) && n.n->privileges & NODE_NO_CAPABILITY)
		return -ENODATA; /* the kernel asks before each first write */
	r = xattr_place(u, n.n, &fd, &user, &fd_only, at);
	if (r < 0)
		return r;
	r = data_is_capability(n.n, name) ? data_get_capability(u, n.n, fd, at, p, size, ret_n)
					  : upper_getxattr(fd, at, name, p, size, ret_n);
	xattr_place_done(u, user, fd_only);
	return r;
}

/* A write has it in a mark meanwhile, or did when it was killed. */
static bool capability_is_away(const struct union_fs *u, const char *list, size_t n)
{
	const char *mark = overlay_xattr_name(OVERLAY_CAPABILITY, u->upper->user);

	return memmem(list, n, mark, strlen(mark) + 1);
}

int union_getxattr(
	struct union_fs *u, uint64_t node, const char *name, void *p, size_t size, size_t *ret_n)
{
	int r = get_xattr(u, node, name, p, size, ret_n);

	if (r == 0 && size && acl_is(name) && (u->config.uids || u->config.gids))
		acl_ids_out(p, *ret_n, u->config.uids, u->config.gids);
	return r;
}

static int list_upper(struct union_fs *u, struct node *n, char *p, size_t size, size_t *ret_n)
{
	struct node *user;
	char at[256];
	bool fd_only;
	size_t value_n;
	int fd, r = xattr_place(u, n, &fd, &user, &fd_only, at);

	if (r < 0)
		return r;
	r = upper_listxattr(fd, at, p, size, ret_n);
	if (r == 0 && capability_is_away(u, p, *ret_n) &&
		data_get_capability(u, n, fd, at, NULL, 0, &value_n) == 0)
		r = upper_listxattr(fd, at, p, size, ret_n);
	xattr_place_done(u, user, fd_only);
	return r;
}

/* Of the `n` bytes of names at `p`, those that are shown, moved together. */
static size_t drop_private(const struct union_fs *u, char *p, size_t n)
{
	size_t kept = 0;

	for (size_t at = 0; at < n;) {
		size_t len = strnlen(p + at, n - at) + 1;

		if (at + len > n)
			break;
		if (!is_private(u, p + at)) {
			memmove(p + kept, p + at, len);
			kept += len;
		}
		at += len;
	}
	return kept;
}

int union_listxattr(struct union_fs *u, uint64_t node, char *p, size_t size, size_t *ret_n)
{
	_cleanup_node_ struct node_ref n = {.u = u};
	_cleanup_free_ char *all = NULL;
	size_t total = 0;
	int r = node_get(u, node, &n.n);

	if (r < 0)
		return r;
	all = malloc(XATTR_LIST_MAX);
	if (!all)
		return -ENOMEM;
	if (n.n->has_upper)
		r = list_upper(u, n.n, all, XATTR_LIST_MAX, &total);
	else if (n.n->n_lowers)
		r = node_lower(u, n.n)->ops->listxattr(
			node_lower(u, n.n), n.n->lowers[0].key, all, XATTR_LIST_MAX, &total);
	if (r < 0)
		return r;
	total = drop_private(u, all, total);
	if (size && total > size)
		return -ERANGE;
	if (size)
		memcpy(p, all, total);
	*ret_n = total;
	return 0;
}
