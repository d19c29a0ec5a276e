/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Free and held space of the packs. Both kinds of extents are kept by (pack, block), so that
 * neighbours meet when one is freed.
 */
#include "records.h"
#include "util/bytes.h"

#include <sys/random.h>

/* A free extent shorter than this is left alone: it was punched, so it costs address space only. */
#define LEAST_REUSED 256u
/* Free extents that are looked at for one hold. */
#define SEARCH_MAX 4096

struct space_key {
	uint16_t pack;
	uint32_t block;
} __attribute__((packed));

struct held_key {
	uint64_t session;
	struct space_key at;
} __attribute__((packed));

static struct space_key space_key(uint16_t pack, uint32_t block)
{
	return (struct space_key){htobe16(pack), htobe32(block)};
}

int space_read(const MDB_val *key, const MDB_val *value, struct extent *ret)
{
	struct space_key k;
	uint32_t n;

	if (key->mv_size != sizeof(k) || value->mv_size != sizeof(n))
		return -ERR_STORE;
	memcpy(&k, key->mv_data, sizeof(k));
	memcpy(&n, value->mv_data, sizeof(n));
	*ret = (struct extent){be16toh(k.pack), be32toh(k.block), le32toh(n)};
	return ret->pack < PACKS_MAX ? 0 : -ERR_STORE;
}

int space_put(struct store *s, MDB_txn *txn, const struct extent *x)
{
	struct space_key k = space_key(x->pack, x->block);
	uint32_t n = htole32(x->blocks);
	MDB_val key = {sizeof(k), &k}, value = {sizeof(n), &n};

	return store_code(mdb_put(txn, s->space, &key, &value, 0));
}

static int delete_space(struct store *s, MDB_txn *txn, const struct extent *x)
{
	struct space_key k = space_key(x->pack, x->block);
	MDB_val key = {sizeof(k), &k};

	return store_code(mdb_del(txn, s->space, &key, NULL));
}

static struct held_key held_key(uint64_t session, const struct extent *x)
{
	return (struct held_key){htobe64(session), space_key(x->pack, x->block)};
}

int space_hold_this(struct store *s, MDB_txn *txn, uint64_t session, const struct extent *x)
{
	struct held_key k = held_key(session, x);
	uint32_t n = htole32(x->blocks);
	MDB_val key = {sizeof(k), &k}, value = {sizeof(n), &n};

	return store_code(mdb_put(txn, s->held, &key, &value, 0));
}

int space_forget(struct store *s, MDB_txn *txn, uint64_t session, const struct extent *x)
{
	struct held_key k = held_key(session, x);
	MDB_val key = {sizeof(k), &k};

	return store_code(mdb_del(txn, s->held, &key, NULL));
}

int space_read_held(
	const MDB_val *key, const MDB_val *value, uint64_t *ret_session, struct extent *ret)
{
	struct held_key k;
	MDB_val at = {sizeof(k.at), &k.at};

	if (key->mv_size != sizeof(k))
		return -ERR_STORE;
	memcpy(&k, key->mv_data, sizeof(k));
	*ret_session = be64toh(k.session);
	return space_read(&at, value, ret);
}

int extent_order(const struct extent *a, const struct extent *b)
{
	if (a->pack != b->pack)
		return a->pack < b->pack ? -1 : 1;
	return (a->block > b->block) - (a->block < b->block);
}

bool extent_join(struct extent *x, const struct extent *next)
{
	if (next->pack != x->pack || next->block != x->block + x->blocks)
		return false;
	x->blocks += next->blocks;
	return true;
}

/* Where the pack has never been used; 0 if it is not in use. */
static int get_tail(struct store *s, MDB_txn *txn, uint16_t pack, uint32_t *ret)
{
	struct space_key k = space_key(pack, PACK_BLOCKS_MAX);
	MDB_val key = {sizeof(k), &k}, value;
	struct extent x = {0};
	int r = mdb_get(txn, s->space, &key, &value);

	r = r == MDB_NOTFOUND ? 0 : r ? store_code(r) : space_read(&key, &value, &x);
	*ret = x.blocks;
	return r;
}

/* Somewhere in the packs. */
static int random_place(struct store *s, MDB_txn *txn, struct space_key *ret)
{
	uint32_t tails[PACKS_MAX], number[2];
	uint16_t packs = 0, pack;
	int r = 0;

	while (r == 0 && packs < PACKS_MAX) {
		r = get_tail(s, txn, packs, &tails[packs]);
		if (!tails[packs])
			break;
		packs++;
	}
	if (r < 0 || !packs)
		return r;
	if (getrandom(number, sizeof(number), 0) != sizeof(number))
		return -errno;
	pack = (uint16_t)(number[0] % packs);
	*ret = space_key(pack, number[1] % tails[pack]);
	return 0;
}

/* A step of the cursor, and round the end. */
static int next_free(MDB_cursor *c, MDB_cursor_op op, MDB_val *key, struct extent *ret)
{
	MDB_val value;
	int r = mdb_cursor_get(c, key, &value, op);

	if (r == MDB_NOTFOUND)
		r = mdb_cursor_get(c, key, &value, MDB_FIRST);
	return r ? store_code(r) : space_read(key, &value, ret);
}

/*
 * The first free extent of `want` blocks, else the longest of at least `least`. Where there are
 * very many, only some are looked at, from anywhere on. *ret has no blocks if there is none.
 */
static int search(struct store *s, MDB_txn *txn, uint32_t want, uint32_t least, struct extent *ret)
{
	struct space_key k = space_key(0, 0);
	MDB_val key = {sizeof(k), &k};
	struct extent x = {0};
	MDB_cursor *c;
	MDB_stat st;
	int r = store_code(mdb_stat(txn, s->space, &st));

	*ret = (struct extent){0};
	if (r == 0 && st.ms_entries > SEARCH_MAX)
		r = random_place(s, txn, &k);
	if (r == 0)
		r = store_code(mdb_cursor_open(txn, s->space, &c));
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && ret->blocks < want && i < st.ms_entries && i < SEARCH_MAX;
		i++) {
		r = next_free(c, i ? MDB_NEXT : MDB_SET_RANGE, &key, &x);
		if (x.block != PACK_BLOCKS_MAX && x.blocks >= least && x.blocks > ret->blocks)
			*ret = x;
	}
	mdb_cursor_close(c);
	return r;
}

static int hold_found(struct store *s, MDB_txn *txn, uint64_t session, uint32_t want,
	struct extent x, struct extent *ret)
{
	struct extent rest = {x.pack, x.block + want, x.blocks > want ? x.blocks - want : 0};
	int r = delete_space(s, txn, &x);

	if (r == 0 && rest.blocks)
		r = space_put(s, txn, &rest);
	x.blocks -= rest.blocks;
	if (r == 0)
		r = space_hold_this(s, txn, session, &x);
	*ret = x;
	return r;
}

int space_hold(struct store *s, MDB_txn *txn, uint64_t session, uint32_t want, uint32_t least,
	struct extent *ret)
{
	struct extent found;
	int r = search(s, txn, want, least > LEAST_REUSED ? least : LEAST_REUSED, &found);

	if (r == 0 && found.blocks)
		return hold_found(s, txn, session, want, found, ret);
	for (uint16_t pack = 0; r == 0 && pack < PACKS_MAX; pack++) {
		struct extent x = {.pack = pack, .blocks = want}, tail;

		r = get_tail(s, txn, pack, &x.block);
		if (r < 0 || want > PACK_BLOCKS_MAX - x.block)
			continue;
		tail = (struct extent){pack, PACK_BLOCKS_MAX, x.block + want};
		*ret = x;
		r = space_put(s, txn, &tail);
		return r < 0 ? r : space_hold_this(s, txn, session, &x);
	}
	return r < 0 ? r : -ENOSPC;
}

/* Adds the free neighbour at (or just before) the cursor's place to `x`. */
static int join(struct store *s, MDB_txn *txn, struct extent *x, bool before)
{
	struct space_key k = space_key(x->pack, before ? x->block : x->block + x->blocks);
	MDB_val key = {sizeof(k), &k}, value;
	struct extent n;
	MDB_cursor *c;
	int r = mdb_cursor_open(txn, s->space, &c);

	if (r)
		return store_code(r);
	r = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
	if (before)
		r = mdb_cursor_get(c, &key, &value, r == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
	mdb_cursor_close(c);
	if (r)
		return r == MDB_NOTFOUND ? 0 : store_code(r);
	r = space_read(&key, &value, &n);
	if (r < 0 || n.pack != x->pack || n.block == PACK_BLOCKS_MAX)
		return r;
	if (before ? n.block + n.blocks != x->block : n.block != x->block + x->blocks)
		return 0;
	x->block = before ? n.block : x->block;
	x->blocks += n.blocks;
	return delete_space(s, txn, &n);
}

int space_free(struct store *s, MDB_txn *txn, const struct extent *x)
{
	struct extent all = *x;
	int r = join(s, txn, &all, true);

	if (r == 0)
		r = join(s, txn, &all, false);
	return r < 0 ? r : space_put(s, txn, &all);
}
