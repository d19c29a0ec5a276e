/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest.h"
#include "reclaim.h"
#include "util/bytes.h"
#include "util/io.h"
#include "util/log.h"

#include <fcntl.h>

#define HOLD_BLOCKS  ((uint32_t)(64 << 20) / PACK_BLOCK_SIZE) /* taken at a time */
#define WRITE_BUFFER ((size_t)1 << 20)
#define SYNC_STEP    ((uint64_t)8 << 20) /* written back in the background at this step */

struct pending_chunk {
	struct digest digest;
	struct chunk_record at;
	bool healed; /* it was damaged, and is written in its place */
};

struct held {
	struct extent x;
	uint32_t used; /* blocks of it that chunks have taken, from its beginning */
};

struct pending_file {
	enum store_file kind;
	struct digest digest; /* its name */
	char temp[STORE_NAME_MAX];
};

struct pending_layer {
	struct digest diff_id, index;
};

struct ingest {
	struct store *s;
	struct lock gc, session_lock;
	uint64_t session;
	MDB_txn *read; /* reset between look-ups */
	struct pending_chunk *chunks;
	size_t n_chunks, room_chunks;
	uint32_t *table; /* digest -> number in chunks + 1 */
	size_t table_size;
	struct held *held;
	size_t n_held;
	uint8_t *buffer; /* data for blocks [flushed, used) of the last held extent */
	uint32_t flushed;
	uint64_t unsynced; /* bytes written since the last sync_file_range */
	struct pending_file *files;
	size_t n_files;
	struct pending_layer *layers;
	size_t n_layers;
	unsigned int n_temps;
	bool committed;
	struct ingest_stats stats;
};

int ingest_begin(struct store *s, struct ingest **ret, struct err *e)
{
	_cleanup_(ingest_freep) struct ingest *g = calloc(1, sizeof(*g));
	_cleanup_lock_ struct lock turn = LOCK_NONE;
	int r;

	if (!g)
		return err_sys(e, -ENOMEM, "cannot begin to write");
	g->s = s;
	g->gc = g->session_lock = LOCK_NONE;
	g->buffer = malloc(WRITE_BUFFER);
	if (!g->buffer)
		return err_sys(e, -ENOMEM, "cannot begin to write");
	r = lock_take(s, LOCK_TURN, 0, false, true, &turn, e);
	if (r == 0)
		r = lock_take(s, LOCK_GC, 0, false, true, &g->gc, e);
	if (r == 0)
		r = lock_session(s, &g->session, &g->session_lock, e);
	if (r == 0)
		r = txn_begin(s, false, &g->read, e);
	if (r < 0)
		return r;
	mdb_txn_reset(g->read);
	*ret = TAKE_PTR(g);
	return 0;
}

static size_t pending_slot(const struct ingest *g, const struct digest *d)
{
	size_t mask = g->table_size - 1, i;
	uint64_t h;

	memcpy(&h, d->b, sizeof(h));
	for (i = h & mask; g->table[i]; i = (i + 1) & mask)
		if (digest_equal(&g->chunks[g->table[i] - 1].digest, d))
			break;
	return i;
}

static int grow_pending(struct ingest *g)
{
	size_t room = g->room_chunks ? g->room_chunks * 2 : 4096;
	struct pending_chunk *chunks = reallocarray(g->chunks, room, sizeof(*chunks));
	uint32_t *table;

	if (!chunks)
		return -ENOMEM;
	g->chunks = chunks;
	table = calloc(room * 2, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(g->table);
	g->table = table;
	g->table_size = room * 2;
	g->room_chunks = room;
	for (size_t i = 0; i < g->n_chunks; i++)
		g->table[pending_slot(g, &g->chunks[i].digest)] = (uint32_t)i + 1;
	return 0;
}

/* Writes what is buffered, but for blocks of zeros: held space reads as zeros already. */
static int write_buffered(const struct ingest *g, const struct held *h, int fd)
{
	uint32_t n = h->used - g->flushed, k;

	for (uint32_t i = 0; i < n; i += k + 1) {
		const uint8_t *p = g->buffer + (size_t)i * PACK_BLOCK_SIZE;
		uint64_t off = (uint64_t)(h->x.block + g->flushed + i) * PACK_BLOCK_SIZE;
		int r = 0;

		for (k = 0; i + k < n; k++)
			if (bytes_all_zero(p + (size_t)k * PACK_BLOCK_SIZE, PACK_BLOCK_SIZE))
				break;
		if (k)
			r = io_pwrite_full(fd, p, (size_t)k * PACK_BLOCK_SIZE, off);
		if (r < 0)
			return r;
	}
	return 0;
}

static int flush(struct ingest *g, struct err *e)
{
	const struct held *h = &g->held[g->n_held - 1];
	int fd, r = pack_open(g->s, h->x.pack, &fd, e);

	if (r < 0)
		return r;
	r = write_buffered(g, h, fd);
	if (r < 0)
		return err_sys(e, r, "cannot write packs/%u.pack", h->x.pack);
	g->unsynced += (uint64_t)(h->used - g->flushed) * PACK_BLOCK_SIZE;
	g->flushed = h->used;
	if (g->unsynced >= SYNC_STEP) { /* only begins the writing: errors show at fdatasync */
		uint64_t end = (uint64_t)(h->x.block + h->used) * PACK_BLOCK_SIZE;

		sync_file_range(
			fd, (off_t)(end - g->unsynced), (off_t)g->unsynced, SYNC_FILE_RANGE_WRITE);
		g->unsynced = 0;
	}
	return 0;
}

static int hold_more(struct ingest *g, uint32_t least, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct held *held;
	struct extent x;
	int r = g->n_held ? flush(g, e) : 0;

	if (r == 0)
		r = records_reserve(g->s, 0, e);
	if (r == 0)
		r = txn_begin(g->s, true, &txn, e);
	if (r < 0)
		return r;
	held = reallocarray(g->held, g->n_held + 1, sizeof(*held));
	if (!held)
		return err_sys(e, -ENOMEM, "cannot write");
	g->held = held;
	r = space_hold(g->s, txn, g->session, HOLD_BLOCKS > least ? HOLD_BLOCKS : least, least, &x);
	if (r < 0)
		return err_sys(e, r, "cannot find space in the packs");
	r = pack_extend(g->s, &x, e);
	if (r == 0)
		r = txn_commit(&txn, e);
	if (r < 0)
		return r;
	g->held[g->n_held++] = (struct held){.x = x};
	g->flushed = 0;
	g->unsynced = 0;
	return 0;
}

/* Appends a chunk to the held extent, which has room for it. */
static int append(struct ingest *g, const uint8_t *p, uint32_t size, struct err *e)
{
	struct held *h = &g->held[g->n_held - 1];

	while (size) {
		size_t at = (size_t)(h->used - g->flushed) * PACK_BLOCK_SIZE;
		size_t n = WRITE_BUFFER - at < size ? WRITE_BUFFER - at : size;
		size_t pad = -n & (PACK_BLOCK_SIZE - 1);

		memcpy(g->buffer + at, p, n);
		memset(g->buffer + at + n, 0, pad);
		h->used += (uint32_t)((n + pad) / PACK_BLOCK_SIZE);
		if (at + n + pad == WRITE_BUFFER) {
			int r = flush(g, e);

			if (r < 0)
				return r;
		}
		p += n;
		size -= (uint32_t)n;
	}
	return 0;
}

/* 0 = the store has the chunk; 1 = it has not; 2 = it has it at *ret, damaged. */
static int in_store(
	struct ingest *g, const struct digest *d, struct chunk_record *ret, struct err *e)
{
	size_t damaged = 0;
	int r = mdb_txn_renew(g->read);

	if (r)
		return err_sys(e, store_code(r), "cannot read the records of the store");
	r = record_chunk(g->s, g->read, d, ret);
	if (r == 0)
		r = record_count_damaged(g->s, g->read, &damaged);
	if (r == 0 && damaged) {
		r = record_damaged(g->s, g->read, DAMAGED_CHUNK, d);
		r = r < 0 ? r : r ? 0 : 2;
	}
	mdb_txn_reset(g->read);
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : r;
}

/* The right bytes in the place of a damaged chunk. Until commit it stays known as damaged. */
static int write_in_place(
	struct ingest *g, const struct chunk_record *c, const void *p, uint32_t size, struct err *e)
{
	static const uint8_t zeros[PACK_BLOCK_SIZE];
	const uint64_t off = (uint64_t)c->block * PACK_BLOCK_SIZE;
	int fd, r;

	if (c->size != size)
		return err_set(e, -ERR_STORE,
			"the store is damaged: the record of a chunk has another size than the "
			"chunk");
	r = pack_open(g->s, c->pack, &fd, e);
	if (r < 0)
		return r;
	r = io_pwrite_full(fd, p, size, off);
	if (r == 0)
		r = io_pwrite_full(fd, zeros, -size & (PACK_BLOCK_SIZE - 1), off + size);
	return r < 0 ? err_sys(e, r, "cannot write packs/%u.pack", c->pack) : 0;
}

static void note_pending(struct ingest *g, size_t slot, const struct pending_chunk *c)
{
	g->chunks[g->n_chunks] = *c;
	g->table[slot] = (uint32_t)++g->n_chunks;
	g->stats.new_chunks += !c->healed;
	g->stats.new_bytes += c->healed ? 0 : c->at.size;
	g->stats.healed_chunks += c->healed;
}

static int heal(struct ingest *g, size_t slot, const struct digest *d,
	const struct chunk_record *at, const void *p, uint32_t size, struct err *e)
{
	int r = write_in_place(g, at, p, size, e);

	if (r == 0)
		note_pending(g, slot, &(struct pending_chunk){*d, *at, true});
	return r;
}

int ingest_chunk(
	struct ingest *g, const struct digest *d, const void *p, uint32_t size, struct err *e)
{
	uint32_t blocks = chunk_blocks(size);
	struct chunk_record at;
	struct held *h;
	size_t slot;
	int r;

	g->stats.chunks++;
	if (g->n_chunks == g->room_chunks && grow_pending(g) < 0)
		return err_sys(e, -ENOMEM, "cannot write");
	slot = pending_slot(g, d);
	if (g->table[slot])
		return 1;
	r = in_store(g, d, &at, e);
	if (r <= 0)
		return r < 0 ? r : 1;
	if (r == 2)
		return heal(g, slot, d, &at, p, size, e);
	h = g->n_held ? &g->held[g->n_held - 1] : NULL;
	if (!h || h->x.blocks - h->used < blocks) {
		r = hold_more(g, blocks, e);
		if (r < 0)
			return r;
		h = &g->held[g->n_held - 1];
	}
	at = (struct chunk_record){.pack = h->x.pack, .block = h->x.block + h->used, .size = size};
	note_pending(g, slot, &(struct pending_chunk){*d, at, false});
	return append(g, p, size, e);
}

const struct ingest_stats *ingest_stats(const struct ingest *g)
{
	return &g->stats;
}

static char *temp_name(const struct ingest *g, unsigned int n, char name[STORE_NAME_MAX])
{
	snprintf(name, STORE_NAME_MAX, "tmp/%016llx-%u", (unsigned long long)g->session, n);
	return name;
}

int ingest_temp(struct ingest *g, int *ret_fd, unsigned int *ret_temp, struct err *e)
{
	char name[STORE_NAME_MAX];
	int fd = openat(g->s->dirfd, temp_name(g, g->n_temps, name),
		O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, -errno, "cannot make %s/%s", g->s->path, name);
	*ret_temp = g->n_temps++;
	*ret_fd = fd;
	return 0;
}

int ingest_file(struct ingest *g, enum store_file kind, const struct digest *name,
	unsigned int temp, struct err *e)
{
	struct pending_file *files = reallocarray(g->files, g->n_files + 1, sizeof(*files));

	if (!files)
		return err_sys(e, -ENOMEM, "cannot write");
	g->files = files;
	files[g->n_files].kind = kind;
	files[g->n_files].digest = *name;
	temp_name(g, temp, files[g->n_files].temp);
	g->n_files++;
	return 0;
}

int ingest_bytes(struct ingest *g, enum store_file kind, const struct digest *name, const void *p,
	size_t n, struct err *e)
{
	_cleanup_close_ int fd = -1;
	unsigned int temp = 0;
	int r = ingest_temp(g, &fd, &temp, e);

	if (r < 0)
		return r;
	r = io_write_full(fd, p, n);
	if (r < 0)
		return err_sys(e, r, "cannot write into %s/tmp", g->s->path);
	return ingest_file(g, kind, name, temp, e);
}

int ingest_layer(struct ingest *g, const struct digest *diff_id, const struct digest *index)
{
	struct pending_layer *layers = reallocarray(g->layers, g->n_layers + 1, sizeof(*layers));

	if (!layers)
		return -ENOMEM;
	g->layers = layers;
	layers[g->n_layers++] = (struct pending_layer){*diff_id, *index};
	return 0;
}

/* Durable first (S2): the packs, then the files under their names. */
static int sync_packs(struct ingest *g, struct err *e)
{
	bool touched[PACKS_MAX] = {false};

	for (size_t i = 0; i < g->n_held; i++)
		touched[g->held[i].x.pack] = true;
	for (size_t i = 0; i < g->n_chunks; i++)
		touched[g->chunks[i].at.pack] = true;
	for (uint16_t pack = 0; pack < PACKS_MAX; pack++) {
		int r = touched[pack] ? pack_sync(g->s, pack, e) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int sync_files(struct ingest *g, struct err *e)
{
	for (size_t i = 0; i < g->n_files; i++) {
		const char *temp = g->files[i].temp;
		_cleanup_close_ int fd = openat(g->s->dirfd, temp, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || fsync(fd) < 0)
			return err_sys(e, -errno, "cannot write %s/%s", g->s->path, temp);
	}
	return 0;
}

/* 1 = there is no record of the image. */
static int image_recorded(struct ingest *g, MDB_txn *txn, const struct digest *manifest)
{
	_cleanup_image_record_ struct image_record rec = {0};

	return record_image(g->s, txn, manifest, &rec);
}

/*
 * A file that a record names already, which another ingest has made meanwhile, stays (S4), unless
 * it is known to be damaged.
 */
static int place_file(struct ingest *g, MDB_txn *txn, const struct pending_file *f)
{
	const bool layer = f->kind == STORE_LAYER || f->kind == STORE_SPLIT;
	char name[STORE_NAME_MAX];
	struct digest index;
	int damaged, r = layer ? record_layer(g->s, txn, &f->digest, &index)
			       : image_recorded(g, txn, &f->digest);

	damaged = record_damaged(g->s, txn, layer ? DAMAGED_LAYER : DAMAGED_IMAGE, &f->digest);
	if (r < 0 || damaged < 0)
		return r < 0 ? r : damaged;
	if (r == 0 && damaged)
		return unlinkat(g->s->dirfd, f->temp, 0) < 0 ? -errno : 0;
	store_file_name(f->kind, &f->digest, name);
	return renameat(g->s->dirfd, f->temp, g->s->dirfd, name) < 0 ? -errno : 0;
}

/* Within the transaction that will record them, so that nobody else does between. */
static int place_files(struct ingest *g, MDB_txn *txn, struct err *e)
{
	static const char *const dirs[] = {"packs", "layers", "images"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->n_files; i++)
		r = place_file(g, txn, &g->files[i]);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = io_fsync_dir(g->s->dirfd, dirs[i]);
	return r < 0 ? err_sys(e, r, "cannot write into %s", g->s->path) : 0;
}

/*
 * Records one chunk. 1 = another ingest has recorded it meanwhile, and it stays that one's; ours is
 * lost, and held until it is reclaimed.
 */
static int record_one(struct ingest *g, MDB_txn *txn, const struct pending_chunk *c)
{
	int r = c->healed ? 0 : record_put_chunk(g->s, txn, &c->digest, &c->at);
	struct extent x = {c->at.pack, c->at.block, chunk_blocks(c->at.size)};

	if (r == 1) {
		r = space_hold_this(g->s, txn, g->session, &x);
		return r < 0 ? r : 1;
	}
	if (r == 0) /* it may have been known as damaged for want of a record, too */
		r = record_delete_damaged(g->s, txn, DAMAGED_CHUNK, &c->digest);
	return r < 0 ? r : 0;
}

/* In the order of the tree that takes them in. */
static int record_chunks(struct ingest *g, MDB_txn *txn, bool *ret_lost)
{
	if (g->n_chunks)
		qsort(g->chunks, g->n_chunks, sizeof(*g->chunks), digest_order);
	for (size_t i = 0; i < g->n_chunks; i++) {
		int r = record_one(g, txn, &g->chunks[i]);

		if (r < 0)
			return r;
		*ret_lost |= r == 1;
	}
	return 0;
}

/* What was held is chunks now, or free again if it was not used. */
static int settle_held(struct ingest *g, MDB_txn *txn)
{
	for (size_t i = 0; i < g->n_held; i++) {
		struct extent x = g->held[i].x;
		int r = space_forget(g->s, txn, g->session, &x);

		x.block += g->held[i].used;
		x.blocks -= g->held[i].used;
		if (r == 0 && x.blocks)
			r = space_free(g->s, txn, &x);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A layer or image that was damaged is recorded anew: its files are. */
static int record_layers(struct ingest *g, MDB_txn *txn)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < g->n_layers; i++) {
		const struct pending_layer *l = &g->layers[i];
		struct digest index;
		int damaged = record_delete_damaged(g->s, txn, DAMAGED_LAYER, &l->diff_id);

		r = damaged < 0 ? damaged : record_layer(g->s, txn, &l->diff_id, &index);
		if (r == 1 || (r == 0 && damaged == 0))
			r = record_put_layer(g->s, txn, &l->diff_id, &l->index);
	}
	return r < 0 ? r : 0;
}

/* 1 = the image was recorded before, and stays as it is. */
static int record_this_image(struct ingest *g, MDB_txn *txn, const struct image_record *rec)
{
	int damaged = record_delete_damaged(g->s, txn, DAMAGED_IMAGE, &rec->manifest);
	int r = damaged < 0 ? damaged : image_recorded(g, txn, &rec->manifest);

	if (r == 1 || (r == 0 && damaged == 0))
		return record_put_image(g->s, txn, rec);
	return r < 0 ? r : 1;
}

/* 1 = the image was recorded before. */
static int record_all(struct ingest *g, MDB_txn *txn, const struct image_record *rec,
	const char *name, bool *ret_lost)
{
	bool known = false;
	int r = settle_held(g, txn);

	if (r == 0)
		r = record_chunks(g, txn, ret_lost);
	if (r == 0)
		r = record_layers(g, txn);
	if (r == 0 && rec) {
		r = record_this_image(g, txn, rec);
		known = r == 1;
		r = r < 0 ? r : 0;
	}
	if (r == 0 && rec && name)
		r = record_put_name(g->s, txn, name, &rec->manifest);
	return r < 0 ? r : known;
}

/* What the records say that we hold, and nothing else. */
static int give_back(struct ingest *g)
{
	return reclaim_held(g->s, &(struct reclaim){.session = g->session}, NULL, NULL);
}

int ingest_commit(struct ingest *g, const struct image_record *rec, const char *name, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	bool lost = false;
	int known, r = g->n_held ? flush(g, e) : 0;

	if (r == 0)
		r = sync_packs(g, e);
	if (r == 0)
		r = sync_files(g, e);
	if (r == 0)
		r = records_reserve(g->s, g->n_chunks, e);
	if (r == 0)
		r = txn_begin(g->s, true, &txn, e);
	if (r == 0)
		r = place_files(g, txn, e);
	if (r < 0)
		return r;
	known = record_all(g, txn, rec, name, &lost);
	if (known < 0)
		return err_sys(e, known, "cannot write the records of the store");
	r = txn_commit(&txn, e);
	if (r < 0)
		return r;
	g->committed = true;
	if (lost && give_back(g) < 0)
		log_debug("space of chunks stored twice is left to gc");
	return known;
}

/*
 * As far as it goes: what stays held is gc's. Only what the records say is held: if a commit failed
 * in a way that leaves open whether it took place, nothing that may be in use is touched.
 */
static void roll_back(struct ingest *g)
{
	if (g->n_held && give_back(g) < 0)
		log_debug("space of an import that failed is left to gc");
}

void ingest_free(struct ingest *g)
{
	char name[STORE_NAME_MAX];

	if (!g)
		return;
	if (g->read)
		mdb_txn_abort(g->read);
	for (unsigned int i = 0; i < g->n_temps; i++) /* those that commit did not rename */
		unlinkat(g->s->dirfd, temp_name(g, i, name), 0);
	if (!g->committed && g->session_lock.fd >= 0)
		roll_back(g);
	lock_release(&g->session_lock);
	lock_release(&g->gc);
	free(g->chunks);
	free(g->table);
	free(g->held);
	free(g->buffer);
	free(g->files);
	free(g->layers);
	free(g);
}
