/* SPDX-License-Identifier: Apache-2.0 */
#include "test-index-walk.h"
#include "test-tree.h"
#include "util/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- writing and reading back -------------------------------------------------------------- */

static int write_tree(struct tree *t, bool layer, const struct index_local *local,
	struct digest *ret_digest, struct err *e)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_close_ int fd = test_memfd();
	int r = index_plan_new(t, layer, &plan, e);

	if (r == 0)
		r = index_plan_write(plan, fd, local, ret_digest, e);
	return r < 0 ? r : TAKE_FD(fd);
}

static bool has_fsck(void)
{
	static int known = -1;

	if (known < 0)
		known = system("command -v fsck.erofs >/dev/null") == 0;
	return known;
}

static struct index *open_fd(int fd)
{
	struct index *x;
	struct err e = {0};

	if (index_open(fd, &x, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	return x;
}

/* erofs-utils must accept it, with empty devices. */
static void check_fsck(int fd)
{
	_cleanup_(index_closep) struct index *x = open_fd(fd);
	_cleanup_buf_ struct buf b = {0};

	if (!has_fsck())
		return;
	CHECK(buf_addf(&b, "fsck.erofs") == 0);
	for (uint64_t k = 0; k < index_info(x)->devices; k++)
		CHECK(buf_addf(&b, " --device=/dev/null") == 0);
	CHECK(buf_addf(&b, " /proc/%d/fd/%d >/dev/null", getpid(), fd) == 0);
	CHECK(system((char *)b.p) == 0);
}

static struct inode *load(const struct index *x, struct tree *t)
{
	struct err e = {0};

	if (index_load(x, t, &t->root, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	return t->root;
}

/* tree -> index -> tree: the same in every attribute. The index's descriptor is returned. */
static int check_round_trip(struct tree *t, bool layer)
{
	_cleanup_free_ char *before = describe(t, t->root, true), *after = NULL;
	_cleanup_(tree_freep) struct tree *t2 = tree_new();
	_cleanup_(index_closep) struct index *x = NULL;
	struct err e = {0};
	int fd = write_tree(t, layer, NULL, NULL, &e);

	if (fd < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(fd >= 0 && t2);
	x = open_fd(fd);
	CHECK(index_info(x)->layer == layer && !index_info(x)->local);
	load(x, t2);
	after = describe(t2, t2->root, true);
	if (strcmp(before, after) != 0)
		fprintf(stderr, "--- before\n%.4000s--- after\n%.4000s", before, after);
	CHECK(strcmp(before, after) == 0);
	walk_index(x);
	check_fsck(fd);
	return fd;
}

static void round_trip(struct tree *t)
{
	close(check_round_trip(t, false));
	tree_free(t);
}

static struct tree *new_tree(void)
{
	struct tree *t = tree_new();

	CHECK(t);
	t->root->flags = 0;
	return t;
}

/* --- a small tree with one of everything --------------------------------------------------- */

static void put_devices(struct tree *t, struct inode *dir)
{
	static const uint32_t numbers[][2] = {
		{0, 0}, {1, 3}, {255, 255}, {256, 256}, {0xfff, 0xfffff}, {0xfff, 0}, {0, 0xfffff}};
	char name[16];

	for (size_t k = 0; k < sizeof(numbers) / sizeof(*numbers); k++) {
		struct inode *i;

		snprintf(name, sizeof(name), "dev%zu", k);
		i = put(t, dir, name, (k % 2 ? S_IFBLK : S_IFCHR) | 0660);
		i->dev_major = numbers[k][0];
		i->dev_minor = numbers[k][1];
	}
	put(t, dir, "fifo", S_IFIFO | 0600);
	put(t, dir, "socket", S_IFSOCK | 0777);
}

static void put_attributes(struct tree *t, struct inode *dir)
{
	struct inode *i = put_inline(t, dir, "old", 10);

	i->mtime = -86400;
	i->mtime_nsec = 999999999;
	i->mode = S_IFREG | 07777;
	i->uid = UINT32_MAX - 1;
	i->gid = 1u << 31;
	i = put_inline(t, dir, "older", 0);
	i->mtime = INT64_MIN / 4;
	i->mode = S_IFREG;
	i = put_inline(t, dir, "future", 1);
	i->mtime = INT64_MAX;
	i->mtime_nsec = 1;
}

static const struct xattr some_xattrs[] = {
	{"user.empty", (const uint8_t *)"", 0},
	{"user.one", (const uint8_t *)"1", 1},
	{"security.capability", (const uint8_t *)"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20},
	{"trusted.t", (const uint8_t *)"tt", 2},
	{"system.posix_acl_access", (const uint8_t *)"\2\0\0\0", 4},
	{"system.posix_acl_default", (const uint8_t *)"\2\0\0\0\1\0", 6},
};
#define SOME_XATTRS (sizeof(some_xattrs) / sizeof(*some_xattrs))

/* Small enough that each of its bytes can be damaged in turn. */
static struct tree *small_tree(bool layer)
{
	struct tree *t = new_tree();
	struct inode *dir = put_dir(t, t->root, "dir"), *i;

	put_devices(t, dir);
	put_attributes(t, dir);
	put_xattrs(t, dir, some_xattrs, SOME_XATTRS);
	put_xattrs(t, put_inline(t, dir, "shares", 3), some_xattrs, 2);
	put_symlink(t, t->root, "link", "dir/old");
	put_symlink(t, t->root, "long", "x/../x/../x/../x/../x/../x/../x/../x/../x/../x/../x");
	i = put_chunked(t, t->root, "data", 5 * 4096 + 1, 12, 3, 0);
	CHECK(tree_link(t, dir, "again", 5, i) == 0);
	put_chunked(t, dir, "more", 3 * 8192, 13, 0, 100);
	put(t, t->root, "-", S_IFIFO);
	if (layer) {
		put(t, t->root, "gone", S_IFCHR)->flags = INODE_WHITEOUT;
		put_symlink(t, dir, "lower", "some/file")->flags = INODE_LINK;
		put_dir(t, t->root, "implicit")->flags = INODE_IMPLICIT;
		put_dir(t, t->root, "opaque")->flags = INODE_OPAQUE | INODE_IMPLICIT;
	}
	return t;
}

static void test_small(void)
{
	struct tree *t = new_tree();

	t->root->mode = S_IFDIR | 01777;
	t->root->mtime_nsec = 7;
	round_trip(t); /* nothing but the root */
	round_trip(small_tree(false));
	t = small_tree(true);
	close(check_round_trip(t, true));
	tree_free(t);
}

/* I1: the same input, the same bytes, for ever. A change here is a change of the format. */
static void test_golden(void)
{
	static const char *const golden[] = {
		"sha256:bca0f40b8684018671ffb2847e083aec5b01c46d75a59e6f49fbc9afe63f3202",
		"sha256:409d076dbab0f4b0915d26fb464cb570e53cdf5166bfdd5432093c2faba88a8a",
	};
	char text[DIGEST_TEXT_MAX];
	bool same = true;

	for (int layer = 0; layer < 2; layer++) {
		_cleanup_(tree_freep) struct tree *t = small_tree(layer);
		struct digest d;
		int fd = write_tree(t, layer, NULL, &d, NULL);

		CHECK(fd >= 0);
		close(fd);
		if (strcmp(digest_text(&d, text), golden[layer]) == 0)
			continue;
		fprintf(stderr, "golden digest %d: %s\n", layer, text);
		same = false;
	}
	CHECK(same);
}

/* The digest that is returned is that of the bytes that are written. */
static void test_digest(void)
{
	_cleanup_(tree_freep) struct tree *t = small_tree(false);
	_cleanup_buf_ struct buf b = {0};
	struct digest said, is;
	_cleanup_close_ int fd = write_tree(t, false, NULL, &said, NULL);

	CHECK(fd >= 0 && lseek(fd, 0, SEEK_SET) == 0 && io_slurp(fd, 1 << 20, &b) == 0);
	digest_of(b.p, b.n, &is);
	CHECK(digest_equal(&said, &is));
}

/* --- I1: the order in which names and chunks came does not matter -------------------------- */

#define SHUFFLED 500

static void put_shuffled(struct tree *t, struct inode *dirs[3], unsigned int k)
{
	struct inode *dir = dirs[k % 3];
	struct xattr x = {"user.x", (const uint8_t *)"shared", 6};
	char name[32];

	snprintf(name, sizeof(name), "%x-%u", k * 2654435761u, k);
	if (k % 5 == 0)
		put_xattrs(t, put_chunked(t, dir, name, 10000 + k, 12, 0, k * 10), &x, 1);
	else if (k % 5 == 1)
		put_symlink(t, dir, name, name);
	else
		put_inline(t, dir, name, k);
}

static struct digest shuffled_digest(unsigned int step)
{
	_cleanup_(tree_freep) struct tree *t = new_tree();
	struct inode *dirs[3] = {t->root};
	struct digest d;
	int fd;

	dirs[2 - step % 2] = put_dir(t, t->root, step % 2 ? "b" : "a");
	dirs[1 + step % 2] = put_dir(t, t->root, step % 2 ? "a" : "b");
	for (unsigned int k = 0; k < SHUFFLED; k++)
		put_shuffled(t, dirs, k * step % SHUFFLED);
	fd = write_tree(t, false, NULL, &d, NULL);
	CHECK(fd >= 0);
	close(fd);
	return d;
}

static void test_determinism(void)
{
	struct digest first = shuffled_digest(1);

	for (unsigned int step = 3; step < 40; step += 2) {
		struct digest d;

		if (step % 5 == 0)
			continue; /* would not reach all */
		d = shuffled_digest(step);
		CHECK(digest_equal(&first, &d));
	}
}

/* --- I2: the local index ------------------------------------------------------------------- */

static void fill_local(struct index_local *l, struct index_device *devices, struct index_address *v)
{
	for (size_t k = 0; k < INDEX_DEVICES_MAX; k++) {
		snprintf(devices[k].tag, sizeof(devices[k].tag), "packs/%zu.pack", k);
		devices[k].blocks = 1u << 31;
	}
	for (size_t k = 0; k < 64; k++)
		v[k] = (struct index_address){
			(uint16_t)(k % INDEX_DEVICES_MAX + 1), (uint32_t)k * 7919};
	*l = (struct index_local){
		.devices = devices, .n_devices = INDEX_DEVICES_MAX, .addresses = v};
	memset(l->portable.b, 0xab, DIGEST_SIZE);
}

static void slurp_plan(struct index_plan *plan, const struct index_local *local, struct buf *ret)
{
	_cleanup_close_ int fd = test_memfd();

	CHECK(index_plan_write(plan, fd, local, NULL, NULL) == 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0 && io_slurp(fd, 1 << 20, ret) == 0);
	check_fsck(fd);
}

/* Bytes behind the first block that differ must be chunk indexes. */
static void compare_behind_first(const struct buf *a, const struct buf *b, const struct index *x)
{
	size_t differ = 0, n_entries = 6 - 2 + 3; /* of small_tree */

	CHECK(a->n == b->n && index_info(x)->chunks == n_entries);
	for (size_t k = EROFS_BLOCK_SIZE; k < a->n; k += 8)
		differ += memcmp(a->p + k, b->p + k, a->n - k < 8 ? a->n - k : 8) != 0;
	CHECK(differ > 0 && differ <= n_entries);
}

static void check_addresses(const struct index *local, const struct index_address *v, uint64_t root)
{
	struct index_inode dir, file;
	struct index_address a;
	uint64_t nid;

	CHECK(index_inode(local, root, &dir, NULL) == 0);
	CHECK(index_lookup(local, &dir, "data", 4, &nid, NULL) == 0);
	CHECK(index_inode(local, nid, &file, NULL) == 0);
	for (uint64_t k = 0, stored = 0; k < 6; k++) {
		int r = index_address(local, &file, k, &a, NULL);

		CHECK(r == (k % 3 == 0));
		if (r)
			continue;
		CHECK(a.device == v[stored].device && a.block == v[stored].block);
		stored++;
	}
	CHECK(index_address(local, &file, 6, &a, NULL) == -ERR_INPUT);
	CHECK(index_address(local, &file, UINT64_MAX / 8, &a, NULL) == -ERR_INPUT);
}

static void test_local(void)
{
	_cleanup_(tree_freep) struct tree *t = small_tree(false), *t2 = tree_new();
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(index_closep) struct index *x = NULL, *y = NULL;
	_cleanup_buf_ struct buf portable = {0}, local = {0};
	struct index_device devices[INDEX_DEVICES_MAX] = {0};
	struct index_address v[64];
	struct index_local l;
	struct inode *root;

	fill_local(&l, devices, v);
	CHECK(index_plan_new(t, false, &plan, NULL) == 0);
	slurp_plan(plan, NULL, &portable);
	slurp_plan(plan, &l, &local);
	CHECK(index_open_memory(portable.p, portable.n, &x, NULL) == 0);
	CHECK(index_open_memory(local.p, local.n, &y, NULL) == 0);
	compare_behind_first(&portable, &local, x);
	CHECK(index_info(y)->local && index_info(y)->devices == INDEX_DEVICES_MAX);
	CHECK(digest_equal(&index_info(y)->portable, &l.portable));
	CHECK(index_info(y)->facts && !index_info(x)->facts);
	CHECK(index_info(x)->devices == 1 && index_info(x)->inodes == index_info(y)->inodes);
	check_addresses(y, v, index_info(y)->root_nid);
	CHECK(index_load(y, t2, &root, NULL) == -ERR_UNSUPPORTED);
}

/* One tree's facts, told by its local index, or not told. */
static void check_facts(struct tree *t, bool without, bool whiteout, uint64_t largest)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_buf_ struct buf b = {0};
	struct index_device devices[INDEX_DEVICES_MAX] = {0};
	struct index_address v[64];
	struct index_local l;

	fill_local(&l, devices, v);
	l.without_facts = without;
	CHECK(index_plan_new(t, false, &plan, NULL) == 0);
	slurp_plan(plan, &l, &b);
	CHECK(index_open_memory(b.p, b.n, &x, NULL) == 0);
	CHECK(index_info(x)->facts == !without);
	CHECK(index_info(x)->whiteout == whiteout && index_info(x)->largest == largest);
}

static struct tree *tree_of_facts(bool whiteout, bool large)
{
	struct tree *t = tree_new();
	struct inode *dir, *null;

	t->root = tree_inode_new(t, S_IFDIR | 0755);
	dir = put_dir(t, t->root, "dir");
	put_inline(t, dir, "inline", 300);
	null = put(t, dir, "null", S_IFCHR | 0666);
	null->dev_major = 1;
	put(t, dir, "block", S_IFBLK | 0600);
	if (whiteout)
		put(t, dir, "zero", S_IFCHR | 0600);
	if (large) {
		put_chunked(t, dir, "small", 20000, 12, 0, 100);
		put_chunked(t, dir, "sparse", 10 * 4096, 12, 2, 200); /* 5 chunks of 10 */
	}
	return t;
}

static void test_facts(void)
{
	for (int whiteout = 0; whiteout < 2; whiteout++) {
		_cleanup_(tree_freep) struct tree *t = tree_of_facts(whiteout, false),
						  *t2 = tree_of_facts(whiteout, true),
						  *t3 = tree_of_facts(whiteout, true);

		check_facts(t, false, whiteout, 300);
		check_facts(t2, false, whiteout, 5 * 4096);
		check_facts(t3, true, false, 0);
	}
}

static void test_chunk_table(void)
{
	_cleanup_(tree_freep) struct tree *t = small_tree(false);
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = test_memfd();
	uint64_t block = 0, at;
	const uint32_t *ids;
	struct chunk c;
	size_t n;

	CHECK(index_plan_new(t, false, &plan, NULL) == 0);
	CHECK(index_plan_tree(plan) == t);
	CHECK(index_plan_write(plan, fd, NULL, NULL, NULL) == 0);
	x = open_fd(fd);
	ids = index_plan_chunks(plan, &n);
	CHECK(n == index_info(x)->chunks);
	for (size_t k = 0; k < n; k++) {
		index_chunk(x, k, &c);
		CHECK(c.size == t->chunks[ids[k]].size &&
			digest_equal(&c.digest, &t->chunks[ids[k]].digest));
		CHECK(index_find_chunk(x, (uint32_t)block, &at) == 0 && at == k);
		CHECK(c.size <= 4096 || index_find_chunk(x, (uint32_t)block + 1, &at) == 1);
		block += (c.size + 4095) / 4096;
	}
	CHECK(index_find_chunk(x, (uint32_t)block, &at) == 1);
}

/* --- directories --------------------------------------------------------------------------- */

static void lookup_in_root(const struct index *x, const char *name, size_t len, bool present)
{
	struct index_inode dir;
	uint64_t nid = 0;

	CHECK(index_inode(x, index_info(x)->root_nid, &dir, NULL) == 0);
	CHECK(index_lookup(x, &dir, name, len, &nid, NULL) == !present);
	CHECK(!present || nid != 0);
}

/* All names, in the order of their bytes, "." and ".." among them. */
static void check_readdir(const struct index *x, size_t expected)
{
	struct index_inode dir, i;
	char last[256] = "";
	size_t n = 0, last_len = 0;
	struct index_name name;
	uint64_t pos = 0, nid;
	int r;

	CHECK(index_inode(x, index_info(x)->root_nid, &dir, NULL) == 0);
	while ((r = index_readdir(x, &dir, &pos, &name, NULL)) == 1) {
		size_t k = last_len < name.len ? last_len : name.len;
		int c = memcmp(last, name.name, k);

		CHECK(n == 0 || c < 0 || (c == 0 && last_len < name.len));
		memcpy(last, name.name, name.len);
		last_len = name.len;
		CHECK(index_lookup(x, &dir, name.name, name.len, &nid, NULL) == 0 &&
			nid == name.nid);
		CHECK(index_inode(x, nid, &i, NULL) == 0 && IFTODT(i.mode) == name.type);
		n++;
	}
	CHECK(r == 0 && n == expected + 2);
}

static void test_large_directory(void)
{
	_cleanup_(tree_freep) struct tree *t = new_tree(), *t2 = tree_new();
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = -1;
	char name[32];

	for (unsigned int k = 0; k < 100000; k++) {
		snprintf(name, sizeof(name), "name-%u", k * 2654435761u);
		put(t, t->root, name, S_IFREG | 0644);
	}
	fd = write_tree(t, false, NULL, NULL, NULL);
	CHECK(fd >= 0);
	x = open_fd(fd);
	check_readdir(x, 100000);
	for (unsigned int k = 0; k < 100000; k += 17) {
		int n = snprintf(name, sizeof(name), "name-%u", k * 2654435761u);

		lookup_in_root(x, name, (size_t)n, true);
		lookup_in_root(x, name, (size_t)n - 1, tree_find(t, t->root, name, (size_t)n - 1));
		lookup_in_root(x, strcat(name, "x"), (size_t)n + 1, false);
	}
	lookup_in_root(x, "", 0, false);
	lookup_in_root(x, "\377", 1, false);
	load(x, t2);
	CHECK(t2->n_names == 100000 && index_info(x)->inodes == 100001);
	check_fsck(fd);
}

/* Names before, between and behind "." and "..": both must be found, and in their places. */
static void test_odd_names(void)
{
	static const char *const names[] = {"!", "-", "+", "--", ",", ".-", "...", ".a", ". ", "0",
		"\1", "\377\376", "\x80", " ", "..a", "..\1", ".\1", "-.", "~"};
	_cleanup_(tree_freep) struct tree *t = new_tree();
	_cleanup_(index_closep) struct index *x = NULL;
	const size_t n = sizeof(names) / sizeof(*names);
	_cleanup_close_ int fd = -1;
	char longest[256];

	for (size_t k = 0; k < n; k++)
		put(t, t->root, names[k], k % 2 ? S_IFIFO : S_IFDIR | 0700);
	memset(longest, '*', 255); /* before "." */
	longest[255] = 0;
	put(t, t->root, longest, S_IFIFO);
	fd = check_round_trip(t, false);
	x = open_fd(fd);
	check_readdir(x, n + 1);
	for (size_t k = 0; k < n; k++)
		lookup_in_root(x, names[k], strlen(names[k]), true);
	lookup_in_root(x, longest, 255, true);
	lookup_in_root(x, longest, 254, false);
	lookup_in_root(x, ".", 1, true);
	lookup_in_root(x, "..", 2, true);
	lookup_in_root(x, ".b", 2, false);
	lookup_in_root(x, "", 0, false);
}

/*
 * A directory whose names take exactly `bytes`: "." and ".." take 27, and 12 + the length each
 * other. Whole blocks are filled to the last byte.
 */
static struct tree *tree_of_size(size_t bytes)
{
	struct tree *t = new_tree();
	size_t block = 27, total = 27;
	char name[256];

	for (unsigned int k = 0; total < bytes; k++) {
		size_t left = 4096 - block < bytes - total ? 4096 - block : bytes - total;
		size_t len = left >= 2 * (12 + 8) + 200 ? 200 : left - 12;

		if (left > 267) /* the rest must stay large enough for one name */
			len = 200;
		else if (left > 255 + 12)
			len = 100;
		CHECK(left >= 12 + 5);
		if (left - 12 - len != 0 && left - 12 - len < 12 + 5)
			len -= 20;
		snprintf(name, sizeof(name), "n%04u", k);
		memset(name + 5, 'x', len - 5);
		name[len] = 0;
		put(t, t->root, name, S_IFIFO);
		total += 12 + len;
		block += 12 + len;
		block %= 4096;
	}
	return t;
}

static void test_directory_sizes(void)
{
	for (size_t blocks = 0; blocks < 4; blocks++) {
		static const size_t tails[] = {0, 100, 2047, 2048, 2049, 4000};

		for (size_t k = 0; k < sizeof(tails) / sizeof(*tails); k++) {
			size_t size = blocks * 4096 + tails[k];
			_cleanup_(tree_freep) struct tree *t =
				size ? tree_of_size(size) : new_tree();
			_cleanup_(index_closep) struct index *x = NULL;
			_cleanup_close_ int fd = check_round_trip(t, false);
			struct index_inode dir;

			x = open_fd(fd);
			CHECK(index_inode(x, index_info(x)->root_nid, &dir, NULL) == 0);
			CHECK(dir.size == (size ? size : 27));
			check_readdir(x, t->n_names);
		}
	}
}

static void test_deep(void)
{
	struct tree *t = new_tree();
	struct inode *dir = t->root;
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_(tree_freep) struct tree *t2 = tree_new();
	int fd;

	for (int k = 0; k < 20000; k++)
		dir = put_dir(t, dir, "d");
	fd = write_tree(t, false, NULL, NULL, NULL);
	CHECK(fd >= 0);
	x = open_fd(fd);
	close(fd);
	load(x, t2);
	CHECK(t2->n_names == 20000);
	tree_free(t);
}

/* --- files --------------------------------------------------------------------------------- */

static void test_inline(void)
{
	struct tree *t = new_tree();
	char name[16];

	for (size_t size = 0; size < INDEX_INLINE_MAX;
		size += size < INDEX_INLINE_MAX - 40 ? 37 : 1) {
		snprintf(name, sizeof(name), "%zu", size);
		put_inline(t, t->root, name, size);
	}
	put_inline(t, t->root, "most", INDEX_INLINE_MAX);
	put_chunked(t, t->root, "more", INDEX_INLINE_MAX + 1, 12, 0, 0);
	round_trip(t);
}

static void test_hard_links(void)
{
	struct tree *t = new_tree();
	struct inode *kinds[] = {put_inline(t, t->root, "i", 5), put_symlink(t, t->root, "s", "i"),
		put(t, t->root, "c", S_IFCHR | 0600), put_chunked(t, t->root, "f", 9000, 12, 0, 0)};
	_cleanup_(index_closep) struct index *x = NULL;
	struct index_inode dir, i;
	uint64_t nid;
	char name[16];
	int fd;

	for (int k = 0; k < 299; k++) {
		struct inode *in =
			k % 3 ? t->root : put_dir(t, t->root, (snprintf(name, 16, "d%d", k), name));

		for (size_t n = 0; n < 4; n++) {
			snprintf(name, sizeof(name), "%c%d", "iscf"[n], k);
			CHECK(tree_link(t, in, name, strlen(name), kinds[n]) == 0);
		}
	}
	fd = check_round_trip(t, false);
	x = open_fd(fd);
	CHECK(index_inode(x, index_info(x)->root_nid, &dir, NULL) == 0);
	CHECK(dir.nlink == 2 + 100);
	for (size_t n = 0; n < 4; n++) {
		CHECK(index_lookup(x, &dir, &"iscf"[n], 1, &nid, NULL) == 0);
		CHECK(index_inode(x, nid, &i, NULL) == 0 && i.nlink == 300);
	}
	CHECK(index_info(x)->inodes == 1 + 100 + 4 && index_info(x)->data_bytes == 5 + 9000);
	close(fd);
	tree_free(t);
}

static void test_chunked(void)
{
	struct tree *t = new_tree();
	char name[16];

	for (unsigned int bits = CHUNK_BITS_MIN; bits <= CHUNK_BITS_MAX; bits++) {
		uint64_t size = (uint64_t)1 << bits;

		for (unsigned int k = 0; k < 5; k++) {
			snprintf(name, sizeof(name), "%u-%u", bits, k);
			put_chunked(t, t->root, name, size * k + (k % 2 ? 1 : size - 1), bits, k,
				k * 3);
		}
		snprintf(name, sizeof(name), "exact%u", bits);
		put_chunked(t, t->root, name, size * 3, bits, 0, bits);
		snprintf(name, sizeof(name), "hole%u", bits);
		put_chunked(t, t->root, name, size * 1000, bits, 1, 0);
	}
	put_chunked(t, t->root, "largest", FILE_SIZE_MAX, 24, 1, 0);
	round_trip(t);
	CHECK(chunk_bits_for(0, 12) == 12 && chunk_bits_for((uint64_t)65536 << 12, 12) == 12);
	CHECK(chunk_bits_for(((uint64_t)65536 << 12) + 1, 12) == 13);
	CHECK(chunk_bits_for(FILE_SIZE_MAX, 12) == 24);
}

static void test_symlinks(void)
{
	static const size_t lengths[] = {1, 2, 60, 2047, 2048, 2049, 4000, 4095};
	struct tree *t = new_tree();
	char target[4096], name[16];

	for (int round = 0; round < 3; round++) {
		for (size_t k = 0; k < sizeof(lengths) / sizeof(*lengths); k++) {
			memset(target, 'a' + round, sizeof(target));
			target[lengths[k]] = 0;
			snprintf(name, sizeof(name), "%d-%zu", round, lengths[k]);
			put_symlink(t, t->root, name, target);
		}
	}
	round_trip(t);
}

/* --- xattrs -------------------------------------------------------------------------------- */

static void put_numbered_xattrs(struct tree *t, struct inode *i, size_t n, size_t value_size)
{
	_cleanup_free_ struct xattr *v = calloc(n, sizeof(*v));
	_cleanup_free_ uint8_t *value = malloc(value_size + 1);
	char(*names)[32] = calloc(n, sizeof(*names));

	CHECK(v && names && value);
	memset(value, 'v', value_size);
	for (size_t k = 0; k < n; k++) {
		snprintf(names[k], sizeof(names[k]), "%s%zu", k % 3 ? "user." : "trusted.", k);
		v[n - 1 - k] = (struct xattr){names[k], value, (uint32_t)value_size};
	}
	put_xattrs(t, i, v, n);
	free(names);
}

static void test_xattrs(void)
{
	struct tree *t = new_tree();
	_cleanup_free_ uint8_t *big = malloc(XATTR_VALUE_MAX);
	struct xattr x = {"user.big", big, XATTR_VALUE_MAX};
	char name[256 + 16] = "user.";

	CHECK(big);
	memset(big, 'B', XATTR_VALUE_MAX);
	put_xattrs(t, t->root, some_xattrs, SOME_XATTRS);
	put_xattrs(t, put_inline(t, t->root, "none", 5), NULL, 0);
	put_xattrs(t, put_inline(t, t->root, "big", INDEX_INLINE_MAX), &x, 1);
	put_xattrs(t, put_dir(t, t->root, "big2"), &x, 1); /* shared with the one before */
	x.name = "user.big-alone";
	put_xattrs(t, put_chunked(t, t->root, "bigs", 100000, 12, 2, 0), &x, 1);
	memset(name + 5, 'n', 250);
	x = (struct xattr){name, big, 5};
	put_xattrs(t, put_inline(t, t->root, "longest", 100), &x, 1);
	put_numbered_xattrs(t, put_inline(t, t->root, "300", 100), 300, 10);
	put_numbered_xattrs(t, put_inline(t, t->root, "300again", 100), 300, 10); /* > 255 shared */
	put_numbered_xattrs(t, put_dir(t, t->root, "1000"), 1000, 3);
	put_numbered_xattrs(t, put_inline(t, t->root, "6000", 1), 6000, 1);
	for (int k = 0; k < 200; k++) {
		snprintf(name, sizeof(name), "many%d", k);
		put_xattrs(t, k % 2 ? put_dir(t, t->root, name) : put_inline(t, t->root, name, 9),
			some_xattrs, SOME_XATTRS);
	}
	round_trip(t);
}

static void test_xattrs_too_large(void)
{
	for (int dir = 0; dir < 2; dir++) {
		_cleanup_(tree_freep) struct tree *t = new_tree();
		struct err e = {0};
		struct inode *i = dir ? t->root : put_inline(t, t->root, "f", 1);

		put_numbered_xattrs(t, i, 5, 65535);
		CHECK(write_tree(t, false, NULL, NULL, &e) == -ERR_INPUT);
		CHECK(strstr(e.text, "xattrs") && e.code == -ERR_INPUT);
	}
}

/* A file's xattrs cost what they hold, not what a file might hold at most. */
static void test_xattrs_cost(void)
{
	_cleanup_(tree_freep) struct tree *t = new_tree(), *t2 = tree_new();
	_cleanup_free_ uint8_t *big = calloc(1, XATTR_VALUE_MAX);
	struct xattr x = {"user.big", big, XATTR_VALUE_MAX};
	_cleanup_(index_closep) struct index *x2 = NULL;
	const struct xattr_set *set;
	char name[16];
	int fd;

	put_xattrs(t, t->root, &x, 1);
	set = t->root->xattrs;
	for (int k = 0; k < 1000; k++) {
		snprintf(name, sizeof(name), "%d", k);
		put(t, t->root, name, S_IFREG | 0644)->xattrs = set;
	}
	fd = write_tree(t, false, NULL, NULL, NULL);
	CHECK(fd >= 0);
	x2 = open_fd(fd);
	close(fd);
	load(x2, t2);
	CHECK(t2->arena.total < (size_t)16 << 20); /* the value is there once, not 1,000 times */
}

/* --- indexes that somebody made wrong ------------------------------------------------------ */

static void slurp_small(bool layer, struct buf *ret)
{
	_cleanup_(tree_freep) struct tree *t = small_tree(layer);
	_cleanup_close_ int fd = write_tree(t, layer, NULL, NULL, NULL);

	CHECK(fd >= 0 && lseek(fd, 0, SEEK_SET) == 0 && io_slurp(fd, 1 << 20, ret) == 0);
}

/* Long runs of zeros are padding, which nothing reads: a few of their bytes are enough. */
static bool is_padding(const struct buf *b, size_t at)
{
	static const uint8_t zeros[128];

	return at >= 64 && at + 64 <= b->n && at % 64 && memcmp(b->p + at - 64, zeros, 128) == 0;
}

static void damage_byte(uint8_t *p, const struct buf *good, size_t at, uint8_t flip)
{
	p[at] ^= flip;
	walk_memory(p, good->n);
	if (at >= EROFS_SUPER_OFFSET && at < EROFS_BLOCK_SIZE) {
		fix_checksum(p, good->n);
		walk_memory(p, good->n);
		memcpy(p, good->p, EROFS_BLOCK_SIZE);
	}
	p[at] = good->p[at];
}

static void damage_each_byte(const struct buf *good)
{
	_cleanup_free_ uint8_t *p = malloc(good->n);

	CHECK(p);
	memcpy(p, good->p, good->n);
	CHECK(walk_memory(p, good->n));
	/* Every other byte behind the first block: no field is shorter, but for names. */
	for (size_t at = 0; at < good->n; at += at < EROFS_BLOCK_SIZE ? 1 : 2) {
		if (is_padding(good, at))
			continue;
		damage_byte(p, good, at, (uint8_t)(1u << at % 8));
		if (at < EROFS_BLOCK_SIZE || at % 4 == 1)
			damage_byte(p, good, at, 0xff);
	}
	CHECK(walk_memory(p, good->n));
}

static void truncate_everywhere(const struct buf *good)
{
	for (size_t n = 0; n < good->n; n += n % 4096 < 2 || n % 4096 > 4094 ? 1 : 211) {
		_cleanup_free_ uint8_t *p = malloc(n + 1);
		uint64_t size = htole64(n);

		CHECK(p);
		memcpy(p, good->p, n);
		CHECK(!walk_memory(p, n));
		if (n > 4096) {
			memcpy(p + offsetof(struct index_header, file_size), &size, sizeof(size));
			walk_memory(p, n);
		}
	}
}

static void test_damage(void)
{
	for (int layer = 0; layer < 2; layer++) {
		_cleanup_buf_ struct buf good = {0};

		slurp_small(layer, &good);
		damage_each_byte(&good);
		truncate_everywhere(&good);
	}
}

/* --- main ---------------------------------------------------------------------------------- */

int main(void)
{
	test_small();
	test_golden();
	test_digest();
	test_determinism();
	test_local();
	test_facts();
	test_chunk_table();
	test_large_directory();
	test_odd_names();
	test_directory_sizes();
	test_deep();
	test_inline();
	test_hard_links();
	test_chunked();
	test_symlinks();
	test_xattrs();
	test_xattrs_too_large();
	test_xattrs_cost();
	test_damage();
	return 0;
}
