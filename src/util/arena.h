/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena: many small objects that die together. Zero-initialised is empty. Memory comes zeroed,
 * aligned to 8 bytes. Not for threads.
 */
#pragma once

#include "cleanup.h"

#include <stdint.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used;  /* bytes of the first block that are taken */
	size_t total; /* bytes asked for from malloc, all blocks */
};

void arena_done(struct arena *a);
/* `n` zeroed bytes; NULL when memory is exhausted. */
_must_check_ void *arena_alloc(struct arena *a, size_t n);
_must_check_ void *arena_copy(struct arena *a, const void *p, size_t n);
