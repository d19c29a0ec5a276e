/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "image/import.h"
#include "image/local.h"
#include "image/name.h"
#include "store/gc.h"

#include <fcntl.h>

int lib_error(int code, const struct err *e, struct plyfs_error *error)
{
	if (code >= 0)
		return code;
	if (error) {
		error->code = code;
		snprintf(
			error->text, sizeof(error->text), "%s", e->code ? e->text : err_text(code));
	}
	return code;
}

static char *default_path(void)
{
	const char *store = getenv("PLYFS_STORE"), *data = getenv("XDG_DATA_HOME"),
		   *home = getenv("HOME");
	char *path = NULL;

	if (store && *store)
		return strdup(store);
	if (geteuid() == 0)
		return strdup("/var/lib/plyfs");
	if (data && *data)
		return asprintf(&path, "%s/plyfs", data) < 0 ? NULL : path;
	return asprintf(&path, "%s/.local/share/plyfs", home ? home : "") < 0 ? NULL : path;
}

/* Absolute, so that mounts name their index the same way from everywhere. */
static char *absolute_path(const char *path)
{
	_cleanup_free_ char *cwd = NULL;
	char *real = realpath(path, NULL), *joined = NULL;

	if (real || path[0] == '/')
		return real ? real : strdup(path);
	cwd = getcwd(NULL, 0);
	return cwd && asprintf(&joined, "%s/%s", cwd, path) >= 0 ? joined : NULL;
}

PUBLIC int plyfs_store_open(
	const char *path, int create, struct plyfs_store **ret_store, struct plyfs_error *error)
{
	_cleanup_free_ char *given = path ? strdup(path) : default_path(), *absolute = NULL;
	struct plyfs_store *p = calloc(1, sizeof(*p));
	struct err e = {0};
	int r;

	absolute = given ? absolute_path(given) : NULL;
	r = p && absolute ? store_open(absolute, create, &p->s, &e)
			  : err_sys(&e, -ENOMEM, "cannot open the store");
	if (r < 0) {
		free(p);
		return lib_error(r, &e, error);
	}
	*ret_store = p;
	return 0;
}

PUBLIC void plyfs_store_close(struct plyfs_store *store)
{
	if (!store)
		return;
	store_close(store->s);
	free(store);
}

PUBLIC const char *plyfs_store_path(const struct plyfs_store *store)
{
	return store->s->path;
}

/* The library's own form of the options; *platform is where its platform goes. */
static int read_options(const struct plyfs_import_options *o, struct platform *platform,
	struct import_options *ret, struct err *e)
{
	*ret = (struct import_options){0};
	if (!o)
		return 0;
	ret->progress = o->progress;
	ret->progress_ctx = o->progress_ctx;
	if (o->chunk_size) {
		if (o->chunk_size & (o->chunk_size - 1) || o->chunk_size < 4096 ||
			o->chunk_size > 1 << 20)
			return err_set(e, -EINVAL,
				"the chunk size must be a power of two from 4096 to 1048576");
		ret->chunk_bits = (unsigned int)__builtin_ctz(o->chunk_size);
	}
	if (o->platform) {
		ret->platform = platform;
		return platform_parse(o->platform, platform, e);
	}
	return 0;
}

PUBLIC int plyfs_import(struct plyfs_store *store, const char *source, const char *name,
	const struct plyfs_import_options *options, char ret_digest[PLYFS_DIGEST_MAX],
	struct plyfs_error *error)
{
	struct import_options o;
	struct platform platform;
	struct digest d;
	struct err e = {0};
	int r = read_options(options, &platform, &o, &e);

	if (r == 0)
		r = image_import(store->s, source, name, &o, &d, &e);
	if (r == 0)
		digest_text(&d, ret_digest);
	return lib_error(r, &e, error);
}

PUBLIC int plyfs_layer_add(struct plyfs_store *store, const char *base, const char *source,
	const char *name, const struct plyfs_import_options *options,
	char ret_digest[PLYFS_DIGEST_MAX], struct plyfs_error *error)
{
	struct import_options o;
	struct platform platform;
	struct digest d;
	struct err e = {0};
	int r = read_options(options, &platform, &o, &e);

	if (r == 0)
		r = image_add_layer(store->s, base, source, name, &o, &d, &e);
	if (r == 0)
		digest_text(&d, ret_digest);
	return lib_error(r, &e, error);
}

PUBLIC int plyfs_gc(
	struct plyfs_store *store, int dry_run, struct plyfs_gc *ret, struct plyfs_error *error)
{
	struct gc_stats stats;
	struct err e = {0};
	int r = store_gc(store->s, dry_run, &stats, &e);

	if (r == 0)
		*ret = (struct plyfs_gc){.images = stats.images,
			.layers = stats.layers,
			.chunks = stats.chunks,
			.files = stats.files,
			.bytes = stats.bytes};
	return lib_error(r, &e, error);
}

struct df {
	struct store *s;
	struct plyfs_df sum;
};

static int count_chunk(void *ctx, const MDB_val *key _unused_, const MDB_val *value)
{
	struct chunk_record c;
	struct df *d = ctx;
	int r = record_read_chunk(value, &c);

	d->sum.chunks++;
	d->sum.chunk_bytes += r == 0 ? c.size : 0;
	return r;
}

static int count_index(struct df *d, enum store_file kind, const MDB_val *key, uint64_t *ret_data)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = -1;
	struct digest digest;
	int r;

	if (key->mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	memcpy(digest.b, key->mv_data, DIGEST_SIZE);
	r = store_file_open(d->s, kind, &digest, &fd, NULL);
	if (r == 0)
		r = index_open(fd, &x, NULL);
	if (r < 0)
		return r;
	d->sum.index_bytes += index_info(x)->size;
	*ret_data = index_info(x)->data_bytes;
	return 0;
}

static int count_layer(void *ctx, const MDB_val *key, const MDB_val *value _unused_)
{
	struct df *d = ctx;
	uint64_t data;

	d->sum.layers++;
	return count_index(d, STORE_LAYER, key, &data);
}

static int count_image(void *ctx, const MDB_val *key, const MDB_val *value _unused_)
{
	struct df *d = ctx;
	uint64_t data = 0;
	int r = count_index(d, STORE_IMAGE, key, &data);

	d->sum.images++;
	d->sum.data_bytes += data;
	return r;
}

static int count_name(void *ctx, const MDB_val *key _unused_, const MDB_val *value _unused_)
{
	((struct df *)ctx)->sum.names++;
	return 0;
}

static int count_files(struct df *d, const char *dir)
{
	int fd = openat(d->s->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dp = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	struct stat st;

	if (!dp)
		return -errno;
	while ((de = readdir(dp)))
		if (strcmp(de->d_name, "..") != 0 &&
			fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			if (!S_ISDIR(st.st_mode) || strcmp(de->d_name, ".") == 0)
				d->sum.disk_bytes += (uint64_t)st.st_blocks * 512;
	return 0;
}

static int count_all(struct df *d, struct err *e)
{
	static const char *const dirs[] = {".", "packs", "layers", "images", "local", "tmp"};
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = lock_take(d->s, LOCK_GC, 0, false, true, &lock, e);

	if (r == 0)
		r = txn_begin(d->s, false, &txn, e);
	if (r < 0)
		return r;
	r = record_for_each(d->s, txn, d->s->chunks, count_chunk, d);
	if (r == 0)
		r = record_for_each(d->s, txn, d->s->layers, count_layer, d);
	if (r == 0)
		r = record_for_each(d->s, txn, d->s->images, count_image, d);
	if (r == 0)
		r = record_for_each(d->s, txn, d->s->names, count_name, d);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = count_files(d, dirs[i]);
	return r < 0 ? err_sys(e, r, "cannot read the store") : 0;
}

PUBLIC int plyfs_df(struct plyfs_store *store, struct plyfs_df *ret, struct plyfs_error *error)
{
	struct df d = {.s = store->s};
	struct err e = {0};
	int r = count_all(&d, &e);

	if (r == 0)
		*ret = d.sum;
	return lib_error(r, &e, error);
}
