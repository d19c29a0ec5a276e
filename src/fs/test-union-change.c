// SPDX-License-Identifier: Apache-2.0
/*
 * Changes of names and attributes in a union, on an image in a store: what they do to the upper
 * directory, what happens when a request comes again, when the process is replaced, and when the
 * disk is full.
 */
#include "union.h"
#include "view.h"

#include "format/index-disk.h"
#include "format/test-tree.h"
#include "store/ingest.h"
#include "store/store.h"
#include "util/io.h"
#include "util/remove.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define BIG 200000

static char root[64];
static char disk[80]; /* where the upper directory lies */
static struct store *store;
static struct image_record image;
static struct session *session;
static struct union_fs *u;
static struct upper *up;
static bool redirect = true, poor; /* poor: may not chown */
static const struct union_op op = {.unique = 1, .umask = 022};
static const struct union_op again = {.unique = 1, .umask = 022, .resent = true};

static char *path_in(const char *dir, const char *name)
{
	static char paths[4][128];
	static unsigned int n;
	char *path = paths[n++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

/* ---- the image ------------------------------------------------------------------------------ */
/* d/{small,big,h2,link,fifo,e/{h3,deep}}, dd/1, h, node, void/; h, h2 and h3 are one file. */
static void fill_tree(struct tree *t)
{
	struct inode *d = put_dir(t, t->root, "d"), *e = put_dir(t, d, "e");
	struct inode *h = put_inline(t, t->root, "h", 100);
	const struct xattr x = {"user.lower", (const uint8_t *)"v", 1};

	put_xattrs(t, put_inline(t, d, "small", 50), &x, 1);
	put_chunked(t, d, "big", BIG, 13, 1, 0);
	put_symlink(t, d, "link", "small");
	put(t, d, "fifo", S_IFIFO | 0640);
	CHECK(tree_link(t, d, "h2", 2, h) == 0 && tree_link(t, e, "h3", 2, h) == 0);
	put_inline(t, e, "deep", 10);
	put_inline(t, put_dir(t, t->root, "dd"), "1", 1);
	put(t, t->root, "node", S_IFCHR | 0600)->dev_major = 5;
	put_dir(t, t->root, "void");
}

static void make_image(void)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(tree_freep) struct tree *t = tree_new();
	_cleanup_close_ int fd = -1;
	struct ingest *g;
	unsigned int temp;

	CHECK(t && store_open(path_in(root, "store"), true, &store, NULL) == 0);
	CHECK(ingest_begin(store, &g, NULL) == 0);
	fill_tree(t);
	CHECK(index_plan_new(t, false, &plan, NULL) == 0 && ingest_temp(g, &fd, &temp, NULL) == 0);
	CHECK(index_plan_write(plan, fd, NULL, &image.index, NULL) == 0);
	image.manifest = image.index;
	image.diff_ids = calloc(1, sizeof(*image.diff_ids));
	CHECK(image.diff_ids && ingest_file(g, STORE_IMAGE, &image.manifest, temp, NULL) == 0);
	CHECK(ingest_commit(g, &image, "image", NULL) == 0);
	ingest_free(g);
}

/* ---- the union ------------------------------------------------------------------------------ */
static int try_open_union(unsigned int flags)
{
	struct lower *lower;
	struct union_config c = {
		.lowers = &lower, .n_lowers = 1, .block_copy = true, .redirect = redirect};
	struct err e = {0};
	struct view *v;
	int r;

	CHECK(view_open(store, &image, &v, &e) == 0 && lower_index_open(v, &lower, &e) == 0);
	r = upper_open(path_in(disk, "upper"), path_in(disk, "work"),
		flags | (poor ? UPPER_USER_XATTR : 0), &up, &e);
	if (r < 0) {
		lower_close(lower);
		return r;
	}
	if (poor)
		up->may_chown = up->may_mknod = false;
	c.upper = up;
	CHECK(union_open(&c, session, &u, &e) == 0);
	return 0;
}

static void begin(void)
{
	CHECK(mkdir(path_in(disk, "upper"), 0755) == 0 && mkdir(path_in(disk, "work"), 0755) == 0);
	CHECK(session_new(&session, NULL) == 0);
	CHECK(try_open_union(0) == 0);
}

static void close_all(void)
{
	const int fd = session_fd(session);

	union_end(u);
	union_close(u);
	session_close(session);
	close(fd);
}

static void remove_dir(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY);

	CHECK(fd >= 0 && remove_below(fd) == 0 && rmdir(path) == 0);
}

static void end(void)
{
	close_all();
	remove_dir(path_in(disk, "upper"));
	remove_dir(path_in(disk, "work"));
}

/* As after a kill of the server: the nodes live on. */
static void replace_process(void)
{
	const int fd = session_fd(session);

	union_close(u);
	session_close(session);
	CHECK(session_attach(fd, &session, NULL) == 0);
	CHECK(try_open_union(UPPER_RESUME) == 0);
}

/* The node at a path, 0 if there is none; counted. */
static uint64_t at(const char *path)
{
	char copy[256], *rest = copy, *name;
	struct union_entry e = {.node = UNION_ROOT};

	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, "/")))
		if (*name) {
			const int r = union_lookup(u, e.node, name, &e);

			CHECK(r >= 0);
			if (r == 1)
				return 0;
		}
	return e.node;
}

/* The directory of a path, and *ret_name its last name. */
static uint64_t dir_of(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[256];

	*ret_name = slash ? slash + 1 : path;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 0, path);
	return at(dir);
}

static struct stat attributes(uint64_t node)
{
	struct stat st;

	CHECK(node && union_getattr(u, node, &st) == 0);
	return st;
}

static int do_mkdir(const char *path)
{
	struct union_entry e;
	const char *name;
	const uint64_t dir = dir_of(path, &name);

	return union_mkdir(u, &op, dir, name, 0755, &e);
}

static int do_mknod(const char *path, uint32_t mode, dev_t dev)
{
	struct union_entry e;
	const char *name;
	const uint64_t dir = dir_of(path, &name);

	return union_mknod(u, &op, dir, name, mode, dev, &e);
}

static int do_unlink(const struct union_op *o, const char *path)
{
	const char *name;
	const uint64_t dir = dir_of(path, &name);

	return union_unlink(u, o, dir, name);
}

static int do_rmdir(const struct union_op *o, const char *path)
{
	const char *name;
	const uint64_t dir = dir_of(path, &name);

	return union_rmdir(u, o, dir, name);
}

static int do_rename(const struct union_op *o, const char *a, const char *b, unsigned int flags)
{
	const char *x, *y;
	const uint64_t from = dir_of(a, &x), to = dir_of(b, &y);

	return union_rename(u, o, from, x, to, y, flags);
}

static int do_link(const char *a, const char *b)
{
	struct union_entry e;
	const char *name;
	const uint64_t node = at(a), dir = dir_of(b, &name);

	return union_link(u, &op, node, dir, name, &e);
}

static int do_chmod(const char *path, uint32_t mode)
{
	struct stat st = {.st_mode = mode};

	return union_setattr(u, &op, at(path), &st, UNION_SET_MODE, &st);
}

/* What is in the upper directory itself. 'W' whiteout, '-' nothing, else a letter for the type. */
static char upper_has(const char *path)
{
	struct stat st;

	if (fstatat(up->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return '-';
	return overlay_is_whiteout(&st) ? 'W'
	       : S_ISDIR(st.st_mode)    ? 'd'
	       : S_ISREG(st.st_mode)    ? 'f'
					: 'o';
}

static bool upper_says(const char *path, enum overlay_xattr x, const char *value)
{
	char have[256];
	size_t n;

	return upper_mark_get(up, up->fd, path, x, have, sizeof(have), &n) == 0 &&
	       n == strlen(value) && memcmp(have, value, n) == 0;
}

static size_t count_in(int dirfd)
{
	_cleanup_(closedirp) DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
	size_t n = 0;

	CHECK(d);
	while (readdir(d))
		n++;
	return n - 2;
}

/* ---- names ---------------------------------------------------------------------------------- */
static void test_remove(void)
{
	begin();
	CHECK(do_rmdir(&op, "dd") == -ENOTEMPTY && do_unlink(&op, "dd") == -EISDIR);
	CHECK(do_rmdir(&op, "dd/1") == -ENOTDIR && do_unlink(&op, "none") == -ENOENT);
	CHECK(do_unlink(&op, "dd/1") == 0 && upper_has("dd/1") == 'W' && !at("dd/1"));
	CHECK(do_rmdir(&op, "dd") == 0 && upper_has("dd") == 'W' && !at("dd"));
	CHECK(do_mkdir("dd") == 0 && upper_says("dd", OVERLAY_OPAQUE, "y") && !at("dd/1"));
	CHECK(do_mkdir("dd") == -EEXIST && do_mkdir("d") == -EEXIST);
	CHECK(do_mknod("dd/new", S_IFREG | 0666, 0) == 0 && upper_has("dd/new") == 'f');
	CHECK((attributes(at("dd/new")).st_mode & 07777) == 0644);
	CHECK(do_rmdir(&op, "dd") == -ENOTEMPTY);
	CHECK(do_unlink(&op, "dd/new") == 0 && upper_has("dd/new") == '-');
	CHECK(do_rmdir(&op, "dd") == 0 && upper_has("dd") == 'W');
	CHECK(do_unlink(&op, "d/small") == 0);
	CHECK(do_mknod("d/small", S_IFREG | 0600, 0) == 0 && upper_has("d/small") == 'f');
	CHECK(attributes(at("d/small")).st_size == 0);
	CHECK(do_mknod("w", S_IFCHR | 0600, 0) == -EPERM);
	end();
}

/* The count of names stays right, whichever name is used, and the index is empty at the end. */
static void test_links(void)
{
	uint64_t node;

	begin();
	CHECK(attributes(at("h")).st_nlink == 3);
	node = at("d/h2");
	CHECK(node == at("h") && node == at("d/e/h3"));
	CHECK(do_chmod("d/h2", 0600) == 0 && (attributes(at("h")).st_mode & 07777) == 0600);
	CHECK(attributes(node).st_nlink == 3 && upper_has("d/e/h3") == '-' &&
		count_in(up->index_fd) == 1);
	CHECK(do_unlink(&op, "h") == 0 && attributes(node).st_nlink == 2);
	CHECK(do_link("d/e/h3", "h4") == 0 && attributes(node).st_nlink == 3 && at("h4") == node);
	CHECK(do_link("d/e/h3", "d/h2") == -EEXIST);
	CHECK(do_rename(&op, "d/e/h3", "d/e/h5", 0) == 0 && attributes(node).st_nlink == 3);
	CHECK(do_unlink(&op, "d/h2") == 0 && do_unlink(&op, "d/e/h5") == 0);
	CHECK(attributes(node).st_nlink == 1 && count_in(up->index_fd) == 1);
	CHECK(do_unlink(&op, "h4") == 0 && count_in(up->index_fd) == 0);
	CHECK(attributes(node).st_nlink == 0 && attributes(node).st_size == 100);
	end();
}

/* One file, one node, also where its only name in the upper directory is that in the index. */
static void test_links_in_index(void)
{
	uint64_t node;

	begin();
	CHECK(do_chmod("h", 0600) == 0);
	node = at("h");
	CHECK(do_unlink(&op, "h") == 0);
	union_forget(u, node, 1000);
	CHECK(count_in(up->index_fd) == 1 && upper_has("d/h2") == '-');
	node = at("d/h2");
	CHECK(node == at("d/e/h3") && node == at("d/h2"));
	end();
}

static void test_rename_files(void)
{
	uint64_t big;

	begin();
	big = at("d/big");
	CHECK(do_rename(&op, "d/big", "big", 0) == 0 && at("big") == big && !at("d/big"));
	CHECK(upper_has("d/big") == 'W' && upper_has("big") == 'f');
	CHECK(attributes(big).st_size == BIG && attributes(big).st_blocks < 64);
	CHECK(do_rename(&op, "big", "d/small", RENAME_NOREPLACE) == -EEXIST);
	CHECK(do_rename(&op, "big", "d/e", 0) == -EISDIR &&
		do_rename(&op, "d", "big", 0) == -ENOTDIR);
	CHECK(do_rename(&op, "big", "d/small", 0) == 0 && at("d/small") == big);
	CHECK(upper_has("big") == '-');
	CHECK(do_rename(&op, "d/small", "d/big", 0) == 0 && upper_has("d/small") == 'W');
	CHECK(do_rename(&op, "d/big", "d/big2", RENAME_WHITEOUT) == -EINVAL);
	CHECK(do_rename(&op, "d/link", "d/fifo", RENAME_EXCHANGE) == 0);
	CHECK(S_ISFIFO(attributes(at("d/link")).st_mode) &&
		S_ISLNK(attributes(at("d/fifo")).st_mode));
	CHECK(do_rename(&op, "d/link", "none", RENAME_EXCHANGE) == -ENOENT);
	end();
}

static void test_rename_dirs(void)
{
	begin();
	CHECK(do_rename(&op, "d/e", "d/e2", 0) == 0 && upper_says("d/e2", OVERLAY_REDIRECT, "e"));
	CHECK(upper_has("d/e") == 'W' && at("d/e2/deep") && !at("d/e"));
	CHECK(do_rename(&op, "d/e2", "e3", 0) == 0 && upper_says("e3", OVERLAY_REDIRECT, "/d/e"));
	CHECK(do_rename(&op, "e3", "dd", 0) == -ENOTEMPTY);
	CHECK(do_unlink(&op, "dd/1") == 0 && do_rename(&op, "e3", "dd", 0) == 0 && at("dd/deep"));
	CHECK(!at("dd/1") && upper_has("e3") == '-');
	CHECK(do_rename(&op, "d", "dd/sub", 0) == 0 &&
		do_rename(&op, "dd", "dd/sub/x", 0) == -EINVAL);
	CHECK(do_mkdir("new") == 0 && do_mkdir("new/x") == 0 && do_rename(&op, "new", "d", 0) == 0);
	CHECK(upper_says("d", OVERLAY_OPAQUE, "y") && !at("d/small") && at("d/x"));
	CHECK(do_rename(&op, "d", "dd/sub", RENAME_EXCHANGE) == 0);
	CHECK(at("d/small") && at("dd/sub/x") && upper_says("d", OVERLAY_REDIRECT, "/d"));
	end();
	redirect = false;
	begin();
	CHECK(do_rename(&op, "d/e", "d/e2", 0) == -EXDEV && at("d/e/deep"));
	CHECK(do_rename(&op, "d/e", "dd", RENAME_EXCHANGE) == -EXDEV);
	CHECK(do_mkdir("new") == 0 && do_rename(&op, "new", "d/n2", 0) == 0 && at("d/n2"));
	end();
	redirect = true;
}

/* ---- attributes ----------------------------------------------------------------------------- */
static void check_attributes(const char *path)
{
	const uint64_t node = at(path);
	struct stat st = {.st_uid = 7, .st_gid = 8, .st_mode = 04751};
	const struct stat before = attributes(node);

	CHECK(union_setattr(u, &op, node, &st, UNION_SET_UID | UNION_SET_GID, &st) == 0);
	CHECK(st.st_uid == 7 && st.st_gid == 8);
	CHECK(S_ISDIR(st.st_mode) || st.st_size == before.st_size);
	CHECK(st.st_ino == before.st_ino && st.st_mtim.tv_sec == before.st_mtim.tv_sec);
	st.st_mode = 04751;
	CHECK(union_setattr(u, &op, node, &st, UNION_SET_MODE, &st) == 0);
	CHECK((st.st_mode & 07777) == 04751 && (st.st_mode & S_IFMT) == (before.st_mode & S_IFMT));
	st.st_uid = 9;
	CHECK(union_setattr(u, &op, node, &st, UNION_SET_UID, &st) == 0 && st.st_uid == 9);
	CHECK((st.st_mode & 07777) == (S_ISDIR(st.st_mode) ? 04751 : 0751));
	st.st_mtim = (struct timespec){1000, 1001};
	st.st_atim = (struct timespec){2000, 2001};
	CHECK(union_setattr(u, &op, node, &st, UNION_SET_MTIME, &st) == 0);
	CHECK(st.st_mtim.tv_sec == 1000 && st.st_mtim.tv_nsec == 1001 && st.st_atim.tv_sec != 2000);
}

static void test_attributes(void)
{
	char value[16];
	size_t n;
	uint64_t small;

	begin();
	check_attributes("d/small");
	check_attributes("d/big");
	check_attributes("d/e");
	check_attributes("node");
	CHECK(attributes(at("node")).st_rdev == makedev(5, 0));
	CHECK(do_chmod("d/link", 0600) == -EOPNOTSUPP);
	small = at("d/small");
	CHECK(union_getxattr(u, small, "user.lower", value, sizeof(value), &n) == 0 && n == 1);
	CHECK(union_setxattr(u, &op, small, "user.a", "1", 1, XATTR_CREATE, false) == 0);
	CHECK(union_setxattr(u, &op, small, "user.a", "1", 1, XATTR_CREATE, false) == -EEXIST);
	CHECK(union_setxattr(u, &again, small, "user.a", "1", 1, XATTR_CREATE, false) == 0);
	CHECK(union_setxattr(u, &again, small, "user.a", "2", 1, XATTR_CREATE, false) == -EEXIST);
	CHECK(union_setxattr(u, &op, small, "user.b", "1", 1, XATTR_REPLACE, false) == -ENODATA);
	CHECK(union_removexattr(u, &op, small, "user.lower") == 0);
	CHECK(union_removexattr(u, &op, small, "user.lower") == -ENODATA);
	CHECK(union_removexattr(u, &again, small, "user.lower") == 0);
	CHECK(union_setxattr(u, &op, small, overlay_xattr_name(OVERLAY_OPAQUE, up->user), "y", 1, 0,
		      false) == -EPERM);
	end();
}

/* Who creates, owns; a directory's setgid bit and default ACL are passed on, also where a whiteout
 * is replaced. */
static void test_creation(void)
{
	struct union_op other = {.unique = 2, .uid = 1000, .gid = 1001, .umask = 027};
	struct union_entry e;
	struct stat st = {.st_mode = 02775, .st_gid = 50};
	const uint64_t d = at("d");

	CHECK(union_mknod(u, &other, d, "n1", S_IFREG | 0666, 0, &e) == 0);
	CHECK(e.st.st_uid == 1000 && e.st.st_gid == 1001 && (e.st.st_mode & 07777) == 0640);
	CHECK(union_symlink(u, &other, d, "n2", "x", &e) == 0 && (poor || e.st.st_uid == 1000));
	CHECK(union_mknod(u, &other, d, "n3", S_IFBLK | 0660, makedev(7, 3), &e) == 0);
	CHECK(S_ISBLK(e.st.st_mode) && e.st.st_rdev == makedev(7, 3) && e.st.st_uid == 1000);
	CHECK(union_setattr(u, &op, d, &st, UNION_SET_MODE | UNION_SET_GID, &st) == 0);
	CHECK(union_mkdir(u, &other, d, "n4", 0777, &e) == 0);
	CHECK(e.st.st_gid == 50 && e.st.st_uid == 1000 && (e.st.st_mode & 07777) == 02750);
	CHECK(do_unlink(&op, "d/fifo") == 0);
	CHECK(union_mknod(u, &other, d, "fifo", S_IFREG | 0666, 0, &e) == 0);
	CHECK(e.st.st_gid == 50 && e.st.st_uid == 1000 && (e.st.st_mode & 07777) == 0640);
	CHECK(union_tmpfile(u, &other, d, 0666, &e) == 0);
	CHECK(e.st.st_gid == 50 && e.st.st_uid == 1000 && e.st.st_nlink == 0);
	CHECK(union_link(u, &op, e.node, d, "named", &e) == 0 && e.st.st_nlink == 1);
	CHECK(at("d/named") == e.node);
}

static void test_owners(void)
{
	begin();
	test_creation();
	end();
	poor = true;
	begin();
	test_creation();
	end();
	test_attributes();
	poor = false;
}

/* ---- again, and by another process ---------------------------------------------------------- */
/* Each request was done, and not answered; the process is another one. */
static void test_resent(void)
{
	struct union_entry e;

	begin();
	CHECK(do_mkdir("x") == 0 && do_mknod("x/f", S_IFREG | 0644, 0) == 0);
	CHECK(do_link("x/f", "x/g") == 0);
	replace_process();
	CHECK(union_mkdir(u, &again, UNION_ROOT, "x", 0755, &e) == 0 && e.node == at("x"));
	CHECK(union_mkdir(u, &again, UNION_ROOT, "h", 0755, &e) == -EEXIST);
	CHECK(union_mknod(u, &again, at("x"), "f", S_IFREG | 0644, 0, &e) == 0);
	CHECK(union_link(u, &again, at("x/f"), at("x"), "g", &e) == 0 && e.st.st_nlink == 2);
	CHECK(union_link(u, &again, at("x/f"), UNION_ROOT, "h", &e) == -EEXIST);
	CHECK(do_unlink(&op, "x/g") == 0);
	replace_process();
	CHECK(do_unlink(&again, "x/g") == 0 && do_unlink(&op, "x/g") == -ENOENT);
	CHECK(do_rename(&op, "x", "y", 0) == 0);
	replace_process();
	CHECK(do_rename(&again, "x", "y", 0) == 0 && at("y/f"));
	CHECK(do_rename(&op, "y", "dd", RENAME_EXCHANGE) == 0);
	replace_process();
	CHECK(do_rename(&again, "y", "dd", RENAME_EXCHANGE) == 0 && at("dd/f") && at("y/1"));
	session_note_remove(session, 1);
	CHECK(do_unlink(&op, "dd/f") == 0 && do_rmdir(&op, "dd") == 0);
	replace_process();
	CHECK(do_rmdir(&again, "dd") == 0 && do_rmdir(&op, "dd") == -ENOENT);
	end();
}

/* Files that lost their names are kept for who has them open, and go when they are forgotten. */
static void test_orphans(void)
{
	uint64_t lower, copied, replaced;
	struct stat st = {.st_mode = 0611};

	begin();
	lower = at("d/small");
	copied = at("d/big");
	replaced = at("dd/1");
	CHECK(do_chmod("d/big", 0600) == 0);
	CHECK(do_unlink(&op, "d/small") == 0 && do_unlink(&op, "d/big") == 0);
	CHECK(do_mknod("f", S_IFREG | 0644, 0) == 0 && do_rename(&op, "f", "dd/1", 0) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(attributes(lower).st_size == 50 && attributes(lower).st_nlink == 0);
		CHECK(attributes(copied).st_size == BIG && attributes(copied).st_nlink == 0);
		CHECK(attributes(replaced).st_size == 1 && attributes(replaced).st_nlink == 0);
		CHECK(at("dd/1") != replaced);
		replace_process();
	}
	CHECK(union_setattr(u, &op, lower, &st, UNION_SET_MODE, &st) == 0);
	CHECK((st.st_mode & 07777) == 0611 && st.st_nlink == 0 && count_in(up->orphans_fd) == 2);
	union_forget(u, lower, 1000);
	union_forget(u, copied, 1000);
	CHECK(count_in(up->orphans_fd) == 0 && count_in(up->blocks_fd) == 0);
	CHECK(count_in(up->scratch_fd) == 1); /* the whiteout that others are links of */
	end();
}

static void check_removed(uint64_t dir, uint32_t mode)
{
	struct stat st = {.st_mode = mode ^ 0707};
	struct union_entry e;
	char value[8];
	size_t n;

	CHECK(attributes(dir).st_mode == (S_IFDIR | mode) && attributes(dir).st_nlink == 0);
	CHECK(union_getxattr(u, dir, "user.a", value, sizeof(value), &n) == 0 && n == 1);
	CHECK(union_setattr(u, &op, dir, &st, UNION_SET_MODE, &st) == 0);
	CHECK(attributes(dir).st_mode == (S_IFDIR | (mode ^ 0707)));
	st.st_mode = mode;
	CHECK(union_setattr(u, &op, dir, &st, UNION_SET_MODE, &st) == 0);
	CHECK(union_setxattr(u, &op, dir, "user.a", "2", 1, XATTR_REPLACE, false) == 0);
	CHECK(union_lookup(u, dir, "1", &e) == 1);
	CHECK(union_mkdir(u, &op, dir, "new", 0700, &e) == -ENOENT);
}

/* And so are directories: with whiteouts, new, of the lower layers alone, and replaced ones. */
static void test_removed_dirs(void)
{
	static const char *const paths[] = {"dd", "n", "void", "r", "d/e"};
	uint64_t dirs[5];

	begin();
	CHECK(do_mkdir("n") == 0 && do_mkdir("r") == 0 && do_mkdir("a") == 0 && do_mkdir("b") == 0);
	for (size_t i = 0; i < 5; i++) {
		dirs[i] = at(paths[i]);
		if (i != 2)
			CHECK(do_chmod(paths[i], 0500 + (uint32_t)i) == 0);
		CHECK(i == 2 || union_setxattr(u, &op, dirs[i], "user.a", "1", 1, 0, false) == 0);
	}
	CHECK(do_unlink(&op, "dd/1") == 0 && do_rmdir(&op, "dd") == 0 && upper_has("dd") == 'W');
	CHECK(do_rmdir(&op, "n") == 0 && upper_has("n") == '-');
	CHECK(do_rmdir(&op, "void") == 0 && upper_has("void") == 'W');
	CHECK(do_rename(&op, "a", "r", 0) == 0 && at("r") != dirs[3]);
	CHECK(do_unlink(&op, "d/e/h3") == 0 && do_rename(&op, "b", "d/e", 0) == -ENOTEMPTY);
	CHECK(do_unlink(&op, "d/e/deep") == 0 && do_rename(&op, "b", "d/e", 0) == 0);
	CHECK(union_setxattr(u, &op, dirs[2], "user.a", "1", 1, 0, false) == 0);
	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < 5; i++)
			check_removed(dirs[i],
				i == 2 ? attributes(dirs[i]).st_mode & 07777u : 0500 + (uint32_t)i);
		CHECK(!at("dd") && !at("n") && !at("void") && at("r") && !at("d/e/deep"));
		replace_process();
	}
	CHECK(do_mkdir("dd") == 0 && !at("dd/1") && do_mkdir("void") == 0);
	for (size_t i = 0; i < 5; i++)
		union_forget(u, dirs[i], 1000);
	CHECK(count_in(up->orphans_fd) == 0);
	end();
}

/* ---- a full disk ---------------------------------------------------------------------------- */

struct listed {
	struct buf *b;
	uint64_t dir;
	unsigned int depth;
	char names[64][32];
	size_t n;
};

static int list_one(void *ctx, const struct union_name *n)
{
	struct listed *l = ctx;

	if (n->name[0] != '.') {
		CHECK(l->n < 64);
		snprintf(l->names[l->n++], 32, "%.*s", (int)n->len, n->name);
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void describe_below(struct buf *b, uint64_t dir, unsigned int depth)
{
	struct listed l = {.b = b};

	CHECK(union_readdir(u, dir, 0, false, list_one, &l) == 0);
	qsort(l.names, l.n, sizeof(l.names[0]), compare);
	for (size_t i = 0; i < l.n; i++) {
		struct union_entry e;

		CHECK(union_lookup(u, dir, l.names[i], &e) == 0);
		CHECK(buf_addf(b, "%*s%s %o %u %ju %ju %ju\n", depth, "", l.names[i], e.st.st_mode,
			      e.st.st_uid, S_ISDIR(e.st.st_mode) ? 0 : (uintmax_t)e.st.st_nlink,
			      S_ISDIR(e.st.st_mode) ? 0 : (uintmax_t)e.st.st_size,
			      (uintmax_t)e.st.st_ino) == 0);
		if (S_ISDIR(e.st.st_mode))
			describe_below(b, e.node, depth + 1);
	}
}

static char *describe_union(void)
{
	struct buf b = {0};

	describe_below(&b, UNION_ROOT, 0);
	return (char *)b.p;
}

/* With few inodes left, the steps of an operation fail one after the other. */

static int step_chmod(void)
{
	return do_chmod("d/e/deep", 0600);
}
static int step_big(void)
{
	return do_chmod("d/big", 0600);
}
static int step_linked(void)
{
	return do_unlink(&op, "d/h2");
}
static int step_unlink(void)
{
	return do_unlink(&op, "d/e/deep");
}
static int step_rename(void)
{
	return do_rename(&op, "d/small", "dd/1", 0);
}
static int step_rename_dir(void)
{
	return do_rename(&op, "d/e", "e", 0);
}
static int step_exchange(void)
{
	return do_rename(&op, "d/e", "node", RENAME_EXCHANGE);
}
static int step_link(void)
{
	return do_link("h", "dd/x");
}
static int step_create(void)
{
	return do_mknod("dd/x", S_IFREG | 0644, 0);
}
static int step_xattr(void)
{
	return union_setxattr(u, &op, at("d/small"), "user.x", "1", 1, 0, false);
}

static int (*const steps[])(void) = {step_chmod, step_big, step_linked, step_unlink, step_rename,
	step_rename_dir, step_exchange, step_link, step_create, step_xattr};

/* 1 = it went through. What failed must have changed nothing, also for the next process; and
 * succeeds as soon as there is room. */
static int full_once(int (*step)(void), unsigned int inodes)
{
	char options[64], *before, *after;
	int r;

	snprintf(options, sizeof(options), "size=4m,nr_inodes=%u", inodes);
	CHECK(mount("plyfs-test", disk, "tmpfs", 0, options) == 0);
	CHECK(mkdir(path_in(disk, "upper"), 0755) == 0 && mkdir(path_in(disk, "work"), 0755) == 0);
	CHECK(session_new(&session, NULL) == 0);
	r = try_open_union(0);
	if (r < 0) {
		const int fd = session_fd(session);

		CHECK(r == -ENOSPC);
		session_close(session);
		close(fd);
		CHECK(umount(disk) == 0);
		return 0;
	}
	before = describe_union();
	r = step();
	CHECK(r == 0 || r == -ENOSPC);
	if (r < 0) {
		after = describe_union();
		CHECK(strcmp(before, after) == 0);
		free(after);
		CHECK(count_in(up->scratch_fd) == 1);
		replace_process();
		after = describe_union();
		CHECK(strcmp(before, after) == 0);
		free(after);
		CHECK(mount("plyfs-test", disk, "tmpfs", MS_REMOUNT, "nr_inodes=1000") == 0);
		CHECK(step() == 0);
	}
	free(before);
	close_all();
	CHECK(umount(disk) == 0);
	return r == 0;
}

static void test_full(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		puts("a full disk: skipped, for want of privileges");
		return;
	}
	snprintf(disk, sizeof(disk), "%s/disk", root);
	CHECK(mkdir(disk, 0755) == 0);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		for (unsigned int inodes = 4; !full_once(steps[i], inodes); inodes++)
			CHECK(inodes < 100);
}

int main(void)
{
	snprintf(root, sizeof(root), "/tmp/plyfs-test-union-change-XXXXXX");
	CHECK(mkdtemp(root));
	strcpy(disk, root);
	make_image();
	test_remove();
	test_links();
	test_links_in_index();
	test_rename_files();
	test_rename_dirs();
	test_attributes();
	test_owners();
	test_resent();
	test_orphans();
	test_removed_dirs();
	test_full();
	store_close(store);
	free(image.diff_ids);
	remove_dir(root);
	return 0;
}
