/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes. A lower file comes to the upper directory for them, without its data where the union
 * copies blocks.
 */
#include "acl.h"
#include "change.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* A node in the upper directory, and where it lies there; the tree and the node are locked. */
struct target {
	struct union_fs *u;
	struct node *n, *parent;
	int fd;
	char name[256];
	bool locked, placed;
};

static void target_done(struct target *t)
{
	if (!t->u)
		return;
	if (t->placed)
		node_place_done(t->u, t->parent);
	if (t->locked)
		pthread_mutex_unlock(&t->n->lock);
	if (t->n)
		node_put(t->u, t->n);
	pthread_rwlock_unlock(&t->u->tree);
}
#define _cleanup_target_ _cleanup_(target_done)

/* `size`: as copy_up has it. */
static int target_begin(struct target *t, struct union_fs *u, uint64_t node, uint64_t size)
{
	int r;

	if (!u->upper)
		return -EROFS;
	t->u = u;
	pthread_rwlock_rdlock(&u->tree);
	r = node_get(u, node, &t->n);
	if (r == 0 && S_ISDIR(t->n->mode))
		r = copy_up_dir(u, t->n);
	if (r < 0)
		return r;
	pthread_mutex_lock(&t->n->lock);
	t->locked = true;
	if (!S_ISDIR(t->n->mode))
		r = copy_up(u, t->n, true, size);
	if (r == 0)
		r = node_place(u, t->n, &t->fd, &t->parent, t->name);
	t->placed = r == 0;
	return r;
}

static int target_stat(const struct target *t, struct stat *ret)
{
	if (fstatat(t->fd, t->name, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return upper_owner_apply(t->u->upper, t->fd, t->name, ret);
}

/* ---- setattr --------------------------------------------------------------------------------- */
/* The mode without what a change by others takes away. */
static mode_t killed_mode(mode_t mode)
{
	if (S_ISDIR(mode))
		return mode;
	mode &= ~(mode_t)S_ISUID;
	return mode & S_IXGRP ? mode & ~(mode_t)S_ISGID : mode;
}

static int wanted_ids(
	const struct union_fs *u, const struct stat *st, unsigned int what, uid_t *uid, gid_t *gid)
{
	*uid = (uid_t)-1;
	*gid = (gid_t)-1;
	if (what & UNION_SET_UID) {
		*uid = id_in(u->config.uids, st->st_uid);
		if (*uid == (uid_t)-1)
			return -EINVAL;
	}
	if (what & UNION_SET_GID) {
		*gid = id_in(u->config.gids, st->st_gid);
		if (*gid == (gid_t)-1)
			return -EINVAL;
	}
	return 0;
}

/* Where marks say whose a file is. */
static int set_marked(
	struct target *t, const struct stat *st, unsigned int what, uid_t uid, gid_t gid)
{
	struct stat want;
	int r = target_stat(t, &want);

	if (r < 0)
		return r;
	if (what & (UNION_SET_UID | UNION_SET_GID))
		want.st_mode = killed_mode(want.st_mode);
	if (uid != (uid_t)-1)
		want.st_uid = uid;
	if (gid != (gid_t)-1)
		want.st_gid = gid;
	if (what & UNION_SET_MODE)
		want.st_mode = (want.st_mode & S_IFMT) | (st->st_mode & 07777);
	return change_owner_mode(t->u->upper, t->fd, t->name, &want);
}

/* chown(2) takes setuid and setgid away by itself. */
static int set_real(
	struct target *t, const struct stat *st, unsigned int what, uid_t uid, gid_t gid)
{
	if (what & (UNION_SET_UID | UNION_SET_GID) &&
		fchownat(t->fd, t->name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (what & UNION_SET_MODE && fchmodat(t->fd, t->name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

/* No write is to give back what is taken, or to take what is given (union-privileges.c). */
static void privileges_begin(struct target *t, unsigned int given)
{
	if (!S_ISREG(t->n->mode))
		return;
	data_state_alone(t->u, t->n);
	t->n->privileges &= ~given;
}

static void privileges_end(struct target *t)
{
	if (S_ISREG(t->n->mode))
		data_state_leave(t->u, t->n);
}

static int set_owner_mode(struct target *t, const struct stat *st, unsigned int what)
{
	uid_t uid;
	gid_t gid;
	int r;

	if (!(what & (UNION_SET_UID | UNION_SET_GID | UNION_SET_MODE)))
		return 0;
	if (what & UNION_SET_MODE && S_ISLNK(t->n->mode))
		return -EOPNOTSUPP;
	r = wanted_ids(t->u, st, what, &uid, &gid);
	if (r < 0)
		return r;
	privileges_begin(t, NODE_NO_SUIDGID);
	r = upper_has_owners(t->u->upper) ? set_marked(t, st, what, uid, gid)
					  : set_real(t, st, what, uid, gid);
	privileges_end(t);
	return r;
}

static int kill_suidgid(struct target *t, unsigned int what)
{
	struct stat st;
	int r;

	if (!(what & UNION_KILL_SUIDGID) || !(what & UNION_SET_SIZE) || what & UNION_SET_MODE)
		return 0;
	r = target_stat(t, &st);
	if (r < 0 || killed_mode(st.st_mode) == st.st_mode)
		return r;
	st.st_mode = killed_mode(st.st_mode);
	return set_owner_mode(t, &st, UNION_SET_MODE);
}

static struct timespec wanted_time(
	const struct timespec *given, unsigned int what, unsigned int set, unsigned int now)
{
	if (what & now)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	return what & set ? *given : (struct timespec){.tv_nsec = UTIME_OMIT};
}

static int set_times(struct target *t, const struct stat *st, unsigned int what)
{
	const struct timespec times[2] = {
		wanted_time(&st->st_atim, what, UNION_SET_ATIME, UNION_SET_ATIME_NOW),
		wanted_time(&st->st_mtim, what, UNION_SET_MTIME, UNION_SET_MTIME_NOW),
	};

	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0;
	return utimensat(t->fd, t->name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int set_all(struct target *t, const struct stat *st, unsigned int what)
{
	int r = 0;

	if (what & UNION_SET_SIZE) {
		if (!S_ISREG(t->n->mode))
			return S_ISDIR(t->n->mode) ? -EISDIR : -EINVAL;
		r = data_truncate(t->u, t->n, (uint64_t)st->st_size);
	}
	if (r == 0)
		r = kill_suidgid(t, what);
	if (r == 0)
		r = set_owner_mode(t, st, what);
	return r < 0 ? r : set_times(t, st, what);
}

static int apply(struct union_fs *u, uint64_t node, const struct stat *st, unsigned int what)
{
	_cleanup_target_ struct target t = {0};
	const uint64_t size = what & UNION_SET_SIZE ? (uint64_t)st->st_size : UINT64_MAX;
	int r;

	if (what & UNION_SET_SIZE && st->st_size < 0)
		return -EINVAL;
	r = target_begin(&t, u, node, size);
	return r < 0 ? r : set_all(&t, st, what);
}

int union_setattr(struct union_fs *u, const struct union_op *op _unused_, uint64_t node,
	const struct stat *st, unsigned int what, struct stat *ret)
{
	int r = what & ~(unsigned int)UNION_KILL_SUIDGID ? apply(u, node, st, what) : 0;

	return r < 0 ? r : union_getattr(u, node, ret);
}

/* ---- xattrs ---------------------------------------------------------------------------------- */

/* Set by a request that was not answered. */
static bool is_set(struct target *t, const char *name, const void *p, size_t n)
{
	_cleanup_free_ void *have = malloc(n + 1);
	size_t have_n;

	return have && upper_getxattr(t->fd, t->name, name, have, n + 1, &have_n) == 0 &&
	       have_n == n && memcmp(have, p, n) == 0;
}

static int drop_sgid(struct target *t)
{
	struct stat st;
	int r = target_stat(t, &st);

	if (r < 0 || !(st.st_mode & S_ISGID))
		return r;
	st.st_mode &= ~(mode_t)S_ISGID;
	return set_owner_mode(t, &st, UNION_SET_MODE);
}

static int set_xattr(struct union_fs *u, const struct union_op *op, uint64_t node, const char *name,
	const void *p, size_t n, int flags, bool kill_sgid)
{
	_cleanup_target_ struct target t = {0};
	int r = target_begin(&t, u, node, UINT64_MAX);

	if (r < 0)
		return r;
	if (data_is_capability(t.n, name))
		privileges_begin(&t, NODE_NO_CAPABILITY);
	r = upper_setxattr(t.fd, t.name, name, p, n, flags);
	if (data_is_capability(t.n, name))
		privileges_end(&t);
	if (r == -EEXIST && op->resent && is_set(&t, name, p, n))
		r = 0;
	/* the kernel says so of both kinds; a default ACL changes no mode */
	kill_sgid = kill_sgid && strcmp(name, "system.posix_acl_default") != 0;
	return r == 0 && kill_sgid ? drop_sgid(&t) : r;
}

int union_setxattr(struct union_fs *u, const struct union_op *op, uint64_t node, const char *name,
	const void *p, size_t n, int flags, bool kill_sgid)
{
	_cleanup_free_ uint8_t *acl = NULL;
	int r;

	if (!u->upper)
		return -EROFS;
	if (overlay_xattr_is_private(name, u->upper->user))
		return -EPERM;
	if (acl_is(name) && (u->config.uids || u->config.gids) && n) {
		acl = malloc(n);
		if (!acl)
			return -ENOMEM;
		memcpy(acl, p, n);
		r = acl_ids_in(acl, n, u->config.uids, u->config.gids);
		if (r < 0)
			return r;
		p = acl;
	}
	return set_xattr(u, op, node, name, p, n, flags, kill_sgid);
}

static int remove_xattr(struct target *t, const char *name)
{
	int r;

	if (!data_is_capability(t->n, name))
		return upper_removexattr(t->fd, t->name, name);
	privileges_begin(t, 0);
	r = upper_removexattr(t->fd, t->name, name);
	privileges_end(t);
	return r;
}

int union_removexattr(
	struct union_fs *u, const struct union_op *op, uint64_t node, const char *name)
{
	_cleanup_target_ struct target t = {0};
	size_t n;
	int r;

	if (!u->upper)
		return -EROFS;
	if (overlay_xattr_is_private(name, u->upper->user))
		return -EPERM;
	r = union_getxattr(u, node, name, NULL, 0, &n); /* nothing is copied up for nothing */
	/* an ACL that is not there is what the mode says: other file systems "remove" it, too */
	if (r == -ENODATA && (op->resent || acl_is(name)))
		return 0;
	if (r == 0)
		r = target_begin(&t, u, node, UINT64_MAX);
	return r < 0 ? r : remove_xattr(&t, name);
}
