/* SPDX-License-Identifier: Apache-2.0 */
/* Whether both sides are alike: an object, or all. */
#include "oracle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/*
 * Inodes of side 1, told by number and time of birth (numbers are used again), and the number that
 * the same object had on side 0. It may not change as long as it is mounted.
 */
#define INO_SLOTS 65536
struct ino_map {
	struct {
		uint64_t plain, birth, ino, dev;
	} slots[INO_SLOTS];
};

void forget_inos(struct oracle *o)
{
	if (!o->inos)
		o->inos = malloc(sizeof(*o->inos));
	memset(o->inos, 0, sizeof(*o->inos));
}

static uint64_t birth_of(const char *root, const char *path)
{
	char full[2048];
	struct statx sx;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	if (statx(AT_FDCWD, full, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &sx) < 0)
		return 0;
	return (uint64_t)sx.stx_btime.tv_sec * 1000000000 + sx.stx_btime.tv_nsec;
}

static void compare_ino(
	struct oracle *o, const char *path, const struct stat *a, const struct stat *b)
{
	uint64_t birth;
	size_t i;

	if (o->no_inos || !path[0])
		return;
	birth = birth_of(o->root[1], path);
	if (!birth)
		return;
	i = (b->st_ino * 31 + birth / 1000) % INO_SLOTS;
	for (size_t n = 0; n < 64; n++, i = (i + 1) % INO_SLOTS) {
		if (o->inos->slots[i].plain == 0) {
			o->inos->slots[i].plain = b->st_ino;
			o->inos->slots[i].birth = birth;
			o->inos->slots[i].ino = a->st_ino;
			o->inos->slots[i].dev = a->st_dev;
			return;
		}
		if (o->inos->slots[i].plain != b->st_ino || o->inos->slots[i].birth != birth)
			continue;
		if (o->inos->slots[i].ino != a->st_ino)
			wrong(o, "%s: its inode number was %llu and is %llu", path,
				(unsigned long long)o->inos->slots[i].ino,
				(unsigned long long)a->st_ino);
		return;
	}
}

static bool times_agree(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec >= RECENT && b->tv_sec >= RECENT)
		return true;
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

void compare_stat(struct oracle *o, const char *path, const struct stat *a, const struct stat *b)
{
	mode_t kept = o->keeps_setuid && S_ISREG(a->st_mode)
			      ? a->st_mode & ~b->st_mode & (S_ISUID | S_ISGID)
			      : 0;
	mode_t differs = (a->st_mode ^ b->st_mode) & ~kept;

	/* setgid without execution by the group: FUSE cannot tell who is of the group */
	if (differs && (differs != S_ISGID || a->st_mode & S_IXGRP || S_ISDIR(a->st_mode)))
		wrong(o, "%s: mode %o, expected %o", path, a->st_mode, b->st_mode);
	if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		wrong(o, "%s: owner %u:%u, expected %u:%u", path, a->st_uid, a->st_gid, b->st_uid,
			b->st_gid);
	if (!S_ISDIR(a->st_mode) && !o->no_links && a->st_nlink != b->st_nlink)
		wrong(o, "%s: %lu links, expected %lu", path, (unsigned long)a->st_nlink,
			(unsigned long)b->st_nlink);
	if (a->st_rdev != b->st_rdev)
		wrong(o, "%s: device %lx, expected %lx", path, (long)a->st_rdev, (long)b->st_rdev);
	if (o->no_data)
		return;
	if (!S_ISDIR(a->st_mode) && a->st_size != b->st_size)
		wrong(o, "%s: size %lld, expected %lld", path, (long long)a->st_size,
			(long long)b->st_size);
	/* a fifo's content is the kernel's alone, and overlayfs does not note when it came */
	if (S_ISFIFO(a->st_mode) || (S_ISDIR(a->st_mode) && o->no_directory_times))
		return;
	if (!times_agree(&a->st_mtim, &b->st_mtim))
		wrong(o, "%s: mtime %lld.%09ld, expected %lld.%09ld", path,
			(long long)a->st_mtim.tv_sec, a->st_mtim.tv_nsec,
			(long long)b->st_mtim.tv_sec, b->st_mtim.tv_nsec);
}

static int stat_both(struct oracle *o, const char *path, struct stat st[SIDES])
{
	int e[SIDES];

	for (int s = 0; s < SIDES; s++)
		e[s] = fstatat(o->root_fd[s], path[0] ? path : ".", &st[s], AT_SYMLINK_NOFOLLOW) < 0
			       ? errno
			       : 0;
	if (e[0] != e[1])
		wrong(o, "%s: lstat: %s, expected %s", path, strerror(e[0]), strerror(e[1]));
	return e[0];
}

void compare_path(struct oracle *o, const char *path)
{
	struct stat st[SIDES];

	if (stat_both(o, path, st) == 0) {
		compare_stat(o, path, &st[0], &st[1]);
		compare_ino(o, path, &st[0], &st[1]);
	}
}

static void compare_content(struct oracle *o, const char *path)
{
	int fd[SIDES];
	off_t at = 0;
	ssize_t n[SIDES];

	for (int s = 0; s < SIDES; s++) {
		fd[s] = openat(o->root_fd[s], path, O_RDONLY | O_NOFOLLOW | O_NOATIME);
		if (fd[s] < 0)
			wrong(o, "%s: open on side %d: %s", path, s, strerror(errno));
	}
	do {
		for (int s = 0; s < SIDES; s++)
			n[s] = pread(fd[s], o->out[s], OUT_SIZE, at);
		if (n[0] != n[1])
			wrong(o, "%s: read at %lld: %zd (%s), expected %zd", path, (long long)at,
				n[0], n[0] < 0 ? strerror(errno) : "", n[1]);
		for (ssize_t i = 0; n[0] > 0 && memcmp(o->out[0], o->out[1], (size_t)n[0]) != 0;
			i++)
			if (o->out[0][i] != o->out[1][i])
				wrong(o, "%s: content differs at %lld", path, (long long)(at + i));
		at += n[0];
	} while (n[0] > 0);
	close(fd[0]);
	close(fd[1]);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The xattrs as one text, names in order. */
static size_t xattrs_of(struct oracle *o, int s, const char *path, char *out, size_t size)
{
	char full[2048], list[8192], *names[256];
	ssize_t n;
	size_t count = 0, at = 0;

	snprintf(full, sizeof(full), "%s/%s", o->root[s], path);
	n = llistxattr(full, list, sizeof(list));
	if (n < 0)
		wrong(o, "%s: listxattr on side %d: %s", path, s, strerror(errno));
	for (char *p = list; p < list + n && count < 256; p += strlen(p) + 1)
		names[count++] = p;
	qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count && at + 9000 < size; i++) {
		at += (size_t)sprintf(out + at, "%s=", names[i]);
		n = lgetxattr(full, names[i], out + at, 8192);
		if (n < 0)
			wrong(o, "%s: getxattr %s on side %d: %s", path, names[i], s,
				strerror(errno));
		at += (size_t)n;
		out[at++] = '\n';
	}
	return at;
}

static void compare_xattrs(struct oracle *o, const char *path)
{
	size_t n[SIDES];

	for (int s = 0; s < SIDES; s++)
		n[s] = xattrs_of(o, s, path, (char *)o->out[s], OUT_SIZE);
	if (n[0] != n[1] || memcmp(o->out[0], o->out[1], n[0]) != 0)
		wrong(o, "%s: xattrs are {%.*s}, expected {%.*s}", path, (int)n[0], o->out[0],
			(int)n[1], o->out[1]);
}

static void compare_target(struct oracle *o, const char *path)
{
	char target[SIDES][4096];
	ssize_t n[SIDES];

	for (int s = 0; s < SIDES; s++)
		n[s] = readlinkat(o->root_fd[s], path, target[s], sizeof(target[s]));
	if (n[0] != n[1] || (n[0] > 0 && memcmp(target[0], target[1], (size_t)n[0]) != 0))
		wrong(o, "%s: readlink differs: %zd, expected %zd", path, n[0], n[1]);
}

struct listing {
	char *names[4096];
	uint64_t inos[4096];
	unsigned char types[4096];
	size_t n;
};

static void listing_done(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->names[i]);
	free(l);
}

static struct listing *list(struct oracle *o, int s, const char *path)
{
	struct listing *l = calloc(1, sizeof(*l));
	int fd = openat(o->root_fd[s], path[0] ? path : ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	size_t dots = 0;

	if (!d)
		wrong(o, "%s: opendir on side %d: %s", path, s, strerror(errno));
	for (errno = 0; (e = readdir(d)); errno = 0) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
			dots++;
			continue;
		}
		if (l->n == 4096)
			wrong(o, "%s: too many names", path);
		l->inos[l->n] = e->d_ino;
		l->types[l->n] = e->d_type;
		l->names[l->n++] = strdup(e->d_name);
	}
	if (errno)
		wrong(o, "%s: readdir on side %d: %s", path, s, strerror(errno));
	if (dots != 2)
		wrong(o, "%s: %zu times . and .. on side %d", path, dots, s);
	closedir(d);
	return l;
}

/* What readdir says must be what lstat says. */
static void check_listing(struct oracle *o, const char *path, const struct listing *l)
{
	char child[1200];
	struct stat st;

	for (size_t i = 0; i < l->n; i++) {
		snprintf(child, sizeof(child), "%s%s%s", path, path[0] ? "/" : "", l->names[i]);
		if (fstatat(o->root_fd[0], child, &st, AT_SYMLINK_NOFOLLOW) < 0)
			wrong(o, "%s: readdir gives it, lstat: %s", child, strerror(errno));
		if (IFTODT(st.st_mode) != l->types[i])
			wrong(o, "%s: d_type is %u, mode %o", child, l->types[i], st.st_mode);
		if (!o->no_inos && st.st_ino != l->inos[i])
			wrong(o, "%s: d_ino is %llu, st_ino %llu", child,
				(unsigned long long)l->inos[i], (unsigned long long)st.st_ino);
	}
}

static bool is_touched(const struct oracle *o, const char *path)
{
	for (int i = 0; i < 2; i++)
		if (o->touched[i] && strcmp(path, o->touched[i]) == 0)
			return true;
	return false;
}

static size_t compare_tree(struct oracle *o, const char *path);

static size_t compare_directory(struct oracle *o, const char *path)
{
	struct listing *l[SIDES];
	char *names[SIDES][4096], child[1200];
	size_t count = 0, n[SIDES] = {0, 0};

	for (int s = 0; s < SIDES; s++) {
		l[s] = list(o, s, path);
		for (size_t i = 0; i < l[s]->n; i++) {
			snprintf(child, sizeof(child), "%s%s%s", path, path[0] ? "/" : "",
				l[s]->names[i]);
			if (!is_touched(o, child))
				names[s][n[s]++] = l[s]->names[i];
		}
		qsort(names[s], n[s], sizeof(**names), by_name);
	}
	for (size_t i = 0; i < n[0] || i < n[1]; i++) {
		if (i >= n[0] || i >= n[1] || strcmp(names[0][i], names[1][i]) != 0)
			wrong(o, "%s: readdir gives %s, expected %s", path,
				i < n[0] ? names[0][i] : "no more",
				i < n[1] ? names[1][i] : "no more");
	}
	check_listing(o, path, l[0]);
	for (size_t i = 0; i < n[0]; i++) {
		snprintf(child, sizeof(child), "%s%s%s", path, path[0] ? "/" : "", names[0][i]);
		count += compare_tree(o, child);
	}
	listing_done(l[0]);
	listing_done(l[1]);
	return count;
}

static size_t compare_tree(struct oracle *o, const char *path)
{
	struct stat st[SIDES];
	size_t count = 1;
	int e = stat_both(o, path, st);

	if (e)
		wrong(o, "%s: lstat: %s", path, strerror(e));
	compare_stat(o, path, &st[0], &st[1]);
	compare_ino(o, path, &st[0], &st[1]);
	compare_xattrs(o, path);
	if (S_ISREG(st[0].st_mode) && !o->no_data)
		compare_content(o, path);
	if (S_ISLNK(st[0].st_mode))
		compare_target(o, path);
	if (S_ISDIR(st[0].st_mode))
		count += compare_directory(o, path);
	return count;
}

size_t compare_trees(struct oracle *o)
{
	return compare_tree(o, "");
}
