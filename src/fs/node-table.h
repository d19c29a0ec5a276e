/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the table of nodes: for fs/node*.c only.
 *
 * Each record of the session has a slot here, which is made anew by one look over the records
 * when a session is attached. Records are found by what they are (hash_of), loaded or not.
 */
#pragma once

#include "node.h"

#define SLOT_BITS 12 /* slots come by 4,096 */
#define SLOTS_MAX ((size_t)SESSION_NODES_MAX >> SLOT_BITS)

struct slot {
	struct node *node;    /* loaded; else NULL */
	uint32_t children;    /* names that lie in it */
	uint32_t hash;        /* when it was put in a chain; odd: by its upper inode */
	uint32_t next : 28;   /* in the chain of its hash; 0: the last */
	uint32_t hashed : 1;  /* it is in a chain */
	uint32_t stale : 1;   /* of a process before us: which of its names are true is not known */
	uint32_t kept : 1;    /* one of its lookups is ours: children or somebody here need it */
	uint32_t loading : 1; /* load_lock */
};

struct node_table {
	pthread_mutex_t lock;      /* all that follows, refs, names and descriptors of nodes */
	pthread_mutex_t load_lock; /* held while nodes are loaded; before `lock` */
	struct slot *slots[SLOTS_MAX];
	uint32_t *heads;
	size_t n_heads, n_hashed;
	struct node *oldest, *newest; /* loaded, and nobody has them */
	size_t n_unused, unused_max;
	_Atomic uint64_t copied; /* counts what came to the upper directory */
	struct node **open;      /* with descriptors */
	uint32_t n_open, open_max, hand;
};

/* How many nodes that nobody uses stay loaded. Set before a union is opened; for tests. */
extern size_t node_unused_max;

_must_check_ int nodes_new(struct union_fs *u);
void nodes_free(struct union_fs *u);
_must_check_ int nodes_root(struct union_fs *u);
void nodes_forget(struct union_fs *u, uint64_t id, uint64_t n);

/* ---- with the table's lock ---- */
struct slot *slot_of(struct node_table *t, uint32_t id);
/* Makes the slot's memory. */
_must_check_ int slot_make(struct node_table *t, uint32_t id);
void node_ref(struct node_table *t, struct node *n);
uint32_t node_hash_upper(uint64_t ino);
uint32_t node_hash_lower(unsigned int layer, uint64_t key); /* 1 + the layer */
uint32_t node_hash_name(uint32_t parent, const char *name, size_t len);
_must_check_ int hash_insert(struct union_fs *u, uint32_t id);
void hash_remove(struct union_fs *u, uint32_t id);
/* The name in the session; NULL: the node has no such name. */
const char *find_name(
	struct union_fs *u, uint32_t id, uint32_t parent, const char *name, size_t len);
_must_check_ int add_name(
	struct union_fs *u, uint32_t id, uint32_t parent, const char *name, size_t len);
/* Gives n a name to be found by; takes over the reference of `parent`, returns that of the former
 * one, to be put. */
struct node *set_place(struct node *n, struct node *parent, const char *name);
void fd_forget(struct node_table *t, struct node *n);

/* ---- without ---- */
struct node *node_alloc(uint32_t id, struct node_record *rec);
void node_dealloc(struct node *n);
void node_set_lowers(struct node *n, struct found *f);
_must_check_ int node_load(struct union_fs *u, uint32_t id, struct node **ret);
/* node_place, and what is there. */
_must_check_ int node_place_stat(struct union_fs *u, struct node *n, int *ret_fd,
	struct node **ret_parent, char ret_name[256], struct stat *ret);
