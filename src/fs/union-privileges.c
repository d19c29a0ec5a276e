// SPDX-License-Identifier: Apache-2.0
/*
 * Setuid, setgid and capabilities (security.capability), which a file system takes away when a file
 * is written to, each time.
 *
 * What a kernel with a writeback cache sends was written long ago, and the file may have got its
 * privileges since. So such a WRITE gives back what it took. The capability is in a mark meanwhile,
 * of which it comes back should the server be killed in between: when the WRITE comes again, or
 * when somebody asks for it.
 *
 * Who gives a file privileges, or takes them, has its state alone: no such write goes on then. Two
 * of them exclude each other by the lock here, which is taken after the state.
 */
#include "union-data.h"

#include <string.h>
#include <sys/xattr.h>

#define CAPABILITY "security.capability"
#define SUIDGID    (S_ISUID | S_ISGID)

/* What chown(2) and a stranger's write(2) take away. */
static uint32_t without_suidgid(uint32_t mode)
{
	mode &= ~(uint32_t)S_ISUID;
	return mode & S_IXGRP ? mode & ~(uint32_t)S_ISGID : mode;
}

static pthread_mutex_t *lock_of(struct union_fs *u, const struct node *n)
{
	return &u->data->privileges[n->id % DATA_RANGES];
}

static bool has_none(const struct node *n)
{
	return n->privileges == (NODE_NO_CAPABILITY | NODE_NO_SUIDGID);
}

/* ---- taking away ---------------------------------------------------------------------------- */

/* Where the mode is told by a mark. 1 = it is not. */
static int kill_in_mark(const struct union_fs *u, int fd)
{
	const char *name = overlay_xattr_name(OVERLAY_OWNER, u->upper->user);
	char value[UPPER_OWNER_SIZE];
	struct upper_owner o;
	ssize_t n;
	size_t size;

	if (!upper_has_owners(u->upper))
		return 1;
	n = fgetxattr(fd, name, value, sizeof(value));
	if (n < 0 || upper_owner_decode(value, (size_t)n, &o) < 0)
		return 1;
	if (without_suidgid(o.mode) == o.mode)
		return 0;
	o.mode = without_suidgid(o.mode);
	size = upper_owner_encode(&o, value);
	return fsetxattr(fd, name, value, size, 0) < 0 ? -errno : 0;
}

static int kill_in_mode(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (without_suidgid(st.st_mode) == st.st_mode)
		return 0;
	return fchmod(fd, without_suidgid(st.st_mode) & 07777) < 0 ? -errno : 0;
}

int data_kill_suidgid(struct data_use *d)
{
	pthread_mutex_t *lock = lock_of(d->u, d->n);
	int r;

	pthread_mutex_lock(lock);
	r = kill_in_mark(d->u, d->fd);
	if (r == 1)
		r = kill_in_mode(d->fd);
	pthread_mutex_unlock(lock);
	return r;
}

/* ---- keeping -------------------------------------------------------------------------------- */

/* The capability of fd/at, or where a kill came between, what the mark has of it. 1 = none. */
static int find_capability(
	struct union_fs *u, int fd, const char *at, void *value, size_t size, size_t *ret_n)
{
	int r = upper_getxattr(fd, at, CAPABILITY, value, size, ret_n);

	if (r != -ENODATA && r != -EOPNOTSUPP)
		return r;
	r = upper_mark_get(u->upper, fd, at, OVERLAY_CAPABILITY, value, size, ret_n);
	if (r != 0)
		return r;
	r = upper_setxattr(fd, at, CAPABILITY, value, *ret_n, 0);
	if (r == 0)
		r = upper_mark_remove(u->upper, fd, at, OVERLAY_CAPABILITY);
	return r < 0 ? r : 0;
}

static int look(struct data_use *d, struct data_kept *k)
{
	unsigned int none = 0;
	struct stat st;
	int r = find_capability(
		d->u, d->fd, "", k->capability, sizeof(k->capability), &k->capability_n);

	if (r < 0)
		return r;
	if (r == 1) {
		k->capability_n = 0;
		none |= NODE_NO_CAPABILITY;
	}
	if (fstat(d->fd, &st) < 0)
		return -errno;
	k->mode = st.st_mode;
	if (!(st.st_mode & SUIDGID))
		none |= NODE_NO_SUIDGID;
	d->n->privileges |= none; /* the state is shared: nothing is given meanwhile */
	return 0;
}

int data_keep(struct data_use *d, struct data_kept *k)
{
	int r;

	k->lock = NULL;
	if (has_none(d->n))
		return 0;
	k->lock = lock_of(d->u, d->n);
	pthread_mutex_lock(k->lock);
	r = look(d, k);
	if (r < 0) {
		pthread_mutex_unlock(k->lock);
		k->lock = NULL;
		return r;
	}
	/* Without the mark, for which there may be no room, it is lost if a kill comes now. */
	if (k->capability_n)
		(void)!upper_mark_set(
			d->u->upper, d->fd, "", OVERLAY_CAPABILITY, k->capability, k->capability_n);
	return 0;
}

static int give_back(struct data_use *d, const struct data_kept *k)
{
	struct stat st;
	int r;

	if (k->mode & SUIDGID) {
		if (fstat(d->fd, &st) < 0)
			return -errno;
		if (st.st_mode != k->mode && fchmod(d->fd, k->mode & 07777) < 0)
			return -errno;
	}
	if (!k->capability_n)
		return 0;
	r = upper_setxattr(d->fd, "", CAPABILITY, k->capability, k->capability_n, 0);
	if (r == 0)
		r = upper_mark_remove(d->u->upper, d->fd, "", OVERLAY_CAPABILITY);
	return r < 0 && r != -EPERM ? r : 0; /* EPERM: what was root's is a user's now */
}

int data_give_back(struct data_use *d, struct data_kept *k)
{
	int r;

	if (!k->lock)
		return 0;
	r = give_back(d, k);
	pthread_mutex_unlock(k->lock);
	k->lock = NULL;
	return r;
}

/* ---- asking --------------------------------------------------------------------------------- */

bool data_is_capability(const struct node *n, const char *xattr)
{
	return S_ISREG(n->mode) && n->has_upper && strcmp(xattr, CAPABILITY) == 0;
}

static int get_capability(struct union_fs *u, struct node *n, int fd, const char *at, void *p,
	size_t size, size_t *ret_n)
{
	char value[DATA_CAPABILITY_MAX];
	size_t k;
	int r = find_capability(u, fd, at, value, sizeof(value), &k);

	if (r == 1)
		n->privileges |= NODE_NO_CAPABILITY;
	if (r != 0)
		return r == 1 ? -ENODATA : r;
	*ret_n = k;
	if (size && k > size)
		return -ERANGE;
	if (size)
		memcpy(p, value, k);
	return 0;
}

int data_get_capability(struct union_fs *u, struct node *n, int fd, const char *at, void *p,
	size_t size, size_t *ret_n)
{
	int r;

	data_state_share(u, n);
	pthread_mutex_lock(lock_of(u, n));
	r = get_capability(u, n, fd, at, p, size, ret_n);
	pthread_mutex_unlock(lock_of(u, n));
	data_state_leave(u, n);
	return r;
}
