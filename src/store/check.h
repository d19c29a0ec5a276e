/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a store: records, space and data here; layers and images in image/fsck.h, which
 * drives it. Everything that is wrong is noted, and the walk goes on; a function fails only where
 * it cannot work at all.
 *
 * All is judged by one snapshot of the records. The caller shares LOCK_COLLECT and LOCK_GC
 * meanwhile, so what the snapshot names stays where it is; imports may run, since they only add.
 * Nothing is changed. Memory: some 40 bytes a chunk, and what is noted.
 */
#pragma once

#include "chunk-map.h"
#include "records.h"
#include "format/tree.h"

#include <pthread.h>

/* A chunk that is not what its digest says, or that cannot be found. */
struct chunk_fault {
	struct digest digest;
	struct chunk_record at; /* size 0: it has no record */
	const char *why;        /* static */
	bool misplaced;         /* its record is wrong, too: it cannot be mended in its place */
	bool sound;             /* nothing is wrong any more, but that it is in `damaged` */
};

enum finding_kind {
	FINDING_RECORD,
	FINDING_PACK,
	FINDING_SPACE,
	FINDING_NAME,
	FINDING_CONTAINER,
	FINDING_LAYER, /* digest: the diff_id */
	FINDING_IMAGE, /* digest: the manifest's */
	FINDING_LOCAL, /* the local index; digest: the manifest's */
	FINDING_LEFTOVER,
};

struct finding {
	enum finding_kind kind;
	struct digest digest;
	bool sound;
	char *text;
};

/* A chunk's place: pack, block and size in an order that sorts; its digest lies in the snapshot. */
struct place {
	uint64_t at;
	const uint8_t *digest;
};

struct span {
	struct extent x;
	bool held;
	uint64_t session;
};

struct check {
	struct store *s;
	MDB_txn *txn;
	int packs[PACKS_MAX]; /* for reading; -1 = missing */
	uint64_t pack_bytes[PACKS_MAX];
	uint32_t tails[PACKS_MAX]; /* from here on the pack was never used */
	struct place *places;      /* sorted, once check_space was called */
	size_t n_places, room_places;
	uint64_t *referenced;      /* a bit for each place */
	struct chunk_map *numbers; /* of the places, by digest */
	struct span *spans;        /* free and held */
	size_t n_spans, room_spans;
	struct chunk_fault *chunks;
	size_t n_chunks, room_chunks;
	struct finding *findings;
	size_t n_findings, room_findings;
	pthread_mutex_t lock; /* for notes, while threads verify data */
};

/* The caller then begins `txn`, the snapshot (or a write transaction, which sees itself). */
void check_init(struct store *s, struct check *c);
/* Ends the snapshot; what was noted stays. */
void check_end(struct check *c);
void check_done(struct check *c);
#define _cleanup_check_ _cleanup_(check_done)

_must_check_ int check_note(struct check *c, enum finding_kind kind, const struct digest *d,
	const char *fmt, ...) _printf_(4, 5);
_must_check_ int check_note_chunk(struct check *c, const struct chunk_fault *f);

/* The form of every record; then the chunks are known. */
_must_check_ int check_records(struct check *c, struct err *e);
/* Deletes all records that have not the right form. */
_must_check_ int check_drop_malformed(struct store *s, MDB_txn *txn);
/* That no two things share space, and that the packs are as long as they are used. */
_must_check_ int check_space(struct check *c, struct err *e);
/*
 * Makes the packs as long as they are used. With `rebuild`, the records of space are made anew out
 * of those of the chunks: what no chunk has is held by a session that is dead, for gc to free. The
 * caller has LOCK_GC alone.
 */
_must_check_ int check_mend_space(struct store *s, MDB_txn *txn, bool rebuild, struct err *e);
/* Files that no record names. */
_must_check_ int check_files(struct check *c, struct err *e);
/* That the chunk of an index has its record. Marks it as referenced. */
_must_check_ int check_reference(struct check *c, const struct chunk *chunk);
/* Chunks that no index refers to. */
size_t check_unreferenced(const struct check *c);

/*
 * Failures that tell nothing of the store: what is met with them is not damaged, the check cannot
 * be done.
 */
static inline bool check_is_passing(int code)
{
	return code == -ENOMEM || code == -EMFILE || code == -ENFILE;
}

/* Told under a lock, by any thread. */
typedef void (*check_progress)(void *ctx, uint64_t done, uint64_t total);
/* Verifies every chunk, by several threads. `progress` may be NULL. */
_must_check_ int check_data(
	struct check *c, check_progress progress, void *ctx, uint64_t *ret_bytes, struct err *e);
/*
 * *ret_why is what is wrong with one chunk, read from `fd`: NULL = nothing. *ret_padding: only what
 * fills up its last block is. -ENOMEM.
 */
_must_check_ int check_chunk(int fd, const struct digest *d, const struct chunk_record *at,
	const char **ret_why, bool *ret_padding);
#define CHECK_PADDING "what fills up its last block is not zero"

static inline struct chunk_record place_record(const struct place *p)
{
	return (struct chunk_record){.pack = (uint16_t)(p->at >> 56),
		.block = (uint32_t)(p->at >> 25 & 0x7fffffff),
		.size = (uint32_t)(p->at & 0x1ffffff)};
}

/* Chunks sorted by digest, each once. */
void check_sort_chunks(struct check *c);
