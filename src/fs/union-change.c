/* SPDX-License-Identifier: Apache-2.0 */
#include "change.h"

#include <fcntl.h>
#include <limits.h>

int change_begin(struct union_fs *u, const struct union_op *op, uint64_t dir, struct change *ret)
{
	struct change c = {.u = u, .op = op};
	int r;

	if (!u->upper)
		return -EROFS;
	pthread_rwlock_rdlock(&u->tree);
	r = node_get(u, dir, &c.dir);
	if (r == 0 && !S_ISDIR(c.dir->mode))
		r = -ENOTDIR;
	if (r == 0)
		r = copy_up_dir(u, c.dir);
	if (r == 0 && c.dir != u->root && !c.dir->parent)
		r = -ENOENT;
	if (r == 0)
		r = node_fd(u, c.dir, &c.fd);
	if (r < 0) {
		if (c.dir)
			node_put(u, c.dir);
		pthread_rwlock_unlock(&u->tree);
		return r;
	}
	pthread_mutex_lock(&c.dir->lock);
	c.begun = true;
	*ret = c;
	return 0;
}

void change_done(struct change *c)
{
	if (!c->begun)
		return;
	pthread_mutex_unlock(&c->dir->lock);
	node_fd_put(c->u, c->dir);
	node_put(c->u, c->dir);
	pthread_rwlock_unlock(&c->u->tree);
}

int change_check_name(const char *name)
{
	const size_t n = strlen(name);

	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	return n == 0 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0
		       ? -EINVAL
		       : 0;
}

int change_upper_stat(int fd, const char *name, struct stat *ret)
{
	if (fstatat(fd, name, ret, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return errno == ENOENT ? 1 : -errno;
}

int change_ids(const struct union_fs *u, const struct union_op *op, uid_t *ret_uid, gid_t *ret_gid)
{
	*ret_uid = u->config.squash_uid ? u->upper->uid : id_in(u->config.uids, op->uid);
	*ret_gid = u->config.squash_gid ? u->upper->gid : id_in(u->config.gids, op->gid);
	return *ret_uid == (uid_t)-1 || *ret_gid == (gid_t)-1 ? -EOVERFLOW : 0;
}

void draft_begin(struct draft *d, struct upper *up)
{
	d->up = up;
	upper_scratch_name(up, d->name);
}

void draft_done(struct draft *d)
{
	if (d->up && d->name[0])
		upper_scratch_drop(d->up, d->name);
	d->name[0] = 0;
}

void change_mark_impure(struct union_fs *u, struct node *dir, int fd)
{
	if (dir->n_lowers == 0 || dir == u->root) {
		const int r = upper_mark_set(u->upper, fd, ".", OVERLAY_IMPURE, "y", 1);

		(void)r; /* see change.h */
	}
}

int change_enter(struct change *c, const char *name, struct union_entry *ret)
{
	_cleanup_node_ struct node_ref ref = {.u = c->u};
	int r;

	do {
		_cleanup_found_ struct found f = {0};

		r = layers_find(c->u, c->dir, name, strlen(name), &f);
		if (r == 0)
			r = node_find(c->u, c->dir, name, strlen(name), &f, &ref.n);
	} while (r == -EAGAIN);
	if (r != 0)
		return r < 0 ? r : -ENOENT;
	ret->node = ref.n->id;
	ret->generation = 0;
	return node_stat(c->u, ref.n, &ret->st);
}

void union_end(struct union_fs *u)
{
	if (u->upper)
		upper_orphans_empty(u->upper);
}
