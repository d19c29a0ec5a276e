/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "mount/mounts.h"
#include "mount/serve.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/xattr.h>

/* Whether we may have xattrs trusted.*, which overlayfs's marks are then: for root only. */
static bool may_use_trusted(const char *path)
{
	return removexattr(path, "trusted.plyfs.none") == 0 || errno != EPERM;
}

static int real_path(const char *path, char **ret, struct err *e)
{
	*ret = realpath(path, NULL);
	return *ret ? 0 : err_sys(e, -errno, "%s", path);
}

static int describe_layers(
	const struct plyfs_overlay_options *o, struct serve_config *c, struct err *e)
{
	int r = 0;

	c->lowers = calloc(o->n_lower_dirs, sizeof(*c->lowers));
	if (!c->lowers)
		return err_sys(e, -ENOMEM, "cannot mount");
	while (r == 0 && c->n_lowers < o->n_lower_dirs) {
		r = real_path(o->lower_dirs[c->n_lowers], &c->lowers[c->n_lowers], e);
		c->n_lowers += r == 0;
	}
	if (r == 0 && o->upper_dir)
		r = real_path(o->upper_dir, &c->upper, e);
	if (r == 0 && o->work_dir)
		r = real_path(o->work_dir, &c->work, e);
	return r;
}

static int describe(const struct plyfs_overlay_options *o, struct serve_config *c, struct err *e)
{
	int r;

	if (!o->n_lower_dirs || !o->upper_dir != !o->work_dir)
		return err_set(e, -EINVAL,
			"an overlay has lower directories, and an upper one with a work directory "
			"or neither");
	r = describe_layers(o, c, e);
	if (r < 0)
		return r;
	c->source = strdup("plyfs-overlay");
	c->uids = o->uid_map ? strdup(o->uid_map) : NULL;
	c->gids = o->gid_map ? strdup(o->gid_map) : NULL;
	if (!c->source || (o->uid_map && !c->uids) || (o->gid_map && !c->gids))
		return err_sys(e, -ENOMEM, "cannot mount");
	c->user_xattrs = !may_use_trusted(c->upper ? c->upper : c->lowers[0]);
	return 0;
}

/* Until nothing of ours is mounted there any more. The kernel wakes us when mounts change. */
static int wait_for_umount(const char *dir, struct err *e)
{
	_cleanup_close_ int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	struct pollfd p = {.fd = fd, .events = POLLPRI};

	if (fd < 0)
		return err_sys(e, -errno, "cannot read /proc/self/mountinfo");
	for (;;) {
		struct mount_entry *v;
		bool there = false;
		size_t n;
		int r = mount_entries(&v, &n, e);

		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++)
			there |= strcmp(v[i].dir, dir) == 0;
		mount_entries_free(v, n);
		if (!there)
			return 0;
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return err_sys(e, -errno, "cannot wait for the end of %s", dir);
	}
}

PUBLIC int plyfs_overlay(
	const struct plyfs_overlay_options *o, const char *dir, struct plyfs_error *error)
{
	_cleanup_serve_config_ struct serve_config c = {
		.mode = o->passthrough ? FUSE_PASSTHROUGH_FILES : FUSE_CACHED,
		.block_copy = o->block_copy,
		.redirect = o->redirect_dir,
		.sync = o->fsync,
		.allow_other = o->allow_other,
		.squash_uid = o->squash_uid >= 0,
		.squash_gid = o->squash_gid >= 0,
		.uid = o->squash_uid >= 0 ? (uint32_t)o->squash_uid : 0,
		.gid = o->squash_gid >= 0 ? (uint32_t)o->squash_gid : 0,
		.mount_flags = (uint32_t)o->mount_flags,
	};
	struct err e = {0};
	int r = describe(o, &c, &e);

	if (r == 0)
		r = lib_fuse_start(&c, dir, NULL, 0, &e);
	if (r == 0 && o->foreground)
		r = wait_for_umount(c.dir, &e);
	return lib_error(r, &e, error);
}
