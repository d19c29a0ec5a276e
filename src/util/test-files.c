/* SPDX-License-Identifier: Apache-2.0 */
/* dir-stack, remove and output-file: what works on files. */
#include "dir-stack.h"
#include "output-file.h"
#include "io.h"
#include "remove.h"
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DEPTH 200

static void put_file(int dirfd, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && io_write_full(fd, text, strlen(text)) == 0);
}

static unsigned int count_names(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);
	unsigned int n = 0;

	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static unsigned int count_open(void)
{
	int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	unsigned int n = count_names(fd);

	close(fd);
	return n;
}

/* Directories "d" in each other, each with a file; left as the innermost one is the current. */
static void go_down(struct dir_stack *s, int root)
{
	CHECK(dir_stack_push(s, dup(root)) == 0);
	for (int k = 0; k < DEPTH; k++) {
		int fd = dir_stack_fd(s);

		put_file(fd, "file", "x");
		CHECK(mkdirat(fd, "d", 0700) == 0);
		CHECK(dir_stack_push(s, openat(fd, "d", O_RDONLY | O_DIRECTORY)) == 0);
	}
}

static void test_dir_stack(int root)
{
	_cleanup_dir_stack_ struct dir_stack s = {0};
	const unsigned int before = count_open();
	struct stat st, inner = {0};

	go_down(&s, root);
	CHECK(s.n == DEPTH + 1 && count_open() < before + 80);
	for (int k = 0; k < DEPTH; k++) {
		_cleanup_close_ int left = -1;

		CHECK(dir_stack_pop(&s, &left) == 0 && fstat(left, &st) == 0);
		CHECK(k == 0 || (fstatat(left, "d", &inner, 0) == 0 && inner.st_ino != st.st_ino));
		CHECK(fstatat(dir_stack_fd(&s), "d", &inner, 0) == 0 && inner.st_ino == st.st_ino);
	}
	CHECK(s.n == 1);
	CHECK(dir_stack_push(&s, -1) == -EBADF);
}

/* A directory that was moved away is not gone back from. */
static void test_dir_stack_moved(int root)
{
	_cleanup_dir_stack_ struct dir_stack s = {0};
	int r = 0;

	go_down(&s, root);
	CHECK(mkdirat(root, "other", 0700) == 0);
	CHECK(renameat(root, "d/d/d/d/d/d/d/d", root, "other/d") == 0);
	while (r == 0 && s.n) {
		_cleanup_close_ int left = -1;

		r = dir_stack_pop(&s, &left);
	}
	CHECK(r == -ESTALE && s.n > 1);
}

static void test_remove(int root)
{
	_cleanup_dir_stack_ struct dir_stack s = {0};
	_cleanup_close_ int inner = -1, outside = -1;

	go_down(&s, root);
	CHECK(mkdirat(root, "shut", 0700) == 0 && mkdirat(root, "shut/in", 0500) == 0);
	put_file(root, "shut/file", "x");
	CHECK(fchmodat(root, "shut", 0, 0) == 0);
	CHECK(mkdirat(root, "outside", 0700) == 0 && mkdirat(root, "in", 0700) == 0);
	put_file(root, "outside/file", "x");
	CHECK(symlinkat("../outside", root, "in/link") == 0);
	inner = openat(root, "in", O_RDONLY | O_DIRECTORY);
	outside = openat(root, "outside", O_RDONLY | O_DIRECTORY);
	CHECK(remove_below(inner) == 0 && count_names(inner) == 0 && count_names(outside) == 1);
	CHECK(remove_below(root) == 0 && count_names(root) == 0);
	CHECK(remove_below(root) == 0 && remove_below(-1) == -EBADF);
}

/* --- output-file ---------------------------------------------------------------------------- */

static void write_output(const char *path, size_t n, bool commit)
{
	_cleanup_output_file_ struct output_file f = OUTPUT_FILE_NONE;

	CHECK(output_file_open(&f, path, NULL) == 0);
	for (size_t k = 0; k < n; k += 10)
		CHECK(sink_write(&f.file.sink, "0123456789", 10) == 0);
	if (commit)
		CHECK(output_file_commit(&f) == 0);
}

static uint64_t size_of(int dirfd, const char *name)
{
	struct stat st;

	CHECK(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	return (uint64_t)st.st_size;
}

static void test_output_file(int root)
{
	CHECK(fchdir(root) == 0);
	write_output("new", 3000000, false);
	CHECK(count_names(root) == 0);
	write_output("new", 3000000, true);
	CHECK(count_names(root) == 1 && size_of(root, "new") == 3000000);
	write_output("./new", 10, false);
	CHECK(count_names(root) == 1 && size_of(root, "new") == 3000000);
	write_output("./new", 0, true);
	CHECK(count_names(root) == 1 && size_of(root, "new") == 0);
	put_file(root, "target", "old");
	CHECK(symlinkat("target", root, "link") == 0);
	write_output("link", 20, true);
	CHECK(size_of(root, "link") == 6 && size_of(root, "target") == 20);
	CHECK(chdir("/") == 0);
}

static void test_output_file_failures(int root)
{
	struct output_file f;
	struct err e = {0};
	int r = 0;

	CHECK(fchdir(root) == 0);
	CHECK(output_file_open(&f, ".", NULL) < 0 && f.fd == -1);
	CHECK(output_file_open(&f, "none/x", &e) == -ENOENT && strstr(e.text, "none/x"));
	CHECK(output_file_open(&f, "x/", NULL) < 0 && count_names(root) == 0);
	CHECK(output_file_open(&f, "/dev/full", NULL) == 0);
	for (int k = 0; k < 400000 && r == 0; k++)
		r = sink_write(&f.file.sink, "0123456789", 10);
	CHECK(r == -ENOSPC && output_file_commit(&f) == -ENOSPC);
	output_file_done(&f);
	output_file_done(&f);
	CHECK(chdir("/") == 0);
}

int main(void)
{
	static void (*const tests[])(int root) = {test_dir_stack, test_dir_stack_moved, test_remove,
		test_output_file, test_output_file_failures};

	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		char path[] = "/tmp/plyfs-test-XXXXXX";
		int fd;

		CHECK(mkdtemp(path));
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		tests[i](fd);
		CHECK(remove_below(fd) == 0 && rmdir(path) == 0);
		close(fd);
	}
	return 0;
}
