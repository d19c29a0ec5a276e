/* SPDX-License-Identifier: Apache-2.0 */
#include "upper.h"

#include "blocks.h"
#include "util/io.h"
#include "util/remove.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#ifndef RENAME_WHITEOUT
#define RENAME_WHITEOUT (1 << 2)
#endif

const char *upper_number_name(uint64_t number, char ret[UPPER_NUMBER_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char reversed[UPPER_NUMBER_SIZE];
	size_t n = 0, i;

	do {
		reversed[n++] = digits[number & 15];
		number >>= 4;
	} while (number);
	for (i = 0; i < n; i++)
		ret[i] = reversed[n - 1 - i];
	ret[n] = 0;
	return ret;
}

const char *upper_scratch_name(struct upper *up, char ret[UPPER_NUMBER_SIZE])
{
	return upper_number_name(++up->serial, ret);
}

/* An empty directory, or one that was removed while whiteouts were in it. */
static void drop_dir(int dirfd, const char *name)
{
	_cleanup_close_ int fd = -1;

	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || (errno != ENOTEMPTY && errno != EEXIST))
		return;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && remove_below(fd) == 0)
		unlinkat(dirfd, name, AT_REMOVEDIR);
}

/* Its blocks go first: without them, a file that nobody can reach is all that can be left. */
static void drop_file(struct upper *up, int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISREG(st.st_mode) && st.st_nlink == 1)
		blocks_remove(up, st.st_ino);
	if (S_ISDIR(st.st_mode))
		drop_dir(dirfd, name);
	else
		unlinkat(dirfd, name, 0);
}

void upper_scratch_drop(struct upper *up, const char *name)
{
	drop_file(up, up->scratch_fd, name);
}

/* ---- whiteouts ------------------------------------------------------------------------------ */
/* The prepared one's name: "w1". */
static const char *whiteout_name(uint32_t number, char ret[UPPER_NUMBER_SIZE + 1])
{
	ret[0] = 'w';
	upper_number_name(number, ret + 1);
	return ret;
}

/* Makes another prepared one, unless another thread has done so since it was `old`. */
static int new_whiteout(struct upper *up, uint32_t old)
{
	char name[UPPER_NUMBER_SIZE + 1], old_name[UPPER_NUMBER_SIZE + 1];
	uint32_t number;
	int r;

	do {
		number = (uint32_t)(++up->serial);
		r = mknodat(up->scratch_fd, whiteout_name(number, name), S_IFCHR, 0) < 0 ? -errno
											 : 0;
	} while (r == -EEXIST); /* that of the process before us */
	if (r < 0)
		return r;
	if (!atomic_compare_exchange_strong(&up->whiteout, &old, number))
		unlinkat(up->scratch_fd, name, 0);
	else if (old)
		unlinkat(up->scratch_fd, whiteout_name(old, old_name), 0);
	return 0;
}

/* EMLINK: it has as many names as a file can have. ENOENT: another thread has replaced it. */
static int link_whiteout(struct upper *up, int dirfd, const char *name)
{
	char prepared[UPPER_NUMBER_SIZE + 1];
	uint32_t number;
	int r;

	for (;;) {
		number = up->whiteout;
		if (number && linkat(up->scratch_fd, whiteout_name(number, prepared), dirfd, name,
				      0) == 0)
			return 0;
		if (number && errno != EMLINK && errno != ENOENT)
			return -errno;
		if (number && errno == ENOENT && number == up->whiteout)
			return -ENOENT; /* it is the directory that is gone */
		r = new_whiteout(up, number);
		if (r < 0)
			return r;
	}
}

int upper_whiteout(struct upper *up, int dirfd, const char *name, bool replace)
{
	char scratch[UPPER_NUMBER_SIZE];
	int r;

	if (!replace)
		return link_whiteout(up, dirfd, name);
	r = link_whiteout(up, up->scratch_fd, upper_scratch_name(up, scratch));
	if (r < 0)
		return r;
	if (renameat(up->scratch_fd, scratch, dirfd, name) < 0)
		r = -errno;
	/* Where the name is a link to the same whiteout, rename(2) does nothing at all. */
	unlinkat(up->scratch_fd, scratch, 0);
	return r;
}

/* ---- orphans -------------------------------------------------------------------------------- */
int upper_orphan_move(struct upper *up, int dirfd, const char *name, uint64_t id, bool whiteout)
{
	char orphan[UPPER_NUMBER_SIZE];

	return renameat2(dirfd, name, up->orphans_fd, upper_number_name(id, orphan),
		       whiteout ? RENAME_WHITEOUT : 0) < 0
		       ? -errno
		       : 0;
}

int upper_orphan_link(struct upper *up, int dirfd, const char *name, uint64_t id)
{
	char orphan[UPPER_NUMBER_SIZE];

	if (linkat(dirfd, name, up->orphans_fd, upper_number_name(id, orphan), 0) < 0 &&
		errno != EEXIST)
		return -errno;
	return 0;
}

static int copy_xattrs(struct upper *up, int dirfd, const char *name, const char *to)
{
	_cleanup_free_ char *list = malloc(XATTR_LIST_MAX), *value = malloc(XATTR_SIZE_MAX);
	size_t n, size, i;
	int r;

	if (!list || !value)
		return -ENOMEM;
	r = upper_listxattr(dirfd, name, list, XATTR_LIST_MAX, &n);
	for (i = 0; r == 0 && i < n; i += strlen(list + i) + 1) {
		r = upper_getxattr(dirfd, name, list + i, value, XATTR_SIZE_MAX, &size);
		if (r == 0)
			r = upper_setxattr(up->scratch_fd, to, list + i, value, size, 0);
	}
	return r;
}

static int copy_dir(struct upper *up, int dirfd, const char *name, const char *to)
{
	struct timespec times[2];
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (mkdirat(up->scratch_fd, to, 0700) < 0)
		return -errno;
	if (up->may_chown &&
		fchownat(up->scratch_fd, to, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	r = copy_xattrs(up, dirfd, name, to);
	if (r < 0)
		return r;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (fchmodat(up->scratch_fd, to, st.st_mode & 07777, 0) < 0 ||
		utimensat(up->scratch_fd, to, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

int upper_orphan_copy_dir(
	struct upper *up, int dirfd, const char *name, uint64_t id, struct stat *ret)
{
	char scratch[UPPER_NUMBER_SIZE], orphan[UPPER_NUMBER_SIZE];
	int r = copy_dir(up, dirfd, name, upper_scratch_name(up, scratch));

	upper_number_name(id, orphan);
	if (r == 0 && renameat(up->scratch_fd, scratch, up->orphans_fd, orphan) < 0)
		r = -errno;
	if (r == 0 && fstatat(up->orphans_fd, orphan, ret, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r < 0)
		upper_scratch_drop(up, scratch);
	return r;
}

void upper_orphan_remove(struct upper *up, uint64_t id)
{
	char orphan[UPPER_NUMBER_SIZE];

	drop_file(up, up->orphans_fd, upper_number_name(id, orphan));
}

/* ---- opening -------------------------------------------------------------------------------- */
static int open_sub(struct upper *up, const char *work, const char *name, int *ret, struct err *e)
{
	int r = io_mkdir(up->work_fd, name, 0700);

	if (r < 0)
		return err_sys(e, r, "cannot make %s/%s", work, name);
	*ret = openat(up->work_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* A setgid bit that it took from WORK would be passed on. */
	return *ret < 0 || fchmod(*ret, 0700) < 0
		       ? err_sys(e, -errno, "cannot open %s/%s", work, name)
		       : 0;
}

/* Rename and link work within one mount only. */
static int check_same(struct upper *up, const char *path, const char *work, struct err *e)
{
	struct statx a, b;

	if (statx(up->fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &a) < 0)
		return err_sys(e, -errno, "cannot look at %s", path);
	if (statx(up->work_fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &b) < 0)
		return err_sys(e, -errno, "cannot look at %s", work);
	up->dev = makedev(a.stx_dev_major, a.stx_dev_minor);
	if (a.stx_dev_major != b.stx_dev_major || a.stx_dev_minor != b.stx_dev_minor ||
		a.stx_mnt_id != b.stx_mnt_id)
		return err_set(e, -EXDEV, "%s and %s are not in the same mount of a file system",
			path, work);
	if (a.stx_ino == b.stx_ino)
		return err_set(e, -EINVAL, "%s is both upper and work directory", path);
	return 0;
}

static int open_dirs(struct upper *up, const char *path, const char *work, struct err *e)
{
	int r;

	up->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (up->fd < 0)
		return err_sys(e, -errno, "cannot open %s", path);
	up->work_fd = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (up->work_fd < 0)
		return err_sys(e, -errno, "cannot open %s", work);
	r = check_same(up, path, work, e);
	if (r == 0)
		r = open_sub(up, work, "scratch", &up->scratch_fd, e);
	if (r == 0)
		r = open_sub(up, work, "orphans", &up->orphans_fd, e);
	if (r == 0)
		r = open_sub(up, work, "blocks", &up->blocks_fd, e);
	if (r == 0)
		r = open_sub(up, work, "index", &up->index_fd, e);
	return r;
}

/* Calls `f` for each name; whatever it does to that name. */
static int each_name(struct upper *up, int dirfd, void (*f)(struct upper *, int, const char *))
{
	_cleanup_(closedirp) DIR *stream = NULL;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *d;

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream)
		return -errno;
	while (errno = 0, d = readdir(stream))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			f(up, dirfd, d->d_name);
	return -errno;
}

/* overlayfs's own temporary names there begin with '#'. */
static void see_index(struct upper *up, int dirfd _unused_, const char *name)
{
	if (name[0] != '#')
		up->has_index = true;
}

void upper_orphans_empty(struct upper *up)
{
	const int r = each_name(up, up->orphans_fd, drop_file);

	(void)r;
}

/* The whiteout of the process before us is ours: there may be no room for another. */
static void adopt_or_drop(struct upper *up, int dirfd, const char *name)
{
	if (name[0] == 'w' && !up->whiteout)
		up->whiteout = (uint32_t)strtoul(name + 1, NULL, 16);
	else
		drop_file(up, dirfd, name);
}

/* Directories, too, with what is in them. */
static void drop_all(struct upper *up, int dirfd, const char *name)
{
	_cleanup_close_ int fd =
		openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? 0 : remove_below(fd);

	(void)r;
	adopt_or_drop(up, dirfd, name);
}

static int empty_dirs(struct upper *up, bool resume)
{
	int r = each_name(up, up->scratch_fd, drop_all);

	if (r == 0 && !resume)
		r = each_name(up, up->orphans_fd, drop_file);
	return r < 0 ? r : each_name(up, up->index_fd, see_index);
}

/* A full disk is no reason not to be opened: how else would it be emptied? */
static int find_out(struct upper *up, bool resume, struct err *e)
{
	struct err own = {0};
	int r;

	if (resume && upper_probe_recall(up) == 0)
		return 0;
	r = upper_probe(up, &own);
	if (r == -ENOSPC && upper_probe_recall(up) == 0)
		return 0;
	return r < 0 ? err_set(e, r, "%s", own.text) : 0;
}

int upper_open(
	const char *path, const char *work, unsigned int flags, struct upper **ret, struct err *e)
{
	_cleanup_(upper_closep) struct upper *up = calloc(1, sizeof(*up));
	int r;

	if (!up)
		return err_sys(e, -ENOMEM, "%s", path);
	up->fd = up->work_fd = up->scratch_fd = up->orphans_fd = -1;
	up->blocks_fd = up->index_fd = -1;
	up->uid = geteuid();
	up->gid = getegid();
	up->user = flags & UPPER_USER_XATTR;
	up->fsync = flags & UPPER_FSYNC;
	r = open_dirs(up, path, work, e);
	if (r == 0)
		r = find_out(up, flags & UPPER_RESUME, e);
	if (r == 0)
		r = blocks_load(up, e);
	if (r < 0)
		return r;
	r = empty_dirs(up, flags & UPPER_RESUME);
	if (r == 0 && !up->whiteout)
		r = new_whiteout(up, 0);
	if (r < 0)
		return err_sys(e, r, "cannot prepare %s", work);
	*ret = TAKE_PTR(up);
	return 0;
}

void upper_close(struct upper *up)
{
	int *fds[] = {&up->fd, &up->work_fd, &up->scratch_fd, &up->orphans_fd, &up->blocks_fd,
		&up->index_fd};
	char name[UPPER_NUMBER_SIZE + 1];

	if (up->whiteout)
		unlinkat(up->scratch_fd, whiteout_name(up->whiteout, name), 0);
	blocks_unload(up);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close_fdp(fds[i]);
	free(up);
}
