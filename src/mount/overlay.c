/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay.h"
#include "util/log.h"
#include "util/remove.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define SOURCE_PREFIX "plyfs:"

char *overlay_source(const char *store, const char *id)
{
	char *s;

	return asprintf(&s, SOURCE_PREFIX "%s:%s", store, id) < 0 ? NULL : s;
}

const char *overlay_source_id(const char *source, const char *store)
{
	size_t p = strlen(SOURCE_PREFIX), n = strlen(store);

	if (strncmp(source, SOURCE_PREFIX, p) != 0 || strncmp(source + p, store, n) != 0 ||
		source[p + n] != ':')
		return NULL;
	return source + p + n + 1;
}

static int set_string(int fs, const char *key, const char *value)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

static int set_fd(int fs, const char *key, int fd)
{
	return fsconfig(fs, FSCONFIG_SET_FD, key, NULL, fd) < 0 ? -errno : 0;
}

static int new_context(int *ret, struct err *e)
{
	int fs = fsopen("overlay", FSOPEN_CLOEXEC);

	if (fs < 0 && errno == ENODEV)
		return err_set(e, -ERR_UNSUPPORTED, "this kernel has no overlayfs");
	if (fs < 0 && errno == EPERM)
		return err_set(e, -EPERM, "mounting needs root (CAP_SYS_ADMIN)");
	if (fs < 0)
		return err_sys(e, -errno, "cannot mount an overlay");
	*ret = fs;
	return 0;
}

/*
 * Overlayfs looks whether the upper directory is in use, before it finds that a work directory that
 * is the upper one will not do.
 */
int overlay_in_use(const char *upper, struct err *e)
{
	_cleanup_close_ int fs = -1;
	int r = new_context(&fs, e);

	if (r == -EPERM)
		return 0;
	if (r == 0)
		r = set_string(fs, "index", "on");
	if (r == 0)
		r = set_string(fs, "lowerdir", upper);
	if (r == 0)
		r = set_string(fs, "upperdir", upper);
	if (r == 0)
		r = set_string(fs, "workdir", upper);
	if (r == 0)
		r = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
	if (r == -EBUSY)
		return 1;
	return r == -EINVAL || r == -ELOOP
		       ? 0
		       : err_sys(e, r, "cannot tell whether %s is mounted", upper);
}

/* What is mounted where; the parts of one mount in the making. */
struct making {
	const struct overlay_options *o;
	int lower; /* the image, mounted; not attached */
	int layer; /* the directory with "upper" and "work": a mount of its own if ids are mapped */
	int result; /* the overlay, mounted; not attached */
	bool by_path;
	int code;
	struct err *e;
};

static int set_common(int fs, const struct overlay_options *o)
{
	int r = set_string(fs, "source", o->source);

	if (r == 0)
		r = set_string(fs, "redirect_dir", "on");
	if (r == 0)
		r = set_string(fs, "index", "on");
	if (r == 0)
		r = set_string(fs, "metacopy", "off");
	if (r == 0)
		r = set_string(fs, "xino", "auto");
	if (r == 0 && !o->fsync)
		r = fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0 ? -errno : 0;
	return r;
}

static int create(int fs, int *ret)
{
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		int r = -errno;

		kernel_log(fs);
		return r;
	}
	*ret = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return *ret < 0 ? -errno : 0;
}

/* Layers by descriptors, mounts that are not attached among them: Linux 6.15. */
static int set_descriptors(int fs, const struct making *m)
{
	_cleanup_close_ int upper = openat(m->layer, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC),
			    work = openat(m->layer, "work", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (upper < 0 || work < 0)
		return -errno;
	r = set_fd(fs, "lowerdir+", m->lower);
	if (r == 0)
		r = set_fd(fs, "upperdir", upper);
	return r == 0 ? set_fd(fs, "workdir", work) : r;
}

static int make_by_descriptor(struct making *m)
{
	_cleanup_close_ int fs = -1;
	int r = new_context(&fs, m->e);

	if (r == 0)
		r = set_common(fs, m->o);
	if (r == 0)
		r = set_descriptors(fs, m);
	return r == 0 ? create(fs, &m->result) : r;
}

static int set_paths(int fs, const struct making *m, const char *lower)
{
	_cleanup_free_ char *upper = NULL, *work = NULL;
	int r;

	if (asprintf(&upper, "%s/upper", m->o->layer) < 0)
		upper = NULL;
	if (asprintf(&work, "%s/work", m->o->layer) < 0)
		work = NULL;
	if (!upper || !work)
		return -ENOMEM;
	r = set_string(fs, "lowerdir+", lower);
	if (r == 0)
		r = set_string(fs, "upperdir", upper);
	return r == 0 ? set_string(fs, "workdir", work) : r;
}

/*
 * Older kernels want paths, of mounts in the namespace of who asks. So that nobody else sees them,
 * and none stays behind when we are killed, that is one of this thread's own.
 */
static int make_by_path(struct making *m)
{
	static const char lower[] = "/proc"; /* any directory that the layers are not below */
	_cleanup_close_ int fs = -1;
	int r = new_context(&fs, m->e);

	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (m->o->ids &&
		move_mount(m->layer, "", AT_FDCWD, m->o->layer, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	if (move_mount(m->lower, "", AT_FDCWD, lower, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	r = set_common(fs, m->o);
	if (r == 0)
		r = set_paths(fs, m, lower);
	return r == 0 ? create(fs, &m->result) : r;
}

/*
 * Who makes an overlay is who it does its own work as: makes its work directory, copies up. That
 * must be somebody whom the layers know. The thread keeps root's capabilities all the same.
 */
static int become_known(const struct idmap *ids)
{
	if (!ids)
		return 0;
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0)
		return -errno;
	setfsgid(ids->gid);
	setfsuid(ids->uid);
	return 0;
}

static void *run(void *ctx)
{
	struct making *m = ctx;

	m->code = become_known(m->o->ids);
	if (m->code == 0)
		m->code = m->by_path ? make_by_path(m) : make_by_descriptor(m);
	return NULL;
}

static int make(struct making *m, bool by_path)
{
	pthread_t thread;
	int r;

	m->by_path = by_path;
	r = -pthread_create(&thread, NULL, run, m);
	if (r < 0)
		return r;
	pthread_join(thread, NULL);
	return m->code;
}

static int open_layer(const struct overlay_options *o, int *ret, struct err *e)
{
	_cleanup_close_ int fd =
		o->ids ? open_tree(AT_FDCWD, o->layer, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
		       : open(o->layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "cannot open %s", o->layer);
	r = o->ids ? idmap_apply(o->ids, fd, "the store's file system", e) : 0;
	if (r == 0)
		*ret = TAKE_FD(fd);
	return r;
}

static int explain(int code, const struct overlay_options *o, struct err *e)
{
	switch (-code) {
	case EBUSY:
		return err_set(e, -ERR_CONFLICT, "%s is mounted already", o->layer);
	case EINVAL:
		return err_set(e, -ERR_UNSUPPORTED,
			"the kernel's overlayfs does not take %s (plyfs --debug tells what it "
			"says)",
			o->layer);
	case ESTALE:
		return err_set(e, -ERR_STORE, "%s does not belong to this image", o->layer);
	default:
		return err_sys(e, code, "cannot mount %s", o->layer);
	}
}

/* 1 = WORK/blocks has something in it. */
static int look_for_blocks(int layer)
{
	_cleanup_(closedirp) DIR *d = NULL;
	int fd = openat(layer, "work/blocks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *x;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -errno;
	}
	while ((x = readdir(d)))
		if (x->d_name[0] != '.')
			return 1;
	return 0;
}

int overlay_has_half_copied(const char *layer, struct err *e)
{
	_cleanup_close_ int fd = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : look_for_blocks(fd);

	return r < 0 ? err_sys(e, r, "cannot look into %s", layer) : r;
}

static int clear_volatile(int layer)
{
	static const char path[] = "work/work/incompat/volatile";
	_cleanup_close_ int fd = openat(layer, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = remove_below(fd);
	if (r == 0 && unlinkat(layer, path, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

static int check_layer(int layer, const struct overlay_options *o, struct err *e)
{
	_cleanup_free_ char *upper = NULL;
	int r = overlay_has_half_copied(o->layer, e);

	if (r < 0)
		return r;
	if (r == 1)
		return err_set(e, -ERR_CONFLICT,
			"%s has half-copied files: mount it with --driver cow", o->layer);
	if (asprintf(&upper, "%s/upper", o->layer) < 0)
		return err_sys(e, -ENOMEM, "cannot mount");
	r = overlay_in_use(upper, e);
	if (r < 0)
		return r;
	if (r == 1)
		return explain(-EBUSY, o, e);
	/* Nobody has it: what a volatile mount left is of no use. */
	r = clear_volatile(layer);
	return r < 0 ? err_sys(e, r, "cannot clear %s/work", o->layer) : 0;
}

/*
 * The index keeps a handle of the upper directory, so that it is not used with another one. They
 * are always together here, but a store that was copied, or restored from a backup, has other
 * handles. 1 = that was not it.
 */
static int forget_upper(int layer)
{
	_cleanup_close_ int fd =
		openat(layer, "work/index", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fremovexattr(fd, "trusted.overlay.upper") < 0)
		return 1;
	log_debug("the upper directory was copied");
	return 0;
}

/* By descriptors if the kernel can, else by paths. */
static int make_somehow(struct making *m)
{
	int r = m->o->by_path ? -EINVAL : make(m, false);

	if (r == -EINVAL || r == -EBADF) {
		log_debug("overlayfs takes no descriptors: %s", err_text(r));
		r = make(m, true);
	}
	return r;
}

static int attempt(const struct kernel_source *lower, const struct overlay_options *o,
	int *ret_result, struct err *e)
{
	_cleanup_close_ int mnt = -1, layer = -1;
	struct making m = {.o = o, .result = -1, .e = e};
	int r = open_layer(o, &layer, e);

	if (r == 0)
		r = check_layer(layer, o, e);
	if (r == 0)
		r = kernel_mount(lower, o->ids, &mnt, e);
	if (r < 0)
		return r;
	m.lower = mnt;
	m.layer = layer;
	r = make_somehow(&m);
	if (r == -ESTALE && forget_upper(layer) == 0)
		return 1;
	*ret_result = m.result;
	return r < 0 ? explain(r, o, e) : 0;
}

int overlay_mount(const struct kernel_source *lower, const struct overlay_options *o,
	const char *dir, struct err *e)
{
	_cleanup_close_ int result = -1;
	int r;

	do
		r = attempt(lower, o, &result, e);
	while (r == 1);
	return r < 0 ? r : kernel_attach(result, dir, e);
}
