/* SPDX-License-Identifier: Apache-2.0 */
/* images, inspect, history, tag, rmi */
#include "tool.h"

#include <string.h>

struct listing {
	struct plyfs_store *s;
	json_t *all;
	bool failed;
};

static json_t *created_of(const struct plyfs_image_info *i, json_t **ret_config)
{
	*ret_config = json_loadb(i->config, i->config_size, 0, NULL);
	return json_object_get(*ret_config, "created");
}

static int match_listed(void *ctx, const char *name _unused_, const char *digest)
{
	return strcmp(digest, ctx) == 0;
}

/* Whether any name leads to the image still. */
static bool is_listed(struct plyfs_store *s, const char *digest)
{
	char text[PLYFS_DIGEST_MAX];

	snprintf(text, sizeof(text), "%s", digest);
	return plyfs_images(s, match_listed, text, NULL) != 0;
}

static int list_image(void *ctx, const char *name, const char *digest)
{
	struct listing *l = ctx;
	_cleanup_image_ struct plyfs_image *image = NULL;
	const struct plyfs_image_info *i;
	struct plyfs_error e;
	json_t *config, *created;

	if (plyfs_image_open(l->s, digest, &image, &e) < 0) {
		if (!is_listed(l->s, digest)) /* somebody has removed it meanwhile */
			return 0;
		l->failed = true;
		json_array_append_new(l->all, json_pack("{ss ss sb}", "name", name, "digest",
						      digest, "quarantined", true));
		tool_fail(&e);
		return 0; /* the others can be listed all the same */
	}
	i = plyfs_image_info(image);
	created = created_of(i, &config);
	json_array_append_new(
		l->all, json_pack("{ss ss ss sI sI sI sI sb so*}", "name", name, "digest", digest,
				"id", i->config_digest, "layers", (json_int_t)i->n_layers,
				"native_layers", (json_int_t)i->n_native, "files",
				(json_int_t)i->inodes, "data_bytes", (json_int_t)i->data_bytes,
				"quarantined", i->quarantined, "created", json_incref(created)));
	json_decref(config);
	return 0;
}

/* An RFC 3339 date, to the minute; nothing for the epoch, which says that no date is known. */
static void print_created(const json_t *created)
{
	const char *text = json_string_value(created);

	if (text && strncmp(text, "1970-01-01T00:00:00", 19) != 0 && strlen(text) >= 16)
		printf("  %.10s %.5s", text, text + 11);
}

int cmd_images(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	struct listing l = {.s = s, .all = json_array()};
	char size[SIZE_TEXT_MAX];
	struct plyfs_error e;
	size_t i, width = 4;
	json_t *v;
	int r;

	if (!s)
		return 1;
	r = plyfs_images(s, list_image, &l, &e);
	if (r < 0)
		return tool_fail(&e);
	if (t->json)
		return tool_json(l.all) || l.failed;
	json_array_foreach(l.all, i, v)
	{
		size_t n = strlen(json_string_value(json_object_get(v, "name")));

		width = n > width ? n : width;
	}
	if (json_array_size(l.all))
		printf("%-*s  %-12s  %6s  %8s  %10s  %s\n", (int)width, "NAME", "DIGEST", "LAYERS",
			"FILES", "SIZE", "CREATED");
	json_array_foreach(l.all, i, v)
	{
		printf("%-*s  %.12s  %6lld  %8lld  %10s", (int)width,
			json_string_value(json_object_get(v, "name")),
			json_string_value(json_object_get(v, "digest")) + 7,
			json_integer_value(json_object_get(v, "layers")),
			json_integer_value(json_object_get(v, "files")),
			tool_size((uint64_t)json_integer_value(json_object_get(v, "data_bytes")),
				size));
		print_created(json_object_get(v, "created"));
		printf("%s\n",
			json_is_true(json_object_get(v, "quarantined")) ? "  quarantined" : "");
	}
	json_decref(l.all);
	return l.failed;
}

struct names_of {
	const char *digest;
	json_t *names;
};

static int add_name(void *ctx, const char *name, const char *digest)
{
	struct names_of *n = ctx;

	if (strcmp(digest, n->digest) == 0)
		json_array_append_new(n->names, json_string(name));
	return 0;
}

static json_t *inspect_json(struct plyfs_store *s, const struct plyfs_image_info *i)
{
	struct names_of n = {.digest = i->digest, .names = json_array()};
	json_t *layers = json_array(), *native = json_array();

	plyfs_images(s, add_name, &n, NULL);
	for (size_t k = 0; k < i->n_layers; k++) {
		json_array_append_new(layers, json_string(i->layers[k]));
		if (i->native[k])
			json_array_append_new(native, json_string(i->layers[k]));
	}
	return json_pack("{so ss ss ss ss so so so sI sI sI sI so so so}", "names", n.names,
		"digest", i->digest, "id", i->config_digest, "index_digest", i->index_digest,
		"index_path", i->index_path, "local_index_path",
		tool_json_bytes(i->local_index_path), "layers", layers, "native_layers", native,
		"files", (json_int_t)i->inodes, "data_bytes", (json_int_t)i->data_bytes,
		"index_bytes", (json_int_t)i->index_bytes, "chunks", (json_int_t)i->chunks,
		"quarantined", json_boolean(i->quarantined), "manifest",
		json_loadb(i->manifest, i->manifest_size, 0, NULL), "config",
		json_loadb(i->config, i->config_size, 0, NULL));
}

static void print_list(const char *what, const json_t *list)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v) printf("%-11s%s\n", i ? "" : what, json_string_value(v));
}

static void print_texts(const json_t *v, const char *indent)
{
	const char *key;
	json_t *x;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach((json_t *)(uintptr_t)v, key, x)
			printf("%s%s%s%s\n", indent, key, json_is_string(x) ? "=" : "",
				json_is_string(x) ? json_string_value(x) : "");
		return;
	}
	json_array_foreach(v, i, x) if (json_is_string(x))
		printf("%s%s\n", indent, json_string_value(x));
}

static int print_inspect(json_t *all)
{
	static const char *const run[] = {"User", "WorkingDir", "Entrypoint", "Cmd", "Env",
		"ExposedPorts", "Volumes", "Labels", "StopSignal"};
	json_t *config = json_object_get(all, "config");
	char a[SIZE_TEXT_MAX];

	print_list("names", json_object_get(all, "names"));
	printf("digest     %s\n", json_string_value(json_object_get(all, "digest")));
	printf("id         %s\n", json_string_value(json_object_get(all, "id")));
	printf("platform   %s/%s\n", json_string_value(json_object_get(config, "os")),
		json_string_value(json_object_get(config, "architecture")));
	if (json_object_get(config, "created"))
		printf("created    %s\n", json_string_value(json_object_get(config, "created")));
	if (json_is_true(json_object_get(all, "quarantined")))
		printf("quarantined: see plyfs fsck\n");
	print_list("layers", json_object_get(all, "layers"));
	print_list("native", json_object_get(all, "native_layers"));
	printf("files      %lld\n", json_integer_value(json_object_get(all, "files")));
	printf("content    %s in %lld chunks\n",
		tool_size((uint64_t)json_integer_value(json_object_get(all, "data_bytes")), a),
		json_integer_value(json_object_get(all, "chunks")));
	printf("index      %s (%s)\n", json_string_value(json_object_get(all, "index_digest")),
		tool_size((uint64_t)json_integer_value(json_object_get(all, "index_bytes")), a));
	for (size_t i = 0; i < sizeof(run) / sizeof(run[0]); i++) {
		const json_t *v = json_object_get(json_object_get(config, "config"), run[i]);

		if (json_is_string(v) && *json_string_value(v))
			printf("%-10s %s\n", run[i], json_string_value(v));
		if (json_array_size(v) || json_object_size(v)) {
			printf("%s\n", run[i]);
			print_texts(v, "           ");
		}
	}
	json_decref(all);
	return 0;
}

int cmd_inspect(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	_cleanup_image_ struct plyfs_image *image = s ? tool_image(s, t->argv[0]) : NULL;
	json_t *all;

	if (!image)
		return 1;
	all = inspect_json(s, plyfs_image_info(image));
	if (!all)
		return tool_fail_text("the documents of %s cannot be shown", t->argv[0]);
	return t->json ? tool_json(all) : print_inspect(all);
}

/* One line: what people write into a Dockerfile's RUN has many. */
static void put_line(const char *text)
{
	bool space = false;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool blank = c <= 0x20 || c == 0x7f;

		if (!blank || !space)
			putchar(blank ? ' ' : c);
		space = blank;
	}
}

static void print_history(const json_t *history)
{
	size_t i;
	json_t *v;

	json_array_foreach(history, i, v)
	{
		const char *created = json_string_value(json_object_get(v, "created"));
		const char *by = json_string_value(json_object_get(v, "created_by"));
		const char *comment = json_string_value(json_object_get(v, "comment"));

		printf("%-20.20s  %-5s  ", created ? created : "",
			json_is_true(json_object_get(v, "empty_layer")) ? "empty" : "layer");
		put_line(by ? by : "");
		if (comment && *comment) {
			printf("  # ");
			put_line(comment);
		}
		putchar('\n');
	}
}

static size_t count_layers(const json_t *history)
{
	size_t n = 0, k;
	json_t *v;

	json_array_foreach(history, k, v) n += !json_is_true(json_object_get(v, "empty_layer"));
	return n;
}

/* Says of each step what layer it made, where there are as many as the image has. */
static void add_layers(json_t *history, const struct plyfs_image_info *i)
{
	size_t n = 0, k;
	json_t *v;

	if (count_layers(history) != i->n_layers)
		return;
	json_array_foreach(history, k, v)
	{
		if (!json_is_object(v) || json_is_true(json_object_get(v, "empty_layer")))
			continue;
		json_object_set_new(v, "layer", json_string(i->layers[n]));
		json_object_set_new(v, "native", json_boolean(i->native[n]));
		n++;
	}
}

int cmd_history(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	_cleanup_image_ struct plyfs_image *image = s ? tool_image(s, t->argv[0]) : NULL;
	const struct plyfs_image_info *i;
	json_t *config, *history;
	int status = 0;

	if (!image)
		return 1;
	i = plyfs_image_info(image);
	config = json_loadb(i->config, i->config_size, 0, NULL);
	history = json_object_get(config, "history");
	add_layers(history, i);
	if (t->json)
		status = tool_json(history ? json_incref(history) : json_array());
	else
		print_history(history);
	json_decref(config);
	return status;
}

int cmd_tag(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	struct plyfs_error e;

	if (!s)
		return 1;
	return plyfs_tag(s, t->argv[0], t->argv[1], &e) < 0 ? tool_fail(&e) : 0;
}

int cmd_rmi(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	struct plyfs_error e;
	int status = 0;

	if (!s)
		return 1;
	for (int i = 0; i < t->argc; i++)
		if (plyfs_rmi(s, t->argv[i], NULL, &e) < 0)
			status = tool_fail(&e);
	return status;
}
