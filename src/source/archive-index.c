/* SPDX-License-Identifier: Apache-2.0 */
#include "archive-internal.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>

void archive_index_free(struct archive_index *a)
{
	if (!a)
		return;
	arena_done(&a->arena);
	free(a->entries);
	free(a);
}

void archive_clean_name(char *name)
{
	char *to = name;

	for (const char *from = name; *from;) {
		size_t n = strcspn(from, "/");

		if (n > 0 && !(n == 1 && from[0] == '.')) {
			if (to != name)
				*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n + (from[n] == '/');
	}
	*to = 0;
}

static int compare_entries(const void *a, const void *b)
{
	const struct archive_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int archive_index_new(int fd, struct archive_index **ret, struct err *e)
{
	_cleanup_(archive_index_freep) struct archive_index *a = calloc(1, sizeof(*a));
	struct stat st;
	int r;

	if (!a)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "reading the tar archive");
	assert(S_ISREG(st.st_mode));
	r = archive_scan(fd, (uint64_t)st.st_size, a, e);
	if (r < 0)
		return r;
	if (a->n)
		qsort(a->entries, a->n, sizeof(*a->entries), compare_entries);
	*ret = TAKE_PTR(a);
	return 0;
}

/* 1 = *ret is the one entry of that name; 0 = there is none. */
static int find_entry(const struct archive_index *a, const char *name,
	const struct archive_entry **ret, struct err *e)
{
	const struct archive_entry key = {.name = name}, *p;

	p = a->n ? bsearch(&key, a->entries, a->n, sizeof(*p), compare_entries) : NULL;
	if (!p)
		return 0;
	if ((p > a->entries && compare_entries(p - 1, p) == 0) ||
		(p + 1 < a->entries + a->n && compare_entries(p + 1, p) == 0))
		return err_set(e, -ERR_INPUT, "tar archive: '%s' is there twice", name);
	*ret = p;
	return 1;
}

/* The name that a link in the archive stands for, or NULL: it leads out, or no memory. */
static char *link_target(const struct archive_entry *link)
{
	const char *slash = strrchr(link->name, '/');
	int dir = link->hardlink || link->link[0] == '/' || !slash ? 0 : (int)(slash - link->name);
	const char *p = link->link;
	char *target;

	/* "../x": one name less of the directory. Further dots inside name nothing. */
	while (!link->hardlink && strncmp(p, "../", 3) == 0) {
		if (dir == 0)
			return NULL;
		while (dir > 0 && link->name[--dir] != '/')
			;
		p += 3;
	}
	if (asprintf(&target, "%.*s/%s", dir, link->name, p) < 0)
		return NULL;
	archive_clean_name(target);
	return target;
}

static int follow_link(const struct archive_index *a, const struct archive_entry **p, struct err *e)
{
	_cleanup_free_ char *target = link_target(*p);
	const struct archive_entry *found = NULL;
	int r = target ? find_entry(a, target, &found, e) : 0;

	if (r < 0)
		return r;
	if (r == 0 || found->link)
		return err_set(e, -ERR_INPUT,
			"tar archive: '%s' links to '%s', which is no file in it", (*p)->name,
			(*p)->link);
	*p = found;
	return 0;
}

int archive_index_find(const struct archive_index *a, const char *name, uint64_t *ret_offset,
	uint64_t *ret_size, struct err *e)
{
	_cleanup_free_ char *clean = strdup(name);
	const struct archive_entry *p = NULL;
	int r;

	if (!clean)
		return -ENOMEM;
	archive_clean_name(clean);
	r = find_entry(a, clean, &p, e);
	if (r > 0 && p->link) {
		int f = follow_link(a, &p, e);

		r = f < 0 ? f : r;
	}
	if (r <= 0)
		return r;
	*ret_offset = p->offset;
	*ret_size = p->size;
	return 1;
}
