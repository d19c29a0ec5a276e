/* SPDX-License-Identifier: Apache-2.0 */
#include "delta-internal.h"
#include "format/index-disk.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#define XATTR_LIST_SIZE ((size_t)64 << 10) /* XATTR_LIST_MAX, linux/limits.h */
#define XATTR_SIZE      ((size_t)64 << 10) /* XATTR_SIZE_MAX */

const struct delta_source *delta_source_of(const struct delta *d, const struct inode *i)
{
	return i->nlink ? &d->sources[i->nlink - 1] : NULL;
}

int delta_add_source(
	struct delta *d, struct inode *i, const struct delta_source *src, struct err *e)
{
	struct delta_source s = *src;

	s.path = s.path ? arena_copy(&d->t->arena, s.path, strlen(s.path) + 1) : NULL;
	s.shown = s.shown ? arena_copy(&d->t->arena, s.shown, strlen(s.shown) + 1) : NULL;
	if ((src->path && !s.path) || (src->shown && !s.shown) ||
		array_room(&d->sources, d->n_sources, &d->room_sources, sizeof(s)) < 0)
		return delta_no_memory(e);
	d->sources[d->n_sources++] = s;
	i->nlink = (uint32_t)d->n_sources;
	return 0;
}

/* As a layer's reader takes them (image/layer-tree.c); overlayfs's and ours go. */
static bool keep_xattr(const struct delta *d, const char *name)
{
	static const struct index_xattr_prefix known[] = INDEX_XATTR_PREFIXES;

	if (overlay_xattr_is_private(name, d->up->user) ||
		strncmp(name, "trusted.overlay.", 16) == 0 ||
		strncmp(name, "user.overlay.", 13) == 0 ||
		strncmp(name, INDEX_LAYER_XATTR, strlen(INDEX_LAYER_XATTR)) == 0)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *p = known[i].text;
		const size_t n = strlen(p);

		if (p[n - 1] == '.' ? strncmp(name, p, n) == 0 && name[n] : strcmp(name, p) == 0)
			return true;
	}
	return false;
}

/* Reads one xattr into the arena. 1 = it is gone, or may not be read. */
static int load_xattr(
	struct delta *d, int dirfd, const char *file, const char *name, struct xattr *ret)
{
	size_t n;
	int r = upper_getxattr(dirfd, file, name, d->value.p, XATTR_SIZE, &n);

	if (r == -ENODATA || r == -EPERM || r == -EACCES)
		return 1;
	if (r < 0)
		return r;
	ret->value_size = (uint32_t)n;
	ret->value = arena_copy(&d->t->arena, d->value.p, n);
	ret->name = arena_copy(&d->t->arena, name, strlen(name) + 1);
	return ret->value && ret->name ? 0 : -ENOMEM;
}

static int list_xattrs(struct delta *d, int dirfd, const char *file, size_t *ret_n)
{
	int r = buf_reserve(&d->names, XATTR_LIST_SIZE);

	if (r == 0)
		r = buf_reserve(&d->value, XATTR_SIZE);
	if (r == 0)
		r = upper_listxattr(dirfd, file, (char *)d->names.p, XATTR_LIST_SIZE, ret_n);
	if (r == -EOPNOTSUPP) {
		*ret_n = 0;
		r = 0;
	}
	return r;
}

static bool is_mark(const struct delta *d, const char *name, enum overlay_xattr x)
{
	return strcmp(name, overlay_xattr_name(x, d->up->user)) == 0;
}

static int load_xattrs(struct delta *d, int dirfd, const char *file, struct inode *i,
	bool *ret_half, struct err *e)
{
	_cleanup_buf_ struct buf all = {0};
	size_t n = 0;
	int r = list_xattrs(d, dirfd, file, &n);

	*ret_half = false;
	for (const char *p = (char *)d->names.p, *end = p + n; r >= 0 && p < end;
		p += strlen(p) + 1) {
		struct xattr v = {0};

		*ret_half |= is_mark(d, p, OVERLAY_BLOCKS);
		if (is_mark(d, p, OVERLAY_METACOPY) && S_ISREG(i->mode))
			return err_set(e, -ERR_UNSUPPORTED,
				"it was copied up by overlayfs's option metacopy");
		if (!keep_xattr(d, p))
			continue;
		r = load_xattr(d, dirfd, file, p, &v);
		if (r == 0 && buf_add(&all, &v, sizeof(v)) < 0)
			r = -ENOMEM;
	}
	if (r >= 0)
		r = tree_xattrs_view(
			d->t, (struct xattr *)all.p, all.n / sizeof(struct xattr), &i->xattrs);
	return r < 0 ? err_sys(e, r, "cannot read its extended attributes") : 0;
}

int delta_set_attributes(struct delta *d, int dirfd, const char *name, const struct stat *st,
	struct inode *i, bool *ret_half, struct err *e)
{
	i->mode = st->st_mode;
	i->uid = st->st_uid;
	i->gid = st->st_gid;
	i->mtime = st->st_mtim.tv_sec;
	i->mtime_nsec = (uint32_t)st->st_mtim.tv_nsec;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		i->dev_major = major(st->st_rdev);
		i->dev_minor = minor(st->st_rdev);
	}
	return load_xattrs(d, dirfd, name, i, ret_half, e);
}

static int read_target(struct delta *d, int dirfd, const char *name, struct inode *i, struct err *e)
{
	char target[4096];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target));

	if (n < 0)
		return err_sys(e, -errno, "cannot read the symlink");
	i->size = (uint64_t)n;
	i->target = arena_alloc(&d->t->arena, (size_t)n + 1);
	if (!i->target)
		return delta_no_memory(e);
	memcpy((char *)(uintptr_t)i->target, target, (size_t)n);
	return 0;
}

static int fill(struct delta *d, int dirfd, const char *name, const struct stat *st,
	const struct delta_source *src, struct inode *i, struct err *e)
{
	struct delta_source s = *src;
	bool half;
	int r = delta_set_attributes(d, dirfd, name, st, i, &half, e);

	if (r < 0 || S_ISLNK(st->st_mode))
		return r < 0 ? r : read_target(d, dirfd, name, i, e);
	if (!S_ISREG(st->st_mode))
		return 0;
	s.half = half;
	s.ino = st->st_ino;
	i->size = (uint64_t)st->st_size;
	r = delta_add_source(d, i, &s, e);
	d->stats.files++;
	return r == 0 && d->o.ingest ? delta_cut(d, i, e) : r;
}

int delta_upper_inode(struct delta *d, int dirfd, const char *name, const struct stat *st,
	const struct delta_source *src, struct inode **ret, struct err *e)
{
	struct inode *i = number_map_find(&d->by_ino, st->st_ino);
	int r;

	if (i) {
		*ret = i;
		return 0;
	}
	i = tree_inode_new(d->t, st->st_mode);
	r = i ? fill(d, dirfd, name, st, src, i, e) : delta_no_memory(e);
	if (r == 0 && number_map_put(&d->by_ino, st->st_ino, i) < 0)
		r = delta_no_memory(e);
	*ret = i;
	return r;
}

int delta_indexed_inode(
	struct delta *d, uint64_t nid, const char *shown, struct inode **ret, struct err *e)
{
	const char *name = number_map_find(&d->indexed, nid);
	const struct delta_source src = {
		.upper = true, .in_index = true, .path = name, .shown = shown};
	struct stat st;
	int r;

	*ret = NULL;
	if (!name)
		return 0;
	if (fstatat(d->up->index_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "cannot look at index/%s", name);
	r = upper_owner_apply(d->up, d->up->index_fd, name, &st);
	if (r < 0)
		return err_sys(e, r, "cannot look at index/%s", name);
	r = delta_upper_inode(d, d->up->index_fd, name, &st, &src, ret, e);
	if (r == 1)
		*ret = NULL;
	return r < 0 ? r : 0;
}
