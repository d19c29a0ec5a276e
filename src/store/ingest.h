/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingest: the one transaction by which anything enters the store. Between begin and commit,
 * chunks are written to space that the session holds, and files are prepared in tmp/; nothing of
 * it counts. Commit makes all of it durable, and then visible by one LMDB transaction. Free
 * without commit, or a kill at any instant, leaves the store as it was; what a killed session
 * held is found by its lock and freed by gc.
 *
 * Invariants:
 *  T1  Chunk data and files are synced before the transaction that records them; files are renamed
 *      in it, and never over one that a record names.
 *  T2  No chunk's record is deleted while an ingest runs: it shares LOCK_GC. What gc punches is
 *      held by gc's own session, and no record names it.
 *  T3  What the records know as damaged is written in its place (chunks) or replaced (files), and
 *      is known as damaged until the transaction that comes after that is synced.
 *
 * One thread at a time.
 */
#pragma once

#include "lock.h"
#include "pack.h"

struct ingest;
_must_check_ int ingest_begin(struct store *s, struct ingest **ret, struct err *e);
/* Rolls back unless committed. */
void ingest_free(struct ingest *g);
DEFINE_CLEANUP(struct ingest *, ingest_free);

/* 1 = the store, or this ingest, has the chunk already; 0 = it was written, or healed. */
_must_check_ int ingest_chunk(
	struct ingest *g, const struct digest *d, const void *p, uint32_t size, struct err *e);

/* A new file in tmp/, open for reading and writing, and its number. */
_must_check_ int ingest_temp(struct ingest *g, int *ret_fd, unsigned int *ret_temp, struct err *e);
/*
 * At commit, the temporary file gets this name, unless a record names such a file already; one that
 * no record names, or that belongs to a damaged layer or image, is replaced. `kind`: not
 * STORE_LOCAL.
 */
_must_check_ int ingest_file(struct ingest *g, enum store_file kind, const struct digest *name,
	unsigned int temp, struct err *e);
/* The same for bytes in memory. */
_must_check_ int ingest_bytes(struct ingest *g, enum store_file kind, const struct digest *name,
	const void *p, size_t n, struct err *e);

/* What the records will say of a layer; one that is there, and sound, stays as it is. */
_must_check_ int ingest_layer(
	struct ingest *g, const struct digest *diff_id, const struct digest *index);
/*
 * `rec` and `name` may be NULL: no image, no name. 1 = done, but the image was there already and
 * stays as it is. Whoever commits a damaged image brings all its files.
 */
_must_check_ int ingest_commit(
	struct ingest *g, const struct image_record *rec, const char *name, struct err *e);

struct ingest_stats {
	uint64_t chunks; /* seen, each call of ingest_chunk */
	uint64_t new_chunks;
	uint64_t new_bytes; /* of the new ones */
	uint64_t healed_chunks;
};
const struct ingest_stats *ingest_stats(const struct ingest *g);
