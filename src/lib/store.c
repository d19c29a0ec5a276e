/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "image/import.h"
#include "image/local.h"
#include "image/name.h"
#include "store/gc.h"

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

/* `ctx`: the caller's options. */
static void show_gc(void *ctx, enum gc_phase phase, uint64_t done, uint64_t total)
{
	static const char *const phases[] = {
		[GC_MARK] = "marking",
		[GC_SCAN] = "searching",
		[GC_DELETE] = "deleting",
		[GC_FREE] = "freeing",
	};
	const struct plyfs_gc_options *o = *(const struct plyfs_gc_options **)ctx;

	o->progress(o->progress_ctx, phases[phase], done, total);
}

PUBLIC int plyfs_gc(struct plyfs_store *store, const struct plyfs_gc_options *options,
	struct plyfs_gc *ret, struct plyfs_error *error)
{
	struct gc_options o = {
		.dry_run = options && options->dry_run,
		.progress = options && options->progress ? show_gc : NULL,
		.progress_ctx = &options,
	};
	struct gc_stats stats;
	struct err e = {0};
	int r = store_gc(store->s, &o, &stats, &e);

	if (r == 0)
		*ret = (struct plyfs_gc){.images = stats.images,
			.layers = stats.layers,
			.chunks = stats.chunks,
			.files = stats.files,
			.bytes = stats.bytes,
			.pack_bytes = stats.pack_bytes};
	return lib_error(r, &e, error);
}
