/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that are changed in some places, and stay as they are in all others. */
#include "oci-internal.h"

#include <ctype.h>
#include <string.h>

/* --- manifest ----------------------------------------------------------------------------- */

/*
 * Annotations that describe one compressed form of a layer: tables of contents and checksums of
 * estargz and zstd:chunked, and what other snapshotters note of their own blobs.
 */
static bool describes_blob(const char *key)
{
	static const char *const prefixes[] = {
		"containerd.io/snapshot/",
		"io.containers.estargz.",
		"io.github.containers.zstd-chunked.",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static void forget_blob(json_t *layer)
{
	json_t *annotations = json_object_get(layer, "annotations"), *value;
	const char *key;
	void *next;

	json_object_del(layer, "data");
	json_object_foreach_safe(annotations, next, key, value) if (describes_blob(key))
		json_object_del(annotations, key);
	if (json_is_object(annotations) && !json_object_size(annotations))
		json_object_del(layer, "annotations");
}

/* All other members of `object` stay. */
static int set_descriptor(json_t *object, const char *media_type, const struct digest *digest,
	uint64_t size, struct err *e)
{
	_cleanup_json_ json_t *d = oci_descriptor_json(media_type, digest, size);

	return d && json_object_update(object, d) == 0 ? 0 : oci_no_memory(e);
}

static int set_layer(json_t *layer, const struct oci_descriptor *old,
	const struct oci_descriptor *now, struct err *e)
{
	json_object_del(layer, "urls"); /* the blob is here */
	if (!digest_equal(&old->digest, &now->digest))
		forget_blob(layer);
	return set_descriptor(layer, oci_media_layer(now->codec), &now->digest, now->size, e);
}

static bool is_type(const char *media_type, enum oci_media media, enum codec codec)
{
	return strcmp(media_type, oci_media_text(media, codec)) == 0;
}

/* Whether the manifest says already what it is to say. */
static bool stays(
	const json_t *root, const struct oci_manifest *old, const struct oci_descriptor *layers)
{
	const char *type = json_string_value(json_object_get(root, "mediaType"));
	bool same = (!type || is_type(type, OCI_MEDIA_MANIFEST, CODEC_PLAIN)) &&
		    is_type(old->config.media_type, OCI_MEDIA_CONFIG, CODEC_PLAIN);

	for (size_t i = 0; same && i < old->n_layers; i++)
		same = digest_equal(&old->layers[i].digest, &layers[i].digest) &&
		       old->layers[i].size == layers[i].size &&
		       is_type(old->layers[i].media_type, OCI_MEDIA_LAYER, layers[i].codec);
	return same;
}

static int rewrite(json_t *root, const struct oci_manifest *old,
	const struct oci_descriptor *layers, struct err *e)
{
	json_t *type = json_string(oci_media_text(OCI_MEDIA_MANIFEST, CODEC_PLAIN));
	int r = json_object_set_new(root, "mediaType", type) < 0 ? oci_no_memory(e) : 0;

	if (r == 0)
		r = set_descriptor(json_object_get(root, "config"),
			oci_media_text(OCI_MEDIA_CONFIG, CODEC_PLAIN), &old->config.digest,
			old->config.size, e);
	for (size_t i = 0; r == 0 && i < old->n_layers; i++)
		r = set_layer(json_array_get(json_object_get(root, "layers"), i), &old->layers[i],
			&layers[i], e);
	return r;
}

int oci_manifest_set_layers(const char *name, const void *manifest, size_t n,
	const struct oci_descriptor *layers, size_t n_layers, struct buf *ret, struct err *e)
{
	_cleanup_(oci_manifest_done) struct oci_manifest old = {0};
	_cleanup_json_ json_t *root = NULL;
	json_error_t unused;
	int r = oci_manifest_parse(name, manifest, n, &old, e);

	if (r < 0)
		return r;
	if (old.n_layers != n_layers)
		return err_set(e, -ERR_INPUT, "%s: there are %zu layers instead of %zu", name,
			old.n_layers, n_layers);
	if (doc_load(manifest, n, &root, &unused) < 0)
		return oci_no_memory(e);
	if (stays(root, &old, layers))
		return buf_add(ret, manifest, n) < 0 ? oci_no_memory(e) : 0;
	r = rewrite(root, &old, layers, e);
	return r < 0 ? r : oci_dump(root, ret, e);
}

int oci_manifest_set_config(const char *name, const void *manifest, size_t n,
	const struct digest *config, uint64_t size, struct buf *ret, struct err *e)
{
	_cleanup_(oci_manifest_done) struct oci_manifest old = {0};
	_cleanup_json_ json_t *root = NULL;
	json_error_t unused;
	int r = oci_manifest_parse(name, manifest, n, &old, e);

	if (r == 0 && doc_load(manifest, n, &root, &unused) < 0)
		r = oci_no_memory(e);
	if (r == 0) {
		json_object_del(json_object_get(root, "config"), "data");
		r = set_descriptor(
			json_object_get(root, "config"), old.config.media_type, config, size, e);
	}
	return r < 0 ? r : oci_dump(root, ret, e);
}

/* --- config ------------------------------------------------------------------------------- */

int oci_config_set_diff_ids(const char *name, const void *config, size_t n,
	const struct digest *diff_ids, size_t n_diff_ids, struct buf *ret, struct err *e)
{
	_cleanup_(oci_config_done) struct oci_config parsed = {0};
	_cleanup_json_ json_t *root = NULL, *list = json_array();
	char text[DIGEST_TEXT_MAX];
	json_error_t unused;
	int r = oci_config_parse(name, config, n, &parsed, e);

	if (r == 0 && (!list || doc_load(config, n, &root, &unused) < 0))
		r = oci_no_memory(e);
	for (size_t i = 0; r == 0 && i < n_diff_ids; i++)
		if (json_array_append_new(list, json_string(digest_text(&diff_ids[i], text))) < 0)
			r = oci_no_memory(e);
	if (r == 0 && json_object_set(json_object_get(root, "rootfs"), "diff_ids", list) < 0)
		r = oci_no_memory(e);
	return r < 0 ? r : oci_dump(root, ret, e);
}

/* --- index.json --------------------------------------------------------------------------- */

/* A run of letters and digits; 0 if there is none. */
static size_t word_length(const char *p)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]))
		n++;
	return n;
}

/* Words, joined by one of - . _ : @ + / or by "--". */
bool oci_ref_name_valid(const char *text)
{
	for (;;) {
		size_t n = word_length(text);

		if (!n)
			return false;
		text += n;
		if (!*text)
			return true;
		if (!strchr("-._:@+/", *text))
			return false;
		text += strncmp(text, "--", 2) == 0 ? 2 : 1;
	}
}

/* 1 = the entry gives way to the manifest, or is it already; 0 = it stays. */
static int gives_way(const struct doc_node *entry, const char *digest, const char *ref_name)
{
	const char *has_ref = NULL, *has_digest = NULL;
	struct doc_node annotations = {0};
	int r = doc_child(entry, "annotations", JSON_OBJECT, &annotations);

	if (r > 0)
		r = doc_child_string(&annotations, OCI_REF_NAME, &has_ref);
	if (r >= 0)
		r = doc_child_string(entry, "digest", &has_digest);
	if (r < 0)
		return r;
	if (ref_name)
		return has_ref && strcmp(has_ref, ref_name) == 0;
	return !has_ref && has_digest && strcmp(has_digest, digest) == 0;
}

/* Takes out what gives way. *ret_at is where the first of these was, or the end. */
static int make_way(
	const struct doc_node *manifests, const char *digest, const char *ref_name, size_t *ret_at)
{
	json_t *array = (json_t *)(uintptr_t)manifests->json; /* of the root that is ours */
	size_t i = 0, at = SIZE_MAX;

	while (i < json_array_size(array)) {
		struct doc_node entry = {0};
		int r = doc_item(manifests, i, JSON_OBJECT, &entry);

		if (r == 0)
			r = gives_way(&entry, digest, ref_name);
		if (r < 0)
			return r;
		if (r > 0)
			at = at == SIZE_MAX ? i : at;
		if (r > 0)
			json_array_remove(array, i);
		else
			i++;
	}
	*ret_at = at < i ? at : i;
	return 0;
}

static json_t *entry_json(const struct digest *manifest, uint64_t size, const char *ref_name)
{
	json_t *entry = oci_descriptor_json(
		oci_media_text(OCI_MEDIA_MANIFEST, CODEC_PLAIN), manifest, size);

	if (entry && ref_name &&
		json_object_set_new(
			entry, "annotations", json_pack("{s:s}", OCI_REF_NAME, ref_name)) < 0) {
		json_decref(entry);
		return NULL;
	}
	return entry;
}

int oci_index_put(const char *name, const void *index, size_t n, const struct digest *manifest,
	uint64_t size, const char *ref_name, struct buf *ret, struct err *e)
{
	static const char empty[] = "{\"schemaVersion\":2,\"manifests\":[]}";
	_cleanup_(arena_done) struct arena arena = {0};
	_cleanup_json_ json_t *root = NULL;
	const struct doc doc = {name, &arena, e};
	struct doc_node top = {0}, manifests = {0};
	char text[DIGEST_TEXT_MAX];
	size_t at = 0;
	int r = doc_parse(
		&doc, index ? index : empty, index ? n : strlen(empty), JSON_OBJECT, &root, &top);

	if (r == 0)
		r = doc_need(&top, "manifests", JSON_ARRAY, &manifests);
	if (r == 0)
		r = make_way(&manifests, digest_text(manifest, text), ref_name, &at);
	if (r < 0)
		return r;
	if (json_array_insert_new(json_object_get(root, "manifests"), at,
		    entry_json(manifest, size, ref_name)) < 0)
		return oci_no_memory(e);
	return oci_dump(root, ret, e);
}
