/* SPDX-License-Identifier: Apache-2.0 */
/* import, layer add, df, gc */
#include "tool.h"

#include <time.h>

/* One line on a terminal, drawn again at most ten times a second. */
struct progress {
	bool on;
	uint64_t last_ms;
	bool drawn;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void show_progress(void *ctx, size_t layer, size_t layers, uint64_t done, uint64_t total)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];
	struct progress *p = ctx;
	uint64_t now = now_ms();

	if (!p->on || now - p->last_ms < 100)
		return;
	p->last_ms = now;
	p->drawn = true;
	fprintf(stderr, "\r\033[Klayer %zu of %zu: %s", layer + 1, layers, tool_size(done, a));
	if (total)
		fprintf(stderr, " of %s, %u %%", tool_size(total, b),
			(unsigned int)(done * 100 / total));
}

static void end_progress(struct progress *p)
{
	if (p->drawn)
		fprintf(stderr, "\r\033[K");
}

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
	struct progress p = {.on = !t->quiet && isatty(STDERR_FILENO)};
	struct plyfs_import_options o = {
		.platform = t->platform, /* import only */
		.chunk_size = t->chunk_size,
		.progress = show_progress,
		.progress_ctx = &p,
	};
	char digest[PLYFS_DIGEST_MAX];
	struct plyfs_error e;
	int r;

	if (base)
		r = plyfs_layer_add(s, base, source, name, &o, digest, &e);
	else
		r = plyfs_import(s, source, name, &o, digest, &e);
	end_progress(&p);
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

static json_t *df_json(const struct plyfs_store *s, const struct plyfs_df *d)
{
	return json_pack("{ss sI sI sI sI sI sI sI sI}", "store", plyfs_store_path(s), "images",
		(json_int_t)d->images, "names", (json_int_t)d->names, "layers",
		(json_int_t)d->layers, "chunks", (json_int_t)d->chunks, "chunk_bytes",
		(json_int_t)d->chunk_bytes, "data_bytes", (json_int_t)d->data_bytes, "index_bytes",
		(json_int_t)d->index_bytes, "disk_bytes", (json_int_t)d->disk_bytes);
}

int cmd_df(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	char text[SIZE_TEXT_MAX];
	struct plyfs_error e;
	struct plyfs_df d;

	if (!s)
		return 1;
	if (plyfs_df(s, &d, &e) < 0)
		return tool_fail(&e);
	if (t->json)
		return tool_json(df_json(s, &d));
	printf("store      %s\n", plyfs_store_path(s));
	printf("images     %llu, under %llu names\n", (unsigned long long)d.images,
		(unsigned long long)d.names);
	printf("layers     %llu\n", (unsigned long long)d.layers);
	printf("content    %s in all images\n", tool_size(d.data_bytes, text));
	printf("chunks     %llu, ", (unsigned long long)d.chunks);
	printf("%s", tool_size(d.chunk_bytes, text));
	if (d.data_bytes > d.chunk_bytes)
		printf(" (%.0f %% saved by storing each once)",
			100.0 - 100.0 * (double)d.chunk_bytes / (double)d.data_bytes);
	printf("\nindexes    %s\n", tool_size(d.index_bytes, text));
	printf("on disk    %s\n", tool_size(d.disk_bytes, text));
	return 0;
}

int cmd_gc(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	char text[SIZE_TEXT_MAX];
	struct plyfs_error e;
	struct plyfs_gc g;

	if (!s)
		return 1;
	if (plyfs_gc(s, t->dry_run, &g, &e) < 0)
		return tool_fail(&e);
	if (t->json)
		return tool_json(json_pack("{sI sI sI sI sI}", "images", (json_int_t)g.images,
			"layers", (json_int_t)g.layers, "chunks", (json_int_t)g.chunks, "files",
			(json_int_t)g.files, "bytes", (json_int_t)g.bytes));
	printf("%s %llu images, %llu layers, %llu chunks: %s\n",
		t->dry_run ? "would free" : "freed", (unsigned long long)g.images,
		(unsigned long long)g.layers, (unsigned long long)g.chunks,
		tool_size(g.bytes, text));
	return 0;
}
