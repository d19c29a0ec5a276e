/* SPDX-License-Identifier: Apache-2.0 */
/* Records that are broken by hand: found, quarantined, and sound again after the next import. */
#include "fsck.h"
#include "import.h"
#include "quarantine.h"
#include "format/tar.h"
#include "store/gc.h"
#include "util/io.h"
#include "util/test.h"

#include <fcntl.h>
#include <ftw.h>

static char root[32];
static char source[64];

static int remove_one(
	const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_)
{
	return remove(path);
}

static void put_file(struct sink *out, const char *path, size_t size, unsigned int seed)
{
	struct tar_entry x = {.mode = S_IFREG | 0644, .path = path, .size = size};

	CHECK(tar_write_entry(out, &x, NULL) == 0);
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525 + 1013904223;
		CHECK(sink_write(out, &(uint8_t){(uint8_t)(seed >> 24)}, 1) == 0);
	}
	CHECK(tar_write_padding(out, &x) == 0);
}

static void write_source(void)
{
	struct test_sink out = test_sink_new();
	int dir;

	put_file(&out.s, "a", 5000, 1);
	put_file(&out.s, "b", 20000, 2);
	put_file(&out.s, "c", 9000, 3);
	CHECK(tar_write_end(&out.s) == 0);
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0 && io_write_file(dir, "x.tar", out.b.p, out.b.n) == 0);
	snprintf(source, sizeof(source), "tar:%s/x.tar", root);
	test_sink_done(&out);
	close(dir);
}

static void import(struct store *s)
{
	struct digest d;
	struct err e = {0};
	int r = image_import(s, source, "x", NULL, &d, &e);

	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r == 0);
}

static struct store *new_store(void)
{
	char path[64];
	struct store *s;

	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(root));
	write_source();
	snprintf(path, sizeof(path), "%s/store", root);
	CHECK(store_open(path, true, &s, NULL) == 0);
	import(s);
	return s;
}

static void drop_store(struct store *s)
{
	store_close(s);
	CHECK(nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0);
}

/* --- running it ---------------------------------------------------------------------------- */

struct result {
	struct fsck_stats stats;
	struct buf kinds; /* of the damage, each followed by a blank */
	struct buf paths; /* that it touches */
};

static void take(void *ctx, const struct fsck_problem *p)
{
	struct result *r = ctx;

	if (p->class == FSCK_HEALED || p->class == FSCK_LEFTOVER)
		return;
	CHECK(buf_addf(&r->kinds, "%s ", p->kind) == 0);
	for (size_t i = 0; i < p->n_paths; i++)
		CHECK(buf_addf(&r->paths, "%s%s ", p->paths[i].image,
			      p->paths[i].path ? p->paths[i].path : "") == 0);
}

static struct result run(struct store *s, bool data, bool repair)
{
	struct result r = {0};
	struct fsck_options o = {.data = data, .repair = repair, .problem = take, .ctx = &r};
	struct err e = {0};

	CHECK(buf_addf(&r.kinds, "%s", "") == 0 && buf_addf(&r.paths, "%s", "") == 0);
	if (store_fsck(s, &o, &r.stats, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	return r;
}

static void result_done(struct result *r)
{
	buf_done(&r->kinds);
	buf_done(&r->paths);
}

static bool sound(struct store *s)
{
	struct result r = run(s, true, false);
	bool is = r.stats.damaged == 0;

	if (!is)
		fprintf(stderr, "%s\n", (char *)r.kinds.p);
	result_done(&r);
	return is;
}

/* --- breaking records ---------------------------------------------------------------------- */

static MDB_txn *begin(struct store *s)
{
	MDB_txn *txn;

	CHECK(txn_begin(s, true, &txn, NULL) == 0);
	return txn;
}

/* The first record of a database, or of `size` bytes in a chunk's. */
static MDB_val first(struct store *s, MDB_txn *txn, MDB_dbi dbi, uint32_t size, MDB_val *ret_value)
{
	MDB_val key;
	MDB_cursor *c;
	int r;

	CHECK(mdb_cursor_open(txn, dbi, &c) == 0);
	for (r = mdb_cursor_get(c, &key, ret_value, MDB_FIRST); r == 0 && dbi == s->chunks;
		r = mdb_cursor_get(c, &key, ret_value, MDB_NEXT)) {
		struct chunk_record rec;

		CHECK(record_read_chunk(ret_value, &rec) == 0);
		if (rec.size == size)
			break;
	}
	CHECK(r == 0);
	mdb_cursor_close(c);
	return key;
}

enum how { DELETE, SHORTEN, CHANGE };

static void break_record(struct store *s, MDB_dbi dbi, uint32_t size, enum how how, size_t at)
{
	MDB_txn *txn = begin(s);
	uint8_t key_copy[512], copy[512];
	MDB_val value, key = first(s, txn, dbi, size, &value);

	memcpy(key_copy, key.mv_data, key.mv_size);
	memcpy(copy, value.mv_data, value.mv_size);
	key.mv_data = key_copy;
	value.mv_data = copy;
	copy[at] ^= 0x10;
	value.mv_size -= how == SHORTEN;
	if (how == DELETE)
		CHECK(mdb_del(txn, dbi, &key, NULL) == 0);
	else
		CHECK(mdb_put(txn, dbi, &key, &value, 0) == 0);
	CHECK(mdb_txn_commit(txn) == 0);
}

/* Gives the chunk of 20,000 bytes another place. */
static void move_chunk(struct store *s, uint32_t block)
{
	MDB_txn *txn = begin(s);
	MDB_val value, key = first(s, txn, s->chunks, 20000, &value);
	struct chunk_record c;
	struct digest d;

	CHECK(record_read_chunk(&value, &c) == 0);
	memcpy(d.b, key.mv_data, DIGEST_SIZE);
	c.block = block;
	CHECK(mdb_del(txn, s->chunks, &(MDB_val){DIGEST_SIZE, d.b}, NULL) == 0);
	CHECK(record_put_chunk(s, txn, &d, &c) == 0);
	CHECK(mdb_txn_commit(txn) == 0);
}

static void put_space(struct store *s, uint32_t block, uint32_t blocks, bool held)
{
	struct extent x = {0, block, blocks};
	MDB_txn *txn = begin(s);

	CHECK((held ? space_hold_this(s, txn, 7, &x) : space_put(s, txn, &x)) == 0);
	CHECK(mdb_txn_commit(txn) == 0);
}

static void chunk_deleted(struct store *s)
{
	break_record(s, s->chunks, 20000, DELETE, 0);
}
static void chunk_short(struct store *s)
{
	break_record(s, s->chunks, 20000, SHORTEN, 0);
}
static void chunk_size(struct store *s)
{
	break_record(s, s->chunks, 20000, CHANGE, 4);
}
static void chunk_no_size(struct store *s)
{
	break_record(s, s->chunks, 20000, CHANGE, 7); /* 2^28 bytes more */
}
static void chunk_no_pack(struct store *s)
{
	break_record(s, s->chunks, 20000, CHANGE, 9);
}
static void chunk_other_pack(struct store *s)
{
	break_record(s, s->chunks, 20000, CHANGE, 8);
}
static void chunk_over_another(struct store *s)
{
	move_chunk(s, 0);
}
static void chunk_over_free(struct store *s)
{
	move_chunk(s, 1000);
}
static void chunk_beyond(struct store *s)
{
	move_chunk(s, 1 << 20);
}
static void space_over_chunk(struct store *s)
{
	put_space(s, 1, 3, false);
}
static void held_over_chunk(struct store *s)
{
	put_space(s, 0, 100, true);
}
static void tail_low(struct store *s)
{
	put_space(s, PACK_BLOCKS_MAX, 2, false);
}
static void space_short(struct store *s)
{
	break_record(s, s->space, 0, SHORTEN, 0);
}
static void layer_deleted(struct store *s)
{
	break_record(s, s->layers, 0, DELETE, 0);
}
static void layer_short(struct store *s)
{
	break_record(s, s->layers, 0, SHORTEN, 0);
}
static void layer_changed(struct store *s)
{
	break_record(s, s->layers, 0, CHANGE, 5);
}
static void image_deleted(struct store *s)
{
	break_record(s, s->images, 0, DELETE, 0);
}
static void image_short(struct store *s)
{
	break_record(s, s->images, 0, SHORTEN, 0);
}
static void image_index_changed(struct store *s)
{
	break_record(s, s->images, 0, CHANGE, 0);
}
static void image_config_changed(struct store *s)
{
	break_record(s, s->images, 0, CHANGE, 32);
}
static void image_layer_changed(struct store *s)
{
	break_record(s, s->images, 0, CHANGE, 64);
}
static void name_short(struct store *s)
{
	break_record(s, s->names, 0, SHORTEN, 0);
}
static void name_changed(struct store *s)
{
	break_record(s, s->names, 0, CHANGE, 0);
}

static void name_bad(struct store *s)
{
	MDB_txn *txn = begin(s);
	struct digest d;

	CHECK(record_name(s, txn, "x:latest", &d) == 0);
	CHECK(record_put_name(s, txn, "Not/A name", &d) == 0);
	CHECK(mdb_txn_commit(txn) == 0);
}

#define ALL_OF_X "x:latest "
static const struct {
	const char *name;
	void (*break_it)(struct store *s);
	const char *kinds; /* of the damage */
	const char *paths; /* NULL: not looked at */
	bool by_itself;    /* heals without a source */
} broken[] = {
	{"chunk deleted", chunk_deleted, "chunk ", "x:latest/b ", false},
	{"chunk short", chunk_short, "chunk ", "x:latest/b ", false},
	{"chunk size", chunk_size, NULL, NULL, false},
	{"chunk no size", chunk_no_size, "chunk ", "x:latest/b ", false},
	{"chunk no pack", chunk_no_pack, "chunk ", "x:latest/b ", false},
	{"chunk other pack", chunk_other_pack, NULL, NULL, false},
	{"chunk over another", chunk_over_another, NULL, NULL, false},
	{"chunk over free space", chunk_over_free, NULL, NULL, false},
	{"chunk beyond", chunk_beyond, NULL, NULL, false},
	{"space over chunk", space_over_chunk, NULL, NULL, true},
	{"held over chunk", held_over_chunk, NULL, NULL, true},
	{"tail low", tail_low, NULL, NULL, true},
	{"space short", space_short, NULL, NULL, true},
	{"layer deleted", layer_deleted, "layer ", ALL_OF_X, false},
	{"layer short", layer_short, "record layer ", ALL_OF_X, false},
	{"layer changed", layer_changed, "layer ", ALL_OF_X, false},
	{"image deleted", image_deleted, "image ", NULL, false},
	{"image short", image_short, "record image ", NULL, false},
	{"image index changed", image_index_changed, NULL, ALL_OF_X, true},
	{"image config changed", image_config_changed, "image ", ALL_OF_X, false},
	{"image layer changed", image_layer_changed, "layer image ", ALL_OF_X, false},
	{"name short", name_short, "record ", NULL, true},
	{"name bad", name_bad, "name ", NULL, true},
	{"name changed", name_changed, "image ", NULL, false},
};

static void collect(struct store *s)
{
	struct gc_stats g;
	struct err e = {0};
	int r = store_gc(s, NULL, &g, &e);

	if (r < 0)
		fprintf(stderr, "gc: %s\n", e.text);
	CHECK(r == 0);
}

static void try_one(size_t i)
{
	struct store *s = new_store();
	struct result found, repaired, after;

	broken[i].break_it(s);
	found = run(s, true, false);
	CHECK(found.stats.damaged > 0);
	if (broken[i].kinds && strcmp((char *)found.kinds.p, broken[i].kinds) != 0)
		printf("%s: %s\n", broken[i].name, (char *)found.kinds.p);
	CHECK(!broken[i].kinds || strcmp((char *)found.kinds.p, broken[i].kinds) == 0);
	CHECK(!broken[i].paths || strstr((char *)found.paths.p, broken[i].paths));
	repaired = run(s, true, true);
	if (repaired.stats.left != 0 && broken[i].by_itself)
		printf("%s: left: %s\n", broken[i].name, (char *)repaired.kinds.p);
	CHECK(repaired.stats.left == 0 || !broken[i].by_itself);
	import(s);
	after = run(s, true, true);
	if (after.stats.left)
		printf("%s: after the import: %s\n", broken[i].name, (char *)after.kinds.p);
	CHECK(after.stats.left == 0);
	CHECK(sound(s));
	collect(s);
	import(s);
	CHECK(sound(s));
	result_done(&found);
	result_done(&repaired);
	result_done(&after);
	drop_store(s);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		try_one(i);
	return 0;
}
