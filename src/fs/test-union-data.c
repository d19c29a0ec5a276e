// SPDX-License-Identifier: Apache-2.0
/*
 * Content of a union: random operations on lower, half-copied and whole files, beside the same on
 * plain files. The lower layer is a real image in a store.
 */
#include "node.h"
#include "view.h"

#include "format/index-disk.h"
#include "format/test-tree.h"
#include "image/local.h"
#include "store/ingest.h"
#include "store/store.h"
#include "upper/blocks.h"
#include "util/io.h"
#include "util/remove.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define BITS  13
#define CHUNK (1u << BITS)
#define FILES 7
#define SPAN  (3u << 20) /* how far operations reach */

static const uint64_t sizes[FILES] = {0, 300, 70000, 200123, CHUNK * 100, (1u << 20) + 5, 3u << 20};

static char root[64];
static char disk[80]; /* where all but the plain files lies: root, or a file system in it */
static bool use_dir;  /* the lower layer is a directory */
static struct store *store;
static struct image_record image;
static struct session *session;
static struct union_fs *u;
static uint64_t nodes[FILES];
static int plain[FILES]; /* what they should be */
static unsigned int seed = 1;
static const struct union_op op = {.unique = 1};

static char *path_in(const char *dir, const char *name)
{
	static char paths[4][128];
	static unsigned int n;
	char *path = paths[n++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

/* ---- the image ------------------------------------------------------------------------------ */

static uint8_t content(unsigned int file, uint64_t at)
{
	const uint64_t chunk = at / CHUNK;

	if ((chunk * 7 + file) % 5 == 0)
		return 0; /* holes, also next to each other */
	return (uint8_t)(at * 31 + chunk * 17 + file + 1);
}

static void put_file(struct ingest *g, struct tree *t, unsigned int file)
{
	static uint8_t p[CHUNK];
	char name[8];
	struct inode *i;

	snprintf(name, sizeof(name), "f%u", file);
	if (sizes[file] <= INDEX_INLINE_MAX) {
		put_inline(t, t->root, name, (uint32_t)sizes[file]);
		return;
	}
	i = put_chunked(t, t->root, name, sizes[file], BITS, 1, 0);
	for (uint64_t n = 0; n < chunk_count(sizes[file], BITS); n++) {
		const uint32_t size = chunk_size_at(sizes[file], BITS, n);
		struct digest d;

		for (uint32_t k = 0; k < size; k++)
			p[k] = content(file, n * CHUNK + k);
		if (bytes_all_zero(p, size))
			continue;
		digest_of(p, size, &d);
		CHECK(tree_chunk(t, &d, size, &i->chunks[n]) >= 0);
		CHECK(ingest_chunk(g, &d, p, size, NULL) >= 0);
	}
}

static void make_image(void)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(tree_freep) struct tree *t = tree_new();
	_cleanup_close_ int fd = -1;
	struct ingest *g;
	unsigned int temp;

	CHECK(t && store_open(path_in(disk, "store"), true, &store, NULL) == 0);
	CHECK(ingest_begin(store, &g, NULL) == 0);
	for (unsigned int file = 0; file < FILES; file++)
		put_file(g, t, file);
	CHECK(index_plan_new(t, false, &plan, NULL) == 0 && ingest_temp(g, &fd, &temp, NULL) == 0);
	CHECK(index_plan_write(plan, fd, NULL, &image.index, NULL) == 0);
	image.manifest = image.index;
	image.diff_ids = calloc(1, sizeof(*image.diff_ids));
	CHECK(image.diff_ids && ingest_file(g, STORE_IMAGE, &image.manifest, temp, NULL) == 0);
	CHECK(ingest_commit(g, &image, "image", NULL) == 0);
	ingest_free(g);
}

/* The same as a directory. */
static void make_lower_dir(void)
{
	static uint8_t p[CHUNK];
	char name[16];

	CHECK(mkdir(path_in(disk, "lower"), 0755) == 0);
	for (unsigned int file = 0; file < FILES; file++) {
		int fd;

		snprintf(name, sizeof(name), "lower/f%u", file);
		fd = open(path_in(disk, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		CHECK(fd >= 0 && ftruncate(fd, (off_t)sizes[file]) == 0);
		for (uint64_t at = 0; at < sizes[file]; at += CHUNK) {
			const uint64_t n = sizes[file] - at < CHUNK ? sizes[file] - at : CHUNK;

			for (uint64_t k = 0; k < n; k++)
				p[k] = content(file, at + k);
			if (!bytes_all_zero(p, n))
				CHECK(io_pwrite_full(fd, p, n, at) == 0);
		}
		close(fd);
	}
}

/* ---- the union ------------------------------------------------------------------------------ */

static void open_union(unsigned int flags)
{
	struct union_config c = {.block_copy = true, .redirect = true, .sync = true, .n_lowers = 1};
	struct err e = {0};
	struct view *v;

	c.lowers = calloc(1, sizeof(*c.lowers));
	CHECK(c.lowers);
	if (use_dir) {
		CHECK(lower_dir_open(path_in(disk, "lower"), false, &c.lowers[0], &e) == 0);
	} else {
		CHECK(view_open(store, &image, &v, &e) == 0);
		CHECK(lower_index_open(v, &c.lowers[0], &e) == 0);
	}
	if (upper_open(path_in(disk, "upper"), path_in(disk, "work"), flags, &c.upper, &e) < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(e.code == 0);
	if (union_open(&c, session, &u, &e) < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(e.code == 0);
	free(c.lowers);
}

static void look_up(void)
{
	for (unsigned int i = 0; i < FILES; i++) {
		struct union_entry entry;
		char name[8];

		snprintf(name, sizeof(name), "f%u", i);
		CHECK(union_lookup(u, UNION_ROOT, name, &entry) == 0);
		nodes[i] = entry.node;
	}
}

static void new_session(void)
{
	CHECK(session_new(&session, NULL) == 0);
}

static void end_session(void)
{
	const int fd = session_fd(session);

	session_close(session);
	close(fd);
}

/* As after a kill of the server: the nodes live on. */
static void reopen(void)
{
	const int fd = session_fd(session);

	union_close(u);
	session_close(session);
	CHECK(session_attach(fd, &session, NULL) == 0);
	open_union(UPPER_RESUME);
}

/* As unmounted and mounted. */
static void remount(void)
{
	union_close(u);
	end_session();
	new_session();
	open_union(0);
	look_up();
}

/* ---- both ----------------------------------------------------------------------------------- */

static uint64_t below(uint64_t n)
{
	return (((uint64_t)rand_r(&seed) << 31) ^ (uint64_t)rand_r(&seed)) % n;
}

static uint64_t size_of(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return (uint64_t)st.st_size;
}

static size_t get(uint64_t node, uint8_t *p, size_t n, uint64_t off)
{
	struct union_read r = {0};
	size_t done = 0;

	CHECK(union_read(u, node, p, n, off, &r) == 0);
	if (r.kind == UNION_READ_FD)
		CHECK(io_pread(r.fd, p, r.size, r.off, &r.size) == 0);
	for (int i = 0; r.kind == UNION_READ_PIECES && i < r.pieces.n; i++) {
		memcpy(p + done, r.pieces.pieces[i].iov_base, r.pieces.pieces[i].iov_len);
		done += r.pieces.pieces[i].iov_len;
	}
	CHECK(r.kind != UNION_READ_PIECES || done == r.size);
	union_read_done(u, &r);
	return r.size;
}

/* All of [off, off + n), however many pieces it comes in. */
static size_t get_all(uint64_t node, uint8_t *p, size_t n, uint64_t off)
{
	size_t done = 0, k;

	while (done < n && (k = get(node, p + done, n - done, off + done)))
		done += k;
	return done;
}

static void same(unsigned int i, uint64_t off, size_t n)
{
	uint8_t *a = malloc(n), *b = malloc(n);
	size_t want;

	CHECK(a && b);
	CHECK(io_pread(plain[i], b, n, off, &want) == 0);
	CHECK(get_all(nodes[i], a, n, off) == want);
	if (memcmp(a, b, want) != 0) {
		size_t k = 0;

		while (a[k] == b[k])
			k++;
		fprintf(stderr, "file %u, byte %ju: %d instead of %d\n", i, (uintmax_t)(off + k),
			a[k], b[k]);
		CHECK(false);
	}
	free(a);
	free(b);
}

static bool zero_in_plain(unsigned int i, uint64_t off, uint64_t end)
{
	static uint8_t b[65536];
	size_t n;

	for (; off < end; off += n) {
		n = end - off < sizeof(b) ? (size_t)(end - off) : sizeof(b);
		CHECK(io_pread_full(plain[i], b, n, off) == 0);
		if (!bytes_all_zero(b, n))
			return false;
	}
	return true;
}

/* Where the union says that holes are, there is nothing to lose. */
static void holes_are_zeros(unsigned int i, uint64_t from)
{
	const uint64_t size = size_of(plain[i]);
	uint64_t data, hole = from;

	while (hole < size) {
		int r = union_lseek(u, nodes[i], hole, SEEK_DATA, &data);

		CHECK(r == 0 || r == -ENXIO);
		if (r < 0)
			data = size;
		CHECK(data >= hole && data <= size && zero_in_plain(i, hole, data));
		if (data == size)
			break;
		CHECK(union_lseek(u, nodes[i], data, SEEK_HOLE, &hole) == 0);
		CHECK(hole > data && hole <= size);
	}
	CHECK(union_lseek(u, nodes[i], size, SEEK_DATA, &data) == -ENXIO);
	CHECK(union_lseek(u, nodes[i], size, SEEK_HOLE, &data) == -ENXIO);
}

static void same_all(void)
{
	for (unsigned int i = 0; i < FILES; i++) {
		struct stat st;

		CHECK(union_getattr(u, nodes[i], &st) == 0);
		CHECK((uint64_t)st.st_size == size_of(plain[i]));
		same(i, 0, (size_t)size_of(plain[i]) + 1);
		holes_are_zeros(i, 0);
	}
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void some_range(uint64_t *off, uint64_t *n)
{
	*off = below(SPAN);
	*n = below(4) ? below(10000) + 1 : below(200000) + 1;
	if (below(3) == 0)
		*off &= ~(uint64_t)4095;
	if (below(3) == 0)
		*n = (*n + 4095) & ~(uint64_t)4095;
	if (below(4) == 0) { /* the end of one of the lower files */
		const uint64_t size = sizes[below(FILES)];

		*off = size > 5000 ? size - 2500 + below(5000) : size;
	}
}

static void step_write(unsigned int i)
{
	static uint8_t p[300000];
	uint64_t off, n;

	some_range(&off, &n);
	memset(p, (int)below(4) ? (int)below(255) + 1 : 0, n);
	p[0] ^= 1;
	CHECK(union_write(u, &op, nodes[i], p, n, off, false) == 0);
	CHECK(io_pwrite_full(plain[i], p, n, off) == 0);
}

static void step_truncate(unsigned int i)
{
	struct stat st = {0}, after;

	st.st_size = (off_t)(below(6) ? below(SPAN) : 0);
	if (below(4) == 0)
		st.st_size &= ~(off_t)4095;
	CHECK(union_setattr(u, &op, nodes[i], &st, UNION_SET_SIZE, &after) == 0);
	CHECK(after.st_size == st.st_size);
	CHECK(ftruncate(plain[i], st.st_size) == 0);
}

static void step_fallocate(unsigned int i)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
	const int mode = modes[below(sizeof(modes) / sizeof(*modes))];
	uint64_t off, n;

	some_range(&off, &n);
	CHECK(union_fallocate(u, &op, nodes[i], mode, off, n) == 0);
	CHECK(fallocate(plain[i], mode, (off_t)off, (off_t)n) == 0);
	CHECK(union_fallocate(u, &op, nodes[i], FALLOC_FL_COLLAPSE_RANGE, 0, 4096) == -EOPNOTSUPP);
}

static void step_copy(unsigned int i)
{
	const unsigned int j = (unsigned int)below(FILES);
	uint64_t off, n, to = below(SPAN);
	off_t in, out;
	size_t done = 0;

	some_range(&off, &n);
	if (i == j && (off < to ? to - off : off - to) < n) {
		CHECK(union_copy_range(u, &op, nodes[i], off, nodes[j], to, n, &done) == -EINVAL);
		return;
	}
	while (n && union_copy_range(u, &op, nodes[i], off, nodes[j], to, n, &done) == 0 && done) {
		for (size_t k = done; k;) {
			ssize_t m;

			in = (off_t)(off + done - k);
			out = (off_t)(to + done - k);
			m = copy_file_range(plain[i], &in, plain[j], &out, k, 0);
			CHECK(m > 0);
			k -= (size_t)m;
		}
		off += done;
		to += done;
		n -= done;
	}
	CHECK(n == 0 || off >= size_of(plain[i]));
}

static void step_look(unsigned int i)
{
	uint64_t off, n;

	some_range(&off, &n);
	same(i, off, n);
	if (below(20) == 0 && size_of(plain[i]))
		holes_are_zeros(i, below(size_of(plain[i])));
}

static void step(void)
{
	const unsigned int i = (unsigned int)below(FILES), what = (unsigned int)below(100);

	if (what < 35)
		step_write(i);
	else if (what < 37)
		step_truncate(i);
	else if (what < 45)
		step_fallocate(i);
	else if (what < 52)
		step_copy(i);
	else
		step_look(i);
	step_look(i);
	if (below(100) == 0)
		CHECK(union_fsync(u, nodes[i], below(2)) == 0);
	if (below(1000) == 0)
		CHECK(union_fsync(u, UNION_ROOT, below(2)) == 0);
	if (below(300) == 0)
		reopen();
	if (below(600) == 0)
		remount();
	if (below(200) == 0)
		same_all();
}

/* ---- a fresh union -------------------------------------------------------------------------- */

static void make_plain(unsigned int i)
{
	static uint8_t p[SPAN];
	char name[16];

	snprintf(name, sizeof(name), "plain%u", i);
	plain[i] = open(path_in(root, name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(plain[i] >= 0);
	for (uint64_t k = 0; k < sizes[i]; k++)
		p[k] = content(i, k);
	if (sizes[i] > INDEX_INLINE_MAX)
		CHECK(io_pwrite_full(plain[i], p, sizes[i], 0) == 0);
	else if (sizes[i]) /* as put_inline has it */
		CHECK(io_pwrite_full(plain[i], p, get_all(nodes[i], p, SPAN, 0), 0) == 0);
}

static void make_dirs(void)
{
	CHECK(mkdir(path_in(disk, "upper"), 0755) == 0);
	CHECK(mkdir(path_in(disk, "work"), 0755) == 0);
}

static void clear(const char *name)
{
	const int fd = open(path_in(disk, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0 && remove_below(fd) == 0);
	close(fd);
	CHECK(rmdir(path_in(disk, name)) == 0);
}

static void begin(void)
{
	make_dirs();
	new_session();
	open_union(0);
	look_up();
	for (unsigned int i = 0; i < FILES; i++)
		make_plain(i);
	same_all();
}

static void end(void)
{
	for (unsigned int i = 0; i < FILES; i++)
		close(plain[i]);
	union_close(u);
	end_session();
	clear("upper");
	clear("work");
}

static void test_random(unsigned int s, int steps)
{
	seed = s;
	begin();
	for (int k = 0; k < steps; k++)
		step();
	same_all();
	remount();
	same_all();
	end();
}

/* ---- threads -------------------------------------------------------------------------------- */

#define THREADS 4
#define STRIPE  1000u /* which is no block: each block is written to by all */

static void *write_stripes(void *arg)
{
	const unsigned int mine = *(unsigned int *)arg;
	unsigned int s = mine + 77;
	uint8_t p[STRIPE];

	for (int k = 0; k < 1500; k++) {
		const unsigned int i = 4 + (unsigned int)rand_r(&s) % 3;
		const uint64_t n = size_of(plain[i]) / STRIPE / THREADS;
		const uint64_t off = ((uint64_t)rand_r(&s) % n * THREADS + mine) * STRIPE;
		const size_t from = (size_t)rand_r(&s) % 500, len = 1 + (size_t)rand_r(&s) % 500;

		memset(p, rand_r(&s), len);
		CHECK(union_write(u, &op, nodes[i], p, len, off + from, false) == 0);
		CHECK(io_pwrite_full(plain[i], p, len, off + from) == 0);
		same(i, off, STRIPE);
	}
	return NULL;
}

/* Whole blocks, some of them taken again: what is punched stays so. */
static void *punch_stripes(void *arg)
{
	unsigned int s = *(unsigned int *)arg;
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	for (int k = 0; k < 300; k++) {
		const uint64_t n = size_of(plain[6]) / STRIPE / THREADS;
		const uint64_t off = ((uint64_t)rand_r(&s) % n * THREADS + THREADS - 1) * STRIPE;

		CHECK(union_fallocate(u, &op, nodes[6], mode, off + 1, STRIPE - 2) == 0);
		CHECK(fallocate(plain[6], mode, (off_t)off + 1, STRIPE - 2) == 0);
		same(6, off, STRIPE);
	}
	return NULL;
}

static pthread_barrier_t barrier;

/* All at once into one block that is the lower file's still, block after block. */
static void *write_together(void *arg)
{
	const unsigned int mine = *(unsigned int *)arg;
	uint8_t p[STRIPE];

	memset(p, (int)mine + 1, sizeof(p));
	for (uint64_t block = 0; block < sizes[6] / 4096; block++) {
		const uint64_t off = block * 4096 + mine * STRIPE;

		CHECK(io_pwrite_full(plain[6], p, STRIPE, off) == 0);
		pthread_barrier_wait(&barrier);
		CHECK(union_write(u, &op, nodes[6], p, STRIPE, off, false) == 0);
	}
	return NULL;
}

static void test_together(void)
{
	unsigned int id[THREADS];
	pthread_t t[THREADS];

	begin();
	CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (unsigned int k = 0; k < THREADS; k++) {
		id[k] = k;
		CHECK(pthread_create(&t[k], NULL, write_together, &id[k]) == 0);
	}
	for (unsigned int k = 0; k < THREADS; k++)
		CHECK(pthread_join(t[k], NULL) == 0);
	pthread_barrier_destroy(&barrier);
	same_all();
	end();
}

static void test_threads(void)
{
	unsigned int id[THREADS];
	pthread_t t[THREADS];

	begin();
	for (unsigned int k = 0; k < THREADS; k++) {
		id[k] = k;
		CHECK(pthread_create(&t[k], NULL, k < THREADS - 1 ? write_stripes : punch_stripes,
			      &id[k]) == 0);
	}
	for (unsigned int k = 0; k < THREADS; k++)
		CHECK(pthread_join(t[k], NULL) == 0);
	same_all();
	reopen();
	same_all();
	end();
}

/* ---- what else must hold -------------------------------------------------------------------- */

static void upper_path(unsigned int i, char *ret, size_t n)
{
	snprintf(ret, n, "%s/upper/f%u", disk, i);
}

static bool is_marked(unsigned int i)
{
	char path[128];

	upper_path(i, path, sizeof(path));
	return getxattr(path, "trusted.overlay.plyfs.blocks", NULL, 0) >= 0;
}

/* What lies behind the lower file's last byte, in its last block, is the upper file's all along. */
static void test_last_block(void)
{
	const uint64_t off = sizes[5] + 10;

	begin();
	CHECK(union_write(u, &op, nodes[5], "x", 1, 7, false) == 0);
	CHECK(pwrite(plain[5], "x", 1, 7) == 1);
	CHECK(union_fallocate(u, &op, nodes[5], FALLOC_FL_ZERO_RANGE, off, 100) == 0);
	CHECK(fallocate(plain[5], FALLOC_FL_ZERO_RANGE, (off_t)off, 100) == 0);
	same_all();
	CHECK(union_write(u, &op, nodes[5], "y", 1, off + 20, false) == 0);
	CHECK(pwrite(plain[5], "y", 1, (off_t)off + 20) == 1);
	same_all();
	CHECK(union_write(u, &op, nodes[5], "z", 1, off - 12, false) == 0);
	CHECK(pwrite(plain[5], "z", 1, (off_t)off - 12) == 1);
	same_all();
	end();
}

/* The first write copies one block; the last makes the file whole. */
static void test_whole(void)
{
	static uint8_t p[SPAN];
	char path[128];
	struct stat st;

	begin();
	upper_path(6, path, sizeof(path));
	CHECK(union_write(u, &op, nodes[6], "x", 1, 100000, false) == 0);
	CHECK(pwrite(plain[6], "x", 1, 100000) == 1);
	CHECK(stat(path, &st) == 0 && st.st_size == SPAN && st.st_blocks <= 16);
	CHECK(is_marked(6));
	memset(p, 5, sizeof(p));
	CHECK(union_write(u, &op, nodes[6], p, SPAN - 4096, 4096, false) == 0);
	CHECK(io_pwrite_full(plain[6], p, SPAN - 4096, 4096) == 0);
	CHECK(is_marked(6));
	CHECK(union_write(u, &op, nodes[6], p, 4096, 0, false) == 0);
	CHECK(io_pwrite_full(plain[6], p, 4096, 0) == 0);
	CHECK(!is_marked(6));
	/* Cut to nothing, it is whole too. */
	CHECK(union_write(u, &op, nodes[5], "x", 1, 7, false) == 0);
	CHECK(is_marked(5));
	st.st_size = 0;
	CHECK(union_setattr(u, &op, nodes[5], &st, UNION_SET_SIZE, &st) == 0);
	CHECK(ftruncate(plain[5], 0) == 0);
	CHECK(!is_marked(5));
	same_all();
	end();
}

static uint32_t mode_of(unsigned int i)
{
	struct stat st;

	CHECK(union_getattr(u, nodes[i], &st) == 0);
	return st.st_mode & 07777;
}

static void test_kill_suidgid(void)
{
	struct stat st = {.st_mode = 06755};

	begin();
	CHECK(union_setattr(u, &op, nodes[4], &st, UNION_SET_MODE, &st) == 0);
	CHECK(union_write(u, &op, nodes[4], "x", 1, 0, false) == 0);
	CHECK(mode_of(4) == 06755);
	CHECK(union_write(u, &op, nodes[4], "x", 1, 0, true) == 0);
	CHECK(mode_of(4) == 0755);
	st.st_mode = 06644;
	CHECK(union_setattr(u, &op, nodes[4], &st, UNION_SET_MODE, &st) == 0);
	CHECK(union_write(u, &op, nodes[4], "x", 1, 0, true) == 0);
	CHECK(mode_of(4) == 02644);
	end();
}

/* fallocate and copies of ranges come without a word of who is to lose what. */
static void test_kill_of_ranges(void)
{
	const struct union_op stranger = {.unique = 1, .uid = 1000, .gid = 1000};
	struct stat st = {.st_mode = 06755};
	size_t n;

	begin();
	CHECK(union_setattr(u, &op, nodes[4], &st, UNION_SET_MODE, &st) == 0);
	CHECK(union_fallocate(u, &op, nodes[4], 0, 0, 5000) == 0 && mode_of(4) == 06755);
	CHECK(union_fallocate(u, &stranger, nodes[4], 0, 0, 5000) == 0 && mode_of(4) == 0755);
	st.st_mode = 06755;
	CHECK(union_setattr(u, &op, nodes[4], &st, UNION_SET_MODE, &st) == 0);
	CHECK(union_copy_range(u, &op, nodes[3], 0, nodes[4], 0, 100, &n) == 0);
	CHECK(mode_of(4) == 06755);
	CHECK(union_copy_range(u, &stranger, nodes[3], 0, nodes[4], 0, 100, &n) == 0);
	CHECK(mode_of(4) == 0755);
	end();
}

static bool has_capability(uint64_t node)
{
	char list[1024], value[64];
	size_t n, k;
	const int r = union_getxattr(u, node, "security.capability", value, sizeof(value), &n);

	CHECK((r == 0 && n == 20) || r == -ENODATA);
	CHECK(union_listxattr(u, node, list, sizeof(list), &k) == 0);
	CHECK((memmem(list, k, "security.capability", 20) != NULL) == (r == 0));
	return r == 0;
}

/* What was written before a file got its capability does not take that away; a later write does. */
static void test_capability(void)
{
	const uint32_t capability[5] = {0x02000000, 0x400};
	const char *mark = "trusted.overlay.plyfs.capability";
	struct union_entry e;
	char path[128];

	begin();
	CHECK(union_mknod(u, &op, UNION_ROOT, "new", S_IFREG | 0644, 0, &e) == 0);
	nodes[0] = e.node;
	for (unsigned int i = 0; i < FILES; i += 6) { /* a new one, and a half-copied one */
		CHECK(union_write(u, &op, nodes[i], "x", 1, 5, UNION_WRITE_LATE) == 0);
		CHECK(!has_capability(nodes[i]));
		CHECK(union_setxattr(u, &op, nodes[i], "security.capability", capability, 20, 0,
			      false) == 0);
		CHECK(has_capability(nodes[i]));
		CHECK(union_write(u, &op, nodes[i], "x", 1, 9000, UNION_WRITE_LATE) == 0);
		CHECK(has_capability(nodes[i]));
		reopen();
		CHECK(union_write(u, &op, nodes[i], "x", 1, 99, UNION_WRITE_LATE) == 0);
		CHECK(has_capability(nodes[i]));
		CHECK(union_write(u, &op, nodes[i], "x", 1, 5, 0) == 0);
		CHECK(!has_capability(nodes[i]));
	}
	/* A kill came when it was in the mark. */
	snprintf(path, sizeof(path), "%s/upper/new", disk);
	CHECK(setxattr(path, mark, capability, 20, 0) == 0);
	reopen();
	CHECK(has_capability(nodes[0]) && getxattr(path, mark, NULL, 0) < 0);
	CHECK(removexattr(path, "security.capability") == 0);
	CHECK(setxattr(path, mark, capability, 20, 0) == 0);
	reopen();
	CHECK(union_write(u, &op, nodes[0], "x", 1, 5, UNION_WRITE_LATE) == 0);
	CHECK(has_capability(nodes[0]));
	CHECK(union_removexattr(u, &op, nodes[0], "security.capability") == 0);
	CHECK(!has_capability(nodes[0]));
	CHECK(union_write(u, &op, nodes[0], "x", 1, 5, UNION_WRITE_LATE) == 0);
	CHECK(!has_capability(nodes[0]));
	end();
}

static void test_passthrough(void)
{
	struct union_entry e;
	int a = -1, b = -1;

	begin();
	/* Lower: not; and as long as it is open so, all opens are. */
	CHECK(union_passthrough(u, &op, nodes[6], false, &a) == 0);
	CHECK(union_write(u, &op, nodes[6], "x", 1, 0, false) == 0);
	CHECK(union_passthrough(u, &op, nodes[6], true, &b) == 0);
	if (a < 0)
		CHECK(b < 0);
	union_release(u, nodes[6], a >= 0);
	union_release(u, nodes[6], b >= 0);
	close_fdp(&a);
	close_fdp(&b);
	a = b = -1;
	CHECK(union_mknod(u, &op, UNION_ROOT, "new", S_IFREG | 0644, 0, &e) == 0);
	CHECK(union_passthrough(u, &op, e.node, true, &a) == 0);
	CHECK(a >= 0 && write(a, "hello", 5) == 5);
	{
		uint8_t p[8];

		CHECK(get(e.node, p, 8, 0) == 5 && memcmp(p, "hello", 5) == 0);
	}
	reopen();
	CHECK(session_node(session, e.node)->passthrough_opens == 1);
	CHECK(union_passthrough(u, &op, e.node, false, &b) == 0 && b >= 0);
	union_release(u, e.node, true);
	union_release(u, e.node, true);
	union_release(u, e.node, true);
	CHECK(session_node(session, e.node)->passthrough_opens == 0);
	close(a);
	close(b);
	end();
}

static _Atomic bool wrote;

static void *write_held(void *arg)
{
	CHECK(union_write(u, &op, *(uint64_t *)arg, "held", 4, 10, false) == 0);
	wrote = true;
	return NULL;
}

static void test_hold(void)
{
	uint64_t node, other;
	pthread_t t;
	uint8_t p[4];

	begin();
	CHECK(union_write(u, &op, nodes[6], "free", 4, 10, false) == 0);
	CHECK(union_hold(u, "/f6", &node) == 0 && node == nodes[6]);
	CHECK(union_hold(u, "f6", &other) == 0 && other == node);
	CHECK(union_hold(u, "f77", &other) == -ENOENT);
	CHECK(union_is_held(u, node) && !union_is_held(u, nodes[5]));
	wrote = false;
	CHECK(pthread_create(&t, NULL, write_held, &node) == 0);
	CHECK(union_write(u, &op, nodes[5], "free", 4, 10, false) == 0);
	usleep(50000);
	CHECK(!wrote && get(node, p, 4, 10) == 4 && memcmp(p, "free", 4) == 0);
	union_unhold(u, node);
	usleep(20000);
	CHECK(!wrote);
	union_unhold(u, node);
	pthread_join(t, NULL);
	CHECK(wrote && get(node, p, 4, 10) == 4 && memcmp(p, "held", 4) == 0);
	CHECK(!union_is_held(u, node));
	end();
}

static int complete(uint64_t node)
{
	struct node *n;
	int r = node_get(u, node, &n);

	CHECK(r == 0);
	pthread_rwlock_rdlock(&u->tree);
	pthread_mutex_lock(&n->lock);
	r = data_complete(u, n);
	pthread_mutex_unlock(&n->lock);
	pthread_rwlock_unlock(&u->tree);
	node_put(u, n);
	return r;
}

/* Made whole, a file has the attributes that it had. */
static void test_complete(void)
{
	/* cap_net_raw+ep, revision 2: struct vfs_cap_data of <linux/capability.h>. */
	static const uint32_t capability[5] = {0x02000001, 1 << 13};
	struct stat before, after;
	uint32_t got[6];
	char path[128];

	begin();
	upper_path(6, path, sizeof(path));
	for (uint64_t off = 5; off < SPAN; off += 60000) {
		CHECK(union_write(u, &op, nodes[6], "x", 1, off, false) == 0);
		CHECK(pwrite(plain[6], "x", 1, (off_t)off) == 1);
	}
	CHECK(is_marked(6));
	CHECK(chmod(path, 06755) == 0);
	CHECK(setxattr(path, "security.capability", capability, sizeof(capability), 0) == 0);
	CHECK(stat(path, &before) == 0);
	CHECK(complete(nodes[6]) == 0 && complete(nodes[5]) == 0);
	CHECK(!is_marked(6));
	CHECK(stat(path, &after) == 0);
	CHECK(after.st_mtim.tv_sec == before.st_mtim.tv_sec);
	CHECK(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
	CHECK(after.st_mode == before.st_mode);
	CHECK(getxattr(path, "security.capability", got, sizeof(got)) == sizeof(capability));
	CHECK(memcmp(got, capability, sizeof(capability)) == 0);
	same_all();
	remount();
	same_all();
	end();
}

/* Under another name, and after another mount, a half-copied file is what it was. */
static void test_rename(void)
{
	struct union_entry e;

	begin();
	for (unsigned int i = 4; i < FILES; i++) {
		CHECK(union_write(u, &op, nodes[i], "x", 1, 5, false) == 0);
		CHECK(pwrite(plain[i], "x", 1, 5) == 1);
	}
	CHECK(union_rename(u, &op, UNION_ROOT, "f6", UNION_ROOT, "other", 0) == 0);
	CHECK(union_mkdir(u, &op, UNION_ROOT, "dir", 0755, &e) == 0);
	CHECK(union_link(u, &op, nodes[5], e.node, "link", &e) == 0);
	CHECK(union_unlink(u, &op, UNION_ROOT, "f5") == 0);
	same_all();
	reopen();
	same_all();
	union_close(u);
	end_session();
	new_session();
	open_union(0);
	CHECK(union_lookup(u, UNION_ROOT, "other", &e) == 0);
	nodes[6] = e.node;
	CHECK(union_lookup(u, UNION_ROOT, "f4", &e) == 0);
	nodes[4] = e.node;
	CHECK(union_lookup(u, UNION_ROOT, "dir", &e) == 0);
	CHECK(union_lookup(u, e.node, "link", &e) == 0);
	nodes[5] = e.node;
	for (unsigned int i = 4; i < FILES; i++)
		same(i, 0, SPAN);
	end();
}

/* Bitmaps that lie: errors, and other files work on. */
static void test_lost_bitmap(void)
{
	uint8_t p[16];
	struct union_read r = {0};
	int fd;

	begin();
	CHECK(union_write(u, &op, nodes[6], "x", 1, 10, false) == 0);
	CHECK(union_write(u, &op, nodes[5], "x", 1, 10, false) == 0);
	CHECK(pwrite(plain[5], "x", 1, 10) == 1);
	union_close(u);
	end_session();
	{
		char path[128], name[UPPER_NUMBER_SIZE];
		struct stat st;

		upper_path(6, path, sizeof(path));
		CHECK(stat(path, &st) == 0);
		fd = open(path_in(disk, "work/blocks"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(fd >= 0 && unlinkat(fd, upper_number_name(st.st_ino, name), 0) == 0);
		close(fd);
	}
	new_session();
	open_union(0);
	look_up();
	CHECK(union_read(u, nodes[6], p, sizeof(p), 0, &r) == -EIO);
	CHECK(union_write(u, &op, nodes[6], p, sizeof(p), 0, false) == -EIO);
	same(5, 0, SPAN);
	end();
}

/* ---- full disk ------------------------------------------------------------------------------ */

/* On a small file system of its own: what fails leaves what was there. */
static void use_full_disk(void)
{
	static uint8_t p[65536];
	unsigned int failed = 0;

	begin();
	seed = 5;
	for (int k = 0; k < 3000; k++) {
		const unsigned int i = 2 + (unsigned int)below(5);
		const uint64_t off = below(sizes[i]);
		const size_t n = 1 + (size_t)below(k % 3 ? 5000 : sizeof(p));
		int r;

		/* A write that fails may have been done in part, to blocks that were its own
		 * before; here what is written is what is there already, so nothing may change. */
		CHECK(io_pread(plain[i], p, n, off, &(size_t){0}) == 0);
		r = union_write(
			u, &op, nodes[i], p, off + n > sizes[i] ? sizes[i] - off : n, off, false);
		CHECK(r == 0 || r == -ENOSPC);
		failed += r != 0;
		same(i, off > 8192 ? off - 8192 : 0, n + 16384);
	}
	CHECK(failed > 0);
	same_all();
	remount();
	same_all();
	end();
}

static bool mount_disk(const char *kind, const char *size)
{
	char command[1024];

	CHECK(mkdir(disk, 0755) == 0);
	snprintf(command, sizeof(command),
		"truncate -s %s %s.img && mkfs.%s -q %s.img && mount -o loop %s.img %s; r=$?; "
		"rm %s.img; exit $r",
		size, disk, kind, disk, disk, disk, disk);
	return system(command) == 0;
}

/* In a process and a mount namespace of its own. */
static void on_disk(const char *kind, const char *size, void (*use)(void))
{
	const pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(unshare(CLONE_NEWNS) == 0);
		CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		snprintf(disk, sizeof(disk), "%s/%s", root, kind);
		if (mount_disk(kind, size)) {
			use();
			CHECK(umount(disk) == 0);
		} else {
			printf("%s: not tried, no such file system here\n", kind);
		}
		CHECK(rmdir(disk) == 0);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- reflinks ------------------------------------------------------------------------------- */

static uint64_t free_space(void)
{
	struct statvfs s;

	CHECK(statvfs(disk, &s) == 0);
	return s.f_bfree * s.f_frsize;
}

static int sync_disk(void)
{
	const int fd = open(disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = syncfs(fd);

	close(fd);
	return r;
}

/* The first write makes a file whole, and takes hardly any space; the lower file stays. */
static void use_reflinks(void)
{
	uint64_t before;
	int fd = -1;

	begin();
	CHECK(sync_disk() == 0);
	before = free_space();
	for (unsigned int i = 2; i < FILES; i++) {
		CHECK(union_write(u, &op, nodes[i], "x", 1, sizes[i] / 2, false) == 0);
		CHECK(pwrite(plain[i], "x", 1, (off_t)sizes[i] / 2) == 1);
		CHECK(!is_marked(i));
	}
	CHECK(sync_disk() == 0);
	CHECK(before - free_space() < 1u << 20);
	same_all();
	end();

	begin(); /* compares all files */
	CHECK(union_passthrough(u, &op, nodes[6], true, &fd) == 0 && fd >= 0);
	CHECK(pwrite(fd, "x", 1, 100) == 1 && pwrite(plain[6], "x", 1, 100) == 1);
	union_release(u, nodes[6], true);
	close(fd);
	same_all();
	end();
	test_random(9, 1000);
	begin();
	end();
}

static void test_reflinks(void)
{
	use_dir = false;
	make_image();
	use_reflinks();
	store_close(store);
	free(image.diff_ids);
	make_lower_dir();
	use_dir = true;
	use_reflinks();
}

int main(int argc, char **argv)
{
	const int steps = argc > 1 ? atoi(argv[1]) : 3000;
	const unsigned int seeds = argc > 2 ? (unsigned int)atoi(argv[2]) : 2;
	int fd;

	if (geteuid() != 0)
		return 77;
	snprintf(root, sizeof(root), "%s/plyfs-test-XXXXXX", getenv("TMPDIR") ?: "/var/tmp");
	CHECK(mkdtemp(root));
	snprintf(disk, sizeof(disk), "%s", root);
	make_image();
	test_whole();
	test_last_block();
	test_kill_suidgid();
	test_kill_of_ranges();
	test_capability();
	test_passthrough();
	test_hold();
	test_lost_bitmap();
	test_complete();
	test_rename();
	for (unsigned int s = 1; s <= seeds; s++)
		test_random(s, steps);
	test_threads();
	test_together();
	on_disk("ext4", "6M", use_full_disk);
	store_close(store);
	free(image.diff_ids);
	use_dir = true;
	make_lower_dir();
	test_rename();
	test_random(4, steps);
	test_together();
	on_disk("xfs", "400M", test_reflinks);
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0 && remove_below(fd) == 0 && rmdir(root) == 0);
	return 0;
}
