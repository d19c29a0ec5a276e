/* SPDX-License-Identifier: Apache-2.0 */
#include "containers.h"
#include "util/bytes.h"
#include "util/dir-walk.h"
#include "util/io.h"
#include "util/remove.h"

#include <fcntl.h>
#include <sys/stat.h>

static bool letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool container_id_valid(const char *id, size_t n)
{
	if (!n || n > CONTAINER_ID_MAX || !letter_or_digit(id[0]))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!letter_or_digit(id[i]) && id[i] != '_' && id[i] != '.' && id[i] != '-')
			return false;
	return true;
}

/* --- records ------------------------------------------------------------------------------- */

struct container_value {
	uint8_t image[DIGEST_SIZE];
	uint64_t created;
} __attribute__((packed));

int record_read_container(const MDB_val *key, const MDB_val *value, struct container *ret)
{
	struct container c = {0};
	struct container_value v;

	if (!container_id_valid(key->mv_data, key->mv_size) || value->mv_size != sizeof(v))
		return -ERR_STORE;
	memcpy(c.id, key->mv_data, key->mv_size);
	memcpy(&v, value->mv_data, sizeof(v));
	memcpy(c.image.b, v.image, DIGEST_SIZE);
	c.created = (int64_t)le64toh(v.created);
	*ret = c;
	return 0;
}

static MDB_val key_of(const char *id)
{
	return (MDB_val){.mv_data = (void *)(uintptr_t)id, .mv_size = strlen(id)};
}

int record_container(struct store *s, MDB_txn *txn, const char *id, struct container *ret)
{
	MDB_val key = key_of(id), value;
	int r = mdb_get(txn, s->containers, &key, &value);

	if (r)
		return r == MDB_NOTFOUND ? 1 : store_code(r);
	return record_read_container(&key, &value, ret);
}

int record_put_container(struct store *s, MDB_txn *txn, const struct container *c)
{
	struct container_value v = {.created = htole64((uint64_t)c->created)};
	MDB_val key = key_of(c->id), value = {.mv_data = &v, .mv_size = sizeof(v)};

	memcpy(v.image, c->image.b, DIGEST_SIZE);
	return store_code(mdb_put(txn, s->containers, &key, &value, 0));
}

int record_delete_container(struct store *s, MDB_txn *txn, const char *id)
{
	MDB_val key = key_of(id);
	int r = mdb_del(txn, s->containers, &key, NULL);

	return r == MDB_NOTFOUND ? 1 : store_code(r);
}

/* --- directories --------------------------------------------------------------------------- */

int container_take_lock(struct store *s, const char *id, struct lock *ret, struct err *e)
{
	struct digest d;

	digest_of(id, strlen(id), &d);
	return lock_take(s, LOCK_CONTAINER, lock_number(&d), true, false, ret, e);
}

int container_remove_files(struct store *s, const char *id, struct err *e)
{
	_cleanup_close_ int all = -1, fd = -1;
	int r;

	all = openat(s->dirfd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (all >= 0)
		fd = openat(all, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && errno != ENOTDIR && errno != ELOOP)
		return err_sys(e, -errno, "cannot remove %s/containers/%s", s->path, id);
	r = fd < 0 ? 0 : remove_below(fd);
	if (r == 0 && unlinkat(all, id, fd < 0 ? 0 : AT_REMOVEDIR) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "cannot remove %s/containers/%s", s->path, id) : 0;
}

/* A file of several names has its share in each of them: together they are one file. */
static uint64_t share_of(const struct stat *st)
{
	uint64_t bytes = (uint64_t)st->st_blocks * 512;

	return S_ISDIR(st->st_mode) || st->st_nlink < 2 ? bytes : bytes / st->st_nlink;
}

static int disk_bytes(int fd, uint64_t *ret)
{
	_cleanup_(dir_walk_freep) struct dir_walk *w = NULL;
	struct dir_walk_entry x;
	struct stat st;
	int r = dir_walk_new(fd, &w);

	if (r == 0 && fstat(fd, &st) == 0)
		*ret += share_of(&st);
	while (r == 0 && (r = dir_walk_next(w, &x)) == 1) {
		r = 0;
		if (fstatat(x.dirfd, x.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* it is in use, and has gone meanwhile */
		*ret += share_of(&st);
		if (S_ISDIR(st.st_mode))
			r = dir_walk_enter(w);
		r = r == -ENOENT || r == -ENOTDIR ? 0 : r;
	}
	return r;
}

/* 1 = there is none: an older version made the store. */
static int open_all(struct store *s, int *ret, struct err *e)
{
	*ret = openat(s->dirfd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret < 0 && errno == ENOENT)
		return 1;
	return *ret < 0 ? err_sys(e, -errno, "cannot read %s/containers", s->path) : 0;
}

int containers_disk_bytes(struct store *s, uint64_t *ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	uint64_t bytes = 0;
	int r = open_all(s, &fd, e);

	if (r == 0)
		r = disk_bytes(fd, &bytes);
	if (r < 0)
		return err_sys(e, r, "cannot read %s/containers", s->path);
	*ret = bytes;
	return 0;
}

/* 0 = a record names it */
static int recorded(struct store *s, const char *id, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct container c;
	int r;

	if (!container_id_valid(id, strlen(id)))
		return 1;
	r = txn_begin(s, false, &txn, e);
	if (r == 0)
		r = record_container(s, txn, id, &c);
	if (r == -ERR_STORE) /* fsck says more of it */
		return 0;
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : r;
}

/* The record is asked for under the lock: whoever makes the container has it until then. */
static int judge(struct store *s, const struct dir_walk_entry *x, container_each each, void *ctx,
	struct err *e)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	_cleanup_close_ int fd = -1;
	uint64_t bytes = 0;
	int r = recorded(s, x->name, e);

	if (r == 1)
		r = container_take_lock(s, x->name, &lock, e);
	else
		return r;
	if (r != 0) /* it is in the making, or being removed */
		return r < 0 ? r : 0;
	r = recorded(s, x->name, e);
	if (r <= 0 || faccessat(x->dirfd, x->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return r < 0 ? r : 0;
	fd = openat(x->dirfd, x->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (r = disk_bytes(fd, &bytes)) < 0)
		return err_sys(e, r, "cannot read %s/containers/%s", s->path, x->name);
	return each(s, x->name, bytes, ctx, e);
}

int containers_leftovers(struct store *s, container_each each, void *ctx, struct err *e)
{
	_cleanup_(dir_walk_freep) struct dir_walk *w = NULL;
	_cleanup_close_ int fd = -1;
	struct dir_walk_entry x;
	int r = open_all(s, &fd, e);

	if (r)
		return r < 0 ? r : 0;
	r = dir_walk_new(fd, &w);
	while (r == 0 && (r = dir_walk_next(w, &x)) == 1)
		r = judge(s, &x, each, ctx, e);
	return r < 0 ? err_sys(e, r, "cannot read %s/containers", s->path) : 0;
}
