/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index: all metadata of a tree as one EROFS image, with a table of the chunks that hold the
 * content. The kernel, the library and erofs-utils read the same bytes. docs/format.md has them.
 *
 * A *portable* index addresses one blob in which the tree's chunks lie one after the other, in
 * the order of the chunk table; it depends on the tree alone, and its SHA-256 is its name. A
 * *local* index is the same but for the addresses, which point into one store's packs.
 *
 * Invariants:
 *  I1  The same tree gives the same portable index, byte for byte.
 *  I2  Portable and local index of a tree have the same layout: they differ in the header, the
 *      superblock, the device table and the chunk indexes only.
 *  I3  The reader never reads outside the mapped file, whatever is in it, and never loops.
 */
#pragma once

#include "tree.h"
#include "util/bytes.h"

#define INDEX_DEVICES_MAX 23 /* slots that fit behind the superblock in its block */

/* Where a chunk lies: device 1 is the first of the device table. Blocks are 4 KiB. */
struct index_address {
	uint16_t device;
	uint32_t block;
};

struct index_device {
	char tag[64];
	uint32_t blocks;
};

/* What makes an index local: the devices, and where in them each chunk of the table lies. */
struct index_local {
	const struct index_device *devices;
	size_t n_devices; /* at most INDEX_DEVICES_MAX */
	const struct index_address
		*addresses;     /* one for each chunk of the plan's table, in order */
	struct digest portable; /* the digest of the portable index */
	bool without_facts;     /* as before version 0.2: the header does not tell facts */
};

/*
 * Writing, in two steps: the plan gives every inode its place and every chunk its number; then
 * the plan is written, portable and local. A tree is planned once; the tree must outlive the plan.
 * -ERR_INPUT with `e` filled when the tree does not fit the format.
 */
struct index_plan;
_must_check_ int index_plan_new(struct tree *t, bool layer, struct index_plan **ret, struct err *e);
void index_plan_free(struct index_plan *p);
DEFINE_CLEANUP(struct index_plan *, index_plan_free);

struct tree *index_plan_tree(const struct index_plan *p);
/* The chunk table: *ret_n ids in the tree's table of chunks, in the order of the index's. */
const uint32_t *index_plan_chunks(const struct index_plan *p, size_t *ret_n);

/* Writes at the beginning of the empty file `fd`. `local` NULL: portable. ret_digest may be NULL.
 */
_must_check_ int index_plan_write(struct index_plan *p, int fd, const struct index_local *local,
	struct digest *ret_digest, struct err *e);

/* Reading. */
struct index_info {
	bool layer;
	bool local;
	uint64_t size;       /* bytes of the file */
	uint64_t inodes;     /* files of all types, each once */
	uint64_t chunks;     /* entries of the chunk table */
	uint64_t data_bytes; /* content of the tree's files, each file once, holes not counted */
	uint64_t devices;
	uint64_t root_nid;
	struct digest portable; /* local only */
	/* Local only, and there only if they were known when it was made. */
	bool facts;
	bool whiteout;    /* there is a character device 0:0 */
	uint64_t largest; /* bytes of the file that has most, holes not counted */
};

struct index;
/* Maps the file; the descriptor may be closed afterwards. Checks header, superblock, tables. */
_must_check_ int index_open(int fd, struct index **ret, struct err *e);
/* The same for memory that the caller keeps. */
_must_check_ int index_open_memory(const void *p, size_t n, struct index **ret, struct err *e);
void index_close(struct index *x);
DEFINE_CLEANUP(struct index *, index_close);

const struct index_info *index_info(const struct index *x);
/* Entry `n` of the chunk table (n < info.chunks). */
void index_chunk(const struct index *x, uint64_t n, struct chunk *ret);
/* The chunk table's entry that begins at `block` of the portable blob: 1 = there is none. */
_must_check_ int index_find_chunk(const struct index *x, uint32_t block, uint64_t *ret);

struct index_inode {
	uint64_t nid;
	uint32_t mode, uid, gid, nlink, mtime_nsec;
	int64_t mtime;
	uint64_t size;
	uint32_t dev_major, dev_minor;
	uint8_t flags; /* enum inode_flag, from the layer mark */
	/* For the functions below. */
	enum { INDEX_PLAIN, INDEX_INLINE, INDEX_CHUNKS } layout;
	uint8_t chunk_bits;
	uint32_t block;
	struct bytes xattrs; /* what follows the inode */
	struct bytes tail;   /* inline content, or the chunk indexes */
};
_must_check_ int index_inode(
	const struct index *x, uint64_t nid, struct index_inode *ret, struct err *e);

/* A name of a directory, as a view of the index. */
struct index_name {
	uint64_t nid;
	const char *name; /* not NUL-terminated */
	size_t len;
	uint8_t type; /* DT_* */
};
/*
 * The names of a directory one after the other, "." and ".." among them, sorted. *pos begins at
 * 0 and is opaque. 1 = *ret is the next name; 0 = there are no more.
 */
_must_check_ int index_readdir(const struct index *x, const struct index_inode *dir, uint64_t *pos,
	struct index_name *ret, struct err *e);
/* 1 = there is no such name. Cost: log of the directory's size. */
_must_check_ int index_lookup(const struct index *x, const struct index_inode *dir,
	const char *name, size_t len, uint64_t *ret_nid, struct err *e);

/*
 * A symlink's target or an inline file's content: a view of the index. Directories are read with
 * index_readdir, chunked files with index_address.
 */
_must_check_ int index_content(
	const struct index *x, const struct index_inode *i, struct bytes *ret, struct err *e);
/* Where chunk `n` of a chunked file lies. 1 = it is a hole. */
_must_check_ int index_address(const struct index *x, const struct index_inode *i, uint64_t n,
	struct index_address *ret, struct err *e);

/*
 * The xattrs one after the other, the layer mark left out; *pos begins at 0. The name is put
 * together in ret_name. 1 = there is one more; 0 = no more.
 */
_must_check_ int index_xattr(const struct index *x, const struct index_inode *i, uint64_t *pos,
	char ret_name[XATTR_NAME_LEN_MAX + 1], struct bytes *ret_value, struct err *e);

/*
 * Reads a whole portable index into a tree: its names, inodes and chunks are added to `t`, below a
 * root of their own, which the caller puts into its place. Content stays a view: the index must
 * outlive the tree. Checks everything that can be checked without the chunks: every name, type,
 * link and address. -ERR_INPUT.
 */
_must_check_ int index_load(
	const struct index *x, struct tree *t, struct inode **ret_root, struct err *e);
