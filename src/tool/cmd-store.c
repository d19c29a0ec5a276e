/* SPDX-License-Identifier: Apache-2.0 */
/* import, layer add, export, gc */
#include "tool.h"

#include <string.h>

static int print_digest(const struct tool *t, const char *name, const char *digest)
{
	if (t->json)
		return tool_json(json_pack("{ss ss}", "name", name, "digest", digest));
	printf("%s\n", digest);
	return 0;
}

/* import SOURCE NAME, or (with a base) layer add BASE SOURCE NAME. */
static int run_import(const struct tool *t, struct plyfs_store *s, const char *base,
	const char *source, const char *name)
{
	struct progress p = tool_progress(t);
	struct plyfs_import_options o = {
		.platform = t->platform, /* import only */
		.chunk_size = t->chunk_size,
		.progress = tool_progress_show,
		.progress_ctx = &p,
	};
	char digest[PLYFS_DIGEST_MAX];
	struct plyfs_error e;
	int r;

	if (base)
		r = plyfs_layer_add(s, base, source, name, &o, digest, &e);
	else
		r = plyfs_import(s, source, name, &o, digest, &e);
	tool_progress_end(&p);
	return r < 0 ? tool_fail(&e) : print_digest(t, name, digest);
}

int cmd_import(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, true);

	return s ? run_import(t, s, NULL, t->argv[0], t->argv[1]) : 1;
}

int cmd_layer_add(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);

	return s ? run_import(t, s, t->argv[0], t->argv[1], t->argv[2]) : 1;
}

/* Whether the export itself goes to standard output. */
static bool is_stdout(const char *destination)
{
	static const char *const kinds[] = {"oci-archive:-", "docker-archive:-", "tar:-"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i]);

		if (strncmp(destination, kinds[i], n) == 0 && strchr(":", destination[n]))
			return true; /* a tag may follow */
	}
	return false;
}

/* A tree that was exported has no digest. */
static int print_export(const struct tool *t, const struct plyfs_image *image, const char *digest)
{
	if (is_stdout(t->argv[1]))
		return 0;
	if (t->json)
		return tool_json(json_pack("{ss so ss* ss}", "name", t->argv[0], "destination",
			tool_json_bytes(t->argv[1]), "digest", *digest ? digest : NULL, "config",
			plyfs_image_info(image)->config_digest));
	if (*digest)
		printf("%s\n", digest);
	return 0;
}

int cmd_export(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	_cleanup_image_ struct plyfs_image *image = s ? tool_image(s, t->argv[0]) : NULL;
	struct progress p = tool_progress(t);
	struct plyfs_export_options o = {
		.compress = t->compress,
		.progress = tool_progress_show,
		.progress_ctx = &p,
	};
	char digest[PLYFS_DIGEST_MAX];
	struct plyfs_error e;
	int r;

	if (!image)
		return 1;
	r = plyfs_export(image, t->argv[1], &o, digest, &e);
	tool_progress_end(&p);
	return r < 0 ? tool_fail(&e) : print_export(t, image, digest);
}

int cmd_gc(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	char text[SIZE_TEXT_MAX];
	struct progress p = tool_progress(t);
	struct plyfs_gc_options o = {
		.dry_run = t->dry_run,
		.progress = tool_progress_phase,
		.progress_ctx = &p,
	};
	struct plyfs_error e;
	struct plyfs_gc g;
	int r;

	if (!s)
		return 1;
	r = plyfs_gc(s, &o, &g, &e);
	tool_progress_end(&p);
	if (r < 0)
		return tool_fail(&e);
	if (t->json)
		return tool_json(json_pack("{sI sI sI sI sI sI}", "images", (json_int_t)g.images,
			"layers", (json_int_t)g.layers, "chunks", (json_int_t)g.chunks, "files",
			(json_int_t)g.files, "bytes", (json_int_t)g.bytes, "pack_bytes",
			(json_int_t)g.pack_bytes));
	printf("%s %llu images, %llu layers, %llu chunks: %s\n",
		t->dry_run ? "would free" : "freed", (unsigned long long)g.images,
		(unsigned long long)g.layers, (unsigned long long)g.chunks,
		tool_size(g.bytes, text));
	return 0;
}
