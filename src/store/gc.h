/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage collection: frees what is not live (live.h).
 *
 * One gc runs at a time (LOCK_COLLECT). It is alone in the store for short rounds only:
 *
 *  mark    sharing LOCK_GC like a reader: marks the chunks of all that is live, then finds the
 *          recorded chunks that are not marked
 *  delete  in rounds, having LOCK_GC alone: marks what has become live since, deletes the records
 *          of dead images and layers and their files, and then of dead chunks, whose space becomes
 *          held by gc's own session. A round that has taken its time lets others in, and the next
 *          one begins by marking again.
 *  free    without LOCK_GC: punches what it holds and what dead sessions held out of the packs;
 *          then the space is free (reclaim.h)
 *
 * Order, so that a kill or a power loss at any instant leaves nothing wrong: local indexes of dead
 * images go first, then records, then files, then the data; only then is the space free.
 *
 * Transactions are bounded. Memory: some 20 bytes for a live chunk, 8 for a dead one.
 */
#pragma once

#include "store.h"

enum gc_phase { GC_MARK, GC_SCAN, GC_DELETE, GC_FREE };

struct gc_options {
	bool dry_run; /* only says what would be freed, and takes no lock that others wait for */
	/* Done and total of each phase, in units of its own; may be NULL. */
	void (*progress)(void *ctx, enum gc_phase phase, uint64_t done, uint64_t total);
	void *progress_ctx;
	size_t batch; /* dead chunks that one transaction deletes; 0: what suits the store */
};

/* What was freed, or would be. */
struct gc_stats {
	uint64_t images, layers, chunks; /* records */
	uint64_t files;                  /* of these, and leftovers */
	uint64_t bytes;                  /* given back to the file system */
	uint64_t pack_bytes;             /* of these, in packs */
};

/* `o` may be NULL. */
_must_check_ int store_gc(
	struct store *s, const struct gc_options *o, struct gc_stats *ret, struct err *e);
