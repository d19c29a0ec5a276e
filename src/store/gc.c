/* SPDX-License-Identifier: Apache-2.0 */
#include "gc.h"
#include "containers.h"
#include "live.h"
#include "lock.h"
#include "reclaim.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/io.h"
#include "util/log.h"

#include <fcntl.h>
#include <sys/stat.h>

#define BATCH_PAGES 4096  /* of records that one transaction changes: 16 MiB */
#define ROUND_MS    500   /* then others get their turn */
#define PATIENCE_MS 10000 /* imports may overtake us for so long */

struct gc {
	struct store *s;
	struct gc_options o;
	enum gc_phase phase;
	uint64_t session; /* the number that the next batch is held by */
	struct lock session_lock;
	struct live live;
	struct digest_set dead_images, dead_layers;
	uint64_t *dead; /* the first 8 bytes of dead chunks' digests, ascending */
	size_t n_dead, room_dead;
	size_t next;           /* the first that is not yet dealt with */
	size_t batch;          /* how many one transaction deletes */
	struct extent *places; /* of a batch, or in a dry run of all dead chunks */
	size_t n_places, room_places;
	bool damage; /* anything is noted as damaged */
	bool busy;   /* a dry run beside imports */
	struct gc_stats stats;
};

static void gc_done(struct gc *g)
{
	lock_release(&g->session_lock);
	live_done(&g->live);
	digest_set_done(&g->dead_images);
	digest_set_done(&g->dead_layers);
	free(g->dead);
	free(g->places);
}

static void report(void *ctx, uint64_t done, uint64_t total)
{
	struct gc *g = ctx;

	if (g->o.progress)
		g->o.progress(g->o.progress_ctx, g->phase, done, total);
}

static int bad_records(struct err *e, int r)
{
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : 0;
}

/* ---- mark --------------------------------------------------------------------------------- */

static int add_place(struct gc *g, const struct chunk_record *c)
{
	if (array_room(&g->places, g->n_places, &g->room_places, sizeof(*g->places)) < 0)
		return -ENOMEM;
	g->places[g->n_places++] = (struct extent){c->pack, c->block, chunk_blocks(c->size)};
	return 0;
}

static int add_dead(struct gc *g, const void *digest)
{
	if (array_room(&g->dead, g->n_dead, &g->room_dead, sizeof(*g->dead)) < 0)
		return -ENOMEM;
	memcpy(&g->dead[g->n_dead++], digest, sizeof(*g->dead));
	return 0;
}

struct scan {
	struct gc *g;
	uint64_t done, total;
};

static int judge_chunk(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct scan *q = ctx;
	struct chunk_record c;
	struct digest d;
	int r = record_read_chunk(value, &c);

	if (r < 0 || key->mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	if (++q->done % (1 << 16) == 0)
		report(q->g, q->done, q->total);
	memcpy(d.b, key->mv_data, DIGEST_SIZE);
	if (live_has_chunk(&q->g->live, &d))
		return 0;
	return q->g->o.dry_run ? add_place(q->g, &c) : add_dead(q->g, key->mv_data);
}

static int find_dead_chunks(struct gc *g, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct scan q = {.g = g};
	MDB_stat st;
	int r = txn_begin(g->s, false, &txn, e);

	if (r == 0)
		r = store_code(mdb_stat(txn, g->s->chunks, &st));
	if (r < 0)
		return bad_records(e, r);
	q.total = st.ms_entries;
	g->phase = GC_SCAN;
	r = record_for_each(g->s, txn, g->s->chunks, judge_chunk, &q);
	report(g, q.total, q.total);
	g->batch = g->o.batch ? g->o.batch : BATCH_PAGES;
	if (!g->o.batch && st.ms_leaf_pages && g->n_dead > st.ms_leaf_pages)
		g->batch = g->n_dead / st.ms_leaf_pages * BATCH_PAGES; /* several on a page */
	return bad_records(e, r);
}

/* Sharing LOCK_GC: nothing that is recorded goes away meanwhile. */
static int mark(struct gc *g, struct err *e)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	int r = lock_take(g->s, LOCK_GC, 0, false, true, &lock, e);

	if (r == 0)
		r = live_init(&g->live, g->s, e);
	g->live.progress = report;
	g->live.progress_ctx = g;
	if (r == 0)
		r = live_update(&g->live, e);
	return r < 0 ? r : find_dead_chunks(g, e);
}

/* ---- delete: images and layers ------------------------------------------------------------ */

static int judge_image(void *ctx, const MDB_val *key, const MDB_val *value _unused_)
{
	struct gc *g = ctx;

	if (key->mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	return digest_set_has(&g->live.images, key->mv_data)
		       ? 0
		       : digest_set_add(&g->dead_images, key->mv_data);
}

static int judge_layer(void *ctx, const MDB_val *key, const MDB_val *value _unused_)
{
	struct gc *g = ctx;

	if (key->mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	return digest_set_has(&g->live.layers, key->mv_data)
		       ? 0
		       : digest_set_add(&g->dead_layers, key->mv_data);
}

static int find_dead_images(struct gc *g, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	size_t damaged = 0;
	int r = txn_begin(g->s, false, &txn, e);

	if (r == 0)
		r = record_for_each(g->s, txn, g->s->images, judge_image, g);
	if (r == 0)
		r = record_for_each(g->s, txn, g->s->layers, judge_layer, g);
	if (r == 0)
		r = record_count_damaged(g->s, txn, &damaged);
	digest_set_sort(&g->dead_images);
	digest_set_sort(&g->dead_layers);
	g->damage = damaged > 0;
	g->stats.images = g->dead_images.n;
	g->stats.layers = g->dead_layers.n;
	return bad_records(e, r);
}

static int remove_file(struct gc *g, int dirfd, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		(!g->o.dry_run && unlinkat(dirfd, name, 0) < 0))
		return errno == ENOENT
			       ? 0
			       : err_sys(e, -errno, "cannot remove %s of %s", name, g->s->path);
	g->stats.files++;
	g->stats.bytes += st.st_nlink == 1 ? (uint64_t)st.st_blocks * 512 : 0;
	return 0;
}

/*
 * A local index that outlived its image's record would be taken for that of the same image when it
 * is imported again: so they go first, and durably.
 */
static int remove_local_indexes(struct gc *g, struct err *e)
{
	char name[STORE_NAME_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->dead_images.n; i++)
		r = remove_file(g, g->s->dirfd,
			store_file_name(STORE_LOCAL, &g->dead_images.v[i], name), e);
	if (r == 0 && g->dead_images.n) {
		r = io_fsync_dir(g->s->dirfd, "local");
		if (r < 0)
			r = err_sys(e, r, "cannot write %s/local", g->s->path);
	}
	return r;
}

static int forget_damage(struct gc *g, MDB_txn *txn, enum damaged_kind kind, const struct digest *d)
{
	int r = g->damage ? record_delete_damaged(g->s, txn, kind, d) : 0;

	return r < 0 ? r : 0;
}

static int delete_set(struct gc *g, MDB_txn *txn, MDB_dbi dbi, const struct digest_set *set,
	enum damaged_kind kind)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->n; i++) {
		MDB_val key = {DIGEST_SIZE, set->v[i].b};

		r = store_code(mdb_del(txn, dbi, &key, NULL));
		if (r == 0)
			r = forget_damage(g, txn, kind, &set->v[i]);
	}
	return r;
}

static int delete_images(struct gc *g, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(g->s, true, &txn, e);

	if (r == 0)
		r = delete_set(g, txn, g->s->images, &g->dead_images, DAMAGED_IMAGE);
	if (r == 0)
		r = delete_set(g, txn, g->s->layers, &g->dead_layers, DAMAGED_LAYER);
	if (r < 0)
		return err_sys(e, r, "cannot write the records of the store");
	return txn_commit(&txn, e);
}

/* ---- delete: files ------------------------------------------------------------------------ */

/*
 * A file that belongs to nothing live. Nobody else makes files now, for we have LOCK_GC alone; but
 * a dry run counts what is surely dead, if imports are running.
 */
static bool is_leftover(const struct gc *g, const char *dir, const char *name)
{
	bool layer = strcmp(dir, "layers") == 0;
	char hex[DIGEST_HEX_SIZE + 1] = {0};
	struct digest d;

	if (strcmp(dir, "tmp") == 0)
		return !g->busy;
	if (strcspn(name, ".") != DIGEST_HEX_SIZE)
		return false;
	memcpy(hex, name, DIGEST_HEX_SIZE);
	if (digest_parse_hex(hex, &d) < 0)
		return false;
	if (g->busy)
		return digest_set_has(layer ? &g->dead_layers : &g->dead_images, d.b);
	return !digest_set_has(layer ? &g->live.layers : &g->live.images, d.b);
}

static int remove_leftovers_in(struct gc *g, const char *dir, struct err *e)
{
	int fd = openat(g->s->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	int r = 0;

	if (!d)
		return err_sys(e, -errno, "cannot read %s/%s", g->s->path, dir);
	while (r == 0 && (de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 &&
			is_leftover(g, dir, de->d_name))
			r = remove_file(g, fd, de->d_name, e);
	return r;
}

static int remove_leftovers(struct gc *g, struct err *e)
{
	static const char *const dirs[] = {"layers", "images", "local", "tmp"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = remove_leftovers_in(g, dirs[i], e);
	return r;
}

/* Directories of containers that nobody makes or removes, and that have no record. */
static int remove_container(
	struct store *s, const char *name, uint64_t bytes, void *ctx, struct err *e)
{
	struct gc *g = ctx;
	int r = g->o.dry_run ? 0 : container_remove_files(s, name, e);

	g->stats.files += r == 0;
	g->stats.bytes += r == 0 ? bytes : 0;
	return r;
}

/* ---- delete: chunks ----------------------------------------------------------------------- */

/* Deletes the record whose digest begins so, if it is there still, and dead still. */
static int delete_chunk(struct gc *g, MDB_txn *txn, MDB_cursor *c, uint64_t prefix)
{
	struct digest d = {0};
	MDB_val key = {DIGEST_SIZE, d.b}, value;
	struct chunk_record rec;
	int r;

	memcpy(d.b, &prefix, sizeof(prefix));
	r = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
	if (r == MDB_NOTFOUND)
		return 0;
	if (r || key.mv_size != DIGEST_SIZE || record_read_chunk(&value, &rec) < 0)
		return r ? store_code(r) : -ERR_STORE;
	memcpy(d.b, key.mv_data, DIGEST_SIZE);
	if (memcmp(d.b, &prefix, sizeof(prefix)) != 0 || live_has_chunk(&g->live, &d))
		return 0;
	r = store_code(mdb_cursor_del(c, 0));
	if (r == 0)
		r = forget_damage(g, txn, DAMAGED_CHUNK, &d);
	if (r == 0 && rec.size)
		r = add_place(g, &rec);
	g->stats.chunks++;
	return r;
}

static int order_of_places(const void *a, const void *b)
{
	return extent_order(a, b);
}

/* Sorts them, and joins neighbours. */
static void join_places(struct gc *g)
{
	size_t n = 0;

	if (g->n_places)
		qsort(g->places, g->n_places, sizeof(*g->places), order_of_places);
	for (size_t i = 0; i < g->n_places; i++)
		if (!n || !extent_join(&g->places[n - 1], &g->places[i]))
			g->places[n++] = g->places[i];
	g->n_places = n;
}

/*
 * The next batch, whose space becomes held by us. Each batch has a session number of its own: what
 * it holds then lies together in the records, instead of among what those before it hold.
 */
static int delete_batch(struct gc *g, MDB_txn *txn)
{
	size_t end = g->n_dead - g->next < g->batch ? g->n_dead : g->next + g->batch;
	MDB_cursor *c;
	int r = store_code(mdb_cursor_open(txn, g->s->chunks, &c));

	if (r < 0)
		return r;
	g->n_places = 0;
	for (; r == 0 && g->next < end; g->next++)
		r = delete_chunk(g, txn, c, g->dead[g->next]);
	mdb_cursor_close(c);
	join_places(g);
	for (size_t i = 0; r == 0 && i < g->n_places; i++)
		r = space_hold_this(g->s, txn, g->session, &g->places[i]);
	if ((g->session + 1) % LOCK_SESSION_NUMBERS)
		g->session++;
	return r;
}

static int delete_chunks(struct gc *g, struct err *e)
{
	uint64_t deadline = clock_ms() + ROUND_MS;

	g->phase = GC_DELETE;
	while (g->next < g->n_dead && clock_ms() < deadline) {
		_cleanup_txn_ MDB_txn *txn = NULL;
		int r = txn_begin(g->s, true, &txn, e);

		if (r == 0)
			r = delete_batch(g, txn);
		if (r < 0)
			return err_sys(e, r, "cannot write the records of the store");
		r = txn_commit(&txn, e);
		if (r < 0)
			return r;
		report(g, g->next, g->n_dead);
	}
	return 0;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Waits for running imports; first those that begin meanwhile go before us, then we before them. */
static int take_gc_alone(struct gc *g, struct lock *ret, struct err *e)
{
	_cleanup_lock_ struct lock turn = LOCK_NONE;
	uint64_t deadline = clock_ms() + PATIENCE_MS;
	int r = lock_take(g->s, LOCK_GC, 0, true, false, ret, e);

	if (r == 1)
		log_debug("gc: waiting for running imports");
	while (r == 1 && clock_ms() < deadline) {
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
		r = lock_take(g->s, LOCK_GC, 0, true, false, ret, e);
	}
	if (r != 1)
		return r;
	r = lock_take(g->s, LOCK_TURN, 0, true, true, &turn, e);
	return r < 0 ? r : lock_take(g->s, LOCK_GC, 0, true, true, ret, e);
}

static int delete_round(struct gc *g, bool first, struct err *e)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	int r = take_gc_alone(g, &lock, e);

	g->live.progress = NULL;
	if (r == 0)
		r = live_update(&g->live, e);
	if (r == 0 && first)
		r = find_dead_images(g, e);
	if (r == 0 && first)
		r = remove_local_indexes(g, e);
	if (r == 0 && first)
		r = delete_images(g, e);
	if (r == 0 && first)
		r = remove_leftovers(g, e);
	return r < 0 ? r : delete_chunks(g, e);
}

static int free_space(struct gc *g, struct err *e)
{
	struct reclaim q = {
		.session = g->o.dry_run ? 0 : g->session,
		.dead = true,
		.dry_run = g->o.dry_run,
		.progress = report,
		.progress_ctx = g,
	};
	uint64_t bytes = 0;
	int r;

	g->phase = GC_FREE;
	live_done(&g->live);
	r = reclaim_held(g->s, &q, &bytes, e);
	g->stats.pack_bytes += bytes;
	g->stats.bytes += g->stats.pack_bytes;
	return r;
}

static int collect(struct gc *g, struct err *e)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	int r = lock_take(g->s, LOCK_COLLECT, 0, true, false, &lock, e);

	if (r == 1) {
		log_debug("gc: waiting for another gc");
		r = lock_take(g->s, LOCK_COLLECT, 0, true, true, &lock, e);
	}
	if (r == 0)
		r = mark(g, e);
	if (r == 0)
		r = lock_session(g->s, &g->session, &g->session_lock, e);
	if (r == 0)
		r = delete_round(g, true, e);
	while (r == 0 && g->next < g->n_dead)
		r = delete_round(g, false, e);
	if (r == 0)
		r = containers_leftovers(g->s, remove_container, g, e);
	return r < 0 ? r : free_space(g, e);
}

static int count_places(struct gc *g, struct err *e)
{
	int r = 0;

	g->stats.chunks = g->n_places;
	join_places(g);
	for (size_t i = 0; r == 0 && i < g->n_places; i++) {
		uint64_t bytes = 0;

		r = pack_data_bytes(g->s, &g->places[i], &bytes, e);
		g->stats.pack_bytes += bytes;
	}
	return r;
}

static int dry_run(struct gc *g, struct err *e)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE; /* keeps what a gc would remove */
	int r = lock_test(g->s, LOCK_GC, 0, e);

	g->busy = r == 1;
	if (r >= 0)
		r = lock_take(g->s, LOCK_GC, 0, false, true, &lock, e);
	if (r == 0)
		r = mark(g, e);
	if (r == 0)
		r = find_dead_images(g, e);
	if (r == 0)
		r = remove_leftovers(g, e);
	if (r == 0)
		r = count_places(g, e);
	if (r == 0)
		r = containers_leftovers(g->s, remove_container, g, e);
	return r < 0 ? r : free_space(g, e);
}

int store_gc(struct store *s, const struct gc_options *o, struct gc_stats *ret, struct err *e)
{
	_cleanup_(gc_done) struct gc g = {.s = s, .session_lock = LOCK_NONE};
	int r;

	if (o)
		g.o = *o;
	r = g.o.dry_run ? dry_run(&g, e) : collect(&g, e);
	if (r == 0)
		*ret = g.stats;
	return r;
}
