/* SPDX-License-Identifier: Apache-2.0 */
/* Commit of half-copied files, and its cost; what is written as it is read. */
#include "blocks.h"
#include "changes.h"
#include "commit.h"
#include "container-check.h"
#include "image/import.h"
#include "store/pack.h"
#include "util/io.h"
#include "util/remove.h"
#include "util/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define CHUNK ((size_t)1 << CHUNK_BITS_DEFAULT)
#define SIZE  (10 * CHUNK + 5000)

static char root[64];
static const char *place = "/var/tmp"; /* where stores are made */
static uint8_t pattern[2 * SIZE];

static void check(int r, const struct err *e)
{
	if (r < 0) {
		fprintf(stderr, "%d: %s\n", r, e->text);
		exit(1);
	}
}

static void make_tree(int dirfd)
{
	int fd;

	CHECK(mkdirat(dirfd, "tree", 0755) == 0 && mkdirat(dirfd, "tree/d", 0755) == 0);
	fd = openat(dirfd, "tree/d/big", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0 && io_write_full(fd, pattern, 3 * CHUNK) == 0);
	CHECK(ftruncate(fd, 6 * CHUNK) == 0); /* holes */
	CHECK(io_pwrite_full(fd, pattern + 6 * CHUNK, SIZE - 6 * CHUNK, 6 * CHUNK) == 0);
	close(fd);
	fd = openat(dirfd, "tree/small", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0 && io_write_full(fd, pattern, 300) == 0);
	close(fd);
}

static void memory_of_lower(uint8_t *p)
{
	memcpy(p, pattern, SIZE);
	memset(p + 3 * CHUNK, 0, 3 * CHUNK);
}

static struct store *new_store(struct container *ret)
{
	char path[96];
	struct digest image;
	struct store *s;
	struct err e = {0};
	int fd;

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 2654435761u >> 13 | 1);
	snprintf(root, sizeof(root), "%s/plyfs-test-XXXXXX", place);
	CHECK(mkdtemp(root));
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	make_tree(fd);
	close(fd);
	snprintf(path, sizeof(path), "%s/store", root);
	check(store_open(path, true, &s, &e), &e);
	snprintf(path, sizeof(path), "rootfs:%s/tree", root);
	check(image_import(s, path, "base:1", NULL, &image, &e), &e);
	check(container_create(s, "c", &image, ret, &e), &e);
	return s;
}

static void drop_store(struct store *s)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	store_close(s);
	CHECK(fd >= 0 && remove_below(fd) == 0 && rmdir(root) == 0);
	close(fd);
}

/* The image's file, as another container of it would read it. */
static struct index_inode find(
	struct store *s, const struct digest *image, const char *path, struct index **ret)
{
	_cleanup_close_ int fd = -1;
	struct index_inode i;
	char name[64];
	uint64_t nid;

	CHECK(store_file_open(s, STORE_IMAGE, image, &fd, NULL) == 0);
	CHECK(index_open(fd, ret, NULL) == 0);
	CHECK(index_inode(*ret, index_info(*ret)->root_nid, &i, NULL) == 0);
	while (*path) {
		size_t n = strcspn(path, "/");

		snprintf(name, sizeof(name), "%.*s", (int)n, path);
		CHECK(index_lookup(*ret, &i, name, n, &nid, NULL) == 0);
		CHECK(index_inode(*ret, nid, &i, NULL) == 0);
		path += n + (path[n] == '/');
	}
	return i;
}

/* The content of a chunked file, out of the packs. */
static void check_content(
	struct store *s, const struct digest *image, const char *path, const uint8_t *p, size_t n)
{
	_cleanup_(index_closep) struct index *x = NULL;
	struct index_inode i = find(s, image, path, &x);
	_cleanup_free_ uint8_t *b = malloc((size_t)1 << CHUNK_BITS_DEFAULT);

	CHECK(b && i.size == n && i.layout == INDEX_CHUNKS && i.chunk_bits == CHUNK_BITS_DEFAULT);
	for (uint64_t k = 0; k < chunk_count(n, i.chunk_bits); k++) {
		const uint32_t size = chunk_size_at(n, i.chunk_bits, k);
		struct chunk_record rec;
		struct index_address a;
		struct chunk c;
		MDB_txn *txn;
		uint64_t number;
		int fd, r = index_address(x, &i, k, &a, NULL);

		memset(b, 0, size);
		if (r == 0) {
			CHECK(index_find_chunk(x, a.block, &number) == 0);
			index_chunk(x, number, &c);
			CHECK(txn_begin(s, false, &txn, NULL) == 0);
			CHECK(record_chunk(s, txn, &c.digest, &rec) == 0 && rec.size == size);
			mdb_txn_abort(txn);
			CHECK(pack_open(s, rec.pack, &fd, NULL) == 0);
			CHECK(io_pread_full(fd, b, size, (uint64_t)rec.block * PACK_BLOCK_SIZE) ==
				0);
		}
		CHECK(memcmp(b, p + k * CHUNK, size) == 0);
	}
}

/* A half-copied file in the making, as the union does it. */
struct half {
	struct upper *up;
	int fd;
	struct blocks *blocks;
	uint8_t *memory; /* what it reads as */
	size_t size;
};

static struct half half_new(
	struct store *s, const struct container *c, struct upper *up, const char *path, size_t size)
{
	_cleanup_(index_closep) struct index *x = NULL;
	struct index_inode i = find(s, &c->image, path, &x);
	struct half h = {.up = up, .size = size, .memory = calloc(1, 2 * SIZE)};

	CHECK(h.memory && i.size == size);
	h.fd = openat(up->scratch_fd, "half", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	CHECK(h.fd >= 0 && ftruncate(h.fd, (off_t)size) == 0);
	CHECK(blocks_new(up, h.fd, i.nid, i.size, &h.blocks) == 0);
	return h;
}

/* Whole blocks only, which is all that blocks.h knows of. */
static void half_write(struct half *h, uint64_t block, uint64_t n, uint8_t with)
{
	const uint64_t off = block << UPPER_BLOCK_BITS, size = n << UPPER_BLOCK_BITS;

	memset(h->memory + off, with, size);
	CHECK(io_pwrite_full(h->fd, h->memory + off, size, off) == 0);
	CHECK(blocks_reserve(h->blocks, off, off + size) == 0);
	blocks_set(h->blocks, off, off + size);
	if (off + size > h->size)
		h->size = off + size;
}

static void half_cut(struct half *h, size_t size)
{
	CHECK(ftruncate(h->fd, (off_t)size) == 0);
	blocks_cut(h->blocks, size);
	if (size < h->size)
		memset(h->memory + size, 0, 2 * SIZE - size);
	h->size = size;
}

static void half_done(struct half *h, const char *path)
{
	(void)!mkdirat(h->up->fd, "d", 0755);
	CHECK(renameat(h->up->scratch_fd, "half", h->up->fd, path) == 0);
	blocks_close(h->blocks);
	close(h->fd);
}

static struct upper *open_upper(struct store *s, const struct container *c)
{
	_cleanup_free_ char *upper = NULL, *work = NULL;
	struct upper *up;
	struct err e = {0};

	CHECK(container_paths(s, c, &upper, &work, NULL) == 0);
	check(upper_open(upper, work, 0, &up, &e), &e);
	return up;
}

static struct commit_stats commit(struct store *s, const struct container *c, struct digest *ret)
{
	const struct commit_options o = {.created = 5};
	struct commit_stats st;
	struct err e = {0};

	check(container_commit(s, c, "new:1", &o, ret, &st, &e), &e);
	return st;
}

/* Each block that is written costs its chunk, and nothing else is read. */
static void test_half(void)
{
	struct container c;
	struct store *s = new_store(&c);
	struct upper *up = open_upper(s, &c);
	struct half h = half_new(s, &c, up, "d/big", SIZE);
	struct commit_stats st;
	struct digest image;

	memory_of_lower(h.memory);
	half_done(&h, "d/big");
	st = commit(s, &c, &image);
	CHECK(st.files == 1 && st.read_bytes == 0 && st.new_bytes == 0);
	check_content(s, &image, "d/big", h.memory, h.size);

	CHECK((h.fd = openat(up->fd, "d/big", O_RDWR | O_CLOEXEC)) >= 0);
	CHECK(blocks_open(up, h.fd, &h.blocks) == 0);
	half_write(&h, 7 * CHUNK / 4096 + 3, 1, 0xee); /* in data */
	half_write(&h, 4 * CHUNK / 4096, 1, 0xdd);     /* in the hole */
	st = commit(s, &c, &image);
	CHECK(st.read_bytes == 2 * CHUNK && st.new_bytes == 2 * CHUNK);
	check_content(s, &image, "d/big", h.memory, h.size);
	st = commit(s, &c, &image); /* the same once more */
	CHECK(st.read_bytes == 2 * CHUNK && st.new_bytes == 0);

	half_cut(&h, 5 * CHUNK + 10);
	half_cut(&h, 8 * CHUNK);
	st = commit(s, &c, &image);
	check_content(s, &image, "d/big", h.memory, h.size);
	half_write(&h, (SIZE + CHUNK) / 4096, 3, 0x77); /* beyond what the image has */
	st = commit(s, &c, &image);
	check_content(s, &image, "d/big", h.memory, h.size);
	blocks_close(h.blocks);
	close(h.fd);
	free(h.memory);
	upper_close(up);
	drop_store(s);
}

static void test_half_small(void)
{
	struct container c;
	struct store *s = new_store(&c);
	struct upper *up = open_upper(s, &c);
	struct half h = half_new(s, &c, up, "small", 300);
	struct digest image;

	memcpy(h.memory, pattern, 300);
	CHECK(ftruncate(h.fd, 9000) == 0);
	h.size = 9000;
	half_done(&h, "small");
	commit(s, &c, &image);
	check_content(s, &image, "small", h.memory, h.size);
	free(h.memory);
	upper_close(up);
	drop_store(s);
}

static void count_problem(void *ctx, const struct fsck_problem *p)
{
	CHECK(strcmp(p->kind, "container") == 0 && strstr(p->text, "'d/big' is half copied"));
	++*(int *)ctx;
}

/* Its bitmap is gone: that is an error, and no new image. */
static void test_half_damaged(void)
{
	const struct commit_options o = {.created = 5};
	struct container c;
	struct store *s = new_store(&c);
	struct upper *up = open_upper(s, &c);
	struct half h = half_new(s, &c, up, "d/big", SIZE);
	char name[UPPER_NUMBER_SIZE];
	struct err e = {0};
	struct digest image;
	struct stat st;
	int problems = 0;
	const struct fsck_options fsck = {
		.problem = count_problem, .ctx = &problems, .container = container_check};
	struct fsck_stats stats = {0};

	CHECK(fstat(h.fd, &st) == 0);
	half_done(&h, "d/big");
	CHECK(store_fsck(s, &fsck, &stats, NULL) == 0 && problems == 0 && stats.containers == 1);
	CHECK(unlinkat(up->blocks_fd, upper_number_name(st.st_ino, name), 0) == 0);
	CHECK(container_commit(s, &c, "new:1", &o, &image, NULL, &e) == -EIO);
	CHECK(strstr(e.text, "d/big"));
	CHECK(store_fsck(s, &fsck, &stats, NULL) == 0 && problems == 1);
	free(h.memory);
	upper_close(up);
	drop_store(s);
}

/* ---- a file that is written to meanwhile ---------------------------------------------------- */

#define BLOCKS ((SIZE) / 4096)

struct writer {
	int fd;
	_Atomic bool stop;
	unsigned int pause_us;
	_Atomic uint64_t rounds;
};

/* Each round writes its number to all blocks, first to last: at any moment, they never ascend. */
static void *write_rounds(void *arg)
{
	struct writer *w = arg;
	uint8_t block[4096] = {0};

	for (uint64_t round = 1; !w->stop; round++) {
		memcpy(block, &round, sizeof(round));
		for (uint64_t k = 0; k < BLOCKS; k++)
			CHECK(pwrite(w->fd, block, sizeof(block), (off_t)(k * 4096)) ==
				sizeof(block));
		w->rounds = round;
		if (w->pause_us)
			usleep(w->pause_us);
	}
	return NULL;
}

struct gathered {
	struct sink sink;
	struct buf b;
};

static int gather_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct gathered *g = (struct gathered *)s;

	if (buf_reserve(&g->b, 65536) < 0)
		return -ENOMEM;
	*ret_p = g->b.p + g->b.n;
	*ret_n = 65536;
	return 0;
}

static int gather_fill(struct sink *s, size_t n)
{
	((struct gathered *)s)->b.n += n;
	return 0;
}

/* One moment: numbers descend by one at most, once. */
static void check_moment(struct store *s, const struct digest *image)
{
	_cleanup_(index_closep) struct index *x = NULL;
	struct index_inode i = find(s, image, "w", &x);
	uint64_t last = UINT64_MAX, first = 0;
	uint8_t p[CHUNK];

	for (uint64_t k = 0; k < chunk_count(i.size, i.chunk_bits); k++) {
		const uint32_t size = chunk_size_at(i.size, i.chunk_bits, k);
		struct chunk_record rec;
		struct index_address a;
		uint64_t number;
		struct chunk c;
		MDB_txn *txn;
		int fd;

		CHECK(index_address(x, &i, k, &a, NULL) == 0);
		CHECK(index_find_chunk(x, a.block, &number) == 0);
		index_chunk(x, number, &c);
		CHECK(txn_begin(s, false, &txn, NULL) == 0);
		CHECK(record_chunk(s, txn, &c.digest, &rec) == 0);
		mdb_txn_abort(txn);
		CHECK(pack_open(s, rec.pack, &fd, NULL) == 0);
		CHECK(io_pread_full(fd, p, size, (uint64_t)rec.block * PACK_BLOCK_SIZE) == 0);
		for (uint32_t at = 0; at + 4096 <= size; at += 4096) {
			uint64_t round;

			memcpy(&round, p + at, sizeof(round));
			first = k == 0 && at == 0 ? round : first;
			CHECK(round <= last && first - round <= 1);
			last = round;
		}
	}
}

static void test_writer(unsigned int pause_us, int *ret_done, int *ret_refused)
{
	const struct commit_options o = {.created = 5};
	struct container c;
	struct store *s = new_store(&c);
	struct upper *up = open_upper(s, &c);
	struct writer w = {.pause_us = pause_us};
	pthread_t thread;

	w.fd = openat(up->fd, "w", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	CHECK(w.fd >= 0 && ftruncate(w.fd, BLOCKS * 4096) == 0);
	CHECK(io_pwrite_full(w.fd, pattern, BLOCKS * 4096, 0) == 0);
	*ret_done = *ret_refused = 0;
	CHECK(pthread_create(&thread, NULL, write_rounds, &w) == 0);
	usleep(50000); /* the first round is over */
	for (int tries = 0; tries < 15; tries++) {
		struct err e = {0};
		struct digest image;
		int r = container_commit(s, &c, "new:1", &o, &image, NULL, &e);

		CHECK(r == 0 || (r == -ERR_CONFLICT && strstr(e.text, "'w'")));
		if (r == 0)
			check_moment(s, &image);
		++*(r == 0 ? ret_done : ret_refused);
	}
	w.stop = true;
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(w.rounds > 1);
	close(w.fd);
	upper_close(up);
	drop_store(s);
}

/* On tmpfs, which does not share blocks, a file is read and compared; elsewhere it may be cloned.
 */
static void test_writers(void)
{
	int done, refused;

	test_writer(0, &done, &refused);
	printf("%s, writer without pauses: %d commits, %d refused\n", place, done, refused);
	test_writer(30000, &done, &refused);
	printf("%s, writer with pauses of 30 ms: %d commits, %d refused\n", place, done, refused);
	CHECK(done > 0);
}

/* ---- a server that holds files -------------------------------------------------------------- */

struct server {
	int synced, held, let_go;
	bool lose; /* the first hold is lost */
	bool busy;
};

static int live_sync(void *ctx, struct err *e _unused_)
{
	((struct server *)ctx)->synced++;
	return 0;
}

static int live_hold(void *ctx, const char *path, void **ret, struct err *e _unused_)
{
	struct server *v = ctx;

	CHECK(strcmp(path, "w") == 0 && v->held == v->let_go);
	if (v->busy)
		return -EBUSY;
	v->held++;
	*ret = v;
	return 0;
}

static int live_unhold(void *ctx, void *hold)
{
	struct server *v = ctx;

	CHECK(hold == ctx);
	v->let_go++;
	return v->lose && v->let_go == 1 ? -ESTALE : 0;
}

static void test_live(bool lose, bool busy)
{
	struct server v = {.lose = lose, .busy = busy};
	const struct delta_live live = {&v, live_sync, live_hold, live_unhold};
	const struct commit_options o = {.created = 5, .live = &live};
	struct container c;
	struct store *s = new_store(&c);
	struct upper *up = open_upper(s, &c);
	struct gathered g = {.sink = {gather_room, gather_fill}};
	struct digest image;
	struct err e = {0};
	int fd = openat(up->fd, "w", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && io_write_full(fd, pattern, SIZE) == 0);
	check(container_commit(s, &c, "new:1", &o, &image, NULL, &e), &e);
	CHECK(v.synced == 1 && v.held == v.let_go && v.held == (busy ? 0 : lose ? 2 : 1));
	check_content(s, &image, "w", pattern, SIZE);
	if (!lose)
		check(container_diff_tar(s, &c, &live, &g.sink, &e), &e);
	CHECK(v.held == v.let_go);
	buf_done(&g.b);
	close(fd);
	upper_close(up);
	drop_store(s);
}

int main(void)
{
	test_half();
	test_half_small();
	test_half_damaged();
	test_live(false, false);
	test_live(true, false);
	test_live(false, true);
	test_writers();
	place = "/dev/shm";
	if (access(place, W_OK) == 0)
		test_writers();
	return 0;
}
