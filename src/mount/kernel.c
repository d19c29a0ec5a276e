/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"
#include "util/buf.h"
#include "util/log.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>

/* fsconfig(2) takes no longer strings. The packs' paths are shorter than the index's. */
#define FSCONFIG_STRING_MAX 255

/* The kernel's own words about the last failure on a file system context, if it has any. */
static void log_context(int fs)
{
	char line[512];
	ssize_t n;

	while ((n = read(fs, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		log_debug("kernel: %s", line);
	}
}

static int explain(int code, const char *index_path, const char *dir, struct err *e)
{
	switch (-code) {
	case ENODEV:
		return err_set(e, -ERR_UNSUPPORTED, "this kernel has no EROFS");
	case ENOTBLK:
		return err_set(e, -ERR_UNSUPPORTED,
			"%s cannot back a mount: this kernel is older than 6.12, or the store lies "
			"on "
			"overlayfs",
			index_path);
	case EPERM:
		return err_set(e, code, "mounting needs root (CAP_SYS_ADMIN)");
	default:
		return err_sys(e, code, "cannot mount on %s", dir);
	}
}

static int configure(int fs, const char *index_path, char *const *devices, size_t n_devices)
{
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", index_path, 0) < 0)
		return -errno;
	for (size_t i = 0; i < n_devices; i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, "device", devices[i], 0) < 0)
			return -errno;
	if (fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
		return -errno;
	return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

int kernel_mount(const char *index_path, char *const *devices, size_t n_devices, const char *dir,
	struct err *e)
{
	_cleanup_close_ int fs = -1, mnt = -1;
	int r;

	if (strlen(index_path) > FSCONFIG_STRING_MAX)
		return err_set(e, -ENAMETOOLONG, "the store's path is too long to mount from: %s",
			index_path);
	fs = fsopen("erofs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return explain(-errno, index_path, dir, e);
	r = configure(fs, index_path, devices, n_devices);
	if (r < 0) {
		log_context(fs);
		return explain(r, index_path, dir, e);
	}
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	if (mnt < 0)
		return explain(-errno, index_path, dir, e);
	if (move_mount(mnt, "", AT_FDCWD, dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return explain(-errno, index_path, dir, e);
	return 0;
}

/* mountinfo writes space, tab, newline and backslash in octal (proc(5)). */
static char *unescape(const char *s, size_t n)
{
	char *out = malloc(n + 1), *o = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\' && i + 3 < n && s[i + 1] >= '0' && s[i + 1] <= '3') {
			*o++ = (char)((s[i + 1] - '0') << 6 | (s[i + 2] - '0') << 3 |
				      (s[i + 3] - '0'));
			i += 3;
		} else {
			*o++ = s[i];
		}
	}
	*o = 0;
	return out;
}

/* Splits off the next field of a line; NULL at its end. */
static char *field(char **line)
{
	char *f;

	while ((f = strsep(line, " ")) && !*f)
		;
	return f;
}

/* "36 35 98:0 /root /dir opts [tags] - type source super": 1 = an EROFS mount, 0 = another. */
static int parse_line(char *line, struct mount_entry *ret)
{
	char *dir = NULL, *f, *type, *source;

	for (int i = 0; i < 5; i++)
		dir = field(&line);
	while ((f = field(&line)) && strcmp(f, "-") != 0)
		;
	type = field(&line);
	source = field(&line);
	if (!dir || !source || strcmp(type, "erofs") != 0)
		return 0;
	ret->dir = unescape(dir, strlen(dir));
	ret->source = unescape(source, strlen(source));
	if (ret->dir && ret->source)
		return 1;
	free(ret->dir);
	free(ret->source);
	return -ENOMEM;
}

void mount_entries_free(struct mount_entry *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].dir);
		free(v[i].source);
	}
	free(v);
}

int kernel_mounts(struct mount_entry **ret, size_t *ret_n, struct err *e)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	struct mount_entry *v = NULL, m;
	size_t n = 0, room = 0;
	int r = 0;

	if (!f)
		return err_sys(e, -errno, "cannot read /proc/self/mountinfo");
	while (r >= 0 && getline(&line, &room, f) > 0) {
		line[strcspn(line, "\n")] = 0;
		r = parse_line(line, &m);
		if (r == 1) {
			struct mount_entry *w = reallocarray(v, n + 1, sizeof(*w));

			if (!w) {
				free(m.dir);
				free(m.source);
				r = -ENOMEM;
				break;
			}
			v = w;
			v[n++] = m;
		}
	}
	if (r < 0) {
		mount_entries_free(v, n);
		return err_sys(e, r, "cannot read /proc/self/mountinfo");
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

int kernel_umount(const char *dir, bool lazy, struct err *e)
{
	if (umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	return err_sys(e, -errno, "cannot unmount %s", dir);
}
