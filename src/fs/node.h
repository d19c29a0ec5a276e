/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a union: nodes, and the locks. For fs/union-*.c and fs/node.c only.
 *
 * A node is a file that the kernel knows, or that such a file lies in. It is its record in the
 * session; `struct node` is that record in use, made when a node is first needed (node_get), and
 * again after it was dropped because many others were used since.
 *
 * Locks, in this order:
 *   union.tree   shared by all that looks at or changes names; alone by a rename that moves a
 *                directory, or moves between directories. Who waits to have it alone goes first: it
 *                must not be taken again by who has it
 *   node.lock    of a directory: its names in the upper directory, and its having one. Of another
 *                file: whether and how it lies in the upper directory. Parent before child; of two
 *                that are not parent and child, the lower id first
 *   the table of nodes, the descriptors: inside their modules
 * Content is read and written without node.lock: see union-data.c.
 */
#pragma once

#include "union.h"
#include "upper/blocks.h"

#include <pthread.h>

struct lower_place {
	uint16_t layer; /* of union_config.lowers */
	uint64_t key;
};

struct node {
	uint32_t id;
	uint32_t refs; /* node_get, and 1 for each loaded child; the table's lock */
	struct node_record *rec;
	struct node *older, *newer; /* among those that nobody has */
	pthread_mutex_t lock;

	/*
	 * A name that it has: where it is found in the upper directory. NULL: root, or nameless.
	 * To be read with the tree locked, or by node_place.
	 */
	struct node *parent;
	const char *name; /* in the session */

	/* Where it comes from. A directory merges all places, top first; another file has at most
	 * one. */
	struct lower_place *lowers;
	struct lower_place place; /* where `lowers` points to, if it is one */
	uint16_t n_lowers;
	_Atomic bool has_upper; /* set last: content is read without the lock */
	uint32_t mode;          /* S_IFMT */
	uint64_t ino; /* what st_ino shows: stays the same through copy-up, rename and remount */

	_Atomic int fd; /* a directory: O_PATH; a regular file: O_RDWR. -1: not open. By node_fd */
	uint32_t fd_users, fd_at;
	bool fd_recent;
	/* Half copied (the record's NODE_HALF): which blocks are its own; NULL until first needed.
	 */
	struct blocks *blocks;
	_Atomic unsigned int privileges; /* of a regular file in the upper directory */
	struct listing *listing;         /* a directory's names as union_readdir last saw them */
};

/* What is known not to be there; cleared by who gives it. See union-privileges.c. */
enum {
	NODE_NO_CAPABILITY = 1,
	NODE_NO_SUIDGID = 2,
};

struct union_fs {
	struct union_config config;
	struct upper *upper; /* = config.upper */
	struct session *session;
	pthread_rwlock_t tree;
	struct node_table *nodes;
	struct node *root;
	/* Added to the inode numbers of each layer, and of the upper directory, so that all differ.
	 */
	uint64_t *ino_base, upper_ino_base;
	struct union_data *data; /* union-data.c's own */
};

/* ---- node.c ---- */
/* The node of an id; -ESTALE. To be put. Finds it again by its names after a restart. */
_must_check_ int node_get(struct union_fs *u, uint64_t id, struct node **ret);
void node_put(struct union_fs *u, struct node *n);
/* For _cleanup_: keeps the union beside it. */
struct node_ref {
	struct union_fs *u;
	struct node *n;
};
void node_ref_done(struct node_ref *r);
#define _cleanup_node_ _cleanup_(node_ref_done)

/*
 * A descriptor of the node's own file in the upper directory: O_PATH for directories, for reading
 * and writing for regular files. Open descriptors are kept, up to a share of RLIMIT_NOFILE; one
 * that is in use (until node_fd_put) stays open. `n` has_upper.
 */
_must_check_ int node_fd(struct union_fs *u, struct node *n, int *ret_fd);
void node_fd_put(struct union_fs *u, struct node *n);
/* Closes it, if nobody uses it: its file is another one now. */
void node_fd_drop(struct union_fs *u, struct node *n);
/* Takes over a descriptor of that kind, so that it need not be opened. */
void node_fd_give(struct union_fs *u, struct node *n, int fd);
/*
 * Where it is found in the upper directory: its parent's descriptor (to be put, of *ret_parent, and
 * then node_put that: node_place_done) and its name there; for an orphan orphans_fd, and for a file
 * none of whose names is there index_fd: *ret_parent NULL. -ESTALE: nowhere.
 */
_must_check_ int node_place(struct union_fs *u, struct node *n, int *ret_fd,
	struct node **ret_parent, char ret_name[256]);
void node_place_done(struct union_fs *u, struct node *parent);

/*
 * The node for what is called `name` in `dir`, whose lock the caller has: finds the one there is
 * for the same file, else makes it. Counts a lookup for the kernel. To be put.
 */
struct found {
	const struct stat *upper; /* as the upper file system has it; NULL: not there */
	bool half;
	bool indexed;               /* `upper` is in index/: it may have no name there */
	struct lower_place *lowers; /* from malloc; handed over to the node, or freed */
	uint16_t n_lowers;
	uint64_t ino;
	uint32_t mode;
	/* From layers_find. */
	struct stat stat; /* to be shown, but for st_ino, and ids of layers */
	struct stat raw;  /* what `upper` points to */
	uint64_t copied;  /* nothing came to the upper directory since */
};
void found_done(struct found *f);
#define _cleanup_found_ _cleanup_(found_done)
_must_check_ int node_find(struct union_fs *u, struct node *dir, const char *name, size_t len,
	struct found *f, struct node **ret);
/* A node without a name, an orphan: for the new file `f->upper`. */
_must_check_ int node_orphan_new(struct union_fs *u, struct found *f, struct node **ret);
/* Looks `name` up in the layers: the node, not counted for the kernel. 1 = there is none. The
 * caller has dir's lock, as above. */
_must_check_ int node_lookup(
	struct union_fs *u, struct node *dir, const char *name, struct node **ret);
/* The union's attributes of a node: ids mapped, nlink and ino as the union shows them. */
_must_check_ int node_stat(struct union_fs *u, struct node *n, struct stat *ret);
/* The same for who has just looked at its upper file, and at its owner's mark. */
_must_check_ int node_stat_of(
	struct union_fs *u, struct node *n, const struct stat *upper, struct stat *ret);

/*
 * For changes of names (N2). Before the upper directory is changed: `n` may come to be
 * called `name` in `dir` (announce); after it: it is (set), or is not, or is no longer (drop).
 * `moved`: if it had but one name before, that is gone. Of a node that is no orphan and has no
 * name left nothing can be found again.
 */
_must_check_ int node_name_announce(
	struct union_fs *u, struct node *n, struct node *dir, const char *name);
void node_name_set(
	struct union_fs *u, struct node *n, struct node *dir, const char *name, bool moved);
void node_name_drop(struct union_fs *u, struct node *n, struct node *dir, const char *name);
/* A request that came again finds nothing under a name: whoever was called so is so no longer. */
void node_name_gone(struct union_fs *u, struct node *dir, const char *name);
/* The node is now in the upper directory too, with this inode. */
void node_set_upper(struct union_fs *u, struct node *n, const struct stat *st);

/* ---- union-find.c: what the layers have ---- */
/* What is called `name` in `dir`. 1 = nothing. */
_must_check_ int layers_find(
	struct union_fs *u, struct node *dir, const char *name, size_t len, struct found *ret);
/* Whether the lower layers have this name, so that it takes a whiteout to hide it. 1 = they have.
 */
_must_check_ int layers_have_lower(
	struct union_fs *u, struct node *dir, const char *name, size_t len);
/* Ids as the union's user sees them. */
void stat_show_ids(const struct union_fs *u, struct stat *st);
/* The union's view of a file's attributes, which layers_find or the file itself gave. */
void node_stat_show(const struct union_fs *u, const struct node *n, struct stat *st);

/* ---- union-list.c ---- */
void listing_free(struct listing *l);

/* ---- union-copy.c: into the upper directory ---- */
/* The directory, and all those above it, are in the upper directory afterwards. Locks them. */
_must_check_ int copy_up_dir(struct union_fs *u, struct node *dir);
/*
 * The file is in the upper directory afterwards, with its parents: whole; or, with `half` and if
 * the union copies blocks and the file is large, as a half-copied one. `size`: what is behind it
 * is about to be cut off (UINT64_MAX: nothing is). The caller has n->lock.
 */
_must_check_ int copy_up(struct union_fs *u, struct node *n, bool half, uint64_t size);

/* ---- union-data.c ---- */
_must_check_ int data_new(struct union_fs *u); /* makes u->data */
void data_free(struct union_fs *u);
/* Makes a half-copied file whole; the caller has n->lock. Its attributes stay. */
_must_check_ int data_complete(struct union_fs *u, struct node *n);
/*
 * Before a file comes to be called something else: a half-copied one is made whole if its lower
 * file could not be found again, since a file of a directory is found by its name only. The caller
 * has n->lock, and has copied it up.
 */
_must_check_ int data_before_rename(struct union_fs *u, struct node *n);
/* Changes the size of a file that is in the upper directory; the caller has n->lock. Waits while
 * the node is held. */
_must_check_ int data_truncate(struct union_fs *u, struct node *n, uint64_t size);
/* Content of a file that is in the lower layers alone, up to `size`, into an empty file, which is
 * then `size` long. Holes stay holes. */
_must_check_ int data_copy_lower(struct union_fs *u, struct node *n, int fd, uint64_t size);
/* The same by reflinks alone: 1 = that cannot be done, the file is empty as before. */
_must_check_ int data_clone_lower(struct union_fs *u, struct node *n, int fd, uint64_t size);

/* ---- union-privileges.c ---- */
/* Whether this is security.capability of a file in the upper directory: that is got so, with what
 * xattr_place gave (-ENODATA at once where it is known), and changed with the state alone. */
bool data_is_capability(const struct node *n, const char *xattr);
_must_check_ int data_get_capability(struct union_fs *u, struct node *n, int fd, const char *at,
	void *p, size_t size, size_t *ret_n);
/* Nothing reads or writes content meanwhile. After node.lock. */
void data_state_alone(struct union_fs *u, const struct node *n);
void data_state_leave(struct union_fs *u, const struct node *n);

static inline struct lower *node_lower(const struct union_fs *u, const struct node *n)
{
	return u->config.lowers[n->lowers[0].layer];
}
