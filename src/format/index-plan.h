/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of an index, between index-plan.c, which makes it, and index-write.c. */
#pragma once

#include "index.h"
#include "index-disk.h"
#include "index-xattr.h"

struct plan_dir {
	struct inode *inode;
	struct name *names; /* sorted, with "." and ".." */
	size_t n_names;
	uint32_t block; /* the first of its own blocks */
};

struct index_plan {
	struct tree *tree;
	bool layer;
	struct plan_dir *dirs; /* depth first */
	size_t n_dirs, room_dirs;
	struct inode **files; /* everything else, in the order of the directories */
	size_t n_files, room_files;
	struct xattr_pool *xattrs;
	uint64_t dir_blocks, link_blocks, shared_xattrs, chunk_table; /* byte offsets */
	uint64_t shared_size;
	uint32_t *chunk_order;  /* number -> id in the tree */
	uint32_t *chunk_number; /* id -> number */
	uint32_t *chunk_block;  /* id -> block in the portable blob; EROFS_NULL_BLOCK: not used */
	size_t n_chunks;
	uint64_t blob_blocks;
	uint64_t data_bytes;
	uint64_t largest; /* bytes of the file that has most, holes not counted */
	bool whiteout;    /* there is a character device 0:0 */
};

/* What an inode takes besides its 64 bytes. */
struct plan_record {
	enum erofs_layout layout;
	size_t xattr_size;
	size_t tail;     /* inline bytes */
	uint64_t chunks; /* chunk indexes */
	bool too_big;    /* its xattrs do not fit the format */
};
struct plan_record plan_record_of(const struct index_plan *p, const struct inode *i);
/* Blocks of its own that a directory or symlink needs. */
uint32_t plan_own_blocks(const struct inode *i, const struct plan_record *rec);
