/* SPDX-License-Identifier: Apache-2.0 */
/* A union's tree as text, a line a file, and the same of a mounted tree: to be compared. */
#pragma once

#include "node-table.h"
#include "util/array.h"
#include "util/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

struct lines {
	char **v;
	size_t n, room;
};

static inline void lines_add(struct lines *l, struct buf *b)
{
	CHECK(array_room(&l->v, l->n, &l->room, sizeof(*l->v)) == 0);
	l->v[l->n++] = (char *)b->p;
	*b = (struct buf){0};
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void lines_done(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct lines){0};
}

static inline void lines_check_same(struct lines *kernel, struct lines *ours)
{
	size_t i = 0, k = 0, bad = 0;

	qsort(kernel->v, kernel->n, sizeof(*kernel->v), compare_lines);
	qsort(ours->v, ours->n, sizeof(*ours->v), compare_lines);
	while (i < kernel->n || k < ours->n) {
		int c = i == kernel->n ? 1 : k == ours->n ? -1 : strcmp(kernel->v[i], ours->v[k]);

		if (c)
			fprintf(stderr, "%s: %s\n", c < 0 ? "kernel" : "ours  ",
				c < 0 ? kernel->v[i] : ours->v[k]);
		bad += c != 0;
		i += c <= 0;
		k += c >= 0;
	}
	CHECK(bad == 0);
}

static inline void describe_stat(
	struct buf *b, const char *path, const struct stat *st, bool with_ino)
{
	CHECK(buf_addf(b, "%s mode=%o uid=%u gid=%u nlink=%u mtime=%lld.%09ld", path, st->st_mode,
		      st->st_uid, st->st_gid, (unsigned int)st->st_nlink,
		      (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec) == 0);
	if (!S_ISDIR(st->st_mode))
		CHECK(buf_addf(b, " size=%lld rdev=%u:%u", (long long)st->st_size,
			      major(st->st_rdev), minor(st->st_rdev)) == 0);
	if (with_ino)
		CHECK(buf_addf(b, " ino=%llx", (unsigned long long)st->st_ino) == 0);
}

static inline void describe_xattrs(struct buf *b, const char *list, size_t n,
	ssize_t (*get)(void *ctx, const char *name, char *value, size_t size), void *ctx)
{
	struct lines l = {0};

	for (size_t at = 0; at < n; at += strlen(list + at) + 1) {
		struct buf x = {0};
		char value[1024];
		ssize_t k = get(ctx, list + at, value, sizeof(value));

		CHECK(k >= 0);
		CHECK(buf_addf(&x, " %s=%.*s", list + at, (int)k, value) == 0);
		lines_add(&l, &x);
	}
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), compare_lines);
	for (size_t i = 0; i < l.n; i++)
		CHECK(buf_addf(b, "%s", l.v[i]) == 0);
	lines_done(&l);
}

/* ---- of a mount -------------------------------------------------------------------------------
 */

static ssize_t get_of_path(void *ctx, const char *name, char *value, size_t size)
{
	return lgetxattr(ctx, name, value, size);
}

static inline void describe_path(struct lines *l, const char *root, const char *path, bool with_ino)
{
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *e;
	struct buf b = {0};
	struct stat st;
	char full[PATH_MAX], p[PATH_MAX], list[4096];
	ssize_t n;

	snprintf(full, sizeof(full), "%s%s", root, path);
	CHECK(lstat(full, &st) == 0);
	describe_stat(&b, path, &st, with_ino);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(full, p, sizeof(p));
		CHECK(n >= 0 && buf_addf(&b, " -> %.*s", (int)n, p) == 0);
	}
	n = llistxattr(full, list, sizeof(list));
	CHECK(n >= 0);
	describe_xattrs(&b, list, (size_t)n, get_of_path, full);
	lines_add(l, &b);
	if (!S_ISDIR(st.st_mode))
		return;
	d = opendir(full);
	CHECK(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(p, sizeof(p), "%s/%s", path, e->d_name);
		describe_path(l, root, p, with_ino);
	}
}

/* ---- of a union -------------------------------------------------------------------------------
 */

struct child {
	char name[256];
	uint64_t ino;
	uint8_t type;
	struct union_entry entry;
};
struct children {
	struct child *v;
	size_t n, room;
	size_t left; /* names that still find room */
	uint64_t next;
	bool plus;
};

static int fill_children(void *ctx, const struct union_name *n)
{
	struct children *c = ctx;
	struct child k = {.ino = n->ino, .type = n->type};

	if (!c->left)
		return 1;
	c->left--;
	CHECK(n->len <= 255 && n->next > c->next && n->next < (uint64_t)INT64_MAX);
	CHECK(!n->entry == !c->plus);
	memcpy(k.name, n->name, n->len);
	if (n->entry)
		k.entry = *n->entry;
	c->next = n->next;
	CHECK(array_room(&c->v, c->n, &c->room, sizeof(*c->v)) == 0);
	c->v[c->n++] = k;
	return 0;
}

/* All names, some at a time. */
static inline struct children list_all(struct union_fs *u, uint64_t dir, bool plus, size_t step)
{
	struct children c = {.plus = plus};
	size_t before;

	do {
		before = c.n;
		c.left = step;
		CHECK(union_readdir(u, dir, c.next, plus, fill_children, &c) == 0);
	} while (c.n > before);
	CHECK(c.n >= 2 && strcmp(c.v[0].name, ".") == 0 && strcmp(c.v[1].name, "..") == 0);
	CHECK(!c.v[0].entry.node && !c.v[1].entry.node);
	return c;
}

struct union_at {
	struct union_fs *u;
	uint64_t node;
};

static ssize_t get_of_node(void *ctx, const char *name, char *value, size_t size)
{
	struct union_at *a = ctx;
	size_t n;
	int r = union_getxattr(a->u, a->node, name, value, size, &n);

	return r < 0 ? r : (ssize_t)n;
}

static inline void describe_node(
	struct lines *l, struct union_fs *u, uint64_t node, const char *path, bool with_ino)
{
	struct union_at at = {u, node};
	struct buf b = {0};
	char p[PATH_MAX], list[4096];
	struct stat st;
	size_t n;
	int r = union_getattr(u, node, &st);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", path, err_text(r));
	CHECK(r == 0);
	describe_stat(&b, path, &st, with_ino);
	if (S_ISLNK(st.st_mode)) {
		CHECK(union_readlink(u, node, p, sizeof(p), &n) == 0);
		CHECK(buf_addf(&b, " -> %.*s", (int)n, p) == 0);
	}
	CHECK(union_listxattr(u, node, list, sizeof(list), &n) == 0);
	describe_xattrs(&b, list, n, get_of_node, &at);
	lines_add(l, &b);
}

static inline void describe_union(struct lines *l, struct union_fs *u, uint64_t node,
	const char *path, bool with_ino, bool plus, size_t step)
{
	struct union_entry e;
	struct children c;
	struct stat st;
	char p[PATH_MAX];

	describe_node(l, u, node, path, with_ino);
	CHECK(union_getattr(u, node, &st) == 0);
	if (!S_ISDIR(st.st_mode))
		return;
	c = list_all(u, node, plus, step);
	for (size_t i = 2; i < c.n; i++) {
		struct child *k = &c.v[i];
		int r = union_lookup(u, node, k->name, &e);

		snprintf(p, sizeof(p), "%s/%s", path, k->name);
		if (r)
			fprintf(stderr, "%s: %d\n", p, r);
		CHECK(r == 0);
		if (e.st.st_ino != k->ino || IFTODT(e.st.st_mode) != k->type)
			fprintf(stderr, "%s: %lx %lx %o %d\n", p, e.st.st_ino, k->ino, e.st.st_mode,
				k->type);
		CHECK(e.st.st_ino == k->ino && IFTODT(e.st.st_mode) == k->type);
		CHECK(union_getattr(u, e.node, &st) == 0);
		CHECK(st.st_mode == e.st.st_mode && st.st_nlink == e.st.st_nlink &&
			st.st_ino == e.st.st_ino && st.st_uid == e.st.st_uid &&
			st.st_size == e.st.st_size);
		if (plus) {
			CHECK(k->entry.node == e.node && k->entry.st.st_ino == e.st.st_ino);
			union_forget(u, e.node, 1);
		}
		describe_union(l, u, e.node, p, with_ino, plus, step);
		union_forget(u, e.node, 1);
	}
	free(c.v);
}

static inline size_t count_records(struct session *s)
{
	size_t n = 0;

	for (uint32_t id = 1; id < session_nodes_end(s); id++)
		n += session_node(s, id) != NULL;
	return n;
}

static inline void shell(const char *fmt, ...) _printf_(1, 2);
static inline void shell(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;

	va_start(ap, fmt);
	CHECK(vsnprintf(cmd, sizeof(cmd), fmt, ap) < (int)sizeof(cmd));
	va_end(ap);
	if (system(cmd) != 0) {
		fprintf(stderr, "failed: %s\n", cmd);
		exit(1);
	}
}
