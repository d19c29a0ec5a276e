/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: what a FUSE server must still know after it was killed and started again. It lies in
 * shared memory (memfd_create(2)), which the supervisor holds too, and consists of
 *
 *   - room for what the transport agreed upon with the kernel,
 *   - a record for each node that the kernel knows: its lookups and opens, and the names under
 * which it can be found again,
 *   - the names, in a heap.
 *
 * The memory is one mapping of fixed size, a file with holes: only what is used takes room. What is
 * free is known to the process alone, which finds it by one look over all records (session_attach).
 * All functions may be called by any number of threads.
 *
 * Invariants:
 *  N1  A process killed at any instant leaves a session that can be used: each change counts by one
 *      store of one word, after what it refers to was stored. (The machine going down ends the
 *      session; so order in memory is all that matters.)
 *  N2  A record has every name that its node may have in the upper directory: one that is to come
 *      is added before the upper directory is changed, one that is gone removed after it. Which of
 *      them are true is looked up when a later process first needs the node: the one whose file has
 *      the inode number (`upper_ino`), or in the lower layers the key (`lower_key`).
 *  N3  Lookups are counted before they are answered: after a kill there may be some too many, and
 *      never too few. A node too many costs memory until the file system is unmounted.
 */
#pragma once

#include "util/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct session;

#define SESSION_TRANSPORT_SIZE 1024
#define SESSION_NODES_MAX      ((uint32_t)1 << 28)

enum node_flag {
	NODE_ORPHAN = 1, /* its file lies, or may lie, in WORK/orphans, named by its id in hex */
	NODE_UPPER = 2,  /* upper_ino is set */
	NODE_HALF = 4,   /* was half copied */
};

/* In shared memory. `lookups` 0: free. */
struct node_record {
	_Atomic uint64_t lookups;
	_Atomic uint64_t names;     /* the heap's offset of its first name; 0: none */
	_Atomic uint64_t upper_ino; /* with NODE_UPPER */
	uint64_t lower_key;         /* of the layer `lower`, of what is not a directory */
	uint64_t ino;               /* what st_ino shows */
	_Atomic uint32_t cached_opens, passthrough_opens; /* union_passthrough */
	_Atomic int32_t backing; /* the transport's: id of the kernel's backing file; 0: none */
	_Atomic uint32_t flags;  /* enum node_flag */
	uint32_t mode;           /* S_IFMT */
	uint16_t lower;          /* 1 + the layer; 0: none */
};

_must_check_ int session_new(struct session **ret, struct err *e);
/* The session of a process that is gone. -ERR_UNSUPPORTED: it is of another version of plyfs. */
_must_check_ int session_attach(int fd, struct session **ret, struct err *e);
/* Unmaps it. The descriptor stays the caller's, in both cases above. */
void session_close(struct session *s);
DEFINE_CLEANUP(struct session *, session_close);
int session_fd(const struct session *s);
bool session_is_attached(const struct session *s); /* false: it is new */
void *session_transport(struct session *s);

/*
 * A free record, made like `r`, with `lookups` at least 1; r->names does not count. The first of a
 * session is 1. -ENFILE, -ENOMEM.
 */
_must_check_ int session_node_new(struct session *s, const struct node_record *r, uint32_t *ret_id);
/* Gives a record and its names back; its `lookups` are 0. */
void session_node_free(struct session *s, uint32_t id);
/* NULL: there is no such node. */
struct node_record *session_node(struct session *s, uint64_t id);
uint32_t session_nodes_end(const struct session *s);

struct session_name {
	uint64_t at; /* where it lies */
	uint32_t parent;
	uint16_t len;
	const char *name; /* NUL-terminated */
};
/*
 * The names of one node are for one thread at a time; what session_name_next gives is valid until
 * the name is removed.
 */
_must_check_ int session_name_add(
	struct session *s, uint32_t id, uint32_t parent, const char *name, size_t len);
/* Nothing happens if it has no such name. */
void session_name_remove(
	struct session *s, uint32_t id, uint32_t parent, const char *name, size_t len);
/* *at begins at 0. 1 = *ret is the next name, newest first; 0 = no more. */
int session_name_next(struct session *s, uint32_t id, uint64_t *at, struct session_name *ret);

/*
 * For what cannot be told from the upper directory whether it was done (an exchange): notes by the
 * request's unique number. A note stays until it is removed, after the request was answered or
 * failed; 64 at once: one more takes the place of that with the lowest number. 1 = no such note.
 */
void session_note(struct session *s, uint64_t unique, uint64_t value);
_must_check_ int session_note_find(struct session *s, uint64_t unique, uint64_t *ret_value);
void session_note_remove(struct session *s, uint64_t unique);
