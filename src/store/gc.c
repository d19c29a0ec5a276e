/* SPDX-License-Identifier: Apache-2.0 */
#include "gc.h"
#include "lock.h"
#include "pack.h"
#include "format/index.h"
#include "util/log.h"

#include <fcntl.h>
#include <sys/random.h>

/* A sorted set of digests. */
struct digest_set {
	struct digest *v;
	size_t n, room;
};

struct dead_chunk {
	struct digest digest;
	struct extent at;
};

struct gc {
	struct store *s;
	bool dry_run;
	uint64_t session;
	struct digest_set named;  /* images with a name */
	struct digest_set images; /* live */
	struct digest_set layers; /* live */
	struct digest_set dead_images, dead_layers;
	uint64_t *marks[PACKS_MAX]; /* a bit for each block that a live chunk begins at */
	uint32_t mark_blocks[PACKS_MAX];
	struct dead_chunk *dead;
	size_t n_dead, room_dead;
	struct gc_stats stats;
};

static int order_of_digests(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE);
}

static int set_add(struct digest_set *s, const void *digest)
{
	if (s->n == s->room) {
		size_t room = s->room * 2 + 64;
		struct digest *v = reallocarray(s->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		s->room = room;
	}
	memcpy(s->v[s->n++].b, digest, DIGEST_SIZE);
	return 0;
}

static void set_sort(struct digest_set *s)
{
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), order_of_digests);
}

static bool set_has(const struct digest_set *s, const void *digest)
{
	return s->n && bsearch(digest, s->v, s->n, sizeof(*s->v), order_of_digests);
}

static int note_name(void *ctx, const MDB_val *key _unused_, const MDB_val *value)
{
	struct gc *g = ctx;

	return value->mv_size == DIGEST_SIZE ? set_add(&g->named, value->mv_data) : -ERR_STORE;
}

/* Whether anybody has the image's local index open. In doubt: yes. */
static bool in_use(struct gc *g, const struct digest *image)
{
	char name[STORE_NAME_MAX];
	_cleanup_close_ int fd = openat(
		g->s->dirfd, store_file_name(STORE_LOCAL, image, name), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno != ENOENT;
	if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0)
		return false;
	if (errno != EAGAIN)
		log_debug("gc: cannot tell whether %s is in use: %s", name, err_text(-errno));
	return true;
}

static int judge_image(void *ctx, const MDB_val *key, const MDB_val *value)
{
	_cleanup_image_record_ struct image_record rec = {0};
	struct gc *g = ctx;
	int r = record_read_image(key, value, &rec);

	if (r < 0)
		return r;
	if (!set_has(&g->named, rec.manifest.b) && !in_use(g, &rec.manifest))
		return set_add(&g->dead_images, rec.manifest.b);
	r = set_add(&g->images, rec.manifest.b);
	for (size_t i = 0; r == 0 && i < rec.n_diff_ids; i++)
		r = set_add(&g->layers, rec.diff_ids[i].b);
	return r;
}

static int judge_layer(void *ctx, const MDB_val *key, const MDB_val *value _unused_)
{
	struct gc *g = ctx;

	if (key->mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	return set_has(&g->layers, key->mv_data) ? 0 : set_add(&g->dead_layers, key->mv_data);
}

static int mark_block(struct gc *g, const struct chunk_record *c)
{
	if (c->block >= g->mark_blocks[c->pack]) {
		uint32_t n = c->block < 1u << 20 ? 1u << 20 : c->block + c->block / 2;
		uint64_t *v = calloc(n / 64 + 1, sizeof(*v));

		if (!v)
			return -ENOMEM;
		if (g->marks[c->pack])
			memcpy(v, g->marks[c->pack],
				(g->mark_blocks[c->pack] / 64 + 1) * sizeof(*v));
		free(g->marks[c->pack]);
		g->marks[c->pack] = v;
		g->mark_blocks[c->pack] = n;
	}
	g->marks[c->pack][c->block / 64] |= 1ull << c->block % 64;
	return 0;
}

static bool is_marked(const struct gc *g, const struct chunk_record *c)
{
	return c->block < g->mark_blocks[c->pack] &&
	       g->marks[c->pack][c->block / 64] >> c->block % 64 & 1;
}

/* Marks the chunks of one index. */
static int mark_index(
	struct gc *g, MDB_txn *txn, enum store_file kind, const struct digest *name, struct err *e)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = -1;
	int r = store_file_open(g->s, kind, name, &fd, e);

	if (r == 0)
		r = index_open(fd, &x, e);
	if (r < 0)
		return r;
	for (uint64_t n = 0; n < index_info(x)->chunks; n++) {
		struct chunk_record rec;
		struct chunk c;

		index_chunk(x, n, &c);
		r = record_chunk(g->s, txn, &c.digest, &rec);
		if (r == 0)
			r = mark_block(g, &rec);
		if (r < 0)
			return err_sys(e, r, "cannot mark chunks");
	}
	return 0;
}

/* `set` is sorted; the same may be in it several times. */
static int mark_set(struct gc *g, MDB_txn *txn, enum store_file kind, const struct digest_set *set,
	struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++)
		if (!i || !digest_equal(&set->v[i], &set->v[i - 1]))
			r = mark_index(g, txn, kind, &set->v[i], e);
	return r;
}

static int judge_chunk(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct chunk_record c;
	struct gc *g = ctx;
	int r = record_read_chunk(value, &c);

	if (r < 0 || key->mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	if (is_marked(g, &c))
		return 0;
	if (g->n_dead == g->room_dead) {
		size_t room = g->room_dead * 2 + 1024;
		struct dead_chunk *v = reallocarray(g->dead, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		g->dead = v;
		g->room_dead = room;
	}
	memcpy(g->dead[g->n_dead].digest.b, key->mv_data, DIGEST_SIZE);
	g->dead[g->n_dead++].at = (struct extent){c.pack, c.block, chunk_blocks(c.size)};
	return 0;
}

static int judge_all(struct gc *g, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(g->s, false, &txn, e);

	if (r < 0)
		return r;
	r = record_for_each(g->s, txn, g->s->names, note_name, g);
	set_sort(&g->named);
	if (r == 0)
		r = record_for_each(g->s, txn, g->s->images, judge_image, g);
	set_sort(&g->images);
	set_sort(&g->layers);
	if (r == 0)
		r = record_for_each(g->s, txn, g->s->layers, judge_layer, g);
	if (r == 0)
		r = mark_set(g, txn, STORE_LAYER, &g->layers, e);
	if (r == 0) /* a layer may have been cut anew, at another chunk size */
		r = mark_set(g, txn, STORE_IMAGE, &g->images, e);
	if (r == 0)
		r = record_for_each(g->s, txn, g->s->chunks, judge_chunk, g);
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : 0;
}

static int delete_all(MDB_txn *txn, MDB_dbi dbi, const struct digest_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		MDB_val key = {DIGEST_SIZE, set->v[i].b};
		int r = mdb_del(txn, dbi, &key, NULL);

		if (r)
			return store_code(r);
	}
	return 0;
}

static int order_of_places(const void *pa, const void *pb)
{
	const struct extent *a = &((const struct dead_chunk *)pa)->at;
	const struct extent *b = &((const struct dead_chunk *)pb)->at;

	if (a->pack != b->pack)
		return a->pack < b->pack ? -1 : 1;
	return (a->block > b->block) - (a->block < b->block);
}

/* Holds the dead chunks' space until it is punched, neighbours as one. */
static int hold_dead(struct gc *g, MDB_txn *txn)
{
	struct extent run = {0};
	int r = 0;

	if (g->n_dead)
		qsort(g->dead, g->n_dead, sizeof(*g->dead), order_of_places);
	for (size_t i = 0; r == 0 && i < g->n_dead; i++) {
		const struct extent *x = &g->dead[i].at;

		if (run.blocks && x->pack == run.pack && x->block == run.block + run.blocks) {
			run.blocks += x->blocks;
			continue;
		}
		if (run.blocks)
			r = space_hold_this(g->s, txn, g->session, &run);
		run = *x;
	}
	return r == 0 && run.blocks ? space_hold_this(g->s, txn, g->session, &run) : r;
}

/* Out of the records, as one transaction. */
static int delete_records(struct gc *g, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	char name[STORE_NAME_MAX];
	int r;

	for (size_t i = 0; i < g->dead_images.n; i++)
		unlinkat(g->s->dirfd, store_file_name(STORE_LOCAL, &g->dead_images.v[i], name), 0);
	r = txn_begin(g->s, true, &txn, e);
	if (r < 0)
		return r;
	r = delete_all(txn, g->s->images, &g->dead_images);
	if (r == 0)
		r = delete_all(txn, g->s->layers, &g->dead_layers);
	for (size_t i = 0; r == 0 && i < g->n_dead; i++) {
		MDB_val key = {DIGEST_SIZE, g->dead[i].digest.b};

		r = store_code(mdb_del(txn, g->s->chunks, &key, NULL));
	}
	if (r == 0)
		r = hold_dead(g, txn);
	if (r < 0)
		return err_sys(e, r, "cannot write the records of the store");
	return txn_commit(&txn, e);
}

/* A file of layers/, images/ or local/ that belongs to nothing live. */
static bool is_leftover(const struct gc *g, const char *dir, const char *name)
{
	char hex[DIGEST_HEX_SIZE + 1] = {0};
	struct digest d;

	if (strcmp(dir, "tmp") == 0)
		return true;
	if (strcspn(name, ".") != DIGEST_HEX_SIZE)
		return false;
	memcpy(hex, name, DIGEST_HEX_SIZE);
	if (digest_parse_hex(hex, &d) < 0)
		return false;
	return !set_has(strcmp(dir, "layers") == 0 ? &g->layers : &g->images, d.b);
}

static int remove_leftovers(struct gc *g, const char *dir, struct err *e)
{
	int fd = openat(g->s->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;

	if (!d)
		return err_sys(e, -errno, "cannot read %s/%s", g->s->path, dir);
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.' || !is_leftover(g, dir, de->d_name))
			continue;
		g->stats.files++;
		if (!g->dry_run && unlinkat(fd, de->d_name, 0) < 0 && errno != ENOENT)
			return err_sys(
				e, -errno, "cannot remove %s/%s/%s", g->s->path, dir, de->d_name);
	}
	return 0;
}

#define FREE_BATCH 256

/* Takes up to a batch of what anybody holds out of the records, punches it and frees it. */
static int free_some(struct gc *g, MDB_txn *txn, size_t *ret_n, struct err *e)
{
	for (*ret_n = 0; *ret_n < FREE_BATCH; ++*ret_n) {
		uint64_t session = 0;
		struct extent x;
		int r = space_next_held(g->s, txn, &session, &x);

		if (r)
			return r < 0 ? r : 0;
		r = pack_punch(g->s, &x, e);
		if (r == 0)
			r = space_forget(g->s, txn, session, &x);
		if (r == 0)
			r = space_free(g->s, txn, &x);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What is held, by us and by sessions that died: none of them runs now (LOCK_GC). */
static int free_held(struct gc *g, struct err *e)
{
	size_t n;

	do {
		_cleanup_txn_ MDB_txn *txn = NULL;
		int r = txn_begin(g->s, true, &txn, e);

		if (r == 0)
			r = free_some(g, txn, &n, e);
		if (r < 0)
			return err_sys(e, r, "cannot free space in the packs");
		r = txn_commit(&txn, e);
		if (r < 0)
			return r;
	} while (n == FREE_BATCH);
	return 0;
}

static int free_all(struct gc *g, struct err *e)
{
	static const char *const dirs[] = {"layers", "images", "local", "tmp"};
	int r = 0;

	if (!g->dry_run)
		r = delete_records(g, e);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = remove_leftovers(g, dirs[i], e);
	return r < 0 || g->dry_run ? r : free_held(g, e);
}

/* What the packs take on the file system. */
static uint64_t packs_bytes(struct gc *g)
{
	uint64_t bytes = 0;

	for (uint16_t pack = 0; pack < PACKS_MAX; pack++) {
		char name[PACK_NAME_MAX];
		struct stat st;

		if (fstatat(g->s->dirfd, pack_name(pack, name), &st, 0) == 0)
			bytes += (uint64_t)st.st_blocks * 512;
	}
	return bytes;
}

static void gc_done(struct gc *g)
{
	free(g->named.v);
	free(g->images.v);
	free(g->layers.v);
	free(g->dead_images.v);
	free(g->dead_layers.v);
	for (size_t i = 0; i < PACKS_MAX; i++)
		free(g->marks[i]);
	free(g->dead);
}

int store_gc(struct store *s, bool dry_run, struct gc_stats *ret, struct err *e)
{
	_cleanup_(gc_done) struct gc g = {.s = s, .dry_run = dry_run};
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	uint64_t before, after;
	int r;

	if (getrandom(&g.session, sizeof(g.session), 0) != sizeof(g.session))
		return err_sys(e, -errno, "cannot begin to collect");
	g.session >>= 4;
	r = lock_take(s, LOCK_GC, 0, true, true, &lock, e);
	if (r == 0)
		r = judge_all(&g, e);
	if (r < 0)
		return r;
	g.stats.images = g.dead_images.n;
	g.stats.layers = g.dead_layers.n;
	g.stats.chunks = g.n_dead;
	for (size_t i = 0; dry_run && i < g.n_dead; i++)
		g.stats.bytes += (uint64_t)g.dead[i].at.blocks * PACK_BLOCK_SIZE;
	before = packs_bytes(&g);
	r = free_all(&g, e);
	if (r < 0)
		return r;
	*ret = g.stats;
	after = packs_bytes(&g);
	if (!dry_run)
		ret->bytes = before > after ? before - after : 0;
	return 0;
}
