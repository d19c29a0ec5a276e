/* SPDX-License-Identifier: Apache-2.0 */
#include "local.h"
#include "store/lock.h"
#include "store/pack.h"
#include "util/io.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>

struct addresses {
	struct index_device devices[INDEX_DEVICES_MAX];
	size_t n_devices;
	struct index_address *v;
};

/* Device n is pack n - 1; the table ends with the last pack that the image uses. */
static void note_device(struct addresses *a, const struct chunk_record *c)
{
	uint32_t end = c->block + chunk_blocks(c->size);
	struct index_device *d = &a->devices[c->pack];

	if (c->pack >= a->n_devices)
		a->n_devices = c->pack + 1u;
	if (end > d->blocks)
		d->blocks = end;
}

static int look_up(struct store *s, const struct tree *t, const uint32_t *ids, size_t n,
	struct addresses *a, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, e);

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct chunk *c = &t->chunks[ids[i]];
		char text[DIGEST_TEXT_MAX];
		struct chunk_record rec;

		r = record_chunk(s, txn, &c->digest, &rec);
		if (r == 1 || (r == 0 && rec.size != c->size))
			return err_set(e, -ERR_STORE, "the store is damaged: chunk %s is missing",
				digest_text(&c->digest, text));
		if (r < 0)
			return err_sys(e, r, "cannot read the records of the store");
		a->v[i] = (struct index_address){
			.device = (uint16_t)(rec.pack + 1), .block = rec.block};
		note_device(a, &rec);
	}
	for (size_t i = 0; i < a->n_devices; i++)
		pack_name((uint16_t)i, a->devices[i].tag);
	return r;
}

/* Puts together what makes the plan's index local: `a` holds it. */
static int localize(struct store *s, const struct image_record *image, struct index_plan *plan,
	struct addresses *a, struct index_local *ret, struct err *e)
{
	size_t n;
	const uint32_t *ids = index_plan_chunks(plan, &n);
	int r;

	a->v = calloc(n + 1, sizeof(*a->v));
	if (!a->v)
		return err_sys(e, -ENOMEM, "cannot write the local index");
	r = look_up(s, index_plan_tree(plan), ids, n, a, e);
	*ret = (struct index_local){.devices = a->devices,
		.n_devices = a->n_devices,
		.addresses = a->v,
		.portable = image->index};
	return r;
}

static int write_file(struct store *s, const struct image_record *image, struct index_plan *plan,
	const struct index_local *local, struct err *e)
{
	char name[STORE_NAME_MAX], temp[STORE_NAME_MAX];
	uint64_t number;
	_cleanup_close_ int fd = -1;
	int r;

	store_file_name(STORE_LOCAL, &image->manifest, name);
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return err_sys(e, -errno, "cannot write %s/%s", s->path, name);
	snprintf(temp, sizeof(temp), "tmp/local-%016llx", (unsigned long long)number);
	fd = openat(s->dirfd, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, -errno, "cannot make %s/%s", s->path, temp);
	r = index_plan_write(plan, fd, local, NULL, e);
	/* One that is there is as good, and may be mounted: gc must find it under its name. */
	if (r == 0 && (fsync(fd) < 0 ||
			      (linkat(s->dirfd, temp, s->dirfd, name, 0) < 0 && errno != EEXIST)))
		r = err_sys(e, -errno, "cannot write %s/%s", s->path, name);
	unlinkat(s->dirfd, temp, 0);
	return r;
}

int local_write(
	struct store *s, const struct image_record *image, struct index_plan *plan, struct err *e)
{
	struct addresses a = {0};
	struct index_local local;
	int r = localize(s, image, plan, &a, &local, e);

	if (r == 0)
		r = write_file(s, image, plan, &local, e);
	free(a.v);
	return r;
}

/* One that is too damaged to be opened is as good as any: its bytes will differ. */
static bool tells_facts(int fd)
{
	_cleanup_(index_closep) struct index *x = NULL;

	return index_open(fd, &x, NULL) < 0 || index_info(x)->facts;
}

/* 0 = the same bytes, 1 = not. */
static int compare_files(int a, int b, struct err *e)
{
	static const size_t size = 256 << 10;
	_cleanup_free_ uint8_t *p = malloc(2 * size);
	size_t n = 1, k;
	int r = p ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && n; at += n) {
		r = io_pread(a, p, size, at, &n);
		if (r == 0)
			r = io_pread(b, p + size, size, at, &k);
		if (r == 0 && (n != k || memcmp(p, p + size, n) != 0))
			return 1;
	}
	return r < 0 ? err_sys(e, r, "cannot read a local index") : 0;
}

int local_check(
	struct store *s, const struct image_record *image, struct index_plan *plan, struct err *e)
{
	_cleanup_close_ int is = -1, should = -1;
	struct addresses a = {0};
	char name[STORE_NAME_MAX];
	struct index_local local;
	int r;

	is = openat(s->dirfd, store_file_name(STORE_LOCAL, &image->manifest, name),
		O_RDONLY | O_CLOEXEC);
	if (is < 0)
		return errno == ENOENT ? 0 : 1;
	should = memfd_create("local", MFD_CLOEXEC);
	if (should < 0)
		return err_sys(e, -errno, "cannot check a local index");
	r = localize(s, image, plan, &a, &local, e);
	local.without_facts = !tells_facts(is);
	if (r == 0)
		r = index_plan_write(plan, should, &local, NULL, e);
	free(a.v);
	return r < 0 ? r : compare_files(is, should, e);
}

int local_drop(struct store *s, const struct image_record *image, struct err *e)
{
	char name[STORE_NAME_MAX];
	_cleanup_close_ int fd = openat(s->dirfd,
		store_file_name(STORE_LOCAL, &image->manifest, name), O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return 0;
	/* As gc asks (live.c). Who opens it at this moment sends a signal, which must do no harm.
	 */
	if (fd >= 0 && (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0))
		return err_set(e, -ERR_CONFLICT,
			"%s is in use and has to be made again: unmount the image first", name);
	if (unlinkat(s->dirfd, name, 0) < 0)
		return err_sys(e, -errno, "cannot remove %s/%s", s->path, name);
	return 0;
}

static int derive(struct store *s, const struct image_record *image, struct err *e)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_(tree_freep) struct tree *t = tree_new();
	_cleanup_lock_ struct lock gc = LOCK_NONE;
	_cleanup_close_ int fd = -1;
	int r = lock_take(s, LOCK_GC, 0, false, true, &gc, e);

	if (r == 0 && !t)
		r = err_sys(e, -ENOMEM, "cannot make the local index");
	if (r == 0)
		r = store_file_open(s, STORE_IMAGE, &image->manifest, &fd, e);
	if (r == 0)
		r = index_open(fd, &x, e);
	if (r == 0)
		r = index_load(x, t, &t->root, e);
	if (r == 0)
		r = index_plan_new(t, false, &plan, e);
	return r < 0 ? r : local_write(s, image, plan, e);
}

int local_open(struct store *s, const struct image_record *image, int *ret_fd, struct err *e)
{
	char name[STORE_NAME_MAX];

	store_file_name(STORE_LOCAL, &image->manifest, name);
	for (int tries = 0; tries < 2; tries++) {
		int r, fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC);

		if (fd >= 0) {
			*ret_fd = fd;
			return 0;
		}
		if (errno != ENOENT)
			break;
		r = derive(s, image, e);
		if (r < 0)
			return r;
	}
	return err_sys(e, -errno, "cannot open %s/%s", s->path, name);
}
