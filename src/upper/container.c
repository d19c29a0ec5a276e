/* SPDX-License-Identifier: Apache-2.0 */
#include "container.h"
#include "overlay-format.h"
#include "upper.h"
#include "format/index.h"
#include "util/array.h"
#include "util/io.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

#define RANDOM_ID_DIGITS 12
#define PREFIX_LEAST     4

int container_check_id(const char *id, struct err *e)
{
	if (container_id_valid(id, strlen(id)))
		return 0;
	return err_set(e, -EINVAL,
		"'%.80s' is no name of a container: 1 to %d letters, digits and _ . -, the first a "
		"letter or digit",
		id, CONTAINER_ID_MAX);
}

/* --- making one ---------------------------------------------------------------------------- */

/* What the caller may not give is left out: the file system of who is not root. */
static int give_xattrs(int fd, const struct index *x, const struct index_inode *root, struct err *e)
{
	char name[XATTR_NAME_LEN_MAX + 1];
	struct bytes value;
	uint64_t pos = 0;
	int r;

	while ((r = index_xattr(x, root, &pos, name, &value, e)) == 1)
		if (fsetxattr(fd, name, value.p, value.n, 0) < 0 && errno != EPERM &&
			errno != EACCES && errno != ENOTSUP)
			return err_sys(
				e, -errno, "cannot set xattr %s of a container's root", name);
	return r;
}

/*
 * A mark says whose it is where it cannot be given away (upper.h), under the name that upper_open
 * will take. Who makes the container must be able to use the directory.
 */
static int mark_owner(int fd, const struct index_inode *root, mode_t *mode)
{
	const struct upper_owner o = {root->uid, root->gid, root->mode, 0};
	char value[UPPER_OWNER_SIZE];
	const size_t n = upper_owner_encode(&o, value);

	if (fsetxattr(fd, overlay_xattr_name(OVERLAY_OWNER, false), value, n, 0) < 0 &&
		fsetxattr(fd, overlay_xattr_name(OVERLAY_OWNER, true), value, n, 0) < 0)
		return -errno;
	*mode = (root->mode & 0777) | 0700;
	return 0;
}

static int give_owner(int fd, const struct index_inode *root, mode_t *mode)
{
	if (fchown(fd, root->uid, root->gid) == 0)
		return 0;
	return errno == EPERM || errno == EINVAL ? mark_owner(fd, root, mode) : -errno;
}

static int give_attributes(int fd, const struct index *x, struct err *e)
{
	struct index_inode root;
	struct timespec times[2];
	mode_t mode;
	int r = index_inode(x, index_info(x)->root_nid, &root, e);

	if (r < 0)
		return r;
	mode = root.mode & 07777;
	r = give_owner(fd, &root, &mode);
	if (r < 0)
		return err_sys(e, r, "cannot set the owner of a container's root");
	r = give_xattrs(fd, x, &root, e);
	if (r < 0)
		return r;
	times[0] = times[1] = (struct timespec){root.mtime, root.mtime_nsec};
	if (fchmod(fd, mode) < 0 || futimens(fd, times) < 0)
		return err_sys(e, -errno, "cannot set the attributes of a container's root");
	return 0;
}

static int open_image_index(
	struct store *s, const struct digest *image, struct index **ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = store_file_open(s, STORE_IMAGE, image, &fd, e);

	return r < 0 ? r : index_open(fd, ret, e);
}

/* Makes `name` in the directory `dirfd`, and opens it. */
static int make_open(int dirfd, const char *name, int *ret)
{
	if (mkdirat(dirfd, name, 0700) < 0)
		return -errno;
	*ret = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

/* C1: all of it is durable when this returns. */
static int make_directories(
	struct store *s, const char *id, const struct index *image, struct err *e)
{
	_cleanup_close_ int all = -1, own = -1, upper = -1, work = -1;
	int r = io_mkdir(s->dirfd, "containers", 0700);

	if (r == 0) {
		all = openat(s->dirfd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = all < 0 ? -errno : make_open(all, id, &own);
	}
	if (r == 0)
		r = make_open(own, "upper", &upper);
	if (r == 0)
		r = make_open(own, "work", &work);
	if (r < 0)
		return err_sys(e, r, "cannot make %s/containers/%s", s->path, id);
	r = give_attributes(upper, image, e);
	if (r < 0)
		return r;
	if (fsync(upper) < 0 || fsync(work) < 0 || fsync(own) < 0 || fsync(all) < 0 ||
		io_fsync_dir(s->dirfd, ".") < 0)
		return err_sys(e, -errno, "cannot write %s/containers/%s", s->path, id);
	return 0;
}

static int random_id(char ret[CONTAINER_ID_MAX + 1])
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return -errno;
	snprintf(ret, CONTAINER_ID_MAX + 1, "%0*llx", RANDOM_ID_DIGITS,
		(unsigned long long)(n >> (64 - 4 * RANDOM_ID_DIGITS)));
	return 0;
}

static int put_record(struct store *s, const struct container *c, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = records_reserve(s, 0, e);

	if (r == 0)
		r = txn_begin(s, true, &txn, e);
	if (r == 0)
		r = record_put_container(s, txn, c);
	if (r < 0)
		return err_sys(e, r, "cannot write the records of the store");
	return txn_commit(&txn, e);
}

/* 1 = there is none. */
static int find_exactly(struct store *s, const char *id, struct container *ret, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, e);

	if (r == 0)
		r = record_container(s, txn, id, ret);
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : r;
}

static int taken(const char *id, struct err *e)
{
	return err_set(e, -ERR_CONFLICT, "there is a container '%s' already", id);
}

/* With the container's lock. A directory that is there is a leftover (C2). */
static int make(
	struct store *s, const struct container *c, const struct index *image, struct err *e)
{
	struct container old;
	int r = find_exactly(s, c->id, &old, e);

	if (r == 0)
		return taken(c->id, e);
	if (r == 1)
		r = container_remove_files(s, c->id, e);
	if (r == 0)
		r = make_directories(s, c->id, image, e);
	if (r == 0)
		r = put_record(s, c, e);
	if (r < 0 && find_exactly(s, c->id, &old, NULL) == 1 &&
		container_remove_files(s, c->id, NULL) < 0)
		return r; /* what is left of it is gc's */
	return r;
}

int container_create(struct store *s, const char *id, const struct digest *image,
	struct container *ret, struct err *e)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	struct container c = {.image = *image, .created = time(NULL)};
	int r = id ? container_check_id(id, e) : random_id(c.id);

	if (r < 0)
		return err_sys(e, r, "cannot make a container");
	if (id)
		snprintf(c.id, sizeof(c.id), "%s", id);
	r = open_image_index(s, image, &x, e);
	if (r == 0)
		r = container_take_lock(s, c.id, &lock, e);
	if (r)
		return r < 0 ? r : taken(c.id, e);
	r = make(s, &c, x, e);
	if (r == 0)
		*ret = c;
	return r;
}

/* --- finding them -------------------------------------------------------------------------- */

struct listing {
	struct container *v;
	size_t n, room;
};

static int add(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct listing *l = ctx;
	int r = array_room(&l->v, l->n, &l->room, sizeof(*l->v));

	if (r == 0)
		r = record_read_container(key, value, &l->v[l->n]);
	if (r == -ERR_STORE) /* fsck says more of it */
		return 0;
	l->n += r == 0;
	return r;
}

int container_list(struct store *s, struct container **ret, size_t *ret_n, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct listing l = {0};
	int r = txn_begin(s, false, &txn, e);

	if (r == 0)
		r = record_for_each(s, txn, s->containers, add, &l);
	if (r < 0) {
		free(l.v);
		return err_sys(e, r, "cannot read the records of the store");
	}
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}

static int find_beginning(struct store *s, const char *id, struct container *ret, struct err *e)
{
	_cleanup_free_ struct container *all = NULL;
	const struct container *found = NULL;
	size_t n, len = strlen(id);
	int r = container_list(s, &all, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (strncmp(all[i].id, id, len) != 0)
			continue;
		if (found)
			return err_set(e, -ERR_ABSENT,
				"several containers begin with '%s': %s and %s", id, found->id,
				all[i].id);
		found = &all[i];
	}
	if (r == 0 && !found)
		return 1;
	if (r == 0)
		*ret = *found;
	return r;
}

int container_find(struct store *s, const char *id, struct container *ret, struct err *e)
{
	bool valid = container_id_valid(id, strlen(id));
	int r = valid ? find_exactly(s, id, ret, e) : 1;

	if (r == 1 && valid && strlen(id) >= PREFIX_LEAST)
		r = find_beginning(s, id, ret, e);
	return r == 1 ? err_set(e, -ERR_ABSENT, "there is no container '%.80s'", id) : r;
}

int container_lock(struct store *s, const struct container *c, struct lock *ret, struct err *e)
{
	int r = container_take_lock(s, c->id, ret, e);

	return r == 1 ? err_set(e, -ERR_CONFLICT, "container '%s' is in use by another process",
				c->id)
		      : r;
}

int container_remove(struct store *s, const struct container *c, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, true, &txn, e);

	if (r == 0)
		r = record_delete_container(s, txn, c->id);
	if (r == 1)
		return err_set(e, -ERR_ABSENT, "there is no container '%s'", c->id);
	if (r < 0)
		return err_sys(e, r, "cannot write the records of the store");
	r = txn_commit(&txn, e);
	return r < 0 ? r : container_remove_files(s, c->id, e);
}

int container_paths(struct store *s, const struct container *c, char **ret_upper, char **ret_work,
	struct err *e)
{
	_cleanup_free_ char *upper = NULL, *work = NULL;

	if (asprintf(&upper, "%s/containers/%s/upper", s->path, c->id) < 0)
		upper = NULL;
	if (asprintf(&work, "%s/containers/%s/work", s->path, c->id) < 0)
		work = NULL;
	if (!upper || !work)
		return err_sys(e, -ENOMEM, "cannot name a container's directories");
	*ret_upper = TAKE_PTR(upper);
	*ret_work = TAKE_PTR(work);
	return 0;
}
