/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "store/usage.h"

/* What is counted must not go away meanwhile. */
static int begin(struct plyfs_store *store, struct lock *lock, struct err *e)
{
	return lock_take(store->s, LOCK_GC, 0, false, true, lock, e);
}

PUBLIC int plyfs_df(struct plyfs_store *store, struct plyfs_df *ret, struct plyfs_error *error)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	struct usage_totals t;
	struct err e = {0};
	int r = begin(store, &lock, &e);

	if (r == 0)
		r = usage_totals(store->s, &t, &e);
	if (r == 0)
		*ret = (struct plyfs_df){
			.images = t.images,
			.names = t.names,
			.layers = t.layers,
			.chunks = t.chunks,
			.chunk_bytes = t.chunk_bytes,
			.data_bytes = t.data_bytes,
			.index_bytes = t.index_bytes,
			.disk_bytes = t.disk_bytes,
			.split_bytes = t.split_bytes,
			.pack_bytes = t.pack_bytes,
			.free_bytes = t.free_bytes,
			.held_bytes = t.held_bytes,
			.containers = t.containers,
			.container_bytes = t.container_bytes,
		};
	return lib_error(r, &e, error);
}

PUBLIC int plyfs_df_images(struct plyfs_store *store,
	int (*each)(void *ctx, const struct plyfs_df_image *image), void *ctx,
	uint64_t *ret_unused_bytes, struct plyfs_error *error)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	_cleanup_usage_ struct usage u = {0};
	struct err e = {0};
	int r = begin(store, &lock, &e);

	if (r == 0)
		r = usage_images(store->s, &u, &e);
	lock_release(&lock);
	for (size_t i = 0; r == 0 && i < u.n_images; i++) {
		const struct usage_image *image = &u.images[i];
		char text[DIGEST_TEXT_MAX];
		struct plyfs_df_image v = {
			.digest = digest_text(&image->manifest, text),
			.names = (const char *const *)image->names,
			.n_names = image->n_names,
			.layers = image->n_diff_ids,
			.own_bytes = image->own_bytes,
			.shared_bytes = image->shared_bytes,
			.data_bytes = image->data_bytes,
			.index_bytes = image->index_bytes,
		};

		r = each(ctx, &v);
	}
	if (r == 0 && ret_unused_bytes)
		*ret_unused_bytes = u.unused_bytes;
	return lib_error(r, &e, error);
}

PUBLIC int plyfs_df_layers(struct plyfs_store *store,
	int (*each)(void *ctx, const struct plyfs_df_layer *layer), void *ctx,
	struct plyfs_error *error)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	_cleanup_usage_ struct usage u = {0};
	struct err e = {0};
	int r = begin(store, &lock, &e);

	if (r == 0)
		r = usage_layers(store->s, &u, &e);
	lock_release(&lock);
	for (size_t i = 0; r == 0 && i < u.n_layers; i++) {
		const struct usage_layer *layer = &u.layers[i];
		char text[DIGEST_TEXT_MAX];
		struct plyfs_df_layer v = {
			.digest = digest_text(&layer->diff_id, text),
			.images = layer->images,
			.own_bytes = layer->own_bytes,
			.shared_bytes = layer->shared_bytes,
			.data_bytes = layer->data_bytes,
		};

		r = each(ctx, &v);
	}
	return lib_error(r, &e, error);
}
