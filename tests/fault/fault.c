/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes one call of a program fail, or kills the program at one: a library for LD_PRELOAD.
 *
 *   PLYFS_FAULT=CALL:N:ERRNO   the Nth call of CALL fails: "pwrite:17:ENOSPC"
 *   PLYFS_FAULT=kill:CALL:N    SIGKILL in front of the Nth call of CALL; "any": of all of them
 *   PLYFS_FAULT_COUNT=FILE     writes how often each was called, when the program ends
 *
 * CALL: write (write, writev), pwrite (pwrite, pwritev), sync (fsync, fdatasync, msync), rename,
 * link, alloc (ftruncate, fallocate), memory (malloc, calloc, realloc). Writes to stdout and
 * stderr do not count, and neither does memory for "any".
 */
#undef _FILE_OFFSET_BITS /* both pwrite and pwrite64 are wrapped: neither may stand for the other \
			  */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
	CALL_WRITE,
	CALL_PWRITE,
	CALL_SYNC,
	CALL_RENAME,
	CALL_LINK,
	CALL_ALLOC,
	CALL_MEMORY,
	CALL_ANY
};
#define CALLS (CALL_ANY + 1)

static const char *const names[CALLS] = {
	"write", "pwrite", "sync", "rename", "link", "alloc", "memory", "any"};
static const struct {
	const char *name;
	int number;
} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"ENOMEM", ENOMEM}, {"EDQUOT", EDQUOT}};

static atomic_ulong counts[CALLS];
static enum call chosen = CALLS;
static unsigned long nth;
static int code; /* 0: kill */

static enum call call_named(const char *name, size_t n)
{
	for (int k = 0; k < CALLS; k++)
		if (strlen(names[k]) == n && memcmp(names[k], name, n) == 0)
			return (enum call)k;
	abort();
}

__attribute__((constructor)) static void fault_init(void)
{
	const char *p = getenv("PLYFS_FAULT");
	bool kills = p && strncmp(p, "kill:", 5) == 0;
	const char *colon;

	if (!p)
		return;
	p += kills ? 5 : 0;
	colon = strchr(p, ':');
	if (!colon)
		abort();
	chosen = call_named(p, (size_t)(colon - p));
	nth = strtoul(colon + 1, NULL, 10);
	if (kills)
		return;
	colon = strchr(colon + 1, ':');
	for (size_t k = 0; colon && k < sizeof(errors) / sizeof(*errors); k++)
		if (strcmp(colon + 1, errors[k].name) == 0)
			code = errors[k].number;
	if (!code)
		abort();
}

__attribute__((destructor)) static void fault_count(void)
{
	const char *path = getenv("PLYFS_FAULT_COUNT");
	FILE *f = path ? fopen(path, "we") : NULL;

	for (int k = 0; f && k < CALLS; k++)
		fprintf(f, "%s %lu\n", names[k], atomic_load(&counts[k]));
	if (f)
		fclose(f);
}

static bool reached(enum call call)
{
	return (atomic_fetch_add(&counts[call], 1) + 1 == nth) & (chosen == call);
}

/* True: the call is to fail, with errno set. */
static bool fault(enum call call)
{
	bool now = reached(call);

	if (call != CALL_MEMORY)
		now |= reached(CALL_ANY);
	if (!now)
		return false;
	if (!code)
		kill(getpid(), SIGKILL);
	errno = code;
	return true;
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

/* A call that fails with -1: its name, kind, condition to count, parameters and arguments. */
#define FAULTY(type, name, call, counts_if, params, args) \
	__attribute__((visibility("default"))) type name params; \
	type name params \
	{ \
		static __typeof__(&name) next; \
\
		if (!next) \
			next = REAL(name); \
		if ((counts_if) && fault(call)) \
			return -1; \
		return next args; \
	}

FAULTY(ssize_t, write, CALL_WRITE, fd > 2, (int fd, const void *p, size_t n), (fd, p, n))
FAULTY(ssize_t, writev, CALL_WRITE, fd > 2, (int fd, const struct iovec *v, int n), (fd, v, n))
FAULTY(ssize_t, pwrite, CALL_PWRITE, true, (int fd, const void *p, size_t n, off_t off),
	(fd, p, n, off))
FAULTY(ssize_t, pwrite64, CALL_PWRITE, true, (int fd, const void *p, size_t n, off64_t off),
	(fd, p, n, off))
FAULTY(ssize_t, pwritev, CALL_PWRITE, true, (int fd, const struct iovec *v, int n, off_t off),
	(fd, v, n, off))
FAULTY(ssize_t, pwritev64, CALL_PWRITE, true, (int fd, const struct iovec *v, int n, off64_t off),
	(fd, v, n, off))
FAULTY(int, fsync, CALL_SYNC, true, (int fd), (fd))
FAULTY(int, fdatasync, CALL_SYNC, true, (int fd), (fd))
FAULTY(int, msync, CALL_SYNC, true, (void *p, size_t n, int flags), (p, n, flags))
FAULTY(int, rename, CALL_RENAME, true, (const char *from, const char *to), (from, to))
FAULTY(int, renameat, CALL_RENAME, true, (int a, const char *from, int b, const char *to),
	(a, from, b, to))
FAULTY(int, linkat, CALL_LINK, true, (int a, const char *from, int b, const char *to, int flags),
	(a, from, b, to, flags))
FAULTY(int, ftruncate, CALL_ALLOC, true, (int fd, off_t n), (fd, n))
FAULTY(int, ftruncate64, CALL_ALLOC, true, (int fd, off64_t n), (fd, n))
FAULTY(int, fallocate, CALL_ALLOC, true, (int fd, int mode, off_t off, off_t n), (fd, mode, off, n))
FAULTY(int, fallocate64, CALL_ALLOC, true, (int fd, int mode, off64_t off, off64_t n),
	(fd, mode, off, n))

/* glibc's own names: dlsym itself needs memory. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

__attribute__((visibility("default"))) void *malloc(size_t n)
{
	return fault(CALL_MEMORY) ? NULL : __libc_malloc(n);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
	return fault(CALL_MEMORY) ? NULL : __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t n)
{
	return fault(CALL_MEMORY) ? NULL : __libc_realloc(p, n);
}
