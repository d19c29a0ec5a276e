/* SPDX-License-Identifier: Apache-2.0 */
#include "path.h"
#include "format/test-tree.h"

/* --- path_clean ---------------------------------------------------------------------------- */

static void test_clean(void)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"/", ""},
		{".", ""},
		{"./", ""},
		{"//", ""},
		{"a", "a"},
		{"/a", "a"},
		{"./a", "a"},
		{"a/", "a"},
		{"a//b", "a/b"},
		{"a/./b", "a/b"},
		{"a/.", "a"},
		{"a/..", ""},
		{"a/../b", "b"},
		{"a/b/..", "a"},
		{"a/b/../..", ""},
		{"a/b/../../c", "c"},
		{"...", "..."},
		{"..a", "..a"},
		{"a..", "a.."},
		{".a", ".a"},
		{" ", " "},
		{"\xff/\x80", "\xff/\x80"},
		{"..", NULL},
		{"../a", NULL},
		{"/..", NULL},
		{"a/../..", NULL},
		{"a/../../b", NULL},
		{"./..", NULL},
	};
	_cleanup_buf_ struct buf b = {0};

	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		struct err e = {0};
		int r = path_clean(cases[k][0], &b, &e);

		CHECK(r == (cases[k][1] ? 0 : -ERR_INPUT) && e.code == r);
		if (r == 0 && strcmp((char *)b.p, cases[k][1]) != 0)
			fprintf(stderr, "'%s' became '%s'\n", cases[k][0], b.p);
		CHECK(r < 0 ||
			(strcmp((char *)b.p, cases[k][1]) == 0 && b.n == strlen(cases[k][1])));
	}
}

static void test_clean_lengths(void)
{
	_cleanup_free_ char *p = malloc(PATH_BYTES_MAX + 2);
	_cleanup_buf_ struct buf b = {0};

	CHECK(p);
	memset(p, 'a', 256);
	p[255] = 0;
	CHECK(path_clean(p, &b, NULL) == 0 && b.n == 255);
	p[255] = 'a';
	p[256] = 0;
	CHECK(path_clean(p, &b, NULL) == -ERR_INPUT);
	for (size_t k = 0; k <= PATH_BYTES_MAX; k++)
		p[k] = k % 2 ? '/' : 'a';
	p[PATH_BYTES_MAX] = 0;
	CHECK(path_clean(p, &b, NULL) == 0 && b.n == PATH_BYTES_MAX - 1);
	p[PATH_BYTES_MAX] = 'a';
	p[PATH_BYTES_MAX + 1] = 0;
	CHECK(path_clean(p, &b, NULL) == -ERR_INPUT);
}

/* --- looking up ---------------------------------------------------------------------------- */

/*
 *   a/b/           up -> ../a       abs -> /a/b      out -> ../../../../a
 *   file           loop -> loop     nowhere -> x/y   tofile -> file
 *   gone (a whiteout)               lower (a link to a lower layer's file)
 */
static struct tree *example(void)
{
	struct tree *t = tree_new();
	struct inode *a, *b;
	char name[16], target[16];

	CHECK(t);
	a = put_dir(t, t->root, "a");
	b = put_dir(t, a, "b");
	put_symlink(t, a, "up", "../a");
	put_symlink(t, b, "root", "../../..");
	put_symlink(t, t->root, "abs", "/a/b");
	put_symlink(t, t->root, "out", "../../../../a");
	put_symlink(t, t->root, "loop", "loop");
	put_symlink(t, t->root, "nowhere", "x/y");
	put_symlink(t, t->root, "tofile", "file");
	put_inline(t, t->root, "file", 3);
	put(t, t->root, "gone", S_IFCHR)->flags = INODE_WHITEOUT;
	put_symlink(t, t->root, "lower", "a")->flags = INODE_LINK;
	for (int k = 0; k < 60; k++) { /* l0 -> a, l1 -> l0, ... */
		snprintf(name, sizeof(name), "l%d", k);
		snprintf(target, sizeof(target), k ? "l%d" : "a", k - 1);
		put_symlink(t, t->root, name, target);
	}
	return t;
}

/* The inode's path, of those that the tests look for. */
static struct inode *at(struct tree *t, const char *path)
{
	struct inode *i = t->root;

	for (const char *p = path; *p; p += strcspn(p, "/") + (p[strcspn(p, "/")] == '/')) {
		struct dentry *d = tree_find(t, i, p, strcspn(p, "/"));

		CHECK(d);
		i = d->inode;
	}
	return i;
}

static void test_directory(void)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"/", ""},
		{"a", "a"},
		{"a/b/", "a/b"},
		{"a/..", ""},
		{"../../a", "a"},
		{"a/up", "a"},
		{"a/up/up/up/b", "a/b"},
		{"abs", "a/b"},
		{"abs/..", "a"},
		{"out/b", "a/b"},
		{"a/b/root", ""},
		{"a/b/root/a", "a"},
		{"l39", "a"},
		{"l38/b", "a/b"},
		{"./a/./b", "a/b"},
		{"l40", NULL},
		{"loop", NULL},
		{"nowhere", NULL},
		{"file", NULL},
		{"file/x", NULL},
		{"tofile", NULL},
		{"no", NULL},
		{"no/..", NULL},
		{"gone", NULL},
		{"lower", NULL},
	};
	_cleanup_(tree_freep) struct tree *t = example();

	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		struct inode *dir = NULL;
		int r = path_directory(t, t->root, cases[k][0], &dir);

		if (r != !cases[k][1] || (r == 0 && dir != at(t, cases[k][1])))
			fprintf(stderr, "%s\n", cases[k][0]);
		CHECK(r == !cases[k][1] && (r || dir == at(t, cases[k][1])));
	}
}

static void test_parent(void)
{
	static const struct {
		const char *path, *dir, *name;
		int code;
	} cases[] = {
		{"", "", "", 0},
		{"x", "", "x", 0},
		{"a/x", "a", "x", 0},
		{"a/up/x", "a", "x", 0},
		{"abs/x", "a/b", "x", 0},
		{"a/up", "a", "up", 0},
		{"no/x", NULL, NULL, 1},
		{"gone/x", NULL, NULL, 2},
		{"nowhere/x", NULL, NULL, 1},
		{"file/x", NULL, NULL, -ERR_INPUT},
		{"tofile/x", NULL, NULL, -ERR_INPUT},
		{"loop/x", NULL, NULL, -ERR_INPUT},
		{"lower/x", NULL, NULL, -ERR_INPUT},
		{"l40/x", NULL, NULL, -ERR_INPUT},
	};
	_cleanup_(tree_freep) struct tree *t = example();
	size_t names = t->n_names;

	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		struct inode *dir;
		const char *name;
		struct err e = {0};
		int r = path_parent(t, t->root, cases[k].path, false, &dir, &name, &e);

		if (r != cases[k].code)
			fprintf(stderr, "%s: %d\n", cases[k].path, r);
		CHECK(r == cases[k].code && (r < 0) == (e.code != 0));
		CHECK(r || (dir == at(t, cases[k].dir) && strcmp(name, cases[k].name) == 0));
	}
	CHECK(t->n_names == names); /* nothing was made */
}

static void test_make(void)
{
	_cleanup_(tree_freep) struct tree *t = example();
	struct inode *dir;
	const char *name;

	CHECK(path_parent(t, t->root, "new/er/x", true, &dir, &name, NULL) == 0);
	CHECK(dir == at(t, "new/er") && dir->flags == INODE_IMPLICIT && strcmp(name, "x") == 0);
	CHECK(path_parent(t, t->root, "gone/x", true, &dir, &name, NULL) == 0);
	CHECK(dir == at(t, "gone") && dir->flags == (INODE_IMPLICIT | INODE_OPAQUE));
	CHECK(path_parent(t, t->root, "nowhere/z", true, &dir, &name, NULL) == 0);
	CHECK(dir == at(t, "x/y"));
	CHECK(path_parent(t, t->root, "file/x", true, &dir, &name, NULL) == -ERR_INPUT);
	CHECK(path_parent(t, t->root, "loop/x", true, &dir, &name, NULL) == -ERR_INPUT);
}

int main(void)
{
	test_clean();
	test_clean_lengths();
	test_directory();
	test_parent();
	test_make();
	return 0;
}
