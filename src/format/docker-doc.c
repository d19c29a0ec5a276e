/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.json of `docker save`: read, and written. */
#include "oci-internal.h"

#include <string.h>

void docker_archive_doc_done(struct docker_archive_doc *d)
{
	arena_done(&d->arena);
	*d = (struct docker_archive_doc){0};
}

static int read_image(const struct doc_node *n, struct docker_image *image)
{
	int r = doc_need_string(n, "Config", &image->config);

	if (r == 0)
		r = doc_child_strings(n, "RepoTags", &image->tags, &image->n_tags);
	if (r == 0)
		r = doc_child_strings(n, "Layers", &image->layers, &image->n_layers);
	if (r < 0)
		return r;
	if (image->n_layers > OCI_LAYERS_MAX)
		return doc_bad(n, "Layers", "has too many entries");
	return 0;
}

static int read_images(const struct doc_node *top, struct docker_archive_doc *d)
{
	struct doc_node item = {0};
	size_t count = json_array_size(top->json);

	d->images = arena_alloc(top->doc->arena, (count + 1) * sizeof(*d->images));
	if (!d->images)
		return doc_no_memory(top);
	for (size_t i = 0; i < count; i++) {
		int r = doc_item(top, i, JSON_OBJECT, &item);

		if (r == 0)
			r = read_image(&item, &d->images[i]);
		if (r < 0)
			return r;
	}
	d->n_images = count;
	return 0;
}

int docker_archive_doc_parse(
	const char *name, const void *p, size_t n, struct docker_archive_doc *ret, struct err *e)
{
	_cleanup_(docker_archive_doc_done) struct docker_archive_doc d = {0};
	_cleanup_json_ json_t *root = NULL;
	const struct doc doc = {name, &d.arena, e};
	struct doc_node top = {0};
	int r = doc_parse(&doc, p, n, JSON_ARRAY, &root, &top);

	if (r == 0)
		r = read_images(&top, &d);
	if (r < 0)
		return r;
	*ret = d;
	d = (struct docker_archive_doc){0};
	return 0;
}

int docker_archive_doc_new(const char *config, const char *tag, char *const *layers,
	size_t n_layers, struct buf *ret, struct err *e)
{
	_cleanup_json_ json_t *root =
		json_pack("[{s:s,s:[],s:[]}]", "Config", config, "RepoTags", "Layers");
	const json_t *image = json_array_get(root, 0);

	if (!root)
		return oci_no_memory(e);
	if (tag && json_array_append_new(json_object_get(image, "RepoTags"), json_string(tag)) < 0)
		return oci_no_memory(e);
	for (size_t i = 0; i < n_layers; i++)
		if (json_array_append_new(
			    json_object_get(image, "Layers"), json_string(layers[i])) < 0)
			return oci_no_memory(e);
	return oci_dump(root, ret, e);
}
