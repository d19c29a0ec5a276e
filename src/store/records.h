/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of the store, as LMDB keeps them (docs/format.md, "Store"). Integers in values are
 * little-endian, in keys big-endian, so that the order of the keys is theirs.
 *
 *   chunks  digest                        -> block, size, pack
 *   space   pack, block                   -> blocks      free extents of the packs
 *           pack, PACK_BLOCKS_MAX         -> block       where the pack has never been used
 *   held    session, pack, block          -> blocks      extents that a session writes to
 *   layers  diff_id                       -> digest of its index
 *   images  manifest digest               -> index digest, config digest, diff_ids
 *   names   text                          -> manifest digest
 *   damaged kind, digest                  -> nothing     what fsck found damaged
 *   containers text                       -> manifest digest, time (containers.h)
 *
 * All functions take the transaction of their caller.
 */
#pragma once

#include "store.h"

struct extent {
	uint16_t pack;
	uint32_t block;
	uint32_t blocks;
};

struct chunk_record {
	uint16_t pack;
	uint32_t block;
	uint32_t size; /* bytes */
};

static inline uint32_t chunk_blocks(uint32_t size)
{
	return (size + PACK_BLOCK_SIZE - 1) / PACK_BLOCK_SIZE;
}

/* A transaction that is aborted unless it was committed. */
static inline void txn_abortp(MDB_txn **txn)
{
	if (*txn)
		mdb_txn_abort(*txn);
}
#define _cleanup_txn_ _cleanup_(txn_abortp)
_must_check_ int txn_begin(struct store *s, bool write, MDB_txn **ret, struct err *e);
/* Commits and takes the transaction, whatever comes of it. */
_must_check_ int txn_commit(MDB_txn **txn, struct err *e);

/*
 * Takes disk space for the records of `chunks` more chunks, and beyond that for what rmi and gc
 * change: LMDB writes a changed page to another place, so without it nothing could be removed from
 * a full disk. To be called before a transaction that adds to the store. -ENOSPC, -errno.
 */
_must_check_ int records_reserve(struct store *s, size_t chunks, struct err *e);

/* All return 1 where there is no such record. */
_must_check_ int record_chunk(
	struct store *s, MDB_txn *txn, const struct digest *d, struct chunk_record *ret);
_must_check_ int record_layer(
	struct store *s, MDB_txn *txn, const struct digest *diff_id, struct digest *ret_index);

struct image_record {
	struct digest manifest; /* the image's name */
	struct digest index;    /* of its portable index */
	struct digest config;
	struct digest *diff_ids; /* lowest first; from malloc */
	size_t n_diff_ids;
};
void image_record_done(struct image_record *r);
#define _cleanup_image_record_ _cleanup_(image_record_done)
_must_check_ int record_image(
	struct store *s, MDB_txn *txn, const struct digest *manifest, struct image_record *ret);
_must_check_ int record_name(
	struct store *s, MDB_txn *txn, const char *name, struct digest *ret_manifest);

_must_check_ int record_put_chunk(struct store *s, MDB_txn *txn, const struct digest *d,
	const struct chunk_record *c); /* 1 = there was one, which stays */
_must_check_ int record_put_layer(
	struct store *s, MDB_txn *txn, const struct digest *diff_id, const struct digest *index);
_must_check_ int record_put_image(struct store *s, MDB_txn *txn, const struct image_record *r);
_must_check_ int record_put_name(
	struct store *s, MDB_txn *txn, const char *name, const struct digest *manifest);
_must_check_ int record_delete_name(struct store *s, MDB_txn *txn, const char *name);

/*
 * What is known to be damaged: a chunk's data, or a file of a layer (named by diff_id) or of an
 * image (by manifest digest). It counts as missing for whoever wants to use it, and is replaced in
 * its place by the next ingest that brings it.
 */
enum damaged_kind { DAMAGED_CHUNK = 'c', DAMAGED_LAYER = 'l', DAMAGED_IMAGE = 'i' };
/* 0 = it is damaged, 1 = it is not. */
_must_check_ int record_damaged(
	struct store *s, MDB_txn *txn, enum damaged_kind kind, const struct digest *d);
/* How many things are damaged: nearly always none. */
_must_check_ int record_count_damaged(struct store *s, MDB_txn *txn, size_t *ret);
_must_check_ int record_put_damaged(
	struct store *s, MDB_txn *txn, enum damaged_kind kind, const struct digest *d);
_must_check_ int record_delete_damaged(struct store *s, MDB_txn *txn, enum damaged_kind kind,
	const struct digest *d); /* 1 = none */

/* Calls `each` for all records of a kind, in the order of their keys, until it returns non-zero. */
typedef int (*record_each)(void *ctx, const MDB_val *key, const MDB_val *value);
_must_check_ int record_for_each(
	struct store *s, MDB_txn *txn, MDB_dbi dbi, record_each each, void *ctx);
_must_check_ int record_read_image(
	const MDB_val *key, const MDB_val *value, struct image_record *ret);
_must_check_ int record_read_chunk(const MDB_val *value, struct chunk_record *ret);

int extent_order(const struct extent *a, const struct extent *b); /* by pack and block */
/* Adds `next` to the end of `x`, if it begins there. */
bool extent_join(struct extent *x, const struct extent *next);

/*
 * Space. space_hold takes a free extent of `want` blocks, or a shorter one of at least `least`,
 * and notes that `session` holds it. space_release gives a part of what is held back; blocks that
 * were written must have been zeroed (pack_punch) before.
 */
_must_check_ int space_hold(struct store *s, MDB_txn *txn, uint64_t session, uint32_t want,
	uint32_t least, struct extent *ret);
/* Notes that the session holds the extent, which was in use until now. */
_must_check_ int space_hold_this(
	struct store *s, MDB_txn *txn, uint64_t session, const struct extent *x);
_must_check_ int space_forget(
	struct store *s, MDB_txn *txn, uint64_t session, const struct extent *x);
_must_check_ int space_free(struct store *s, MDB_txn *txn, const struct extent *x);
/* As it is, next to its neighbours. */
_must_check_ int space_put(struct store *s, MDB_txn *txn, const struct extent *x);
/* For record_for_each over the free extents, and what each pack was never used from on. */
_must_check_ int space_read(const MDB_val *key, const MDB_val *value, struct extent *ret);
/* For record_for_each over the held extents. */
_must_check_ int space_read_held(
	const MDB_val *key, const MDB_val *value, uint64_t *ret_session, struct extent *ret);
