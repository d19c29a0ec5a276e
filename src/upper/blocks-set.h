/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which inode numbers have a bitmap in WORK/blocks: what lets blocks_is_half cost nothing for all
 * other files. For upper/blocks*.c only.
 *
 * WORK can be lost, or mistaken for another. So the upper directory's root and WORK/blocks carry
 * the same random ID (as OVERLAY_BLOCKS) from before the first bitmap is made until the last has
 * gone; where they do not agree, each file's own mark is looked at (`suspect`).
 */
#pragma once

#include "upper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define BLOCKS_ID_SIZE 16

struct blocks_set {
	pthread_mutex_t lock;
	_Atomic size_t n;
	uint64_t *slots; /* open addressing; 0: empty, which no inode's number is */
	size_t room;     /* a power of two */
	bool paired;     /* root and WORK/blocks carry one ID */
	_Atomic bool suspect;
};

bool blocks_set_has(struct blocks_set *s, uint64_t ino);
/* Also if it has it already. Sees to it that root and WORK/blocks carry one ID. */
_must_check_ int blocks_set_add(struct upper *up, uint64_t ino);
void blocks_set_remove(struct blocks_set *s, uint64_t ino);
