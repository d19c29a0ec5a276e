/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"
#include "util/log.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>

/* fsconfig(2) takes no longer strings. The packs' paths are shorter than the index's. */
#define FSCONFIG_STRING_MAX 255

void kernel_source_done(struct kernel_source *k)
{
	free(k->index);
	for (size_t i = 0; i < k->n_packs; i++)
		free(k->packs[i]);
}

void kernel_log(int fs)
{
	char line[512];
	ssize_t n;

	while ((n = read(fs, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		line[strcspn(line, "\n")] = 0;
		log_debug("kernel: %s", line);
	}
}

static int explain(int code, const char *index_path, struct err *e)
{
	switch (-code) {
	case ENODEV:
		return err_set(e, -ERR_UNSUPPORTED, "this kernel has no EROFS");
	case ENOTBLK:
		return err_set(e, -ERR_UNSUPPORTED,
			"%s cannot back a mount: this kernel is older than 6.12, or the store lies "
			"on overlayfs",
			index_path);
	case EPERM:
		return err_set(e, code, "mounting needs root (CAP_SYS_ADMIN)");
	default:
		return err_sys(e, code, "cannot mount %s", index_path);
	}
}

static int configure(int fs, const struct kernel_source *k)
{
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", k->index, 0) < 0)
		return -errno;
	for (size_t i = 0; i < k->n_packs; i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, "device", k->packs[i], 0) < 0)
			return -errno;
	if (fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
		return -errno;
	return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

int kernel_mount(
	const struct kernel_source *k, const struct idmap *ids, int *ret_mnt, struct err *e)
{
	_cleanup_close_ int fs = -1, mnt = -1;
	int r;

	if (strlen(k->index) > FSCONFIG_STRING_MAX)
		return err_set(e, -ENAMETOOLONG, "the store's path is too long to mount from: %s",
			k->index);
	fs = fsopen("erofs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return explain(-errno, k->index, e);
	r = configure(fs, k);
	if (r < 0) {
		kernel_log(fs);
		return explain(r, k->index, e);
	}
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	if (mnt < 0)
		return explain(-errno, k->index, e);
	r = ids ? idmap_apply(ids, mnt, "EROFS", e) : 0;
	if (r == 0)
		*ret_mnt = TAKE_FD(mnt);
	return r;
}

int kernel_attach(int mnt, const char *dir, struct err *e)
{
	if (move_mount(mnt, "", AT_FDCWD, dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, -errno, "cannot mount on %s", dir);
	return 0;
}
