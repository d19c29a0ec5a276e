/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cp: files and directories out of an image, as docker cp and podman cp do: a directory is copied
 * whole, into DEST if that is a directory, else as DEST. Modes and times are kept, owners too for
 * root.
 *
 * On the host nothing is followed: every name is made anew below a directory that is held open.
 */
#include "tool.h"
#include "util/bytes.h"
#include "util/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#define COPY_SIZE ((size_t)1 << 20)

struct copy {
	struct plyfs_image *image;
	char *buffer;
	int depth;
};

static int host_fail(const char *path)
{
	return tool_fail_text("%s: %s", path, strerror(errno));
}

/* Owner, mode and time of what was made as dirfd/name. The mode last: chown takes setuid away. */
static int set_attributes(int dirfd, const char *name, const struct stat *st, const char *path)
{
	struct timespec times[2] = {st->st_mtim, st->st_mtim};

	if (geteuid() == 0 &&
		fchownat(dirfd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return host_fail(path);
	if (!S_ISLNK(st->st_mode) && fchmodat(dirfd, name, st->st_mode & 07777, 0) < 0)
		return host_fail(path);
	if (utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return host_fail(path);
	return 0;
}

/* Holes stay holes. */
static int copy_data(struct copy *c, const char *path, int fd, uint64_t size)
{
	struct plyfs_file *f;
	struct plyfs_error e;
	int64_t off = 0;
	ssize_t n = 1;
	int r = 0;

	if (plyfs_open(c->image, path, &f, &e) < 0)
		return tool_fail(&e);
	while (r == 0 && n > 0 && (off = plyfs_seek_data(f, (uint64_t)off, &e)) >= 0) {
		n = plyfs_pread(f, c->buffer, COPY_SIZE, (uint64_t)off, &e);
		if (n > 0 && !bytes_all_zero(c->buffer, (size_t)n))
			r = io_pwrite_full(fd, c->buffer, (size_t)n, (uint64_t)off);
		off += n > 0 ? n : 0;
	}
	n = off < 0 ? -1 : n;
	plyfs_close(f);
	if (n < 0)
		return tool_fail_text("%s: %s", path, e.text);
	if (r == 0 && ftruncate(fd, (off_t)size) < 0)
		r = -errno;
	return r < 0 ? tool_fail_text("cannot write the copy of %s: %s", path, strerror(-r)) : 0;
}

/* A file takes the place of a file, and of nothing else. */
static int copy_file(
	struct copy *c, const char *path, int dirfd, const char *name, const struct stat *st)
{
	_cleanup_close_ int fd = -1;
	struct stat old;

	if (fstatat(dirfd, name, &old, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(old.st_mode))
		unlinkat(dirfd, name, 0);
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return host_fail(name);
	return copy_data(c, path, fd, (uint64_t)st->st_size);
}

static int copy_special(
	struct copy *c, const char *path, int dirfd, const char *name, const struct stat *st)
{
	char target[4097];

	unlinkat(dirfd, name, 0);
	if (S_ISLNK(st->st_mode)) {
		struct plyfs_error e;

		if (plyfs_readlink(c->image, path, target, sizeof(target), &e) < 0)
			return tool_fail(&e);
		return symlinkat(target, dirfd, name) < 0 ? host_fail(name) : 0;
	}
	return mknodat(dirfd, name, st->st_mode & (S_IFMT | 0600), st->st_rdev) < 0
		       ? host_fail(name)
		       : 0;
}

static int copy_any(struct copy *c, const char *path, int dirfd, const char *name);

static int copy_names(struct copy *c, const char *path, int fd)
{
	struct plyfs_dirent d;
	struct plyfs_dir *dir;
	struct plyfs_error e;
	int r, status = 0;

	if (plyfs_opendir(c->image, path, &dir, &e) < 0)
		return tool_fail(&e);
	while (status == 0 && (r = plyfs_readdir(dir, &d, &e)) == 1) {
		_cleanup_free_ char *below = NULL;

		if (asprintf(&below, "%s/%s", path, d.name) < 0)
			status = tool_fail_text("out of memory");
		else
			status = copy_any(c, below, fd, d.name);
	}
	plyfs_closedir(dir);
	return status ? status : r < 0 ? tool_fail(&e) : 0;
}

static int copy_directory(struct copy *c, const char *path, int dirfd, const char *name)
{
	_cleanup_close_ int fd = -1;
	int status;

	if (c->depth >= TOOL_DEPTH_MAX)
		return tool_fail_text(
			"%.40s...: more than %d directories deep", path, TOOL_DEPTH_MAX);
	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return host_fail(name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return host_fail(name);
	c->depth++;
	status = copy_names(c, path, fd);
	c->depth--;
	return status;
}

/* Copies image:path as dirfd/name. Returns an exit status. */
static int copy_any(struct copy *c, const char *path, int dirfd, const char *name)
{
	struct plyfs_error e;
	struct stat st;
	int status;

	if (plyfs_lstat(c->image, path, &st, &e) < 0)
		return tool_fail(&e);
	if (S_ISDIR(st.st_mode))
		status = copy_directory(c, path, dirfd, name);
	else if (S_ISREG(st.st_mode))
		status = copy_file(c, path, dirfd, name, &st);
	else
		status = copy_special(c, path, dirfd, name, &st);
	return status ? status : set_attributes(dirfd, name, &st, name);
}

/* The last name of a path in the image; "." for the root. */
static char *last_name(const char *path)
{
	size_t n = strlen(path);
	const char *slash;

	while (n && path[n - 1] == '/')
		n--;
	slash = memrchr(path, '/', n);
	if (slash)
		return strndup(slash + 1, n - (size_t)(slash + 1 - path));
	return n ? strndup(path, n) : strdup(".");
}

static int copy_to(struct copy *c, const char *path, const char *dest)
{
	_cleanup_free_ char *parent = strdup(dest), *name = last_name(path);
	_cleanup_close_ int fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *slash;

	if (!parent || !name)
		return tool_fail_text("out of memory");
	if (fd >= 0) /* into a directory; its content alone if a name says nothing */
		return strcmp(name, ".") == 0 || strcmp(name, "..") == 0
			       ? copy_names(c, path, fd)
			       : copy_any(c, path, fd, name);
	while ((slash = strrchr(parent, '/')) && !slash[1] && slash > parent)
		*slash = 0;
	if (slash)
		*slash = 0;
	fd = open(slash ? (*parent ? parent : "/") : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return host_fail(dest);
	return copy_any(c, path, fd, slash ? slash + 1 : parent);
}

int cmd_cp(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = NULL;
	_cleanup_image_ struct plyfs_image *image = NULL;
	_cleanup_free_ char *name = strdup(t->argv[0]), *buffer = malloc(COPY_SIZE);
	struct copy c = {.buffer = buffer};
	char *colon = name ? strstr(name, ":/") : NULL;

	if (!name || !buffer)
		return tool_fail_text("out of memory");
	if (!colon)
		colon = strrchr(name, ':');
	if (!colon || colon == name) {
		tool_fail_text("'%s' is not NAME:PATH (usage: plyfs cp NAME:PATH DEST)", name);
		return 2;
	}
	*colon = 0;
	s = tool_store(t, false);
	image = s ? tool_image(s, name) : NULL;
	if (!image)
		return 1;
	c.image = image;
	return copy_to(&c, colon + 1, t->argv[1]);
}
