/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upper directory: opening, marks, owners, whiteouts, orphans, index. With arguments, a tool
 * for the cases:
 *   test-upper origin UUID NID    prints the handle that a copy of that file gets, in hexadecimal
 */
#include "upper.h"

#include "util/remove.h"
#include "util/test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static char root[] = "/tmp/plyfs-test-upper-XXXXXX";
static char upper_path[64], work_path[64];

static void make_dirs(void)
{
	CHECK(mkdtemp(root));
	snprintf(upper_path, sizeof(upper_path), "%s/u", root);
	snprintf(work_path, sizeof(work_path), "%s/w", root);
	CHECK(mkdir(upper_path, 0755) == 0 && mkdir(work_path, 0755) == 0);
}

static void remove_dirs(void)
{
	_cleanup_close_ int fd = open(root, O_RDONLY | O_DIRECTORY);

	CHECK(fd >= 0 && remove_below(fd) == 0 && rmdir(root) == 0);
}

static struct upper *open_upper(unsigned int flags)
{
	struct upper *up;
	struct err e = {0};
	int r = upper_open(upper_path, work_path, flags, &up, &e);

	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r == 0);
	return up;
}

static void make_file(int dirfd, const char *name)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_CREAT | O_EXCL | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, "x", 1) == 1);
}

static bool is_there(int dirfd, const char *name, struct stat *st)
{
	return fstatat(dirfd, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- names and handles ----------------------------------------------------------------------- */
/* As Linux 6.18 wrote it, for nid 259 of a file system of that UUID. */
static void test_origin(void)
{
	static const uint8_t uuid[16] = {0x4e, 0x84, 0xbc, 0xc4, 0x88, 0xd3, 0xd1, 0x0c, 0xa9, 0xa3,
		0x79, 0x6c, 0xe4, 0xd5, 0xaa, 0x35};
	static const uint8_t bytes[] = {0x00, 0xfb, 0x21, 0x00, 0x81, 0x4e, 0x84, 0xbc, 0xc4, 0x88,
		0xd3, 0xd1, 0x0c, 0xa9, 0xa3, 0x79, 0x6c, 0xe4, 0xd5, 0xaa, 0x35, 0, 0, 0, 0, 3, 1,
		0, 0, 0, 0, 0, 0};
	struct overlay_origin o;
	uint8_t other[16] = {1};
	uint64_t nid = 0;

	overlay_origin_of(uuid, 259, &o);
	CHECK(__BYTE_ORDER == __BIG_ENDIAN ||
		(o.size == sizeof(bytes) && memcmp(o.bytes, bytes, o.size) == 0));
	CHECK(overlay_origin_nid(o.bytes, o.size, uuid, &nid) == 0 && nid == 259);
	overlay_origin_of(uuid, 0x123456789abcull, &o);
	CHECK(overlay_origin_nid(o.bytes, o.size, uuid, &nid) == 0 && nid == 0x123456789abcull);
	CHECK(overlay_origin_nid(o.bytes, o.size, other, &nid) == 1);
	CHECK(overlay_origin_nid(o.bytes, o.size - 1, uuid, &nid) == 1);
	o.bytes[4] = 1; /* another type of handle */
	CHECK(overlay_origin_nid(o.bytes, o.size, uuid, &nid) == 1);
}

static void test_private(void)
{
	CHECK(overlay_xattr_is_private("trusted.overlay.opaque", false));
	CHECK(overlay_xattr_is_private("trusted.overlay.plyfs.blocks", false));
	CHECK(!overlay_xattr_is_private("trusted.overlayx", false));
	CHECK(!overlay_xattr_is_private("user.overlay.opaque", false));
	CHECK(overlay_xattr_is_private("user.overlay.opaque", true));
	CHECK(!overlay_xattr_is_private("trusted.overlay.opaque", true));
}

static void check_bad_owner(const char *text)
{
	struct upper_owner o;

	CHECK(upper_owner_decode(text, strlen(text), &o) == -EINVAL);
}

static void test_owner(void)
{
	const struct upper_owner o = {1000, 4294967294u, S_IFBLK | 0640, makedev(8, 300)};
	char text[UPPER_OWNER_SIZE];
	struct upper_owner back;
	size_t n = upper_owner_encode(&o, text);

	CHECK(upper_owner_decode(text, n, &back) == 0);
	CHECK(back.uid == o.uid && back.gid == o.gid && back.mode == o.mode && back.rdev == o.rdev);
	CHECK(upper_owner_decode("0:5:100755", 10, &back) == 0 && back.gid == 5);
	check_bad_owner("");
	check_bad_owner("1:2");
	check_bad_owner("1:2:");
	check_bad_owner("1:2:100644:");
	check_bad_owner("1:2:100644:1:2");
	check_bad_owner("1:2:60644");
	check_bad_owner("-1:2:100644");
	check_bad_owner("4294967296:2:100644");
	check_bad_owner("1:2:9");
	check_bad_owner("1:2:7100644");
}

/* ---- marks ----------------------------------------------------------------------------------- */
static void test_xattrs(struct upper *up)
{
	char value[64], *redirect;
	bool opaque;
	size_t n;

	make_file(up->fd, "file");
	CHECK(upper_setxattr(up->fd, "file", "user.a", "1", 1, 0) == 0);
	CHECK(upper_setxattr(up->fd, "file", "user.a", "1", 1, XATTR_CREATE) == -EEXIST);
	CHECK(upper_setxattr(up->fd, "file", "user.b", "1", 1, XATTR_REPLACE) == -ENODATA);
	CHECK(upper_getxattr(up->fd, "file", "user.a", value, sizeof(value), &n) == 0 && n == 1);
	CHECK(upper_listxattr(up->fd, "file", value, sizeof(value), &n) == 0 && n >= 7);
	CHECK(upper_removexattr(up->fd, "file", "user.a") == 0);
	CHECK(upper_removexattr(up->fd, "file", "user.a") == -ENODATA);
	CHECK(upper_getxattr(up->fd, "none", "user.a", value, sizeof(value), &n) == -ENOENT);
	CHECK(upper_setxattr(up->fd, "", "user.dir", "22", 2, 0) == 0);
	CHECK(upper_getxattr(up->fd, ".", "user.dir", value, sizeof(value), &n) == 0 && n == 2);
	CHECK(mkdirat(up->fd, "dir", 0755) == 0);
	CHECK(upper_dir_marks(up, up->fd, "dir", &opaque, &redirect) == 0 && !opaque && !redirect);
	CHECK(upper_set_opaque(up, up->fd, "dir") == 0);
	CHECK(upper_set_redirect(up, up->fd, "dir", "/a/b") == 0);
	CHECK(upper_dir_marks(up, up->fd, "dir", &opaque, &redirect) == 0 && opaque);
	CHECK(redirect && strcmp(redirect, "/a/b") == 0);
	free(redirect);
}

/* Longer than what is read at first. */
static void test_long_redirect(struct upper *up)
{
	char text[2000], *redirect;
	bool opaque;

	memset(text, 'x', sizeof(text));
	text[0] = '/';
	text[sizeof(text) - 1] = 0;
	CHECK(mkdirat(up->fd, "long", 0755) == 0);
	CHECK(upper_set_redirect(up, up->fd, "long", text) == 0);
	CHECK(upper_dir_marks(up, up->fd, "long", &opaque, &redirect) == 0 && redirect);
	CHECK(strcmp(redirect, text) == 0);
	free(redirect);
}

/* A symlink's own xattrs, and never those of its target. */
static void test_symlink(struct upper *up)
{
	char value[8];
	size_t n;

	CHECK(symlinkat("file", up->fd, "link") == 0);
	CHECK(upper_setxattr(up->fd, "link", "user.x", "1", 1, 0) == -EPERM);
	CHECK(upper_getxattr(up->fd, "file", "user.x", value, sizeof(value), &n) == -ENODATA);
	if (!up->user) {
		CHECK(upper_mark_set(up, up->fd, "link", OVERLAY_ORIGIN, "abc", 3) == 0);
		CHECK(upper_mark_get(up, up->fd, "link", OVERLAY_ORIGIN, value, 8, &n) == 0);
		CHECK(n == 3);
	} else {
		CHECK(upper_mark_set(up, up->fd, "link", OVERLAY_ORIGIN, "abc", 3) == 1);
		CHECK(upper_mark_get(up, up->fd, "link", OVERLAY_ORIGIN, value, 8, &n) == 1);
	}
	CHECK(upper_mark_get(up, up->fd, "file", OVERLAY_ORIGIN, value, 8, &n) == 1);
}

/* ---- names ----------------------------------------------------------------------------------- */
static void test_whiteouts(struct upper *up)
{
	struct stat a, b, c;

	CHECK(upper_whiteout(up, up->fd, "w1", false) == 0);
	CHECK(upper_whiteout(up, up->fd, "w2", false) == 0);
	CHECK(is_there(up->fd, "w1", &a) && overlay_is_whiteout(&a));
	CHECK(is_there(up->fd, "w2", &b) && b.st_ino == a.st_ino);
	CHECK(upper_whiteout(up, up->fd, "w2", false) == -EEXIST);
	make_file(up->fd, "gone");
	CHECK(upper_whiteout(up, up->fd, "gone", true) == 0);
	CHECK(is_there(up->fd, "gone", &c) && overlay_is_whiteout(&c));
	CHECK(upper_whiteout(up, up->fd, "gone", true) == 0);
	CHECK(upper_whiteout(up, up->fd, "no/such", false) == -ENOENT);
}

static void test_orphans(struct upper *up)
{
	struct stat st;

	make_file(up->fd, "o1");
	make_file(up->fd, "o2");
	CHECK(upper_orphan_move(up, up->fd, "o1", 0xabc, false) == 0);
	CHECK(!is_there(up->fd, "o1", &st) && is_there(up->orphans_fd, "abc", &st));
	CHECK(upper_orphan_move(up, up->fd, "o2", 1, true) == 0);
	CHECK(is_there(up->fd, "o2", &st) && overlay_is_whiteout(&st));
	CHECK(is_there(up->orphans_fd, "1", &st) && S_ISREG(st.st_mode));
	upper_orphan_remove(up, 1);
	CHECK(!is_there(up->orphans_fd, "1", &st));
	upper_orphan_remove(up, 1);
	make_file(up->fd, "o3");
	CHECK(upper_orphan_link(up, up->fd, "o3", 2) == 0);
	CHECK(upper_orphan_link(up, up->fd, "o3", 2) == 0);
	CHECK(is_there(up->fd, "o3", &st) && st.st_nlink == 2);
}

static void test_index(struct upper *up)
{
	static const uint8_t uuid[16] = {7};
	struct overlay_origin o;
	char name[UPPER_INDEX_NAME_SIZE];
	struct stat st;
	uint32_t links;

	overlay_origin_of(uuid, 55, &o);
	CHECK(upper_index_stat(up, &o, &st) == 1);
	make_file(up->scratch_fd, "s");
	CHECK(upper_nlink_note(up, up->scratch_fd, "s", 'L', 0) == 0);
	CHECK(upper_index_add(up, &o, "s") == 0);
	CHECK(upper_index_stat(up, &o, &st) == 0 && st.st_nlink == 1);
	CHECK(strlen(upper_index_name(&o, name)) == 66);
	CHECK(upper_nlink(up, up->index_fd, name, 1, 3, &links) == 0 && links == 3);
	CHECK(upper_index_link(up, &o, up->fd, "i") == 0);
	CHECK(upper_nlink_note(up, up->fd, "i", 'U', -1) == 0);
	CHECK(upper_nlink(up, up->index_fd, name, 2, 3, &links) == 0 && links == 1);
	CHECK(upper_mark_set(up, up->fd, "i", OVERLAY_NLINK, "U+x", 3) == 0);
	CHECK(upper_nlink(up, up->fd, "i", 2, 3, &links) == 0 && links == 2);
	CHECK(upper_mark_set(up, up->fd, "i", OVERLAY_NLINK, "U-9", 3) == 0);
	CHECK(upper_nlink(up, up->fd, "i", 2, 3, &links) == 0 && links == 2);
	CHECK(upper_index_remove(up, &o) == 0 && upper_index_stat(up, &o, &st) == 1);
	CHECK(upper_index_remove(up, &o) == 0);
}

/* What a process leaves in scratch/ goes; in orphans/, only when nobody goes on with it. */
static void test_leftovers(unsigned int flags)
{
	struct upper *up = open_upper(flags);
	struct stat st;

	make_file(up->scratch_fd, "left");
	CHECK(mkdirat(up->scratch_fd, "dir", 0000) == 0);
	CHECK(mkdirat(up->scratch_fd, "dir2", 0755) == 0);
	make_file(up->scratch_fd, "dir2/below");
	make_file(up->orphans_fd, "77");
	upper_close(up);
	up = open_upper(flags | UPPER_RESUME);
	CHECK(!is_there(up->scratch_fd, "left", &st) && !is_there(up->scratch_fd, "dir", &st));
	CHECK(!is_there(up->scratch_fd, "dir2", &st) && is_there(up->orphans_fd, "77", &st));
	upper_close(up);
	up = open_upper(flags);
	CHECK(!is_there(up->orphans_fd, "77", &st));
	upper_close(up);
}

static void test_refusals(void)
{
	struct upper *up;
	struct err e = {0};

	CHECK(upper_open(upper_path, upper_path, 0, &up, &e) == -EINVAL);
	e = (struct err){0};
	CHECK(upper_open("/nonexistent/u", work_path, 0, &up, &e) == -ENOENT);
	e = (struct err){0};
	CHECK(upper_open("/proc", work_path, 0, &up, &e) == -EXDEV);
}

static void test_all(unsigned int flags)
{
	struct upper *up;

	make_dirs();
	test_refusals();
	up = open_upper(flags);
	test_xattrs(up);
	test_long_redirect(up);
	test_symlink(up);
	test_whiteouts(up);
	test_orphans(up);
	test_index(up);
	upper_close(up);
	test_leftovers(flags);
	remove_dirs();
	strcpy(root, "/tmp/plyfs-test-upper-XXXXXX");
}

static int print_origin(const char *uuid, const char *nid)
{
	struct overlay_origin o;
	char name[UPPER_INDEX_NAME_SIZE];
	uint8_t bytes[16];
	unsigned int b;

	for (int i = 0; i < 16; i++) {
		CHECK(sscanf(uuid + 2 * i, "%2x", &b) == 1);
		bytes[i] = (uint8_t)b;
	}
	overlay_origin_of(bytes, strtoull(nid, NULL, 10), &o);
	puts(upper_index_name(&o, name));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "origin") == 0)
		return print_origin(argv[2], argv[3]);
	test_origin();
	test_private();
	test_owner();
	test_all(0);
	test_all(UPPER_USER_XATTR);
	return 0;
}
