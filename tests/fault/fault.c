/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes calls of a program fail, or kills the program at one: a library for LD_PRELOAD.
 *
 *   PLYFS_FAULT=[HOW:]CALL:N[:ERRNO] what happens at the Nth call of CALL
 *   PLYFS_FAULT_MARK=FILE            is made when it happens
 *   PLYFS_FAULT_COUNT=FILE           how often each was called, written when the program ends
 *
 * HOW: fail (that call fails; so without HOW), sticky (it and all later ones of CALL), short (that
 * write takes half of its bytes, the others are whole), kill (SIGKILL in front of it), after
 * (SIGKILL behind it), tear (that write takes half of its bytes, then SIGKILL).
 *
 * CALL: write (write, writev, copy_file_range), pwrite (pwrite, pwritev), sync (fsync, fdatasync,
 * msync, syncfs), rename, link, unlink (unlink, rmdir), alloc (ftruncate, fallocate), create (open
 * with O_CREAT or O_TMPFILE, mkdir, symlink, mknod), attr (chmod, chown, times, xattrs); "any" is
 * all of these together. Beside them: open (without O_CREAT), read (read, pread), map (mmap),
 * thread (pthread_create), memory (malloc and its kin). What goes to stdin, stdout and stderr does
 * not count, nor does what happens before the program's own code runs.
 */
#undef _FILE_OFFSET_BITS /* the names with and without 64 are wrapped: neither may be the other's \
			  */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

enum call {
	CALL_WRITE,
	CALL_PWRITE,
	CALL_SYNC,
	CALL_RENAME,
	CALL_LINK,
	CALL_UNLINK,
	CALL_ALLOC,
	CALL_CREATE,
	CALL_ATTR,
	CALL_ANY, /* of those above */
	CALL_OPEN,
	CALL_READ,
	CALL_MAP,
	CALL_THREAD,
	CALL_MEMORY,
};
#define CALLS (CALL_MEMORY + 1)

static const char *const call_names[CALLS] = {"write", "pwrite", "sync", "rename", "link", "unlink",
	"alloc", "create", "attr", "any", "open", "read", "map", "thread", "memory"};

enum how { HOW_NONE, HOW_FAIL, HOW_STICKY, HOW_SHORT, HOW_KILL, HOW_AFTER, HOW_TEAR };
static const char *const how_names[] = {"none", "fail", "sticky", "short", "kill", "after", "tear"};

static const struct {
	const char *name;
	int number;
} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"ENOMEM", ENOMEM}, {"EDQUOT", EDQUOT},
	{"EROFS", EROFS}, {"EAGAIN", EAGAIN}, {"EMFILE", EMFILE}, {"EPERM", EPERM}};

static atomic_ulong counts[CALLS];
static enum call chosen = CALLS;
static enum how how;
static unsigned long nth;
static int code = EIO;

static void fault_parse(char *text)
{
	const char *call, *number, *error;
	char *rest = strchr(text, ':');
	size_t n = rest ? (size_t)(rest - text) : 0;

	for (size_t k = 0; k < sizeof(how_names) / sizeof(*how_names); k++)
		if (strlen(how_names[k]) == n && memcmp(text, how_names[k], n) == 0)
			how = (enum how)k;
	rest = how == HOW_NONE ? text : rest + 1;
	how = how == HOW_NONE ? HOW_FAIL : how;
	call = strsep(&rest, ":");
	number = strsep(&rest, ":");
	error = strsep(&rest, ":");
	for (int k = 0; k < CALLS; k++)
		if (strcmp(call, call_names[k]) == 0)
			chosen = (enum call)k;
	nth = strtoul(number ? number : "", NULL, 10);
	for (size_t k = 0; error && k < sizeof(errors) / sizeof(*errors); k++)
		if (strcmp(error, errors[k].name) == 0)
			code = errors[k].number;
	if (chosen == CALLS || !nth)
		abort();
}

__attribute__((constructor)) static void fault_init(void)
{
	const char *text = getenv("PLYFS_FAULT");
	char copy[128];

	if (text && snprintf(copy, sizeof(copy), "%s", text) < (int)sizeof(copy))
		fault_parse(copy);
	for (int k = 0; k < CALLS; k++)
		atomic_store(&counts[k], 0);
}

__attribute__((destructor)) static void fault_count(void)
{
	const char *path = getenv("PLYFS_FAULT_COUNT");
	FILE *f = path ? fopen(path, "we") : NULL;

	for (int k = 0; f && k < CALLS; k++)
		fprintf(f, "%s %lu\n", call_names[k], atomic_load(&counts[k]));
	if (f)
		fclose(f);
}

static void mark(void)
{
	const char *path = getenv("PLYFS_FAULT_MARK");

	if (path)
		close((int)syscall(
			SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static bool reached(enum call call)
{
	unsigned long n = atomic_fetch_add(&counts[call], 1) + 1;

	return chosen == call && (n == nth || (how == HOW_STICKY && n > nth));
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* What is to happen at this call; HOW_FAIL with errno set. */
static enum how fault(enum call call)
{
	bool now = reached(call);

	if (call < CALL_ANY)
		now |= reached(CALL_ANY);
	if (!now)
		return HOW_NONE;
	mark();
	if (how == HOW_KILL)
		die();
	errno = code;
	return how == HOW_STICKY ? HOW_FAIL : how;
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

#define WRAPPER(type, name, params) \
	__attribute__((visibility("default"))) type name params; \
	type name params

/* A call that fails with `failure`: its kind, name, condition to count, parameters, arguments. */
#define FAULTY_AS(type, failure, call, name, counts_if, params, args) \
	WRAPPER(type, name, params) \
	{ \
		static __typeof__(&name) next; \
		enum how now = (counts_if) ? fault(call) : HOW_NONE; \
		type r; \
\
		if (now == HOW_FAIL) \
			return failure; \
		if (!next) \
			next = REAL(name); \
		r = next args; \
		if (now == HOW_AFTER || now == HOW_TEAR) \
			die(); \
		return r; \
	}
#define FAULTY(call, name, params, args) FAULTY_AS(int, -1, call, name, true, params, args)

/* A call that writes: it may also take half of the bytes; `cut` halves what is asked for. */
#define WRITES(call, name, counts_if, params, args, cut) \
	WRAPPER(ssize_t, name, params) \
	{ \
		static __typeof__(&name) next; \
		enum how now = (counts_if) ? fault(call) : HOW_NONE; \
		ssize_t r; \
\
		if (now == HOW_FAIL) \
			return -1; \
		if (!next) \
			next = REAL(name); \
		if (now == HOW_SHORT || now == HOW_TEAR) { \
			cut; \
		} \
		r = next args; \
		if (now == HOW_AFTER || now == HOW_TEAR) \
			die(); \
		return r; \
	}
#define HALF n = (n + 1) / 2

WRITES(CALL_WRITE, write, fd > 2, (int fd, const void *p, size_t n), (fd, p, n), HALF)
WRITES(CALL_WRITE, writev, fd > 2, (int fd, const struct iovec *v, int n), (fd, v, n), HALF)
WRITES(CALL_WRITE, copy_file_range, true,
	(int from, off64_t *a, int to, off64_t *b, size_t n, unsigned int flags),
	(from, a, to, b, n, flags), HALF)
WRITES(CALL_PWRITE, pwrite, true, (int fd, const void *p, size_t n, off_t off), (fd, p, n, off),
	HALF)
WRITES(CALL_PWRITE, pwrite64, true, (int fd, const void *p, size_t n, off64_t off), (fd, p, n, off),
	HALF)
WRITES(CALL_PWRITE, pwritev, true, (int fd, const struct iovec *v, int n, off_t off),
	(fd, v, n, off), HALF)
WRITES(CALL_PWRITE, pwritev64, true, (int fd, const struct iovec *v, int n, off64_t off),
	(fd, v, n, off), HALF)

FAULTY(CALL_SYNC, fsync, (int fd), (fd))
FAULTY(CALL_SYNC, fdatasync, (int fd), (fd))
FAULTY(CALL_SYNC, syncfs, (int fd), (fd))
FAULTY(CALL_SYNC, msync, (void *p, size_t n, int flags), (p, n, flags))
FAULTY(CALL_RENAME, rename, (const char *from, const char *to), (from, to))
FAULTY(CALL_RENAME, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
FAULTY(CALL_RENAME, renameat2, (int a, const char *from, int b, const char *to, unsigned int flags),
	(a, from, b, to, flags))
FAULTY(CALL_LINK, linkat, (int a, const char *from, int b, const char *to, int flags),
	(a, from, b, to, flags))
FAULTY(CALL_UNLINK, unlink, (const char *path), (path))
FAULTY(CALL_UNLINK, rmdir, (const char *path), (path))
FAULTY(CALL_UNLINK, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
FAULTY(CALL_ALLOC, ftruncate, (int fd, off_t n), (fd, n))
FAULTY(CALL_ALLOC, ftruncate64, (int fd, off64_t n), (fd, n))
FAULTY(CALL_ALLOC, fallocate, (int fd, int mode, off_t off, off_t n), (fd, mode, off, n))
FAULTY(CALL_ALLOC, fallocate64, (int fd, int mode, off64_t off, off64_t n), (fd, mode, off, n))
FAULTY(CALL_CREATE, mkdir, (const char *path, mode_t mode), (path, mode))
FAULTY(CALL_CREATE, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
FAULTY(CALL_CREATE, symlinkat, (const char *to, int dir, const char *path), (to, dir, path))
FAULTY(CALL_CREATE, mknodat, (int dir, const char *path, mode_t mode, dev_t dev),
	(dir, path, mode, dev))
FAULTY(CALL_ATTR, fchmod, (int fd, mode_t mode), (fd, mode))
FAULTY(CALL_ATTR, fchmodat, (int dir, const char *path, mode_t mode, int flags),
	(dir, path, mode, flags))
FAULTY(CALL_ATTR, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
FAULTY(CALL_ATTR, fchownat, (int dir, const char *path, uid_t uid, gid_t gid, int flags),
	(dir, path, uid, gid, flags))
FAULTY(CALL_ATTR, futimens, (int fd, const struct timespec t[2]), (fd, t))
FAULTY(CALL_ATTR, utimensat, (int dir, const char *path, const struct timespec t[2], int flags),
	(dir, path, t, flags))
FAULTY(CALL_ATTR, setxattr,
	(const char *path, const char *name, const void *p, size_t n, int flags),
	(path, name, p, n, flags))
FAULTY(CALL_ATTR, lsetxattr,
	(const char *path, const char *name, const void *p, size_t n, int flags),
	(path, name, p, n, flags))
FAULTY(CALL_ATTR, fsetxattr, (int fd, const char *name, const void *p, size_t n, int flags),
	(fd, name, p, n, flags))

FAULTY_AS(ssize_t, -1, CALL_READ, read, fd > 2, (int fd, void *p, size_t n), (fd, p, n))
FAULTY_AS(ssize_t, -1, CALL_READ, pread, true, (int fd, void *p, size_t n, off_t off),
	(fd, p, n, off))
FAULTY_AS(ssize_t, -1, CALL_READ, pread64, true, (int fd, void *p, size_t n, off64_t off),
	(fd, p, n, off))
FAULTY_AS(void *, MAP_FAILED, CALL_MAP, mmap, true,
	(void *at, size_t n, int prot, int flags, int fd, off_t off), (at, n, prot, flags, fd, off))
FAULTY_AS(void *, MAP_FAILED, CALL_MAP, mmap64, true,
	(void *at, size_t n, int prot, int flags, int fd, off64_t off),
	(at, n, prot, flags, fd, off))
FAULTY_AS(int, EAGAIN, CALL_THREAD, pthread_create, true,
	(pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *arg), (t, a, f, arg))

/* Opening: the mode is there only with flags that make a file. */
#define OPENS(name, params, last, args) \
	__attribute__((visibility("default"))) int name params; \
	int name params \
	{ \
		static __typeof__(&name) next; \
		bool makes = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE; \
		enum how now = fault(makes ? CALL_CREATE : CALL_OPEN); \
		mode_t mode = 0; \
		int r; \
\
		if (makes) { \
			va_list ap; \
\
			va_start(ap, last); \
			mode = va_arg(ap, mode_t); \
			va_end(ap); \
		} \
		if (now == HOW_FAIL) \
			return -1; \
		if (!next) \
			next = REAL(name); \
		r = next args; \
		if (now == HOW_AFTER || now == HOW_TEAR) \
			die(); \
		return r; \
	}
OPENS(open, (const char *path, int flags, ...), flags, (path, flags, mode))
OPENS(open64, (const char *path, int flags, ...), flags, (path, flags, mode))
OPENS(openat, (int dir, const char *path, int flags, ...), flags, (dir, path, flags, mode))
OPENS(openat64, (int dir, const char *path, int flags, ...), flags, (dir, path, flags, mode))

/* glibc's own names: dlsym itself needs memory. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

WRAPPER(void *, malloc, (size_t n))
{
	return fault(CALL_MEMORY) ? NULL : __libc_malloc(n);
}

WRAPPER(void *, calloc, (size_t n, size_t size))
{
	return fault(CALL_MEMORY) ? NULL : __libc_calloc(n, size);
}

WRAPPER(void *, realloc, (void *p, size_t n))
{
	return fault(CALL_MEMORY) ? NULL : __libc_realloc(p, n);
}

WRAPPER(int, posix_memalign, (void **ret, size_t align, size_t n))
{
	void *p = fault(CALL_MEMORY) ? NULL : __libc_memalign(align, n);

	if (p)
		*ret = p;
	return p ? 0 : ENOMEM;
}
