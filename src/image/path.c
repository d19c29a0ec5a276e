/* SPDX-License-Identifier: Apache-2.0 */
#include "path.h"
#include "util/array.h"

#define SYMLINKS_MAX 40

static size_t next_name(const char **path)
{
	while (**path == '/')
		(*path)++;
	return (size_t)(strchrnul(*path, '/') - *path);
}

static bool is_dot(const char *name, size_t len)
{
	return len == 1 && name[0] == '.';
}

static bool is_dots(const char *name, size_t len)
{
	return len == 2 && name[0] == '.' && name[1] == '.';
}

int path_clean(const char *path, struct buf *ret, struct err *e)
{
	const char *p = path;

	if (strlen(path) > PATH_BYTES_MAX)
		return err_set(
			e, -ERR_INPUT, "'%.40s...': the path name is longer than 256 KiB", path);
	ret->n = 0;
	for (size_t len; (len = next_name(&p)) > 0; p += len) {
		int r = 0;

		if (is_dot(p, len))
			continue;
		if (len > NAME_LEN_MAX)
			return err_set(
				e, -ERR_INPUT, "'%.40s...': a name is longer than 255 bytes", p);
		if (is_dots(p, len)) {
			const char *slash;

			if (!ret->n)
				return err_set(e, -ERR_INPUT, "'%s' leads above the root", path);
			slash = memrchr(ret->p, '/', ret->n);
			ret->n = slash ? (size_t)(slash - (char *)ret->p) : 0;
			continue;
		}
		if (ret->n)
			r = buf_add(ret, "/", 1);
		if (r == 0)
			r = buf_add(ret, p, len);
		if (r < 0)
			return err_sys(e, r, "'%s'", path);
	}
	if (buf_add(ret, "", 0) < 0) /* ends the string */
		return err_sys(e, -ENOMEM, "'%s'", path);
	return 0;
}

/* Where a walk stands: the directories from the root down, for "..". */
struct walk {
	struct tree *t;
	struct inode **dirs;
	size_t n, room;
	unsigned int symlinks;
	bool make;
	struct err *e;
};

static int walk_enter(struct walk *w, struct inode *dir)
{
	if (array_room(&w->dirs, w->n, &w->room, sizeof(*w->dirs)) < 0)
		return err_sys(w->e, -ENOMEM, "cannot look up a path");
	w->dirs[w->n++] = dir;
	return 0;
}

static int make_directory(
	struct walk *w, struct inode *dir, const char *name, size_t len, bool opaque)
{
	struct inode *i = tree_inode_new(w->t, S_IFDIR | 0755);

	if (!i || tree_link(w->t, dir, name, len, i) < 0)
		return err_sys(w->e, -ENOMEM, "cannot look up a path");
	i->flags = INODE_IMPLICIT | (opaque ? INODE_OPAQUE : 0);
	return walk_enter(w, i);
}

static int walk_path(struct walk *w, const char *path, size_t n);

/* A link's target is walked from the directory it lies in: recursion as deep as links nest. */
static int follow(struct walk *w, const char *target)
{
	if (++w->symlinks > SYMLINKS_MAX)
		return err_set(w->e, -ERR_INPUT, "too many symlinks on the way to '%s'", target);
	if (target[0] == '/')
		w->n = 1;
	return walk_path(w, target, strlen(target));
}

static int walk_name(struct walk *w, const char *name, size_t len)
{
	struct inode *dir = w->dirs[w->n - 1];
	struct dentry *d;

	if (is_dot(name, len))
		return 0;
	if (is_dots(name, len)) {
		w->n -= w->n > 1;
		return 0;
	}
	if (len > NAME_LEN_MAX)
		return err_set(
			w->e, -ERR_INPUT, "'%.40s...': a name is longer than 255 bytes", name);
	d = tree_find(w->t, dir, name, len);
	if (d && inode_is_dir(d->inode))
		return walk_enter(w, d->inode);
	if (!d || d->inode->flags & INODE_WHITEOUT)
		return w->make ? make_directory(w, dir, name, len, d) : d ? 2 : 1;
	if (S_ISLNK(d->inode->mode) && !(d->inode->flags & INODE_LINK))
		return follow(w, d->inode->target);
	return err_set(w->e, -ERR_INPUT, "'%.*s' is no directory, but there are entries below it",
		(int)len, name);
}

static int walk_path(struct walk *w, const char *path, size_t n)
{
	const char *end = path + n;
	size_t len;

	while (path < end && (len = next_name(&path)) > 0 && path < end) {
		int r = walk_name(w, path, len);

		if (r)
			return r;
		path += len;
	}
	return 0;
}

int path_parent(struct tree *t, struct inode *root, const char *path, bool make,
	struct inode **ret_dir, const char **ret_name, struct err *e)
{
	struct walk w = {.t = t, .make = make, .e = e};
	const char *slash = strrchr(path, '/');
	int r = walk_enter(&w, root);

	if (r == 0 && slash)
		r = walk_path(&w, path, (size_t)(slash - path));
	if (r == 0) {
		*ret_dir = w.dirs[w.n - 1];
		*ret_name = slash ? slash + 1 : path;
	}
	free(w.dirs);
	return r;
}

int path_directory(struct tree *t, struct inode *root, const char *path, struct inode **ret)
{
	struct walk w = {.t = t};
	int r = walk_enter(&w, root);

	if (r == 0)
		r = walk_path(&w, path, strlen(path));
	if (r == 0)
		*ret = w.dirs[w.n - 1];
	free(w.dirs);
	return r == 0 ? 0 : 1;
}
