/* SPDX-License-Identifier: Apache-2.0 */
#include "gc.h"
#include "ingest.h"
#include "lock.h"
#include "format/split.h"
#include "format/test-tree.h"
#include "util/io.h"
#include "util/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char root[32];

static int remove_one(
	const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_)
{
	return remove(path);
}

static struct store *open_store(void)
{
	struct store *s;
	struct err e = {0};
	int r = store_open(root, true, &s, &e);

	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r == 0);
	return s;
}

static struct store *new_store(void)
{
	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(root));
	return open_store();
}

static void drop_store(struct store *s)
{
	store_close(s);
	CHECK(nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0);
}

static MDB_txn *begin(struct store *s, bool write)
{
	MDB_txn *txn;

	CHECK(txn_begin(s, write, &txn, NULL) == 0);
	return txn;
}

static struct digest digest_number(uint64_t n)
{
	struct digest d;

	digest_of(&n, sizeof(n), &d);
	return d;
}

static size_t count(struct store *s, MDB_dbi dbi)
{
	MDB_txn *txn = begin(s, false);
	MDB_stat st;

	CHECK(mdb_stat(txn, dbi, &st) == 0);
	mdb_txn_abort(txn);
	return st.ms_entries;
}

static size_t count_files(const char *dir)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *de;
	size_t n = 0;

	CHECK(asprintf(&path, "%s/%s", root, dir) > 0);
	d = opendir(path);
	CHECK(d);
	while ((de = readdir(d)))
		n += de->d_name[0] != '.';
	return n;
}

/* What the packs take on disk. */
static uint64_t pack_bytes(void)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;

	CHECK(asprintf(&path, "%s/packs/0.pack", root) > 0);
	return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* --- opening ------------------------------------------------------------------------------- */

static void test_open(void)
{
	struct store *s = new_store(), *s2;
	char path[64];

	CHECK(store_open("/tmp/no such/store", false, &s2, NULL) == -ERR_ABSENT);
	store_close(s);
	s = open_store(); /* once more, as it is */
	store_close(s);
	snprintf(path, sizeof(path), "%s/format", root);
	CHECK(truncate(path, 3) == 0);
	CHECK(store_open(root, true, &s2, NULL) == -ERR_STORE);
	CHECK(unlink(path) == 0);
	CHECK(store_open(root, false, &s2, NULL) == -ERR_ABSENT);
	s = open_store(); /* a store that was killed while it was made */
	drop_store(s);
	CHECK(mkdir(root, 0700) == 0);
	snprintf(path, sizeof(path), "%s/precious", root);
	CHECK(mkdir(path, 0700) == 0);
	CHECK(store_open(root, true, &s2, NULL) == -ERR_STORE);
	CHECK(rmdir(path) == 0 && rmdir(root) == 0);
}

/* Any number of processes may make it at once. */
static void test_open_race(void)
{
	for (int round = 0; round < 10; round++) {
		int status;

		snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
		CHECK(mkdtemp(root));
		for (int child = 0; child < 6; child++) {
			if (fork() == 0) {
				store_close(open_store());
				_exit(0);
			}
		}
		for (int child = 0; child < 6; child++)
			CHECK(wait(&status) > 0 && status == 0);
		drop_store(open_store());
	}
}

/* --- records ------------------------------------------------------------------------------- */

static void test_chunk_records(struct store *s)
{
	struct chunk_record c = {.pack = 22, .block = 1u << 30, .size = 1u << 24}, got;
	struct digest d = digest_number(1), other = digest_number(2);
	MDB_txn *txn = begin(s, true);

	CHECK(record_chunk(s, txn, &d, &got) == 1);
	CHECK(record_put_chunk(s, txn, &d, &c) == 0);
	c.block = 5;
	CHECK(record_put_chunk(s, txn, &d, &c) == 1); /* the first one stays */
	CHECK(record_chunk(s, txn, &d, &got) == 0);
	CHECK(got.pack == 22 && got.block == 1u << 30 && got.size == 1u << 24);
	CHECK(record_chunk(s, txn, &other, &got) == 1);
	mdb_txn_abort(txn);
}

static void test_image_records(struct store *s)
{
	struct digest ids[3] = {digest_number(10), digest_number(11), digest_number(12)}, d;
	struct image_record rec = {.manifest = digest_number(1),
		.index = digest_number(2),
		.config = digest_number(3),
		.diff_ids = ids,
		.n_diff_ids = 3};
	_cleanup_image_record_ struct image_record got = {0};
	MDB_txn *txn = begin(s, true);

	CHECK(record_image(s, txn, &rec.manifest, &got) == 1);
	CHECK(record_put_image(s, txn, &rec) == 0);
	CHECK(record_image(s, txn, &rec.manifest, &got) == 0 && got.n_diff_ids == 3);
	CHECK(digest_equal(&got.index, &rec.index) && digest_equal(&got.config, &rec.config));
	CHECK(memcmp(got.diff_ids, ids, sizeof(ids)) == 0);
	CHECK(record_name(s, txn, "a:b", &d) == 1 && record_delete_name(s, txn, "a:b") == 1);
	CHECK(record_put_name(s, txn, "a:b", &rec.manifest) == 0);
	CHECK(record_put_name(s, txn, "a:b", &rec.config) == 0); /* moves */
	CHECK(record_name(s, txn, "a:b", &d) == 0 && digest_equal(&d, &rec.config));
	CHECK(record_delete_name(s, txn, "a:b") == 0 && record_name(s, txn, "a:b", &d) == 1);
	CHECK(record_layer(s, txn, &ids[0], &d) == 1);
	CHECK(record_put_layer(s, txn, &ids[0], &rec.index) == 0);
	CHECK(record_layer(s, txn, &ids[0], &d) == 0 && digest_equal(&d, &rec.index));
	mdb_txn_abort(txn);
}

static void test_damaged_records(void)
{
	uint8_t raw[200] = {0};
	MDB_val key = {DIGEST_SIZE, raw}, value = {0, raw};
	struct image_record rec;
	struct chunk_record c;

	for (size_t n = 0; n < sizeof(raw); n++) {
		int r;

		value.mv_size = n;
		CHECK(record_read_chunk(&value, &c) == (n == 10 ? 0 : -ERR_STORE));
		r = record_read_image(&key, &value, &rec);
		CHECK(r == (n % 32 || n < 64 ? -ERR_STORE : 0));
		if (r == 0)
			image_record_done(&rec);
	}
	value.mv_size = 10;
	raw[8] = PACKS_MAX;
	CHECK(record_read_chunk(&value, &c) == -ERR_STORE);
}

static void test_records(void)
{
	struct store *s = new_store();

	test_chunk_records(s);
	test_image_records(s);
	test_damaged_records();
	drop_store(s);
}

/* --- space: random operations against a map of blocks -------------------------------------- */

#define MAP_BLOCKS 40000u
#define SESSIONS   3

struct model {
	uint8_t map[MAP_BLOCKS]; /* 0 free or never used, 1 + session held */
	struct extent held[200];
	uint64_t session[200];
	size_t n;
	uint32_t tail;
};

static uint32_t random_below(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % n;
}

static void model_hold(struct model *m, struct store *s, MDB_txn *txn, uint32_t *seed)
{
	uint32_t want = 1 + random_below(seed, 300), least = 1 + random_below(seed, want);
	uint64_t session = random_below(seed, SESSIONS);
	struct extent x;

	if (m->n == 200 || m->tail + want > MAP_BLOCKS)
		return;
	CHECK(space_hold(s, txn, session, want, least, &x) == 0);
	CHECK(x.pack == 0 && x.blocks >= least && x.blocks <= want);
	CHECK(x.block + x.blocks <= MAP_BLOCKS);
	for (uint32_t b = x.block; b < x.block + x.blocks; b++) {
		CHECK(m->map[b] == 0); /* nobody else has it */
		m->map[b] = (uint8_t)(1 + session);
	}
	m->tail = x.block + x.blocks > m->tail ? x.block + x.blocks : m->tail;
	m->held[m->n] = x;
	m->session[m->n++] = session;
}

static void model_free(struct model *m, struct store *s, MDB_txn *txn, uint32_t *seed)
{
	size_t k = m->n ? random_below(seed, (uint32_t)m->n) : 0;
	struct extent x;

	if (!m->n)
		return;
	x = m->held[k];
	CHECK(space_forget(s, txn, m->session[k], &x) == 0);
	CHECK(space_forget(s, txn, m->session[k], &x) < 0); /* only once */
	CHECK(space_free(s, txn, &x) == 0);
	memset(m->map + x.block, 0, x.blocks);
	m->n--;
	m->held[k] = m->held[m->n];
	m->session[k] = m->session[m->n];
}

struct free_check {
	const struct model *m;
	uint32_t end;   /* of the extent before */
	uint32_t total; /* free blocks below the tail */
};

/* Free extents are free in the model, and no two of them touch. */
static int check_free(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct free_check *f = ctx;
	uint32_t block, blocks;

	CHECK(key->mv_size == 6 && value->mv_size == 4);
	memcpy(&block, (char *)key->mv_data + 2, 4);
	memcpy(&blocks, value->mv_data, 4);
	block = be32toh(block);
	blocks = le32toh(blocks);
	if (block == PACK_BLOCKS_MAX) {
		CHECK(blocks == f->m->tail);
		return 0;
	}
	CHECK(blocks > 0 && (block == 0 || block > f->end || f->end == 0));
	for (uint32_t b = block; b < block + blocks; b++)
		CHECK(f->m->map[b] == 0);
	f->end = block + blocks;
	f->total += blocks;
	return 0;
}

static void model_check(const struct model *m, struct store *s, MDB_txn *txn)
{
	struct free_check f = {.m = m};
	uint32_t free_blocks = 0;

	CHECK(record_for_each(s, txn, s->space, check_free, &f) == 0);
	for (uint32_t b = 0; b < m->tail; b++)
		free_blocks += m->map[b] == 0;
	CHECK(f.total == free_blocks); /* none is lost */
}

/* What is held is held in the model, by that session. */
static int check_held(void *ctx, const MDB_val *key, const MDB_val *value)
{
	const struct model *m = ctx;
	uint64_t session;
	struct extent x;
	size_t k = 0;

	CHECK(space_read_held(key, value, &session, &x) == 0);
	while (k < m->n && (extent_order(&m->held[k], &x) || m->session[k] != session))
		k++;
	CHECK(k < m->n && m->held[k].blocks == x.blocks);
	return 0;
}

static void test_space(void)
{
	struct store *s = new_store();
	struct model *m = calloc(1, sizeof(*m));
	MDB_txn *txn = begin(s, true);
	uint32_t seed = 1;

	CHECK(m);
	for (int k = 0; k < 3000; k++) {
		if (random_below(&seed, 100) < 52)
			model_hold(m, s, txn, &seed);
		else
			model_free(m, s, txn, &seed);
		if (k % 10 == 0)
			model_check(m, s, txn);
	}
	CHECK(record_for_each(s, txn, s->held, check_held, m) == 0);
	while (m->n)
		model_free(m, s, txn, &seed);
	model_check(m, s, txn);
	CHECK(record_for_each(s, txn, s->held, check_held, m) == 0);
	mdb_txn_abort(txn);
	free(m);
	drop_store(s);
}

static void test_space_end(void)
{
	struct store *s = new_store();
	MDB_txn *txn = begin(s, true);
	struct extent x, y;

	CHECK(space_hold(s, txn, 1, PACK_BLOCKS_MAX, 1, &x) == 0 && x.blocks == PACK_BLOCKS_MAX);
	CHECK(space_hold(s, txn, 1, 100, 1, &y) == 0 && y.pack == 1 && y.block == 0);
	CHECK(space_hold(s, txn, 1, PACK_BLOCKS_MAX, 1, &y) == 0 && y.pack == 2);
	for (uint16_t pack = 3; pack < PACKS_MAX; pack++)
		CHECK(space_hold(s, txn, 1, PACK_BLOCKS_MAX, 1, &y) == 0 && y.pack == pack);
	CHECK(space_hold(s, txn, 1, PACK_BLOCKS_MAX, 1, &y) == -ENOSPC);
	CHECK(space_forget(s, txn, 1, &x) == 0 && space_free(s, txn, &x) == 0);
	CHECK(space_hold(s, txn, 1, 100, 1, &y) == 0 && y.pack == 0 && y.block == 0);
	mdb_txn_abort(txn);
	drop_store(s);
}

/*
 * With very many short free extents a hold looks at some of them only, and still finds the long
 * ones now and then.
 */
static void test_space_many(void)
{
	const uint32_t n = 200000, each = 300;
	struct store *s = new_store();
	MDB_txn *txn = begin(s, true);
	size_t reused = 0;
	struct extent x;

	CHECK(space_hold(s, txn, 1, n * each, 1, &x) == 0 && x.block == 0);
	for (uint32_t k = 0; k < n; k++) {
		x = (struct extent){0, k * each, k % 100 ? 10 : each - 1};
		CHECK(space_free(s, txn, &x) == 0);
	}
	for (uint32_t k = 0; k < 1000; k++) {
		CHECK(space_hold(s, txn, 2, 1000, 1, &x) == 0);
		CHECK(x.blocks == (x.block < n * each ? each - 1 : 1000));
		reused += x.block < n * each;
	}
	CHECK(reused > 900);
	mdb_txn_abort(txn);
	drop_store(s);
}

/* --- ingest -------------------------------------------------------------------------------- */

static struct ingest *begin_ingest(struct store *s)
{
	struct ingest *g;

	CHECK(ingest_begin(s, &g, NULL) == 0);
	return g;
}

/* A chunk of this size, filled from its number; 0 or 1 as ingest_chunk says. */
static int give_chunk(struct ingest *g, uint64_t id, uint32_t size, struct digest *ret)
{
	_cleanup_free_ uint8_t *p = malloc(size);

	CHECK(p);
	for (uint32_t k = 0; k < size; k++)
		p[k] = (uint8_t)(id * 31 + k * 7 + k / 256 + 1);
	digest_of(p, size, ret);
	return ingest_chunk(g, ret, p, size, NULL);
}

static void check_stored(struct store *s, const struct digest *d)
{
	_cleanup_free_ uint8_t *p = NULL;
	MDB_txn *txn = begin(s, false);
	struct chunk_record c;
	struct digest is;
	int fd;

	CHECK(record_chunk(s, txn, d, &c) == 0);
	mdb_txn_abort(txn);
	CHECK(pack_open(s, c.pack, &fd, NULL) == 0);
	p = malloc(chunk_blocks(c.size) * PACK_BLOCK_SIZE);
	CHECK(p && io_pread_full(fd, p, chunk_blocks(c.size) * PACK_BLOCK_SIZE,
			   (uint64_t)c.block * PACK_BLOCK_SIZE) == 0); /* whole blocks are there */
	digest_of(p, c.size, &is);
	CHECK(digest_equal(&is, d));
}

static void test_ingest(void)
{
	static const uint32_t sizes[] = {
		1, 4095, 4096, 4097, 131072, 1 << 20, (1 << 20) + 1, 16 << 20};
	struct store *s = new_store();
	struct ingest *g = begin_ingest(s);
	struct digest d[40], again;

	for (size_t k = 0; k < 40; k++)
		CHECK(give_chunk(g, k, sizes[k % 8], &d[k]) == 0);
	CHECK(give_chunk(g, 2, 4096, &again) == 1 && digest_equal(&again, &d[2]));
	CHECK(count(s, s->chunks) == 0);
	CHECK(ingest_commit(g, NULL, NULL, NULL) == 0);
	ingest_free(g);
	CHECK(count(s, s->held) == 0);
	for (size_t k = 0; k < 40; k++)
		check_stored(s, &d[k]);
	g = begin_ingest(s);
	CHECK(give_chunk(g, 2, 4096, &again) == 1); /* the store has it now */
	CHECK(ingest_stats(g)->chunks == 1 && ingest_stats(g)->new_chunks == 0);
	ingest_free(g);
	drop_store(s);
}

/* A chunk whose last blocks are zeros is there to its end, even as the last one of its pack. */
static void test_ingest_zeros(void)
{
	struct store *s = new_store();
	struct ingest *g = begin_ingest(s);
	static uint8_t p[5 * 4096];
	struct digest d;

	p[0] = 1;
	digest_of(p, sizeof(p), &d);
	CHECK(ingest_chunk(g, &d, p, sizeof(p), NULL) == 0);
	CHECK(ingest_commit(g, NULL, NULL, NULL) == 0);
	ingest_free(g);
	check_stored(s, &d);
	drop_store(s);
}

static void test_ingest_rollback(void)
{
	struct store *s = new_store();
	uint64_t before = pack_bytes();

	for (int round = 0; round < 3; round++) {
		struct ingest *g = begin_ingest(s);
		struct digest d;

		for (uint64_t k = 0; k < 100; k++)
			CHECK(give_chunk(g, k, 1 << 20, &d) == 0);
		CHECK(ingest_bytes(g, STORE_LAYER, &d, "x", 1, NULL) == 0);
		CHECK(ingest_layer(g, &d, &d) == 0);
		CHECK(count_files("tmp") == 1 && pack_bytes() > before + (64 << 20));
		ingest_free(g);
		CHECK(count(s, s->chunks) == 0 && count(s, s->held) == 0 &&
			count(s, s->layers) == 0);
		CHECK(count_files("tmp") == 0 && count_files("layers") == 0);
		CHECK(pack_bytes() <= before + 4096);
		CHECK(count(s, s->space) <= 2); /* one free extent and the tail */
	}
	drop_store(s);
}

/* Two ingests of one chunk: the second to commit gives its space back. */
static void test_ingest_twice(void)
{
	struct store *s = new_store();
	struct ingest *a = begin_ingest(s), *b = begin_ingest(s);
	struct digest d[3], only;
	uint64_t once;

	for (uint64_t k = 0; k < 3; k++) {
		CHECK(give_chunk(a, k, 1 << 20, &d[k]) == 0);
		CHECK(give_chunk(b, k, 1 << 20, &d[k]) == 0);
	}
	CHECK(give_chunk(b, 9, 5000, &only) == 0);
	CHECK(ingest_commit(a, NULL, NULL, NULL) == 0);
	ingest_free(a);
	once = pack_bytes();
	CHECK(ingest_commit(b, NULL, NULL, NULL) == 0);
	ingest_free(b);
	CHECK(count(s, s->chunks) == 4 && count(s, s->held) == 0);
	for (uint64_t k = 0; k < 3; k++)
		check_stored(s, &d[k]);
	check_stored(s, &only);
	CHECK(pack_bytes() <= once + 8192);
	drop_store(s);
}

static void test_ingest_files(void)
{
	struct store *s = new_store();
	struct digest d = digest_number(1), ids[1] = {digest_number(7)};
	struct image_record rec = {.manifest = d, .diff_ids = ids, .n_diff_ids = 1};
	struct ingest *g = begin_ingest(s);
	_cleanup_buf_ struct buf b = {0};
	_cleanup_close_ int fd = -1;
	MDB_txn *txn;

	CHECK(store_file_open(s, STORE_MANIFEST, &d, &fd, NULL) == -ERR_STORE);
	CHECK(ingest_bytes(g, STORE_MANIFEST, &d, "manifest", 8, NULL) == 0);
	CHECK(ingest_bytes(g, STORE_LAYER, &ids[0], "layer", 5, NULL) == 0);
	CHECK(ingest_layer(g, &ids[0], &d) == 0);
	CHECK(ingest_commit(g, &rec, "name:tag", NULL) == 0);
	ingest_free(g);
	CHECK(store_file_open(s, STORE_MANIFEST, &d, &fd, NULL) == 0);
	CHECK(io_slurp(fd, 100, &b) == 0 && strcmp((char *)b.p, "manifest") == 0);
	txn = begin(s, false);
	CHECK(record_name(s, txn, "name:tag", &d) == 0 && digest_equal(&d, &rec.manifest));
	mdb_txn_abort(txn);
	drop_store(s);
}

/* --- gc ------------------------------------------------------------------------------------ */

static struct gc_stats collect(struct store *s, bool dry)
{
	struct gc_stats stats;
	struct err e = {0};

	if (store_gc(s, &(struct gc_options){.dry_run = dry}, &stats, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	return stats;
}

/* A session that is killed holds space and has files; gc finds both. */
static void test_gc_dead_session(void)
{
	struct store *s = new_store();
	struct gc_stats stats;
	int status;

	store_close(s);
	if (fork() == 0) {
		struct store *child = open_store();
		struct ingest *g = begin_ingest(child);
		struct digest d;

		for (uint64_t k = 0; k < 20; k++)
			CHECK(give_chunk(g, k, 1 << 20, &d) == 0);
		CHECK(ingest_bytes(g, STORE_LAYER, &d, "x", 1, NULL) == 0);
		kill(getpid(), SIGKILL);
	}
	CHECK(wait(&status) > 0 && WIFSIGNALED(status));
	s = open_store();
	CHECK(count(s, s->held) > 0 && count_files("tmp") == 1 && pack_bytes() >= 19 << 20);
	stats = collect(s, true);
	CHECK(count(s, s->held) > 0 && count_files("tmp") == 1);
	stats = collect(s, false);
	CHECK(stats.bytes >= 19 << 20 && stats.files == 1);
	CHECK(count(s, s->held) == 0 && count_files("tmp") == 0 && pack_bytes() <= 4096);
	CHECK(collect(s, false).bytes == 0);
	drop_store(s);
}

static void test_gc_unreferenced(void)
{
	struct store *s = new_store();
	struct ingest *g = begin_ingest(s);
	struct digest d[50];

	for (uint64_t k = 0; k < 50; k++)
		CHECK(give_chunk(g, k, 100000, &d[k]) == 0);
	CHECK(ingest_bytes(g, STORE_LAYER, &d[0], "no index", 8, NULL) == 0); /* named by nothing */
	CHECK(ingest_layer(g, &d[0], &d[1]) == 0);
	CHECK(ingest_commit(g, NULL, NULL, NULL) == 0);
	ingest_free(g);
	CHECK(collect(s, true).chunks == 50 && count(s, s->chunks) == 50);
	CHECK(collect(s, false).layers == 1);
	CHECK(count(s, s->chunks) == 0 && count(s, s->layers) == 0 && count_files("layers") == 0);
	CHECK(pack_bytes() <= 4096 && count(s, s->held) == 0 && count(s, s->space) <= 2);
	drop_store(s);
}

/* The split of an empty tar. */
static void write_split(struct ingest *g, const struct index_plan *plan, const struct digest *name)
{
	_cleanup_(split_writer_freep) struct split_writer *w = NULL;
	_cleanup_close_ int fd = -1;
	unsigned int temp;

	CHECK(ingest_temp(g, &fd, &temp, NULL) == 0);
	CHECK(split_writer_new(fd, &w, NULL) == 0 && split_writer_finish(w, plan, NULL) == 0);
	CHECK(ingest_file(g, STORE_SPLIT, name, temp, NULL) == 0);
}

/* A layer gets its split, too. */
static void write_index(
	struct ingest *g, struct tree *t, enum store_file kind, const struct digest *name)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_close_ int fd = -1;
	unsigned int temp;

	CHECK(index_plan_new(t, false, &plan, NULL) == 0);
	CHECK(ingest_temp(g, &fd, &temp, NULL) == 0);
	CHECK(index_plan_write(plan, fd, NULL, NULL, NULL) == 0);
	CHECK(ingest_file(g, kind, name, temp, NULL) == 0);
	if (kind == STORE_LAYER)
		write_split(g, plan, name);
}

static struct tree *tree_of_chunk(const struct digest *d, uint32_t size)
{
	struct tree *t = tree_new();
	struct inode *i;

	CHECK(t);
	i = put_chunked(t, t->root, "file", size, 20, 1, 0);
	CHECK(tree_chunk(t, d, size, &i->chunks[0]) == 1);
	return t;
}

/* An image of one layer, with one file of one chunk. */
static void put_image(struct store *s, const char *name, uint64_t id, struct digest *layer,
	struct digest *ret_chunk)
{
	struct image_record rec = {
		.manifest = digest_number(1000 + id), .diff_ids = layer, .n_diff_ids = 1};
	_cleanup_(tree_freep) struct tree *t = NULL, *t2 = NULL;
	struct ingest *g = begin_ingest(s);

	CHECK(give_chunk(g, id, 50000, ret_chunk) >= 0);
	t = tree_of_chunk(ret_chunk, 50000);
	t2 = tree_of_chunk(ret_chunk, 50000);
	write_index(g, t, STORE_LAYER, layer);
	write_index(g, t2, STORE_IMAGE, &rec.manifest);
	CHECK(ingest_layer(g, layer, layer) == 0);
	CHECK(ingest_commit(g, &rec, name, NULL) >= 0);
	ingest_free(g);
}

static void remove_name(struct store *s, const char *name)
{
	MDB_txn *txn = begin(s, true);

	CHECK(record_delete_name(s, txn, name) == 0);
	CHECK(txn_commit(&txn, NULL) == 0);
}

/* The same layer imported again with other chunks: each image keeps its own. */
static void test_gc_layer_again(void)
{
	struct store *s = new_store();
	struct digest layer = digest_number(7), old, new;

	put_image(s, "old", 1, &layer, &old);
	put_image(s, "new", 2, &layer, &new);
	CHECK(collect(s, false).chunks == 0);
	check_stored(s, &old);
	check_stored(s, &new);
	remove_name(s, "old");
	CHECK(collect(s, false).images == 1);
	check_stored(s, &old); /* the layer, which is live, has stayed as it was first */
	check_stored(s, &new);
	remove_name(s, "new");
	CHECK(collect(s, false).images == 1);
	CHECK(count(s, s->chunks) == 0 && count(s, s->layers) == 0 && pack_bytes() <= 4096);
	CHECK(count_files("images") == 0 && count_files("layers") == 0);
	drop_store(s);
}

/* Every block of the pack below its end is a chunk's, free or held, once; free ones are zeros. */
static void account(uint8_t *map, uint32_t end, const struct extent *x, uint8_t what)
{
	CHECK(x->pack == 0 && x->block + x->blocks <= end);
	for (uint32_t b = x->block; b < x->block + x->blocks; b++) {
		CHECK(!map[b]);
		map[b] = what;
	}
}

struct accounts {
	uint8_t *map;
	uint32_t end;
};

static int account_chunk(void *ctx, const MDB_val *key _unused_, const MDB_val *value)
{
	struct accounts *a = ctx;
	struct chunk_record c;

	CHECK(record_read_chunk(value, &c) == 0);
	account(a->map, a->end, &(struct extent){c.pack, c.block, chunk_blocks(c.size)}, 1);
	return 0;
}

static int account_free(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct accounts *a = ctx;
	uint32_t block, blocks;

	memcpy(&block, (char *)key->mv_data + 2, 4);
	memcpy(&blocks, value->mv_data, 4);
	if (be32toh(block) != PACK_BLOCKS_MAX)
		account(a->map, a->end, &(struct extent){0, be32toh(block), le32toh(blocks)}, 2);
	return 0;
}

static int account_held(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct accounts *a = ctx;
	uint64_t session;
	struct extent x;

	CHECK(space_read_held(key, value, &session, &x) == 0);
	account(a->map, a->end, &x, 3);
	return 0;
}

static void check_blocks(struct store *s)
{
	struct accounts a;
	MDB_txn *txn = begin(s, false);
	uint8_t block[PACK_BLOCK_SIZE], zeros[PACK_BLOCK_SIZE] = {0};
	int fd;

	CHECK(pack_open(s, 0, &fd, NULL) == 0);
	a.end = (uint32_t)(lseek(fd, 0, SEEK_END) / PACK_BLOCK_SIZE);
	a.map = calloc(a.end + 1, 1);
	CHECK(a.map);
	CHECK(record_for_each(s, txn, s->chunks, account_chunk, &a) == 0);
	CHECK(record_for_each(s, txn, s->space, account_free, &a) == 0);
	CHECK(record_for_each(s, txn, s->held, account_held, &a) == 0);
	for (uint32_t b = 0; b < a.end; b++) {
		CHECK(a.map[b]);
		if (a.map[b] != 2)
			continue;
		CHECK(io_pread_full(fd, block, sizeof(block), (uint64_t)b * sizeof(block)) == 0);
		CHECK(memcmp(block, zeros, sizeof(block)) == 0);
	}
	mdb_txn_abort(txn);
	free(a.map);
}

/* Two images of one layer each, and a third that shares the second's layer; the first is dead. */
static void put_images(struct store *s, struct digest layers[2], struct digest chunks[2])
{
	for (uint64_t k = 0; k < 2; k++) {
		layers[k] = digest_number(70 + k);
		put_image(s, k ? "live" : "dead", k, &layers[k], &chunks[k]);
	}
	remove_name(s, "dead");
}

struct intruder {
	struct store *s;
	enum gc_phase when;
	struct digest layer, chunk;
	bool done;
};

/* An import of what dies, while gc is at it. */
static void intrude(void *ctx, enum gc_phase phase, uint64_t done, uint64_t total)
{
	struct intruder *i = ctx;

	if (i->done || phase != i->when || (done < total && phase != GC_FREE))
		return;
	i->done = true;
	put_image(i->s, "again", 0, &i->layer, &i->chunk);
}

/* Imported again after it was found dead, by another process: it stays. */
static void test_gc_revived(void)
{
	static const enum gc_phase phases[] = {GC_MARK, GC_SCAN, GC_FREE};

	for (size_t k = 0; k < 3; k++) {
		struct store *s = new_store();
		struct digest layers[2], chunks[2];
		struct intruder i = {.when = phases[k]};
		struct gc_options o = {.progress = intrude, .progress_ctx = &i};
		struct gc_stats stats;

		put_images(s, layers, chunks);
		i.s = s;
		i.layer = layers[0];
		CHECK(store_gc(s, &o, &stats, NULL) == 0 && i.done);
		CHECK(stats.chunks == (phases[k] == GC_FREE) && stats.images == stats.chunks);
		check_stored(s, &chunks[0]);
		check_stored(s, &chunks[1]);
		check_blocks(s);
		CHECK(count(s, s->images) == 2 && count(s, s->held) == 0);
		remove_name(s, "again");
		CHECK(collect(s, false).chunks == 1);
		check_blocks(s);
		drop_store(s);
	}
}

struct killer {
	enum gc_phase phase;
	unsigned int calls;
};

static void kill_self(
	void *ctx, enum gc_phase phase, uint64_t done _unused_, uint64_t total _unused_)
{
	struct killer *k = ctx;

	if (phase == k->phase && k->calls-- == 0)
		kill(getpid(), SIGKILL);
}

/* In a process of its own, which is killed then. 0 = it came to its end. */
static int collect_killed(struct killer k)
{
	int status;

	if (fork() == 0) {
		struct store *s = open_store();
		struct gc_options o = {.progress = kill_self, .progress_ctx = &k, .batch = 7};
		struct gc_stats stats;

		_exit(store_gc(s, &o, &stats, NULL) < 0);
	}
	CHECK(wait(&status) > 0);
	CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

static void test_gc_killed(void)
{
	static const unsigned int calls[] = {
		[GC_MARK] = 2, [GC_SCAN] = 1, [GC_DELETE] = 5, [GC_FREE] = 1};

	for (enum gc_phase phase = GC_MARK; phase <= GC_FREE; phase++) {
		for (unsigned int n = 0; n < calls[phase]; n++) {
			struct store *s = new_store();
			struct digest layers[2], chunks[2], d;
			struct ingest *g = begin_ingest(s);

			for (uint64_t k = 100; k < 130; k++)
				CHECK(give_chunk(g, k, 10000, &d) == 0);
			CHECK(ingest_commit(g, NULL, NULL, NULL) == 0);
			ingest_free(g);
			put_images(s, layers, chunks);
			store_close(s);
			CHECK(collect_killed((struct killer){phase, n}) == 1);
			s = open_store();
			check_blocks(s);
			put_image(s, "dead", 0, &layers[0],
				&chunks[0]); /* works as if nothing were */
			collect(s, false);
			check_blocks(s);
			check_stored(s, &chunks[0]);
			check_stored(s, &chunks[1]);
			CHECK(count(s, s->chunks) == 2 && count(s, s->held) == 0);
			CHECK(count(s, s->images) == 2 && count_files("images") == 2);
			CHECK(count_files("layers") == 4 && count_files("tmp") == 0);
			drop_store(s);
		}
	}
}

/* What is known of the damage of dead things goes with them, and damage does not stop gc. */
static void test_gc_damage(void)
{
	struct store *s = new_store();
	struct digest layers[2], chunks[2];
	char name[STORE_NAME_MAX];
	struct gc_stats stats;
	MDB_txn *txn;

	put_images(s, layers, chunks);
	txn = begin(s, true);
	for (size_t k = 0; k < 2; k++) {
		struct digest image = digest_number(1000 + k);

		CHECK(record_put_damaged(s, txn, DAMAGED_CHUNK, &chunks[k]) == 0);
		CHECK(record_put_damaged(s, txn, DAMAGED_IMAGE, &image) == 0);
	}
	CHECK(record_put_damaged(s, txn, DAMAGED_LAYER, &layers[0]) == 0);
	CHECK(txn_commit(&txn, NULL) == 0);
	CHECK(unlinkat(s->dirfd, store_file_name(STORE_LAYER, &layers[1], name), 0) == 0);
	CHECK(store_gc(s, NULL, &stats, NULL) == -ERR_STORE); /* what is in it cannot be known */
	CHECK(count(s, s->chunks) == 2 && count(s, s->damaged) == 5);
	txn = begin(s, true);
	CHECK(record_put_damaged(s, txn, DAMAGED_LAYER, &layers[1]) == 0);
	CHECK(txn_commit(&txn, NULL) == 0);
	stats = collect(s, false);
	CHECK(stats.images == 1 && stats.layers == 1 && stats.chunks == 1);
	txn = begin(s, false);
	CHECK(record_damaged(s, txn, DAMAGED_CHUNK, &chunks[0]) == 1);
	CHECK(record_damaged(s, txn, DAMAGED_CHUNK, &chunks[1]) == 0);
	CHECK(record_damaged(s, txn, DAMAGED_LAYER, &layers[0]) == 1);
	CHECK(record_damaged(s, txn, DAMAGED_LAYER, &layers[1]) == 0);
	mdb_txn_abort(txn);
	CHECK(count(s, s->damaged) == 3);
	check_stored(s, &chunks[1]);
	drop_store(s);
}

/* Several gcs at once, and imports of what they free. */
static void test_gc_crowd(void)
{
	struct store *s = new_store();
	struct digest layers[2], chunks[2];
	int status;

	put_images(s, layers, chunks);
	store_close(s);
	for (int child = 0; child < 5; child++) {
		if (fork() != 0)
			continue;
		s = open_store();
		for (int round = 0; round < 20; round++) {
			if (child < 3) {
				collect(s, child == 2);
				continue;
			}
			put_image(s, child == 3 ? "a" : "b", 0, &layers[0], &chunks[0]);
			check_stored(s, &chunks[0]);
			remove_name(s, child == 3 ? "a" : "b");
		}
		_exit(0);
	}
	for (int child = 0; child < 5; child++)
		CHECK(wait(&status) > 0 && status == 0);
	s = open_store();
	collect(s, false);
	check_blocks(s);
	check_stored(s, &chunks[1]);
	CHECK(count(s, s->chunks) == 1 && count(s, s->held) == 0 && count(s, s->images) == 1);
	drop_store(s);
}

/* An image without a name stays while anybody has its local index open. */
static void test_gc_open(void)
{
	struct store *s = new_store();
	struct digest layers[2], chunks[2], image = digest_number(1000);
	char name[STORE_NAME_MAX];
	int fd;

	put_images(s, layers, chunks);
	fd = openat(s->dirfd, store_file_name(STORE_LOCAL, &image, name), O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	close(fd);
	fd = openat(s->dirfd, name, O_RDONLY);
	CHECK(fd >= 0 && collect(s, true).images == 0 && collect(s, false).images == 0);
	check_stored(s, &chunks[0]);
	close(fd);
	CHECK(collect(s, true).files == 4 && count_files("local") == 1);
	CHECK(collect(s, false).files == 4 && count_files("local") == 0);
	drop_store(s);
}

/* --- locks --------------------------------------------------------------------------------- */

static void test_locks_shared(struct store *s)
{
	struct lock a = LOCK_NONE, b = LOCK_NONE, c = LOCK_NONE;

	CHECK(lock_take(s, LOCK_GC, 0, false, false, &a, NULL) == 0);
	CHECK(lock_take(s, LOCK_GC, 0, false, false, &b, NULL) == 0);
	CHECK(lock_take(s, LOCK_GC, 0, true, false, &c, NULL) == 1 && c.fd == -1);
	CHECK(lock_take(s, LOCK_SESSION, 0, true, false, &c, NULL) == 0);
	lock_release(&c);
	lock_release(&c);
	CHECK(lock_take(s, LOCK_LAYER, 1, true, false, &c, NULL) == 0);
	lock_release(&c);
	lock_release(&a);
	lock_release(&b);
	CHECK(lock_take(s, LOCK_GC, 0, true, false, &c, NULL) == 0);
	CHECK(lock_take(s, LOCK_GC, 0, false, false, &a, NULL) == 1);
	lock_release(&c);
}

/* Waits for another process, and gets the lock when that one is killed. */
static void test_locks_killed(struct store *s)
{
	struct lock l = LOCK_NONE;
	int ready[2], status;
	char c;
	pid_t pid;

	CHECK(pipe(ready) == 0);
	pid = fork();
	if (pid == 0) {
		CHECK(lock_take(s, LOCK_LAYER, 42, true, false, &l, NULL) == 0);
		CHECK(write(ready[1], "x", 1) == 1);
		pause();
	}
	CHECK(read(ready[0], &c, 1) == 1);
	CHECK(lock_take(s, LOCK_LAYER, 42, true, false, &l, NULL) == 1);
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(lock_take(s, LOCK_LAYER, 42, true, true, &l, NULL) == 0);
	lock_release(&l);
	CHECK(wait(&status) == pid);
	close(ready[0]);
	close(ready[1]);
}

/* An import that begins waits for a gc that has waited long enough; nobody else does. */
static void test_locks_turn(void)
{
	struct lock turn = LOCK_NONE, gc = LOCK_NONE;
	struct store *s = new_store();
	struct pollfd p = {.events = POLLIN};
	int go[2], done[2], status;
	char c;

	store_close(s);
	CHECK(pipe(go) == 0 && pipe(done) == 0);
	if (fork() == 0) {
		CHECK(read(go[0], &c, 1) == 1);
		ingest_free(begin_ingest(open_store()));
		CHECK(write(done[1], "x", 1) == 1);
		_exit(0);
	}
	s = open_store();
	CHECK(lock_take(s, LOCK_TURN, 0, true, false, &turn, NULL) == 0);
	CHECK(lock_take(s, LOCK_GC, 0, false, false, &gc, NULL) == 0);
	lock_release(&gc);
	CHECK(write(go[1], "x", 1) == 1);
	p.fd = done[0];
	CHECK(poll(&p, 1, 200) == 0);
	lock_release(&turn);
	CHECK(read(done[0], &c, 1) == 1);
	CHECK(wait(&status) > 0 && status == 0);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(done[i]);
	}
	drop_store(s);
}

static void test_lock_test(struct store *s)
{
	struct lock l = LOCK_NONE;
	uint64_t session;

	CHECK(lock_session(s, &session, &l, NULL) == 0);
	CHECK(lock_test(s, LOCK_SESSION, session, NULL) == 1);
	CHECK(lock_test(s, LOCK_SESSION, session + LOCK_SESSION_NUMBERS - 1, NULL) == 1);
	CHECK(lock_test(s, LOCK_SESSION, session + LOCK_SESSION_NUMBERS, NULL) == 0);
	lock_release(&l);
	CHECK(lock_test(s, LOCK_SESSION, session, NULL) == 0);
	CHECK(lock_take(s, LOCK_GC, 0, false, false, &l, NULL) == 0);
	CHECK(lock_test(s, LOCK_GC, 0, NULL) == 1);
	lock_release(&l);
}

static void test_locks(void)
{
	struct store *s = new_store();

	test_locks_shared(s);
	test_lock_test(s);
	test_locks_killed(s);
	drop_store(s);
}

int main(void)
{
	test_open();
	test_open_race();
	test_records();
	test_space();
	test_space_end();
	test_space_many();
	test_ingest();
	test_ingest_zeros();
	test_ingest_rollback();
	test_ingest_twice();
	test_ingest_files();
	test_gc_dead_session();
	test_gc_unreferenced();
	test_gc_layer_again();
	test_gc_revived();
	test_gc_killed();
	test_gc_damage();
	test_gc_crowd();
	test_gc_open();
	test_locks();
	test_locks_turn();
	return 0;
}
