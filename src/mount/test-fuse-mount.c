/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real mount of the union of test-union.h: reading and writing through the kernel, servers and
 * supervisors that are killed under load, an upgrade, the ways to end. The program is its own
 * server and supervisor, as plyfs is.
 */
#include "control.h"
#include "supervisor.h"
#include "test-union.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

static char root[64], dir[80], wfile[80], work[80], mark[80];

static int test_open(
	const struct serve_config *c, struct session *s, struct union_fs **ret, struct err *e)
{
	if (c->image) /* how the test asks for a failure */
		return err_set(e, -ENOENT, "no such image as %s", c->image);
	return tu_open(s, c->upper, ret);
}

static const struct serve_ops test_ops = {test_open, tu_close};

static struct serve_config config(bool writable)
{
	static char program[] = "/proc/self/exe", source[] = "test,source";
	struct serve_config c = {.program = program, .dir = dir, .source = source};

	if (writable) {
		c.upper = wfile;
		c.work = work;
		c.threads = 2;
	}
	return c;
}

static pid_t mount_it(bool writable)
{
	struct serve_config c = config(writable);
	struct err e = {0};
	pid_t pid = 0;
	int r = supervisor_start(&c, NULL, 0, 2, &pid, &e);

	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r == 0 && pid > 0);
	return pid;
}

/* ---- who is there ------------------------------------------------------------------------- */

static pid_t server_pid(void)
{
	char text[32] = "";
	ssize_t n = getxattr(dir, "user.pid", text, sizeof(text) - 1);

	CHECK(n > 0);
	return (pid_t)strtol(text, NULL, 10);
}

static bool contains(const char *path, const char *what)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	static char text[65536];
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	return n && memmem(text, n, what, strlen(what));
}

/* Our process of this command; 0: there is none. */
static pid_t find_process(const char *command)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;

	CHECK(d);
	while ((e = readdir(d))) {
		char path[300];

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		if (!contains(path, command))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/environ", e->d_name);
		if (contains(path, mark))
			found = (pid_t)strtol(e->d_name, NULL, 10);
	}
	closedir(d);
	return found;
}

/* A supervisor that has what it must not lose; 0: there is none. */
static pid_t supervisor_pid(void)
{
	pid_t pid = find_process(SUPERVISOR_COMMAND), found = 0;
	char path[64], link[64];

	for (int fd = 0; fd < 20 && pid; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)pid, fd);
		n = readlink(path, link, sizeof(link));
		if (n == 9 && memcmp(link, "/dev/fuse", 9) == 0)
			found = pid;
	}
	return found;
}

static void nap(void)
{
	usleep(10000);
}

#define WAIT_FOR(condition) \
	do { \
		int _n = 0; \
		while (!(condition)) { \
			CHECK(_n++ < 1000); \
			nap(); \
		} \
	} while (0)

static bool mounted(void)
{
	return contains("/proc/self/mountinfo", dir);
}

static void gone(void)
{
	WAIT_FOR(!mounted());
	WAIT_FOR(!find_process(SUPERVISOR_COMMAND) && !find_process(SERVER_COMMAND));
}

/* ---- what is read ------------------------------------------------------------------------- */

static int path_of(const char *name, char *ret, size_t n)
{
	return snprintf(ret, n, "%s/%s", dir, name);
}

static void check_file(uint64_t node, size_t piece)
{
	_cleanup_free_ uint8_t *p = malloc(piece);
	char path[128];
	int fd;

	path_of(tu_names[node], path, sizeof(path));
	fd = open(path, O_RDONLY);
	CHECK(p && fd >= 0);
	CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	for (size_t at = 0; at < TU_SIZE; at += piece) {
		ssize_t n = pread(fd, p, piece, (off_t)at);

		if (n < 0)
			perror(path);
		CHECK(n == (ssize_t)(TU_SIZE - at < piece ? TU_SIZE - at : piece));
		for (ssize_t i = 0; i < n; i += 61)
			CHECK(p[i] == tu_byte(node, at + (size_t)i));
	}
	close(fd);
}

static void check_names(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned int seen = 0, n = 0;

	CHECK(d);
	while ((e = readdir(d)) && ++n)
		for (int i = TU_F0; i < TU_END; i++)
			if (strcmp(e->d_name, tu_names[i]) == 0)
				seen |= 1u << i;
	closedir(d);
	CHECK(n >= TU_END - 2u && (seen | 1u << TU_W) == (1u << TU_END) - (1u << TU_F0));
}

static void check_misses(unsigned int seed)
{
	char path[128], name[32];
	struct stat st;

	for (unsigned int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "no-%u-%u-%d", seed, i, rand());
		path_of(name, path, sizeof(path));
		CHECK(stat(path, &st) < 0 && errno == ENOENT);
	}
}

static void check_w(unsigned int seed)
{
	char path[128];
	uint8_t p[5000], q[5000];
	int fd;

	path_of("w", path, sizeof(path));
	fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	memset(p, (int)(seed & 0xff), sizeof(p));
	CHECK(pwrite(fd, p, sizeof(p), seed * 8192) == sizeof(p) && fsync(fd) == 0);
	CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	CHECK(pread(fd, q, sizeof(q), seed * 8192) == sizeof(q));
	CHECK(memcmp(p, q, sizeof(p)) == 0);
	close(fd);
}

static void look_at_all(bool writable)
{
	char text[8] = "", path[128];
	struct stat st;

	check_names();
	for (uint64_t n = TU_F0; n <= TU_F3; n++)
		check_file(n, n % 2 ? 4096 : 300001);
	path_of("link", path, sizeof(path));
	CHECK(readlink(path, text, sizeof(text)) == 2 && strcmp(text, "f0") == 0);
	path_of("f2", path, sizeof(path));
	CHECK(stat(path, &st) == 0 && st.st_size == TU_SIZE && st.st_ino == TU_F0 + 2);
	path_of("new", path, sizeof(path));
	CHECK(open(path, O_WRONLY | O_CREAT, 0600) < 0 && errno == (writable ? ENOSPC : EROFS));
	check_misses(1);
	if (writable)
		check_w(3);
}

/* ---- load --------------------------------------------------------------------------------- */

#define READERS 4
static pid_t readers[READERS];

static void start_readers(void)
{
	for (unsigned int i = 0; i < READERS; i++) {
		readers[i] = fork();
		CHECK(readers[i] >= 0);
		if (readers[i] > 0)
			continue;
		for (unsigned int n = 0;; n++) {
			check_file(TU_F0 + (i + n) % 4, n % 2 ? 4096 : 131072);
			check_misses(i);
			check_w(i + 10);
		}
	}
}

static void stop_readers(void)
{
	for (int i = 0; i < READERS; i++) {
		int status;

		CHECK(waitpid(readers[i], &status, WNOHANG) == 0); /* no error has ended it */
		CHECK(kill(readers[i], SIGKILL) == 0);
		CHECK(waitpid(readers[i], &status, 0) == readers[i]);
	}
}

static void kill_server(void)
{
	pid_t before = server_pid();

	CHECK(kill(before, SIGKILL) == 0);
	CHECK(server_pid() != before); /* waits for the next one to answer */
}

static void test_kills(void)
{
	pid_t supervisor = mount_it(true), before;

	look_at_all(true);
	start_readers();
	for (int i = 0; i < 6; i++) {
		usleep(300000 + (unsigned int)rand() % 100000);
		kill_server();
	}
	CHECK(kill(supervisor, SIGKILL) == 0);
	CHECK(waitpid(supervisor, NULL, 0) == supervisor);
	WAIT_FOR(supervisor_pid());
	kill_server();
	before = server_pid();
	supervisor = supervisor_pid();
	CHECK(supervisor && kill(supervisor, SIGHUP) == 0);
	WAIT_FOR(server_pid() != before); /* upgraded */
	WAIT_FOR(
		find_process(SUPERVISOR_COMMAND) && find_process(SUPERVISOR_COMMAND) != supervisor);
	usleep(200000);
	kill_server();
	usleep(200000);
	stop_readers();
	look_at_all(true);
	CHECK(kill(supervisor_pid(), SIGTERM) == 0);
	gone();
}

static void test_ends(void)
{
	struct serve_config c = config(false);
	char no[] = "nothing";
	struct err e = {0};
	pid_t pid = mount_it(false);
	int status;

	look_at_all(false);
	CHECK(umount(dir) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	gone();
	c.image = no;
	CHECK(supervisor_start(&c, NULL, 0, 2, &pid, &e) < 0);
	CHECK(strcmp(e.text, "no such image as nothing") == 0);
	gone();
}

static void test_dies_too_often(void)
{
	pid_t pid = mount_it(false);
	struct stat st;
	int status;

	for (int i = 0; i < 12 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		pid_t server;

		WAIT_FOR((server = find_process(SERVER_COMMAND)) || !mounted());
		if (!server)
			break;
		kill(server, SIGKILL);
		WAIT_FOR(find_process(SERVER_COMMAND) != server);
	}
	gone();
	CHECK(stat(dir, &st) == 0);
}

/* ---- holding a file ----------------------------------------------------------------------- */

/* What is in the file behind the mount, at `off`. */
static uint8_t behind(off_t off)
{
	int fd = open(wfile, O_RDONLY);
	uint8_t v = 0;

	CHECK(fd >= 0 && pread(fd, &v, 1, off) == 1);
	close(fd);
	return v;
}

enum how { BY_WRITE, BY_MAP, BY_TRUNCATE, BY_CHMOD };

/* A process that changes "w"; it ends with 0 once that is behind the mount, too. */
static pid_t change(enum how how, int fd, uint8_t value)
{
	pid_t pid = fork();
	uint8_t *p;

	CHECK(pid >= 0);
	if (pid)
		return pid;
	switch (how) {
	case BY_WRITE:
		CHECK(pwrite(fd, &value, 1, 0) == 1 && fsync(fd) == 0);
		break;
	case BY_MAP:
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
		CHECK(p != MAP_FAILED);
		*p = value;
		CHECK(msync(p, 4096, MS_SYNC) == 0);
		break;
	case BY_TRUNCATE:
		CHECK(ftruncate(fd, 12289) == 0);
		break;
	case BY_CHMOD:
		CHECK(fchmod(fd, 0644) == 0);
		break;
	}
	exit(0);
}

static void still_runs(pid_t pid)
{
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
}

static void ended_well(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void hold_and_change(struct control_client *c, int fd, uint8_t before, uint8_t value)
{
	struct err e = {0};
	struct stat st;
	pid_t pids[8];
	int r = control_hold(c, "w", &e);

	if (r != 0)
		fprintf(stderr, "%d %s\n", r, e.text);
	CHECK(r == 0 && behind(0) == before && behind(4096) == before);
	for (int i = 0; i < 8; i++)
		pids[i] = change((enum how)(i % 4), fd, value);
	usleep(300000);
	for (int i = 0; i < 8; i++)
		still_runs(pids[i]);
	check_file(TU_F0, 4096); /* the others are served meanwhile */
	CHECK(behind(0) == before && behind(4096) == before);
	CHECK(stat(wfile, &st) == 0 && st.st_size == 12288);
	if (value == 99) { /* a server that dies lets go */
		kill_server();
		CHECK(control_unhold(c, &e) < 0);
	} else {
		CHECK(control_unhold(c, &e) == 0);
	}
	for (int i = 0; i < 8; i++)
		ended_well(pids[i]);
	CHECK(behind(0) == value && behind(4096) == value);
	CHECK(stat(wfile, &st) == 0 && st.st_size == 12289);
	CHECK(ftruncate(fd, 12288) == 0);
}

static void test_holds(void)
{
	struct control_client *c = NULL, *other = NULL;
	pid_t pid = mount_it(true);
	struct err e = {0};
	uint8_t page[12288];
	char path[128];
	int fd;

	CHECK(path_of("w", path, sizeof(path)) > 0);
	fd = open(path, O_RDWR | O_TRUNC);
	memset(page, 7, sizeof(page));
	CHECK(fd >= 0 && pwrite(fd, page, sizeof(page), 0) == sizeof(page));
	CHECK(control_connect(work, &c, &e) == 0 && control_connect(work, &other, &e) == 0);
	CHECK(control_hold(c, "none", &e) == 1 && control_hold(c, "link", &e) == 1);
	hold_and_change(c, fd, 7, 8);
	hold_and_change(c, fd, 8, 9);
	CHECK(pwrite(fd, page, sizeof(page), 0) == sizeof(page) && control_sync(c, &e) == 0);
	CHECK(behind(0) == 7 && behind(8192) == 7);
	CHECK(control_hold(c, "w", &e) == 0);
	control_close(c); /* lets go */
	hold_and_change(other, fd, 7, 99);
	control_close(other);
	close(fd);
	CHECK(umount(dir) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	gone();
	CHECK(control_connect(work, &c, &e) == 1);
}

static int run_tests(void)
{
	CHECK(mount("proc", "/proc", "proc", 0, NULL) == 0);
	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(root));
	snprintf(dir, sizeof(dir), "%s/mnt", root);
	snprintf(wfile, sizeof(wfile), "%s/w", root);
	snprintf(mark, sizeof(mark), "PLYFS_TEST_MARK=%s", root);
	snprintf(work, sizeof(work), "%s/work", root);
	CHECK(mkdir(work, 0700) == 0);
	CHECK(mkdir(dir, 0755) == 0 && setenv("PLYFS_TEST_MARK", root, 1) == 0);
	test_ends();
	test_kills();
	test_holds();
	test_dies_too_often();
	CHECK(rmdir(work) == 0); /* the socket is gone */
	CHECK(rmdir(dir) == 0 && unlink(wfile) == 0 && rmdir(root) == 0);
	return 0;
}

/* In namespaces of its own, so that a test that fails leaves no mount and no process. */
int main(int argc, char **argv)
{
	int status;
	pid_t pid;

	if (argc > 1 && strcmp(argv[1], SUPERVISOR_COMMAND) == 0)
		return supervisor_main();
	if (argc > 1 && strcmp(argv[1], SERVER_COMMAND) == 0)
		return server_main(&test_ops);
	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0 ||
		unshare(CLONE_NEWNS | CLONE_NEWPID) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("SKIP: mounting FUSE needs root\n");
		return 77;
	}
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		exit(run_tests());
	CHECK(waitpid(pid, &status, 0) == pid);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1); /* no threads can be had any more */
}
