/* SPDX-License-Identifier: Apache-2.0 */
#include "oci-internal.h"

#include <string.h>

void oci_config_done(struct oci_config *d)
{
	arena_done(&d->arena);
	*d = (struct oci_config){0};
}

/* 1 = there; 0 = absent: OCI_TIME_NONE and NULL. */
static int read_time(
	const struct doc_node *n, const char *key, const char **ret_text, int64_t *ret_time)
{
	int r = doc_child_string(n, key, ret_text);

	*ret_time = OCI_TIME_NONE;
	if (r <= 0)
		return r;
	if (oci_time_parse(*ret_text, ret_time) < 0)
		return doc_bad(n, key, "is not an RFC 3339 time");
	return 1;
}

static int compare_labels(const void *a, const void *b)
{
	const struct oci_label *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static int read_label(const struct doc_node *labels, const char *key, struct oci_label *ret)
{
	const json_t *value = json_object_get(labels->json, key);

	if (!json_is_string(value))
		return doc_bad(labels, key, "is not a string");
	ret->key = arena_copy(labels->doc->arena, key, strlen(key) + 1);
	ret->value = arena_copy(
		labels->doc->arena, json_string_value(value), json_string_length(value) + 1);
	return ret->key && ret->value ? 0 : doc_no_memory(labels);
}

/* Not by doc_child_string: labels are free text, and may differ in case only. */
static int read_labels(const struct doc_node *n, struct oci_config *d)
{
	struct doc_node labels = {0};
	int r = doc_child(n, "Labels", JSON_OBJECT, &labels);
	json_t *j = (json_t *)(uintptr_t)labels.json;

	if (r <= 0)
		return r;
	d->labels = arena_alloc(n->doc->arena, (json_object_size(j) + 1) * sizeof(*d->labels));
	if (!d->labels)
		return doc_no_memory(n);
	for (void *i = json_object_iter(j); i; i = json_object_iter_next(j, i)) {
		r = read_label(&labels, json_object_iter_key(i), &d->labels[d->n_labels++]);
		if (r < 0)
			return r;
	}
	qsort(d->labels, d->n_labels, sizeof(*d->labels), compare_labels);
	return 0;
}

static int read_lists(const struct doc_node *n, struct oci_config *d)
{
	const struct {
		const char *key;
		int (*read)(const struct doc_node *n, const char *key, const char *const **ret,
			size_t *ret_n);
		const char *const **list;
		size_t *count;
	} lists[] = {
		{"Env", doc_child_strings, &d->env, &d->n_env},
		{"Entrypoint", doc_child_strings, &d->entrypoint, &d->n_entrypoint},
		{"Cmd", doc_child_strings, &d->cmd, &d->n_cmd},
		{"ExposedPorts", doc_child_keys, &d->exposed_ports, &d->n_exposed_ports},
		{"Volumes", doc_child_keys, &d->volumes, &d->n_volumes},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		int r = lists[i].read(n, lists[i].key, lists[i].list, lists[i].count);

		if (r < 0)
			return r;
	}
	return 0;
}

/* The member "config": what a container is to run. */
static int read_run(const struct doc_node *top, struct oci_config *d)
{
	struct doc_node n = {0};
	int r = doc_child(top, "config", JSON_OBJECT, &n);

	if (r <= 0)
		return r;
	r = doc_child_string(&n, "User", &d->user);
	if (r >= 0)
		r = doc_child_string(&n, "WorkingDir", &d->working_dir);
	if (r >= 0)
		r = doc_child_string(&n, "StopSignal", &d->stop_signal);
	if (r >= 0)
		r = read_lists(&n, d);
	return r < 0 ? r : read_labels(&n, d);
}

static int read_diff_ids(const struct doc_node *rootfs, struct oci_config *d)
{
	const char *const *texts = NULL;
	int r = doc_child_strings(rootfs, "diff_ids", &texts, &d->n_diff_ids);

	if (r < 0)
		return r;
	if (d->n_diff_ids > OCI_LAYERS_MAX)
		return doc_bad(rootfs, "diff_ids", "has too many entries");
	d->diff_ids = arena_alloc(rootfs->doc->arena, (d->n_diff_ids + 1) * sizeof(*d->diff_ids));
	if (!d->diff_ids)
		return doc_no_memory(rootfs);
	for (size_t i = 0; i < d->n_diff_ids; i++) {
		char key[32];

		snprintf(key, sizeof(key), "diff_ids[%zu]", i);
		r = oci_digest_of_text(rootfs, key, texts[i], &d->diff_ids[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_rootfs(const struct doc_node *top, struct oci_config *d)
{
	struct doc_node n = {0};
	const char *type = NULL;
	int r = doc_need(top, "rootfs", JSON_OBJECT, &n);

	if (r == 0)
		r = doc_need_string(&n, "type", &type);
	if (r < 0)
		return r;
	if (strcmp(type, "layers") != 0)
		return doc_bad(&n, "type", "is not \"layers\"");
	return read_diff_ids(&n, d);
}

static int read_history_entry(const struct doc_node *n, struct oci_history *h)
{
	struct doc_node empty = {0};
	const char *unused = NULL;
	int r = read_time(n, "created", &unused, &h->created);

	if (r >= 0)
		r = doc_child_string(n, "created_by", &h->created_by);
	if (r >= 0)
		r = doc_child_string(n, "author", &h->author);
	if (r >= 0)
		r = doc_child_string(n, "comment", &h->comment);
	if (r >= 0)
		r = doc_child(n, "empty_layer", JSON_TRUE, &empty);
	if (r < 0)
		return r;
	h->empty_layer = r > 0 && json_is_true(empty.json);
	return 0;
}

static int read_history(const struct doc_node *top, struct oci_config *d)
{
	struct doc_node array = {0}, item = {0};
	int r = doc_child(top, "history", JSON_ARRAY, &array);
	size_t count;

	if (r <= 0)
		return r;
	count = json_array_size(array.json);
	d->history = arena_alloc(top->doc->arena, (count + 1) * sizeof(*d->history));
	if (!d->history)
		return doc_no_memory(top);
	for (size_t i = 0; i < count; i++) {
		r = doc_item(&array, i, JSON_OBJECT, &item);
		if (r == 0)
			r = read_history_entry(&item, &d->history[i]);
		if (r < 0)
			return r;
	}
	d->n_history = count;
	return 0;
}

static int read_config(const struct doc_node *top, struct oci_config *d)
{
	int r;

	/* An index or a manifest in a config's place would be one with two meanings. */
	if (doc_has(top, "manifests") || doc_has(top, "layers"))
		return doc_bad(top, NULL, "is not an image config");
	r = oci_platform_read(top, &d->platform);
	if (r >= 0)
		r = read_time(top, "created", &d->created_text, &d->created);
	if (r >= 0)
		r = doc_child_string(top, "author", &d->author);
	if (r >= 0)
		r = read_run(top, d);
	if (r >= 0)
		r = read_rootfs(top, d);
	return r < 0 ? r : read_history(top, d);
}

int oci_config_parse(
	const char *name, const void *p, size_t n, struct oci_config *ret, struct err *e)
{
	_cleanup_(oci_config_done) struct oci_config d = {.created = OCI_TIME_NONE};
	_cleanup_json_ json_t *root = NULL;
	const struct doc doc = {name, &d.arena, e};
	struct doc_node top = {0};
	int r = doc_parse(&doc, p, n, JSON_OBJECT, &root, &top);

	if (r == 0)
		r = read_config(&top, &d);
	if (r < 0)
		return r;
	*ret = d;
	d = (struct oci_config){0};
	return 0;
}
