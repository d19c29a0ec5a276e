/* SPDX-License-Identifier: Apache-2.0 */
/* An image, an upper directory and a union of both, for tests. */
#pragma once

#include "test-union.h"

#include "format/test-tree.h"
#include "store/ingest.h"
#include "util/remove.h"
#include "view.h"

#define MANY 400

static char root[32];
static struct store *store;
static struct image_record image;
static struct session *session;
static struct union_fs *u;
static const struct union_op op = {.unique = 1};

static inline const char *in_root(const char *name)
{
	static char paths[4][512];
	static unsigned int n;
	char *p = paths[n++ % 4];

	snprintf(p, sizeof(paths[0]), "%s/%s", root, name);
	return p;
}

/*
 *   many/n000 ... n399   dir/sub/file   dir/other -> file   link1, dir/link2: one file
 *   fifo   long/<name of 255 bytes>
 */
static inline void put_tree(struct tree *t)
{
	struct inode *many = put_dir(t, t->root, "many"), *dir = put_dir(t, t->root, "dir");
	struct inode *sub = put_dir(t, dir, "sub"), *longs = put_dir(t, t->root, "long");
	char name[256];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%03d", i);
		put_inline(t, many, name, (size_t)i);
	}
	put_inline(t, sub, "file", 10);
	put_symlink(t, dir, "other", "file");
	put_inline(t, t->root, "link1", 20);
	CHECK(tree_link(t, dir, "link2", 5, tree_find(t, t->root, "link1", 5)->inode) == 0);
	put(t, t->root, "fifo", S_IFIFO | 0600);
	memset(name, 'l', 255);
	name[255] = '\0';
	put_inline(t, longs, name, 5);
}

/* For tests that want other files, or copies of blocks. */
static void (*fill_image)(struct tree *t) = put_tree;
static bool block_copy;

static inline void make_image(void)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(tree_freep) struct tree *t = tree_new();
	_cleanup_close_ int fd = -1;
	struct ingest *g;
	unsigned int temp;

	CHECK(t && store_open(in_root("store"), true, &store, NULL) == 0);
	CHECK(ingest_begin(store, &g, NULL) == 0);
	fill_image(t);
	CHECK(index_plan_new(t, false, &plan, NULL) == 0 && ingest_temp(g, &fd, &temp, NULL) == 0);
	CHECK(index_plan_write(plan, fd, NULL, &image.index, NULL) == 0);
	image.manifest = image.index;
	image.diff_ids = calloc(1, sizeof(*image.diff_ids));
	CHECK(image.diff_ids && ingest_file(g, STORE_IMAGE, &image.manifest, temp, NULL) == 0);
	CHECK(ingest_commit(g, &image, "image", NULL) == 0);
	ingest_free(g);
}

static inline void open_union_at(const char *upper, const char *work, unsigned int flags)
{
	struct lower *l;
	struct union_config c = {
		.lowers = &l, .n_lowers = 1, .redirect = true, .block_copy = block_copy};
	struct err e = {0};
	struct view *v;
	int r = view_open(store, &image, &v, &e);

	if (r == 0)
		r = lower_index_open(v, &l, &e);
	if (r == 0)
		r = upper_open(in_root(upper), in_root(work), flags, &c.upper, &e);
	if (r == 0)
		r = union_open(&c, session, &u, &e);
	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r == 0);
}

static inline void open_union(void)
{
	open_union_at("upper", "work", session_is_attached(session) ? UPPER_RESUME : 0);
}

static inline void make_empty(const char *path)
{
	_cleanup_close_ int fd = -1;

	CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0 && remove_below(fd) == 0);
}

static inline void begin(void)
{
	make_empty(in_root("upper"));
	make_empty(in_root("work"));
	CHECK(session_new(&session, NULL) == 0);
	open_union();
}

static inline void end(void)
{
	int fd = session_fd(session);

	union_end(u);
	union_close(u);
	session_close(session);
	close(fd);
}

/* As if the process had been killed. */
static inline void restart(void)
{
	int fd = session_fd(session);

	union_close(u);
	session_close(session);
	CHECK(session_attach(fd, &session, NULL) == 0);
	open_union();
}

static inline uint64_t look_up(uint64_t dir, const char *name)
{
	struct union_entry e;
	int r = union_lookup(u, dir, name, &e);

	if (r)
		fprintf(stderr, "%s: %d\n", name, r);
	CHECK(r == 0);
	return e.node;
}

static inline uint64_t make(uint64_t dir, const char *name)
{
	struct union_entry e;

	CHECK(union_mknod(u, &op, dir, name, S_IFREG | 0644, 0, &e) == 0);
	return e.node;
}

static inline uint64_t make_dir(uint64_t dir, const char *name)
{
	struct union_entry e;

	CHECK(union_mkdir(u, &op, dir, name, 0755, &e) == 0);
	return e.node;
}

static inline void touch(uint64_t node)
{
	const struct stat st = {.st_mode = 0600};
	struct stat now;

	int r = union_setattr(u, &op, node, &st, UNION_SET_MODE, &now);

	if (r < 0)
		fprintf(stderr, "node %lu: %s\n", node, err_text(r));
	CHECK(r == 0);
}
