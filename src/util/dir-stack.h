/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories from a tree's root down to the current one, for walks that go by descriptors and
 * never by paths. Only the innermost ones are kept open: an outer one is opened again as "..", and
 * must be the same directory then. Zero-initialised is empty.
 */
#pragma once

#include "cleanup.h"

#include <sys/types.h>

struct dir_stack {
	struct dir_place {
		int fd; /* -1 while it is closed */
		dev_t dev;
		ino_t ino;
	} * v;
	size_t n, room;
};

void dir_stack_done(struct dir_stack *s);
#define _cleanup_dir_stack_ _cleanup_(dir_stack_done)

/* Takes the descriptor over, whatever comes of it. 0 or -errno. */
_must_check_ int dir_stack_push(struct dir_stack *s, int fd);
/*
 * Goes up. *ret_fd is the directory that was left, now the caller's. 0 or -errno: -ESTALE when the
 * directory was moved elsewhere meanwhile.
 */
_must_check_ int dir_stack_pop(struct dir_stack *s, int *ret_fd);
/* The current directory, the stack's own; there must be one. */
int dir_stack_fd(const struct dir_stack *s);
