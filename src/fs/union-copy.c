/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy-up: files of the lower layers come into the upper directory, made in scratch/ and renamed.
 * Nothing that the union shows changes by it.
 */
#include "change.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

/* Below this size, files are copied whole: a bitmap would cost more than it saves. */
#define HALF_MIN 65536

struct copy {
	struct union_fs *u;
	struct node *n;
	struct lower *lower;
	struct stat st; /* of the lower file */
	struct overlay_origin origin;
	bool has_origin, indexed;
	struct draft draft;
	int fd; /* a regular file's */
	struct blocks *blocks;
};

static void copy_done(struct copy *c)
{
	if (c->blocks)
		blocks_close(c->blocks);
	close_fdp(&c->fd);
	draft_done(&c->draft);
}
#define _cleanup_copy_ _cleanup_(copy_done)

static int copy_begin(struct copy *c, struct union_fs *u, struct node *n)
{
	int r;

	*c = (struct copy){.u = u, .n = n, .lower = node_lower(u, n), .fd = -1};
	r = c->lower->ops->stat(c->lower, n->lowers[0].key, &c->st);
	if (r == 0 && overlay_is_whiteout(&c->st))
		r = -EPERM; /* it is a device in the lower layer; here it would be none */
	if (r < 0)
		return r;
	r = c->lower->ops->origin(c->lower, n->lowers[0].key, &c->origin);
	if (r < 0)
		return r;
	c->has_origin = r == 0;
	c->indexed = c->has_origin && c->st.st_nlink > 1 && !S_ISDIR(c->st.st_mode);
	draft_begin(&c->draft, u->upper);
	return 0;
}

/* ---- making it ------------------------------------------------------------------------------- */
/* Content, as little of it as will do. */
static int copy_content(struct copy *c, bool half, uint64_t size)
{
	struct union_fs *u = c->u;
	const uint64_t key = c->lower->has_origin ? c->n->lowers[0].key : 0;
	int r;

	if (size == 0)
		return 0;
	r = data_clone_lower(u, c->n, c->fd, size);
	if (r <= 0)
		return r;
	if (half && u->config.block_copy && size >= HALF_MIN) {
		if (ftruncate(c->fd, (off_t)size) < 0)
			return -errno;
		r = blocks_new(u->upper, c->fd, key, size, &c->blocks);
		if (r != -EFBIG)
			return r;
		if (ftruncate(c->fd, 0) < 0)
			return -errno;
	}
	return data_copy_lower(u, c->n, c->fd, size);
}

static int copy_regular(struct copy *c, bool half, uint64_t size)
{
	c->fd = openat(c->u->upper->scratch_fd, c->draft.name,
		O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (c->fd < 0)
		return -errno;
	return copy_content(
		c, half, size < (uint64_t)c->st.st_size ? size : (uint64_t)c->st.st_size);
}

static int copy_symlink(struct copy *c)
{
	char target[PATH_MAX];
	size_t n;
	int r;

	r = c->lower->ops->readlink(c->lower, c->n->lowers[0].key, target, sizeof(target) - 1, &n);
	if (r < 0)
		return r;
	if (n == 0 || n >= sizeof(target))
		return -EIO;
	target[n] = 0;
	return symlinkat(target, c->u->upper->scratch_fd, c->draft.name) < 0 ? -errno : 0;
}

static int copy_device(struct copy *c)
{
	struct upper *up = c->u->upper;
	const mode_t mode = change_stands_in(up, c->st.st_mode) ? S_IFREG : c->st.st_mode & S_IFMT;

	return mknodat(up->scratch_fd, c->draft.name, mode | 0600, c->st.st_rdev) < 0 ? -errno : 0;
}

static int copy_make(struct copy *c, bool half, uint64_t size)
{
	int r;

	if (S_ISREG(c->st.st_mode))
		r = copy_regular(c, half, size);
	else if (S_ISLNK(c->st.st_mode))
		r = copy_symlink(c);
	else if (S_ISDIR(c->st.st_mode))
		r = mkdirat(c->u->upper->scratch_fd, c->draft.name, 0700) < 0 ? -errno : 0;
	else
		r = copy_device(c);
	if (r < 0)
		return r;
	return copy_attributes(
		c->u, &c->n->lowers[0], &c->st, c->draft.name, c->has_origin ? &c->origin : NULL);
}

/* ---- putting it in its place ----------------------------------------------------------------- */
/* The times of a directory are not changed by what is copied up into it. */
struct kept_times {
	int fd;
	bool known;
	struct timespec times[2];
};

static void keep_times(struct kept_times *k, int fd)
{
	struct stat st;

	k->fd = fd;
	k->known = fstatat(fd, "", &st, AT_EMPTY_PATH) == 0;
	if (k->known) {
		k->times[0] = st.st_atim;
		k->times[1] = st.st_mtim;
	}
}

static void give_times_back(struct kept_times *k)
{
	if (k->known)
		utimensat(k->fd, ".", k->times, 0);
}

/* N2: before the file has a name in the tree. Where it has not come to it, the lower file is found
 * by its key under the same name. */
static int announce(struct copy *c, struct stat *ret)
{
	if (fstatat(c->u->upper->scratch_fd, c->draft.name, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	c->n->rec->upper_ino = ret->st_ino;
	if (c->blocks)
		c->n->rec->flags |= NODE_HALF;
	return 0;
}

static void finish(struct copy *c, const struct stat *st)
{
	c->draft.name[0] = 0;
	c->n->blocks = TAKE_PTR(c->blocks);
	node_set_upper(c->u, c->n, st);
	if (c->fd >= 0)
		node_fd_give(c->u, c->n, TAKE_FD(c->fd));
}

/* By way of index/: until the name is linked, every name of the file means the one there. */
static int place_indexed(struct copy *c, int fd, const char *name, struct stat *st)
{
	struct upper *up = c->u->upper;
	int r;

	r = upper_nlink_note(up, up->scratch_fd, c->draft.name, 'L', 0);
	if (r == 0)
		r = upper_index_add(up, &c->origin, c->draft.name);
	if (r < 0)
		return r;
	c->draft.name[0] = 0;
	r = upper_index_link(up, &c->origin, fd, name);
	if (r == 0)
		r = upper_nlink_note(up, fd, name, 'U', (int64_t)c->st.st_nlink - 2);
	if (r < 0)
		return r;
	st->st_nlink = 2;
	return 0;
}

static int place(struct copy *c, struct node *dir, const char *name)
{
	struct kept_times times;
	struct stat st;
	int fd, r;

	r = node_fd(c->u, dir, &fd);
	if (r < 0)
		return r;
	keep_times(&times, fd);
	r = announce(c, &st);
	if (r == 0 && c->indexed)
		r = place_indexed(c, fd, name, &st);
	else if (r == 0)
		r = renameat(c->u->upper->scratch_fd, c->draft.name, fd, name) < 0 ? -errno : 0;
	if (r == 0)
		give_times_back(&times);
	node_fd_put(c->u, dir);
	if (r == 0)
		finish(c, &st);
	return r;
}

/* A lower file that lost its name while somebody had it open. */
static int place_orphan(struct copy *c)
{
	struct upper *up = c->u->upper;
	char name[UPPER_NUMBER_SIZE];
	struct stat st;
	int r;

	r = announce(c, &st);
	if (r < 0)
		return r;
	c->n->rec->flags |= NODE_ORPHAN;
	if (renameat(up->scratch_fd, c->draft.name, up->orphans_fd,
		    upper_number_name(c->n->id, name)) < 0)
		return -errno;
	finish(c, &st);
	return 0;
}

/* ---- files of several names ------------------------------------------------------------------ */
/* Which lower file it is a copy of, and how many names that has (0: not known). 1 = none, or one of
 * a single name. A copy whose lower file is not known any more (directory layers) tells itself. */
static int linked_origin(struct union_fs *u, struct node *n, int fd, const char *name,
	struct overlay_origin *ret, uint32_t *ret_links)
{
	struct stat st;
	int r;

	if (n->n_lowers) {
		struct lower *l = node_lower(u, n);

		r = l->ops->stat(l, n->lowers[0].key, &st);
		if (r < 0 || st.st_nlink < 2)
			return r < 0 ? r : 1;
		*ret_links = (uint32_t)st.st_nlink;
		return l->ops->origin(l, n->lowers[0].key, ret);
	}
	r = change_upper_stat(fd, name, &st);
	if (r != 0 || st.st_nlink < 2)
		return r < 0 ? r : 1;
	*ret_links = 0;
	r = upper_mark_get(
		u->upper, fd, name, OVERLAY_ORIGIN, ret->bytes, sizeof(ret->bytes), &ret->size);
	return r == -ERANGE ? 1 : r;
}

int copy_links(struct union_fs *u, struct node *n, int fd, const char *name,
	struct overlay_origin *ret_origin, uint32_t *ret)
{
	char index[UPPER_INDEX_NAME_SIZE];
	struct overlay_origin origin;
	uint32_t lower_links;
	struct stat st;
	int r;

	if (!u->upper->has_index)
		return 1;
	r = linked_origin(u, n, fd, name, &origin, &lower_links);
	if (r == 0)
		r = upper_index_stat(u->upper, &origin, &st);
	if (r != 0)
		return r;
	*ret_origin = origin;
	return upper_nlink(u->upper, u->upper->index_fd, upper_index_name(&origin, index),
		(uint32_t)st.st_nlink, lower_links, ret);
}

int copy_links_own(struct union_fs *u, struct node *n, int fd, const char *name)
{
	struct overlay_origin origin;
	uint32_t links;
	struct stat st;
	int r;

	if (S_ISDIR(n->mode) || !u->upper->has_index || !upper_nlink_is_lower(u->upper, fd, name))
		return 0;
	r = copy_links(u, n, fd, name, &origin, &links);
	if (r == 0)
		r = upper_index_stat(u->upper, &origin, &st);
	if (r != 0)
		return r < 0 ? r : 0;
	return upper_nlink_note(u->upper, fd, name, 'U', (int64_t)links - (int64_t)st.st_nlink);
}

/* Its name in the upper directory, while its count of names stays what it is. */
static int link_index(struct union_fs *u, struct node *n, const struct overlay_origin *origin,
	uint32_t links, int fd, const char *name)
{
	char index[UPPER_INDEX_NAME_SIZE];
	struct upper *up = u->upper;
	struct stat st;
	int r = 0;

	if (n->n_lowers) {
		struct lower *l = node_lower(u, n);

		r = l->ops->stat(l, n->lowers[0].key, &st);
		if (r == 0)
			r = upper_nlink_note(up, up->index_fd, upper_index_name(origin, index), 'L',
				(int64_t)links - (int64_t)st.st_nlink);
	}
	if (r == 0)
		r = upper_index_link(up, origin, fd, name);
	if (r < 0)
		return r;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return upper_nlink_note(up, fd, name, 'U', (int64_t)links - (int64_t)st.st_nlink);
}

static int link_up(struct union_fs *u, struct node *n, int fd, const char *name)
{
	struct overlay_origin origin;
	struct node *parent = NULL;
	char place[256];
	uint32_t links;
	int place_fd, r;

	r = node_place(u, n, &place_fd, &parent, place);
	if (r < 0)
		return r;
	r = copy_links(u, n, place_fd, place, &origin, &links);
	node_place_done(u, parent);
	if (r != 0)
		return r < 0 ? r : -EIO;
	return link_index(u, n, &origin, links, fd, name);
}

/* Whether it is there under that name has to be looked up for files of several names only. */
static int copy_up_alias(struct union_fs *u, struct node *n, struct node *dir, const char *name)
{
	struct kept_times times;
	struct stat st;
	int fd, r;

	if (S_ISDIR(n->mode) || !u->upper->has_index)
		return 0;
	r = node_fd(u, dir, &fd);
	if (r < 0)
		return r;
	r = change_upper_stat(fd, name, &st);
	if (r > 0) {
		keep_times(&times, fd);
		r = link_up(u, n, fd, name);
		give_times_back(&times);
	}
	node_fd_put(u, dir);
	return r;
}

/* What is copied up into it makes a directory impure: that is told beforehand. */
static int make_dir(struct union_fs *u, struct node *parent, struct node *dir)
{
	_cleanup_copy_ struct copy c = {.fd = -1};
	int r;

	r = copy_begin(&c, u, dir);
	if (r == 0)
		r = copy_make(&c, false, 0);
	if (r == 0)
		r = upper_mark_set(
			u->upper, u->upper->scratch_fd, c.draft.name, OVERLAY_IMPURE, "y", 1);
	return r < 0 ? r : place(&c, parent, dir->name);
}

int copy_up_at(struct union_fs *u, struct node *n, struct node *dir, const char *name, bool half,
	uint64_t size)
{
	_cleanup_copy_ struct copy c = {.fd = -1};
	int r;

	if (n->has_upper)
		return copy_up_alias(u, n, dir, name);
	if (S_ISDIR(n->mode))
		return make_dir(u, dir, n);
	r = copy_begin(&c, u, n);
	if (r == 0)
		r = copy_make(&c, half, size);
	return r < 0 ? r : place(&c, dir, name);
}

static int copy_up_orphan(struct union_fs *u, struct node *n, bool half, uint64_t size)
{
	_cleanup_copy_ struct copy c = {.fd = -1};
	int r;

	if (n->n_lowers == 0)
		return -ESTALE;
	r = copy_begin(&c, u, n);
	if (r == 0)
		r = copy_make(&c, half, size);
	return r < 0 ? r : place_orphan(&c);
}

/* 1 = the node has changed its name meanwhile: once more. */
static int copy_up_below(
	struct union_fs *u, struct node *n, struct node *parent, bool half, uint64_t size)
{
	int r;

	pthread_mutex_unlock(&n->lock);
	r = copy_up_dir(u, parent);
	pthread_mutex_lock(&parent->lock);
	pthread_mutex_lock(&n->lock);
	if (r == 0 && !n->has_upper)
		r = n->parent == parent ? copy_up_at(u, n, parent, n->name, half, size) : 1;
	pthread_mutex_unlock(&parent->lock);
	return r;
}

int copy_up(struct union_fs *u, struct node *n, bool half, uint64_t size)
{
	int r = 1;

	if (!u->upper)
		return -EROFS;
	while (r > 0 && !n->has_upper) {
		_cleanup_node_ struct node_ref parent = {.u = u};

		if (!n->parent)
			return copy_up_orphan(u, n, half, size);
		r = node_get(u, n->parent->id, &parent.n);
		if (r == 0)
			r = copy_up_below(u, n, parent.n, half, size);
	}
	return r < 0 ? r : 0;
}

/* ---- directories ----------------------------------------------------------------------------- */
/* The parent is in the upper directory. */
static int copy_up_one(struct union_fs *u, struct node *parent, struct node *dir)
{
	int r = 0;

	pthread_mutex_lock(&parent->lock);
	pthread_mutex_lock(&dir->lock);
	if (!dir->has_upper)
		r = make_dir(u, parent, dir);
	pthread_mutex_unlock(&dir->lock);
	pthread_mutex_unlock(&parent->lock);
	return r;
}

int copy_up_dir(struct union_fs *u, struct node *dir)
{
	struct node *n;
	int r;

	if (!u->upper)
		return -EROFS;
	while (!dir->has_upper) {
		for (n = dir; n->parent && !n->parent->has_upper; n = n->parent)
			;
		if (!n->parent) /* it was removed: the root is always there */
			return -ENOENT;
		r = copy_up_one(u, n->parent, n);
		if (r < 0)
			return r;
	}
	return 0;
}
