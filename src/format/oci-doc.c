/* SPDX-License-Identifier: Apache-2.0 */
#include "oci-internal.h"

#include <string.h>

void oci_index_done(struct oci_index *d)
{
	arena_done(&d->arena);
	*d = (struct oci_index){0};
}

void oci_manifest_done(struct oci_manifest *d)
{
	arena_done(&d->arena);
	*d = (struct oci_manifest){0};
}

int oci_digest_of_text(
	const struct doc_node *n, const char *key, const char *text, struct digest *ret)
{
	if (digest_parse(text, ret) < 0)
		return doc_bad(n, key, "is not a sha256 digest");
	return 0;
}

/* One word of a platform; absent leaves it empty. 1 = there. */
static int read_word(const struct doc_node *n, const char *key, char field[32])
{
	struct doc_node s = {0};
	int r = doc_child(n, key, JSON_STRING, &s);

	if (r <= 0)
		return r;
	if (json_string_length(s.json) >= 32)
		return doc_bad(n, key, "is too long");
	strcpy(field, json_string_value(s.json));
	return 1;
}

int oci_platform_read(const struct doc_node *n, struct platform *ret)
{
	struct platform p = {0};
	int r = read_word(n, "architecture", p.architecture);

	if (r == 0 || (r > 0 && !p.architecture[0]))
		return doc_bad(n, "architecture", "is missing");
	if (r < 0)
		return r;
	r = read_word(n, "os", p.os);
	if (r == 0 || (r > 0 && !p.os[0]))
		return doc_bad(n, "os", "is missing");
	if (r < 0)
		return r;
	r = read_word(n, "variant", p.variant);
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}

static int read_platform(const struct doc_node *n, struct oci_descriptor *d)
{
	struct doc_node p = {0};
	int r = doc_child(n, "platform", JSON_OBJECT, &p);

	if (r <= 0)
		return r;
	d->has_platform = true;
	return oci_platform_read(&p, &d->platform);
}

static int read_ref_name(const struct doc_node *n, struct oci_descriptor *d)
{
	struct doc_node a = {0};
	int r = doc_child(n, "annotations", JSON_OBJECT, &a);

	if (r <= 0)
		return r;
	r = doc_child_string(&a, OCI_REF_NAME, &d->ref_name);
	return r < 0 ? r : 0;
}

static int read_descriptor(const struct doc_node *n, struct oci_descriptor *d)
{
	const char *digest = NULL;
	int r = doc_need_string(n, "mediaType", &d->media_type);

	if (r < 0)
		return r;
	d->media = oci_media_find(d->media_type, &d->codec);
	r = doc_need_string(n, "digest", &digest);
	if (r < 0)
		return r;
	r = oci_digest_of_text(n, "digest", digest, &d->digest);
	if (r < 0)
		return r;
	r = doc_need_int(n, "size", &d->size);
	if (r < 0)
		return r;
	r = read_ref_name(n, d);
	if (r < 0)
		return r;
	return read_platform(n, d);
}

static int read_descriptors(const struct doc_node *n, const char *key, size_t max,
	struct oci_descriptor **ret, size_t *ret_n)
{
	struct doc_node array = {0}, item = {0};
	struct oci_descriptor *list;
	int r = doc_need(n, key, JSON_ARRAY, &array);
	size_t count;

	if (r < 0)
		return r;
	count = json_array_size(array.json);
	if (count > max)
		return doc_bad(n, key, "has too many entries");
	list = arena_alloc(n->doc->arena, (count + 1) * sizeof(*list));
	if (!list)
		return doc_no_memory(n);
	for (size_t i = 0; i < count; i++) {
		r = doc_item(&array, i, JSON_OBJECT, &item);
		if (r == 0)
			r = read_descriptor(&item, &list[i]);
		if (r < 0)
			return r;
	}
	*ret = list;
	*ret_n = count;
	return 0;
}

/* What an index and a manifest have in common: the version, and that they say what they are. */
static int check_kind(const struct doc_node *top, enum oci_media expected)
{
	const char *media_type = NULL;
	uint64_t version;
	int r = doc_need_int(top, "schemaVersion", &version);

	if (r < 0)
		return r;
	if (version != 2)
		return doc_bad(top, "schemaVersion", "is not 2");
	r = doc_child_string(top, "mediaType", &media_type);
	if (r < 0)
		return r;
	if (r > 0 && oci_media_parse(media_type) != expected)
		return doc_bad(top, "mediaType",
			expected == OCI_MEDIA_INDEX ? "is not that of an image index"
						    : "is not that of an image manifest");
	return 0;
}

/* Fields that belong to another kind of document: with one of them it would have two meanings. */
static int check_no_other_kind(const struct doc_node *top, const char *const *foreign)
{
	for (; *foreign; foreign++)
		if (doc_has(top, *foreign))
			return doc_bad(top, *foreign,
				"belongs to another kind of document (index and manifest at once)");
	return 0;
}

int oci_layout_check(const char *name, const void *p, size_t n, struct err *e)
{
	_cleanup_(arena_done) struct arena arena = {0};
	_cleanup_json_ json_t *root = NULL;
	const struct doc doc = {name, &arena, e};
	const char *version = NULL;
	struct doc_node top = {0};
	int r = doc_parse(&doc, p, n, JSON_OBJECT, &root, &top);

	if (r < 0)
		return r;
	r = doc_need_string(&top, "imageLayoutVersion", &version);
	if (r < 0)
		return r;
	return strcmp(version, "1.0.0") == 0 ? 0
					     : doc_bad(&top, "imageLayoutVersion", "is not 1.0.0");
}

static int read_index(const struct doc_node *top, struct oci_index *d)
{
	static const char *const foreign[] = {"config", "layers", "fsLayers", NULL};
	int r = check_kind(top, OCI_MEDIA_INDEX);

	if (r == 0)
		r = check_no_other_kind(top, foreign);
	if (r < 0)
		return r;
	return read_descriptors(top, "manifests", SIZE_MAX, &d->manifests, &d->n_manifests);
}

int oci_index_parse(const char *name, const void *p, size_t n, struct oci_index *ret, struct err *e)
{
	_cleanup_(oci_index_done) struct oci_index d = {0};
	_cleanup_json_ json_t *root = NULL;
	const struct doc doc = {name, &d.arena, e};
	struct doc_node top = {0};
	int r = doc_parse(&doc, p, n, JSON_OBJECT, &root, &top);

	if (r == 0)
		r = read_index(&top, &d);
	if (r < 0)
		return r;
	*ret = d;
	d = (struct oci_index){0};
	return 0;
}

static int check_layer_media(const struct doc_node *top, const struct oci_manifest *d)
{
	for (size_t i = 0; i < d->n_layers; i++)
		if (d->layers[i].media != OCI_MEDIA_LAYER &&
			d->layers[i].media != OCI_MEDIA_FOREIGN_LAYER)
			return err_set(top->doc->e, -ERR_UNSUPPORTED,
				"%s: layers[%zu].mediaType '%s' is no layer that can be read",
				top->doc->name, i, d->layers[i].media_type);
	return 0;
}

static int read_config_descriptor(const struct doc_node *top, struct oci_manifest *d)
{
	struct doc_node config = {0};
	int r = doc_need(top, "config", JSON_OBJECT, &config);

	if (r == 0)
		r = read_descriptor(&config, &d->config);
	if (r < 0)
		return r;
	if (d->config.media != OCI_MEDIA_CONFIG)
		return err_set(top->doc->e, -ERR_UNSUPPORTED,
			"%s: config.mediaType '%s' is not that of a container image",
			top->doc->name, d->config.media_type);
	return 0;
}

static int read_manifest(const struct doc_node *top, struct oci_manifest *d)
{
	static const char *const foreign[] = {"manifests", "fsLayers", NULL};
	int r = check_kind(top, OCI_MEDIA_MANIFEST);

	if (r == 0)
		r = check_no_other_kind(top, foreign);
	if (r == 0)
		r = read_config_descriptor(top, d);
	if (r == 0)
		r = read_descriptors(top, "layers", OCI_LAYERS_MAX, &d->layers, &d->n_layers);
	return r < 0 ? r : check_layer_media(top, d);
}

int oci_manifest_parse(
	const char *name, const void *p, size_t n, struct oci_manifest *ret, struct err *e)
{
	_cleanup_(oci_manifest_done) struct oci_manifest d = {0};
	_cleanup_json_ json_t *root = NULL;
	const struct doc doc = {name, &d.arena, e};
	struct doc_node top = {0};
	int r = doc_parse(&doc, p, n, JSON_OBJECT, &root, &top);

	if (r == 0)
		r = read_manifest(&top, &d);
	if (r < 0)
		return r;
	*ret = d;
	d = (struct oci_manifest){0};
	return 0;
}
