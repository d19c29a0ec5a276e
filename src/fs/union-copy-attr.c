/* SPDX-License-Identifier: Apache-2.0 */
/* What a lower file is, given to its copy. */
#include "change.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/xattr.h>

/* Mode bits that the real file has when a mark says what it is: its user must be able to open it.
 */
static mode_t plain_mode(mode_t mode)
{
	return (mode & 0777) | (S_ISDIR(mode) ? 0700 : 0600);
}

static int mark_owner(struct upper *up, int dirfd, const char *name, const struct stat *want)
{
	const struct upper_owner o = {want->st_uid, want->st_gid, want->st_mode, want->st_rdev};
	char value[UPPER_OWNER_SIZE];
	const size_t n = upper_owner_encode(&o, value);
	const int r = upper_mark_set(up, dirfd, name, OVERLAY_OWNER, value, n);

	return r < 0 ? r : 0; /* a symlink takes none: it is its user's, then */
}

int change_owner_mode(struct upper *up, int dirfd, const char *name, const struct stat *want)
{
	const bool real = up->may_chown && !change_stands_in(up, want->st_mode);
	mode_t mode = want->st_mode & 07777;

	if (real) {
		if ((want->st_uid != up->uid || want->st_gid != up->gid) &&
			fchownat(dirfd, name, want->st_uid, want->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	} else {
		const int r = mark_owner(up, dirfd, name, want);

		if (r < 0)
			return r;
		mode = plain_mode(want->st_mode);
	}
	if (S_ISLNK(want->st_mode))
		return 0;
	return fchmodat(dirfd, name, mode, 0) < 0 ? -errno : 0;
}

/* What the upper file system or our privileges do not allow is left out where nobody's safety
 * depends on it, as overlayfs does. */
static bool may_leave_out(const struct upper *up, const char *name, int code)
{
	if (code == -EOPNOTSUPP)
		return strncmp(name, "system.", 7) != 0 && strncmp(name, "security.", 9) != 0;
	return code == -EPERM && (up->user || upper_has_owners(up));
}

static int copy_xattr(struct union_fs *u, const struct lower_place *from, const char *xattr,
	const char *name, char *p)
{
	struct lower *l = u->config.lowers[from->layer];
	size_t n;
	int r;

	if (overlay_xattr_is_private(xattr, u->upper->user))
		return 0;
	r = l->ops->getxattr(l, from->key, xattr, p, XATTR_SIZE_MAX, &n);
	if (r < 0)
		return r;
	r = upper_setxattr(u->upper->scratch_fd, name, xattr, p, n, 0);
	return r < 0 && may_leave_out(u->upper, xattr, r) ? 0 : r;
}

static int copy_xattrs(struct union_fs *u, const struct lower_place *from, const char *name)
{
	struct lower *l = u->config.lowers[from->layer];
	_cleanup_free_ char *list = NULL, *value = NULL;
	size_t n = 0, i;
	int r;

	r = l->ops->listxattr(l, from->key, NULL, 0, &n);
	if (r < 0 || n == 0)
		return r == -EOPNOTSUPP ? 0 : r;
	list = malloc(XATTR_LIST_MAX);
	value = malloc(XATTR_SIZE_MAX);
	if (!list || !value)
		return -ENOMEM;
	r = l->ops->listxattr(l, from->key, list, XATTR_LIST_MAX, &n);
	for (i = 0; r == 0 && i < n; i += strlen(list + i) + 1)
		r = copy_xattr(u, from, list + i, name, value);
	return r;
}

/* A new owner takes capabilities and setuid away, and a mode changes nothing after it. */
int copy_attributes(struct union_fs *u, const struct lower_place *from, const struct stat *st,
	const char *name, const struct overlay_origin *origin)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	struct upper *up = u->upper;
	struct stat want = *st;
	int r;

	r = change_owner_mode(up, up->scratch_fd, name, &want);
	if (r == 0)
		r = copy_xattrs(u, from, name);
	if (r == 0 && origin)
		r = upper_mark_set(
			up, up->scratch_fd, name, OVERLAY_ORIGIN, origin->bytes, origin->size);
	if (r < 0)
		return r;
	return utimensat(up->scratch_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}
