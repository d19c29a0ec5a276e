/* SPDX-License-Identifier: Apache-2.0 */
/* df */
#include "tool.h"

#include <string.h>

static int add_image(void *ctx, const struct plyfs_df_image *image)
{
	json_t *names = json_array();

	for (size_t i = 0; i < image->n_names; i++)
		json_array_append_new(names, json_string(image->names[i]));
	json_array_append_new(ctx, json_pack("{so ss sI sI sI sI sI}", "names", names, "digest",
					   image->digest, "layers", (json_int_t)image->layers,
					   "own_bytes", (json_int_t)image->own_bytes,
					   "shared_bytes", (json_int_t)image->shared_bytes,
					   "data_bytes", (json_int_t)image->data_bytes,
					   "index_bytes", (json_int_t)image->index_bytes));
	return 0;
}

static int add_layer(void *ctx, const struct plyfs_df_layer *layer)
{
	json_array_append_new(
		ctx, json_pack("{ss sI sI sI sI}", "diff_id", layer->digest, "images",
			     (json_int_t)layer->images, "own_bytes", (json_int_t)layer->own_bytes,
			     "shared_bytes", (json_int_t)layer->shared_bytes, "data_bytes",
			     (json_int_t)layer->data_bytes));
	return 0;
}

/* What is printed, and in which order: the JSON has it all. */
static json_t *df_json(const struct plyfs_store *s, const struct plyfs_df *d, uint64_t unused)
{
	const struct {
		const char *key;
		uint64_t value;
	} sums[] = {
		{"images", d->images},
		{"names", d->names},
		{"layers", d->layers},
		{"chunks", d->chunks},
		{"chunk_bytes", d->chunk_bytes},
		{"data_bytes", d->data_bytes},
		{"unused_bytes", unused},
		{"index_bytes", d->index_bytes},
		{"split_bytes", d->split_bytes},
		{"pack_bytes", d->pack_bytes},
		{"free_bytes", d->free_bytes},
		{"held_bytes", d->held_bytes},
		{"containers", d->containers},
		{"container_bytes", d->container_bytes},
		{"disk_bytes", d->disk_bytes},
	};
	json_t *all = json_pack("{ss}", "store", plyfs_store_path(s));

	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		json_object_set_new(all, sums[i].key, json_integer((json_int_t)sums[i].value));
	return all;
}

static void print_size(json_t *v, const char *key, int width)
{
	char text[SIZE_TEXT_MAX];

	printf("  %*s", width,
		tool_size((uint64_t)json_integer_value(json_object_get(v, key)), text));
}

static void print_images(json_t *images)
{
	json_t *v, *names, *name;
	size_t i, k;

	if (json_array_size(images))
		printf("\n%-12s  %10s  %10s  %10s  %6s  %s\n", "IMAGE", "CONTENT", "SHARED", "OWN",
			"LAYERS", "NAMES");
	json_array_foreach(images, i, v)
	{
		names = json_object_get(v, "names");
		printf("%.12s", json_string_value(json_object_get(v, "digest")) + 7);
		print_size(v, "data_bytes", 10);
		print_size(v, "shared_bytes", 10);
		print_size(v, "own_bytes", 10);
		printf("  %6lld ", json_integer_value(json_object_get(v, "layers")));
		json_array_foreach(names, k, name) printf(" %s", json_string_value(name));
		printf("%s\n", json_array_size(names) ? "" : " none, but in use");
	}
}

static void print_layers(json_t *layers)
{
	json_t *v;
	size_t i;

	if (json_array_size(layers))
		printf("\n%-12s  %10s  %10s  %10s  %6s\n", "LAYER", "CONTENT", "SHARED", "OWN",
			"IMAGES");
	json_array_foreach(layers, i, v)
	{
		printf("%.12s", json_string_value(json_object_get(v, "diff_id")) + 7);
		print_size(v, "data_bytes", 10);
		print_size(v, "shared_bytes", 10);
		print_size(v, "own_bytes", 10);
		printf("  %6lld\n", json_integer_value(json_object_get(v, "images")));
	}
}

static void print_sums(const struct plyfs_store *s, const struct plyfs_df *d, uint64_t unused)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];

	printf("store      %s\n", plyfs_store_path(s));
	printf("images     %llu, under %llu names\n", (unsigned long long)d->images,
		(unsigned long long)d->names);
	printf("layers     %llu\n", (unsigned long long)d->layers);
	printf("content    %s in all images\n", tool_size(d->data_bytes, a));
	printf("chunks     %llu, %s", (unsigned long long)d->chunks, tool_size(d->chunk_bytes, a));
	if (d->data_bytes > d->chunk_bytes)
		printf(" (%s saved by storing each once, %.0f %%)",
			tool_size(d->data_bytes - d->chunk_bytes, b),
			100.0 - 100.0 * (double)d->chunk_bytes / (double)d->data_bytes);
	printf("\nunused     %s, which gc frees\n", tool_size(unused, a));
	printf("indexes    %s, splits %s\n", tool_size(d->index_bytes, a),
		tool_size(d->split_bytes, b));
	printf("packs      %s on disk", tool_size(d->pack_bytes, a));
	printf("; %s free again, %s held\n", tool_size(d->free_bytes, a),
		tool_size(d->held_bytes, b));
	if (d->containers)
		printf("containers %llu, %s on disk\n", (unsigned long long)d->containers,
			tool_size(d->container_bytes, a));
	printf("on disk    %s\n", tool_size(d->disk_bytes, a));
}

int cmd_df(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	json_t *images = json_array(), *layers = json_array(), *all;
	uint64_t unused = 0;
	struct plyfs_error e;
	struct plyfs_df d;
	int r = s ? plyfs_df(s, &d, &e) : 1;

	if (r == 0)
		r = plyfs_df_images(s, add_image, images, &unused, &e);
	if (r == 0 && t->list_layers)
		r = plyfs_df_layers(s, add_layer, layers, &e);
	if (r == 0 && t->json) {
		all = df_json(s, &d, unused);
		json_object_set(all, "image_list", images);
		if (t->list_layers)
			json_object_set(all, "layer_list", layers);
		r = tool_json(all);
	} else if (r == 0) {
		print_sums(s, &d, unused);
		print_images(images);
		print_layers(layers);
	}
	json_decref(images);
	json_decref(layers);
	return r < 0 ? tool_fail(&e) : r;
}
