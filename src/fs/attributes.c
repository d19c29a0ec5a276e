/* SPDX-License-Identifier: Apache-2.0 */
#include "attributes.h"
#include "util/log.h"

#include <fcntl.h>
#include <sys/xattr.h>

/* The inode number of /proc/self/ns/user there: the kernel's PROC_USER_INIT_INO. */
#define FIRST_USER_NAMESPACE 0xeffffffdu

struct proc_path {
	char text[32];
};

static struct proc_path proc_path(int fd)
{
	struct proc_path p;

	snprintf(p.text, sizeof(p.text), "/proc/self/fd/%d", fd);
	return p;
}

void attributes_init(struct attributes *a, const struct view *v)
{
	struct stat st;

	*a = (struct attributes){.x = view_index(v), .privileged = geteuid() == 0};
	if (stat("/proc/self/ns/user", &st) == 0 && st.st_ino != FIRST_USER_NAMESPACE)
		a->privileged = false;
}

/* EINVAL: an owner that the user namespace does not know. */
bool attributes_leave_out(const struct attributes *a, int code)
{
	return !a->privileged && (code == -EPERM || code == -EINVAL);
}

/* 1 = left out. */
static int set_owner(struct attributes *a, int fd, const struct index_inode *i, struct err *e)
{
	if (fchownat(fd, "", i->uid, i->gid, AT_EMPTY_PATH) == 0)
		return 0;
	if (!attributes_leave_out(a, -errno))
		return err_sys(e, -errno, "cannot set the owner");
	a->owners++;
	return 1;
}

static int set_xattrs(struct attributes *a, int fd, const struct index_inode *i, struct err *e)
{
	const struct proc_path proc = proc_path(fd);
	char name[XATTR_NAME_LEN_MAX + 1];
	struct bytes value;
	uint64_t pos = 0;
	int r;

	while ((r = index_xattr(a->x, i, &pos, name, &value, e)) == 1) {
		if (setxattr(proc.text, name, value.p, value.n, 0) == 0)
			continue;
		if (errno != EPERM && errno != EOPNOTSUPP && !attributes_leave_out(a, -errno))
			return err_sys(e, -errno, "cannot set extended attribute %s", name);
		a->xattrs++;
	}
	return r;
}

static int set_mode(int fd, const struct index_inode *i, bool owned, struct err *e)
{
	const mode_t mode = i->mode & (owned ? 07777 : 01777);
	int r = 0;

	if (S_ISREG(i->mode) || S_ISDIR(i->mode))
		r = fchmod(fd, mode);
	else if (!S_ISLNK(i->mode))
		r = chmod(proc_path(fd).text, mode);
	return r < 0 ? err_sys(e, -errno, "cannot set the mode") : 0;
}

static int set_times(int fd, const struct index_inode *i, struct err *e)
{
	const struct timespec time = {.tv_sec = i->mtime, .tv_nsec = i->mtime_nsec};
	const struct timespec both[2] = {time, time};

	return utimensat(fd, "", both, AT_EMPTY_PATH) < 0
		       ? err_sys(e, -errno, "cannot set the time")
		       : 0;
}

int attributes_set(struct attributes *a, int fd, const struct index_inode *i, struct err *e)
{
	bool owned;
	int r = set_owner(a, fd, i, e);

	owned = r == 0;
	if (r >= 0)
		r = set_xattrs(a, fd, i, e);
	if (r == 0)
		r = set_mode(fd, i, owned, e);
	return r < 0 ? r : set_times(fd, i, e);
}

void attributes_warn(const struct attributes *a, const char *path)
{
	if (a->owners || a->devices || a->xattrs)
		log_warn("'%.200s': not permitted here, and left out: %llu owners, %llu devices, "
			 "%llu extended attributes",
			path, (unsigned long long)a->owners, (unsigned long long)a->devices,
			(unsigned long long)a->xattrs);
}
