/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest-form.h"

#include <string.h>

/* A path's end comes before '/', and that before every byte a name may have. */
static int rank(char c)
{
	if (c == 0)
		return -1;
	return c == '/' ? 0 : (unsigned char)c;
}

static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return rank(*a) - rank(*b);
}

static int compare_entries(const void *a, const void *b)
{
	const struct manifest_entry *const *x = a, *const *y = b;

	return compare_paths((*x)->path, (*y)->path);
}

static int check_unique(const struct manifest_form *f, struct err *e)
{
	for (size_t i = 1; i < f->n; i++) {
		const struct manifest_entry *a = f->entries[i - 1], *b = f->entries[i];

		if (strcmp(a->path, b->path) == 0)
			return err_set(e, -ERR_INPUT,
				"line %zu: '/%.200s' stands in line %zu already",
				a->line > b->line ? a->line : b->line, a->path,
				a->line > b->line ? b->line : a->line);
	}
	return 0;
}

static bool is_below(const char *path, const char *dir)
{
	const size_t n = strlen(dir);

	return n == 0 || (strncmp(path, dir, n) == 0 && path[n] == '/');
}

/*
 * In sorted order everything below an entry follows it at once, so the last entry that is no
 * directory is the only one that can have something below it.
 */
static int check_parents(const struct manifest_form *f, struct err *e)
{
	const struct manifest_entry *leaf = NULL;

	for (size_t i = 0; i < f->n; i++) {
		const struct manifest_entry *x = f->entries[i];

		if (leaf && is_below(x->path, leaf->path))
			return err_set(e, -ERR_INPUT,
				"line %zu: '/%.200s' is below what line %zu says is no directory",
				x->line, x->path, leaf->line);
		if (x->type != MANIFEST_DIR)
			leaf = x;
	}
	return 0;
}

static struct manifest_entry *find(const struct manifest_form *f, const char *path)
{
	const struct manifest_entry key = {.path = path}, *p = &key;
	struct manifest_entry **hit =
		f->n ? bsearch(&p, f->entries, f->n, sizeof(*f->entries), compare_entries) : NULL;

	return hit ? *hit : NULL;
}

/* The link's file; the first of its names, in order, is the one that carries the content. */
static int resolve_link(const struct manifest_form *f, struct manifest_entry *x, struct err *e)
{
	struct manifest_entry *file = find(f, x->link);

	if (!file)
		return err_set(e, -ERR_INPUT, "line %zu: there is no '/%.200s' to link to", x->line,
			x->link);
	if (file->type == MANIFEST_DIR || file->type == MANIFEST_WHITEOUT ||
		file->type == MANIFEST_HARDLINK)
		return err_set(e, -ERR_INPUT,
			"line %zu: '/%.200s' is no file that can be linked to", x->line, x->link);
	x->file = file;
	if (compare_paths(x->path, (file->first ? file->first : file)->path) < 0)
		file->first = x;
	return 0;
}

int manifest_form_check(struct manifest_form *f, struct err *e)
{
	int r;

	if (f->n > 1)
		qsort(f->entries, f->n, sizeof(*f->entries), compare_entries);
	r = check_unique(f, e);
	if (r == 0)
		r = check_parents(f, e);
	for (size_t i = 0; r == 0 && i < f->n; i++)
		if (f->entries[i]->type == MANIFEST_HARDLINK)
			r = resolve_link(f, f->entries[i], e);
	return r;
}
