/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"
#include "image/index-walk.h"
#include "format/index-disk.h"
#include "format/test-tree.h"
#include "image/local.h"
#include "store/ingest.h"
#include "util/io.h"

#include <fcntl.h>
#include <ftw.h>

#define BITS  12
#define CHUNK 4096u
#define BIG   (5 * CHUNK + 100) /* of its chunks, the first and the fourth are holes */

static char root[32];

static int remove_one(
	const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_)
{
	return remove(path);
}

static uint8_t content(uint64_t at)
{
	return at / CHUNK % 3 == 0 ? 0 : (uint8_t)(at * 13 + at / CHUNK + 1);
}

/* The chunked file "big": its chunks go into the store. */
static void put_big(struct ingest *g, struct tree *t)
{
	struct inode *i = put_chunked(t, t->root, "big", BIG, BITS, 1, 0);

	for (uint64_t n = 0; n < chunk_count(BIG, BITS); n++) {
		uint32_t size = chunk_size_at(BIG, BITS, n);
		uint8_t p[CHUNK];
		struct digest d;

		for (uint32_t k = 0; k < size; k++)
			p[k] = content(n * CHUNK + k);
		if (n % 3 == 0)
			continue;
		digest_of(p, size, &d);
		CHECK(tree_chunk(t, &d, size, &i->chunks[n]) == 1);
		CHECK(ingest_chunk(g, &d, p, size, NULL) == 0);
	}
}

/*
 *   dir/sub/file   dir/up -> ..          dir/abs -> /dir/sub   dir/out -> ../../../../dir/sub
 *   loop -> loop   a -> b, b -> a        tofile -> dir/sub/file   nowhere -> no/where
 *   todir -> dir/  big   inline   empty  fifo
 */
static void put_tree(struct tree *t)
{
	struct inode *dir = put_dir(t, t->root, "dir"), *sub = put_dir(t, dir, "sub");
	char name[16], target[16];

	put_inline(t, sub, "file", 10);
	put_symlink(t, dir, "up", "..");
	put_symlink(t, dir, "abs", "/dir/sub");
	put_symlink(t, dir, "out", "../../../../dir/sub");
	put_symlink(t, t->root, "loop", "loop");
	put_symlink(t, t->root, "a", "b");
	put_symlink(t, t->root, "b", "a");
	put_symlink(t, t->root, "tofile", "dir/sub/file");
	put_symlink(t, t->root, "nowhere", "no/where");
	put_symlink(t, t->root, "todir", "dir/");
	put_inline(t, t->root, "inline", INDEX_INLINE_MAX);
	put_inline(t, t->root, "empty", 0);
	put(t, t->root, "fifo", S_IFIFO | 0600);
	CHECK(tree_link(t, sub, "again", 5, tree_find(t, t->root, "fifo", 4)->inode) == 0);
	for (int k = 0; k < 60; k++) { /* l0 -> dir, l1 -> l0, ... */
		snprintf(name, sizeof(name), "l%d", k);
		snprintf(target, sizeof(target), k ? "l%d" : "dir", k - 1);
		put_symlink(t, t->root, name, target);
	}
}

static struct store *make_image(struct image_record *rec)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(tree_freep) struct tree *t = tree_new();
	_cleanup_close_ int fd = -1;
	struct ingest *g;
	unsigned int temp;
	struct store *s;

	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	CHECK(t && mkdtemp(root) && store_open(root, true, &s, NULL) == 0);
	CHECK(ingest_begin(s, &g, NULL) == 0);
	put_tree(t);
	put_big(g, t);
	CHECK(index_plan_new(t, false, &plan, NULL) == 0 && ingest_temp(g, &fd, &temp, NULL) == 0);
	CHECK(index_plan_write(plan, fd, NULL, &rec->index, NULL) == 0);
	rec->manifest = rec->index;
	rec->diff_ids = calloc(1, sizeof(*rec->diff_ids));
	CHECK(rec->diff_ids && ingest_file(g, STORE_IMAGE, &rec->manifest, temp, NULL) == 0);
	CHECK(ingest_commit(g, rec, "image", NULL) == 0);
	ingest_free(g);
	return s;
}

/* --- looking up ---------------------------------------------------------------------------- */

static uint64_t nid_of(struct view *v, const char *path)
{
	struct index_inode i;

	CHECK(view_lookup(v, path, false, &i, NULL) == 0);
	return i.nid;
}

static void test_lookup(struct view *v)
{
	static const struct {
		const char *path, *same; /* as this plain path, or the error */
		int code;
	} cases[] = {
		{"", "/", 0},
		{"/", "/", 0},
		{".", "/", 0},
		{"..", "/", 0},
		{"../..", "/", 0},
		{"dir", "/dir", 0},
		{"//dir//sub/", "/dir/sub", 0},
		{"dir/./sub/.", "/dir/sub", 0},
		{"dir/..", "/", 0},
		{"../dir/../dir", "/dir", 0},
		{"dir/up", "/", 0},
		{"dir/up/dir", "/dir", 0},
		{"dir/abs", "/dir/sub", 0},
		{"dir/abs/..", "/dir", 0},
		{"dir/abs/file", "/dir/sub/file", 0},
		{"dir/out", "/dir/sub", 0},
		{"dir/out/../sub", "/dir/sub", 0},
		{"tofile", "/dir/sub/file", 0},
		{"todir", "/dir", 0},
		{"todir/sub", "/dir/sub", 0},
		{"todir/", "/dir", 0},
		{"l39", "/dir", 0},
		{"l39/sub", "/dir/sub", 0},
		{"l0/up/l0", "/dir", 0},
		{"no", NULL, -ENOENT},
		{"dir/no", NULL, -ENOENT},
		{"no/..", NULL, -ENOENT},
		{"nowhere", NULL, -ENOENT},
		{"nowhere/x", NULL, -ENOENT},
		{"inline/x", NULL, -ENOTDIR},
		{"inline/..", NULL, -ENOTDIR},
		{"inline/.", NULL, -ENOTDIR},
		{"inline/", NULL, -ENOTDIR},
		{"tofile/x", NULL, -ENOTDIR},
		{"tofile/", NULL, -ENOTDIR},
		{"fifo/x", NULL, -ENOTDIR},
		{"loop", NULL, -ELOOP},
		{"loop/x", NULL, -ELOOP},
		{"a", NULL, -ELOOP},
		{"l40", NULL, -ELOOP},
	};

	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		struct index_inode i = {0};
		struct err e = {0};
		int r = view_lookup(v, cases[k].path, true, &i, &e);

		if (r != cases[k].code)
			fprintf(stderr, "'%s': %d %s\n", cases[k].path, r, e.text);
		CHECK(r == cases[k].code && (r == 0 || e.code == r));
		CHECK(!cases[k].same || i.nid == nid_of(v, cases[k].same));
	}
}

/* Without following: a symlink at the end is the symlink, but for a '/' behind it. */
static void test_lookup_symlink(struct view *v)
{
	static const char *const links[] = {"loop", "a", "tofile", "nowhere", "todir", "dir/abs",
		"dir/up/loop", "l59", "dir/abs/../up"};
	struct index_inode i;
	struct bytes target;

	for (size_t k = 0; k < sizeof(links) / sizeof(*links); k++)
		CHECK(view_lookup(v, links[k], false, &i, NULL) == 0 && S_ISLNK(i.mode));
	CHECK(view_lookup(v, "dir/abs", false, &i, NULL) == 0);
	CHECK(index_content(view_index(v), &i, &target, NULL) == 0 && target.n == 8);
	CHECK(view_lookup(v, "todir/", false, &i, NULL) == 0 && S_ISDIR(i.mode));
	CHECK(view_lookup(v, "dir/abs//", false, &i, NULL) == 0 && S_ISDIR(i.mode));
	CHECK(view_lookup(v, "tofile/", false, &i, NULL) == -ENOTDIR);
	CHECK(view_lookup(v, "nowhere/", false, &i, NULL) == -ENOENT);
	CHECK(view_lookup(v, "loop/", false, &i, NULL) == -ELOOP);
}

/* --- reading ------------------------------------------------------------------------------- */

static void check_read(struct view *v, const struct index_inode *i, uint64_t off, size_t n)
{
	_cleanup_free_ uint8_t *p = malloc(n + 1);
	size_t want = off >= BIG ? 0 : BIG - off < n ? (size_t)(BIG - off) : n, got;

	CHECK(p);
	memset(p, 0xee, n + 1);
	CHECK(view_read(v, i, p, n, off, &got, NULL) == 0 && got == want);
	for (size_t k = 0; k < got; k++)
		CHECK(p[k] == content(off + k));
	CHECK(p[got] == 0xee); /* not one byte more */
}

static void test_read_chunks(struct view *v)
{
	static const size_t sizes[] = {0, 1, 2, 100, 4095, 4096, 4097, 8192, 20000, 100000};
	struct index_inode i;

	CHECK(view_lookup(v, "big", true, &i, NULL) == 0 && i.size == BIG);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
		for (uint64_t chunk = 0; chunk <= 6; chunk++) {
			check_read(v, &i, chunk * CHUNK, sizes[k]);
			check_read(v, &i, chunk * CHUNK + 1, sizes[k]);
			check_read(v, &i, chunk * CHUNK + CHUNK - 1, sizes[k]);
		}
		check_read(v, &i, BIG - 1, sizes[k]);
		check_read(v, &i, BIG, sizes[k]);
		check_read(v, &i, UINT64_MAX, sizes[k]);
	}
}

static void test_read_others(struct view *v)
{
	uint8_t p[4096];
	struct index_inode i;
	size_t n;

	CHECK(view_lookup(v, "inline", true, &i, NULL) == 0);
	CHECK(view_read(v, &i, p, sizeof(p), 0, &n, NULL) == 0 && n == INDEX_INLINE_MAX);
	for (size_t k = 0; k < n; k++)
		CHECK(p[k] == (uint8_t)(k * 7 + 'i'));
	CHECK(view_read(v, &i, p, 5, INDEX_INLINE_MAX - 2, &n, NULL) == 0 && n == 2);
	CHECK(p[0] == (uint8_t)((INDEX_INLINE_MAX - 2) * 7 + 'i'));
	CHECK(view_read(v, &i, p, 5, INDEX_INLINE_MAX, &n, NULL) == 0 && n == 0);
	CHECK(view_lookup(v, "empty", true, &i, NULL) == 0);
	CHECK(view_read(v, &i, p, 5, 0, &n, NULL) == 0 && n == 0);
	CHECK(view_lookup(v, "dir", true, &i, NULL) == 0);
	CHECK(view_read(v, &i, p, 5, 0, &n, NULL) == -EISDIR);
	CHECK(view_lookup(v, "fifo", true, &i, NULL) == 0);
	CHECK(view_read(v, &i, p, 5, 0, &n, NULL) == -EINVAL);
	CHECK(view_lookup(v, "todir", false, &i, NULL) == 0);
	CHECK(view_read(v, &i, p, 5, 0, &n, NULL) == -EINVAL);
}

static void test_next(struct view *v)
{
	static const struct {
		uint64_t off, data, end;
	} cases[] = {
		{0, CHUNK, 3 * CHUNK},
		{1, CHUNK, 3 * CHUNK},
		{CHUNK, CHUNK, 3 * CHUNK},
		{2 * CHUNK + 1, 2 * CHUNK + 1, 3 * CHUNK},
		{3 * CHUNK + 5, 4 * CHUNK, BIG},
		{5 * CHUNK + 1, 5 * CHUNK + 1, BIG},
		{BIG, BIG, 0}, /* no more */
		{BIG + CHUNK, BIG, 0},
		{UINT64_MAX, BIG, 0},
	};
	struct index_inode i;
	uint64_t at, end;

	CHECK(view_lookup(v, "big", true, &i, NULL) == 0);
	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		int r = view_next_run(v, &i, cases[k].off, &at, &end, NULL);

		CHECK(r == (cases[k].end != 0));
		CHECK(r == 0 || (at == cases[k].data && end == cases[k].end));
		CHECK(view_next_data(v, &i, cases[k].off, &at, NULL) == 0 && at == cases[k].data);
	}
	CHECK(view_lookup(v, "inline", true, &i, NULL) == 0);
	CHECK(view_next_data(v, &i, 3, &at, NULL) == 0 && at == 3);
	CHECK(view_next_run(v, &i, 3, &at, &end, NULL) == 1 && at == 3 && end == INDEX_INLINE_MAX);
	CHECK(view_lookup(v, "empty", true, &i, NULL) == 0);
	CHECK(view_next_run(v, &i, 0, &at, &end, NULL) == 0);
}

/* --- walks --------------------------------------------------------------------------------- */

static void test_walk(struct view *v)
{
	/* '-' is a directory again; '=' a further name */
	static const char *const first[] = {"./", "a", "b", "big", "dir", "dir/abs", "dir/out",
		"dir/sub", "dir/sub/again", "dir/sub/file", "-dir/sub", "dir/up", "-dir", "empty",
		"=fifo", "inline", "l0", "l1", "l10"};
	struct index_walk *w = index_walk_new(view_index(v), true);
	struct walk_entry x;
	size_t n = 0;
	int r;

	CHECK(w);
	while ((r = index_walk_next(w, &x, NULL)) == 1) {
		if (n < sizeof(first) / sizeof(*first)) {
			const char *want = first[n] + (first[n][0] == '-' || first[n][0] == '=');

			CHECK(strcmp(x.path, want) == 0 && x.leave == (first[n][0] == '-'));
			CHECK(!x.first == (first[n][0] != '='));
			CHECK(!x.first || strcmp(x.first, "dir/sub/again") == 0);
			CHECK(n == 0 || x.inode.nid == nid_of(v, want));
			CHECK(n == 0 || strcmp(strrchr(want, '/') ? strrchr(want, '/') + 1 : want,
						x.name) == 0);
		}
		n++;
	}
	CHECK(r == 0 && x.leave && strcmp(x.path, "./") == 0 && n == 21 + 60);
	CHECK(index_walk_next(w, &x, NULL) == 0);
	index_walk_free(w);
}

/* The entry of "sub" in "dir" made to lead back to "dir". */
static void test_walk_loop(struct store *s, const struct image_record *rec, struct view *v)
{
	const uint64_t dir = nid_of(v, "dir"), sub = nid_of(v, "dir/sub");
	_cleanup_close_ int local = -1, fd = -1;
	struct index_walk *w;
	struct walk_entry x;
	struct view *looped;
	struct buf b = {0};
	char name[STORE_NAME_MAX];
	struct err e = {0};
	int r, found = 0;

	CHECK(local_open(s, rec, &local, NULL) == 0 && io_slurp(local, 1 << 24, &b) == 0);
	for (size_t at = 0; at + 12 <= b.n; at += 4)
		if (memcmp(b.p + at, &sub, 8) == 0 && b.p[at + 10] == 2 && ++found)
			memcpy(b.p + at, &dir, 8);
	CHECK(found);
	store_file_name(STORE_LOCAL, &rec->manifest, name);
	CHECK(fchmodat(s->dirfd, name, 0600, 0) == 0);
	fd = openat(s->dirfd, name, O_WRONLY);
	CHECK(fd >= 0 && io_pwrite_full(fd, b.p, b.n, 0) == 0);
	CHECK(view_open(s, rec, &looped, NULL) == 0);
	w = index_walk_new(view_index(looped), false);
	while ((r = index_walk_next(w, &x, &e)) == 1)
		;
	CHECK(r == -ERR_STORE && strstr(e.text, "within itself"));
	index_walk_free(w);
	view_close(looped);
	buf_done(&b);
}

int main(void)
{
	_cleanup_image_record_ struct image_record rec = {0};
	struct store *s = make_image(&rec);
	struct view *v;

	for (int round = 0; round < 2; round++) { /* the local index: derived, then there */
		struct err e = {0};

		if (view_open(s, &rec, &v, &e) < 0) {
			fprintf(stderr, "%s\n", e.text);
			exit(1);
		}
		test_lookup(v);
		test_lookup_symlink(v);
		test_read_chunks(v);
		test_read_others(v);
		test_next(v);
		test_walk(v);
		if (round == 1)
			test_walk_loop(s, &rec, v);
		view_close(v);
	}
	store_close(s);
	CHECK(nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0);
	return 0;
}
