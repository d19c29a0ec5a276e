/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records what a program does to the files below a directory, in order and with all data, so that
 * replay.py can tell what a loss of power may leave of it: a library for LD_PRELOAD.
 *
 *   PLYFS_RECORD=FILE         the record, which is appended to
 *   PLYFS_RECORD_ROOT=DIR     below it counts
 *
 * The record is lines, of which W is followed by its data. Files and directories are inode numbers:
 *
 *   C DIR INODE NAME          a file was made            N INODE        one without a name
 *   M DIR INODE NAME          a directory was made       L INODE DIR NAME   a link
 *   R DIR DIR INODE NAME NAME a rename                   U DIR NAME     a name was removed
 *   W INODE OFFSET SIZE SYNC  a write; SYNC 1: durable when it returned (O_DSYNC)
 *   T INODE SIZE              a new size                 P INODE MODE OFFSET SIZE  fallocate
 *   S INODE                   fsync or fdatasync
 *   X CALL                    something that the replayer knows nothing of
 *
 * sync_file_range is no promise, and is left out. Calls are one after the other, whatever thread
 * they come from. Only names without blanks can be recorded.
 */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;
static char root[PATH_MAX];
static size_t root_length;

__attribute__((constructor)) static void record_init(void)
{
	const char *path = getenv("PLYFS_RECORD"), *below = getenv("PLYFS_RECORD_ROOT");
	int fd;

	if (!path || !below || !realpath(below, root))
		return;
	root_length = strlen(root);
	fd = (int)syscall(
		SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	record = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 500);
	if (record < 0)
		abort();
	close(fd);
}

static void put(const void *p, size_t n)
{
	if (syscall(SYS_write, record, p, n) != (long)n)
		abort();
}

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line))
		abort();
	put(line, (size_t)n);
}

/* What an open file, or a directory's descriptor, is; 0: nothing below the root. */
static unsigned long inode_of(int fd)
{
	char link[64], path[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (record < 0 || fd < 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < (ssize_t)root_length || memcmp(path, root, root_length) != 0 || fstat(fd, &st) < 0)
		return 0;
	return st.st_ino;
}

struct place {
	unsigned long dir; /* 0: not below the root */
	char name[NAME_MAX + 1];
	unsigned long inode; /* of what is there; 0: nothing */
};

static struct place place_of(int dirfd, const char *path)
{
	struct place p = {0};
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	struct stat st;
	int fd;

	if (record < 0 || strlen(path) >= sizeof(parent))
		return p;
	strncpy(p.name, slash ? slash + 1 : path, sizeof(p.name) - 1);
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1,
		slash ? path : ".");
	fd = (int)syscall(SYS_openat, dirfd, *parent ? parent : "/", O_PATH | O_CLOEXEC);
	p.dir = inode_of(fd);
	if (p.dir && fstatat(fd, p.name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		p.inode = st.st_ino;
	if (fd >= 0)
		close(fd);
	return p;
}

static void note_data(
	unsigned long inode, off64_t off, const struct iovec *v, int n, ssize_t size, bool durable)
{
	size_t left = (size_t)size;

	note("W %lu %lld %zu %d\n", inode, (long long)off, left, durable);
	for (int k = 0; k < n && left; k++) {
		size_t part = v[k].iov_len < left ? v[k].iov_len : left;

		put(v[k].iov_base, part);
		left -= part;
	}
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRAPPER(type, name, params) \
	__attribute__((visibility("default"))) type name params; \
	type name params

/* The call `args`, and `notes` if it succeeded, with nobody else's between. */
#define RECORDED(type, name, params, args, before, notes) \
	WRAPPER(type, name, params) \
	{ \
		int saved; \
		type r; \
\
		pthread_mutex_lock(&lock); \
		before; \
		r = REAL(name) args; \
		saved = errno; \
		if (r >= 0) { \
			notes; \
		} \
		pthread_mutex_unlock(&lock); \
		errno = saved; \
		return r; \
	}
#define NOTE_IF(inode, ...) \
	if (inode) \
	note(__VA_ARGS__)

/* --- data --- */

static bool is_dsync(int fd)
{
	return fcntl(fd, F_GETFL) & O_DSYNC;
}

static off64_t offset_of(int fd)
{
	struct stat st;

	if (fcntl(fd, F_GETFL) & O_APPEND)
		return fstat(fd, &st) < 0 ? 0 : st.st_size;
	return lseek64(fd, 0, SEEK_CUR);
}

#define ONE(p, n) (&(struct iovec){(void *)(uintptr_t)(p), n})
#define RECORDED_WRITE(name, params, args, offset, v, count) \
	RECORDED(ssize_t, name, params, args, unsigned long inode = inode_of(fd); \
		 off64_t at = inode ? (offset) : 0, \
		 if (inode) note_data(inode, at, v, count, r, is_dsync(fd)))
RECORDED_WRITE(write, (int fd, const void *p, size_t n), (fd, p, n), offset_of(fd), ONE(p, n), 1)
RECORDED_WRITE(writev, (int fd, const struct iovec *v, int n), (fd, v, n), offset_of(fd), v, n)
RECORDED_WRITE(
	pwrite, (int fd, const void *p, size_t n, off_t off), (fd, p, n, off), off, ONE(p, n), 1)
RECORDED_WRITE(pwrite64, (int fd, const void *p, size_t n, off64_t off), (fd, p, n, off), off,
	ONE(p, n), 1)
RECORDED_WRITE(
	pwritev, (int fd, const struct iovec *v, int n, off_t off), (fd, v, n, off), off, v, n)
RECORDED_WRITE(
	pwritev64, (int fd, const struct iovec *v, int n, off64_t off), (fd, v, n, off), off, v, n)

#define INODE unsigned long inode = inode_of(fd)
RECORDED(int, ftruncate, (int fd, off_t n), (fd, n), INODE, NOTE_IF(inode, "T %lu %ld\n", inode, n))
RECORDED(int, ftruncate64, (int fd, off64_t n), (fd, n), INODE,
	NOTE_IF(inode, "T %lu %ld\n", inode, n))
RECORDED(int, fallocate, (int fd, int mode, off_t off, off_t n), (fd, mode, off, n), INODE,
	NOTE_IF(inode, "P %lu %d %ld %ld\n", inode, mode, off, n))
RECORDED(int, fallocate64, (int fd, int mode, off64_t off, off64_t n), (fd, mode, off, n), INODE,
	NOTE_IF(inode, "P %lu %d %ld %ld\n", inode, mode, off, n))
RECORDED(int, fsync, (int fd), (fd), INODE, NOTE_IF(inode, "S %lu\n", inode))
RECORDED(int, fdatasync, (int fd), (fd), INODE, NOTE_IF(inode, "S %lu\n", inode))

RECORDED(ssize_t, copy_file_range,
	(int from, off64_t *a, int fd, off64_t *b, size_t n, unsigned int flags),
	(from, a, fd, b, n, flags), INODE, NOTE_IF(inode, "X copy_file_range\n"))
RECORDED(int, syncfs, (int fd), (fd), INODE, NOTE_IF(inode, "X syncfs\n"))

/* Of LMDB's files, the one that is written through a mapping: it is made anew after each boot. */
static bool is_lmdb_lock(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n > 5 && memcmp(path + n - 5, "-lock", 5) == 0;
}

static void note_map(int fd, int prot, int flags)
{
	if (prot & PROT_WRITE && flags & MAP_SHARED && inode_of(fd) && !is_lmdb_lock(fd))
		note("X mmap\n");
}

WRAPPER(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t off))
{
	note_map(fd, prot, flags);
	return REAL(mmap)(at, n, prot, flags, fd, off);
}

WRAPPER(void *, mmap64, (void *at, size_t n, int prot, int flags, int fd, off64_t off))
{
	note_map(fd, prot, flags);
	return REAL(mmap64)(at, n, prot, flags, fd, off);
}

/* --- names --- */

static void note_open(const struct place *p, int flags, int fd)
{
	unsigned long inode = inode_of(fd);

	if (!inode)
		return;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		note("N %lu\n", inode);
	else if (flags & O_CREAT && p->dir && !p->inode)
		note("C %lu %lu %s\n", p->dir, inode, p->name);
	else if (flags & O_TRUNC)
		note("T %lu 0\n", inode);
}

#define MODE \
	mode_t mode = 0; \
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) { \
		va_list ap; \
		va_start(ap, flags); \
		mode = va_arg(ap, mode_t); \
		va_end(ap); \
	}
#define RECORDED_OPEN(name, params, dir, args) \
	RECORDED(int, name, params, args, MODE; \
		 struct place p = place_of(dir, path), note_open(&p, flags, r))
RECORDED_OPEN(open, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
RECORDED_OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
RECORDED_OPEN(openat, (int dir, const char *path, int flags, ...), dir, (dir, path, flags, mode))
RECORDED_OPEN(openat64, (int dir, const char *path, int flags, ...), dir, (dir, path, flags, mode))

static void note_mkdir(int dirfd, const char *path)
{
	struct place p = place_of(dirfd, path);

	NOTE_IF(p.dir, "M %lu %lu %s\n", p.dir, p.inode, p.name);
}

static void note_link(int dirfd, const char *path)
{
	struct place p = place_of(dirfd, path);

	NOTE_IF(p.dir, "L %lu %lu %s\n", p.inode, p.dir, p.name);
}

static void note_rename(const struct place *a, const struct place *b)
{
	if (a->dir && b->dir)
		note("R %lu %lu %lu %s %s\n", a->dir, b->dir, a->inode, a->name, b->name);
	else if (a->dir || b->dir)
		note("X rename\n");
}

RECORDED(int, mkdir, (const char *path, mode_t mode), (path, mode), , note_mkdir(AT_FDCWD, path))
RECORDED(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), ,
	note_mkdir(dir, path))
RECORDED(int, linkat, (int a, const char *from, int b, const char *to, int flags),
	(a, from, b, to, flags), , note_link(b, to))

#define PLACES(a, from, b, to) struct place x = place_of(a, from), y = place_of(b, to)
RECORDED(int, rename, (const char *from, const char *to), (from, to),
	PLACES(AT_FDCWD, from, AT_FDCWD, to), note_rename(&x, &y))
RECORDED(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to),
	PLACES(a, from, b, to), note_rename(&x, &y))
RECORDED(int, renameat2, (int a, const char *from, int b, const char *to, unsigned int flags),
	 (a, from, b, to, flags), PLACES(a, from, b, to), if (flags) note("X renameat2\n");
	 else note_rename(&x, &y))

#define PLACE(dir, path) struct place p = place_of(dir, path)
RECORDED(int, unlink, (const char *path), (path), PLACE(AT_FDCWD, path),
	NOTE_IF(p.dir, "U %lu %s\n", p.dir, p.name))
RECORDED(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags),
	PLACE(dir, path), NOTE_IF(p.dir, "U %lu %s\n", p.dir, p.name))
