/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"

#include <limits.h>
#include <sys/sysmacros.h>

static void fill_stat(const struct index_inode *i, struct stat *st)
{
	*st = (struct stat){
		.st_ino = i->nid,
		.st_mode = i->mode,
		.st_nlink = i->nlink,
		.st_uid = i->uid,
		.st_gid = i->gid,
		.st_size = (off_t)i->size,
		.st_blksize = 4096,
		.st_blocks = (blkcnt_t)((i->size + 511) / 512),
		.st_mtim = {.tv_sec = i->mtime, .tv_nsec = i->mtime_nsec},
	};
	if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
		st->st_rdev = makedev(i->dev_major, i->dev_minor);
	st->st_atim = st->st_ctim = st->st_mtim;
}

static int stat_path(struct plyfs_image *image, const char *path, bool follow, struct stat *ret,
	struct plyfs_error *error)
{
	struct view *view;
	struct index_inode i;
	struct err e = {0};
	int r = lib_view(image, &view, &e);

	if (r == 0)
		r = view_lookup(view, path, follow, &i, &e);
	if (r == 0)
		fill_stat(&i, ret);
	return lib_error(r, &e, error);
}

PUBLIC int plyfs_lstat(
	struct plyfs_image *image, const char *path, struct stat *ret, struct plyfs_error *error)
{
	return stat_path(image, path, false, ret, error);
}

PUBLIC int plyfs_stat(
	struct plyfs_image *image, const char *path, struct stat *ret, struct plyfs_error *error)
{
	return stat_path(image, path, true, ret, error);
}

PUBLIC int plyfs_readlink(struct plyfs_image *image, const char *path, char *buffer, size_t size,
	struct plyfs_error *error)
{
	struct view *view;
	struct index_inode i;
	struct bytes target;
	struct err e = {0};
	int r = lib_view(image, &view, &e);

	if (r == 0)
		r = view_lookup(view, path, false, &i, &e);
	if (r == 0 && !S_ISLNK(i.mode))
		r = err_sys(&e, -EINVAL, "%s", path);
	if (r == 0)
		r = index_content(view_index(view), &i, &target, &e);
	if (r == 0 && size)
		snprintf(buffer, size, "%.*s", (int)target.n, (const char *)target.p);
	return lib_error(r, &e, error);
}

struct plyfs_file {
	struct view *view;
	struct index_inode inode;
};

PUBLIC int plyfs_open(struct plyfs_image *image, const char *path, struct plyfs_file **ret_file,
	struct plyfs_error *error)
{
	struct plyfs_file *f = calloc(1, sizeof(*f));
	struct err e = {0};
	int r = f ? lib_view(image, &f->view, &e) : -ENOMEM;

	if (r == 0)
		r = view_lookup(f->view, path, true, &f->inode, &e);
	if (r == 0 && !S_ISREG(f->inode.mode))
		r = err_set(&e, S_ISDIR(f->inode.mode) ? -EISDIR : -EINVAL, "%s is %s", path,
			S_ISDIR(f->inode.mode) ? "a directory" : "no regular file");
	if (r < 0) {
		free(f);
		return lib_error(r, &e, error);
	}
	*ret_file = f;
	return 0;
}

PUBLIC void plyfs_close(struct plyfs_file *file)
{
	free(file);
}

PUBLIC ssize_t plyfs_pread(struct plyfs_file *file, void *buffer, size_t size, uint64_t offset,
	struct plyfs_error *error)
{
	struct err e = {0};
	size_t n;
	int r = view_read(file->view, &file->inode, buffer, size < SSIZE_MAX ? size : SSIZE_MAX,
		offset, &n, &e);

	return r < 0 ? lib_error(r, &e, error) : (ssize_t)n;
}

PUBLIC int64_t plyfs_seek_data(struct plyfs_file *file, uint64_t offset, struct plyfs_error *error)
{
	struct err e = {0};
	uint64_t next = 0;
	int r = view_next_data(file->view, &file->inode, offset, &next, &e);

	return r < 0 ? lib_error(r, &e, error) : (int64_t)next;
}

struct plyfs_dir {
	struct view *view;
	struct index_inode inode;
	uint64_t pos;
};

PUBLIC int plyfs_opendir(struct plyfs_image *image, const char *path, struct plyfs_dir **ret_dir,
	struct plyfs_error *error)
{
	struct plyfs_dir *d = calloc(1, sizeof(*d));
	struct err e = {0};
	int r = d ? lib_view(image, &d->view, &e) : -ENOMEM;

	if (r == 0)
		r = view_lookup(d->view, path, true, &d->inode, &e);
	if (r == 0 && !S_ISDIR(d->inode.mode))
		r = err_sys(&e, -ENOTDIR, "%s", path);
	if (r < 0) {
		free(d);
		return lib_error(r, &e, error);
	}
	*ret_dir = d;
	return 0;
}

PUBLIC void plyfs_closedir(struct plyfs_dir *dir)
{
	free(dir);
}

static bool is_dot(const struct index_name *n)
{
	return n->name[0] == '.' && (n->len == 1 || (n->len == 2 && n->name[1] == '.'));
}

PUBLIC int plyfs_readdir(struct plyfs_dir *dir, struct plyfs_dirent *ret, struct plyfs_error *error)
{
	struct index_name n;
	struct err e = {0};
	int r;

	do
		r = index_readdir(view_index(dir->view), &dir->inode, &dir->pos, &n, &e);
	while (r == 1 && is_dot(&n));
	if (r == 1) {
		*ret = (struct plyfs_dirent){.ino = n.nid, .type = n.type};
		memcpy(ret->name, n.name, n.len);
	}
	return lib_error(r, &e, error);
}

PUBLIC ssize_t plyfs_lgetxattr(struct plyfs_image *image, const char *path, const char *name,
	void *value, size_t size, struct plyfs_error *error)
{
	char here[XATTR_NAME_LEN_MAX + 1];
	struct view *view;
	struct index_inode i;
	struct bytes v;
	struct err e = {0};
	uint64_t pos = 0;
	int r = lib_view(image, &view, &e);

	if (r == 0)
		r = view_lookup(view, path, false, &i, &e);
	if (r < 0)
		return lib_error(r, &e, error);
	while ((r = index_xattr(view_index(view), &i, &pos, here, &v, &e)) == 1)
		if (strcmp(here, name) == 0)
			break;
	if (r == 0)
		r = err_sys(&e, -ENODATA, "%s: %s", path, name);
	else if (r == 1 && size && v.n > size)
		r = err_sys(&e, -ERANGE, "%s: %s", path, name);
	if (r < 0)
		return lib_error(r, &e, error);
	if (size && v.n)
		memcpy(value, v.p, v.n);
	return (ssize_t)v.n;
}

PUBLIC ssize_t plyfs_llistxattr(struct plyfs_image *image, const char *path, char *list,
	size_t size, struct plyfs_error *error)
{
	char here[XATTR_NAME_LEN_MAX + 1];
	struct view *view;
	struct index_inode i;
	struct bytes v;
	struct err e = {0};
	uint64_t pos = 0;
	size_t total = 0;
	int r = lib_view(image, &view, &e);

	if (r == 0)
		r = view_lookup(view, path, false, &i, &e);
	if (r < 0)
		return lib_error(r, &e, error);
	while ((r = index_xattr(view_index(view), &i, &pos, here, &v, &e)) == 1) {
		size_t n = strlen(here) + 1;

		if (size && total + n > size)
			return lib_error(err_sys(&e, -ERANGE, "%s", path), &e, error);
		if (size)
			memcpy(list + total, here, n);
		total += n;
	}
	return r < 0 ? lib_error(r, &e, error) : (ssize_t)total;
}
