/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of nodes, as the union shows them. */
#include "node-table.h"

#include <string.h>

static bool is_removed_dir(const struct union_fs *u, const struct node *n)
{
	return S_ISDIR(n->mode) && n != u->root && !n->parent;
}

/* What the file's own attributes do not tell. */
void node_stat_show(const struct union_fs *u, const struct node *n, struct stat *st)
{
	const bool orphan = n->rec->flags & NODE_ORPHAN;

	st->st_ino = n->ino;
	if (is_removed_dir(u, n))
		st->st_nlink = 0;
	else if (S_ISDIR(n->mode) && n->n_lowers + n->has_upper > 1)
		st->st_nlink = 1;
	if (S_ISDIR(n->mode))
		;
	else if (orphan && !n->has_upper)
		st->st_nlink = 0;
	else if (orphan && st->st_nlink) /* the name in orphans/ */
		st->st_nlink--;
	stat_show_ids(u, st);
}

static int lower_stat(struct union_fs *u, struct node *n, struct stat *ret)
{
	struct lower *l;

	if (!n->n_lowers)
		return -ESTALE;
	l = node_lower(u, n);
	return l->ops->stat(l, n->lowers[0].key, ret);
}

/* The count of names of a file that was copied up, if it had several. */
static int fix_nlink(
	struct union_fs *u, struct node *n, int dirfd, const char *name, struct stat *st)
{
	struct stat lower;
	uint32_t nlink;
	int r;

	/* Where the lower file is not known (any more), the note has to do without its count. */
	if (S_ISDIR(n->mode) || (!n->n_lowers && (st->st_nlink < 2 || !u->upper->has_index)))
		return 0;
	lower.st_nlink = 0;
	r = n->n_lowers ? lower_stat(u, n, &lower) : 0;
	if (r < 0 || lower.st_nlink == 1)
		return r;
	r = upper_nlink(
		u->upper, dirfd, name, (uint32_t)st->st_nlink, (uint32_t)lower.st_nlink, &nlink);
	if (r == 0)
		st->st_nlink = nlink;
	return r < 0 ? r : 0;
}

static int finish_upper(
	struct union_fs *u, struct node *n, int dirfd, const char *name, struct stat *st)
{
	int r = upper_has_owners(u->upper) ? upper_owner_apply(u->upper, dirfd, name, st) : 0;

	return r < 0 ? r : fix_nlink(u, n, dirfd, name, st);
}

/* By its descriptor. 1 = it has none open. */
static int stat_open(struct union_fs *u, struct node *n, struct stat *ret)
{
	int fd, r;

	if (n->fd < 0 && !S_ISDIR(n->mode))
		return 1;
	r = node_fd(u, n, &fd);
	if (r < 0)
		return r;
	r = fstat(fd, ret) < 0 ? -errno : finish_upper(u, n, fd, "", ret);
	node_fd_put(u, n);
	return r;
}

static int stat_place(struct union_fs *u, struct node *n, struct stat *ret)
{
	struct node *parent;
	char name[256];
	int dirfd, r = node_place_stat(u, n, &dirfd, &parent, name, ret);

	if (r < 0)
		return r;
	r = finish_upper(u, n, dirfd, name, ret);
	node_place_done(u, parent);
	return r;
}

int node_stat(struct union_fs *u, struct node *n, struct stat *ret)
{
	int r;

	if (!n->has_upper) {
		r = lower_stat(u, n, ret);
	} else {
		r = stat_open(u, n, ret);
		if (r == 1)
			r = stat_place(u, n, ret);
	}
	/* A directory that could not be kept when it was removed: it has attributes, whatever they
	 * are, for who is in it. */
	if (r < 0 && is_removed_dir(u, n)) {
		*ret = (struct stat){.st_mode = S_IFDIR | 0700, .st_blksize = 4096};
		r = 0;
	}
	if (r == 0)
		node_stat_show(u, n, ret);
	return r;
}

int node_stat_of(struct union_fs *u, struct node *n, const struct stat *upper, struct stat *ret)
{
	struct stat lower;
	int r = !S_ISDIR(n->mode) && n->n_lowers ? lower_stat(u, n, &lower) : 1;

	if (r < 0 || (r == 0 && lower.st_nlink > 1))
		return r < 0 ? r : node_stat(u, n, ret);
	*ret = *upper;
	node_stat_show(u, n, ret);
	return 0;
}
