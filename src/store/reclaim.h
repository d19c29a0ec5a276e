/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Held space that will not be used becomes free: what an ingest took too much, what gc took from
 * dead chunks, what killed sessions left.
 *
 * Free space reads as zeros, always. So extents are punched out of the packs first, while they are
 * still held, and that is made durable before a transaction says that they are free. No write lock
 * is held meanwhile: nobody but the session itself, or a gc after the session's death, touches what
 * a session holds.
 */
#pragma once

#include "pack.h"

struct reclaim {
	uint64_t session; /* the caller's own, which no longer writes; 0: none */
	bool dead;        /* and those that died; the caller has LOCK_COLLECT */
	bool dry_run;     /* counts only */
	/* Blocks; may be NULL. */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *progress_ctx;
};
/* *ret_bytes is what the file system got back. 24 bytes of memory for each extent. */
_must_check_ int reclaim_held(
	struct store *s, const struct reclaim *q, uint64_t *ret_bytes, struct err *e);
