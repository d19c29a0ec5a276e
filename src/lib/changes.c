/* SPDX-License-Identifier: Apache-2.0 */
/* What containers have changed: told, as a layer, as an image. */
#include "lib.h"
#include "image/name.h"
#include "upper/changes.h"
#include "upper/commit.h"
#include "util/output-file.h"

/* A container whose changes are read. */
struct reading {
	struct container c;
	struct lock lock; /* nobody else mounts or commits it meanwhile; none if a server has it */
	struct lib_live live;
	const struct delta_live *server; /* NULL, or in `live` */
};
#define READING_NONE ((struct reading){.lock = LOCK_NONE, .live = LIB_LIVE_NONE})

static void reading_done(struct reading *g)
{
	lib_live_done(&g->live);
	lock_release(&g->lock);
}

/* It is ours, or a server's that we can talk to. */
static int begin(struct store *s, const char *id, struct reading *g, struct err *e)
{
	int r = container_find(s, id, &g->c, e);

	if (r < 0)
		return r;
	r = container_lock(s, &g->c, &g->lock, NULL);
	if (r == 0)
		return 0;
	if (r != -ERR_CONFLICT)
		return err_sys(e, r, "cannot lock container '%s'", g->c.id);
	r = lib_live_connect(s, &g->c, &g->live, e);
	g->server = &g->live.live;
	return r;
}

/* ---- diff --------------------------------------------------------------------------------- */

struct telling {
	int (*each)(void *ctx, char kind, const char *path);
	void *ctx;
	int stopped; /* what `each` returned */
};

static int tell(void *ctx, const struct change *c, struct err *e _unused_)
{
	struct telling *t = ctx;

	t->stopped = t->each(t->ctx, (char)c->kind, c->path);
	return t->stopped ? 1 : 0;
}

static int diff_images(
	struct store *s, const char *from, const char *to, struct telling *t, struct err *e)
{
	_cleanup_image_record_ struct image_record a = {0}, b = {0};
	_cleanup_lock_ struct lock gc = LOCK_NONE;
	int r = lock_take(s, LOCK_GC, 0, false, true, &gc, e);

	if (r == 0)
		r = image_find(s, from, &a, e);
	if (r == 0)
		r = image_find(s, to, &b, e);
	return r == 0 ? image_changes(s, &a.manifest, &b.manifest, tell, t, e) : r;
}

static int diff_container(struct store *s, const char *id, struct telling *t, struct err *e)
{
	_cleanup_(reading_done) struct reading g = READING_NONE;
	int r = begin(s, id, &g, e);

	return r == 0 ? container_changes(s, &g.c, g.server, tell, t, e) : r;
}

PUBLIC int plyfs_diff(struct plyfs_store *store, const char *from, const char *to,
	int (*each)(void *ctx, char kind, const char *path), void *ctx, struct plyfs_error *error)
{
	struct telling t = {.each = each, .ctx = ctx};
	struct err e = {0};
	int r = to ? diff_images(store->s, from, to, &t, &e)
		   : diff_container(store->s, from, &t, &e);

	return r > 0 ? t.stopped : lib_error(r, &e, error);
}

static int diff_tar(struct store *s, const char *id, const char *file, struct err *e)
{
	_cleanup_(reading_done) struct reading g = READING_NONE;
	_cleanup_output_file_ struct output_file f = OUTPUT_FILE_NONE;
	int r = begin(s, id, &g, e);

	if (r == 0)
		r = output_file_open(&f, file, e);
	if (r == 0)
		r = container_diff_tar(s, &g.c, g.server, &f.file.sink, e);
	if (r < 0)
		return err_sys(e, r, "cannot write '%.200s'", file);
	r = output_file_commit(&f);
	return r < 0 ? err_sys(e, r, "cannot write '%.200s'", file) : 0;
}

PUBLIC int plyfs_diff_tar(struct plyfs_store *store, const char *container, const char *file,
	struct plyfs_error *error)
{
	struct err e = {0};
	int r = diff_tar(store->s, container, file, &e);

	return lib_error(r, &e, error);
}

/* ---- commit ------------------------------------------------------------------------------- */

static int commit(struct store *s, const char *id, const char *name,
	const struct plyfs_commit_options *options, struct plyfs_commit *ret, struct err *e)
{
	_cleanup_(reading_done) struct reading g = READING_NONE;
	struct commit_options o = {.created = OCI_TIME_NONE};
	struct commit_stats stats = {0};
	char kept[IMAGE_NAME_MAX];
	struct digest d;
	int r = image_name_parse(name, kept, e);

	if (r == 0)
		r = begin(s, id, &g, e);
	if (r < 0)
		return r;
	o.live = g.server;
	if (options) {
		o.message = options->message;
		o.author = options->author;
		o.changes = options->changes;
		o.n_changes = options->n_changes;
	}
	r = container_commit(s, &g.c, kept, &o, &d, &stats, e);
	if (r < 0)
		return r;
	digest_text(&d, ret->digest);
	ret->files = stats.files;
	ret->read_bytes = stats.read_bytes;
	ret->new_bytes = stats.new_bytes;
	return 0;
}

PUBLIC int plyfs_commit(struct plyfs_store *store, const char *container, const char *name,
	const struct plyfs_commit_options *options, struct plyfs_commit *ret,
	struct plyfs_error *error)
{
	struct err e = {0};
	int r = commit(store->s, container, name, options, ret, &e);

	return lib_error(r, &e, error);
}
