/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on names and attributes. The working directory is the side's root. */
#include "ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static const mode_t modes[] = {
	0644, 0755, 0600, 0666, 0777, 04755, 02755, 06755, 01777, 0, 0444, 02644};

static mode_t mode_of(const struct args *a)
{
	return modes[(unsigned int)a->mode % (sizeof(modes) / sizeof(*modes))];
}

static long op_mkdir(struct oracle *o, int s, const struct args *a)
{
	(void)o, (void)s;
	return result(mkdir(a->path[0], mode_of(a)));
}

static long op_rmdir(struct oracle *o, int s, const struct args *a)
{
	(void)o, (void)s;
	return result(rmdir(a->path[0]));
}

static long op_unlink(struct oracle *o, int s, const struct args *a)
{
	(void)o, (void)s;
	return result(unlink(a->path[0]));
}

static long op_rename(struct oracle *o, int s, const struct args *a)
{
	static const unsigned int flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};

	(void)o, (void)s;
	return result(renameat2(AT_FDCWD, a->path[0], AT_FDCWD, a->path[1], flags[a->n % 5]));
}

static long op_link(struct oracle *o, int s, const struct args *a)
{
	(void)o, (void)s;
	return result(linkat(
		AT_FDCWD, a->path[0], AT_FDCWD, a->path[1], a->n % 4 ? 0 : AT_SYMLINK_FOLLOW));
}

/* A file that is open gets a name: O_TMPFILE, or one that was unlinked (ENOENT). */
static long op_link_open(struct oracle *o, int s, const struct args *a)
{
	char proc[64];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd_of(o, s, a->file));
	return result(linkat(AT_FDCWD, proc, AT_FDCWD, a->path[0], AT_SYMLINK_FOLLOW));
}

static long op_symlink(struct oracle *o, int s, const struct args *a)
{
	/* none leads out of the root, where both sides would meet */
	static const char *const targets[] = {"a0", "./b0", "nowhere", ".", "a1/b0", "b0//"};

	(void)o, (void)s;
	return result(symlink(targets[a->n % 6], a->path[0]));
}

static long op_mknod(struct oracle *o, int s, const struct args *a)
{
	static const mode_t types[] = {S_IFIFO, S_IFSOCK, S_IFREG, S_IFCHR, S_IFBLK, 0};
	mode_t type = types[a->n % 6];

	(void)o, (void)s;
	return result(mknod(a->path[0], type | mode_of(a),
		type == S_IFCHR || type == S_IFBLK ? makedev(241, a->n & 255) : 0));
}

static long op_chmod(struct oracle *o, int s, const struct args *a)
{
	(void)o, (void)s;
	return result(chmod(a->path[0], mode_of(a)));
}

static long op_fchmod(struct oracle *o, int s, const struct args *a)
{
	return result(fchmod(fd_of(o, s, a->file), mode_of(a)));
}

static long op_chown(struct oracle *o, int s, const struct args *a)
{
	(void)o, (void)s;
	if (a->uid == (uid_t)-1 && a->gid == (gid_t)-1)
		return 0; /* that it drops setuid is nothing that FUSE tells */
	return result(
		fchownat(AT_FDCWD, a->path[0], a->uid, a->gid, a->n & 1 ? AT_SYMLINK_NOFOLLOW : 0));
}

static long op_fchown(struct oracle *o, int s, const struct args *a)
{
	if (a->uid == (uid_t)-1 && a->gid == (gid_t)-1)
		return 0;
	return result(fchown(fd_of(o, s, a->file), a->uid, a->gid));
}

static void times_of(const struct args *a, struct timespec t[2])
{
	for (int i = 0; i < 2; i++) {
		t[i].tv_sec = 1200000000 + (time_t)(a->seed >> (20 * i) & 0xfffff);
		t[i].tv_nsec = (long)(a->seed % 1000000000);
	}
	if (a->n % 8 == 1)
		t[1].tv_nsec = UTIME_NOW;
	if (a->n % 8 == 2)
		t[1].tv_nsec = UTIME_OMIT;
	if (a->n % 8 == 3)
		t[0].tv_nsec = UTIME_OMIT;
	if (a->n % 8 == 4)
		t[1].tv_sec = -(t[1].tv_sec);
}

static long op_utimens(struct oracle *o, int s, const struct args *a)
{
	struct timespec t[2];

	(void)o, (void)s;
	times_of(a, t);
	return result(utimensat(AT_FDCWD, a->path[0], t, a->n & 16 ? AT_SYMLINK_NOFOLLOW : 0));
}

static long op_futimens(struct oracle *o, int s, const struct args *a)
{
	struct timespec t[2];

	times_of(a, t);
	return result(futimens(fd_of(o, s, a->file), t));
}

static const char *const xattrs[] = {
	"user.a", "user.b", "user.long_name", "trusted.c", "user.d", "security.e", "user."};

static long op_setxattr(struct oracle *o, int s, const struct args *a)
{
	static const int flags[] = {0, 0, 0, XATTR_CREATE, XATTR_REPLACE};

	(void)s;
	return result(
		lsetxattr(a->path[0], xattrs[a->n % 7], o->data, a->len % 200, flags[a->mode % 5]));
}

static long op_fsetxattr(struct oracle *o, int s, const struct args *a)
{
	return result(fsetxattr(fd_of(o, s, a->file), xattrs[a->n % 7], o->data, a->len % 200, 0));
}

static long op_removexattr(struct oracle *o, int s, const struct args *a)
{
	static const char *const more[] = {
		"system.posix_acl_access", "system.posix_acl_default", "security.capability"};

	(void)o, (void)s;
	return result(lremovexattr(a->path[0], a->n % 3 ? xattrs[a->n % 6] : more[a->mode % 3]));
}

static long op_getxattr(struct oracle *o, int s, const struct args *a)
{
	long n = result(lgetxattr(a->path[0], xattrs[a->n % 7], o->out[s], a->mode % 3 ? 300 : 10));

	o->out_n[s] = n > 0 ? (size_t)n : 0;
	return n;
}

/* The bytes of a POSIX ACL as an xattr (linux/posix_acl_xattr.h): a version, then entries. */
static long op_acl(struct oracle *o, int s, const struct args *a)
{
	static const uint16_t tags[] = {1, 2, 2, 4, 8, 16, 32};
	struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} e[7];
	} acl = {.version = 2};
	size_t n = 0;

	(void)o, (void)s;
	for (size_t i = 0; i < 7; i++) {
		if (a->n % 5 == 0 && (tags[i] == 2 || tags[i] == 8 || tags[i] == 16))
			continue; /* no more than the mode says */
		acl.e[n].tag = tags[i];
		acl.e[n].perm = (uint16_t)(a->seed >> (3 * i) & 7);
		acl.e[n++].id = tags[i] == 2   ? (uint32_t)(999 + i)
				: tags[i] == 8 ? 1000
					       : UINT32_MAX;
	}
	return result(lsetxattr(a->path[0],
		a->mode % 3 ? "system.posix_acl_access" : "system.posix_acl_default", &acl,
		4 + 8 * n, 0));
}

/* Capabilities of a program: writing and chown take them away. */
static long op_capability(struct oracle *o, int s, const struct args *a)
{
	static const uint32_t cap[5] = {0x02000000, 1u << 10, 0, 0, 0};

	(void)o, (void)s;
	return result(lsetxattr(a->path[0], "security.capability", cap, sizeof(cap), 0));
}

static long op_access(struct oracle *o, int s, const struct args *a)
{
	(void)o, (void)s;
	return result(syscall(SYS_faccessat2, AT_FDCWD, a->path[0], a->n % 8, AT_EACCESS));
}

static long op_readlink(struct oracle *o, int s, const struct args *a)
{
	long n = result(readlink(a->path[0], (char *)o->out[s], 4096));

	o->out_n[s] = n > 0 ? (size_t)n : 0;
	return n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The rest of the names, in order. */
static long put_names(struct oracle *o, int s, DIR *d, char **names, size_t n)
{
	struct dirent *e;
	size_t at = o->out_n[s];

	for (errno = 0; n < 2000 && (e = readdir(d)); errno = 0)
		names[n++] = strdup(e->d_name);
	if (errno)
		return -errno;
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		at += (size_t)sprintf((char *)o->out[s] + at, "%s\n", names[i]);
		free(names[i]);
	}
	o->out_n[s] = at;
	return (long)n;
}

static long op_readdir(struct oracle *o, int s, const struct args *a)
{
	char *names[2048];
	DIR *d = opendir(a->path[0]);
	long r = d ? put_names(o, s, d, names, 0) : -errno;

	if (d)
		closedir(d);
	return r;
}

/*
 * Reads some names, changes the directory, reads on: what was there all the time is seen exactly
 * once. What was removed or made meanwhile may be seen or not; so it is made to be gone before it
 * is compared: only names that are there afterwards and were before count.
 */
static long op_readdir_changing(struct oracle *o, int s, const struct args *a)
{
	char *names[2048], made[1100];
	size_t n = 0, kept = 0;
	struct dirent *e;
	DIR *d = opendir(a->path[0]);

	if (!d)
		return -errno;
	for (int i = 0; i < 1 + a->n % 5 && (e = readdir(d)); i++)
		names[n++] = strdup(e->d_name);
	for (int i = 0; i < 40; i++) {
		snprintf(made, sizeof(made), "%s/.made-%d", a->path[0], i);
		int fd = open(made, O_CREAT | O_EXCL | O_WRONLY, 0600);
		if (fd >= 0)
			close(fd);
		if (i % 2)
			unlink(made);
	}
	while (n < 2000 && (e = readdir(d)))
		names[n++] = strdup(e->d_name);
	closedir(d);
	for (int i = 0; i < 40; i += 2) {
		snprintf(made, sizeof(made), "%s/.made-%d", a->path[0], i);
		unlink(made);
	}
	for (size_t i = 0; i < n; i++) {
		if (strncmp(names[i], ".made-", 6) == 0)
			free(names[i]);
		else
			names[kept++] = names[i];
	}
	qsort(names, kept, sizeof(*names), by_name);
	for (size_t i = 0; i < kept; i++) {
		o->out_n[s] += (size_t)sprintf((char *)o->out[s] + o->out_n[s], "%s\n", names[i]);
		free(names[i]);
	}
	return (long)kept;
}

static long op_statvfs(struct oracle *o, int s, const struct args *a)
{
	struct statvfs v;
	long r = result(statvfs(a->path[0], &v));

	(void)o, (void)s;
	return r < 0 ? r : v.f_namemax == 255 && v.f_bsize >= 512 && v.f_blocks > 0;
}

static long remove_tree(const char *path, int depth)
{
	char child[2048];
	struct dirent *e;
	DIR *d = depth > 40 ? NULL : opendir(path);

	if (!d)
		return result(unlink(path));
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
		if (unlink(child) < 0)
			remove_tree(child, depth + 1);
	}
	closedir(d);
	return result(rmdir(path));
}

/* rm -r of what is not too near to the root */
static long op_remove_tree(struct oracle *o, int s, const struct args *a)
{
	const char *slash = strchr(a->path[0], '/');
	struct stat st;

	(void)o, (void)s;
	if (!slash || (!strchr(slash + 1, '/') && a->n % 8) || a->user)
		return 0;
	if (lstat(a->path[0], &st) < 0 || S_ISLNK(st.st_mode))
		return 0;
	return remove_tree(a->path[0], 0);
}

/* As editors do: the new content under another name, then renamed over. */
static long op_replace(struct oracle *o, int s, const struct args *a)
{
	int fd = open(a->path[1], O_CREAT | O_EXCL | O_WRONLY, 0644);
	long r;

	(void)s;
	if (fd < 0)
		return -errno;
	r = result(write(fd, o->data, a->len));
	close(fd);
	return r < 0 ? r : result(rename(a->path[1], a->path[0]));
}

const struct op name_ops[] = {
	{"mkdir", 8, {NEW, ANY}, false, op_mkdir},
	{"rmdir", 6, {DIRECTORY, ANY}, false, op_rmdir},
	{"unlink", 10, {REGULAR, ANY}, false, op_unlink},
	{"rename", 14, {ANY, NEW}, false, op_rename},
	{"rename-over", 8, {ANY, ANY}, false, op_rename},
	{"rename-dir", 6, {DIRECTORY, DIRECTORY}, false, op_rename},
	{"link", 8, {REGULAR, NEW}, false, op_link},
	{"link-open", 3, {NEW, ANY}, true, op_link_open},
	{"symlink", 4, {NEW, ANY}, false, op_symlink},
	{"mknod", 4, {NEW, ANY}, false, op_mknod},
	{"chmod", 6, {ANY, ANY}, false, op_chmod},
	{"fchmod", 2, {ANY, ANY}, true, op_fchmod},
	{"chown", 5, {ANY, ANY}, false, op_chown},
	{"fchown", 2, {ANY, ANY}, true, op_fchown},
	{"utimens", 8, {ANY, ANY}, false, op_utimens},
	{"futimens", 3, {ANY, ANY}, true, op_futimens},
	{"setxattr", 6, {ANY, ANY}, false, op_setxattr},
	{"fsetxattr", 2, {ANY, ANY}, true, op_fsetxattr},
	{"removexattr", 4, {ANY, ANY}, false, op_removexattr},
	{"getxattr", 3, {ANY, ANY}, false, op_getxattr},
	{"acl", 4, {ANY, ANY}, false, op_acl},
	{"capability", 2, {REGULAR, ANY}, false, op_capability},
	{"access", 4, {ANY, ANY}, false, op_access},
	{"readlink", 2, {ANY, ANY}, false, op_readlink},
	{"readdir", 4, {DIRECTORY, ANY}, false, op_readdir},
	{"readdir-changing", 1, {DIRECTORY, ANY}, false, op_readdir_changing},
	{"statvfs", 1, {ANY, ANY}, false, op_statvfs},
	{"remove-tree", 1, {DIRECTORY, ANY}, false, op_remove_tree},
	{"replace", 4, {REGULAR, NEW}, false, op_replace},
};
const size_t n_name_ops = sizeof(name_ops) / sizeof(*name_ops);
