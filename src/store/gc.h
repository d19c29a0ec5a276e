/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage collection: frees what no name leads to.
 *
 * Live are the images that have a name, and those whose local index some process or the kernel
 * holds open: a mount, in whatever mount namespace, or a reader. The kernel tells that itself
 * (a write lease, fcntl(2) F_SETLEASE, is refused for a file that anybody has open), so that
 * nothing needs to be noted about mounts. Live layers are those of live images; live chunks are
 * those of live layers and images (a layer that was imported again at another chunk size has
 * others than the images made of it before).
 *
 * gc has LOCK_GC alone: it waits until running imports are done, and they wait for it.
 * Order, so that a kill at any instant leaves nothing wrong: local indexes of dead images go
 * first, then records (dead extents become held by gc's own session), then files, then the data;
 * only then is the space free.
 */
#pragma once

#include "store.h"

struct gc_stats {
	uint64_t images, layers, chunks; /* that were freed */
	uint64_t bytes;                  /* of packs, given back to the file system */
	uint64_t files;                  /* leftovers */
};

/* `dry_run`: only says what would be freed. */
_must_check_ int store_gc(struct store *s, bool dry_run, struct gc_stats *ret, struct err *e);
