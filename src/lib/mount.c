/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "image/local.h"
#include "image/name.h"
#include "image/quarantine.h"
#include "mount/overlay.h"
#include "mount/serve.h"
#include "mount/traits.h"
#include "store/pack.h"
#include "upper/container.h"
#include "upper/upper.h"
#include "util/log.h"

/*
 * Copy-up of a whole file costs some 2.6 ms a MiB and its size in space, each new file some 0.3 ms
 * more through FUSE than through overlayfs (docs/performance.md): a first write to a file of this
 * size is as dear as making several thousand files.
 */
#define COPY_UP_MAX ((uint64_t)1 << 30)

enum driver { DRIVER_AUTO, DRIVER_KERNEL, DRIVER_FUSE, DRIVER_OVERLAY, DRIVER_COW };
static const char *const driver_names[] = {"auto", "kernel", "fuse", "overlay", "cow"};

/* One mount in the making. */
struct job {
	struct store *s;
	const struct plyfs_mount_options *o;
	const char *dir;
	enum driver driver;
	struct id_map uids, gids;
	struct idmap ids; /* for the kernel; made when it is needed */
	struct image_record image;
	int index; /* the local index, open: gc leaves the image alone */
	struct container container;
	bool made;        /* the container is new */
	struct lock lock; /* of the container */
};

static void job_done(struct job *j)
{
	id_map_done(&j->uids);
	id_map_done(&j->gids);
	idmap_done(&j->ids);
	image_record_done(&j->image);
	close_fdp(&j->index);
	lock_release(&j->lock);
}

int lib_kernel_source(struct store *s, const struct image_record *rec, int fd,
	struct kernel_source *ret, struct err *e)
{
	_cleanup_(index_closep) struct index *x = NULL;
	char name[STORE_NAME_MAX], pack[PACK_NAME_MAX], *path;
	int r = index_open(fd, &x, e); /* reads its first block alone */

	if (r < 0)
		return r;
	store_file_name(STORE_LOCAL, &rec->manifest, name);
	if (asprintf(&path, "%s/%s", s->path, name) < 0)
		return err_sys(e, -ENOMEM, "cannot mount");
	ret->index = path;
	while (ret->n_packs < index_info(x)->devices) {
		pack_name((uint16_t)ret->n_packs, pack);
		if (asprintf(&path, "%s/%s", s->path, pack) < 0)
			return err_sys(e, -ENOMEM, "cannot mount");
		ret->packs[ret->n_packs++] = path;
	}
	return 0;
}

/* ---- what is asked for -------------------------------------------------------------------- */

static int read_driver(struct job *j, struct err *e)
{
	const char *name = j->o->driver ? j->o->driver : "auto";
	bool writable = j->o->writable;

	if (strcmp(name, "auto") == 0)
		return 0;
	for (int d = writable ? DRIVER_OVERLAY : DRIVER_KERNEL;
		d <= (writable ? DRIVER_COW : DRIVER_FUSE); d++)
		if (strcmp(name, driver_names[d]) == 0) {
			j->driver = (enum driver)d;
			return 0;
		}
	return err_set(e, -EINVAL, "there is no driver '%.40s' for a %s mount: %s", name,
		writable ? "writable" : "read-only",
		writable ? "auto, overlay or cow" : "auto, kernel or fuse");
}

static int read_options(struct job *j, struct err *e)
{
	struct stat st;
	int r = read_driver(j, e);

	if (r == 0 && j->o->container && !j->o->writable)
		r = err_set(e, -EINVAL, "a container is for a writable mount");
	if (r == 0 && j->o->uid_map)
		r = id_map_parse(j->o->uid_map, &j->uids, e);
	if (r == 0 && j->o->gid_map)
		r = id_map_parse(j->o->gid_map, &j->gids, e);
	if (r < 0)
		return r;
	if (stat(j->dir, &st) < 0)
		return err_sys(e, -errno, "cannot mount on %s", j->dir);
	if (!S_ISDIR(st.st_mode))
		return err_sys(e, -ENOTDIR, "cannot mount on %s", j->dir);
	return 0;
}

/* ---- image and container ------------------------------------------------------------------ */

/* An exact ID: what begins like it is another's. 1 = there is none. */
static int find_container(struct job *j, struct err *e)
{
	_cleanup_free_ struct container *all = NULL;
	size_t n;
	int r = container_check_id(j->o->container, e);

	if (r == 0)
		r = container_list(j->s, &all, &n, e);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (strcmp(all[i].id, j->o->container) == 0) {
			j->container = all[i];
			return 0;
		}
	return r < 0 ? r : 1;
}

static int find_image(struct job *j, const char *image, struct err *e)
{
	char digest[DIGEST_TEXT_MAX];
	bool again = *j->container.id;
	int r = 0;

	if (again && image)
		r = image_find(j->s, image, &j->image, e);
	if (r == 0 && again && image && !digest_equal(&j->image.manifest, &j->container.image))
		return err_set(e, -ERR_CONFLICT,
			"container '%s' is of another image, %.19s, than %s: leave the image out "
			"to mount it again",
			j->container.id, digest_text(&j->container.image, digest), image);
	if (r == 0 && again && !image)
		r = image_find(j->s, digest_text(&j->container.image, digest), &j->image, e);
	if (!again)
		r = image_find(j->s, image, &j->image, e);
	return r;
}

/* All look-ups, with gc away; from the end of it the open index, and the container, protect. */
static int find(struct job *j, const char *image, struct err *e)
{
	_cleanup_lock_ struct lock gc = LOCK_NONE;
	const char *id = j->o->container;
	int r = lock_take(j->s, LOCK_GC, 0, false, true, &gc, e), absent = 0;

	if (r == 0 && id)
		r = absent = find_container(j, e);
	if (r == 1 && !image)
		return err_set(e, -ERR_ABSENT, "there is no container '%.80s'", id);
	if (r < 0)
		return r;
	if (!image && !id)
		return err_set(e, -EINVAL, "neither an image nor a container to mount");
	r = find_image(j, image, e);
	if (r == 0)
		r = image_check_quarantine(j->s, &j->image, image ? image : id, e);
	if (r == 0)
		r = local_open(j->s, &j->image, &j->index, e);
	if (r == 0 && j->o->writable && (!id || absent))
		r = container_create(j->s, id, &j->image.manifest, &j->container, e);
	j->made = r == 0 && j->o->writable && (!id || absent);
	return r;
}

/* ---- drivers ------------------------------------------------------------------------------ */

static int kernel_ids(struct job *j, const struct idmap **ret, struct err *e)
{
	int r = 0;

	*ret = NULL;
	if (!j->uids.n && !j->gids.n)
		return 0;
	if (j->ids.userns < 0)
		r = idmap_new(&j->uids, &j->gids, &j->ids, e);
	*ret = &j->ids;
	return r;
}

static int mount_kernel(struct job *j, struct err *e)
{
	_cleanup_kernel_source_ struct kernel_source k = {0};
	_cleanup_close_ int mnt = -1;
	const struct idmap *ids;
	int r = kernel_ids(j, &ids, e);

	if (r == 0)
		r = lib_kernel_source(j->s, &j->image, j->index, &k, e);
	if (r == 0)
		r = kernel_mount(&k, ids, &mnt, e);
	return r == 0 ? kernel_attach(mnt, j->dir, e) : r;
}

/* A server that was killed left links of files without a name, which overlayfs would count. */
static int tidy(const char *upper, const char *work, struct err *e)
{
	struct upper *up;
	int r = upper_open(upper, work, 0, &up, e);

	if (r == 0)
		upper_close(up);
	return r;
}

static int mount_overlay(struct job *j, struct err *e)
{
	_cleanup_kernel_source_ struct kernel_source k = {0};
	_cleanup_free_ char *upper = NULL, *work = NULL, *source = NULL;
	struct overlay_options o = {.fsync = j->o->fsync};
	int r = kernel_ids(j, &o.ids, e);

	if (r == 0)
		r = container_paths(j->s, &j->container, &upper, &work, e);
	if (r == 0)
		r = tidy(upper, work, e);
	if (r == 0)
		r = lib_kernel_source(j->s, &j->image, j->index, &k, e);
	if (r < 0)
		return r;
	*strrchr(upper, '/') = 0;
	source = overlay_source(j->s->path, j->container.id);
	if (!source)
		return err_sys(e, -ENOMEM, "cannot mount");
	o.layer = upper;
	o.source = source;
	return overlay_mount(&k, &o, j->dir, e);
}

static int same_text(char **ret, const char *text)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static int describe(struct job *j, struct serve_config *c, struct err *e)
{
	char image[DIGEST_TEXT_MAX];
	const char *id = j->o->writable ? j->container.id : digest_text(&j->image.manifest, image);
	int r = j->o->writable ? container_paths(j->s, &j->container, &c->upper, &c->work, e) : 0;

	if (r < 0)
		return r;
	c->source = overlay_source(j->s->path, id);
	r = c->source ? same_text(&c->store, j->s->path) : -ENOMEM;
	if (r == 0)
		r = same_text(&c->image, strchr(digest_text(&j->image.manifest, image), ':') + 1);
	if (r == 0)
		r = same_text(&c->uids, j->o->uid_map);
	if (r == 0)
		r = same_text(&c->gids, j->o->gid_map);
	return r < 0 ? err_sys(e, r, "cannot mount") : 0;
}

/* The open index keeps the image, until the server has it open, too. */
static int mount_fuse(struct job *j, struct err *e)
{
	_cleanup_serve_config_ struct serve_config c = {
		.mode = j->o->passthrough ? FUSE_PASSTHROUGH_FILES : FUSE_CACHED,
		.block_copy = true,
		.redirect = true,
		.sync = j->o->fsync,
	};
	int r = describe(j, &c, e);

	return r == 0 ? lib_fuse_start(&c, j->dir, &j->lock.fd, j->o->writable ? 1 : 0, e) : r;
}

static int mount_by(struct job *j, enum driver d, struct err *e)
{
	log_debug("driver %s", driver_names[d]);
	switch (d) {
	case DRIVER_KERNEL:
		return mount_kernel(j, e);
	case DRIVER_OVERLAY:
		return mount_overlay(j, e);
	default:
		return mount_fuse(j, e);
	}
}

/* ---- the choice --------------------------------------------------------------------------- */

static int has_half_copied(struct job *j, struct err *e)
{
	_cleanup_free_ char *upper = NULL, *work = NULL;
	int r = container_paths(j->s, &j->container, &upper, &work, e);

	if (r < 0)
		return r;
	*strrchr(upper, '/') = 0;
	r = overlay_has_half_copied(upper, e);
	if (r == 1)
		log_debug("not overlay: the container has half-copied files");
	return r;
}

/* 1 = overlayfs would show another tree, or copy too much. */
static int unfit_for_overlay(struct job *j, bool fixed, struct err *e)
{
	_cleanup_(index_closep) struct index *x = NULL;
	struct traits t;
	bool large;
	int r = index_open(j->index, &x, e);

	if (r == 0)
		r = traits_of(x, COPY_UP_MAX, &t, e);
	if (r < 0)
		return r;
	if (t.whiteout && fixed)
		return err_set(e, -ERR_UNSUPPORTED,
			"the image has a character device 0:0, which overlayfs would hide: mount "
			"it with --driver cow");
	if (t.whiteout)
		log_debug("not overlay: the image has a character device 0:0");
	large = t.largest >= COPY_UP_MAX && !fixed;
	if (large)
		log_debug("not overlay: the image has a file of %llu bytes, which the first write "
			  "would copy",
			(unsigned long long)t.largest);
	return t.whiteout || large;
}

/* The kernel's driver, and FUSE where it cannot. */
static int mount_auto(struct job *j, struct err *e)
{
	enum driver first = j->o->writable ? DRIVER_OVERLAY : DRIVER_KERNEL,
		    second = j->o->writable ? DRIVER_COW : DRIVER_FUSE;
	struct err why = {0};
	int r = j->o->writable ? has_half_copied(j, e) : 0;

	if (r == 0 && j->o->writable)
		r = unfit_for_overlay(j, false, e);
	if (r < 0)
		return r;
	if (r == 0)
		r = mount_by(j, first, &why);
	if (r != -ERR_UNSUPPORTED && r != -EPERM && r != 1) {
		if (r < 0)
			*e = why;
		return r;
	}
	if (r < 0)
		log_debug("not %s: %s", driver_names[first], why.text);
	return mount_by(j, second, e);
}

static int mount_it(struct job *j, struct err *e)
{
	int r = 0;

	if (j->o->writable)
		r = lib_container_take(j->s, &j->container, &j->lock, e);
	if (r == 1)
		return lib_container_busy(j->s, &j->container, e);
	if (r == 0 && j->driver == DRIVER_OVERLAY)
		r = unfit_for_overlay(j, true, e);
	if (r < 0)
		return r;
	return j->driver == DRIVER_AUTO ? mount_auto(j, e) : mount_by(j, j->driver, e);
}

PUBLIC int plyfs_mount(struct plyfs_store *store, const char *image, const char *dir,
	const struct plyfs_mount_options *options, char ret_container[PLYFS_CONTAINER_MAX],
	struct plyfs_error *error)
{
	static const struct plyfs_mount_options none;
	_cleanup_(job_done) struct job j = {
		.s = store->s,
		.o = options ? options : &none,
		.dir = dir,
		.ids = IDMAP_NONE,
		.index = -1,
		.lock = LOCK_NONE,
	};
	struct err e = {0};
	int r = read_options(&j, &e);

	if (r == 0)
		r = find(&j, image, &e);
	if (r == 0)
		r = mount_it(&j, &e);
	if (r < 0 && j.made && j.lock.fd >= 0 && container_remove(j.s, &j.container, NULL) < 0)
		log_warn("container '%s' stays behind", j.container.id);
	if (r == 0 && ret_container)
		snprintf(ret_container, PLYFS_CONTAINER_MAX, "%s", j.container.id);
	return lib_error(r, &e, error);
}
