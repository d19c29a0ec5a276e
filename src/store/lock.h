/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks between processes: byte ranges of the store's file `lock`, by open file description
 * (fcntl(2), F_OFD_SETLK). A killed process's locks are gone with it; nothing is ever cleaned up.
 *
 *   LOCK_GC       one byte: imports share it, gc has it alone
 *   LOCK_SESSION  held alone by a running session; that it is free tells that the session died
 *   LOCK_LAYER    held alone by whoever imports that layer, so that a second one waits and finds
 *                 it done; numbered by the first bits of its diff_id
 * Order: LOCK_GC, then LOCK_SESSION, then LOCK_LAYERs by ascending number.
 */
#pragma once

#include "store.h"

enum lock_space { LOCK_GC, LOCK_SESSION, LOCK_LAYER };

struct lock {
	int fd; /* -1: none */
};
#define LOCK_NONE ((struct lock){.fd = -1})

/* `number`: up to 2^60. 1 = another holds it (only if not `wait`). */
_must_check_ int lock_take(struct store *s, enum lock_space space, uint64_t number, bool exclusive,
	bool wait, struct lock *ret, struct err *e);
void lock_release(struct lock *l);
uint64_t lock_number(const struct digest *d);

#define _cleanup_lock_ _cleanup_(lock_release)
