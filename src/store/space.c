/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Free and held space of the packs. Both kinds of extents are kept by (pack, block), so that
 * neighbours meet when one is freed.
 */
#include "records.h"
#include "util/bytes.h"

/* A free extent shorter than this is left alone: it was punched, so it costs address space only. */
#define LEAST_REUSED 64u

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

static int read_space(const MDB_val *key, const MDB_val *value, struct extent *ret)
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

static int put_space(struct store *s, MDB_txn *txn, const struct extent *x)
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

int space_next_held(struct store *s, MDB_txn *txn, uint64_t *session, struct extent *ret)
{
	struct held_key k = {.session = htobe64(*session)};
	MDB_val key = {sizeof(k), &k}, value, at;
	MDB_cursor *c;
	int r = mdb_cursor_open(txn, s->held, &c);

	if (r)
		return store_code(r);
	r = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
	mdb_cursor_close(c);
	if (r)
		return r == MDB_NOTFOUND ? 1 : store_code(r);
	if (key.mv_size != sizeof(k))
		return -ERR_STORE;
	memcpy(&k, key.mv_data, sizeof(k));
	*session = be64toh(k.session);
	at = (MDB_val){sizeof(k.at), &k.at};
	return read_space(&at, &value, ret);
}

struct search {
	uint32_t want;
	uint32_t least;
	struct extent found;      /* a free extent; blocks 0: none */
	uint32_t tail[PACKS_MAX]; /* where each pack has never been used */
};

static int search_space(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct search *q = ctx;
	struct extent x;
	int r = read_space(key, value, &x);

	if (r < 0)
		return r;
	if (x.block == PACK_BLOCKS_MAX)
		q->tail[x.pack] = x.blocks;
	else if (x.blocks >= q->least && q->found.blocks < q->want && x.blocks > q->found.blocks)
		q->found = x;
	return 0;
}

static int hold_found(struct store *s, MDB_txn *txn, uint64_t session, uint32_t want,
	struct extent x, struct extent *ret)
{
	struct extent rest = {x.pack, x.block + want, x.blocks > want ? x.blocks - want : 0};
	int r = delete_space(s, txn, &x);

	if (r == 0 && rest.blocks)
		r = put_space(s, txn, &rest);
	x.blocks -= rest.blocks;
	if (r == 0)
		r = space_hold_this(s, txn, session, &x);
	*ret = x;
	return r;
}

int space_hold(struct store *s, MDB_txn *txn, uint64_t session, uint32_t want, uint32_t least,
	struct extent *ret)
{
	struct search q = {.want = want, .least = least > LEAST_REUSED ? least : LEAST_REUSED};
	int r = record_for_each(s, txn, s->space, search_space, &q);

	if (r < 0)
		return r;
	if (q.found.blocks)
		return hold_found(s, txn, session, want, q.found, ret);
	for (uint16_t pack = 0; pack < PACKS_MAX; pack++) {
		struct extent x = {pack, q.tail[pack], want};
		struct extent tail = {pack, PACK_BLOCKS_MAX, q.tail[pack] + want};

		if (want > PACK_BLOCKS_MAX - q.tail[pack])
			continue;
		*ret = x;
		r = put_space(s, txn, &tail);
		return r < 0 ? r : space_hold_this(s, txn, session, &x);
	}
	return -ENOSPC;
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
	r = read_space(&key, &value, &n);
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
	return r < 0 ? r : put_space(s, txn, &all);
}
