/* SPDX-License-Identifier: Apache-2.0 */
/* What xattrs say of the files of a lower directory. */
#include "lower-dir.h"
#include "upper/upper.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

/* ---- owner, mode and type, as containers/storage and fuse-overlayfs keep them ---------------- */

static const char *const overrides[] = {
	"user.containers.override_stat",
	"user.fuseoverlayfs.override_stat",
	"security.fuseoverlayfs.override_stat",
};
#define N_OVERRIDES (sizeof(overrides) / sizeof(*overrides))

const char *find_override(int fd)
{
	char value[64];
	size_t n;

	for (size_t i = 0; i < N_OVERRIDES; i++)
		if (upper_getxattr(fd, "", overrides[i], value, sizeof(value), &n) == 0)
			return overrides[i];
	return NULL;
}

/* "file", "dir", "symlink", "pipe", "socket", "block-8-1", "char-1-3". */
static void set_type(struct stat *st, const char *type)
{
	static const struct {
		const char *name;
		mode_t mode;
	} types[] = {{"file", S_IFREG}, {"dir", S_IFDIR}, {"symlink", S_IFLNK}, {"pipe", S_IFIFO},
		{"socket", S_IFSOCK}};
	unsigned int major, minor;
	char end;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(type, types[i].name) == 0)
			st->st_mode = types[i].mode | (st->st_mode & 07777);
	if (sscanf(type, "block-%u-%u%c", &major, &minor, &end) == 2)
		st->st_mode = S_IFBLK | (st->st_mode & 07777);
	else if (sscanf(type, "char-%u-%u%c", &major, &minor, &end) == 2)
		st->st_mode = S_IFCHR | (st->st_mode & 07777);
	else
		return;
	st->st_rdev = makedev(major, minor);
}

/* "uid:gid:mode" in octal, and maybe ":type". What cannot be read says nothing. */
static void read_override(const char *p, struct stat *st)
{
	uint32_t uid, gid, mode;
	const mode_t before = st->st_mode;
	int n = 0;

	if (sscanf(p, "%" SCNu32 ":%" SCNu32 ":%" SCNo32 "%n", &uid, &gid, &mode, &n) != 3 ||
		(p[n] && p[n] != ':'))
		return;
	st->st_uid = uid;
	st->st_gid = gid;
	st->st_mode = (st->st_mode & S_IFMT) | (mode & 07777);
	if (p[n] == ':')
		set_type(st, p + n + 1);
	/* Only regular files stand for others: what else would be read as what it is not. */
	if (!S_ISREG(before) || S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode))
		st->st_mode = (before & S_IFMT) | (st->st_mode & 07777);
}

int apply_override(const struct lower_dir *d, int dirfd, const char *name, struct stat *st)
{
	char value[128];
	size_t n;
	int r;

	if (!d->override)
		return 0;
	r = upper_getxattr(dirfd, name, d->override, value, sizeof(value) - 1, &n);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	value[n] = '\0';
	read_override(value, st);
	return 0;
}

/* ---- marks ------------------------------------------------------------------------------------
 */

static bool is_opaque(int fd)
{
	static const char *const marks[] = {
		"trusted.overlay.opaque", "user.overlay.opaque", "user.fuseoverlayfs.opaque"};
	struct stat st;
	char value[4];
	size_t n;

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (upper_getxattr(fd, "", marks[i], value, sizeof(value), &n) == 0 && n >= 1 &&
			value[0] == 'y')
			return true;
	return fstatat(fd, WHITEOUT_OPAQUE, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int get_redirect(const struct lower_dir *d, int fd, char **ret)
{
	const char *mark = overlay_xattr_name(OVERLAY_REDIRECT, d->user);
	_cleanup_free_ char *p = malloc(65536);
	size_t n;
	int r;

	if (!p)
		return -ENOMEM;
	r = upper_getxattr(fd, "", mark, p, 65535, &n);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (memchr(p, '\0', n))
		return -EINVAL;
	p[n] = '\0';
	*ret = TAKE_PTR(p);
	return 0;
}

int dir_get_marks(struct lower *l, uint64_t dir, bool *ret_opaque, char **ret_redirect)
{
	struct lower_dir *d = dir_of(l);
	struct entry *e = entry_find(d, dir);
	char *redirect = NULL;
	struct open_file f;
	int r = !e ? -ESTALE : e->type != DT_DIR ? -ENOTDIR : entry_open(d, e, &f);

	if (r < 0)
		return r;
	r = get_redirect(d, f.fd, &redirect);
	if (r == 0) {
		*ret_opaque = is_opaque(f.fd);
		*ret_redirect = redirect;
	}
	entry_put(d, &f);
	return r;
}

/* ---- xattrs -----------------------------------------------------------------------------------
 */

static bool is_private(const struct lower_dir *d, const char *name)
{
	if (overlay_xattr_is_private(name, d->user) ||
		strncmp(name, "user.fuseoverlayfs.", strlen("user.fuseoverlayfs.")) == 0)
		return true;
	for (size_t i = 0; i < N_OVERRIDES; i++)
		if (strcmp(name, overrides[i]) == 0)
			return true;
	return false;
}

int dir_getxattr(struct lower *l, uint64_t key, const char *name, void *p, size_t n, size_t *ret_n)
{
	struct lower_dir *d = dir_of(l);
	struct entry *e = entry_find(d, key);
	struct open_file f;
	const char *at;
	int r;

	if (!e || is_private(d, name))
		return e ? -ENODATA : -ESTALE;
	r = entry_place(d, e, &f, &at);
	if (r < 0)
		return r;
	r = upper_getxattr(f.fd, at, name, p, n, ret_n);
	entry_put(d, &f);
	return r;
}

static int list_all(struct lower_dir *d, struct entry *e, char *p, size_t n, size_t *ret_n)
{
	struct open_file f;
	const char *at;
	int r = entry_place(d, e, &f, &at);

	if (r < 0)
		return r;
	r = upper_listxattr(f.fd, at, p, n, ret_n);
	entry_put(d, &f);
	return r;
}

int dir_listxattr(struct lower *l, uint64_t key, char *p, size_t n, size_t *ret_n)
{
	struct lower_dir *d = dir_of(l);
	struct entry *e = entry_find(d, key);
	_cleanup_free_ char *all = malloc(65536);
	size_t total = 0, done = 0;
	int r = e ? 0 : -ESTALE;

	if (r == 0)
		r = all ? list_all(d, e, all, 65536, &total) : -ENOMEM;
	for (size_t at = 0; r == 0 && at < total;) {
		size_t len = strnlen(all + at, total - at) + 1;

		if (at + len > total)
			break;
		if (!is_private(d, all + at)) {
			if (n && len > n - done)
				return -ERANGE;
			if (n)
				memcpy(p + done, all + at, len);
			done += len;
		}
		at += len;
	}
	if (r == 0)
		*ret_n = done;
	return r;
}

/* ---- file handles -----------------------------------------------------------------------------
 */

/* Of <linux/fs.h>, Linux 6.9. */
struct fs_uuid {
	uint8_t len;
	uint8_t uuid[16];
};
#define GET_FS_UUID _IOR(0x15, 0, struct fs_uuid)

struct handle {
	struct file_handle h;
	uint8_t bytes[MAX_HANDLE_SZ];
};

static int get_handle(int dirfd, const char *name, struct handle *ret)
{
	int mount;

	ret->h.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(dirfd, name, &ret->h, &mount, *name ? 0 : AT_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

bool find_handles(int fd, uint8_t ret_uuid[16])
{
	_cleanup_close_ int dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fs_uuid uuid = {0};
	struct handle h;

	if (dir >= 0 && ioctl(dir, GET_FS_UUID, &uuid) == 0 && uuid.len == 16)
		memcpy(ret_uuid, uuid.uuid, 16);
	return get_handle(fd, "", &h) == 0;
}

int dir_origin(struct lower *l, uint64_t key, struct overlay_origin *ret)
{
	struct lower_dir *d = dir_of(l);
	struct entry *e = entry_find(d, key);
	struct open_file f;
	struct handle h;
	const char *at;
	int r;

	if (!e || !d->has_handles)
		return e ? 1 : -ESTALE;
	r = entry_place(d, e, &f, &at);
	if (r < 0)
		return r;
	r = get_handle(f.fd, at, &h);
	entry_put(d, &f);
	if (r < 0)
		return r == -ENOMEM ? r : 1;
	return overlay_origin_of_handle(
		l->uuid, h.h.handle_type, h.h.f_handle, h.h.handle_bytes, ret);
}

int dir_find_origin(
	struct lower *l, const void *origin, size_t n, uint64_t *ret_ino, uint32_t *ret_nlink)
{
	struct lower_dir *d = dir_of(l);
	_cleanup_close_ int fd = -1;
	struct handle h = {0};
	struct stat st;
	int type;
	size_t at;

	if (d->handle_fd < 0 || overlay_origin_handle(origin, n, l->uuid, &type, &at) != 0 ||
		n - at > MAX_HANDLE_SZ)
		return 1;
	h.h.handle_type = type;
	h.h.handle_bytes = (unsigned int)(n - at);
	memcpy(h.h.f_handle, (const uint8_t *)origin + at, n - at);
	fd = open_by_handle_at(d->handle_fd, &h.h, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 1;
	*ret_ino = entry_ino(d, &st);
	*ret_nlink = (uint32_t)st.st_nlink;
	return 0;
}
