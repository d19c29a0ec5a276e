/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks between processes: byte ranges of the store's file `lock`, by open file description
 * (fcntl(2), F_OFD_SETLK). A killed process's locks are gone with it; nothing is ever cleaned up.
 *
 *   LOCK_GC       one byte: imports share it, gc has it alone while it deletes records
 *   LOCK_SESSION  held alone by a running session; that it is free tells that the session died.
 *                 A session has 4,096 numbers, of which an ingest uses the first
 *   LOCK_LAYER    held alone by whoever imports that layer, so that a second one waits and finds
 *                 it done; numbered by the first bits of its diff_id
 *   LOCK_COLLECT  one byte: held alone by a gc, so that there is one at a time; shared by a check
 *                 of the store, alone by a repair while it quarantines
 *   LOCK_TURN     one byte: shared for an instant by an import before it takes LOCK_GC, and held
 *                 alone by a gc that has waited for LOCK_GC too long: new imports wait for it then
 *   LOCK_CONTAINER  held alone by whoever makes, mounts, commits or removes the container; numbered
 * by the first bits of the SHA-256 of its ID. Never waited for, so it has no place in the order
 * Order: LOCK_COLLECT, LOCK_TURN, LOCK_GC, then LOCK_LAYERs by ascending number. A LOCK_SESSION is
 * never waited for. Who has LOCK_GC may share it once more, but must not take LOCK_TURN.
 */
#pragma once

#include "store.h"

enum lock_space { LOCK_GC, LOCK_SESSION, LOCK_LAYER, LOCK_COLLECT, LOCK_TURN, LOCK_CONTAINER };

struct lock {
	int fd; /* -1: none */
};
#define LOCK_NONE ((struct lock){.fd = -1})

/* `number`: up to 2^60. 1 = another holds it (only if not `wait`). */
_must_check_ int lock_take(struct store *s, enum lock_space space, uint64_t number, bool exclusive,
	bool wait, struct lock *ret, struct err *e);
void lock_release(struct lock *l);
/* 1 = somebody, perhaps this process, has it, shared or alone. Takes nothing. */
_must_check_ int lock_test(struct store *s, enum lock_space space, uint64_t number, struct err *e);
/* Begins a session: LOCK_SESSION_NUMBERS numbers in a row that no other has, under one lock. */
#define LOCK_SESSION_NUMBERS 4096
_must_check_ int lock_session(
	struct store *s, uint64_t *ret_first, struct lock *ret, struct err *e);
uint64_t lock_number(const struct digest *d);

#define _cleanup_lock_ _cleanup_(lock_release)
