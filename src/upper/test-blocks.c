// SPDX-License-Identifier: Apache-2.0
/* Bitmaps of half-copied files: what they say, who may lie, kills, full disks. */
#include "blocks-disk.h"
#include "blocks.h"

#include "util/io.h"
#include "util/remove.h"
#include "util/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define MARK "trusted.overlay.plyfs.blocks"

static char root[64];
static struct upper up;

static int make_dir(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static void load(void)
{
	struct err e = {0};

	CHECK(blocks_load(&up, &e) == 0);
}

static void begin(void)
{
	up = (struct upper){.fd = make_dir("upper"), .blocks_fd = make_dir("blocks")};
	load();
}

static void end(void)
{
	blocks_unload(&up);
	close(up.fd);
	close(up.blocks_fd);
}

static int new_file(const char *name, uint64_t size)
{
	const int fd = openat(up.fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return fd;
}

static uint64_t ino_of(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return st.st_ino;
}

static int is_half(const char *name)
{
	struct stat st;

	CHECK(fstatat(up.fd, name, &st, 0) == 0);
	return blocks_is_half(&up, up.fd, name, &st);
}

/* ---- what they say -------------------------------------------------------------------------- */

#define N 70000 /* three pages of bits */

struct model {
	uint64_t size, lower_size;
	bool own[N];
};

static void model_run(
	const struct model *m, uint64_t off, uint64_t stop, bool *ret_own, uint64_t *ret_end)
{
	uint64_t at = off;

	*ret_own = off >= m->lower_size || m->own[off / 4096];
	while (at < stop) {
		const bool own = at >= m->lower_size || m->own[at / 4096];
		const uint64_t next = (at / 4096 + 1) * 4096;

		if (own != *ret_own)
			break;
		at = at < m->lower_size && next > m->lower_size ? m->lower_size : next;
		/* A block that is its own is so up to its end. */
		if (own && next > at)
			at = next;
	}
	*ret_end = at < stop ? at : stop;
}

static void compare(const struct model *m, const struct blocks *b, uint64_t off, uint64_t stop)
{
	while (off < stop) {
		bool own, model_own;
		uint64_t e, model_e;

		blocks_run(b, off, stop, &own, &e);
		model_run(m, off, stop, &model_own, &model_e);
		CHECK(own == model_own);
		CHECK(e == model_e);
		CHECK(e > off);
		off = e;
	}
}

static void compare_all(const struct model *m, const struct blocks *b)
{
	const struct blocks_info info = blocks_info(b);
	uint64_t count = 0, n = (m->lower_size + 4095) / 4096;

	for (uint64_t i = 0; i < n; i++)
		count += m->own[i];
	CHECK(info.count == count && info.lower_size == m->lower_size);
	CHECK(blocks_is_whole(b) == (count == n));
	compare(m, b, 0, m->size);
}

static uint64_t random_below(uint64_t n)
{
	return (((uint64_t)random() << 31) ^ (uint64_t)random()) % n;
}

static void set(struct blocks *b, uint64_t off, uint64_t stop)
{
	CHECK(blocks_reserve(b, off, stop) == 0);
	blocks_set(b, off, stop);
}

static void random_step(struct model *m, struct blocks *b, int fd)
{
	const uint64_t first = random_below(m->size / 4096 + 1);
	uint64_t n = random_below(8) ? random_below(5) : random_below(30000);

	if (random_below(200) == 0) {
		m->size = random_below(m->size + 1);
		if (m->lower_size > m->size)
			m->lower_size = m->size;
		CHECK(ftruncate(fd, (off_t)m->size) == 0);
		blocks_cut(b, m->size);
		m->size += 20000;
		CHECK(ftruncate(fd, (off_t)m->size) == 0);
		return;
	}
	for (uint64_t i = first; i < first + n && i < N; i++)
		m->own[i] = true;
	set(b, first * 4096, (first + n) * 4096);
}

static void test_random(uint64_t lower_size)
{
	static struct model m;
	const int fd = new_file("f", lower_size);
	struct blocks *b;

	m = (struct model){.size = lower_size, .lower_size = lower_size};
	CHECK(blocks_new(&up, fd, 77, lower_size, &b) == 0);
	CHECK(is_half("f") == 1);
	for (int step = 0; step < 400; step++) {
		const uint64_t off = random_below(m.size + 1);

		random_step(&m, b, fd);
		if (off < m.size)
			compare(&m, b, off, off + random_below(m.size - off) + 1);
		if (step % 40 == 0) {
			blocks_close(b);
			if (step % 80 == 0) {
				blocks_unload(&up);
				load();
			}
			CHECK(blocks_open(&up, fd, &b) == 0);
			CHECK(blocks_info(b).lower_key == 77);
			compare_all(&m, b);
		}
	}
	set(b, 0, m.size);
	CHECK(blocks_is_whole(b));
	CHECK(blocks_sync(b) == 0);
	CHECK(blocks_finish(b, fd) == 0);
	CHECK(is_half("f") == 0);
	CHECK(fgetxattr(fd, MARK, NULL, 0) < 0 && errno == ENODATA);
	CHECK(blocks_open(&up, fd, &b) == -EIO);
	close(fd);
}

/* A bitmap of a file of 1 TiB takes nothing to make, to read and to count. */
static void test_sparse(void)
{
	const uint64_t size = (uint64_t)1 << 40;
	const int fd = new_file("big", size);
	struct blocks *b;
	struct stat st;
	char name[UPPER_NUMBER_SIZE];
	uint64_t e;
	bool own;

	CHECK(blocks_new(&up, fd, 1, size, &b) == 0);
	blocks_run(b, 0, size, &own, &e);
	CHECK(!own && e == size);
	set(b, size / 2 + 4096, size / 2 + 8192);
	CHECK(fstatat(up.blocks_fd, upper_number_name(ino_of(fd), name), &st, 0) == 0);
	CHECK(st.st_size == 4096 + (off_t)(size / 4096 / 8) && st.st_blocks <= 32);
	blocks_close(b);
	CHECK(blocks_open(&up, fd, &b) == 0);
	CHECK(blocks_info(b).count == 1);
	blocks_run(b, 5, size, &own, &e);
	CHECK(!own && e == size / 2 + 4096);
	blocks_run(b, e, size, &own, &e);
	CHECK(own && e == size / 2 + 8192);
	blocks_close(b);
	CHECK(blocks_new(&up, fd, 1, ((uint64_t)1 << 50) + 1, &b) == -EFBIG);
	close(fd);
}

/* Which a kill left cut, with a bitmap that was not. */
static void test_cut_late(void)
{
	const int fd = new_file("cut", 100000);
	struct blocks *b;
	uint64_t e;
	bool own;

	CHECK(blocks_new(&up, fd, 1, 100000, &b) == 0);
	set(b, 0, 4096);
	set(b, 81920, 86016);
	blocks_close(b);
	CHECK(ftruncate(fd, 5000) == 0);
	CHECK(blocks_open(&up, fd, &b) == 0);
	CHECK(blocks_info(b).lower_size == 5000 && blocks_info(b).count == 1);
	blocks_run(b, 4096, 9000, &own, &e);
	CHECK(!own && e == 5000);
	blocks_run(b, 5000, 9000, &own, &e);
	CHECK(own && e == 9000);
	blocks_cut(b, 0);
	CHECK(blocks_is_whole(b));
	CHECK(blocks_finish(b, fd) == 0);
	close(fd);
}

struct setter {
	struct blocks *b;
	unsigned int seed;
};

static void *set_some(void *arg)
{
	struct setter *s = arg;

	for (int i = 0; i < 20000; i++) {
		const uint64_t at = (uint64_t)((unsigned int)rand_r(&s->seed) % N) * 4096;

		set(s->b, at, at + 3 * 4096);
	}
	return NULL;
}

static void test_threads(void)
{
	const int fd = new_file("t", N * 4096ul);
	struct setter s[4];
	pthread_t t[4];
	struct blocks *b;
	uint64_t count;

	CHECK(blocks_new(&up, fd, 1, N * 4096ul, &b) == 0);
	for (unsigned int i = 0; i < 4; i++) {
		s[i] = (struct setter){b, i};
		CHECK(pthread_create(&t[i], NULL, set_some, &s[i]) == 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	count = blocks_info(b).count;
	blocks_close(b);
	CHECK(blocks_open(&up, fd, &b) == 0); /* counts */
	CHECK(blocks_info(b).count == count);
	CHECK(blocks_finish(b, fd) == 0);
	close(fd);
}

/* ---- who may lie ---------------------------------------------------------------------------- */

static int bitmap_of(int fd, int flags)
{
	char name[UPPER_NUMBER_SIZE];

	return openat(up.blocks_fd, upper_number_name(ino_of(fd), name), flags | O_CLOEXEC, 0600);
}

static void refused(int fd)
{
	struct blocks *b = (void *)1;

	CHECK(blocks_open(&up, fd, &b) == -EIO);
	CHECK(b == (void *)1);
}

static void accepted(int fd, uint64_t count)
{
	struct blocks *b;

	CHECK(blocks_open(&up, fd, &b) == 0);
	CHECK(blocks_info(b).count == count);
	blocks_close(b);
}

static void test_damaged_header(int fd)
{
	const int bitmap = bitmap_of(fd, O_RDWR);
	uint64_t more = htole64(1000001);
	uint8_t byte, wrong;

	CHECK(bitmap >= 0);
	for (size_t i = 0; i < sizeof(struct blocks_fixed); i++) {
		CHECK(pread(bitmap, &byte, 1, (off_t)i) == 1);
		for (int bit = 0; bit < 8; bit++) {
			wrong = (uint8_t)(byte ^ 1 << bit);
			CHECK(pwrite(bitmap, &wrong, 1, (off_t)i) == 1);
			refused(fd);
		}
		CHECK(pwrite(bitmap, &byte, 1, (off_t)i) == 1);
	}
	CHECK(pwrite(bitmap, &more, 8, offsetof(struct blocks_header, lower_size)) == 8);
	refused(fd);
	more = htole64(1000000);
	CHECK(pwrite(bitmap, &more, 8, offsetof(struct blocks_header, lower_size)) == 8);
	accepted(fd, 1);
	close(bitmap);
}

static void test_damaged_size(int fd)
{
	const int bitmap = bitmap_of(fd, O_RDWR);
	static const off_t sizes[] = {0, 1, 4095, 4096, 8191, 8193, 12288, (off_t)1 << 40};
	uint8_t keep[8192], ones[4096];

	CHECK(pread(bitmap, keep, sizeof(keep), 0) == sizeof(keep));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		CHECK(ftruncate(bitmap, sizes[i]) == 0);
		refused(fd);
		CHECK(ftruncate(bitmap, 8192) == 0);
		CHECK(pwrite(bitmap, keep, sizeof(keep), 0) == sizeof(keep));
	}
	accepted(fd, 1);
	/* Bits of blocks that the file has not are none. */
	memset(ones, 255, sizeof(ones));
	CHECK(pwrite(bitmap, ones, sizeof(ones), 4096) == sizeof(ones));
	accepted(fd, 245);
	CHECK(pwrite(bitmap, keep, sizeof(keep), 0) == sizeof(keep));
	accepted(fd, 1);
	close(bitmap);
}

/* Bitmaps that are another file's, or no files. */
static void test_foreign(int fd)
{
	char name[UPPER_NUMBER_SIZE], other_name[UPPER_NUMBER_SIZE];
	const int other = new_file("other", 1000000);
	uint8_t id[17] = {0};
	struct blocks *b;

	CHECK(blocks_new(&up, other, 5, 1000000, &b) == 0);
	blocks_close(b);
	upper_number_name(ino_of(fd), name);
	upper_number_name(ino_of(other), other_name);
	CHECK(renameat(up.blocks_fd, name, up.blocks_fd, "keep") == 0);
	refused(fd);
	CHECK(is_half("f") == 1);
	CHECK(linkat(up.blocks_fd, other_name, up.blocks_fd, name, 0) == 0);
	refused(fd);
	CHECK(unlinkat(up.blocks_fd, name, 0) == 0);
	CHECK(symlinkat("keep", up.blocks_fd, name) == 0);
	refused(fd);
	CHECK(unlinkat(up.blocks_fd, name, 0) == 0);
	CHECK(mkdirat(up.blocks_fd, name, 0700) == 0);
	refused(fd);
	CHECK(unlinkat(up.blocks_fd, name, AT_REMOVEDIR) == 0);
	CHECK(mknodat(up.blocks_fd, name, S_IFIFO | 0600, 0) == 0);
	refused(fd);
	CHECK(unlinkat(up.blocks_fd, name, 0) == 0);
	CHECK(renameat(up.blocks_fd, "keep", up.blocks_fd, name) == 0);
	accepted(fd, 1);

	CHECK(fgetxattr(fd, MARK, id, 16) == 16);
	CHECK(fsetxattr(fd, MARK, id, 15, 0) == 0);
	refused(fd);
	CHECK(fsetxattr(fd, MARK, id, 17, 0) == 0);
	refused(fd);
	CHECK(is_half("f") == 1);
	id[3] ^= 1;
	CHECK(fsetxattr(fd, MARK, id, 16, 0) == 0);
	refused(fd);
	id[3] ^= 1;
	CHECK(fsetxattr(fd, MARK, id, 16, 0) == 0);
	accepted(fd, 1);
	blocks_remove(&up, ino_of(other));
	close(other);
}

static void test_hostile(void)
{
	const int fd = new_file("f", 1000000);
	struct blocks *b;

	CHECK(blocks_new(&up, fd, 9, 1000000, &b) == 0);
	set(b, 4096, 8192);
	blocks_close(b);
	test_damaged_header(fd);
	test_damaged_size(fd);
	test_foreign(fd);
	blocks_remove(&up, ino_of(fd));
	CHECK(is_half("f") == 1); /* sparse and marked */
	CHECK(fremovexattr(fd, MARK) == 0);
	CHECK(is_half("f") == 0);
	close(fd);
}

/* A bitmap without a marked file is a leftover; of a file that has no holes, too. */
static void test_leftover(void)
{
	const int fd = new_file("f", 100000);
	struct blocks *b;

	CHECK(blocks_new(&up, fd, 9, 100000, &b) == 0);
	blocks_close(b);
	CHECK(fremovexattr(fd, MARK) == 0);
	CHECK(is_half("f") == 0);
	CHECK(bitmap_of(fd, O_RDWR) < 0);
	/* The number comes again, and what is there of it is not looked at. */
	close(bitmap_of(fd, O_RDWR | O_CREAT));
	blocks_unload(&up);
	load();
	CHECK(blocks_new(&up, fd, 9, 100000, &b) == 0);
	CHECK(blocks_info(b).count == 0);
	CHECK(blocks_finish(b, fd) == 0);
	close(fd);
}

static void remove_blocks_dir(void)
{
	const int fd = make_dir("blocks");
	char path[128];

	CHECK(remove_below(fd) == 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/blocks", root);
	CHECK(rmdir(path) == 0);
}

/* The work directory was thrown away: a marked file is still told from a whole one. */
static void test_lost_work(void)
{
	int fd = new_file("lost", 0), other = new_file("whole", 0);
	uint8_t block[8192] = {1};
	struct blocks *b;

	CHECK(write(fd, block, sizeof(block)) == sizeof(block)); /* no holes */
	CHECK(write(other, block, sizeof(block)) == sizeof(block));
	CHECK(fsync(fd) == 0 && fsync(other) == 0);
	CHECK(blocks_new(&up, fd, 9, 8192, &b) == 0);
	blocks_close(b);
	end();
	remove_blocks_dir();
	begin();
	CHECK(is_half("lost") == 1);
	refused(fd);
	CHECK(is_half("whole") == 0);
	close(fd);
	close(other);
	CHECK(unlinkat(up.fd, "lost", 0) == 0);
	CHECK(fremovexattr(up.fd, MARK) == 0);
	end();
	begin();
	/* Without half-copied files it may be thrown away without a trace. */
	fd = new_file("f", 9000);
	CHECK(blocks_new(&up, fd, 9, 9000, &b) == 0);
	CHECK(fgetxattr(up.fd, MARK, NULL, 0) == 16);
	CHECK(blocks_finish(b, fd) == 0);
	end();
	begin();
	CHECK(fgetxattr(up.fd, MARK, NULL, 0) < 0);
	close(fd);
}

/* ---- kills (B1, B2) ------------------------------------------------------------------------- */

/* Each block of the file says which it is, as soon as its bit is set. */
static void write_until_killed(int fd, uint64_t n, unsigned int seed)
{
	struct blocks *b;
	uint64_t block[512];

	CHECK(blocks_open(&up, fd, &b) == 0);
	for (;;) {
		const uint64_t i = (uint64_t)rand_r(&seed) % n;

		for (size_t k = 0; k < 512; k++)
			block[k] = i ^ 0x5555;
		CHECK(blocks_reserve(b, i * 4096, i * 4096 + 4096) == 0);
		CHECK(pwrite(fd, block, 4096, (off_t)i * 4096) == 4096);
		blocks_set(b, i * 4096, i * 4096 + 4096);
	}
}

static void check_own(int fd, const struct blocks *b, uint64_t n)
{
	uint64_t block[512], count = 0, e;
	bool own;

	for (uint64_t i = 0; i < n; i++) {
		blocks_run(b, i * 4096, i * 4096 + 4096, &own, &e);
		if (!own)
			continue;
		count++;
		CHECK(pread(fd, block, 4096, (off_t)i * 4096) == 4096);
		CHECK(block[0] == (i ^ 0x5555) && block[511] == (i ^ 0x5555));
	}
	CHECK(count == blocks_info(b).count);
}

static void test_kill_writes(void)
{
	const uint64_t n = 50000;
	const int fd = new_file("f", n * 4096);
	struct blocks *b;

	CHECK(blocks_new(&up, fd, 1, n * 4096, &b) == 0);
	blocks_close(b);
	for (unsigned int round = 0; round < 60; round++) {
		const pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			write_until_killed(fd, n, round);
		usleep((useconds_t)random_below(8000));
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, NULL, 0) == pid);
		CHECK(blocks_open(&up, fd, &b) == 0);
		check_own(fd, b, n);
		blocks_close(b);
	}
	CHECK(blocks_open(&up, fd, &b) == 0);
	CHECK(blocks_info(b).count > 0);
	blocks_close(b);
	close(fd);
}

/* Files that become half copied, and whole again. */
static void make_until_killed(void)
{
	for (unsigned int i = 0;; i++) {
		struct blocks *b;
		char name[16];
		int fd;

		snprintf(name, sizeof(name), "s%u", i % 8);
		CHECK(unlinkat(up.fd, "s", 0) == 0 || errno == ENOENT);
		fd = new_file("s", 40000);
		CHECK(blocks_new(&up, fd, 3, 40000, &b) == 0);
		CHECK(renameat(up.fd, "s", up.fd, name) == 0);
		if (i % 2)
			CHECK(blocks_finish(b, fd) == 0);
		else
			blocks_close(b);
		close(fd);
	}
}

static void look_at_made(void)
{
	for (int i = 0; i < 8; i++) {
		struct blocks *b;
		char name[16];
		int fd, half;

		snprintf(name, sizeof(name), "s%d", i);
		fd = openat(up.fd, name, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		half = is_half(name);
		CHECK(half >= 0);
		CHECK(half == (fgetxattr(fd, MARK, NULL, 0) == 16));
		if (half) {
			CHECK(blocks_open(&up, fd, &b) == 0);
			blocks_close(b);
		}
		close(fd);
	}
}

static void test_kill_making(void)
{
	for (int round = 0; round < 60; round++) {
		const pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0)
			make_until_killed();
		usleep((useconds_t)random_below(5000));
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, NULL, 0) == pid);
		end();
		begin();
		look_at_made();
	}
}

/* ---- full disks ----------------------------------------------------------------------------- */

static void fill_disk(void)
{
	static uint8_t junk[65536];
	const int fd = new_file("junk", 0);
	size_t n = sizeof(junk);

	memset(junk, 7, sizeof(junk));
	while (n) {
		if (write(fd, junk, n) <= 0)
			n /= 2;
	}
	fsync(fd);
	close(fd);
}

/* A bitmap in use while the disk is full: an error, and no SIGBUS; what there is works on. */
static void use_full_disk(void)
{
	const uint64_t size = (uint64_t)4 << 30, page = 4096ul * 4096 * 8;
	int fd, failed = 0;
	struct blocks *b;
	uint64_t e;
	bool own;

	begin();
	fd = new_file("f", size);
	CHECK(blocks_new(&up, fd, 1, size, &b) == 0);
	set(b, 0, 4096);
	fill_disk();
	for (uint64_t at = 0; at < size; at += page) {
		const int r = blocks_reserve(b, at + 8192, at + 12288);

		CHECK(r == 0 || r == -ENOSPC);
		CHECK(at > 0 || r == 0);
		if (r == 0)
			blocks_set(b, at + 8192, at + 12288);
		failed += r != 0;
	}
	CHECK(failed > 0);
	blocks_run(b, 12288, size, &own, &e);
	CHECK(!own);
	blocks_cut(b, size / 2);
	CHECK(blocks_sync(b) == 0);
	CHECK(unlinkat(up.fd, "junk", 0) == 0);
	set(b, page + 8192, page + 12288);
	CHECK(blocks_finish(b, fd) == 0);
	close(fd);
	end();
}

static int mount_disk(const char *kind)
{
	char command[512];

	if (strcmp(kind, "tmpfs") == 0)
		return mount("none", root, "tmpfs", 0, "size=1m");
	snprintf(command, sizeof(command),
		"truncate -s %s %s.img && mkfs.%s -q %s.img && mount -o loop %s.img %s && rm "
		"%s.img",
		strcmp(kind, "xfs") == 0 ? "300M" : "8M", root, kind, root, root, root, root);
	return system(command);
}

/* In a mount namespace of its own, which takes the mount along. */
static void test_full_disk(const char *kind)
{
	const pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(unshare(CLONE_NEWNS) == 0);
		CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		if (mount_disk(kind) != 0) {
			printf("%s: not tried, no such file system here\n", kind);
			_exit(0);
		}
		use_full_disk();
		CHECK(chdir("/") == 0);
		CHECK(umount(root) == 0);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	static const uint64_t sizes[] = {
		1, 4095, 4096, 4097, 40000, 262144, 999999, 32768ul * 4096, N * 4096ul - 5};
	int fd;

	if (geteuid() != 0)
		return 77;
	snprintf(root, sizeof(root), "/var/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(root));
	srandom(20);
	begin();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		test_random(sizes[i]);
	test_sparse();
	test_cut_late();
	test_threads();
	test_hostile();
	test_leftover();
	test_lost_work();
	test_kill_writes();
	test_kill_making();
	end();
	test_full_disk("tmpfs");
	test_full_disk("ext4");
	test_full_disk("xfs");
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0 && remove_below(fd) == 0 && rmdir(root) == 0);
	return 0;
}
