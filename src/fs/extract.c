/* SPDX-License-Identifier: Apache-2.0 */
#include "extract.h"
#include "attributes.h"
#include "image/index-walk.h"
#include "util/dir-stack.h"
#include "util/io.h"
#include "util/remove.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define COPY_SIZE ((size_t)1 << 20)
#define OPEN_DIR  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct extract {
	struct view *v;
	int root;
	struct dir_stack dirs;
	struct attributes attributes;
	uint8_t *buffer; /* COPY_SIZE */
};

/* --- files --------------------------------------------------------------------------------- */

static int copy_run(struct extract *x, const struct walk_entry *w, int fd, uint64_t off,
	uint64_t end, struct err *e)
{
	while (off < end) {
		size_t n = end - off < COPY_SIZE ? (size_t)(end - off) : COPY_SIZE;
		int r = view_read(x->v, &w->inode, x->buffer, n, off, &n, e);

		if (r < 0)
			return r;
		r = io_pwrite_full(fd, x->buffer, n, off);
		if (r < 0)
			return err_sys(e, r, "cannot write");
		off += n;
	}
	return 0;
}

/* Holes stay holes. */
static int copy_data(struct extract *x, const struct walk_entry *w, int fd, struct err *e)
{
	uint64_t start, end = 0;
	int r;

	while ((r = view_next_run(x->v, &w->inode, end, &start, &end, e)) == 1) {
		r = copy_run(x, w, fd, start, end, e);
		if (r < 0)
			return r;
	}
	if (r == 0 && end < w->inode.size && ftruncate(fd, (off_t)w->inode.size) < 0)
		return err_sys(e, -errno, "cannot write");
	return r;
}

static int make_file(struct extract *x, const struct walk_entry *w, struct err *e)
{
	_cleanup_close_ int fd = openat(dir_stack_fd(&x->dirs), w->name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "cannot make");
	r = copy_data(x, w, fd, e);
	return r < 0 ? r : attributes_set(&x->attributes, fd, &w->inode, e);
}

/* --- other files --------------------------------------------------------------------------- */

static int make_symlink(struct extract *x, const struct walk_entry *w, struct err *e)
{
	_cleanup_free_ char *target = NULL;
	struct bytes b;
	int r = index_content(view_index(x->v), &w->inode, &b, e);

	if (r < 0)
		return r;
	target = strndup((const char *)b.p, b.n);
	if (!target)
		return err_sys(e, -ENOMEM, "cannot make");
	return symlinkat(target, dir_stack_fd(&x->dirs), w->name) < 0
		       ? err_sys(e, -errno, "cannot make")
		       : 0;
}

static bool is_device(const struct walk_entry *w)
{
	return S_ISCHR(w->inode.mode) || S_ISBLK(w->inode.mode);
}

/* 1 = it was left out. */
static int make_node(struct extract *x, const struct walk_entry *w, struct err *e)
{
	const dev_t dev = makedev(w->inode.dev_major, w->inode.dev_minor);

	if (mknodat(dir_stack_fd(&x->dirs), w->name, (w->inode.mode & S_IFMT) | 0600, dev) == 0)
		return 0;
	if (!is_device(w) || !attributes_leave_out(&x->attributes, -errno))
		return err_sys(e, -errno, "cannot make");
	x->attributes.devices++;
	return 1;
}

static int make_special(struct extract *x, const struct walk_entry *w, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = S_ISLNK(w->inode.mode) ? make_symlink(x, w, e) : make_node(x, w, e);

	if (r)
		return r < 0 ? r : 0;
	fd = openat(dir_stack_fd(&x->dirs), w->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "cannot open");
	return attributes_set(&x->attributes, fd, &w->inode, e);
}

/* Opens the directory of `path`, a name at a time: it may be longer than one call takes. */
static int open_parent(const struct extract *x, const char *path, int *ret)
{
	_cleanup_close_ int fd = fcntl(x->root, F_DUPFD_CLOEXEC, 0);
	const char *slash;

	for (; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		char name[NAME_LEN_MAX + 1];
		int outer = fd;

		snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		fd = openat(outer, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			int r = -errno;

			close(outer);
			return r;
		}
		close(outer);
	}
	if (fd < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

static int make_link(struct extract *x, const struct walk_entry *w, struct err *e)
{
	_cleanup_close_ int first_dir = -1;
	const char *slash = strrchr(w->first, '/');
	int r = open_parent(x, w->first, &first_dir);

	if (r < 0)
		return err_sys(e, r, "cannot link");
	if (linkat(first_dir, slash ? slash + 1 : w->first, dir_stack_fd(&x->dirs), w->name, 0) ==
		0)
		return 0;
	if (errno != ENOENT || !is_device(w) || !x->attributes.devices)
		return err_sys(e, -errno, "cannot link");
	x->attributes.devices++; /* its first name was left out, too */
	return 0;
}

/* --- directories --------------------------------------------------------------------------- */

static int push_dir(struct extract *x, int fd, struct err *e)
{
	int r = fd < 0 ? -errno : dir_stack_push(&x->dirs, fd);

	return r < 0 ? err_sys(e, r, "cannot open") : 0;
}

static int open_dir(struct extract *x, const struct walk_entry *w, struct err *e)
{
	if (!x->dirs.n)
		return push_dir(x, fcntl(x->root, F_DUPFD_CLOEXEC, 0), e);
	return push_dir(x, openat(dir_stack_fd(&x->dirs), w->name, OPEN_DIR), e);
}

static int make_dir(struct extract *x, const struct walk_entry *w, struct err *e)
{
	if (x->dirs.n && mkdirat(dir_stack_fd(&x->dirs), w->name, 0700) < 0)
		return err_sys(e, -errno, "cannot make");
	return open_dir(x, w, e);
}

/* Back to the outer directory. The inner one is the caller's. */
static int pop_dir(struct extract *x, int *ret_fd, struct err *e)
{
	int r = dir_stack_pop(&x->dirs, ret_fd);

	return r < 0 ? err_sys(e, r, "cannot go back from it") : 0;
}

static int make_any(struct extract *x, const struct walk_entry *w, struct err *e)
{
	_cleanup_close_ int left = -1;

	if (w->leave)
		return pop_dir(x, &left, e);
	if (w->first)
		return make_link(x, w, e);
	if (S_ISDIR(w->inode.mode))
		return make_dir(x, w, e);
	return S_ISREG(w->inode.mode) ? make_file(x, w, e) : make_special(x, w, e);
}

/* Once all is made: what directories are to be, from the innermost up. */
static int finish_dir(struct extract *x, const struct walk_entry *w, struct err *e)
{
	_cleanup_close_ int left = -1;
	int r;

	if (!S_ISDIR(w->inode.mode))
		return 0;
	if (!w->leave)
		return open_dir(x, w, e);
	r = pop_dir(x, &left, e);
	return r < 0 ? r : attributes_set(&x->attributes, left, &w->inode, e);
}

static int walk(struct extract *x, const char *path, bool links,
	int (*each)(struct extract *x, const struct walk_entry *w, struct err *e), struct err *e)
{
	_cleanup_(index_walk_freep) struct index_walk *tree =
		index_walk_new(view_index(x->v), links);
	struct walk_entry w;
	int r;

	if (!tree)
		return err_sys(e, -ENOMEM, "cannot read the tree");
	while ((r = index_walk_next(tree, &w, e)) == 1) {
		r = each(x, &w, e);
		if (r < 0)
			return err_prefix(e, r, "'%.200s/%.200s'", path, w.path);
	}
	return r;
}

/* --- the whole ----------------------------------------------------------------------------- */

/* 1 = the directory holds something. */
static int check_empty(int fd)
{
	_cleanup_(closedirp) DIR *stream = NULL;
	_cleanup_close_ int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *d;

	stream = own < 0 ? NULL : fdopendir(own);
	if (!stream)
		return -errno;
	own = -1;
	while (errno = 0, (d = readdir(stream)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			return 1;
	return -errno;
}

static int open_empty(const char *path, int *ret, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : check_empty(fd);

	if (r < 0)
		return err_sys(e, r, "cannot open '%.200s'", path);
	if (r == 1)
		return err_set(e, -ERR_CONFLICT, "'%.200s' is not empty", path);
	*ret = TAKE_FD(fd);
	return 0;
}

/* What is made in a directory with a default ACL begins with that: the root, and all below it. */
static void drop_acls(int root)
{
	fremovexattr(root, "system.posix_acl_access");
	fremovexattr(root, "system.posix_acl_default");
}

static int extract(struct extract *x, const char *path, struct err *e)
{
	int r;

	attributes_init(&x->attributes, x->v);
	drop_acls(x->root);
	x->buffer = malloc(COPY_SIZE);
	r = x->buffer ? walk(x, path, true, make_any, e)
		      : err_sys(e, -ENOMEM, "cannot write files");
	if (r == 0)
		r = walk(x, path, false, finish_dir, e);
	if (r == 0)
		attributes_warn(&x->attributes, path);
	dir_stack_done(&x->dirs);
	free(x->buffer);
	return r;
}

int view_extract(struct view *v, const char *path, struct err *e)
{
	const bool made = mkdir(path, 0700) == 0;
	struct extract x = {.v = v};
	_cleanup_close_ int root = -1;
	int r;

	if (!made && errno != EEXIST)
		return err_sys(e, -errno, "cannot make '%.200s'", path);
	r = open_empty(path, &root, e);
	if (r == 0) {
		x.root = root;
		r = extract(&x, path, e);
		if (r < 0 && remove_below(root) < 0)
			return err_prefix(e, r, "'%.200s' is left incomplete", path);
	}
	if (r < 0 && made)
		rmdir(path);
	return r;
}
