/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content: what union-data.c and its neighbours share.
 *
 *   union-data.c   reading, writing, truncating: of what a file is now
 *   union-half.c   half-copied files
 *   union-copy-lower.c  whole copies and reflinks of lower files
 *   union-range.c  fallocate, lseek, copies of ranges, fsync
 *   union-open.c   passthrough, holds
 *   union-privileges.c  what writing takes away
 *
 * A file is lower, half or whole, and never goes back. Content is used without node.lock:
 *
 *   state      many rwlocks, a node has one of them by its id. Shared by what reads or writes
 *              content of the upper file; alone by what makes a half file whole or cuts it, so that
 *              node.blocks stays while it is used. After node.lock
 *   ranges     of half files, from block to block: alone by what fills blocks from the lower file,
 *              so that of two writes into one block neither is lost. Blocks that are the upper
 *              file's own need none. After state
 *
 * Reads take no range: whether a block is its own is seen either before a write to it or after.
 */
#pragma once

#include "node.h"

#define DATA_STATES 64
#define DATA_RANGES 16
#define DATA_PIECE  ((size_t)1 << 20) /* of what goes through memory */

struct data_range {
	uint32_t node;
	uint64_t off, end;
	struct data_range *next;
};

struct data_ranges {
	pthread_mutex_t lock;
	pthread_cond_t gone;
	struct data_range *first;
};

struct data_hold {
	struct node *node;
	unsigned int n;
	struct data_hold *next;
};

struct union_data {
	pthread_rwlock_t states[DATA_STATES];
	struct data_ranges ranges[DATA_RANGES];
	pthread_mutex_t privileges[DATA_RANGES];
	pthread_mutex_t hold_lock;
	pthread_cond_t unheld;
	struct data_hold *holds;
	_Atomic unsigned int n_holds;
	_Atomic bool *no_clone; /* for each lower: it was tried in vain */
};

/* ---- union-data.c ---- */
void data_state_share(struct union_fs *u, const struct node *n);

/*
 * The use of a regular file's content, from data_begin to data_end: its descriptor, and which
 * blocks are its own; shares the state.
 */
struct data_use {
	struct union_fs *u;
	struct node *n;
	int fd;           /* -1: it is in the lower layers alone */
	struct blocks *b; /* NULL: it is whole, or lower */
};
/* `change`: it is in the upper directory then, and not held. `n` stays the caller's. */
_must_check_ int data_begin(struct union_fs *u, struct node *n, bool change, struct data_use *ret);
void data_end(struct data_use *d);
#define _cleanup_data_ _cleanup_(data_end)
/* The node of an id, a regular file: -EISDIR, -EINVAL. */
_must_check_ int data_node(struct union_fs *u, uint64_t id, struct node **ret);
/* If every block is its own: it is whole. Not within data_begin and data_end. */
_must_check_ int data_settle(struct union_fs *u, struct node *n);
/* The bitmap of a half file, which is opened if need be. The caller has n->lock. */
_must_check_ int data_blocks(struct union_fs *u, struct node *n, int fd);
/* Up to `n` bytes; less only at its end. */
_must_check_ int data_read(struct data_use *d, void *p, size_t n, uint64_t off, size_t *ret_n);
_must_check_ int data_write(struct data_use *d, const void *p, size_t n, uint64_t off);

/* ---- union-privileges.c ---- */
#define DATA_CAPABILITY_MAX 64 /* struct vfs_ns_cap_data of <linux/capability.h> has 24 */
struct data_kept {
	pthread_mutex_t *lock; /* NULL: there was nothing to keep */
	uint32_t mode;
	size_t capability_n; /* 0: none */
	char capability[DATA_CAPABILITY_MAX];
};
/* Around a change of content that is to leave setuid, setgid and capabilities as they are. Each
 * data_keep that succeeds is followed by data_give_back. */
_must_check_ int data_keep(struct data_use *d, struct data_kept *k);
_must_check_ int data_give_back(struct data_use *d, struct data_kept *k);
/* What a stranger's change takes away. */
_must_check_ int data_kill_suidgid(struct data_use *d);

/* ---- union-half.c ---- */
_must_check_ int half_read(struct data_use *d, void *p, size_t n, uint64_t off, size_t *ret_n);
_must_check_ int half_write(struct data_use *d, const void *p, size_t n, uint64_t off);
/* fallocate(2) with a mode that makes zeros. */
_must_check_ int half_zero(struct data_use *d, int mode, uint64_t off, uint64_t n);
_must_check_ int half_lseek(struct data_use *d, uint64_t off, int whence, uint64_t *ret);
/* Copies what is still the lower file's. */
_must_check_ int half_fill_all(struct data_use *d);

/* ---- union-copy-lower.c ---- */
_must_check_ int lower_read_full(
	struct union_fs *u, struct node *n, void *p, size_t size, uint64_t off);
bool data_may_clone(struct union_fs *u, struct node *n);

/* ---- union-open.c ---- */
bool data_is_held(struct union_fs *u, const struct node *n);
void data_wait_unheld(struct union_fs *u, const struct node *n);
