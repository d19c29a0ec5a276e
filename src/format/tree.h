/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file tree in memory: what a layer says, or what layers merged say. Built from a tar or from
 * indexes, written out as an index.
 *
 * Everything belongs to the tree's arena and lives as long as the tree. Names and xattr values
 * are bytes; a name is 1 to 255 bytes without '/' and NUL, and never "." or "..".
 * Not for threads.
 */
#pragma once

#include "digest.h"
#include "util/arena.h"
#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define CHUNK_BITS_MIN     12                  /* chunks are whole 4 KiB blocks */
#define CHUNK_BITS_MAX     24                  /* 16 MiB: a chunk is held in memory whole */
#define CHUNK_BITS_DEFAULT 17                  /* 128 KiB; docs/performance.md has the study */
#define CHUNK_HOLE         UINT32_MAX          /* a chunk that is all zeros is not stored */
#define CHUNKS_PER_FILE    65536               /* a longer file gets larger chunks */
#define FILE_SIZE_MAX      ((uint64_t)1 << 44) /* 16 TiB */
#define NAME_LEN_MAX       255
#define XATTR_NAME_LEN_MAX 255
#define XATTR_VALUE_MAX    65535 /* EROFS keeps the size in 16 bits */

enum inode_flag {
	/* Layers only; merging resolves them. */
	INODE_IMPLICIT = 1, /* a directory that had no entry of its own: attributes are not said */
	INODE_OPAQUE = 2,   /* a directory that hides what lower layers have below it */
	INODE_WHITEOUT = 4, /* no file: hides the lower layers' file of this name */
	INODE_LINK = 8,     /* no file: a hard link to the lower layers' file at `target` */
};

struct xattr {
	const char *name; /* whole, with its prefix: "user.foo" */
	const uint8_t *value;
	uint32_t value_size;
};

struct xattr_set {
	uint32_t n;
	struct xattr v[]; /* sorted by name, no two alike */
};

struct inode {
	uint32_t mode; /* S_IFMT type and 07777 bits */
	uint32_t uid, gid;
	uint32_t mtime_nsec;
	int64_t mtime;
	uint64_t size; /* bytes: of a file's content, or of a symlink's target */
	uint32_t dev_major, dev_minor;
	uint32_t nlink; /* how many names it has; set by index_plan_new */
	uint8_t flags;  /* enum inode_flag */
	uint8_t chunk_bits;
	const struct xattr_set *xattrs; /* NULL: none */
	union {
		struct dentry *children; /* directory: unordered, dead ones included */
		const char *target;      /* symlink, INODE_LINK */
		const uint8_t *data;     /* file with chunk_bits 0: the content itself, inline */
		uint32_t *chunks;        /* file: ids in the tree's chunk table, or CHUNK_HOLE */
	};
	uint64_t mark; /* index_plan_new: 1 + the position in the index; 0: not seen yet */
};

struct dentry {
	struct dentry *sibling;
	struct dentry *hash_next;
	struct inode *parent;
	struct inode *inode; /* NULL: removed */
	uint32_t hash;
	uint16_t len;
	char name[];
};

#define dentry_for_each(d, dir) \
	for (struct dentry *d = (dir)->children; d; d = d->sibling) \
		if (d->inode)

struct chunk {
	struct digest digest;
	uint32_t size; /* bytes, 1 to the file's chunk size */
};

struct tree {
	struct arena arena;
	struct inode *root;
	struct dentry **table; /* names: hash of (parent, name) */
	size_t table_size;     /* a power of two */
	size_t n_names;
	struct chunk *chunks;
	uint32_t n_chunks, room_chunks;
	uint32_t *chunk_table; /* digest -> id + 1 */
	size_t chunk_table_size;
};

/* An empty root directory, implicit, 0755 0:0. NULL: no memory. */
struct tree *tree_new(void);
void tree_free(struct tree *t);
DEFINE_CLEANUP(struct tree *, tree_free);

static inline bool inode_is_dir(const struct inode *i)
{
	return S_ISDIR(i->mode);
}

/* How many chunks a file of `size` bytes has, and how large they are for a wanted chunk size. */
static inline uint64_t chunk_count(uint64_t size, unsigned int chunk_bits)
{
	return (size + ((uint64_t)1 << chunk_bits) - 1) >> chunk_bits;
}
unsigned int chunk_bits_for(uint64_t size, unsigned int wanted_bits);

/* The bytes of chunk `n` of a file. */
static inline uint32_t chunk_size_at(uint64_t size, unsigned int chunk_bits, uint64_t n)
{
	uint64_t left = size - (n << chunk_bits);

	return (uint32_t)(left < (uint64_t)1 << chunk_bits ? left : (uint64_t)1 << chunk_bits);
}

struct inode *tree_inode_new(struct tree *t, uint32_t mode);
/* NULL if there is none (or it was removed). */
struct dentry *tree_find(
	const struct tree *t, const struct inode *dir, const char *name, size_t len);
/* Gives `name` in `dir` the inode, instead of what it had. -ENOMEM. */
_must_check_ int tree_link(
	struct tree *t, struct inode *dir, const char *name, size_t len, struct inode *inode);
/* Removes all names below a directory. */
void tree_clear(struct inode *dir);
/* The id of a chunk, the same for the same digest. 1 = it is new to the tree; -ENOMEM. */
_must_check_ int tree_chunk(
	struct tree *t, const struct digest *digest, uint32_t size, uint32_t *ret_id);

/*
 * The names of a directory, sorted by their bytes, with "." and ".." in their places: *ret is an
 * array of `*ret_n`, from malloc. `parent` is what ".." names.
 */
struct name {
	const char *name;
	uint16_t len;
	struct inode *inode;
};
_must_check_ int tree_sorted_names(
	struct inode *dir, struct inode *parent, struct name **ret, size_t *ret_n);

/*
 * A sorted xattr set in the arena out of `n` in any order (a later one of the same name wins).
 * *ret is NULL for none. -ENOMEM.
 */
_must_check_ int tree_xattrs(
	struct tree *t, const struct xattr *v, size_t n, const struct xattr_set **ret);
/* The same without copies: names and values must live as long as the tree. */
_must_check_ int tree_xattrs_view(
	struct tree *t, const struct xattr *v, size_t n, const struct xattr_set **ret);
