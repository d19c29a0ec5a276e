/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map from chunks to small numbers, for passes over the whole store: 12 bytes a slot, at most
 * three quarters of the slots in use. Chunks are told apart by the first 64 bits of their digests
 * alone: two that share these are one here, so a pass must err to the safe side then (gc keeps a
 * chunk too many, df counts one too few).
 */
#pragma once

#include "format/digest.h"

#include <stdbool.h>
#include <stdint.h>

struct chunk_map;
/* With room for `expected` chunks; it grows beyond. NULL: no memory. */
struct chunk_map *chunk_map_new(size_t expected);
void chunk_map_free(struct chunk_map *m);
DEFINE_CLEANUP(struct chunk_map *, chunk_map_free);

size_t chunk_map_count(const struct chunk_map *m);
/* The chunk's number, 0 when it was not there before; valid until the next put. NULL: no memory. */
uint32_t *chunk_map_put(struct chunk_map *m, const struct digest *d);
/* NULL: it is not there. */
uint32_t *chunk_map_find(const struct chunk_map *m, const struct digest *d);
