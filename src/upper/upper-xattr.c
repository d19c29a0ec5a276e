/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xattrs of dirfd/name, by getxattrat(2) and its like (Linux 6.13), or through /proc before that.
 */
#include "upper.h"

#include "util/bytes.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

/* Of include/uapi/asm-generic/unistd.h and include/uapi/linux/xattr.h of Linux 6.13; the numbers
 * are the same for all processors but Alpha. */
#define SYS_SETXATTRAT    463
#define SYS_GETXATTRAT    464
#define SYS_LISTXATTRAT   465
#define SYS_REMOVEXATTRAT 466
struct xattr_at {
	uint64_t value; /* its address */
	uint32_t size;
	uint32_t flags;
};

static _Atomic bool lacks_xattrat;

struct proc_path {
	char p[64 + NAME_MAX];
};

/* With "" the link itself has to be followed: it leads to the file, and no further. */
static bool proc_path(struct proc_path *pp, int dirfd, const char *name)
{
	const int n = snprintf(
		pp->p, sizeof(pp->p), "/proc/self/fd/%d%s%s", dirfd, *name ? "/" : "", name);

	assert(n > 0 && (size_t)n < sizeof(pp->p));
	return *name;
}

/* Whether the system call is there: what another means is told in `*r`, 0 and more or -errno. */
static bool tried_at(long got, ssize_t *r)
{
	if (got < 0 && errno == ENOSYS) {
		lacks_xattrat = true;
		return false;
	}
	*r = got < 0 ? -errno : (ssize_t)got;
	return true;
}

static bool may_try_at(const char *name)
{
#ifdef __alpha__
	return false;
#endif
	return *name && !lacks_xattrat; /* with "", it takes no O_PATH */
}

int upper_getxattr(int dirfd, const char *name, const char *xattr, void *p, size_t n, size_t *ret_n)
{
	const struct xattr_at at = {(uintptr_t)p, (uint32_t)n, 0};
	struct proc_path pp;
	ssize_t r;

	if (!may_try_at(name) || !tried_at(syscall(SYS_GETXATTRAT, dirfd, name, AT_SYMLINK_NOFOLLOW,
						   xattr, &at, sizeof(at)),
					 &r)) {
		r = proc_path(&pp, dirfd, name) ? lgetxattr(pp.p, xattr, p, n)
						: getxattr(pp.p, xattr, p, n);
		r = r < 0 ? -errno : r;
	}
	if (r < 0)
		return (int)r;
	*ret_n = (size_t)r;
	return 0;
}

int upper_listxattr(int dirfd, const char *name, char *p, size_t n, size_t *ret_n)
{
	struct proc_path pp;
	ssize_t r;

	if (!may_try_at(name) ||
		!tried_at(syscall(SYS_LISTXATTRAT, dirfd, name, AT_SYMLINK_NOFOLLOW, p, n), &r)) {
		r = proc_path(&pp, dirfd, name) ? llistxattr(pp.p, p, n) : listxattr(pp.p, p, n);
		r = r < 0 ? -errno : r;
	}
	if (r < 0)
		return (int)r;
	*ret_n = (size_t)r;
	return 0;
}

int upper_setxattr(
	int dirfd, const char *name, const char *xattr, const void *p, size_t n, int flags)
{
	const struct xattr_at at = {(uintptr_t)p, (uint32_t)n, (uint32_t)flags};
	struct proc_path pp;
	ssize_t r;

	if (may_try_at(name) && tried_at(syscall(SYS_SETXATTRAT, dirfd, name, AT_SYMLINK_NOFOLLOW,
						 xattr, &at, sizeof(at)),
					&r))
		return (int)r;
	r = proc_path(&pp, dirfd, name) ? lsetxattr(pp.p, xattr, p, n, flags)
					: setxattr(pp.p, xattr, p, n, flags);
	return r < 0 ? -errno : 0;
}

int upper_removexattr(int dirfd, const char *name, const char *xattr)
{
	struct proc_path pp;
	ssize_t r;

	if (may_try_at(name) &&
		tried_at(syscall(SYS_REMOVEXATTRAT, dirfd, name, AT_SYMLINK_NOFOLLOW, xattr), &r))
		return (int)r;
	r = proc_path(&pp, dirfd, name) ? lremovexattr(pp.p, xattr) : removexattr(pp.p, xattr);
	return r < 0 ? -errno : 0;
}

/* ---- marks ---------------------------------------------------------------------------------- */
/* EPERM: user.* on a symlink or a device. */
static bool means_none(int code)
{
	return code == -ENODATA || code == -EPERM || code == -EOPNOTSUPP;
}

int upper_mark_get(struct upper *up, int dirfd, const char *name, enum overlay_xattr x, void *p,
	size_t n, size_t *ret_n)
{
	const int r = upper_getxattr(dirfd, name, overlay_xattr_name(x, up->user), p, n, ret_n);

	return means_none(r) ? 1 : r;
}

int upper_mark_set(struct upper *up, int dirfd, const char *name, enum overlay_xattr x,
	const void *p, size_t n)
{
	const int r = upper_setxattr(dirfd, name, overlay_xattr_name(x, up->user), p, n, 0);

	return r == -EPERM || r == -EOPNOTSUPP ? 1 : r;
}

int upper_mark_remove(struct upper *up, int dirfd, const char *name, enum overlay_xattr x)
{
	const int r = upper_removexattr(dirfd, name, overlay_xattr_name(x, up->user));

	return means_none(r) ? 1 : r;
}

/* Where a mark must be, or the tree is not what it ought to be. */
static int must_mark(struct upper *up, int dirfd, const char *name, enum overlay_xattr x,
	const void *p, size_t n)
{
	const int r = upper_mark_set(up, dirfd, name, x, p, n);

	return r > 0 ? -EOPNOTSUPP : r;
}

int upper_set_opaque(struct upper *up, int dirfd, const char *name)
{
	return must_mark(up, dirfd, name, OVERLAY_OPAQUE, "y", 1);
}

int upper_set_redirect(struct upper *up, int dirfd, const char *name, const char *redirect)
{
	return must_mark(up, dirfd, name, OVERLAY_REDIRECT, redirect, strlen(redirect));
}

static int redirect_of(struct upper *up, int dirfd, const char *name, char **ret)
{
	_cleanup_free_ char *p = NULL;
	char small[256];
	size_t n;
	int r;

	r = upper_mark_get(up, dirfd, name, OVERLAY_REDIRECT, small, sizeof(small) - 1, &n);
	if (r < 0 && r != -ERANGE)
		return r;
	if (r > 0) {
		*ret = NULL;
		return 0;
	}
	p = malloc(r == 0 ? n + 1 : XATTR_SIZE_MAX + 1);
	if (!p)
		return -ENOMEM;
	if (r == 0)
		memcpy(p, small, n);
	else
		r = upper_mark_get(up, dirfd, name, OVERLAY_REDIRECT, p, XATTR_SIZE_MAX, &n);
	if (r != 0)
		return r < 0 ? r : -EIO;
	p[n] = 0;
	if (strlen(p) != n)
		return -EIO;
	*ret = TAKE_PTR(p);
	return 0;
}

int upper_dir_marks(
	struct upper *up, int dirfd, const char *name, bool *ret_opaque, char **ret_redirect)
{
	size_t n = 0;
	char c[2];
	int r;

	r = upper_mark_get(up, dirfd, name, OVERLAY_OPAQUE, c, sizeof(c), &n);
	if (r < 0 && r != -ERANGE)
		return r;
	*ret_opaque = r == 0 && n == 1 && c[0] == 'y';
	return redirect_of(up, dirfd, name, ret_redirect);
}

int upper_origin(
	struct upper *up, int dirfd, const char *name, const uint8_t uuid[16], uint64_t *ret_nid)
{
	uint8_t value[OVERLAY_ORIGIN_MAX];
	size_t n;
	int r = upper_mark_get(up, dirfd, name, OVERLAY_ORIGIN, value, sizeof(value), &n);

	if (r == -ERANGE)
		return 1;
	return r != 0 ? r : overlay_origin_nid(value, n, uuid, ret_nid);
}
