/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "image/fsck.h"
#include "upper/container-check.h"

struct telling {
	const struct plyfs_fsck_options *o;
	int failed;
};

static void tell(void *ctx, const struct fsck_problem *p)
{
	static const enum plyfs_fsck_class classes[] = {
		[FSCK_DAMAGE] = PLYFS_FSCK_DAMAGE,
		[FSCK_LEFTOVER] = PLYFS_FSCK_LEFTOVER,
		[FSCK_HEALED] = PLYFS_FSCK_HEALED,
		[FSCK_LEFT] = PLYFS_FSCK_LEFT,
	};
	struct telling *t = ctx;
	struct plyfs_fsck_path *paths;
	struct plyfs_fsck_problem out = {
		.problem_class = classes[p->class],
		.kind = p->kind,
		.text = p->text,
		.digest = p->digest,
		.pack = p->pack,
		.offset = p->offset,
		.n_paths = p->n_paths,
	};

	if (!t->o->problem)
		return;
	paths = calloc(p->n_paths + 1, sizeof(*paths));
	if (!paths) {
		t->failed = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < p->n_paths; i++)
		paths[i] = (struct plyfs_fsck_path){p->paths[i].image, p->paths[i].path};
	out.paths = paths;
	t->o->problem(t->o->ctx, &out);
	free(paths);
}

static void progress(void *ctx, uint64_t done, uint64_t total)
{
	const struct telling *t = ctx;

	if (t->o->progress)
		t->o->progress(t->o->ctx, done, total);
}

PUBLIC int plyfs_fsck(struct plyfs_store *store, const struct plyfs_fsck_options *options,
	struct plyfs_fsck *ret, struct plyfs_error *error)
{
	static const struct plyfs_fsck_options none;
	struct telling t = {.o = options ? options : &none};
	struct fsck_options o = {
		.data = t.o->data,
		.repair = t.o->repair || t.o->n_sources,
		.sources = t.o->sources,
		.n_sources = t.o->n_sources,
		.problem = tell,
		.progress = progress,
		.ctx = &t,
		.container = container_check,
	};
	struct fsck_stats s = {0};
	struct err e = {0};
	int r = store_fsck(store->s, &o, &s, &e);

	if (r == 0 && t.failed)
		r = err_sys(&e, t.failed, "cannot check the store");
	*ret = (struct plyfs_fsck){.names = s.names,
		.images = s.images,
		.layers = s.layers,
		.chunks = s.chunks,
		.verified_bytes = s.verified,
		.damaged = s.damaged,
		.leftovers = s.leftovers,
		.unreferenced_chunks = s.unreferenced,
		.healed = s.healed,
		.healed_chunks = s.healed_chunks,
		.left = s.left};
	return lib_error(r, &e, error);
}
