/* SPDX-License-Identifier: Apache-2.0 */
/* A map from numbers (of inodes) to pointers. Zero-initialised is empty. */
#pragma once

#include "cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct number_map {
	struct number_slot {
		uint64_t key;
		void *value; /* NULL: the slot is free */
	} * slots;
	size_t n, room; /* room: 0 or a power of two */
};

void number_map_done(struct number_map *m);
/* NULL: it is not there. */
void *number_map_find(const struct number_map *m, uint64_t key);
/* In place of what the key had. `value` is not NULL. 0 or -ENOMEM. */
_must_check_ int number_map_put(struct number_map *m, uint64_t key, void *value);
