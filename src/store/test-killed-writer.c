/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers that are killed inside of LMDB: whoever looks next sees all that is committed.
 *
 * pwrite and open below take the place of the C library's for LMDB, which writes its root by pwrite
 * and opens the data file when its lock file is half made. The store stays open in this process, so
 * that nobody makes the lock file anew.
 */
#include "gc.h"
#include "ingest.h"
#include "util/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char root[32];
static unsigned int roots_to_live; /* die behind the root of this number; 0: never */
static int open_gate = -1;         /* say so here and wait, in front of opening the data file */

#define for_lmdb(name) __asm__(name) __attribute__((visibility("default")))

ssize_t lmdb_pwrite(int fd, const void *p, size_t n, off_t off) for_lmdb("pwrite");
ssize_t lmdb_pwrite(int fd, const void *p, size_t n, off_t off)
{
	ssize_t r = syscall(SYS_pwrite64, fd, p, n, off);

	if (off < 8192 && n < 4096 && roots_to_live && !--roots_to_live)
		kill(getpid(), SIGKILL);
	return r;
}

int lmdb_open(const char *path, int flags, mode_t mode) for_lmdb("open");
int lmdb_open(const char *path, int flags, mode_t mode)
{
	if (open_gate >= 0 && strstr(path, "chunks.lmdb") && !strstr(path, "-lock")) {
		CHECK(write(open_gate, "", 1) == 1);
		pause();
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static struct store *open_store(void)
{
	struct err e = {0};
	struct store *s;

	if (store_open(root, true, &s, &e) < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(!e.code);
	return s;
}

static struct store *new_store(void)
{
	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(root));
	return open_store();
}

static int remove_one(
	const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_)
{
	return remove(path);
}

static void drop_store(struct store *s)
{
	store_close(s);
	CHECK(nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0);
}

/* Runs `work` in a process that is killed behind its `n`th root; false if it has less of them. */
static bool run_killed(void (*work)(struct store *s), unsigned int n)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		struct store *s = open_store();

		roots_to_live = n;
		work(s);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && (WIFSIGNALED(status) || status == 0));
	return WIFSIGNALED(status);
}

static void put(struct store *s, const char *name)
{
	const struct digest d = {{1}};
	MDB_txn *txn;

	CHECK(txn_begin(s, true, &txn, NULL) == 0);
	CHECK(record_put_name(s, txn, name, &d) == 0);
	CHECK(txn_commit(&txn, NULL) == 0);
}

static void put_name(struct store *s)
{
	put(s, "name:tag");
}

static bool has_name(struct store *s)
{
	struct digest d;
	MDB_txn *txn;
	int r;

	CHECK(txn_begin(s, false, &txn, NULL) == 0);
	r = record_name(s, txn, "name:tag", &d);
	CHECK(r >= 0);
	mdb_txn_abort(txn);
	return r == 0;
}

static void test_reader_sees_it(void)
{
	struct store *s = new_store();

	CHECK(run_killed(put_name, 1));
	CHECK(has_name(s));
	drop_store(s);
}

/* 1 = the ingest says that it is there. */
static int give_chunk(struct ingest *g, struct digest *ret)
{
	char content[5000] = "content";
	int r;

	digest_of(content, sizeof(content), ret);
	r = ingest_chunk(g, ret, content, sizeof(content), NULL);
	CHECK(r >= 0);
	return r;
}

/* An image with one chunk; the files hold nothing, gc would not get as far as reading them. */
static void import_image(struct store *s)
{
	struct digest d = {{7}}, chunk;
	const struct image_record rec = {.manifest = d, .diff_ids = &d, .n_diff_ids = 1};
	struct ingest *g;

	CHECK(ingest_begin(s, &g, NULL) == 0);
	CHECK(give_chunk(g, &chunk) == 0);
	CHECK(ingest_bytes(g, STORE_IMAGE, &d, "x", 1, NULL) == 0);
	CHECK(ingest_commit(g, &rec, NULL, NULL) == 0);
	ingest_free(g);
}

static void collect(struct store *s)
{
	struct gc_stats stats;

	CHECK(store_gc(s, NULL, &stats, NULL) == 0);
}

/* gc judges what the killed import has recorded, not what was before it. */
static void test_gc_sees_it(void)
{
	const struct gc_options dry = {.dry_run = true};
	struct store *s = new_store();
	struct gc_stats stats;

	CHECK(run_killed(import_image, 2)); /* the first root is that of the space it takes */
	CHECK(store_gc(s, &dry, &stats, NULL) == 0);
	CHECK(stats.images == 1 && stats.chunks == 1);
	drop_store(s);
}

/* What the next writer sees, who puts things right in LMDB. */
static bool has_chunk(struct store *s, const struct digest *d)
{
	struct chunk_record c;
	MDB_txn *txn;
	int r;

	CHECK(txn_begin(s, true, &txn, NULL) == 0);
	r = record_chunk(s, txn, d, &c);
	CHECK(r >= 0);
	mdb_txn_abort(txn);
	return r == 0;
}

/* An import does not count on what a killed gc has freed, at whatever root it was killed. */
static void test_ingest_sees_it(void)
{
	unsigned int n = 0, freed = 0;
	bool killed;

	do {
		struct store *s = new_store();
		struct ingest *g;
		struct digest d;
		int known;

		import_image(s);
		killed = run_killed(collect, ++n);
		CHECK(ingest_begin(s, &g, NULL) == 0);
		known = give_chunk(g, &d);
		CHECK(has_chunk(s, &d) == known);
		freed += killed && !known;
		ingest_free(g);
		drop_store(s);
	} while (killed);
	CHECK(freed > 0);
}

/* In a process of its own: opens the store, up to the gate if there is one. */
static pid_t start_opener(int gate)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		struct store *s;

		open_gate = gate;
		s = open_store();
		_exit(has_name(s) ? 0 : 1);
	}
	return pid;
}

/*
 * The first of all is killed while it makes the lock file, and a second waits for it. LMDB has two
 * roots: which one is wrong to take depends on how many were written.
 */
static void test_half_made_lock_file(bool odd)
{
	struct store *s = new_store();
	int gate[2], status;
	pid_t first, second;
	char c;

	if (odd)
		put(s, "other:tag");
	put_name(s);
	store_close(s);
	CHECK(pipe2(gate, O_CLOEXEC) == 0);
	first = start_opener(gate[1]);
	CHECK(read(gate[0], &c, 1) == 1);
	second = start_opener(-1);
	usleep(300000); /* it waits for the first one's lock by now; else it finds nothing odd */
	CHECK(kill(first, SIGKILL) == 0 && waitpid(first, &status, 0) == first);
	CHECK(waitpid(second, &status, 0) == second && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 0);
	close(gate[0]);
	close(gate[1]);
	drop_store(open_store());
}

int main(void)
{
	test_reader_sees_it();
	test_gc_sees_it();
	test_ingest_sees_it();
	test_half_made_lock_file(false);
	test_half_made_lock_file(true);
	return 0;
}
