/* SPDX-License-Identifier: Apache-2.0 */
#include "format/tar.h"
#include "link-table.h"
#include "manifest-form.h"
#include "tree-source.h"
#include "util/io.h"
#include "util/test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static char top[] = "/tmp/plyfs-test-tree-XXXXXX";
static char root[64]; /* the tree under test */

/* Two of them may be used at a time. */
static const char *in_root(const char *name)
{
	static char paths[2][400];
	static size_t next;
	char *path = paths[next++ % 2];

	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

static int run(const char *script)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("sh", "sh", "-c", script, "sh", root, NULL);
		_exit(127);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void fresh_root(void)
{
	CHECK(run("chmod -R u+rwx \"$1\" 2>/dev/null; rm -rf \"$1\"") == 0);
	CHECK(mkdir(root, 0755) == 0);
}

static void add_file(const char *name, const char *text)
{
	_cleanup_close_ int fd =
		open(in_root(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && io_write_full(fd, text, strlen(text)) == 0);
}

/* --- what a tar holds, as text ------------------------------------------------------------- */

static void describe(struct buf *b, const struct tar_entry *x)
{
	CHECK(buf_addf(b, "%s %o %jd.%09u %ju", x->path, x->mode, (intmax_t)x->mtime, x->mtime_nsec,
		      (uintmax_t)x->size) == 0);
	if (x->link)
		CHECK(buf_addf(b, " %s %s", x->hardlink ? "=" : "->", x->link) == 0);
	if (S_ISCHR(x->mode) || S_ISBLK(x->mode))
		CHECK(buf_addf(b, " dev %u:%u", x->dev_major, x->dev_minor) == 0);
	for (size_t i = 0; i < x->n_xattrs; i++)
		if (strcmp(x->xattrs[i].name, "security.selinux") != 0)
			CHECK(buf_addf(b, " [%s=%.*s]", x->xattrs[i].name,
				      (int)x->xattrs[i].value_size,
				      (const char *)x->xattrs[i].value) == 0);
	for (size_t i = 0; x->sparse && i < x->n_extents; i++)
		CHECK(buf_addf(b, " {%ju+%ju}", (uintmax_t)x->extents[i].offset,
			      (uintmax_t)x->extents[i].size) == 0);
}

/* Small contents are quoted behind the entry. */
static void describe_content(struct buf *b, struct tar_reader *t, const struct tar_entry *x)
{
	const uint8_t *p;
	uint64_t offset;
	size_t n;
	bool quoted = false;

	while (tar_data(t, &p, &n, &offset, NULL) > 0) {
		if (x->size < 100)
			CHECK(buf_addf(b, "%s%.*s", quoted ? "" : " '", (int)n, (const char *)p) ==
				0);
		quoted = x->size < 100;
	}
	CHECK(buf_addf(b, "%s\n", quoted ? "'" : "") == 0);
}

static char *tar_text(const struct buf *tar)
{
	struct test_source in = test_source_of(tar->p, tar->n, 1 << 16);
	struct tar_reader *t = tar_reader_new(&in.s);
	const struct tar_entry *x;
	struct buf b = {0};
	struct err e = {0};
	int r;

	CHECK(t && buf_addf(&b, "%s", "") == 0);
	while ((r = tar_next(t, &x, &e)) > 0) {
		describe(&b, x);
		describe_content(&b, t, x);
	}
	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r == 0);
	tar_reader_free(t);
	test_source_done(&in);
	return (char *)b.p;
}

static char *rootfs_text(void)
{
	struct test_sink out = test_sink_new();
	struct err e = {0};
	char *text;

	if (rootfs_to_tar(root, &out.s, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	text = tar_text(&out.b);
	test_sink_done(&out);
	return text;
}

static void expect_text(char *text, const char *want, int line)
{
	if (!strstr(text, want)) {
		fprintf(stderr, "%s:%d: got:\n%s\nwant:\n%s\n", __FILE__, line, text, want);
		exit(1);
	}
	free(text);
}
#define EXPECT(text, want) expect_text(text, want, __LINE__)

static void expect_rootfs_error(const char *why)
{
	struct test_sink out = test_sink_new();
	struct err e = {0};

	CHECK(rootfs_to_tar(root, &out.s, &e) < 0);
	if (!strstr(e.text, why))
		fprintf(stderr, "%s, not: %s\n", e.text, why);
	CHECK(strstr(e.text, why));
	test_sink_done(&out);
}

/* --- rootfs ------------------------------------------------------------------------------- */

static void test_rootfs_types(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fresh_root();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", root);
	CHECK(bind(sock, (struct sockaddr *)&address, sizeof(address)) == 0);
	add_file("a", "hello");
	CHECK(run("cd \"$1\" && umask 022 && mkdir -p a.d b && echo 1 >b/x && ln a b/a2 && ln a z "
		  "&&"
		  "ln -s ../nowhere sym && ln -P sym b/sym2 && mkfifo pipe && ln pipe b/pipe2 &&"
		  "chmod 4711 a && chmod 600 pipe && chmod 755 socket &&"
		  "touch -h -d @-1.25 sym && touch -d @1700000000.000000001 b/x && chmod 1777 . &&"
		  "touch -d @5 a a.d b pipe socket .") == 0);
	EXPECT(rootfs_text(), "./ 41777 5.000000000 0\n"
			      "a 104711 5.000000000 5 'hello'\n"
			      "a.d/ 40755 5.000000000 0\n"
			      "b/ 40755 5.000000000 0\n"
			      "b/a2 104711 5.000000000 0 = a\n"
			      "b/pipe2 10600 5.000000000 0\n"
			      "b/sym2 120777 -2.750000000 0 -> ../nowhere\n"
			      "b/x 100644 1700000000.000000001 2 '1\n'\n"
			      "pipe 100600 5.000000000 0 = b/pipe2\n"
			      "socket 140755 5.000000000 0\n"
			      "sym 100777 -2.750000000 0 = b/sym2\n"
			      "z 104711 5.000000000 0 = a\n");
}

static void test_rootfs_names(void)
{
	char name[256];

	fresh_root();
	memset(name, 'n', 255);
	name[255] = 0;
	add_file(name, "");
	add_file("\xff\xfe\n=", "");
	add_file("a b\\", "");
	EXPECT(rootfs_text(), "\xff\xfe\n= 100644");
	EXPECT(rootfs_text(), name);
	EXPECT(rootfs_text(), "a b\\ 100644");
	add_file("a.wh.b", "");
	add_file(".wh.b", "");
	expect_rootfs_error("'.wh.b': a name that starts with '.wh.'");
}

static void test_rootfs_xattrs(void)
{
	fresh_root();
	add_file("f", "");
	if (setxattr(in_root("f"), "user.b", "2", 1, 0) < 0)
		return; /* not on this filesystem */
	CHECK(setxattr(in_root("f"), "user.a", "", 0, 0) == 0);
	CHECK(mkdir(in_root("d"), 0700) == 0);
	CHECK(setxattr(in_root("d"), "user.%3D=", "d", 1, 0) == 0);
	EXPECT(rootfs_text(), " [user.%3D==d]\n");
	EXPECT(rootfs_text(), " [user.a=] [user.b=2]\n");
	CHECK(symlink("f", in_root("s")) == 0);
	if (geteuid() == 0 && lsetxattr(in_root("s"), "trusted.t", "s", 1, 0) == 0)
		EXPECT(rootfs_text(), " -> f [trusted.t=s]\n");
}

static void test_rootfs_devices(void)
{
	fresh_root();
	if (mknod(in_root("c"), S_IFCHR | 0600, makedev(1, 3)) < 0)
		return; /* not allowed to */
	CHECK(mknod(in_root("b"), S_IFBLK | 0600, makedev(4095, 1048575)) == 0);
	CHECK(link(in_root("c"), in_root("d")) == 0);
	CHECK(chown(in_root("c"), 4294967294u, 100000000) == 0);
	EXPECT(rootfs_text(), " dev 4095:1048575\n");
	EXPECT(rootfs_text(), " dev 1:3\n");
	EXPECT(rootfs_text(), " 0 = c\n");
}

static void test_rootfs_holes(void)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	fresh_root();
	fd = open(in_root("s"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)1 << 40) == 0);
	CHECK(pwrite(fd, "x", 1, 1 << 20) == 1 && pwrite(fd, "y", 1, (off_t)1 << 39) == 1);
	CHECK(fstat(fd, &st) == 0);
	if (st.st_blocks > 1000)
		return;
	EXPECT(rootfs_text(), " 1099511627776 {1048576+4096} {549755813888+4096}\n");
	CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, 1 << 20) == 0);
	EXPECT(rootfs_text(), " 1048576\n"); /* all hole: no extents, and no content */
	CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, 4095) == 0);
	EXPECT(rootfs_text(), " 4095\n");
}

/* Far more levels than descriptors or PATH_MAX allow; made and removed step by step. */
static void test_rootfs_deep(void)
{
	enum { LEVELS = 3000 };
	_cleanup_close_ int fd = -1;
	char *text;

	fresh_root();
	fd = open(root, O_PATH | O_CLOEXEC);
	for (size_t i = 0; i < LEVELS; i++) {
		int next;

		CHECK(mkdirat(fd, "ddd", 0700) == 0);
		CHECK(mknodat(fd, "zzz", S_IFREG | 0600, 0) == 0);
		next = openat(fd, "ddd", O_PATH | O_CLOEXEC);
		CHECK(next >= 0);
		close(fd);
		fd = next;
	}
	text = rootfs_text();
	CHECK(strlen(text) > (size_t)LEVELS * LEVELS * 4 / 2);
	CHECK(strstr(text, "\nzzz 100600"));
	free(text);
}

static void test_rootfs_wide(void)
{
	enum { NAMES = 100000 };
	_cleanup_close_ int fd = -1;
	struct test_sink out = test_sink_new();
	char name[16];

	fresh_root();
	fd = open(root, O_PATH | O_CLOEXEC);
	for (size_t i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "%zu", i * 7919 % NAMES);
		CHECK(mknodat(fd, name, S_IFREG | 0600, 0) == 0);
	}
	CHECK(rootfs_to_tar(root, &out.s, NULL) == 0);
	CHECK(out.b.n >= (size_t)NAMES * 512);
	test_sink_done(&out);
}

/* A sink that changes the file that is being read, once. */
struct evil_sink {
	struct test_sink s;
	bool done;
};

static int evil_fill(struct sink *s, size_t n)
{
	struct evil_sink *t = (struct evil_sink *)s;

	if (t->s.b.n > 4096 && !t->done) {
		t->done = true;
		CHECK(truncate(in_root("f"), 5000) == 0);
	}
	return test_sink_fill(s, n);
}

static void test_rootfs_changes(void)
{
	struct evil_sink out = {.s = test_sink_new()};
	struct err e = {0};

	fresh_root();
	add_file("f", "");
	CHECK(run("head -c 300000 /dev/urandom >\"$1\"/f") == 0);
	out.s.s.fill = evil_fill;
	CHECK(rootfs_to_tar(root, &out.s.s, &e) == -ERR_INPUT);
	CHECK(strstr(e.text, "'f' changed while it was read"));
	test_sink_done(&out.s);
}

static int failing_room(struct sink *s _unused_, uint8_t **ret_p _unused_, size_t *ret_n _unused_)
{
	return -ENOSPC;
}

static void test_rootfs_errors(void)
{
	struct sink full = {failing_room, NULL};
	struct err e = {0};

	fresh_root();
	CHECK(rootfs_to_tar(root, &full, &e) == -ENOSPC);
	CHECK(strstr(e.text, "No space left"));
	CHECK(rmdir(root) == 0);
	expect_rootfs_error("cannot open");
	CHECK(run(": >\"$1\"") == 0); /* the root is a file */
	expect_rootfs_error("cannot open");
	CHECK(unlink(root) == 0);
}

static void test_link_table(void)
{
	struct link_table t = {0};
	const char *first;
	char path[32];

	for (size_t round = 0; round < 2; round++)
		for (size_t i = 0; i < 10000; i++) {
			snprintf(path, sizeof(path), "p%zu", i);
			CHECK(link_table_add(&t, i % 3, i, round ? "other" : path, &first) == 0);
			CHECK(round ? strcmp(first, path) == 0 : !first);
		}
	CHECK(t.n == 10000);
	link_table_done(&t);
}

/* --- manifest ----------------------------------------------------------------------------- */

static int manifest_tar(const char *text, struct test_sink *out, struct err *e)
{
	add_file("manifest", text);
	return manifest_to_tar(in_root("manifest"), &out->s, e);
}

static void expect_manifest(const char *manifest, const char *want, int line)
{
	struct test_sink out = test_sink_new();
	struct err e = {0};
	char *got;

	if (manifest_tar(manifest, &out, &e) < 0) {
		fprintf(stderr, "%s:%d: %s\n", __FILE__, line, e.text);
		exit(1);
	}
	got = tar_text(&out.b);
	if (strcmp(got, want) != 0) {
		fprintf(stderr, "%s:%d: got:\n%s\nwant:\n%s\n", __FILE__, line, got, want);
		exit(1);
	}
	free(got);
	test_sink_done(&out);
}
#define MANIFEST(text, want) expect_manifest(text, want, __LINE__)

static void expect_bad(const char *manifest, const char *why, int line)
{
	struct test_sink out = test_sink_new();
	struct err e = {0};
	int r = manifest_tar(manifest, &out, &e);

	if (r >= 0 || !strstr(e.text, why)) {
		fprintf(stderr, "%s:%d: got: %s, want: %s\n", __FILE__, line, e.text, why);
		exit(1);
	}
	test_sink_done(&out);
}
#define BAD(text, why) expect_bad(text, why, __LINE__)

static void test_manifest(void)
{
	fresh_root();
	MANIFEST("", "");
	MANIFEST("# comment\n\n \t# another\n", "");
	MANIFEST("usr/bin/x type=file mode=04755 uid=1 gid=2 time=-1.25 inline=a\\sb\\012\n"
		 "/ type=dir mode=700\n./usr type=dir",
		"./ 40700 0.000000000 0\nusr/ 40755 0.000000000 0\n"
		"usr/bin/x 104755 -2.750000000 4 'a b\n'\n");
	MANIFEST("l type=link link=../x\\040y\nc device=c:1:3\nb type=block device=b:8:0 mode=660\n"
		 "p type=fifo\ns type=socket\n",
		"b 60660 0.000000000 0 dev 8:0\nc 20644 0.000000000 0 dev 1:3\n"
		"l 120777 0.000000000 0 -> ../x y\np 10644 0.000000000 0\ns 140644 0.000000000 "
		"0\n");
	MANIFEST("/set type=file mode=600 time=7\na\nb mode=644\n/unset mode time\nc\n./set\n",
		"a 100600 7.000000000 0\nb 100644 7.000000000 0\nc 100644 0.000000000 0\n"
		"set 100644 0.000000000 0\n");
	MANIFEST("a-b type=file\na/b type=file\na type=dir\na.b type=file\n",
		"a/ 40755 0.000000000 0\na/b 100644 0.000000000 0\na-b 100644 0.000000000 0\n"
		"a.b 100644 0.000000000 0\n");
	MANIFEST("z type=file inline=x xattr.user.a=\\000 xattr.user.\\075=\n"
		 "a type=hardlink link=/z\nb type=hardlink link=z\n",
		"a 100644 0.000000000 1 [user.==] [user.a=] 'x'\n"
		"b 100644 0.000000000 0 = a [user.==] [user.a=]\n"
		"z 100644 0.000000000 0 = a [user.==] [user.a=]\n");
	MANIFEST("d type=dir opaque\nd/x type=whiteout\ny type=whiteout\n/ type=dir opaque\n",
		"./ 40755 0.000000000 0\n.wh..wh..opq 100000 0.000000000 0\nd/ 40755 0.000000000 "
		"0\n"
		"d/.wh..wh..opq 100000 0.000000000 0\nd/.wh.x 100000 0.000000000 0\n"
		".wh.y 100000 0.000000000 0\n");
}

static void test_manifest_content(void)
{
	fresh_root();
	CHECK(mkdir(in_root("files"), 0700) == 0);
	add_file("files/x", "content");
	CHECK(symlink("x", in_root("files/link")) == 0);
	CHECK(mkfifo(in_root("files/fifo"), 0600) == 0);
	MANIFEST("f type=file content=files/x\n", "f 100644 0.000000000 7 'content'\n");
	BAD("f type=file content=files/none\n", "line 1: cannot open content 'files/none'");
	BAD("f type=file content=files/link\n", "line 1: cannot open content 'files/link'");
	BAD("\nf type=file content=files/fifo\n",
		"line 2: content 'files/fifo' is no regular file");
	BAD("f type=file content=files\n", "is no regular file");
}

static void test_manifest_refuses(void)
{
	fresh_root();
	BAD("f type=file colour=red\n", "line 1: unknown keyword 'colour'");
	BAD("f type=file opaque=1\n", "line 1: bad value for keyword 'opaque'");
	BAD("f type\n", "bad value for keyword 'type'");
	BAD("f type=file opaque\n", "'opaque' does not go with type=file");
	BAD("f mode=644\n", "line 1: no type");
	BAD("f type=door\n", "bad value for keyword 'type'");
	BAD("f type=file\n/f type=dir\n", "line 2: '/f' stands in line 1 already");
	BAD("f type=file mode=1 mode=1\n", "stands there twice");
	BAD("f type=file mode=999\n", "bad value for keyword 'mode'");
	BAD("f type=file mode=10000\n", "bad value for keyword 'mode'");
	BAD("f type=file uid=4294967295\n", "bad value for keyword 'uid'");
	BAD("f type=file gid=-1\n", "bad value for keyword 'gid'");
	BAD("f type=file time=1.0000000001\n", "bad value for keyword 'time'");
	BAD("f type=file time=\n", "bad value for keyword 'time'");
	BAD("a/../b type=file\n", "'.' or '..' in the path");
	BAD(".. type=dir\n", "'.' or '..' in the path");
	BAD("a/. type=dir\n", "'.' or '..' in the path");
	BAD("a//b type=file\n", "an empty name in the path");
	BAD("a/ type=dir\n", "an empty name in the path");
	BAD("d/.wh.a type=file\n", "starts with '.wh.'");
	BAD("a\\000 type=file\n", "a NUL byte in the path");
	BAD("a\\x type=file\n", "unknown escape");
	BAD("a\\ type=file\n", "unknown escape");
	BAD("a\\40\n", "unknown escape");
	BAD("a\\400\n", "unknown escape");
	BAD("/ type=file\n", "the root is no directory");
	BAD("a/b type=file\na type=file\n", "line 1: '/a/b' is below what line 2 says");
	BAD("a type=whiteout\na/b/c type=file\n", "line 2: '/a/b/c' is below what line 1 says");
	BAD("a type=link\n", "type=link needs 'link'");
	BAD("a type=link link=\n", "bad value for keyword 'link'");
	BAD("a type=char\n", "type=char needs 'device'");
	BAD("a device=x:1:2\n", "bad value for keyword 'device'");
	BAD("a device=c:1\n", "bad value for keyword 'device'");
	BAD("a device=c::1\n", "bad value for keyword 'device'");
	BAD("a device=c:1:4294967296\n", "bad value for keyword 'device'");
	BAD("a device=b:1:3 type=char\n", "'type' and 'device' differ");
	BAD("a type=file device=c:1:3\n", "'device' does not go with type=file");
	BAD("a type=hardlink link=b\n", "line 1: there is no '/b' to link to");
	BAD("a type=hardlink link=a\n", "no file that can be linked to");
	BAD("a type=hardlink link=b mode=1\nb type=file\n", "'mode' does not go with");
	BAD("a type=hardlink link=../b\n", "bad link target");
	BAD("b type=dir\na type=hardlink link=b\n", "no file that can be linked to");
	BAD("f type=file content=x inline=y\n", "both 'content' and 'inline'");
	BAD("f type=file xattr.=1\n", "bad name of an extended attribute");
	BAD("f type=file xattr.a\n", "no value");
	BAD("f type=file xattr.user.a=1 xattr.user.a=1\n", "two values");
	BAD("f type=whiteout xattr.user.a=1\n", "do not go with type 'whiteout'");
	BAD("/set content=x\n", "unknown keyword 'content'");
	BAD("/unset content\n", "unknown keyword behind /unset");
}

static void test_manifest_limits(void)
{
	char *text = malloc(3 << 20);

	CHECK(text);
	memset(text, 'a', 3 << 20);
	text[(1 << 20) + 1] = 0;
	BAD(text, "line 1: longer than 1 MiB");
	memset(text, 'a', 300);
	strcpy(text + 256, " type=file\n");
	BAD(text, "longer than 255 bytes");
	strcpy(text + 252, " type=whiteout\n");
	BAD(text, "longer than 251 bytes");
	memcpy(text, "a type=file xattr.user.a=", 25);
	memset(text + 25, 'v', 65537);
	text[25 + 65537] = 0;
	BAD(text, "longer than 64 KiB");
	memset(text, 'v', 65537 + 25);
	memcpy(text, "a type=link link=", 17);
	text[17 + 4096] = 0;
	BAD(text, "longer than 4095 bytes");
	for (size_t i = 0, n = (size_t)sprintf(text, "a type=file"); i < 1025; i++)
		n += (size_t)sprintf(text + n, " xattr.user.%zu=", i);
	BAD(text, "more than 1024 extended attributes");
	free(text);
}

/* As long a line as may be, in a path of 4000 names. */
static void test_manifest_long(void)
{
	char *text = malloc(1 << 20);
	size_t n = 0;

	CHECK(text);
	while (n < (1 << 20) - 300)
		n += (size_t)sprintf(text + n, "%s%0200d", n ? "/" : "", 1);
	strcpy(text + n, " type=file inline=end\n");
	EXPECT(({
		struct test_sink out = test_sink_new();
		char *got;

		CHECK(manifest_tar(text, &out, NULL) == 0);
		got = tar_text(&out.b);
		test_sink_done(&out);
		got;
	}),
		"1 100644 0.000000000 3 'end'\n");
	free(text);
}

int main(void)
{
	CHECK(mkdtemp(top));
	umask(022);
	snprintf(root, sizeof(root), "%s/root", top);
	test_rootfs_types();
	test_rootfs_names();
	test_rootfs_xattrs();
	test_rootfs_devices();
	test_rootfs_holes();
	test_rootfs_deep();
	test_rootfs_wide();
	test_rootfs_changes();
	test_rootfs_errors();
	test_link_table();
	test_manifest();
	test_manifest_content();
	test_manifest_refuses();
	test_manifest_limits();
	test_manifest_long();
	CHECK(run("rm -rf \"$1\"") == 0 && rmdir(top) == 0);
	return 0;
}
