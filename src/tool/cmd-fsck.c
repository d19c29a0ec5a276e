/* SPDX-License-Identifier: Apache-2.0 */
/* fsck */
#include "tool.h"

#include <string.h>

struct telling {
	const struct tool *t;
	struct progress progress;
	json_t *problems;
};

static const char *class_text(enum plyfs_fsck_class class)
{
	switch (class) {
	case PLYFS_FSCK_LEFTOVER:
		return "leftover";
	case PLYFS_FSCK_HEALED:
		return "healed";
	case PLYFS_FSCK_LEFT:
		return "quarantined";
	default:
		return "damaged";
	}
}

static json_t *problem_json(const struct plyfs_fsck_problem *p)
{
	json_t *paths = json_array();

	for (size_t i = 0; i < p->n_paths; i++)
		json_array_append_new(paths,
			json_pack("{so so*}", "image", tool_json_bytes(p->paths[i].image), "path",
				p->paths[i].path ? tool_json_bytes(p->paths[i].path) : NULL));
	return json_pack("{ss ss so ss* ss* so* so}", "class", class_text(p->problem_class), "kind",
		p->kind, "text", tool_json_bytes(p->text), "digest", p->digest, "pack", p->pack,
		"offset", p->pack ? json_integer((json_int_t)p->offset) : NULL, "touches", paths);
}

/* The line, with the images; then each of their files on a line of its own. */
static void print_problem(const struct plyfs_fsck_problem *p)
{
	const char *last = NULL;

	printf("%s: ", class_text(p->problem_class));
	tool_put_name(p->text);
	for (size_t i = 0; i < p->n_paths; i++) {
		if (last && strcmp(last, p->paths[i].image) == 0)
			continue;
		printf("%s", last ? ", " : "; in ");
		tool_put_name(p->paths[i].image);
		last = p->paths[i].image;
	}
	putchar('\n');
	for (size_t i = 0; i < p->n_paths && p->problem_class != PLYFS_FSCK_HEALED; i++) {
		if (!p->paths[i].path)
			continue;
		printf("  ");
		tool_put_name(p->paths[i].image);
		putchar(' ');
		tool_put_name(p->paths[i].path);
		putchar('\n');
	}
}

static void take_problem(void *ctx, const struct plyfs_fsck_problem *p)
{
	struct telling *x = ctx;

	tool_progress_end(&x->progress);
	if (x->t->json)
		json_array_append_new(x->problems, problem_json(p));
	else
		print_problem(p);
}

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
	tool_progress_bytes(&((struct telling *)ctx)->progress, "verified", done, total);
}

static void print_summary(const struct tool *t, const struct plyfs_fsck *f, bool repair)
{
	char text[SIZE_TEXT_MAX];

	printf("%llu names, %llu images, %llu layers, %llu chunks", (unsigned long long)f->names,
		(unsigned long long)f->images, (unsigned long long)f->layers,
		(unsigned long long)f->chunks);
	if (f->unreferenced_chunks)
		printf(" (%llu unreferenced)", (unsigned long long)f->unreferenced_chunks);
	if (t->data)
		printf(", %s verified", tool_size(f->verified_bytes, text));
	printf(": %llu damaged, %llu leftovers", (unsigned long long)f->damaged,
		(unsigned long long)f->leftovers);
	if (repair)
		printf("; %llu healed, with %llu chunks from the sources; %llu left",
			(unsigned long long)f->healed, (unsigned long long)f->healed_chunks,
			(unsigned long long)f->left);
	putchar('\n');
}

static json_t *summary_json(const struct plyfs_fsck *f, json_t *problems)
{
	return json_pack("{so sI sI sI sI sI sI sI sI sI sI sI}", "problems", problems, "names",
		(json_int_t)f->names, "images", (json_int_t)f->images, "layers",
		(json_int_t)f->layers, "chunks", (json_int_t)f->chunks, "verified_bytes",
		(json_int_t)f->verified_bytes, "damaged", (json_int_t)f->damaged, "leftovers",
		(json_int_t)f->leftovers, "unreferenced_chunks", (json_int_t)f->unreferenced_chunks,
		"healed", (json_int_t)f->healed, "healed_chunks", (json_int_t)f->healed_chunks,
		"left", (json_int_t)f->left);
}

int cmd_fsck(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	struct telling x = {.t = t, .progress = tool_progress(t)};
	struct plyfs_fsck_options o = {
		.data = t->data,
		.repair = t->repair || t->argc,
		.sources = (const char *const *)t->argv,
		.n_sources = (size_t)t->argc,
		.problem = take_problem,
		.progress = show_progress,
		.ctx = &x,
	};
	struct plyfs_fsck f = {0};
	struct plyfs_error e;
	int r;

	if (!s)
		return 1;
	if (t->json)
		x.problems = json_array();
	r = plyfs_fsck(s, &o, &f, &e);
	tool_progress_end(&x.progress);
	if (t->json && tool_json(summary_json(&f, x.problems)))
		return 1;
	if (!t->json && r == 0)
		print_summary(t, &f, o.repair);
	if (r < 0)
		return tool_fail(&e);
	return (o.repair ? f.left : f.damaged) ? 1 : 0;
}
