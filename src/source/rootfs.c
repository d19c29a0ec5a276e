/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every name is opened once, with O_PATH and O_NOFOLLOW; all that is said of it then comes from
 * that descriptor (through /proc/self/fd where a call wants a path), so nothing can be swapped in
 * between. The walk is a stack of directories in memory, not of calls (util/dir-stack.h).
 */
#include "file-data.h"
#include "link-table.h"
#include "tree-source.h"
#include "util/array.h"
#include "util/buf.h"
#include "util/dir-stack.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define XATTR_LIST_SIZE ((size_t)65536) /* XATTR_LIST_MAX */
#define XATTR_SIZE      ((size_t)65536) /* XATTR_SIZE_MAX */

struct dir {
	size_t path_size; /* bytes of walk.path that name it, with a '/' behind; 0 for the root */
	struct buf text;  /* the names, each with its NUL */
	char **names;     /* sorted */
	size_t n, at;
};

struct walk {
	struct sink *out;
	struct buf path; /* of the current entry */
	struct dir_stack stack;
	struct dir *dirs; /* of the stack */
	size_t n_dirs, room_dirs;
	struct link_table links;
	struct buf xattr_names, xattr_values;
	struct tar_xattr *xattrs;
	size_t room_xattrs;
};

static void dir_done(struct dir *d)
{
	buf_done(&d->text);
	free(d->names);
}

static void walk_done(struct walk *w)
{
	while (w->n_dirs)
		dir_done(&w->dirs[--w->n_dirs]);
	free(w->dirs);
	dir_stack_done(&w->stack);
	buf_done(&w->path);
	link_table_done(&w->links);
	buf_done(&w->xattr_names);
	buf_done(&w->xattr_values);
	free(w->xattrs);
}

static const char *path_of(const struct walk *w)
{
	return (const char *)w->path.p;
}

static int fail(const struct walk *w, int code, const char *what, struct err *e)
{
	return err_sys(e, code, "%s '%.200s'", what, path_of(w));
}

struct proc_path {
	char text[32];
};

static struct proc_path proc_path(int fd)
{
	struct proc_path p;

	snprintf(p.text, sizeof(p.text), "/proc/self/fd/%d", fd);
	return p;
}

/* --- xattrs ------------------------------------------------------------------------------- */

static int list_xattrs(struct walk *w, const char *proc)
{
	ssize_t n;
	int r;

	w->xattr_names.n = w->xattr_values.n = 0;
	r = buf_reserve(&w->xattr_names, XATTR_LIST_SIZE);
	if (r < 0)
		return r;
	n = listxattr(proc, (char *)w->xattr_names.p, XATTR_LIST_SIZE);
	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	w->xattr_names.n = (size_t)n;
	return 0;
}

/* 1 = the value was added; 0 = the caller may not read it, or it is gone. */
static int load_xattr(struct walk *w, const char *proc, const char *name, size_t *ret_size)
{
	ssize_t n;
	int r = buf_reserve(&w->xattr_values, XATTR_SIZE);

	if (r < 0)
		return r;
	n = getxattr(proc, name, w->xattr_values.p + w->xattr_values.n, XATTR_SIZE);
	if (n < 0)
		return errno == ENODATA || errno == EPERM || errno == EACCES ? 0 : -errno;
	w->xattr_values.n += (size_t)n;
	*ret_size = (size_t)n;
	return 1;
}

static int push_xattr(struct walk *w, size_t at, const char *name, size_t size)
{
	if (array_room(&w->xattrs, at, &w->room_xattrs, sizeof(*w->xattrs)) < 0)
		return -ENOMEM;
	w->xattrs[at] = (struct tar_xattr){.name = name, .value_size = size};
	return 0;
}

/* The values are put into the list last: until then their buffer moves. */
static int load_xattrs(struct walk *w, int fd, struct tar_entry *x)
{
	const struct proc_path proc = proc_path(fd);
	const char *p, *end;
	size_t n = 0, at = 0;
	int r = list_xattrs(w, proc.text);

	if (r < 0)
		return r;
	p = (const char *)w->xattr_names.p;
	end = p + w->xattr_names.n;
	for (; p < end; p += strlen(p) + 1) {
		size_t size = 0;

		r = load_xattr(w, proc.text, p, &size);
		if (r > 0)
			r = push_xattr(w, n++, p, size);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n; at += w->xattrs[i++].value_size)
		w->xattrs[i].value = w->xattr_values.p + at;
	x->xattrs = w->xattrs;
	x->n_xattrs = n;
	return 0;
}

/* --- directories -------------------------------------------------------------------------- */

static int read_names(struct dir *d, int dir_fd)
{
	_cleanup_(closedirp) DIR *stream = NULL;
	struct dirent *entry;
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	stream = fdopendir(fd);
	if (!stream) {
		int r = -errno;

		close(fd);
		return r;
	}
	while (errno = 0, (entry = readdir(stream))) {
		const char *name = entry->d_name;
		int r = 0;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			r = buf_add(&d->text, name, strlen(name) + 1);
			d->n++;
		}
		if (r < 0)
			return r;
	}
	return -errno;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int sort_names(struct dir *d)
{
	char *p = (char *)d->text.p;

	d->names = calloc(d->n + 1, sizeof(*d->names));
	if (!d->names)
		return -ENOMEM;
	for (size_t i = 0; i < d->n; i++, p += strlen(p) + 1)
		d->names[i] = p;
	qsort(d->names, d->n, sizeof(*d->names), compare_names);
	return 0;
}

/* Takes the descriptor over. The directory's own path is the current one. */
static int push_dir(struct walk *w, int fd, size_t path_size)
{
	struct dir *d;
	int r = dir_stack_push(&w->stack, fd);

	if (r < 0)
		return r;
	if (w->n_dirs == w->room_dirs) {
		const size_t room = w->room_dirs ? 2 * w->room_dirs : 64;

		d = reallocarray(w->dirs, room, sizeof(*d));
		if (!d)
			return -ENOMEM;
		w->dirs = d;
		w->room_dirs = room;
	}
	d = &w->dirs[w->n_dirs++];
	*d = (struct dir){.path_size = path_size};
	r = read_names(d, fd);
	return r < 0 ? r : sort_names(d);
}

static int pop_dir(struct walk *w, struct err *e)
{
	_cleanup_close_ int left = -1;
	int r = dir_stack_pop(&w->stack, &left);

	dir_done(&w->dirs[--w->n_dirs]);
	return r < 0 ? fail(w, r, "cannot go back from", e) : 0;
}

/* --- entries ------------------------------------------------------------------------------ */

static struct tar_entry entry_of(const struct walk *w, const struct stat *st)
{
	return (struct tar_entry){
		.path = path_of(w),
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim.tv_sec,
		.mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
		.dev_major = major(st->st_rdev),
		.dev_minor = minor(st->st_rdev),
	};
}

static int write_symlink(struct walk *w, int fd, struct tar_entry *x, struct err *e)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(fd, "", target, PATH_MAX);

	if (n < 0)
		return fail(w, -errno, "cannot read symlink", e);
	target[n] = 0;
	x->link = target;
	return tar_write_entry(w->out, x, e);
}

static int write_file(
	struct walk *w, int fd, const struct stat *st, const struct tar_entry *x, struct err *e)
{
	_cleanup_close_ int data_fd = open(proc_path(fd).text, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (data_fd < 0)
		return fail(w, -errno, "cannot open", e);
	return file_to_tar(data_fd, st, x, w->out, e);
}

/* Writes the entry and goes down: the next names are the directory's. */
static int write_dir(struct walk *w, int fd, const struct tar_entry *x, struct err *e)
{
	int dir_fd, r = tar_write_entry(w->out, x, e);

	if (r < 0)
		return r;
	dir_fd = open(proc_path(fd).text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return fail(w, -errno, "cannot open", e);
	r = w->n_dirs ? buf_add(&w->path, "/", 1) : 0;
	if (r < 0) {
		close(dir_fd);
		return fail(w, r, "cannot list", e);
	}
	r = push_dir(w, dir_fd, w->n_dirs ? w->path.n : 0);
	return r < 0 ? fail(w, r, "cannot list", e) : 0;
}

/* A name after the first of a file with several; 1 = it was written. */
static int write_further_name(
	struct walk *w, const struct stat *st, struct tar_entry *x, struct err *e)
{
	const char *first = NULL;
	int r;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return 0;
	r = link_table_add(&w->links, st->st_dev, st->st_ino, x->path, &first);
	if (r < 0)
		return fail(w, r, "cannot remember", e);
	if (!first)
		return 0;
	x->hardlink = true;
	x->link = first;
	r = tar_write_entry(w->out, x, e);
	return r < 0 ? r : 1;
}

/* `fd` is O_PATH; w->path names it. */
static int write_node(struct walk *w, int fd, struct err *e)
{
	struct tar_entry x;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return fail(w, -errno, "cannot stat", e);
	x = entry_of(w, &st);
	r = load_xattrs(w, fd, &x);
	if (r < 0)
		return fail(w, r, "cannot read extended attributes of", e);
	r = write_further_name(w, &st, &x, e);
	if (r != 0)
		return r < 0 ? r : 0;
	if (S_ISDIR(st.st_mode))
		return write_dir(w, fd, &x, e);
	if (S_ISREG(st.st_mode))
		return write_file(w, fd, &st, &x, e);
	if (S_ISLNK(st.st_mode))
		return write_symlink(w, fd, &x, e);
	return tar_write_entry(w->out, &x, e);
}

static int write_name(struct walk *w, const struct dir *d, const char *name, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r;

	w->path.n = d->path_size;
	r = buf_add(&w->path, name, strlen(name));
	if (r < 0)
		return err_sys(e, r, "'%s'", name);
	if (strncmp(name, ".wh.", 4) == 0)
		return err_set(e, -ERR_INPUT,
			"'%.200s': a name that starts with '.wh.' would be a whiteout in a layer",
			path_of(w));
	fd = openat(dir_stack_fd(&w->stack), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(w, -errno, "cannot open", e);
	return write_node(w, fd, e);
}

static int write_root(struct walk *w, const char *path, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, -errno, "cannot open '%s'", path);
	if (buf_add(&w->path, "./", 2) < 0)
		return err_sys(e, -ENOMEM, "'%s'", path);
	return write_node(w, fd, e);
}

static int write_tree(struct walk *w, const char *path, struct err *e)
{
	int r = write_root(w, path, e);

	while (r == 0 && w->n_dirs) {
		struct dir *d = &w->dirs[w->n_dirs - 1];

		if (d->at < d->n)
			r = write_name(w, d, d->names[d->at++], e);
		else
			r = pop_dir(w, e);
	}
	return r;
}

int rootfs_to_tar(const char *path, struct sink *out, struct err *e)
{
	_cleanup_(walk_done) struct walk w = {.out = out};
	int r = write_tree(&w, path, e);

	if (r < 0)
		return err_prefix(e, r, "rootfs '%.200s'", path);
	r = tar_write_end(out);
	return r < 0 ? err_sys(e, r, "rootfs '%.200s'", path) : 0;
}
