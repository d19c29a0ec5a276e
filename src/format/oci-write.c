/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents that are made here. jansson has one answer, NULL, to text that is not UTF-8 and to
 * a failed allocation: where the text comes from outside the first is reported, else the second.
 */
#include "oci-internal.h"

#include <string.h>

int oci_no_memory(struct err *e)
{
	return err_sys(e, -ENOMEM, "writing an image document");
}

int oci_dump(const json_t *root, struct buf *ret, struct err *e)
{
	size_t n = json_dumpb(root, NULL, 0, JSON_COMPACT | JSON_SORT_KEYS);

	if (n == 0 || buf_reserve(ret, n) < 0)
		return oci_no_memory(e);
	if (json_dumpb(root, (char *)ret->p + ret->n, n, JSON_COMPACT | JSON_SORT_KEYS) != n)
		return oci_no_memory(e);
	ret->n += n;
	ret->p[ret->n] = 0;
	return 0;
}

static json_t *digest_json(const struct digest *d)
{
	char text[DIGEST_TEXT_MAX];

	return json_string(digest_text(d, text));
}

static json_t *time_json(int64_t t)
{
	char text[OCI_TIME_TEXT_MAX];

	return json_string(oci_time_text(t, text));
}

/* Sets a text that may be absent. */
static int set_text(json_t *object, const char *key, const char *text, struct err *e)
{
	json_t *s;

	if (!text || !*text)
		return 0;
	s = json_string(text);
	if (!s)
		return err_set(e, -ERR_INPUT, "%s is not UTF-8 text", key);
	return json_object_set_new(object, key, s) < 0 ? oci_no_memory(e) : 0;
}

static int history_json(const struct oci_history *h, json_t **ret, struct err *e)
{
	_cleanup_json_ json_t *j = json_object();
	int r = j ? 0 : oci_no_memory(e);

	if (r == 0 && h->created != OCI_TIME_NONE &&
		json_object_set_new(j, "created", time_json(h->created)) < 0)
		r = oci_no_memory(e);
	if (r == 0)
		r = set_text(j, "created_by", h->created_by, e);
	if (r == 0)
		r = set_text(j, "author", h->author, e);
	if (r == 0)
		r = set_text(j, "comment", h->comment, e);
	if (r == 0 && h->empty_layer && json_object_set_new(j, "empty_layer", json_true()) < 0)
		r = oci_no_memory(e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(j);
	return 0;
}

static int add_history(json_t *config, const struct oci_history *h, struct err *e)
{
	json_t *list = json_object_get(config, "history"), *entry = NULL;
	int r;

	if (!json_is_array(list)) {
		list = json_array();
		if (!list || json_object_set_new(config, "history", list) < 0)
			return oci_no_memory(e);
	}
	r = history_json(h, &entry, e);
	if (r < 0)
		return r;
	return json_array_append_new(list, entry) < 0 ? oci_no_memory(e) : 0;
}

static int add_diff_id(json_t *config, const struct digest *d, struct err *e)
{
	json_t *rootfs = json_object_get(config, "rootfs");
	json_t *list = json_object_get(rootfs, "diff_ids");

	if (!json_is_array(list)) {
		list = json_array();
		if (!list || json_object_set_new(rootfs, "diff_ids", list) < 0)
			return oci_no_memory(e);
	}
	return json_array_append_new(list, digest_json(d)) < 0 ? oci_no_memory(e) : 0;
}

static int set_platform(json_t *config, const struct platform *p, struct err *e)
{
	int r = set_text(config, "os", p->os, e);

	if (r == 0)
		r = set_text(config, "architecture", p->architecture, e);
	return r < 0 ? r : set_text(config, "variant", p->variant, e);
}

int oci_config_new(const struct platform *platform, int64_t created, const struct digest *diff_ids,
	size_t n_diff_ids, const struct oci_history *history, size_t n_history, struct buf *ret,
	struct err *e)
{
	_cleanup_json_ json_t *config = json_pack("{s:{},s:o,s:{s:[],s:s}}", "config", "created",
		time_json(created == OCI_TIME_NONE ? 0 : created), "rootfs", "diff_ids", "type",
		"layers");
	int r = config ? set_platform(config, platform, e) : oci_no_memory(e);

	for (size_t i = 0; r == 0 && i < n_diff_ids; i++)
		r = add_diff_id(config, &diff_ids[i], e);
	for (size_t i = 0; r == 0 && i < n_history; i++)
		r = add_history(config, &history[i], e);
	return r < 0 ? r : oci_dump(config, ret, e);
}

/* Entries for the layers that the history does not tell of. */
static int pad_history(json_t *config, const struct oci_config *parsed, struct err *e)
{
	const struct oci_history unknown = {.created = OCI_TIME_NONE, .created_by = "unknown"};
	size_t told = 0;
	int r = 0;

	for (size_t i = 0; i < parsed->n_history; i++)
		told += !parsed->history[i].empty_layer;
	for (; r == 0 && told < parsed->n_diff_ids; told++)
		r = add_history(config, &unknown, e);
	return r;
}

int oci_config_add_layer(const char *name, const void *config, size_t n,
	const struct digest *diff_id, const struct oci_history *history, struct buf *ret,
	struct err *e)
{
	_cleanup_(oci_config_done) struct oci_config parsed = {0};
	_cleanup_json_ json_t *root = NULL;
	json_error_t unused;
	int r = oci_config_parse(name, config, n, &parsed, e);

	if (r < 0)
		return r;
	if (parsed.n_diff_ids >= OCI_LAYERS_MAX)
		return err_set(e, -ERR_UNSUPPORTED, "%s: there are %d layers already", name,
			OCI_LAYERS_MAX);
	r = doc_load(config, n, &root, &unused);
	if (r < 0)
		return oci_no_memory(e);
	r = pad_history(root, &parsed, e);
	if (r == 0)
		r = add_history(root, history, e);
	if (r == 0)
		r = add_diff_id(root, diff_id, e);
	if (r == 0 && history->created != OCI_TIME_NONE &&
		json_object_set_new(root, "created", time_json(history->created)) < 0)
		r = oci_no_memory(e);
	return r < 0 ? r : oci_dump(root, ret, e);
}

json_t *oci_descriptor_json(const char *media_type, const struct digest *digest, uint64_t size)
{
	return json_pack("{s:s,s:o,s:I}", "mediaType", media_type, "digest", digest_json(digest),
		"size", (json_int_t)size);
}

int oci_manifest_new(const struct digest *config_digest, uint64_t config_size,
	const struct oci_descriptor *layers, size_t n_layers, struct buf *ret, struct err *e)
{
	_cleanup_json_ json_t *root = json_pack("{s:i,s:s,s:o,s:[]}", "schemaVersion", 2,
		"mediaType", oci_media_text(OCI_MEDIA_MANIFEST, CODEC_PLAIN), "config",
		oci_descriptor_json(
			oci_media_text(OCI_MEDIA_CONFIG, CODEC_PLAIN), config_digest, config_size),
		"layers");
	json_t *list = json_object_get(root, "layers");

	if (!root)
		return oci_no_memory(e);
	for (size_t i = 0; i < n_layers; i++)
		if (json_array_append_new(
			    list, oci_descriptor_json(oci_media_layer(layers[i].codec),
					  &layers[i].digest, layers[i].size)) < 0)
			return oci_no_memory(e);
	return oci_dump(root, ret, e);
}
