/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into a union of an index and an upper directory: what stays the same through changes and
 * restarts, and what upper directories that mean harm can do.
 */
#include "test-union-image.h"

/* ---- numbers ----------------------------------------------------------------------------------
 */

static uint64_t ino_of(uint64_t node)
{
	struct stat st;

	CHECK(union_getattr(u, node, &st) == 0);
	return st.st_ino;
}

/* Through copy-up, rename, restart, and another mount. */
static void test_inode_numbers(void)
{
	uint64_t dir, file, sub, own, file_ino, sub_ino, own_ino;

	begin();
	dir = look_up(UNION_ROOT, "dir");
	sub = look_up(dir, "sub");
	file = look_up(sub, "file");
	own = make(dir, "own");
	file_ino = ino_of(file);
	sub_ino = ino_of(sub);
	own_ino = ino_of(own);
	touch(file);
	touch(sub);
	CHECK(union_rename(u, &op, sub, "file", UNION_ROOT, "moved", 0) == 0);
	CHECK(union_rename(u, &op, dir, "sub", UNION_ROOT, "moved-sub", 0) == 0);
	CHECK(union_rename(u, &op, dir, "own", UNION_ROOT, "moved-own", 0) == 0);
	CHECK(ino_of(file) == file_ino && ino_of(sub) == sub_ino && ino_of(own) == own_ino);
	restart();
	CHECK(ino_of(file) == file_ino && ino_of(sub) == sub_ino && ino_of(own) == own_ino);
	CHECK(look_up(UNION_ROOT, "moved") == file && look_up(UNION_ROOT, "moved-sub") == sub &&
		look_up(UNION_ROOT, "moved-own") == own);
	end();
	CHECK(session_new(&session, NULL) == 0);
	open_union();
	CHECK(ino_of(look_up(UNION_ROOT, "moved")) == file_ino);
	CHECK(ino_of(look_up(UNION_ROOT, "moved-sub")) == sub_ino);
	CHECK(ino_of(look_up(UNION_ROOT, "moved-own")) == own_ino);
	end();
}

/* One file of the image, one node, before and after it is copied up. */
static void test_hard_links(void)
{
	struct union_entry e;
	struct stat st;
	uint64_t a, dir;

	begin();
	a = look_up(UNION_ROOT, "link1");
	dir = look_up(UNION_ROOT, "dir");
	CHECK(look_up(dir, "link2") == a);
	union_forget(u, a, 2);
	a = look_up(UNION_ROOT, "link1");
	touch(a);
	CHECK(look_up(dir, "link2") == a);
	CHECK(union_getattr(u, a, &st) == 0 && st.st_nlink == 2 && (st.st_mode & 0777) == 0600);
	restart();
	CHECK(look_up(dir, "link2") == a && look_up(UNION_ROOT, "link1") == a);
	CHECK(union_unlink(u, &op, UNION_ROOT, "link1") == 0);
	CHECK(union_lookup(u, UNION_ROOT, "link1", &e) == 1 && look_up(dir, "link2") == a);
	CHECK(union_getattr(u, a, &st) == 0 && st.st_nlink == 1 && (st.st_mode & 0777) == 0600);
	end();
}

/* A number of a file that is gone comes again with another file: another node. */
static void test_numbers_again(void)
{
	bool again = false;

	begin();
	for (int i = 0; i < 50; i++) {
		struct union_entry e, now;
		uint64_t ino;

		CHECK(union_symlink(u, &op, UNION_ROOT, "x", "target", &e) == 0);
		ino = ino_of(e.node);
		CHECK(union_unlink(u, &op, UNION_ROOT, "x") == 0);
		CHECK(union_mknod(u, &op, UNION_ROOT, "y", S_IFIFO | 0600, 0, &now) == 0);
		again |= ino_of(now.node) == ino;
		CHECK(now.node != e.node && look_up(UNION_ROOT, "y") == now.node);
		CHECK(union_unlink(u, &op, UNION_ROOT, "y") == 0);
		union_forget(u, e.node, 1);
		CHECK(union_symlink(u, &op, UNION_ROOT, "x", "other", &e) == 0);
		CHECK(e.node != now.node && union_unlink(u, &op, UNION_ROOT, "x") == 0);
		union_forget(u, e.node, 1);
		union_forget(u, now.node, 2);
	}
	if (!again) /* the file system decides; ext4 waits a while */
		printf("no inode number came again\n");
	CHECK(count_records(session) == 1);
	end();
}

/* ---- listing ----------------------------------------------------------------------------------
 */

static unsigned int seen[3 * MANY];

static void note_names(const struct children *c, size_t from)
{
	for (size_t i = from; i < c->n; i++) {
		const char *name = c->v[i].name;
		int n = atoi(name + 1);

		CHECK(n >= 0 && n < MANY);
		if (*name == 'n')
			seen[n]++;
		if (*name == 'u')
			seen[MANY + n]++;
		if (*name == 'r')
			seen[2 * MANY + n]++;
	}
}

/* What happens while others list the directory: files are copied up, replaced, come and go. */
static void disturb(uint64_t dir, int round)
{
	char name[16];

	snprintf(name, sizeof(name), "n%03d", (round * 37) % MANY);
	touch(look_up(dir, name));
	make(dir, "temporary");
	snprintf(name, sizeof(name), "r%03d", (round * 53) % MANY);
	CHECK(union_rename(u, &op, dir, "temporary", dir, name, 0) == 0);
	snprintf(name, sizeof(name), "gone%d", round);
	make(dir, name);
	if (round % 2)
		CHECK(union_unlink(u, &op, dir, name) == 0);
}

static void test_listing(bool plus, size_t step, bool killed)
{
	struct children c = {.plus = plus};
	uint64_t dir;
	char name[16];

	begin();
	memset(seen, 0, sizeof(seen));
	dir = look_up(UNION_ROOT, "many");
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "u%03d", i);
		make(dir, name);
		snprintf(name, sizeof(name), "r%03d", i);
		make(dir, name);
	}
	for (int round = 0;; round++) {
		size_t before = c.n;

		c.left = step;
		CHECK(union_readdir(u, dir, c.next, plus, fill_children, &c) == 0);
		if (c.n == before)
			break;
		disturb(dir, round);
		if (killed && round % 5 == 0)
			restart();
		if (round == 3) { /* another one begins, and stops */
			struct children other = {.plus = plus, .left = 7};

			CHECK(union_readdir(u, dir, 0, plus, fill_children, &other) == 0);
			free(other.v);
		}
	}
	note_names(&c, 2);
	for (int i = 0; i < 3 * MANY; i++) {
		if (seen[i] != 1)
			fprintf(stderr, "name %d was seen %u times\n", i, seen[i]);
		CHECK(seen[i] == 1);
	}
	free(c.v);
	end();
}

/* ---- what upper directories may hold ----------------------------------------------------------
 */

/* A walk that is content with any failure. */
static void walk(uint64_t dir, int depth)
{
	struct children c = {.plus = true, .left = SIZE_MAX};
	int r = union_readdir(u, dir, 0, true, fill_children, &c);

	for (size_t i = 0; r == 0 && i < c.n; i++) {
		uint64_t node = c.v[i].entry.node;
		char value[4096];
		struct stat st;
		size_t n;

		if (!node)
			continue;
		(void)!union_getattr(u, node, &st);
		(void)!union_listxattr(u, node, value, sizeof(value), &n);
		(void)!union_getxattr(u, node, "trusted.overlay.origin", value, 0, &n);
		(void)!union_readlink(u, node, value, sizeof(value), &n);
		if (c.v[i].type == DT_DIR && depth < 6)
			walk(node, depth + 1);
		union_forget(u, node, 1);
	}
	free(c.v);
}

static void set(const char *path, const char *name, const void *p, size_t n)
{
	char x[64];

	snprintf(x, sizeof(x), "trusted.overlay.%s", name);
	CHECK(lsetxattr(in_root(path), x, p, n, 0) == 0);
}

static void put_hostile(void)
{
	static const char *const redirects[] = {"", "/", "//", "..", ".", "/..", "/dir/../dir",
		"/dir/", "dir/sub", "/dir/sub/file", "/dir/sub", "/none", "none", "/d0",
		"/many/n000", "/dir//sub", "\xff\xfe"};
	char name[64], big[300];
	uint8_t origin[64] = {0, 0xfb, 33, 0, 0x81};

	for (size_t i = 0; i < sizeof(redirects) / sizeof(*redirects); i++) {
		snprintf(name, sizeof(name), "upper/d%zu", i);
		CHECK(mkdir(in_root(name), 0755) == 0);
		set(name, "redirect", redirects[i], strlen(redirects[i]));
	}
	memset(big, 'x', sizeof(big));
	CHECK(mkdir(in_root("upper/big"), 0755) == 0);
	set("upper/big", "redirect", big, sizeof(big));
	CHECK(mkdir(in_root("upper/nul"), 0755) == 0);
	set("upper/nul", "redirect", "a\0b", 3);
	CHECK(mkdir(in_root("upper/loop"), 0755) == 0);
	CHECK(mkdir(in_root("upper/loop/in"), 0755) == 0);
	set("upper/loop/in", "redirect", "/", 1);
	/* The nid behind the (here wrong) UUID; and lengths. */
	for (size_t n = 0; n < sizeof(origin); n += 3) {
		int fd;

		snprintf(name, sizeof(name), "upper/f%zu", n);
		fd = open(in_root(name), O_CREAT | O_RDWR, 0644);
		CHECK(fd >= 0 && ftruncate(fd, (off_t)n) == 0);
		close(fd);
		set(name, "origin", origin, n);
		set(name, "nlink", "U+99999999999999999999", n % 22);
		set(name, "metacopy", "", 0);
		set(name, "plyfs.blocks", "y", 1);
	}
}

/* Origins of this very image, that lead to any place of it. */
static void put_origins(void)
{
	struct overlay_origin o;
	char name[64];

	for (uint64_t nid = 0; nid < 4000; nid += 13) {
		int fd;

		snprintf(name, sizeof(name), "upper/o%lu", nid);
		fd = open(in_root(name), O_CREAT | O_RDWR, 0644);
		CHECK(fd >= 0);
		close(fd);
		overlay_origin_of(u->config.lowers[0]->uuid, nid << (nid % 3 * 20), &o);
		set(name, "origin", o.bytes, o.size);
		set(name, "nlink", nid % 2 ? "L-99" : "U+7", 4);
	}
}

static void test_hostile(void)
{
	begin();
	put_hostile();
	put_origins();
	walk(UNION_ROOT, 0);
	restart();
	walk(UNION_ROOT, 0);
	CHECK(count_records(session) == 1);
	end();
}

static void test_names(void)
{
	char name[258];
	struct union_entry e;
	uint64_t dir;

	begin();
	dir = look_up(UNION_ROOT, "long");
	memset(name, 'l', sizeof(name));
	name[255] = '\0';
	touch(look_up(dir, name));
	name[0] = 'L';
	make(dir, name);
	name[255] = 'l';
	name[256] = '\0';
	CHECK(union_lookup(u, dir, name, &e) == -ENAMETOOLONG);
	CHECK(union_lookup(u, dir, "", &e) == 1 && union_lookup(u, dir, "a/b", &e) == 1);
	CHECK(union_lookup(u, look_up(UNION_ROOT, "fifo"), "x", &e) == -ENOTDIR);
	CHECK(union_lookup(u, 12345, "x", &e) == -ESTALE);
	walk(dir, 0);
	end();
}

/* Deeper than any path that the kernel takes, and than the stack would last. */
static void test_deep(void)
{
	const int depth =
		node_unused_max ? 5000 : 200; /* if all is forgotten, each step takes all */
	uint64_t *v = calloc((size_t)depth + 1, sizeof(*v));
	struct stat st;

	CHECK(v);
	begin();
	v[0] = UNION_ROOT;
	for (int i = 0; i < depth; i++)
		v[i + 1] = make_dir(v[i], "directory");
	restart();
	CHECK(union_getattr(u, v[depth], &st) == 0 && S_ISDIR(st.st_mode));
	make(v[depth], "file");
	CHECK(union_getattr(u, v[depth / 2], &st) == 0);
	for (int i = depth; i > 0; i--)
		union_forget(u, v[i], 1);
	free(v);
	end();
}

/* ---- many at once -----------------------------------------------------------------------------
 */

static _Atomic bool stop;

static void *look_around(void *arg)
{
	unsigned int n = (unsigned int)(uintptr_t)arg;

	while (!stop) {
		struct union_entry d, e;
		struct stat st;
		char name[16];

		n = n * 1664525 + 1013904223;
		if (union_lookup(u, UNION_ROOT, n & 0x100 ? "many" : "dir2", &d) != 0)
			continue;
		snprintf(name, sizeof(name), "%c%03u", n & 0x200 ? 'n' : 'u', (n >> 12) % 40);
		if (union_lookup(u, d.node, name, &e) == 0) {
			int r = union_getattr(u, e.node, &st);

			CHECK(r == 0 || r == -ESTALE || r == -ENOENT);
			union_forget(u, e.node, 1);
		}
		if (n % 64 == 0)
			walk(d.node, 5);
		union_forget(u, d.node, 1);
	}
	return NULL;
}

static void *change_around(void *arg)
{
	unsigned int n = (unsigned int)(uintptr_t)arg;

	while (!stop) {
		struct union_entry d, e;
		char name[16], other[16];

		n = n * 1664525 + 1013904223;
		if (union_lookup(u, UNION_ROOT, n & 0x100 ? "many" : "dir2", &d) != 0)
			continue;
		snprintf(name, sizeof(name), "u%03u", (n >> 12) % 40);
		snprintf(other, sizeof(other), "u%03u", (n >> 18) % 40);
		switch ((n >> 9) % 6) {
		case 0:
			if (union_mknod(u, &op, d.node, name, S_IFREG | 0644, 0, &e) == 0)
				union_forget(u, e.node, 1);
			break;
		case 1:
			(void)!union_unlink(u, &op, d.node, name);
			break;
		case 2:
			(void)!union_rename(u, &op, d.node, name, d.node, other, 0);
			break;
		case 3:
			if (union_mkdir(u, &op, d.node, name, 0755, &e) == 0)
				union_forget(u, e.node, 1);
			break;
		case 4:
			(void)!union_rmdir(u, &op, d.node, name);
			break;
		case 5:
			snprintf(name, sizeof(name), "n%03u", (n >> 12) % 40);
			if (union_lookup(u, d.node, name, &e) == 0) {
				struct stat st = {.st_mode = 0640};

				(void)!union_setattr(u, &op, e.node, &st, UNION_SET_MODE, &st);
				union_forget(u, e.node, 1);
			}
			break;
		}
		union_forget(u, d.node, 1);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t t[6];

	begin();
	make_dir(UNION_ROOT, "dir2");
	for (uintptr_t i = 0; i < 6; i++)
		CHECK(pthread_create(&t[i], NULL, i < 3 ? look_around : change_around,
			      (void *)(i + 1)) == 0);
	usleep(2000000);
	stop = true;
	for (int i = 0; i < 6; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK(count_records(session) == 2); /* the root, and dir2 */
	walk(UNION_ROOT, 0);
	end();
}

static void test_all(size_t unused_max)
{
	node_unused_max = unused_max;
	test_inode_numbers();
	test_hard_links();
	test_numbers_again();
	test_listing(false, 10, false);
	test_listing(true, 7, false);
	test_listing(true, 13, true);
	test_hostile();
	test_names();
	test_deep();
	stop = false;
	test_threads();
}

int main(void)
{
	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	if (geteuid() != 0)
		return 77; /* trusted xattrs */
	CHECK(mkdtemp(root));
	make_image();
	test_all(16384);
	test_all(0);
	store_close(store);
	free(image.diff_ids);
	shell("rm -rf %s", root);
	return 0;
}
